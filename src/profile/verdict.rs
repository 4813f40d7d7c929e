//! What becomes of an OperationProfile: a profile that serves, or why it may not, and the status that says so.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Profile, check_example, compile, warnings};
use crate::api::{Condition, OperationProfile, OperationProfileStatus};

/// The longest message of a condition, in characters: a reply may stand in it.
const LONGEST_MESSAGE: usize = 2048;

/// Why a profile may not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In one word.
    pub reason: &'static str,
    /// For people, naming the field.
    pub message: String,
}

/// Checks the profile and reads its examples.
///
/// # Errors
/// Why it may not serve.
pub fn judge(profile: &OperationProfile) -> Result<Arc<Profile>, Refusal> {
    let name = profile.metadata.name.as_deref().unwrap_or_default();
    let refuse = |reason| move |message| Refusal { reason, message };
    let compiled = compile(name, &profile.spec).map(Arc::new).map_err(refuse("SpecInvalid"))?;
    for example in &profile.spec.examples {
        check_example(&compiled, example).map_err(|mismatch| refuse("ExampleFailed")(mismatch.to_string()))?;
    }
    Ok(compiled)
}

/// The status that `profile` should have.
pub fn status(
    profile: &OperationProfile,
    judged: &Result<Arc<Profile>, Refusal>,
    now: Timestamp,
) -> OperationProfileStatus {
    let examples = profile.spec.examples.len();
    let warnings = warnings(&profile.spec);
    let (ready, reason, message) = match judged {
        Ok(_) if warnings.is_empty() => ("True", "Accepted", format!("all {examples} examples are read as expected")),
        Ok(_) => ("True", "AcceptedWithWarnings", warnings.join("; ")),
        Err(refusal) => ("False", refusal.reason, refusal.message.clone()),
    };
    let message: String = message.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect();
    let generation = profile.metadata.generation;
    let condition = |kind: &str, status: &str| {
        let before = profile.status.iter().flat_map(|status| &status.conditions);
        let kept = before
            .filter(|before| *before.type_ == *kind && *before.status == *status)
            .map(|before| before.last_transition_time.clone())
            .find(|time| time.0 > Timestamp::UNIX_EPOCH);
        Condition {
            type_: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.as_str().into(),
            last_transition_time: kept.unwrap_or(Time(now)),
            observed_generation: generation,
        }
    };
    let stalled = judged.is_err().then(|| condition("Stalled", "True"));
    let conditions = [condition("Ready", ready)].into_iter().chain(stalled).collect();
    OperationProfileStatus { observed_generation: generation, conditions }
}
