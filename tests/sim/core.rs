//! A walk through the core: every sequence of answers, faults, edits and steps of time up to a length, where states that
//! differ only in how long ago things were are one.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use cloudop::api::{CloudOperation, CloudOperationStatus, Phase};
use cloudop::decision::{Decision, Memory, Next, Poll, Step, Subject, decide, is_over, next};
use cloudop::observation::{FailureKind, Observation, OperationError, PollFailure, State};
use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use serde_json::json;

/// The longest wait for a look at what goes on: that of a fault, and a tenth.
const LONGEST_WAIT: Duration = Duration::from_secs(330);
/// What is older has no further effect: the words of a fault are kept for 300 s, and no deadline below is longer.
const OLD: i64 = 320;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Says(State, Option<f64>),
    SucceedsWithError,
    AnotherRun,
    Fails(FailureKind),
    /// Nobody is asked.
    Unasked,
    Suspend,
    Resume,
    Request,
}

const ACTIONS: [Action; 16] = [
    Action::Says(State::Pending, None),
    Action::Says(State::Running, Some(60.0)),
    Action::Says(State::Running, Some(20.0)),
    Action::Says(State::Blocked, None),
    Action::Says(State::Unrecognized, None),
    Action::Says(State::Succeeded, None),
    Action::Says(State::Failed, None),
    Action::Says(State::Cancelled, None),
    Action::SucceedsWithError,
    Action::AnotherRun,
    Action::Fails(FailureKind::NotFound),
    Action::Fails(FailureKind::ServerError),
    Action::Fails(FailureKind::CredentialsNotFound),
    Action::Unasked,
    Action::Suspend,
    Action::Request,
];

/// In seconds.
const STEPS: [i64; 2] = [10, 130];

/// An object and what is remembered of it.
#[derive(Clone)]
struct Place {
    object: CloudOperation,
    memory: Memory,
    now: Timestamp,
    path: Vec<(i64, Action)>,
}

fn object(spec: serde_json::Value) -> CloudOperation {
    let conditions = ["Succeeded", "Finished", "Ready"].map(|kind| {
        json!({"type": kind, "status": "Unknown", "reason": "Pending", "message": "waiting for the controller",
               "lastTransitionTime": "1970-01-01T00:00:00Z"})
    });
    let mut object = json!({
        "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation",
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "generation": 1},
        "spec": {"provider": {"otcCceJob": {"region": "eu-de", "projectId": "p"}}, "operationId": "j",
                 "credentialsRef": {"name": "otc"}},
        // As the API server completes it.
        "status": {"observedGeneration": -1, "phase": "Pending", "conditions": conditions},
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

static TIME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z").unwrap());

static GENERATION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""observedGeneration":(-?\d+)"#).unwrap());

impl Place {
    /// The same for places from which all goes the same way.
    fn key(&self) -> String {
        let text = format!(
            "{} {:?} {:?} {}",
            serde_json::to_string(&self.object.status).unwrap(),
            self.memory,
            self.object.metadata.annotations,
            self.object.spec.suspend
        );
        let age = |time: &regex::Captures<'_>| {
            let age = time[0].parse::<Timestamp>().map_or(OLD, |time| self.now.duration_since(time).as_secs());
            age.min(OLD).to_string()
        };
        let text = TIME.replace_all(&text, age);
        let generation = self.object.metadata.generation.unwrap_or_default().to_string();
        let is_current = |observed: &regex::Captures<'_>| (observed[1] == generation).to_string();
        GENERATION.replace_all(&text, is_current).into_owned()
    }

    fn go(&self, step: i64, action: Action) -> (Self, Option<Decision>) {
        let mut place = self.clone();
        place.now = self.now + SignedDuration::from_secs(step);
        place.path.push((step, action));
        let said = |state, percent| Observation { percent, uid: Some("run".into()), ..Observation::new(state, "word") };
        let result = match action {
            Action::Says(state, percent) => Some(Ok(said(state, percent))),
            Action::SucceedsWithError => {
                let error = Some(OperationError { message: Some("no room".into()), ..OperationError::default() });
                Some(Ok(Observation { error, ..said(State::Succeeded, None) }))
            }
            Action::AnotherRun => Some(Ok(Observation { uid: Some("another".into()), ..said(State::Succeeded, None) })),
            Action::Fails(kind) => Some(Err(PollFailure::new(kind, "trouble"))),
            Action::Unasked => None,
            Action::Suspend | Action::Resume => {
                place.object.spec.suspend = !place.object.spec.suspend;
                place.object.metadata.generation = place.object.metadata.generation.map(|generation| generation + 1);
                None
            }
            Action::Request => {
                let annotations = place.object.metadata.annotations.get_or_insert_default();
                annotations.insert("cloudop.dev/requested-at".into(), "now".into());
                return (place, None);
            }
        };
        // As the controller does: what is over or suspended is not asked for.
        let settles = next(&place.object, Some(place.now), place.now) == Step::Settle;
        let poll = result.filter(|_| !settles);
        if poll.is_none() && !settles && action != Action::Unasked {
            return (place, None);
        }
        let poll = poll.map(|result| Poll {
            result,
            age: Duration::ZERO,
            since_last: Some(Duration::from_secs(step.unsigned_abs())),
        });
        let cloud = place.object.spec.provider.built_in().unwrap().cloud().to_owned();
        let decision =
            decide(Subject { operation: &place.object, cloud: &cloud, typical: None }, poll, place.memory, place.now);
        place.object.status = Some(decision.status.clone());
        place.memory = decision.memory;
        (place, Some(decision))
    }
}

fn says(status: &CloudOperationStatus, kind: &str) -> Option<bool> {
    let condition = status.conditions.iter().find(|condition| *condition.type_ == *kind)?;
    match &*condition.status {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// Which run an answer shows.
fn run(action: Action) -> Option<&'static str> {
    match action {
        Action::Says(..) | Action::SucceedsWithError => Some("run"),
        Action::AnotherRun => Some("another"),
        _ => None,
    }
}

/// Whether an answer shows the run that is followed, if any is.
fn is_of(status: &CloudOperationStatus, action: Action) -> bool {
    status.upstream_uid.is_none() || status.upstream_uid.as_deref() == run(action)
}

/// What holds of one step, whatever came before it.
fn check(before: &Place, action: Action, after: &Place, decision: &Decision) {
    let path = &after.path;
    let unwritten = CloudOperationStatus::default();
    let old = before.object.status.as_ref().unwrap_or(&unwritten);
    let new = &decision.status;
    let (was_over, over) = (is_over(old), is_over(new));
    let has = |phase| new.phase == phase;
    assert_eq!(says(new, "Succeeded") == Some(true), has(Phase::Succeeded), "{path:?}");
    assert_eq!(says(new, "Ready") == Some(true), has(Phase::Succeeded), "{path:?}");
    assert_eq!(says(new, "Finished") == Some(true), over, "{path:?}");
    assert_eq!(over, has(Phase::Succeeded) || has(Phase::Failed), "{path:?}");
    let (moves, stalls) = (says(new, "Reconciling") == Some(true), says(new, "Stalled") == Some(true));
    let is_current = !moves && !stalls && new.observed_generation == after.object.metadata.generation;
    assert_eq!(is_current, has(Phase::Succeeded) || (after.object.spec.suspend && !over), "kstatus: {path:?}");
    assert!(!over || has(Phase::Succeeded) || stalls, "kstatus of a failure: {path:?}");
    if was_over {
        let frozen = |status: &CloudOperationStatus| {
            (status.phase, status.completion_time.clone(), status.upstream_state.clone(), status.progress.clone())
        };
        assert_eq!(frozen(old), frozen(new), "an end was changed: {path:?}");
    } else if has(Phase::Succeeded) {
        let is_success = matches!(action, Action::Says(State::Succeeded, _) | Action::AnotherRun);
        assert!(is_success && is_of(old, action), "{path:?}");
    } else if over {
        let by_word = matches!(action, Action::Says(State::Failed | State::Cancelled, _) | Action::SucceedsWithError);
        let reason = new.conditions.iter().find(|c| *c.type_ == *"Succeeded").map(|c| c.reason.to_string());
        let denied = |(_, action): &(i64, Action)| {
            *action == Action::Fails(FailureKind::NotFound) || (run(*action).is_some() && !is_of(old, *action))
        };
        let in_a_row = path.iter().rev().filter(|(_, action)| !matches!(action, Action::Unasked | Action::Request));
        let denials = in_a_row.take_while(|step| denied(step)).count();
        match reason.as_deref() {
            Some("OperationNotFound" | "OperationExpired") => assert!(denials >= 3, "{path:?}"),
            Some("DeadlineExceeded") => assert!(before.object.spec.active_deadline_seconds.is_some(), "{path:?}"),
            _ => assert!(by_word, "{reason:?}: {path:?}"),
        }
    }
    let percent = |status: &CloudOperationStatus| status.progress.as_ref().and_then(|progress| progress.percent);
    assert!(percent(new) >= percent(old), "the percentage fell: {path:?}");
    assert_eq!(percent(new) == Some(100), has(Phase::Succeeded), "{path:?}");
    assert_eq!(new.completion_time.is_some(), over, "{path:?}");
    match decision.next {
        Next::Poll(at) => {
            assert!(!over && !after.object.spec.suspend, "{path:?}");
            // What nobody was asked for keeps the time that its asker has for it.
            let is_in_time = at <= after.now + SignedDuration::try_from(LONGEST_WAIT).unwrap();
            assert!(is_in_time || action == Action::Unasked, "{at} from {}: {path:?}", after.now);
        }
        Next::Rest => assert!(over || after.object.spec.suspend, "nobody looks again: {path:?}"),
        Next::Delete(_) => assert!(over, "{path:?}"),
    }
}

/// Walks all paths of up to so many steps; says how many places there are and how many steps were made.
fn walk(spec: serde_json::Value, length: usize) -> (usize, usize) {
    let began = "2026-01-01T00:00:00Z".parse().unwrap();
    let start = Place { object: object(spec), memory: Memory::default(), now: began, path: Vec::new() };
    let mut known = HashSet::from([start.key()]);
    let mut front = vec![start];
    let mut steps = 0;
    for _ in 0..length {
        let mut further = Vec::new();
        for place in &front {
            for action in ACTIONS {
                let action = match action {
                    Action::Suspend if place.object.spec.suspend => Action::Resume,
                    action => action,
                };
                for step in STEPS {
                    let (after, decision) = place.go(step, action);
                    if let Some(decision) = decision {
                        check(place, action, &after, &decision);
                    }
                    steps += 1;
                    if known.insert(after.key()) {
                        further.push(after);
                    }
                }
            }
        }
        front = further;
    }
    (known.len(), steps)
}

#[test]
fn no_path_through_the_core_breaks_a_promise() {
    let length = crate::number("CORE_STEPS").map_or(3, |steps| steps as usize);
    let specs = [
        json!({}),
        json!({"activeDeadlineSeconds": 150, "progressDeadlineSeconds": 100}),
        json!({"notFoundGraceSeconds": 0, "ttlSecondsAfterFinished": 5}),
    ];
    for spec in specs {
        let (places, steps) = walk(spec.clone(), length);
        println!("{length} steps with {spec}: {places} places, {steps} steps");
        assert!(places > 100);
    }
}
