//! Jobs of Huawei Cloud's compute and storage services.

use cloudop_simulator::{Cloud, Operation, Scope, Stage, Task};

use crate::story::Story;

const PROJECT: &str = "57d0f1a2b3c44e5f8a9b0c1d2e3f4a5b";
const ID: &str = "2c9eb2c5544cbf6101544f0602af2b4f";
const PROVIDER: &str = "huaweiJob: {service: ecs, region: ap-southeast-3, projectId: 57d0f1a2b3c44e5f8a9b0c1d2e3f4a5b}";

fn job() -> Operation {
    Operation::new(Cloud::HuaweiJob, Scope::project(PROJECT), ID).kind("createServer")
}

fn server(word: &str) -> Task {
    Task::new("2c9eb2c5544cbf6101544f0635672b60", "createSingleServer").state(word)
}

#[test]
fn a_job_is_followed_to_its_success() {
    let job = job()
        .target("bae51750-0089-41a1-9b18-5c777978ff6d", "")
        .stage(Stage::state("INIT"))
        .stage(Stage::state("RUNNING").task(server("RUNNING")))
        .stage(Stage::state("SUCCESS").task(server("SUCCESS")));
    let mut story = Story::new("huawei_job/success", job);
    story.apply(PROVIDER, "");
    story.see("initializing");
    story.advance_to("running");
    story.advance();
    story.end("success", true);
    story.close();
}

#[test]
fn a_failure_has_the_service_s_code_and_names_the_part() {
    let reason = "no more flavors of this type in the zone";
    let job = job()
        .stage(Stage::state("RUNNING").task(server("RUNNING")))
        .stage(Stage::state("FAIL").error("Ecs.0013", reason).task(server("FAIL").reason(reason)));
    let mut story = Story::new("huawei_job/failed", job);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance();
    story.end("failed", false);
    story.close();
}

#[test]
fn an_order_that_waits_for_its_payment_is_parked() {
    let job =
        job().stage(Stage::state("PENDING_PAYMENT")).stage(Stage::state("RUNNING")).stage(Stage::state("SUCCESS"));
    let mut story = Story::new("huawei_job/parked", job);
    story.apply(PROVIDER, "");
    story.see("parked");
    story.advance_to("running");
    story.advance();
    story.end("success", true);
    story.close();
}

#[test]
fn a_job_that_the_cloud_forgets_expires() {
    let job = job().stage(Stage::state("RUNNING")).stage(Stage::gone());
    let mut story = Story::new("huawei_job/expired", job);
    story.apply(PROVIDER, "notFoundGraceSeconds: 600");
    story.see("running");
    story.advance_to("missing");
    story.end_the_grace();
    story.end("expired", false);
    story.close();
}
