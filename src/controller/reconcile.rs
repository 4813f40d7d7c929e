//! One look at one object: what to do now, and when to look again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

use super::context::Context;
use super::error::Error;
use super::memory::{Guarded, Tracked};
use super::poll::{self, LOOK_AT_SECRET, Polled};
use super::queue::Requeue;
use super::write;
use crate::api::CloudOperation;
use crate::clock::{self, Moment};
use crate::decision::{Decision, Next, Poll, Step, Subject, decide, next, resume};
use crate::schedule::after;
use crate::upstream::Later;

/// After how long a request of somebody else is no longer waited for.
const LONGEST_REQUEST: Duration = Duration::from_secs(120);

/// What is next for `object` where its poll is due and the request that it joined last is under way, as most of those in
/// one list find it.
pub(super) fn glance(object: &Guarded, context: &Context) -> Option<Requeue> {
    let operation = object.0.as_ref().ok().filter(|operation| operation.metadata.deletion_timestamp.is_none())?;
    let now = Moment::now();
    context.memory.change(operation, |tracked| {
        let due = tracked.due.filter(|due| *due <= now.monotonic && tracked.unannounced.is_none())?;
        let under_way = context.upstream.under_way(tracked.joins.as_ref()?)?;
        let is_due = next(operation, Some(now.time_at(due)), now.wall) == Step::Poll;
        is_due.then(|| {
            tracked.join(now);
            Requeue::WhenOver { landing: under_way.landing, at_latest: LONGEST_REQUEST }
        })
    })?
}

/// Looks at the object of that `name` once.
pub(super) async fn reconcile(
    name: Arc<ObjectRef<Guarded>>,
    object: Option<Arc<Guarded>>,
    context: Arc<Context>,
) -> Requeue {
    let Some(object) = object else {
        context.memory.forget(&name);
        return Requeue::Never;
    };
    let started = clock::monotonic();
    let result = contain(step(&object, &context)).await;
    context.metrics.count_reconcile(clock::monotonic().saturating_duration_since(started));
    match result {
        Ok(requeue) => requeue,
        Err(error) => Requeue::After(back_off(&name, &object, &error, &context)),
    }
}

/// Makes a panic in `reconcile` an error of that object: it would end the controller of all.
pub(super) async fn contain<T>(reconcile: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(reconcile).catch_unwind().await.unwrap_or(Err(Error::Panicked))
}

/// How long to wait after `error`: longer each time in a row. It is logged when it is another than the last.
fn back_off(name: &ObjectRef<Guarded>, object: &Guarded, error: &Error, context: &Context) -> Duration {
    let said = context.memory.hash(&error.to_string());
    let (pause, is_new) = context.memory.update(object, |tracked| {
        tracked.rare().failures = tracked.rare().failures.saturating_add(1);
        let pause = error.backoff(tracked.rare().failures);
        tracked.due = clock::monotonic().checked_add(pause);
        (pause, tracked.rare().logged.replace(said) != Some(said))
    });
    if is_new {
        tracing::warn!(namespace = name.namespace, name = name.name, %error, "trying again, ever more seldom");
    }
    pause
}

async fn step(object: &Guarded, context: &Context) -> Result<Requeue, Error> {
    let operation = match &object.0 {
        Ok(operation) => operation,
        Err(invalid) => {
            tracing::warn!(namespace = invalid.metadata.namespace, name = invalid.metadata.name, error = %invalid.error,
                "this CloudOperation cannot be read; was it written for a newer version?");
            context.memory.rest(&invalid.metadata);
            return Ok(Requeue::Never);
        }
    };
    if operation.metadata.deletion_timestamp.is_some() {
        context.memory.rest(&operation.metadata);
        return Ok(Requeue::Never);
    }
    let mut tracked = context.memory.recall(operation);
    write::announce_what_was_written(operation, &mut tracked, context).await?;
    let now = Moment::now();
    let due = tracked.due.map(|due| now.time_at(due));
    let polled = match next(operation, due, now.wall) {
        Step::Settle => None,
        Step::Wait(at) => return Ok(write::wait(operation, at, now, tracked, context)),
        Step::Resume => {
            let typical = context.history().typical(operation);
            let at = resume(operation, typical, context.memory.spread(operation), now.wall);
            return Ok(write::wait(operation, at, now, tracked, context));
        }
        Step::Poll => Some(poll::ask_in_span(operation, &mut tracked, now, context).await?),
    };
    let now = Moment::now();
    match polled {
        None => {
            let decision = decide_about(operation, None, &mut tracked, now, context);
            write::apply(operation, decision, tracked, context, now).await
        }
        Some(Polled::Answered(poll)) => {
            let mut decision = decide_about(operation, Some(poll), &mut tracked, now, context);
            look_at_secret(&mut decision, &mut tracked, now);
            write::apply(operation, decision, tracked, context, now).await
        }
        Some(Polled::Later(later)) => put_off(operation, later, tracked, context, now).await,
    }
}

/// What the core makes of `poll`.
fn decide_about(
    operation: &CloudOperation,
    poll: Option<Poll>,
    tracked: &mut Tracked,
    now: Moment,
    context: &Context,
) -> Decision {
    let cloud = context.profiles.cloud(&operation.spec.provider);
    let typical = context.history().typical(operation);
    decide(Subject { operation, cloud: &cloud, typical }, poll, tracked.rare().core, now.wall)
}

/// Plans the look at which a poll that could not be made is.
async fn put_off(
    operation: &CloudOperation,
    later: Later,
    mut tracked: Tracked,
    context: &Context,
    now: Moment,
) -> Result<Requeue, Error> {
    let (landing, at_latest) = match later {
        Later::At(at) => return come_again(operation, at, tracked, context, now).await,
        Later::WhenCalled(landing, at_latest) => {
            let requeue = come_again(operation, at_latest, tracked, context, now).await?;
            let Requeue::After(at_latest) = requeue else { return Ok(requeue) };
            tracked = context.memory.recall(operation);
            (Some(landing), at_latest)
        }
        Later::WhenOver(under_way) => {
            tracked.join(now);
            tracked.joins = Some(under_way.key);
            (Some(under_way.landing), LONGEST_REQUEST)
        }
        Later::AfterTheOthers => {
            tracked.want(now);
            (None, Duration::ZERO)
        }
    };
    tracked.due = Some(now.monotonic);
    context.memory.keep(operation, tracked);
    Ok(match landing {
        Some(landing) => Requeue::WhenOver { landing, at_latest },
        None => Requeue::After(at_latest),
    })
}

/// Has the cloud asked `at` that time, or looks again before if a deadline says so.
async fn come_again(
    operation: &CloudOperation,
    at: Instant,
    mut tracked: Tracked,
    context: &Context,
    now: Moment,
) -> Result<Requeue, Error> {
    let mut decision = decide_about(operation, None, &mut tracked, now, context);
    bound(&mut decision, now.time_at(at));
    write::apply(operation, decision, tracked, context, now).await
}

/// Makes the next poll of `decision` one at `at`, unless a deadline comes before.
fn bound(decision: &mut Decision, at: Timestamp) {
    if let Next::Poll(next) = &mut decision.next {
        *next = at.min(*next);
    }
}

/// While a Secret is at fault, has it looked at before the cloud is asked again.
fn look_at_secret(decision: &mut Decision, tracked: &mut Tracked, now: Moment) {
    if decision.status.configuration_fault_since.is_none() {
        tracked.rare().faulty = None;
    }
    if let (Next::Poll(at), Some(faulty)) = (&decision.next, &mut tracked.rare().faulty) {
        faulty.ask_at = now.at(*at).unwrap_or(now.monotonic);
        bound(decision, after(now.wall, LOOK_AT_SECRET));
    }
}
