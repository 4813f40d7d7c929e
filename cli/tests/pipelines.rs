//! The lines that examples/gates has for pipelines with `kubectl cloudop`, and the steps of the action for GitHub Actions,
//! executed on the real API server. The statuses are written as the controller writes them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

mod place;

use place::{Place, Seen, failed, running, status, succeeded};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A kubeconfig whose context has the namespace, as pipelines have one.
fn kubeconfig(place: &Place, folder: &TempDir) -> PathBuf {
    let mut config: Value = serde_json::from_slice(&std::fs::read(place.cluster.kubeconfig()).unwrap()).unwrap();
    config["contexts"][0]["context"]["namespace"] = json!(place.namespace);
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// Where kubectl is, where its plugin is, and what belongs to any machine.
fn paths(place: &Place) -> [PathBuf; 2] {
    let kubectl = place.cluster.bin("kubectl").unwrap();
    [&kubectl, Path::new(env!("CARGO_BIN_EXE_kubectl-cloudop"))].map(|program| program.parent().unwrap().to_owned())
}

#[test]
fn the_lines_for_pipelines_end_with_the_operation_and_tell_its_verdict() {
    let tekton = yaml("examples/gates/tekton/task-cloudop.yaml");
    let gitlab = yaml("examples/gates/gitlab-ci/gitlab-ci-cloudop.yml");
    let gitlab: Vec<String> = gitlab["follow"]["script"].as_array().into_iter().flatten().map(text).collect();
    let scripts = [
        ("kubectl", read("examples/gates/kubectl-cloudop.sh")),
        ("Tekton", text(&tekton["spec"]["steps"][0]["script"])),
        ("GitLab CI", gitlab.join("\n")),
    ];
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(&place, &folder);
    place.operation("good", &succeeded());
    place.operation("bad", &failed());
    place.operation("endless", &running());
    let stalled = [("Stalled", "True", "CredentialsNotFound")];
    place.operation("keyless", &status("Pending", ("Unknown", "CredentialsInvalid"), "no Secret", &stalled));
    let [kubectl, plugin] = paths(&place);
    let path = format!("{}:{}:/usr/bin:/bin", kubectl.display(), plugin.display());
    for (tool, script) in &scripts {
        for (name, timeout, code, words) in [
            ("good", "60s", 0, "good succeeded"),
            ("bad", "60s", 1, "Quota exceeded for cores"),
            ("endless", "1s", 3, "endless"),
            ("keyless", "60s", 5, "no Secret"),
        ] {
            let output = Command::new("sh")
                .args(["-e", "-c", script])
                .env_clear()
                .envs([("PATH", path.as_str()), ("NAME", name), ("TIMEOUT", timeout)])
                .env("KUBECONFIG", &kubeconfig)
                .output()
                .unwrap();
            let seen = Seen::of(&output);
            let said = format!("{tool}, {name}: {}{}", seen.stdout, seen.stderr);
            assert_eq!(seen.code, Some(code), "{said}");
            assert!(said.contains(words), "{said}");
        }
    }
}

#[test]
fn the_step_for_argo_workflows_creates_the_operation_once_and_waits() {
    let workflow = yaml("examples/gates/argo-workflows/workflow-cloudop.yaml");
    let script = text(&workflow["spec"]["templates"][0]["script"]["source"]);
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(&place, &folder);
    let [kubectl, plugin] = paths(&place);
    let path = format!("{}:{}:/usr/bin:/bin", kubectl.display(), plugin.display());
    let run = || {
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env_clear().envs([("PATH", path.as_str()), ("ID", "o-1"), ("TIMEOUT", "1s")]);
        Seen::of(&command.env("KUBECONFIG", &kubeconfig).output().unwrap())
    };
    let objects = || {
        let list: Value = serde_json::from_str(&place.kubectl(&["get", "cloudop", "-o", "json"], "")).unwrap();
        list["items"].as_array().unwrap().clone()
    };
    let seen = run();
    assert_eq!(seen.code, Some(3), "{}{}", seen.stdout, seen.stderr);
    let object = &objects()[0];
    assert_eq!(
        object["spec"]["provider"],
        json!({"huaweiCceUpgrade": {"region": "ap-southeast-3", "projectId": "p1", "clusterId": "c1"}})
    );
    assert_eq!(object["spec"]["operationId"], "o-1");
    place.write(object["metadata"]["name"].as_str().unwrap(), &succeeded());
    let seen = run();
    assert_eq!(seen.code, Some(0), "{}{}", seen.stdout, seen.stderr);
    assert_eq!(objects().len(), 1);
}

/// The action as the runner of GitHub Actions runs it: its steps one after the other, each with its environment and with
/// what the steps before wrote into the runner's files. <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>
struct Runner {
    place: Place,
    folder: TempDir,
    path: String,
    machine: [&'static str; 2],
}

struct Run {
    code: i32,
    said: String,
    output: Option<String>,
}

impl Runner {
    /// `plugin`: whether kubectl-cloudop is on the PATH.
    fn new(plugin: bool) -> Self {
        let place = Place::new();
        let folder = tempfile::tempdir().unwrap();
        let mut path = String::from("/usr/bin:/bin");
        if plugin {
            path = format!("{}:{path}", paths(&place)[1].display());
        }
        kubeconfig(&place, &folder);
        Self { place, folder, path, machine: ["Linux", "X64"] }
    }

    fn run(&self, with: &[(&str, &str)]) -> Run {
        let action = yaml("deploy/github-action/action.yml");
        let known = action["inputs"].as_object().unwrap();
        let mut inputs: BTreeMap<&str, &str> =
            known.iter().map(|(name, input)| (name.as_str(), input["default"].as_str().unwrap_or_default())).collect();
        for (name, value) in with {
            assert!(inputs.insert(name, value).is_some(), "the action has no input {name}");
        }
        let file = |name: &str| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            path
        };
        let [paths, output, summary] = ["path", "output", "summary"].map(file);
        let mut run = Run { code: 0, said: String::new(), output: None };
        for step in action["runs"]["steps"].as_array().unwrap() {
            if let Some(condition) = step["if"].as_str() {
                assert_eq!(condition, "inputs.wait != '' || inputs.follow != ''");
                if inputs["wait"].is_empty() && inputs["follow"].is_empty() {
                    continue;
                }
            }
            assert_eq!(step["shell"], "bash");
            let script = self.folder.path().join("script.sh");
            std::fs::write(&script, step["run"].as_str().unwrap()).unwrap();
            let added: String =
                std::fs::read_to_string(&paths).unwrap().lines().map(|line| format!("{line}:")).collect();
            let mut command = Command::new("bash");
            command
                .args(["--noprofile", "--norc", "-e", "-o", "pipefail"])
                .arg(&script)
                .env_clear()
                .env("PATH", format!("{added}{}", self.path))
                .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
                .envs([("GITHUB_PATH", &paths), ("GITHUB_OUTPUT", &output), ("GITHUB_STEP_SUMMARY", &summary)])
                .envs([("GITHUB_ACTIONS", "true"), ("RUNNER_OS", self.machine[0]), ("RUNNER_ARCH", self.machine[1])])
                .env("RUNNER_TEMP", self.folder.path())
                .env("GITHUB_ACTION_PATH", repository().join("deploy/github-action"));
            for (name, value) in step["env"].as_object().unwrap() {
                let value = value.as_str().unwrap();
                let input = value.strip_prefix("${{ inputs.").and_then(|rest| rest.strip_suffix(" }}")).unwrap();
                command.env(name, inputs[input]);
            }
            let seen = Seen::of(&command.output().unwrap());
            run.said += &format!("{}{}", seen.stdout, seen.stderr);
            run.code = seen.code.unwrap();
            if run.code != 0 {
                break;
            }
        }
        assert_eq!(action["outputs"]["code"]["value"], "${{ steps.run.outputs.code }}");
        run.output = std::fs::read_to_string(&output).unwrap().trim().strip_prefix("code=").map(str::to_owned);
        run
    }

    /// A place with version 9.9.9 of a program that does what the real one does. Returns its address.
    fn release(&self) -> String {
        let folder = self.folder.path().join("releases/v9.9.9");
        let name = "kubectl-cloudop-9.9.9-linux-amd64";
        std::fs::create_dir_all(folder.join(name)).unwrap();
        let program = folder.join(name).join("kubectl-cloudop");
        let text = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_kubectl-cloudop"));
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let script = format!("tar czf {name}.tar.gz {name} && sha256sum *.tar.gz >SHA256SUMS");
        assert!(Command::new("sh").args(["-c", &script]).current_dir(&folder).status().unwrap().success());
        format!("file://{}", folder.parent().unwrap().display())
    }
}

#[test]
fn the_action_ends_as_the_operation_does_and_annotates_a_failure() {
    let runner = Runner::new(true);
    runner.place.operation("good", &succeeded());
    runner.place.operation("other", &succeeded());
    runner.place.operation("bad", &failed());
    runner.place.operation("endless", &running());
    for (names, timeout, code, words) in [
        ("good", "60s", 0, "good succeeded"),
        ("good\nother\n", "60s", 0, "other succeeded"),
        ("good bad", "60s", 1, "::error title="),
        ("endless", "1s", 3, "endless"),
        ("--all", "1s", 4, "--all"),
    ] {
        let run = runner.run(&[("wait", names), ("timeout", timeout)]);
        assert_eq!(run.code, code, "{names}: {}", run.said);
        assert_eq!(run.output, Some(code.to_string()), "{names}: {}", run.said);
        assert!(run.said.contains(words), "{names}: {}", run.said);
    }
    runner.run(&[("wait", "bad")]);
    let summary = std::fs::read_to_string(runner.folder.path().join("summary")).unwrap();
    assert!(summary.contains("Quota exceeded"), "{summary}");
}

#[test]
fn the_action_follows_an_operation_by_its_id() {
    let runner = Runner::new(true);
    let with = [
        ("follow", "huaweiCceUpgrade"),
        ("id", "o-1"),
        ("secret", "huawei"),
        ("parameters", "region=ap-southeast-3\n  projectId=p1\nclusterId=c1\n"),
        ("namespace", runner.place.namespace.as_str()),
        ("timeout", "1s"),
    ];
    let run = runner.run(&with);
    assert_eq!((run.code, run.output.as_deref()), (3, Some("3")), "{}", run.said);
    let list: Value = serde_json::from_str(&runner.place.kubectl(&["get", "cloudop", "-o", "json"], "")).unwrap();
    let spec = &list["items"][0]["spec"];
    assert_eq!(spec["operationId"], "o-1");
    assert_eq!(spec["credentialsRef"]["name"], "huawei");
    assert_eq!(
        spec["provider"],
        json!({"huaweiCceUpgrade": {"region": "ap-southeast-3", "projectId": "p1", "clusterId": "c1"}})
    );

    let hostile = with.map(|(name, value)| (name, if name == "id" { "o-1; echo $HOME" } else { value }));
    let run = runner.run(&hostile);
    assert!(run.code == 2 && run.said.contains("\"o-1; echo $HOME\""), "{}", run.said);

    for lacking in ["id", "secret"] {
        let with: Vec<_> = with.iter().copied().filter(|(name, _)| *name != lacking).collect();
        let run = runner.run(&with);
        assert_eq!((run.code, run.output), (2, None), "{}", run.said);
        assert!(run.said.contains(&format!("::error title=cloudop::the input follow needs the input {lacking}")));
    }
    let run = runner.run(&[("follow", "otcCceJob"), ("wait", "job")]);
    assert!(run.code == 2 && run.said.contains("exclude each other"), "{}", run.said);
}

#[test]
fn the_action_installs_what_its_checksum_vouches_for_only() {
    let mut runner = Runner::new(false);
    runner.place.operation("good", &succeeded());
    let releases = runner.release();
    let with = [("version", "9.9.9"), ("releases", releases.as_str())];
    let run = runner.run(&[&with[..], &[("wait", "good")]].concat());
    assert_eq!((run.code, run.output.as_deref()), (0, Some("0")), "{}", run.said);
    let run = runner.run(&with);
    assert_eq!((run.code, run.output), (0, None), "{}", run.said);

    let refused = |runner: &Runner, with: &[(&str, &str)], words: &str| {
        let run = runner.run(with);
        let path = std::fs::read_to_string(runner.folder.path().join("path")).unwrap();
        assert_eq!((run.code, path.as_str()), (1, ""), "{}", run.said);
        assert!(run.said.contains("::error title=cloudop::") && run.said.contains(words), "{}", run.said);
    };
    refused(&runner, &[], "nothing is published yet");
    refused(&runner, &[with[1], ("version", "9.9.8")], "cannot download");
    refused(&runner, &[with[1], ("version", "../9")], "is not one such as 1.2.3");
    let sums = runner.folder.path().join("releases/v9.9.9/SHA256SUMS");
    let right = std::fs::read_to_string(&sums).unwrap();
    std::fs::write(&sums, format!("{}  kubectl-cloudop-9.9.9-linux-amd64.tar.gz\n", "0".repeat(64))).unwrap();
    refused(&runner, &with, "is not what SHA256SUMS says");
    std::fs::write(&sums, right.replace("amd64", "arm64")).unwrap();
    refused(&runner, &with, "does not have kubectl-cloudop-9.9.9-linux-amd64.tar.gz");
    runner.machine = ["macOS", "ARM64"];
    refused(&runner, &with, "there is no kubectl-cloudop for macOS on ARM64");
}

#[test]
fn the_example_for_github_actions_gives_the_action_inputs_that_it_has() {
    let action = yaml("deploy/github-action/action.yml");
    let workflow = yaml("examples/gates/github-actions/workflow-cloudop.yaml");
    let step = &workflow["jobs"]["follow"]["steps"][0];
    assert!(step["uses"].as_str().unwrap().contains("/deploy/github-action@v"));
    for name in step["with"].as_object().unwrap().keys() {
        assert!(action["inputs"][name].is_object(), "{name}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(action["inputs"]["version"]["default"], version);
    assert!(step["uses"].as_str().unwrap().ends_with(&format!("@v{version}")));
}
