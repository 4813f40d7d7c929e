//! The resources of `cloudop.dev/v1alpha1`: what users write and read. No behaviour.

mod conditions;
mod crd;
#[expect(clippy::duplicated_attributes, reason = "each column has a type and a priority of its own")]
mod profile;
#[expect(clippy::duplicated_attributes, reason = "each column has a type and a priority of its own")]
mod spec;
mod status;

pub use conditions::{Condition, ConditionType, Reason};
pub use crd::{crd, profile_crd};
pub use profile::{
    AuthSpec, BasicSpec, BearerSpec, ClientIn, ErrorSpec, ExampleSpec, ExpectSpec, ExpectedError, ExpectedReason,
    ExpectedSubJob, GoingOn, HeaderSpec, IdentityOf, IdentitySpec, KeystoneSpec, ListSpec, NextSpec, NotFoundSpec,
    OAuth2Spec, OperationProfile, OperationProfileSpec, OperationProfileStatus, ParameterSpec, ReadSpec, RequestSpec,
    ServiceKeySpec, StateSpec, SubJobsSpec, TargetSpec, WordsSpec,
};
pub use spec::{CloudOperation, CloudOperationSpec, CredentialsRef};
pub use status::{CloudOperationStatus, ErrorStatus, Phase, ProgressStatus, SubJobStatus, TargetStatus};

/// Annotation that asks for a poll now; any new value does, and is echoed in `status.lastHandledRequest`.
pub const REQUESTED_AT: &str = "cloudop.dev/requested-at";

/// Seconds a missing operation is waited for where the spec gives no `notFoundGraceSeconds`.
pub const DEFAULT_NOT_FOUND_GRACE_SECONDS: u32 = 120;
