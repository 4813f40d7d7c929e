//! An object that no controller has seen.

use cloudop_testbed::Bed;
use serde_json::{Value, json};

use crate::{bed, manifest, otc};

/// The contract's status of such an object.
fn unseen() -> Value {
    let condition = |kind| {
        json!({"type": kind, "status": "Unknown", "reason": "Pending", "message": "waiting for the controller",
               "lastTransitionTime": "1970-01-01T00:00:00Z"})
    };
    json!({"observedGeneration": -1, "phase": "Pending",
           "conditions": [condition("Succeeded"), condition("Finished"), condition("Ready")]})
}

fn raw(bed: &Bed, query: &str) -> Value {
    let path = format!("/apis/cloudop.dev/v1alpha1/namespaces/{}/cloudoperations{query}", bed.namespace);
    let output = bed.kubectl(&["get", "--raw", &path]);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", output.stdout, output.stderr))
}

#[test]
fn the_gate_is_shut_to_whoever_gets_lists_or_watches() {
    let bed = bed();
    bed.apply(&manifest("op", &otc()).to_string());
    assert_eq!(raw(&bed, "/op")["status"], unseen());
    assert_eq!(raw(&bed, "")["items"][0]["status"], unseen());
    let event = raw(&bed, "?watch=true&timeoutSeconds=1");
    assert_eq!((&event["type"], &event["object"]["status"]), (&json!("ADDED"), &unseen()));
    let spec = raw(&bed, "/op")["spec"].take();
    assert_eq!((&spec["notFoundGraceSeconds"], &spec["suspend"]), (&json!(120), &json!(false)));
    assert_eq!(spec.get("ttlSecondsAfterFinished"), None);
}

#[test]
fn whoever_waits_for_it_waits() {
    let bed = bed();
    bed.apply(&manifest("op", &otc()).to_string());
    for condition in ["Finished", "Succeeded", "Ready", "Finished=False", "Ready=False"] {
        let wait = bed.kubectl(&["wait", "cloudop/op", &format!("--for=condition={condition}"), "--timeout=1s"]);
        assert_eq!(wait.code, Some(1), "{condition}: {}", wait.stdout);
        assert!(wait.stderr.contains("timed out"), "{condition}: {}", wait.stderr);
    }
}

#[test]
fn no_user_writes_a_status_by_creating_or_editing_the_object() {
    let bed = bed();
    let condition = |kind| {
        json!({"type": kind, "status": "True", "reason": "OperationSucceeded", "message": "trust me",
               "lastTransitionTime": "2030-01-01T00:00:00Z"})
    };
    let mut claim = manifest("op", &otc());
    claim["status"] = json!({"observedGeneration": 1, "phase": "Succeeded",
        "conditions": [condition("Succeeded"), condition("Finished"), condition("Ready")]});
    for verb in ["create", "replace", "apply"] {
        let output = bed.kubectl_stdin(&[verb, "-f", "-"], &claim.to_string());
        assert!(output.success(), "{}", output.stderr);
        assert_eq!(raw(&bed, "/op")["status"], unseen(), "{verb}");
    }
    let patch = ["patch", "cloudop", "op", "--type=merge", "-p", r#"{"status": {"phase": "Succeeded"}}"#];
    assert!(bed.kubectl(&patch).success());
    assert_eq!(raw(&bed, "/op")["status"], unseen());
}
