//! The core: what an object's status becomes, when it is looked at next and what is announced. Pure: time is an
//! argument, nothing is sent or read.

mod conditions;
mod facts;
mod notices;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::api::{CloudOperation, CloudOperationStatus, ConditionType, Phase, REQUESTED_AT};
use crate::observation::{FailureKind, Observation, PollFailure, State};
use crate::schedule::{after, elapsed, fault_delay, in_step, poll_interval};

pub use conditions::CONFIGURATION_GRACE;
use conditions::{Situation, condition, is_true};
pub use notices::{Notice, Severity, ending};

/// What a poll brought.
#[derive(Clone, Debug)]
pub struct Poll {
    /// What was learnt, or why nothing was.
    pub result: Result<Observation, PollFailure>,
    /// How long ago the answer arrived; not zero where it was shared with others who asked the same.
    pub age: Duration,
}

/// What is remembered from poll to poll beside the object. Losing it costs no more than a repeated warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The last poll failed, and that was kept to ourselves: one lost packet is no news.
    pub faltered: bool,
    /// The present fault has been announced.
    pub announced: bool,
}

/// What to do about an object now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the cloud.
    Poll,
    /// Don't ask before then.
    Wait(Timestamp),
    /// Don't ask before its share of an interval is over, as [`resume`] has it: it was followed before a restart.
    Resume,
    /// Don't ask: it is over, or suspended.
    Settle,
}

/// What follows from what is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The status the object should have.
    pub status: CloudOperationStatus,
    /// What comes next.
    pub next: Next,
    /// What to announce once the status is written.
    pub notices: Vec<Notice>,
    /// What to remember.
    pub memory: Memory,
}

/// What comes after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Poll at this time.
    Poll(Timestamp),
    /// Delete the object at this time.
    Delete(Timestamp),
    /// Nothing until the object changes.
    Rest,
}

/// Whether the operation has ended for us: nothing the cloud says changes it any more.
///
/// Only where phase, Succeeded, Finished and Ready agree. What does not was edited by hand, and the cloud is asked again.
pub fn is_over(status: &CloudOperationStatus) -> bool {
    let result = match status.phase {
        Phase::Succeeded => "True",
        Phase::Failed => "False",
        Phase::Pending | Phase::Running | Phase::Blocked => return false,
    };
    let agrees = |kind| condition(status, kind).is_some_and(|c| *c.status == *result);
    is_true(status, ConditionType::Finished) && agrees(ConditionType::Succeeded) && agrees(ConditionType::Ready)
}

/// What to do about `operation` now, `due` being the poll planned in this process, if any.
///
/// An object that is new, was edited or carries a new request is polled at once.
pub fn next(operation: &CloudOperation, due: Option<Timestamp>, now: Timestamp) -> Step {
    let unwritten = CloudOperationStatus::default();
    let status = operation.status.as_ref().unwrap_or(&unwritten);
    if is_over(status) || operation.spec.suspend {
        return Step::Settle;
    }
    let is_current = status.observed_generation == operation.metadata.generation && !has_request(operation);
    if status.tracking_start_time.is_none() || !is_current {
        return Step::Poll;
    }
    match due {
        None => Step::Resume,
        Some(due) if due <= now && due != Timestamp::MAX => Step::Poll,
        Some(due) => Step::Wait(due),
    }
}

/// When to poll `operation`, followed before a restart: after that `share` of its interval, or at a deadline before.
pub fn resume(operation: &CloudOperation, share: f64, now: Timestamp) -> Timestamp {
    let unwritten = CloudOperationStatus::default();
    let status = operation.status.as_ref().unwrap_or(&unwritten);
    let uid = operation.metadata.uid.as_deref().unwrap_or_default();
    let interval = poll_interval(operation, status, uid, now);
    let at = in_step(after(now, interval.mul_f64(share)), interval);
    at.min(deadlines(operation, status).min().unwrap_or(Timestamp::MAX)).max(now)
}

/// Whether the annotation asks for a poll that has not been made.
pub fn has_request(operation: &CloudOperation) -> bool {
    let handled = operation.status.as_ref().and_then(|s| s.last_handled_request.as_ref());
    operation.annotations().get(REQUESTED_AT).is_some_and(|requested| Some(requested) != handled)
}

/// What follows for `operation` from `poll`; without one, where the cloud is not or may not be asked, from the spec and
/// the time alone.
pub fn decide(operation: &CloudOperation, poll: Option<Poll>, memory: Memory, now: Timestamp) -> Decision {
    let unwritten = CloudOperationStatus::default();
    let old = operation.status.as_ref().unwrap_or(&unwritten);
    let mut status = old.clone();
    status.observed_generation = operation.metadata.generation;
    status.provider = Some(shared(old.provider.as_ref(), operation.spec.provider.name()));
    status.last_handled_request = operation.annotations().get(REQUESTED_AT).cloned();
    if is_over(old) {
        return keep_frozen(operation, old, status, poll, memory);
    }
    status.completion_time = None;
    if operation.spec.suspend {
        conditions::write(operation, &mut status, old, &Situation::Suspended, now);
        return Decision { status, next: Next::Rest, notices: Vec::new(), memory: Memory::default() };
    }
    let Some(Poll { result, age }) = poll else {
        // An account may be paused for longer than the deadline is away.
        let Some(overdue) = overdue(operation, &status, now) else {
            let next = Next::Poll(wake(operation, old, Timestamp::MAX, now));
            return Decision { status: old.clone(), next, notices: Vec::new(), memory };
        };
        conditions::write(operation, &mut status, old, &overdue, now);
        return conclude(operation, old, status, Memory::default(), Duration::ZERO, now);
    };
    status.tracking_start_time.get_or_insert(stamp(now));
    match result {
        Err(failure) if failure.kind != FailureKind::NotFound => {
            return suffer(operation, old, status, &failure, memory, now);
        }
        Ok(observation) if !is_another_run(old, &observation) => {
            status.not_found_since = None;
            facts::write(&mut status, old, &observation, now);
            let situation = judge(operation, &status, &observation, now);
            conditions::write(operation, &mut status, old, &situation, now);
        }
        absent => {
            let why = match absent {
                Ok(observation) => format!(
                    "{} shows another run now, {}",
                    operation.spec.provider.cloud(),
                    observation.uid.unwrap_or_default()
                ),
                Err(failure) => failure.message,
            };
            let since = status.not_found_since.get_or_insert(stamp(now)).0;
            let grace = Duration::from_secs(operation.spec.not_found_grace_seconds.max(0).unsigned_abs().into());
            let situation = if elapsed(since, now) >= grace {
                Situation::Gone { why, was_seen: old.upstream_state.is_some() }
            } else {
                overdue(operation, &status, now).unwrap_or(Situation::Absent { why })
            };
            conditions::write(operation, &mut status, old, &situation, now);
        }
    }
    conclude(operation, old, status, Memory::default(), age, now)
}

/// A poll that learnt nothing.
fn suffer(
    operation: &CloudOperation,
    old: &CloudOperationStatus,
    mut status: CloudOperationStatus,
    failure: &PollFailure,
    memory: Memory,
    now: Timestamp,
) -> Decision {
    let was_reachable = is_true(old, ConditionType::UpstreamReachable);
    let is_first = was_reachable && !memory.faltered && !failure.kind.is_configuration();
    let overdue = overdue(operation, &status, now);
    if is_first && overdue.is_none() && old.observed_generation == status.observed_generation && !has_request(operation)
    {
        let next = Next::Poll(wake(operation, old, after(now, fault_delay(Duration::ZERO, false)), now));
        return Decision {
            status: old.clone(),
            next,
            notices: Vec::new(),
            memory: Memory { faltered: true, announced: false },
        };
    }
    conditions::write(operation, &mut status, old, &Situation::Fault(failure.clone()), now);
    if let Some(overdue) = overdue {
        let unseen = status.clone();
        conditions::write(operation, &mut status, &unseen, &overdue, now);
        return conclude(operation, old, status, Memory::default(), Duration::ZERO, now);
    }
    facts::fit(&mut status);
    let since = condition(&status, ConditionType::UpstreamReachable).map_or(now, |c| c.last_transition_time.0);
    let lasted = elapsed(since, now);
    let mut at = after(now, fault_delay(lasted, failure.kind.is_configuration()));
    if failure.kind.is_configuration() && lasted < CONFIGURATION_GRACE {
        at = at.min(after(since, CONFIGURATION_GRACE));
    }
    let mut notices = notices::between(operation, old, &status, now);
    let announce = !memory.announced && !failure.kind.is_configuration() && lasted >= notices::FAULT_WORTH_TELLING;
    if announce {
        notices.push(notices::poll_failing(&failure.message));
    }
    let memory = Memory { faltered: true, announced: memory.announced || announce };
    Decision { next: Next::Poll(wake(operation, &status, at, now)), status, notices, memory }
}

/// The end of every decision that learnt something: announcements, and when to look again.
fn conclude(
    operation: &CloudOperation,
    old: &CloudOperationStatus,
    mut status: CloudOperationStatus,
    memory: Memory,
    age: Duration,
    now: Timestamp,
) -> Decision {
    // What was written fitted.
    if status != *old {
        facts::fit(&mut status);
    }
    let notices = notices::between(operation, old, &status, now);
    let next = if is_over(&status) {
        expiry(operation, &status)
    } else {
        let uid = operation.metadata.uid.as_deref().unwrap_or_default();
        let interval = poll_interval(operation, &status, uid, now);
        let at = in_step(after(now, interval.saturating_sub(age)), interval);
        Next::Poll(wake(operation, &status, at, now))
    };
    Decision { status, next, notices, memory }
}

/// A terminal result stands, whatever comes after it; only what the object itself says of its own spec is renewed.
fn keep_frozen(
    operation: &CloudOperation,
    old: &CloudOperationStatus,
    mut status: CloudOperationStatus,
    poll: Option<Poll>,
    memory: Memory,
) -> Decision {
    status.provider.clone_from(&old.provider);
    for condition in &mut status.conditions {
        condition.observed_generation = status.observed_generation;
    }
    let notices = poll.and_then(|poll| poll.result.ok()).and_then(|later| notices::contradiction(&status, &later));
    Decision { next: expiry(operation, &status), status, notices: notices.into_iter().collect(), memory }
}

fn is_another_run(old: &CloudOperationStatus, observation: &Observation) -> bool {
    matches!((&old.upstream_uid, facts::uid(observation)), (Some(followed), Some(shown)) if *followed != shown)
}

fn judge(
    operation: &CloudOperation,
    status: &CloudOperationStatus,
    observation: &Observation,
    now: Timestamp,
) -> Situation {
    let going_on = match observation.state {
        State::Succeeded => return Situation::Succeeded,
        State::Failed => return Situation::Failed,
        State::Cancelled => return Situation::Cancelled,
        State::Pending => Situation::Pending,
        State::Running => Situation::Running,
        State::Blocked => Situation::Blocked,
        State::Unrecognized => Situation::Unrecognized,
    };
    if let Some(overdue) = overdue(operation, status, now) {
        return overdue;
    }
    let stands_still = progress_deadline(operation, status).is_some_and(|at| at <= now);
    if stands_still && going_on != Situation::Blocked { Situation::StandsStill(Box::new(going_on)) } else { going_on }
}

fn overdue(operation: &CloudOperation, status: &CloudOperationStatus, now: Timestamp) -> Option<Situation> {
    let seconds = operation.spec.active_deadline_seconds?;
    (active_deadline(operation, status)? <= now).then_some(Situation::DeadlineExceeded { seconds })
}

/// Counted from the operation's start; before that is known, from the first attempt to see it, so that the deadline
/// also ends what can never be seen.
fn active_deadline(operation: &CloudOperation, status: &CloudOperationStatus) -> Option<Timestamp> {
    let start = status.start_time.as_ref().or(status.tracking_start_time.as_ref())?.0;
    Some(after(start, seconds(operation.spec.active_deadline_seconds?)))
}

fn progress_deadline(operation: &CloudOperation, status: &CloudOperationStatus) -> Option<Timestamp> {
    let last = status.last_progress_time.as_ref()?.0;
    Some(after(last, seconds(operation.spec.progress_deadline_seconds?)))
}

fn not_found_deadline(operation: &CloudOperation, status: &CloudOperationStatus) -> Option<Timestamp> {
    Some(after(status.not_found_since.as_ref()?.0, seconds(operation.spec.not_found_grace_seconds.into())))
}

fn deadlines(operation: &CloudOperation, status: &CloudOperationStatus) -> impl Iterator<Item = Timestamp> {
    [active_deadline(operation, status), progress_deadline(operation, status), not_found_deadline(operation, status)]
        .into_iter()
        .flatten()
}

/// `planned`, or sooner where a deadline passes before.
fn wake(operation: &CloudOperation, status: &CloudOperationStatus, planned: Timestamp, now: Timestamp) -> Timestamp {
    deadlines(operation, status).filter(|at| *at > now).fold(planned, Timestamp::min)
}

/// When a finished object is to be deleted: counted from when its end was seen, so that whoever waits has the time.
fn expiry(operation: &CloudOperation, status: &CloudOperationStatus) -> Next {
    let finished = condition(status, ConditionType::Finished).map(|c| c.last_transition_time.0);
    match (operation.spec.ttl_seconds_after_finished, finished) {
        (Some(ttl), Some(finished)) => Next::Delete(after(finished, seconds(ttl))),
        _ => Next::Rest,
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.max(0).unsigned_abs())
}

/// `text`, as the one that was there before where it is the same: many share it.
fn shared(before: Option<&Arc<str>>, text: &str) -> Arc<str> {
    before.filter(|before| ***before == *text).map_or_else(|| text.into(), Arc::clone)
}

/// Kubernetes keeps times to the second; a finer one would differ from what is read back.
fn stamp(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// Whether a change of a status may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It may not.
    AtOnce,
    /// It may.
    Paced,
}

/// How urgent it is to write `new` in place of `old`.
pub fn urgency(old: Option<&CloudOperationStatus>, new: &CloudOperationStatus) -> Urgency {
    let is_first = old.is_none_or(|old| old.tracking_start_time.is_none());
    if is_first || is_over(new) { Urgency::AtOnce } else { Urgency::Paced }
}
