//! What becomes of an edit, of the spec and of the status.

use cloudop_simulator::{Fault, Matcher, Stage, Times};
use rstest::rstest;
use serde_json::{Value, json};

use crate::view::{is_over, is_waited_for, patch, see};
use crate::{OTC, apply, bed, job};

const STATUS: &[&str] = &["--subresource=status"];
const RUNNING: &str = "Running | U/Running | F/Running | U/Running | T/PollSucceeded | Reconciling T/Progressing";
const SUCCEEDED: &str =
    "Succeeded | T/OperationSucceeded | T/OperationSucceeded | T/OperationSucceeded | T/PollSucceeded |";
const FAILED: &str =
    "Failed | F/OperationFailed | T/OperationFailed | F/OperationFailed | T/PollSucceeded | Stalled T/OperationFailed";

#[test]
fn an_edit_of_the_spec_is_observed_before_and_after_the_end_so_that_waiting_returns() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let key = bed.simulator.put(job("job").stage(Stage::state("Running")).stage(Stage::state("Failed")));
    apply(&bed, OTC, "job", "");
    assert_eq!(see(&bed, "job", RUNNING)["metadata"]["generation"], 1);
    let edit = |change: Value| patch(&bed, "job", &json!({"spec": change}), &[]);
    edit(json!({"pollIntervalSeconds": 2}));
    assert_eq!(see(&bed, "job", RUNNING)["metadata"]["generation"], 2);
    is_waited_for(&bed, "job");

    // While nothing can be seen.
    let fault = bed.simulator.fault(Fault::ServerError { status: 500 }, Matcher::id("job"), Times::Forever);
    edit(json!({"pollIntervalSeconds": 3}));
    let troubled =
        "Running | U/PollFailing | F/PollFailing | U/PollFailing | F/ServerError | Reconciling T/ProgressingWithRetry";
    assert_eq!(see(&bed, "job", troubled)["metadata"]["generation"], 3);
    fault.clear();

    bed.simulator.advance(&key);
    is_over(&bed, "job", false);
    let end = see(&bed, "job", FAILED);
    for change in
        [json!({"pollIntervalSeconds": 1}), json!({"credentialsRef": {"name": "gone"}}), json!({"suspend": true})]
    {
        edit(change);
        // Right after the edit: it returns once the edit is observed, and not before.
        is_over(&bed, "job", false);
        let edited = see(&bed, "job", FAILED);
        for fact in ["completionTime", "startTime", "upstreamState"] {
            assert_eq!(edited["status"][fact], end["status"][fact], "{fact}");
        }
    }
    assert_eq!(see(&bed, "job", FAILED)["metadata"]["generation"], 6);
}

/// A change by hand of every condition whose type is in `kinds`.
fn forge(object: &Value, kinds: &[&str], condition: &Value, more: &Value) -> Value {
    let mut conditions = object["status"]["conditions"].clone();
    for known in conditions.as_array_mut().into_iter().flatten().filter(|c| kinds.iter().any(|kind| c["type"] == *kind))
    {
        for (key, value) in condition.as_object().into_iter().flatten() {
            known[key] = value.clone();
        }
    }
    let mut status = more.clone();
    status["conditions"] = conditions;
    json!({ "status": status })
}

#[rstest]
#[case::a_verdict(&["Succeeded"], json!({"status": "True", "reason": "OperationSucceeded"}), json!({}))]
#[case::an_end(&["Finished"], json!({"status": "True", "reason": "OperationSucceeded"}), json!({}))]
#[case::readiness(&["Ready"], json!({"status": "True", "message": "trust me"}), json!({}))]
#[case::facts(&[], json!({}), json!({"phase": "Succeeded", "upstreamState": "Success", "completionTime": "2030-01-01T00:00:00Z",
    "target": {"name": "mine"}, "error": {"code": "X"}, "provider": "other", "observedGeneration": 9}))]
fn a_status_forged_while_it_runs_is_repaired_by_the_next_poll(
    #[case] kinds: &[&str],
    #[case] condition: Value,
    #[case] more: Value,
) {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let key = bed.simulator.put(job("job").stage(Stage::state("Running")).stage(Stage::state("Failed")));
    apply(&bed, OTC, "job", "");
    let honest = see(&bed, "job", RUNNING);
    patch(&bed, "job", &forge(&honest, kinds, &condition, &more), STATUS);
    let repaired = see(&bed, "job", RUNNING);
    for fact in ["upstreamState", "completionTime", "target", "error", "provider", "startTime"] {
        assert_eq!(repaired["status"][fact], honest["status"][fact], "{fact}");
    }
    bed.simulator.advance(&key);
    is_over(&bed, "job", false);
}

#[rstest]
#[case::to_running(&["Succeeded", "Finished", "Ready"], json!({"status": "Unknown", "reason": "Running"}), json!({"phase": "Running"}))]
#[case::to_success(&["Succeeded", "Ready"], json!({"status": "True", "reason": "OperationSucceeded"}), json!({}))]
#[case::to_another_phase(&[], json!({}), json!({"phase": "Succeeded"}))]
fn an_end_edited_away_is_restored_from_what_the_cloud_says(
    #[case] kinds: &[&str],
    #[case] condition: Value,
    #[case] more: Value,
) {
    let bed = bed();
    let _controller = bed.controller(&[]);
    bed.simulator.put(job("job").stage(Stage::state("Failed").error("", "no quota")));
    apply(&bed, OTC, "job", "");
    let honest = see(&bed, "job", FAILED);
    patch(&bed, "job", &forge(&honest, kinds, &condition, &more), STATUS);
    let restored = see(&bed, "job", FAILED);
    for fact in ["upstreamState", "completionTime", "error", "startTime"] {
        assert_eq!(restored["status"][fact], honest["status"][fact], "{fact}");
    }
    is_over(&bed, "job", false);
}

#[test]
fn a_status_that_someone_removes_is_written_anew() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    bed.simulator.put(job("running").stage(Stage::state("Running")));
    bed.simulator.put(job("ended").stage(Stage::state("Success")));
    for (id, expected) in [("running", RUNNING), ("ended", SUCCEEDED)] {
        apply(&bed, OTC, id, "");
        see(&bed, id, expected);
        let remove = r#"[{"op": "remove", "path": "/status"}]"#;
        let output = bed.kubectl(&["patch", "cloudop", id, "--subresource=status", "--type=json", "-p", remove]);
        assert!(output.success(), "{}", output.stderr);
        see(&bed, id, expected);
    }
}
