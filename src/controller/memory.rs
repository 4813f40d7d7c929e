//! Everything that is kept of an object between two looks, in one place; a restart loses it without harm.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ahash::{HashMap, RandomState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use super::pace::Bucket;
use super::unannounced::Unannounced;
use crate::api::{CloudOperation, REQUESTED_AT};
use crate::clock::Moment;
use crate::decision::{self, is_over};
use crate::provider::CloudApi;
use crate::schedule;
use crate::upstream::Inquiry;

/// An object as it comes from the API server; one that this version cannot read spoils only itself.
pub(super) type Guarded = DeserializeGuard<CloudOperation>;

/// The memory of all objects. Names are kept as hashes with a key drawn at random, so that nobody can make two collide.
#[derive(Default)]
pub(super) struct Memory {
    names: RandomState,
    objects: Mutex<HashMap<u64, Box<Entry>>>,
    /// In which order those came back that were followed before a restart, each list once.
    returned: Mutex<HashMap<u64, u32>>,
}

#[derive(Default)]
struct Entry {
    /// Of the UID: whatever is created again takes its namesake's place.
    identity: u64,
    /// What the user last said.
    said: Option<u64>,
    /// Whether this process has announced its end.
    is_end_told: bool,
    tracked: Tracked,
}

/// What most objects have none of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rare {
    /// Since when a poll that is due has had no answer.
    pub(super) wanted_since: Option<Instant>,
    /// When that poll joined an equal request of somebody else: it was not late from then on.
    pub(super) joined: Option<Instant>,
    /// What the user asked for, as a hash, while that is not done, and since when this is known.
    pub(super) requested: Option<(u64, Instant)>,
    /// What the core remembers.
    pub(super) core: decision::Memory,
    /// The Secret that was at fault at the last poll.
    pub(super) faulty: Option<Faulty>,
    /// Calls to the Kubernetes API that failed in a row, and the last failure that was logged.
    pub(super) failures: u32,
    pub(super) logged: Option<u64>,
}

/// What is kept of an object that is followed.
#[derive(Clone, Default)]
pub(super) struct Tracked {
    /// When it is looked at next.
    pub(super) due: Option<Instant>,
    /// The request that it joined last.
    pub(super) joins: Option<Arc<Inquiry>>,
    /// When the last answer arrived.
    pub(super) answered: Option<Instant>,
    /// Its budget of status writes.
    pub(super) writes: Bucket,
    /// What was written, or may have been, and is not announced yet.
    pub(super) unannounced: Option<Box<Unannounced>>,
    /// Apart, as objects are many.
    rare: Option<Box<Rare>>,
}

impl Entry {
    /// It, as that of `identity`: nothing stays of a namesake but what its user said.
    fn take(&mut self, identity: u64) -> &mut Self {
        if self.identity != identity {
            *self = Self { identity, said: self.said, ..Self::default() };
        }
        self
    }
}

impl Tracked {
    /// Since when a poll is wanted that is due `now`, if not since before.
    pub(super) fn want(&mut self, now: Moment) -> Instant {
        let due = self.due.unwrap_or(now.monotonic).min(now.monotonic);
        *self.rare().wanted_since.get_or_insert(due)
    }

    /// Notes that the poll that is due joins an equal request of somebody else.
    pub(super) fn join(&mut self, now: Moment) {
        self.want(now);
        self.rare().joined.get_or_insert(now.monotonic);
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// A Secret whose credential was refused or cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Faulty {
    /// Its resourceVersion; none where it is missing.
    pub(super) version: Option<Arc<str>>,
    /// When the cloud is asked again though it has not changed.
    pub(super) ask_at: Instant,
}

impl Memory {
    /// Whether `object` has been changed by its user since this was asked last. Our own writes are none, and so wake
    /// nobody; a phase that someone edits back from its end is.
    pub(super) fn is_news(&self, object: &Guarded) -> bool {
        let meta = object.meta();
        let said = self.hash(&(
            &meta.uid,
            meta.generation,
            meta.deletion_timestamp.is_some(),
            object.annotations().get(REQUESTED_AT),
            object.0.as_ref().is_ok_and(|operation| operation.status.as_ref().is_some_and(is_over)),
        ));
        self.objects().entry(self.key(meta)).or_default().said.replace(said) != Some(said)
    }

    /// What is kept of `operation`, nothing where that is of a namesake.
    pub(super) fn recall(&self, operation: &CloudOperation) -> Tracked {
        let identity = self.hash(&operation.metadata.uid);
        let objects = self.objects();
        let entry = objects.get(&self.key(&operation.metadata)).filter(|entry| entry.identity == identity);
        entry.map(|entry| entry.tracked.clone()).unwrap_or_default()
    }

    /// Keeps `tracked` of `operation`.
    pub(super) fn keep(&self, operation: &CloudOperation, mut tracked: Tracked) {
        tracked.rare.take_if(|rare| **rare == Rare::default());
        let identity = self.hash(&operation.metadata.uid);
        let mut objects = self.objects();
        objects.entry(self.key(&operation.metadata)).or_default().take(identity).tracked = tracked;
    }

    /// Notes that the end of `operation` has been announced.
    pub(super) fn tell_end(&self, operation: &CloudOperation) {
        let identity = self.hash(&operation.metadata.uid);
        self.objects().entry(self.key(&operation.metadata)).or_default().take(identity).is_end_told = true;
    }

    /// Whether this process has announced the end of `operation`.
    pub(super) fn is_end_told(&self, operation: &CloudOperation) -> bool {
        let identity = self.hash(&operation.metadata.uid);
        let objects = self.objects();
        objects.get(&self.key(&operation.metadata)).is_some_and(|entry| entry.identity == identity && entry.is_end_told)
    }

    /// Changes what is kept of `operation`, if anything is.
    pub(super) fn change<T>(&self, operation: &CloudOperation, change: impl FnOnce(&mut Tracked) -> T) -> Option<T> {
        let identity = self.hash(&operation.metadata.uid);
        let mut objects = self.objects();
        let entry = objects.get_mut(&self.key(&operation.metadata)).filter(|entry| entry.identity == identity)?;
        Some(change(&mut entry.tracked))
    }

    /// Changes what is kept of `object`.
    pub(super) fn update<T>(&self, object: &Guarded, change: impl FnOnce(&mut Tracked) -> T) -> T {
        let mut objects = self.objects();
        change(&mut objects.entry(self.key(object.meta())).or_default().tracked)
    }

    /// Lets `object` rest: all that stays is what its user said last.
    pub(super) fn rest(&self, object: &ObjectMeta) {
        if let Some(entry) = self.objects().get_mut(&self.key(object)) {
            entry.tracked = Tracked::default();
        }
    }

    /// Forgets the object of that `name`.
    pub(super) fn forget(&self, name: &ObjectRef<Guarded>) {
        let key = self.hash(&(&name.namespace, Some(&name.name)));
        self.objects().remove(&key);
    }

    /// The share of an interval that `operation`, followed before a restart, waits for its first poll. Those of one list
    /// wait for the same, so that from the start one request serves them all.
    pub(super) fn spread(&self, operation: &CloudOperation) -> f64 {
        let place = match operation.spec.provider.built_in().ok().and_then(CloudApi::list) {
            Some(list) => self.hash(&list.path),
            None => self.hash(&operation.metadata.uid),
        };
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let number = u32::try_from(returned.len()).unwrap_or(u32::MAX);
        schedule::spread(*returned.entry(place).or_insert(number))
    }

    /// Stands for whoever pays for `operation`: all objects that use its Secret.
    pub(super) fn account(&self, operation: &CloudOperation) -> u64 {
        self.hash(&(&operation.metadata.namespace, &operation.spec.credentials_ref.name))
    }

    /// Stands for `value`.
    pub(super) fn hash(&self, value: &impl Hash) -> u64 {
        self.names.hash_one(value)
    }

    fn key(&self, object: &ObjectMeta) -> u64 {
        self.hash(&(&object.namespace, object.name.as_ref()))
    }

    fn objects(&self) -> MutexGuard<'_, HashMap<u64, Box<Entry>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(name: &str, change: impl FnOnce(&mut Value)) -> Guarded {
        let mut object = json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation",
            "metadata": {"name": name, "namespace": "n", "uid": name, "generation": 1, "resourceVersion": "1"},
            "spec": {"provider": {"huaweiUcsFederation": {}}, "operationId": "a", "credentialsRef": {"name": "c"}},
        });
        change(&mut object);
        DeserializeGuard(Ok(serde_json::from_value(object).unwrap()))
    }

    fn is_news(memory: &Memory, name: &str, change: impl FnOnce(&mut Value)) -> bool {
        memory.is_news(&object(name, change))
    }

    #[test]
    fn a_write_of_the_status_is_no_news_and_what_a_user_does_is() {
        let memory = &Memory::default();
        assert!(is_news(memory, "a", |_| {}));
        assert!(!is_news(memory, "a", |object| object["metadata"]["resourceVersion"] = json!("2")));
        assert!(!is_news(memory, "a", |object| object["status"] = json!({"phase": "Running", "conditions": []})));
        assert!(is_news(memory, "b", |_| {}), "another object");
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
            assert!(is_news(memory, "a", change), "{path}");
            assert!(!is_news(memory, "a", change), "{path} again");
            assert!(is_news(memory, "a", |_| {}), "{path} taken back");
        }
    }

    #[test]
    fn what_is_kept_is_not_a_namesakes_and_is_forgotten_whole() {
        let memory = Memory::default();
        let first = object("a", |_| {});
        let mut kept = Tracked::default();
        kept.rare().failures = 7;
        memory.keep(first.0.as_ref().unwrap(), kept);
        assert_eq!(memory.recall(first.0.as_ref().unwrap()).rare().failures, 7);
        let namesake = object("a", |object| object["metadata"]["uid"] = json!("another"));
        assert_eq!(memory.recall(namesake.0.as_ref().unwrap()).rare().failures, 0);
        memory.forget(&ObjectRef::new("a").within("n"));
        assert!(memory.objects().is_empty());
    }

    #[test]
    fn an_end_is_told_of_one_object_and_not_of_its_namesake() {
        let memory = Memory::default();
        let first = object("a", |_| {});
        let namesake = object("a", |object| object["metadata"]["uid"] = json!("another"));
        let is_told = |object: &Guarded| memory.is_end_told(object.0.as_ref().unwrap());
        assert!(!is_told(&first));
        memory.tell_end(first.0.as_ref().unwrap());
        memory.rest(first.meta());
        assert!(is_told(&first) && !is_told(&namesake));
        memory.keep(namesake.0.as_ref().unwrap(), Tracked::default());
        assert!(!is_told(&namesake) && !is_told(&first));
    }

    #[test]
    fn an_object_at_rest_is_news_only_when_its_user_changes_it() {
        let memory = Memory::default();
        assert!(is_news(&memory, "a", |_| {}));
        memory.rest(object("a", |_| {}).meta());
        assert!(!is_news(&memory, "a", |_| {}));
    }
}
