//! The CloudOperations of a cluster, and whatever its users do to them.

use std::future;
use std::sync::Arc;

use futures::StreamExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt};

use super::context::Context;
use super::interning::Interning;
use super::memory::Guarded;
use super::reconcile::reconcile;
use super::{queue, relist};
use crate::api::{CloudOperation, REQUESTED_AT};

/// Which CloudOperations one controller watches.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Those of one namespace, else of all.
    pub namespace: Option<String>,
    /// Those that a label selector matches, else all.
    pub label_selector: Option<String>,
}

/// Watches the CloudOperations that are `watched`, until `stop` resolves.
pub async fn run(
    watch_client: Client,
    watched: Watched,
    concurrency: u16,
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let api: Api<Guarded> = match &watched.namespace {
        Some(namespace) => Api::namespaced(watch_client, namespace),
        None => Api::all(watch_client),
    };
    let mut config = watcher::Config { label_selector: watched.label_selector, ..watcher::Config::default() };
    if relist::is_streamed(&api).await {
        config = config.streaming_lists();
    }
    let (reader, writer) = reflector::store();
    context.stores().push(reader.clone());
    let mut interning = Interning::default();
    let events = watcher(api, config).default_backoff().modify(move |object| {
        keep_what_is_read(object);
        if let Ok(operation) = &mut object.0 {
            interning.share(operation);
        }
    });
    let events = relist::as_changes(events, reader.clone()).reflect(writer);
    let changes = events.filter_map(|event| future::ready(news(event, &context)));
    let listed = reader.wait_until_ready();
    let look = |name: &Arc<ObjectRef<Guarded>>| reconcile(Arc::clone(name), reader.get(name), Arc::clone(&context));
    let is_first = |name: &Arc<ObjectRef<Guarded>>| reader.get(name).is_some_and(|object| is_unseen(&object));
    queue::run(changes, listed, concurrency, (look, is_first), stop, &context.turns).await;
}

/// Drops what nobody reads of an object: there are thousands, and their users may put a quarter of a megabyte on each.
fn keep_what_is_read(object: &mut Guarded) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    meta.labels = None;
    meta.owner_references = None;
    meta.finalizers = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|name, _| name == REQUESTED_AT);
    }
}

/// Who is to be looked at after `event`: nobody where only we have changed the object.
fn news(event: Result<Event<Guarded>, watcher::Error>, context: &Context) -> Option<Arc<ObjectRef<Guarded>>> {
    match event {
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            context.memory.is_news(&object).then(|| Arc::new(reference(&object)))
        }
        Ok(Event::Delete(object)) => {
            context.memory.forget(&reference(&object));
            None
        }
        Ok(Event::Init | Event::InitDone) => None,
        Err(error) => {
            tracing::warn!(%error, "CloudOperations cannot be watched: is the CRD in crds/ installed, and may the controller list and watch them?");
            None
        }
    }
}

/// The name of `object`, and no more: there are thousands.
pub(super) fn reference(object: &Guarded) -> ObjectRef<Guarded> {
    let mut reference = ObjectRef::new(&object.name_any());
    reference.namespace = object.namespace();
    reference
}

/// Whether no answer has ever come for `object`.
fn is_unseen(object: &Guarded) -> bool {
    let is_unseen = |operation: &CloudOperation| {
        operation.status.as_ref().is_none_or(|status| status.tracking_start_time.is_none())
    };
    object.0.as_ref().is_ok_and(is_unseen)
}
