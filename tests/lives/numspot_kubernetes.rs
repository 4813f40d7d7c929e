//! NumSpot Kubernetes operations.

use cloudop_simulator::{Cloud, NumspotApi, Operation, Scope, Stage};
use cloudop_testbed::Bed;

use crate::story::Story;

const SPACE: &str = "6f0e3b5a-2c1d-4f7e-9a8b-1d2c3e4f5a6b";
const CLUSTER: &str = "0b9d7c1e-5a4f-4e3d-8c2b-7a6f5e4d3c2b";
const ID: &str = "8d1f6c2e-3b4a-4d5c-9e6f-0a1b2c3d4e5f";
const BY_ID: &str = "numspotKubernetes: {region: eu-west-2, spaceId: 6f0e3b5a-2c1d-4f7e-9a8b-1d2c3e4f5a6b}";
const BY_CLUSTER: &str = "numspotKubernetes: {region: eu-west-2, spaceId: 6f0e3b5a-2c1d-4f7e-9a8b-1d2c3e4f5a6b, \
                          clusterId: 0b9d7c1e-5a4f-4e3d-8c2b-7a6f5e4d3c2b}";

fn operation(kind: &str) -> Operation {
    Operation::new(Cloud::NumspotKubernetes, Scope::numspot(SPACE, CLUSTER), ID).kind(kind).target(CLUSTER, "prod")
}

#[test]
fn a_creation_is_followed_to_done() {
    let operation = operation("CreateCluster")
        .stage(Stage::state("PENDING"))
        .stage(Stage::state("RUNNING").progress("20%"))
        .stage(Stage::state("RUNNING").progress("60%"))
        .stage(Stage::state("DONE").progress("100%"));
    let mut story = Story::new("numspot_kubernetes/done", operation);
    story.apply(BY_ID, "");
    story.see("pending");
    story.advance_to("at 20 percent");
    story.advance_to("at 60 percent");
    story.advance();
    story.end("done", true);
    story.close();
}

#[test]
fn an_upgrade_is_followed_to_succeeded_in_the_newer_api() {
    let operation = operation("UPGRADE_MASTERS")
        .stage(Stage::state("PENDING"))
        .stage(Stage::state("RUNNING").progress("upgrading the masters"))
        .stage(Stage::state("SUCCEEDED"));
    let mut story = Story::new("numspot_kubernetes/succeeded", operation);
    story.bed.simulator.numspot(NumspotApi::V1);
    story.apply(BY_ID, "");
    story.see("pending");
    story.advance_to("running");
    story.advance();
    story.end("succeeded", true);
    story.close();
}

#[test]
fn a_failure_with_an_error_object_shows_its_code_and_message() {
    let operation = operation("ADD_WORKERS")
        .stage(Stage::state("RUNNING"))
        .stage(Stage::state("FAILED").error("quota_exceeded", "The quota of vCPUs is used up"));
    let mut story = Story::new("numspot_kubernetes/failed-with-object", operation);
    story.bed.simulator.numspot(NumspotApi::V1);
    story.apply(BY_ID, "");
    story.see("running");
    story.advance();
    story.end("failed", false);
    story.close();
}

#[test]
fn a_failure_with_an_error_text_shows_it() {
    let operation = operation("AddWorker")
        .stage(Stage::state("RUNNING").progress("40%"))
        .stage(Stage::state("FAILED").progress("40%").error("", "no capacity left in eu-west-2a"));
    let mut story = Story::new("numspot_kubernetes/failed-with-text", operation);
    story.apply(BY_ID, "");
    story.see("running");
    story.advance();
    story.end("failed", false);
    story.close();
}

#[test]
fn a_cancelled_operation_has_failed_as_cancelled() {
    let operation = operation("UPGRADE_WORKERS").stage(Stage::state("RUNNING")).stage(Stage::state("CANCELLED"));
    let mut story = Story::new("numspot_kubernetes/cancelled", operation);
    story.bed.simulator.numspot(NumspotApi::V1);
    story.apply(BY_ID, "");
    story.see("running");
    story.advance();
    story.end("cancelled", false);
    story.close();
}

#[test]
fn an_end_shown_while_it_is_pending_is_no_end() {
    let vendors = include_str!("../fixtures/numspot_kubernetes/vendor-example.json");
    assert!(vendors.contains("PENDING") && vendors.contains("endTime"));
    let id = "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX";
    let operation = Operation::new(Cloud::NumspotKubernetes, Scope::numspot(SPACE, CLUSTER), id)
        .stage(Stage::raw(vendors))
        .stage(Stage::raw(vendors.replace("PENDING", "RUNNING")))
        .stage(Stage::raw(vendors.replace("PENDING", "DONE").replace("T16:04:14.267Z\"\n}", "T16:24:14.267Z\"\n}")));
    let mut story = Story::new("numspot_kubernetes/end-shown-while-pending", operation);
    story.apply(BY_ID, "");
    story.see("pending");
    story.advance_to("running");
    story.advance();
    story.end("done", true);
    story.close();
}

#[test]
fn with_the_cluster_it_is_found_on_the_second_page_of_the_list() {
    let operation =
        operation("CREATE_CLUSTER").stage(Stage::state("RUNNING").progress("50%")).stage(Stage::state("SUCCEEDED"));
    let mut story = Story::new("numspot_kubernetes/on-the-second-page", operation);
    story.bed.simulator.numspot(NumspotApi::V1ListOnly);
    let older = |number| format!("{number:08}-0000-4000-8000-000000000000");
    for number in 0..60 {
        let older = Operation::new(Cloud::NumspotKubernetes, Scope::numspot(SPACE, CLUSTER), older(number));
        story.bed.simulator.put(older.kind("ADD_WORKERS").stage(Stage::state("FAILED").error("conflict", "another's")));
    }
    story.apply(BY_CLUSTER, "");
    story.see("running");
    let pages: Vec<String> = story.bed.simulator.requests().iter().map(|r| r.path_and_query.clone()).collect();
    assert!(pages.iter().any(|page| page.to_lowercase().contains("nexttoken")), "{pages:?}");
    story.advance();
    story.end("succeeded", true);
    story.close();
}

#[test]
fn one_that_leaves_the_list_has_expired() {
    let operation =
        operation("DELETE_CLUSTER").stage(Stage::state("RUNNING").progress("deleting nodes")).stage(Stage::gone());
    let mut story = Story::new("numspot_kubernetes/gone-from-the-list", operation);
    story.bed.simulator.numspot(NumspotApi::V1ListOnly);
    story.apply(BY_CLUSTER, "notFoundGraceSeconds: 600");
    story.see("running");
    story.advance_to("missing");
    story.end_the_grace();
    story.end("expired", false);
    story.close();
}

#[test]
fn without_the_cluster_an_api_that_has_lists_only_is_a_fault_and_no_end() {
    let operation = operation("CREATE_CLUSTER").stage(Stage::state("RUNNING")).stage(Stage::state("SUCCEEDED"));
    let mut story = Story::new("numspot_kubernetes/list-only", operation);
    story.bed.simulator.numspot(NumspotApi::V1ListOnly);
    story.bed.apply(&Bed::operation("by-cluster", BY_CLUSTER, ID, "pollIntervalSeconds: 1"));
    story.bed.until_reason("by-cluster", "Succeeded", "Running");
    // However short the grace: a path that is missing says nothing of the operation.
    story.apply(BY_ID, "notFoundGraceSeconds: 0");
    story.see("refused");
    // It heals by itself, here at once because that is asked for.
    story.bed.simulator.numspot(NumspotApi::V1);
    story.patch(r#"{"metadata":{"annotations":{"cloudop.dev/requested-at":"again"}}}"#);
    story.see("running");
    story.advance();
    story.end("succeeded", true);
    story.bed.until_reason("by-cluster", "Succeeded", "OperationSucceeded");
    story.close();
}
