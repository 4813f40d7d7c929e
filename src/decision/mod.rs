//! The core: what an object's status becomes, when it is looked at next and what is announced. Pure: time is an
//! argument, nothing is sent or read.

mod conditions;
mod facts;
mod notices;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use sha2::{Digest, Sha256};

use crate::api::{CloudOperation, CloudOperationStatus, ConditionType, Phase, ProgressStatus, REQUESTED_AT};
use crate::history::Typical;
use crate::observation::{FailureKind, Observation, PollFailure, State};
use crate::schedule::{after, align, elapsed, estimate, fault_delay, poll_interval};

pub use conditions::{CONFIGURATION, CONFIGURATION_GRACE};
use conditions::{Situation, condition, is_true};
pub use notices::{Notice, Severity, ending};

/// What a poll brought.
#[derive(Clone, Debug)]
pub struct Poll {
    /// What was learnt, or why nothing was.
    pub result: Result<Observation, PollFailure>,
    /// How long ago the answer arrived; not zero where it was shared with others who asked the same.
    pub age: Duration,
    /// How long ago the answer before it arrived, on the clock that is never set; `None` where that is not known.
    pub since_last: Option<Duration>,
}

/// What is remembered from poll to poll beside the object. Losing it costs no more than a repeated warning, a write or a
/// longer grace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The last poll failed, and that was kept quiet: one lost packet is no news.
    pub is_failing: bool,
    /// The present fault has been announced.
    pub announced: bool,
    /// The fault whose words stand in the status.
    told: Option<Told>,
    /// The answers in a row that say that there is no such operation.
    absence: Option<Absence>,
    /// When the words of the operation's error were last renewed.
    error_told: Option<Timestamp>,
    /// When the estimate of its end was.
    estimated: Option<Timestamp>,
}

impl Memory {
    /// What is remembered while the status that goes with this must wait: what the cloud said counts, and nothing more has
    /// been told than `before`.
    pub fn untold(self, before: Self) -> Self {
        Self {
            announced: before.announced,
            told: before.told,
            error_told: before.error_told,
            estimated: before.estimated,
            ..self
        }
    }

    /// What is remembered where that status could not be written, and the same answer will be decided about again: it must
    /// not count twice as one that there is no such operation, but as one that there is, it counts.
    pub fn undone(self, before: Self) -> Self {
        Self { absence: self.absence.and(before.absence), ..self.untold(before) }
    }
}

/// A fault as it was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    kind: FailureKind,
    /// Stands for the cloud's code.
    code: u64,
    at: Timestamp,
}

/// Answers in a row that say that there is no such operation, with nothing else between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Absence {
    since: Timestamp,
    last: Timestamp,
    answers: u32,
}

/// How many such answers it takes to be believed.
const ENOUGH_ABSENCES: u32 = 3;
/// By how much the two clocks may differ between two answers without one having been set.
const CLOCK_STEP: Duration = Duration::from_secs(30);
/// How long the words of a fault stay while its reason and the cloud's code do: some clouds put a time, a server's name
/// or the signed request into them.
const WORDS_KEPT: Duration = Duration::from_secs(300);
/// An end so near is not estimated.
const SOON: Duration = Duration::from_secs(60);
/// How long an estimate of the end stays at least.
const ESTIMATE_KEPT: Duration = Duration::from_secs(300);
/// The longest request that is echoed as it is, in characters.
const LONGEST_ECHO: usize = 253;

/// What is decided about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The object.
    pub operation: &'a CloudOperation,
    /// What messages call its cloud.
    pub cloud: &'a str,
    /// How long operations like it take, where that is known.
    pub typical: Option<Typical>,
}

impl Deref for Subject<'_> {
    type Target = CloudOperation;

    fn deref(&self) -> &CloudOperation {
        self.operation
    }
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
pub fn resume(operation: &CloudOperation, typical: Option<Typical>, share: f64, now: Timestamp) -> Timestamp {
    let unwritten = CloudOperationStatus::default();
    let status = operation.status.as_ref().unwrap_or(&unwritten);
    let interval = poll_interval(operation, status, typical, now);
    let at = align(after(now, interval.mul_f64(share)), interval);
    at.min(deadlines(operation, status).min().unwrap_or(Timestamp::MAX)).max(now)
}

/// Whether the annotation asks for a poll that has not been made.
pub fn has_request(operation: &CloudOperation) -> bool {
    let handled = operation.status.as_ref().and_then(|s| s.last_handled_request.as_ref());
    let requested = operation.annotations().get(REQUESTED_AT);
    requested.is_some_and(|requested| Some(requested) != handled && Some(&echo(requested)) != handled)
}

/// `request` as the status echoes it: its digest where it is longer than 253 characters.
pub fn echo(request: &str) -> String {
    if request.chars().count() <= LONGEST_ECHO {
        return request.to_owned();
    }
    let digest = Sha256::digest(request.as_bytes());
    digest.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// What follows for `operation` from `poll`; without one, where the cloud is not or may not be asked, from the spec and
/// the time alone.
pub fn decide(operation: Subject<'_>, poll: Option<Poll>, memory: Memory, now: Timestamp) -> Decision {
    let unwritten = CloudOperationStatus::default();
    let old = operation.status.as_ref().unwrap_or(&unwritten);
    let mut status = old.clone();
    status.observed_generation = operation.metadata.generation;
    status.provider = Some(shared(old.provider.as_ref(), operation.spec.provider.name()));
    status.last_handled_request = operation.annotations().get(REQUESTED_AT).map(|request| echo(request));
    if is_over(old) {
        return keep_frozen(operation, old, status, poll, memory);
    }
    status.completion_time = None;
    if operation.spec.suspend {
        status.not_found_since = None;
        if let Some(progress) = &mut status.progress {
            progress.estimated_completion_time = None;
        }
        status.progress.take_if(|progress| **progress == ProgressStatus::default());
        conditions::write(operation, &mut status, old, &Situation::Suspended, now);
        return Decision { status, next: Next::Rest, notices: Vec::new(), memory: Memory::default() };
    }
    let Some(poll) = poll else {
        return decide_unasked(operation, old, status, memory, now);
    };
    status.tracking_start_time.get_or_insert(stamp(now));
    match poll.result {
        Err(failure) if failure.kind != FailureKind::NotFound => {
            decide_fault(operation, old, status, failure, memory, now)
        }
        Ok(observation) if !is_another_run(old, &observation) => {
            let observation = settle(old, believe_the_error(observation), now);
            let memory = facts::write(&mut status, old, &observation, memory, now);
            status.not_found_since = None;
            status.configuration_fault_since = None;
            let situation = situation(&operation, &status, &observation, now);
            conditions::write(operation, &mut status, old, &situation, now);
            finish(operation, old, status, memory, poll.age, now)
        }
        absent => {
            let failure = absent.map_or_else(|failure| failure, |other| another_run(operation, &other));
            decide_absent(operation, old, status, failure, memory, (poll.age, poll.since_last), now)
        }
    }
}

/// Without an answer only a deadline can pass: an account may be paused for longer than that is away.
fn decide_unasked(
    operation: Subject<'_>,
    old: &CloudOperationStatus,
    mut status: CloudOperationStatus,
    memory: Memory,
    now: Timestamp,
) -> Decision {
    let Some(overdue) = overdue(&operation, &status, now) else {
        let next = Next::Poll(wake(&operation, old, Timestamp::MAX, now));
        return Decision { status: old.clone(), next, notices: Vec::new(), memory };
    };
    conditions::write(operation, &mut status, old, &overdue, now);
    finish(operation, old, status, Memory::default(), Duration::ZERO, now)
}

/// A word of success beside an error is no success.
fn believe_the_error(mut observation: Observation) -> Observation {
    if observation.state == State::Succeeded && observation.error.is_some() {
        observation.state = State::Failed;
    }
    observation
}

/// The end of an operation whose resource has not been seen busy is the resource's state from before.
fn settle(old: &CloudOperationStatus, mut observation: Observation, now: Timestamp) -> Observation {
    let Some(within) = observation.settle else { return observation };
    let is_end = matches!(observation.state, State::Succeeded | State::Failed | State::Cancelled);
    let was_busy = matches!(old.phase, Phase::Running | Phase::Blocked);
    let followed = old.tracking_start_time.as_ref().map_or(Duration::ZERO, |since| elapsed(since.0, now));
    if is_end && !was_busy && followed < within {
        let seconds = within.as_secs();
        observation.state = State::Pending;
        observation.message = Some(format!("settling for {seconds} s at most"));
        (observation.error, observation.percent, observation.counts) = (None, None, None);
        (observation.start_time, observation.completion_time) = (None, None);
    }
    observation
}

fn another_run(operation: Subject<'_>, shown: &Observation) -> PollFailure {
    let cloud = operation.cloud;
    let run = shown.uid.as_deref().unwrap_or_default();
    PollFailure::new(FailureKind::NotFound, format!("{cloud} shows another run now, {run}"))
}

/// An answer that there is no such operation. The grace runs only over answers in a row that say so.
fn decide_absent(
    operation: Subject<'_>,
    old: &CloudOperationStatus,
    mut status: CloudOperationStatus,
    failure: PollFailure,
    memory: Memory,
    (age, since_last): (Duration, Option<Duration>),
    now: Timestamp,
) -> Decision {
    let absence = match memory.absence {
        Some(absence) if !has_clock_stepped(absence.last, now, since_last) => {
            Absence { last: now, answers: absence.answers.saturating_add(1), ..absence }
        }
        _ => Absence { since: now, last: now, answers: 1 },
    };
    let overdue = overdue(&operation, &status, now);
    let is_first = absence.answers == 1 && old.upstream_state.is_some();
    if is_first && overdue.is_none() && may_be_kept_quiet(operation, old, &status, memory) {
        return keep_quiet(operation, old, Memory { absence: Some(absence), ..memory }, now);
    }
    let grace = seconds(operation.spec.not_found_grace_seconds.into());
    let is_late = elapsed(absence.since, now) >= grace;
    if is_late && absence.answers < ENOUGH_ABSENCES && old.not_found_since.is_some() && overdue.is_none() {
        // The end is seconds away, and says what an edit of the spec changes.
        return keep_quiet(operation, old, Memory { absence: Some(absence), ..memory }, now);
    }
    status.not_found_since = Some(stamp(absence.since));
    status.configuration_fault_since = None;
    let (failure, told) = keep_words(old, failure, memory, now);
    let situation = match overdue {
        _ if absence.answers >= ENOUGH_ABSENCES && is_late => {
            Situation::Gone { why: failure.message, was_seen: old.upstream_state.is_some() }
        }
        Some(overdue) => overdue,
        None => Situation::Absent { why: failure.message },
    };
    conditions::write(operation, &mut status, old, &situation, now);
    let memory = Memory { absence: Some(absence), told: Some(told), ..Memory::default() };
    let mut decision = finish(operation, old, status, memory, age, now);
    if let (true, Next::Poll(at)) = (is_late, &mut decision.next) {
        // Only the answers that are still missing are waited for.
        *at = after(now, fault_delay(Duration::ZERO, false)).min(*at);
    }
    decision
}

/// Whether one of the clocks was set between an answer at `last` and one `now`.
fn has_clock_stepped(last: Timestamp, now: Timestamp, since_last: Option<Duration>) -> bool {
    now < last || since_last.is_some_and(|since| elapsed(last, now).abs_diff(since) > CLOCK_STEP)
}

/// Whether a first fault after a good answer may be no news: one lost packet is none.
fn may_be_kept_quiet(
    operation: Subject<'_>,
    old: &CloudOperationStatus,
    status: &CloudOperationStatus,
    memory: Memory,
) -> bool {
    is_true(old, ConditionType::UpstreamReachable)
        && !memory.is_failing
        && old.observed_generation == status.observed_generation
        && !has_request(&operation)
}

fn keep_quiet(operation: Subject<'_>, old: &CloudOperationStatus, memory: Memory, now: Timestamp) -> Decision {
    let next = Next::Poll(wake(&operation, old, after(now, fault_delay(Duration::ZERO, false)), now));
    let memory = Memory { is_failing: true, announced: false, ..memory };
    Decision { status: old.clone(), next, notices: Vec::new(), memory }
}

/// A poll that learnt nothing.
fn decide_fault(
    operation: Subject<'_>,
    old: &CloudOperationStatus,
    mut status: CloudOperationStatus,
    failure: PollFailure,
    memory: Memory,
    now: Timestamp,
) -> Decision {
    let overdue = overdue(&operation, &status, now);
    let memory = Memory { absence: None, ..memory };
    let is_configuration = failure.kind.is_configuration();
    if !is_configuration && overdue.is_none() && may_be_kept_quiet(operation, old, &status, memory) {
        return keep_quiet(operation, old, memory, now);
    }
    status.not_found_since = None;
    // What only the user can fix stays so, whatever else fails meanwhile.
    let standing = conditions::configuration_fault(old);
    if is_configuration || standing.is_some() {
        // Since the condition says so, where that is longer.
        let told = condition(old, ConditionType::UpstreamReachable).filter(|_| standing.is_some());
        let told = told.map(|condition| condition.last_transition_time.clone());
        let since = status.configuration_fault_since.take().into_iter().chain(told).min();
        status.configuration_fault_since = since.or(Some(stamp(now)));
    }
    let failure = standing.filter(|_| !is_configuration).unwrap_or(failure);
    let (failure, told) = keep_words(old, failure, memory, now);
    facts::write_refusal(&mut status, old, &failure);
    conditions::write(operation, &mut status, old, &Situation::Fault(failure.clone()), now);
    if let Some(overdue) = overdue {
        let unseen = status.clone();
        conditions::write(operation, &mut status, &unseen, &overdue, now);
        return finish(operation, old, status, Memory::default(), Duration::ZERO, now);
    }
    let (lasted, at) = next_try(&status, &failure, now);
    let mut notices = notices::between(operation, old, &status, now);
    let is_configuration = failure.kind.is_configuration();
    let announce = !memory.announced && !is_configuration && lasted >= notices::FAULT_WORTH_TELLING;
    if announce {
        notices.push(notices::poll_failing(&failure.message));
    }
    let announced = memory.announced || announce;
    let memory = Memory { is_failing: true, announced, told: Some(told), ..memory };
    Decision { next: Next::Poll(wake(&operation, &status, at, now)), status, notices, memory }
}

/// How long `failure` has lasted, and when to ask again.
fn next_try(status: &CloudOperationStatus, failure: &PollFailure, now: Timestamp) -> (Duration, Timestamp) {
    let is_configuration = failure.kind.is_configuration();
    let since = match &status.configuration_fault_since {
        Some(since) if is_configuration => since.0,
        _ => condition(status, ConditionType::UpstreamReachable).map_or(now, |c| c.last_transition_time.0),
    };
    let lasted = elapsed(since, now);
    let at = after(now, fault_delay(lasted, is_configuration));
    match is_configuration && lasted < CONFIGURATION_GRACE {
        true => (lasted, at.min(after(since, CONFIGURATION_GRACE))),
        false => (lasted, at),
    }
}

/// `failure` in the words that stand in the status already, while it is the same and they are not too old; and what is
/// told then.
fn keep_words(old: &CloudOperationStatus, failure: PollFailure, memory: Memory, now: Timestamp) -> (PollFailure, Told) {
    let told = Told { kind: failure.kind, code: stand_for(failure.code.as_deref()), at: now };
    let kept = conditions::words_of_fault(old, failure.kind);
    match (kept, memory.told) {
        (Some(words), before) if before.is_none_or(|before| before.still_holds(told)) => {
            let request_id = old.error.as_ref().and_then(|error| error.request_id.clone());
            let told = before.unwrap_or(told);
            (PollFailure { message: words, request_id: request_id.or(failure.request_id), ..failure }, told)
        }
        _ => (failure, told),
    }
}

impl Told {
    fn still_holds(self, other: Self) -> bool {
        (self.kind, self.code) == (other.kind, other.code) && elapsed(self.at, other.at) < WORDS_KEPT
    }
}

/// A number for a code, the same for the same one.
fn stand_for(code: Option<&str>) -> u64 {
    let digest = Sha256::digest(code.unwrap_or_default().as_bytes());
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The end of every decision that learnt something: announcements, and when to look again.
fn finish(
    operation: Subject<'_>,
    old: &CloudOperationStatus,
    mut status: CloudOperationStatus,
    mut memory: Memory,
    age: Duration,
    now: Timestamp,
) -> Decision {
    renew_estimate(operation, &mut status, &mut memory, now);
    let notices = notices::between(operation, old, &status, now);
    let next = if is_over(&status) {
        expiry(&operation, &status)
    } else {
        let interval = poll_interval(&operation, &status, operation.typical, now);
        let at = align(after(now, interval.saturating_sub(age)), interval);
        Next::Poll(wake(&operation, &status, at, now))
    };
    Decision { status, next, notices, memory }
}

/// Says when it may be over, and says so anew only where that has moved by much: an estimate changes with each poll.
fn renew_estimate(operation: Subject<'_>, status: &mut CloudOperationStatus, memory: &mut Memory, now: Timestamp) {
    let before = status.progress.as_ref().and_then(|progress| progress.estimated_completion_time.clone());
    let goes_on = !is_over(status) && status.phase != Phase::Blocked;
    let end = estimate(status, operation.typical, now).filter(|_| goes_on).map(stamp);
    let is_settled = memory.estimated.is_some_and(|renewed| elapsed(renewed, now) < ESTIMATE_KEPT);
    let stays = match (&before, &end) {
        (Some(before), Some(end)) => {
            let moved = elapsed(before.0, end.0).max(elapsed(end.0, before.0));
            is_settled || moved <= elapsed(now, end.0) / 10
        }
        (Some(_), None) => goes_on,
        // What is over so soon is not worth a write.
        (None, Some(end)) => elapsed(now, end.0) < SOON,
        (None, None) => true,
    };
    if stays {
        return;
    }
    memory.estimated = Some(now);
    let progress = status.progress.get_or_insert_default();
    progress.estimated_completion_time = end;
    status.progress.take_if(|progress| **progress == ProgressStatus::default());
}

/// A terminal result stands, whatever comes after it; only what the object itself says of its own spec is renewed.
fn keep_frozen(
    operation: Subject<'_>,
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
    Decision { next: expiry(&operation, &status), status, notices: notices.into_iter().collect(), memory }
}

fn is_another_run(old: &CloudOperationStatus, observation: &Observation) -> bool {
    matches!((&old.upstream_uid, facts::uid(observation)), (Some(followed), Some(shown)) if *followed != shown)
}

fn situation(
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
    /// It may, so that no cloud can have statuses written as fast as it changes its words.
    Paced,
}

/// How urgent it is to write `new` in place of `old`: the first and the last status, what a user did, and a new reason
/// for which a user has to act are so.
pub fn urgency(old: Option<&CloudOperationStatus>, new: &CloudOperationStatus) -> Urgency {
    let Some(old) = old.filter(|old| old.tracking_start_time.is_some()) else { return Urgency::AtOnce };
    let by_user = |status: &CloudOperationStatus| (status.observed_generation, status.last_handled_request.clone());
    let fault = |status: &CloudOperationStatus| conditions::configuration_fault(status).map(|failure| failure.kind);
    let is_new_fault = fault(new).is_some() && fault(new) != fault(old);
    let is_urgent = is_over(new) || by_user(old) != by_user(new) || is_new_fault;
    if is_urgent { Urgency::AtOnce } else { Urgency::Paced }
}
