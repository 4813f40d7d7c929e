//! Open Telekom Cloud CCE: a project's jobs, by the v3 path and by Job Management v2.
//! <https://docs.otc.t-systems.com/cloud-container-engine/api-ref/apis/cluster_management/reading_job_progress.html>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CloudApi, Front, Location, Refusal, ScopeShape, Target, Words, cce, gateway};
use crate::{
    http::{Reply, Request},
    life::{Failure, Scope, Task},
    play::Moment,
    world::World,
};

/// The version of Job Management whose paths begin with `/api/v2`, and whose documents differ.
const V2: u8 = 2;

pub(super) struct Api;

impl CloudApi for Api {
    fn locate(&self, segments: &[&str]) -> Option<Location> {
        let (project, id, version) = match *segments {
            ["api", "v3", "projects", project, "jobs", id] => (project, Some(id), 0),
            ["api", "v2", "projects", project, "jobs", id] => (project, Some(id), V2),
            ["api", "v2", "projects", project, "jobs"] => (project, None, V2),
            _ => return None,
        };
        Some(Location { version, ..Location::new(Scope::otc(project), id) })
    }

    fn words(&self) -> Words {
        Words {
            tasks: &["CreatePSMCert", "InstallMaster", "CreateNode"],
            ..Words::plain(["Initializing", "Running", "Success", "Failed"])
        }
    }

    fn scope(&self) -> ScopeShape {
        ScopeShape { owner: Some("project"), cluster: false }
    }

    fn front(&self) -> Front {
        Front { bearer: true, ..gateway::PROJECT }
    }

    /// Its documentation gives the service's own body for a refused token, unlike Huawei's.
    fn refuse(&self, refusal: &Refusal, request_id: &str) -> Reply {
        match refusal {
            Refusal::Unauthenticated => cce::service_error(refusal),
            other => cce::refuse(other, request_id),
        }
    }

    fn reply(&self, world: &mut World, target: &Target, _: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        match &target.id {
            Some(id) if target.version == V2 => world.show(&target.key(id), now, job_v2),
            Some(id) => world.show(&target.key(id), now, job_v3),
            None => {
                let jobs = world.list(target, now, job_v2).join(",");
                Ok(Reply::new(200, "application/json", format!("[{jobs}]")))
            }
        }
    }
}

impl Scope {
    /// An Open Telekom Cloud project.
    pub fn otc(project: impl Into<String>) -> Self {
        Self::new(project, "")
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
