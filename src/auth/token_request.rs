//! How a token is asked for, and how the answer is read. Pure: times come from the cloud's own clock.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

use super::secret_keys::LONGEST_TOKEN;
use crate::document::{Document, Json};
use crate::time::parse_time;

/// A token whose answer does not say how long it lives is taken to live this long.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// No token is kept for longer, whatever its answer says.
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
    pub path: Cow<'static, str>,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// User and password of `Authorization: Basic`, where the cloud wants them.
    pub basic: Option<Basic>,
    /// The body.
    pub body: SecretString,
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
    /// The header `Date`: what the cloud's clock shows.
    pub date: Option<Timestamp>,
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
    /// What follows `Basic ` in the header, in the order in which to try it: form-encoded, as RFC 6749, section 2.3.1,
    /// wants it of OAuth's clients; then as they are, where that differs, since many servers decode nothing.
    pub fn spellings(&self) -> Vec<SecretString> {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = |user: &str, password: &str| SecretString::from(STANDARD.encode(format!("{user}:{password}")));
        let password = self.password.expose_secret();
        let mut spellings = vec![pair(&encode(&self.user), &encode(password)), pair(&self.user, password)];
        spellings.dedup_by(|a, b| a.expose_secret() == b.expose_secret());
        spellings
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
    respond(token, lifetime(root, reply.date))
}

/// Reads Keystone's answer: the header `X-Subject-Token`, and `token.issued_at` and `token.expires_at`.
///
/// # Errors
/// What the reply lacks.
pub fn read_keystone(reply: &TokenReply<'_>) -> Result<TokenResponse, String> {
    let document = Document::parse(reply.body).map_err(|misread| misread.to_string())?;
    let token = reply.subject_token.ok_or("the reply has no header X-Subject-Token")?;
    respond(token, document.root().get("token").and_then(|token| lifetime(token, reply.date)))
}

/// How long a token lives by the clock that gave it: ours may be hours away from it.
fn lifetime(token: Json<'_>, date: Option<Timestamp>) -> Option<Duration> {
    if let Some(seconds) = token.get("expires_in").and_then(Json::number).filter(|seconds| *seconds > 0.0) {
        return Some(Duration::from_secs_f64(seconds.min(LONGEST_LIFETIME.as_secs_f64())));
    }
    let time = |name| token.get(name).and_then(Json::text).and_then(parse_time);
    let life = time("expires_at")?.duration_since(time("issued_at").or(date)?);
    Duration::try_from(life).ok().filter(|life| !life.is_zero())
}

fn respond(token: &str, lifetime: Option<Duration>) -> Result<TokenResponse, String> {
    let token = token.trim();
    if token.len() > LONGEST_TOKEN {
        let limit = LONGEST_TOKEN >> 10;
        return Err(format!("the reply's token is {} bytes long, and {limit} KiB are the limit", token.len()));
    }
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the reply's token cannot be sent in a header".into());
    }
    let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME).min(LONGEST_LIFETIME);
    Ok(TokenResponse { token: token.into(), usable: lifetime.saturating_sub(MARGIN).max(lifetime / 2) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the cloud's clock shows; what ours shows matters nowhere.
    const DATE: &str = "2026-11-23T12:00:00Z";

    fn oauth(body: &str) -> Result<(String, u64), String> {
        read(read_oauth, None, Some(DATE), body)
    }

    fn keystone(subject_token: Option<&str>, date: Option<&str>, body: &str) -> Result<(String, u64), String> {
        read(read_keystone, subject_token, date, body)
    }

    fn read(
        read: fn(&TokenReply<'_>) -> Result<TokenResponse, String>,
        subject_token: Option<&str>,
        date: Option<&str>,
        body: &str,
    ) -> Result<(String, u64), String> {
        let date = date.map(|date| date.parse().unwrap());
        let response = read(&TokenReply { body: body.as_bytes(), subject_token, date })?;
        Ok((response.token.expose_secret().to_owned(), response.usable.as_secs()))
    }

    #[rstest::rstest]
    #[case(r#"{"access_token":"t","expires_in":3600}"#, 3300)]
    #[case(r#"{"access_token":"t","expires_in":"3600"}"#, 3300)]
    #[case(r#"{"access_token":"t","expires_in":60}"#, 30)]
    #[case(r#"{"access_token":"t","expires_in":-1}"#, 300)]
    #[case(r#"{"access_token":"t","expires_in":1e300}"#, 86_100)]
    #[case(r#"{"access_token":"t"}"#, 300)]
    #[case(r#"{"access_token":"t","expires_at":"2026-11-23T13:00:00Z"}"#, 3300)]
    fn a_token_is_used_for_less_than_it_lives(#[case] body: &str, #[case] usable: u64) {
        assert_eq!(oauth(body), Ok(("t".into(), usable)));
    }

    #[rstest::rstest]
    #[case::both("2026-11-24T12:00:00.855000Z", Some("2026-11-24T11:00:00.855000Z"), Some(DATE), 3300)]
    #[case::both_without_a_date("2031-01-01T01:00:00Z", Some("2031-01-01T00:00:00Z"), None, 3300)]
    #[case::by_the_date_header("2026-11-23T13:00:00.000000Z", None, Some(DATE), 3300)]
    #[case::no_clock_of_the_cloud_s("2026-11-23T13:00:00.000000Z", None, None, 300)]
    #[case::over_before_it_began("2026-11-23T13:00:00Z", Some("2026-11-23T13:00:00Z"), Some(DATE), 300)]
    #[case::for_a_year("2027-11-23T12:00:00Z", None, Some(DATE), 86_100)]
    fn a_keystone_token_lives_by_the_cloud_s_clock(
        #[case] end: &str,
        #[case] start: Option<&str>,
        #[case] date: Option<&str>,
        #[case] usable: u64,
    ) {
        let start = start.map(|start| format!(r#","issued_at":"{start}""#)).unwrap_or_default();
        let body = format!(r#"{{"token":{{"expires_at":"{end}"{start}}}}}"#);
        assert_eq!(keystone(Some("t"), date, &body), Ok(("t".into(), usable)));
    }

    #[test]
    fn keystone_gives_its_token_in_a_header() {
        assert_eq!(keystone(Some("t"), Some(DATE), "{}"), Ok(("t".into(), 300)));
        assert!(keystone(None, Some(DATE), "{}").unwrap_err().contains("X-Subject-Token"));
    }

    #[rstest::rstest]
    #[case("{}", "no access_token")]
    #[case(r#"{"access_token":"a b"}"#, "cannot be sent")]
    #[case("<html>", "HTML")]
    #[case("", "empty")]
    fn an_answer_without_a_token_says_why(#[case] body: &str, #[case] why: &str) {
        assert!(oauth(body).unwrap_err().contains(why));
    }

    #[test]
    fn a_token_of_more_than_32_kib_is_none() {
        let body = |length| format!(r#"{{"access_token":"{}"}}"#, "t".repeat(length));
        assert!(oauth(&body(32 << 10)).is_ok());
        assert_eq!(
            oauth(&body((32 << 10) + 1)).unwrap_err(),
            "the reply's token is 32769 bytes long, and 32 KiB are the limit"
        );
    }

    #[rstest::rstest]
    #[case::nothing_to_encode("robot", "s3cret-1", &["robot:s3cret-1"])]
    #[case::both_differ("a:b", "s/+ &", &["a%3Ab:s%2F%2B+%26", "a:b:s/+ &"])]
    fn a_client_is_form_encoded_first_and_raw_where_that_differs(
        #[case] user: &str,
        #[case] password: &str,
        #[case] expected: &[&str],
    ) {
        let basic = Basic { user: user.into(), password: password.into() };
        let decode = |pair: &SecretString| String::from_utf8(STANDARD.decode(pair.expose_secret()).unwrap()).unwrap();
        assert_eq!(basic.spellings().iter().map(decode).collect::<Vec<_>>(), expected);
    }
}
