//! The shell around the core: watches objects, asks clouds, writes statuses. The only place that knows both Kubernetes
//! and a cloud, and that reads the clock.

mod changes;
mod context;
mod listing;
mod queue;
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
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tracing::Instrument;

use changes::Changes;
use context::Followed;
pub use context::{Context, Stage};
use texts::Texts;

use crate::api::{CloudOperation, CloudOperationStatus};
use crate::credentials::Freshness;
use crate::decision::{Decision, Next, Poll, Step, decide, ending, has_request, is_over, next, resume};
use crate::schedule::{after, elapsed, poll_interval};
use crate::upstream::{Outcome, Question};

/// How long the pause after a Kubernetes API call that failed.
const RETRY: Duration = Duration::from_secs(2);
/// How long the pause after a write that came too late: for the newer object to arrive, and shorter than half of the
/// shortest interval, so that the answer in hand still counts.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

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
        Step::Poll => match ask_in_span(operation, &followed, context).await? {
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
    apply(operation, decision, followed, context, now).await
}

/// As [`ask`], in a span that tells how it went in words that are ours.
async fn ask_in_span(
    operation: &CloudOperation,
    followed: &Followed,
    context: &Context,
) -> Result<Result<Poll, Timestamp>, Error> {
    let provider = operation.spec.provider.name();
    let span = tracing::info_span!(target: POLLS, "poll", provider, outcome = tracing::field::Empty);
    let asked = ask(operation, followed, context).instrument(span.clone()).await;
    let outcome = match &asked {
        Ok(Ok(poll)) => poll.result.as_ref().map_or_else(|failure| failure.kind.reason(), |_| "PollSucceeded"),
        Ok(Err(_)) => "Later",
        Err(_) => "KubernetesFailed",
    };
    span.record("outcome", outcome);
    asked
}

/// Asks the cloud; `Err` is when a request may be made, where none may be now.
async fn ask(
    operation: &CloudOperation,
    followed: &Followed,
    context: &Context,
) -> Result<Result<Poll, Timestamp>, Error> {
    let now = Timestamp::now();
    let unwritten = CloudOperationStatus::default();
    let status = operation.status.as_ref().unwrap_or(&unwritten);
    let uid = operation.metadata.uid.as_deref().unwrap_or_default();
    let is_edited = status.tracking_start_time.is_some() && status.observed_generation != operation.metadata.generation;
    let is_wanted_now = is_edited || has_request(operation);
    let interval = match is_wanted_now {
        true => Duration::ZERO,
        // Never the answer this object had last: an interval may have grown meanwhile.
        false => {
            let since = followed.answered.map(|answered| answered.elapsed());
            poll_interval(operation, status, uid, now).min(since.unwrap_or(Duration::MAX))
        }
    };
    let is_first = status.tracking_start_time.is_none();
    let namespace = operation.metadata.namespace.as_deref().unwrap_or_default();
    let name = &operation.spec.credentials_ref.name;
    let provider = &operation.spec.provider;
    let mut freshness = if is_wanted_now { Freshness::Now } else { Freshness::Minute };
    let mut refused: Option<(Arc<str>, Poll)> = None;
    loop {
        let loaded = context.secrets.load(namespace, name, provider, freshness).await.map_err(Error::ReadSecret)?;
        let account = match loaded {
            Ok(account) => account,
            Err(failure) => return Ok(Ok(Poll { result: Err(failure), age: Duration::ZERO })),
        };
        if let Some((_, poll)) = refused.take_if(|(refused, _)| *refused == account.name) {
            return Ok(Ok(poll));
        }
        let operation_id = &operation.spec.operation_id;
        let question = Question { provider, operation_id, asker: uid, is_first, interval };
        match context.upstream.observe(question, &account).await {
            Outcome::Later(at) => {
                let wait = at.saturating_duration_since(tokio::time::Instant::now());
                return Ok(Err(after(Timestamp::now(), wait)));
            }
            Outcome::Answered { result, at, .. } => {
                let is_refused = matches!(&result, Err(failure) if failure.kind.is_configuration());
                let poll = Poll { result, age: at.elapsed() };
                if !is_refused || freshness != Freshness::Minute {
                    return Ok(Ok(poll));
                }
                // The Secret may have been renewed since it was read.
                freshness = Freshness::AfterRefusal;
                refused = Some((Arc::clone(&account.name), poll));
            }
        }
    }
}

/// Carries out `decision`: writes the status once where it differs, announces, and plans what is next.
async fn apply(
    operation: &CloudOperation,
    decision: Decision,
    mut followed: Followed,
    context: &Context,
    now: Timestamp,
) -> Result<Again, Error> {
    let Decision { status, next, mut notices, memory } = decision;
    if operation.status.as_ref() != Some(&status) {
        match Box::pin(write_status(operation, &status, context)).await {
            Ok(()) => {
                context.metrics.count_write("written");
                log_transition(operation, &status);
                if is_over(&status) && !operation.status.as_ref().is_some_and(is_over) {
                    context.count_end(operation, &status);
                }
            }
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => {
                context.forget(&operation.metadata);
                return Ok(None);
            }
            // Someone else wrote first, or this is an older object of the same name: look again.
            Err(kube::Error::Api(refusal)) if refusal.code == 409 => {
                context.metrics.count_write("conflict");
                context.retry(operation, memory);
                return Ok(Some(LOOK_AGAIN));
            }
            Err(error) => {
                context.metrics.count_write("failed");
                context.retry(operation, memory);
                return Err(Error::WriteStatus(error));
            }
        }
    } else if is_over(&status) && context.may_have_missed_the_end(&status, now) {
        notices.extend(ending(&status));
    }
    for (nth, notice) in (0..).zip(&notices) {
        // So that readers who sort by time see what happened first.
        let at = after(now, Duration::from_micros(nth));
        Box::pin(context.announcer.announce(operation, notice, at)).await;
    }
    match next {
        Next::Poll(at) => {
            followed.memory = memory;
            Ok(wait(operation, at, now, followed, context))
        }
        Next::Rest => {
            context.forget(&operation.metadata);
            Ok(None)
        }
        Next::Delete(at) if at > now => {
            context.forget(&operation.metadata);
            Ok(Some(elapsed(now, at)))
        }
        Next::Delete(_) => Box::pin(delete(operation, context)).await,
    }
}

/// Plans the next poll for the time `at`.
fn wait(operation: &CloudOperation, at: Timestamp, now: Timestamp, followed: Followed, context: &Context) -> Again {
    context.plan(operation, at, now, followed);
    Some(elapsed(now, at))
}

/// Replaces the status, provided that the object is still the one that was read.
async fn write_status(
    operation: &CloudOperation,
    status: &CloudOperationStatus,
    context: &Context,
) -> Result<(), kube::Error> {
    let name = operation.name_any();
    let namespace = operation.namespace().unwrap_or_default();
    let replacement = CloudOperation {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace.clone()),
            uid: operation.uid(),
            resource_version: operation.resource_version(),
            ..ObjectMeta::default()
        },
        spec: operation.spec.clone(),
        status: Some(status.clone()),
    };
    let api: Api<CloudOperation> = Api::namespaced(context.client.clone(), &namespace);
    api.replace_status(&name, &PostParams::default(), &replacement).await.map(|_| ())
}

async fn delete(operation: &CloudOperation, context: &Context) -> Result<Again, Error> {
    let api: Api<CloudOperation> = Api::namespaced(context.client.clone(), &operation.namespace().unwrap_or_default());
    let only_this = Preconditions { uid: operation.uid(), resource_version: operation.resource_version() };
    match api.delete(&operation.name_any(), &DeleteParams::default().preconditions(only_this)).await {
        Ok(_) => {
            tracing::info!(namespace = operation.namespace(), name = operation.name_any(), "deleted after its TTL");
            Ok(None)
        }
        Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(None),
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(Some(RETRY)),
        Err(error) => Err(Error::Delete(error)),
    }
}

/// One line for each transition of the verdict; polls that change nothing are silent.
fn log_transition(operation: &CloudOperation, status: &CloudOperationStatus) {
    let verdict = |status: &CloudOperationStatus| {
        status.conditions.iter().find(|c| *c.type_ == *"Succeeded").map(|c| (c.reason.clone(), c.message.clone()))
    };
    let before = operation.status.as_ref().and_then(verdict).map(|(reason, _)| reason);
    if let Some((reason, message)) = verdict(status)
        && before.as_ref() != Some(&reason)
    {
        tracing::info!(
            namespace = operation.namespace(),
            name = operation.name_any(),
            from = before.as_deref(),
            to = &*reason,
            message = &*message,
            "changed"
        );
    }
}
