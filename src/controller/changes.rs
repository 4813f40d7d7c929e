//! Which changes of an object are its user's.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use kube::{Resource, ResourceExt};

use super::Guarded;
use crate::api::REQUESTED_AT;
use crate::decision::is_over;

/// What is remembered of so many objects at most: of those that are gone, too.
const MANY: usize = 100_000;

/// What users last said of each object, as hashes.
#[derive(Default)]
pub(super) struct Changes {
    by_object: HashMap<u64, u64>,
}

impl Changes {
    /// Whether `object` has been changed by its user since this was asked last. Our own writes are none, and so wake
    /// nobody; a phase that someone edits back from its end is.
    pub(super) fn is_new(&mut self, object: &Guarded) -> bool {
        let meta = object.meta();
        if self.by_object.len() >= MANY {
            // Each object is then looked at once more, which costs nothing: it is not its time.
            self.by_object.clear();
        }
        let said = hash(&(
            &meta.uid,
            meta.generation,
            meta.deletion_timestamp.is_some(),
            object.annotations().get(REQUESTED_AT),
            object.0.as_ref().is_ok_and(|operation| operation.status.as_ref().is_some_and(is_over)),
        ));
        self.by_object.insert(hash(&(&meta.namespace, &meta.name)), said) != Some(said)
    }
}

pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use serde_json::{Value, json};

    use super::*;

    fn is_new(changes: &mut Changes, name: &str, change: impl FnOnce(&mut Value)) -> bool {
        let mut object = json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation",
            "metadata": {"name": name, "namespace": "n", "uid": name, "generation": 1, "resourceVersion": "1"},
            "spec": {"provider": {"huaweiUcsFederation": {}}, "operationId": "a", "credentialsRef": {"name": "c"}},
        });
        change(&mut object);
        changes.is_new(&DeserializeGuard(Ok(serde_json::from_value(object).unwrap())))
    }

    #[test]
    fn a_write_of_the_status_is_no_news_and_what_a_user_does_is() {
        let changes = &mut Changes::default();
        assert!(is_new(changes, "a", |_| {}));
        assert!(!is_new(changes, "a", |object| object["metadata"]["resourceVersion"] = json!("2")));
        assert!(!is_new(changes, "a", |object| object["status"] = json!({"phase": "Running", "conditions": []})));
        assert!(is_new(changes, "b", |_| {}), "another object");
        let ended = ["Succeeded", "Finished", "Ready"].map(|kind| {
            json!({"type": kind, "status": "True", "reason": "r", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
        });
        for (path, value) in [
            ("/metadata/generation", json!(2)),
            ("/metadata/uid", json!("of a namesake")),
            ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            ("/metadata/annotations", json!({REQUESTED_AT: "now"})),
            // Taken back, someone has edited the end away.
            ("/status", json!({"phase": "Succeeded", "conditions": ended})),
        ] {
            let change = |object: &mut Value| {
                let (parent, key) = path.rsplit_once('/').unwrap();
                object.pointer_mut(parent).unwrap()[key] = value.clone();
            };
            assert!(is_new(changes, "a", change), "{path}");
            assert!(!is_new(changes, "a", change), "{path} again");
            assert!(is_new(changes, "a", |_| {}), "{path} taken back");
        }
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let changes = &mut Changes::default();
        for number in 0..MANY as u64 {
            changes.by_object.insert(number, 0);
        }
        assert!(is_new(changes, "a", |_| {}));
        assert_eq!(changes.by_object.len(), 1);
    }
}
