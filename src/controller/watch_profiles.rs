//! The OperationProfiles of the cluster, and whatever their owners do to them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::PostParams;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};

use super::context::Context;
use super::profiles::{GuardedProfile, Profiles};
use crate::api::OperationProfile;

/// How many are listed at once: each may be as large as an object can be.
const PAGE: u32 = 10;
/// How long to wait before a status that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// A status that is to be written, with the object that it is of.
type Unwritten = HashMap<String, OperationProfile>;

/// Watches the OperationProfiles and says in each one's status whether it serves, until `stop` resolves.
pub async fn watch_profiles(
    watch_client: Client,
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let profiles = &context.profiles;
    profiles.begin();
    let api: Api<GuardedProfile> = Api::all(watch_client);
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
    event: Result<Event<GuardedProfile>, watcher::Error>,
    profiles: &Profiles,
    listed: &mut HashSet<String>,
    unwritten: &mut Unwritten,
) {
    let Ok(event) = event.inspect_err(|error| profiles.complain(error)) else { return };
    profiles.calm_down();
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
            profiles.keep_only(listed);
        }
        Event::Delete(object) => {
            let name = object.name_any();
            unwritten.remove(&name);
            profiles.forget(&name);
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
