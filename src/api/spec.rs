//! What users write.

use std::sync::Arc;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::CloudOperationStatus;
use crate::provider::Provider;

/// A long-running operation of a cloud, followed to its end. Only observed: nothing is ever written to the cloud, and
/// deleting the object leaves the operation alone.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cloudop.dev",
    version = "v1alpha1",
    kind = "CloudOperation",
    plural = "cloudoperations",
    shortname = "cloudop",
    category = "cloudops",
    namespaced,
    derive = "PartialEq",
    status = "CloudOperationStatus",
    doc = "A long-running operation of a cloud, followed to its end. Only observed: nothing is ever written to the cloud, and deleting the object leaves the operation alone.",
    selectable = ".spec.operationId",
    selectable = ".status.phase",
    selectable = ".status.provider",
    printcolumn(name = "Provider", type_ = "string", json_path = ".status.provider"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress.summary"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Succeeded')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Operation", type_ = "string", json_path = ".spec.operationId", priority = "1"),
    printcolumn(name = "Upstream", type_ = "string", json_path = ".status.upstreamState", priority = "1"),
    printcolumn(
        name = "ETA",
        type_ = "string",
        json_path = ".status.progress.estimatedCompletionTime",
        priority = "1"
    ),
    printcolumn(name = "Started", type_ = "date", json_path = ".status.startTime", priority = "1"),
    printcolumn(name = "Finished", type_ = "date", json_path = ".status.completionTime", priority = "1"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Succeeded')].message",
        priority = "1"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.provider == oldSelf.provider")
        .message("is immutable; to follow another operation create a new CloudOperation")
        .field_path(".provider").reason(Reason::FieldValueInvalid),
    validation = Rule::new("self.operationId == oldSelf.operationId")
        .message("is immutable; to follow another operation create a new CloudOperation")
        .field_path(".operationId").reason(Reason::FieldValueInvalid)
)]
pub struct CloudOperationSpec {
    /// The API that knows the operation: set exactly one member. Immutable.
    pub provider: Provider,
    /// The ID the cloud gave when it accepted the operation. Immutable.
    #[schemars(regex(pattern = "^[!-~]*[A-Za-z0-9][!-~]*$"), length(min = 1, max = 253))]
    pub operation_id: Box<str>,
    /// The Secret, in this namespace, that holds the credentials and, where the region does not give it, the endpoint.
    pub credentials_ref: CredentialsRef,
    /// Seconds between two polls, in place of the adaptive schedule (5 to 60 seconds by the operation's age or
    /// progress).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub poll_interval_seconds: Option<i32>,
    /// Seconds after status.startTime at which an unfinished operation counts as failed, reason DeadlineExceeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// Seconds without any observable change after which the condition Stalled is set, reason NoProgress; polling goes
    /// on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub progress_deadline_seconds: Option<i64>,
    /// Seconds for which the cloud may answer that it does not know the operation before that is believed.
    #[serde(default = "default_not_found_grace_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub not_found_grace_seconds: i32,
    /// Seconds after the end at which the object is deleted. Off by default: GitOps tools create again what a TTL
    /// deletes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60))]
    pub ttl_seconds_after_finished: Option<i64>,
    /// While true the cloud is not asked.
    #[serde(default)]
    pub suspend: bool,
}

fn default_not_found_grace_seconds() -> i32 {
    super::DEFAULT_NOT_FOUND_GRACE_SECONDS as i32
}

/// A Secret in the object's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsRef {
    /// Name of the Secret.
    #[schemars(
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
        length(min = 1, max = 253)
    )]
    pub name: Arc<str>,
}
