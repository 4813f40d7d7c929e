//! Interning that many objects have in common, each held once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::api::CloudOperation;

/// How many texts are looked through at least for those that nobody has any more.
const FEW: usize = 1000;

/// The texts of all objects.
#[derive(Default)]
pub(super) struct Interning {
    known: HashSet<Arc<str>>,
    /// The number at which they are looked through next.
    most: usize,
}

impl Interning {
    /// Lets `operation` share its texts with others, and gives back memory that it does not use.
    pub(super) fn share(&mut self, operation: &mut CloudOperation) {
        self.share_one(&mut operation.spec.credentials_ref.name);
        let Some(status) = &mut operation.status else { return };
        status.conditions.shrink_to_fit();
        status.sub_jobs.shrink_to_fit();
        let of_conditions = status.conditions.iter_mut().flat_map(|condition| {
            [&mut condition.type_, &mut condition.status, &mut condition.reason, &mut condition.message]
        });
        let others = [&mut status.provider, &mut status.upstream_state, &mut status.operation_type];
        of_conditions.chain(others.into_iter().flatten()).for_each(|text| self.share_one(text));
        if self.known.len() > self.most {
            self.known.retain(|text| Arc::strong_count(text) > 1);
            self.most = (self.known.len() * 2).max(FEW);
        }
    }

    fn share_one(&mut self, text: &mut Arc<str>) {
        match self.known.get(text) {
            Some(known) => text.clone_from(known),
            None => _ = self.known.insert(Arc::clone(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(message: &str) -> CloudOperation {
        let condition = |kind| {
            json!({"type": kind, "status": "Unknown", "reason": "Running", "message": message,
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let operation = json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": "a"},
            "spec": {"provider": {"huaweiUcsFederation": {}}, "operationId": "a", "credentialsRef": {"name": "c"}},
            "status": {"upstreamState": "Running", "conditions": [condition("Succeeded"), condition("Ready")]},
        });
        serde_json::from_value(operation).unwrap()
    }

    #[test]
    fn equal_texts_are_one_within_an_object_and_among_objects() {
        let mut interning = Interning::default();
        let mut operations = [operation("it runs"), operation("it runs")];
        let before = operations.clone();
        operations.iter_mut().for_each(|operation| interning.share(operation));
        assert_eq!(operations, before, "nothing else changes");
        let [first, second] = operations.map(|operation| operation.status.unwrap());
        assert!(Arc::ptr_eq(&first.conditions[0].message, &first.conditions[1].message));
        assert!(Arc::ptr_eq(&first.conditions[0].message, &second.conditions[1].message));
        assert!(Arc::ptr_eq(&first.conditions[0].reason, first.upstream_state.as_ref().unwrap()));
    }

    #[test]
    fn texts_that_nobody_has_take_no_memory() {
        let mut interning = Interning::default();
        let mut last = operation("");
        for number in 0..5 * FEW {
            last = operation(&number.to_string());
            interning.share(&mut last);
        }
        assert!(interning.known.len() <= FEW + 1, "{}", interning.known.len());
        assert!(interning.known.contains(&last.status.unwrap().conditions[0].message));
    }
}
