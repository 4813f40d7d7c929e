//! Huawei Cloud CCE: a cluster's upgrade workflows.
//! <https://support.huaweicloud.com/api-cce/ShowUpgradeWorkFlow.html>

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{CloudApi, Front, Location, Refusal, ScopeShape, Target, Words, gateway};
use crate::{
    http::{Reply, Request},
    life::{Scope, Task},
    play::Moment,
    world::World,
};

pub(super) struct Api;

impl CloudApi for Api {
    fn locate(&self, segments: &[&str]) -> Option<Location> {
        let (project, cluster, id) = match *segments {
            ["api", "v3", "projects", project, "clusters", cluster, "operation", "upgradeworkflows"] => {
                (project, cluster, None)
            }
            ["api", "v3", "projects", project, "clusters", cluster, "operation", "upgradeworkflows", id] => {
                (project, cluster, Some(id))
            }
            _ => return None,
        };
        Some(Location::new(Scope::cce(project, cluster), id))
    }

    fn words(&self) -> Words {
        Words {
            parked: "Pending",
            tasks: &["PreCheck", "Snapshot", "Cluster", "PostCheck"],
            task_failed: "Failed",
            ..Words::plain(["Init", "Running", "Success", "Cancel"])
        }
    }

    fn scope(&self) -> ScopeShape {
        ScopeShape { owner: Some("project"), cluster: true }
    }

    fn front(&self) -> Front {
        gateway::PROJECT
    }

    fn refuse(&self, refusal: &Refusal, request_id: &str) -> Reply {
        refuse(refusal, request_id)
    }

    fn reply(&self, world: &mut World, target: &Target, _: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        if let Some(id) = &target.id {
            return world.show(&target.key(id), now, workflow);
        }
        let items = world.list(target, now, workflow).join(",");
        let body = format!(r#"{{"kind":"List","apiVersion":"v3","items":[{items}]}}"#);
        Ok(Reply::new(200, "application/json", body))
    }
}

impl Scope {
    /// A CCE cluster in a Huawei Cloud project.
    pub fn cce(project: impl Into<String>, cluster: impl Into<String>) -> Self {
        Self::new(project, cluster)
    }
}

/// The gateway's refusals, and the service's where the gateway has none.
pub(super) fn refuse(refusal: &Refusal, request_id: &str) -> Reply {
    gateway::refuse(refusal, request_id).unwrap_or_else(|| service_error(refusal))
}

/// The container engine's error body and codes, which the Open Telekom Cloud shares.
/// <https://support.huaweicloud.com/api-cce/ErrorCode.html>
pub(super) fn service_error(refusal: &Refusal) -> Reply {
    let (status, code, message) = match refusal {
        Refusal::BadRequest(why) => (400, "CCE.01400001", (*why).to_owned()),
        Refusal::Unauthenticated => (401, "CCE.01401001", "Authorization failed.".to_owned()),
        Refusal::Forbidden => (403, "CCE.01403001", "Forbidden.".to_owned()),
        Refusal::Echo(sent) => (403, "CCE.01403001", format!("Forbidden for {sent}.")),
        Refusal::Unknown => (404, "CCE.01404001", "Resource not found.".to_owned()),
        Refusal::Broken { status } => (*status, "CCE.01500001", "Internal error.".to_owned()),
        other => (500, "CCE.01500001", format!("{other:?}")),
    };
    Reply::json(status, &json!({"errorCode": code, "errorMessage": message}))
}

fn workflow(moment: &Moment) -> Value {
    let operation = moment.operation;
    let points: Vec<_> = moment.stage.tasks.iter().map(|task| point(moment, task)).collect();
    json!({
        "kind": "WorkFlowTask",
        "apiVersion": "v3",
        "metadata": {
            "uid": operation.id,
            "creationTimestamp": gateway::go_time(micros(moment.created)),
            "updateTimestamp": gateway::go_time(micros(moment.updated())),
        },
        "spec": {
            "clusterID": operation.scope.cluster,
            "clusterVersion": "v1.17.17-r0",
            "targetVersion": "v1.19.16-r80",
        },
        "status": {
            "phase": moment.stage.state,
            "pointStatuses": points,
            "lineStatuses": lines(&moment.stage.tasks),
        },
    })
}

/// One point of the flow; one that has not started shows its type alone.
fn point(moment: &Moment, task: &Task) -> Value {
    let mut point = json!({"taskType": task.kind});
    if let Some(state) = &task.state {
        point["taskID"] = json!(task.id);
        point["status"] = json!(state);
        let span = moment.task_span(task);
        if let Some(start) = span.start {
            point["startTimeStamp"] = json!(gateway::go_time(micros(start)));
        }
        if let Some(end) = span.end {
            point["endTimeStamp"] = json!(gateway::go_time(micros(end)));
            if task.kind == "PreCheck" {
                // The example's check expires an hour after its end.
                let expiry = micros(end.checked_add(SignedDuration::from_hours(1)).unwrap_or(end));
                point["expireTimeStamp"] = json!(gateway::go_time(expiry));
            }
        }
    }
    point
}

/// The flow's route: from each point to the next. The optional snapshot lies beside it.
fn lines(tasks: &[Task]) -> Vec<Value> {
    let kinds: Vec<_> = tasks.iter().map(|task| task.kind.as_str()).filter(|kind| *kind != "Snapshot").collect();
    kinds
        .windows(2)
        .map(|pair| json!({"startPoint": {"taskType": pair[0]}, "endPoint": {"taskType": pair[1]}}))
        .collect()
}

/// Times of this service have six digits at most.
pub(super) fn micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
