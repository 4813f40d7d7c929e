//! Huawei Cloud CCE jobs. The path and the document are those of the Open Telekom Cloud, which that cloud's simulation
//! plays.

use cloudop_simulator::{Cloud, Operation, Scope, Stage, Task};

use crate::story::Story;

const PROJECT: &str = "57d0f1a2b3c44e5f8a9b0c1d2e3f4a5b";
const ID: &str = "8c0a1d7e-8b1a-11e8-8f9d-0255ac10193f";
const PROVIDER: &str = "huaweiCceJob: {region: ap-southeast-3, projectId: 57d0f1a2b3c44e5f8a9b0c1d2e3f4a5b}";

fn job(kind: &str) -> Operation {
    let cluster = "4d1ecb2c-229a-11e8-9c75-0255ac100ceb";
    Operation::new(Cloud::OtcCceJob, Scope::otc(PROJECT), ID).kind(kind).target(cluster, "prod")
}

fn node(word: &str) -> Task {
    Task::new("73c5a4a1-8b1b-11e8-8f9d-0255ac10193f", "CreateNode").state(word)
}

#[test]
fn a_job_is_followed_to_its_success() {
    let job = job("CreateNode")
        .stage(Stage::state("Initializing"))
        .stage(Stage::state("Running").task(node("Running")))
        .stage(Stage::state("Success").task(node("Success")));
    let mut story = Story::new("huawei_cce_job/success", job);
    story.apply(PROVIDER, "");
    story.see("initializing");
    story.advance_to("running");
    story.advance();
    story.end("success", true);
    story.close();
}

#[test]
fn a_failure_names_the_sub_job() {
    let failed = node("Failed").reason("CCE.01400013: insufficient volume quota");
    let job = job("CreateNode")
        .stage(Stage::state("Running").task(node("Running")))
        .stage(Stage::state("Failed").task(failed));
    let mut story = Story::new("huawei_cce_job/failed", job);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance();
    story.end("failed", false);
    story.close();
}
