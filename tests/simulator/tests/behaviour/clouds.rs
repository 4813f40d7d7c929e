//! What each cloud answers about an operation.

use std::time::Duration;

use cloudop_simulator::{Cloud, Matcher, NumspotApi, Operation, Route, Scope, Simulator, Stage, Task};
use serde_json::{Value, json};

use crate::{BEARER, PATHS, TOKEN, ask, client, operation, send, start};

/// Looks for a Go time such as `2023-11-25 06:32:34.923248 +0000 UTC`.
fn is_go_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() >= 29 && text.ends_with(" +0000 UTC") && text.as_bytes()[10] == b' '
}

#[tokio::test]
async fn an_otc_job_runs_to_its_failure() {
    let sim = Simulator::start().await.unwrap();
    let install = Task::new("s1", "InstallMaster").state("Success");
    let nested =
        Task::new("s2", "CreateNode").task(Task::new("s3", "CreateNodeVM").state("Failed").reason("quota exceeded"));
    let key = sim.put(
        Operation::new(Cloud::OtcCceJob, Scope::otc("p"), "j")
            .kind("CreateCluster")
            .target("c", "cluster-name")
            .stage(Stage::state("Running").task(install.clone()))
            .stage(Stage::state("Failed").error("CCE.1", "no").task(install).task(nested)),
    );
    let running = ask(&sim, "/api/v3/projects/p/jobs/j", TOKEN).await;
    assert_eq!(running.status, 200);
    assert_eq!(running.body["status"], json!({"phase": "Running", "reason": ""}));
    assert_eq!(running.body["spec"]["resourceName"], "cluster-name");
    assert!(is_go_time(&running.body["metadata"]["creationTimestamp"]));
    assert!(running.headers.contains_key("x-request-id"));

    assert!(sim.advance(&key));
    let failed = ask(&sim, "/api/v3/projects/p/jobs/j", BEARER).await.body;
    assert_eq!(failed["status"], json!({"phase": "Failed", "reason": "CCE.1: no"}));
    let outer = &failed["spec"]["subJobs"][1];
    assert!(outer.get("status").is_none());
    assert_eq!(outer["spec"]["subJobs"][0]["status"]["reason"], "quota exceeded");

    let list = ask(&sim, "/api/v2/projects/p/jobs", TOKEN).await.body;
    assert_eq!(list[0]["status"]["status"], "Failed");
    assert_eq!(list[0]["spec"]["subjobs"][1]["spec"]["subjobs"][0]["spec"]["type"], "CreateNodeVM");
    assert!(is_go_time(&list[0]["status"]["completionTime"]));
}

#[tokio::test]
async fn a_numspot_operation_is_done() {
    let sim = Simulator::start().await.unwrap();
    let key = sim.put(
        Operation::new(Cloud::NumspotKubernetes, Scope::numspot("s", "c"), "o")
            .kind("CREATE_CLUSTER")
            .stage(Stage::state("PENDING").progress("During task"))
            .stage(Stage::state("DONE")),
    );
    let path = "/kubernetes/spaces/s/operations/o";
    let pending = ask(&sim, path, BEARER).await.body;
    assert_eq!(pending["status"], "PENDING");
    assert_eq!(pending["progress"], "During task");
    assert!(pending.get("startTime").is_none());
    sim.advance(&key);
    let done = ask(&sim, path, BEARER).await.body;
    assert_eq!(done["status"], "DONE");
    assert!(done["endTime"].as_str().unwrap().ends_with('Z'));
    let list = ask(&sim, "/kubernetes/spaces/s/clusters/c/operations", BEARER).await.body;
    assert_eq!(list["operations"][0]["id"], "o");
}

#[tokio::test]
async fn an_upgrade_is_parked_and_then_succeeds() {
    let sim = Simulator::start().await.unwrap();
    let points = |cluster: &str| {
        [
            Task::new("t1", "PreCheck").state("Success"),
            Task::new("", "Snapshot"),
            Task::new("t2", "Cluster").state(cluster),
            Task::new("", "PostCheck"),
        ]
    };
    let stage = |phase: &str, cluster| points(cluster).into_iter().fold(Stage::state(phase), Stage::task);
    sim.put(
        operation(Cloud::HuaweiCceUpgrade)
            .stage(stage("Pending", "Failed").for_polls(1))
            .stage(stage("Success", "Success")),
    );
    let (_, path, header) = PATHS[1];
    let parked = ask(&sim, path, header).await;
    assert_eq!(parked.body["kind"], "WorkFlowTask");
    assert_eq!(parked.body["spec"]["clusterID"], "cluster");
    assert_eq!(parked.body["status"]["phase"], "Pending");
    let shown = parked.body["status"]["pointStatuses"].as_array().unwrap();
    assert!(is_go_time(&shown[0]["expireTimeStamp"]));
    assert_eq!(shown[1], json!({"taskType": "Snapshot"}));
    assert_eq!(shown[2]["status"], "Failed");
    assert!(is_go_time(&shown[2]["endTimeStamp"]));
    let lines = &parked.body["status"]["lineStatuses"];
    assert_eq!(lines[0]["endPoint"]["taskType"], "Cluster");
    assert_eq!(lines.as_array().unwrap().len(), 2);

    let list = path.strip_suffix("/op-1").unwrap();
    let listed = ask(&sim, list, header).await.body;
    assert_eq!(listed["kind"], "List");
    assert_eq!(listed["items"][0]["status"]["phase"], "Success");
}

#[tokio::test]
async fn a_fleets_new_job_takes_the_place_of_the_old() {
    let sim = Simulator::start().await.unwrap();
    let (_, path, header) = PATHS[2];
    let job = |uid| {
        operation(Cloud::HuaweiUcsFederation)
            .job_uid(uid)
            .stage(Stage::state("Success").task(Task::new("s1", "CreateCert").state("Success")))
    };
    sim.put(job("first"));
    let first = ask(&sim, path, header).await.body;
    assert_eq!(first["metadata"]["uid"], "first");
    assert_eq!(first["spec"]["federationUID"], "target-id");
    assert_eq!(first["status"]["phase"], "Success");
    assert!(is_go_time(&first["status"]["completionTime"]));
    assert_eq!(first["spec"]["subJobs"][0]["spec"]["type"], "CreateCert");
    sim.put(job("second"));
    assert_eq!(ask(&sim, path, header).await.body["metadata"]["uid"], "second");
    let unnamed = || operation(Cloud::HuaweiUcsFederation).stage(Stage::state("Running"));
    sim.put(unnamed());
    let third = ask(&sim, path, header).await.body["metadata"]["uid"].clone();
    sim.put(unnamed());
    assert_ne!(ask(&sim, path, header).await.body["metadata"]["uid"], third);
}

#[tokio::test]
async fn a_sbercloud_task_fails_with_a_code() {
    let sim = Simulator::start().await.unwrap();
    sim.put(operation(Cloud::SbercloudOpenshiftTask).stage(Stage::state("failed").error("8", "no quota")));
    let (_, path, header) = PATHS[4];
    let one = ask(&sim, path, header).await.body;
    assert_eq!(one["task"]["status"], "failed");
    assert_eq!(one["task"]["error"], json!({"code": 8, "message": "no quota", "details": []}));
    assert_eq!(one["task"]["command"], "CreateCluster");
    let all = ask(&sim, "/openshift/v1/instance/tasks", header).await.body;
    assert_eq!(all["tasks"][0], one["task"]);
}

#[tokio::test]
async fn numspots_later_api_has_pages_and_other_names() {
    let sim = Simulator::start().await.unwrap();
    for n in 0..3 {
        let scope = Scope::numspot("space", "cluster");
        sim.put(
            Operation::new(Cloud::NumspotKubernetes, scope, format!("op-{n}"))
                .stage(Stage::state("FAILED").error("conflict", "busy")),
        );
    }
    sim.numspot(NumspotApi::V1);
    let list = "/kubernetes/spaces/space/clusters/cluster/operations?page%5Bsize%5D=2";
    let first = ask(&sim, list, BEARER).await.body;
    assert_eq!(first["totalSize"], 3);
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let next = format!("{list}&page%5BnextToken%5D={}", first["nextPageToken"].as_str().unwrap());
    let last = ask(&sim, &next, BEARER).await.body;
    assert_eq!(last["items"][0]["id"], "op-2");
    assert_eq!(last["items"][0]["error"]["title"], "busy");
    assert!(last["items"][0]["createdAt"].is_string());
    assert!(last.get("nextPageToken").is_none());

    let (_, path, header) = PATHS[0];
    assert_eq!(ask(&sim, path, header).await.status, 200);
    sim.numspot(NumspotApi::V1ListOnly);
    let gone = ask(&sim, path, header).await;
    assert_eq!((gone.status, &gone.body["type"]), (404, &json!("about:blank")));
    assert_eq!(ask(&sim, list, BEARER).await.status, 200);
}

#[tokio::test]
async fn a_raw_stage_answers_exactly_those_bytes() {
    let sim = Simulator::start().await.unwrap();
    let raw = r#"{"task" : {"id": "op-1",  "status": 42}}"#;
    sim.put(operation(Cloud::SbercloudOpenshiftTask).stage(Stage::raw(raw)));
    let (_, path, header) = PATHS[4];
    assert_eq!(ask(&sim, path, header).await.text, raw);
    let all = ask(&sim, "/openshift/v1/instance/tasks", header).await.body;
    assert_eq!(all, json!({"tasks": [{"id": "op-1", "status": 42}]}));
}

#[tokio::test]
async fn what_was_asked_is_counted() {
    let sim = start().await;
    sim.latency(Duration::from_millis(30));
    let began = std::time::Instant::now();
    for (_, path, header) in PATHS {
        assert_eq!(ask(&sim, path, header).await.status, 200);
    }
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!(sim.count(Matcher::any()), 5);
    assert_eq!(sim.count(Matcher::cloud(Cloud::OtcCceJob)), 1);
    assert_eq!(sim.count(Matcher::id("op-1").and_path("/openshift/")), 1);
    assert_eq!(sim.connections(), 5);
    let request = sim.requests().remove(3);
    assert_eq!((request.method.as_str(), request.status), ("GET", 200));
    assert_eq!(request.header("x-auth-token"), Some("let-me-in"));
    sim.reset_counts();
    assert_eq!((sim.count(Matcher::any()), sim.connections()), (0, 0));
}

#[tokio::test]
async fn a_job_of_a_service_runs_to_its_failure() {
    let sim = Simulator::start().await.unwrap();
    let part = Task::new("s1", "createSingleServer").state("FAIL").reason("no more flavors");
    let key = sim.put(
        Operation::new(Cloud::HuaweiJob, Scope::project("p"), "j")
            .kind("createServer")
            .target("server", "")
            .stage(Stage::state("INIT"))
            .stage(Stage::state("FAIL").error("Ecs.0013", "no more flavors").task(part)),
    );
    let path = "/v1/p/jobs/j";
    let begun = ask(&sim, path, TOKEN).await;
    assert_eq!((begun.status, &begun.body["status"]), (200, &json!("INIT")));
    assert_eq!(begun.body["entities"], json!({"server_id": "server"}));
    assert_eq!((&begun.body["error_code"], &begun.body["end_time"]), (&Value::Null, &Value::Null));
    assert!(sim.advance(&key));
    let failed = ask(&sim, path, TOKEN).await.body;
    assert_eq!((&failed["status"], &failed["error_code"]), (&json!("FAIL"), &json!("Ecs.0013")));
    assert_eq!(failed["entities"]["sub_jobs"][0]["fail_reason"], "no more flavors");
    assert!(failed["end_time"].as_str().unwrap().ends_with('Z'));
    let unknown = ask(&sim, "/v1/p/jobs/k", TOKEN).await;
    assert_eq!((unknown.status, &unknown.body["error"]["code"]), (404, &json!("Common.0011")));
    assert_eq!(ask(&sim, path, ("X-Auth-Token", "other")).await.status, 401);
    assert_eq!(ask(&sim, "/v1/p/jobs", TOKEN).await.body["error_code"], "APIGW.0101");
}

#[tokio::test]
async fn a_numspot_cluster_tells_its_state() {
    let sim = Simulator::start().await.unwrap();
    sim.put(
        Operation::new(Cloud::NumspotCluster, Scope::numspot("s", ""), "c")
            .target("", "prod")
            .stage(Stage::state("CREATING").progress("half way")),
    );
    let path = "/kubernetes/spaces/s/clusters/c";
    let cluster = ask(&sim, path, BEARER).await.body;
    assert_eq!(cluster, json!({"id": "c", "name": "prod", "status": {"state": "CREATING", "message": "half way"}}));
    let unknown = ask(&sim, "/kubernetes/spaces/s/clusters/d", BEARER).await;
    assert_eq!((unknown.status, &unknown.body["type"]), (404, &json!("urn:numspot:errors#resource_not_found")));
    assert_eq!(ask(&sim, path, TOKEN).await.status, 401);
}

#[tokio::test]
async fn an_address_that_was_told_answers_word_for_word() {
    let sim = Simulator::start().await.unwrap();
    let path = "/any/api/op-1?version=2";
    let route = Route::new(path).token_in("X-Api-Key", "Key ").requires("accept", "application/json");
    sim.route(route.answer(200, r#"{"state":"busy"}"#).answer(404, r#"{"code":"gone"}"#));
    let key = ("X-Api-Key", "Key let-me-in");
    let asked = |path: &str, (name, value): (&'static str, &'static str)| {
        let request = client(&sim).get(format!("{}{path}", sim.url())).header(name, value);
        send(request.header("accept", "application/json"))
    };
    assert_eq!(asked(path, key).await.text, r#"{"state":"busy"}"#);
    assert_eq!(asked(path, ("X-Api-Key", "let-me-in")).await.status, 401);
    assert_eq!(asked("/any/api/op-1", key).await.status, 404, "without its query it is nowhere");
    assert_eq!(send(client(&sim).get(format!("{}{path}", sim.url())).header(key.0, key.1)).await.status, 400);
    assert!(sim.advance_route(path));
    assert_eq!(asked(path, key).await.status, 404);
    assert!(!sim.advance_route(path));
}
