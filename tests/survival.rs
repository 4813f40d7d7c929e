//! What the controller outlives: its own death, that of the API server, other writers, other controllers, and objects
//! that come, go or make no sense while it works.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use cloudop_simulator::{Cloud, Fault, Key, Matcher, Operation, Scope, Stage, Task, Times};
use cloudop_testbed::{AuditLog, Bed, Process, condition, define, eventually};
use serde_json::{Value, json};

const ID: &str = "354331b2-229a-11e8-9c75-0255ac100ceb";
const LIMIT: Duration = Duration::from_secs(60);
/// How long a stop may take (10 s), with time for a busy machine to notice.
const STOP: Duration = Duration::from_secs(13);
const EVERY_SECOND: &str = "pollIntervalSeconds: 1";

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

fn alone() -> Bed {
    Bed::alone(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A job in a project of its own: it runs, is half done, and succeeds, as it is told to.
fn job(bed: &Bed, project: &str) -> Key {
    let install = |state: &str| Stage::state("Running").task(Task::new("t1", "InstallMaster").state(state));
    let job = Operation::new(Cloud::OtcCceJob, Scope::otc(project), ID).kind("CreateCluster");
    bed.simulator.put(job.stage(install("Running")).stage(install("Success")).stage(Stage::state("Success")))
}

fn following(name: &str, project: &str, more: &str) -> String {
    Bed::operation(name, &format!("otcCceJob: {{region: eu-de, projectId: {project}}}"), ID, more)
}

fn follow(bed: &Bed, name: &str) -> Key {
    let key = job(bed, name);
    bed.apply(&following(name, name, EVERY_SECOND));
    key
}

fn until_half_done(bed: &Bed, name: &str) -> Value {
    bed.until(name, "half done", |status| status["progress"]["summary"] == "1/1")
}

/// Waits until the Events about `name` are `reasons`, in this order and no more.
#[track_caller]
fn until_events(bed: &Bed, name: &str, reasons: &[&str]) {
    eventually(LIMIT, &format!("the Events about {name}"), || match bed.events(name) {
        events if events == reasons => Ok(()),
        events => Err(format!("{events:?}")),
    });
}

/// The names of the Events that tell of `name`'s success.
fn announcements(bed: &Bed, name: &str) -> Vec<String> {
    let selector = format!("--field-selector=regarding.name={name},reason=Succeeded");
    let output = bed.kubectl(&["get", "events.events.k8s.io", &selector, "-o", "name"]);
    assert!(output.success(), "{}", output.stderr);
    output.stdout.lines().map(str::to_owned).collect()
}

/// The writes of statuses that the API server took.
fn status_writes(bed: &Bed) -> AuditLog {
    bed.asked().subresource("status").keep(|event| event.code < 300)
}

#[track_caller]
fn assert_sound(controller: &Process) {
    assert!(controller.try_wait().unwrap().is_none(), "it has ended:\n{}", controller.logs());
    assert!(!controller.logs().contains("panicked"), "{}", controller.logs());
}

/// Ends the controller as Kubernetes does.
#[track_caller]
fn assert_stops(controller: &Process) {
    let start = Instant::now();
    let status = controller.terminate().unwrap();
    assert!(status.success(), "{status}\n{}", controller.logs());
    assert!(start.elapsed() < STOP, "only after {:?}", start.elapsed());
}

#[test]
fn a_controller_killed_in_mid_operation_is_followed_by_one_that_finishes() {
    let bed = bed();
    let controller = bed.controller(&[]);
    let key = follow(&bed, "job");
    let before = bed.until_reason("job", "Succeeded", "Running");
    // Only of an end is it made sure that it is announced.
    until_events(&bed, "job", &["Tracking"]);
    controller.kill().unwrap();
    assert!(bed.simulator.advance(&key));
    let controller = bed.controller(&[]);
    until_half_done(&bed, "job");
    until_events(&bed, "job", &["Tracking", "Progressing"]);
    controller.kill().unwrap();
    assert!(bed.simulator.advance(&key));
    let _controller = bed.controller(&[]);
    let after = bed.until_reason("job", "Succeeded", "OperationSucceeded");
    for field in ["startTime", "trackingStartTime"] {
        assert_eq!(before[field], after[field], "{field}");
        assert!(before[field].is_string(), "{field}");
    }
    until_events(&bed, "job", &["Tracking", "Progressing", "Succeeded"]);
    assert_eq!(status_writes(&bed).len(), 3, "one for each change");
}

#[test]
fn an_end_that_was_not_announced_is_announced_by_the_next_controller_under_the_same_name() {
    let bed = bed();
    let controller = bed.controller(&[]);
    let key = follow(&bed, "job");
    bed.until_reason("job", "Succeeded", "Running");
    assert!(bed.simulator.advance(&key) && bed.simulator.advance(&key));
    bed.until_reason("job", "Succeeded", "OperationSucceeded");
    let until_announced = || {
        eventually(LIMIT, "one announcement", || match &announcements(&bed, "job")[..] {
            [name] => Ok(name.clone()),
            names => Err(format!("{names:?}")),
        })
    };
    let name = until_announced();
    controller.kill().unwrap();
    let deleted = bed.kubectl(&["delete", &name]);
    assert!(deleted.success(), "{}", deleted.stderr);
    let controller = bed.controller(&[]);
    assert_eq!(until_announced(), name);
    controller.kill().unwrap();
    let creations = || bed.asked().resource("events").keep(|event| event.verb == "create").len();
    let before = creations();
    let _controller = bed.controller(&[]);
    eventually(LIMIT, "another attempt to announce", || if creations() > before { Ok(()) } else { Err(String::new()) });
    assert_eq!(until_announced(), name);
}

#[test]
fn no_end_is_lost_or_announced_twice_whenever_the_controller_is_killed() {
    let bed = bed();
    let mut controller = bed.controller(&[]);
    // From the answer that tells the end to the Event that announces it, in steps of milliseconds.
    let moments = [0, 2, 4, 7, 10, 14, 20, 30];
    let names: Vec<String> = moments.iter().map(|moment| format!("after-{moment}")).collect();
    for (name, moment) in names.iter().zip(moments) {
        let key = follow(&bed, name);
        bed.until_reason(name, "Succeeded", "Running");
        assert!(bed.simulator.advance(&key) && bed.simulator.advance(&key));
        let polls = || bed.simulator.count(Matcher::path(format!("/projects/{name}/")));
        let (before, start) = (polls(), Instant::now());
        while polls() == before {
            assert!(start.elapsed() < LIMIT, "{name} is polled no more");
            sleep(Duration::from_micros(200));
        }
        sleep(Duration::from_millis(moment));
        controller.kill().unwrap();
        controller = bed.controller(&[]);
    }
    for name in &names {
        bed.until_reason(name, "Succeeded", "OperationSucceeded");
        eventually(LIMIT, &format!("{name}: one announcement"), || match announcements(&bed, name).len() {
            1 => Ok(()),
            n => Err(format!("{n}")),
        });
    }
    controller.kill().unwrap();
    let controller = bed.controller(&[]);
    controller.wait_for_log("started", LIMIT).unwrap();
    let again = follow(&bed, "another");
    bed.until_reason("another", "Succeeded", "Running");
    assert!(bed.simulator.advance(&again));
    for name in &names {
        assert_eq!(announcements(&bed, name).len(), 1, "{name}");
    }
}

#[test]
fn sigterm_ends_the_controller_in_time_also_while_clouds_are_silent() {
    let bed = bed();
    let controller = bed.controller(&[]);
    follow(&bed, "job");
    bed.until_reason("job", "Succeeded", "Running");
    assert_stops(&controller);
    bed.simulator.fault(Fault::NoAnswer, Matcher::any(), Times::Forever);
    let controller = bed.controller(&[]);
    let before = bed.simulator.count(Matcher::any());
    eventually(LIMIT, "an unanswered poll", || match bed.simulator.count(Matcher::any()) {
        n if n > before => Ok(()),
        n => Err(format!("{n}")),
    });
    assert_stops(&controller);
    let status = bed.get("job").unwrap()["status"].take();
    assert_eq!(condition(&status, "Succeeded").unwrap()["reason"], "Running", "a poll given up says nothing");
}

#[test]
fn sigterm_ends_the_controller_in_time_also_while_the_api_server_hangs() {
    let bed = alone();
    let controller = bed.controller(&[]);
    let key = follow(&bed, "job");
    bed.until_reason("job", "Succeeded", "Running");
    bed.cluster.pause_api_server().unwrap();
    // A write is under way as well.
    bed.simulator.reset_counts();
    assert!(bed.simulator.advance(&key));
    eventually(LIMIT, "a poll", || if bed.simulator.requests().is_empty() { Err(String::new()) } else { Ok(()) });
    assert_stops(&controller);
    let controller = bed.controller(&[]);
    controller.wait_for_log("started", LIMIT).unwrap();
    assert_stops(&controller);
    bed.cluster.resume_api_server().unwrap();
    let _controller = bed.controller(&[]);
    until_half_done(&bed, "job");
}

#[test]
fn an_api_server_that_goes_and_comes_back_finds_everything_followed() {
    let bed = alone();
    let controller = bed.controller(&[]);
    let (ending, running) = (follow(&bed, "ending"), follow(&bed, "running"));
    for name in ["ending", "running"] {
        bed.until_reason(name, "Succeeded", "Running");
        until_events(&bed, name, &["Tracking"]);
    }
    bed.cluster.stop_api_server().unwrap();
    bed.simulator.reset_counts();
    assert!(bed.simulator.advance(&ending) && bed.simulator.advance(&ending));
    eventually(LIMIT, "polls without an API server", || match bed.simulator.count(Matcher::any()) {
        4.. => Ok(()),
        n => Err(format!("{n}")),
    });
    bed.cluster.start_api_server().unwrap();
    bed.until_reason("ending", "Succeeded", "OperationSucceeded");
    assert!(bed.simulator.advance(&running) && bed.simulator.advance(&running));
    bed.until_reason("running", "Succeeded", "OperationSucceeded");
    follow(&bed, "new");
    bed.until_reason("new", "Succeeded", "Running");
    for name in ["ending", "running"] {
        until_events(&bed, name, &["Tracking", "Succeeded"]);
    }
    assert_sound(&controller);
}

#[test]
fn a_busy_editor_of_labels_neither_stops_the_status_nor_loses_a_label() {
    let bed = bed();
    let controller = bed.controller(&[]);
    let key = follow(&bed, "job");
    bed.until_reason("job", "Succeeded", "Running");
    // Each poll takes longer than it takes to edit the object, so that what was read is always out of date.
    bed.simulator.latency(Duration::from_secs(2));
    let (writes, labels) = thread::scope(|scope| {
        let editor = scope.spawn(|| {
            let start = Instant::now();
            for edits in 1.. {
                let label = bed.kubectl(&["label", "--overwrite", "cloudop", "job", &format!("edit={edits}")]);
                assert!(label.success(), "{}", label.stderr);
                let status = bed.get("job").unwrap()["status"].take();
                if condition(&status, "Finished").is_some_and(|c| c["status"] == "True") {
                    return edits;
                }
                assert!(start.elapsed() < LIMIT / 2, "no end while someone edits: {status:#}");
            }
            unreachable!()
        });
        assert!(bed.simulator.advance(&key));
        until_half_done(&bed, "job");
        assert!(bed.simulator.advance(&key));
        bed.until_reason("job", "Succeeded", "OperationSucceeded");
        (bed.asked().subresource("status"), editor.join().unwrap())
    });
    assert!(writes.iter().any(|write| write.code == 409), "no write came too late: nothing was tried");
    let taken = writes.keep(|write| write.code < 300);
    assert_eq!(taken.len(), 3, "{taken:#?}");
    let object = bed.get("job").unwrap();
    assert_eq!(object["metadata"]["labels"]["edit"], labels.to_string());
    until_events(&bed, "job", &["Tracking", "Progressing", "Succeeded"]);
    assert_sound(&controller);
}

#[test]
fn a_poll_under_way_writes_nothing_once_its_object_is_deleted_not_even_to_its_namesake() {
    let bed = bed();
    let controller = bed.controller(&[]);
    // Longer than a busy machine takes to delete and create.
    bed.simulator.latency(Duration::from_secs(8));
    for name in ["gone", "again"] {
        follow(&bed, name);
    }
    eventually(LIMIT, "polls of both under way", || match bed.simulator.count(Matcher::any()) {
        2 => Ok(()),
        n => Err(format!("{n}")),
    });
    bed.simulator.latency(Duration::ZERO);
    let deleted = bed.kubectl(&["delete", "cloudop", "gone", "again"]);
    assert!(deleted.success(), "{}", deleted.stderr);
    let namesake = Operation::new(Cloud::OtcCceJob, Scope::otc("another"), ID).kind("DeleteCluster");
    bed.simulator.put(namesake.stage(Stage::state("Initializing")));
    bed.apply(&following("again", "another", EVERY_SECOND));
    assert_eq!(status_writes(&bed).len(), 0, "the polls were answered before the deletion: nothing was tried");
    let status = bed.until("again", "its own first status", |status| {
        assert_ne!(status["operationType"], "CreateCluster");
        status["operationType"] == "DeleteCluster"
    });
    assert_eq!(status["upstreamState"], "Initializing");
    assert_eq!(condition(&status, "Succeeded").unwrap()["reason"], "Pending");
    let writes = status_writes(&bed);
    assert!(writes.len() == 1 && writes[0].name == "again", "{writes:#?}");
    until_events(&bed, "again", &["Tracking"]);
    assert!(bed.events("gone").is_empty());
    assert_sound(&controller);
}

#[test]
fn two_controllers_at_once_neither_corrupt_nor_repeat_anything() {
    let bed = bed();
    let controllers = [bed.controller(&[]), bed.controller(&[])];
    for controller in &controllers {
        controller.wait_for_log("started", LIMIT).unwrap();
    }
    let names: Vec<String> = (0..10).map(|n| format!("job{n}")).collect();
    for name in &names {
        let job = Operation::new(Cloud::OtcCceJob, Scope::otc(name), ID).kind("CreateCluster");
        bed.simulator.put(job.stage(Stage::state("Running").for_polls(4)).stage(Stage::state("Success")));
    }
    let manifests: Vec<String> = names.iter().map(|name| following(name, name, EVERY_SECOND)).collect();
    bed.apply(&manifests.join("---\n"));
    for name in &names {
        let status = bed.until_reason(name, "Succeeded", "OperationSucceeded");
        assert_eq!(status["conditions"].as_array().unwrap().len(), 4, "{status:#}");
        until_events(&bed, name, &["Tracking", "Succeeded"]);
    }
    let readers = bed.asked().resource("secrets").len();
    assert!(readers >= controllers.len(), "one of them polled nothing: nothing was tried");
    assert_eq!(status_writes(&bed).len(), 2 * names.len());
    controllers.iter().for_each(assert_sound);
}

#[test]
fn an_object_that_cannot_be_read_holds_up_no_other() {
    let bed = alone();
    let controller = bed.controller(&[]);
    let key = follow(&bed, "before");
    bed.until_reason("before", "Succeeded", "Running");
    let anything = json!([{
        "op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"operationId": {"type": "string"}},
        },
    }]);
    let crd = "crd/cloudoperations.cloudop.dev";
    let loosened = bed.kubectl(&["patch", crd, "--type=json", "-p", &anything.to_string()]);
    assert!(loosened.success(), "{}", loosened.stderr);
    let odd = following("odd", "odd", "credentialsRef: 7").replace("otcCceJob", "cloudOfTomorrow");
    eventually(LIMIT, "the looser definition", || {
        let created = bed.kubectl_stdin(&["create", "--validate=false", "-f", "-"], &odd);
        if created.success() { Ok(()) } else { Err(created.stderr) }
    });
    define(&bed.cluster);
    let line = controller.wait_for_log("odd", LIMIT).unwrap();
    assert!(line.contains("cannot be read"), "{line}");
    follow(&bed, "after");
    bed.until_reason("after", "Succeeded", "Running");
    assert_sound(&controller);
    controller.kill().unwrap();
    let controller = bed.controller(&[]);
    let line = controller.wait_for_log("odd", LIMIT).unwrap();
    assert!(line.contains("cannot be read"), "{line}");
    assert!(bed.simulator.advance(&key) && bed.simulator.advance(&key));
    bed.until_reason("before", "Succeeded", "OperationSucceeded");
    assert_eq!(bed.get("odd").unwrap()["status"]["observedGeneration"], -1, "nobody has seen it");
    assert_sound(&controller);
}

#[test]
fn without_its_crd_the_controller_says_so_and_waits_for_it() {
    let bed = alone();
    let deleted = bed.kubectl(&["delete", "crd", "cloudoperations.cloudop.dev", "--timeout=30s"]);
    assert!(deleted.success(), "{}", deleted.stderr);
    let controller = bed.controller(&[]);
    let line = controller.wait_for_log("WARN", LIMIT).unwrap();
    assert!(line.contains("is the CRD in crds/ installed"), "{line}");
    define(&bed.cluster);
    follow(&bed, "job");
    bed.until_reason("job", "Succeeded", "Running");
    assert_sound(&controller);
}

#[test]
fn three_hundred_objects_created_at_once_all_finish() {
    const COUNT: usize = 300;
    let bed = bed();
    // The budget has a test of its own.
    let controller = bed.controller(&["--requests-per-second=1000", "--burst=1000"]);
    let names: Vec<String> = (0..COUNT).map(|n| format!("job{n}")).collect();
    for name in &names {
        let job = Operation::new(Cloud::OtcCceJob, Scope::otc(name), ID).kind("CreateCluster");
        bed.simulator.put(job.stage(Stage::state("Running").for_polls(2)).stage(Stage::state("Success")));
    }
    let manifests: Vec<String> = names.iter().map(|name| following(name, name, EVERY_SECOND)).collect();
    let created = bed.kubectl_stdin(&["create", "-f", "-"], &manifests.join("---\n"));
    assert!(created.success(), "{}", created.stderr);
    let wait = bed.kubectl(&["wait", "cloudop", "--all", "--for=condition=Finished", "--timeout=120s"]);
    assert!(wait.success(), "{}", wait.stderr);
    let succeeded = bed.kubectl(&["get", "cloudop", "--field-selector=status.phase=Succeeded", "-o", "name"]);
    assert_eq!(succeeded.stdout.lines().count(), COUNT, "{}", succeeded.stderr);
    assert_eq!(status_writes(&bed).len(), 2 * COUNT, "Running and Succeeded");
    let announced = |reason: &str| {
        let selector = format!("--field-selector=reason={reason}");
        let output = bed.kubectl(&["get", "events.events.k8s.io", &selector, "-o", "name"]);
        output.stdout.lines().count()
    };
    eventually(LIMIT, "an Event for each end", || match announced("Succeeded") {
        COUNT => Ok(()),
        n => Err(format!("{n}")),
    });
    assert_eq!(announced("Tracking"), COUNT);
    assert_sound(&controller);
}
