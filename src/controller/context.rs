//! What reconciles share, and what the process knows of itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::Store;
use kube::{Client, Resource};

use super::Guarded;
use super::changes::hash;
use crate::api::{CloudOperation, CloudOperationStatus};
use crate::credentials::Secrets;
use crate::decision::{Memory, Poll};
use crate::events::Announcer;
use crate::metrics::Metrics;
use crate::observation::State;
use crate::schedule::{elapsed, share};
use crate::upstream::Upstream;

/// How late a poll must be for the process to count as stuck: later than any pause a cloud may ask for.
const STUCK: Duration = Duration::from_secs(1800);
/// How recent an end must be for its Event to be made sure of after a restart.
const RECENT: Duration = Duration::from_secs(600);

/// What a reconcile works with.
pub struct Context {
    pub(super) client: Client,
    pub(super) secrets: Secrets,
    pub(super) upstream: Upstream,
    pub(super) announcer: Announcer,
    /// When this process began to follow operations.
    led_since: OnceLock<Timestamp>,
    /// By a hash of namespace and name, so that whatever is created anew takes its namesake's place.
    followed: Mutex<HashMap<u64, Followed>>,
    /// In which order those came who were followed before a restart, each collection once.
    returned: Mutex<HashMap<u64, u32>>,
    stores: Mutex<Vec<Store<Guarded>>>,
    stage: AtomicU8,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// How far the process is; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The API server has not answered yet.
    Starting,
    /// Another process leads.
    Standby,
    /// This process leads.
    Leading,
}

/// What is kept of an object between two polls; a restart loses it without harm.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Followed {
    /// A hash of the UID.
    identity: u64,
    /// On the clock that is never set.
    pub(super) due: Option<Instant>,
    /// Since when a poll has been waiting for its account's budget.
    pub(super) waiting_since: Option<Instant>,
    /// When the last answer arrived.
    pub(super) answered: Option<Instant>,
    pub(super) memory: Memory,
}

impl Context {
    /// Calls Kubernetes through `client` and clouds through `upstream`; Events name the process `instance`.
    pub fn new(client: Client, upstream: Upstream, instance: String, metrics: Arc<Metrics>) -> Self {
        Self {
            secrets: Secrets::new(client.clone()),
            announcer: Announcer::new(client.clone(), instance),
            client,
            upstream,
            led_since: OnceLock::new(),
            followed: Mutex::default(),
            returned: Mutex::default(),
            stores: Mutex::default(),
            stage: AtomicU8::new(Stage::Starting as u8),
            metrics,
        }
    }

    /// Notes how far the process is.
    pub fn reach(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        if stage == Stage::Leading {
            self.led_since.get_or_init(Timestamp::now);
        }
    }

    /// Whether this process leads.
    pub fn is_leading(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == Stage::Leading as u8
    }

    /// Why the process is not ready, if so.
    pub fn unready(&self) -> Option<&'static str> {
        let stage = self.stage.load(Ordering::Relaxed);
        if stage == Stage::Starting as u8 {
            return Some("the API server has not answered yet\n");
        }
        let is_unread = |store: &Store<Guarded>| store.wait_until_ready().now_or_never().is_none();
        (self.is_leading() && self.stores().iter().any(is_unread))
            .then_some("the CloudOperations have not been listed yet\n")
    }

    /// Why the process is to be started anew, if so: polls that were due long ago were never made.
    pub fn stuck(&self) -> Option<String> {
        let oldest = self.followed().values().filter_map(|followed| followed.due).min()?;
        let late = oldest.elapsed();
        (late > STUCK).then(|| format!("a poll is {} s late", late.as_secs()))
    }

    /// Calls `each` with every CloudOperation that is known.
    pub fn each_operation(&self, mut each: impl FnMut(&CloudOperation)) {
        for store in self.stores().iter() {
            store.state().iter().filter_map(|object| object.0.as_ref().ok()).for_each(&mut each);
        }
    }

    pub(super) fn stores(&self) -> MutexGuard<'_, Vec<Store<Guarded>>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of `operation`, nothing where that is of a namesake.
    pub(super) fn recall(&self, operation: &CloudOperation) -> Followed {
        let identity = identity(operation);
        self.followed()
            .get(&key(&operation.metadata))
            .filter(|kept| kept.identity == identity)
            .copied()
            .unwrap_or_default()
    }

    /// The share of an interval that `operation`, followed before a restart, waits for its first poll. Those of one
    /// collection wait for the same, so that from the start one request serves them all.
    pub(super) fn share(&self, operation: &CloudOperation) -> f64 {
        let place = match operation.spec.provider.list() {
            Some(list) => hash(&list.path),
            None => identity(operation),
        };
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let number = u32::try_from(returned.len()).unwrap_or(u32::MAX);
        share(*returned.entry(place).or_insert(number))
    }

    /// Plans the next poll for the time `due`, and keeps what else is known of `operation`.
    pub(super) fn plan(&self, operation: &CloudOperation, due: Timestamp, now: Timestamp, followed: Followed) {
        let due = Instant::now().checked_add(elapsed(now, due));
        let followed = Followed { identity: identity(operation), due, ..followed };
        self.followed().insert(key(&operation.metadata), followed);
    }

    /// Plans another look at once, for which the answer that could not be written counts as news again.
    pub(super) fn retry(&self, operation: &CloudOperation, memory: Memory) {
        let now = Timestamp::now();
        self.plan(operation, now, now, Followed { memory, ..Followed::default() });
    }

    /// Moves the planned poll of `object` to the next try, so that what keeps failing is not taken for a process that is
    /// stuck: it would be restarted, and all others with it.
    pub(super) fn postpone(&self, object: &Guarded, wait: Duration) {
        if let Some(due) = self.followed().get_mut(&key(object.meta())).and_then(|followed| followed.due.as_mut()) {
            *due = Instant::now() + wait;
        }
    }

    pub(super) fn forget(&self, object: &ObjectMeta) {
        self.followed().remove(&key(object));
    }

    /// Makes every planned poll earlier.
    #[cfg(test)]
    pub(super) fn antedate(&self, by: Duration) {
        for due in self.followed().values_mut().filter_map(|followed| followed.due.as_mut()) {
            *due -= by;
        }
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<u64, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_poll(&self, operation: &CloudOperation, poll: &Poll, lag: Duration) {
        let provider = operation.spec.provider.name();
        self.metrics.count_poll(provider, lag);
        if poll.result.as_ref().is_ok_and(|observation| observation.state == State::Unrecognized) {
            self.metrics.count_unrecognized(provider);
        }
    }

    pub(super) fn count_end(&self, operation: &CloudOperation, status: &CloudOperationStatus) {
        if let (Some(start), Some(end)) = (&status.start_time, &status.completion_time) {
            let result = status.conditions.iter().find(|c| *c.type_ == *"Succeeded").map_or("", |c| &c.reason);
            self.metrics.count_end(operation.spec.provider.name(), result, elapsed(start.0, end.0));
        }
    }

    /// Whether the process before this one may have died between writing the end and announcing it.
    pub(super) fn may_have_missed_the_end(&self, status: &CloudOperationStatus, now: Timestamp) -> bool {
        let Some(since) = self.led_since.get().copied() else { return false };
        let ended = status.conditions.iter().find(|c| *c.type_ == *"Finished").map(|c| c.last_transition_time.0);
        let is_new_here = elapsed(since, now) < RECENT;
        is_new_here && ended.is_some_and(|ended| ended <= since && elapsed(ended, since) < RECENT)
    }
}

fn key(object: &ObjectMeta) -> u64 {
    hash(&(&object.namespace, &object.name))
}

fn identity(operation: &CloudOperation) -> u64 {
    hash(&operation.metadata.uid)
}
