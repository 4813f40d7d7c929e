//! What is measured, and how each is started.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

use clap::ValueEnum;

/// A program that polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// The controller of this repository
    Cloudop,
    /// benches/peers/controller-runtime
    Twin,
    /// benches/peers/kopf
    Kopf,
    /// A bare reqwest loop that sends the same requests and knows no Kubernetes
    Floor,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cloudop => "cloudop",
            Self::Twin => "controller-runtime",
            Self::Kopf => "kopf",
            Self::Floor => "bare loop",
        })
    }
}

impl Subject {
    /// Whether it follows CloudOperations, else a plan.
    pub fn follows(self) -> bool {
        self != Self::Floor
    }

    /// Whether one of its requests may serve many operations.
    pub fn shares(self) -> bool {
        self == Self::Cloudop
    }

    /// The command that follows all CloudOperations of `namespace`.
    pub fn command(self, kubeconfig: &Path, namespace: &str) -> Command {
        let mut command = match self {
            Self::Cloudop => {
                let mut command = Command::new(beside("cloudop-controller"));
                command.args(["--watch-namespaces", namespace]);
                command.args(["--allow-host", "localhost:*", "--allow-private-addresses", "127.0.0.0/8,::1/128"]);
                command
            }
            Self::Twin => {
                let mut command = Command::new(beside("peers/controller-runtime"));
                command.args(["--namespace", namespace]);
                command
            }
            Self::Kopf => {
                let mut command = Command::new(beside("peers/kopf"));
                command.args(["run", "--standalone", "--quiet", "--namespace", namespace]);
                command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/kopf/follow.py"));
                command
            }
            Self::Floor => Command::new(beside("cloudop-bench")),
        };
        command.env("KUBECONFIG", kubeconfig);
        command
    }
}

/// A program that was built into the folder of this one.
pub fn beside(name: &str) -> PathBuf {
    let own = env::current_exe().ok();
    own.as_deref().and_then(Path::parent).unwrap_or(Path::new(".")).join(name)
}
