//! The words conditions are written in.

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
