//! Where a run takes place: simulated clouds in a process of their own, and a fresh control plane.

use std::{
    error::Error,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use cloudop_testbed::{ControlPlane, Process, define};
use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::Semaphore, task::JoinSet};

use crate::{
    plan::{ACCOUNTS, Plan, Scenario, profile, secret, token},
    subject::beside,
};

const NAMESPACE: &str = "bench";
/// The user that every subject is.
pub const USER: &str = "subject";
/// Objects under way to the API server at once: as many as it takes.
const CREATING: usize = 32;

/// The clouds.
pub struct Clouds {
    pub process: Process,
    pub url: String,
    pub ca: PathBuf,
}

impl Clouds {
    /// Starts them with the operations of `plan`; files go to `folder`.
    ///
    /// # Errors
    /// When the simulator does not get ready.
    pub fn start(plan: &Plan, folder: &Path) -> Result<Self, Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        let (scenario, ca) = (folder.join("scenario.yaml"), folder.join("ca.pem"));
        fs::write(&scenario, plan.scenario_file())?;
        let mut command = Command::new(beside("cloudop-simulator"));
        command.args(["--listen", "127.0.0.1:0", "--scenario"]).arg(scenario).arg("--ca-out").arg(&ca);
        if plan.scenario == Scenario::Http1 {
            command.arg("--http1");
        }
        let process = Process::spawn("simulator", command)?;
        let line = process.wait_for_log("listening on ", Duration::from_secs(60))?;
        let url = line.trim_start_matches("listening on ").to_owned();
        Ok(Self { process, url, ca })
    }
}

/// The control plane, with the definition, the Secrets and the subject's permissions.
pub struct Bed {
    pub cluster: ControlPlane,
    /// The subject's.
    pub kubeconfig: PathBuf,
}

impl Bed {
    /// # Errors
    /// When the control plane does not get ready, or refuses what is put into it.
    pub fn start(clouds: &Clouds) -> Result<Self, Box<dyn Error>> {
        let cluster = ControlPlane::start()?;
        define(&cluster);
        let applied = cluster.kubectl_stdin(&["apply", "-f", "-"], &profile().to_string())?;
        if !applied.success() {
            return Err(applied.stderr.into());
        }
        cluster.kubectl_ok(&["create", "namespace", NAMESPACE])?;
        let user = format!("--user={USER}");
        // Which rights it has is not what is measured.
        cluster.kubectl_ok(&["create", "clusterrolebinding", USER, "--clusterrole=cluster-admin", &user])?;
        let kubeconfig = cluster.kubeconfig_for_user(USER)?;
        let ca = fs::read_to_string(&clouds.ca)?;
        let secrets = (0..ACCOUNTS).map(|account| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret(account)},
                   "stringData": {"endpoint": clouds.url, "ca.crt": ca, "token": token(account)}})
        });
        let bed = Self { cluster, kubeconfig };
        bed.create("api/v1", "secrets", secrets)?;
        Ok(bed)
    }

    pub fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    /// Creates the CloudOperations as fast as the API server takes them.
    ///
    /// # Errors
    /// When it refuses one.
    pub fn create_operations(&self, plan: &Plan) -> Result<(), Box<dyn Error>> {
        self.create("apis/cloudop.dev/v1alpha1", "cloudoperations", plan.manifests())
    }

    fn create(&self, group: &str, plural: &str, objects: impl Iterator<Item = Value>) -> Result<(), Box<dyn Error>> {
        let config: Value = serde_json::from_reader(File::open(self.cluster.kubeconfig())?)?;
        let cluster = &config["clusters"][0]["cluster"];
        let user = &config["users"][0]["user"];
        let read = |path: &Value| fs::read(path.as_str().unwrap_or_default());
        let mut identity = read(&user["client-certificate"])?;
        identity.extend(read(&user["client-key"])?);
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(&read(&cluster["certificate-authority"])?)?])
            .identity(Identity::from_pem(&identity)?)
            .build()?;
        let server = cluster["server"].as_str().unwrap_or_default();
        let url = format!("{server}/{group}/namespaces/{NAMESPACE}/{plural}");
        Runtime::new()?.block_on(async {
            let room = Arc::new(Semaphore::new(CREATING));
            let mut under_way = JoinSet::new();
            for object in objects {
                let place = Arc::clone(&room).acquire_owned().await?;
                let request = client.post(&url).header("Content-Type", "application/json").body(object.to_string());
                under_way.spawn(async move {
                    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
                    drop(place);
                    let code = answer.status();
                    let text = answer.text().await.map_err(|error| error.to_string())?;
                    if code.is_success() { Ok(()) } else { Err(text) }
                });
            }
            while let Some(created) = under_way.join_next().await {
                created??;
            }
            Ok(())
        })
    }
}
