//! What an observation makes of the facts in a status: cleaned, bounded, in a stable order.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{CloudOperationStatus, ErrorStatus, Phase, ProgressStatus, SubJobStatus, TargetStatus};
use crate::observation::{Observation, PollFailure, State, SubJob};
use crate::schedule::{after, elapsed};
use crate::wording::{sanitize, sanitize_some};

use super::{Memory, WORDS_KEPT, shared, stamp};

const MOST_SUB_JOBS: usize = 64;
/// So many fit, whatever they hold.
const FEW_SUB_JOBS: usize = 4;
/// In bytes, as JSON. The conditions have their own bounds (see `conditions`), so that a status stays under 32 KiB; and
/// facts that were bounded once stay as they are, whatever is said of them.
const LARGEST_FACTS: usize = 23 * 1024;
const WORD: usize = 64;
const NAME: usize = 128;
const LINE: usize = 256;
const ADDRESS: usize = 512;
const PARAGRAPH: usize = 1024;

/// A start may lie ahead of our clock by as much as two clocks differ.
const AHEAD: Duration = Duration::from_secs(300);

/// Writes what `observation` says into `status`, which holds what `old` says. Gives what is to be remembered.
pub(super) fn write(
    status: &mut CloudOperationStatus,
    old: &CloudOperationStatus,
    observation: &Observation,
    memory: Memory,
    now: Timestamp,
) -> Memory {
    status.phase = phase(observation.state).unwrap_or(match old.phase {
        // An unknown word is not taken for an unknown start.
        Phase::Pending => Phase::Running,
        known => known,
    });
    status.upstream_state = Some(shared(old.upstream_state.as_ref(), &sanitize(&observation.upstream_state, WORD)));
    status.upstream_uid = uid(observation).or(old.upstream_uid.clone());
    status.operation_type = sanitize_some(observation.operation_type.as_deref(), NAME)
        .map(|kind| shared(old.operation_type.as_ref(), &kind));
    status.target = target(observation).map(Box::new);
    status.progress = progress(old, observation).map(Box::new);
    status.sub_jobs = sub_jobs(old, &observation.sub_jobs, now);
    status.sub_jobs_total = (!observation.sub_jobs.is_empty()).then(|| count(observation.sub_jobs.len()));
    status.error = error(observation).map(Box::new);
    let error_told = keep_words(status, old, memory, now);
    write_times(status, old, observation, now);
    bound(status);
    if old.last_progress_time.is_none() || differs(old, status) {
        status.last_progress_time = Some(stamp(now));
    }
    Memory { error_told, estimated: memory.estimated, ..Memory::default() }
}

/// Start and end: the cloud's, where it says so and that can be, else when they were seen. No end is before its start.
fn write_times(
    status: &mut CloudOperationStatus,
    old: &CloudOperationStatus,
    observation: &Observation,
    now: Timestamp,
) {
    let told = usable(observation.start_time, now);
    status.start_time = told.clone().or(old.start_time.clone()).or(Some(stamp(now)));
    if !matches!(observation.state, State::Succeeded | State::Failed | State::Cancelled) {
        return;
    }
    let end = usable(observation.completion_time, now);
    let end = match (&told, end) {
        // Seen later than it ended.
        (None, Some(end)) => {
            status.start_time = status.start_time.take().min(Some(end.clone()));
            Some(end)
        }
        (Some(start), end) => end.filter(|end| end >= start),
        (None, None) => None,
    };
    status.completion_time = end.or(Some(stamp(now))).max(status.start_time.clone());
}

/// Keeps the words of an operation's error that is the same as before while they are not too old, so that what differs
/// in them at each poll is not written each time. Gives when they were last renewed.
fn keep_words(
    status: &mut CloudOperationStatus,
    old: &CloudOperationStatus,
    memory: Memory,
    now: Timestamp,
) -> Option<Timestamp> {
    let (Some(new), Some(before)) = (&mut status.error, &old.error) else { return Some(now) };
    let is_same = (&new.code, &new.sub_job, status.phase) == (&before.code, &before.sub_job, old.phase);
    if !is_same || memory.error_told.is_some_and(|told| elapsed(told, now) >= WORDS_KEPT) {
        return Some(now);
    }
    new.message.clone_from(&before.message);
    new.request_id.clone_from(&before.request_id);
    memory.error_told.or(Some(now))
}

/// Tells with which code the cloud refused a poll, and its ID of the request, where the operation has no error of its
/// own: one that is parked has.
pub(super) fn write_refusal(status: &mut CloudOperationStatus, old: &CloudOperationStatus, failure: &PollFailure) {
    if old.phase == Phase::Blocked {
        return;
    }
    let is_refusal = failure.code.is_some() || failure.request_id.is_some();
    status.error = is_refusal.then(|| {
        Box::new(ErrorStatus {
            code: sanitize_some(failure.code.as_deref(), NAME),
            message: sanitize_some(Some(&failure.message), PARAGRAPH),
            request_id: sanitize_some(failure.request_id.as_deref(), NAME),
            sub_job: None,
        })
    });
    bound(status);
}

/// The cloud's identity of the run, as a status keeps it.
pub(super) fn uid(observation: &Observation) -> Option<String> {
    sanitize_some(observation.uid.as_deref(), NAME)
}

/// Drops the least needed texts until the facts are small enough for any cluster.
fn bound(status: &mut CloudOperationStatus) {
    let conditions = std::mem::take(&mut status.conditions);
    let too_large =
        |status: &CloudOperationStatus| serde_json::to_vec(status).map_or(0, |json| json.len()) > LARGEST_FACTS;
    if status.sub_jobs.len() > FEW_SUB_JOBS && too_large(status) {
        for sub_job in &mut status.sub_jobs {
            sub_job.message = None;
        }
    }
    while status.sub_jobs.len() > FEW_SUB_JOBS && too_large(status) && status.sub_jobs.pop().is_some() {}
    status.conditions = conditions;
}

fn differs(old: &CloudOperationStatus, new: &CloudOperationStatus) -> bool {
    old.phase != new.phase
        || old.upstream_state != new.upstream_state
        || old.progress != new.progress
        || old.sub_jobs != new.sub_jobs
        || old.sub_jobs_total != new.sub_jobs_total
        || old.target != new.target
        || old.operation_type != new.operation_type
}

fn phase(state: State) -> Option<Phase> {
    match state {
        State::Pending => Some(Phase::Pending),
        State::Running => Some(Phase::Running),
        State::Blocked => Some(Phase::Blocked),
        State::Succeeded => Some(Phase::Succeeded),
        State::Failed | State::Cancelled => Some(Phase::Failed),
        State::Unrecognized => None,
    }
}

fn target(observation: &Observation) -> Option<TargetStatus> {
    let target = TargetStatus {
        id: sanitize_some(observation.target.id.as_deref(), LINE),
        name: sanitize_some(observation.target.name.as_deref(), LINE),
        url: sanitize_some(observation.target.url.as_deref(), ADDRESS),
    };
    (target != TargetStatus::default()).then_some(target)
}

fn error(observation: &Observation) -> Option<ErrorStatus> {
    let error = observation.error.as_ref()?;
    let error = ErrorStatus {
        code: sanitize_some(error.code.as_deref(), NAME),
        message: sanitize_some(error.message.as_deref(), PARAGRAPH),
        request_id: sanitize_some(error.request_id.as_deref(), NAME),
        sub_job: sanitize_some(error.sub_job.as_deref(), NAME),
    };
    (error != ErrorStatus::default()).then_some(error)
}

fn progress(old: &CloudOperationStatus, observation: &Observation) -> Option<ProgressStatus> {
    let parents: HashSet<&str> = observation.sub_jobs.iter().filter_map(|job| job.parent_id.as_deref()).collect();
    let (mut completed, mut total) = (0_usize, 0_usize);
    for leaf in observation.sub_jobs.iter().filter(|job| !parents.contains(job.id.as_str())) {
        total += 1;
        completed += usize::from(leaf.state == State::Succeeded);
    }
    if let Some((own, all)) = observation.counts {
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        (completed, total) = (number(own), number(all));
    }
    let has_succeeded = observation.state == State::Succeeded;
    let told = observation.percent.filter(|percent| *percent >= 0.0);
    let derived = (total > 0).then(|| completed as f64 * 100.0 / total as f64);
    let before = old.progress.as_ref().and_then(|progress| progress.percent);
    let percent = if has_succeeded {
        Some(100)
    } else {
        // 100 would say what only success may say.
        told.or(derived).map(|percent| percent.min(99.0) as i32).max(before.map(|percent| percent.min(99)))
    };
    let message = sanitize_some(observation.message.as_deref(), LINE);
    let summary = match (percent, told, total) {
        (_, None, total) if total > 0 && (!has_succeeded || completed == total) => Some(format!("{completed}/{total}")),
        (Some(percent), _, _) => Some(format!("{percent}%")),
        (None, _, _) => sanitize_some(observation.message.as_deref(), WORD),
    };
    let counts = |number: usize| (total > 0).then(|| count(number));
    let progress = ProgressStatus {
        percent,
        completed: counts(completed),
        total: counts(total),
        message,
        // It is no fact of the cloud's, and renewed apart.
        estimated_completion_time: old.progress.as_ref().and_then(|old| old.estimated_completion_time.clone()),
        summary,
    };
    (progress != ProgressStatus::default()).then_some(progress)
}

/// The first sub-jobs, those already listed in the order they had: some clouds shuffle them from answer to answer.
fn sub_jobs(old: &CloudOperationStatus, jobs: &[SubJob], now: Timestamp) -> Vec<SubJobStatus> {
    let mut times_seen: HashMap<String, usize> = HashMap::new();
    let mut ids: HashSet<String> = HashSet::new();
    let mut listed: Vec<SubJobStatus> = jobs
        .iter()
        .take(MOST_SUB_JOBS * 16)
        .map(|job| {
            let id = sanitize(&job.id, NAME);
            let times = times_seen.entry(id.clone()).or_default();
            // The API server refuses a list with one key twice.
            let id = loop {
                *times += 1;
                let id = if *times == 1 { id.clone() } else { format!("{id}#{times}") };
                if ids.insert(id.clone()) {
                    break id;
                }
            };
            sub_job(id, job, now)
        })
        .collect();
    let place = |wanted: &dyn Fn(&SubJobStatus) -> bool| old.sub_jobs.iter().position(wanted);
    listed.sort_by_cached_key(|job| {
        // Some parts get their ID only when they begin: the one listed without it is then gone.
        place(&|known| known.id == job.id)
            .or_else(|| place(&|known| known.name == job.name && !ids.contains(&known.id)))
            .unwrap_or(usize::MAX)
    });
    listed.truncate(MOST_SUB_JOBS);
    listed
}

fn sub_job(id: String, job: &SubJob, now: Timestamp) -> SubJobStatus {
    SubJobStatus {
        id,
        parent_id: sanitize_some(job.parent_id.as_deref(), NAME),
        name: sanitize(&job.name, NAME),
        phase: phase(job.state).unwrap_or(Phase::Running),
        upstream_state: sanitize_some(Some(&job.upstream_state), WORD),
        message: sanitize_some(job.message.as_deref(), LINE),
        start_time: usable(job.start_time, now),
        completion_time: usable(job.completion_time, now),
    }
}

/// A cloud's time, unless it lies so far ahead that no two clocks differ by as much.
fn usable(time: Option<Timestamp>, now: Timestamp) -> Option<Time> {
    time.filter(|time| *time <= after(now, AHEAD)).map(stamp)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
