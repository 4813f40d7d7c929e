//! Open Telekom Cloud CCE jobs.

use cloudop_simulator::{Cloud, Operation, Scope, Stage, Task};

use crate::story::Story;

const PROJECT: &str = "57d0f1a2b3c44e5f8a9b0c1d2e3f4a5b";
const ID: &str = "354331b2c-229a-11e8-9c75-0255ac100ceb";
const PROVIDER: &str = "otcCceJob: {region: eu-de, projectId: 57d0f1a2b3c44e5f8a9b0c1d2e3f4a5b}";
const MASTER: &str = "fd474fab-9606-11e8-baa9-0255ac10215d";
const CERTIFICATE: &str = "fd474f82-9606-11e8-baa8-0255ac10215d";

fn job(kind: &str) -> Operation {
    let cluster = "6f4dcb2c-229a-11e8-9c75-0255ac100ceb";
    Operation::new(Cloud::OtcCceJob, Scope::otc(PROJECT), ID).kind(kind).target(cluster, "prod")
}

fn creation(phase: &str, master: Task, certificate: &str) -> Stage {
    Stage::state(phase).task(master).task(Task::new(CERTIFICATE, "CreatePSMCert").state(certificate))
}

fn master(word: &str) -> Task {
    Task::new(MASTER, "InstallMaster").state(word)
}

#[test]
fn a_job_is_followed_to_its_success() {
    let job = job("CreateCluster")
        .stage(Stage::state("Initializing"))
        .stage(creation("Running", Task::new(MASTER, "InstallMaster"), "Running"))
        .stage(creation("Running", master("Running"), "Success"))
        // The vendor's own example: every part has ended and the whole has not.
        .stage(creation("Running", master("Success"), "Success"))
        .stage(creation("Success", master("Success"), "Success"));
    let mut story = Story::new("otc_cce_job/success", job);
    story.apply(PROVIDER, "");
    story.see("initializing");
    story.advance_to("certifying");
    story.advance_to("installing");
    story.advance_to("parts ended");
    story.advance();
    story.end("success", true);
    story.close();
}

#[test]
fn a_failure_two_levels_deep_names_the_sub_job_and_its_quota() {
    let nodes = |node: &str, machine: Task| {
        Task::new("8f0c3c55-1f9c-4a6a-9c0b-0c3f4f7f1a12", "CreateNode")
            .state(node)
            .task(machine)
            .task(Task::new("8f0c3c55-1f9c-4a6a-9c0b-0c3f4f7f1a14", "InstallNode"))
    };
    let machine = |word: &str| Task::new("8f0c3c55-1f9c-4a6a-9c0b-0c3f4f7f1a13", "CreateNodeVM").state(word);
    let quota = "Quota exceeded for cores: Requested 8, but already used 96 of 100 cores (CCE.03400013)";
    let job = job("ScaleupCluster")
        .stage(Stage::state("Running").task(nodes("Running", machine("Running"))))
        .stage(Stage::state("Failed").task(nodes("Failed", machine("Failed").reason(quota))));
    let mut story = Story::new("otc_cce_job/failed-two-levels-deep", job);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance();
    story.end("failed", false);
    story.close();
}

#[test]
fn a_job_that_the_cloud_forgets_expires() {
    let job = job("DeleteNode")
        .stage(Stage::state("Running").task(Task::new(MASTER, "DeleteNodeVM").state("Running")))
        .stage(Stage::gone());
    let mut story = Story::new("otc_cce_job/expired", job);
    story.apply(PROVIDER, "notFoundGraceSeconds: 600");
    story.see("running");
    story.advance_to("missing");
    story.end_the_grace();
    story.end("expired", false);
    story.close();
}

#[test]
fn a_job_that_never_was_is_not_found() {
    let mut story = Story::new("otc_cce_job/never-found", job("").stage(Stage::gone()));
    story.apply(PROVIDER, "notFoundGraceSeconds: 600");
    story.see("missing");
    story.end_the_grace();
    story.end("not found", false);
    story.close();
}
