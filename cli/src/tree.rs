//! The parts of an operation, as a tree.

use std::collections::HashSet;

use cloudop::api::{CloudOperation, Phase, SubJobStatus};

use crate::cluster::{Cluster, trouble};
use crate::exit::{Error, Exit};
use crate::verdict::line;

/// Prints the parts of the CloudOperation of that name.
///
/// # Errors
/// The cluster's trouble.
pub async fn tree(cluster: &Cluster, name: &str) -> Result<Exit, Error> {
    let name = name.rsplit('/').next().unwrap_or_default();
    let found = cluster.operations().get_opt(name).await;
    match found.map_err(|error| trouble(&error, "get", &format!("CloudOperation {name}")))? {
        Some(operation) => {
            draw(&operation).iter().for_each(|line| println!("{line}"));
            Ok(Exit::Succeeded)
        }
        None => {
            eprintln!("error: there is no CloudOperation {name} in namespace {}", cluster.namespace);
            Ok(Exit::Unknown)
        }
    }
}

/// A line for the operation and one for each part.
fn draw(operation: &CloudOperation) -> Vec<String> {
    let said = |part: &SubJobStatus| {
        let message = part.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        vec![format!("{} {}{message}", sign(part.phase), part.name)]
    };
    [line(operation)].into_iter().chain(parts(operation, &|_| true, &said)).collect()
}

/// The parts that are `shown`, below their parents, each with what is `said` of it.
pub fn parts(
    operation: &CloudOperation,
    shown: &dyn Fn(&SubJobStatus) -> bool,
    said: &dyn Fn(&SubJobStatus) -> Vec<String>,
) -> Vec<String> {
    let Some(status) = &operation.status else { return Vec::new() };
    let all: Vec<&SubJobStatus> = status.sub_jobs.iter().filter(|part| shown(part)).collect();
    let ids: HashSet<&str> = all.iter().map(|part| part.id.as_str()).collect();
    // One whose parent is not listed stands at the top: the status holds the first parts only.
    let top = |part: &&SubJobStatus| part.parent_id.as_deref().is_none_or(|parent| !ids.contains(parent));
    let tops: Vec<&SubJobStatus> = all.iter().copied().filter(top).collect();
    let mut lines = Vec::new();
    branch(&tops, &all, "", said, &mut lines);
    let more = status.sub_jobs_total.unwrap_or_default() - i64::try_from(status.sub_jobs.len()).unwrap_or_default();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn branch(
    parts: &[&SubJobStatus],
    all: &[&SubJobStatus],
    indent: &str,
    said: &dyn Fn(&SubJobStatus) -> Vec<String>,
    lines: &mut Vec<String>,
) {
    // The status is 64 parts at most, and a part is never its own ancestor: the list has parents before children.
    for (at, part) in parts.iter().enumerate() {
        let is_last = at + 1 == parts.len();
        let (fork, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let forks = [fork].into_iter().chain(std::iter::repeat(below));
        lines.extend(forks.zip(said(part)).map(|(fork, text)| format!("{indent}{fork}{text}")));
        let place = all.iter().position(|other| other.id == part.id).unwrap_or_default();
        let children = all[place..].iter().skip(1).filter(|other| other.parent_id.as_deref() == Some(&part.id));
        let children: Vec<&SubJobStatus> = children.copied().collect();
        branch(&children, all, &format!("{indent}{below}"), said, lines);
    }
}

fn sign(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "·",
        Phase::Running => "…",
        Phase::Blocked => "!",
        Phase::Succeeded => "✔",
        Phase::Failed => "✖",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn operation(parts: &Value, total: i64) -> CloudOperation {
        let condition = json!({"type": "Succeeded", "status": "Unknown", "reason": "Running", "message": "m",
                               "lastTransitionTime": "2026-01-01T00:00:00Z"});
        serde_json::from_value(json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": "job"},
            "spec": {"provider": {"huaweiUcsFederation": {}}, "operationId": "a", "credentialsRef": {"name": "c"}},
            "status": {"phase": "Running", "conditions": [condition], "subJobs": parts, "subJobsTotal": total},
        }))
        .unwrap()
    }

    #[test]
    fn parts_stand_below_their_parents() {
        let parts = json!([
            {"id": "1", "name": "CreateNode", "phase": "Running"},
            {"id": "2", "parentId": "1", "name": "CreateNodeVM", "phase": "Failed", "message": "no room"},
            {"id": "3", "parentId": "2", "name": "Disk", "phase": "Succeeded"},
            {"id": "4", "parentId": "1", "name": "InstallNode", "phase": "Pending"},
            {"id": "5", "parentId": "not listed", "name": "Cert", "phase": "Blocked"},
        ]);
        let expected = [
            "job: Running: m",
            "├─ … CreateNode",
            "│  ├─ ✖ CreateNodeVM: no room",
            "│  │  └─ ✔ Disk",
            "│  └─ · InstallNode",
            "└─ ! Cert",
            "and 2 more",
        ];
        assert_eq!(draw(&operation(&parts, 7)), expected);
    }

    #[test]
    fn parts_that_are_each_others_parents_end() {
        let parts = json!([
            {"id": "1", "parentId": "2", "name": "a", "phase": "Running"},
            {"id": "2", "parentId": "1", "name": "b", "phase": "Running"},
            {"id": "3", "parentId": "3", "name": "c", "phase": "Running"},
        ]);
        assert_eq!(draw(&operation(&parts, 3)), ["job: Running: m"]);
    }
}
