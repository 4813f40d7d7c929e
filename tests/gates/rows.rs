//! Every situation of an operation, brought to life on the real API server by the real controller.

use cloudop_simulator::{Cloud, Fault, Matcher, Operation, Scope, Stage, Task, Times};
use cloudop_testbed::{Bed, SECRET, eventually};
use serde_json::{Value, json};

use crate::view::{date_back, patch, poll_now, see};

/// Each operation has a collection of its own, named ID here, so that no list tells of it.
pub const OTC: &str = "otcCceJob: {region: eu-de, projectId: ID}";
pub const CCE: &str = "huaweiCceUpgrade: {region: ap-southeast-3, projectId: p1, clusterId: ID}";

pub fn job(id: &str) -> Operation {
    Operation::new(Cloud::OtcCceJob, Scope::otc(id), id).kind("CreateCluster")
}

pub fn upgrade(id: &str) -> Operation {
    Operation::new(Cloud::HuaweiCceUpgrade, Scope::cce("p1", id), id)
}

/// An upgrade that its cloud parks.
pub fn parked(id: &str) -> Operation {
    upgrade(id).stage(Stage::state("Pending").task(Task::new("t1", "Cluster").state("Failed")))
}

fn apply(bed: &Bed, provider: &str, id: &str, more: &str) {
    let provider = provider.replace("ID", id);
    bed.apply(&Bed::operation(id, &provider, id, &format!("pollIntervalSeconds: 1\n{more}")));
}

/// An operation whose Secret is not there.
fn apply_without_secret(bed: &Bed, id: &str) {
    let manifest = Bed::operation(id, &OTC.replace("ID", id), id, "pollIntervalSeconds: 1");
    bed.apply(&manifest.replace(&format!("{{name: {SECRET}}}"), "{name: nowhere}"));
}

/// An object for each situation, by the situation's name in docs/gating.md. Nothing follows them any more.
pub fn live(bed: &Bed) -> Vec<(&'static str, Value)> {
    let controller = bed.controller(&[]);
    let running = || Stage::state("Running");
    let ends = [
        ("succeeded", job("succeeded").stage(running()).stage(Stage::state("Success"))),
        ("failed", job("failed").stage(running()).stage(Stage::state("Failed").error("", "no quota"))),
        ("cancelled", upgrade("cancelled").stage(running()).stage(Stage::state("Cancel"))),
        ("expired", job("expired").stage(running()).stage(Stage::gone())),
        ("succeeded-edited", job("succeeded-edited").stage(running()).stage(Stage::state("Success"))),
        ("failed-edited", job("failed-edited").stage(running()).stage(Stage::state("Failed"))),
    ];
    for (id, life) in ends {
        let key = bed.simulator.put(life);
        apply(bed, if id == "cancelled" { CCE } else { OTC }, id, "notFoundGraceSeconds: 2");
        see(bed, id, "Running | U/Running | F/Running | U/Running | T/PollSucceeded | Reconciling T/Progressing");
        bed.simulator.advance(&key);
    }
    for id in ["running", "deadline", "stands-still", "unreachable"] {
        bed.simulator.put(job(id).stage(running()));
    }
    bed.simulator.put(job("unknown-word").stage(Stage::state("Pondering")));
    bed.simulator.put(parked("blocked"));
    apply(bed, OTC, "running", "");
    apply(bed, OTC, "deadline", "activeDeadlineSeconds: 2");
    apply(bed, OTC, "not-found", "notFoundGraceSeconds: 2");
    apply(bed, OTC, "stands-still", "progressDeadlineSeconds: 2");
    apply(bed, OTC, "unreachable", "");
    apply(bed, OTC, "unknown-word", "");
    apply(bed, CCE, "blocked", "");
    apply(bed, OTC, "suspended", "suspend: true");
    apply_without_secret(bed, "no-secret-for-long");

    let progressing = "Running | U/Running | F/Running | U/Running | T/PollSucceeded | Reconciling T/Progressing";
    see(bed, "running", progressing);
    see(bed, "unreachable", progressing);
    let _fault = bed.simulator.fault(Fault::ServerError { status: 503 }, Matcher::id("unreachable"), Times::Forever);
    see(
        bed,
        "unreachable",
        "Running | U/PollFailing | F/PollFailing | U/PollFailing | F/ServerError | Reconciling T/ProgressingWithRetry",
    );
    see(bed, "stands-still", "Running | U/Running | F/Running | U/Running | T/PollSucceeded | Stalled T/NoProgress");
    see(
        bed,
        "unknown-word",
        "Running | U/UnrecognizedState | F/UnrecognizedState | U/UnrecognizedState | T/PollSucceeded | Reconciling T/Progressing",
    );
    see(bed, "blocked", "Blocked | U/Blocked | F/Blocked | U/Blocked | T/PollSucceeded | Stalled T/OperationBlocked");
    see(bed, "suspended", "Pending | U/Suspended | F/Suspended | U/Suspended | U/Suspended |");
    for id in ["succeeded", "succeeded-edited"] {
        see(
            bed,
            id,
            "Succeeded | T/OperationSucceeded | T/OperationSucceeded | T/OperationSucceeded | T/PollSucceeded |",
        );
    }
    for (id, reason) in [
        ("failed", "OperationFailed"),
        ("failed-edited", "OperationFailed"),
        ("cancelled", "OperationCancelled"),
        ("deadline", "DeadlineExceeded"),
        ("not-found", "OperationNotFound"),
        ("expired", "OperationExpired"),
    ] {
        see(bed, id, &format!("Failed | F/{reason} | T/{reason} | F/{reason} | T/PollSucceeded | Stalled T/{reason}"));
    }

    let lacking = |ready, more| {
        format!("Pending | U/CredentialsInvalid | F/CredentialsInvalid | {ready} | F/CredentialsNotFound | {more}")
    };
    let at_first = lacking("U/CredentialsInvalid", "Reconciling T/ProgressingWithRetry");
    see(bed, "no-secret-for-long", &at_first);
    // In place of two minutes.
    date_back(bed, "no-secret-for-long", "UpstreamReachable");
    poll_now(bed, "no-secret-for-long", "1");
    see(bed, "no-secret-for-long", &lacking("F/CredentialsNotFound", "Stalled T/CredentialsNotFound"));
    // Last, as its two minutes run.
    apply_without_secret(bed, "no-secret-yet");
    see(bed, "no-secret-yet", &at_first);

    assert!(controller.terminate().is_ok_and(|status| status.success()), "{}", controller.logs());
    apply(bed, OTC, "unseen", "");
    for id in ["succeeded-edited", "failed-edited"] {
        patch(bed, id, &json!({"spec": {"pollIntervalSeconds": 2}}), &[]);
    }
    [
        ("created, not seen by the controller yet", "unseen"),
        ("running", "running"),
        ("5xx, 429, network, garbage", "unreachable"),
        ("Secret missing or wrong, endpoint refused: first 120 s", "no-secret-yet"),
        ("… after 120 s; heals by itself", "no-secret-for-long"),
        ("parked by the cloud", "blocked"),
        ("no progress past `progressDeadlineSeconds`", "stands-still"),
        ("a state this version does not know", "unknown-word"),
        ("suspended", "suspended"),
        ("succeeded", "succeeded"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
        ("deadline exceeded", "deadline"),
        ("never found", "not-found"),
        ("expired", "expired"),
        ("succeeded, then its spec was edited, not seen yet", "succeeded-edited"),
        ("failed, then its spec was edited, not seen yet", "failed-edited"),
    ]
    .map(|(situation, name)| {
        let object = eventually(std::time::Duration::from_secs(10), name, || bed.get(name));
        (situation, object)
    })
    .into()
}
