//! Calls to the API server that fail, or that are done though their answers are lost.

mod proxy;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cloudop_simulator::{Cloud, Key, Operation, Scope, Stage};
use cloudop_testbed::{Bed, Process, eventually};
use proxy::{Fate, Proxy};

const ID: &str = "354331b2-229a-11e8-9c75-0255ac100ceb";
const LIMIT: Duration = Duration::from_secs(60);

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

fn follow(bed: &Bed, name: &str) -> Key {
    let job = Operation::new(Cloud::OtcCceJob, Scope::otc(name), ID).kind("CreateCluster");
    let key = bed.simulator.put(job.stage(Stage::state("Running")).stage(Stage::state("Success")));
    let provider = format!("otcCceJob: {{region: eu-de, projectId: {name}}}");
    bed.apply(&Bed::operation(name, &provider, ID, "pollIntervalSeconds: 1"));
    key
}

/// The controller behind `proxy`.
fn controller(bed: &Bed, proxy: &Proxy) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudop-controller"));
    command.env("KUBECONFIG", &proxy.kubeconfig).args([
        "--watch-namespaces",
        &bed.namespace,
        "--allow-host",
        "localhost:*",
        "--allow-private-addresses",
        "127.0.0.0/8,::1/128",
    ]);
    Process::spawn("controller", command).unwrap()
}

fn is_status_of_the_end(method: &str, path: &str, body: &str) -> bool {
    method == "PUT" && path.contains("/status") && body.contains("OperationSucceeded")
}

fn is_event_of_the_end(method: &str, path: &str, body: &str) -> bool {
    method == "POST" && path.contains("/events") && body.contains("\"reason\":\"Succeeded\"")
}

#[test]
fn an_end_whose_write_was_taken_though_the_answer_was_lost_is_announced_once() {
    let bed = bed();
    let proxy = Proxy::start(&bed.cluster, &bed.namespace, |method, path, body| {
        static LOST: AtomicUsize = AtomicUsize::new(0);
        let is_lost = is_status_of_the_end(method, path, body) && LOST.fetch_add(1, Ordering::SeqCst) == 0;
        if is_lost { Fate::LoseAnswer } else { Fate::Pass }
    });
    let key = follow(&bed, "job");
    let controller = controller(&bed, &proxy);
    bed.until_reason("job", "Succeeded", "Running");
    assert!(bed.simulator.advance(&key));
    bed.until_reason("job", "Succeeded", "OperationSucceeded");
    eventually(LIMIT, "the Event of the end", || match bed.events("job").as_slice() {
        [tracking, succeeded] if tracking == "Tracking" && succeeded == "Succeeded" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(proxy.count(), 1, "the answer was lost");
    let told = controller.logs().lines().filter(|line| line.contains("to=\"OperationSucceeded\"")).count();
    assert_eq!(told, 1, "{}", controller.logs());
}

#[rstest::rstest]
#[case(401)]
#[case(429)]
#[case(503)]
fn an_event_of_the_end_that_is_refused_is_sent_again(#[case] status: u16) {
    let bed = bed();
    let refused = AtomicUsize::new(0);
    let proxy = Proxy::start(&bed.cluster, &bed.namespace, move |method, path, body| {
        let is_refused = is_event_of_the_end(method, path, body) && refused.fetch_add(1, Ordering::SeqCst) < 2;
        if is_refused { Fate::Refuse(status) } else { Fate::Pass }
    });
    let key = follow(&bed, "job");
    let _controller = controller(&bed, &proxy);
    bed.until_reason("job", "Succeeded", "Running");
    assert!(bed.simulator.advance(&key));
    eventually(LIMIT, "the Event of the end", || match bed.events("job").as_slice() {
        [tracking, succeeded] if tracking == "Tracking" && succeeded == "Succeeded" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(proxy.count(), 2);
}

#[test]
fn what_keeps_failing_is_tried_ever_more_seldom_and_logged_once() {
    let bed = bed();
    let proxy = Proxy::start(&bed.cluster, &bed.namespace, |method, path, _| {
        if method == "GET" && path.contains("/secrets/") { Fate::Refuse(500) } else { Fate::Pass }
    });
    follow(&bed, "job");
    let start = Instant::now();
    let controller = controller(&bed, &proxy);
    eventually(LIMIT, "a first try", || if proxy.count() > 0 { Ok(()) } else { Err("none".into()) });
    sleep(Duration::from_secs(20).saturating_sub(start.elapsed()));
    // At once and after 2, 4 and 8 s more.
    assert!((3..=4).contains(&proxy.count()), "{} tries", proxy.count());
    let told = controller.logs().lines().filter(|line| line.contains("the Secret could not be read")).count();
    assert_eq!(told, 1, "{}", controller.logs());
}
