//! Huawei Cloud CCE cluster upgrades:
//! <https://support.huaweicloud.com/intl/en-us/api-cce/ShowUpgradeWorkFlow.html>.

use std::collections::{HashMap, HashSet};

use super::*;

/// The upgrade of a cluster of Huawei Cloud's Cloud Container Engine (CCE), guided by an upgrade workflow. The operationId
/// is the workflow's ID: metadata.uid of the reply that created it, or of an item in the cluster's list,
/// `GET /api/v3/projects/{projectId}/clusters/{clusterId}/operation/upgradeworkflows`.
///
/// When a task of the workflow fails, the cloud parks the workflow (its word for that is Pending). It has not ended:
/// the phase is Blocked until someone retries the task or cancels the workflow there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HuaweiCceUpgrade {
    /// Region, such as ap-southeast-3 or eu-west-101. It gives the host cce.{region}.myhuaweicloud.com (.eu for
    /// eu-west-101), unless the Secret has the key endpoint.
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)+$"), length(max = 63))]
    pub region: String,
    /// ID of the project that the cluster belongs to. In the console: My Credentials, API Credentials.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 64))]
    pub project_id: String,
    /// ID of the cluster. In the console: CCE, the cluster's overview; in the API: metadata.uid of the cluster.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 64))]
    pub cluster_id: String,
}

impl CloudApi for HuaweiCceUpgrade {
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
        Request::get(&[&self.workflows()[..], &[operation_id]].concat())
    }

    fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
        check_id(operation_id, reply, "metadata.uid")?;
        Ok(Reading::Found(Box::new(read_workflow(reply)?)))
    }

    /// All workflows of the cluster, without pages.
    fn list(&self) -> Option<Request> {
        Some(Request::get(&self.workflows()))
    }

    fn find(&self, operation_id: &str, page: Json<'_>) -> Result<Reading, Misread> {
        read_found(find_by_id(operation_id, listed(page)?, "metadata.uid"), read_workflow)
    }

    fn read_page(&self, page: Json<'_>) -> Result<Listing, Misread> {
        Ok(read_members(listed(page)?, "metadata.uid", read_workflow))
    }

    fn whose(&self, refusal: &ApiError) -> Whose {
        whose(refusal, job::is_of_cce)
    }
}

impl HuaweiCceUpgrade {
    fn workflows(&self) -> [&str; 8] {
        let (project, cluster) = (&self.project_id, &self.cluster_id);
        ["api", "v3", "projects", project, "clusters", cluster, "operation", "upgradeworkflows"]
    }
}

/// The vendor calls `items` a list and types it as one object, also in its own client (huaweicloud-sdk-go-v3,
/// `model_list_upgrade_work_flows_response.go`).
fn listed<'a>(page: Json<'a>) -> Result<impl Iterator<Item = Json<'a>>, Misread> {
    let items = match page.get("items") {
        Some(items) if items.is_array() || items.is_object() => Some(items),
        None if page.has_null("items") || page.text_at("kind").as_deref() == Some("List") => None,
        _ => return Err(Misread::field("items")),
    };
    Ok(items.into_iter().flat_map(|items| items.items().chain(items.is_object().then_some(items))))
}

fn read_workflow(workflow: Json<'_>) -> Result<Observation, Misread> {
    let word = read_state_word(workflow.get("status.phase"), "status.phase")?;
    let state = read_phase(word);
    let points = read_points(workflow);

    let mut observation = Observation::new(state, word);
    observation.operation_type = workflow.text_at("kind");
    observation.target.id = workflow.text_at("spec.clusterID");
    observation.message = describe(workflow, state);
    observation.start_time = workflow.time_at("metadata.creationTimestamp");
    if is_end(state) {
        // The workflow's last update may be older than the end of its last task.
        let ends = points.iter().filter_map(|point| point.completion_time);
        observation.completion_time = ends.chain(workflow.time_at("metadata.updateTimestamp")).max();
    }
    if state == State::Blocked {
        observation.error = points.iter().find(|point| point.state == State::Failed).map(|point| OperationError {
            message: Some(format!("task {} failed", point.name)),
            sub_job: Some(point.id.clone()),
            ..OperationError::default()
        });
    }
    let error = ["error", "status.error"].iter().find_map(|path| workflow.get(path).and_then(read_error));
    add_error(&mut observation, error);
    observation.sub_jobs = points;
    Ok(observation)
}

fn read_phase(word: &str) -> State {
    match word.to_ascii_lowercase().as_str() {
        "init" => State::Pending,
        "running" => State::Running,
        // Not what the word says: "a task in the workflow failed".
        "pending" => State::Blocked,
        "success" => State::Succeeded,
        "cancel" => State::Cancelled,
        _ => State::Unrecognized,
    }
}

fn read_task_status(word: &str) -> State {
    match word.to_ascii_lowercase().as_str() {
        // A task that has not begun has no status.
        "" | "init" | "queuing" => State::Pending,
        "running" => State::Running,
        "success" => State::Succeeded,
        "failed" => State::Failed,
        _ => State::Unrecognized,
    }
}

fn describe(workflow: Json<'_>, state: State) -> Option<String> {
    let versions = match (workflow.text_at("spec.clusterVersion"), workflow.text_at("spec.targetVersion")) {
        (Some(from), Some(to)) => Some(format!("upgrade from {from} to {to}")),
        _ => None,
    };
    if state != State::Blocked {
        return versions;
    }
    let upgrade = versions.unwrap_or_else(|| "upgrade".to_owned());
    Some(format!("{upgrade} is parked: retry its failed task or cancel it, in the CCE console or through its API"))
}

/// The workflow's tasks in the order they run.
fn read_points(workflow: Json<'_>) -> Vec<SubJob> {
    let mut ids = Ids::default();
    let points = workflow.get("status.pointStatuses").into_iter().flat_map(Json::items);
    let mut points: Vec<SubJob> = points.filter_map(|point| read_point(point, &mut ids)).collect();

    // Tasks outside the line keep their places among the others, as the vendor lists them.
    let line = read_line(workflow);
    let rank = |point: &SubJob| line.get(point.name.as_str()).copied();
    let places: Vec<usize> = (0..points.len()).filter(|&at| rank(&points[at]).is_some()).collect();
    let mut in_line: Vec<SubJob> = places.iter().map(|&at| points[at].clone()).collect();
    in_line.sort_by_key(rank);
    for (at, point) in places.into_iter().zip(in_line) {
        points[at] = point;
    }
    points
}

/// A task; none where it has no type, or was listed before under the same ID.
fn read_point(point: Json<'_>, ids: &mut Ids) -> Option<SubJob> {
    let name = point.text_at("taskType")?;
    let id = match point.text_at("taskID").map(bound_id) {
        Some(id) => ids.take(&id).ok().map(|()| id)?,
        None => ids.make(&bound_id(name.clone())),
    };
    let word = point.get("status").and_then(Json::text).map(str::trim).unwrap_or_default();
    let state = read_task_status(word);
    Some(SubJob {
        id,
        parent_id: None,
        name,
        state,
        upstream_state: word.to_owned(),
        message: None,
        start_time: point.time_at("startTimeStamp"),
        completion_time: point.time_at("endTimeStamp").filter(|_| is_end(state)),
    })
}

/// The places of the task types on the line that `lineStatuses` draws from its one beginning.
fn read_line<'a>(workflow: Json<'a>) -> HashMap<&'a str, usize> {
    let end_of = |line: Json<'a>, end: &str| line.get(end)?.get("taskType").and_then(Json::text);
    let lines: Vec<(&str, &str)> = workflow
        .get("status.lineStatuses")
        .into_iter()
        .flat_map(Json::items)
        .filter_map(|line| Some((end_of(line, "startPoint")?, end_of(line, "endPoint")?)))
        .collect();
    let next: HashMap<&str, &str> = lines.iter().copied().collect();
    let ends: HashSet<&str> = lines.iter().map(|(_, end)| *end).collect();

    let mut places = HashMap::new();
    let mut here = lines.iter().map(|(start, _)| *start).find(|start| !ends.contains(start));
    while let Some(point) = here
        && !places.contains_key(point)
    {
        places.insert(point, places.len());
        here = next.get(point).copied();
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tests::{observe, refuse, time};

    const PRE_CHECK: &str = "f61e008c-1600-41c0-9bde-121de5a30660";
    const CLUSTER: &str = "6d799ff6-3afe-4242-80b4-6f0a0fa746cb";

    #[test]
    fn the_vendor_s_example_is_read_in_full() {
        let task = |id: &str, name: &str, state, word: &str| SubJob {
            id: id.into(),
            parent_id: None,
            name: name.into(),
            state,
            upstream_state: word.into(),
            message: None,
            start_time: None,
            completion_time: None,
        };
        let expected = Observation {
            operation_type: Some("WorkFlowTask".into()),
            target: Target { id: Some("b4b9e60f-8aa2-11ee-af09-0255ac10004f".into()), ..Target::default() },
            message: Some(
                "upgrade from v1.17.17-r0 to v1.19.16-r80 is parked: retry its failed task or cancel it, in the CCE \
                 console or through its API"
                    .into(),
            ),
            sub_jobs: vec![
                SubJob {
                    start_time: time("2023-11-25T07:20:04.592972Z"),
                    completion_time: time("2023-11-25T07:21:05.518966Z"),
                    ..task(PRE_CHECK, "PreCheck", State::Succeeded, "Success")
                },
                task("Snapshot", "Snapshot", State::Pending, ""),
                SubJob {
                    start_time: time("2023-11-25T07:49:30.283459Z"),
                    completion_time: time("2023-11-25T07:58:35.507243Z"),
                    ..task(CLUSTER, "Cluster", State::Failed, "Failed")
                },
                task("PostCheck", "PostCheck", State::Pending, ""),
            ],
            error: Some(OperationError {
                message: Some("task Cluster failed".into()),
                sub_job: Some(CLUSTER.into()),
                ..OperationError::default()
            }),
            start_time: time("2023-11-25T06:32:34.923248Z"),
            ..Observation::new(State::Blocked, "Pending")
        };
        assert_eq!(observe("huawei_cce_upgrade/vendor-example"), expected);
    }

    #[rstest::rstest]
    #[case("not-started", State::Pending, "Init", None)]
    #[case("retried", State::Running, "Running", None)]
    #[case("succeeded", State::Succeeded, "Success", Some("2023-11-25T08:41:00.123456789Z"))]
    #[case("cancelled", State::Cancelled, "CANCEL", Some("2023-11-25T07:58:35.507243Z"))]
    #[case("unknown-phase", State::Unrecognized, "Rollbacking", None)]
    fn a_phase_that_is_not_parked_has_no_error(
        #[case] case: &str,
        #[case] state: State,
        #[case] word: &str,
        #[case] end: Option<&str>,
    ) {
        let observation = observe(&format!("huawei_cce_upgrade/{case}"));
        assert_eq!((observation.state, observation.upstream_state.as_str()), (state, word));
        assert_eq!(observation.completion_time, end.and_then(time));
        assert_eq!(observation.error, None);
        assert_eq!(observation.message.as_deref(), Some("upgrade from v1.17.17-r0 to v1.19.16-r80"));
    }

    #[rstest::rstest]
    #[case("not-started", &["PreCheck", "Snapshot", "Cluster", "PostCheck"])]
    #[case("tasks-out-of-order", &["PreCheck", "Snapshot", "Cluster", "PostCheck"])]
    #[case("parked-without-tasks", &[])]
    fn tasks_stand_in_the_order_of_the_line(#[case] case: &str, #[case] expected: &[&str]) {
        let observation = observe(&format!("huawei_cce_upgrade/{case}"));
        let names: Vec<&str> = observation.sub_jobs.iter().map(|task| task.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[rstest::rstest]
    #[case::circle(r#"{"A":"B","B":"A"}"#, &["C", "B", "A"])]
    #[case::fork(r#"{"A":"B","X":"Y"}"#, &["C", "A", "B"])]
    #[case::to_itself(r#"{"A":"A"}"#, &["C", "B", "A"])]
    fn a_line_that_cannot_be_followed_leaves_the_listed_order(#[case] lines: &str, #[case] expected: &[&str]) {
        let lines: std::collections::BTreeMap<&str, &str> = serde_json::from_str(lines).unwrap();
        let lines: Vec<String> = lines
            .iter()
            .map(|(start, end)| {
                format!(r#"{{"startPoint":{{"taskType":"{start}"}},"endPoint":{{"taskType":"{end}"}}}}"#)
            })
            .collect();
        let reply = format!(
            r#"{{"status":{{"lineStatuses":[{}],"pointStatuses":[{{"taskType":"C"}},{{"taskType":"B"}},null,{{"taskType":"A"}}]}}}}"#,
            lines.join(",")
        );
        let document = crate::document::Document::parse(reply.as_bytes()).unwrap();
        let names: Vec<String> = read_points(document.root()).into_iter().map(|task| task.name).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_workflow_parked_for_an_unknown_cause_still_says_what_to_do() {
        let observation = observe("huawei_cce_upgrade/parked-without-tasks");
        assert_eq!((observation.state, observation.error), (State::Blocked, None));
        let message = "upgrade is parked: retry its failed task or cancel it, in the CCE console or through its API";
        assert_eq!(observation.message.as_deref(), Some(message));
    }

    #[rstest::rstest]
    #[case("phase-not-a-text", "the reply has no usable status.phase")]
    #[case("another-operation", "the reply is about another operation, c271e39e-1a6e-4d3d-8fa8-2a36329c68d2")]
    fn a_reply_that_is_no_answer_says_why(#[case] case: &str, #[case] why: &str) {
        assert_eq!(refuse(&format!("huawei_cce_upgrade/{case}")), why);
    }

    #[rstest::rstest]
    #[case("ap-southeast-3", "https://cce.ap-southeast-3.myhuaweicloud.com")]
    #[case("eu-west-101", "https://cce.eu-west-101.myhuaweicloud.eu")]
    fn the_region_gives_the_host(#[case] region: &str, #[case] endpoint: &str) {
        let api = HuaweiCceUpgrade { region: region.into(), project_id: "p".into(), cluster_id: "c".into() };
        assert_eq!(api.endpoint().as_deref(), Some(endpoint));
        assert_eq!(api.request("w").path, "/api/v3/projects/p/clusters/c/operation/upgradeworkflows/w");
    }

    #[rstest::rstest]
    #[case(Some("CCE.01404001"), Whose::Service)]
    #[case(Some("APIGW.0101"), Whose::Gateway)]
    #[case(Some("CCE_CM.0404"), Whose::Service)]
    #[case(Some("E.CFE.4040003"), Whose::Service)]
    #[case(Some("https://tools.ietf.org/html/rfc9110#section-15.5.5"), Whose::Gateway)]
    #[case(Some("NOT_HERE"), Whose::Unclear)]
    #[case(None, Whose::Gateway)]
    fn only_the_service_knows_which_workflows_exist(#[case] code: Option<&str>, #[case] whose: Whose) {
        let refusal = ApiError { status: 404, code: code.map(Into::into), ..ApiError::default() };
        let api = HuaweiCceUpgrade { region: "r".into(), project_id: "p".into(), cluster_id: "c".into() };
        assert_eq!(api.whose(&refusal), whose);
    }
}
