//! What a real API server makes of a CloudOperation without any controller: what it refuses and in which words, what it
//! fills in, and what it explains.

mod bare;
mod documentation;
mod immutability;
mod refusals;

use cloudop_testbed::{Bed, Output};
use serde_json::{Value, json};

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A manifest with this spec.
fn manifest(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": name}, "spec": spec})
}

/// A spec with this member of `provider`.
fn spec(provider: &Value) -> Value {
    json!({"provider": provider, "operationId": "354331b2-229a-11e8", "credentialsRef": {"name": "cloud"}})
}

fn otc() -> Value {
    spec(&json!({"otcCceJob": {"region": "eu-de", "projectId": "p1"}}))
}

/// What the API server says to an object with this spec, which it does not keep.
fn try_out(bed: &Bed, spec: &Value, flags: &[&str]) -> Output {
    let arguments = [&["create", "--dry-run=server", "-o", "json", "-f", "-"], flags].concat();
    bed.kubectl_stdin(&arguments, &manifest("tried", spec).to_string())
}

/// That the API server refuses `spec`, and names each field in one line with what is said of it.
#[track_caller]
fn is_refused(bed: &Bed, spec: &Value, flags: &[&str], words: &[(&str, &str)]) {
    let output = try_out(bed, spec, flags);
    assert_eq!(output.code, Some(1), "{spec}: {}", output.stdout);
    for (field, form) in words {
        let is_said = output.stderr.lines().any(|line| line.contains(field) && line.contains(form));
        assert!(is_said, "{spec}: {field:?} with {form:?} is not in: {}", output.stderr);
    }
}

/// That the API server takes `spec`; returns the object as it would be kept.
#[track_caller]
fn is_taken(bed: &Bed, spec: &Value, flags: &[&str]) -> Value {
    let output = try_out(bed, spec, flags);
    assert!(output.success(), "{spec}: {}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap_or_default()
}
