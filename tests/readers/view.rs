//! One object as its readers see it.

use std::collections::BTreeMap;
use std::time::Duration;

use cloudop_simulator::Matcher;
use cloudop_testbed::{Bed, eventually};
use serde_json::{Value, json};

/// One row: the phase; Succeeded, Finished, Ready and UpstreamReachable by the first letter of their status and their
/// reason; then every other condition there is.
pub fn row(status: &Value) -> String {
    let mut conditions: BTreeMap<&str, String> = BTreeMap::new();
    for condition in status["conditions"].as_array().into_iter().flatten() {
        let [kind, status, reason] = ["type", "status", "reason"].map(|key| condition[key].as_str().unwrap_or("?"));
        conditions.insert(kind, format!("{}/{reason}", status.get(..1).unwrap_or("?")));
    }
    let mut cells = vec![status["phase"].as_str().unwrap_or("?").to_owned()];
    for kind in ["Succeeded", "Finished", "Ready", "UpstreamReachable"] {
        cells.push(conditions.remove(kind).unwrap_or_default());
    }
    let others: Vec<String> = conditions.iter().map(|(kind, seen)| format!("{kind} {seen}")).collect();
    cells.push(others.join(" "));
    cells.join(" | ").trim_end().to_owned()
}

/// Waits until the row of `name` is `expected`, checks what holds in every row, and returns the object.
#[track_caller]
pub fn see(bed: &Bed, name: &str, expected: &str) -> Value {
    let object = eventually(Duration::from_secs(60), &format!("{name}: {expected}"), || {
        let object = bed.get(name)?;
        // An edit of the spec changes no row, only the generation it speaks of.
        let is_current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        if row(&object["status"]) == expected && is_current { Ok(object) } else { Err(format!("{object:#}")) }
    });
    for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
        assert_eq!(condition["observedGeneration"], object["metadata"]["generation"], "{condition}");
        assert_ne!(condition["message"], "", "{condition}");
        assert_ne!(condition["lastTransitionTime"], "1970-01-01T00:00:00Z", "{condition}");
    }
    object
}

/// That whoever waits for the end of `name` goes on waiting.
#[track_caller]
pub fn is_waited_for(bed: &Bed, name: &str) {
    let wait = bed.kubectl(&["wait", &format!("cloudop/{name}"), "--for=condition=Finished", "--timeout=1s"]);
    assert_eq!(wait.code, Some(1), "{name}: {}", wait.stdout);
    assert!(wait.stderr.contains("timed out waiting for the condition"), "{}", wait.stderr);
}

/// That `kubectl wait` returns at the end of `name`, with the verdict as the next command's exit code.
#[track_caller]
pub fn is_over(bed: &Bed, name: &str, has_succeeded: bool) {
    let object = format!("cloudop/{name}");
    let wait = bed.kubectl(&["wait", &object, "--for=condition=Finished", "--timeout=60s"]);
    assert_eq!(wait.code, Some(0), "{}", wait.stderr);
    let verdict = bed.kubectl(&["wait", &object, "--for=condition=Succeeded", "--timeout=0s"]);
    assert_eq!(verdict.code, Some(i32::from(!has_succeeded)), "{name}: {}{}", verdict.stdout, verdict.stderr);
}

/// Waits for `polls` more polls of `id`.
#[track_caller]
pub fn after_polls(bed: &Bed, id: &str, polls: usize) {
    let count = || bed.simulator.count(Matcher::id(id));
    let wanted = count() + polls;
    eventually(Duration::from_secs(60), &format!("{polls} polls of {id}"), || match count() {
        enough if enough >= wanted => Ok(()),
        few => Err(format!("{few} of {wanted}")),
    });
}

/// Changes `name` by a merge patch, of its subresource status with `&["--subresource=status"]`.
#[track_caller]
pub fn patch(bed: &Bed, name: &str, change: &Value, flags: &[&str]) {
    let change = change.to_string();
    let output = bed.kubectl(&[&["patch", "cloudop", name, "--type=merge", "-p", &change], flags].concat());
    assert!(output.success(), "{}", output.stderr);
}

/// Asks for a poll now, and waits until its result is written.
#[track_caller]
pub fn poll_now(bed: &Bed, name: &str, request: &str) {
    patch(bed, name, &json!({"metadata": {"annotations": {"cloudop.dev/requested-at": request}}}), &[]);
    bed.until(name, &format!("request {request} is handled"), |status| status["lastHandledRequest"] == request);
}

/// Makes the condition `kind` an old one, in place of waiting until it is.
#[track_caller]
pub fn date_back(bed: &Bed, name: &str, kind: &str) {
    let mut conditions = bed.get(name).unwrap_or_default()["status"]["conditions"].take();
    for condition in conditions.as_array_mut().into_iter().flatten().filter(|condition| condition["type"] == kind) {
        condition["lastTransitionTime"] = json!("2020-01-01T00:00:00Z");
    }
    patch(bed, name, &json!({"status": {"conditions": conditions}}), &["--subresource=status"]);
}
