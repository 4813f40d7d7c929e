//! The CloudOperations of a cluster, and whatever its users do to them.

use std::future;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::StreamExt;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt};

use super::context::Context;
use super::interning::Interning;
use super::memory::Guarded;
use super::queue::{self, Requeue};
use super::reconcile::{glance, reconcile};
use super::relist;
use crate::api::{CloudOperation, REQUESTED_AT};

/// How many objects are listed at once where the API server does not stream them: their users may put a quarter of a
/// megabyte of annotations on each.
const PAGE: u32 = 100;

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
    config = config.page_size(PAGE);
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
    let objects = Objects { reader: reader.clone(), context: Arc::clone(&context) };
    queue::run(changes, listed, concurrency, objects, stop, &context.turns).await;
}

/// The CloudOperations that are known.
struct Objects {
    reader: Store<Guarded>,
    context: Arc<Context>,
}

/// The name of one. It is looked up so often that its hash is kept.
#[derive(Clone)]
struct Name {
    reference: Arc<ObjectRef<Guarded>>,
    hash: u64,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.reference == other.reference
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl queue::Look<Name> for Objects {
    fn is_first(&self, name: &Name) -> bool {
        self.reader.get(&name.reference).is_some_and(|object| is_unseen(&object))
    }

    fn glance(&self, name: &Name) -> Option<Requeue> {
        glance(&*self.reader.get(&name.reference)?, &self.context)
    }

    fn look(&self, name: Name) -> impl Future<Output = Requeue> {
        let object = self.reader.get(&name.reference);
        reconcile(name.reference, object, Arc::clone(&self.context))
    }
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
fn news(event: Result<Event<Guarded>, watcher::Error>, context: &Context) -> Option<Name> {
    match event {
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            if let Ok(operation) = &object.0 {
                context.history().note(operation);
            }
            context.memory.is_news(&object).then(|| {
                let reference = Arc::new(reference(&object));
                Name { hash: context.memory.hash(&reference), reference }
            })
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
