//! What the programs that read them say of the alerts and the workflows: promtool and actionlint, each pinned in a folder of
//! its name.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{MONITORING, cluster, documents, of_kind, read, rendered, repository};

/// Runs one of the programs, which has to find nothing wrong. What it says is returned.
#[track_caller]
fn pass(program: &str, arguments: &[&str]) -> String {
    let mut build = Command::new(repository().join("tests/go-tools"));
    let build = build.arg(repository().join("tests/chart").join(program)).stderr(Stdio::inherit()).output().unwrap();
    assert!(build.status.success(), "tests/go-tools failed");
    let folder = PathBuf::from(String::from_utf8_lossy(&build.stdout).trim());
    let output = Command::new(folder.join(program)).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}\n{said}");
    said
}

#[test]
fn prometheus_reads_the_alerts_and_raises_each_when_it_should() {
    let manifests = rendered("cloudop", "n", "", &["--api-versions", MONITORING]);
    // Rules as Prometheus reads them are what a PrometheusRule has as its spec.
    let rules = of_kind(&documents(&manifests), "PrometheusRule")["spec"].clone();
    let alerts = rules["groups"][0]["rules"].as_array().unwrap().len();
    let folder = cluster().folder().join("alerts");
    std::fs::create_dir(&folder).unwrap();
    let [rules_file, tests_file] = ["rules.yaml", "alerts.test.yaml"].map(|name| folder.join(name));
    std::fs::write(&rules_file, json!({"groups": rules["groups"]}).to_string()).unwrap();
    std::fs::write(&tests_file, read("tests/chart/alerts.test.yaml")).unwrap();
    let said = pass("promtool", &["check", "rules", "--lint=all", "--lint-fatal", &rules_file.display().to_string()]);
    assert!(said.contains(&format!("{alerts} rules found")), "{said}");
    pass("promtool", &["test", "rules", &tests_file.display().to_string()]);
}

/// A query of the dashboard as Grafana sends it, with all chosen of each variable.
fn filled_in(query: &str) -> String {
    let all = ["$cluster", "$namespace", "$provider"];
    let query = all.iter().fold(query.to_owned(), |query, variable| query.replace(variable, ".*"));
    query.replace("$__rate_interval", "5m")
}

#[test]
fn prometheus_reads_the_dashboard_and_each_of_its_numbers_is_one_where_nothing_has_happened() {
    let dashboard: Value = serde_json::from_str(&read("charts/cloudop/files/dashboard.json")).unwrap();
    let folder = cluster().folder().join("dashboard");
    std::fs::create_dir(&folder).unwrap();
    let [rules_file, tests_file] = ["rules.yaml", "dashboard.test.yaml"].map(|name| folder.join(name));
    let (mut rules, mut checks) = (Vec::new(), Vec::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = filled_in(target["expr"].as_str().unwrap());
            assert!(!query.contains('$'), "{query}");
            let name = format!("panel:{}:{}", panel["id"], target["refId"].as_str().unwrap());
            rules.push(json!({"record": name, "expr": query}));
            if panel["type"] == "stat" {
                let one = json!([{"labels": "{}", "value": 1}]);
                checks.push(json!({"expr": format!("group({query})"), "eval_time": "1d", "exp_samples": one}));
            }
        }
    }
    assert!(rules.len() > 20 && checks.len() > 5);
    std::fs::write(&rules_file, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
    let said = pass("promtool", &["check", "rules", &rules_file.display().to_string()]);
    assert!(said.contains(&format!("{} rules found", rules.len())), "{said}");

    // What two replicas serve from their start on.
    let series = |series: &str, value: &str| json!({"series": series, "values": format!("{value}x1500")});
    let input = [
        series(r#"cloudop_build_info{namespace="n",job="cloudop",pod="a",version="1"}"#, "1"),
        series(r#"cloudop_build_info{namespace="n",job="cloudop",pod="b",version="1"}"#, "1"),
        series(r#"cloudop_leader{namespace="n",job="cloudop",pod="a"}"#, "1"),
        series(r#"cloudop_leader{namespace="n",job="cloudop",pod="b"}"#, "0"),
    ];
    let test = json!({"interval": "1m", "input_series": input, "promql_expr_test": checks});
    std::fs::write(&tests_file, json!({"rule_files": [], "evaluation_interval": "1m", "tests": [test]}).to_string())
        .unwrap();
    pass("promtool", &["test", "rules", &tests_file.display().to_string()]);
}

#[test]
fn the_workflows_are_sound() {
    let workflows = std::fs::read_dir(repository().join(".github/workflows")).unwrap();
    let workflows: Vec<String> = workflows.map(|file| file.unwrap().path().display().to_string()).collect();
    assert!(!workflows.is_empty());
    let arguments: Vec<&str> = workflows.iter().map(String::as_str).collect();
    pass("actionlint", &arguments);
}

/// A tag can be moved to other code; a commit cannot.
#[test]
fn what_a_workflow_uses_is_pinned_and_each_job_says_what_it_may() {
    for entry in std::fs::read_dir(repository().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let workflow = path.display();
        let text = std::fs::read_to_string(&path).unwrap();
        let used: Vec<&str> = text.lines().filter_map(|line| line.split_once("uses: ")).map(|(_, used)| used).collect();
        assert!(!used.is_empty(), "{workflow}");
        for used in used.iter().filter(|used| !used.starts_with("./")) {
            let commit = used.split_once('@').unwrap().1.split(' ').next().unwrap();
            let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
            assert!(is_commit && used.contains(" # v"), "{workflow}: {used}");
        }
        let document = &documents(&text)[0];
        assert_eq!(document["permissions"], json!({}), "{workflow}");
        for (name, job) in document["jobs"].as_object().unwrap() {
            assert!(job["permissions"].is_object(), "{name} says nothing of permissions");
        }
    }
}
