//! What a decision leaves behind: the status, Events, a line in the log, and when to look again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};

use super::context::{Context, Followed};
use super::{Again, Error, RETRY, wait};
use crate::api::{CloudOperation, CloudOperationStatus};
use crate::decision::{Decision, Next, ending, is_over};
use crate::schedule::{after, elapsed};

/// How long the pause after a write that came too late: for the newer object to arrive, and shorter than half of the
/// shortest interval, so that the answer in hand still counts.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Carries out `decision`: writes the status once where it differs, announces, and plans what is next.
pub(super) async fn apply(
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
