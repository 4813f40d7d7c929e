//! Where it is played: on a control plane of its own, or in the cluster of the kubeconfig.

use std::{
    env,
    error::Error,
    ffi::OsString,
    io::{BufRead, Write, stdin, stdout},
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use cloudop_testbed::{AuditLog, ControlPlane, Output};
use tempfile::TempDir;

use crate::screen::Screen;

const CRDS: &str = "customresourcedefinitions";
const OPERATIONS: &str = "cloudoperations.cloudop.dev";
const PROFILES: &str = "operationprofiles.cloudop.dev";

/// A cluster to play in.
pub enum Place {
    /// Started for this, and gone with it.
    Own(Box<ControlPlane>),
    /// Somebody's, in a namespace that is made for this.
    Current(Current),
}

/// The cluster of the kubeconfig.
pub struct Current {
    namespace: String,
    folder: TempDir,
}

/// What is to be removed from the cluster of the kubeconfig.
static LEFT: Mutex<Vec<Vec<String>>> = Mutex::new(Vec::new());

impl Place {
    /// The one that is asked for: `own` or `current`.
    pub fn find(screen: &Screen) -> Result<Self, Box<dyn Error>> {
        match env::args().nth(1).as_deref() {
            None | Some("own") => Ok(Self::Own(Box::new(ControlPlane::start()?))),
            Some("current") => Ok(Self::Current(Current::enter(screen)?)),
            Some(other) => Err(format!("CLUSTER={other}: own or current is meant").into()),
        }
    }

    /// kubectl with these arguments, which finds the programs beside this one as plugins.
    pub fn command(&self, arguments: &[&str]) -> Result<Command, Box<dyn Error>> {
        let mut command = match self {
            Self::Own(cluster) => {
                let mut command = Command::new(cluster.bin("kubectl")?);
                command.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cluster.folder());
                command
            }
            Self::Current(_) => Command::new(user_kubectl()),
        };
        command.args(self.with_namespace(arguments));
        let beside = env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
        let path = env::var_os("PATH").unwrap_or_default();
        command.env("PATH", env::join_paths([beside].into_iter().chain(env::split_paths(&path)))?);
        Ok(command)
    }

    /// Runs kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
        run(self.command(arguments)?)
    }

    /// Runs kubectl, which has to succeed, and returns what it printed.
    pub fn kubectl_ok(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        succeed(arguments, self.kubectl(arguments)?)
    }

    /// The command as a person would type it.
    pub fn typed(&self, arguments: &str) -> String {
        let words: Vec<&str> = arguments.split(' ').collect();
        format!("kubectl {}", self.with_namespace(&words).join(" "))
    }

    /// A plugin takes no flag before its own name.
    fn with_namespace<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        match self {
            Self::Own(_) => arguments.to_vec(),
            Self::Current(current) => [arguments, &["-n", &current.namespace]].concat(),
        }
    }

    /// A folder for files that go with it.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Own(cluster) => cluster.folder(),
            Self::Current(current) => current.folder.path(),
        }
    }

    /// Installs the CRDs; asks before it does so in somebody's cluster, where it leaves alone those that are there.
    pub fn define(&self, screen: &Screen) -> Result<(), Box<dyn Error>> {
        let Self::Current(_) = self else { return Ok(()) };
        let missing: Vec<&str> = [OPERATIONS, PROFILES]
            .into_iter()
            .map(|name| Ok((name, kubectl(&["get", CRDS, name, "--ignore-not-found", "-o", "name"])?)))
            .collect::<Result<Vec<_>, Box<dyn Error>>>()?
            .into_iter()
            .filter(|(_, found)| found.stdout.trim().is_empty())
            .map(|(name, _)| name)
            .collect();
        if missing.is_empty() {
            return Ok(screen.line("they are there, and stay as they are")?);
        }
        confirm(&format!("Install {} for as long as the demo runs?", missing.join(" and ")))?;
        for name in missing {
            let file = format!("crds/cloudop.dev_{}.yaml", name.split('.').next().unwrap_or_default());
            leave(&["delete", CRDS, name, "--ignore-not-found"]);
            screen.command(&format!("kubectl apply --server-side -f {file}"))?;
            let arguments = ["apply", "--server-side", "-f", &file];
            screen.line(&succeed(&arguments, kubectl(&arguments)?)?)?;
            let arguments = ["wait", "--for=condition=Established", &format!("{CRDS}/{name}"), "--timeout=30s"];
            succeed(&arguments, kubectl(&arguments)?)?;
        }
        Ok(())
    }

    /// What happened at the API server, where that is written down.
    pub fn audit(&self) -> Result<Option<AuditLog>, Box<dyn Error>> {
        match self {
            Self::Own(cluster) => Ok(Some(cluster.audit()?)),
            Self::Current(_) => Ok(None),
        }
    }

    /// The namespace that the controller is to watch, where it is not all of them.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Own(_) => None,
            Self::Current(current) => Some(&current.namespace),
        }
    }
}

impl Current {
    /// Makes a namespace in the cluster of the kubeconfig.
    fn enter(screen: &Screen) -> Result<Self, Box<dyn Error>> {
        let context = succeed(&["config", "current-context"], kubectl(&["config", "current-context"])?)?;
        let versions = succeed(&["version"], kubectl(&["version"])?)?;
        let version = versions.lines().find_map(|line| line.strip_prefix("Server Version: ")).unwrap_or_default();
        screen.line(&format!("context {}, Kubernetes {version}", context.trim()))?;
        let installed = kubectl(&["get", "deployments", "-A", "-l", "app.kubernetes.io/name=cloudop", "-o", "name"])?;
        if !installed.stdout.trim().is_empty() {
            return Err(format!(
                "a cloudop runs in this cluster already, which would follow the demo's operations, too: {}; play it on a \
                 control plane of its own (make demo), or in another cluster",
                installed.stdout.trim()
            )
            .into());
        }
        let namespace = format!("cloudop-demo-{}", std::process::id());
        leave(&["delete", "namespace", &namespace, "--ignore-not-found", "--timeout=60s"]);
        screen.command(&format!("kubectl create namespace {namespace}"))?;
        let arguments = ["create", "namespace", &namespace];
        screen.line(&succeed(&arguments, kubectl(&arguments)?)?)?;
        Ok(Self { namespace, folder: TempDir::new()? })
    }
}

/// Notes what is to be run when all is over.
fn leave(arguments: &[&str]) {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.push(arguments.iter().map(|&argument| argument.to_owned()).collect());
}

/// Removes what was made in somebody's cluster. Returns what could not be removed.
pub fn tidy_up() -> Vec<String> {
    let left = std::mem::take(&mut *LEFT.lock().unwrap_or_else(PoisonError::into_inner));
    let mut stays = Vec::new();
    for arguments in left {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        println!("$ kubectl {}", arguments.join(" "));
        match kubectl(&arguments) {
            Ok(output) if output.success() => print!("{}", output.stdout),
            Ok(output) => stays.push(format!("kubectl {}: {}", arguments.join(" "), output.stderr.trim())),
            Err(error) => stays.push(format!("kubectl {}: {error}", arguments.join(" "))),
        }
    }
    stays
}

fn confirm(question: &str) -> Result<(), Box<dyn Error>> {
    if env::var_os("YES").is_some_and(|yes| !yes.is_empty()) {
        return Ok(());
    }
    print!("{question} [y/N] ");
    stdout().flush()?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err("nothing was installed: answer y, or run it with YES=1".into()),
    }
}

/// The user's own kubectl, from PATH.
fn kubectl(arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
    let mut command = Command::new(user_kubectl());
    command.args(arguments);
    run(command)
}

fn user_kubectl() -> OsString {
    env::var_os("KUBECTL").unwrap_or_else(|| OsString::from("kubectl"))
}

fn run(mut command: Command) -> Result<Output, Box<dyn Error>> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
}

fn succeed(arguments: &[&str], output: Output) -> Result<String, Box<dyn Error>> {
    match output.success() {
        true => Ok(output.stdout),
        false => Err(format!("kubectl {}: {}", arguments.join(" "), output.stderr.trim()).into()),
    }
}
