//! The machine, and the versions of all that takes part.

use std::{error::Error, fs, path::Path, process::Command};

use cloudop_testbed::ControlPlane;

use crate::subject::beside;

/// As lines of Markdown.
///
/// # Errors
/// When there is no control plane to be had.
pub fn describe() -> Result<Vec<String>, Box<dyn Error>> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim_start_matches([' ', '\t', ':']).to_owned()
    };
    let cpu = value(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism()?;
    let kib: u64 = value(&read("/proc/meminfo"), "MemTotal").split(' ').next().unwrap_or_default().parse()?;
    let release = read("/proc/sys/kernel/osrelease");
    let cluster = ControlPlane::start()?;
    let api_server = say(&cluster.bin("kube-apiserver")?, &["--version"]);
    let etcd = say(&cluster.bin("etcd")?, &["--version"]);
    Ok(vec![
        format!("Machine: {cores} cores of {cpu}, {} GiB, Linux {}.", kib >> 20, release.trim()),
        format!("Date: {} UTC.", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M")),
        format!(
            "cloudop: {} at commit {}, {}.",
            say(&beside("cloudop-controller"), &["--version"]),
            say(Path::new("git"), &["describe", "--always", "--dirty", "--exclude=*"]),
            say(Path::new("rustc"), &["--version"]),
        ),
        format!("Peers: {}; {}.", go_versions(), kopf_versions()),
        format!("Control plane: {api_server}, {etcd}, one of each, with an audit log; etcd does not sync to disk."),
    ])
}

fn go_versions() -> String {
    let text = say_all(Path::new("go"), &["version", "-m", &beside("peers/controller-runtime").to_string_lossy()]);
    let version = text.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or("no go").to_owned();
    let module = "sigs.k8s.io/controller-runtime";
    let line = text.lines().find(|line| line.contains(module)).unwrap_or_default();
    let runtime = line.split_whitespace().nth(2).unwrap_or("unknown");
    format!("controller-runtime {runtime} ({version})")
}

fn kopf_versions() -> String {
    let kopf = say(&beside("peers/kopf"), &["--version"]);
    if kopf.is_empty() { "kopf was not built".to_owned() } else { kopf }
}

/// The first line that a program prints.
fn say(program: &Path, arguments: &[&str]) -> String {
    say_all(program, arguments).lines().next().unwrap_or_default().to_owned()
}

fn say_all(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
