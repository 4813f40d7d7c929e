//! How a token is asked for, and how the answer is read. Pure.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

use crate::document::{Document, Json};
use crate::schedule::elapsed;
use crate::time::parse_time;

/// A token whose answer does not say how long it lives is taken to live this long.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// The most that is believed of what an answer of OAuth says.
const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);
/// How long before its end a token is renewed; half of its life where that is shorter.
const MARGIN: Duration = Duration::from_secs(300);

/// The `Content-Type` of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";
/// The `Content-Type` of a JSON document.
pub const JSON: &str = "application/json";

/// A POST that asks for a token.
#[derive(Debug)]
pub struct TokenRequest {
    /// Base URL, to be checked like every address that receives a credential.
    pub endpoint: String,
    /// The Secret's key that the base URL came from or would come from, for messages.
    pub endpoint_key: &'static str,
    /// Path below it, with the query.
    pub path: &'static str,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// User and password of `Authorization: Basic`, where the cloud wants them.
    pub basic: Option<Basic>,
    /// The body.
    pub body: SecretString,
    /// The status that a token comes with.
    pub success: u16,
    /// Reads the token out of the reply. Its error says what the reply lacks, and nothing of what it holds.
    pub read: fn(&TokenReply<'_>) -> Result<TokenResponse, String>,
}

/// What of a reply may hold the token and its life.
#[derive(Clone, Copy, Debug)]
pub struct TokenReply<'a> {
    /// The body.
    pub body: &'a [u8],
    /// The header `X-Subject-Token`.
    pub subject_token: Option<&'a str>,
    /// When it arrived.
    pub received: Timestamp,
}

/// A token fresh from the cloud.
#[derive(Debug)]
pub struct TokenResponse {
    /// The token.
    pub token: SecretString,
    /// How long it may be used: less than it lives.
    pub usable: Duration,
}

/// User and password of HTTP's basic authentication (RFC 7617).
#[derive(Debug)]
pub struct Basic {
    /// The user, or a client's ID.
    pub user: String,
    /// Its password, or a client's secret.
    pub password: SecretString,
}

impl Basic {
    /// What follows `Basic ` in the header.
    pub fn pair(&self) -> SecretString {
        STANDARD.encode(format!("{}:{}", self.user, self.password.expose_secret())).into()
    }
}

/// The body of a form.
pub fn form(pairs: &[(&str, &str)]) -> SecretString {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into()
}

/// Reads OAuth's answer: `access_token` and `expires_in` (RFC 6749, section 5.1).
///
/// # Errors
/// What the reply lacks.
pub fn read_oauth(reply: &TokenReply<'_>) -> Result<TokenResponse, String> {
    let document = Document::parse(reply.body).map_err(|misread| misread.to_string())?;
    let root = document.root();
    let token = root.get("access_token").and_then(Json::text).ok_or("the reply has no access_token")?;
    let seconds = root.get("expires_in").and_then(Json::number).filter(|seconds| *seconds > 0.0);
    let lifetime = seconds.map(|seconds| Duration::from_secs_f64(seconds.min(LONGEST_LIFETIME.as_secs_f64())));
    respond(token, lifetime)
}

/// Reads Keystone's answer: the header `X-Subject-Token`, and `token.expires_at`.
///
/// # Errors
/// What the reply lacks.
pub fn read_keystone(reply: &TokenReply<'_>) -> Result<TokenResponse, String> {
    let document = Document::parse(reply.body).map_err(|misread| misread.to_string())?;
    let token = reply.subject_token.ok_or("the reply has no header X-Subject-Token")?;
    let end = document.root().get("token.expires_at").and_then(Json::text).and_then(parse_time);
    respond(token, end.map(|end| elapsed(reply.received, end)))
}

fn respond(token: &str, lifetime: Option<Duration>) -> Result<TokenResponse, String> {
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the reply's token cannot be sent in a header".into());
    }
    let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME);
    Ok(TokenResponse { token: token.into(), usable: lifetime.saturating_sub(MARGIN).max(lifetime / 2) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oauth(body: &str) -> Result<(String, u64), String> {
        read(read_oauth, None, body)
    }

    fn keystone(subject_token: Option<&str>, body: &str) -> Result<(String, u64), String> {
        read(read_keystone, subject_token, body)
    }

    fn read(
        read: fn(&TokenReply<'_>) -> Result<TokenResponse, String>,
        subject_token: Option<&str>,
        body: &str,
    ) -> Result<(String, u64), String> {
        let received = "2026-11-23T12:00:00Z".parse().unwrap();
        let response = read(&TokenReply { body: body.as_bytes(), subject_token, received })?;
        Ok((response.token.expose_secret().to_owned(), response.usable.as_secs()))
    }

    #[rstest::rstest]
    #[case(r#"{"access_token":"t","expires_in":3600}"#, 3300)]
    #[case(r#"{"access_token":"t","expires_in":"3600"}"#, 3300)]
    #[case(r#"{"access_token":"t","expires_in":60}"#, 30)]
    #[case(r#"{"access_token":"t","expires_in":-1}"#, 300)]
    #[case(r#"{"access_token":"t"}"#, 300)]
    fn a_token_is_used_for_less_than_it_lives(#[case] body: &str, #[case] usable: u64) {
        assert_eq!(oauth(body), Ok(("t".into(), usable)));
    }

    #[test]
    fn keystone_gives_its_token_in_a_header() {
        let body = r#"{"token":{"expires_at":"2026-11-23T13:00:00.855000Z"}}"#;
        assert_eq!(keystone(Some("t"), body), Ok(("t".into(), 3300)));
        assert_eq!(keystone(Some("t"), "{}"), Ok(("t".into(), 300)));
        assert!(keystone(None, body).unwrap_err().contains("X-Subject-Token"));
    }

    #[rstest::rstest]
    #[case("{}", "no access_token")]
    #[case(r#"{"access_token":"a b"}"#, "cannot be sent")]
    #[case("<html>", "HTML")]
    #[case("", "empty")]
    fn an_answer_without_a_token_says_why(#[case] body: &str, #[case] why: &str) {
        assert!(oauth(body).unwrap_err().contains(why));
    }
}
