//! One CloudOperation, in words.

use std::time::Duration;

use cloudop::api::{CloudOperation, CloudOperationStatus};
use cloudop::history::{History, Typical};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::cluster::{Cluster, trouble};
use crate::exit::{Error, Exit};
use crate::frame::since;
use crate::screen::short;
use crate::verdict::{Verdict, cause, condition, next_step, verdict};

/// Explains the CloudOperation of that name. The exit code is that of waiting for it no longer.
///
/// # Errors
/// The cluster's trouble.
pub async fn explain(cluster: &Cluster, name: &str) -> Result<Exit, Error> {
    let name = name.rsplit('/').next().unwrap_or_default();
    let found = cluster.operations().get_opt(name).await;
    let Some(operation) = found.map_err(|error| trouble(&error, "get", &format!("CloudOperation {name}")))? else {
        println!("There is no CloudOperation {name} in namespace {}.", cluster.namespace);
        return Ok(Exit::Unknown);
    };
    // Whoever may not list is told the rest.
    let others = cluster.operations().list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
    let mut history = History::default();
    others.iter().for_each(|other| history.note(other));
    for line in describe(&operation, history.typical(&operation), &cluster.namespace, Timestamp::now()) {
        println!("{line}");
    }
    Ok(match verdict(&operation) {
        Verdict::Over(exit) => exit,
        Verdict::Stalled => Exit::NeedsPerson,
        Verdict::GoesOn => Exit::Succeeded,
    })
}

/// The lines of it.
fn describe(operation: &CloudOperation, typical: Option<Typical>, namespace: &str, now: Timestamp) -> Vec<String> {
    let name = operation.name_any();
    let id = &operation.spec.operation_id;
    let provider = operation.spec.provider.name();
    let mut lines = vec![format!("CloudOperation {name} follows {id} ({provider}).")];
    let Some(status) = operation.status.as_ref().filter(|status| status.tracking_start_time.is_some()) else {
        lines.push("The controller has not looked at it yet: is it running, and does it watch this namespace?".into());
        lines.push("  kubectl get deployment --all-namespaces --selector app.kubernetes.io/name=cloudop".into());
        return lines;
    };
    let since = |kind: &str| condition(status, kind).map(|condition| ago(condition.last_transition_time.0, now));
    if let Some(succeeded) = condition(status, "Succeeded") {
        let kind = if verdict(operation) == Verdict::Stalled && &*succeeded.status == "Unknown" {
            "Stalled"
        } else {
            "Succeeded"
        };
        let since = since(kind).unwrap_or_default();
        let what = match (&*succeeded.status, kind) {
            ("True", _) => format!("It succeeded {since} ago"),
            ("False", _) => format!("It ended {since} ago, and did not succeed"),
            (_, "Stalled") => format!("It needs a person, for {since}"),
            _ => format!("It goes on, so for {since}"),
        };
        lines.push(format!("{what}: {}.", succeeded.message.trim_end_matches('.')));
    }
    lines.extend(cause(operation).into_iter().map(|fact| format!("  {fact}")));
    if let Some(reachable) = condition(status, "UpstreamReachable").filter(|reachable| *reachable.status == *"False") {
        let since = since("UpstreamReachable").unwrap_or_default();
        lines.push(format!("It has not been seen for {since} ({}).", reachable.reason));
    }
    if let Some(progress) = &status.last_progress_time {
        lines.push(format!("The cloud last showed a change {} ago.", ago(progress.0, now)));
    }
    if !matches!(verdict(operation), Verdict::Over(_)) {
        lines.extend(expect(status, typical, now));
    }
    if let Some(next) = next_step(operation) {
        lines.push(format!("Next: {next}."));
    }
    if !matches!(verdict(operation), Verdict::Over(_)) {
        lines.push("To have it looked at now:".into());
        lines.push(format!("  kubectl cloudop poll {name} --namespace {namespace}"));
    }
    lines
}

/// When it may be over, and how long such operations take.
fn expect(status: &CloudOperationStatus, typical: Option<Typical>, now: Timestamp) -> Option<String> {
    let end = status.progress.as_ref().and_then(|progress| progress.estimated_completion_time.as_ref());
    let end = end.map(|end| match since(now, end.0) {
        Duration::ZERO => format!("It was expected to be over {} ago", ago(end.0, now)),
        left => format!("It may be over in {}", short(left)),
    });
    let typical =
        typical.map(|typical| format!("typically {}, of {} like it here", short(typical.median), typical.runs));
    match (end, typical) {
        (Some(end), Some(typical)) => Some(format!("{end} ({typical}).")),
        (Some(said), None) => Some(format!("{said}.")),
        (None, Some(typical)) => Some(format!("It takes {typical}.")),
        (None, None) => None,
    }
}

fn ago(then: Timestamp, now: Timestamp) -> String {
    short(since(then, now))
}
