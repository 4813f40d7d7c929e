//! Huawei Cloud CCE upgrade workflows.

use cloudop_simulator::{Cloud, Operation, Scope, Stage, Task};

use crate::story::Story;

const PROJECT: &str = "0605767b5780d5762fc5c0118072a564";
const CLUSTER: &str = "b4b9e60f-8aa2-11ee-af09-0255ac10004f";
const ID: &str = "c271e39e-1a6e-4d3d-8fa8-2a36329c68d1";
const PROVIDER: &str = "huaweiCceUpgrade: {region: ap-southeast-3, projectId: 0605767b5780d5762fc5c0118072a564, \
                        clusterId: b4b9e60f-8aa2-11ee-af09-0255ac10004f}";

fn workflow(stages: impl IntoIterator<Item = Stage>) -> Operation {
    stages.into_iter().fold(Operation::new(Cloud::HuaweiCceUpgrade, Scope::cce(PROJECT, CLUSTER), ID), Operation::stage)
}

/// A phase, and where PreCheck, Snapshot, Cluster and PostCheck stand; one with an empty word has not begun, and has
/// neither an ID nor a state.
fn flow(phase: &str, words: [&str; 4]) -> Stage {
    let tasks = [
        ("f61e008c-1600-41c0-9bde-121de5a30660", "PreCheck"),
        ("2b7b8c1e-5f8e-4c0e-9a41-4f6d1c1f7d10", "Snapshot"),
        ("6d799ff6-3afe-4242-80b4-6f0a0fa746cb", "Cluster"),
        ("5b6a1a0e-93b2-4f7c-a1f8-6d0f5c9f7c11", "PostCheck"),
    ];
    tasks.into_iter().zip(words).fold(Stage::state(phase), |stage, ((id, kind), word)| {
        let task = Task::new(id, kind);
        stage.task(if word.is_empty() { task } else { task.state(word) })
    })
}

#[test]
fn an_upgrade_is_followed_to_its_success_though_its_tasks_get_their_ids_late() {
    let workflow = workflow([
        flow("Init", ["", "", "", ""]),
        flow("Running", ["Running", "", "", ""]),
        flow("Running", ["Success", "Running", "", ""]),
        flow("Running", ["Success", "Success", "Running", ""]),
        flow("Success", ["Success", "Success", "Success", "Success"]),
    ]);
    let mut story = Story::new("huawei_cce_upgrade/success", workflow);
    story.apply(PROVIDER, "");
    story.see("not begun");
    story.advance_to("checking");
    story.advance_to("taking the snapshot");
    story.advance_to("upgrading");
    story.advance();
    story.end("success", true);
    story.close();
}

#[test]
fn a_parked_upgrade_is_blocked_until_it_is_retried_and_then_succeeds() {
    let workflow = workflow([
        flow("Running", ["Success", "Success", "Running", ""]),
        flow("Pending", ["Success", "Success", "Failed", ""]),
        flow("Running", ["Success", "Success", "Running", ""]),
        flow("Success", ["Success", "Success", "Success", "Success"]),
    ]);
    let mut story = Story::new("huawei_cce_upgrade/blocked-then-retried", workflow);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance_to("blocked");
    let object = format!("cloudop/{}", story.name);
    let gate = story.bed.kubectl(&["wait", &object, "--for=condition=Finished", "--timeout=2s"]);
    assert!(!gate.success(), "a gate opened while the upgrade was parked: {}", gate.stdout);
    story.advance_to("retried");
    story.advance();
    story.end("success", true);
    story.close();
}

#[test]
fn a_parked_upgrade_that_is_cancelled_has_failed_as_cancelled() {
    let workflow = workflow([
        flow("Running", ["Running", "", "", ""]),
        flow("Pending", ["Failed", "", "", ""]),
        flow("Cancel", ["Failed", "", "", ""]),
    ]);
    let mut story = Story::new("huawei_cce_upgrade/blocked-then-cancelled", workflow);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance_to("blocked");
    story.advance();
    story.end("cancelled", false);
    story.close();
}
