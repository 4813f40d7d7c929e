//! Events: transitions only, each told once.

use std::time::Duration;

use cloudop_simulator::{Fault, Matcher, Stage, Times};
use cloudop_testbed::{Bed, SECRET, TOKEN, eventually};

use crate::view::{after_polls, date_back, is_over, poll_now};
use crate::{CCE, OTC, apply, bed, job, upgrade};

/// Waits until exactly these Events stand there, then for two more polls of `id`, and for no other Event.
#[track_caller]
fn are_told(bed: &Bed, id: &str, expected: &[&str]) {
    are_all_told(bed, id, expected);
    after_polls(bed, id, 2);
    assert_eq!(bed.events(id), expected);
}

/// Waits until exactly these Events stand there, and looks no further.
#[track_caller]
fn are_all_told(bed: &Bed, id: &str, expected: &[&str]) {
    eventually(Duration::from_secs(60), &format!("{id}: {expected:?}"), || {
        let told = bed.events(id);
        if told == expected { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

#[test]
fn a_plain_run_has_two_events_and_a_failed_one_tells_why() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let running = || Stage::state("Initializing").for_polls(1);
    bed.simulator
        .put(job("good").stage(running()).stage(Stage::state("Running").for_polls(2)).stage(Stage::state("Success")));
    bed.simulator.put(job("bad").stage(running()).stage(Stage::state("Failed").error("", "no quota")));
    apply(&bed, OTC, "good", "");
    apply(&bed, OTC, "bad", "");
    is_over(&bed, "good", true);
    is_over(&bed, "bad", false);
    are_all_told(&bed, "good", &["Tracking", "Succeeded"]);
    are_all_told(&bed, "bad", &["Tracking", "Failed"]);
    let shown = bed.kubectl(&["get", "events", "--field-selector=involvedObject.name=bad,type=Warning"]).stdout;
    assert!(shown.contains("OperationFailed") && shown.contains("no quota"), "{shown}");
}

#[test]
fn a_parked_operation_one_that_stands_still_and_an_unknown_word_are_each_told_of_once() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let run = |id, words: &[&str]| {
        bed.simulator.put(words.iter().fold(upgrade(id), |run, word| run.stage(Stage::state(*word))))
    };
    let parked = run("parked", &["Running", "Pending", "Running", "Success"]);
    let odd = run("odd", &["Running", "Rollbacking", "Success"]);
    let still = run("still", &["Running", "Success"]);
    apply(&bed, CCE, "parked", "");
    apply(&bed, CCE, "odd", "");
    apply(&bed, CCE, "still", "progressDeadlineSeconds: 2");
    are_told(&bed, "still", &["Tracking", "NoProgress"]);
    are_told(&bed, "parked", &["Tracking"]);
    are_all_told(&bed, "odd", &["Tracking"]);
    bed.simulator.advance(&parked);
    bed.simulator.advance(&odd);
    are_told(&bed, "parked", &["Tracking", "Blocked"]);
    are_told(&bed, "odd", &["Tracking", "UnrecognizedState"]);
    bed.simulator.advance(&parked);
    after_polls(&bed, "parked", 2);
    for (id, key, trouble) in
        [("parked", parked, "Blocked"), ("odd", odd, "UnrecognizedState"), ("still", still, "NoProgress")]
    {
        bed.simulator.advance(&key);
        is_over(&bed, id, true);
        are_all_told(&bed, id, &["Tracking", trouble, "Succeeded"]);
    }
}

#[test]
fn trouble_with_credentials_and_its_end_are_each_told_once() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    bed.simulator.put(job("job").stage(Stage::state("Running")));
    apply(&bed, OTC, "job", "");
    are_told(&bed, "job", &["Tracking"]);
    assert!(bed.kubectl(&["delete", "secret", SECRET]).success());
    poll_now(&bed, "job", "1");
    bed.secret(SECRET, &[("token", "not-this-one")]);
    poll_now(&bed, "job", "2");
    poll_now(&bed, "job", "3");
    are_all_told(&bed, "job", &["Tracking", "CredentialsInvalid"]);
    bed.secret(SECRET, &[("token", TOKEN)]);
    poll_now(&bed, "job", "4");
    are_told(&bed, "job", &["Tracking", "CredentialsInvalid", "Recovered"]);
}

#[test]
fn a_short_fault_is_nobodys_business_and_one_of_a_minute_is_told_once_as_is_its_end() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    bed.simulator.put(job("job").stage(Stage::state("Running")));
    apply(&bed, OTC, "job", "");
    are_told(&bed, "job", &["Tracking"]);
    let broken = || bed.simulator.fault(Fault::ServerError { status: 500 }, Matcher::id("job"), Times::Forever);
    let fault = broken();
    bed.until_reason("job", "UpstreamReachable", "ServerError");
    fault.clear();
    poll_now(&bed, "job", "1");
    are_told(&bed, "job", &["Tracking"]);

    let fault = broken();
    bed.until_reason("job", "UpstreamReachable", "ServerError");
    date_back(&bed, "job", "UpstreamReachable");
    poll_now(&bed, "job", "2");
    poll_now(&bed, "job", "3");
    are_all_told(&bed, "job", &["Tracking", "PollFailing"]);
    fault.clear();
    poll_now(&bed, "job", "4");
    are_told(&bed, "job", &["Tracking", "PollFailing", "Recovered"]);
}
