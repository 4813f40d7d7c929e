//! The status that each reply of a cloud in `fixtures/` makes of a new CloudOperation, held against a reviewed
//! expectation. A new case is two files, `<case>.json` and `<case>.yaml` (what was asked); `UPDATE_EXPECTED=1` writes
//! the third, to be read line by line before it is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cloudop::api::CloudOperation;
use cloudop::decision::{Memory, Poll, Subject, decide};
use cloudop::document::Document;
use cloudop::observation::{FailureKind, Misread, PollFailure, Reading};
use cloudop::provider::interpret;
use serde_json::{Value, json};

/// When every reply is taken to arrive.
const NOW: &str = "2026-11-23T12:00:00Z";

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folders = std::fs::read_dir(root).unwrap().map(|folder| folder.unwrap().path());
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files
}

fn status_after(reply: &Path) -> Value {
    let asked = std::fs::read_to_string(reply.with_extension("yaml")).unwrap();
    let mut spec: Value = serde_saphyr::from_str(&asked).unwrap();
    spec["credentialsRef"] = json!({"name": "cloud"});
    let mut operation = CloudOperation::new("operation", serde_json::from_value(spec).unwrap());
    operation.metadata.generation = Some(1);
    let api = operation.spec.provider.built_in().unwrap();
    let read = Document::parse(&std::fs::read(reply).unwrap())
        .and_then(|document| interpret(api, &operation.spec.operation_id, document.root()));
    let result = match read {
        Ok(Reading::Found(observation)) => Ok(*observation),
        Ok(Reading::NextPage(request)) => return json!({"nextPage": format!("{}?{:?}", request.path, request.query)}),
        Ok(Reading::Unreadable(misread)) => Err(PollFailure::new(FailureKind::InvalidResponse, misread.to_string())),
        Ok(Reading::Absent) => Err(PollFailure::new(FailureKind::NotFound, "the cloud does not know it")),
        Err(Misread(why)) => Err(PollFailure::new(FailureKind::InvalidResponse, why)),
    };
    let poll = Poll { result, age: Duration::ZERO, since_last: None };
    serde_json::to_value(
        decide(
            Subject { operation: &operation, cloud: api.cloud(), typical: None },
            Some(poll),
            Memory::default(),
            NOW.parse().unwrap(),
        )
        .status,
    )
    .unwrap()
}

#[test]
fn every_reply_gives_the_reviewed_status() {
    let cases = cases();
    assert!(cases.len() > 50, "only {} cases found", cases.len());
    let mut wrong = Vec::new();
    for reply in &cases {
        let held = reply.with_extension("expected.yaml");
        let status = status_after(reply);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&held, serde_saphyr::to_string(&status).unwrap()).unwrap();
        }
        let expected: Value = serde_saphyr::from_str(&std::fs::read_to_string(&held).unwrap_or_default()).unwrap();
        if status != expected {
            wrong.push(format!("{}\n{}", held.display(), serde_saphyr::to_string(&status).unwrap()));
        }
    }
    assert!(wrong.is_empty(), "these give another status now:\n{}", wrong.join("\n"));
}
