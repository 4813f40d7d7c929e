//! What looks share, and what the process knows of itself.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use kube::Client;
use kube::runtime::reflector::Store;

use super::memory::{Guarded, Memory};
use super::pace::Pace;
use super::profiles::Profiles;
use super::queue::Turns;
use crate::clock;
use crate::credentials::Secrets;
use crate::events::Announcer;
use crate::history::History;
use crate::metrics::Metrics;
use crate::provider::Provider;
use crate::upstream::Upstream;

/// How long nothing may begin or end while an object is ready for the process to count as stuck. A cloud or an API server
/// that is slow cannot make it so: each look has its limit.
const STUCK: Duration = Duration::from_secs(1800);

/// What a look works with.
pub struct Context {
    pub(super) client: Client,
    pub(super) secrets: Secrets,
    pub(super) upstream: Upstream,
    pub(super) announcer: Announcer,
    pub(super) memory: Memory,
    pub(super) profiles: Profiles,
    pub(super) pace: Mutex<Pace>,
    history: Mutex<History>,
    pub(super) turns: Turns,
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

impl Context {
    /// Calls Kubernetes through `client` and clouds through `upstream`; Events name the process `instance`.
    pub fn new(client: Client, upstream: Upstream, instance: String, metrics: Arc<Metrics>) -> Self {
        Self {
            secrets: Secrets::new(client.clone()),
            announcer: Announcer::new(client.clone(), instance),
            client,
            upstream,
            memory: Memory::default(),
            profiles: Profiles::default(),
            pace: Mutex::default(),
            history: Mutex::default(),
            turns: Turns::default(),
            stores: Mutex::default(),
            stage: AtomicU8::new(Stage::Starting as u8),
            metrics,
        }
    }

    /// Notes how far the process is.
    pub fn reach(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        if stage == Stage::Leading {
            self.upstream.begin(clock::monotonic());
            self.metrics.lead();
        }
    }

    /// The name of `provider` among as many as there are providers and profiles, for metrics: what users call a profile
    /// that does not exist is not repeated.
    pub fn label(&self, provider: &Provider) -> Cow<'static, str> {
        match provider.built_in() {
            Ok(api) => api.name(),
            Err(declared) if self.profiles.has(&declared.profile) => declared.profile.to_string().into(),
            Err(_) => "declared".into(),
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

    /// Why the process is to be restarted, if so: polls are due and none is made.
    pub fn stuck(&self) -> Option<String> {
        let still = self.turns.stand_still()?;
        (still > STUCK).then(|| format!("polls are due and none has begun or ended for {} s", still.as_secs()))
    }

    pub(super) fn stores(&self) -> MutexGuard<'_, Vec<Store<Guarded>>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
