//! The examples of a profile, read by the profile itself: the gate before it serves.

use std::fmt;
use std::sync::Arc;

use super::Profile;
use crate::api::{ExampleSpec, ExpectSpec, ExpectedError, ExpectedReason, ExpectedSubJob, Phase};
use crate::document::Document;
use crate::observation::{Misread, Observation, Reading, State, SubJob};
use crate::provider::{Declared, find, interpret};
use crate::time::parse_any_time;

/// An example that is not read as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The example's name.
    pub example: String,
    /// What differs, such as `phase`.
    pub field: &'static str,
    /// What was expected.
    pub wanted: String,
    /// What was read.
    pub read: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { example, field, wanted, read } = self;
        write!(f, "example {example:?}: {field} should be {wanted} and was read as {read}")
    }
}

/// Whether `profile` reads the example as expected.
///
/// # Errors
/// [`Mismatch`] with the first thing that differs.
pub fn check_example(profile: &Arc<Profile>, example: &ExampleSpec) -> Result<(), Mismatch> {
    let wrong = |(field, wanted, read): Difference| Mismatch { example: example.name.clone(), field, wanted, read };
    compare(&example.expect, read(profile, example)).map_err(wrong)
}

/// What is read of an example.
fn read(profile: &Arc<Profile>, example: &ExampleSpec) -> Result<Reading, Misread> {
    // What an example does not give does not matter for reading it.
    let mut parameters = profile.sample_parameters();
    parameters.extend(example.parameters.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())));
    let declared = Declared { profile: profile.name.clone(), parameters };
    let bound = profile.for_reading(&declared);
    let document = Document::parse(example.reply.0.to_string().as_bytes())?;
    match example.from_list {
        Some(true) => find(&bound, &example.operation_id, document.root()),
        _ => interpret(&bound, &example.operation_id, document.root()),
    }
}

/// A field, what it should be and what it is.
type Difference = (&'static str, String, String);

fn compare(expect: &ExpectSpec, reading: Result<Reading, Misread>) -> Result<(), Difference> {
    let observation = match reading {
        Ok(Reading::Found(observation)) => *observation,
        Ok(Reading::Unreadable(misread)) | Err(misread) => {
            return unread(expect, ExpectedReason::InvalidResponse, &format!("InvalidResponse ({misread})"));
        }
        Ok(Reading::Absent) => {
            return unread(expect, ExpectedReason::OperationNotFound, "a list without the operation");
        }
        Ok(Reading::NextPage(_)) => {
            return unread(expect, ExpectedReason::OperationNotFound, "a list that goes on on another page");
        }
    };
    let (phase, reason) = verdict(observation.state);
    let word = format!("{} ({:?})", show(&phase), observation.upstream_state);
    same("phase", expect.phase, phase, &word)?;
    same("reason", expect.reason, reason, &format!("{reason:?} ({:?})", observation.upstream_state))?;
    text("upstreamState", &expect.upstream_state, Some(&observation.upstream_state))?;
    text("operationType", &expect.operation_type, observation.operation_type.as_deref())?;
    text("targetId", &expect.target_id, observation.target.id.as_deref())?;
    text("message", &expect.message, observation.message.as_deref())?;
    if let Some(wanted) = expect.percent {
        let read = percent(&observation);
        equal("percent", wanted.to_string(), read.map_or("absent".into(), |percent| percent.to_string()))?;
    }
    time("startTime", &expect.start_time, observation.start_time)?;
    time("completionTime", &expect.completion_time, observation.completion_time)?;
    if let Some(wanted) = &expect.error {
        error(wanted, &observation)?;
    }
    match &expect.sub_jobs {
        Some(wanted) => sub_jobs(wanted, &observation.sub_jobs),
        None => Ok(()),
    }
}

/// Compares with what is expected of a reply that tells nothing of the operation.
fn unread(expect: &ExpectSpec, is: ExpectedReason, read: &str) -> Result<(), Difference> {
    match (expect.phase, expect.reason) {
        (None, Some(reason)) if reason == is => Ok(()),
        (Some(phase), _) => Err(("phase", show(&phase), read.to_owned())),
        (None, reason) => {
            Err(("reason", reason.map_or("given".into(), |reason| format!("{reason:?}")), read.to_owned()))
        }
    }
}

/// What a state becomes in a status: an unknown word goes on.
fn verdict(state: State) -> (Phase, ExpectedReason) {
    match state {
        State::Pending => (Phase::Pending, ExpectedReason::Pending),
        State::Running => (Phase::Running, ExpectedReason::Running),
        State::Blocked => (Phase::Blocked, ExpectedReason::Blocked),
        State::Succeeded => (Phase::Succeeded, ExpectedReason::OperationSucceeded),
        State::Failed => (Phase::Failed, ExpectedReason::OperationFailed),
        State::Cancelled => (Phase::Failed, ExpectedReason::OperationCancelled),
        State::Unrecognized => (Phase::Running, ExpectedReason::UnrecognizedState),
    }
}

fn show(phase: &Phase) -> String {
    format!("{phase:?}")
}

fn same<T: PartialEq + fmt::Debug>(
    field: &'static str,
    wanted: Option<T>,
    is: T,
    read: &str,
) -> Result<(), Difference> {
    match wanted {
        Some(wanted) if wanted != is => Err((field, format!("{wanted:?}"), read.to_owned())),
        _ => Ok(()),
    }
}

fn equal(field: &'static str, wanted: String, read: String) -> Result<(), Difference> {
    if wanted == read { Ok(()) } else { Err((field, wanted, read)) }
}

fn text(field: &'static str, wanted: &Option<String>, read: Option<&str>) -> Result<(), Difference> {
    let Some(wanted) = wanted else { return Ok(()) };
    match read {
        Some(read) if wanted == read => Ok(()),
        None if wanted.is_empty() => Ok(()),
        read => Err((field, format!("{wanted:?}"), read.map_or("absent".into(), |read| format!("{read:?}")))),
    }
}

fn time(field: &'static str, wanted: &Option<String>, read: Option<jiff::Timestamp>) -> Result<(), Difference> {
    let Some(wanted) = wanted else { return Ok(()) };
    let is_same = match read {
        Some(read) => parse_any_time(wanted) == Some(read),
        None => wanted.is_empty(),
    };
    if is_same { Ok(()) } else { Err((field, wanted.clone(), read.map_or("absent".into(), |time| time.to_string()))) }
}

fn percent(observation: &Observation) -> Option<i32> {
    let counted = observation.counts.map(|(completed, total)| completed as f64 * 100.0 / total as f64);
    observation.percent.or(counted).map(|percent| percent as i32)
}

fn error(wanted: &ExpectedError, observation: &Observation) -> Result<(), Difference> {
    let read = observation.error.clone().unwrap_or_default();
    if *wanted == ExpectedError::default() && observation.error.is_some() {
        return Err(("error", "absent".into(), format!("{:?}", read.message.or(read.code).unwrap_or_default())));
    }
    text("error.code", &wanted.code, read.code.as_deref())?;
    text("error.message", &wanted.message, read.message.as_deref())?;
    text("error.requestId", &wanted.request_id, read.request_id.as_deref())
}

fn sub_jobs(wanted: &[ExpectedSubJob], read: &[SubJob]) -> Result<(), Difference> {
    let show_wanted = |wanted: &ExpectedSubJob| format!("{} {:?}", wanted.name, wanted.phase);
    let show_read = |read: &SubJob| format!("{} {:?}", read.name, verdict(read.state).0);
    let is_same = |(wanted, read): (&ExpectedSubJob, &SubJob)| {
        show_wanted(wanted) == show_read(read)
            && wanted.id.as_ref().is_none_or(|id| *id == read.id)
            && wanted.parent_id.as_ref().is_none_or(|id| Some(id) == read.parent_id.as_ref())
    };
    if wanted.len() == read.len() && wanted.iter().zip(read).all(is_same) {
        return Ok(());
    }
    let join = |texts: Vec<String>| format!("[{}]", texts.join(", "));
    let (wanted, read) = (wanted.iter().map(show_wanted).collect(), read.iter().map(show_read).collect());
    Err(("subJobs", join(wanted), join(read)))
}
