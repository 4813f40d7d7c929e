//! The Helm chart: what it renders, what the real API server makes of that, and the controller run with its permissions.

mod artifact_hub;
mod generated;
mod kube_state;
mod lint;
mod permissions;
mod refusals;
mod release;
mod render;
mod signals;

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use cloudop_testbed::{ControlPlane, Output};
use serde_json::Value;

/// The Prometheus Operator's API, which the chart writes to where it is there.
const MONITORING: &str = "monitoring.coreos.com/v1";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chart() -> String {
    repository().join("charts/cloudop").display().to_string()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML stream.
fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Option<Value>> = serde_saphyr::from_multiple(yaml).unwrap();
    documents.into_iter().flatten().filter(|document| !document.is_null()).collect()
}

/// The control plane of these tests, with the Prometheus Operator's kinds and namespaces to watch.
fn cluster() -> &'static ControlPlane {
    static PREPARED: Once = Once::new();
    let cluster = ControlPlane::shared();
    PREPARED.call_once(|| {
        let monitoring = repository().join("tests/chart/monitoring-crds.yaml");
        cluster.kubectl_ok(&["apply", "-f", &monitoring.display().to_string()]).unwrap();
        for name in ["podmonitors", "prometheusrules", "servicemonitors"] {
            cluster.wait_until_established(&format!("{name}.monitoring.coreos.com")).unwrap();
        }
        for name in ["team-a", "team-b"] {
            cluster.kubectl_ok(&["create", "namespace", name]).unwrap();
        }
    });
    cluster
}

/// A namespace in which the API server enforces Pod Security "restricted", and warns of what owns such Pods.
fn restricted_namespace(cluster: &ControlPlane) -> String {
    let namespace = cluster.namespace("chart").unwrap();
    let labels = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
    cluster.kubectl_ok(&["label", "namespace", &namespace, &labels[0], &labels[1]]).unwrap();
    namespace
}

fn values_file(cluster: &ControlPlane, values: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let path = cluster.folder().join(format!("values-{}.yaml", COUNT.fetch_add(1, Ordering::Relaxed)));
    std::fs::write(&path, values).unwrap();
    path
}

/// Runs `helm template` for `release` in `namespace` with `values`, as YAML, and further `flags`.
fn template(release: &str, namespace: &str, values: &str, flags: &[&str]) -> Output {
    let values = values_file(cluster(), values).display().to_string();
    let chart = chart();
    let arguments = [&["template", release, &chart, "--namespace", namespace, "--values", &values], flags].concat();
    cluster().helm(&arguments).unwrap()
}

/// What `helm template` renders.
fn rendered(release: &str, namespace: &str, values: &str, flags: &[&str]) -> String {
    let output = template(release, namespace, values, flags);
    assert!(output.success(), "{values}\n{}", output.stderr);
    output.stdout
}

/// `kind` of each object, sorted, with its number where there are several: `Role*2`.
fn kinds(objects: &[Value]) -> Vec<String> {
    let mut kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds
        .chunk_by(|a, b| a == b)
        .map(|same| if same.len() == 1 { same[0].to_owned() } else { format!("{}*{}", same[0], same.len()) })
        .collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}
