//! Where tokens come from, and what they open.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use cloudop_simulator::{Account, BasicHeader, Fault, Matcher, Scenario, Simulator};
use jiff::{SignedDuration, Timestamp};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::{PATHS, ask, client, send, signing_account, start};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json;charset=utf8");

fn post(sim: &Simulator, path: &str, (name, value): (&str, &str), body: impl ToString) -> RequestBuilder {
    let url = format!("{}{path}", sim.url());
    client(sim).post(url).header(name, value).body(body.to_string())
}

async fn signing_simulator() -> Simulator {
    let sim = start().await;
    sim.account(signing_account());
    sim
}

async fn opens(sim: &Simulator, index: usize, token: &str) -> u16 {
    let (_, path, (name, value)) = PATHS[index];
    ask(sim, path, (name, &value.replace("let-me-in", token))).await.status
}

#[tokio::test]
async fn numspot_takes_the_client_in_a_header_or_in_the_form() {
    let sim = signing_simulator().await;
    let fields = "grant_type=client_credentials&client_id=id&client_secret=secret";
    let basic = "grant_type=client_credentials&scope=openid+offline_access";
    for request in [
        post(&sim, "/iam/token", FORM, fields),
        post(&sim, "/iam/token", FORM, basic).basic_auth("id", Some("secret")),
        post(&sim, "/iam/token", FORM, basic).basic_auth("id", Some("secre%74")),
    ] {
        let answer = send(request).await;
        assert_eq!((answer.status, &answer.body["expires_in"]), (200, &json!(3600)));
        assert_eq!(opens(&sim, 0, answer.body["access_token"].as_str().unwrap()).await, 200);
    }
    for (request, status, error) in [
        (post(&sim, "/iam/token", FORM, basic), 401, "invalid_client"),
        (post(&sim, "/iam/token", FORM, fields.replace("=secret", "=other")), 401, "invalid_client"),
        (post(&sim, "/iam/token", FORM, "grant_type=password"), 400, "invalid_request"),
        (post(&sim, "/iam/token", JSON, "{}"), 400, "invalid_request"),
    ] {
        let answer = send(request).await;
        assert_eq!((answer.status, &answer.body["error"]), (status, &json!(error)));
    }
}

fn password(user: Value, scope: Value) -> Value {
    json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}})
}

#[tokio::test]
async fn a_keystone_token_opens_what_it_is_scoped_to() {
    let sim = signing_simulator().await;
    let user = json!({"name": "id", "password": "secret", "domain": {"name": "domain"}});
    for (scope, cce, ucs) in [
        (json!({"project": {"id": "project"}}), 200, 403),
        (json!({"project": {"id": "other"}}), 403, 403),
        (json!({"domain": {"name": "domain"}}), 403, 200),
    ] {
        let answer = send(post(&sim, "/v3/auth/tokens?nocatalog=true", JSON, password(user.clone(), scope))).await;
        assert_eq!(answer.status, 201);
        assert!(answer.body["token"]["expires_at"].as_str().unwrap().ends_with('Z'));
        let token = answer.headers["x-subject-token"].to_str().unwrap();
        assert!(!answer.text.contains(token));
        assert_eq!((opens(&sim, 1, token).await, opens(&sim, 2, token).await), (cce, ucs));
        assert_eq!(opens(&sim, 3, token).await, cce);
    }
    for user in [
        json!({"name": "id", "password": "wrong", "domain": {"name": "domain"}}),
        json!({"name": "id", "password": "secret", "domain": {"name": "other"}}),
    ] {
        let answer = send(post(&sim, "/v3/auth/tokens", JSON, password(user, json!({})))).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (401, &json!(401)));
    }
}

#[tokio::test]
async fn cloudru_takes_json_and_its_older_form() {
    let sim = signing_simulator().await;
    let form = "grant_type=access_key&client_id=id&client_secret=secret";
    for request in [
        post(&sim, "/api/v1/auth/token", JSON, json!({"keyId": "id", "secret": "secret"})),
        post(&sim, "/auth/system/openid/token", FORM, form),
    ] {
        let answer = send(request).await;
        assert_eq!(answer.status, 200);
        assert_eq!(opens(&sim, 4, answer.body["access_token"].as_str().unwrap()).await, 200);
    }
    let refused = send(post(&sim, "/api/v1/auth/token", JSON, json!({"keyId": "id"}))).await;
    assert_eq!((refused.status, refused.body), (401, json!({"error": "Invalid credentials"})));
    assert_eq!(sim.count(Matcher::path("/auth/")), 3);
}

#[tokio::test]
async fn a_token_ends_with_its_life_or_when_revoked() {
    let sim = signing_simulator().await;
    let key = json!({"keyId": "id", "secret": "secret"});
    let sign_in = async || {
        let answer = send(post(&sim, "/api/v1/auth/token", JSON, &key)).await;
        answer.body["access_token"].as_str().unwrap().to_owned()
    };
    let token = sign_in().await;
    sim.revoke_token(&token);
    assert_eq!(opens(&sim, 4, &token).await, 401);
    sim.account(signing_account().token_lifetime(Duration::from_secs(1)));
    let token = sign_in().await;
    assert_eq!(opens(&sim, 4, &token).await, 200);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(opens(&sim, 4, &token).await, 401);
}

#[tokio::test]
async fn a_signature_of_long_ago_has_its_own_code() {
    let sim = signing_simulator().await;
    let claim = "SDK-HMAC-SHA256 Access=id, SignedHeaders=x-sdk-date, Signature=00";
    for (date, code) in [("20060102T150405Z", "APIGW.0303"), ("garbage", "APIGW.0301")] {
        let url = format!("{}{}", sim.url(), PATHS[1].1);
        let request = client(&sim).get(url).header("X-Sdk-Date", date).header("Authorization", claim);
        let answer = send(request).await;
        assert_eq!((answer.status, &answer.body["error_code"]), (401, &json!(code)));
    }
}

#[tokio::test]
async fn a_basic_header_is_read_raw_or_form_encoded() {
    let sim = start().await;
    sim.account(Account::new("odd").credential("i+d", "s/ %41:x", ""));
    let sign_in = async |header: &str| {
        let request = post(&sim, "/iam/token", FORM, "grant_type=client_credentials");
        send(request.header("Authorization", format!("Basic {}", STANDARD.encode(header)))).await.status
    };
    let (raw, encoded) = ("i+d:s/ %41:x", "i%2Bd:s%2F+%2541%3Ax");
    assert_eq!((sign_in(raw).await, sign_in(encoded).await), (401, 200));
    sim.basic_header(BasicHeader::Raw);
    assert_eq!((sign_in(raw).await, sign_in(encoded).await), (200, 401));
    // What needs no encoding is the same in both.
    sim.account(signing_account());
    assert_eq!(sign_in("id:secret").await, 200);
    assert_eq!(sign_in("id:%ff").await, 401);
}

#[tokio::test]
async fn a_token_comes_under_another_status() {
    let sim = signing_simulator().await;
    let user = json!({"name": "id", "password": "secret", "domain": {"name": "domain"}});
    let keystone = password(user, json!({"project": {"id": "project"}}));
    sim.fault(Fault::OtherStatus(200), Matcher::path("/v3/auth/tokens"), 1);
    let answer = send(post(&sim, "/v3/auth/tokens", JSON, keystone)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(opens(&sim, 1, answer.headers["x-subject-token"].to_str().unwrap()).await, 200);

    sim.fault(Fault::OtherStatus(201), Matcher::path("/auth/token"), 1);
    let answer = send(post(&sim, "/api/v1/auth/token", JSON, json!({"keyId": "id", "secret": "secret"}))).await;
    assert_eq!(answer.status, 201);
    assert_eq!(opens(&sim, 4, answer.body["access_token"].as_str().unwrap()).await, 200);
}

#[tokio::test]
async fn a_sign_in_is_throttled_for_a_year() {
    let sim = signing_simulator().await;
    let yaml = "faults: [{fault: {throttled: {status: 429, retryAfter: '31536000'}}, match: {path: /iam/token}}]";
    Scenario::parse(yaml).unwrap().load(&sim);
    let fields = "grant_type=client_credentials&client_id=id&client_secret=secret";
    for _ in 0..2 {
        let answer = send(post(&sim, "/iam/token", FORM, fields)).await;
        assert_eq!((answer.status, &answer.headers["retry-after"]), (429, &"31536000".parse().unwrap()));
    }
    assert_eq!(opens(&sim, 0, "let-me-in").await, 200);
}

#[tokio::test]
async fn the_clouds_clock_is_not_ours() {
    let day = SignedDuration::from_hours(24);
    for (offset, yaml) in [(day, "clockAheadSeconds: 86400"), (-day, "clockAheadSeconds: -86400")] {
        let sim = signing_simulator().await;
        Scenario::parse(yaml).unwrap().load(&sim);
        sim.account(signing_account().token_lifetime(Duration::from_secs(1)));
        let theirs = Timestamp::now() + offset;
        let near = |at: Timestamp| at.duration_since(theirs).abs() < SignedDuration::from_secs(60);

        let user = json!({"name": "id", "password": "secret", "domain": {"name": "domain"}});
        let body = password(user, json!({"project": {"id": "project"}}));
        let answer = send(post(&sim, "/v3/auth/tokens", JSON, body)).await;
        let date = answer.headers["date"].to_str().unwrap();
        assert!(near(jiff::fmt::rfc2822::parse(date).unwrap().timestamp()), "{date}");
        let time = |name: &str| answer.body["token"][name].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert!(near(time("issued_at")));
        assert_eq!(time("expires_at").duration_since(time("issued_at")), SignedDuration::from_secs(1));
        let token = answer.headers["x-subject-token"].to_str().unwrap();
        assert_eq!(opens(&sim, 1, token).await, 200);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(opens(&sim, 1, token).await, 401);

        let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let claim = "SDK-HMAC-SHA256 Access=id, SignedHeaders=x-sdk-date, Signature=00";
        let url = format!("{}{}", sim.url(), PATHS[1].1);
        let signed = send(client(&sim).get(url).header("X-Sdk-Date", now).header("Authorization", claim)).await;
        assert_eq!(signed.body["error_code"], "APIGW.0303");
    }
}
