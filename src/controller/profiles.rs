//! The OperationProfiles of the cluster: watched, judged by their own examples, and looked up by those who name them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::PostParams;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};

use super::context::Context;
use crate::api::{OperationProfile, OperationProfileStatus};
use crate::clock;
use crate::observation::{FailureKind, PollFailure};
use crate::profile::{Bound, Profile, Refusal, judge, status};
use crate::provider::{CloudApi, Declared, Provider};

/// How many are listed at once: each may be as large as an object can be.
const PAGE: u32 = 10;
/// How long the first list of profiles is waited for before their absence is a fault.
const LONGEST_LIST: Duration = Duration::from_secs(15);
/// How long to wait before a status that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(10);

type Guarded = DeserializeGuard<OperationProfile>;

/// The profiles that are known.
#[derive(Default)]
pub(super) struct Profiles {
    known: RwLock<HashMap<Box<str>, Known>>,
    watched_since: OnceLock<Instant>,
    listed: OnceLock<()>,
    /// Why they cannot be watched, as it was last logged.
    complaint: Mutex<Option<String>>,
}

struct Known {
    /// Changes with each edit, and when it is created again.
    revision: Arc<str>,
    judged: Result<Arc<Profile>, Refusal>,
}

/// An API, built in or described.
pub(super) enum FoundApi<'a> {
    BuiltIn(&'a dyn CloudApi),
    Declared(Bound<'a>),
}

impl<'a> Deref for FoundApi<'a> {
    type Target = dyn CloudApi + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::BuiltIn(api) => *api,
            Self::Declared(bound) => bound,
        }
    }
}

/// Why there is no API to ask.
pub(super) enum Missing {
    /// The profiles have not been listed yet.
    NotYet,
    /// There is none of that name, or it may not serve, or not with these parameters. With its revision, on which that
    /// depends.
    Fault(Option<Arc<str>>, PollFailure),
}

impl Profiles {
    /// The API that knows operation `operation_id`.
    pub(super) fn find<'a>(&self, provider: &'a Provider, operation_id: &str) -> Result<FoundApi<'a>, Missing> {
        match provider.built_in() {
            Ok(api) => Ok(FoundApi::BuiltIn(api)),
            Err(declared) => self.bind(declared, operation_id).map(FoundApi::Declared),
        }
    }

    fn bind<'a>(&self, declared: &'a Declared, operation_id: &str) -> Result<Bound<'a>, Missing> {
        let name = &declared.profile;
        let known = self.known();
        let Some(Known { revision, judged }) = known.get(name) else {
            return Err(self.absent(name));
        };
        let refuse = |message| {
            let failure = PollFailure::new(FailureKind::ProfileRefused, message);
            Missing::Fault(Some(Arc::clone(revision)), failure)
        };
        let profile = judged.as_ref().map_err(|Refusal { reason, message }| {
            refuse(format!("OperationProfile {name} is not ready ({reason}): {message}"))
        })?;
        let bound = profile.bind(declared, operation_id).map_err(refuse)?;
        Ok(bound.at(Arc::clone(revision)))
    }

    fn absent(&self, name: &str) -> Missing {
        let waited = self.watched_since.get().map(|since| clock::monotonic().saturating_duration_since(*since));
        let message = match (self.listed.get(), waited) {
            (Some(()), _) => format!("spec.provider.declared: there is no OperationProfile {name}; create it"),
            (None, Some(waited)) if waited >= LONGEST_LIST => format!(
                "spec.provider.declared: OperationProfile {name} cannot be looked up: is the CRD in crds/ installed, and may \
                 the controller list and watch operationprofiles?"
            ),
            (None, _) => return Missing::NotYet,
        };
        Missing::Fault(None, PollFailure::new(FailureKind::ProfileNotFound, message))
    }

    /// What messages call the cloud of `provider`: a profile by its own name while that is all that is known of it.
    pub(super) fn cloud<'a>(&self, provider: &'a Provider) -> Cow<'a, str> {
        let declared = match provider.built_in() {
            Ok(api) => return api.cloud().into(),
            Err(declared) => declared,
        };
        match self.known().get(&declared.profile) {
            Some(Known { judged: Ok(profile), .. }) => profile.cloud().to_owned().into(),
            _ => (&*declared.profile).into(),
        }
    }

    /// Whether there is one of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.known().contains_key(name)
    }

    /// Takes `profile` in, unless it is known as it is; gives the status that it should have then.
    fn learn(&self, profile: &OperationProfile) -> Option<OperationProfileStatus> {
        let (uid, generation) = (profile.metadata.uid.as_deref(), profile.metadata.generation);
        let revision = format!("{}/{}", uid.unwrap_or_default(), generation.unwrap_or_default());
        let name = profile.name_any();
        if self.known().get(&*name).is_some_and(|known| *known.revision == *revision) {
            return None;
        }
        let judged = judge(profile);
        match &judged {
            Ok(_) => tracing::info!(profile = name, "serves"),
            Err(refusal) => {
                tracing::warn!(profile = name, reason = refusal.reason, message = refusal.message, "may not serve")
            }
        }
        let status = status(profile, &judged, clock::wall());
        self.change().insert(name.into(), Known { revision: revision.into(), judged });
        (profile.status.as_ref() != Some(&status)).then_some(status)
    }

    /// Refuses an object that this version cannot read.
    fn refuse(&self, object: &Guarded, why: &str) {
        let name = object.name_any();
        tracing::warn!(
            profile = name,
            why,
            "this OperationProfile cannot be read; was it written for a newer version?"
        );
        let revision = format!("{}/unreadable", object.meta().resource_version.as_deref().unwrap_or_default());
        let refusal = Refusal { reason: "SpecInvalid", message: format!("this version cannot read it: {why}") };
        self.change().insert(name.into(), Known { revision: revision.into(), judged: Err(refusal) });
    }

    /// Logs why the profiles cannot be watched, once while that stays so.
    fn complain(&self, error: &watcher::Error) {
        if self.change_complaint(Some(error.to_string())) {
            tracing::warn!(%error, "OperationProfiles cannot be watched: is their CRD in crds/ installed, and may the controller list and watch them?");
        }
    }

    /// Whether the complaint is another than before.
    fn change_complaint(&self, complaint: Option<String>) -> bool {
        let mut said = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *said != complaint;
        *said = complaint;
        is_new
    }

    fn known(&self) -> RwLockReadGuard<'_, HashMap<Box<str>, Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, HashMap<Box<str>, Known>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A status that is to be written, with the object that it is of.
type Unwritten = HashMap<String, OperationProfile>;

/// Watches the OperationProfiles and says in each one's status whether it serves, until `stop` resolves.
pub async fn watch_profiles(
    watch_client: Client,
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let profiles = &context.profiles;
    profiles.watched_since.get_or_init(clock::monotonic);
    let api: Api<Guarded> = Api::all(watch_client);
    let config = watcher::Config::default().page_size(PAGE);
    let mut events = watcher(api, config).default_backoff().boxed();
    let statuses: Api<OperationProfile> = Api::all(context.client.clone());
    let mut unwritten = Unwritten::default();
    let mut listed: HashSet<String> = HashSet::new();
    tokio::pin!(stop);
    loop {
        let retry = async {
            match unwritten.is_empty() {
                true => std::future::pending().await,
                false => tokio::time::sleep(RETRY).await,
            }
        };
        tokio::select! {
            () = &mut stop => return,
            () = retry => write(&statuses, &mut unwritten).await,
            event = events.next() => match event {
                Some(event) => {
                    take(event, profiles, &mut listed, &mut unwritten);
                    write(&statuses, &mut unwritten).await;
                }
                None => return,
            },
        }
    }
}

/// What follows from one event of the watch. Those in `listed` are the ones that the present list has named so far.
fn take(
    event: Result<Event<Guarded>, watcher::Error>,
    profiles: &Profiles,
    listed: &mut HashSet<String>,
    unwritten: &mut Unwritten,
) {
    let Ok(event) = event.inspect_err(|error| profiles.complain(error)) else { return };
    profiles.change_complaint(None);
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) | Event::Apply(object) => {
            listed.insert(object.name_any());
            match &object.0 {
                Ok(profile) => {
                    if let Some(status) = profiles.learn(profile) {
                        let status = Some(status);
                        unwritten.insert(profile.name_any(), OperationProfile { status, ..profile.clone() });
                    }
                }
                Err(invalid) => profiles.refuse(&object, &invalid.error),
            }
        }
        Event::InitDone => {
            profiles.change().retain(|name, _| listed.contains(&**name));
            let _ = profiles.listed.set(());
        }
        Event::Delete(object) => {
            let name = object.name_any();
            unwritten.remove(&name);
            profiles.change().remove(&*name);
        }
    }
}

/// Writes what is to be written. What has been changed or deleted meanwhile comes again, or never.
async fn write(statuses: &Api<OperationProfile>, unwritten: &mut Unwritten) {
    let mut left = Unwritten::default();
    for (name, profile) in unwritten.drain() {
        match statuses.replace_status(&name, &PostParams::default(), &profile).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => {
                tracing::warn!(%error, profile = name, "the status of an OperationProfile could not be written; trying again");
                left.insert(name, profile);
            }
        }
    }
    *unwritten = left;
}
