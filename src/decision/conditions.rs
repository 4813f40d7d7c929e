//! What each reader sees: the one place where a situation becomes conditions.

use std::time::Duration;

use jiff::Timestamp;

use super::{Subject, shared, stamp};
use crate::api::{CloudOperationStatus, Condition, ConditionType, Phase, Reason};
use crate::observation::{FailureKind, PollFailure};
use crate::schedule::elapsed;
use crate::wording::sanitize;

/// How long a fault that only the user can fix is taken for one that is being fixed: Secrets often arrive after the
/// objects that name them.
pub const CONFIGURATION_GRACE: Duration = Duration::from_secs(120);

const TRUE: &str = "True";
const FALSE: &str = "False";
const UNKNOWN: &str = "Unknown";
/// In characters, and in bytes: five conditions carry it.
const LONGEST_MESSAGE: usize = 1024;
const LARGEST_MESSAGE: usize = 1400;
/// What is said behind why an operation is absent.
const WAITING: &str = "; waiting for it to appear";
const LAST_SEEN: &str = "; last seen as ";

/// How an operation stands and what we can see of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Situation {
    Pending,
    Running,
    Blocked,
    Unrecognized,
    /// Going on, but without any change for too long.
    StandsStill(Box<Situation>),
    /// The cloud does not know the operation, and its grace is not over.
    Absent {
        why: String,
    },
    Fault(PollFailure),
    Suspended,
    Succeeded,
    Failed,
    Cancelled,
    DeadlineExceeded {
        seconds: i64,
    },
    /// Unknown to the cloud for longer than the grace.
    Gone {
        why: String,
        was_seen: bool,
    },
}

/// Succeeded's status and reason, and the one message all conditions but `UpstreamReachable` carry.
struct Verdict {
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// The condition of type `kind`.
pub(super) fn condition(status: &CloudOperationStatus, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|c| *c.type_ == *kind.as_str())
}

/// Whether the condition of type `kind` is True.
pub(super) fn is_true(status: &CloudOperationStatus, kind: ConditionType) -> bool {
    condition(status, kind).is_some_and(|c| *c.status == *TRUE)
}

/// Writes the conditions and the phase that `situation` calls for; `status` already holds the facts.
pub(super) fn write(
    operation: Subject<'_>,
    status: &mut CloudOperationStatus,
    old: &CloudOperationStatus,
    situation: &Situation,
    now: Timestamp,
) {
    let reachable = reachable(old, situation, now);
    let faulty_for = status.configuration_fault_since.as_ref().map(|since| elapsed(since.0, now));
    let is_misconfigured = matches!(situation, Situation::Fault(failure) if failure.kind.is_configuration())
        && faulty_for.is_some_and(|lasted| lasted >= CONFIGURATION_GRACE);
    let verdict = verdict(operation, status, situation);
    let message = &verdict.message;
    let is_over = verdict.status != UNKNOWN;
    let finished = match verdict.reason {
        _ if is_over => TRUE,
        Reason::Pending => UNKNOWN,
        _ => FALSE,
    };
    let ready = match verdict.status {
        UNKNOWN if is_misconfigured => FALSE,
        status => status,
    };
    let ready_reason = match situation {
        Situation::Fault(failure) if is_misconfigured => failure.kind.reason(),
        _ => verdict.reason,
    };
    let mut conditions = vec![
        make(old, ConditionType::Succeeded, verdict.status, verdict.reason, message, now),
        make(old, ConditionType::Finished, finished, verdict.reason, message, now),
        make(old, ConditionType::Ready, ready, ready_reason, message, now),
        reachable,
    ];
    if let Some((kind, reason)) = movement(situation, &verdict, is_misconfigured) {
        conditions.push(make(old, kind, TRUE, reason, message, now));
    }
    for condition in &mut conditions {
        condition.observed_generation = status.observed_generation;
    }
    status.conditions = conditions;
    if is_over {
        status.phase = if verdict.status == TRUE { Phase::Succeeded } else { Phase::Failed };
        let end = status.completion_time.take().or(Some(stamp(now)));
        status.completion_time = end.max(status.start_time.clone());
        status.not_found_since = None;
        status.configuration_fault_since = None;
    }
}

fn verdict(operation: Subject<'_>, status: &CloudOperationStatus, situation: &Situation) -> Verdict {
    let cloud = operation.cloud;
    let id = &operation.spec.operation_id;
    let word = status.upstream_state.as_deref().unwrap_or_default();
    let said = said(cloud, status);
    let trouble = || trouble(status).map_or_else(|| said.clone(), |trouble| format!("{said}: {trouble}"));
    let (status_word, reason, message) = match situation {
        Situation::Pending => (UNKNOWN, Reason::Pending, said),
        Situation::Running => (UNKNOWN, Reason::Running, said),
        Situation::Blocked => (UNKNOWN, Reason::Blocked, format!("{}; it waits for someone to act there", trouble())),
        Situation::Unrecognized => (
            UNKNOWN,
            Reason::UnrecognizedState,
            format!("{cloud} says {word:?}, a state this version does not know; it is taken for going on"),
        ),
        Situation::StandsStill(within) => {
            let within = verdict(operation, status, within);
            let seconds = operation.spec.progress_deadline_seconds.unwrap_or_default();
            let message = format!("{}; no change for {seconds} s (spec.progressDeadlineSeconds)", within.message);
            (within.status, within.reason, message)
        }
        Situation::Absent { why } if word.is_empty() => (UNKNOWN, going_on(status.phase), format!("{why}{WAITING}")),
        Situation::Absent { why } => {
            (UNKNOWN, going_on(status.phase), format!("{why}{LAST_SEEN}{word}, waiting for it to appear again"))
        }
        Situation::Fault(failure)
            if matches!(failure.kind, FailureKind::ProfileNotFound | FailureKind::ProfileRefused) =>
        {
            (UNKNOWN, Reason::ProfileInvalid, failure.message.clone())
        }
        Situation::Fault(failure) if failure.kind.is_configuration() => {
            (UNKNOWN, Reason::CredentialsInvalid, failure.message.clone())
        }
        Situation::Fault(failure) => (UNKNOWN, Reason::PollFailing, failure.message.clone()),
        Situation::Suspended => (UNKNOWN, Reason::Suspended, "spec.suspend is true: the cloud is not asked".into()),
        Situation::Succeeded => (TRUE, Reason::OperationSucceeded, said),
        Situation::Failed => (FALSE, Reason::OperationFailed, trouble()),
        Situation::Cancelled => (FALSE, Reason::OperationCancelled, trouble()),
        Situation::DeadlineExceeded { seconds } => {
            let last = if word.is_empty() { "it was never seen".into() } else { said };
            (
                FALSE,
                Reason::DeadlineExceeded,
                format!("not finished within {seconds} s (spec.activeDeadlineSeconds); {last}"),
            )
        }
        Situation::Gone { why, was_seen } => {
            let grace = operation.spec.not_found_grace_seconds;
            let (reason, result) = if *was_seen {
                (Reason::OperationExpired, format!("last seen as {word}; its outcome is unknown"))
            } else {
                (Reason::OperationNotFound, format!("check spec.operationId {id} and the other IDs in spec.provider"))
            };
            (FALSE, reason, format!("{why}, for longer than {grace} s (spec.notFoundGraceSeconds); {result}"))
        }
    };
    Verdict { status: status_word, reason, message: bound(&message) }
}

/// The cloud's word with how far it is.
fn said(cloud: &str, status: &CloudOperationStatus) -> String {
    let word = status.upstream_state.as_deref().unwrap_or_default();
    match status.progress.as_ref().and_then(|p| p.summary.as_deref()) {
        Some(summary) => format!("{cloud} says {word} ({summary})"),
        None => format!("{cloud} says {word}"),
    }
}

fn trouble(status: &CloudOperationStatus) -> Option<String> {
    let error = status.error.as_ref()?;
    match (&error.code, &error.message) {
        (Some(code), Some(message)) if !message.contains(code.as_str()) => Some(format!("{code}: {message}")),
        (Some(_), Some(message)) => Some(message.clone()),
        (code, message) => code.clone().or(message.clone()),
    }
}

/// What is said of an operation that cannot be seen: what it was when it could.
fn going_on(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => Reason::Pending,
        Phase::Blocked => Reason::Blocked,
        Phase::Running | Phase::Succeeded | Phase::Failed => Reason::Running,
    }
}

fn movement(situation: &Situation, verdict: &Verdict, is_misconfigured: bool) -> Option<(ConditionType, &'static str)> {
    match situation {
        Situation::Suspended | Situation::Succeeded => None,
        Situation::Failed | Situation::Cancelled | Situation::DeadlineExceeded { .. } | Situation::Gone { .. } => {
            Some((ConditionType::Stalled, verdict.reason))
        }
        Situation::Blocked => Some((ConditionType::Stalled, Reason::OperationBlocked)),
        Situation::StandsStill(_) => Some((ConditionType::Stalled, Reason::NoProgress)),
        Situation::Fault(failure) if is_misconfigured => Some((ConditionType::Stalled, failure.kind.reason())),
        Situation::Fault(_) | Situation::Absent { .. } => {
            Some((ConditionType::Reconciling, Reason::ProgressingWithRetry))
        }
        Situation::Pending | Situation::Running | Situation::Unrecognized => {
            Some((ConditionType::Reconciling, Reason::Progressing))
        }
    }
}

fn reachable(old: &CloudOperationStatus, situation: &Situation, now: Timestamp) -> Condition {
    let kind = ConditionType::UpstreamReachable;
    let before = condition(old, kind);
    match situation {
        Situation::Fault(failure) => {
            let message = bound(&failure.message);
            let mut condition = make(old, kind, FALSE, failure.kind.reason(), &message, now);
            // A fault the user must fix has a grace of its own, whatever went before it.
            if before.is_some_and(|b| is_configuration(&b.reason) != failure.kind.is_configuration()) {
                condition.last_transition_time = stamp(now);
            }
            condition
        }
        Situation::Suspended => make(old, kind, UNKNOWN, Reason::Suspended, "the cloud is not asked", now),
        // The deadline passed while nothing could be seen: what we know of the cloud stays as it was.
        Situation::DeadlineExceeded { .. } if before.is_some_and(|b| *b.status != *TRUE) => {
            before.cloned().unwrap_or_else(|| make(old, kind, UNKNOWN, Reason::Pending, "", now))
        }
        _ => make(old, kind, TRUE, Reason::PollSucceeded, "the cloud answered", now),
    }
}

/// A message without anything that reorders or hides text, and short enough for a status.
fn bound(message: &str) -> String {
    let message = sanitize(message, LONGEST_MESSAGE);
    if message.len() <= LARGEST_MESSAGE {
        return message;
    }
    let fits = |(at, c): &(usize, char)| at + c.len_utf8() + '…'.len_utf8() <= LARGEST_MESSAGE;
    message.char_indices().take_while(fits).map(|(_, c)| c).chain(['…']).collect()
}

/// The faults that only the user can fix: lasting, they are reasons of Stalled.
pub const CONFIGURATION: [FailureKind; 7] = [
    FailureKind::Unauthorized,
    FailureKind::Forbidden,
    FailureKind::CredentialsNotFound,
    FailureKind::CredentialsIncomplete,
    FailureKind::EndpointRefused,
    FailureKind::ProfileNotFound,
    FailureKind::ProfileRefused,
];

fn is_configuration(reason: &str) -> bool {
    CONFIGURATION.iter().any(|kind| kind.reason() == reason)
}

/// The fault that `status` tells of, where only the user can fix it.
pub(super) fn configuration_fault(status: &CloudOperationStatus) -> Option<PollFailure> {
    let told = condition(status, ConditionType::UpstreamReachable).filter(|c| *c.status == *FALSE)?;
    let kind = CONFIGURATION.into_iter().find(|kind| kind.reason() == &*told.reason)?;
    let error = status.error.as_deref();
    Some(PollFailure {
        code: error.and_then(|error| error.code.clone()),
        request_id: error.and_then(|error| error.request_id.clone()),
        ..PollFailure::new(kind, &*told.message)
    })
}

/// The words in which `status` tells of a fault of `kind`, if it does.
pub(super) fn words_of_fault(status: &CloudOperationStatus, kind: FailureKind) -> Option<String> {
    if kind == FailureKind::NotFound {
        status.not_found_since.as_ref()?;
        let message = &condition(status, ConditionType::Succeeded)?.message;
        let end = [LAST_SEEN, WAITING].iter().find_map(|behind| message.rfind(behind))?;
        return Some(message[..end].to_owned());
    }
    let told = condition(status, ConditionType::UpstreamReachable)?;
    (*told.status == *FALSE && *told.reason == *kind.reason()).then(|| told.message.to_string())
}

/// A condition that keeps the time of its last transition where its status did not change. The schema's default comes
/// with the epoch in that place, which is no time anything happened.
fn make(
    old: &CloudOperationStatus,
    kind: ConditionType,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Condition {
    let before = condition(old, kind);
    let kept = before
        .filter(|before| *before.status == *status && before.last_transition_time.0 > Timestamp::UNIX_EPOCH)
        .map(|before| before.last_transition_time.clone());
    Condition {
        type_: shared(before.map(|before| &before.type_), kind.as_str()),
        status: shared(before.map(|before| &before.status), status),
        reason: shared(before.map(|before| &before.reason), reason),
        message: shared(before.map(|before| &before.message), message),
        last_transition_time: kept.unwrap_or_else(|| stamp(now)),
        observed_generation: None,
    }
}
