//! The exchanges of a long-lived credential for a token: what is sent and how the answer is read. Pure.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::form_urlencoded;

use super::{Connection, Credential};
use crate::document::{Document, Json};
use crate::provider::{Scope, SignIn};
use crate::schedule::elapsed;
use crate::time::parse_time;

/// Where Cloud.ru exchanges keys: <https://cloud.ru/docs/console_api/ug/topics/guides__auth_api>.
const CLOUDRU_TOKEN_PATH: &str = "/api/v1/auth/token";
/// The path of the generation before, known from its users only.
const SBERCLOUD_TOKEN_PATH: &str = "/auth/system/openid/token";
/// A token whose answer does not say how long it lives is taken to live this long.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// How long before its end a token is renewed; half of its life where that is shorter.
const MARGIN: Duration = Duration::from_secs(300);

/// A POST that asks for a token.
#[derive(Debug)]
pub struct Exchange {
    /// Base URL, to be checked like every address that receives a credential.
    pub endpoint: String,
    /// The Secret's key that the base URL came from or would come from, for messages.
    pub endpoint_key: &'static str,
    /// Path below it, with the query.
    pub path: &'static str,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// User and password of `Authorization: Basic`, where the cloud wants them.
    pub basic: Option<(String, SecretString)>,
    /// The body.
    pub body: SecretString,
    dialect: Dialect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// A JSON reply with `access_token` and `expires_in` (RFC 6749, section 5.1).
    OAuth,
    /// The header `X-Subject-Token` and a JSON reply with `token.expires_at`.
    Keystone,
}

/// A token fresh from the cloud.
#[derive(Debug)]
pub struct Minted {
    /// The token.
    pub token: SecretString,
    /// How long it may be used: less than it lives.
    pub usable: Duration,
}

/// What `connection` has to send to sign in as `sign_in` says; `None` where its credential needs no exchange.
///
/// # Errors
/// What is wrong with `iamEndpoint`, for people.
pub fn exchange(connection: &Connection, sign_in: &SignIn) -> Result<Option<Exchange>, String> {
    let iam = |default: &str| connection.iam_endpoint.clone().unwrap_or_else(|| default.to_owned());
    let form = |pairs: &[(&str, &str)]| {
        SecretString::from(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    };
    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";
    Ok(Some(match (&connection.credential, sign_in) {
        // The vendor's own client sends the credential both ways.
        (Credential::Client { id, secret }, _) => Exchange {
            endpoint: connection.endpoint.clone(),
            endpoint_key: "endpoint",
            path: "/iam/token",
            content_type: FORM,
            basic: Some((id.clone(), secret.clone())),
            body: form(&[
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("client_secret", secret.expose_secret()),
            ]),
            dialect: Dialect::OAuth,
        },
        (Credential::Password { username, password, domain_name }, SignIn::Keystone { iam: default, scope }) => {
            let scope = match scope {
                Scope::Project(id) => json!({"project": {"id": id}}),
                Scope::Domain => json!({"domain": {"name": domain_name}}),
            };
            let user = json!({"name": username, "password": password.expose_secret(), "domain": {"name": domain_name}});
            let identity = json!({"methods": ["password"], "password": {"user": user}});
            // Its usual spelling, as in OpenStack's OS_AUTH_URL, ends in the version.
            let endpoint = iam(default);
            let endpoint = endpoint.trim_end_matches('/').trim_end_matches("/v3").to_owned();
            Exchange {
                endpoint,
                endpoint_key: "iamEndpoint",
                path: "/v3/auth/tokens?nocatalog=true",
                content_type: JSON,
                basic: None,
                body: json!({"auth": {"identity": identity, "scope": scope}}).to_string().into(),
                dialect: Dialect::Keystone,
            }
        }
        (Credential::ServiceKey { id, secret }, SignIn::KeyExchange { iam: default }) => {
            let endpoint = iam(default);
            let endpoint = endpoint.trim_end_matches('/');
            let exchange = |base: &str, path, content_type, body| Exchange {
                endpoint: base.to_owned(),
                endpoint_key: "iamEndpoint",
                path,
                content_type,
                basic: None,
                body,
                dialect: Dialect::OAuth,
            };
            if let Some(base) = endpoint.strip_suffix(SBERCLOUD_TOKEN_PATH) {
                let secret = secret.expose_secret();
                let body = form(&[("grant_type", "access_key"), ("client_id", id), ("client_secret", secret)]);
                exchange(base, SBERCLOUD_TOKEN_PATH, FORM, body)
            } else {
                let base = endpoint.strip_suffix(CLOUDRU_TOKEN_PATH).unwrap_or(endpoint);
                if url::Url::parse(base).is_ok_and(|url| url.path() != "/") {
                    return Err(format!("its path is neither {CLOUDRU_TOKEN_PATH} nor {SBERCLOUD_TOKEN_PATH}"));
                }
                let body = json!({"keyId": id, "secret": secret.expose_secret()}).to_string().into();
                exchange(base, CLOUDRU_TOKEN_PATH, JSON, body)
            }
        }
        (Credential::Token(_) | Credential::AccessKey { .. }, _)
        | (Credential::Password { .. } | Credential::ServiceKey { .. }, _) => return Ok(None),
    }))
}

impl Exchange {
    /// Whether `status` is the one a token comes with.
    pub fn is_success(&self, status: u16) -> bool {
        match self.dialect {
            Dialect::OAuth => status == 200,
            Dialect::Keystone => status == 201,
        }
    }

    /// Reads the token out of a reply; `subject_token` is its header `X-Subject-Token`.
    ///
    /// # Errors
    /// What the reply lacks; nothing of what it holds.
    pub fn read(&self, subject_token: Option<&str>, body: &[u8], now: Timestamp) -> Result<Minted, String> {
        let document = Document::parse(body).map_err(|misread| misread.to_string())?;
        let reply = document.root();
        let (token, lifetime) = match self.dialect {
            Dialect::OAuth => {
                let token = reply.get("access_token").and_then(Json::text).ok_or("the reply has no access_token")?;
                let seconds = reply.get("expires_in").and_then(Json::number).filter(|seconds| *seconds > 0.0);
                (token, seconds.map(|seconds| Duration::from_secs_f64(seconds.min(86_400.0))))
            }
            Dialect::Keystone => {
                let token = subject_token.ok_or("the reply has no header X-Subject-Token")?;
                let end = reply.get("token.expires_at").and_then(Json::text).and_then(parse_time);
                (token, end.map(|end| elapsed(now, end)))
            }
        };
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the reply's token cannot be sent in a header".into());
        }
        let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME);
        Ok(Minted { token: token.into(), usable: lifetime.saturating_sub(MARGIN).max(lifetime / 2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(credential: Credential, iam_endpoint: Option<&str>) -> Connection {
        let endpoint = "https://api.example.com".to_owned();
        Connection { endpoint, iam_endpoint: iam_endpoint.map(str::to_owned), ca: None, credential }
    }

    fn keystone(scope: Scope) -> SignIn {
        SignIn::Keystone { iam: "https://iam.example.com".into(), scope }
    }

    fn password() -> Credential {
        Credential::Password { username: "u".into(), password: "p\"&".into(), domain_name: "d".into() }
    }

    fn service_key() -> Credential {
        Credential::ServiceKey { id: "k".into(), secret: "s&".into() }
    }

    fn sent(credential: Credential, iam_endpoint: Option<&str>, sign_in: &SignIn) -> (String, String) {
        let exchange = exchange(&connection(credential, iam_endpoint), sign_in).unwrap().unwrap();
        (format!("{}{}", exchange.endpoint, exchange.path), exchange.body.expose_secret().to_owned())
    }

    #[test]
    fn client_credentials_go_to_the_api_s_own_endpoint_both_ways() {
        let client = Credential::Client { id: "id".into(), secret: "s/+&".into() };
        let exchange = exchange(&connection(client, None), &SignIn::ClientCredentials).unwrap().unwrap();
        assert_eq!(
            exchange.body.expose_secret(),
            "grant_type=client_credentials&client_id=id&client_secret=s%2F%2B%26"
        );
        assert_eq!((exchange.endpoint.as_str(), exchange.path), ("https://api.example.com", "/iam/token"));
        let (user, secret) = exchange.basic.unwrap();
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
    #[case(
        Some("https://iam.x/api/v1/auth/token"),
        "https://iam.x/api/v1/auth/token",
        r#"{"keyId":"k","secret":"s&"}"#
    )]
    #[case(
        Some("https://auth.x/auth/system/openid/token"),
        "https://auth.x/auth/system/openid/token",
        "grant_type=access_key&client_id=k&client_secret=s%26"
    )]
    fn a_service_key_is_exchanged_as_the_path_says(#[case] iam: Option<&str>, #[case] url: &str, #[case] body: &str) {
        let sign_in = SignIn::KeyExchange { iam: "https://iam.api.cloud.ru".into() };
        assert_eq!(sent(service_key(), iam, &sign_in), (url.to_owned(), body.to_owned()));
        let odd = connection(service_key(), Some("https://iam.x/oauth"));
        assert!(exchange(&odd, &sign_in).unwrap_err().contains("/api/v1/auth/token"));
    }

    fn read(dialect: Dialect, header: Option<&str>, body: &str) -> Result<(String, u64), String> {
        let exchange = Exchange {
            endpoint: String::new(),
            endpoint_key: "",
            path: "",
            content_type: "",
            basic: None,
            body: "".into(),
            dialect,
        };
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let minted = exchange.read(header, body.as_bytes(), now)?;
        Ok((minted.token.expose_secret().to_owned(), minted.usable.as_secs()))
    }

    #[rstest::rstest]
    #[case(r#"{"access_token":"t","expires_in":3600}"#, 3300)]
    #[case(r#"{"access_token":"t","expires_in":"3600"}"#, 3300)]
    #[case(r#"{"access_token":"t","expires_in":60}"#, 30)]
    #[case(r#"{"access_token":"t","expires_in":-1}"#, 300)]
    #[case(r#"{"access_token":"t"}"#, 300)]
    fn a_token_is_used_for_less_than_it_lives(#[case] body: &str, #[case] usable: u64) {
        assert_eq!(read(Dialect::OAuth, None, body), Ok(("t".into(), usable)));
    }

    #[test]
    fn keystone_gives_its_token_in_a_header() {
        let body = r#"{"token":{"expires_at":"2026-11-23T13:00:00.855000Z"}}"#;
        assert_eq!(read(Dialect::Keystone, Some("t"), body), Ok(("t".into(), 3300)));
        assert_eq!(read(Dialect::Keystone, Some("t"), "{}"), Ok(("t".into(), 300)));
        assert!(read(Dialect::Keystone, None, body).unwrap_err().contains("X-Subject-Token"));
    }

    #[rstest::rstest]
    #[case("{}", "no access_token")]
    #[case(r#"{"access_token":"a b"}"#, "cannot be sent")]
    #[case("<html>", "HTML")]
    #[case("", "empty")]
    fn an_answer_without_a_token_says_why(#[case] body: &str, #[case] why: &str) {
        assert!(read(Dialect::OAuth, None, body).unwrap_err().contains(why));
    }
}
