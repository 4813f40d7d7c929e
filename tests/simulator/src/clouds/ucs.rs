//! Huawei UCS: the progress of a fleet's federation job.
//! <https://support.huaweicloud.com/api-ucs/ShowFederationProgress.html>

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    CloudApi, Front, Location, Refusal, ScopeShape, Target, Words,
    cce::micros,
    gateway,
    otc::{named, reason},
};
use crate::{
    http::{Reply, Request},
    life::{Scope, Task},
    play::{Moment, Span},
    world::World,
};

pub(super) struct Api;

impl CloudApi for Api {
    fn locate(&self, segments: &[&str]) -> Option<Location> {
        let ["v1", "clustergroups", fleet, "federations", "progress"] = *segments else {
            return None;
        };
        Some(Location::new(Scope::ucs(), Some(fleet)))
    }

    fn words(&self) -> Words {
        Words {
            tasks: &["CreateNode", "CreateCert", "CreateNetworkResource", "InstallFederationChart"],
            ..Words::plain(["Initializing", "Running", "Success", "Failed"])
        }
    }

    fn scope(&self) -> ScopeShape {
        ScopeShape { owner: None, cluster: false }
    }

    fn front(&self) -> Front {
        gateway::DOMAIN
    }

    /// The fleet.
    fn owner<'a>(&self, target: &'a Target) -> &'a str {
        target.id.as_deref().unwrap_or_default()
    }

    /// Codes: <https://support.huaweicloud.com/intl/en-us/usermanual-ucs/ucs_01_0091.html>
    fn refuse(&self, refusal: &Refusal, request_id: &str) -> Reply {
        let (status, code, message) = match refusal {
            Refusal::Unauthenticated => (401, "UCS.00000018", "Authentication failed.".to_owned()),
            Refusal::Forbidden => (403, "UCS.00000004", "Forbidden.".to_owned()),
            Refusal::Echo(sent) => (403, "UCS.00000004", format!("Forbidden for {sent}.")),
            Refusal::Unknown => (404, "UCS.00000013", "The requested resource does not exist.".to_owned()),
            Refusal::BadRequest(why) => (400, "UCS.00000011", (*why).to_owned()),
            Refusal::Broken { status } => (*status, "UCS.00000006", "Internal error.".to_owned()),
            other => match gateway::refuse(other, request_id) {
                Some(reply) => return reply,
                None => (500, "UCS.00000006", format!("{other:?}")),
            },
        };
        Reply::json(status, &json!({"error_code": code, "error_msg": message}))
    }

    fn reply(&self, world: &mut World, target: &Target, _: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        world.show(&target.key(target.owner()), now, federation)
    }
}

impl Scope {
    /// Huawei UCS: the operation's ID is the fleet's, and nothing else stands in the path.
    pub fn ucs() -> Self {
        Self::default()
    }
}

fn federation(moment: &Moment) -> Value {
    let operation = moment.operation;
    let target = &operation.target;
    let mut job = json!({
        "kind": "Job",
        // The documentation says v1, its example shows v3.
        "apiVersion": "v3",
        "metadata": {
            "uid": operation.job_uid,
            "creationTimestamp": gateway::go_time(micros(moment.created)),
            "updateTimestamp": gateway::go_time(micros(moment.updated())),
        },
        "spec": named(json!({
            "type": operation.kind,
            "federationUID": target.id,
            "resourceID": target.id,
            "resourceName": target.name,
        })),
        "status": status(Some(&moment.stage.state), moment.span()),
    });
    if let Some(error) = &moment.stage.error {
        job["status"]["reason"] = json!(reason(error));
    }
    add_sub_jobs(&mut job, moment, &moment.stage.tasks);
    job
}

fn sub_job(moment: &Moment, task: &Task) -> Value {
    let span = moment.task_span(task);
    let mut job = json!({
        "kind": "Job",
        "apiVersion": "v3",
        "metadata": {
            "uid": task.id,
            "creationTimestamp": gateway::go_time(micros(moment.created)),
            "updateTimestamp": gateway::go_time(micros(span.changed.unwrap_or(moment.created))),
        },
        "spec": named(json!({"type": task.kind, "federationUID": moment.operation.target.id})),
    });
    if !task.extend.is_empty() {
        job["spec"]["extendParam"] = json!(task.extend);
    }
    if let Some(state) = &task.state {
        job["status"] = status(Some(state), span);
        if let Some(reason) = &task.reason {
            job["status"]["reason"] = json!(reason);
        }
    }
    add_sub_jobs(&mut job, moment, &task.tasks);
    job
}

fn add_sub_jobs(job: &mut Value, moment: &Moment, tasks: &[Task]) {
    if !tasks.is_empty() {
        job["spec"]["subJobs"] = tasks.iter().map(|task| sub_job(moment, task)).collect();
    }
}

fn status(state: Option<&str>, span: Span) -> Value {
    let mut status = json!({"phase": state});
    if let Some(start) = span.start {
        status["startTime"] = json!(gateway::go_time(micros(start)));
    }
    if let Some(end) = span.end {
        status["completionTime"] = json!(gateway::go_time(micros(end)));
    }
    status
}
