//! Huawei Cloud CCE jobs: <https://support.huaweicloud.com/intl/en-us/api-cce/cce_02_0247.html>.

use super::*;

/// A job of Huawei Cloud's Cloud Container Engine (CCE), such as the creation or deletion of a cluster or a node. The
/// operationId is the job's ID: `status.jobID` of the reply that started it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HuaweiCceJob {
    /// Region, such as ap-southeast-3 or eu-west-101. It gives the host cce.{region}.myhuaweicloud.com (.eu for
    /// eu-west-101), unless the Secret has the key endpoint.
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)+$"), length(max = 63))]
    pub region: String,
    /// ID of the project that the cluster belongs to. In the console: My Credentials, API Credentials.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 64))]
    pub project_id: String,
}

impl CloudApi for HuaweiCceJob {
    fn cloud(&self) -> &str {
        "Huawei Cloud CCE"
    }

    fn domains(&self) -> &[&str] {
        huawei_cloud::DOMAINS
    }

    fn token_header(&self) -> TokenHeader {
        TokenHeader::XAuthToken
    }

    fn endpoint(&self) -> Option<String> {
        Some(huawei_cloud::endpoint("cce", &self.region))
    }

    fn sign_in(&self) -> SignIn {
        huawei_cloud::sign_in(&self.region, &self.project_id)
    }

    fn request(&self, operation_id: &str) -> Request {
        Request::get(&["api", "v3", "projects", &self.project_id, "jobs", operation_id])
    }

    fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
        check_id(operation_id, reply, "metadata.uid")?;
        Ok(Reading::Found(Box::new(job::read_job(reply)?)))
    }

    fn whose(&self, refusal: &ApiError) -> Whose {
        whose(refusal, job::is_of_cce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tests::{observe, refuse};

    #[test]
    fn the_vendor_s_example_is_read() {
        let observation = observe("huawei_cce_job/vendor-example");
        assert_eq!((observation.state, observation.upstream_state.as_str()), (State::Running, "Running"));
        assert_eq!(observation.operation_type.as_deref(), Some("CreateCluster"));
        assert_eq!(observation.target.name.as_deref(), Some("cluster-name"));
        let parts: Vec<&str> = observation.sub_jobs.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(parts, ["InstallMaster", "CreatePSMCert"]);
    }

    #[rstest::rstest]
    #[case(
        "ap-southeast-3",
        "https://cce.ap-southeast-3.myhuaweicloud.com",
        "https://iam.ap-southeast-3.myhuaweicloud.com"
    )]
    #[case("eu-west-101", "https://cce.eu-west-101.myhuaweicloud.eu", "https://iam.eu-west-101.myhuaweicloud.eu")]
    fn the_region_gives_the_hosts(#[case] region: &str, #[case] endpoint: &str, #[case] identity: &str) {
        let api = HuaweiCceJob { region: region.into(), project_id: "p".into() };
        assert_eq!(api.endpoint().as_deref(), Some(endpoint));
        assert_eq!(api.sign_in().identity_service.map(|service| service.url).as_deref(), Some(identity));
        assert_eq!(api.request("j"), Request::get(&["api", "v3", "projects", "p", "jobs", "j"]));
        assert_eq!(api.list(), None);
    }

    #[test]
    fn another_job_is_not_read() {
        assert!(refuse("huawei_cce_job/another-job").contains("about another operation"));
    }
}
