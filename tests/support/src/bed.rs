use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use cloudop_simulator::Simulator;
use serde_json::Value;

use crate::{AuditLog, ControlPlane, Output, Process, eventually};

/// The Secret every [`Bed`] begins with.
pub const SECRET: &str = "cloud";
/// The token in it, which the simulator takes.
pub const TOKEN: &str = "let-me-in";

/// All that one test needs: a namespace of its own, mostly on the shared control plane, clouds of its own, and the real
/// controller whenever it is wanted. For tests: what cannot be had panics.
pub struct Bed {
    /// The five clouds, which know one account with the token [`TOKEN`] and no operation.
    pub simulator: Simulator,
    /// Where everything of this test lives.
    pub namespace: String,
    /// The cluster that this is in.
    pub cluster: Cluster,
    controller: PathBuf,
}

/// The control plane of a [`Bed`].
pub enum Cluster {
    /// That of all tests in this process.
    Shared(&'static ControlPlane),
    /// One that can be broken without disturbing others; gone with the bed.
    Own(Box<ControlPlane>),
}

impl Deref for Cluster {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        match self {
            Self::Shared(shared) => shared,
            Self::Own(own) => own,
        }
    }
}

impl Bed {
    /// A namespace with the Secret [`SECRET`], which leads to a simulator; `controller` is the controller's binary.
    pub fn new(controller: impl Into<PathBuf>) -> Self {
        static CRD: Once = Once::new();
        let cluster = ControlPlane::shared();
        CRD.call_once(|| define(cluster));
        Self::within(Cluster::Shared(cluster), controller.into())
    }

    /// As [`Self::new`], on a control plane of its own, which takes about three seconds to start.
    pub fn alone(controller: impl Into<PathBuf>) -> Self {
        let cluster = Box::new(must(ControlPlane::start()));
        define(&cluster);
        Self::within(Cluster::Own(cluster), controller.into())
    }

    fn within(cluster: Cluster, controller: PathBuf) -> Self {
        let simulator = must(futures::executor::block_on(Simulator::start()));
        let bed = Self { simulator, namespace: must(cluster.namespace("test")), cluster, controller };
        bed.secret(SECRET, &[("token", TOKEN)]);
        bed
    }

    /// Creates or replaces a Secret that leads to the simulator and trusts it, with `data` beside and above that.
    pub fn secret(&self, name: &str, data: &[(&str, &str)]) {
        let url = self.simulator.url();
        let mut all = serde_json::Map::new();
        for (key, value) in [("endpoint", url.as_str()), ("ca.crt", self.simulator.ca_pem())].iter().chain(data) {
            all.insert((*key).to_owned(), Value::from(*value));
        }
        let secret =
            serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": all});
        self.apply(&secret.to_string());
    }

    /// Starts the controller for this namespace, allowed to call the simulator, with `flags` beside.
    pub fn controller(&self, flags: &[&str]) -> Process {
        let mut command = Command::new(&self.controller);
        command
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .args(["--watch-namespaces", &self.namespace, "--allow-host", "localhost:*"])
            .args(["--allow-private-addresses", "127.0.0.0/8,::1/128"])
            .args(flags);
        must(Process::spawn("controller", command))
    }

    /// A CloudOperation as YAML; `provider` is its member of `spec.provider`, `more` further lines of the spec.
    pub fn operation(name: &str, provider: &str, id: &str, more: &str) -> String {
        let more: String = more.lines().map(|line| format!("\n  {}", line.trim_end())).collect();
        format!(
            "apiVersion: cloudop.dev/v1alpha1\nkind: CloudOperation\nmetadata: {{name: {name}}}\nspec:\n  \
             provider: {{{provider}}}\n  operationId: {id:?}\n  credentialsRef: {{name: {SECRET}}}{more}\n"
        )
    }

    /// Runs kubectl in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_stdin(arguments, "")
    }

    /// Runs kubectl in this namespace with `input` on standard input.
    pub fn kubectl_stdin(&self, arguments: &[&str], input: &str) -> Output {
        let arguments = [&["--namespace", &self.namespace], arguments].concat();
        must(self.cluster.kubectl_stdin(&arguments, input))
    }

    /// Applies a manifest.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        let output = self.kubectl_stdin(&["apply", "-f", "-"], manifest);
        assert!(output.success(), "{}\n{manifest}", output.stderr);
    }

    /// What the API server holds of the CloudOperation `name`.
    ///
    /// # Errors
    /// What kubectl said instead.
    pub fn get(&self, name: &str) -> Result<Value, String> {
        let output = self.kubectl(&["get", "cloudoperation", name, "-o", "json"]);
        if !output.success() {
            return Err(output.stderr);
        }
        serde_json::from_str(&output.stdout).map_err(|error| error.to_string())
    }

    /// Waits until `is_so` holds for the status of `name`, and returns that status.
    #[track_caller]
    pub fn until(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(Duration::from_secs(60), &format!("{name}: {what}"), || {
            let status = self.get(name)?["status"].take();
            if is_so(&status) { Ok(status) } else { Err(format!("{status:#}")) }
        })
    }

    /// Waits until the reason of `name`'s condition `kind` is `reason`, and returns the status.
    #[track_caller]
    pub fn until_reason(&self, name: &str, kind: &str, reason: &str) -> Value {
        self.until(name, &format!("{kind} has reason {reason}"), |status| {
            condition(status, kind).is_some_and(|condition| condition["reason"] == reason)
        })
    }

    /// What this bed's controllers have asked of the API server within the namespace.
    pub fn asked(&self) -> AuditLog {
        must(self.cluster.audit())
            .namespace(&self.namespace)
            .keep(|event| event.verb != "watch" && !event.user_agent.starts_with("kubectl"))
    }

    /// The reasons of this namespace's Events about `name`, oldest first.
    pub fn events(&self, name: &str) -> Vec<String> {
        let about = format!("regarding.name={name}");
        let output = self.kubectl(&["get", "events.events.k8s.io", "--field-selector", &about, "-o", "json"]);
        let list: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        let mut events: Vec<(String, String)> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|event| [&event["eventTime"], &event["reason"]].map(|v| v.as_str().unwrap_or_default().to_owned()))
            .map(|[time, reason]| (time, reason))
            .collect();
        events.sort_by(|a, b| a.0.cmp(&b.0));
        events.into_iter().map(|(_, reason)| reason).collect()
    }
}

/// Installs the CRD, in place of whatever it was.
pub fn define(cluster: &ControlPlane) {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let crds = crds.to_string_lossy();
    let _ = must(cluster.kubectl_ok(&["apply", "--server-side", "--force-conflicts", "-f", &crds]));
    must(cluster.wait_until_established("cloudoperations.cloudop.dev"));
}

/// The condition of a status by its type.
pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

#[track_caller]
fn must<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
