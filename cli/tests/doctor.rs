//! What `doctor`, `version` and `report` say of an installation: that of deploy/install.yaml on the real API server. There
//! is no kubelet: what Pods would say is written as they do.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloudop_testbed::{Bed, ControlPlane, SECRET, TOKEN as TOKEN_OF_BED};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

mod place;
use place::{Place, Seen, failed};

const SYSTEM: &str = "cloudop-system";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A namespace, and the one installation of the cluster, as it is when all is well.
struct Installation {
    place: Place,
    _alone: MutexGuard<'static, ()>,
}

impl Installation {
    fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let installation = Self { place: Place::new(), _alone: alone };
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/install.yaml");
        installation.admin(&["apply", "--server-side", "--force-conflicts", "-f", &manifest.to_string_lossy()]);
        for crd in ["cloudoperations.cloudop.dev", "operationprofiles.cloudop.dev"] {
            ControlPlane::shared().wait_until_established(crd).unwrap();
        }
        installation.ready(2);
        installation.leads(Timestamp::now());
        installation
    }

    fn admin(&self, arguments: &[&str]) {
        ControlPlane::shared().kubectl_ok(&[&["--namespace", SYSTEM], arguments].concat()).unwrap();
    }

    /// Has so many of the controller's two Pods be ready.
    fn ready(&self, count: u8) {
        let status = json!({"status": {"replicas": 2, "readyReplicas": count}}).to_string();
        self.admin(&["patch", "deployment", "cloudop", "--subresource=status", "--type=merge", "-p", &status]);
    }

    /// Has a controller have renewed its Lease then.
    fn leads(&self, renewed: Timestamp) {
        let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "cloudop", "namespace": SYSTEM},
            "spec": {"holderIdentity": "cloudop-7d9f-x", "leaseDurationSeconds": 15,
                     "acquireTime": time(renewed - 2.hours()), "renewTime": time(renewed)},
        });
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        assert!(ControlPlane::shared().kubectl_stdin(&apply, &lease.to_string()).unwrap().success());
    }

    fn patch(&self, kind: &str, name: &str, patch: &Value) {
        self.admin(&["patch", kind, name, "--type=json", "-p", &patch.to_string()]);
    }

    fn run(&self, arguments: &[&str]) -> Seen {
        self.place.run(arguments)
    }
}

/// A field of the CloudOperation's CRD, for a patch.
const SUSPEND: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/suspend";

/// The line that begins so.
#[track_caller]
fn line<'a>(seen: &'a Seen, begins: &str) -> &'a str {
    let found = seen.stdout.lines().find(|line| line.starts_with(begins));
    found.unwrap_or_else(|| panic!("no line begins with {begins:?}:\n{}{}", seen.stdout, seen.stderr))
}

#[test]
fn an_installation_that_is_well_is_said_to_be() {
    let all = Installation::new();
    let seen = all.run(&["doctor"]);
    let namespace = &all.place.namespace;
    let lines: Vec<&str> = seen.stdout.lines().collect();
    let begins = [
        format!("Seen from this machine with your rights, in namespace {namespace}; nothing is created."),
        "✔ API server: answers, Kubernetes v1.".to_owned(),
        format!("✔ CRD cloudoperations.cloudop.dev: served, and that of version {VERSION}"),
        format!("✔ CRD operationprofiles.cloudop.dev: served, and that of version {VERSION}"),
        format!(
            "✔ Deployment cloudop-system/cloudop: version {VERSION}, 2 of 2 replicas ready, watches all namespaces"
        ),
        format!("✔ namespace {namespace}: watched by cloudop-system/cloudop"),
        "✔ Lease cloudop-system/cloudop: cloudop-7d9f-x leads since 2h".to_owned(),
        format!("✔ your rights: you may get, list, watch, create, delete cloudoperations in namespace {namespace}"),
        "✔ your rights: you may get operationprofiles".to_owned(),
    ];
    assert_eq!(lines.len(), begins.len(), "{}{}", seen.stdout, seen.stderr);
    for (line, begin) in lines.iter().zip(&begins) {
        assert!(line.starts_with(begin), "{line}\n{begin}");
    }
    assert_eq!(seen.code, Some(0));
}

#[test]
fn what_a_user_may_not_see_is_unknown_and_names_the_right() {
    let all = Installation::new();
    let seen = all.run(&["doctor", "--as", "nobody"]);
    assert_eq!(seen.code, Some(0), "{}{}", seen.stdout, seen.stderr);
    assert!(!seen.stdout.contains('✖'), "{}", seen.stdout);
    let namespace = &all.place.namespace;
    for expected in [
        "? CRD cloudoperations.cloudop.dev: served; whether it is this version's takes the right to get customresourcedefinitions".to_owned(),
        "? controllers: to see all takes the right to list deployments in all namespaces".to_owned(),
        format!("? namespace {namespace}: no controller that you can see watches it"),
        "? who leads: takes the right to list leases in all namespaces".to_owned(),
        format!("? your rights: you may not get, list, watch, create, delete cloudoperations in namespace {namespace}; \
                 wait takes get, list and watch, follow create, and follow --rm delete"),
    ] {
        assert!(seen.stdout.lines().any(|line| line == expected), "{expected}\n{}", seen.stdout);
    }
    let version = all.run(&["version", "--as", "nobody"]);
    assert_eq!(version.code, Some(0), "{}{}", version.stdout, version.stderr);
    let value: Value = serde_json::from_str(&all.run(&["version", "-o", "json", "--as", "nobody"]).stdout).unwrap();
    assert_eq!(value["goTogether"], Value::Null);
    assert!(version.stdout.starts_with(&format!("✔ this program: {VERSION}\n? controllers: ")), "{}", version.stdout);
}

#[test]
fn an_older_definition_is_named_with_the_command_that_replaces_it() {
    let all = Installation::new();
    all.patch("crd", "cloudoperations.cloudop.dev", &json!([{"op": "remove", "path": SUSPEND}]));
    let seen = all.run(&["doctor"]);
    assert_eq!(seen.code, Some(5), "{}{}", seen.stdout, seen.stderr);
    let said = line(&seen, "✖ CRD cloudoperations.cloudop.dev: ");
    assert!(said.contains("it lacks spec.suspend; "), "{said}");
    let fix = "kubectl apply --server-side --force-conflicts -f crds/cloudop.dev_cloudoperations.yaml";
    assert!(said.ends_with(fix), "{said}");
    assert_eq!(all.run(&["version"]).code, Some(1));
    // The command does what it says.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments: Vec<&str> = fix.split(' ').skip(1).collect();
    let (file, arguments) = arguments.split_last().unwrap();
    all.admin(&[arguments, &[&*folder.join(file).to_string_lossy()]].concat());
    assert_eq!(all.run(&["doctor"]).code, Some(0));
    // As Helm's the release is named.
    all.admin(&[
        "annotate",
        "crd",
        "cloudoperations.cloudop.dev",
        "meta.helm.sh/release-name=ours",
        "meta.helm.sh/release-namespace=there",
    ]);
    all.patch("crd", "cloudoperations.cloudop.dev", &json!([{"op": "remove", "path": SUSPEND}]));
    let seen = all.run(&["doctor"]);
    let said = line(&seen, "✖ CRD cloudoperations.cloudop.dev: ").to_owned();
    all.admin(&[
        "annotate",
        "crd",
        "cloudoperations.cloudop.dev",
        "meta.helm.sh/release-name-",
        "meta.helm.sh/release-namespace-",
    ]);
    assert!(said.ends_with("helm upgrade ours charts/cloudop --namespace there --reset-then-reuse-values"), "{said}");
}

#[test]
fn a_newer_definition_is_not_to_be_replaced() {
    let all = Installation::new();
    let newer = SUSPEND.replace("suspend", "pace");
    all.patch(
        "crd",
        "cloudoperations.cloudop.dev",
        &json!([{"op": "add", "path": newer, "value": {"type": "string"}}]),
    );
    let seen = all.run(&["doctor"]);
    let said = line(&seen, "✖ CRD cloudoperations.cloudop.dev: ").to_owned();
    assert!(said.ends_with("it has spec.pace beside; it is newer: use kubectl cloudop of its version"), "{said}");
    all.patch(
        "crd",
        "cloudoperations.cloudop.dev",
        &json!([{"op": "remove", "path": newer}, {"op": "remove", "path": SUSPEND}]),
    );
    let crd = ["label", "--overwrite", "crd", "cloudoperations.cloudop.dev"];
    all.admin(&[&crd[..], &["app.kubernetes.io/version=99.0.0"]].concat());
    let seen = all.run(&["doctor"]);
    let said = line(&seen, "✖ CRD cloudoperations.cloudop.dev: ").to_owned();
    assert!(said.contains("(it is of 99.0.0): it lacks spec.suspend; it is newer: "), "{said}");
}

#[test]
fn a_lease_that_nobody_renews_is_wrong() {
    let all = Installation::new();
    all.leads(Timestamp::now() - 10.minutes());
    let seen = all.run(&["doctor"]);
    assert_eq!(seen.code, Some(5));
    let said = line(&seen, "✖ Lease cloudop-system/cloudop: cloudop-7d9f-x leads since 2h 10m");
    assert!(said.contains("renewed 10m "), "{said}");
    assert!(
        said.contains(" ago: it leads no more, and nobody has taken over; the log says why: kubectl logs "),
        "{said}"
    );
    all.admin(&["patch", "lease", "cloudop", "--type=merge", "-p", r#"{"spec":{"holderIdentity":""}}"#]);
    line(&all.run(&["doctor"]), "✖ Lease cloudop-system/cloudop: nobody leads; ");
    all.admin(&["delete", "lease", "cloudop"]);
    line(&all.run(&["doctor"]), "✖ Lease cloudop-system/cloudop: nobody has led yet; ");
}

#[test]
fn a_leader_whose_clock_differs_leads_all_the_same() {
    let all = Installation::new();
    all.leads(Timestamp::now() - 10.minutes());
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| all.run(&["doctor"]));
        for _ in 0..5 {
            std::thread::sleep(std::time::Duration::from_secs(1));
            all.leads(Timestamp::now() - 10.minutes());
        }
        let seen = seen.join().unwrap();
        line(&seen, "✔ Lease cloudop-system/cloudop: ");
        assert_eq!(seen.code, Some(0), "{}", seen.stdout);
    });
}

#[test]
fn a_namespace_that_nobody_watches_is_wrong() {
    let all = Installation::new();
    let args = "/spec/template/spec/containers/0/args/-";
    all.patch(
        "deployment",
        "cloudop",
        &json!([
            {"op": "add", "path": args, "value": "--watch-namespaces=team-a,team-b"},
            {"op": "add", "path": args, "value": "--watch-label-selector=shard=a"},
        ]),
    );
    let seen = all.run(&["doctor"]);
    assert_eq!(seen.code, Some(5));
    assert!(line(&seen, "✔ Deployment ").ends_with("watches namespaces team-a, team-b for labels shard=a"));
    let expected = format!(
        "✖ namespace {}: no controller watches it; add it to watch.namespaces of release cloudop-system/cloudop",
        all.place.namespace
    );
    assert_eq!(line(&seen, "✖ namespace "), expected);
    let there = Place { cluster: all.place.cluster, namespace: "team-a".to_owned() }.run(&["doctor"]);
    assert_eq!(
        line(&there, "✔ namespace "),
        "✔ namespace team-a: watched by cloudop-system/cloudop for labels shard=a"
    );
}

#[test]
fn pods_that_are_not_ready_are_wrong_once_none_is() {
    let all = Installation::new();
    all.ready(1);
    let some = all.run(&["doctor"]);
    assert!(line(&some, "? Deployment ").contains("1 of 2 replicas ready"));
    assert_eq!(some.code, Some(0));
    all.ready(0);
    let none = all.run(&["doctor"]);
    assert!(line(&none, "✖ Deployment ").ends_with("kubectl describe deployment cloudop --namespace cloudop-system"));
    assert_eq!(none.code, Some(5));
}

#[test]
fn a_cluster_without_cloudop_is_told_how_to_get_it() {
    let all = Installation::new();
    all.admin(&["delete", "deployment", "cloudop"]);
    let seen = all.run(&["doctor"]);
    assert_eq!(seen.code, Some(5));
    line(&seen, "✖ controllers: there is no Deployment of cloudop; helm install cloudop charts/cloudop ");
    // One that runs elsewhere is seen by its Lease.
    line(&seen, "✔ Lease cloudop-system/cloudop: cloudop-7d9f-x leads");
}

#[test]
fn an_api_server_that_is_away_is_6() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a", "users": [{"name": "a", "user": {}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a", "namespace": "here"}}],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let run = |command: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_kubectl-cloudop"));
        Seen::of(&program.arg(command).arg("--kubeconfig").arg(&file).output().unwrap())
    };
    let doctor = run("doctor");
    assert_eq!(doctor.code, Some(6), "{}{}", doctor.stdout, doctor.stderr);
    line(&doctor, "✖ API server: cannot be reached: ");
    let version = run("version");
    assert_eq!((version.code, version.stdout), (Some(6), format!("✔ this program: {VERSION}\n")));
    assert_eq!(run("report").code, Some(6));
}

#[test]
fn the_way_to_a_cloud_is_looked_at_where_it_is_asked_for() {
    let all = Installation::new();
    let bed = Bed::new("");
    let place = Place { cluster: all.place.cluster, namespace: bed.namespace.clone() };
    let cloud = ["--provider", "otcCceJob", "--region", "eu-de", "-p", "projectId=p"];
    let reach = ["--allow-host", "localhost:*", "--allow-private-addresses", "127.0.0.0/8,::1/128"];
    let well = place.run(&[&["doctor", "--secret", SECRET], &cloud[..], &reach].concat());
    line(&well, "✔ Secret: ");
    assert!(!well.stdout.contains(TOKEN_OF_BED), "{}", well.stdout);
    assert_eq!(well.code, Some(0), "{}{}", well.stdout, well.stderr);
    let missing = place.run(&[&["doctor", "--secret", "none"], &cloud[..], &reach].concat());
    line(&missing, "✖ Secret: there is no Secret none");
    assert_eq!(missing.code, Some(5), "{}", missing.stdout);
}

#[test]
fn versions_that_do_not_go_together_are_1() {
    let all = Installation::new();
    let seen = all.run(&["version"]);
    let expected = format!(
        "✔ this program: {VERSION}\n✔ controller cloudop-system/cloudop: {VERSION}\n\
         ✔ CRD cloudoperations.cloudop.dev: served, and that of version {VERSION}\n\
         ✔ CRD operationprofiles.cloudop.dev: served, and that of version {VERSION}\n"
    );
    assert_eq!((seen.code, seen.stdout), (Some(0), expected));
    all.admin(&["label", "--overwrite", "deployment", "cloudop", "app.kubernetes.io/version=0.0.9"]);
    let seen = all.run(&["version"]);
    line(&seen, "✖ controller cloudop-system/cloudop: 0.0.9; upgrade the older");
    assert_eq!(seen.code, Some(1));
    let seen = all.run(&["version", "-o", "json"]);
    let value: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!((seen.code, &value["goTogether"]), (Some(1), &json!(false)));
    assert_eq!(value["controllers"][0]["version"], "0.0.9");
    assert!(all.run(&["version", "-o", "yaml"]).stdout.contains("goTogether: false"));
    // Without the label the image tells.
    all.admin(&["label", "deployment", "cloudop", "app.kubernetes.io/version-"]);
    assert_eq!(all.run(&["version"]).code, Some(0));
}

const TOKEN: &str = "t0p-Secret/Token+1=";
const PASSWORD: &str = "correct horse battery";

/// An operation whose texts hold its Secret's token in several spellings, as no cloud's reply that passed the controller
/// would.
fn leaky() -> Installation {
    let all = Installation::new();
    let place = &all.place;
    let mut status = failed();
    status["conditions"][0]["message"] = format!(
        r#"request {{"x-auth-token":"{TOKEN}"}} refused; see https://me:pw@x.example/?t=t0p-Secret%2FToken%2B1%3D"#
    )
    .into();
    place.operation("job", &status);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "otc"},
        "stringData": {"provider": "otcCceJob", "token": format!("{TOKEN}\n"), "password": PASSWORD},
    });
    place.kubectl(&["create", "-f", "-"], &secret.to_string());
    let [kubectl, own] = ["example.com/note", "cloudop.dev/requested-at"].map(|name| format!("{name}={TOKEN}"));
    place.kubectl(&["annotate", "cloudop", "job", &kubectl, &own], "");
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "job.1"}, "action": "Poll",
        "eventTime": "2026-11-27T00:00:00.000000Z", "reason": "Failed", "type": "Warning",
        "reportingController": "cloudop.dev/controller", "reportingInstance": "cloudop-7d9f-x",
        "note": format!("the password {PASSWORD} was refused"),
        "regarding": {"apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "name": "job",
                      "namespace": place.namespace},
    });
    place.kubectl(&["create", "-f", "-"], &event.to_string());
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "cloudop-7d9f-x", "namespace": SYSTEM, "labels": {
            "app.kubernetes.io/name": "cloudop", "app.kubernetes.io/instance": "cloudop"}},
        "spec": {"nodeName": "nowhere", "serviceAccountName": "cloudop",
                 "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                 "containers": [{"name": "controller", "image": "x", "securityContext": {
                     "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]},
    });
    let apply = ["apply", "-f", "-"];
    assert!(ControlPlane::shared().kubectl_stdin(&apply, &pod.to_string()).unwrap().success());
    all
}

/// No spelling of what is in the Secret.
#[track_caller]
fn holds_no_secret(text: &str) {
    for secret in [TOKEN, PASSWORD, "t0p-Secret", "me:pw", "dDBwLVNlY3JldC9Ub2tlbisxP"] {
        assert!(!text.contains(secret), "{secret}\n{text}");
    }
}

#[test]
fn a_report_has_what_is_asked_for_and_no_secret() {
    let all = leaky();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.yaml");
    let seen = all.run(&["report", "job", "--out", &file.to_string_lossy()]);
    assert_eq!(seen.code, Some(0), "{}{}", seen.stdout, seen.stderr);
    assert!(seen.stderr.contains("written; read it before you attach it"), "{}", seen.stderr);
    let text = std::fs::read_to_string(&file).unwrap();
    holds_no_secret(&text);
    let report: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(report["keysOfSecrets"]["otc"], json!(["password", "provider", "token"]));
    let object = &report["operations"][0]["object"];
    assert_eq!(object["spec"]["operationId"], "job-1");
    assert_eq!(object["metadata"]["managedFields"], Value::Null);
    let annotations = json!({"cloudop.dev/requested-at": "[redacted]", "example.com/note": "[left out]"});
    assert_eq!(object["metadata"]["annotations"], annotations);
    assert_eq!(
        object["status"]["conditions"][0]["message"],
        r#"request {"x-auth-token":"[redacted]"} refused; see https://[redacted]@x.example/?t=[redacted]"#
    );
    assert_eq!(report["operations"][0]["events"][0]["note"], "the password [redacted] was refused");
    assert_eq!(report["controllers"][0]["args"][0], "--leader-election");
    assert_eq!(report["versions"]["client"], VERSION);
    assert!(report["doctor"].as_array().unwrap().iter().any(|line| line["well"] != Value::Null));
    // There is no such node.
    let left_out = report["leftOut"].to_string();
    assert!(left_out.starts_with("[\"log of Pod cloudop-7d9f-x: "), "{left_out}");
    assert_eq!(report["leftOut"].as_array().unwrap().len(), 1, "{left_out}");
}

#[test]
fn a_report_says_what_was_left_out_and_shows_less_where_it_cannot_be_searched() {
    let all = leaky();
    let role = ["create", "role", "look", "--verb=get,list", "--resource=cloudoperations.cloudop.dev"];
    all.place.kubectl(&role, "");
    all.place.kubectl(&["create", "rolebinding", "look", "--role=look", "--user=looker"], "");
    let seen = all.run(&["report", "job", "jab", "--out", "-", "--as", "looker"]);
    assert_eq!(seen.code, Some(4), "{}{}", seen.stdout, seen.stderr);
    let report: Value = serde_saphyr::from_str(&seen.stdout).unwrap();
    let annotations = json!({"cloudop.dev/requested-at": "[left out]", "example.com/note": "[left out]"});
    assert_eq!(report["operations"][0]["object"]["metadata"]["annotations"], annotations);
    let left_out = report["leftOut"].to_string();
    for said in [
        "CloudOperation jab: there is none",
        "take the right to get secrets",
        "Events: take the right to list events.events.k8s.io",
        "take the right to list deployments in all namespaces",
    ] {
        assert!(left_out.contains(said), "{said}\n{left_out}");
        assert!(seen.stderr.contains(said), "{said}\n{}", seen.stderr);
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let program = || Command::new(env!("CARGO_BIN_EXE_kubectl-cloudop"));
    let written = program().args(["man", "--dir"]).arg(folder.path()).output().unwrap();
    assert_eq!(written.status.code(), Some(0), "{written:?}");
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(page("kubectl-cloudop.1").as_bytes(), program().arg("man").output().unwrap().stdout);
    for (name, section) in [
        ("kubectl-cloudop.1", "SUBCOMMANDS"),
        ("kubectl-cloudop-wait.1", "OPTIONS"),
        ("kubectl-cloudop-profile-test.1", "SYNOPSIS"),
    ] {
        assert!(page(name).contains(&format!(".SH {section}")), "{name}\n{}", page(name));
    }
    assert!(page("kubectl-cloudop-wait.1").contains("kubectl cloudop wait"), "{}", page("kubectl-cloudop-wait.1"));
}
