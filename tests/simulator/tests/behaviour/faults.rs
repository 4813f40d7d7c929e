//! What goes wrong on demand, byte by byte.

use std::time::{Duration, Instant};

use cloudop_simulator::{Cloud, Fault, Matcher, Options, Scenario, Simulator, Stage, Times};
use serde_json::Value;

use crate::{PATHS, ask, client, operation, operation_named, send, start};

async fn bytes(sim: &Simulator, fault: Fault) -> Vec<u8> {
    let (_, path, (name, value)) = PATHS[3];
    sim.fault(fault, Matcher::any(), 1);
    let request = client(sim).get(format!("{}{path}", sim.url())).header(name, value);
    request.send().await.unwrap().bytes().await.unwrap().to_vec()
}

/// The error of a request, whether it came before the reply's head or in its body.
async fn failure(sim: &Simulator, fault: Fault) -> reqwest::Error {
    let (_, path, (name, value)) = PATHS[3];
    sim.fault(fault, Matcher::any(), 1);
    let request = client(sim).get(format!("{}{path}", sim.url())).header(name, value);
    match request.timeout(Duration::from_secs(1)).send().await {
        Err(error) => error,
        Ok(reply) => reply.bytes().await.unwrap_err(),
    }
}

#[tokio::test]
async fn documents_are_spoilt_as_named() {
    let sim = start().await;
    let good = ask(&sim, PATHS[3].1, PATHS[3].2).await.text;
    let text = async |fault| String::from_utf8_lossy(&bytes(&sim, fault).await).into_owned();
    let parses = |text: &str| serde_json::from_str::<Value>(text).is_ok();

    assert_eq!(text(Fault::EmptyBody).await, "");
    assert_eq!(text(Fault::TruncatedJson).await, good[..good.len() / 2]);
    assert!(text(Fault::Html).await.starts_with("<!DOCTYPE html>"));
    assert_eq!(text(Fault::ExtraJson("{}".to_owned())).await, format!("{good} {{}}"));
    for fault in [Fault::TrailingComma, Fault::Comments] {
        let spoilt = text(fault.clone()).await;
        assert!(spoilt.contains("\"Running\"") && !parses(&spoilt), "{fault:?}: {spoilt}");
    }
    assert!(std::str::from_utf8(&bytes(&sim, Fault::InvalidUtf8).await).is_err());
    assert_eq!(bytes(&sim, Fault::Utf16).await[..4], [0xff, 0xfe, b'{', 0]);
    assert_eq!(text(Fault::Bom).await, format!("\u{feff}{good}"));
    assert_eq!(text(Fault::JsonArray).await, format!("[{good}]"));
    let string: String = serde_json::from_str(&text(Fault::JsonString).await).unwrap();
    assert_eq!(string, good);
    assert_eq!(text(Fault::DuplicateKeys).await.matches("\"status\":").count(), 2);
    let deep = text(Fault::DeepNesting(10_000)).await;
    assert!(deep.contains(&"[".repeat(10_000)) && deep.ends_with("]}"));
    let huge = text(Fault::HugeBody(3_000_000)).await;
    assert!(huge.len() == 3_000_000 && parses(&huge), "{}", huge.len());
    assert!(text(Fault::ControlCharacters).await.contains(r#""type":"CreateCluster\u001b[31mred\u0000"#));
    assert!(text(Fault::LoneSurrogate).await.contains(r"CreateCluster\ud800"));
    let other = text(Fault::WrongId).await;
    assert!(!other.contains("op-1") && other.contains("77-7"), "{other}");
    assert_eq!(bytes(&sim, Fault::GzipBomb).await[..2], [0x1f, 0x8b]);
    assert_eq!(ask(&sim, PATHS[3].1, PATHS[3].2).await.text, good);
}

#[tokio::test]
async fn every_cloud_has_its_own_words_for_a_fault() {
    let sim = start().await;
    for (fault, status, retry_after) in [
        (Fault::Unauthorized, 401, 0),
        (Fault::Forbidden, 403, 0),
        (Fault::EchoToken, 403, 0),
        (Fault::NotFound, 404, 0),
        (Fault::NoSuchPath, 404, 0),
        (Fault::Throttled { status: 429, retry_after: None, twice: false }, 429, 0),
        (Fault::Throttled { status: 503, retry_after: Some("-1".to_owned()), twice: true }, 503, 2),
        (Fault::ServerError { status: 599 }, 599, 0),
    ] {
        let mut bodies = Vec::new();
        for (_, path, header) in PATHS {
            sim.fault(fault.clone(), Matcher::any(), 1);
            let answer = ask(&sim, path, header).await;
            assert_eq!(answer.status, status, "{fault:?}");
            assert_eq!(answer.headers.get_all("retry-after").iter().count(), retry_after);
            let repeated = answer.text.contains("let-me-in");
            assert_eq!(repeated, matches!(fault, Fault::EchoToken), "{fault:?}: {}", answer.text);
            assert!(answer.body.is_object());
            bodies.push(answer.text);
        }
        assert!(bodies[0] != bodies[1] && bodies[1] != bodies[4], "{bodies:?}");
    }
}

#[tokio::test]
async fn heads_are_as_ordered() {
    let sim = start().await;
    let (_, path, header) = PATHS[3];
    let to = "http://169.254.169.254/".to_owned();
    sim.fault(Fault::Redirect { code: 307, to: to.clone() }, Matcher::any(), 1);
    let answer = ask(&sim, path, header).await;
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (307, to.as_str()));

    let headers = vec![("X-A".to_owned(), "b".to_owned())];
    for code in [204, 206, 304, 418] {
        let body = String::new();
        sim.fault(Fault::Status { code, headers: headers.clone(), body }, Matcher::any(), 1);
        let answer = ask(&sim, path, header).await;
        assert_eq!((answer.status, &answer.headers["x-a"]), (code, &"b".parse().unwrap()));
    }
    sim.fault(Fault::HugeHeader(20_000), Matcher::any(), 1);
    assert_eq!(ask(&sim, path, header).await.headers["x-filler"].len(), 20_000);
    sim.fault(Fault::ManyHeaders(50), Matcher::any(), 1);
    assert!(ask(&sim, path, header).await.headers.len() > 50);
    assert!(!failure(&sim, Fault::ManyHeaders(10_000)).await.is_timeout());
}

#[tokio::test]
async fn connections_break_as_ordered() {
    let sim = start().await;
    for (fault, timeout) in [
        (Fault::CutInBody, false),
        (Fault::Reset, false),
        (Fault::RawReply(b"\0not http".to_vec()), false),
        (Fault::EndlessDrip, true),
        (Fault::NoAnswer, true),
    ] {
        let error = failure(&sim, fault.clone()).await;
        assert_eq!(error.is_timeout(), timeout, "{fault:?}: {error:?}");
    }
    let statuses: Vec<u16> = sim.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 0, 0, 200, 0]);
}

#[tokio::test]
async fn a_fault_strikes_what_it_matches_as_often_as_told() {
    let sim = start().await;
    let statuses = async |index: usize, times: usize| {
        let (_, path, header) = PATHS[index];
        let mut statuses = Vec::new();
        for _ in 0..times {
            statuses.push(ask(&sim, path, header).await.status);
        }
        statuses
    };
    let broken = || Fault::ServerError { status: 500 };
    sim.fault(broken(), Matcher::cloud(Cloud::HuaweiCceUpgrade).and_id("op-1"), 2);
    sim.fault(broken(), Matcher::id("other"), Times::Forever);
    sim.fault(broken(), Matcher::any(), 0);
    assert_eq!(statuses(3, 1).await, [200]);
    assert_eq!(statuses(1, 3).await, [500, 500, 200]);
    let handle = sim.fault(broken(), Matcher::path("/jobs/"), Times::Forever);
    assert_eq!(statuses(3, 2).await, [500, 500]);
    handle.clear();
    assert_eq!(statuses(3, 1).await, [200]);
    sim.fault(broken(), Matcher::path("/iam/token"), 1);
    assert_eq!(send(client(&sim).post(format!("{}/iam/token", sim.url()))).await.status, 500);
}

#[tokio::test]
async fn a_fault_that_needs_no_reply_counts_as_no_poll() {
    let sim = start().await;
    let (cloud, path, header) = PATHS[3];
    sim.put(operation(cloud).stage(Stage::state("Running").for_polls(1)).stage(Stage::state("Success")));
    sim.fault(Fault::ServerError { status: 500 }, Matcher::any(), 3);
    for _ in 0..3 {
        assert_eq!(ask(&sim, path, header).await.status, 500);
    }
    assert_eq!(ask(&sim, path, header).await.body["status"]["phase"], "Running");
    assert_eq!(ask(&sim, path, header).await.body["status"]["phase"], "Success");
}

#[tokio::test]
async fn a_drip_does_not_hold_up_others() {
    let sim = start().await;
    sim.fault(Fault::NoAnswer, Matcher::cloud(Cloud::OtcCceJob), Times::Forever);
    let (_, path, (name, value)) = PATHS[3];
    let stuck = client(&sim).get(format!("{}{path}", sim.url())).header(name, value).send();
    let stuck = tokio::spawn(stuck);
    let began = Instant::now();
    assert_eq!(ask(&sim, PATHS[0].1, PATHS[0].2).await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!stuck.is_finished());
    stuck.abort();
}

/// For each cloud that has one the list with the operation of [`PATHS`], its index there, and where the list holds it.
const LISTS: [(usize, &str, &str); 4] = [
    (0, "/kubernetes/spaces/space/clusters/cluster/operations", "/operations"),
    (1, "/api/v3/projects/project/clusters/cluster/operation/upgradeworkflows", "/items"),
    (3, "/api/v2/projects/project/jobs", ""),
    (4, "/openshift/v1/instance/tasks", "/tasks"),
];

#[tokio::test]
async fn any_reply_can_be_written_in_a_scenario() {
    let body = r#"{"type":"https://tools.ietf.org/html/rfc9110#section-15.5.5","title":"Not Found","status":404}"#;
    let yaml = format!(
        "faults: [{{fault: {{status: {{code: 404, headers: [[Content-Type, application/problem+json]], body: '{body}'}}}}}}]"
    );
    let sim = start().await;
    Scenario::parse(&yaml).unwrap().load(&sim);
    for (_, path, header) in PATHS {
        let answer = ask(&sim, path, header).await;
        assert_eq!((answer.status, answer.text.as_str()), (404, body));
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn a_list_is_spoilt_and_its_operations_alone_are_not() {
    let sim = start().await;
    for (index, list, place) in LISTS {
        let (cloud, path, header) = PATHS[index];
        sim.put(operation_named(cloud, "op-2").stage(Stage::state("Running")));
        let good = ask(&sim, list, header).await.body;
        assert_eq!(good.pointer(place).unwrap().as_array().unwrap().len(), 2);

        let fault = sim.fault(Fault::OddMember, Matcher::cloud(cloud), Times::Forever);
        let odd = ask(&sim, list, header).await.body;
        assert!(odd.pointer(&format!("{place}/0/status")).is_none() && odd.pointer(place).is_some(), "{odd}");
        assert!(odd.pointer(&format!("{place}/1/status")).is_some(), "{odd}");
        assert!(ask(&sim, path, header).await.text.contains("status"));
        fault.clear();

        let fault = sim.fault(Fault::NullList, Matcher::cloud(cloud), Times::Forever);
        assert_eq!(ask(&sim, list, header).await.body.pointer(place), Some(&Value::Null));
        assert!(ask(&sim, path, header).await.text.contains("Running"));
        fault.clear();

        let fault = sim.fault(Fault::NoAnswer, Matcher::lists().and_cloud(cloud), Times::Forever);
        let (name, value) = header;
        let silent = client(&sim).get(format!("{}{list}", sim.url())).header(name, value);
        assert!(silent.timeout(Duration::from_millis(200)).send().await.unwrap_err().is_timeout());
        assert_eq!(ask(&sim, path, header).await.status, 200);
        fault.clear();
    }
}

#[tokio::test]
async fn an_error_has_another_text_each_time() {
    let sim = start().await;
    for (_, path, header) in PATHS {
        sim.fault(Fault::ServerError { status: 500 }, Matcher::any(), 1);
        let usual = ask(&sim, path, header).await.body;
        sim.fault(Fault::DifferingError { status: 500 }, Matcher::any(), 2);
        let (one, two) = (ask(&sim, path, header).await, ask(&sim, path, header).await);
        assert_eq!((one.status, two.status), (500, 500));
        assert_ne!(one.body, two.body);
        for code in ["errorCode", "error_code", "type", "code"] {
            assert!(one.body[code] == usual[code] && two.body[code] == usual[code], "{}", one.text);
        }
    }
}

#[tokio::test]
async fn faults_take_turns() {
    let sim = start().await;
    let (_, path, header) = PATHS[4];
    let yaml = "faults: [{fault: {inTurn: [unauthorized, {serverError: {status: 503}}, truth]}, times: 5}]";
    Scenario::parse(yaml).unwrap().load(&sim);
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(ask(&sim, path, header).await.status);
    }
    assert_eq!(statuses, [401, 503, 200, 401, 503, 200, 200]);
    sim.fault(Fault::InTurn(Vec::new()), Matcher::any(), 1);
    assert_eq!(ask(&sim, path, header).await.status, 200);
}

#[tokio::test]
async fn a_reply_comes_late_and_holds_up_nobody() {
    let sim = start().await;
    let (cloud, path, header) = PATHS[3];
    sim.fault(Fault::Late(700), Matcher::cloud(cloud), 1);
    let began = Instant::now();
    let late = async {
        let answer = ask(&sim, path, header).await;
        assert_eq!((answer.status, began.elapsed() >= Duration::from_millis(700)), (200, true));
    };
    let other = async {
        assert_eq!(ask(&sim, PATHS[0].1, PATHS[0].2).await.status, 200);
        assert!(began.elapsed() < Duration::from_millis(700));
    };
    tokio::join!(late, other);
}

#[tokio::test]
async fn a_body_stalls_before_its_last_byte() {
    for http2 in [false, true] {
        let options = Options { http2, ..Options::default() };
        let sim = Simulator::start_with(options).await.unwrap();
        sim.put(operation(Cloud::OtcCceJob).stage(Stage::state("Running")));
        sim.fault(Fault::StalledBody(200_000), Matcher::any(), 1);
        let (_, path, (name, value)) = PATHS[3];
        let client = client(&sim);
        let request = || client.get(format!("{}{path}", sim.url())).header(name, value);
        let mut reply = request().send().await.unwrap();
        assert_eq!((reply.status().as_u16(), reply.content_length()), (200, Some(200_000)));
        let mut came = 0;
        while let Ok(chunk) = tokio::time::timeout(Duration::from_millis(500), reply.chunk()).await {
            came += chunk.unwrap().unwrap().len();
        }
        assert_eq!(came, 199_999);
        // It is the one stream that stalls, not a connection that others share.
        assert_eq!(request().send().await.unwrap().status().as_u16(), 200);
        assert_eq!(sim.connections(), if http2 { 1 } else { 2 });
    }
}
