//! Open Telekom Cloud CCE jobs:
//! <https://docs.otc.t-systems.com/cloud-container-engine/api-ref/apis/cluster_management/reading_job_progress.html>.

use super::*;

/// A job of Open Telekom Cloud's Cloud Container Engine (CCE), such as the creation or deletion of a cluster or a node.
/// The operationId is the job's ID: `status.jobID` of the reply that started it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtcCceJob {
    /// Region, such as eu-de or eu-nl. It gives the host cce.{region}.otc.t-systems.com, unless the Secret has the key
    /// endpoint.
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)+$"), length(max = 63))]
    pub region: String,
    /// ID of the project that the cluster belongs to. In the console: My Credentials, Projects.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 64))]
    pub project_id: String,
}

impl CloudApi for OtcCceJob {
    fn cloud(&self) -> &str {
        "Open Telekom Cloud CCE"
    }

    fn domains(&self) -> &[&str] {
        open_telekom_cloud::DOMAINS
    }

    fn token_header(&self) -> TokenHeader {
        TokenHeader::XAuthToken
    }

    fn endpoint(&self) -> Option<String> {
        Some(open_telekom_cloud::endpoint("cce", &self.region))
    }

    fn sign_in(&self) -> SignIn {
        open_telekom_cloud::sign_in(&self.region, &self.project_id)
    }

    fn request(&self, operation_id: &str) -> Request {
        Request::get(&["api", "v3", "projects", &self.project_id, "jobs", operation_id])
    }

    fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
        check_id(operation_id, reply, "metadata.uid")?;
        Ok(Reading::Found(Box::new(job::read_job(reply)?)))
    }

    /// Job Management v2, whose list is a bare array of all the project's jobs (opentelekomcloud-docs,
    /// cloud-container-engine, `api-ref/source/apis/job_management`).
    fn list(&self) -> Option<Request> {
        Some(Request::get(&["api", "v2", "projects", &self.project_id, "jobs"]))
    }

    fn find(&self, operation_id: &str, page: Json<'_>) -> Result<Reading, Misread> {
        read_found(find_by_id(operation_id, jobs(page)?, "metadata.uid"), job::read_job)
    }

    fn read_page(&self, page: Json<'_>) -> Result<Listing, Misread> {
        Ok(read_members(jobs(page)?, "metadata.uid", job::read_job))
    }

    fn whose(&self, refusal: &ApiError) -> Whose {
        whose(refusal, job::is_of_cce)
    }
}

fn jobs<'a>(page: Json<'a>) -> Result<impl Iterator<Item = Json<'a>>, Misread> {
    match page.is_array() {
        true => Ok(page.items()),
        false => Err(Misread("the reply is no array of jobs".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tests::{observe, refuse, time};

    #[test]
    fn the_vendor_s_example_is_read_in_full() {
        let sub_job = |id: &str, name: &str, start: &str, end: &str| SubJob {
            id: id.into(),
            parent_id: None,
            name: name.into(),
            state: State::Succeeded,
            upstream_state: "Success".into(),
            message: None,
            start_time: time(start),
            completion_time: time(end),
        };
        let expected = Observation {
            operation_type: Some("CreateCluster".into()),
            target: Target {
                id: Some("6f4dcb2c-229a-11e8-9c75-0255ac100ceb".into()),
                name: Some("cluster-name".into()),
                url: None,
            },
            sub_jobs: vec![
                sub_job(
                    "fd474fab-9606-11e8-baa9-0255ac10215d",
                    "InstallMaster",
                    "2020-02-02T03:52:34.615819618Z",
                    "2020-02-02T04:05:29.196243031Z",
                ),
                sub_job(
                    "fd474f82-9606-11e8-baa8-0255ac10215d",
                    "CreatePSMCert",
                    "2020-02-02T03:52:33.859150791Z",
                    "2020-02-02T03:52:34.615655429Z",
                ),
            ],
            start_time: time("2020-02-02T08:12:40.672772389Z"),
            ..Observation::new(State::Running, "Running")
        };
        assert_eq!(observe("otc_cce_job/vendor-example"), expected);
    }

    #[rstest::rstest]
    #[case("vendor-example-as-published", "the reply is not valid JSON")]
    #[case("phase-missing", "the reply has no usable status.phase")]
    #[case("another-operation", "the reply is about another operation, c3c6a1a1-0d0e-4a35-93f3-0e1b8f0a7a03")]
    fn a_reply_that_is_no_answer_says_why(#[case] case: &str, #[case] why: &str) {
        assert_eq!(refuse(&format!("otc_cce_job/{case}")), why);
    }

    #[rstest::rstest]
    #[case("eu-de", "https://cce.eu-de.otc.t-systems.com")]
    #[case("eu-ch2", "https://cce.eu-ch2.sc.otc.t-systems.com")]
    fn the_region_gives_the_host(#[case] region: &str, #[case] endpoint: &str) {
        let api = OtcCceJob { region: region.into(), project_id: "p".into() };
        assert_eq!(api.endpoint().as_deref(), Some(endpoint));
        assert_eq!(api.request("j"), Request::get(&["api", "v3", "projects", "p", "jobs", "j"]));
    }

    #[rstest::rstest]
    #[case(Some("CCE.01404001"), Whose::Service)]
    #[case(Some("APIGW.0101"), Whose::Gateway)]
    #[case(Some("CCE_CM.0404"), Whose::Service)]
    #[case(Some("E.CFE.4040003"), Whose::Service)]
    #[case(Some("https://tools.ietf.org/html/rfc9110#section-15.5.5"), Whose::Gateway)]
    #[case(Some("NOT_HERE"), Whose::Unclear)]
    #[case(None, Whose::Gateway)]
    fn only_the_service_knows_which_jobs_exist(#[case] code: Option<&str>, #[case] whose: Whose) {
        let refusal = ApiError { status: 404, code: code.map(Into::into), ..ApiError::default() };
        let api = OtcCceJob { region: "eu-de".into(), project_id: "p".into() };
        assert_eq!(api.whose(&refusal), whose);
    }
}
