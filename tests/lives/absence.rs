//! Operations that a cloud does not know, yet or any more: the same for all clouds.

use std::thread::sleep;
use std::time::{Duration, Instant};

use cloudop_simulator::{Cloud, Matcher, NumspotApi, Operation, Scope, Stage, Task};
use cloudop_testbed::{Bed, condition};
use rstest::rstest;
use serde_json::Value;

use crate::story::bed;

/// What is asked for an operation.
#[derive(Clone, Copy)]
enum Asked {
    Numspot,
    /// The list of the cluster's operations.
    NumspotList,
    HuaweiCce,
    HuaweiUcs,
    Otc,
    Sbercloud,
}

const ID: &str = "5f1d9c3e-0b7a-4c2d-8e6f-1a2b3c4d5e6f";

impl Asked {
    fn provider(self) -> &'static str {
        match self {
            Self::Numspot => "numspotKubernetes: {region: eu-west-2, spaceId: s}",
            Self::NumspotList => "numspotKubernetes: {region: eu-west-2, spaceId: s, clusterId: c}",
            Self::HuaweiCce => "huaweiCceUpgrade: {region: ap-southeast-3, projectId: p, clusterId: c}",
            Self::HuaweiUcs => "huaweiUcsFederation: {}",
            Self::Otc => "otcCceJob: {region: eu-de, projectId: p}",
            Self::Sbercloud => "sbercloudOpenshiftTask: {serviceInstanceId: i}",
        }
    }

    /// An operation that runs, and then does as `last` says.
    fn operation(self, last: Last) -> Operation {
        let (cloud, scope, running, done) = match self {
            Self::Numspot | Self::NumspotList => {
                (Cloud::NumspotKubernetes, Scope::numspot("s", "c"), "RUNNING", "DONE")
            }
            Self::HuaweiCce => (Cloud::HuaweiCceUpgrade, Scope::cce("p", "c"), "Running", "Success"),
            Self::HuaweiUcs => (Cloud::HuaweiUcsFederation, Scope::ucs(), "Running", "Success"),
            Self::Otc => (Cloud::OtcCceJob, Scope::otc("p"), "Running", "Success"),
            Self::Sbercloud => (Cloud::SbercloudOpenshiftTask, Scope::sbercloud("i"), "running", "done"),
        };
        let stage = |word: &str| Stage::state(word).task(Task::new("t", "PreCheck").state(word));
        let last = match last {
            Last::Ends => stage(done),
            Last::Goes => Stage::gone(),
        };
        Operation::new(cloud, scope, ID).stage(stage(running)).stage(last)
    }
}

#[derive(Clone, Copy)]
enum Last {
    Ends,
    Goes,
}

/// Follows the operation as "it" on a bed of its own.
fn apply(asked: Asked, grace: u32) -> Bed {
    let bed = bed();
    if matches!(asked, Asked::NumspotList) {
        bed.simulator.numspot(NumspotApi::V1ListOnly);
    }
    let more = format!("pollIntervalSeconds: 1\nnotFoundGraceSeconds: {grace}");
    bed.apply(&Bed::operation("it", asked.provider(), ID, &more));
    bed
}

/// Waits as a pipeline does; whether the gate opened.
#[track_caller]
fn wait_until_finished(bed: &Bed) -> bool {
    let finished = bed.kubectl(&["wait", "cloudop/it", "--for=condition=Finished", "--timeout=60s"]);
    assert!(finished.success(), "{}", finished.stderr);
    bed.kubectl(&["wait", "cloudop/it", "--for=condition=Succeeded", "--timeout=0s"]).success()
}

/// Each condition's type, status and reason.
fn conditions(status: &Value) -> Vec<(&str, &str, &str)> {
    let all = status["conditions"].as_array().unwrap().iter();
    all.map(|c| {
        let [kind, status, reason] = ["type", "status", "reason"].map(|key| c[key].as_str().unwrap_or_default());
        (kind, status, reason)
    })
    .collect()
}

#[rstest]
fn an_operation_that_appears_within_its_grace_is_followed(
    #[values(Asked::Numspot, Asked::NumspotList, Asked::HuaweiCce, Asked::HuaweiUcs, Asked::Otc, Asked::Sbercloud)]
    asked: Asked,
) {
    let bed = apply(asked, 600);
    let _controller = bed.controller(&[]);
    let missing = bed.until("it", "looked for", |status| status["trackingStartTime"].is_string());
    assert_eq!(
        conditions(&missing),
        [
            ("Succeeded", "Unknown", "Pending"),
            ("Finished", "Unknown", "Pending"),
            ("Ready", "Unknown", "Pending"),
            ("UpstreamReachable", "True", "PollSucceeded"),
            ("Reconciling", "True", "ProgressingWithRetry"),
        ]
    );
    assert_eq!(missing["phase"], "Pending");
    assert_eq!(missing["startTime"], Value::Null);

    let key = bed.simulator.put(asked.operation(Last::Ends));
    let running = bed.until_reason("it", "Succeeded", "Running");
    assert_eq!(condition(&running, "Reconciling").unwrap()["reason"], "Progressing");
    assert_eq!((&running["notFoundSince"], running["startTime"].is_string()), (&Value::Null, true));
    assert!(bed.simulator.advance(&key));
    assert!(wait_until_finished(&bed), "the gate stayed shut");
    assert_told(&bed, &["Tracking", "Succeeded"]);
}

#[rstest]
fn an_operation_that_never_appears_is_not_found(
    #[values(Asked::Numspot, Asked::NumspotList, Asked::HuaweiCce, Asked::HuaweiUcs, Asked::Otc, Asked::Sbercloud)]
    asked: Asked,
) {
    let bed = apply(asked, 2);
    let _controller = bed.controller(&[]);
    assert!(!wait_until_finished(&bed), "the gate opened");
    let status = bed.get("it").unwrap()["status"].take();
    assert_ended(&status, "OperationNotFound");
    for fact in ["upstreamState", "startTime", "progress", "subJobs", "target", "error"] {
        assert_eq!(status[fact], Value::Null, "{fact}");
    }
    assert_told(&bed, &["Failed"]);
    assert_silent(&bed, asked);
}

#[rstest]
fn an_operation_that_is_gone_after_it_was_seen_has_expired(
    #[values(Asked::Numspot, Asked::NumspotList, Asked::HuaweiCce, Asked::HuaweiUcs, Asked::Otc, Asked::Sbercloud)]
    asked: Asked,
) {
    let bed = apply(asked, 3);
    let key = bed.simulator.put(asked.operation(Last::Goes));
    let _controller = bed.controller(&[]);
    let seen = bed.until_reason("it", "Succeeded", "Running");
    assert!(bed.simulator.advance(&key));
    let gone = Instant::now();
    assert!(!wait_until_finished(&bed), "the gate opened");
    // The grace is counted in whole seconds.
    assert!(gone.elapsed() > Duration::from_secs(2), "given up after {:?}", gone.elapsed());
    let status = bed.get("it").unwrap()["status"].take();
    assert_ended(&status, "OperationExpired");
    for fact in ["upstreamState", "startTime", "progress", "subJobs", "target", "operationType", "error"] {
        assert_eq!(status[fact], seen[fact], "{fact}");
    }
    assert_told(&bed, &["Tracking", "Failed"]);
    assert_silent(&bed, asked);
}

#[track_caller]
fn assert_ended(status: &Value, reason: &str) {
    assert_eq!(
        conditions(status),
        [
            ("Succeeded", "False", reason),
            ("Finished", "True", reason),
            ("Ready", "False", reason),
            ("UpstreamReachable", "True", "PollSucceeded"),
            ("Stalled", "True", reason),
        ]
    );
    assert_eq!(status["phase"], "Failed");
}

/// The Events, whose last is written a moment after the status.
#[track_caller]
fn assert_told(bed: &Bed, events: &[&str]) {
    cloudop_testbed::eventually(Duration::from_secs(30), "the Events", || {
        let told = bed.events("it");
        if told == events { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

/// No request in two intervals, though the operation is there again.
#[track_caller]
fn assert_silent(bed: &Bed, asked: Asked) {
    bed.simulator.put(asked.operation(Last::Ends));
    bed.simulator.reset_counts();
    sleep(Duration::from_secs(2));
    assert_eq!(bed.simulator.count(Matcher::any()), 0, "requests after the end");
}
