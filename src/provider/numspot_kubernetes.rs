//! NumSpot Kubernetes operations: <https://docs.numspot.com/docs/managed-services/kubernetes/actions/get-operation>.

use super::*;

/// An operation on a NumSpot managed Kubernetes cluster, such as its creation, its upgrade or a change of its workers.
/// The operationId is the id in the reply that started it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumspotKubernetes {
    /// Region of the space, such as eu-west-2 or cloudgouv-eu-west-1. It gives the host api.{region}.numspot.com, unless
    /// the Secret has the key endpoint.
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)+$"), length(max = 63))]
    pub region: String,
    /// ID of the space the cluster was created in. The selfLink in the reply that started the operation holds it, behind
    /// /spaces/.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 64))]
    pub space_id: String,
    /// ID of the cluster the operation works on: clusterId in the reply that started it. With it the operation is looked
    /// up in the cluster's list of operations, the only way that later versions of the API kept; without it the
    /// operation is asked for by its ID alone.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
}

impl CloudApi for NumspotKubernetes {
    fn cloud(&self) -> &str {
        "NumSpot"
    }

    fn domains(&self) -> &[&str] {
        numspot::DOMAINS
    }

    fn token_header(&self) -> TokenHeader {
        TokenHeader::Bearer
    }

    fn endpoint(&self) -> Option<String> {
        Some(numspot::endpoint(&self.region))
    }

    fn sign_in(&self) -> SignIn {
        numspot::sign_in()
    }

    fn request(&self, operation_id: &str) -> Request {
        match &self.cluster_id {
            Some(cluster_id) => list(&self.space_id, cluster_id),
            None => Request::get(&["kubernetes", "spaces", &self.space_id, "operations", operation_id]),
        }
    }

    fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
        if self.cluster_id.is_some() {
            return self.find(operation_id, reply);
        }
        check_id(operation_id, reply, "id")?;
        Ok(Reading::Found(Box::new(read_operation(reply)?)))
    }

    fn list(&self) -> Option<Request> {
        self.cluster_id.as_ref().map(|cluster_id| list(&self.space_id, cluster_id))
    }

    fn find(&self, operation_id: &str, page: Json<'_>) -> Result<Reading, Misread> {
        let operations = read_list(page, &["items", "operations"])?;
        let found = find_by_id(operation_id, operations, "id");
        match (found, self.page_after(page)) {
            (None, Some(next)) => Ok(Reading::NextPage(next)),
            (found, _) => read_found(found, read_operation),
        }
    }

    fn read_page(&self, page: Json<'_>) -> Result<Listing, Misread> {
        let listing = read_members(read_list(page, &["items", "operations"])?, "id", read_operation);
        Ok(Listing { next: self.page_after(page), ..listing })
    }

    fn whose(&self, refusal: &ApiError) -> Whose {
        numspot::whose(refusal)
    }

    fn unknown_path_advice(&self) -> Option<&'static str> {
        self.cluster_id.is_none().then_some(
            "create a CloudOperation with clusterId: later versions of the API only list a cluster's operations",
        )
    }
}

impl NumspotKubernetes {
    fn page_after(&self, page: Json<'_>) -> Option<Request> {
        Some(self.list()?.with_query("page[nextToken]", &page.text_at("nextPageToken")?))
    }
}

fn list(space_id: &str, cluster_id: &str) -> Request {
    Request::get(&["kubernetes", "spaces", space_id, "clusters", cluster_id, "operations"])
        .with_query("page[size]", "50")
}

fn read_operation(operation: Json<'_>) -> Result<Observation, Misread> {
    let word = read_state_word(operation.get("status"), "status")?;
    let state = read_state(word);
    let time = |names: [&str; 2]| names.iter().find_map(|name| operation.time_at(name));

    let mut observation = Observation::new(state, word);
    observation.operation_type = operation.text_at("operationType").or_else(|| operation.text_at("type"));
    observation.target = read_target(operation);
    // Below zero it is no percentage but a word for "unknown".
    let percent = operation.get("progress").and_then(Json::number).filter(|percent| *percent >= 0.0);
    observation.percent = percent.map(|percent| percent.min(100.0));
    observation.message = operation.text_at("progress");
    observation.start_time = time(["startedAt", "startTime"]);
    // The vendor's own example of a pending operation has an end.
    if is_end(state) {
        observation.completion_time = time(["endedAt", "endTime"]);
    }
    add_error(&mut observation, operation.get("error").and_then(read_error));
    Ok(observation)
}

/// The enumeration is one for all of NumSpot's resources. "Active" states resolve by themselves, so they go on.
/// "Resting" states stay; those that say nothing of an operation's outcome (ACCEPTED, ACTIVE, DELETED, SUSPENDED,
/// VERIFIED are states of a resource) are left unrecognized: a gate must not open or fail by a guess.
fn read_state(word: &str) -> State {
    match word.to_ascii_uppercase().as_str() {
        "PENDING" => State::Pending,
        "RUNNING" | "CREATING" | "DELETING" | "REPAIRING" | "SUSPENDING" => State::Running,
        "DONE" | "SUCCEEDED" => State::Succeeded,
        "FAILED" => State::Failed,
        "CANCELLED" => State::Cancelled,
        _ => State::Unrecognized,
    }
}

/// `target` is an address in the vendor's example and `space:{spaceId}:cluster:{clusterId}` in its text.
fn read_target(operation: Json<'_>) -> Target {
    let target = operation.text_at("target");
    let last = target
        .as_deref()
        .and_then(|text| text.trim_end_matches('/').rsplit(['/', ':']).next().filter(|id| !id.is_empty()));
    Target {
        id: operation.text_at("clusterId").or_else(|| last.map(str::to_owned)),
        name: operation.text_at("targetName"),
        url: target.filter(|text| text.starts_with("https://") || text.starts_with("http://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tests::{interpret, observe, refuse, time};

    const SPACE: &str = "0b9c4b0e-6d5f-4a8a-9f5e-2f6f1f1c7d11";
    const CLUSTER: &str = "5a8f6c1e-0c53-4f43-8f4f-0e6f3a3f9b22";

    #[test]
    fn the_vendor_s_example_is_read_in_full_and_its_early_end_ignored() {
        let cluster = "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX";
        let expected = Observation {
            operation_type: Some("[OPERATION_ACTION]".into()),
            target: Target {
                id: Some(cluster.into()),
                name: None,
                url: Some(format!("https://..../kubernetes/spaces/{{spaceId}}/clusters/{cluster}")),
            },
            message: Some("During task".into()),
            start_time: time("2024-06-12T16:04:14.267Z"),
            ..Observation::new(State::Pending, "PENDING")
        };
        assert_eq!(observe("numspot_kubernetes/vendor-example"), expected);
    }

    #[test]
    fn the_later_spelling_is_read_in_full() {
        let expected = Observation {
            operation_type: Some("CREATE_CLUSTER".into()),
            target: Target {
                id: Some(CLUSTER.into()),
                name: Some("prod".into()),
                url: Some(format!("https://api.eu-west-2.numspot.com/kubernetes/spaces/{SPACE}/clusters/{CLUSTER}")),
            },
            percent: Some(100.0),
            message: Some("100%".into()),
            start_time: time("2025-01-13T20:20:40Z"),
            completion_time: time("2025-01-13T20:31:02.5Z"),
            ..Observation::new(State::Succeeded, "SUCCEEDED")
        };
        assert_eq!(observe("numspot_kubernetes/succeeded-later-spelling"), expected);
    }

    #[rstest::rstest]
    #[case("done", State::Succeeded, "DONE", Some("2024-06-12T16:24:14.267Z"))]
    #[case("failed-with-text", State::Failed, "FAILED", Some("2024-06-12T16:24:14.267Z"))]
    #[case("cancelled", State::Cancelled, "cancelled", Some("2025-01-13T20:31:02Z"))]
    #[case("percent-as-text", State::Running, "RUNNING", None)]
    #[case("resting-state-of-a-resource", State::Unrecognized, "ACTIVE", None)]
    fn a_status_is_a_state(#[case] case: &str, #[case] state: State, #[case] word: &str, #[case] end: Option<&str>) {
        let observation = observe(&format!("numspot_kubernetes/{case}"));
        assert_eq!((observation.state, observation.upstream_state.as_str()), (state, word));
        assert_eq!(observation.completion_time, end.and_then(time));
        assert_eq!(observation.target.id.as_deref(), Some(CLUSTER));
    }

    #[rstest::rstest]
    #[case(State::Pending, &["PENDING", "pending"])]
    #[case(State::Running, &["RUNNING", "CREATING", "DELETING", "REPAIRING", "SUSPENDING"])]
    #[case(State::Succeeded, &["DONE", "SUCCEEDED"])]
    #[case(State::Failed, &["FAILED"])]
    #[case(State::Cancelled, &["CANCELLED"])]
    #[case(State::Unrecognized, &["ACCEPTED", "ACTIVE", "DELETED", "SUSPENDED", "VERIFIED", "UNHEARD_OF"])]
    fn every_published_word_has_its_state(#[case] state: State, #[case] words: &[&str]) {
        for word in words {
            assert_eq!(read_state(word), state, "{word}");
        }
    }

    #[rstest::rstest]
    #[case("percent-as-text", Some(42.0), Some("42%"))]
    #[case("percent-as-number", Some(100.0), None)]
    #[case("percent-below-zero", None, None)]
    #[case("done", None, Some("During task"))]
    fn progress_is_words_or_a_percentage(
        #[case] case: &str,
        #[case] percent: Option<f64>,
        #[case] message: Option<&str>,
    ) {
        let observation = observe(&format!("numspot_kubernetes/{case}"));
        assert_eq!((observation.percent, observation.message.as_deref()), (percent, message));
        assert_eq!(observation.error, None);
    }

    #[test]
    fn an_error_is_a_text_or_a_problem() {
        let text =
            OperationError { message: Some("no capacity left for the workers".into()), ..OperationError::default() };
        assert_eq!(observe("numspot_kubernetes/failed-with-text").error, Some(text));
        let problem = OperationError {
            code: Some("conflict".into()),
            message: Some("Conflict: The cluster is being modified by another operation.".into()),
            request_id: Some("urn:numspot:request:7e0b".into()),
            sub_job: None,
        };
        assert_eq!(observe("numspot_kubernetes/failed-with-problem").error, Some(problem));
    }

    #[rstest::rstest]
    #[case("status-missing", "the reply has no usable status")]
    #[case("another-operation", "the reply is about another operation, 9d3f9c1a-7f0c-4d57-9a69-1c7be3d8a010")]
    #[case("list-instead-of-operation", "the reply has no usable status")]
    #[case("operation-instead-of-list", "the reply has no usable items")]
    fn a_reply_that_is_no_answer_says_why(#[case] case: &str, #[case] why: &str) {
        assert_eq!(refuse(&format!("numspot_kubernetes/{case}")), why);
    }

    #[rstest::rstest]
    #[case("list", State::Running, "UPGRADE_MASTERS")]
    #[case("list-earlier-spelling", State::Pending, "CreateCluster")]
    fn the_operation_is_found_in_the_cluster_s_list(#[case] case: &str, #[case] state: State, #[case] kind: &str) {
        let observation = observe(&format!("numspot_kubernetes/{case}"));
        assert_eq!((observation.state, observation.operation_type.as_deref()), (state, Some(kind)));
    }

    #[test]
    fn pages_are_asked_for_until_the_last() {
        let path = format!("/kubernetes/spaces/{SPACE}/clusters/{CLUSTER}/operations");
        let next = Request { path, query: vec![] }
            .with_query("page[size]", "50")
            .with_query("page[nextToken]", "eyJvZmZzZXQiOjUwfQ==");
        assert_eq!(interpret("numspot_kubernetes/list-with-next-page"), Ok(Reading::NextPage(next)));
        assert_eq!(interpret("numspot_kubernetes/list-without-it"), Ok(Reading::Absent));
    }

    #[test]
    fn the_cluster_decides_which_path_is_asked() {
        let mut api = NumspotKubernetes { region: "eu-west-2".into(), space_id: "s".into(), cluster_id: None };
        assert_eq!(api.endpoint().as_deref(), Some("https://api.eu-west-2.numspot.com"));
        assert_eq!(api.request("o"), Request { path: "/kubernetes/spaces/s/operations/o".into(), query: vec![] });
        api.cluster_id = Some("c".into());
        let query = vec![("page[size]".into(), "50".into())];
        assert_eq!(api.request("o"), Request { path: "/kubernetes/spaces/s/clusters/c/operations".into(), query });
    }

    #[rstest::rstest]
    #[case(Some("urn:numspot:errors#resource_not_found"), Whose::Service)]
    #[case(Some("about:blank"), Whose::Gateway)]
    #[case(Some("urn:numspot:errors#space_not_found"), Whose::Service)]
    #[case(Some("https://tools.ietf.org/html/rfc9110#section-15.5.5"), Whose::Gateway)]
    #[case(Some("NOT_HERE"), Whose::Unclear)]
    #[case(None, Whose::Gateway)]
    fn only_the_service_knows_which_operations_exist(#[case] code: Option<&str>, #[case] whose: Whose) {
        let refusal = ApiError { status: 404, code: code.map(Into::into), ..ApiError::default() };
        let api = NumspotKubernetes { region: "eu-west-2".into(), space_id: "s".into(), cluster_id: None };
        assert_eq!(api.whose(&refusal), whose);
    }
}
