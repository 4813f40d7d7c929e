//! All that runs: the control plane, the clouds, the controller.

use std::{
    env,
    error::Error,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use cloudop_simulator::{Scenario, Simulator};
use cloudop_testbed::{Output, Process};

use crate::{cast::CAST, place::Place, screen::Screen};

const SCENARIO: &str = "tests/simulator/scenarios/demo.yaml";
const RIGHTS: &str = "tests/support/src/bin/demo/controller.yaml";
const NAMESPACE: &str = "cloudop-system";
const ACCOUNT: &str = "cloudop-controller";
const TOKEN: &str = "let-me-in";

/// A cluster with the controller in it, and five clouds.
pub struct Scene {
    // Fields are dropped in this order.
    pub controller: Process,
    pub simulator: Simulator,
    pub cluster: Place,
}

impl Scene {
    /// Starts everything up to the point where a user comes in.
    pub fn set(screen: &Screen) -> Result<Self, Box<dyn Error>> {
        env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;

        let cluster = Self::cluster(screen)?;

        screen.step("Five simulated clouds behind one HTTPS address")?;
        screen
            .command(&format!("cargo run -p cloudop-simulator -- --scenario {SCENARIO} --ca-out simulator-ca.pem"))?;
        let scenario = Scenario::parse(&fs::read_to_string(SCENARIO)?)?;
        let simulator = futures::executor::block_on(Simulator::start())?;
        let authority = cluster.folder().join("simulator-ca.pem");
        fs::write(&authority, simulator.ca_pem())?;
        let url = simulator.url();
        screen.line(&format!("listening on {url}"))?;

        screen.step("The CRD of CloudOperation, and the credentials for each cloud")?;
        match &cluster {
            Place::Own(_) => run(screen, &cluster, "apply --server-side -f crds/")?,
            Place::Current(_) => cluster.define(screen)?,
        }
        screen.command(&format!("for cloud in {}; do", CAST.map(|role| role.secret).join(" ")))?;
        screen.line("    kubectl create secret generic $cloud --from-file=ca.crt=simulator-ca.pem \\")?;
        screen.line(&format!("      --from-literal=token={TOKEN} --from-literal=endpoint={url}; done"))?;
        for role in &CAST {
            let created = cluster.kubectl_ok(&[
                "create",
                "secret",
                "generic",
                role.secret,
                &format!("--from-file=ca.crt={}", authority.display()),
                &format!("--from-literal=token={TOKEN}"),
                &format!("--from-literal=endpoint={url}"),
            ])?;
            screen.line(&created)?;
        }

        let mut command = Command::new(controller()?);
        let mut flags = vec!["--allow-host", "localhost:*", "--allow-private-addresses", "127.0.0.0/8,::1/128"];
        match &cluster {
            Place::Own(own) => {
                screen.step("The controller, as a ServiceAccount that may do no more than it needs")?;
                run(screen, &cluster, &format!("apply -f {RIGHTS}"))?;
                command.env("KUBECONFIG", own.kubeconfig_for_service_account(NAMESPACE, ACCOUNT)?);
            }
            Place::Current(_) => screen.step("The controller, on this machine and with your rights")?,
        }
        if let Some(namespace) = cluster.namespace() {
            flags.extend(["--watch-namespaces", namespace]);
        }
        command.args(&flags);
        for (variable, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLOUDOP_")) {
            command.env_remove(variable);
        }
        screen.command(&format!("cloudop-controller {} &", flags.join(" ")))?;
        let controller = Process::spawn("controller", command)?;
        screen.line(controller.wait_for_log("started", Duration::from_secs(10))?.trim())?;
        // Last, as the clouds count an operation's age from here, and intervals follow from ages.
        scenario.load(&simulator);
        Ok(Self { controller, simulator, cluster })
    }

    /// What it is played in.
    fn cluster(screen: &Screen) -> Result<Place, Box<dyn Error>> {
        if env::args().nth(1).is_some_and(|place| place == "current") {
            screen.step("The cluster of your kubeconfig, in a namespace that goes when this ends")?;
            return Place::find(screen);
        }
        screen.step("A control plane: etcd and kube-apiserver on loopback")?;
        screen.command("cargo run -p cloudop-testbed --bin control-plane")?;
        let began = Instant::now();
        let cluster = Place::find(screen)?;
        let versions = cluster.kubectl_ok(&["version"])?;
        let version = versions.lines().find_map(|line| line.strip_prefix("Server Version: ")).unwrap_or_default();
        screen.line(&format!("Kubernetes {version}, ready after {:.1} s", began.elapsed().as_secs_f32()))?;
        Ok(cluster)
    }

    /// Shows a kubectl command and runs it.
    pub fn kubectl(&self, screen: &Screen, arguments: &str) -> Result<(), Box<dyn Error>> {
        run(screen, &self.cluster, arguments)
    }

    /// Shows a kubectl command, runs it whatever its end, and shows what it printed.
    pub fn try_kubectl(&self, screen: &Screen, arguments: &str) -> Result<Output, Box<dyn Error>> {
        screen.command(&self.cluster.typed(arguments))?;
        let output = self.cluster.kubectl(&split(arguments))?;
        for text in [&output.stdout, &output.stderr].into_iter().filter(|text| !text.is_empty()) {
            screen.line(text)?;
        }
        Ok(output)
    }

    /// Whether this user of the API server is the controller.
    pub fn is_controller(user: &str) -> bool {
        user == format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}")
    }

    /// Stops everything, the controller as Kubernetes would. Returns what was not as it should have been.
    pub fn strike(self) -> Result<Option<String>, Box<dyn Error>> {
        let status = self.controller.terminate()?;
        Ok((!status.success()).then(|| format!("the controller ended with {status}:\n{}", self.controller.logs())))
    }
}

/// Shows a kubectl command and what it prints.
fn run(screen: &Screen, cluster: &Place, arguments: &str) -> Result<(), Box<dyn Error>> {
    screen.command(&cluster.typed(arguments))?;
    Ok(screen.line(&cluster.kubectl_ok(&split(arguments))?)?)
}

/// The words of a command line.
pub fn split(arguments: &str) -> Vec<&str> {
    arguments.split_whitespace().collect()
}

/// The controller's program, which stands beside this one.
fn controller() -> Result<PathBuf, Box<dyn Error>> {
    let program = env::current_exe()?.with_file_name("cloudop-controller");
    if !program.is_file() {
        return Err(format!("there is no {}: run `make demo`, which builds it", program.display()).into());
    }
    Ok(program)
}
