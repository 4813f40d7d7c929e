//! The document in which Huawei's compute and storage services report a job:
//! <https://support.huaweicloud.com/intl/en-us/api-ecs/ecs_02_0901.html>.

use super::*;

/// A service that reports its jobs so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobService {
    /// Bare Metal Server.
    Bms,
    /// Elastic Cloud Server.
    Ecs,
    /// Elastic Volume Service.
    Evs,
    /// Image Management Service.
    Ims,
}

impl JobService {
    /// As it stands in the names of its hosts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bms => "bms",
            Self::Ecs => "ecs",
            Self::Evs => "evs",
            Self::Ims => "ims",
        }
    }
}

/// What to ask for a job.
pub(super) fn request(project_id: &str, operation_id: &str) -> Request {
    Request::get(&["v1", project_id, "jobs", operation_id])
}

/// What the reply says of the job.
///
/// # Errors
/// [`Misread`] when it is not about this job, or does not say where it stands.
pub(super) fn interpret(operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
    check_id(operation_id, reply, "job_id")?;
    let word = read_state_word(reply.get("status"), "status")?;
    let state = read_status(word);
    let mut observation = Observation::new(state, word);
    observation.operation_type = reply.text_at("job_type");
    observation.start_time = reply.time_at("begin_time");
    observation.completion_time = reply.time_at("end_time").filter(|_| is_end(state));
    observation.sub_jobs = read_parts(reply);
    observation.target.id = target(reply).or_else(|| {
        // A job for one resource has one part that names it.
        let mut parts = children(reply);
        let only = parts.next().filter(|_| parts.next().is_none())?;
        target(only)
    });
    add_error(&mut observation, failure(reply));
    if observation.state == State::Failed {
        let culprit = observation.sub_jobs.iter().rfind(|part| part.state == State::Failed);
        let mut error = observation.error.take().unwrap_or_default();
        error.sub_job = culprit.map(|part| part.id.clone());
        error.message = error.message.or_else(|| culprit?.message.clone());
        observation.error = Some(error);
    }
    Ok(Reading::Found(Box::new(observation)))
}

/// Whose a 404 is: the services' own codes are `Ecs.0114` and their like.
pub(super) fn whose(refusal: &ApiError) -> Whose {
    const OWN: &[&str] = &["Ecs.", "EVS.", "BMS.", "IMG.", "IMS.", "Common."];
    super::whose(refusal, |code| OWN.iter().any(|family| code.starts_with(family)))
}

/// PENDING_PAYMENT is said of an order that someone has to pay.
fn read_status(word: &str) -> State {
    match word.to_ascii_uppercase().as_str() {
        "INIT" => State::Pending,
        "RUNNING" => State::Running,
        "PENDING_PAYMENT" => State::Blocked,
        "SUCCESS" => State::Succeeded,
        "FAIL" => State::Failed,
        _ => State::Unrecognized,
    }
}

/// Both are null where nothing is wrong.
fn failure(job: Json<'_>) -> Option<OperationError> {
    let text = |name| job.get(name).and_then(read_error).and_then(|error| error.message.or(error.code));
    let (message, code) = (text("fail_reason"), text("error_code"));
    (message.is_some() || code.is_some()).then(|| OperationError { code, message, ..OperationError::default() })
}

/// What a job works on stands under a name that tells its kind.
fn target(job: Json<'_>) -> Option<String> {
    const IDS: &[&str] = &["server_id", "volume_id", "image_id", "snapshot_id", "backup_id", "nic_id", "port_id"];
    let entities = job.get("entities")?;
    IDS.iter().find_map(|id| entities.text_at(id))
}

fn children(job: Json<'_>) -> impl Iterator<Item = Json<'_>> {
    job.get("entities.sub_jobs").into_iter().flat_map(Json::items).filter(|part| part.is_object())
}

/// Every part, parents before children. One that is listed again under the same ID counts once.
fn read_parts(job: Json<'_>) -> Vec<SubJob> {
    let mut parts: Vec<SubJob> = Vec::new();
    let mut ids = Ids::default();
    let mut open = vec![(children(job), None::<usize>)];
    while let Some((siblings, parent)) = open.last_mut() {
        let Some(child) = siblings.next() else {
            open.pop();
            continue;
        };
        let mut above = *parent;
        let parent_id = above.and_then(|at| parts.get(at)).map(|part| part.id.clone());
        match read_part(child, parent_id, &mut ids) {
            Ok(part) => {
                above = Some(parts.len());
                parts.push(part);
            }
            Err(known) => above = Some(known),
        }
        open.push((children(child), above));
    }
    parts
}

/// # Errors
/// The number of the part, where it has been listed before.
fn read_part(job: Json<'_>, parent_id: Option<String>, ids: &mut Ids) -> Result<SubJob, usize> {
    let name = job.text_at("job_type");
    let id = match job.text_at("job_id").map(bound_id) {
        Some(id) => {
            ids.take(&id)?;
            id
        }
        None => ids.make(&bound_id(name.clone().unwrap_or_else(|| "job".to_owned()))),
    };
    let word = job.get("status").and_then(Json::text).map(str::trim).unwrap_or_default();
    let state = if word.is_empty() { State::Pending } else { read_status(word) };
    let message = failure(job).and_then(|error| match (error.code, error.message) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or(message),
    });
    Ok(SubJob {
        parent_id,
        name: name.unwrap_or_else(|| id.clone()),
        id,
        state,
        upstream_state: word.to_owned(),
        message,
        start_time: job.time_at("begin_time"),
        completion_time: job.time_at("end_time").filter(|_| is_end(state)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::provider::tests::{observe, refuse, time};

    #[test]
    fn the_vendor_s_example_is_read_in_full() {
        let expected = Observation {
            operation_type: Some("createServer".into()),
            target: Target { id: Some("bae51750-0089-41a1-9b18-5c777978ff6d".into()), ..Target::default() },
            start_time: time("2016-04-25T20:04:34.604Z"),
            completion_time: time("2016-04-25T20:08:41.593Z"),
            sub_jobs: vec![SubJob {
                id: "2c9eb2c5544cbf6101544f0635672b60".into(),
                parent_id: None,
                name: "createSingleServer".into(),
                state: State::Succeeded,
                upstream_state: "SUCCESS".into(),
                message: None,
                start_time: time("2016-04-25T20:04:34.604Z"),
                completion_time: time("2016-04-25T20:08:41.593Z"),
            }],
            ..Observation::new(State::Succeeded, "SUCCESS")
        };
        assert_eq!(observe("huawei_job/vendor-example"), expected);
    }

    #[test]
    fn a_failure_says_why_and_names_the_part() {
        let observation = observe("otc_job/failed-in-a-part");
        assert_eq!(observation.state, State::Failed);
        let error = observation.error.unwrap();
        assert_eq!(error.code.as_deref(), Some("Ecs.0013"));
        assert_eq!(error.message.as_deref(), Some("no more flavors of this type in the zone"));
        assert_eq!(error.sub_job.as_deref(), Some("2c9eb2c5544cbf6101544f0635672b61"));
    }

    #[rstest::rstest]
    #[case("INIT", State::Pending)]
    #[case("RUNNING", State::Running)]
    #[case("running", State::Running)]
    #[case("PENDING_PAYMENT", State::Blocked)]
    #[case("SUCCESS", State::Succeeded)]
    #[case("FAIL", State::Failed)]
    #[case("FAILED", State::Unrecognized)]
    #[case("PAUSED", State::Unrecognized)]
    fn every_published_word_has_its_state(#[case] word: &str, #[case] state: State) {
        assert_eq!(read_status(word), state);
    }

    #[test]
    fn a_code_beside_success_is_a_failure() {
        let document = Document::parse(br#"{"job_id":"j","status":"SUCCESS","error_code":"Ecs.0013"}"#).unwrap();
        let Ok(Reading::Found(observation)) = interpret("j", document.root()) else { panic!() };
        assert_eq!((observation.state, observation.error.unwrap().code.as_deref()), (State::Failed, Some("Ecs.0013")));
        for odd in ["[\"Ecs.0013\"]", "{\"code\":\"Ecs.0013\"}", "{\"message\":\"Ecs.0013\"}"] {
            let document =
                Document::parse(format!(r#"{{"job_id":"j","status":"SUCCESS","error_code":{odd}}}"#).as_bytes())
                    .unwrap();
            let Ok(Reading::Found(observation)) = interpret("j", document.root()) else { panic!() };
            assert_eq!(observation.error.unwrap().code.as_deref(), Some("Ecs.0013"), "{odd}");
        }
        for nothing in ["null", "\"\"", "\"0\"", "0"] {
            let reply =
                format!(r#"{{"job_id":"j","status":"SUCCESS","error_code":{nothing},"fail_reason":{nothing}}}"#);
            let document = Document::parse(reply.as_bytes()).unwrap();
            let Ok(Reading::Found(observation)) = interpret("j", document.root()) else { panic!() };
            assert_eq!((observation.state, observation.error), (State::Succeeded, None), "{nothing}");
        }
    }

    #[test]
    fn another_job_is_not_read() {
        assert!(refuse("huawei_job/another-job").contains("about another operation"));
    }

    #[rstest::rstest]
    #[case(Some("Ecs.0114"), Whose::Service)]
    #[case(Some("Common.0018"), Whose::Service)]
    #[case(Some("APIGW.0101"), Whose::Gateway)]
    #[case(Some("NOT_HERE"), Whose::Unclear)]
    #[case(None, Whose::Gateway)]
    fn only_the_service_knows_which_jobs_exist(#[case] code: Option<&str>, #[case] whose: Whose) {
        let refusal = ApiError { status: 404, code: code.map(Into::into), ..ApiError::default() };
        assert_eq!(super::whose(&refusal), whose);
    }
}
