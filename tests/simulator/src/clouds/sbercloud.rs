//! SberCloud Managed OpenShift: a service's tasks.
//! <https://docs.sbercloud.ru/managed-openshift/ug/topics/api/api-ref_task.html>

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CloudApi, Front, Location, Refusal, ScopeShape, Target, Words};
use crate::{
    http::{Reply, Request},
    life::Scope,
    play::Moment,
    world::World,
};

pub(super) struct Api;

impl CloudApi for Api {
    fn locate(&self, segments: &[&str]) -> Option<Location> {
        let (instance, id) = match *segments {
            ["openshift", "v1", instance, "tasks"] => (instance, None),
            ["openshift", "v1", instance, "tasks", id] => (instance, Some(id)),
            _ => return None,
        };
        Some(Location::new(Scope::sbercloud(instance), id))
    }

    fn root(&self) -> Option<&'static str> {
        Some("openshift")
    }

    fn words(&self) -> Words {
        Words::plain(["queued", "running", "done", "failed"])
    }

    fn scope(&self) -> ScopeShape {
        ScopeShape { owner: Some("instance"), cluster: false }
    }

    fn front(&self) -> Front {
        Front::BEARER
    }

    /// The error body of a gRPC gateway, with google.rpc codes. The documentation of this API shows none; the vendor's
    /// newer ones do.
    fn refuse(&self, refusal: &Refusal, _: &str) -> Reply {
        let (status, code, message) = match refusal {
            Refusal::NoSuchPath => (404, 5, "Not Found".to_owned()),
            Refusal::NoSuchMethod => (405, 12, "Method Not Allowed".to_owned()),
            Refusal::BadRequest(why) => (400, 3, (*why).to_owned()),
            Refusal::Unauthenticated | Refusal::ClockSkew => (401, 16, "request is not authenticated".to_owned()),
            Refusal::Forbidden => (403, 7, "permission denied".to_owned()),
            Refusal::Echo(sent) => (403, 7, format!("permission denied for {sent}")),
            Refusal::Unknown => (404, 5, "task not found".to_owned()),
            Refusal::Throttled { status: 503, .. } => (503, 14, "service unavailable".to_owned()),
            Refusal::Throttled { status, .. } => (*status, 8, "rate limit exceeded".to_owned()),
            Refusal::Broken { status: 503 } => (503, 14, "service unavailable".to_owned()),
            Refusal::Broken { status } => (*status, 13, "internal error".to_owned()),
        };
        Reply::json(status, &json!({"code": code, "message": message, "details": []}))
    }

    fn reply(&self, world: &mut World, target: &Target, _: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        if let Some(id) = &target.id {
            return world.show(&target.key(id), now, |moment| json!({"task": task(moment)}));
        }
        let tasks = world.list(target, now, task).join(",");
        let body = format!(r#"{{"tasks":[{tasks}]}}"#);
        Ok(Reply::new(200, "application/json", body))
    }

    /// The reply about one task wraps it in `task`; the list does not.
    fn listed(&self, raw: &str) -> String {
        match serde_json::from_str::<Value>(raw) {
            Ok(Value::Object(mut document)) if document.len() == 1 => {
                document.remove("task").map_or_else(|| raw.to_owned(), |task| task.to_string())
            }
            _ => raw.to_owned(),
        }
    }
}

impl Scope {
    /// A SberCloud service instance (vDC).
    pub fn sbercloud(instance: impl Into<String>) -> Self {
        Self::new(instance, "")
    }
}

fn task(moment: &Moment) -> Value {
    let operation = moment.operation;
    let mut task = json!({
        "id": operation.id,
        "command": operation.kind,
        "serviceInstanceId": operation.scope.owner,
        "createdAt": moment.created.to_string(),
        "createdBy": "d3b5bb8d-1f0e-4c0c-9c58-5b7f2f0a6a11",
        "modifiedAt": moment.updated().to_string(),
        "status": moment.stage.state,
        // google.protobuf.Any as older gRPC gateways write it: its bytes in base64.
        "metadata": {
            "typeUrl": "type.googleapis.com/google.protobuf.StringValue",
            "value": STANDARD.encode(&operation.target.id),
        },
    });
    if let Some(error) = &moment.stage.error {
        // 2 is google.rpc.Code UNKNOWN.
        let code: i64 = error.code.parse().unwrap_or(2);
        task["error"] = json!({"code": code, "message": error.message, "details": []});
    }
    task
}
