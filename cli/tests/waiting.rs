//! What a pipeline sees of waiting: lines and exit codes, on the real API server. The statuses are written as the
//! controller writes them; what it writes when is held by the controller's own tests.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

mod place;

use place::{Place, Seen, failed, running, status, succeeded};

/// The situations of the readers' table, and their exit codes.
#[rstest]
#[case::created(None, 3)]
#[case::running(Some(running()), 3)]
#[case::failing_polls(Some(status("Running", ("Unknown", "PollFailing"), "m", &[("Reconciling", "True", "ProgressingWithRetry")])), 3)]
#[case::no_secret_yet(Some(status("Pending", ("Unknown", "CredentialsInvalid"), "m", &[("Reconciling", "True", "ProgressingWithRetry")])), 3)]
#[case::no_secret_for_long(Some(status("Pending", ("Unknown", "CredentialsInvalid"), "m", &[("Stalled", "True", "CredentialsNotFound")])), 5)]
#[case::blocked(Some(status("Blocked", ("Unknown", "Blocked"), "m", &[("Stalled", "True", "OperationBlocked")])), 5)]
#[case::no_progress(Some(status("Running", ("Unknown", "Running"), "m", &[("Stalled", "True", "NoProgress")])), 5)]
#[case::unknown_word(Some(status("Running", ("Unknown", "UnrecognizedState"), "m", &[("Reconciling", "True", "Progressing")])), 3)]
#[case::suspended(Some(status("Running", ("Unknown", "Suspended"), "m", &[])), 3)]
#[case::succeeded(Some(succeeded()), 0)]
#[case::failed(Some(failed()), 1)]
#[case::cancelled(Some(status("Failed", ("False", "OperationCancelled"), "m", &[])), 1)]
#[case::deadline(Some(status("Failed", ("False", "DeadlineExceeded"), "m", &[])), 3)]
#[case::not_found(Some(status("Failed", ("False", "OperationNotFound"), "m", &[])), 4)]
#[case::expired(Some(status("Failed", ("False", "OperationExpired"), "m", &[])), 4)]
fn each_situation_has_its_exit_code(#[case] status: Option<Value>, #[case] code: i32) {
    let place = Place::new();
    place.operation("job", &status.unwrap_or_else(|| json!({})));
    let seen = place.run(&["wait", "job", "--timeout", "2s"]);
    assert_eq!(seen.code, Some(code), "{}{}", seen.stdout, seen.stderr);
}

#[test]
fn a_failure_says_its_cause_and_what_to_do() {
    let place = Place::new();
    place.operation("job", &failed());
    let seen = place.run(&["wait", "job"]);
    assert_eq!(
        seen.stdout,
        "✖ job failed: Failed, OperationFailed: OTC says Failed (1/3): Quota exceeded for cores\n  \
         sub-job: CreateNodeVM (j-2): Quota exceeded\n  \
         code: CCE.03400013\n  \
         message: Quota exceeded for cores\n  \
         request ID: r-1\n  \
         next: look at the cause at the cloud, start it again there, and follow the new operation by a new CloudOperation\n"
    );
    assert_eq!(seen.stderr, "job: Failed, OperationFailed: OTC says Failed (1/3): Quota exceeded for cores\n");
}

#[test]
fn changes_are_told_as_they_happen_and_the_end_ends_it() {
    let place = Place::new();
    place.operation("job", &running());
    let waiting =
        place.command(&["wait", "cloudop/job"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_secs(2));
    place.write("job", &succeeded());
    let seen = Seen::of(&waiting.wait_with_output().unwrap());
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    assert_eq!(seen.stderr, "job: Running: OTC says Running (2/4)\njob: Succeeded: OTC says Success (4/4)\n");
    assert_eq!(seen.stdout, "✔ job succeeded: Succeeded: OTC says Success (4/4)\n");
}

#[test]
fn a_result_of_an_older_spec_is_none() {
    let place = Place::new();
    place.operation("job", &succeeded());
    place.kubectl(&["patch", "cloudop", "job", "--type=merge", "-p", r#"{"spec":{"pollIntervalSeconds":7}}"#], "");
    assert_eq!(place.run(&["wait", "job", "--timeout", "1s"]).code, Some(3));
}

#[test]
fn who_is_patient_waits_for_a_person() {
    let place = Place::new();
    place.operation("job", &status("Blocked", ("Unknown", "Blocked"), "m", &[("Stalled", "True", "OperationBlocked")]));
    assert_eq!(place.run(&["wait", "job", "--patient", "--timeout", "1s"]).code, Some(3));
}

#[test]
fn labelled_operations_are_one_gate_that_opens_with_the_last() {
    let place = Place::new();
    place.operation("one", &succeeded());
    place.operation("two", &running());
    assert_eq!(place.run(&["wait", "-l", "batch=a", "--timeout", "1s"]).code, Some(3));
    place.write("two", &succeeded());
    let seen = place.run(&["wait", "--selector", "batch=a", "-o", "name"]);
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    assert_eq!(seen.stdout, "cloudoperation.cloudop.dev/one\ncloudoperation.cloudop.dev/two\n");
    place.operation("three", &failed());
    assert_eq!(place.run(&["wait", "--all"]).code, Some(1));
    assert_eq!(place.run(&["wait", "one", "two"]).code, Some(0));
    let none = place.run(&["wait", "-l", "batch=b", "--for-create", "1s"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(4), "? there are no such CloudOperations\n"));
}

#[test]
fn what_does_not_exist_is_waited_for_a_while() {
    let place = Place::new();
    let seen = place.run(&["wait", "job", "--for-create", "1s"]);
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(4), "? job: there is no such CloudOperation\n"));
    let waiting = place.command(&["wait", "job"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_secs(1));
    place.operation("job", &succeeded());
    assert_eq!(Seen::of(&waiting.wait_with_output().unwrap()).code, Some(0));
}

#[test]
fn what_is_deleted_before_its_end_has_an_unknown_outcome() {
    let place = Place::new();
    place.operation("job", &running());
    let waiting = place.command(&["wait", "job"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_secs(2));
    place.kubectl(&["delete", "cloudop", "job"], "");
    let seen = Seen::of(&waiting.wait_with_output().unwrap());
    assert_eq!(seen.code, Some(4), "{}", seen.stderr);
    assert!(seen.stdout.starts_with("? job was deleted"), "{}", seen.stdout);
}

#[test]
fn ctrl_c_ends_it_with_130() {
    let place = Place::new();
    place.operation("job", &running());
    let waiting = place.command(&["wait", "job"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_secs(2));
    assert!(Command::new("kill").args(["-INT", &waiting.id().to_string()]).status().unwrap().success());
    assert_eq!(Seen::of(&waiting.wait_with_output().unwrap()).code, Some(130));
}

#[test]
fn objects_are_printed_whole_and_alone_on_standard_output() {
    let place = Place::new();
    place.operation("job", &failed());
    let seen = place.run(&["wait", "job", "-o", "json"]);
    let object: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!((seen.code, &object["status"]["phase"]), (Some(1), &json!("Failed")));
    assert!(seen.stderr.contains("next: look at the cause"), "{}", seen.stderr);
    assert!(place.run(&["wait", "job", "-o", "yaml"]).stdout.contains("phase: Failed"));
}

#[test]
fn a_run_of_github_actions_is_told_of_a_failure() {
    let place = Place::new();
    place.operation("job", &failed());
    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("summary");
    let mut command = place.command(&["wait", "job"]);
    let seen = Seen::of(&command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary).output().unwrap());
    assert_eq!(seen.code, Some(1));
    assert!(
        seen.stdout.contains("::error title=job failed::Failed, OperationFailed: OTC says Failed"),
        "{}",
        seen.stdout
    );
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.starts_with("### job failed\n\n- Failed, OperationFailed: OTC says"), "{summary}");
}

#[test]
fn a_cluster_that_refuses_or_is_not_there_is_the_clusters_trouble() {
    let place = Place::new();
    let refused = place.run(&["wait", "job", "--as", "nobody"]);
    assert_eq!(refused.code, Some(6));
    assert!(refused.stderr.starts_with("error: you may not list CloudOperations: "), "{}", refused.stderr);
    let missing = Command::new(env!("CARGO_BIN_EXE_kubectl-cloudop"))
        .args(["wait", "job", "--kubeconfig", "/nowhere/config"])
        .output()
        .unwrap();
    let missing = Seen::of(&missing);
    assert_eq!(missing.code, Some(6));
    assert!(missing.stderr.starts_with("error: no cluster is known: "), "{}", missing.stderr);
    let other = place.run(&["explain", "job", "--context", "other"]);
    assert_eq!(other.code, Some(6), "{}", other.stderr);
}

#[test]
fn a_cluster_that_cannot_be_reached_is_no_missing_operation() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}], "users": [{"name": "a", "user": {}}]});
    std::fs::write(&file, config.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-cloudop"))
        .args(["wait", "job", "--timeout", "4s", "--kubeconfig", &file.to_string_lossy()])
        .output()
        .unwrap();
    let seen = Seen::of(&output);
    assert_eq!(seen.code, Some(6), "{}{}", seen.stdout, seen.stderr);
    assert!(
        seen.stderr.contains("error: the API server gave no list of CloudOperations within 4 s"),
        "{}",
        seen.stderr
    );
}

#[rstest]
#[case(&["wait"])]
#[case(&["wait", "job", "--all"])]
#[case(&["wait", "job", "--timeout", "soon"])]
#[case(&["unknown"])]
#[case(&["follow", "otcCceJob"])]
fn a_wrong_command_line_is_2(#[case] arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-cloudop")).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_operation_is_explained_in_words() {
    let place = Place::new();
    place.operation("job", &failed());
    let seen = place.run(&["explain", "job"]);
    assert_eq!(seen.code, Some(1));
    let lines: Vec<&str> = seen.stdout.lines().collect();
    assert_eq!(lines[0], "CloudOperation job follows job-1 (otcCceJob).");
    assert!(lines[1].contains(" ago, and did not succeed: OTC says Failed (1/3)"), "{}", seen.stdout);
    assert!(seen.stdout.contains("Next: look at the cause at the cloud"), "{}", seen.stdout);
    let missing = place.run(&["explain", "jab"]);
    assert_eq!(missing.code, Some(4));
    assert_eq!(missing.stdout, format!("There is no CloudOperation jab in namespace {}.\n", place.namespace));
    place.operation("new", &json!({}));
    assert!(place.run(&["explain", "new"]).stdout.contains("The controller has not looked at it yet"));
}

#[test]
fn operations_are_polled_suspended_and_resumed() {
    let place = Place::new();
    place.operation("job", &running());
    let said = place.run(&["poll", "job", "jab"]);
    assert_eq!(said.code, Some(4), "{}", said.stderr);
    assert_eq!(said.stdout, "cloudoperation.cloudop.dev/job will be polled now\n");
    let get = |path: &str| place.kubectl(&["get", "cloudop", "job", "-o", &format!("jsonpath={path}")], "");
    assert!(!get(r"{.metadata.annotations.cloudop\.dev/requested-at}").is_empty());
    assert_eq!(place.run(&["suspend", "job"]).code, Some(0));
    assert_eq!(get("{.spec.suspend}"), "true");
    assert_eq!(place.run(&["resume", "job"]).code, Some(0));
    assert_eq!(get("{.spec.suspend}"), "false");
}

#[test]
fn an_operation_is_followed_from_its_id_and_found_again() {
    let place = Place::new();
    let arguments =
        ["follow", "otcCceJob", "job-7", "--secret", "otc", "--region", "eu-de", "-p", "projectId=p", "--wait=false"];
    let created = place.run(&arguments);
    assert_eq!(created.code, Some(0), "{}", created.stderr);
    let name = created.stdout.trim().strip_prefix("cloudoperation.cloudop.dev/").unwrap().to_owned();
    assert!(name.starts_with("otc-cce-job-"), "{name}");
    assert_eq!(created.stderr, format!("{name}: created\n"));
    let again = place.run(&arguments);
    assert_eq!(again.stderr, format!("{name}: is there already, and follows the same\n"));
    let other = [&arguments[..2], &["job-8"], &arguments[3..], &["--name", &name]].concat();
    let other = place.run(&other);
    assert_eq!(other.code, Some(2));
    assert!(other.stderr.contains("follows another operation"), "{}", other.stderr);
    place.write(&name, &succeeded());
    let waited = [&arguments[..arguments.len() - 1], &["--rm"]].concat();
    assert_eq!(place.run(&waited).code, Some(0));
    assert_eq!(place.kubectl(&["get", "cloudop", "-o", "name"], ""), "");
}

#[test]
fn a_reply_is_enough_to_follow_what_it_started() {
    let place = Place::new();
    let follow = |provider: &str, reply: &str, more: &[&str]| {
        let arguments = [&["follow", provider, "-", "--secret", "s", "--dry-run", "-o", "json"], more].concat();
        let mut command = place.command(&arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), reply.as_bytes()).unwrap();
        Seen::of(&child.wait_with_output().unwrap())
    };
    let otc = follow(
        "otcCceJob",
        r#"{"kind":"Cluster","status":{"jobID":"job-9"}}"#,
        &["-p", "region=eu-de", "-p", "projectId=p"],
    );
    let object: Value = serde_json::from_str(&otc.stdout).unwrap();
    assert_eq!(object["spec"]["operationId"], "job-9");
    assert_eq!(object["spec"]["provider"], json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}}));
    let lacking = follow("otcCceJob", r#"{"status":{"jobID":"job-9"}}"#, &["--region", "eu-de"]);
    assert_eq!(lacking.code, Some(2));
    assert!(lacking.stderr.contains("missing field `projectId`"), "{}", lacking.stderr);
    assert_eq!(follow("otcCceJob", "{}", &[]).code, Some(2));

    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/gke.yaml");
    place.kubectl(&["apply", "-f", &profile.to_string_lossy()], "");
    let reply = r#"{"name":"operation-1-a","operationType":"UPGRADE_MASTER","status":"RUNNING"}"#;
    let gke = follow("gke", reply, &["-p", "project=p", "-p", "location=l"]);
    let object: Value = serde_json::from_str(&gke.stdout).unwrap();
    assert_eq!(object["spec"]["operationId"], "operation-1-a");
    assert_eq!(object["spec"]["provider"]["declared"]["profile"], "gke");
    let unknown = follow("gkes", reply, &[]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("neither a built-in provider"), "{}", unknown.stderr);
}

#[test]
fn kubectl_finds_it_on_the_path() {
    let place = Place::new();
    place.operation("job", &succeeded());
    let own = Path::new(env!("CARGO_BIN_EXE_kubectl-cloudop")).parent().unwrap();
    let kubectl = place.cluster.bin("kubectl").unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(own.to_owned()).chain(std::env::split_paths(&path))).unwrap();
    let output = Command::new(kubectl)
        .args(["cloudop", "wait", "job", "--namespace", &place.namespace])
        .env("PATH", path)
        .env("KUBECONFIG", place.cluster.kubeconfig())
        .output()
        .unwrap();
    let seen = Seen::of(&output);
    assert_eq!(
        (seen.code, seen.stdout.as_str()),
        (Some(0), "✔ job succeeded: Succeeded: OTC says Success (4/4)\n"),
        "{}",
        seen.stderr
    );
}

/// With the rights of examples/gates/role.yaml and no others.
#[test]
fn a_pipeline_needs_no_more_than_its_role() {
    let place = Place::new();
    let role = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/gates/role.yaml");
    place.kubectl(&["apply", "-f", &role.to_string_lossy()], "");
    place.kubectl(&["create", "serviceaccount", "pipeline"], "");
    let account = format!("--serviceaccount={}:pipeline", place.namespace);
    place.kubectl(&["create", "rolebinding", "pipeline", "--role=cloudop-pipeline", &account], "");
    let user = format!("system:serviceaccount:{}:pipeline", place.namespace);
    let own = |arguments: &[&str]| place.run(&[arguments, &["--as", &user]].concat());
    let follow =
        ["follow", "otcCceJob", "job-7", "--secret", "otc", "--region", "eu-de", "-p", "projectId=p", "--name", "job"];
    assert_eq!(own(&[&follow[..], &["--wait=false"]].concat()).code, Some(0));
    assert_eq!(own(&["poll", "job"]).code, Some(0));
    assert_eq!(own(&["wait", "job", "--timeout", "1s"]).code, Some(3));
    place.write("job", &succeeded());
    // The poll that was asked for has no generation of its own.
    assert_eq!(own(&["explain", "job"]).code, Some(0));
    assert_eq!(own(&[&follow[..], &["--rm"]].concat()).code, Some(0));
    let status = place.cluster.kubectl(&[
        "--namespace",
        &place.namespace,
        "auth",
        "can-i",
        "update",
        "cloudoperations/status",
        "--as",
        &user,
    ]);
    assert_eq!(status.unwrap().stdout.trim(), "no");
}

#[test]
fn parts_are_shown_as_a_tree() {
    let place = Place::new();
    place.operation("job", &failed());
    let seen = place.run(&["tree", "job"]);
    assert_eq!(seen.code, Some(0));
    assert!(seen.stdout.ends_with("\n└─ ✖ CreateNodeVM: Quota exceeded\n"), "{}", seen.stdout);
    assert_eq!(place.run(&["tree", "jab"]).code, Some(4));
}
