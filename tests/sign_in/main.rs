//! Signing in to every cloud: the real API server, the real controller, TLS. What was sent is read from the simulator's
//! records; whether it was right, the simulator judges by a path of its own.

mod canary;
mod credentials;
mod exchanges;
mod refusals;
mod tokens;
mod vendors;

use std::time::{Duration, Instant};

use cloudop_simulator::{RecordedRequest, Simulator};
use cloudop_testbed::Bed;
use serde_json::{Value, json};

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A CloudOperation that takes its credentials from Secret `secret` and is polled each second.
fn operation(name: &str, provider: &Value, id: &str, secret: &str) -> Value {
    json!({"apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": name}, "spec": {
        "provider": provider, "operationId": id, "credentialsRef": {"name": secret}, "pollIntervalSeconds": 1,
    }})
}

fn apply_all(bed: &Bed, items: &[Value]) {
    bed.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
}

/// Replaces a Secret by one of exactly these keys.
fn replace_secret(bed: &Bed, name: &str, data: &[(&str, &str)]) {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
    let output = bed.kubectl_stdin(&["replace", "-f", "-"], &secret.to_string());
    assert!(output.success(), "{}", output.stderr);
}

fn await_success_of_all(bed: &Bed) {
    let wait = bed.kubectl(&["wait", "cloudop", "--all", "--for=condition=Succeeded", "--timeout=120s"]);
    assert!(wait.success(), "{}{}", wait.stdout, wait.stderr);
}

/// The sign-ins among the requests, oldest first.
fn sign_ins(simulator: &Simulator) -> Vec<RecordedRequest> {
    simulator.requests().into_iter().filter(|request| request.method == "POST").collect()
}

/// The polls of one operation, oldest first.
fn polls(simulator: &Simulator, id: &str) -> Vec<RecordedRequest> {
    simulator.requests().into_iter().filter(|request| request.id.as_deref() == Some(id)).collect()
}

/// Waits until the operation was polled `number` times more.
fn await_polls(simulator: &Simulator, id: &str, number: usize) {
    let wanted = polls(simulator, id).len() + number;
    cloudop_testbed::eventually(Duration::from_secs(60), &format!("{number} more polls of {id}"), || {
        let seen = polls(simulator, id).len();
        if seen >= wanted { Ok(()) } else { Err(format!("{seen} of {wanted}")) }
    });
}

/// Waits until `duration` has passed since `start`.
fn wait_until(start: Instant, duration: Duration) {
    std::thread::sleep(duration.saturating_sub(start.elapsed()));
}
