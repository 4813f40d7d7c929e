//! What holds for every provider, and the reading of the clouds' replies in `tests/fixtures`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::Document;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    provider: Provider,
    operation_id: String,
}

/// What a fixture says, interpreted for the operation that the file of the same name with .yaml asks for.
pub fn interpret(case: &str) -> Result<Reading, Misread> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(case);
    let reply = std::fs::read(file.with_extension("json")).unwrap();
    let asked = std::fs::read_to_string(file.with_extension("yaml")).unwrap();
    let asked: Case = serde_saphyr::from_str(&asked).unwrap();
    asked.provider.interpret(&asked.operation_id, Document::parse(&reply)?.root())
}

pub fn observe(case: &str) -> Observation {
    match interpret(case) {
        Ok(Reading::Found(observation)) => *observation,
        other => panic!("{case}: {other:?}"),
    }
}

pub fn refuse(case: &str) -> String {
    interpret(case).unwrap_err().to_string()
}

pub fn time(text: &str) -> Option<jiff::Timestamp> {
    Some(text.parse().unwrap())
}

/// An operation of each provider, for a reply made up on the spot.
fn every_provider() -> Vec<Provider> {
    let mut cases: Vec<(String, Provider)> = fixtures()
        .iter()
        .map(|file| {
            let asked = std::fs::read_to_string(file.with_extension("yaml")).unwrap();
            let provider = serde_saphyr::from_str::<Case>(&asked).unwrap().provider;
            (format!("{provider:?}"), provider)
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases.dedup_by(|a, b| a.0 == b.0);
    cases.into_iter().map(|(_, provider)| provider).collect()
}

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folders = std::fs::read_dir(root).unwrap().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "json")).collect()
}

#[test]
fn every_provider_has_the_vendor_s_example_or_replies_made_from_its_description() {
    let used: HashSet<&str> = every_provider().iter().map(Provider::name).collect();
    assert_eq!(used, Provider::NAMES.iter().copied().collect());
}

#[rstest::rstest]
#[case("null")]
#[case("\"DONE\"")]
#[case("42")]
#[case("[]")]
#[case("{}")]
#[case(r#"[{"id":"x","status":"DONE"}]"#)]
#[case(r#"{"status":null,"task":null,"items":null,"metadata":null}"#)]
#[case(r#"{"status":"","task":{"status":" "},"items":{},"metadata":{"uid":"x"}}"#)]
#[case(r#"{"status":{"phase":7},"task":[],"items":7,"metadata":{"uid":"x"}}"#)]
#[case(r#"{"errorCode":"CCE.01404001","errorMessage":"Resource not found"}"#)]
#[case(r#"{"kind":"Status","status":"","code":404,"reason":"NotFound"}"#)]
fn no_provider_takes_something_else_for_an_operation(#[case] reply: &str) {
    let document = Document::parse(reply.as_bytes()).unwrap();
    for provider in every_provider() {
        let reading = provider.interpret("x", document.root());
        assert!(reading.is_err(), "{provider:?}: {reading:?}");
    }
}

#[rstest::rstest]
#[case("../../../admin")]
#[case("a?b#c%2e")]
#[case("..")]
fn an_identifier_stays_one_segment_of_the_path(#[case] id: &str) {
    for provider in every_provider() {
        let plain = provider.request("plain").path;
        let path = provider.request(id).path;
        assert_eq!(path.split('/').count(), plain.split('/').count(), "{path}");
        assert!(!path.contains(['?', '#']) && !path.ends_with('/'), "{path}");
    }
}

/// A value of any type.
fn value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec!["", "x", "Running", " success", "FAILED", "Pending", "DONE", "Cancel", "42%"]);
    let one = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        (-200..200).prop_map(Into::into),
        word.prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
    ];
    prop_oneof![8 => one.clone(), 1 => prop::collection::vec(one, 0..3).prop_map(Into::into), 1 => Just(json!({}))]
}

fn id() -> impl Strategy<Value = Value> {
    prop_oneof![4 => prop::sample::select(vec!["x", "a", "b", "c"]).prop_map(Into::into), 1 => value()]
}

/// What Huawei calls a task of a workflow, and an end of a line between two; IDs often meet.
fn point() -> impl Strategy<Value = Value> {
    (id(), id(), value(), value()).prop_map(
        |(id, kind, status, end)| json!({"taskID": id, "taskType": kind, "status": status, "endTimeStamp": end}),
    )
}

/// What Huawei calls a job, with IDs that often meet.
fn job() -> impl Strategy<Value = Value> {
    value().prop_recursive(6, 48, 4, |inner| {
        (id(), id(), value(), prop::collection::vec(inner, 0..4)).prop_map(|(id, kind, phase, parts)| {
            json!({"metadata": {"uid": id}, "spec": {"type": kind, "subJobs": parts}, "status": {"phase": phase}})
        })
    })
}

/// A reply with the members of every provider's operation.
fn reply() -> impl Strategy<Value = Value> {
    let line = (point(), point()).prop_map(|(start, end)| json!({"startPoint": start, "endPoint": end}));
    let phase = prop_oneof![3 => Just(json!("Running")), 1 => value()];
    let status = prop_oneof![
        value(),
        (phase, prop::collection::vec(point(), 0..6), prop::collection::vec(line, 0..4), value()).prop_map(
            |(phase, points, lines, end)| {
                json!({"phase": phase, "pointStatuses": points, "lineStatuses": lines, "completionTime": end})
            }
        ),
    ];
    let own = || prop_oneof![Just(Value::Null), Just(json!("X")), value()];
    (own(), own(), status, prop::collection::vec(job(), 0..6), value(), value()).prop_map(|(id, uid, status, jobs, one, two)| {
        let operation = json!({
            "id": id, "metadata": {"uid": uid, "value": one}, "status": status, "spec": {"subJobs": jobs, "type": one},
            "progress": two, "target": one, "error": {"code": two, "message": one, "title": one},
        });
        let mut reply = operation.clone();
        reply["items"] = json!([one, operation]);
        reply["nextPageToken"] = two;
        reply
    })
}

proptest! {
    #[test]
    fn whatever_the_reply_an_observation_is_sound(reply in reply()) {
        let document = Document::parse(reply.to_string().as_bytes()).unwrap();
        for provider in every_provider_once() {
            let Ok(Reading::Found(observation)) = provider.interpret("x", document.root()) else { continue };
            prop_assert!(!observation.upstream_state.is_empty() || observation.error.is_some());
            prop_assert!(observation.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
            prop_assert!(is_end(observation.state) || observation.completion_time.is_none());
            let mut seen = HashSet::new();
            for part in &observation.sub_jobs {
                if let Some(parent) = &part.parent_id {
                    prop_assert!(seen.contains(parent), "{parent} comes after its child");
                }
                prop_assert!(seen.insert(&part.id), "{} comes twice", part.id);
            }
        }
    }
}

fn every_provider_once() -> &'static [Provider] {
    static PROVIDERS: std::sync::LazyLock<Vec<Provider>> = std::sync::LazyLock::new(every_provider);
    &PROVIDERS
}
