//! The program: its flags, its log, its end.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cloudop-simulator");

struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let Self(child) = self;
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

#[tokio::test]
async fn it_plays_a_scenario_logs_no_secret_and_stops_when_told() {
    let folder = std::env::temp_dir().join(format!("cloudop-simulator-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let ca = folder.join("ca.pem");
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/demo.yaml");
    let child = Command::new(PROGRAM)
        .args(["--listen", "127.0.0.1:0", "--speed", "100", "--scenario", demo, "--ca-out"])
        .arg(&ca)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Stopped(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let url = first.strip_prefix("listening on ").unwrap();

    let ca = reqwest::Certificate::from_pem(&fs::read(&ca).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
    let path = "/openshift/v1/5e2d4c3b-1a09-4f8e-b7d6-c5a4938271f0/tasks/b7e1a9c4-6d2f-4c8b-a1e3-9f0d2b4c6e8a";
    let ask = || client.get(format!("{url}{path}")).header("Authorization", "Bearer let-me-in").send();
    assert!(ask().await.unwrap().text().await.unwrap().contains("\"running\""));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(ask().await.unwrap().text().await.unwrap().contains("\"done\""));

    let stop = Command::new("kill").arg(child.0.id().to_string()).status().unwrap();
    assert!(stop.success() && child.0.wait().unwrap().success());
    let log: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(log.len(), 2);
    assert!(log[0].contains(" 200 GET /openshift/v1/") && log[0].ends_with(" sbercloudOpenshiftTask"));
    assert!(!log.concat().contains("let-me-in"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_mistake_ends_it_at_once_and_is_named() {
    for (arguments, named) in [
        (["--listen", "0.0.0.0:0"], "not a loopback address"),
        (["--speed", "0"], "speed 0 is not above 0"),
        (["--scenario", "/nowhere/x.yaml"], "/nowhere/x.yaml"),
        (["--scenario", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], "Cargo.toml"),
    ] {
        let output = run(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(named), "{arguments:?}: {text}");
    }
}

#[test]
fn help_documents_every_flag() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for flag in ["--listen", "--scenario", "--ca-out", "--speed"] {
        assert!(help.contains(flag), "{flag}");
    }
}
