//! The cluster: found as kubectl finds it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cloudop::api::CloudOperation;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::exit::Error;

/// How long a call to the API server may take.
const CALL: Duration = Duration::from_secs(30);

/// The flags that kubectl has for it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterFlags {
    /// Path to the kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace of the CloudOperations; by default that of the context
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be given several times
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
}

/// Which of the CloudOperations, where no names are given.
#[derive(Args, Clone, Debug, Default)]
pub struct ScopeFlags {
    /// Those with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Those of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// A cluster, and the namespace that is meant.
pub struct Cluster {
    /// For calls.
    pub client: Client,
    /// For watches, which may be silent for minutes.
    pub watch_client: Client,
    /// The namespace of the CloudOperations.
    pub namespace: String,
}

impl Cluster {
    /// Finds it. Nothing is asked of it yet.
    ///
    /// # Errors
    /// No cluster is known.
    pub async fn find(flags: &ClusterFlags) -> Result<Self, Error> {
        let unknown = |error: &dyn std::error::Error| Error::cluster(format!("no cluster is known: {}", chain(error)));
        let options = KubeConfigOptions { context: flags.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match (&flags.kubeconfig, &flags.context) {
            (Some(file), _) => {
                let kubeconfig = Kubeconfig::read_from(file).map_err(|error| unknown(&error))?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unknown(&error))?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(|error| unknown(&error))?,
            (None, None) => Config::infer().await.map_err(|error| unknown(&error))?,
        };
        if let Some(user) = &flags.impersonate {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups =
                Some(flags.impersonate_groups.clone()).filter(|groups| !groups.is_empty());
        }
        let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        config.default_retry = false;
        let watch_client = Client::try_from(config.clone()).map_err(|error| unknown(&error))?;
        config.read_timeout = Some(CALL);
        let client = Client::try_from(config).map_err(|error| unknown(&error))?;
        Ok(Self { client, watch_client, namespace })
    }

    /// Its CloudOperations in the namespace.
    pub fn operations(&self) -> Api<CloudOperation> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// An error with its causes, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string) {
        if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// What the API server's refusal, or its silence, means to `verb` `what`.
pub fn trouble(error: &kube::Error, verb: &str, what: &str) -> Error {
    Error::cluster(match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("you may not {verb} {what}: {}", status.message)
        }
        kube::Error::Api(status) if status.code == 404 && status.message.contains("page not found") => {
            "the cluster serves no CloudOperations: install cloudop, or its CRDs".to_owned()
        }
        kube::Error::Api(status) => status.message.clone(),
        error => format!("the API server cannot be asked: {}", chain(error)),
    })
}
