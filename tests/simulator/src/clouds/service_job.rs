//! The jobs of Huawei's compute and storage services, of which the Open Telekom Cloud has the same.
//! <https://support.huaweicloud.com/intl/en-us/api-ecs/ecs_02_0901.html>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CloudApi, Front, Location, Refusal, ScopeShape, Target, Words, gateway};
use crate::{
    http::{Reply, Request},
    life::{Failure, Scope, Task},
    play::{Moment, Span},
    world::World,
};

pub(super) struct Api;

impl CloudApi for Api {
    fn locate(&self, segments: &[&str]) -> Option<Location> {
        match *segments {
            ["v1", project, "jobs", id] => Some(Location::new(Scope::project(project), Some(id))),
            _ => None,
        }
    }

    fn words(&self) -> Words {
        Words { tasks: &["createServer", "attachVolume"], ..Words::plain(["INIT", "RUNNING", "SUCCESS", "FAIL"]) }
    }

    fn scope(&self) -> ScopeShape {
        ScopeShape { owner: Some("project"), cluster: false }
    }

    fn front(&self) -> Front {
        gateway::PROJECT
    }

    fn refuse(&self, refusal: &Refusal, request_id: &str) -> Reply {
        gateway::refuse(refusal, request_id).unwrap_or_else(|| service_error(refusal))
    }

    fn reply(&self, world: &mut World, target: &Target, _: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        let id = target.id.as_deref().ok_or(Refusal::NoSuchPath)?;
        world.show(&target.key(id), now, job)
    }
}

impl Scope {
    /// A project of Huawei Cloud or the Open Telekom Cloud.
    pub fn project(project: impl Into<String>) -> Self {
        Self::new(project, "")
    }
}

/// The services' own body for an error, with codes of the Elastic Cloud Server.
fn service_error(refusal: &Refusal) -> Reply {
    let (status, code, message) = match refusal {
        Refusal::BadRequest(why) => (400, "Ecs.0005", (*why).to_owned()),
        Refusal::Forbidden => (403, "Common.0013", "This operation is not permitted".to_owned()),
        Refusal::Echo(sent) => (403, "Common.0013", format!("This operation is not permitted for {sent}")),
        Refusal::Unknown => (404, "Common.0011", "The job does not exist".to_owned()),
        Refusal::Broken { status } => (*status, "Ecs.0000", "Internal error".to_owned()),
        other => (500, "Ecs.0000", format!("{other:?}")),
    };
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}

fn job(moment: &Moment) -> Value {
    let operation = moment.operation;
    let Span { start, end, .. } = moment.span();
    let mut entities = json!({});
    if !operation.target.id.is_empty() {
        entities["server_id"] = json!(operation.target.id);
    }
    if !moment.stage.tasks.is_empty() {
        entities["sub_jobs_total"] = json!(moment.stage.tasks.len());
        entities["sub_jobs"] = moment.stage.tasks.iter().map(|task| part(moment, task)).collect();
    }
    let failure = moment.stage.error.as_ref();
    json!({
        "status": moment.stage.state,
        "entities": entities,
        "job_id": operation.id,
        "job_type": operation.kind,
        "begin_time": start.map(time),
        "end_time": end.map(time),
        "error_code": failure.map(|Failure { code, .. }| code),
        "fail_reason": failure.map(|Failure { message, .. }| message),
    })
}

fn part(moment: &Moment, task: &Task) -> Value {
    let Span { start, end, .. } = moment.task_span(task);
    let parts: Vec<Value> = task.tasks.iter().map(|task| part(moment, task)).collect();
    json!({
        "status": task.state,
        "entities": if parts.is_empty() { json!({}) } else { json!({"sub_jobs": parts}) },
        "job_id": task.id,
        "job_type": task.kind,
        "begin_time": start.map(time),
        "end_time": end.map(time),
        "error_code": task.reason.as_ref().map(|_| "Ecs.0013"),
        "fail_reason": task.reason,
    })
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
