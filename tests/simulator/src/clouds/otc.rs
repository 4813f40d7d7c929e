//! Open Telekom Cloud CCE: a project's jobs, by the v3 path and by Job Management v2.
//! <https://docs.otc.t-systems.com/cloud-container-engine/api-ref/apis/cluster_management/reading_job_progress.html>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Refusal, Target, cce, gateway};
use crate::{
    http::Reply,
    life::{Cloud, Failure, Scope, Task},
    play::Moment,
    world::World,
};

pub(super) fn locate(segments: &[&str]) -> Option<Target> {
    let (project, id, v2) = match segments {
        ["api", "v3", "projects", project, "jobs", id] => (project, Some((*id).to_owned()), false),
        ["api", "v2", "projects", project, "jobs", id] => (project, Some((*id).to_owned()), true),
        ["api", "v2", "projects", project, "jobs"] => (project, None, true),
        _ => return None,
    };
    Some(Target { cloud: Cloud::OtcCceJob, scope: Scope::otc(*project), id, v2 })
}

/// Its documentation gives the service's own body for a refused token, unlike Huawei's.
pub(super) fn refuse(refusal: &Refusal, request_id: &str) -> Reply {
    match refusal {
        Refusal::Unauthenticated => cce::service_error(refusal),
        other => cce::refuse(other, request_id),
    }
}

pub(super) fn reply(world: &mut World, target: &Target, now: Timestamp) -> Result<Reply, Refusal> {
    match (&target.id, target.v2) {
        (Some(id), false) => world.show(&target.key(id), now, job_v3),
        (Some(id), true) => world.show(&target.key(id), now, job_v2),
        (None, _) => {
            let jobs = world.list(target, now, job_v2).join(",");
            Ok(Reply::new(200, "application/json", format!("[{jobs}]")))
        }
    }
}

pub(super) fn reason(error: &Failure) -> String {
    if error.code.is_empty() { error.message.clone() } else { format!("{}: {}", error.code, error.message) }
}

/// A job's `spec` has no member for what it can't name.
pub(super) fn named(mut spec: Value) -> Value {
    if let Some(members) = spec.as_object_mut() {
        members.retain(|_, value| value != "");
    }
    spec
}

fn job_v3(moment: &Moment) -> Value {
    let operation = moment.operation;
    let mut job = json!({
        "kind": "Job",
        "apiVersion": "v3",
        "metadata": {
            "uid": operation.id,
            "creationTimestamp": gateway::go_time(moment.created),
            "updateTimestamp": gateway::go_time(moment.updated()),
        },
        "spec": named(json!({
            "type": operation.kind,
            "clusterUID": operation.target.id,
            "resourceID": operation.target.id,
            "resourceName": operation.target.name,
        })),
        "status": {
            "phase": moment.stage.state,
            "reason": moment.stage.error.as_ref().map(reason).unwrap_or_default(),
        },
    });
    if !moment.stage.tasks.is_empty() {
        job["spec"]["subJobs"] = sub_jobs_v3(moment, &moment.stage.tasks);
    }
    job
}

fn sub_jobs_v3(moment: &Moment, tasks: &[Task]) -> Value {
    tasks.iter().map(|task| sub_job_v3(moment, task)).collect()
}

fn sub_job_v3(moment: &Moment, task: &Task) -> Value {
    let mut job = json!({
        "kind": "Job",
        "apiVersion": "v3",
        "metadata": metadata(moment, task),
        "spec": named(json!({"type": task.kind, "clusterUID": moment.operation.target.id})),
    });
    if !task.extend.is_empty() {
        job["spec"]["extendParam"] = json!(task.extend);
    }
    if !task.tasks.is_empty() {
        job["spec"]["subJobs"] = sub_jobs_v3(moment, &task.tasks);
    }
    if let Some(state) = &task.state {
        job["status"] = json!({"phase": state});
        if let Some(reason) = &task.reason {
            job["status"]["reason"] = json!(reason);
        }
    }
    job
}

fn metadata(moment: &Moment, task: &Task) -> Value {
    let changed = moment.task_span(task).changed.unwrap_or(moment.created);
    json!({
        "uid": task.id,
        "creationTimestamp": gateway::go_time(moment.created),
        "updateTimestamp": gateway::go_time(changed),
    })
}

/// v2 writes the members of `spec` in lower case and the state in `status.status`.
fn job_v2(moment: &Moment) -> Value {
    let operation = moment.operation;
    let mut job = json!({
        "kind": "Job",
        "apiVersion": "v2",
        "metadata": {
            "uid": operation.id,
            "creationTimestamp": gateway::go_time(moment.created),
            "updateTimestamp": gateway::go_time(moment.updated()),
        },
        "spec": named(json!({
            "type": operation.kind,
            "clusteruid": operation.target.id,
            "resourceid": operation.target.id,
            "resourcename": operation.target.name,
            "subjobs": sub_jobs_v2(moment, &moment.stage.tasks),
        })),
        "status": {
            "status": moment.stage.state,
            "reason": moment.stage.error.as_ref().map(reason).unwrap_or_default(),
        },
    });
    if let Some(end) = moment.span().end {
        job["status"]["completionTime"] = json!(gateway::go_time(end));
    }
    job
}

fn sub_jobs_v2(moment: &Moment, tasks: &[Task]) -> Value {
    tasks.iter().map(|task| sub_job_v2(moment, task)).collect()
}

fn sub_job_v2(moment: &Moment, task: &Task) -> Value {
    let mut job = json!({
        "kind": "Job",
        "apiVersion": "v2",
        "metadata": metadata(moment, task),
        "spec": named(json!({
            "type": task.kind,
            "clusteruid": moment.operation.target.id,
            "extendparam": task.extend,
            "subjobs": sub_jobs_v2(moment, &task.tasks),
        })),
    });
    if let Some(state) = &task.state {
        job["status"] = json!({"status": state, "reason": task.reason.as_deref().unwrap_or_default()});
        if let Some(end) = moment.task_span(task).end {
            job["status"]["completionTime"] = json!(gateway::go_time(end));
        }
    }
    job
}
