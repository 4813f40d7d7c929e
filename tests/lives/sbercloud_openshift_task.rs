//! SberCloud Managed OpenShift tasks.

use cloudop_simulator::{Cloud, Operation, Scope, Stage};
use cloudop_testbed::{Bed, condition};
use serde_json::json;

use crate::story::Story;

const INSTANCE: &str = "5e2d4c3b-1a09-4f8e-b7d6-c5a4938271f0";
const ID: &str = "b7e1a9c4-6d2f-4c8b-a1e3-9f0d2b4c6e8a";
const PROVIDER: &str = "sbercloudOpenshiftTask: {serviceInstanceId: 5e2d4c3b-1a09-4f8e-b7d6-c5a4938271f0}";

fn task(stages: impl IntoIterator<Item = Stage>) -> Operation {
    let task = Operation::new(Cloud::SbercloudOpenshiftTask, Scope::sbercloud(INSTANCE), ID).kind("create_cluster");
    stages.into_iter().fold(task, Operation::stage)
}

#[test]
fn a_task_is_followed_to_done() {
    let mut story =
        Story::new("sbercloud_openshift_task/done", task(["queued", "in_progress", "done"].map(Stage::state)));
    story.apply(PROVIDER, "");
    story.see("queued");
    story.advance_to("in progress");
    story.advance();
    story.end("done", true);
    story.close();
}

#[test]
fn a_failure_shows_the_code_by_its_name() {
    let task = task([Stage::state("running"), Stage::state("failed").error("8", "quota of vCPUs exceeded")]);
    let mut story = Story::new("sbercloud_openshift_task/failed", task);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance();
    story.end("failed", false);
    story.close();
}

/// A cancelled long-running operation ends with this code: <https://google.aip.dev/151>.
#[test]
fn a_task_that_ends_with_the_code_for_cancelled_has_failed_as_cancelled() {
    let task = task([Stage::state("running"), Stage::state("cancelled").error("1", "cancelled by the user")]);
    let mut story = Story::new("sbercloud_openshift_task/cancelled", task);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance();
    story.end("cancelled", false);
    story.close();
}

#[test]
fn an_unknown_word_is_followed_until_a_known_one_comes_or_the_spec_says_what_it_means() {
    let task = task(["running", "Provisioned", "done"].map(Stage::state));
    let mut story = Story::new("sbercloud_openshift_task/unknown-word", task);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance_to("unknown");
    let told = format!("{}, succeededStates: [provisioned]}}", PROVIDER.strip_suffix('}').unwrap());
    story.bed.apply(&Bed::operation("told", &told, ID, "pollIntervalSeconds: 1"));
    let status = story.bed.until_reason("told", "Succeeded", "OperationSucceeded");
    assert_eq!((&status["phase"], &status["upstreamState"]), (&json!("Succeeded"), &json!("Provisioned")));
    let waiting = story.bed.get(&story.name).unwrap()["status"].take();
    assert_eq!(condition(&waiting, "Succeeded").unwrap()["status"], "Unknown");
    story.advance();
    story.end("done", true);
    story.close();
}

#[test]
fn a_response_alone_is_no_success() {
    let shown = |more: &str| {
        format!(
            r#"{{"task":{{"id":"{ID}","command":"create_cluster","response":{{"typeUrl":"t","value":"CgA="}}{more}}}}}"#
        )
    };
    let task = task([
        Stage::raw(shown(r#","status":"running""#)),
        Stage::raw(shown(r#","status":"Provisioned""#)),
        Stage::raw(shown("")),
        Stage::raw(shown(r#","status":"done""#)),
    ]);
    let mut story = Story::new("sbercloud_openshift_task/response-alone", task);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance_to("unknown word");
    story.advance_to("no word");
    story.advance();
    story.end("done", true);
    story.close();
}
