//! The OperationProfiles of the cluster, judged by their own examples, and looked up by those who name them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};

use crate::api::{OperationProfile, OperationProfileStatus};
use crate::clock;
use crate::observation::{FailureKind, PollFailure};
use crate::profile::{Bound, Profile, Refusal, judge, status};
use crate::provider::{CloudApi, Declared, Provider};

/// How long the first list of profiles is waited for before their absence is a fault.
const LONGEST_LIST: Duration = Duration::from_secs(15);

/// A profile as it comes from the API server; one that this version cannot read spoils only itself.
pub(super) type GuardedProfile = DeserializeGuard<OperationProfile>;

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
    pub(super) fn learn(&self, profile: &OperationProfile) -> Option<OperationProfileStatus> {
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
    pub(super) fn refuse(&self, object: &GuardedProfile, why: &str) {
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
    pub(super) fn complain(&self, error: &watcher::Error) {
        if self.change_complaint(Some(error.to_string())) {
            tracing::warn!(%error, "OperationProfiles cannot be watched: is their CRD in crds/ installed, and may the controller list and watch them?");
        }
    }

    /// That they are watched again.
    pub(super) fn calm_down(&self) {
        self.change_complaint(None);
    }

    /// That they are being watched from now on.
    pub(super) fn begin(&self) {
        self.watched_since.get_or_init(clock::monotonic);
    }

    /// That those are all there are.
    pub(super) fn keep_only(&self, names: &HashSet<String>) {
        self.change().retain(|name, _| names.contains(&**name));
        let _ = self.listed.set(());
    }

    /// That there is none of that name any more.
    pub(super) fn forget(&self, name: &str) {
        self.change().remove(name);
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
