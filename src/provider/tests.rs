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
    super::interpret(api(&asked.provider), &asked.operation_id, Document::parse(&reply)?.root())
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

fn api(provider: &Provider) -> &dyn CloudApi {
    provider.built_in().unwrap()
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
    let providers = every_provider();
    let used: HashSet<&str> = providers.iter().map(Provider::name).collect();
    assert_eq!(used, Provider::NAMES.iter().copied().filter(|name| *name != "declared").collect());
}

#[rstest::rstest]
#[case("null")]
#[case("\"DONE\"")]
#[case("42")]
#[case("[]")]
#[case("{}")]
#[case(r#"[{"id":"x","status":"DONE"}]"#)]
#[case(r#"{"status":null,"task":null,"metadata":null}"#)]
#[case(r#"{"status":"","task":{"status":" "},"items":{},"metadata":{"uid":"x"}}"#)]
#[case(r#"{"status":{"phase":7},"task":[],"items":7,"metadata":{"uid":"x"}}"#)]
#[case(r#"{"errorCode":"CCE.01404001","errorMessage":"Resource not found"}"#)]
#[case(r#"{"kind":"Status","status":"","code":404,"reason":"NotFound"}"#)]
fn no_provider_takes_something_else_for_an_operation(#[case] reply: &str) {
    let document = Document::parse(reply.as_bytes()).unwrap();
    for provider in every_provider() {
        let reading = super::interpret(api(&provider), "x", document.root());
        assert!(reading.is_err(), "{provider:?}: {reading:?}");
    }
}

/// A reply of each provider that tells of success, and where its `error` would stand.
const SUCCEEDED: &[(&str, &str)] = &[
    ("numspot_kubernetes/done", "/error"),
    ("huawei_cce_upgrade/succeeded", "/error"),
    ("huawei_cce_upgrade/succeeded", "/status/error"),
    ("huawei_ucs_federation/vendor-example", "/error"),
    ("huawei_ucs_federation/vendor-example", "/status/error"),
    ("otc_cce_job/lower-case-spelling", "/error"),
    ("otc_cce_job/lower-case-spelling", "/status/error"),
    ("sbercloud_openshift_task/succeeded", "/task/error"),
];

/// What the reply of `case` says with `error` put into its place.
fn observe_with(case: &str, path: &str, error: &Value) -> Observation {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(case);
    let mut reply: Value = serde_json::from_slice(&std::fs::read(file.with_extension("json")).unwrap()).unwrap();
    let (parent, key) = path.rsplit_once('/').unwrap();
    reply.pointer_mut(parent).unwrap()[key] = error.clone();
    let asked: Case = serde_saphyr::from_str(&std::fs::read_to_string(file.with_extension("yaml")).unwrap()).unwrap();
    let document = Document::parse(reply.to_string().as_bytes()).unwrap();
    match super::interpret(api(&asked.provider), &asked.operation_id, document.root()) {
        Ok(Reading::Found(observation)) => *observation,
        other => panic!("{case}: {other:?}"),
    }
}

#[test]
fn a_word_of_success_beside_an_error_is_a_failure_whatever_the_error_looks_like() {
    for (case, path) in SUCCEEDED {
        for error in [json!("quota"), json!(["quota"]), json!({"details": ["quota"]}), json!({"message": "quota"})] {
            let observation = observe_with(case, path, &error);
            assert_eq!(observation.state, State::Failed, "{case} {path} {error}");
            assert_eq!(observation.error.unwrap().message.as_deref(), Some("quota"), "{case} {path} {error}");
        }
        let nothing =
            [json!(null), json!({}), json!([]), json!(""), json!(0), json!({"code": 0}), json!({"code": "OK"})];
        for error in nothing {
            let observation = observe_with(case, path, &error);
            assert_eq!((observation.state, observation.error), (State::Succeeded, None), "{case} {path} {error}");
        }
    }
}

#[test]
fn parts_without_an_id_and_of_one_name_are_told_apart_by_their_place() {
    let part = || json!({"spec": {"type": "InstallNode"}, "status": {"phase": "Running"}});
    let job = json!({"metadata": {"uid": "x"}, "spec": {"subJobs": [part(), part(), part()]}, "status": {"phase": "Running"}});
    let point = || json!({"taskType": "InstallNode", "status": "Running"});
    let workflow =
        json!({"metadata": {"uid": "x"}, "status": {"phase": "Running", "pointStatuses": [point(), point(), point()]}});
    for (provider, reply) in [
        (json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}}), &job),
        (json!({"huaweiUcsFederation": {}}), &job),
        (json!({"huaweiCceUpgrade": {"region": "eu-west-101", "projectId": "p", "clusterId": "c"}}), &workflow),
    ] {
        let provider: Provider = serde_json::from_value(provider).unwrap();
        let document = Document::parse(reply.to_string().as_bytes()).unwrap();
        let Ok(Reading::Found(observation)) = super::interpret(api(&provider), "x", document.root()) else {
            panic!("{provider:?}")
        };
        let ids: Vec<&str> = observation.sub_jobs.iter().map(|part| part.id.as_str()).collect();
        assert_eq!(ids, ["InstallNode", "InstallNode#2", "InstallNode#3"], "{provider:?}");
        assert!(observation.sub_jobs.iter().all(|part| part.name == "InstallNode"));
    }
}

#[test]
fn an_id_without_end_is_not_copied_for_each_part() {
    let part = json!({"spec": {"type": "t"}});
    let parent = json!({"metadata": {"uid": "i".repeat(480_000)}, "spec": {"subJobs": vec![part; 20_000]}});
    let job = json!({"metadata": {"uid": "x"}, "spec": {"subJobs": [parent]}, "status": {"phase": "Running"}});
    let provider: Provider = serde_json::from_value(json!({"huaweiUcsFederation": {}})).unwrap();
    let document = Document::parse(job.to_string().as_bytes()).unwrap();
    let Ok(Reading::Found(observation)) = super::interpret(api(&provider), "x", document.root()) else { panic!() };
    assert_eq!(observation.sub_jobs.len(), 20_001);
    assert!(
        observation.sub_jobs.iter().all(|part| part.id.len() + part.parent_id.as_ref().map_or(0, String::len) < 600)
    );
}

/// One member that cannot be read spoils nothing for the others, and a list that is null is an empty one.
#[test]
fn an_odd_member_of_a_list_is_told_from_an_odd_list() {
    type List = fn(Value) -> Value;
    let lists: [(Value, List, Value); 4] = [
        (
            json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": "s", "clusterId": "c"}}),
            |members| json!({"items": members}),
            json!({"id": "x", "status": "RUNNING"}),
        ),
        (
            json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "s"}}),
            |members| json!({"tasks": members}),
            json!({"id": "x", "status": "running"}),
        ),
        (
            json!({"huaweiCceUpgrade": {"region": "eu-west-101", "projectId": "p", "clusterId": "c"}}),
            |members| json!({"items": members}),
            json!({"metadata": {"uid": "x"}, "status": {"phase": "Running"}}),
        ),
        (
            json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}}),
            |members| members,
            json!({"metadata": {"uid": "x"}, "status": {"status": "Running"}}),
        ),
    ];
    for (provider, list, good) in lists {
        let provider: Provider = serde_json::from_value(provider).unwrap();
        let find = |id: &str, members: Value| {
            let document = Document::parse(list(members).to_string().as_bytes()).unwrap();
            super::find(api(&provider), id, document.root())
        };
        for odd in [json!({"id": "y", "metadata": {"uid": "y"}}), json!({"id": {}}), json!(7), json!(null), json!({})] {
            let members = json!([odd, good]);
            assert!(matches!(find("x", members.clone()), Ok(Reading::Found(_))), "{provider:?} {odd}");
            let its_own = find("y", members);
            assert!(matches!(its_own, Ok(Reading::Unreadable(_) | Reading::Absent)), "{provider:?} {odd} {its_own:?}");
        }
        if !matches!(list(json!(null)), Value::Null) {
            assert_eq!(find("x", json!(null)), Ok(Reading::Absent), "{provider:?}");
            assert!(find("x", json!(7)).is_err(), "{provider:?}");
        }
    }
}

#[rstest::rstest]
#[case("../../../admin")]
#[case("a?b#c%2e")]
#[case("..")]
fn an_identifier_stays_one_segment_of_the_path(#[case] id: &str) {
    for provider in every_provider() {
        let plain = api(&provider).request("plain").path;
        let path = api(&provider).request(id).path;
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
            let Ok(Reading::Found(observation)) = super::interpret(api(provider), "x", document.root()) else { continue };
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
