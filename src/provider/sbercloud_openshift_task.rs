//! SberCloud (Cloud.ru) Managed OpenShift tasks:
//! <https://docs.sbercloud.ru/managed-openshift/ug/topics/api/api-ref_task.html>.

use super::*;

/// A task of SberCloud's (Cloud.ru's) Managed OpenShift, such as the creation of a cluster. The operationId is the task's
/// ID: the id in the reply that started it. The API's host is not published: the Secret must have the key endpoint.
///
/// The cloud does not publish its words for the state of a task. Words that can have one meaning only are understood
/// (done, failed, running and the like), and a task with an error has failed; what any other word means can be said
/// with succeededStates and failedStates. Until then the task is followed and neither succeeds nor fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SbercloudOpenshiftTask {
    /// ID of the service (vDC) that the cluster was ordered in: serviceInstanceId of the task.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = 64))]
    pub service_instance_id: String,
    /// The cloud's words that mean success, whatever they would be taken for otherwise. Upper and lower case are equal.
    #[schemars(length(max = 16), inner(regex(pattern = r"^\S(.*\S)?$"), length(max = 64)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub succeeded_states: Vec<String>,
    /// The cloud's words that mean failure, whatever they would be taken for otherwise. Upper and lower case are equal. A
    /// word that stands in both lists means failure.
    #[schemars(length(max = 16), inner(regex(pattern = r"^\S(.*\S)?$"), length(max = 64)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_states: Vec<String>,
}

impl CloudApi for SbercloudOpenshiftTask {
    fn cloud(&self) -> &str {
        "SberCloud Managed OpenShift"
    }

    fn domains(&self) -> &[&str] {
        &["cloud.ru", "sbercloud.ru", "sbercloud.org"]
    }

    fn token_header(&self) -> TokenHeader {
        TokenHeader::Bearer
    }

    fn endpoint(&self) -> Option<String> {
        None
    }

    fn sign_in(&self) -> SignIn {
        let url = "https://iam.api.cloud.ru".to_owned();
        SignIn {
            methods: Cow::Borrowed(&["token", "serviceKey"]),
            identity_service: Some(IdentityService { url, domain: Some("cloud.ru".to_owned()) }),
            scope: Scope::Account,
            oauth: None,
        }
    }

    fn request(&self, operation_id: &str) -> Request {
        Request::get(&["openshift", "v1", &self.service_instance_id, "tasks", operation_id])
    }

    fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
        let task = reply
            .get("task")
            .or_else(|| reply.get("id").map(|_| reply))
            .filter(|task| task.is_object())
            .ok_or_else(|| Misread::field("task"))?;
        check_id(operation_id, task, "id")?;
        Ok(Reading::Found(Box::new(self.read_task(task)?)))
    }

    /// Every task of the service in one reply; the vendor names no pages.
    fn list(&self) -> Option<Request> {
        Some(Request::get(&["openshift", "v1", &self.service_instance_id, "tasks"]))
    }

    fn find(&self, operation_id: &str, page: Json<'_>) -> Result<Reading, Misread> {
        let tasks = read_list(page, &["tasks"])?;
        read_found(find_by_id(operation_id, tasks, "id"), |task| self.read_task(task))
    }

    fn read_page(&self, page: Json<'_>) -> Result<Listing, Misread> {
        Ok(read_members(read_list(page, &["tasks"])?, "id", |task| self.read_task(task)))
    }

    /// The API's own code for it is google.rpc's NOT_FOUND. With the bare words "Not Found", though, it is gRPC-Gateway
    /// that knows no such path (`DefaultRoutingErrorHandler`), as when the endpoint lacks its prefix.
    fn whose(&self, refusal: &ApiError) -> Whose {
        match (refusal.code.as_deref(), refusal.message.as_deref()) {
            (Some("5"), Some("Not Found")) => Whose::Gateway,
            _ => whose(refusal, |code| matches!(code, "5" | "NOT_FOUND")),
        }
    }
}

impl SbercloudOpenshiftTask {
    fn read_task(&self, task: Json<'_>) -> Result<Observation, Misread> {
        let error = task.get("error").and_then(read_error).map(name_code);
        let word = read_state_word(task.get("status"), "task.status");
        // With a code the error is the outcome, whatever the word (google.longrunning.Operation).
        let (state, word) = match error.as_ref().and_then(|error| error.code.as_deref()) {
            Some(code) => (read_outcome(code), word.unwrap_or_default()),
            None => word.map(|word| (self.read_state(word), word))?,
        };

        let mut observation = Observation::new(state, word);
        observation.operation_type = task.text_at("command");
        observation.target.id = task.text_at("metadata.value").filter(|id| is_readable_id(id));
        observation.start_time = task.time_at("createdAt");
        if is_end(state) {
            observation.completion_time = task.time_at("modifiedAt");
        }
        add_error(&mut observation, error);
        Ok(observation)
    }

    fn read_state(&self, word: &str) -> State {
        let is_among = |words: &[String]| words.iter().any(|w| w.trim().to_lowercase() == word.to_lowercase());
        if is_among(&self.failed_states) {
            State::Failed
        } else if is_among(&self.succeeded_states) {
            State::Succeeded
        } else {
            read_generic_state(word)
        }
    }
}

/// Words that say the same in every API. "finished" and the like are success because failure shows in `error`.
fn read_generic_state(word: &str) -> State {
    let word = word.to_ascii_lowercase().replace(['-', ' '], "_");
    let word = ["task_status_", "task_state_", "status_", "state_"]
        .iter()
        .find_map(|prefix| word.strip_prefix(prefix))
        .unwrap_or(&word);
    match word {
        "new" | "created" | "accepted" | "pending" | "queued" | "scheduled" | "waiting" => State::Pending,
        "started" | "running" | "in_progress" | "inprogress" | "processing" | "executing" => State::Running,
        "done" | "ok" | "success" | "successful" | "succeeded" | "complete" | "completed" | "finished" => {
            State::Succeeded
        }
        "error" | "fail" | "failed" | "failure" => State::Failed,
        "cancelled" | "canceled" | "aborted" => State::Cancelled,
        _ => State::Unrecognized,
    }
}

/// A google.rpc error is an outcome by itself; that of a cancelled operation is CANCELLED:
/// <https://github.com/googleapis/googleapis/blob/master/google/longrunning/operations.proto> (CancelOperation).
fn read_outcome(code: &str) -> State {
    if code.ends_with("CANCELLED") { State::Cancelled } else { State::Failed }
}

/// <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>
fn name_code(error: OperationError) -> OperationError {
    let name = |code: &str| match code {
        "1" => "CANCELLED",
        "2" => "UNKNOWN",
        "3" => "INVALID_ARGUMENT",
        "4" => "DEADLINE_EXCEEDED",
        "5" => "NOT_FOUND",
        "6" => "ALREADY_EXISTS",
        "7" => "PERMISSION_DENIED",
        "8" => "RESOURCE_EXHAUSTED",
        "9" => "FAILED_PRECONDITION",
        "10" => "ABORTED",
        "11" => "OUT_OF_RANGE",
        "12" => "UNIMPLEMENTED",
        "13" => "INTERNAL",
        "14" => "UNAVAILABLE",
        "15" => "DATA_LOSS",
        "16" => "UNAUTHENTICATED",
        _ => "",
    };
    let code = error.code.map(|code| format!("{code} {}", name(&code)).trim_end().to_owned());
    OperationError { code, ..error }
}

/// `metadata.value` holds the resource's ID, or the bytes of a message in base64, which never has a "-".
fn is_readable_id(value: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    value.chars().all(allowed) && (value.contains('-') || value.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tests::{observe, refuse, time};

    #[test]
    fn a_task_is_read_in_full() {
        let expected = Observation {
            operation_type: Some("create_cluster".into()),
            target: Target { id: Some("b7e0c9f4-3c1d-4a52-9d1e-5f8a6b7c2d33".into()), ..Target::default() },
            start_time: time("2024-03-04T12:36:36.352798Z"),
            completion_time: time("2024-03-04T12:59:01Z"),
            ..Observation::new(State::Succeeded, "Done")
        };
        assert_eq!(observe("sbercloud_openshift_task/succeeded"), expected);
    }

    #[rstest::rstest]
    #[case("running", State::Running, "TASK_STATUS_IN_PROGRESS")]
    #[case("error-code-zero", State::Running, "running")]
    #[case("response-without-known-status", State::Unrecognized, "Готово")]
    #[case("succeeded-by-override", State::Succeeded, "Готово")]
    #[case("failed-by-override", State::Failed, "completed")]
    #[case("any-with-at-type", State::Pending, "queued")]
    #[case("bare-task", State::Cancelled, "cancelled")]
    fn a_status_without_error_is_a_state(#[case] case: &str, #[case] state: State, #[case] word: &str) {
        let observation = observe(&format!("sbercloud_openshift_task/{case}"));
        assert_eq!((observation.state, observation.upstream_state.as_str()), (state, word));
        assert_eq!(observation.error, None);
        assert_eq!(observation.completion_time.is_some(), is_end(state));
    }

    #[rstest::rstest]
    #[case("failed-with-code", "DONE", "7 PERMISSION_DENIED", "quota of the project does not allow it")]
    #[case("failed-without-status", "", "9 FAILED_PRECONDITION", "a cluster of that name exists")]
    fn an_error_is_failure_whatever_the_status_says(
        #[case] case: &str,
        #[case] word: &str,
        #[case] code: &str,
        #[case] message: &str,
    ) {
        let observation = observe(&format!("sbercloud_openshift_task/{case}"));
        assert_eq!((observation.state, observation.upstream_state.as_str()), (State::Failed, word));
        let error =
            OperationError { code: Some(code.into()), message: Some(message.into()), ..OperationError::default() };
        assert_eq!(observation.error, Some(error));
    }

    #[rstest::rstest]
    #[case(State::Pending, &["New", "STATUS_CREATED", "state-queued", " pending"])]
    #[case(State::Running, &["In Progress", "in-progress", "InProgress", "TASK_STATE_PROCESSING"])]
    #[case(State::Succeeded, &["OK", "Success", "TASK_STATUS_SUCCEEDED", "Completed", "FINISHED"])]
    #[case(State::Failed, &["ERROR", "fail", "Failure", "STATUS_FAILED"])]
    #[case(State::Cancelled, &["CANCELED", "cancelled", "aborted"])]
    #[case(State::Unrecognized, &["STATUS_UNSPECIFIED", "not done", "undone", "ready", "1", "STATUS_STATUS_DONE"])]
    fn only_words_of_one_meaning_are_understood(#[case] state: State, #[case] words: &[&str]) {
        for word in words {
            assert_eq!(read_generic_state(word.trim()), state, "{word}");
        }
    }

    #[rstest::rstest]
    #[case("0", None)]
    #[case("\"0\"", None)]
    #[case("{}", None)]
    #[case("1", Some("1 CANCELLED"))]
    #[case("\"16\"", Some("16 UNAUTHENTICATED"))]
    #[case("17", Some("17"))]
    #[case("\"NOT_FOUND\"", Some("NOT_FOUND"))]
    fn a_code_is_named(#[case] code: &str, #[case] expected: Option<&str>) {
        let document = crate::document::Document::parse(format!("{{\"code\":{code}}}").as_bytes()).unwrap();
        let code = read_error(document.root()).map(name_code).and_then(|error| error.code);
        assert_eq!(code.as_deref(), expected);
    }

    #[test]
    fn the_bytes_of_a_message_are_no_target() {
        assert_eq!(observe("sbercloud_openshift_task/any-with-at-type").target, Target::default());
    }

    #[rstest::rstest]
    #[case("status-missing", "the reply has no usable task.status")]
    #[case("list-instead-of-task", "the reply has no usable task")]
    #[case("another-operation", "the reply is about another operation, e2a7d4f0-4f5c-4b93-8a55-7f1c9d2b3a13")]
    fn a_reply_that_is_no_answer_says_why(#[case] case: &str, #[case] why: &str) {
        assert_eq!(refuse(&format!("sbercloud_openshift_task/{case}")), why);
    }

    #[rstest::rstest]
    #[case(Some("5"), Some("task not found"), Whose::Service)]
    #[case(Some("5"), Some("Not Found"), Whose::Gateway)]
    #[case(None, Some("Not Found"), Whose::Gateway)]
    #[case(None, None, Whose::Gateway)]
    #[case(Some("12"), Some("Method Not Allowed"), Whose::Unclear)]
    #[case(None, Some("no healthy upstream"), Whose::Unclear)]
    #[case(Some("https://tools.ietf.org/html/rfc9110#section-15.5.5"), Some("Not Found"), Whose::Gateway)]
    fn only_the_service_knows_which_tasks_exist(
        #[case] code: Option<&str>,
        #[case] message: Option<&str>,
        #[case] whose: Whose,
    ) {
        let refusal = ApiError {
            status: 404,
            code: code.map(Into::into),
            message: message.map(Into::into),
            ..ApiError::default()
        };
        let api: SbercloudOpenshiftTask = serde_json::from_str(r#"{"serviceInstanceId":"i"}"#).unwrap();
        assert_eq!(api.whose(&refusal), whose);
    }

    #[test]
    fn the_host_is_the_secret_s_to_say() {
        let api =
            SbercloudOpenshiftTask { service_instance_id: "i".into(), succeeded_states: vec![], failed_states: vec![] };
        assert_eq!(api.endpoint(), None);
        assert_eq!(api.request("t").path, "/openshift/v1/i/tasks/t");
    }
}
