//! What each method sends, and how the replies are read.
use secrecy::ExposeSecret;

use super::*;
use crate::auth::token_response::read_token;
use crate::provider::Scope;

fn connection(credential: Credential, iam_endpoint: Option<&str>) -> Connection {
    let endpoint = "https://api.example.com".to_owned();
    Connection { endpoint, iam_endpoint: iam_endpoint.map(str::to_owned), ca: None, credential }
}

fn keystone(scope: Scope) -> SignIn {
    SignIn::Keystone { iam: "https://iam.example.com".into(), scope }
}

fn password() -> Credential {
    Credential::Password(Password { username: "u".into(), password: "p\"&".into(), domain_name: "d".into() })
}

fn service_key() -> Credential {
    Credential::ServiceKey(ServiceKey { id: "k".into(), secret: "s&".into() })
}

fn sign_in_request(connection: &Connection, sign_in: &SignIn) -> Result<TokenRequest, String> {
    let url = Url::parse(&connection.endpoint).unwrap();
    let request = Request::get(&["x"]);
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    match connection.credential.prove(&Subject { connection, sign_in, url: &url, request: &request, now })? {
        Proof::SignIn(request) => Ok(*request),
        other => panic!("{other:?}"),
    }
}

fn sent(credential: Credential, iam_endpoint: Option<&str>, sign_in: &SignIn) -> (String, String) {
    let request = sign_in_request(&connection(credential, iam_endpoint), sign_in).unwrap();
    (format!("{}{}", request.endpoint, request.path), request.body.expose_secret().to_owned())
}

#[test]
fn client_credentials_go_to_the_api_s_own_endpoint_both_ways() {
    let client = Credential::ClientCredentials(ClientCredentials { id: "id".into(), secret: "s/+&".into() });
    let request = sign_in_request(&connection(client, None), &SignIn::ClientCredentials).unwrap();
    assert_eq!(request.body.expose_secret(), "grant_type=client_credentials&client_id=id&client_secret=s%2F%2B%26");
    assert_eq!((request.endpoint.as_str(), request.path), ("https://api.example.com", "/iam/token"));
    let (user, secret) = request.basic.unwrap();
    assert_eq!((user.as_str(), secret.expose_secret()), ("id", "s/+&"));
}

#[rstest::rstest]
#[case(keystone(Scope::Project("p1".into())), None, "https://iam.example.com", r#"{"project":{"id":"p1"}}"#)]
#[case(keystone(Scope::Domain), None, "https://iam.example.com", r#"{"domain":{"name":"d"}}"#)]
#[case(keystone(Scope::Domain), Some("https://iam.other/v3/"), "https://iam.other", r#"{"domain":{"name":"d"}}"#)]
fn a_password_asks_for_the_scope_of_the_service(
    #[case] sign_in: SignIn,
    #[case] iam: Option<&str>,
    #[case] host: &str,
    #[case] scope: &str,
) {
    let (url, body) = sent(password(), iam, &sign_in);
    let user = r#"{"domain":{"name":"d"},"name":"u","password":"p\"&"}"#;
    let identity = format!(r#"{{"methods":["password"],"password":{{"user":{user}}}}}"#);
    let expected = format!(r#"{{"auth":{{"identity":{identity},"scope":{scope}}}}}"#);
    assert_eq!(url, format!("{host}/v3/auth/tokens?nocatalog=true"));
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(parse(&body), parse(&expected));
}

#[rstest::rstest]
#[case(None, "https://iam.api.cloud.ru/api/v1/auth/token", r#"{"keyId":"k","secret":"s&"}"#)]
#[case(Some("https://iam.x/"), "https://iam.x/api/v1/auth/token", r#"{"keyId":"k","secret":"s&"}"#)]
#[case(Some("https://iam.x/api/v1/auth/token"), "https://iam.x/api/v1/auth/token", r#"{"keyId":"k","secret":"s&"}"#)]
#[case(
    Some("https://auth.x/auth/system/openid/token"),
    "https://auth.x/auth/system/openid/token",
    "grant_type=access_key&client_id=k&client_secret=s%26"
)]
fn a_service_key_is_exchanged_as_the_path_says(#[case] iam: Option<&str>, #[case] url: &str, #[case] body: &str) {
    let sign_in = SignIn::KeyExchange { iam: "https://iam.api.cloud.ru".into() };
    assert_eq!(sent(service_key(), iam, &sign_in), (url.to_owned(), body.to_owned()));
    let odd = connection(service_key(), Some("https://iam.x/oauth"));
    assert!(sign_in_request(&odd, &sign_in).unwrap_err().contains("/api/v1/auth/token"));
}

fn read_with(
    credential: Credential,
    sign_in: &SignIn,
    header: Option<&str>,
    date: Option<&str>,
    body: &str,
) -> Result<(String, u64), String> {
    let request = sign_in_request(&connection(credential, None), sign_in).unwrap();
    let fresh = read_token(&request, header, date.map(|date| date.parse().unwrap()), body.as_bytes())?;
    Ok((fresh.token.expose_secret().to_owned(), fresh.usable.as_secs()))
}

fn read_oauth_reply(body: &str) -> Result<(String, u64), String> {
    read_with(service_key(), &SignIn::KeyExchange { iam: "https://iam.api.cloud.ru".into() }, None, None, body)
}

fn read_keystone_reply(header: Option<&str>, date: Option<&str>, body: &str) -> Result<(String, u64), String> {
    read_with(password(), &keystone(Scope::Domain), header, date, body)
}

#[rstest::rstest]
#[case(r#"{"access_token":"t","expires_in":3600}"#, 3300)]
#[case(r#"{"access_token":"t","expires_in":"3600"}"#, 3300)]
#[case(r#"{"access_token":"t","expires_in":60}"#, 30)]
#[case(r#"{"access_token":"t","expires_in":-1}"#, 300)]
#[case(r#"{"access_token":"t"}"#, 300)]
fn a_token_is_used_for_less_than_it_lives(#[case] body: &str, #[case] usable: u64) {
    assert_eq!(read_oauth_reply(body), Ok(("t".into(), usable)));
}

/// Whatever our clock shows: it is not asked.
#[rstest::rstest]
#[case::both_times(
    r#"{"token":{"issued_at":"2026-11-24T12:00:00Z","expires_at":"2026-11-24T13:00:00.855000Z"}}"#,
    None,
    3300
)]
#[case::the_date(r#"{"token":{"expires_at":"2026-11-24T13:00:00.855000Z"}}"#, Some("2026-11-24T12:00:00Z"), 3300)]
#[case::no_time_at_all("{}", Some("2026-11-24T12:00:00Z"), 300)]
#[case::no_start(r#"{"token":{"expires_at":"2026-11-24T13:00:00Z"}}"#, None, 300)]
#[case::over_already(
    r#"{"token":{"issued_at":"2026-11-24T12:00:00Z","expires_at":"2026-11-24T11:00:00Z"}}"#,
    None,
    300
)]
fn keystone_gives_its_token_in_a_header_and_its_life_by_its_own_clock(
    #[case] body: &str,
    #[case] date: Option<&str>,
    #[case] usable: u64,
) {
    assert_eq!(read_keystone_reply(Some("t"), date, body), Ok(("t".into(), usable)));
    assert!(read_keystone_reply(None, date, body).unwrap_err().contains("X-Subject-Token"));
}

#[test]
fn a_token_without_end_is_refused() {
    let body = |length: usize| format!(r#"{{"access_token":"{}","expires_in":3600}}"#, "t".repeat(length));
    assert_eq!(read_oauth_reply(&body(32 << 10)).unwrap().1, 3300);
    assert!(read_oauth_reply(&body((32 << 10) + 1)).unwrap_err().contains("longer than 32 KiB"));
}

#[rstest::rstest]
#[case("{}", "no access_token")]
#[case(r#"{"access_token":"a b"}"#, "cannot be sent")]
#[case("<html>", "HTML")]
#[case("", "empty")]
fn an_answer_without_a_token_says_why(#[case] body: &str, #[case] why: &str) {
    assert!(read_oauth_reply(body).unwrap_err().contains(why));
}
