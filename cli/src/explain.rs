//! One CloudOperation, in words.

use cloudop::api::CloudOperation;
use jiff::Timestamp;
use kube::ResourceExt;

use crate::cluster::{Cluster, trouble};
use crate::exit::{Error, Exit};
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
    for line in describe(&operation, &cluster.namespace, Timestamp::now()) {
        println!("{line}");
    }
    Ok(match verdict(&operation) {
        Verdict::Over(exit) => exit,
        Verdict::Stalled => Exit::NeedsPerson,
        Verdict::GoesOn => Exit::Succeeded,
    })
}

/// The lines of it.
fn describe(operation: &CloudOperation, namespace: &str, now: Timestamp) -> Vec<String> {
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
        let what = match (&*succeeded.status, verdict(operation)) {
            ("True", _) => "It succeeded",
            ("False", _) => "It is over, and did not succeed",
            (_, Verdict::Stalled) => "It needs a person",
            _ => "It goes on",
        };
        let since = since(if &*succeeded.status == "Unknown" && verdict(operation) == Verdict::Stalled {
            "Stalled"
        } else {
            "Succeeded"
        });
        lines.push(format!(
            "{what}, since {}: {}.",
            since.unwrap_or_default(),
            succeeded.message.trim_end_matches('.')
        ));
    }
    lines.extend(cause(operation).into_iter().map(|fact| format!("  {fact}")));
    if let Some(reachable) = condition(status, "UpstreamReachable").filter(|reachable| *reachable.status == *"False") {
        let since = since("UpstreamReachable").unwrap_or_default();
        lines.push(format!("It cannot be seen since {since} ({}).", reachable.reason));
    }
    if let Some(progress) = &status.last_progress_time {
        lines.push(format!("The cloud last showed a change {} ago.", ago(progress.0, now)));
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

/// How long ago, as people say it: its two largest units.
fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds;
    let parts: Vec<String> = units
        .into_iter()
        .filter_map(|(size, unit)| {
            let count = left / size;
            left %= size;
            (count > 0).then(|| format!("{count}{unit}"))
        })
        .take(2)
        .collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0, "0s")]
    #[case(59, "59s")]
    #[case(61, "1m 1s")]
    #[case(3600, "1h")]
    #[case(90_061, "1d 1h")]
    #[case(-5, "0s")]
    fn a_span_has_two_units(#[case] seconds: i64, #[case] said: &str) {
        let then = Timestamp::UNIX_EPOCH;
        assert_eq!(ago(then, then + jiff::SignedDuration::from_secs(seconds)), said);
    }
}
