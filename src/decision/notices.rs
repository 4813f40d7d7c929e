//! What is announced as Events: transitions only.

use std::time::Duration;

use jiff::Timestamp;

use super::Subject;
use super::conditions::{condition, is_true};
use crate::api::{CloudOperationStatus, ConditionType, Reason};
use crate::observation::{Observation, State};
use crate::schedule::elapsed;

/// A fault shorter than this is nobody's business.
pub(super) const FAULT_WORTH_TELLING: Duration = Duration::from_secs(60);

/// One announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How bad it is.
    pub severity: Severity,
    /// One word for it.
    pub reason: &'static str,
    /// What happened, for people.
    pub note: String,
    /// Whether it tells the end: announced once and only once for an object.
    pub is_final: bool,
}

/// The two types of Kubernetes Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Someone may want to act.
    Warning,
}

impl Notice {
    fn normal(reason: &'static str, note: impl Into<String>) -> Self {
        Self { severity: Severity::Normal, reason, note: note.into(), is_final: false }
    }

    fn warning(reason: &'static str, note: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::normal(reason, note) }
    }
}

/// What only a person can fix.
const OF_CONFIGURATION: [&str; 2] = [Reason::CredentialsInvalid, Reason::ProfileInvalid];

/// What there is to announce when `old` becomes `new`.
pub(super) fn between(
    operation: Subject<'_>,
    old: &CloudOperationStatus,
    new: &CloudOperationStatus,
    now: Timestamp,
) -> Vec<Notice> {
    let (before, after) = (reason(old, ConditionType::Succeeded), reason(new, ConditionType::Succeeded));
    let message = condition(new, ConditionType::Succeeded).map(|c| &*c.message).unwrap_or_default();
    let is_entered = |reason: &str| after == Some(reason) && before != Some(reason);
    let mut notices = Vec::new();
    if old.upstream_state.is_none() && new.upstream_state.is_some() {
        let what = new.operation_type.as_deref().unwrap_or("operation");
        notices.push(Notice::normal(
            "Tracking",
            format!("following {what} {} at {}", operation.spec.operation_id, operation.cloud),
        ));
    }
    let fault = condition(old, ConditionType::UpstreamReachable).filter(|c| *c.status == *"False");
    if let Some(fault) = fault
        && is_true(new, ConditionType::UpstreamReachable)
    {
        let lasted = elapsed(fault.last_transition_time.0, now);
        if lasted >= FAULT_WORTH_TELLING || before.is_some_and(|before| OF_CONFIGURATION.contains(&before)) {
            notices.push(Notice::normal("Recovered", format!("the cloud answers again after {} s", lasted.as_secs())));
        }
    }
    if let Some(end) = ending(new) {
        notices.push(end);
        return notices;
    }
    if let (Some(from), Some(to)) = (percent(old), percent(new))
        && let Some(mark) = [75, 50, 25].into_iter().find(|mark| from < *mark && to >= *mark)
    {
        notices.push(Notice::normal("Progressing", format!("{mark}% done: {message}")));
    }
    if is_entered(Reason::Blocked) {
        notices.push(Notice::warning("Blocked", message));
    }
    if is_entered(Reason::UnrecognizedState) {
        notices.push(Notice::warning("UnrecognizedState", message));
    }
    if let Some(reason) = OF_CONFIGURATION.into_iter().find(|reason| is_entered(reason)) {
        notices.push(Notice::warning(reason, message));
    }
    let stands_still = |status| reason(status, ConditionType::Stalled) == Some(Reason::NoProgress);
    if stands_still(new) && !stands_still(old) {
        notices.push(Notice::warning("NoProgress", message));
    }
    notices
}

/// The announcement of the end `status` shows, if it shows one.
pub fn ending(status: &CloudOperationStatus) -> Option<Notice> {
    let verdict = condition(status, ConditionType::Succeeded)?;
    let notice = match &*verdict.status {
        "True" => Notice::normal("Succeeded", &*verdict.message),
        "False" => Notice::warning("Failed", format!("{}: {}", verdict.reason, verdict.message)),
        _ => return None,
    };
    Some(Notice { is_final: true, ..notice })
}

/// That polls have failed for a while.
pub(super) fn poll_failing(message: &str) -> Notice {
    Notice::warning("PollFailing", message)
}

/// That the cloud says another thing than what is already settled.
pub(super) fn contradiction(status: &CloudOperationStatus, later: &Observation) -> Option<Notice> {
    let has_succeeded = is_true(status, ConditionType::Succeeded);
    let agrees = match later.state {
        State::Succeeded => has_succeeded,
        State::Failed | State::Cancelled => !has_succeeded,
        State::Pending | State::Running | State::Blocked | State::Unrecognized => false,
    };
    let settled = reason(status, ConditionType::Succeeded).unwrap_or_default();
    (!agrees).then(|| {
        Notice::warning(
            "Contradicted",
            format!("the cloud now says {:?}; the result stays {settled}", later.upstream_state),
        )
    })
}

fn reason(status: &CloudOperationStatus, kind: ConditionType) -> Option<&str> {
    condition(status, kind).map(|c| &*c.reason)
}

fn percent(status: &CloudOperationStatus) -> Option<i32> {
    status.progress.as_ref().and_then(|progress| progress.percent)
}
