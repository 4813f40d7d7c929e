//! Nothing secret leaves: canaries in every Secret, clouds that repeat what they are sent, every line of log there is.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use cloudop_simulator::{Cloud, Fault, Matcher, Operation, Simulator, Stage, Times};
use cloudop_testbed::{condition, eventually};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::credentials::{Case, cases};
use crate::{apply_all, bed, operation};

const SALT: &str = "c4nary";
/// How the names of those end that send a token.
const SENDS_TOKEN: &[&str] = &["-token", "-client", "-password", "sbercloud-key", "-form-key"];

/// A cloud of its own for each way in which it may talk too much.
fn clouds() -> Vec<(&'static str, Simulator)> {
    let cloud = |name, faults: &[(Fault, Matcher)]| {
        let simulator = futures::executor::block_on(Simulator::start()).unwrap();
        for (fault, matcher) in faults {
            simulator.fault(fault.clone(), matcher.clone(), Times::Forever);
        }
        (name, simulator)
    };
    let everywhere = |name, fault| cloud(name, &[(fault, Matcher::any())]);
    let apis = [
        Cloud::NumspotKubernetes,
        Cloud::HuaweiCceUpgrade,
        Cloud::HuaweiUcsFederation,
        Cloud::OtcCceJob,
        Cloud::SbercloudOpenshiftTask,
        Cloud::HuaweiJob,
        Cloud::NumspotCluster,
    ];
    let after_signing_in = |fault: Fault| apis.map(|api| (fault.clone(), Matcher::cloud(api)));
    vec![
        cloud("talkative", &[]),
        everywhere("echo", Fault::EchoToken),
        cloud("late-echo", &after_signing_in(Fault::EchoToken)),
        cloud("unauthorized", &after_signing_in(Fault::Unauthorized)),
        everywhere("truncated", Fault::TruncatedJson),
        everywhere("redirect", Fault::Redirect { code: 307, to: "https://evil.example/login".to_owned() }),
        everywhere("reset", Fault::Reset),
        everywhere("broken", Fault::ServerError { status: 500 }),
    ]
}

/// An operation whose every text is the secret.
fn talkative(case: &Case) -> Operation {
    let (id, secret) = (case.name, case.secrets().join(" and "));
    let part = json!([{"metadata": {"uid": secret}, "spec": {"type": secret},
                       "status": {"phase": secret, "reason": secret}, "taskType": secret, "taskID": secret}]);
    let document = match case.cloud {
        Cloud::NumspotKubernetes => json!({"id": id, "status": secret, "operationType": secret, "progress": secret,
            "clusterId": secret, "target": secret, "error": {"title": secret, "detail": secret}}),
        Cloud::HuaweiCceUpgrade => {
            json!({"kind": "WorkFlowTask", "metadata": {"uid": id}, "spec": {"clusterID": secret},
            "status": {"phase": secret, "pointStatuses": part}})
        }
        Cloud::HuaweiUcsFederation | Cloud::OtcCceJob => json!({"kind": "Job", "metadata": {"uid": id},
            "spec": {"type": secret, "resourceID": secret, "resourceName": secret, "subJobs": part},
            "status": {"phase": secret, "reason": secret, "message": secret}}),
        Cloud::HuaweiJob => json!({"job_id": id, "status": secret, "job_type": secret, "error_code": secret,
            "fail_reason": secret, "entities": {"server_id": secret, "sub_jobs": [{"job_id": secret, "job_type": secret,
            "status": secret, "error_code": secret, "fail_reason": secret}]}}),
        Cloud::NumspotCluster => {
            json!({"id": id, "name": secret, "status": {"state": secret, "message": secret}, "error": secret})
        }
        Cloud::SbercloudOpenshiftTask => json!({"task": {"id": id, "status": secret, "command": secret,
            "serviceInstanceId": secret, "metadata": {"value": secret}}}),
    };
    Operation::new(case.cloud, case.scope(), case.name).stage(Stage::raw(document.to_string()))
}

/// Every spelling in which a secret may turn up.
fn spellings(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let quoted = Value::from(secret).to_string();
    vec![
        secret.to_owned(),
        quoted.trim_matches('"').to_owned(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        form,
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ]
}

#[test]
fn no_secret_and_no_token_is_in_a_status_an_event_or_a_log_whatever_a_cloud_repeats() {
    let bed = bed();
    let cases = cases(SALT);
    let clouds = clouds();
    let (mut secrets, mut objects) = (Vec::new(), Vec::new());
    for (cloud, simulator) in &clouds {
        for case in &cases {
            simulator.account(case.account());
            simulator.put(if *cloud == "talkative" { talkative(case) } else { case.operation(false) });
            let name = format!("{cloud}-{}", case.name);
            let address = [("endpoint", simulator.url()), ("ca.crt", simulator.ca_pem().to_owned())];
            let data: serde_json::Map<String, Value> = case
                .keys(simulator)
                .into_iter()
                .chain(address)
                .map(|(key, value)| (key.to_owned(), Value::from(value)))
                .collect();
            secrets.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}));
            objects.push(operation(&name, &case.provider(), case.name, &name));
        }
    }
    apply_all(&bed, &secrets);
    apply_all(&bed, &objects);
    let controller = bed.controller(&["--log", "trace"]);
    let polled = eventually(Duration::from_secs(120), "each was polled", || {
        let list: Value = serde_json::from_str(&bed.kubectl(&["get", "cloudoperations", "-o", "json"]).stdout)
            .map_err(|error| error.to_string())?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let is_polled = |item: &Value| {
            condition(&item["status"], "UpstreamReachable").is_some_and(|reachable| reachable["status"] != "Unknown")
        };
        let left = items.iter().filter(|item| !is_polled(item)).count();
        if left == 0 && items.len() == objects.len() { Ok(items) } else { Err(format!("{left} are left")) }
    });
    for object in &polled {
        let (name, status) = (object["metadata"]["name"].as_str().unwrap(), &object["status"]);
        let reason = &condition(status, "UpstreamReachable").unwrap()["reason"];
        assert_eq!(reason == "PollSucceeded", name.starts_with("talkative"), "{name}: {status:#}");
        // It was repeated, and noticed. A signature is no secret: it is good for one request only.
        if name.starts_with("talkative")
            || name.starts_with("late-echo") && SENDS_TOKEN.iter().any(|n| name.ends_with(n))
        {
            assert!(status.to_string().contains("[redacted]"), "{name}: {status:#}");
        }
    }
    let mut canaries: Vec<(String, String)> = Vec::new();
    for case in &cases {
        for secret in case.secrets() {
            canaries.extend(spellings(secret).into_iter().map(|spelling| (case.name.to_owned(), spelling)));
        }
    }
    let mut minted = 0;
    for (cloud, simulator) in &clouds {
        for request in simulator.requests() {
            let authorization = request.header("authorization");
            let bearer = authorization.and_then(|value| value.strip_prefix("Bearer "));
            let basic = authorization.and_then(|value| value.strip_prefix("Basic "));
            let tokens = [bearer, basic, request.header("x-auth-token")];
            for token in tokens.into_iter().flatten() {
                minted += 1;
                canaries.extend(spellings(token).into_iter().map(|spelling| ((*cloud).to_owned(), spelling)));
            }
        }
    }
    assert!(minted > clouds.len(), "{minted}");
    canaries.sort();
    canaries.dedup();
    let texts_of = |kind| {
        let mut texts = Vec::new();
        collect(&serde_json::from_str(&bed.kubectl(&["get", kind, "-o", "json"]).stdout).unwrap(), &mut texts);
        texts.join("\n")
    };
    let (objects, events, logs) = (texts_of("cloudoperations"), texts_of("events.events.k8s.io"), controller.logs());
    assert!(objects.contains("UnrecognizedState") && events.contains("CredentialsInvalid"));
    assert!(logs.contains("TRACE"), "the logs are at their most talkative");
    for (place, text) in [("a status", &objects), ("an event", &events), ("the log", &logs)] {
        assert_eq!(text.lines().find(|line| line.contains(SALT)), None, "{place} holds a secret");
        for (owner, canary) in &canaries {
            let line = text.lines().find(|line| line.contains(canary.as_str()));
            assert_eq!(line, None, "{place} holds a secret of {owner}");
        }
    }
}

/// Every text in `value`.
fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(members) => members.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
