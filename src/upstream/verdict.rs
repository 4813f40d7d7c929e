//! What a reply means for the poll: a document to read, or why nothing was learnt. Pure.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, LOCATION, RETRY_AFTER};
use url::Url;

use super::redaction::Redaction;
use super::refusal::read_refusal;
use crate::auth::Credential;
use crate::document::Document;
use crate::observation::{FailureKind, PollFailure, Refusal};
use crate::provider::Provider;

/// How long an account pauses when the cloud asks for it without saying how long.
pub const DEFAULT_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause a cloud can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// An HTTP reply.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it came.
    pub body: Body,
    /// When it began to arrive.
    pub received: Timestamp,
}

/// What came of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// It was too large to be read to its end.
    TooLarge,
    /// The connection ended before it did.
    Cut,
    /// The time was up before it ended.
    Late(PollFailure),
}

/// The parties to an exchange, for the words in a failure.
pub struct Exchange<'a> {
    /// Who was asked.
    pub provider: &'a Provider,
    /// Where.
    pub host: &'a str,
    /// By what.
    pub credential: &'a Credential,
    /// What must not be repeated.
    pub redaction: &'a Redaction,
}

/// What a reply means.
#[derive(Debug)]
pub struct Verdict {
    /// The document, or why there is none.
    pub result: Result<Document, PollFailure>,
    /// How long the whole account is to pause.
    pub pause: Option<Duration>,
}

/// Judges a `reply`.
pub fn judge(reply: Reply, exchange: &Exchange<'_>) -> Verdict {
    let throttled = reply.status == 429 || (reply.status == 503 && reply.headers.contains_key(RETRY_AFTER));
    let pause = throttled.then(|| retry_after(&reply.headers, reply.received).unwrap_or(DEFAULT_PAUSE));
    Verdict { result: read(reply, exchange, throttled), pause }
}

fn read(reply: Reply, exchange: &Exchange<'_>, throttled: bool) -> Result<Document, PollFailure> {
    let cloud = exchange.provider.cloud();
    let is_encoded = is_encoded(&reply.headers);
    if reply.status == 200 {
        let unusable = |why: &str| {
            Err(PollFailure::new(
                FailureKind::InvalidResponse,
                format!("{cloud} gave no usable answer: the reply {why}"),
            ))
        };
        return match reply.body {
            Body::Late(failure) => Err(failure),
            Body::TooLarge => unusable("is larger than 1 MiB"),
            Body::Cut => unusable("was cut off by the end of the connection"),
            Body::Whole(_) if is_encoded => unusable("is compressed, though that was not asked for"),
            Body::Whole(body) => {
                let redacted = Document::parse(&body).and_then(|document| match exchange.redaction.may_be_in(&body) {
                    true => document.replace_texts(|text| exchange.redaction.redact(text)),
                    false => Ok(document),
                });
                redacted.map_err(|misread| {
                    PollFailure::new(FailureKind::InvalidResponse, format!("{cloud} gave no usable answer: {misread}"))
                })
            }
        };
    }
    if let Some(target) = redirect_target(&reply) {
        return Err(PollFailure::new(
            FailureKind::RedirectRefused,
            format!(
                "{cloud} answered {}, a redirect to {target}, which was not followed: a credential is sent to no other \
                 place than the endpoint; check the Secret's key endpoint",
                reply.status
            ),
        ));
    }
    let body = match &reply.body {
        Body::Whole(body) if !is_encoded => body.as_slice(),
        _ => &[],
    };
    let request_id = reply.headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let refusal = read_refusal(reply.status, request_id, body, |text| exchange.redaction.redact(text));
    Err(classify(&refusal, exchange, throttled))
}

fn classify(refusal: &Refusal, exchange: &Exchange<'_>, throttled: bool) -> PollFailure {
    let keys = exchange.credential.keys();
    let (kind, meaning) = match refusal.status {
        _ if throttled => (FailureKind::Throttled, "it asks for fewer requests".to_owned()),
        401 => (
            FailureKind::Unauthorized,
            match refusal.code.as_deref().and_then(|code| exchange.credential.explain(code)) {
                Some(hint) => hint.to_owned(),
                None => format!("the credential is not accepted: put a valid one into the Secret (key {keys})"),
            },
        ),
        403 => (
            FailureKind::Forbidden,
            format!(
                "the credential may not read this operation: give its owner the right to, or put another into the \
                 Secret (key {keys})"
            ),
        ),
        404 | 410 if exchange.provider.is_unknown_operation(refusal) => {
            (FailureKind::NotFound, "it does not know this operation".to_owned())
        }
        404 | 410 => (
            FailureKind::EndpointRefused,
            format!(
                "the gateway at {} does not know this path: check the Secret's key endpoint and the region{}",
                exchange.host,
                exchange.provider.unknown_path_advice().map(|advice| format!(", or {advice}")).unwrap_or_default()
            ),
        ),
        500..=599 => (FailureKind::ServerError, "it has trouble of its own".to_owned()),
        _ => (FailureKind::InvalidResponse, "that is no answer to a query for an operation".to_owned()),
    };
    let cloud = exchange.provider.cloud();
    PollFailure::new(kind, format!("{cloud} answered {}: {meaning}", describe(refusal)))
}

/// Status, code and message as far as given: `404 (CCE.01404001 Resource not found)`.
pub fn describe(refusal: &Refusal) -> String {
    let words: Vec<_> = refusal.code.as_deref().into_iter().chain(refusal.message.as_deref()).collect();
    match words.as_slice() {
        [] => refusal.status.to_string(),
        words => format!("{} ({})", refusal.status, words.join(" ")),
    }
}

/// The host that a redirect points to, and no more of its address: the rest may hold a secret.
pub fn redirect_target(reply: &Reply) -> Option<String> {
    if !(300..400).contains(&reply.status) || reply.status == 304 {
        return None;
    }
    let location = reply.headers.get(LOCATION)?;
    let host = location.to_str().ok().and_then(|text| Url::parse(text).ok()).and_then(|url| {
        let host = url.host_str()?;
        Some(format!("{}://{host}", url.scheme()))
    });
    Some(host.unwrap_or_else(|| "another path".to_owned()))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let plain = |value: &[u8]| value.is_empty() || value.eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !plain(value.as_bytes().trim_ascii()))
}

/// The longest pause that the headers ask for, at most 15 minutes. Zero, the past and what is neither a number of seconds nor a date say
/// nothing (RFC 9110, section 10.2.3).
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let parse = |text: &str| {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
        }
        let date = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
        Duration::try_from(date.duration_since(now)).ok()
    };
    let values = headers.get_all(RETRY_AFTER).iter().filter_map(|value| parse(value.to_str().ok()?));
    values.filter(|pause| !pause.is_zero()).max().map(|pause| pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;
    use secrecy::SecretString;

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
        let headers = headers.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        Reply { status, headers: map, body: Body::Whole(body.as_bytes().to_vec()), received: NOW.parse().unwrap() }
    }

    fn judge_reply(reply: Reply) -> Verdict {
        let provider =
            serde_json::from_value(serde_json::json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}})).unwrap();
        let redaction = Redaction::new(&[SecretString::from("t0pSecret")]);
        let exchange = Exchange {
            provider: &provider,
            host: "cce.example",
            credential: &crate::auth::methods::ReadyToken("t0pSecret".into()).into(),
            redaction: &redaction,
        };
        judge(reply, &exchange)
    }

    fn failure(reply: Reply) -> PollFailure {
        judge_reply(reply).result.map(|_| ()).unwrap_err()
    }

    const CCE_404: &str = r#"{"errorMessage":"Resource not found","errorCode":"CCE.01404001"}"#;
    const APIGW_404: &str = r#"{"error_msg":"The API does not exist","error_code":"APIGW.0101"}"#;

    #[rstest::rstest]
    #[case(201, "{}", FailureKind::InvalidResponse, "answered 201: that is no answer")]
    #[case(101, "", FailureKind::InvalidResponse, "answered 101: that is no answer")]
    #[case(204, "", FailureKind::InvalidResponse, "answered 204: that is no answer")]
    #[case(206, "{}", FailureKind::InvalidResponse, "answered 206: that is no answer")]
    #[case(304, "", FailureKind::InvalidResponse, "answered 304: that is no answer")]
    #[case(
        400,
        r#"{"errorCode":"CCE.01400001","errorMessage":"Invalid"}"#,
        FailureKind::InvalidResponse,
        "answered 400 (CCE.01400001 Invalid): that is no answer"
    )]
    #[case(
        401,
        "",
        FailureKind::Unauthorized,
        "answered 401: the credential is not accepted: put a valid one into the Secret"
    )]
    #[case(
        403,
        r#"{"message":"token t0pSecret may not"}"#,
        FailureKind::Forbidden,
        "answered 403 (token [redacted] may not): the credential may not read"
    )]
    #[case(
        404,
        CCE_404,
        FailureKind::NotFound,
        "answered 404 (CCE.01404001 Resource not found): it does not know this operation"
    )]
    #[case(410, CCE_404, FailureKind::NotFound, "answered 410 (CCE.01404001 Resource not found)")]
    #[case(
        404,
        APIGW_404,
        FailureKind::EndpointRefused,
        "answered 404 (APIGW.0101 The API does not exist): the gateway at cce.example does not know this path: check the Secret's key endpoint and the region"
    )]
    #[case(404, "<html>404</html>", FailureKind::EndpointRefused, "answered 404: the gateway at cce.example")]
    #[case(410, "", FailureKind::EndpointRefused, "answered 410: the gateway at cce.example")]
    #[case(418, "", FailureKind::InvalidResponse, "answered 418: that is no answer")]
    #[case(
        429,
        r#"{"errorCode":"CCE.01429002","errorMessage":"Resource locked"}"#,
        FailureKind::Throttled,
        "answered 429 (CCE.01429002 Resource locked): it asks for fewer requests"
    )]
    #[case(500, "<h1>oops</h1>", FailureKind::ServerError, "answered 500: it has trouble")]
    #[case(
        500,
        r#"{"code":5,"message":"not found"}"#,
        FailureKind::ServerError,
        "answered 500 (5 not found): it has trouble"
    )]
    #[case(503, "", FailureKind::ServerError, "answered 503: it has trouble")]
    #[case(599, "", FailureKind::ServerError, "answered 599: it has trouble")]
    #[case(600, "", FailureKind::InvalidResponse, "answered 600: that is no answer")]
    fn a_status_says_what_happens_next(
        #[case] status: u16,
        #[case] body: &str,
        #[case] kind: FailureKind,
        #[case] message: &str,
    ) {
        let failure = failure(reply(status, &[], body));
        assert_eq!(failure.kind, kind);
        assert!(failure.message.starts_with(&format!("Open Telekom Cloud CCE {message}")), "{failure}");
    }

    #[rstest::rstest]
    #[case("https://evil.example:8443/login?token=t0pSecret", "https://evil.example, ")]
    #[case("http://cce.example/", "http://cce.example, ")]
    #[case("http://169.254.169.254/latest", "http://169.254.169.254, ")]
    #[case("//evil.example/x", "another path, ")]
    #[case("/login", "another path, ")]
    #[case("", "another path, ")]
    fn a_redirect_is_named_by_its_host_only(#[case] location: &str, #[case] named: &str) {
        for status in [300, 301, 302, 303, 307, 308] {
            let failure = failure(reply(status, &[("location", location)], ""));
            assert_eq!(failure.kind, FailureKind::RedirectRefused);
            assert!(failure.message.contains(&format!("{status}, a redirect to {named}")), "{failure}");
            assert!(!failure.message.contains("t0pSecret"));
        }
        assert_eq!(failure(reply(304, &[("location", location)], "")).kind, FailureKind::InvalidResponse);
        assert_eq!(failure(reply(302, &[], "")).kind, FailureKind::InvalidResponse);
    }

    #[rstest::rstest]
    #[case::seconds(&["7"], 7)]
    #[case::spaces(&[" 7 "], 7)]
    #[case::zero(&["0"], 5)]
    #[case::negative(&["-1"], 5)]
    #[case::fraction(&["1.5"], 5)]
    #[case::garbage(&["soon"], 5)]
    #[case::empty(&[""], 5)]
    #[case::past(&["Mon, 23 Nov 2026 11:59:00 GMT"], 5)]
    #[case::future(&["Mon, 23 Nov 2026 12:01:30 GMT"], 90)]
    #[case::future_as_rfc_850_has_it(&["Monday, 23-Nov-26 12:01:30 GMT"], 90)]
    #[case::future_as_c_has_it(&["Mon Nov 23 12:01:30 2026"], 90)]
    #[case::wrong_weekday(&["Sun, 23 Nov 2026 12:01:30 GMT"], 5)]
    #[case::twice(&["7", "9"], 9)]
    #[case::one_unusable(&["garbage", "9"], 9)]
    #[case::joined(&["7, 9"], 5)]
    #[case::long(&["1000000000"], 900)]
    #[case::too_long_for_a_number(&["99999999999999999999999"], 900)]
    #[case::a_date_in_a_year(&["Tue, 23 Nov 2027 12:00:00 GMT"], 900)]
    fn retry_after_gives_the_pause(#[case] values: &[&str], #[case] seconds: u64) {
        let headers: Vec<_> = values.iter().map(|value| ("retry-after", *value)).collect();
        for status in [429, 503] {
            let verdict = judge_reply(reply(status, &headers, ""));
            assert_eq!(verdict.pause, Some(Duration::from_secs(seconds)));
            assert_eq!(verdict.result.unwrap_err().kind, FailureKind::Throttled);
        }
        assert_eq!(judge_reply(reply(500, &headers, "")).pause, None);
    }

    #[test]
    fn throttling_without_a_hint_pauses_and_a_plain_503_does_not() {
        assert_eq!(judge_reply(reply(429, &[], "")).pause, Some(DEFAULT_PAUSE));
        assert_eq!(judge_reply(reply(503, &[], "")).pause, None);
    }

    #[rstest::rstest]
    #[case(Body::TooLarge, FailureKind::InvalidResponse, "is larger than 1 MiB")]
    #[case(Body::Cut, FailureKind::InvalidResponse, "was cut off")]
    #[case(Body::Late(PollFailure::new(FailureKind::Unreachable, "late")), FailureKind::Unreachable, "late")]
    #[case(Body::Whole(Vec::new()), FailureKind::InvalidResponse, "the reply is empty")]
    #[case(Body::Whole(b"<html>".to_vec()), FailureKind::InvalidResponse, "the reply is a page of HTML or XML, not JSON")]
    fn an_unusable_body_says_why(#[case] body: Body, #[case] kind: FailureKind, #[case] why: &str) {
        let failure = failure(Reply { body, ..reply(200, &[], "") });
        assert_eq!(failure.kind, kind);
        assert!(failure.message.contains(why), "{failure}");
    }

    #[test]
    fn an_encoding_that_was_not_asked_for_is_not_read() {
        let failure = failure(reply(200, &[("content-encoding", "gzip")], "{}"));
        assert!(failure.message.contains("is compressed"), "{failure}");
        assert!(judge_reply(reply(200, &[("content-encoding", "Identity")], "{}")).result.is_ok());
    }

    #[test]
    fn a_document_comes_without_the_secret() {
        let document = judge_reply(reply(200, &[], r#"{"a":"x t0pSecret"}"#)).result.unwrap();
        assert_eq!(document.root().text_at("a").as_deref(), Some("x [redacted]"));
    }
}
