//! The vendors' own clients as referees. They were not written for us: where they stumble the simulator is wrong, and
//! where their signer signs what the controller sent otherwise than the controller did, the controller is.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use cloudop_simulator::{Account, Cloud, Operation, RecordedRequest, Scope, Stage, Task};
use serde_json::{Value, json};

use crate::credentials::{Case, Proof, cases};
use crate::{apply_all, bed, operation, polls};

/// Runs `clients.py command` with `input`, in an environment that is made at first need.
fn ask_clients(command: &str, input: &Value) -> Value {
    static PYTHON: OnceLock<String> = OnceLock::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vendor-clients");
    let python = PYTHON.get_or_init(|| {
        let output = Command::new(folder.join("build")).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "tests/vendor-clients/build failed: see above what it takes");
        String::from_utf8_lossy(&output.stdout).trim().lines().last().unwrap().to_owned()
    });
    let mut clients = Command::new(python);
    clients.arg(folder.join("clients.py")).arg(command).stdin(Stdio::piped()).stdout(Stdio::piped());
    // A proxy or a cloud of this machine's user is not meant.
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "OS_CLIENT_CONFIG_FILE", "OS_CLOUD"] {
        clients.env_remove(variable);
    }
    let mut clients = clients.stderr(Stdio::piped()).spawn().unwrap();
    clients.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = clients.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `value` without what `expected` does not speak of.
fn narrow(value: &Value, expected: &Value) -> Value {
    match (value, expected) {
        (Value::Object(value), Value::Object(expected)) => expected
            .iter()
            .map(|(key, expected)| (key.clone(), narrow(value.get(key).unwrap_or(&Value::Null), expected)))
            .collect(),
        (Value::Array(value), Value::Array(expected)) if value.len() == expected.len() => {
            value.iter().zip(expected).map(|(value, expected)| narrow(value, expected)).collect()
        }
        _ => value.clone(),
    }
}

#[track_caller]
fn assert_shows(value: &Value, expected: &Value) {
    assert_eq!(narrow(value, expected), *expected, "{value:#}");
}

#[test]
fn the_vendors_clients_sign_in_and_read_what_was_scripted() {
    let bed = bed();
    let simulator = &bed.simulator;
    let temporary = Account::new("temporary").credential("AK1", "s3cret-1", "").security_token("session");
    simulator.account(temporary.may_see("p1"));
    simulator.account(Account::new("global").credential("AK2", "s3cret-2", "").may_see("fleet"));
    simulator.account(Account::new("person").credential("me", "s3cret-3", "domain").may_see("p1"));
    let (upgrade, fleet) = (Cloud::HuaweiCceUpgrade, Cloud::HuaweiUcsFederation);
    let stage = Stage::state("Running")
        .task(Task::new("t1", "PreCheck").state("Success"))
        .task(Task::new("t2", "Cluster").state("Running"))
        .task(Task::new("", "PostCheck"));
    simulator.put(Operation::new(upgrade, Scope::cce("p1", "c1"), "flow").stage(stage));
    let install = Task::new("s1", "InstallFederationChart").state("Failed").reason("no quota");
    let stage = Stage::state("Failed").error("", "no quota").task(install);
    simulator.put(Operation::new(fleet, Scope::ucs(), "fleet").kind("CreateFederation").job_uid("u1").stage(stage));
    let masters =
        Task::new("s1", "InstallMaster").state("Running").task(Task::new("s2", "CreateNodeVM").state("Success"));
    let job = Operation::new(Cloud::OtcCceJob, Scope::otc("p1"), "job").kind("CreateCluster").target("c9", "name");
    simulator.put(job.stage(Stage::state("Running").task(masters)));

    let folder = tempfile(simulator.ca_pem());
    let user = json!({"username": "me", "password": "s3cret-3", "domain": "domain", "project": "p1", "job": "job"});
    let plan = json!({
        "url": simulator.url(),
        "ca": folder,
        "cce": {"accessKey": "AK1", "secretKey": "s3cret-1", "securityToken": "session", "project": "p1",
                "cluster": "c1", "workflow": "flow", "job": "job"},
        "ucs": {"accessKey": "AK2", "secretKey": "s3cret-2", "domain": "d1", "fleet": "fleet"},
        "iam": user,
        "otc": user,
    });
    let read = ask_clients("read", &plan);
    let _ = std::fs::remove_file(&folder);

    assert_shows(
        &read["huaweicloudsdkcce"]["workflow"],
        &json!({
            "kind": "WorkFlowTask", "apiVersion": "v3", "metadata": {"uid": "flow"}, "spec": {"clusterID": "c1"},
            "status": {"phase": "Running", "pointStatuses": [
                {"taskType": "PreCheck", "taskID": "t1", "status": "Success"},
                {"taskType": "Cluster", "taskID": "t2", "status": "Running"},
                {"taskType": "PostCheck"},
            ]},
        }),
    );
    let sub_jobs = json!([{
        "metadata": {"uid": "s1"}, "spec": {"type": "InstallMaster",
            "subJobs": [{"metadata": {"uid": "s2"}, "spec": {"type": "CreateNodeVM"}, "status": {"phase": "Success"}}]},
        "status": {"phase": "Running"},
    }]);
    assert_shows(
        &read["huaweicloudsdkcce"]["job"],
        &json!({
            "kind": "Job", "metadata": {"uid": "job"}, "status": {"phase": "Running"},
            "spec": {"type": "CreateCluster", "resourceID": "c9", "resourceName": "name", "subJobs": sub_jobs},
        }),
    );
    assert_shows(
        &read["huaweicloudsdkucs"],
        &json!({
            "metadata": {"uid": "u1"}, "status": {"phase": "Failed", "reason": "no quota"},
            "spec": {"type": "CreateFederation", "subJobs": [
                {"metadata": {"uid": "s1"}, "spec": {"type": "InstallFederationChart"},
                 "status": {"phase": "Failed", "reason": "no quota"}},
            ]},
        }),
    );
    assert_shows(
        &read["otcextensions"],
        &json!({
            "id": "job", "kind": "Job", "api_version": "v3", "metadata": {"id": "job"}, "status": {"status": "Running"},
        }),
    );
    assert_shows(&read["huaweicloudsdkiam"], &json!({"token": {"project": {"id": "p1"}, "methods": ["password"]}}));
    assert!(read["huaweicloudsdkiam"]["X-Subject-Token"].as_str().is_some_and(|token| token.len() > 20), "{read:#}");
}

fn tempfile(text: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("cloudop-vendors-{}.pem", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_vendor_s_signer_signs_the_controller_s_requests_as_the_controller_does() {
    let bed = bed();
    let signs = |case: &Case| matches!(case.proof, Proof::Signature { .. });
    let cases: Vec<Case> = cases("s3cret").into_iter().filter(signs).collect();
    let mut objects = Vec::new();
    for case in &cases {
        bed.simulator.account(case.account());
        bed.simulator.put(case.operation(true));
        let keys = case.keys(&bed.simulator);
        let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        bed.secret(case.name, &keys);
        objects.push(operation(case.name, &case.provider(), case.name, case.name));
    }
    apply_all(&bed, &objects);
    let _controller = bed.controller(&[]);
    let mut recorded: Vec<(&Case, RecordedRequest)> = Vec::new();
    for case in &cases {
        bed.until_reason(case.name, "Succeeded", "OperationSucceeded");
        recorded.extend(polls(&bed.simulator, case.name).into_iter().map(|request| (case, request)));
    }
    assert_eq!(recorded.len(), 3 * cases.len());
    let requests: Vec<Value> = recorded.iter().map(|(case, request)| signed_part(case, request)).collect();
    let sent: Vec<&str> = recorded.iter().map(|(_, request)| request.header("authorization").unwrap()).collect();
    assert_eq!(ask_clients("sign", &json!(requests)), json!(sent));
}

/// What of a request its signature covers.
fn signed_part(case: &Case, request: &RecordedRequest) -> Value {
    let authorization = request.header("authorization").unwrap();
    let signed = authorization.split("SignedHeaders=").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let headers: serde_json::Map<String, Value> =
        signed.split(';').map(|name| (name.to_owned(), json!(request.header(name).unwrap()))).collect();
    json!({
        "method": request.method,
        "target": request.path_and_query,
        "headers": headers,
        "accessKey": case.id(),
        "secretKey": case.secret,
    })
}
