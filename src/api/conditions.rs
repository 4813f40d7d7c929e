//! Conditions, and the words they are written in.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

/// Kubernetes' own `metav1.Condition`, with texts that many objects share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about: a [`ConditionType`].
    #[serde(rename = "type")]
    pub type_: Arc<str>,
    /// True, False or Unknown.
    pub status: Arc<str>,
    /// Why, in one word.
    pub reason: Arc<str>,
    /// Why, for people.
    pub message: Arc<str>,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// The generation of the spec it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Types of `status.conditions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// What the operation is.
    Succeeded,
    /// Whether it has ended, whichever way.
    Finished,
    /// The gate of generic health checks.
    Ready,
    /// Whether we can see the operation.
    UpstreamReachable,
    /// Present only while True: it goes on.
    Reconciling,
    /// Present only while True: it cannot go on by itself.
    Stalled,
}

impl ConditionType {
    /// As it stands in `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Finished => "Finished",
            Self::Ready => "Ready",
            Self::UpstreamReachable => "UpstreamReachable",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}

/// Reasons of conditions; those of `UpstreamReachable` being False are
/// [`FailureKind::reason`](crate::observation::FailureKind::reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason;

#[allow(non_upper_case_globals, missing_docs)]
impl Reason {
    pub const Pending: &str = "Pending";
    pub const Running: &str = "Running";
    pub const Blocked: &str = "Blocked";
    pub const Suspended: &str = "Suspended";
    pub const UnrecognizedState: &str = "UnrecognizedState";
    pub const PollFailing: &str = "PollFailing";
    pub const CredentialsInvalid: &str = "CredentialsInvalid";
    pub const ProfileInvalid: &str = "ProfileInvalid";
    pub const OperationSucceeded: &str = "OperationSucceeded";
    pub const OperationFailed: &str = "OperationFailed";
    pub const OperationCancelled: &str = "OperationCancelled";
    pub const DeadlineExceeded: &str = "DeadlineExceeded";
    pub const OperationNotFound: &str = "OperationNotFound";
    pub const OperationExpired: &str = "OperationExpired";
    pub const PollSucceeded: &str = "PollSucceeded";
    pub const Progressing: &str = "Progressing";
    pub const ProgressingWithRetry: &str = "ProgressingWithRetry";
    pub const OperationBlocked: &str = "OperationBlocked";
    pub const NoProgress: &str = "NoProgress";
}
