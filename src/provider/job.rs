//! The document of kind `Job`, in which Huawei's container services report an operation with its sub-jobs nested in it:
//! <https://support.huaweicloud.com/intl/en-us/api-cce/cce_02_0247.html>.

use super::*;

/// What a Job says.
///
/// # Errors
/// [`Misread`] when it does not say where it stands.
pub(super) fn read_job(job: Json<'_>) -> Result<Observation, Misread> {
    let word = read_state_word(phase_of(job), "status.phase")?;
    let state = read_phase(word);
    let parts = read_parts(job);

    let mut observation = Observation::new(state, word);
    observation.operation_type = job.text_at("spec.type");
    observation.target = Target {
        id: ["spec.resourceID", "spec.clusterUID", "spec.federationUID"].iter().find_map(|path| job.text_at(path)),
        name: job.text_at("spec.resourceName"),
        url: None,
    };
    let text = read_text(job);
    if state == State::Failed {
        observation.error = describe_failure(text, &parts);
    } else {
        observation.message = text;
    }
    observation.start_time = job.time_at("status.startTime").or_else(|| job.time_at("metadata.creationTimestamp"));
    observation.completion_time = read_completion(job, state);
    let error = ["error", "status.error", "errors"].iter().find_map(|path| job.get(path).and_then(read_error));
    add_error(&mut observation, error);
    observation.sub_jobs = parts.into_iter().map(|part| part.sub_job).collect();
    Ok(observation)
}

/// CCE's own codes start "CCE.", as in CCE.01404001, "CCE_CM." or, of its engine, "E.CFE.".
pub(super) fn is_of_cce(code: &str) -> bool {
    ["CCE.", "CCE_CM.", "E.CFE."].iter().any(|family| code.starts_with(family))
}

/// v3 puts the state into `status.phase`, v2 into `status.status`.
fn phase_of(job: Json<'_>) -> Option<Json<'_>> {
    job.get("status.phase").or_else(|| job.get("status.status"))
}

fn read_phase(word: &str) -> State {
    match word.to_ascii_lowercase().as_str() {
        "initializing" => State::Pending,
        "running" => State::Running,
        "success" => State::Succeeded,
        "failed" => State::Failed,
        _ => State::Unrecognized,
    }
}

/// Why the job is as it is, in the cloud's words.
fn read_text(job: Json<'_>) -> Option<String> {
    match (job.text_at("status.reason"), job.text_at("status.message")) {
        (Some(reason), Some(message)) if reason != message => Some(format!("{reason}: {message}")),
        (reason, message) => reason.or(message),
    }
}

/// CCE's jobs name no end; the last update of an ended job is it.
fn read_completion(job: Json<'_>, state: State) -> Option<jiff::Timestamp> {
    is_end(state)
        .then(|| job.time_at("status.completionTime").or_else(|| job.time_at("metadata.updateTimestamp")))
        .flatten()
}

fn describe_failure(text: Option<String>, parts: &[Part]) -> Option<OperationError> {
    let culprit = parts
        .iter()
        .filter(|part| part.sub_job.state == State::Failed)
        .reduce(|deepest, part| if part.depth > deepest.depth { part } else { deepest })
        .map(|part| &part.sub_job);
    let message = text.or_else(|| {
        let culprit = culprit?;
        Some(culprit.message.clone().unwrap_or_else(|| format!("sub-job {} failed", culprit.name)))
    })?;
    Some(OperationError {
        code: find_code(&message).or_else(|| find_code(culprit?.message.as_deref()?)).map(str::to_owned),
        message: Some(message),
        sub_job: culprit.map(|sub_job| sub_job.id.clone()),
        ..OperationError::default()
    })
}

struct Part {
    sub_job: SubJob,
    depth: usize,
}

/// Every sub-job, parents before children. One that is listed again under the same ID counts once; those without an ID
/// are told apart by their place. One with neither ID nor type cannot be told of, so only its children are kept.
fn read_parts(job: Json<'_>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut ids = Ids::default();
    // Each level with the number of the part it is of: an ID is copied for each part, not for each level.
    let mut open = vec![(children(job), None::<usize>)];
    while let Some((siblings, parent)) = open.last_mut() {
        let Some(child) = siblings.next() else {
            open.pop();
            continue;
        };
        let mut above = *parent;
        let parent_id = above.and_then(|at| parts.get(at)).map(|part| part.sub_job.id.clone());
        match read_part(child, parent_id, &mut ids) {
            Some(Named::New(sub_job)) => {
                above = Some(parts.len());
                parts.push(Part { sub_job: *sub_job, depth: open.len() });
            }
            Some(Named::Again(at)) => above = Some(at),
            None => {}
        }
        open.push((children(child), above));
    }
    parts
}

/// A sub-job, or the number of one that has been listed before.
enum Named {
    New(Box<SubJob>),
    Again(usize),
}

/// The list stands as an array in every example, though the vendor's table calls it an object.
fn children(job: Json<'_>) -> impl Iterator<Item = Json<'_>> {
    job.get("spec.subJobs")
        .into_iter()
        .flat_map(|list| list.items().chain(list.is_object().then_some(list)))
        .filter(|child| child.is_object())
}

fn read_part(job: Json<'_>, parent_id: Option<String>, ids: &mut Ids) -> Option<Named> {
    let name = job.text_at("spec.type");
    let id = match (job.text_at("metadata.uid").map(bound_id), &name) {
        (Some(id), _) => {
            if let Err(number) = ids.take(&id) {
                return Some(Named::Again(number));
            }
            id
        }
        (None, Some(name)) => ids.make(&bound_id(name.clone())),
        (None, None) => return None,
    };
    let word = phase_of(job).and_then(Json::text).map(str::trim).unwrap_or_default();
    // A sub-job that has not begun may come without status.
    let state = if word.is_empty() { State::Pending } else { read_phase(word) };
    let begun = state != State::Pending;
    Some(Named::New(Box::new(SubJob {
        parent_id,
        name: name.unwrap_or_else(|| id.clone()),
        id,
        state,
        upstream_state: word.to_owned(),
        message: read_text(job),
        start_time: job
            .time_at("status.startTime")
            .or_else(|| begun.then(|| job.time_at("metadata.creationTimestamp")).flatten()),
        completion_time: read_completion(job, state),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::provider::tests::{observe, time};

    fn parts(observation: &Observation) -> Vec<(&str, Option<&str>, &str, State)> {
        let parts = observation.sub_jobs.iter();
        parts.map(|part| (part.id.as_str(), part.parent_id.as_deref(), part.name.as_str(), part.state)).collect()
    }

    #[test]
    fn sub_jobs_follow_their_parent_and_may_come_without_status() {
        let [node, vm, install, cert] = [
            "73c5a4a1-8b1b-11e8-8f9d-0255ac10193f",
            "73c5c8b3-8b1b-11e8-8f9d-0255ac10193f",
            "73c5e2d5-8b1b-11e8-8f9d-0255ac10193f",
            "73c5f7f7-8b1b-11e8-8f9d-0255ac10193f",
        ];
        let observation = observe("otc_cce_job/minimal-nested-two-deep");
        assert_eq!(
            parts(&observation),
            [
                (node, None, "CreateNode", State::Running),
                (vm, Some(node), "CreateNodeVM", State::Succeeded),
                (install, Some(node), "InstallNode", State::Pending),
                (cert, None, "GetPSMCert", State::Pending),
            ]
        );
        assert_eq!(observation.sub_jobs[3].upstream_state, "");
        assert_eq!(observation.target.id.as_deref(), Some("6a5e1d8a-8b1a-11e8-8f9d-0255ac10193f"));
        assert_eq!(observation.start_time, None);
    }

    #[test]
    fn odd_sub_jobs_spoil_only_themselves() {
        let id = |n| format!("d0d0a1a1-0d0e-4a35-93f3-0e1b8f0a7a0{n}");
        assert_eq!(
            parts(&observe("otc_cce_job/odd-sub-jobs")),
            [
                (id(2).as_str(), None, "CreateNodeVM", State::Succeeded),
                (id(3).as_str(), Some(id(2).as_str()), "InstallNode", State::Unrecognized),
                ("GetPSMCert", None, "GetPSMCert", State::Pending),
                (id(4).as_str(), None, id(4).as_str(), State::Pending),
            ]
        );
    }

    #[test]
    fn both_spellings_are_read() {
        let observation = observe("otc_cce_job/lower-case-spelling");
        assert_eq!((observation.state, observation.upstream_state.as_str()), (State::Succeeded, "Success"));
        assert_eq!(observation.target.id.as_deref(), Some("6f4dcb2c-229a-11e8-9c75-0255ac100ceb"));
        assert_eq!(observation.target.name.as_deref(), Some("cluster-name"));
        assert_eq!(observation.start_time, time("2025-12-30T07:00:00.5Z"));
        assert_eq!(observation.completion_time, time("2025-12-30T07:09:59.7Z"));
        let [part] = observation.sub_jobs.as_slice() else { panic!("{:?}", observation.sub_jobs) };
        assert_eq!((part.name.as_str(), part.state), ("DeleteNode", State::Succeeded));
        assert_eq!(part.start_time, time("2025-12-30T07:00:01Z"));
        assert_eq!(part.completion_time, time("2025-12-30T07:09:58Z"));
    }

    #[rstest::rstest]
    #[case("accepted", State::Pending, "Initializing", None)]
    #[case("unknown-phase", State::Unrecognized, "Paused", None)]
    #[case(
        "failed-in-a-leaf",
        State::Failed,
        "Failed",
        Some(("Quota exceeded for resources: cores", "8f0c3c55-1f9c-4a6a-9c0b-0c3f4f7f1a13"))
    )]
    #[case(
        "failed-with-reason-and-message",
        State::Failed,
        "FAILED",
        Some(("CreateNodeFailed: The node could not be created.", "b1f0a2de-5a0e-4b1f-8a57-6f3ac0dd5a02"))
    )]
    fn a_phase_is_a_state_and_a_failure_says_why(
        #[case] case: &str,
        #[case] state: State,
        #[case] word: &str,
        #[case] error: Option<(&str, &str)>,
    ) {
        let observation = observe(&format!("otc_cce_job/{case}"));
        assert_eq!((observation.state, observation.upstream_state.as_str()), (state, word));
        let error = error.map(|(message, sub_job)| OperationError {
            message: Some(message.into()),
            sub_job: Some(sub_job.into()),
            ..OperationError::default()
        });
        assert_eq!(observation.error, error);
        assert_eq!(observation.message, None);
    }

    #[test]
    fn a_failed_leaf_without_words_is_named() {
        let document = Document::parse(
            br#"{"spec":{"subJobs":{"metadata":{"uid":"a"},"spec":{"type":"CreateNode"},"status":{"phase":"Failed"}}},
                "status":{"phase":"Failed"}}"#,
        )
        .unwrap();
        let error = read_job(document.root()).unwrap().error.unwrap();
        assert_eq!(
            (error.message.as_deref(), error.sub_job.as_deref()),
            (Some("sub-job CreateNode failed"), Some("a"))
        );
    }

    #[test]
    fn a_reason_of_a_going_job_is_its_progress() {
        let document = Document::parse(br#"{"status":{"phase":"Running","reason":"waiting for nodes"}}"#).unwrap();
        let observation = read_job(document.root()).unwrap();
        assert_eq!((observation.message.as_deref(), observation.error), (Some("waiting for nodes"), None));
    }

    #[test]
    fn ten_thousand_levels_of_sub_jobs_are_read() {
        let levels = 10_000;
        let mut body = String::from(r#"{"status":{"phase":"Running"},"spec":{"subJobs":["#);
        for level in 0..levels {
            body += &format!(r#"{{"metadata":{{"uid":"{level}"}},"spec":{{"subJobs":["#);
        }
        body += &"]}}".repeat(levels + 1);
        let document = Document::parse(body.as_bytes()).unwrap();
        let sub_jobs = read_job(document.root()).unwrap().sub_jobs;
        assert_eq!(sub_jobs.len(), levels);
        assert_eq!(sub_jobs[levels - 1].parent_id.as_deref(), Some("9998"));
    }

    #[test]
    fn as_many_sub_jobs_as_a_reply_holds_are_read() {
        let list: Vec<String> = (0..35_000).map(|n| format!(r#"{{"metadata":{{"uid":"{n}"}}}}"#)).collect();
        let body = format!(r#"{{"status":{{"phase":"Running"}},"spec":{{"subJobs":[{}]}}}}"#, list.join(","));
        let document = Document::parse(body.as_bytes()).unwrap();
        assert_eq!(read_job(document.root()).unwrap().sub_jobs.len(), 35_000);
    }
}
