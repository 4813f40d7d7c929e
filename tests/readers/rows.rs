//! Every row of the table "What each reader sees".

use std::time::Duration;

use cloudop_simulator::{Fault, Matcher, Stage, Task, Times};
use cloudop_testbed::{ControlPlane, SECRET, TOKEN, condition};
use serde_json::json;

use crate::view::{after_polls, date_back, is_over, is_waited_for, patch, poll_now, row, see};
use crate::{CCE, OTC, apply, bed, job, upgrade};

const PENDING: &str = "Pending | U/Pending | U/Pending | U/Pending | T/PollSucceeded | Reconciling T/Progressing";
const RUNNING: &str = "Running | U/Running | F/Running | U/Running | T/PollSucceeded | Reconciling T/Progressing";
const BLOCKED: &str = "Blocked | U/Blocked | F/Blocked | U/Blocked | T/PollSucceeded | Stalled T/OperationBlocked";
const SUCCEEDED: &str =
    "Succeeded | T/OperationSucceeded | T/OperationSucceeded | T/OperationSucceeded | T/PollSucceeded |";

fn failed(reason: &str) -> String {
    format!("Failed | F/{reason} | T/{reason} | F/{reason} | T/PollSucceeded | Stalled T/{reason}")
}

#[test]
fn from_the_first_moment_the_gate_is_shut_and_it_opens_at_success() {
    let bed = bed();
    let started = job("job").stage(Stage::state("Initializing")).stage(Stage::state("Running"));
    let key = bed.simulator.put(started.stage(Stage::state("Success")));
    apply(&bed, OTC, "job", "");
    let unseen = bed.get("job").unwrap_or_default();
    assert_eq!(row(&unseen["status"]), "Pending | U/Pending | U/Pending | U/Pending |  |");
    assert_eq!(unseen["status"]["observedGeneration"], -1);
    is_waited_for(&bed, "job");
    let gate = ["wait", "cloudop/job", "--for=condition=Finished", "--timeout=120s", "--namespace", &bed.namespace];
    let gate = ControlPlane::shared().spawn_kubectl(&gate).unwrap_or_else(|error| panic!("{error}"));

    let _controller = bed.controller(&[]);
    see(&bed, "job", PENDING);
    is_waited_for(&bed, "job");
    bed.simulator.advance(&key);
    see(&bed, "job", RUNNING);
    is_waited_for(&bed, "job");
    assert!(gate.try_wait().is_ok_and(|status| status.is_none()), "{}", gate.logs());
    bed.simulator.advance(&key);
    let end = gate.wait(Duration::from_secs(60));
    assert!(end.is_ok_and(|status| status.success()), "{}", gate.logs());
    is_over(&bed, "job", true);
    see(&bed, "job", SUCCEEDED);
}

#[test]
fn trouble_on_the_way_to_the_cloud_hides_nothing_that_is_known_and_ends_nothing() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let redirect = Fault::Redirect { code: 302, to: "https://elsewhere.example/".into() };
    let troubles = [
        ("broken", Fault::ServerError { status: 503 }, "ServerError"),
        ("reset", Fault::Reset, "Unreachable"),
        ("garbage", Fault::Html, "InvalidResponse"),
        ("elsewhere", redirect, "RedirectRefused"),
        // Last, as the whole account pauses.
        ("throttled", Fault::Throttled { status: 429, retry_after: Some("1".into()), twice: false }, "Throttled"),
    ];
    for (id, ..) in &troubles {
        bed.simulator.put(job(id).stage(Stage::state("Running").task(Task::new("t", "Install").state("Success"))));
        apply(&bed, OTC, id, "");
    }
    let mut faults = Vec::new();
    for (id, fault, _) in &troubles {
        see(&bed, id, RUNNING);
        faults.push(bed.simulator.fault(fault.clone(), Matcher::id(*id), Times::Forever));
    }
    for (id, _, reason) in &troubles {
        let troubled = format!(
            "Running | U/PollFailing | F/PollFailing | U/PollFailing | F/{reason} | Reconciling T/ProgressingWithRetry"
        );
        let object = see(&bed, id, &troubled);
        assert_eq!(
            (&object["status"]["upstreamState"], &object["status"]["progress"]["summary"]),
            (&json!("Running"), &json!("1/1"))
        );
        is_waited_for(&bed, id);
    }
    faults.into_iter().for_each(cloudop_simulator::FaultHandle::clear);
    for (id, ..) in &troubles {
        see(&bed, id, RUNNING);
    }
}

#[test]
fn what_only_the_user_can_mend_is_waited_for_and_then_called_stalled_until_it_is_mended() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    bed.simulator.put(job("job").stage(Stage::state("Running")));
    apply(&bed, OTC, "job", "");
    see(&bed, "job", RUNNING);
    let spoil = |data: &[(&str, &str)]| bed.secret(SECRET, data);
    for reason in ["CredentialsNotFound", "CredentialsIncomplete", "Unauthorized", "EndpointRefused", "Forbidden"] {
        let mut fault = None;
        match reason {
            "CredentialsNotFound" => assert!(bed.kubectl(&["delete", "secret", SECRET]).success()),
            "CredentialsIncomplete" => spoil(&[("token", "")]),
            "Unauthorized" => spoil(&[("token", "not-this-one")]),
            "EndpointRefused" => spoil(&[("token", TOKEN), ("endpoint", "http://localhost:1")]),
            _ => fault = Some(bed.simulator.fault(Fault::Forbidden, Matcher::id("job"), Times::Forever)),
        }
        // Secrets are read once a minute, or when someone asks for a poll.
        poll_now(&bed, "job", &format!("{reason} 1"));
        see(
            &bed,
            "job",
            &format!(
                "Running | U/CredentialsInvalid | F/CredentialsInvalid | U/CredentialsInvalid | F/{reason} | Reconciling T/ProgressingWithRetry"
            ),
        );
        is_waited_for(&bed, "job");

        // In place of two minutes.
        date_back(&bed, "job", "UpstreamReachable");
        poll_now(&bed, "job", &format!("{reason} 2"));
        see(
            &bed,
            "job",
            &format!(
                "Running | U/CredentialsInvalid | F/CredentialsInvalid | F/{reason} | F/{reason} | Stalled T/{reason}"
            ),
        );
        is_waited_for(&bed, "job");

        spoil(&[("token", TOKEN)]);
        if let Some(fault) = fault {
            fault.clear();
        }
        poll_now(&bed, "job", &format!("{reason} 3"));
        see(&bed, "job", RUNNING);
    }
}

#[test]
fn a_secret_that_comes_late_is_found_by_itself() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    bed.simulator.put(job("job").stage(Stage::state("Running")));
    assert!(bed.kubectl(&["delete", "secret", SECRET]).success());
    apply(&bed, OTC, "job", "");
    see(
        &bed,
        "job",
        "Pending | U/CredentialsInvalid | F/CredentialsInvalid | U/CredentialsInvalid | F/CredentialsNotFound | Reconciling T/ProgressingWithRetry",
    );
    is_waited_for(&bed, "job");
    bed.secret(SECRET, &[("token", TOKEN)]);
    see(&bed, "job", RUNNING);
}

#[test]
fn a_parked_upgrade_is_blocked_until_someone_retries_it() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let failed = Task::new("t1", "Cluster").state("Failed");
    let parked = upgrade("upgrade").stage(Stage::state("Pending").task(failed)).stage(Stage::state("Running"));
    let key = bed.simulator.put(parked);
    apply(&bed, CCE, "upgrade", "");
    see(&bed, "upgrade", BLOCKED);
    is_waited_for(&bed, "upgrade");
    bed.simulator.advance(&key);
    see(&bed, "upgrade", RUNNING);
}

#[test]
fn an_operation_that_stands_still_is_stalled_and_still_polled() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let key = bed.simulator.put(job("job").stage(Stage::state("Running")).stage(Stage::state("Success")));
    apply(&bed, OTC, "job", "progressDeadlineSeconds: 2");
    see(&bed, "job", "Running | U/Running | F/Running | U/Running | T/PollSucceeded | Stalled T/NoProgress");
    after_polls(&bed, "job", 2);
    is_waited_for(&bed, "job");
    bed.simulator.advance(&key);
    is_over(&bed, "job", true);
}

#[test]
fn an_unknown_word_changes_no_phase_and_ends_nothing() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let unknown = |phase| {
        format!(
            "{phase} | U/UnrecognizedState | F/UnrecognizedState | U/UnrecognizedState | T/PollSucceeded | Reconciling T/Progressing"
        )
    };
    bed.simulator.put(job("job").stage(Stage::state("Pondering")));
    let key = bed.simulator.put(upgrade("upgrade").stage(Stage::state("Pending")).stage(Stage::state("Rollbacking")));
    apply(&bed, OTC, "job", "");
    apply(&bed, CCE, "upgrade", "");
    let object = see(&bed, "job", &unknown("Running"));
    assert_eq!(object["status"]["upstreamState"], "Pondering");
    is_waited_for(&bed, "job");
    see(&bed, "upgrade", BLOCKED);
    bed.simulator.advance(&key);
    see(&bed, "upgrade", &unknown("Blocked"));
    is_waited_for(&bed, "upgrade");
}

#[test]
fn a_suspended_operation_keeps_its_phase_and_nobody_is_asked() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let suspended = |phase| format!("{phase} | U/Suspended | F/Suspended | U/Suspended | U/Suspended |");
    bed.simulator.put(job("new").stage(Stage::state("Running")));
    bed.simulator.put(job("job").stage(Stage::state("Running")));
    apply(&bed, OTC, "new", "suspend: true");
    apply(&bed, OTC, "job", "");
    see(&bed, "job", RUNNING);
    patch(&bed, "job", &json!({"spec": {"suspend": true}}), &[]);
    see(&bed, "job", &suspended("Running"));
    see(&bed, "new", &suspended("Pending"));
    bed.simulator.reset_counts();
    is_waited_for(&bed, "job");
    is_waited_for(&bed, "new");
    assert_eq!(bed.simulator.count(Matcher::any()), 0);
    patch(&bed, "job", &json!({"spec": {"suspend": false}}), &[]);
    see(&bed, "job", RUNNING);
}

#[test]
fn every_end_but_success_opens_the_gate_with_a_bad_verdict() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let running = || Stage::state("Running");
    let failing =
        bed.simulator.put(job("failing").stage(running()).stage(Stage::state("Failed").error("", "no quota")));
    let cancelled = bed.simulator.put(upgrade("cancelled").stage(running()).stage(Stage::state("Cancel")));
    let expiring = bed.simulator.put(job("expiring").stage(running()).stage(Stage::gone()));
    bed.simulator.put(job("overdue").stage(running()));
    apply(&bed, OTC, "failing", "");
    apply(&bed, CCE, "cancelled", "");
    apply(&bed, OTC, "expiring", "notFoundGraceSeconds: 2");
    apply(&bed, OTC, "overdue", "activeDeadlineSeconds: 2");
    apply(&bed, OTC, "unheard-of", "notFoundGraceSeconds: 2");
    for (id, key) in [("failing", failing), ("cancelled", cancelled), ("expiring", expiring)] {
        see(&bed, id, RUNNING);
        bed.simulator.advance(&key);
    }
    for (id, reason, words) in [
        ("failing", "OperationFailed", "no quota"),
        ("cancelled", "OperationCancelled", "Cancel"),
        ("expiring", "OperationExpired", "outcome is unknown"),
        ("overdue", "DeadlineExceeded", "within 2 s"),
        ("unheard-of", "OperationNotFound", "check spec.operationId"),
    ] {
        is_over(&bed, id, false);
        let object = see(&bed, id, &failed(reason));
        let verdict = condition(&object["status"], "Succeeded").cloned().unwrap_or_default();
        assert!(verdict["message"].as_str().is_some_and(|message| message.contains(words)), "{verdict}");
    }
}

#[test]
fn an_operation_the_cloud_does_not_know_yet_is_waited_for() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    apply(&bed, OTC, "job", "");
    see(
        &bed,
        "job",
        "Pending | U/Pending | U/Pending | U/Pending | T/PollSucceeded | Reconciling T/ProgressingWithRetry",
    );
    is_waited_for(&bed, "job");
    bed.simulator.put(job("job").stage(Stage::state("Running")));
    see(&bed, "job", RUNNING);
}
