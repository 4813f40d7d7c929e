//! The table "What each reader sees", row by row, and the rules that hold whatever the cloud says.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::api::Phase;
use crate::observation::{FailureKind as Kind, OperationError, SubJob};

const START: &str = "2026-01-01T00:00:00Z";

fn at(seconds: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn operation(spec: serde_json::Value) -> CloudOperation {
    let mut value = json!({
        "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation",
        "metadata": {"name": "a", "namespace": "n", "uid": "u-1", "generation": 1},
        "spec": {"provider": {"otcCceJob": {"region": "eu-de", "projectId": "p"}}, "operationId": "j",
                 "credentialsRef": {"name": "otc"}},
        "status": {"observedGeneration": -1, "phase": "Pending", "conditions": [
            {"type": "Succeeded", "status": "Unknown", "reason": "Pending", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z"},
            {"type": "Finished", "status": "Unknown", "reason": "Pending", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z"}]}
    });
    for (key, member) in spec.as_object().unwrap() {
        value["spec"][key] = member.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn subject(operation: &CloudOperation) -> Subject<'_> {
    Subject { operation, cloud: operation.spec.provider.built_in().unwrap().cloud(), typical: None }
}

/// One object followed through a script, as the controller would.
struct Life {
    operation: CloudOperation,
    memory: Memory,
    notices: Vec<&'static str>,
    next: Next,
}

impl Life {
    fn new(spec: serde_json::Value) -> Self {
        Self { operation: operation(spec), memory: Memory::default(), notices: Vec::new(), next: Next::Rest }
    }

    fn poll(mut self, seconds: i64, result: Result<Observation, PollFailure>) -> Self {
        self.step(seconds, Some(Poll { result, age: Duration::ZERO, since_last: None }));
        self
    }

    fn step(&mut self, seconds: i64, poll: Option<Poll>) {
        let decision = decide(subject(&self.operation), poll, self.memory, at(seconds));
        self.operation.status = Some(decision.status);
        self.memory = decision.memory;
        self.notices.extend(decision.notices.iter().map(|notice| notice.reason));
        self.next = decision.next;
    }

    fn says(self, seconds: i64, state: State, word: &str) -> Self {
        self.poll(seconds, Ok(Observation::new(state, word)))
    }

    fn fails(self, seconds: i64, kind: Kind) -> Self {
        self.poll(seconds, Err(PollFailure::new(kind, format!("{kind:?}"))))
    }

    fn edit(mut self, spec: serde_json::Value) -> Self {
        let status = self.operation.status.take();
        let generation = self.operation.metadata.generation;
        self.operation = operation(spec);
        self.operation.status = status;
        self.operation.metadata.generation = generation.map(|g| g + 1);
        self
    }

    fn settle(mut self, seconds: i64) -> Self {
        self.step(seconds, None);
        self
    }

    fn status(&self) -> &CloudOperationStatus {
        self.operation.status.as_ref().unwrap()
    }

    /// The row of "What each reader sees": phase; Succeeded, Finished, Ready, UpstreamReachable; what moves.
    fn row(&self) -> String {
        let status = self.status();
        let word = |kind: ConditionType| match condition(status, kind) {
            Some(c) => format!("{}/{}", &c.status[..1], c.reason),
            None => "-".into(),
        };
        let moves = [ConditionType::Reconciling, ConditionType::Stalled]
            .into_iter()
            .filter_map(|kind| condition(status, kind).map(|c| format!("{} {}", &kind.as_str()[..1], c.reason)))
            .collect::<Vec<_>>()
            .join("+");
        format!(
            "{:?} | {} | {} | {} | {} | {moves}",
            status.phase,
            word(ConditionType::Succeeded),
            word(ConditionType::Finished),
            word(ConditionType::Ready),
            word(ConditionType::UpstreamReachable),
        )
    }
}

fn new() -> Life {
    Life::new(json!({}))
}

fn running() -> Life {
    new().says(0, State::Running, "Running")
}

#[rstest]
#[case::accepted(new().says(0, State::Pending, "Initializing"),
    "Pending | U/Pending | U/Pending | U/Pending | T/PollSucceeded | R Progressing")]
#[case::running(running(), "Running | U/Running | F/Running | U/Running | T/PollSucceeded | R Progressing")]
#[case::one_lost_answer_is_no_news(running().fails(10, Kind::ServerError),
    "Running | U/Running | F/Running | U/Running | T/PollSucceeded | R Progressing")]
#[case::two_are(running().fails(10, Kind::ServerError).fails(15, Kind::ServerError),
    "Running | U/PollFailing | F/PollFailing | U/PollFailing | F/ServerError | R ProgressingWithRetry")]
#[case::a_new_object_shows_its_first_fault(new().fails(0, Kind::Unreachable),
    "Pending | U/PollFailing | F/PollFailing | U/PollFailing | F/Unreachable | R ProgressingWithRetry")]
#[case::a_fault_of_hours_is_still_no_failure(running().fails(1, Kind::Throttled).fails(6, Kind::InvalidResponse).fails(9000, Kind::Unreachable),
    "Running | U/PollFailing | F/PollFailing | U/PollFailing | F/Unreachable | R ProgressingWithRetry")]
#[case::secret_missing(new().fails(0, Kind::CredentialsNotFound).fails(119, Kind::CredentialsNotFound),
    "Pending | U/CredentialsInvalid | F/CredentialsInvalid | U/CredentialsInvalid | F/CredentialsNotFound | R ProgressingWithRetry")]
#[case::secret_missing_past_its_grace(new().fails(0, Kind::CredentialsNotFound).fails(120, Kind::CredentialsNotFound),
    "Pending | U/CredentialsInvalid | F/CredentialsInvalid | F/CredentialsNotFound | F/CredentialsNotFound | S CredentialsNotFound")]
#[case::the_grace_of_a_refused_token_is_its_own(
    running().fails(1, Kind::Unreachable).fails(9, Kind::Unreachable).fails(900, Kind::Unauthorized).fails(1019, Kind::Unauthorized),
    "Running | U/CredentialsInvalid | F/CredentialsInvalid | U/CredentialsInvalid | F/Unauthorized | R ProgressingWithRetry")]
#[case::healed(running().fails(10, Kind::Forbidden).fails(200, Kind::Forbidden).says(300, State::Running, "Running"),
    "Running | U/Running | F/Running | U/Running | T/PollSucceeded | R Progressing")]
#[case::blocked(running().says(10, State::Blocked, "Pending"),
    "Blocked | U/Blocked | F/Blocked | U/Blocked | T/PollSucceeded | S OperationBlocked")]
#[case::blocked_then_retried(running().says(10, State::Blocked, "Pending").says(70, State::Running, "Running"),
    "Running | U/Running | F/Running | U/Running | T/PollSucceeded | R Progressing")]
#[case::no_progress(Life::new(json!({"progressDeadlineSeconds": 60})).says(0, State::Running, "Running").says(60, State::Running, "Running"),
    "Running | U/Running | F/Running | U/Running | T/PollSucceeded | S NoProgress")]
#[case::progress_again(Life::new(json!({"progressDeadlineSeconds": 60})).says(0, State::Pending, "Init").says(60, State::Pending, "Init").says(70, State::Running, "Running"),
    "Running | U/Running | F/Running | U/Running | T/PollSucceeded | R Progressing")]
#[case::unknown_word(new().says(0, State::Unrecognized, "Paused"),
    "Running | U/UnrecognizedState | F/UnrecognizedState | U/UnrecognizedState | T/PollSucceeded | R Progressing")]
#[case::unknown_word_keeps_what_was_known(new().says(0, State::Blocked, "Pending").says(60, State::Unrecognized, "Paused"),
    "Blocked | U/UnrecognizedState | F/UnrecognizedState | U/UnrecognizedState | T/PollSucceeded | R Progressing")]
#[case::suspended(running().edit(json!({"suspend": true})).settle(10),
    "Running | U/Suspended | F/Suspended | U/Suspended | U/Suspended | ")]
#[case::resumed(running().edit(json!({"suspend": true})).settle(10).edit(json!({})).says(20, State::Running, "Running"),
    "Running | U/Running | F/Running | U/Running | T/PollSucceeded | R Progressing")]
#[case::succeeded(running().says(10, State::Succeeded, "Success"),
    "Succeeded | T/OperationSucceeded | T/OperationSucceeded | T/OperationSucceeded | T/PollSucceeded | ")]
#[case::failed(running().says(10, State::Failed, "Failed"),
    "Failed | F/OperationFailed | T/OperationFailed | F/OperationFailed | T/PollSucceeded | S OperationFailed")]
#[case::cancelled(running().says(10, State::Cancelled, "Cancel"),
    "Failed | F/OperationCancelled | T/OperationCancelled | F/OperationCancelled | T/PollSucceeded | S OperationCancelled")]
#[case::overdue(Life::new(json!({"activeDeadlineSeconds": 60})).says(0, State::Running, "Running").says(60, State::Running, "Running"),
    "Failed | F/DeadlineExceeded | T/DeadlineExceeded | F/DeadlineExceeded | T/PollSucceeded | S DeadlineExceeded")]
#[case::overdue_and_out_of_sight(Life::new(json!({"activeDeadlineSeconds": 60})).says(0, State::Running, "Running").fails(60, Kind::Unreachable),
    "Failed | F/DeadlineExceeded | T/DeadlineExceeded | F/DeadlineExceeded | F/Unreachable | S DeadlineExceeded")]
#[case::overdue_in_a_pause_of_the_account(Life::new(json!({"activeDeadlineSeconds": 60})).says(0, State::Running, "Running").settle(60),
    "Failed | F/DeadlineExceeded | T/DeadlineExceeded | F/DeadlineExceeded | T/PollSucceeded | S DeadlineExceeded")]
#[case::overdue_and_never_seen(Life::new(json!({"activeDeadlineSeconds": 60})).fails(0, Kind::CredentialsNotFound).fails(61, Kind::CredentialsNotFound),
    "Failed | F/DeadlineExceeded | T/DeadlineExceeded | F/DeadlineExceeded | F/CredentialsNotFound | S DeadlineExceeded")]
#[case::success_at_the_deadline_is_success(Life::new(json!({"activeDeadlineSeconds": 60})).says(0, State::Running, "Running").says(61, State::Succeeded, "Success"),
    "Succeeded | T/OperationSucceeded | T/OperationSucceeded | T/OperationSucceeded | T/PollSucceeded | ")]
#[case::not_yet_known(new().fails(0, Kind::NotFound).fails(119, Kind::NotFound),
    "Pending | U/Pending | U/Pending | U/Pending | T/PollSucceeded | R ProgressingWithRetry")]
#[case::never_known(new().fails(0, Kind::NotFound).fails(60, Kind::NotFound).fails(120, Kind::NotFound),
    "Failed | F/OperationNotFound | T/OperationNotFound | F/OperationNotFound | T/PollSucceeded | S OperationNotFound")]
#[case::a_missing_secret_uses_up_no_grace(new().fails(0, Kind::CredentialsNotFound).fails(5000, Kind::NotFound),
    "Pending | U/Pending | U/Pending | U/Pending | T/PollSucceeded | R ProgressingWithRetry")]
#[case::known_late(new().fails(0, Kind::NotFound).says(60, State::Running, "Running").fails(130, Kind::NotFound).fails(135, Kind::NotFound),
    "Running | U/Running | F/Running | U/Running | T/PollSucceeded | R ProgressingWithRetry")]
#[case::expired(running().fails(10, Kind::NotFound).fails(15, Kind::NotFound).fails(130, Kind::NotFound),
    "Failed | F/OperationExpired | T/OperationExpired | F/OperationExpired | T/PollSucceeded | S OperationExpired")]
fn each_situation_has_its_row(#[case] life: Life, #[case] row: &str) {
    assert_eq!(life.row(), row);
    let generation = life.operation.metadata.generation;
    assert!(life.status().conditions.iter().all(|c| c.observed_generation == generation));
    assert!(life.status().conditions.iter().all(|c| c.last_transition_time.0 >= at(0)));
}

fn run(uid: &str, state: State) -> Result<Observation, PollFailure> {
    Ok(Observation { uid: Some(uid.into()), ..Observation::new(state, format!("{state:?}")) })
}

#[test]
fn another_run_under_the_same_id_is_never_mixed_with_the_one_followed() {
    let life = new().poll(0, run("one", State::Running)).poll(10, run("two", State::Succeeded));
    assert_eq!((life.status().phase, life.status().upstream_uid.as_deref()), (Phase::Running, Some("one")));
    let life = life.poll(15, run("two", State::Succeeded)).poll(130, run("two", State::Succeeded));
    assert_eq!(
        life.row(),
        "Failed | F/OperationExpired | T/OperationExpired | F/OperationExpired | T/PollSucceeded | S OperationExpired"
    );
    let settled = new().poll(0, run("one", State::Succeeded)).poll(10, run("two", State::Failed));
    assert_eq!((settled.status().phase, settled.status().upstream_uid.as_deref()), (Phase::Succeeded, Some("one")));
}

#[test]
fn the_run_that_is_followed_is_told_by_its_identity_as_the_status_keeps_it() {
    let long = format!(" one\u{7}{}", "1".repeat(200));
    let life = new().poll(0, run(&long, State::Running)).poll(10, run(&long, State::Succeeded));
    assert_eq!(life.status().phase, Phase::Succeeded);
    // An answer without an identity is no leave to follow another run.
    let life = new().poll(0, run("one", State::Running)).says(10, State::Running, "Running");
    assert_eq!(life.poll(20, run("two", State::Succeeded)).status().phase, Phase::Running);
}

#[test]
fn a_settled_result_stands_and_a_contradiction_is_announced_once() {
    let life = running().says(10, State::Succeeded, "Success");
    let before = life.status().clone();
    let life = life.says(20, State::Running, "Running");
    assert_eq!((life.status(), life.next), (&before, Next::Rest));
    assert_eq!(life.notices, ["Tracking", "Succeeded", "Contradicted"]);
}

#[test]
fn after_the_end_an_edit_renews_every_observed_generation() {
    let life = running().says(10, State::Failed, "Failed").edit(json!({"pollIntervalSeconds": 9})).settle(20);
    assert_eq!(life.status().observed_generation, Some(2));
    assert!(life.status().conditions.iter().all(|c| c.observed_generation == Some(2)));
    assert_eq!(life.status().phase, Phase::Failed);
}

#[test]
fn the_ttl_counts_from_when_the_end_was_seen() {
    let mut observation = Observation::new(State::Succeeded, "Success");
    observation.completion_time = Some(at(-90_000));
    observation.start_time = Some(at(-99_000));
    let life = Life::new(json!({"ttlSecondsAfterFinished": 60})).poll(10, Ok(observation));
    assert_eq!(life.next, Next::Delete(at(70)));
    assert_eq!(life.status().completion_time.as_ref().unwrap().0, at(-90_000));
}

fn absent() -> Result<Observation, PollFailure> {
    Err(PollFailure::new(Kind::NotFound, "unknown"))
}

/// Whether the life has ended because the operation is gone.
fn is_gone(life: &Life) -> bool {
    life.row().starts_with("Failed | F/Operation")
}

#[test]
fn the_grace_runs_over_answers_in_a_row_that_say_not_found() {
    let hour = 3600;
    let interrupted = [
        running()
            .poll(10, absent())
            .fails(20, Kind::Unreachable)
            .fails(hour, Kind::Unreachable)
            .poll(hour + 10, absent()),
        running().poll(10, absent()).poll(20, absent()).fails(30, Kind::ServerError).poll(hour, absent()),
        new().poll(0, absent()).poll(10, absent()).fails(20, Kind::Unauthorized).poll(hour, absent()),
        running().poll(10, absent()).poll(20, absent()).says(30, State::Running, "Running").poll(hour, absent()),
    ];
    for life in interrupted {
        let life = life.poll(2 * hour, absent());
        assert!(!is_gone(&life), "{}", life.row());
        assert!(is_gone(&life.poll(2 * hour + 60, absent()).poll(2 * hour + 130, absent())));
    }
    let mut unwritten = running().poll(10, absent()).poll(20, absent());
    let (before, status) = (unwritten.memory, unwritten.operation.status.clone());
    unwritten = unwritten.says(30, State::Running, "Running");
    (unwritten.memory, unwritten.operation.status) = (unwritten.memory.undone(before), status);
    assert!(!is_gone(&unwritten.poll(hour, absent())), "the operation was there, though that could not be written");
    let mut again = running().poll(10, absent());
    for _ in 0..5 {
        let (before, status) = (again.memory, again.operation.status.clone());
        again = again.poll(hour, absent());
        (again.memory, again.operation.status) = (again.memory.undone(before), status);
    }
    assert!(!is_gone(&again.poll(hour, absent())), "one answer that could not be written is one");
    let suspended = running().poll(10, absent()).poll(20, absent()).edit(json!({"suspend": true})).settle(30);
    let resumed = suspended.edit(json!({})).poll(hour, absent()).poll(hour + 5, absent());
    assert!(!is_gone(&resumed), "{}", resumed.row());
}

#[test]
fn a_clock_that_was_set_starts_the_grace_anew() {
    let absent_after = |life: Life, seconds: i64, since_last: u64| {
        let mut life = life;
        let since_last = Some(Duration::from_secs(since_last));
        life.step(seconds, Some(Poll { result: absent(), age: Duration::ZERO, since_last }));
        life
    };
    let life = absent_after(running(), 10, 10);
    let stepped = absent_after(absent_after(life, 20, 10), 3630, 10);
    assert!(!is_gone(&absent_after(stepped, 3640, 10)));
    let life = absent_after(absent_after(running(), 10, 10), 20, 10);
    let back = absent_after(life, -3600, 10);
    assert!(!is_gone(&absent_after(back, -3500, 100)));
    let steady = absent_after(absent_after(absent_after(running(), 10, 10), 70, 60), 140, 70);
    assert!(is_gone(&steady), "{}", steady.row());
}

#[test]
fn a_single_not_found_after_a_good_answer_is_quiet_and_two_looks_are_never_an_end() {
    let before = running().status().clone();
    let life = running().poll(10, absent());
    assert_eq!((life.status(), life.next), (&before, Next::Poll(at(15))));
    let life = life.says(15, State::Running, "Running");
    assert_eq!((life.status(), life.notices.len()), (&before, 1));
    let impatient =
        Life::new(json!({"notFoundGraceSeconds": 0, "pollIntervalSeconds": 3600})).poll(0, absent()).poll(5, absent());
    assert_eq!((is_gone(&impatient), impatient.next), (false, Next::Poll(at(10))));
    assert!(is_gone(&impatient.poll(10, absent())));
}

#[test]
fn an_end_with_an_error_is_a_failure() {
    let error = Some(OperationError { message: Some("quota".into()), ..OperationError::default() });
    let life = new().poll(0, Ok(Observation { error, ..Observation::new(State::Succeeded, "DONE") }));
    assert!(life.row().starts_with("Failed | F/OperationFailed"), "{}", life.row());
}

#[test]
fn facts_that_do_not_fit_are_compared_as_they_are_kept() {
    let said = |n: u32| {
        let part = |n: u32| SubJob {
            id: format!("job-{n}"),
            parent_id: None,
            name: "安装节点".repeat(30),
            state: State::Running,
            upstream_state: "Running".into(),
            message: Some("正在安装节点，请稍候".repeat(30)),
            start_time: None,
            completion_time: None,
        };
        let message = Some("正在升级集群".repeat(100));
        Ok(Observation { sub_jobs: (0..n).map(part).collect(), message, ..Observation::new(State::Running, "Running") })
    };
    let mut life = Life::new(json!({"progressDeadlineSeconds": 600})).poll(0, said(64));
    let written = life.status().clone();
    assert!(serde_json::to_vec(&written).unwrap().len() < 32 * 1024);
    assert!(written.sub_jobs.len() > 10 && written.sub_jobs_total == Some(64));
    for seconds in [60, 120, 599] {
        life = life.poll(seconds, said(64));
        assert_eq!(life.status(), &written, "at {seconds} s");
    }
    let life = life.poll(600, said(64));
    assert!(life.row().ends_with("S NoProgress"), "{}", life.row());
    let shown = life.status().sub_jobs.len();
    assert_eq!(life.poll(660, said(64)).status().sub_jobs.len(), shown, "another condition drops no facts");
}

#[test]
fn a_request_without_end_is_echoed_as_its_digest() {
    let request = |length: usize| {
        let mut life = running();
        let annotations = [(REQUESTED_AT.to_owned(), "界".repeat(length))].into();
        life.operation.metadata.annotations = Some(annotations);
        assert!(has_request(&life.operation));
        let life = life.says(10, State::Running, "Running");
        assert!(!has_request(&life.operation));
        life.status().last_handled_request.clone().unwrap()
    };
    assert_eq!(request(253), "界".repeat(253));
    let digest = request(254);
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    assert_eq!(request(100_000).len(), 71);
    assert_eq!(echo(&digest), digest);
}

/// A failure whose words are others each time.
fn trouble(kind: Kind, code: Option<&str>, seconds: i64) -> Result<Observation, PollFailure> {
    let message = format!("trouble at {seconds} s");
    let request_id = Some(format!("r-{seconds}"));
    Err(PollFailure { code: code.map(Into::into), request_id, ..PollFailure::new(kind, message) })
}

#[rstest]
#[case(Kind::ServerError)]
#[case(Kind::Unauthorized)]
#[case(Kind::NotFound)]
fn words_that_differ_each_time_are_renewed_every_five_minutes(#[case] kind: Kind) {
    let spec = json!({"notFoundGraceSeconds": 86400});
    let mut life = Life::new(spec).poll(0, trouble(kind, Some("A.1"), 0)).poll(10, trouble(kind, Some("A.1"), 10));
    // The grace of a wrong Secret ends with a change.
    life = life.poll(130, trouble(kind, Some("A.1"), 130));
    let written = life.status().clone();
    assert!(written.conditions[0].message.contains("trouble at 0 s"), "{}", written.conditions[0].message);
    // An answer that there is no such operation is no refusal.
    let request_id = |status: &CloudOperationStatus| Some(status.error.as_ref()?.request_id.clone().unwrap());
    let shown = |id: &str| (kind != Kind::NotFound).then(|| id.to_owned());
    assert_eq!(request_id(&written), shown("r-0"));
    for seconds in [140, 200, 290] {
        life = life.poll(seconds, trouble(kind, Some("A.1"), seconds));
        assert_eq!(life.status(), &written, "at {seconds} s");
    }
    life = life.poll(310, trouble(kind, Some("A.1"), 310));
    assert!(life.status().conditions[0].message.contains("trouble at 310 s"));
    life = life.poll(320, trouble(kind, Some("A.2"), 320));
    let status = life.status();
    assert!(status.conditions[0].message.contains("trouble at 320 s"), "another code is told at once");
    assert_eq!(request_id(status), shown("r-320"));
    assert!(status.error.iter().all(|error| error.code.as_deref() == Some("A.2")));
    let life = life.says(330, State::Running, "Running");
    assert_eq!(life.status().error, None, "over with the next good answer");
}

#[test]
fn the_words_of_an_operations_error_that_differ_each_time_are_no_progress() {
    let parked = |seconds: i64| {
        let message = Some(format!("node 7 failed at {seconds}"));
        let error = Some(OperationError { code: Some("C.1".into()), message, ..OperationError::default() });
        Ok(Observation { error, ..Observation::new(State::Blocked, "Pending") })
    };
    let mut life = new().poll(0, parked(0));
    let written = life.status().clone();
    for seconds in [60, 120, 299] {
        life = life.poll(seconds, parked(seconds));
        assert_eq!(life.status(), &written, "at {seconds} s");
    }
    let life = life.poll(301, parked(301));
    assert_ne!(life.status().error, written.error);
    assert_eq!(life.status().last_progress_time, written.last_progress_time);
}

#[test]
fn a_wrong_credential_stalls_whatever_else_fails_meanwhile_and_is_announced_once() {
    let mut life = running();
    for turn in 0..12 {
        life = life.fails(10 + 20 * turn, Kind::Unauthorized).fails(20 + 20 * turn, Kind::ServerError);
    }
    assert!(
        life.row().ends_with(
            "U/CredentialsInvalid | F/CredentialsInvalid | F/Unauthorized | F/Unauthorized | S Unauthorized"
        ),
        "{}",
        life.row()
    );
    let told = life.notices.iter().filter(|notice| **notice == "CredentialsInvalid").count();
    assert_eq!((told, life.notices.contains(&"PollFailing")), (1, false));
    assert_eq!(life.status().configuration_fault_since.as_ref().unwrap().0, at(10));
    let life = life.says(300, State::Running, "Running");
    assert_eq!(life.status().configuration_fault_since, None);
    assert_eq!(life.row(), running().row());
}

#[test]
fn a_parked_operation_keeps_its_own_error_while_polls_are_refused() {
    let error = Some(OperationError { message: Some("task failed".into()), ..OperationError::default() });
    let parked = new().poll(0, Ok(Observation { error, ..Observation::new(State::Blocked, "Pending") }));
    let own = parked.status().error.clone();
    let life = parked.poll(10, trouble(Kind::Forbidden, Some("F.1"), 10));
    assert_eq!(life.status().error, own);
}

#[rstest]
#[case::seen_late(None, Some(-90_000), -90_000, -90_000)]
#[case::ends_before_it_starts(Some(-10), Some(-20), -10, 0)]
#[case::starts_ahead_of_our_clock(Some(301), None, 0, 0)]
#[case::starts_a_little_ahead(Some(200), None, 200, 200)]
#[case::ends_ahead_of_our_clock(Some(-10), Some(400), -10, 0)]
fn an_end_is_the_clouds_and_never_before_the_start(
    #[case] start: Option<i64>,
    #[case] end: Option<i64>,
    #[case] shown_start: i64,
    #[case] shown_end: i64,
) {
    let (start_time, completion_time) = (start.map(at), end.map(at));
    let ended = Observation { start_time, completion_time, ..Observation::new(State::Succeeded, "Success") };
    let life = new().poll(0, Ok(ended));
    let times = |time: &Option<Time>| time.as_ref().unwrap().0;
    let status = life.status();
    assert_eq!((times(&status.start_time), times(&status.completion_time)), (at(shown_start), at(shown_end)));
}

#[test]
fn an_end_seen_after_the_first_look_is_still_the_clouds() {
    let ended = Observation { completion_time: Some(at(-50)), ..Observation::new(State::Succeeded, "Success") };
    let life = running().poll(10, Ok(ended));
    assert_eq!(life.status().completion_time.as_ref().unwrap().0, at(-50));
    assert_eq!(life.status().start_time.as_ref().unwrap().0, at(-50));
}

#[test]
fn the_first_and_the_last_status_and_what_a_user_did_or_has_to_do_are_urgent() {
    let urgent = |before: Life, after: Life| {
        let old = before.operation.status.clone();
        urgency(old.as_ref(), after.status())
    };
    assert_eq!(urgent(new(), new().says(0, State::Running, "Running")), Urgency::AtOnce);
    assert_eq!(urgent(running(), running().says(9, State::Succeeded, "Success")), Urgency::AtOnce);
    assert_eq!(urgent(running(), running().fails(9, Kind::Unauthorized)), Urgency::AtOnce);
    assert_eq!(urgent(running(), running().edit(json!({"suspend": true})).settle(9)), Urgency::AtOnce);
    assert_eq!(urgent(running(), running().says(9, State::Blocked, "Pending")), Urgency::Paced);
    assert_eq!(urgent(running(), running().says(9, State::Unrecognized, "?")), Urgency::Paced);
    let failing = || running().fails(9, Kind::Unauthorized);
    assert_eq!(urgent(failing(), failing().fails(200, Kind::Unauthorized)), Urgency::Paced);
    assert_eq!(urgent(failing(), failing().fails(20, Kind::Forbidden)), Urgency::AtOnce);
}

#[test]
fn a_deadline_is_waited_for_and_no_longer() {
    for spec in [
        json!({"pollIntervalSeconds": 3600, "activeDeadlineSeconds": 100}),
        json!({"pollIntervalSeconds": 3600, "progressDeadlineSeconds": 100}),
    ] {
        assert_eq!(Life::new(spec).says(0, State::Running, "Running").next, Next::Poll(at(100)));
    }
    let grace = Life::new(json!({"pollIntervalSeconds": 3600, "notFoundGraceSeconds": 100})).fails(0, Kind::NotFound);
    assert_eq!(grace.next, Next::Poll(at(100)));
}

#[test]
fn a_pause_of_the_account_changes_nothing_and_ends_at_the_deadline() {
    let life = Life::new(json!({"activeDeadlineSeconds": 60})).says(0, State::Running, "Running");
    let before = life.status().clone();
    let life = life.settle(30);
    assert_eq!((life.status(), life.next), (&before, Next::Poll(at(60))));
    assert_eq!(running().settle(30).next, Next::Poll(Timestamp::MAX));
}

#[test]
fn an_untroubled_run_has_two_events_and_a_troubled_one_tells_each_trouble_once() {
    assert_eq!(running().says(9, State::Succeeded, "Success").notices, ["Tracking", "Succeeded"]);
    let life = running()
        .fails(10, Kind::Unreachable)
        .fails(15, Kind::Unreachable)
        .fails(75, Kind::Unreachable)
        .fails(150, Kind::Unreachable)
        .says(300, State::Unrecognized, "Odd")
        .says(310, State::Unrecognized, "Odd")
        .says(320, State::Blocked, "Pending")
        .says(330, State::Blocked, "Pending")
        .fails(340, Kind::Unauthorized)
        .fails(600, Kind::Unauthorized)
        .says(610, State::Failed, "Failed");
    let told = [
        "Tracking",
        "PollFailing",
        "Recovered",
        "UnrecognizedState",
        "Blocked",
        "CredentialsInvalid",
        "Recovered",
        "Failed",
    ];
    assert_eq!(life.notices, told);
}

fn percent(life: &Life) -> Option<i32> {
    life.status().progress.as_ref().and_then(|p| p.percent)
}

#[rstest]
#[case(&[Some(42.0)], State::Running, Some(42))]
#[case(&[Some(-1.0)], State::Running, None)]
#[case(&[Some(101.0)], State::Running, Some(99))]
#[case(&[Some(100.0)], State::Running, Some(99))]
#[case(&[Some(60.0), Some(40.0)], State::Running, Some(60))]
#[case(&[Some(60.0), None], State::Running, Some(60))]
#[case(&[Some(40.0)], State::Succeeded, Some(100))]
#[case(&[Some(40.0)], State::Failed, Some(40))]
#[case(&[None], State::Running, None)]
fn a_percentage_is_clamped_kept_and_full_only_at_success(
    #[case] percents: &[Option<f64>],
    #[case] state: State,
    #[case] expected: Option<i32>,
) {
    let mut life = new();
    for (second, told) in (0..).zip(percents) {
        life = life.poll(second, Ok(Observation { percent: *told, ..Observation::new(state, "x") }));
    }
    assert_eq!(percent(&life), expected);
}

fn part(id: &str, parent: Option<&str>, state: State) -> SubJob {
    SubJob {
        id: id.into(),
        parent_id: parent.map(Into::into),
        name: format!("name of {id}"),
        state,
        upstream_state: String::new(),
        message: None,
        start_time: None,
        completion_time: None,
    }
}

fn with_parts(parts: Vec<SubJob>) -> Result<Observation, PollFailure> {
    Ok(Observation { sub_jobs: parts, ..Observation::new(State::Running, "Running") })
}

#[test]
fn progress_is_counted_in_leaves_and_shuffled_parts_are_no_change() {
    let parts = vec![
        part("a", None, State::Running),
        part("a1", Some("a"), State::Succeeded),
        part("a2", Some("a"), State::Running),
        part("b", None, State::Succeeded),
    ];
    let life = new().poll(0, with_parts(parts.clone()));
    let progress = life.status().progress.clone().unwrap();
    assert_eq!((progress.completed, progress.total, progress.percent), (Some(2), Some(3), Some(66)));
    assert_eq!(progress.summary.as_deref(), Some("2/3"));
    let before = life.status().clone();
    let shuffled = vec![parts[3].clone(), parts[0].clone(), parts[2].clone(), parts[1].clone()];
    assert_eq!(life.poll(30, with_parts(shuffled)).status(), &before);
}

#[test]
fn a_part_that_is_named_like_another_stays_behind_its_parent() {
    let named = |id, parent, name: &str| SubJob { name: name.into(), ..part(id, parent, State::Running) };
    let first = vec![named("a", None, "CreateNode"), named("a1", Some("a"), "InstallNode")];
    let second = vec![named("b", None, "CreateNode"), named("b1", Some("b"), "InstallNode")];
    let life = new().poll(0, with_parts(first.clone())).poll(9, with_parts([first, second].concat()));
    let ids: Vec<_> = life.status().sub_jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["a", "a1", "b", "b1"]);
}

#[test]
fn a_part_that_gets_its_id_late_keeps_its_place() {
    let waiting = SubJob { name: "Snapshot".into(), ..part("Snapshot", None, State::Pending) };
    let begun = SubJob { id: "s-1".into(), ..waiting.clone() };
    let other = part("z", None, State::Pending);
    let life = new().poll(0, with_parts(vec![waiting, other.clone()])).poll(9, with_parts(vec![other, begun]));
    let ids: Vec<_> = life.status().sub_jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["s-1", "z"]);
}

#[test]
fn a_number_given_to_a_twin_is_no_other_part_s_id() {
    let parts = ["a", "a#2", "a", "a"].map(|id| part(id, None, State::Running));
    let life = new().poll(0, with_parts(parts.to_vec()));
    let ids: Vec<_> = life.status().sub_jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["a", "a#2", "a#3", "a#4"]);
}

#[test]
fn any_number_of_parts_fits_with_unique_ids_and_a_true_total() {
    let ids =
        (0..100_000).map(|n| part(if n % 2 == 0 { "twin" } else { "\u{1b}[1mtwin" }, Some("twin"), State::Running));
    let mut parts: Vec<SubJob> = ids.collect();
    for part in parts.iter_mut().take(1000) {
        part.message = Some("\u{1F600}\"".repeat(5000));
        part.name = "\u{1F600}".repeat(5000);
    }
    let life = new().poll(0, with_parts(parts));
    let status = life.status();
    let mut ids: Vec<_> = status.sub_jobs.iter().map(|job| &job.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), status.sub_jobs_total), (status.sub_jobs.len(), Some(100_000)));
    assert!(!ids.is_empty() && serde_json::to_vec(status).unwrap().len() < 32 * 1024);
    let trouble = || Err(PollFailure::new(Kind::ServerError, "\u{1F600}".repeat(5000)));
    let life = life.poll(10, trouble()).poll(20, trouble());
    assert!(is_true(life.status(), ConditionType::Reconciling) && life.status().error.is_none());
    assert!(serde_json::to_vec(life.status()).unwrap().len() < 32 * 1024);
}

#[test]
fn an_object_followed_before_a_restart_waits_for_its_share_of_an_interval() {
    let life = running();
    assert_eq!(next(&life.operation, None, at(100)), Step::Resume);
    let slow = Life::new(json!({"pollIntervalSeconds": 60})).says(0, State::Running, "Running").operation;
    assert_eq!(resume(&slow, None, 0.0, at(100)), at(100));
    assert_eq!(resume(&slow, None, 0.25, at(100)), at(115));
    let urgent = json!({"pollIntervalSeconds": 60, "activeDeadlineSeconds": 110});
    let urgent = Life::new(urgent).says(0, State::Running, "Running").operation;
    assert_eq!(resume(&urgent, None, 0.5, at(100)), at(110), "a deadline comes first");
    assert_eq!(resume(&urgent, None, 0.5, at(200)), at(200), "and is not long past");
    assert_eq!(next(&life.operation, Some(at(100)), at(100)), Step::Poll);
    assert_eq!(next(&life.operation, Some(at(101)), at(100)), Step::Wait(at(101)));
    assert_eq!(next(&new().operation, None, at(100)), Step::Poll);
    let mut asked = running().operation;
    asked.annotations_mut().insert(REQUESTED_AT.into(), "now".into());
    assert_eq!(next(&asked, Some(at(500)), at(100)), Step::Poll);
    let edited = running().edit(json!({"pollIntervalSeconds": 600}));
    assert_eq!(next(&edited.operation, Some(at(500)), at(100)), Step::Poll);
    assert_eq!(next(&running().says(9, State::Failed, "Failed").operation, None, at(100)), Step::Settle);
}

#[test]
fn a_request_is_echoed_whatever_came_of_it() {
    let mut life = running();
    life.operation.annotations_mut().insert(REQUESTED_AT.into(), "token-1".into());
    let life = life.fails(10, Kind::Unreachable);
    assert_eq!(life.status().last_handled_request.as_deref(), Some("token-1"));
    assert!(!has_request(&life.operation));
}

fn any_state() -> impl Strategy<Value = State> {
    prop::sample::select(vec![
        State::Pending,
        State::Running,
        State::Blocked,
        State::Unrecognized,
        State::Running,
        State::Succeeded,
        State::Failed,
        State::Cancelled,
    ])
}

fn any_result() -> impl Strategy<Value = Result<Observation, PollFailure>> {
    let kinds = prop::sample::select(vec![
        Kind::Unreachable,
        Kind::Throttled,
        Kind::Unauthorized,
        Kind::CredentialsNotFound,
        Kind::InvalidResponse,
        Kind::NotFound,
    ]);
    let observed = (any_state(), prop::option::of(-50.0..150.0_f64), ".{0,40}")
        .prop_map(|(state, percent, word)| Ok(Observation { percent, ..Observation::new(state, word) }));
    prop_oneof![3 => observed, 1 => kinds.prop_map(|kind| Err(PollFailure::new(kind, "trouble")))]
}

proptest! {
    #[test]
    fn whatever_the_cloud_says_the_rules_hold(
        steps in prop::collection::vec((1_i64..400, any_result()), 1..30),
    ) {
        let mut life = new();
        let mut now = 0;
        for (wait, result) in steps {
            now += wait;
            let before = life.status().clone();
            let highest = percent(&life);
            life = life.poll(now, result.clone());
            let after = life.status();
            // Terminal sticks.
            if is_over(&before) {
                prop_assert_eq!(&before, after);
                continue;
            }
            // Percent never falls, and is full at success only.
            prop_assert!(percent(&life) >= highest);
            prop_assert_eq!(percent(&life) == Some(100), after.phase == Phase::Succeeded);
            // Never both, and the verdict is a success only on the cloud's word.
            let stalled = is_true(after, ConditionType::Stalled);
            prop_assert!(!(stalled && is_true(after, ConditionType::Reconciling)));
            let opened = is_true(after, ConditionType::Succeeded);
            let said_success = matches!(&result, Ok(observation) if observation.state == State::Succeeded);
            prop_assert_eq!(opened, said_success);
            prop_assert_eq!(opened, is_true(after, ConditionType::Ready));
            // The same answer again changes nothing and announces nothing.
            if let (false, Ok(_)) = (is_over(after), &result) {
                let again = decide(subject(&life.operation), Some(Poll { result, age: Duration::ZERO, since_last: None }), life.memory, at(now));
                prop_assert_eq!(&again.status, life.status());
                prop_assert!(again.notices.is_empty());
            }
            // The next look is within bounds.
            if let Next::Poll(next) = life.next {
                let wait = elapsed(at(now), next);
                prop_assert!(wait <= Duration::from_secs(300) && wait >= Duration::from_secs(1), "{wait:?}");
            }
        }
    }
}

/// A percentage of an operation that started at the first second.
fn is_at(percent: f64) -> Result<Observation, PollFailure> {
    let start_time = Some(at(0));
    Ok(Observation { percent: Some(percent), start_time, ..Observation::new(State::Running, "Running") })
}

#[test]
fn an_end_is_estimated_and_renewed_when_it_has_moved_by_much_and_seldom() {
    let end = |life: &Life| {
        let progress = life.status().progress.as_ref();
        progress.and_then(|progress| progress.estimated_completion_time.as_ref()).map(|end| end.0)
    };
    let life = new().poll(60, is_at(5.0));
    assert_eq!(end(&life), None, "too early to tell");
    let life = life.poll(100, is_at(10.0));
    assert_eq!(end(&life), Some(at(1000)));
    let (status, life) = (life.status().clone(), life.poll(101, is_at(10.0)));
    assert_eq!(*life.status(), status, "an unchanged poll writes nothing");
    let life = life.poll(200, is_at(10.0));
    assert_eq!(end(&life), Some(at(1000)), "not twice in five minutes");
    assert_eq!(life.status().last_progress_time, status.last_progress_time, "an estimate is no progress");
    let life = life.poll(400, is_at(10.0));
    assert_eq!(end(&life), Some(at(4000)));
    assert_eq!(life.status().last_progress_time, status.last_progress_time);
    let life = life.poll(800, is_at(19.0));
    assert_eq!(end(&life), Some(at(4000)), "it moved by a tenth of what remains at most");
    let suspended = life.edit(json!({"suspend": true})).settle(900);
    assert_eq!(end(&suspended), None);
    let over = suspended.edit(json!({})).poll(1000, is_at(50.0));
    assert_eq!(end(&over), Some(at(2000)));
    assert_eq!(end(&over.says(1001, State::Succeeded, "Done")), None);
}

#[test]
fn an_operation_without_a_percentage_has_an_estimate_where_others_like_it_have_ended() {
    let operation = operation(json!({}));
    let took = [600, 600, 600].map(Duration::from_secs);
    let subject = Subject { typical: crate::history::measure(took.into_iter()), ..subject(&operation) };
    let poll = Poll { result: Ok(Observation::new(State::Running, "Running")), age: Duration::ZERO, since_last: None };
    let decision = decide(subject, Some(poll), Memory::default(), at(0));
    let progress = decision.status.progress.unwrap();
    assert_eq!(progress.estimated_completion_time.map(|end| end.0), Some(at(600)));
    assert_eq!((progress.percent, progress.summary), (None, None));
    let soon = crate::history::measure([50, 50, 50].map(Duration::from_secs).into_iter());
    let poll = Poll { result: Ok(Observation::new(State::Running, "Running")), age: Duration::ZERO, since_last: None };
    let decision = decide(Subject { typical: soon, ..subject }, Some(poll), Memory::default(), at(0));
    assert_eq!(decision.status.progress, None, "it is over before anybody has read it");
}
