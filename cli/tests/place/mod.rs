//! A namespace of its own, with operations whose statuses are written as the controller writes them.

#![allow(dead_code, reason = "no test uses all of it")]

use std::process::{Command, Output};
use std::sync::Once;
use std::time::Duration;

use cloudop_testbed::{ControlPlane, define, eventually};
use serde_json::{Value, json};

/// A namespace of its own.
pub struct Place {
    pub cluster: &'static ControlPlane,
    pub namespace: String,
}

impl Place {
    pub fn new() -> Self {
        static DEFINED: Once = Once::new();
        let cluster = ControlPlane::shared();
        DEFINED.call_once(|| {
            define(cluster);
            // For a moment after resources are defined the API server lists none.
            eventually(Duration::from_secs(30), "kubectl to know CloudOperations", || {
                let output = cluster.kubectl(&["get", "cloudop", "--all-namespaces"]).map_err(|e| e.to_string())?;
                if output.success() { Ok(()) } else { Err(output.stderr) }
            });
        });
        Self { cluster, namespace: cluster.namespace("cli").unwrap() }
    }

    pub fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        let arguments = [&["--namespace", &self.namespace], arguments].concat();
        let output = self.cluster.kubectl_stdin(&arguments, input).unwrap();
        assert!(output.success(), "{}", output.stderr);
        output.stdout
    }

    /// An operation that is labelled `batch` and has the status.
    pub fn operation(&self, name: &str, status: &Value) {
        let object = json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation",
            "metadata": {"name": name, "labels": {"batch": "a"}},
            "spec": {"provider": {"otcCceJob": {"region": "eu-de", "projectId": "p"}}, "operationId": "job-1",
                     "credentialsRef": {"name": "otc"}},
        });
        self.kubectl(&["apply", "-f", "-"], &object.to_string());
        self.write(name, status);
    }

    pub fn write(&self, name: &str, status: &Value) {
        let patch = json!({"status": status}).to_string();
        self.kubectl(&["patch", "cloudop", name, "--subresource=status", "--type=merge", "-p", &patch], "");
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-cloudop"));
        command
            .args(arguments)
            .args(["--kubeconfig", &self.cluster.kubeconfig().to_string_lossy(), "--namespace", &self.namespace])
            .env_remove("GITHUB_ACTIONS");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Seen {
        Seen::of(&self.command(arguments).output().unwrap())
    }
}

pub struct Seen {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Seen {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A status as the controller writes it.
pub fn status(phase: &str, succeeded: (&str, &str), message: &str, more: &[(&str, &str, &str)]) -> Value {
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
               "lastTransitionTime": "2026-11-27T00:00:00Z", "observedGeneration": 1})
    };
    let finished = if succeeded.0 == "Unknown" { "False" } else { "True" };
    let mut conditions =
        vec![condition("Succeeded", succeeded.0, succeeded.1), condition("Finished", finished, succeeded.1)];
    conditions.extend(more.iter().map(|(kind, status, reason)| condition(kind, status, reason)));
    json!({"observedGeneration": 1, "phase": phase, "conditions": conditions, "trackingStartTime": "2026-11-27T00:00:00Z"})
}

pub fn succeeded() -> Value {
    status("Succeeded", ("True", "OperationSucceeded"), "OTC says Success (4/4)", &[])
}

pub fn running() -> Value {
    status("Running", ("Unknown", "Running"), "OTC says Running (2/4)", &[("Reconciling", "True", "Progressing")])
}

pub fn failed() -> Value {
    let mut status = status(
        "Failed",
        ("False", "OperationFailed"),
        "OTC says Failed (1/3): Quota exceeded for cores",
        &[("Stalled", "True", "OperationFailed")],
    );
    status["error"] =
        json!({"code": "CCE.03400013", "message": "Quota exceeded for cores", "requestId": "r-1", "subJob": "j-2"});
    status["subJobs"] = json!([{"id": "j-2", "name": "CreateNodeVM", "phase": "Failed", "message": "Quota exceeded"}]);
    status
}
