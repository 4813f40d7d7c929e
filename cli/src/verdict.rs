//! What a CloudOperation says to whoever waits for it. Pure.

use cloudop::api::{CloudOperation, CloudOperationStatus, Condition};
use kube::ResourceExt;

use crate::advice::advice;
use crate::exit::Exit;

/// Where an operation stands, as far as waiting is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, or has not been looked at as it is now.
    GoesOn,
    /// It cannot go on without somebody.
    Stalled,
    /// It is over.
    Over(Exit),
}

/// Where `operation` stands.
pub fn verdict(operation: &CloudOperation) -> Verdict {
    let Some(status) = &operation.status else { return Verdict::GoesOn };
    if status.observed_generation != operation.metadata.generation {
        return Verdict::GoesOn;
    }
    let reason = condition(status, "Succeeded").map(|condition| (&*condition.status, &*condition.reason));
    match reason {
        Some(("True", _)) => Verdict::Over(Exit::Succeeded),
        Some(("False", "DeadlineExceeded")) => Verdict::Over(Exit::Timeout),
        Some(("False", "OperationNotFound" | "OperationExpired")) => Verdict::Over(Exit::Unknown),
        Some(("False", _)) => Verdict::Over(Exit::Failed),
        _ if is_true(status, "Stalled") => Verdict::Stalled,
        _ => Verdict::GoesOn,
    }
}

/// The condition of a type.
pub fn condition<'a>(status: &'a CloudOperationStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| *condition.type_ == *kind)
}

fn is_true(status: &CloudOperationStatus, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| *condition.status == *"True")
}

/// One line on where it stands: the phase, how far it is, and why.
pub fn line(operation: &CloudOperation) -> String {
    let name = operation.name_any();
    let Some(status) = operation.status.as_ref().filter(|status| !status.conditions.is_empty()) else {
        return format!("{name}: not yet seen by the controller");
    };
    let message = condition(status, "Succeeded").map(|condition| &*condition.message).unwrap_or_default();
    match condition(status, "Stalled").map(|stalled| &*stalled.reason) {
        Some(reason) => format!("{name}: {:?}, {reason}: {message}", status.phase),
        None => format!("{name}: {:?}: {message}", status.phase),
    }
}

/// What is known of why it failed or stands still, a line each.
pub fn cause(operation: &CloudOperation) -> Vec<String> {
    let Some(status) = &operation.status else { return Vec::new() };
    let mut lines = Vec::new();
    let error = status.error.as_deref();
    let culprit = error.and_then(|error| error.sub_job.as_deref());
    if let Some(part) = culprit.and_then(|id| status.sub_jobs.iter().find(|part| part.id == id)) {
        let message = part.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        lines.push(format!("sub-job: {} ({}){message}", part.name, part.id));
    }
    let facts = [
        ("code", error.and_then(|error| error.code.as_deref())),
        ("message", error.and_then(|error| error.message.as_deref())),
        ("request ID", error.and_then(|error| error.request_id.as_deref())),
    ];
    lines.extend(facts.into_iter().filter_map(|(name, fact)| Some(format!("{name}: {}", fact?))));
    lines
}

/// What to do next, where that is known.
pub fn next_step(operation: &CloudOperation) -> Option<String> {
    let status = operation.status.as_ref()?;
    let succeeded = condition(status, "Succeeded")?;
    let stalled = condition(status, "Stalled").map(|condition| &*condition.reason);
    let name = operation.name_any();
    // A page knows more of the message than the reason says.
    let paged = advice(operation).filter(|_| succeeded.reason.as_ref() != "OperationSucceeded");
    if let Some(step) = paged {
        return Some(step.to_owned());
    }
    let step = match (&*succeeded.reason, stalled) {
        ("OperationSucceeded", _) => return None,
        ("OperationFailed", _) => {
            "look at the cause at the cloud, start it again there, and follow the new operation by a new CloudOperation"
        }
        ("OperationCancelled", _) => "ask who cancelled it at the cloud; a new operation needs a new CloudOperation",
        ("OperationNotFound", _) => {
            "the cloud never knew it: correct operationId and the other IDs in a new CloudOperation"
        }
        ("OperationExpired", _) => "look at the resource itself: the cloud no longer tells of the operation",
        ("DeadlineExceeded", _) => "it may still go on at the cloud: look there, or follow it again with more time",
        (_, Some("OperationBlocked")) => "act at the cloud: it waits for someone to let it go on, or to cancel it",
        (_, Some("NoProgress")) => "look at the cloud whether it still works; it is polled all the same",
        ("ProfileInvalid", _) => {
            return Some("fix or create the OperationProfile: kubectl get operationprofiles -o wide".to_owned());
        }
        ("CredentialsInvalid", _) => {
            let secret = &operation.spec.credentials_ref.name;
            return Some(format!("fix Secret {secret}, as the message says; it is looked at every 15 s"));
        }
        ("PollFailing", _) => "none: it is tried again; see the message if it lasts",
        ("UnrecognizedState", _) => "report the word; until it is known, it counts as going on",
        ("Suspended", _) => return Some(format!("kubectl cloudop resume {name}")),
        _ => return None,
    };
    Some(step.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(generation: i64, observed: i64, succeeded: (&str, &str), stalled: Option<&str>) -> CloudOperation {
        let condition = |kind: &str, status: &str, reason: &str| {
            json!({"type": kind, "status": status, "reason": reason, "message": "m",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let mut conditions = vec![condition("Succeeded", succeeded.0, succeeded.1)];
        conditions.extend(stalled.map(|reason| condition("Stalled", "True", reason)));
        serde_json::from_value(json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation",
            "metadata": {"name": "a", "generation": generation},
            "spec": {"provider": {"huaweiUcsFederation": {}}, "operationId": "a", "credentialsRef": {"name": "c"}},
            "status": {"observedGeneration": observed, "conditions": conditions},
        }))
        .unwrap()
    }

    #[rstest::rstest]
    #[case(1, ("Unknown", "Pending"), None, Verdict::GoesOn)]
    #[case(1, ("Unknown", "Running"), None, Verdict::GoesOn)]
    #[case(1, ("Unknown", "PollFailing"), None, Verdict::GoesOn)]
    #[case(1, ("Unknown", "UnrecognizedState"), None, Verdict::GoesOn)]
    #[case(1, ("Unknown", "Suspended"), None, Verdict::GoesOn)]
    #[case(1, ("Unknown", "CredentialsInvalid"), None, Verdict::GoesOn)]
    #[case(1, ("Unknown", "CredentialsInvalid"), Some("Unauthorized"), Verdict::Stalled)]
    #[case(1, ("Unknown", "Blocked"), Some("OperationBlocked"), Verdict::Stalled)]
    #[case(1, ("Unknown", "Running"), Some("NoProgress"), Verdict::Stalled)]
    #[case(1, ("True", "OperationSucceeded"), None, Verdict::Over(Exit::Succeeded))]
    #[case(1, ("False", "OperationFailed"), Some("OperationFailed"), Verdict::Over(Exit::Failed))]
    #[case(1, ("False", "OperationCancelled"), Some("OperationCancelled"), Verdict::Over(Exit::Failed))]
    #[case(1, ("False", "DeadlineExceeded"), Some("DeadlineExceeded"), Verdict::Over(Exit::Timeout))]
    #[case(1, ("False", "OperationNotFound"), Some("OperationNotFound"), Verdict::Over(Exit::Unknown))]
    #[case(1, ("False", "OperationExpired"), Some("OperationExpired"), Verdict::Over(Exit::Unknown))]
    #[case::of_an_older_spec(2, ("True", "OperationSucceeded"), None, Verdict::GoesOn)]
    fn each_situation_has_its_verdict(
        #[case] generation: i64,
        #[case] succeeded: (&str, &str),
        #[case] stalled: Option<&str>,
        #[case] expected: Verdict,
    ) {
        assert_eq!(verdict(&operation(generation, 1, succeeded, stalled)), expected);
    }

    #[test]
    fn whatever_does_not_go_on_has_a_next_step() {
        for (status, reason, stalled) in [
            ("False", "OperationFailed", None),
            ("False", "OperationExpired", None),
            ("Unknown", "Blocked", Some("OperationBlocked")),
            ("Unknown", "CredentialsInvalid", Some("Unauthorized")),
            ("Unknown", "ProfileInvalid", Some("ProfileNotFound")),
        ] {
            assert!(next_step(&operation(1, 1, (status, reason), stalled)).is_some(), "{reason}");
        }
        assert_eq!(next_step(&operation(1, 1, ("True", "OperationSucceeded"), None)), None);
    }
}
