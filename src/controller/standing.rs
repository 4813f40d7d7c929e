//! How all CloudOperations stand, for the gauges: counted when they are asked for, from what is known anyway.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::context::Context;
use crate::api::{CloudOperation, ConditionType, Phase, Reason};
use crate::decision::{CONFIGURATION, is_over};
use crate::metrics::Standing;
use crate::observation::FailureKind;

/// How an operation may end.
const ENDS: [&str; 6] = [
    Reason::OperationSucceeded,
    Reason::OperationFailed,
    Reason::OperationCancelled,
    Reason::DeadlineExceeded,
    Reason::OperationNotFound,
    Reason::OperationExpired,
];
/// Why one that goes on may be stalled, beside the faults that only its user can fix.
const STANDS_STILL: [&str; 2] = [Reason::OperationBlocked, Reason::NoProgress];

impl Context {
    /// How the CloudOperations that are known stand, by the label of their provider.
    pub fn standings(&self) -> BTreeMap<Cow<'static, str>, Standing> {
        let mut standings: BTreeMap<Cow<'static, str>, Standing> = BTreeMap::new();
        for store in self.stores().iter() {
            for object in store.state() {
                if let Ok(operation) = &object.0 {
                    count(operation, standings.entry(self.label(&operation.spec.provider)).or_default());
                }
            }
        }
        for provider in standings.keys() {
            self.metrics.begin(provider.clone(), &ENDS);
        }
        standings
    }
}

fn count(operation: &CloudOperation, standing: &mut Standing) {
    let status = operation.status.as_ref();
    let phase = match status.map(|status| status.phase).unwrap_or_default() {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Blocked => "Blocked",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
    };
    *standing.phases.entry(phase).or_default() += 1;
    let Some(status) = status else { return };
    let is_stalled = |kind: &str, is: &str| kind == ConditionType::Stalled.as_str() && is == "True";
    if let Some(condition) = status.conditions.iter().find(|c| is_stalled(&c.type_, &c.status)) {
        *standing.stalled.entry(known(&condition.reason)).or_default() += 1;
    }
    if let Some(start) = status.start_time.as_ref().filter(|_| !is_over(status) && !operation.spec.suspend) {
        let start = start.0.as_second();
        standing.oldest_start = Some(standing.oldest_start.map_or(start, |oldest| oldest.min(start)));
    }
}

/// The reason as one of ours: a status may have been written by somebody else, and nobody is to invent labels.
fn known(reason: &str) -> &'static str {
    let faults = CONFIGURATION.map(FailureKind::reason);
    ENDS.into_iter().chain(STANDS_STILL).chain(faults).find(|known| *known == reason).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A CloudOperation in `phase` that started at `start`, stalled for `reason` unless that is empty.
    fn operation(phase: &str, start: Option<&str>, reason: &str) -> CloudOperation {
        let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let verdict = match phase {
            "Succeeded" => "True",
            "Failed" => "False",
            _ => "Unknown",
        };
        let finished = if verdict == "Unknown" { "False" } else { "True" };
        let mut conditions = vec![
            condition("Succeeded", verdict, "r"),
            condition("Finished", finished, "r"),
            condition("Ready", verdict, "NoProgress"),
        ];
        if !reason.is_empty() {
            conditions.push(condition("Stalled", "True", reason));
        }
        let start = start.map_or(Value::Null, Value::from);
        serde_json::from_value(json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": "a"},
            "spec": {"provider": {"huaweiUcsFederation": {}}, "operationId": "i", "credentialsRef": {"name": "s"}},
            "status": {"phase": phase, "startTime": start, "conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn what_goes_on_has_an_oldest_start_and_what_is_over_has_none() {
        let mut standing = Standing::default();
        for (phase, start) in [
            ("Running", Some("2026-01-01T00:00:30Z")),
            ("Blocked", Some("2026-01-01T00:00:10Z")),
            ("Failed", Some("2025-01-01T00:00:00Z")),
            ("Succeeded", Some("2025-01-01T00:00:00Z")),
            ("Pending", None),
        ] {
            count(&operation(phase, start, ""), &mut standing);
        }
        let mut suspended = operation("Running", Some("2025-01-01T00:00:00Z"), "");
        suspended.spec.suspend = true;
        count(&suspended, &mut standing);
        let each = [("Blocked", 1), ("Failed", 1), ("Pending", 1), ("Running", 2), ("Succeeded", 1)];
        assert_eq!(standing.phases, each.into());
        assert_eq!(standing.oldest_start, Some(1_767_225_610));
        assert!(standing.stalled.is_empty(), "{:?}", standing.stalled);
    }

    #[test]
    fn stalled_is_told_by_reasons_of_ours_alone() {
        let mut standing = Standing::default();
        for reason in
            ["NoProgress", "Unauthorized", "Unauthorized", "ProfileNotFound", "OperationFailed", "mine", "yours"]
        {
            count(&operation("Running", None, reason), &mut standing);
        }
        let expected =
            [("NoProgress", 1), ("Unauthorized", 2), ("ProfileNotFound", 1), ("OperationFailed", 1), ("other", 2)];
        assert_eq!(standing.stalled, expected.into());
    }
}
