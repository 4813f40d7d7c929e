use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use socket2::Socket;
use tempfile::TempDir;

use crate::{AuditLog, Error, Output, Process, authority::Authority, command, programs, scratch, servers};

const READY: Duration = Duration::from_secs(60);
const PERIOD: Duration = Duration::from_millis(100);

/// An etcd and a kube-apiserver of their own, with RBAC, TLS and an audit log.
///
/// There is no controller manager: nothing runs Deployments, makes the `default` service account of
/// a namespace, fills the aggregated ClusterRoles (`view`, `edit`, `admin`), collects garbage or
/// finishes the deletion of a namespace.
pub struct ControlPlane {
    programs: PathBuf,
    address: SocketAddr,
    kubeconfig: PathBuf,
    authority: Authority,
    count: AtomicU32,
    api_server: Mutex<Process>,
    etcd: Process,
    // Fields are dropped in this order: the processes go before what they use.
    _port: Socket,
    folder: TempDir,
}

impl ControlPlane {
    /// Starts one and waits until it is ready: about three seconds. The first start on a machine
    /// may have to build it, which takes minutes and is told on standard error.
    ///
    /// # Errors
    ///
    /// When the programs can't be found or built, or when they don't get ready.
    pub fn start() -> Result<Self, Error> {
        let programs = programs::folder()?;
        let folder = tempfile::Builder::new()
            .prefix("control-plane-")
            .tempdir_in(scratch::folder()?)
            .map_err(Error::io("make a temporary folder"))?;
        let authority = Authority::new()?;
        servers::prepare(folder.path(), &authority)?;
        let (port, address) = servers::reserve_port()?;
        let etcd = servers::start_etcd(&programs, folder.path())?;
        let api_server = servers::start_api_server(&programs, folder.path(), address)?;
        let mut control_plane = Self {
            programs,
            address,
            kubeconfig: PathBuf::new(),
            authority,
            count: AtomicU32::new(0),
            api_server: Mutex::new(api_server),
            etcd,
            _port: port,
            folder,
        };
        control_plane.kubeconfig = control_plane.certify("admin", Some("system:masters"))?;
        control_plane.wait_until_ready()?;
        Ok(control_plane)
    }

    /// The one that all tests of this process share, started on first use.
    ///
    /// # Panics
    ///
    /// When it can't be started: no test could go on.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start() {
            Ok(control_plane) => control_plane,
            Err(error) => panic!("{error}"),
        })
    }

    /// A kubeconfig for `admin`, a member of `system:masters`, who may do everything.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A folder for whatever belongs to this control plane; removed with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of `etcd`, `kube-apiserver`, `kubectl` or `helm`.
    ///
    /// # Errors
    ///
    /// When helm has to be built first and can't be.
    pub fn bin(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = match name {
            "helm" => programs::folder_with_helm()?,
            _ => self.programs.clone(),
        };
        Ok(folder.join(name))
    }

    /// Runs kubectl as `admin`.
    ///
    /// # Errors
    ///
    /// When it can't be started. Its own failure is in the output.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.kubectl_stdin(arguments, "")
    }

    /// Runs kubectl as `admin` with `input` on standard input, such as for `apply -f -`.
    ///
    /// # Errors
    ///
    /// When it can't be started. Its own failure is in the output.
    pub fn kubectl_stdin(&self, arguments: &[&str], input: &str) -> Result<Output, Error> {
        command::run(self.client("kubectl", arguments)?, input)
    }

    /// Runs kubectl as `admin` and returns its standard output.
    ///
    /// # Errors
    ///
    /// When it fails, with all of its standard error.
    pub fn kubectl_ok(&self, arguments: &[&str]) -> Result<String, Error> {
        succeed("kubectl", arguments, self.kubectl(arguments)?)
    }

    /// Starts kubectl as `admin` and doesn't wait for it, such as for a `wait` that must not return.
    ///
    /// # Errors
    ///
    /// When it can't be started.
    pub fn spawn_kubectl(&self, arguments: &[&str]) -> Result<Process, Error> {
        Process::spawn("kubectl", self.client("kubectl", arguments)?)
    }

    /// Runs helm as `admin`. Builds it first if need be.
    ///
    /// # Errors
    ///
    /// When it can't be built or started. Its own failure is in the output.
    pub fn helm(&self, arguments: &[&str]) -> Result<Output, Error> {
        command::run(self.client("helm", arguments)?, "")
    }

    /// Runs helm as `admin` and returns its standard output.
    ///
    /// # Errors
    ///
    /// When it fails, with all of its standard error.
    pub fn helm_ok(&self, arguments: &[&str]) -> Result<String, Error> {
        succeed("helm", arguments, self.helm(arguments)?)
    }

    /// What the API server has answered since this control plane started. An answer may reach the
    /// client a moment before it gets here.
    ///
    /// # Errors
    ///
    /// When the log can't be read.
    pub fn audit(&self) -> Result<AuditLog, Error> {
        let log = fs::read_to_string(self.folder().join("audit.log")).map_err(Error::io("read the audit log"))?;
        Ok(AuditLog::parse(&log))
    }

    /// Waits until the API server serves what the CustomResourceDefinition `name` defines.
    ///
    /// # Errors
    ///
    /// When kubectl fails, or half a minute has passed.
    pub fn wait_until_established(&self, name: &str) -> Result<(), Error> {
        let crd = format!("crd/{name}");
        let wait = ["wait", "--for=condition=Established", &crd, "--timeout=30s"];
        let deadline = Instant::now() + READY;
        loop {
            match self.kubectl_ok(&wait) {
                // kubectl gives up on a definition so new that it has no conditions yet.
                Err(Error::Command { stderr, .. })
                    if stderr.contains("accessor error") && Instant::now() < deadline =>
                {
                    thread::sleep(PERIOD);
                }
                result => return result.map(|_| ()),
            }
        }
    }

    /// Makes a namespace called `prefix` and a number, and returns its name.
    ///
    /// # Errors
    ///
    /// When kubectl fails.
    pub fn namespace(&self, prefix: &str) -> Result<String, Error> {
        let name = format!("{prefix}-{}", self.next());
        self.kubectl_ok(&["create", "namespace", &name])?;
        Ok(name)
    }

    /// Writes a kubeconfig with a token for this service account, which has to exist. The token is
    /// valid for an hour.
    ///
    /// # Errors
    ///
    /// When kubectl or writing fails.
    pub fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> Result<PathBuf, Error> {
        let token = self.kubectl_ok(&["create", "token", name, "--namespace", namespace])?;
        self.write_kubeconfig(name, &json!({"token": token.trim()}))
    }

    /// Writes a kubeconfig for a user of this name, who belongs to `system:authenticated` only.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn kubeconfig_for_user(&self, user: &str) -> Result<PathBuf, Error> {
        self.certify(user, None)
    }

    /// The process ID of etcd.
    pub fn etcd_pid(&self) -> u32 {
        self.etcd.pid()
    }

    /// The process ID of the API server.
    pub fn api_server_pid(&self) -> u32 {
        self.api_server().pid()
    }

    /// Kills the API server. Clients see their connections end.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn stop_api_server(&self) -> Result<(), Error> {
        self.api_server().kill().map(drop)
    }

    /// Starts the API server again, at the same address and with the same data, and waits until it
    /// is ready.
    ///
    /// # Errors
    ///
    /// When it doesn't get ready.
    pub fn start_api_server(&self) -> Result<(), Error> {
        let again = servers::start_api_server(&self.programs, self.folder(), self.address)?;
        *self.api_server() = again;
        self.wait_until_ready()
    }

    /// Stops the API server where it stands: connections stay open and nothing is answered.
    ///
    /// # Errors
    ///
    /// When it isn't running.
    pub fn pause_api_server(&self) -> Result<(), Error> {
        self.api_server().pause()
    }

    /// Lets the API server go on after [`pause_api_server`](Self::pause_api_server).
    ///
    /// # Errors
    ///
    /// When it isn't running.
    pub fn resume_api_server(&self) -> Result<(), Error> {
        self.api_server().resume()
    }

    /// What the API server has logged since it was last started.
    pub fn api_server_logs(&self) -> String {
        self.api_server().logs()
    }

    fn wait_until_ready(&self) -> Result<(), Error> {
        let deadline = Instant::now() + READY;
        loop {
            let last = match self.ask_whether_ready()? {
                None => return Ok(()),
                Some(answer) => answer,
            };
            for process in [&self.etcd, &*self.api_server()] {
                if let Some(status) = process.try_wait()? {
                    return Err(process.ended(status));
                }
            }
            if Instant::now() >= deadline {
                return Err(Error::Timeout { what: "a ready control plane".to_owned(), within: READY, last });
            }
            thread::sleep(PERIOD);
        }
    }

    /// What is still missing, if anything. The API server makes the `default` namespace a moment
    /// after it says that it is ready.
    fn ask_whether_ready(&self) -> Result<Option<String>, Error> {
        if let Err(error) = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)) {
            return Ok(Some(error.to_string()));
        }
        for path in ["/readyz", "/api/v1/namespaces/default"] {
            let output = self.kubectl(&["get", "--raw", path, "--request-timeout=5s"])?;
            if !output.success() {
                return Ok(Some(output.stderr));
            }
        }
        Ok(None)
    }

    /// A command with nothing of the user's own settings and caches.
    fn client(&self, name: &str, arguments: &[&str]) -> Result<Command, Error> {
        let mut command = Command::new(self.bin(name)?);
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig).env("HOME", self.folder());
        for (variable, _) in std::env::vars_os() {
            let variable = variable.to_string_lossy();
            if ["HELM_", "KUBECTL_", "XDG_"].iter().any(|prefix| variable.starts_with(prefix)) {
                command.env_remove(&*variable);
            }
        }
        Ok(command)
    }

    fn certify(&self, user: &str, group: Option<&str>) -> Result<PathBuf, Error> {
        let count = self.next();
        let certificate = self.folder().join(format!("client-{count}.crt"));
        let key = self.folder().join(format!("client-{count}.key"));
        self.authority.write_client(user, group, &certificate, &key)?;
        self.write_kubeconfig(user, &json!({"client-certificate": certificate, "client-key": key}))
    }

    fn write_kubeconfig(&self, user: &str, credentials: &serde_json::Value) -> Result<PathBuf, Error> {
        let path = self.folder().join(format!("kubeconfig-{}", self.next()));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testbed", "cluster": {
                "server": format!("https://{}", self.address),
                "certificate-authority": self.folder().join("ca.crt"),
            }}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user}}],
            "current-context": "testbed",
        });
        scratch::write(&path, &format!("{config:#}"))?;
        Ok(path)
    }

    fn next(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn api_server(&self) -> MutexGuard<'_, Process> {
        self.api_server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn succeed(program: &str, arguments: &[&str], output: Output) -> Result<String, Error> {
    if output.success() {
        return Ok(output.stdout);
    }
    Err(Error::Command {
        command: format!("{program} {}", arguments.join(" ")),
        code: output.code,
        stderr: output.stderr,
    })
}
