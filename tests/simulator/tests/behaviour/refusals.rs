//! What each cloud refuses, and in which words.

use std::time::Duration;

use cloudop_simulator::{Account, Matcher, Simulator, Stage};
use serde_json::{Value, json};

use crate::{Answer, BEARER, PATHS, TOKEN, ask, client, operation, send, start};

/// The code in whichever member the vendor puts it.
fn code(answer: &Answer) -> Value {
    ["errorCode", "error_code", "type", "code"]
        .iter()
        .map(|member| answer.body[*member].clone())
        .find(|code| !code.is_null())
        .unwrap_or_default()
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, codes: Value, index: usize) {
    assert_eq!((answer.status, code(answer)), (status, codes[index].clone()), "{}", answer.text);
}

const UNAUTHORIZED: [&str; 4] =
    ["urn:numspot:errors#unauthenticated_access", "APIGW.0301", "UCS.00000018", "CCE.01401001"];

fn unauthorized() -> Value {
    let mut codes = json!(UNAUTHORIZED);
    codes.as_array_mut().unwrap().push(json!(16));
    codes
}

#[tokio::test]
async fn no_token_a_wrong_one_and_the_wrong_header_are_401() {
    let sim = start().await;
    for (index, (_, path, _)) in PATHS.into_iter().enumerate() {
        let url = format!("{}{path}", sim.url());
        assert_refused(&send(client(&sim).get(url)).await, 401, unauthorized(), index);
        for header in [("X-Auth-Token", "wrong"), ("Authorization", "Bearer wrong"), ("Authorization", "let-me-in")] {
            assert_refused(&ask(&sim, path, header).await, 401, unauthorized(), index);
        }
    }
    // Each cloud takes its own header; the Open Telekom Cloud takes both.
    let statuses = async |header| {
        let mut statuses = Vec::new();
        for (_, path, _) in PATHS {
            statuses.push(ask(&sim, path, header).await.status);
        }
        statuses
    };
    assert_eq!(statuses(TOKEN).await, [401, 200, 200, 200, 401]);
    assert_eq!(statuses(BEARER).await, [200, 401, 401, 200, 200]);
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_a_granted_one_is_not() {
    let sim = start().await;
    let (_, path, header) = PATHS[0];
    sim.revoke_token("let-me-in");
    assert_eq!(ask(&sim, path, header).await.status, 401);
    sim.grant_token("second");
    assert_eq!(ask(&sim, path, ("Authorization", "Bearer second")).await.status, 200);
}

#[tokio::test]
async fn what_the_account_may_not_see_is_403() {
    let sim = start().await;
    sim.account(Account::new("other").token("other").may_see("elsewhere"));
    let codes = json!(["urn:numspot:errors#forbidden_access", "CCE.01403001", "UCS.00000004", "CCE.01403001", 7]);
    for (index, (_, path, (name, value))) in PATHS.into_iter().enumerate() {
        let value = value.replace("let-me-in", "other");
        assert_refused(&ask(&sim, path, (name, &value)).await, 403, codes.clone(), index);
    }
    sim.account(Account::new("other").token("other").may_see("project"));
    assert_eq!(ask(&sim, PATHS[3].1, ("X-Auth-Token", "other")).await.status, 200);
}

#[tokio::test]
async fn an_unknown_id_is_the_services_404() {
    let sim = start().await;
    let codes = json!(["urn:numspot:errors#resource_not_found", "CCE.01404001", "UCS.00000013", "CCE.01404001", 5]);
    for (index, (_, path, header)) in PATHS.into_iter().enumerate() {
        let path = path.replace("op-1", "op-2");
        assert_refused(&ask(&sim, &path, header).await, 404, codes.clone(), index);
    }
    for (index, (cloud, path, header)) in PATHS.into_iter().enumerate() {
        let key = sim.put(operation(cloud).stage(Stage::state("Running")).stage(Stage::gone()));
        assert_eq!(ask(&sim, path, header).await.status, 200);
        sim.advance(&key);
        assert_refused(&ask(&sim, path, header).await, 404, codes.clone(), index);
        assert!(sim.remove(&key) && !sim.remove(&key));
    }
}

#[tokio::test]
async fn an_unknown_path_is_the_gateways_404_and_needs_no_token() {
    let sim = start().await;
    for (index, (_, path, _)) in PATHS.into_iter().enumerate() {
        for path in [format!("{path}/"), format!("{path}/more")] {
            let answer = send(client(&sim).get(format!("{}{path}", sim.url()))).await;
            let codes = json!(["about:blank", "APIGW.0101", "APIGW.0101", "APIGW.0101", 5]);
            assert_refused(&answer, 404, codes, index);
            assert_eq!(answer.headers.contains_key("x-request-id"), (1..4).contains(&index));
        }
    }
}

#[tokio::test]
async fn another_method_is_405() {
    let sim = start().await;
    for (_, path, (name, value)) in PATHS {
        let url = format!("{}{path}", sim.url());
        for request in [client(&sim).post(&url).body("{}"), client(&sim).delete(&url)] {
            assert_eq!(send(request.header(name, value)).await.status, 405);
        }
    }
}

#[tokio::test]
async fn too_many_requests_are_429_with_the_time_to_wait() {
    let sim = Simulator::start().await.unwrap();
    let codes = json!(["urn:numspot:errors#too_many_requests", "APIGW.0308", "APIGW.0308", "APIGW.0308", 8]);
    for (index, (cloud, path, header)) in PATHS.into_iter().enumerate() {
        sim.put(operation(cloud).stage(Stage::state("Running")));
        let account = Account::new(format!("limited-{index}")).token("let-me-in");
        sim.set_accounts(vec![account.rate_limit(2, Duration::from_secs(30))]);
        for _ in 0..2 {
            assert_eq!(ask(&sim, path, header).await.status, 200);
        }
        let refused = ask(&sim, path, header).await;
        assert_refused(&refused, 429, codes.clone(), index);
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((25..=30).contains(&wait), "{wait}");
    }
    assert_eq!(sim.count(Matcher::any()), 15);
}

#[tokio::test]
async fn a_rate_limit_lets_in_again_after_its_period() {
    let sim = start().await;
    let (_, path, header) = PATHS[0];
    let limited = Account::new("limited").token("let-me-in").rate_limit(1, Duration::from_millis(200));
    sim.set_accounts(vec![limited]);
    assert_eq!(ask(&sim, path, header).await.status, 200);
    assert_eq!(ask(&sim, path, header).await.status, 429);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(ask(&sim, path, header).await.status, 200);
}
