//! When clouds and the API server are asked, and when not: counted by the simulated clouds and by the audit log of the
//! real API server.

use std::thread::sleep;
use std::time::{Duration, Instant};

use cloudop_simulator::{Account, Cloud, Fault, Key, Matcher, Operation, RecordedRequest, Scope, Stage, Task, Times};
use cloudop_testbed::{AuditLog, Bed, SECRET, TOKEN, condition, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const ID: &str = "354331b2-229a-11e8-9c75-0255ac100ceb";
const LIMIT: Duration = Duration::from_secs(60);
/// For how long something is watched that must not happen: several times the shortest poll interval.
const QUIET: Duration = Duration::from_secs(4);
const HOURLY: &str = "pollIntervalSeconds: 3600";
const EVERY_SECOND: &str = "pollIntervalSeconds: 1";

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A job in a project of its own, which runs until it is told to succeed.
fn job(bed: &Bed, project: &str) -> Key {
    let job = Operation::new(Cloud::OtcCceJob, Scope::otc(project), ID).kind("CreateCluster");
    bed.simulator.put(job.stage(Stage::state("Running")).stage(Stage::state("Success")))
}

/// A CloudOperation that follows the job of `project`.
fn following(name: &str, project: &str, more: &str) -> String {
    Bed::operation(name, &format!("otcCceJob: {{region: eu-de, projectId: {project}}}"), ID, more)
}

fn by_secret(manifest: &str, secret: &str) -> String {
    manifest.replace(&format!("credentialsRef: {{name: {SECRET}}}"), &format!("credentialsRef: {{name: {secret}}}"))
}

fn about(project: &str) -> Matcher {
    Matcher::path(format!("/projects/{project}/"))
}

/// Waits until `count` requests about `project` have been counted.
#[track_caller]
fn until_asked(bed: &Bed, project: &str, count: usize) {
    eventually(LIMIT, &format!("{count} requests about {project}"), || match bed.simulator.count(about(project)) {
        n if n >= count => Ok(()),
        n => Err(format!("{n} so far")),
    });
}

#[track_caller]
fn patch(bed: &Bed, name: &str, patch: &Value) {
    let output = bed.kubectl(&["patch", "cloudop", name, "--type=merge", "-p", &patch.to_string()]);
    assert!(output.success(), "{}", output.stderr);
}

#[track_caller]
fn request_poll(bed: &Bed, name: &str, token: &str) {
    patch(bed, name, &json!({"metadata": {"annotations": {"cloudop.dev/requested-at": token}}}));
}

/// The controller's requests to the API server since `start`.
fn asked_since(bed: &Bed, start: Timestamp) -> AuditLog {
    let start = start.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    bed.asked().keep(|event| event.received >= start)
}

fn writes(log: AuditLog) -> AuditLog {
    log.keep(|event| ["create", "update", "patch", "delete"].contains(&event.verb.as_str()))
}

fn reads_of_secrets(bed: &Bed) -> usize {
    bed.asked().resource("secrets").len()
}

#[track_caller]
fn message(status: &Value, kind: &str) -> String {
    condition(status, kind).and_then(|c| c["message"].as_str()).unwrap_or_default().to_owned()
}

#[test]
fn a_hundred_unchanged_polls_cost_the_api_server_no_write_and_at_most_one_read_a_minute() {
    let bed = bed();
    let start = Instant::now();
    let _controller = bed.controller(&["--requests-per-second=100", "--burst=100"]);
    let projects: Vec<String> = (0..10).map(|n| format!("p{n}")).collect();
    for project in &projects {
        job(&bed, project);
        bed.apply(&following(project, project, EVERY_SECOND));
    }
    for project in &projects {
        bed.until_reason(project, "Succeeded", "Running");
    }
    // Events follow the status they tell of.
    eventually(LIMIT, "an Event for each", || match writes(bed.asked()).resource("events").len() {
        10 => Ok(()),
        n => Err(format!("{n}")),
    });
    let quiet = Timestamp::now();
    bed.simulator.reset_counts();
    eventually(LIMIT, "100 polls", || match bed.simulator.count(Matcher::any()) {
        n if n >= 100 => Ok(()),
        n => Err(format!("{n}")),
    });
    assert!(bed.simulator.requests().iter().all(|request| request.status == 200));
    let asked = asked_since(&bed, quiet).keep(|event| event.resource != "secrets");
    assert!(asked.is_empty(), "{asked:#?}");
    let minutes = usize::try_from(start.elapsed().as_secs() / 60).unwrap();
    assert!((1..=1 + minutes).contains(&reads_of_secrets(&bed)), "{:#?}", bed.asked().resource("secrets"));
}

#[test]
fn two_objects_of_one_operation_cost_one_request_a_period() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let key = job(&bed, "p1");
    for name in ["first", "second"] {
        bed.apply(&following(name, "p1", "pollIntervalSeconds: 2"));
    }
    for name in ["first", "second"] {
        bed.until_reason(name, "Succeeded", "Running");
    }
    // Within one period the two have fallen into step.
    let before = bed.simulator.count(about("p1"));
    until_asked(&bed, "p1", before + 2);
    bed.simulator.reset_counts();
    until_asked(&bed, "p1", 5);
    let requests = bed.simulator.requests();
    let four_periods = requests[4].at - requests[0].at;
    assert!(four_periods > Duration::from_millis(7500), "{four_periods:?} for four periods of 2 s");
    assert!(bed.simulator.advance(&key));
    for name in ["first", "second"] {
        bed.until_reason(name, "Succeeded", "OperationSucceeded");
    }
}

#[test]
fn twenty_operations_of_one_collection_cost_one_list_request_a_period() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let names: Vec<String> = (0..20).map(|n| format!("task-{n}")).collect();
    let keys: Vec<Key> = names
        .iter()
        .map(|name| {
            let task = Operation::new(Cloud::SbercloudOpenshiftTask, Scope::sbercloud("service"), name);
            bed.simulator.put(task.stage(Stage::state("running")).stage(Stage::state("done")))
        })
        .collect();
    let provider = "sbercloudOpenshiftTask: {serviceInstanceId: service}";
    let manifests = names.iter().map(|name| Bed::operation(name, provider, name, "pollIntervalSeconds: 2"));
    bed.apply(&manifests.collect::<Vec<_>>().join("---\n"));
    for name in &names {
        bed.until_reason(name, "Succeeded", "Running");
    }
    let lists = || bed.simulator.count(Matcher::lists());
    let until_lists = |count| eventually(LIMIT, "lists", || if lists() >= count { Ok(()) } else { Err(String::new()) });
    // Within a period or two all have fallen into step.
    until_lists(lists() + 3);
    bed.simulator.reset_counts();
    until_lists(5);
    let requests = bed.simulator.requests();
    assert!(requests.iter().all(|request| request.id.is_none()), "{requests:#?}");
    let four_periods = requests[4].at - requests[0].at;
    assert!(four_periods > Duration::from_millis(7000), "{four_periods:?} for four periods of 2 s");
    assert!(bed.simulator.advance(&keys[7]));
    bed.until_reason("task-7", "Succeeded", "OperationSucceeded");
    assert_eq!(bed.get("task-8").unwrap()["status"]["phase"], "Running");
}

#[test]
fn after_a_restart_all_are_back_on_schedule_at_the_usual_rate() {
    let bed = bed();
    let flags = ["--requests-per-second=100", "--burst=100"];
    let controller = bed.controller(&flags);
    let projects: Vec<String> = (0..60).map(|n| format!("p{n}")).collect();
    projects.iter().for_each(|project| drop(job(&bed, project)));
    let manifests = projects.iter().map(|project| following(project, project, "pollIntervalSeconds: 6"));
    bed.apply(&manifests.collect::<Vec<_>>().join("---\n"));
    bed.until_reason("p59", "Succeeded", "Running");
    until_asked(&bed, "p59", 2);
    controller.kill().unwrap();
    bed.simulator.reset_counts();
    let _next = bed.controller(&flags);
    let all_but = || projects.iter().filter(|project| bed.simulator.count(about(project)) == 0).count();
    eventually(LIMIT, "all asked for", || if all_but() == 0 { Ok(()) } else { Err(format!("{} not", all_but())) });
    let requests = bed.simulator.requests();
    let (first, last) = (requests[0].at, requests[requests.len() - 1].at);
    assert!((last - first) < Duration::from_millis(7000), "{:?} for a period of 6 s", last - first);
    let in_a_period = requests.iter().filter(|request| request.at - first < Duration::from_secs(6)).count();
    assert!(in_a_period <= 66, "{in_a_period} requests in a period, 60 are usual");
    let busiest = (0..5)
        .map(|second| {
            let span = Duration::from_secs(second)..Duration::from_secs(second + 1);
            requests.iter().filter(|request| span.contains(&(request.at - first))).count()
        })
        .max();
    assert!(busiest < Some(30), "{busiest:?} requests in one second, 10 are usual: no stampede");
    assert_eq!(bed.events("p3"), ["Tracking"]);
}

#[test]
fn neither_the_controllers_own_writes_nor_labels_cause_a_poll_but_an_annotation_does_at_once() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let key = job(&bed, "p1");
    bed.apply(&following("job", "p1", HOURLY));
    bed.until_reason("job", "Succeeded", "Running");
    let label = bed.kubectl(&["label", "cloudop", "job", "team=blue"]);
    assert!(label.success(), "{}", label.stderr);
    sleep(QUIET);
    assert_eq!(bed.simulator.count(Matcher::any()), 1);
    assert_eq!(writes(bed.asked()).subresource("status").len(), 1);

    request_poll(&bed, "job", "monday");
    bed.until("job", "the request is echoed", |status| status["lastHandledRequest"] == "monday");
    assert_eq!(bed.simulator.count(Matcher::any()), 2);
    sleep(QUIET);
    assert_eq!(bed.simulator.count(Matcher::any()), 2, "one request is one poll");
    assert_eq!(writes(bed.asked()).subresource("status").len(), 2);

    assert!(bed.simulator.advance(&key));
    request_poll(&bed, "job", "tuesday");
    let status = bed.until_reason("job", "Succeeded", "OperationSucceeded");
    assert_eq!(status["lastHandledRequest"], "tuesday");
}

#[test]
fn one_connection_is_kept_alive() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    job(&bed, "p1");
    bed.apply(&following("job", "p1", EVERY_SECOND));
    until_asked(&bed, "p1", 6);
    assert_eq!(bed.simulator.connections(), 1);
}

#[test]
fn suspend_stops_requests_and_resume_goes_on() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let key = job(&bed, "p1");
    bed.apply(&following("job", "p1", EVERY_SECOND));
    bed.until_reason("job", "Succeeded", "Running");
    patch(&bed, "job", &json!({"spec": {"suspend": true}}));
    let status = bed.until_reason("job", "Succeeded", "Suspended");
    assert_eq!(condition(&status, "Finished").unwrap()["status"], "False");
    assert_eq!(condition(&status, "UpstreamReachable").unwrap()["reason"], "Suspended");
    assert_eq!(status["phase"], "Running", "the last that is known");
    let before = bed.simulator.count(Matcher::any());
    assert!(bed.simulator.advance(&key));
    request_poll(&bed, "job", "please");
    sleep(QUIET);
    assert_eq!(bed.simulator.count(Matcher::any()), before);
    patch(&bed, "job", &json!({"spec": {"suspend": false}}));
    bed.until_reason("job", "Succeeded", "OperationSucceeded");
}

#[test]
fn another_secret_named_by_the_spec_is_used_at_once() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    bed.simulator.grant_token("another");
    bed.secret("other", &[("token", "another")]);
    job(&bed, "p1");
    bed.apply(&following("job", "p1", HOURLY));
    bed.until_reason("job", "Succeeded", "Running");
    patch(&bed, "job", &json!({"spec": {"credentialsRef": {"name": "other"}}}));
    until_asked(&bed, "p1", 2);
    let tokens: Vec<_> =
        bed.simulator.requests().iter().map(|r| r.header("X-Auth-Token").unwrap().to_owned()).collect();
    assert_eq!(tokens, [TOKEN, "another"]);
}

#[test]
fn a_token_that_was_renewed_in_the_secret_is_used_at_once_when_the_old_one_is_refused() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let key = job(&bed, "p1");
    bed.apply(&following("job", "p1", EVERY_SECOND));
    bed.until_reason("job", "Succeeded", "Running");
    until_asked(&bed, "p1", 2);
    let quiet = Timestamp::now();
    bed.simulator.grant_token("renewed");
    bed.secret(SECRET, &[("token", "renewed")]);
    bed.simulator.revoke_token(TOKEN);
    bed.simulator.reset_counts();
    until_asked(&bed, "p1", 4);
    let requests: Vec<_> = bed.simulator.requests();
    let statuses: Vec<u16> = requests.iter().take(4).map(|request| request.status).collect();
    assert_eq!(statuses, [401, 200, 200, 200]);
    let wait = requests[1].at - requests[0].at;
    assert!(wait < Duration::from_secs(3), "at once, not after {wait:?}");
    assert!(writes(asked_since(&bed, quiet)).is_empty(), "nobody needs to know");
    assert!(bed.simulator.advance(&key));
    bed.until_reason("job", "Succeeded", "OperationSucceeded");
}

#[test]
fn a_credential_that_is_refused_to_many_is_looked_for_in_the_secret_once() {
    let bed = bed();
    bed.secret("wrong", &[("token", "wrong-token")]);
    let names: Vec<String> = (0..30).map(|n| format!("job-{n}")).collect();
    names.iter().for_each(|name| drop(job(&bed, name)));
    let manifests: Vec<String> = names.iter().map(|name| by_secret(&following(name, name, HOURLY), "wrong")).collect();
    bed.apply(&manifests.join("---\n"));
    let start = Instant::now();
    // Five a second after ten at once are the defaults.
    let _controller = bed.controller(&[]);
    for name in &names {
        bed.until_reason(name, "UpstreamReachable", "Unauthorized");
    }
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    let reads = reads_of_secrets(&bed);
    assert!(reads <= 2 + seconds / 5, "{reads} reads of the Secret for 30 objects within {seconds} s");
}

#[test]
fn a_secret_that_cannot_be_used_is_named_with_its_key_and_heals_when_it_is_mended() {
    let bed = bed();
    let endpoint = bed.simulator.url();
    let plain = endpoint.replace("https", "http");
    // Name, what the Secret holds, the reason, and what the message names.
    let cases: [(&str, Option<Value>, &str, &[&str]); 10] = [
        ("missing", None, "CredentialsNotFound", &["Secret missing"]),
        ("empty", Some(json!({})), "CredentialsIncomplete", &["token"]),
        ("blank", Some(json!({"token": "\n"})), "CredentialsIncomplete", &["token"]),
        ("spaced", Some(json!({"token": "open sesame"})), "CredentialsIncomplete", &["token"]),
        ("half", Some(json!({"accessKey": "hush-a"})), "CredentialsIncomplete", &["accessKey", "secretKey"]),
        (
            "two",
            Some(json!({"token": "hush-t", "accessKey": "hush-a", "secretKey": "hush-s"})),
            "CredentialsIncomplete",
            &["token", "accessKey"],
        ),
        ("refused", Some(json!({"token": "hush-r", "endpoint": endpoint})), "Unauthorized", &["token"]),
        (
            "elsewhere",
            Some(json!({"token": "hush-e", "endpoint": "https://cloud.example"})),
            "EndpointRefused",
            &["endpoint", "--allow-host cloud.example"],
        ),
        ("plain", Some(json!({"token": "hush-p", "endpoint": plain})), "EndpointRefused", &["endpoint", "https"]),
        ("binary", Some(json!({})), "CredentialsIncomplete", &["token"]),
    ];
    for (name, data, ..) in &cases {
        job(&bed, name);
        bed.apply(&by_secret(&following(name, name, EVERY_SECOND), name));
        let Some(data) = data else { continue };
        let mut data = data.clone();
        if *name == "refused" {
            data["ca.crt"] = Value::from(bed.simulator.ca_pem());
        }
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        if *name == "binary" {
            // The bytes ff fe fd.
            secret["data"] = json!({"token": "//79"});
        }
        bed.apply(&secret.to_string());
    }
    job(&bed, "newline");
    bed.secret("newline", &[("token", &format!("{TOKEN}\r\n"))]);
    bed.apply(&by_secret(&following("newline", "newline", EVERY_SECOND), "newline"));
    let _controller = bed.controller(&[]);
    for (name, _, reason, named) in &cases {
        let status = bed.until_reason(name, "UpstreamReachable", reason);
        assert_eq!(condition(&status, "UpstreamReachable").unwrap()["status"], "False", "{name}");
        assert_eq!(condition(&status, "Succeeded").unwrap()["reason"], "CredentialsInvalid", "{name}");
        assert_eq!(condition(&status, "Succeeded").unwrap()["status"], "Unknown", "{name}");
        assert_eq!(condition(&status, "Ready").unwrap()["status"], "Unknown", "{name}: within its grace");
        let message = message(&status, "UpstreamReachable");
        for word in *named {
            assert!(message.contains(word), "{name}: {word} in {message:?}");
        }
        assert!(!status.to_string().contains("hush"), "{name}: {status}");
    }
    bed.until_reason("newline", "Succeeded", "Running");
    let asked: Vec<_> =
        bed.simulator.requests().into_iter().filter_map(|request| request.id.map(|_| request.path_and_query)).collect();
    assert!(asked.iter().all(|path| ["/refused/", "/newline/"].iter().any(|known| path.contains(known))), "{asked:?}");
    for (name, ..) in &cases {
        let deleted = bed.kubectl(&["delete", "secret", name, "--ignore-not-found"]);
        assert!(deleted.success(), "{}", deleted.stderr);
        bed.secret(name, &[("token", TOKEN)]);
    }
    for (name, ..) in &cases {
        let status = bed.until_reason(name, "Succeeded", "Running");
        assert_eq!(condition(&status, "UpstreamReachable").unwrap()["status"], "True", "{name}");
    }
    eventually(LIMIT, "Recovered", || {
        let events = bed.events("missing");
        if events == ["CredentialsInvalid", "Tracking", "Recovered"] { Ok(()) } else { Err(format!("{events:?}")) }
    });
}

#[test]
fn a_deadline_ends_what_runs_too_long_and_what_cannot_be_seen() {
    let bed = bed();
    let controller = bed.controller(&[]);
    controller.wait_for_log("started", LIMIT).unwrap();
    bed.simulator.fault(Fault::Reset, about("unseen"), Times::Forever);
    for name in ["slow", "unseen"] {
        job(&bed, name);
        bed.apply(&following(name, name, "pollIntervalSeconds: 3600\nactiveDeadlineSeconds: 8"));
    }
    for (name, since, reachable) in
        [("slow", "startTime", "PollSucceeded"), ("unseen", "trackingStartTime", "Unreachable")]
    {
        let status = bed.until_reason(name, "Succeeded", "DeadlineExceeded");
        assert_eq!(condition(&status, "Succeeded").unwrap()["status"], "False", "{name}");
        assert_eq!(condition(&status, "Finished").unwrap()["status"], "True", "{name}");
        assert_eq!(condition(&status, "Stalled").unwrap()["reason"], "DeadlineExceeded", "{name}");
        assert_eq!(condition(&status, "UpstreamReachable").unwrap()["reason"], reachable, "{name}");
        assert_eq!(status["phase"], "Failed", "{name}");
        assert!(message(&status, "Succeeded").contains("activeDeadlineSeconds"), "{name}");
        let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
        let lasted = time(&status["completionTime"]).duration_since(time(&status[since])).as_secs();
        assert!((8..=30).contains(&lasted), "{name}: ended after {lasted} s, not 8 s");
        // Seen before its end, not only then; whoever asks for the status may come too late for that.
        let written = bed.asked().subresource("status").keep(|event| event.name == name && event.code < 300);
        assert!(written.len() >= 2, "{name}: {written:#?}");
    }
}

#[test]
fn what_makes_no_progress_is_stalled_and_still_polled() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let install = |state: &str| Stage::state("Running").task(Task::new("t1", "InstallMaster").state(state));
    let job =
        Operation::new(Cloud::OtcCceJob, Scope::otc("p1"), ID).stage(install("Running")).stage(install("Success"));
    let key = bed.simulator.put(job.stage(Stage::state("Success")));
    bed.apply(&following("job", "p1", "pollIntervalSeconds: 1\nprogressDeadlineSeconds: 3"));
    let status = bed.until_reason("job", "Stalled", "NoProgress");
    assert_eq!(condition(&status, "Succeeded").unwrap()["reason"], "Running");
    assert_eq!(condition(&status, "Ready").unwrap()["status"], "Unknown");
    assert_eq!(condition(&status, "Reconciling"), None);
    until_asked(&bed, "p1", bed.simulator.count(about("p1")) + 2);
    assert!(bed.simulator.advance(&key));
    let status = bed.until("job", "the second stage", |status| status["progress"]["summary"] == "1/1");
    assert_eq!(condition(&status, "Stalled"), None);
    assert_eq!(condition(&status, "Reconciling").unwrap()["reason"], "Progressing");
    assert!(bed.simulator.advance(&key));
    bed.until_reason("job", "Succeeded", "OperationSucceeded");
    assert_eq!(bed.events("job"), ["Tracking", "NoProgress", "Progressing", "Succeeded"]);
}

#[test]
fn what_the_cloud_does_not_know_has_a_grace() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let gone = Operation::new(Cloud::OtcCceJob, Scope::otc("gone"), ID);
    let gone = bed.simulator.put(gone.stage(Stage::state("Running")).stage(Stage::gone()));
    for name in ["never", "gone"] {
        bed.apply(&following(name, name, "pollIntervalSeconds: 1\nnotFoundGraceSeconds: 4"));
    }
    bed.apply(&following("late", "late", EVERY_SECOND));
    let late = bed.until_reason("late", "UpstreamReachable", "PollSucceeded");
    assert_eq!(condition(&late, "Succeeded").unwrap()["status"], "Unknown");
    job(&bed, "late");
    bed.until_reason("late", "Succeeded", "Running");
    bed.until_reason("gone", "Succeeded", "Running");
    assert!(bed.simulator.advance(&gone));
    for (name, reason) in [("never", "OperationNotFound"), ("gone", "OperationExpired")] {
        let status = bed.until_reason(name, "Succeeded", reason);
        assert_eq!(condition(&status, "Succeeded").unwrap()["status"], "False", "{name}");
        assert_eq!(status["phase"], "Failed", "{name}");
        let refused: Vec<_> = bed
            .simulator
            .requests()
            .into_iter()
            .filter(|request| request.status == 404 && request.path_and_query.contains(&format!("/{name}/")))
            .collect();
        let lasted = refused.last().unwrap().at - refused[0].at;
        assert!(lasted > Duration::from_secs(3), "{name}: {} refusals in {lasted:?}", refused.len());
    }
}

#[test]
fn a_ttl_deletes_its_own_object_only_and_not_before_its_time() {
    let bed = bed();
    let ttl = "pollIntervalSeconds: 1\nttlSecondsAfterFinished: 60";
    let controller = bed.controller(&[]);
    for (name, more) in [("expired", ttl), ("replaced", ttl), ("kept", EVERY_SECOND)] {
        let key = job(&bed, name);
        bed.apply(&following(name, name, more));
        bed.until_reason(name, "Succeeded", "Running");
        assert!(bed.simulator.advance(&key));
    }
    for name in ["expired", "replaced", "kept"] {
        bed.until_reason(name, "Succeeded", "OperationSucceeded");
    }
    assert!(controller.terminate().unwrap().success());
    // As if they had ended most of a minute ago.
    let age = |name: &str, seconds: i64| {
        let status = bed.get(name).unwrap()["status"].take();
        let at = status["conditions"].as_array().unwrap().iter().position(|c| c["type"] == "Finished").unwrap();
        let ended = Timestamp::from_second(Timestamp::now().as_second() - seconds).unwrap();
        let path = format!("/status/conditions/{at}/lastTransitionTime");
        let patch = json!([{"op": "replace", "path": path, "value": ended.to_string()}]).to_string();
        let output = bed.kubectl(&["patch", "cloudop", name, "--subresource=status", "--type=json", "-p", &patch]);
        assert!(output.success(), "{}", output.stderr);
        ended
    };
    age("kept", 3600);
    let ended = age("expired", 48);
    age("replaced", 50);
    let restart = Timestamp::now();
    let _controller = bed.controller(&[]);
    eventually(LIMIT, "the controller lists them", || {
        match bed.cluster.audit().map_err(|e| e.to_string())?.keep(|e| {
            e.namespace == bed.namespace
                && e.verb == "watch"
                && e.received >= restart.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
        }) {
            log if log.is_empty() => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    });
    let deleted = bed.kubectl(&["delete", "cloudop", "replaced"]);
    assert!(deleted.success(), "{}", deleted.stderr);
    job(&bed, "again");
    bed.apply(&following("replaced", "again", ttl));
    eventually(LIMIT, "the end of expired", || match bed.get("expired") {
        Ok(_) => Err("still there".to_owned()),
        Err(said) if said.contains("NotFound") => Ok(()),
        Err(said) => Err(said),
    });
    let deletions = bed.asked().verb("delete");
    let [deletion] = &deletions[..] else { panic!("{deletions:#?}") };
    assert_eq!((deletion.name.as_str(), deletion.code), ("expired", 200));
    let received: Timestamp = deletion.received.parse().unwrap();
    assert!(received >= ended + SignedDuration::from_secs(60), "{received} is less than 60 s after {ended}");
    bed.until_reason("replaced", "Succeeded", "Running");
    assert!(bed.get("kept").is_ok());
}

#[test]
fn retry_after_pauses_all_of_an_account_and_nobody_else() {
    let bed = bed();
    bed.simulator.account(Account::new("second").token("second-token"));
    bed.secret("second", &[("token", "second-token")]);
    let _controller = bed.controller(&[]);
    for (name, secret) in [("a", SECRET), ("b", SECRET), ("c", "second")] {
        job(&bed, name);
        bed.apply(&by_secret(&following(name, name, EVERY_SECOND), secret));
    }
    for name in ["a", "b", "c"] {
        bed.until_reason(name, "Succeeded", "Running");
    }
    bed.simulator.reset_counts();
    let pause = Duration::from_secs(8);
    let throttled = Fault::Throttled { status: 429, retry_after: Some("8".to_owned()), twice: false };
    bed.simulator.fault(throttled, about("a"), 1);
    let is_of = |token: &'static str| move |r: &&RecordedRequest| r.header("X-Auth-Token") == Some(token);
    let (requests, refusal) = eventually(LIMIT, "polls of both after the pause", || {
        let requests = bed.simulator.requests();
        let Some(at) = requests.iter().position(|request| request.status == 429) else {
            return Err("not throttled".to_owned());
        };
        let polled = |project: &str| {
            let mut after = requests[at + 1..].iter().filter(|r| r.at > requests[at].at + pause);
            after.any(|r| r.path_and_query.contains(&format!("/{project}/")))
        };
        if polled("a") && polled("b") { Ok((requests, at)) } else { Err(format!("{} requests", requests.len())) }
    });
    let refused = requests[refusal].at;
    // What was on its way when the refusal came is nobody's fault.
    let next = requests.iter().filter(is_of(TOKEN)).map(|r| r.at).find(|at| *at > refused + pause / 10).unwrap();
    assert!(next >= refused + pause, "asked again after {:?}", next - refused);
    let others = requests.iter().filter(is_of("second-token")).filter(|r| r.at > refused && r.at < refused + pause);
    assert!(others.count() >= 2, "the other account goes on");
}

#[test]
fn a_crowd_keeps_to_its_accounts_rate_while_another_account_is_served_at_once() {
    let bed = bed();
    bed.simulator.account(Account::new("second").token("second-token"));
    bed.secret("second", &[("token", "second-token")]);
    let crowd: Vec<String> = (0..30).map(|n| format!("crowd{n}")).collect();
    let mut manifests: Vec<String> = crowd.iter().map(|name| following(name, name, HOURLY)).collect();
    manifests.push(by_secret(&following("zebra", "zebra", HOURLY), "second"));
    for name in crowd.iter().map(String::as_str).chain(["zebra"]) {
        job(&bed, name);
    }
    bed.apply(&manifests.join("---\n"));
    // Five a second after ten at once are the defaults.
    let _controller = bed.controller(&[]);
    eventually(LIMIT, "a poll of each", || match bed.simulator.count(Matcher::any()) {
        31.. => Ok(()),
        n => Err(format!("{n}")),
    });
    let requests = bed.simulator.requests();
    assert_eq!(requests.len(), 31);
    let (other, crowd): (Vec<_>, Vec<_>) =
        requests.iter().partition(|r| r.header("X-Auth-Token") == Some("second-token"));
    let first = requests[0].at;
    let [other] = &other[..] else { panic!("{other:?}") };
    // The 30th may go out 4 s after the first; one request may be slower than another.
    let last = crowd.last().unwrap().at - first;
    assert!(last > Duration::from_millis(3500), "30 requests within {last:?}");
    assert!(other.at - first < last / 2, "the other account waited {:?} of {last:?}", other.at - first);
    for name in ["crowd0", "crowd29", "zebra"] {
        bed.until_reason(name, "Succeeded", "Running");
    }
}

#[test]
fn a_cloud_that_does_not_answer_one_account_holds_up_no_other() {
    let bed = bed();
    bed.simulator.account(Account::new("second").token("second-token"));
    bed.secret("second", &[("token", "second-token")]);
    let crowd: Vec<String> = (0..30).map(|n| format!("crowd{n}")).collect();
    crowd.iter().for_each(|name| drop(job(&bed, name)));
    job(&bed, "zebra");
    let _silence = bed.simulator.fault(Fault::NoAnswer, Matcher::path("/projects/crowd"), Times::Forever);
    let manifests: Vec<String> = crowd.iter().map(|name| following(name, name, EVERY_SECOND)).collect();
    bed.apply(&manifests.join("---\n"));
    let _controller = bed.controller(&["--concurrency=16", "--requests-per-second=100", "--burst=10"]);
    // An eighth of all that may be under way.
    eventually(LIMIT, "two requests", || match bed.simulator.count(Matcher::path("/projects/crowd")) {
        2.. => Ok(()),
        n => Err(format!("{n}")),
    });
    // The silent ones have 20 s each, and 16 of them would fill the controller.
    bed.apply(&by_secret(&following("zebra", "zebra", EVERY_SECOND), "second"));
    let start = Instant::now();
    bed.until_reason("zebra", "Succeeded", "Running");
    assert!(start.elapsed() < Duration::from_secs(10), "zebra waited {:?}", start.elapsed());
}

/// A hundred objects of one list that the cloud does not answer.
#[test]
fn a_silent_list_is_told_to_all_who_are_in_it_at_once() {
    let bed = bed();
    let _silence = bed.simulator.fault(Fault::NoAnswer, Matcher::any(), Times::Forever);
    let names: Vec<String> = (0..100).map(|n| format!("task{n}")).collect();
    let manifests: Vec<String> = names
        .iter()
        .map(|name| Bed::operation(name, "sbercloudOpenshiftTask: {serviceInstanceId: s}", name, HOURLY))
        .collect();
    bed.apply(&manifests.join("---\n"));
    let _controller = bed.controller(&[]);
    let told: Vec<Timestamp> = eventually(LIMIT, "all are told", || {
        let output = bed.kubectl(&["get", "cloudoperations", "-o", "json"]);
        let list: Value = serde_json::from_str(&output.stdout).map_err(|error| error.to_string())?;
        let told = list["items"].as_array().unwrap().iter().filter_map(|object| {
            let told = condition(&object["status"], "UpstreamReachable").filter(|c| c["reason"] == "Unreachable")?;
            told["lastTransitionTime"].as_str()?.parse().ok()
        });
        let told: Vec<Timestamp> = told.collect();
        if told.len() == names.len() { Ok(told) } else { Err(format!("{} of {}", told.len(), names.len())) }
    });
    // A request has 20 s.
    let between = *told.iter().max().unwrap() - *told.iter().min().unwrap();
    assert!(between.get_seconds() < 15, "the last was told {between:?} after the first");
    let asked = bed.simulator.count(Matcher::any());
    assert!(asked <= 2, "{asked} requests");
}

#[test]
fn a_new_object_takes_no_answer_from_before_it_was() {
    let bed = bed();
    let scope = || Scope::numspot("space", "cluster");
    let put = |id: &str| {
        bed.simulator.put(Operation::new(Cloud::NumspotKubernetes, scope(), id).stage(Stage::state("RUNNING")));
        let provider = "numspotKubernetes: {region: eu-west-2, spaceId: space, clusterId: cluster}";
        bed.apply(&Bed::operation(id, provider, id, HOURLY));
    };
    let _controller = bed.controller(&[]);
    ["first", "second"].into_iter().for_each(put);
    for name in ["first", "second"] {
        bed.until_reason(name, "Succeeded", "Running");
    }
    // The list that was answered is good for nearly an hour, and lacks what begins now.
    std::thread::sleep(Duration::from_secs(2));
    put("third");
    let status = bed.until("third", "seen", |status| status["trackingStartTime"].is_string());
    assert_eq!(condition(&status, "Succeeded").unwrap()["reason"], "Running", "{status:#}");
}

#[test]
fn a_secret_that_was_fixed_is_noticed_within_15_seconds_and_a_wrong_one_is_not_sent_more_often() {
    let bed = bed();
    job(&bed, "p1");
    bed.secret("wrong", &[("token", "wrong")]);
    bed.apply(&by_secret(&following("job", "p1", HOURLY), "wrong"));
    let _controller = bed.controller(&[]);
    bed.until_reason("job", "UpstreamReachable", "Unauthorized");
    // The next try of the schedule comes after 30 s and the one after that a minute later.
    let start = Instant::now();
    eventually(LIMIT, "the second try", || match bed.simulator.count(about("p1")) {
        2.. => Ok(()),
        n => Err(format!("{n}")),
    });
    assert!(start.elapsed() > Duration::from_secs(20), "asked again after {:?}", start.elapsed());
    bed.secret("wrong", &[("token", TOKEN)]);
    let fixed = Instant::now();
    bed.until_reason("job", "Succeeded", "Running");
    assert!(fixed.elapsed() < Duration::from_secs(20), "noticed after {:?}", fixed.elapsed());
    assert_eq!(bed.simulator.count(about("p1")), 3);
}

/// A cloud that changes its word at every poll, for thirty seconds.
#[test]
fn a_cloud_that_alternates_has_statuses_and_events_written_at_a_bounded_pace_and_its_end_at_once() {
    let bed = bed();
    let job = Operation::new(Cloud::OtcCceJob, Scope::otc("p1"), ID).kind("CreateCluster").repeats();
    let odd =
        bed.simulator.put(job.stage(Stage::state("Running").for_polls(1)).stage(Stage::state("Odd").for_polls(1)));
    bed.apply(&following("odd", "p1", EVERY_SECOND));
    let _controller = bed.controller(&[]);
    eventually(LIMIT, "thirty polls", || match bed.simulator.count(about("p1")) {
        30.. => Ok(()),
        n => Err(format!("{n}")),
    });
    // Ten at once and then one in ten seconds; an Event goes with every second one.
    let written = writes(bed.asked()).resource("cloudoperations").len();
    let told = writes(bed.asked()).resource("events").len();
    assert!((10..=15).contains(&written) && told <= 10, "{written} statuses and {told} Events");
    let ended = Operation::new(Cloud::OtcCceJob, Scope::otc("p1"), ID).kind("CreateCluster");
    assert_eq!(bed.simulator.put(ended.stage(Stage::state("Success"))), odd);
    let start = Instant::now();
    bed.until_reason("odd", "Succeeded", "OperationSucceeded");
    assert!(start.elapsed() < Duration::from_secs(8), "written after {:?}", start.elapsed());
}

#[test]
fn what_is_over_is_asked_for_no_more() {
    let bed = bed();
    let controller = bed.controller(&[]);
    let key = job(&bed, "p1");
    bed.apply(&following("job", "p1", EVERY_SECOND));
    bed.until_reason("job", "Succeeded", "Running");
    assert!(bed.simulator.advance(&key));
    bed.until_reason("job", "Succeeded", "OperationSucceeded");
    let before = bed.simulator.count(Matcher::any());
    request_poll(&bed, "job", "once more");
    patch(&bed, "job", &json!({"spec": {"pollIntervalSeconds": 2}}));
    let status = bed.until("job", "the edit is seen", |status| status["observedGeneration"] == 2);
    assert!(status["conditions"].as_array().unwrap().iter().all(|c| c["observedGeneration"] == 2), "{status:#}");
    bed.until("job", "the request is echoed", |status| status["lastHandledRequest"] == "once more");
    sleep(QUIET);
    drop(controller);
    let _controller = bed.controller(&[]);
    sleep(QUIET);
    assert_eq!(bed.simulator.count(Matcher::any()), before);
}

#[test]
fn a_cloud_that_stumbles_now_and_then_causes_no_write() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let key = job(&bed, "p1");
    bed.apply(&following("job", "p1", EVERY_SECOND));
    bed.until_reason("job", "Succeeded", "Running");
    until_asked(&bed, "p1", 2);
    let quiet = Timestamp::now();
    for _ in 0..2 {
        bed.simulator.reset_counts();
        bed.simulator.fault(Fault::ServerError { status: 500 }, about("p1"), 1);
        eventually(LIMIT, "a failure and an answer after it", || {
            let statuses: Vec<u16> = bed.simulator.requests().iter().map(|request| request.status).collect();
            if statuses.ends_with(&[500, 200]) { Ok(()) } else { Err(format!("{statuses:?}")) }
        });
    }
    let asked = writes(asked_since(&bed, quiet));
    assert!(asked.is_empty(), "{asked:#?}");
    assert!(bed.simulator.advance(&key));
    bed.until_reason("job", "Succeeded", "OperationSucceeded");
    assert_eq!(bed.events("job"), ["Tracking", "Succeeded"]);
}
