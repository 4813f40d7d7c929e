//! What users read.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;

/// How the operation stands. Written only when a fact changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudOperationStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The member of spec.provider in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Arc<str>>,
    /// A summary of the conditions for people; programs read the conditions.
    #[serde(default)]
    pub phase: Phase,
    /// The cloud's own word for the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_state: Option<Arc<str>>,
    /// The cloud's own ID of the run that is followed, where spec.operationId names something that outlives a run.
    #[serde(rename = "upstreamUID", default, skip_serializing_if = "Option::is_none")]
    pub upstream_uid: Option<String>,
    /// What the cloud calls this kind of operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_type: Option<Arc<str>>,
    /// The resource the operation works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Box<TargetStatus>>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Box<ProgressStatus>>,
    /// The parts of the operation, parents before children; the first 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    #[schemars(length(max = 64))]
    pub sub_jobs: Vec<SubJobStatus>,
    /// How many parts there are, those not listed included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_jobs_total: Option<i64>,
    /// Why the operation failed or is blocked, in the cloud's words; while the cloud refuses to tell of it, why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<ErrorStatus>>,
    /// When the operation started: from the cloud where it says so, else when it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended: from the cloud where it says so, else when its end was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// When it was first asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_start_time: Option<Time>,
    /// When the cloud last showed a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_progress_time: Option<Time>,
    /// Since when the cloud answers that it does not know the operation; absent while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_found_since: Option<Time>,
    /// Since when polls fail for a reason that only a person can fix, such as a wrong Secret, whatever else failed
    /// meanwhile; absent while they don't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_fault_since: Option<Time>,
    /// The last value of the annotation cloudop.dev/requested-at that was acted on; sha256: and its digest where it is
    /// longer than 253 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_request: Option<String>,
    /// Succeeded: what became of the operation, Unknown until it ends. Finished: whether it has ended, whichever way.
    /// Ready: as Succeeded, and False also while only a person can fix what keeps us from seeing it. UpstreamReachable:
    /// whether the cloud's last answer could be had and understood. Reconciling and Stalled, present only while True:
    /// it goes on, or it does not without someone's help or has ended badly.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default)]
    #[schemars(with = "Vec<meta::Condition>")]
    pub conditions: Vec<Condition>,
}

/// A closed summary of the conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Not started, or not yet seen.
    #[default]
    Pending,
    /// Being worked on.
    Running,
    /// Parked by the cloud until a person acts there.
    Blocked,
    /// Ended well.
    Succeeded,
    /// Ended badly, or not to be followed any further.
    Failed,
}

/// The resource an operation works on, as far as the cloud names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The cloud's ID of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The resource's address, a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// How far an operation is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressStatus {
    /// Percentage done; absent while unknown, never falling, 100 only on success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<i32>,
    /// How many of the smallest parts have ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<i64>,
    /// How many of the smallest parts there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// The cloud's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it may be over, by its percentage or by how long others of its kind took; absent while that is not known.
    /// Renewed when it moves by more than a tenth of what remains, and at most once in five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_completion_time: Option<Time>,
    /// The shortest of these that says most, for one column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// One part of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubJobStatus {
    /// The cloud's ID of the part.
    pub id: String,
    /// The part it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// What it does, in the cloud's words.
    #[serde(default)]
    pub name: String,
    /// How it stands.
    #[serde(default)]
    pub phase: Phase,
    /// The cloud's own word for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_state: Option<String>,
    /// What the cloud says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}

/// Why an operation failed or is blocked, or why the cloud refused the last poll, in the cloud's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorStatus {
    /// The cloud's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The cloud's text, at most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The cloud's ID of the request, for its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The ID of the sub-job at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_job: Option<String>,
}
