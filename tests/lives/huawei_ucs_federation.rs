//! Huawei Cloud UCS federation jobs.

use std::thread::sleep;
use std::time::Duration;

use cloudop_simulator::{Cloud, Matcher, Operation, Scope, Stage, Task};
use cloudop_testbed::eventually;

use crate::story::Story;

const FLEET: &str = "4f9c8a12-2fa3-11ee-ad1d-0255ac1001c4";
const PROVIDER: &str = "huaweiUcsFederation: {}";
const CHART: &str = "70b66b9a-2fa4-11ee-bf07-0255ac1000b9";
const CERTIFICATE: &str = "70b66afa-2fa4-11ee-bf07-0255ac1000b9";

fn job(stages: impl IntoIterator<Item = Stage>) -> Operation {
    let federation = "70acf480-2fa4-11ee-ad1d-0255ac1001c4";
    let job = Operation::new(Cloud::HuaweiUcsFederation, Scope::ucs(), FLEET)
        .kind("CreateFederation")
        .target(federation, federation)
        .job_uid("70b5a14f-2fa4-11ee-bf07-0255ac1000b9");
    stages.into_iter().fold(job, Operation::stage)
}

/// A phase, and where the certificate and the chart stand.
fn federation(phase: &str, certificate: Task, chart: Task) -> Stage {
    Stage::state(phase).task(certificate).task(chart)
}

fn certificate(word: &str) -> Task {
    Task::new(CERTIFICATE, "CreateCert").state(word)
}

fn chart(word: &str) -> Task {
    Task::new(CHART, "InstallFederationChart").state(word)
}

/// Another job of the same fleet, in which nothing is as in the first.
fn another_job() -> Operation {
    Operation::new(Cloud::HuaweiUcsFederation, Scope::ucs(), FLEET)
        .kind("UpgradeFederation")
        .target("aaaaaaaa-2fa4-11ee-ad1d-0255ac1001c4", "another")
        .job_uid("bbbbbbbb-2fa4-11ee-bf07-0255ac1000b9")
        .stage(Stage::state("Initializing").task(Task::new("cccccccc", "UpgradeChart").state("Initializing")))
        .stage(Stage::state("Failed").task(Task::new("cccccccc", "UpgradeChart").state("Failed").reason("no")))
}

#[test]
fn an_enabling_is_followed_to_its_success() {
    let job = job([
        Stage::state("Initializing"),
        federation("Running", certificate("Running"), Task::new(CHART, "InstallFederationChart")),
        federation("Running", certificate("Success"), chart("Running")),
        federation("Success", certificate("Success"), chart("Success")),
    ]);
    let mut story = Story::new("huawei_ucs_federation/success", job);
    story.apply(PROVIDER, "");
    story.see("initializing");
    story.advance_to("certifying");
    story.advance_to("installing");
    story.advance();
    story.end("success", true);
    story.close();
}

#[test]
fn a_failure_in_a_sub_job_names_it_and_says_why() {
    let job = job([
        federation("Running", certificate("Success"), chart("Running")),
        federation("Failed", certificate("Success"), chart("Failed").reason("release federation: timed out")),
    ]);
    let mut story = Story::new("huawei_ucs_federation/failed-in-a-sub-job", job);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance();
    story.end("failed", false);
    story.close();
}

#[test]
fn a_job_whose_place_another_takes_while_it_runs_expires_with_nothing_of_the_other() {
    let job = job([federation("Running", certificate("Success"), chart("Running"))]);
    let mut story = Story::new("huawei_ucs_federation/replaced-while-running", job);
    story.apply(PROVIDER, "notFoundGraceSeconds: 600");
    let running = story.see("running");
    story.bed.simulator.put(another_job());
    story.see("replaced");
    // The other's end is not the first one's.
    story.advance();
    story.bed.simulator.reset_counts();
    eventually(Duration::from_secs(30), "a look at the other's end", || {
        match story.bed.simulator.count(Matcher::any()) {
            0 => Err("no request".to_owned()),
            _ => Ok(()),
        }
    });
    story.end_the_grace();
    let expired = story.end("expired", false);
    for fact in ["upstreamState", "upstreamUid", "operationType", "target", "progress", "subJobs", "startTime", "error"]
    {
        assert_eq!(expired[fact], running[fact], "{fact}");
    }
    story.close();
}

#[test]
fn a_job_that_comes_after_a_success_changes_nothing() {
    let job = job([
        federation("Running", certificate("Success"), chart("Running")),
        federation("Success", certificate("Success"), chart("Success")),
    ]);
    let mut story = Story::new("huawei_ucs_federation/replaced-after-success", job);
    story.apply(PROVIDER, "");
    story.see("running");
    story.advance();
    story.end("success", true);
    story.bed.simulator.put(another_job());
    story.bed.simulator.reset_counts();
    story.patch(r#"{"spec":{"suspend":true},"metadata":{"annotations":{"cloudop.dev/requested-at":"now"}}}"#);
    story.see("edited");
    // Three intervals in which it would have been asked.
    sleep(Duration::from_secs(3));
    assert_eq!(story.bed.simulator.count(Matcher::any()), 0, "requests after the end");
    story.close();
}
