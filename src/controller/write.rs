//! What a decision leaves behind: the status, Events, a line in the log, and when to look again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};

use super::context::Context;
use super::error::{Error, RETRY};
use super::memory::Tracked;
use super::queue::Requeue;
use super::unannounced::{Change, Unannounced, verdict};
use crate::api::{CloudOperation, CloudOperationStatus};
use crate::clock::Moment;
use crate::decision::{Decision, Memory, Next, Notice, Urgency, ending, is_over, urgency};
use crate::schedule::{after, elapsed};

/// How long the pause after a write that came too late: for the newer object to arrive, and shorter than half of the
/// shortest interval, so that the answer in hand still counts.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How recent an end must be for its Event to be made sure of.
const RECENT: Duration = Duration::from_secs(600);
/// The longest that facts wait for leave to be written.
const HELD_BACK: Duration = Duration::from_secs(10);

/// Carries out `decision`: writes the status once where it differs, announces, and plans what is next.
pub(super) async fn apply(
    operation: &CloudOperation,
    decision: Decision,
    mut tracked: Tracked,
    context: &Context,
    now: Moment,
) -> Result<Requeue, Error> {
    let Decision { status, next, mut notices, memory } = decision;
    let (untold, undone) = (memory.untold(tracked.rare().core), memory.undone(tracked.rare().core));
    if operation.status.as_ref().is_some_and(is_over) && may_be_untold(operation, &status, context, now.wall) {
        notices.extend(ending(&status));
    }
    if operation.status.as_ref() == Some(&status) {
        tracked.rare().core = memory;
        announce_all(operation, notices, &mut tracked, context, now).await?;
        return plan(operation, next, memory, tracked, context, now).await;
    }
    if let Err(later) = admit(operation, &status, &mut tracked, context, now) {
        context.metrics.count_write("held back");
        let later = after(now.wall, later.min(HELD_BACK));
        let next = if let Next::Poll(at) = next { Next::Poll(at.min(later)) } else { next };
        return plan(operation, next, untold, tracked, context, now).await;
    }
    let change = Change::new(operation, status, notices, now.wall);
    match Box::pin(write_status(operation, &change.status, context)).await {
        Ok(()) => {
            context.metrics.count_write("written");
            unannounced(&mut tracked).uncertain.clear();
            tracked.rare().core = memory;
            note(operation, change, &mut tracked, context);
            announce(operation, &mut tracked, context).await?;
            plan(operation, next, memory, tracked, context, now).await
        }
        Err(kube::Error::Api(refusal)) if refusal.code == 404 => {
            context.memory.rest(&operation.metadata);
            Ok(Requeue::Never)
        }
        // Someone else wrote first, or this is an older object of the same name: look again.
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => {
            context.metrics.count_write("conflict");
            tracked.rare().core = undone;
            look_again(operation, tracked, context, now);
            Ok(Requeue::After(LOOK_AGAIN))
        }
        Err(error) => {
            context.metrics.count_write("failed");
            unannounced(&mut tracked).doubt(change);
            tracked.rare().core = undone;
            look_again(operation, tracked, context, now);
            Err(Error::WriteStatus(error))
        }
    }
}

/// Tells what was written at an earlier look, or turns out to have been.
pub(super) async fn announce_what_was_written(
    operation: &CloudOperation,
    tracked: &mut Tracked,
    context: &Context,
) -> Result<(), Error> {
    let Some(unannounced) = &mut tracked.unannounced else { return Ok(()) };
    let is_written = |change: &Change| operation.status.as_ref() == Some(&change.status);
    if let Some(at) = unannounced.uncertain.iter().position(is_written) {
        let change = unannounced.uncertain.swap_remove(at);
        unannounced.uncertain.clear();
        context.metrics.count_write("written");
        note(operation, change, tracked, context);
    }
    announce(operation, tracked, context).await
}

/// Whether the end of `operation`, which stands in its status, may not have been announced: the process may have died
/// between writing and announcing it. What ended long ago is not announced again at each restart.
fn may_be_untold(operation: &CloudOperation, status: &CloudOperationStatus, context: &Context, now: Timestamp) -> bool {
    let ended = status.conditions.iter().find(|c| *c.type_ == *"Finished").map(|c| c.last_transition_time.0);
    // Either way, as a clock may have been set back.
    let is_recent = ended.is_some_and(|ended| elapsed(ended, now).max(elapsed(now, ended)) < RECENT);
    is_recent && !context.memory.is_end_told(operation)
}

/// Leave to write `status`.
///
/// # Errors
/// How long until there is leave.
fn admit(
    operation: &CloudOperation,
    status: &CloudOperationStatus,
    tracked: &mut Tracked,
    context: &Context,
    now: Moment,
) -> Result<(), Duration> {
    let is_urgent = urgency(operation.status.as_ref(), status) == Urgency::AtOnce;
    let account = context.memory.account(operation);
    let admitted = context.pace().admit(account, &mut tracked.writes, is_urgent, now.monotonic);
    admitted.map_err(|later| later.saturating_duration_since(now.monotonic))
}

/// Counts and logs a `change` that was written, and keeps its Events to be sent.
fn note(operation: &CloudOperation, change: Change, tracked: &mut Tracked, context: &Context) {
    log_transition(operation, &change);
    if change.is_end {
        count_end(operation, &change.status, context);
    }
    unannounced(tracked).events.extend(numbered(change.notices, change.at));
}

/// Sends `notices` of what stands in the status already.
async fn announce_all(
    operation: &CloudOperation,
    notices: Vec<Notice>,
    tracked: &mut Tracked,
    context: &Context,
    now: Moment,
) -> Result<(), Error> {
    if notices.is_empty() {
        return Ok(());
    }
    unannounced(tracked).events.extend(numbered(notices, now.wall));
    announce(operation, tracked, context).await
}

/// Sends the Events that are due. Those that the API server did not take stay.
async fn announce(operation: &CloudOperation, tracked: &mut Tracked, context: &Context) -> Result<(), Error> {
    while let Some((notice, at)) = tracked.unannounced.as_ref().and_then(|all| all.events.first()) {
        if let Err(error) = Box::pin(context.announcer.announce(operation, notice, *at)).await {
            context.memory.keep(operation, tracked.clone());
            return Err(Error::WriteEvent(error));
        }
        if notice.is_final {
            context.memory.tell_end(operation);
        }
        unannounced(tracked).events.remove(0);
    }
    tracked.unannounced.take_if(|unannounced| unannounced.is_empty());
    Ok(())
}

fn unannounced(tracked: &mut Tracked) -> &mut Unannounced {
    tracked.unannounced.get_or_insert_default()
}

/// The notices with the time of each, so that readers who sort by time see what happened first.
fn numbered(notices: Vec<Notice>, at: Timestamp) -> impl Iterator<Item = (Notice, Timestamp)> {
    (0..).zip(notices).map(move |(nth, notice)| (notice, after(at, Duration::from_micros(nth))))
}

/// Plans another look at once, for which the answer that could not be written counts as news again.
fn look_again(operation: &CloudOperation, mut tracked: Tracked, context: &Context, now: Moment) {
    (tracked.due, tracked.answered) = (Some(now.monotonic), None);
    context.memory.keep(operation, tracked);
}

/// Plans the next look for the time `at`.
pub(super) fn wait(
    operation: &CloudOperation,
    at: Timestamp,
    now: Moment,
    mut tracked: Tracked,
    context: &Context,
) -> Requeue {
    tracked.due = now.at(at);
    context.memory.keep(operation, tracked);
    Requeue::After(elapsed(now.wall, at))
}

/// What comes next, once everything is written.
async fn plan(
    operation: &CloudOperation,
    next: Next,
    memory: Memory,
    mut tracked: Tracked,
    context: &Context,
    now: Moment,
) -> Result<Requeue, Error> {
    match next {
        Next::Poll(at) => {
            let rare = tracked.rare();
            (rare.core, rare.failures, rare.logged) = (memory, 0, None);
            Ok(wait(operation, at, now, tracked, context))
        }
        Next::Rest => {
            context.memory.rest(&operation.metadata);
            Ok(Requeue::Never)
        }
        Next::Delete(at) if at > now.wall => {
            context.memory.rest(&operation.metadata);
            Ok(Requeue::After(elapsed(now.wall, at)))
        }
        Next::Delete(_) => Box::pin(delete(operation, context)).await,
    }
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

async fn delete(operation: &CloudOperation, context: &Context) -> Result<Requeue, Error> {
    let api: Api<CloudOperation> = Api::namespaced(context.client.clone(), &operation.namespace().unwrap_or_default());
    let only_this = Preconditions { uid: operation.uid(), resource_version: operation.resource_version() };
    match api.delete(&operation.name_any(), &DeleteParams::default().preconditions(only_this)).await {
        Ok(_) => {
            tracing::info!(namespace = operation.namespace(), name = operation.name_any(), "deleted after its TTL");
            Ok(Requeue::Never)
        }
        Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(Requeue::Never),
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(Requeue::After(RETRY)),
        Err(error) => Err(Error::Delete(error)),
    }
}

/// One line for each transition of the verdict; polls that change nothing are silent.
fn log_transition(operation: &CloudOperation, change: &Change) {
    if let Some((reason, message)) = verdict(&change.status)
        && change.from.as_ref() != Some(reason)
    {
        tracing::info!(
            namespace = operation.namespace(),
            name = operation.name_any(),
            from = change.from.as_deref(),
            to = &**reason,
            message = &**message,
            "changed"
        );
    }
}

fn count_end(operation: &CloudOperation, status: &CloudOperationStatus, context: &Context) {
    let times = status.start_time.as_ref().zip(status.completion_time.as_ref());
    let result = verdict(status).map_or("", |(reason, _)| reason);
    let took = times.map(|(start, end)| elapsed(start.0, end.0));
    context.metrics.count_end(context.label(&operation.spec.provider), result, took);
}
