//! APIs that are described rather than built in, from `kubectl apply` to `kubectl wait`, on the real API server.

use std::path::Path;
use std::time::Duration;

use cloudop_simulator::Route;
use cloudop_testbed::{Bed, condition, eventually};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A shipped profile under a name that no other test has, and without the host and address that the simulator has none
/// of: the Secret's endpoint holds.
fn shipped(bed: &Bed, name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/{name}.yaml"));
    let mut profile: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    profile["metadata"]["name"] = json!(own(bed, name));
    let spec = profile["spec"].as_object_mut().unwrap();
    spec.remove("endpoint");
    spec.insert("hosts".into(), json!(["localhost:*"]));
    profile
}

/// A name of this test's own: profiles are the cluster's.
fn own(bed: &Bed, name: &str) -> String {
    format!("{name}-{}", bed.namespace)
}

fn example<'a>(profile: &'a Value, name: &str) -> &'a Value {
    let examples = profile["spec"]["examples"].as_array().unwrap();
    examples.iter().find(|example| example["name"] == name).unwrap_or_else(|| panic!("no example {name}"))
}

fn operation(name: &str, profile: &str, parameters: &Value, id: &str) -> String {
    let declared = json!({"profile": profile, "parameters": parameters});
    Bed::operation(name, &format!("\"declared\": {declared}"), id, "pollIntervalSeconds: 1")
}

#[track_caller]
fn wait(bed: &Bed, name: &str, condition: &str) {
    let output = bed.kubectl(&["wait", &format!("cloudop/{name}"), &format!("--for={condition}"), "--timeout=60s"]);
    assert!(output.success(), "{}{}", output.stderr, bed.kubectl(&["describe", "cloudop", name]).stdout);
}

#[track_caller]
fn until_ready(bed: &Bed, profile: &str, status: &str) -> Value {
    eventually(LIMIT, &format!("profile {profile}: Ready {status}"), || {
        let output = bed.kubectl(&["get", "operationprofile", profile, "-o", "json"]);
        let profile: Value = serde_json::from_str(&output.stdout).map_err(|_| output.stderr)?;
        match condition(&profile["status"], "Ready") {
            Some(ready)
                if ready["status"] == status && ready["observedGeneration"] == profile["metadata"]["generation"] =>
            {
                Ok(ready.clone())
            }
            other => Err(format!("{other:?}")),
        }
    })
}

#[test]
fn gke_is_followed_to_success_and_to_failure() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let profile = shipped(&bed, "gke");
    bed.apply(&profile.to_string());
    let name = own(&bed, "gke");
    until_ready(&bed, &name, "True");
    let id = example(&profile, "running")["operationId"].as_str().unwrap().to_owned();
    for (case, end) in [("good", "done"), ("bad", "failed")] {
        let path = format!("/v1/projects/{case}/locations/europe-west1/operations/{id}");
        let answer = |example: &Value| example["reply"].to_string();
        bed.simulator.route(
            Route::new(&path)
                .answer(200, answer(example(&profile, "running")))
                .answer(200, answer(example(&profile, end))),
        );
        let parameters = json!({"project": case, "location": "europe-west1"});
        bed.apply(&operation(case, &name, &parameters, &id));
        let status = bed.until(case, "it runs", |status| status["phase"] == "Running");
        assert_eq!(status["progress"]["summary"], "2/6", "{status:#}");
        assert_eq!(status["provider"], *name);
        assert!(bed.simulator.advance_route(&path));
    }
    wait(&bed, "good", "condition=Succeeded");
    wait(&bed, "bad", "condition=Succeeded=False");
    let status = bed.until_reason("bad", "Succeeded", "OperationFailed");
    assert_eq!(status["error"]["code"], "8");
}
