//! The shell around the core: watches objects, asks clouds, writes statuses. The only place that knows both Kubernetes
//! and a cloud, and that reads the clock.

mod changes;
mod context;
mod listing;
mod poll;
mod queue;
mod record;
#[cfg(test)]
mod tests;
mod texts;

use std::future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt};

use changes::Changes;
use context::Followed;
pub use context::{Context, Stage};
use texts::Texts;

use crate::api::CloudOperation;
use crate::decision::{Next, Step, decide, next, resume};
use crate::schedule::{after, elapsed};

/// How long the pause after a Kubernetes API call that failed.
const RETRY: Duration = Duration::from_secs(2);

/// The target of the spans of polls: where nobody subscribes to it, they cost nothing.
pub const POLLS: &str = "cloudop::polls";

type Guarded = DeserializeGuard<CloudOperation>;

/// How long until an object is looked at again, unless it changes before.
type Again = Option<Duration>;

/// A call to the Kubernetes API failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status could not be written.
    #[error("the status could not be written: {0}")]
    WriteStatus(#[source] kube::Error),
    /// The Secret could not be read.
    #[error("the Secret could not be read: {0}")]
    ReadSecret(#[source] Arc<kube::Error>),
    /// The object could not be deleted after its TTL.
    #[error("the object could not be deleted after spec.ttlSecondsAfterFinished: {0}")]
    Delete(#[source] kube::Error),
    /// A defect of ours; the other objects go on.
    #[error("a defect: the reconcile panicked")]
    Panicked,
}

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
    if listing::is_streamed(&api).await {
        config = config.streaming_lists();
    }
    let (reader, writer) = reflector::store();
    context.stores().push(reader.clone());
    let (mut texts, mut changes_seen) = (Texts::default(), Changes::default());
    let events = watcher(api, config).default_backoff().modify(move |object| {
        object.meta_mut().managed_fields = None;
        object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
        if let Ok(operation) = &mut object.0 {
            texts.share(operation);
        }
    });
    let changes = listing::as_changes(events, reader.clone()).reflect(writer).applied_objects();
    let changes = changes.filter_map(move |object| {
        let object = match object {
            Ok(object) => changes_seen.is_new(&object).then(|| reference(&object)),
            Err(error) => {
                tracing::warn!(%error, "CloudOperations cannot be watched: is the definition in crds/ installed, and may the controller list and watch them?");
                None
            }
        };
        future::ready(object)
    });
    let listed = reader.wait_until_ready().map(drop);
    let look = |object: &Arc<ObjectRef<Guarded>>| look(Arc::clone(object), reader.get(object), Arc::clone(&context));
    queue::run(changes, listed, concurrency, look, stop).await;
}

/// The name of `object`, and no more: there are thousands.
fn reference(object: &Guarded) -> Arc<ObjectRef<Guarded>> {
    let mut reference = ObjectRef::new(&object.name_any());
    reference.namespace = object.namespace();
    Arc::new(reference)
}

/// Looks at the object of that `name` once.
async fn look(name: Arc<ObjectRef<Guarded>>, object: Option<Arc<Guarded>>, context: Arc<Context>) -> Again {
    let Some(object) = object else {
        // Deleted: there is no poll left that could be late.
        let (namespace, name) = (name.namespace.clone(), Some(name.name.clone()));
        context.forget(&ObjectMeta { namespace, name, ..ObjectMeta::default() });
        return None;
    };
    let started = Instant::now();
    let result = contain(reconcile(&object, &context)).await;
    context.metrics.count_reconcile(started.elapsed());
    result.unwrap_or_else(|error| {
        tracing::warn!(namespace = name.namespace, name = name.name, %error, "to be tried again");
        let pause = pause_after(&error);
        context.postpone(&object, pause);
        Some(pause)
    })
}

/// Makes a panic in `reconcile` an error of that object: it would end the controller of all.
async fn contain<T>(reconcile: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(reconcile).catch_unwind().await.unwrap_or(Err(Error::Panicked))
}

fn pause_after(error: &Error) -> Duration {
    if matches!(error, Error::Panicked) { Duration::from_secs(60) } else { RETRY }
}

async fn reconcile(object: &Guarded, context: &Context) -> Result<Again, Error> {
    let operation = match &object.0 {
        Ok(operation) => operation,
        Err(invalid) => {
            tracing::warn!(namespace = invalid.metadata.namespace, name = invalid.metadata.name, error = %invalid.error,
                "this CloudOperation cannot be read; was it written for a newer version?");
            context.forget(&invalid.metadata);
            return Ok(None);
        }
    };
    if operation.metadata.deletion_timestamp.is_some() {
        context.forget(&operation.metadata);
        return Ok(None);
    }
    let mut followed = context.recall(operation);
    let (now, came) = (Timestamp::now(), Instant::now());
    let wanted_since = followed.waiting_since.or(followed.due).unwrap_or(came);
    let due = followed.due.map(|due| after(now, due.saturating_duration_since(came)));
    let mut later = None;
    let poll = match next(operation, due, now) {
        Step::Settle => None,
        Step::Wait(at) => return Ok(wait(operation, at, now, followed, context)),
        Step::Resume => {
            let at = resume(operation, context.share(operation), now);
            return Ok(wait(operation, at, now, followed, context));
        }
        Step::Poll => match poll::ask_in_span(operation, &followed, context).await? {
            Ok(poll) => {
                context.count_poll(operation, &poll, came.saturating_duration_since(wanted_since));
                followed.answered = Instant::now().checked_sub(poll.age);
                followed.waiting_since = None;
                Some(poll)
            }
            Err(at) => {
                later = Some(at);
                followed.waiting_since = Some(wanted_since);
                None
            }
        },
    };
    let now = Timestamp::now();
    let mut decision = decide(operation, poll, followed.memory, now);
    if let (Some(later), Next::Poll(at)) = (later, &mut decision.next) {
        *at = later.min(*at);
    }
    record::apply(operation, decision, followed, context, now).await
}

/// Plans the next poll for the time `at`.
fn wait(operation: &CloudOperation, at: Timestamp, now: Timestamp, followed: Followed, context: &Context) -> Again {
    context.plan(operation, at, now, followed);
    Some(elapsed(now, at))
}
