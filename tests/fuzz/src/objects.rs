//! What stands in a cluster, as another version or somebody's hand may have written it, and what a command line reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cloudop::api::{CloudOperation, OperationProfile};
use cloudop::decision::{self, Memory, Next, Poll, Step, Subject, decide, is_over, resume};
use cloudop::document::Document;
use cloudop::observation::{FailureKind, Observation, PollFailure, State};
use cloudop::profile::{judge, status};
use cloudop::provider::{Declared, find, interpret, read_page};
use kube::config::Kubeconfig;
use serde_json::Value;

use crate::{now, split_line};

/// What the cloud says, and a CloudOperation.
pub fn object(data: &[u8]) {
    let (line, body) = split_line(data);
    let Ok(mut operation) = serde_json::from_slice::<CloudOperation>(body) else { return };
    let written = serde_json::to_string(&operation).unwrap();
    let again: CloudOperation = serde_json::from_str(&written).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), written, "what we write we read otherwise");

    let decide = |operation: &CloudOperation, poll: &Option<Poll>, memory| {
        decide(Subject { operation, cloud: "cloud", typical: None }, poll.clone(), memory, now())
    };
    let said = |state| Some(Ok(Observation::new(state, "word")));
    let result = match line {
        "pending" => said(State::Pending),
        "running" => said(State::Running),
        "succeeded" => said(State::Succeeded),
        "failed" => said(State::Failed),
        "absent" => Some(Err(PollFailure::new(FailureKind::NotFound, "it is unknown"))),
        "secret" => Some(Err(PollFailure::new(FailureKind::CredentialsNotFound, "there is none"))),
        "down" => Some(Err(PollFailure::new(FailureKind::ServerError, "trouble"))),
        _ => None,
    };
    let poll = result.map(|result| Poll { result, age: Duration::ZERO, since_last: None });
    let before = operation.status.clone().unwrap_or_default();
    let step = decision::next(&operation, None, now());
    assert_eq!(step == Step::Settle, is_over(&before) || operation.spec.suspend);
    assert!(resume(&operation, None, 0.5, now()) >= now());
    let first = decide(&operation, &poll, Memory::default());
    assert_eq!(first, decide(&operation, &poll, Memory::default()));
    if is_over(&before) {
        assert!(is_over(&first.status) && first.status.phase == before.phase, "an end was taken back");
        assert_eq!(first.status.completion_time, before.completion_time);
    }
    match first.next {
        Next::Poll(at) => assert!(!is_over(&first.status) && at >= now(), "{at}"),
        Next::Delete(_) => assert!(is_over(&first.status)),
        Next::Rest => assert!(is_over(&first.status) || operation.spec.suspend, "nobody looks at it again"),
    }
    operation.status = Some(first.status);
    let second = decide(&operation, &poll, first.memory);
    if poll.is_none_or(|poll| poll.result.is_ok()) {
        assert_eq!(Some(&second.status), operation.status.as_ref(), "the same answer is written twice");
    }
}

/// A line, and an OperationProfile as JSON; it reads its own examples and the line.
pub fn profile(data: &[u8]) {
    let (line, body) = split_line(data);
    let Ok(profile) = serde_json::from_slice::<OperationProfile>(body) else { return };
    let judged = judge(&profile);
    let status = status(&profile, &judged, now());
    assert!(serde_json::to_string(&status).unwrap().len() < 32 << 10);
    let compiled = match judged {
        Ok(compiled) => compiled,
        Err(refusal) => {
            assert!(!refusal.message.is_empty());
            return;
        }
    };
    let parameters: BTreeMap<Box<str>, Box<str>> = compiled.sample_parameters();
    let declared = Declared { profile: "p".into(), parameters };
    let bound = match compiled.bind(&declared, line) {
        Ok(bound) => bound,
        Err(_) => compiled.for_reading(&declared),
    };
    use cloudop::provider::CloudApi;
    let request = bound.request(line);
    assert!(request.path.starts_with('/') && !request.path.contains("/../"), "{}", request.path);
    if let Some(hosts) = &profile.spec.hosts {
        assert!(!hosts.is_empty());
    }
    let replies = profile.spec.examples.iter().map(|example| example.reply.0.to_string());
    for reply in replies.chain([line.to_owned()]).take(8) {
        let Ok(document) = Document::parse(reply.as_bytes()) else { continue };
        let _ = interpret(&bound, line, document.root());
        let _ = find(&bound, line, document.root());
        let _ = read_page(&bound, document.root());
        let _ = Arc::clone(&compiled).identify(document.root());
    }
}

/// A file of the command line's: a kubeconfig, or the profiles that it tests.
pub fn kubeconfig(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Kubeconfig::from_yaml(text);
    if let Ok(profile) = serde_saphyr::from_str::<OperationProfile>(text) {
        let _ = judge(&profile);
    }
    let _ = serde_saphyr::from_str::<Value>(text);
}
