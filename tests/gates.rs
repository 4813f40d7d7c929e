//! What other people's tools make of an operation, in every situation: each the real program where it can be had, else
//! its own rule. The table in docs/gating.md is what was seen here; `UPDATE_EXPECTED=1` writes it.

#[path = "gates/rows.rs"]
mod rows;
#[path = "readers/view.rs"]
#[allow(dead_code)]
mod view;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cloudop_simulator::Stage;
use cloudop_testbed::{Bed, ControlPlane, SECRET};
use serde_json::{Value, json};

use rows::{job, parked};
use view::{date_back, poll_now};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const ARGO_CD: &str = "argo-cd/resource_customizations/cloudop.dev/CloudOperation";

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

fn example(name: impl AsRef<Path>) -> PathBuf {
    Path::new(ROOT).join("examples/gates").join(name)
}

fn read_yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the readers of tests/gates say of each object, with the rules in examples/gates, whatever the order of its
/// conditions.
fn judge(objects: &[Value]) -> Vec<Value> {
    let build = Command::new(Path::new(ROOT).join("tests/gates/build")).stderr(Stdio::inherit()).output();
    let build = build.unwrap_or_else(|error| panic!("tests/gates/build: {error}"));
    assert!(build.status.success(), "tests/gates/build failed");
    let folder = PathBuf::from(String::from_utf8_lossy(&build.stdout).trim());
    let rules = [
        ("-flux", "flux/kustomization.yaml"),
        ("-argo-workflows", "argo-workflows/workflow.yaml"),
        ("-crossplane", "crossplane/composition.yaml"),
        ("-terraform", "terraform/main.tf"),
    ];
    let rules = rules.into_iter().flat_map(|(flag, rule)| [PathBuf::from(flag), example(rule)]);
    let shown: Vec<Vec<Value>> = objects.iter().map(in_every_order).collect();
    let all = shown.concat();
    let argo_cd = read_lines(&folder.join("argo-cd"), [example("argo-cd/argocd-cm.yaml")], &all);
    let kro = read_lines(&folder.join("kro"), [example("kro/resourcegraphdefinition.yaml")], &all);
    let others = argo_cd.into_iter().zip(kro);
    let mut verdicts = read_lines(&folder.join("gates"), rules, &all).into_iter().zip(others).map(
        |(mut verdict, (mut argo_cd, ready))| {
            let compared = argo_cd["compared"].take();
            verdict["compared"] = compared;
            verdict["argo-cd"] = json!({"status": argo_cd["status"], "message": argo_cd["message"]});
            verdict["kro"]["status"] = if ready == true { "ready" } else { "waits" }.into();
            verdict
        },
    );
    let mut judge_one = |shown: &Vec<Value>| {
        let verdicts: Vec<Value> = verdicts.by_ref().take(shown.len()).collect();
        for (object, verdict) in shown.iter().zip(&verdicts) {
            for (reader, said) in verdict.as_object().unwrap().iter().filter(|(reader, _)| *reader != "compared") {
                assert_eq!(said, &verdicts[0][reader], "{reader} goes by the order of conditions: {object}");
            }
        }
        verdicts[0].clone()
    };
    shown.iter().map(&mut judge_one).collect()
}

/// `object` with its conditions in each order there is, first as they are.
fn in_every_order(object: &Value) -> Vec<Value> {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let show = |conditions| {
        let mut object = object.clone();
        object["status"]["conditions"] = Value::Array(conditions);
        object
    };
    orders(&conditions).into_iter().map(show).collect()
}

fn orders(list: &[Value]) -> Vec<Vec<Value>> {
    if list.is_empty() {
        return vec![Vec::new()];
    }
    let beginning_with = |at: usize| {
        let others = [&list[..at], &list[at + 1..]].concat();
        orders(&others).into_iter().map(move |rest| [vec![list[at].clone()], rest].concat())
    };
    (0..list.len()).flat_map(beginning_with).collect()
}

/// What `program` answers to each of `objects`.
fn read_lines(program: &Path, arguments: impl IntoIterator<Item = PathBuf>, objects: &[Value]) -> Vec<Value> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(writer.join().unwrap().is_ok() && output.status.success(), "{} failed; see above", program.display());
    let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<Vec<Value>, _>>();
    let answers = answers.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answers.len(), objects.len());
    answers
}

/// What `kubectl wait` says of each of `names`: of Finished within a second, and then of Succeeded at once.
fn wait_for_each(bed: &Bed, names: &[&str]) -> Vec<(&'static str, &'static str)> {
    let spawn = |name: &&str, flags: [&str; 2]| {
        let object = format!("cloudop/{name}");
        let arguments = [&["wait", &object, "--namespace", &bed.namespace], &flags[..]].concat();
        ControlPlane::shared().spawn_kubectl(&arguments).unwrap_or_else(|error| panic!("{error}"))
    };
    let waits: Vec<_> = names
        .iter()
        .map(|name| {
            let finished = spawn(name, ["--for=condition=Finished", "--timeout=15s"]);
            (finished, spawn(name, ["--for=condition=Succeeded", "--timeout=0s"]))
        })
        .collect();
    let code = |wait: &cloudop_testbed::Process| {
        let status = wait.wait(Duration::from_secs(60)).unwrap_or_else(|error| panic!("{error}"));
        match status.code() {
            Some(0) => true,
            Some(1) if wait.logs().contains("timed out") || wait.logs().contains("not met") => false,
            _ => panic!("{status}: {}", wait.logs()),
        }
    };
    waits
        .iter()
        .map(|(finished, succeeded)| match (code(finished), code(succeeded)) {
            (true, true) => ("exit 0", "exit 0"),
            (true, false) => ("exit 0", "exit 1"),
            (false, false) => ("waits", "–"),
            (false, true) => panic!("succeeded without an end"),
        })
        .collect()
}

#[test]
fn every_reader_gets_every_situation_right() {
    let bed = bed();
    let rows = rows::live(&bed);
    let objects: Vec<Value> = rows.iter().map(|(_, object)| object.clone()).collect();
    let names: Vec<&str> = objects.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
    let waits = wait_for_each(&bed, &names);
    let mut table = String::from(
        "| situation | phase | `kubectl wait` Finished | then Succeeded | kstatus: Helm 4, Flux `wait: true` \
         | Flux `healthCheckExprs` | Argo CD | Argo Workflows | kro | Crossplane | Terraform |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut seen = Vec::new();
    for (((situation, object), (finished, succeeded)), verdicts) in rows.iter().zip(waits).zip(judge(&objects)) {
        let readers = ["kstatus", "flux", "argo-cd", "argo-workflows", "kro", "crossplane", "terraform"]
            .map(|reader| verdicts[reader]["status"].as_str().unwrap_or("?"));
        let cells = [&[finished, succeeded], &readers[..]].concat();
        let phase = object["status"]["phase"].as_str().unwrap_or("?");
        let _ = writeln!(table, "| {situation} | {phase} | {} |", cells.join(" | "));
        let name = object["metadata"]["name"].as_str().unwrap_or("?");
        seen.push(format!("{name}: {}", cells.join(", ")));
    }
    let waits = "waits, –, InProgress, InProgress, Progressing, Running, waits, waits, waits";
    let stalled = "waits, –, Failed, Failed, Degraded, Running, waits, waits, waits";
    let failed = "exit 0, exit 1, Failed, Failed, Degraded, Failed, waits, waits, waits";
    let expected = [
        ("unseen", waits),
        ("running", waits),
        ("unreachable", waits),
        ("no-secret-yet", waits),
        // Neither a failure nor a phase: Argo Workflows reads nothing else.
        ("no-secret-for-long", stalled),
        ("blocked", "waits, –, Failed, Failed, Degraded, Failed, waits, waits, waits"),
        ("stands-still", stalled),
        ("unknown-word", waits),
        ("suspended", "waits, –, InProgress, InProgress, Suspended, Running, waits, waits, waits"),
        ("succeeded", "exit 0, exit 0, Current, Current, Healthy, Succeeded, ready, ready, goes on"),
        ("failed", failed),
        ("cancelled", failed),
        ("deadline", failed),
        ("not-found", failed),
        ("expired", failed),
        // Argo Workflows, Crossplane and Terraform know no generations: an edit after a success is no news to them.
        ("succeeded-edited", "waits, –, InProgress, InProgress, Progressing, Succeeded, waits, ready, goes on"),
        ("failed-edited", "waits, –, InProgress, InProgress, Progressing, Failed, waits, waits, waits"),
    ]
    .map(|(name, verdicts)| format!("{name}: {verdicts}"));
    pretty_equal(&seen, &expected);
    is_documented(&table);
}

#[track_caller]
fn pretty_equal(seen: &[String], expected: &[String]) {
    let (seen, expected) = (seen.join("\n"), expected.join("\n"));
    assert!(seen == expected, "seen:\n{seen}\nexpected:\n{expected}");
}

/// That docs/gating.md has this table.
fn is_documented(table: &str) {
    let path = Path::new(ROOT).join("docs/gating.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let begin = page.find("| situation |").expect("docs/gating.md has no table of situations");
    let end = page[begin..].find("\n\n").map_or(page.len(), |length| begin + length + 1);
    let fresh = format!("{}{table}{}", &page[..begin], &page[end..]);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, fresh).unwrap();
    } else {
        assert!(page == fresh, "docs/gating.md is not what was seen; UPDATE_EXPECTED=1 writes it:\n{table}");
    }
}

#[test]
fn an_object_without_conditions_is_taken_for_current_which_is_why_the_definition_has_defaults() {
    let bare = json!({
        "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": "bare", "generation": 1},
        "spec": {}, "status": {"conditions": [], "observedGeneration": 1},
    });
    let verdicts = &judge(&[bare])[0];
    let statuses = ["kstatus", "flux", "argo-cd", "argo-workflows"].map(|reader| &verdicts[reader]["status"]);
    assert_eq!(statuses, ["Current", "InProgress", "Progressing", "Running"]);
}

#[test]
fn the_test_data_for_argo_cd_is_judged_as_its_test_file_says() {
    let folder = example(ARGO_CD);
    let tests = read_yaml(&folder.join("health_test.yaml"));
    let tests = tests["tests"].as_array().unwrap();
    let objects: Vec<Value> =
        tests.iter().map(|test| read_yaml(&folder.join(test["inputPath"].as_str().unwrap()))).collect();
    for (test, verdicts) in tests.iter().zip(judge(&objects)) {
        assert_eq!(verdicts["argo-cd"], test["healthStatus"], "{}", test["inputPath"]);
    }
    let listed: Vec<&Value> = tests.iter().map(|test| &test["inputPath"]).collect();
    for file in std::fs::read_dir(folder.join("testdata")).unwrap().flatten() {
        let path = format!("testdata/{}", file.file_name().to_string_lossy());
        assert!(listed.iter().any(|known| **known == path), "{path} is in no test");
    }

    let script = std::fs::read_to_string(folder.join("health.lua")).unwrap();
    let config = read_yaml(&example("argo-cd/argocd-cm.yaml"));
    assert_eq!(config["data"]["resource.customizations.health.cloudop.dev_CloudOperation"], script);
}

#[test]
fn a_step_forward_is_no_update_to_argo_cd_and_an_end_is() {
    let object = |message: &str, progress: &str, phase: &str| {
        let condition =
            |kind: &str| json!({"type": kind, "status": "Unknown", "reason": "Running", "message": message});
        json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": "o", "generation": 1},
            "status": {
                "observedGeneration": 1, "phase": phase, "conditions": [condition("Succeeded")],
                "progress": {"summary": progress}, "lastProgressTime": message, "upstreamState": message,
                "subJobs": [{"id": "a", "message": message}], "subJobsTotal": message.len(),
            },
        })
    };
    let [first, next, end] = [
        object("one of four", "1/4", "Running"),
        object("three of four", "3/4", "Running"),
        object("four of four", "4/4", "Succeeded"),
    ];
    let compared: Vec<Value> = judge(&[first, next, end]).iter().map(|verdicts| verdicts["compared"].clone()).collect();
    assert_eq!(compared[0]["status"]["phase"], "Running");
    assert_eq!(compared[0], compared[1]);
    assert_ne!(compared[1], compared[2]);
}

#[test]
fn the_operations_within_the_examples_are_admitted() {
    let workflow = read_yaml(&example("argo-workflows/workflow.yaml"));
    let graph = read_yaml(&example("kro/resourcegraphdefinition.yaml"));
    let composition = read_yaml(&example("crossplane/composition.yaml"));
    let manifest = workflow["spec"]["templates"][0]["resource"]["manifest"].as_str().unwrap_or_default();
    let mut template = graph["spec"]["resources"][0]["template"].clone();
    template["metadata"]["name"] = "upgrade".into();
    template["spec"]["provider"]["huaweiCceUpgrade"]["clusterId"] = "c1".into();
    template["spec"]["operationId"] = "o1".into();
    let mut base = composition["spec"]["pipeline"][0]["input"]["resources"][0]["base"].clone();
    base["metadata"] = json!({"name": "upgrade"});
    let bed = bed();
    for (tool, manifest) in
        [("Argo Workflows", manifest), ("kro", &template.to_string()), ("Crossplane", &base.to_string())]
    {
        let output = bed.kubectl_stdin(&["create", "--dry-run=server", "--validate=strict", "-f", "-"], manifest);
        assert!(output.success(), "{tool}: {}", output.stderr);
    }
}

#[test]
fn the_scripts_for_pipelines_end_with_the_operation_and_tell_its_verdict() {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tekton = read_yaml(&example("tekton/task.yaml"));
    let github = read_yaml(&example("github-actions/workflow.yaml"));
    let gitlab = read_yaml(&example("gitlab-ci/gitlab-ci.yml"));
    let gitlab: Vec<String> = gitlab["follow"]["script"].as_array().into_iter().flatten().map(text).collect();
    let scripts = [
        ("kubectl", std::fs::read_to_string(example("kubectl.sh")).unwrap()),
        ("Tekton", text(&tekton["spec"]["steps"][0]["script"])),
        ("GitHub Actions", text(&github["jobs"]["follow"]["steps"][0]["run"])),
        // Either ends a script at its first failure.
        ("GitLab CI", gitlab.join("\n")),
    ];
    let bed = bed();
    let _controller = bed.controller(&[]);
    for (id, word) in [("good", "Success"), ("bad", "Failed"), ("endless", "Running")] {
        bed.simulator.put(job(id).stage(Stage::state(word)));
        bed.apply(&Bed::operation(id, &rows::OTC.replace("ID", id), id, "pollIntervalSeconds: 1"));
    }
    bed.until_reason("endless", "Succeeded", "Running");
    let kubeconfig = bed.cluster.folder().join(format!("kubeconfig-of-{}", bed.namespace));
    let mut config: Value = serde_json::from_slice(&std::fs::read(bed.cluster.kubeconfig()).unwrap()).unwrap();
    config["contexts"][0]["context"]["namespace"] = json!(bed.namespace);
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let kubectl = bed.cluster.bin("kubectl").unwrap_or_else(|error| panic!("{error}"));
    let path = format!("{}:{}", kubectl.parent().unwrap().display(), std::env::var("PATH").unwrap());
    for (tool, script) in &scripts {
        for (name, timeout, code, words) in [
            ("good", "60s", 0, "condition met"),
            ("bad", "60s", 1, "condition not met for cloudoperations/bad"),
            ("endless", "1s", 1, "timed out waiting for the condition"),
        ] {
            let output = Command::new("sh")
                .args(["-e", "-c", script])
                .envs([("PATH", path.as_str()), ("NAME", name), ("TIMEOUT", timeout)])
                .env("KUBECONFIG", &kubeconfig)
                .output()
                .unwrap();
            let said = format!("{output:?}");
            assert_eq!(output.status.code(), Some(code), "{tool}, {name}: {said}");
            assert!(said.contains(words), "{tool}, {name}: {said}");
        }
    }
}

/// Installs the chart of examples/gates/helm as `name`, while `meanwhile` runs. Returns the exit code, what helm said
/// and how long it took.
fn install(
    bed: &Bed,
    name: &str,
    operation: &Value,
    timeout: &str,
    meanwhile: impl FnOnce(),
) -> (i32, String, Duration) {
    let chart = example("helm");
    let values = format!("operation={operation}");
    let chart = chart.to_string_lossy();
    let arguments = ["install", name, &chart, "--wait", "--timeout", timeout, "--set-json", &values];
    std::thread::scope(|scope| {
        let helm = scope.spawn(|| {
            let begin = Instant::now();
            let output = bed.cluster.helm(&[&arguments[..], &["--namespace", &bed.namespace]].concat());
            (output.unwrap_or_else(|error| panic!("{error}")), begin.elapsed())
        });
        meanwhile();
        let (output, took) = helm.join().unwrap();
        (output.code.unwrap_or(-1), output.stdout + &output.stderr, took)
    })
}

#[test]
fn helm_waits_succeeds_and_fails_early_with_the_operation() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let operation = |id: &str, provider: Value, secret: &str| json!({"operationId": id, "provider": provider, "credentialsRef": {"name": secret}, "pollIntervalSeconds": 1});
    let otc = |id| operation(id, json!({"otcCceJob": {"region": "eu-de", "projectId": id}}), SECRET);
    let running = |id| job(id).stage(Stage::state("Running"));
    let early = Duration::from_secs(300);

    bed.simulator.put(running("endless"));
    let (code, said, _) = install(&bed, "endless", &otc("endless"), "5s", || {});
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("InProgress"), "{said}");

    let good = bed.simulator.put(running("good").stage(Stage::state("Success")));
    let (code, said, _) = install(&bed, "good", &otc("good"), "10m", || {
        bed.until_reason("good", "Succeeded", "Running");
        bed.simulator.advance(&good);
    });
    assert_eq!(code, 0, "{said}");
    let end = bed.get("good").unwrap_or_default();
    assert_eq!(end["status"]["phase"], "Succeeded");

    let bad = bed.simulator.put(running("bad").stage(Stage::state("Failed").error("", "no quota")));
    let (code, said, took) = install(&bed, "bad", &otc("bad"), "10m", || {
        bed.until_reason("bad", "Succeeded", "Running");
        bed.simulator.advance(&bad);
    });
    assert!(code == 1 && took < early && said.contains("Failed") && said.contains("no quota"), "{took:?}: {said}");

    bed.simulator.put(parked("parked"));
    let cce = json!({"huaweiCceUpgrade": {"region": "ap-southeast-3", "projectId": "p1", "clusterId": "parked"}});
    let (code, said, took) = install(&bed, "parked", &operation("parked", cce, SECRET), "10m", || {});
    assert!(code == 1 && took < early && said.contains("Failed"), "{took:?}: {said}");

    let otc = json!({"otcCceJob": {"region": "eu-de", "projectId": "p1"}});
    let (code, said, took) = install(&bed, "keyless", &operation("keyless", otc, "nowhere"), "10m", || {
        bed.until_reason("keyless", "UpstreamReachable", "CredentialsNotFound");
        // In place of two minutes.
        date_back(&bed, "keyless", "UpstreamReachable");
        poll_now(&bed, "keyless", "1");
    });
    assert!(code == 1 && took < early && said.contains("Failed") && said.contains("nowhere"), "{took:?}: {said}");
}
