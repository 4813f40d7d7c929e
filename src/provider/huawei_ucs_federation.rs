//! Huawei Cloud UCS federation progress: <https://support.huaweicloud.com/intl/en-us/api-ucs/ShowFederationProgress.html>.

use super::*;

/// The enabling, upgrade, rollback or disabling of the cluster federation of a fleet in Huawei Cloud's Ubiquitous
/// Cloud Native Service (UCS). The operationId is the fleet's ID, for these calls return no job ID:
/// `GET /v1/clustergroups` lists all fleets.
///
/// A fleet shows its latest job only. When another job takes the place of the one that was followed before that was seen
/// to end, the CloudOperation ends as OperationExpired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct HuaweiUcsFederation {}

impl CloudApi for HuaweiUcsFederation {
    fn cloud(&self) -> &str {
        "Huawei Cloud UCS"
    }

    /// Open Telekom Cloud offers the same service under its own domain.
    fn domains(&self) -> &[&str] {
        &["myhuaweicloud.com", "myhuaweicloud.eu", "otc.t-systems.com"]
    }

    fn token_header(&self) -> TokenHeader {
        TokenHeader::XAuthToken
    }

    /// UCS is a global service: its host names no region.
    fn endpoint(&self) -> Option<String> {
        Some("https://ucs.myhuaweicloud.com".to_owned())
    }

    fn sign_in(&self) -> SignIn {
        let url = "https://iam.myhuaweicloud.com".to_owned();
        SignIn {
            methods: Cow::Borrowed(&["token", "keystonePassword", "accessKey"]),
            identity_service: Some(IdentityService { url, domain: Some("myhuaweicloud.com".to_owned()) }),
            scope: Scope::Account,
            oauth: None,
        }
    }

    fn request(&self, operation_id: &str) -> Request {
        Request::get(&["v1", "clustergroups", operation_id, "federations", "progress"])
    }

    fn interpret(&self, _fleet_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
        let uid = reply.text_at("metadata.uid").ok_or_else(|| Misread::field("metadata.uid"))?;
        let observation = Observation { uid: Some(uid), ..job::read_job(reply)? };
        Ok(Reading::Found(Box::new(observation)))
    }

    /// UCS's own codes start "UCS.", as in UCS.00000013.
    fn whose(&self, refusal: &ApiError) -> Whose {
        whose(refusal, |code| code.starts_with("UCS."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tests::{observe, refuse, time};

    #[test]
    fn the_vendor_s_example_is_read_in_full() {
        let sub_job = |id: &str, name: &str, start: &str, end: &str| SubJob {
            id: format!("{id}-2fa4-11ee-bf07-0255ac1000b9"),
            parent_id: None,
            name: name.into(),
            state: State::Succeeded,
            upstream_state: "Success".into(),
            message: None,
            start_time: time(start),
            completion_time: time(end),
        };
        let federation = "70acf480-2fa4-11ee-ad1d-0255ac1001c4";
        let expected = Observation {
            uid: Some("70b5a14f-2fa4-11ee-bf07-0255ac1000b9".into()),
            operation_type: Some("CreateFederationContainer".into()),
            target: Target { id: Some(federation.into()), name: Some(federation.into()), url: None },
            sub_jobs: vec![
                sub_job(
                    "70b66b9a",
                    "InstallFederationChart",
                    "2023-07-31T13:16:22.100528Z",
                    "2023-07-31T13:16:22.100528Z",
                ),
                sub_job(
                    "70b66b68",
                    "CreateNetworkResource",
                    "2023-07-31T13:16:20.744891Z",
                    "2023-07-31T13:17:24.490359Z",
                ),
                sub_job("70b66afa", "CreateCert", "2023-07-31T13:16:22.100452Z", "2023-07-31T13:16:22.100452Z"),
                sub_job("70b66ad0", "CreateNode", "2023-07-31T13:16:20.745187Z", "2023-07-31T13:16:22.093902Z"),
            ],
            start_time: time("2023-07-31T13:16:20.721007Z"),
            completion_time: time("2023-07-31T13:17:24.497868Z"),
            ..Observation::new(State::Succeeded, "Success")
        };
        assert_eq!(observe("huawei_ucs_federation/vendor-example"), expected);
    }

    #[test]
    fn a_failed_job_names_the_sub_job_at_fault() {
        let observation = observe("huawei_ucs_federation/failed");
        assert_eq!((observation.state, observation.upstream_state.as_str()), (State::Failed, "Failed"));
        let error = OperationError {
            message: Some("upgrade of the control plane failed".into()),
            sub_job: Some("70b5a14f-2fa4-11ee-bf07-0255ac100003".into()),
            ..OperationError::default()
        };
        assert_eq!(observation.error, Some(error));
        assert_eq!(observation.sub_jobs[1].message.as_deref(), Some("release federation: timed out"));
        assert_eq!(observation.completion_time, time("2026-01-14T13:17:24.497868Z"));
    }

    #[test]
    fn the_lower_case_spelling_is_read() {
        let observation = observe("huawei_ucs_federation/lower-case-spelling");
        assert_eq!((observation.state, observation.upstream_state.as_str()), (State::Running, "running"));
        assert_eq!(observation.uid.as_deref(), Some("70b5a14f-2fa4-11ee-bf07-0255ac100004"));
        assert_eq!(observation.target.id.as_deref(), Some("70acf480-2fa4-11ee-ad1d-0255ac1001c4"));
        assert_eq!(observation.start_time, time("2026-01-14T13:16:21Z"));
        assert_eq!(observation.sub_jobs.len(), 1);
        assert_eq!(observation.sub_jobs[0].state, State::Pending);
    }

    #[test]
    fn a_job_without_identity_is_refused() {
        // Whether it is still the same job could not be told from poll to poll.
        assert_eq!(refuse("huawei_ucs_federation/without-uid"), "the reply has no usable metadata.uid");
    }

    #[test]
    fn the_fleet_is_asked_at_the_global_host() {
        let api = HuaweiUcsFederation {};
        assert_eq!(api.endpoint().as_deref(), Some("https://ucs.myhuaweicloud.com"));
        assert_eq!(api.request("f").path, "/v1/clustergroups/f/federations/progress");
    }

    #[rstest::rstest]
    #[case(Some("UCS.00000013"), Whose::Service)]
    #[case(Some("APIGW.0101"), Whose::Gateway)]
    #[case(Some("https://tools.ietf.org/html/rfc9110#section-15.5.5"), Whose::Gateway)]
    #[case(Some("NOT_HERE"), Whose::Unclear)]
    #[case(None, Whose::Gateway)]
    fn only_the_service_knows_which_fleets_exist(#[case] code: Option<&str>, #[case] whose: Whose) {
        let refusal = ApiError { status: 404, code: code.map(Into::into), ..ApiError::default() };
        assert_eq!(HuaweiUcsFederation {}.whose(&refusal), whose);
    }
}
