//! A provider that an OperationProfile describes.

use std::collections::BTreeMap;

use super::*;

/// An API that is described by an OperationProfile of the cluster rather than built in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Declared {
    /// Name of the OperationProfile that describes the API (kubectl get operationprofiles).
    #[schemars(regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 63))]
    pub profile: Box<str>,
    /// What the profile's parameters are for this operation, such as the project and the region.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = serde_json::json!({"type": "string", "minLength": 1, "maxLength": 253})))]
    pub parameters: BTreeMap<Box<str>, Box<str>>,
}
