//! What a reply means for the poll: a document to read, or why nothing was learnt. Pure.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, DATE, HeaderMap, LINK, LOCATION, RETRY_AFTER};
use jiff::Timestamp;
use url::Url;

use super::api_error::{present, read_api_error};
use super::{Body, Reply};
use crate::auth::Credential;
use crate::document::{Document, Json};
use crate::observation::{ApiError, FailureKind, Listing, Member, Misread, PollFailure, Reading};
use crate::provider::{CloudApi, Whose};
use crate::upstream::guard::redaction::Redaction;

/// How long an account pauses when the cloud asks for it without saying how long.
pub const DEFAULT_PAUSE: Duration = Duration::from_secs(5);

/// The longest address of a next page that is kept, in bytes.
const LONGEST_LINK: usize = 2048;

/// The longest pause a cloud can ask for, in polls and in sign-ins.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Who was asked and how, for the words in a failure.
pub struct Asked<'a> {
    /// Who was asked.
    pub provider: &'a dyn CloudApi,
    /// Where.
    pub host: &'a str,
    /// By what.
    pub credential: &'a Credential,
    /// What must not be repeated.
    pub redaction: Redaction,
}

/// A document as the cloud sent it: what is read of it is redacted when it is shown.
#[derive(Debug)]
pub struct Page {
    /// The document.
    pub document: Document,
    /// What must not be repeated, where it may be in there.
    pub redaction: Option<Redaction>,
    /// The address of the next page, as the header Link has it.
    pub next: Option<Box<str>>,
}

impl Page {
    /// How many bytes of memory it takes.
    pub fn size(&self) -> usize {
        let next = self.next.as_ref().map_or(0, |next| next.len());
        self.document.size() + next + self.redaction.as_ref().map_or(0, Redaction::size)
    }

    /// What `interpret` reads of it, with nothing secret in it.
    ///
    /// # Errors
    /// [`Misread`] where it cannot be read.
    pub fn read(&self, interpret: impl FnOnce(Json<'_>) -> Result<Reading, Misread>) -> Result<Reading, Misread> {
        let reading = interpret(self.document.root());
        let Some(redaction) = &self.redaction else { return reading };
        let redact = |misread: Misread| Misread(redaction.redact(&misread.0).unwrap_or(misread.0));
        match reading.map_err(redact)? {
            Reading::Found(mut observation) => {
                observation.replace_texts(&|text| redaction.redact(text));
                Ok(Reading::Found(observation))
            }
            Reading::Unreadable(misread) => Ok(Reading::Unreadable(redact(misread))),
            // The next page is asked for as the cloud named it; it is never shown.
            other => Ok(other),
        }
    }

    /// As [`Self::read`], of all that is on it.
    ///
    /// # Errors
    /// [`Misread`] where it cannot be read.
    pub fn read_all(&self, interpret: impl FnOnce(Json<'_>) -> Result<Listing, Misread>) -> Result<Listing, Misread> {
        let listing = interpret(self.document.root());
        let Some(redaction) = &self.redaction else { return listing };
        let redact = |misread: Misread| Misread(redaction.redact(&misread.0).unwrap_or(misread.0));
        let mut listing = listing.map_err(redact)?;
        for Member { id, reading } in &mut listing.members {
            // Half of an ID is another operation's.
            id.take_if(|id| redaction.redact(id).is_some());
            match reading {
                Ok(observation) => observation.replace_texts(&|text| redaction.redact(text)),
                Err(misread) => *misread = redact(misread.clone()),
            }
        }
        Ok(listing)
    }
}

/// What a reply means.
#[derive(Debug)]
pub struct Meaning {
    /// The document, or why there is none.
    pub result: Result<Page, PollFailure>,
    /// How long the whole account is to pause.
    pub pause: Option<Duration>,
}

/// Says what a `reply` means.
pub fn classify(reply: Reply, asked: Asked<'_>) -> Meaning {
    let throttled = reply.status == 429 || (reply.status == 503 && reply.headers.contains_key(RETRY_AFTER));
    let pause = throttled.then(|| retry_after(&reply.headers, reply.received).unwrap_or(DEFAULT_PAUSE));
    Meaning { result: read(reply, asked, throttled), pause }
}

fn read(reply: Reply, asked: Asked<'_>, throttled: bool) -> Result<Page, PollFailure> {
    let cloud = asked.provider.cloud();
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
                let document = Document::parse(&body).map_err(|misread| {
                    PollFailure::new(FailureKind::InvalidResponse, format!("{cloud} gave no usable answer: {misread}"))
                })?;
                let redaction = asked.redaction.may_be_in(&body).then_some(asked.redaction);
                Ok(Page { document, redaction, next: next_page(&reply.headers) })
            }
        };
    }
    if let Some(target) = redirect_target(&reply, &asked.redaction) {
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
    let refusal = read_api_error(reply.status, request_id(&reply.headers), body);
    Err(explain(&refusal, &asked, throttled))
}

/// What a status says, of a poll and of a sign-in alike.
enum Status {
    Throttled,
    NotAccepted,
    NotAllowed,
    Unknown,
    Trouble,
    NoAnswer,
}

fn read_status(status: u16, throttled: bool) -> Status {
    match status {
        _ if throttled => Status::Throttled,
        401 => Status::NotAccepted,
        403 => Status::NotAllowed,
        404 | 410 => Status::Unknown,
        500..=599 => Status::Trouble,
        _ => Status::NoAnswer,
    }
}

/// What a refused poll means, and what to do.
fn explain(refusal: &ApiError, asked: &Asked<'_>, throttled: bool) -> PollFailure {
    let keys = asked.credential.keys();
    let (kind, meaning) = match read_status(refusal.status, throttled) {
        Status::Throttled => (FailureKind::Throttled, "it asks for fewer requests".to_owned()),
        Status::NotAccepted => (
            FailureKind::Unauthorized,
            match refusal.code.as_deref().and_then(|code| asked.credential.explain(code)) {
                Some(hint) => hint.to_owned(),
                None => format!("the credential is not accepted: put a valid one into the Secret (key {keys})"),
            },
        ),
        Status::NotAllowed => (
            FailureKind::Forbidden,
            format!(
                "the credential may not read this operation: give its owner the right to, or put another into the \
                 Secret (key {keys})"
            ),
        ),
        Status::Unknown => unknown(refusal, asked),
        Status::Trouble => (FailureKind::ServerError, "it has trouble of its own".to_owned()),
        Status::NoAnswer => (FailureKind::InvalidResponse, "that is no answer to a query for an operation".to_owned()),
    };
    let shown = present(refusal, |text| asked.redaction.redact(text));
    let message = format!("{} answered {}: {meaning}", asked.provider.cloud(), describe(&shown));
    PollFailure { code: shown.code, request_id: shown.request_id, ..PollFailure::new(kind, message) }
}

/// What a refused sign-in means, and for how long the account is to pause. `key` is the Secret's key of the address.
pub fn refuse_sign_in(
    reply: &Reply,
    body: &[u8],
    request_id: Option<&str>,
    key: &str,
    asked: &Asked<'_>,
) -> (PollFailure, Option<Duration>) {
    let cloud = asked.provider.cloud();
    if let Some(target) = redirect_target(reply, &asked.redaction) {
        let message = format!(
            "signing in to {cloud}: it answered with a redirect to {target}, which was not followed; check the Secret's \
             key {key}"
        );
        return (PollFailure::new(FailureKind::RedirectRefused, message), None);
    }
    let refusal = read_api_error(reply.status, request_id, body);
    let shown = present(&refusal, |text| asked.redaction.redact(text));
    let (said, keys) = (describe(&shown), asked.credential.keys());
    let hint = asked.credential.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
    let is_throttled = matches!(reply.status, 429 | 503);
    let pause = is_throttled.then(|| retry_after(&reply.headers, reply.received).unwrap_or(DEFAULT_PAUSE));
    let (kind, meaning) = match (reply.status, read_status(reply.status, reply.status == 429)) {
        (_, Status::Throttled) => (FailureKind::Throttled, format!("it answered {said}")),
        (503, _) => (FailureKind::ServerError, format!("it answered {said}")),
        (400, _) | (_, Status::NotAccepted) => {
            (FailureKind::Unauthorized, format!("it answered {said}: correct the Secret's keys {keys}{hint}"))
        }
        (_, Status::NotAllowed) => (
            FailureKind::Forbidden,
            format!("it answered {said}: the owner of the Secret's keys {keys} may not sign in{hint}"),
        ),
        (405, _) | (_, Status::Unknown) => {
            (FailureKind::EndpointRefused, format!("{} answered {said}: check the Secret's key {key}", asked.host))
        }
        (_, Status::Trouble) => (FailureKind::ServerError, format!("it answered {said}: it has trouble of its own")),
        (_, Status::NoAnswer) => {
            (FailureKind::InvalidResponse, format!("it answered {said}: that is no answer to a sign-in"))
        }
    };
    let failure = PollFailure::new(kind, format!("signing in to {cloud}: {meaning}"));
    (PollFailure { code: shown.code, request_id: shown.request_id, ..failure }, pause)
}

/// The cloud's ID of the request, which gateways, OpenStack and others name in headers of their own.
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    let names = ["x-request-id", "x-openstack-request-id", "x-correlation-id", "x-trace-id"];
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok()).filter(|id| !id.is_empty())
}

/// What a 404 or 410 means: that depends on whose it is.
fn unknown(refusal: &ApiError, asked: &Asked<'_>) -> (FailureKind, String) {
    let host = asked.host;
    let advice = asked.provider.unknown_path_advice().map(|advice| format!(", or {advice}")).unwrap_or_default();
    let check = format!("check the Secret's key endpoint and the region{advice}");
    match asked.provider.whose(refusal) {
        Whose::Service => (FailureKind::NotFound, "it does not know this operation".to_owned()),
        Whose::Gateway => {
            (FailureKind::EndpointRefused, format!("the gateway at {host} does not know this path: {check}"))
        }
        Whose::Unclear => (
            FailureKind::InvalidResponse,
            format!(
                "either it does not know this operation or a gateway at {host} does not know this path, which this \
                 answer does not tell: check spec.operationId, then {check}"
            ),
        ),
    }
}

/// Status, code and message as far as given: `404 (CCE.01404001 Resource not found)`.
pub fn describe(refusal: &ApiError) -> String {
    let words: Vec<_> = refusal.code.as_deref().into_iter().chain(refusal.message.as_deref()).collect();
    match words.as_slice() {
        [] => refusal.status.to_string(),
        words => format!("{} ({})", refusal.status, words.join(" ")),
    }
}

/// The host that a redirect points to, and no more of its address: the rest may hold a secret. Where the host does, it is
/// left out.
fn redirect_target(reply: &Reply, redaction: &Redaction) -> Option<String> {
    if !(300..400).contains(&reply.status) || reply.status == 304 {
        return None;
    }
    let location = reply.headers.get(LOCATION)?;
    let host = location.to_str().ok().and_then(|text| {
        // Before it is parsed, which makes its letters small; with the marker in it, a host is none.
        let url = Url::parse(redaction.redact(text).as_deref().unwrap_or(text)).ok()?;
        Some(format!("{}://{}", url.scheme(), url.host_str()?))
    });
    Some(host.filter(|host| redaction.redact(host).is_none()).unwrap_or_else(|| "another path".to_owned()))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let plain = |value: &[u8]| value.is_empty() || value.eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !plain(value.as_bytes().trim_ascii()))
}

/// The address of the next page in the header Link (RFC 8288), where it is no longer than an address may be.
fn next_page(headers: &HeaderMap) -> Option<Box<str>> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    links.into_iter().find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        };
        (address.len() <= LONGEST_LINK && parameters.split(';').any(is_next)).then(|| address.into())
    })
}

/// The longest pause that the headers ask for, at most [`LONGEST_PAUSE`]. Zero, the past and what is neither a number of seconds nor a date say
/// nothing (RFC 9110, section 10.2.3). A date is one of the clock that the reply's Date shows; `now` where it has none.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let read_date = |text: &str| Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok();
    let now = headers.get(DATE).and_then(|date| read_date(date.to_str().ok()?)).unwrap_or(now);
    let parse = |text: &str| {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
        }
        Duration::try_from(read_date(text)?.duration_since(now)).ok()
    };
    let values = headers.get_all(RETRY_AFTER).iter().filter_map(|value| parse(value.to_str().ok()?));
    values.filter(|pause| !pause.is_zero()).max().map(|pause| pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::methods::ReadyToken;
    use crate::provider::Provider;
    use http::header::HeaderValue;
    use secrecy::SecretString;

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        Reply { status, headers: map, body: Body::Whole(body.as_bytes().to_vec()), received: NOW.parse().unwrap() }
    }

    fn classify_reply(reply: Reply) -> Meaning {
        let provider: Provider =
            serde_json::from_value(serde_json::json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}})).unwrap();
        let redaction = Redaction::new(&[SecretString::from("t0pSecret")]);
        let asked = Asked {
            provider: provider.built_in().unwrap(),
            host: "cce.example",
            credential: &ReadyToken("t0pSecret".into()).into(),
            redaction,
        };
        classify(reply, asked)
    }

    fn failure(reply: Reply) -> PollFailure {
        classify_reply(reply).result.map(|_| ()).unwrap_err()
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
    #[case(
        404,
        r#"{"type":"https://tools.ietf.org/html/rfc9110#section-15.5.5","title":"Not Found","status":404}"#,
        FailureKind::EndpointRefused,
        "answered 404 (https://tools.ietf.org/html/rfc9110#section-15.5.5 Not Found): the gateway at cce.example"
    )]
    #[case(
        404,
        r#"{"errorCode":"E.CFE.4040003","errorMessage":"no such job"}"#,
        FailureKind::NotFound,
        "answered 404 (E.CFE.4040003 no such job): it does not know this operation"
    )]
    #[case(
        404,
        r#"{"code":"NO_ROUTE","message":"upstream missing"}"#,
        FailureKind::InvalidResponse,
        "answered 404 (NO_ROUTE upstream missing): either it does not know this operation or a gateway at cce.example does not know this path"
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
    #[case("https://t0pSecret.evil.example/", "another path, ")]
    #[case("https://user:t0pSecret@evil.example/", "https://evil.example, ")]
    #[case("//evil.example/x", "another path, ")]
    #[case("/login", "another path, ")]
    #[case("", "another path, ")]
    fn a_redirect_is_named_by_its_host_only(#[case] location: &str, #[case] named: &str) {
        for status in [300, 301, 302, 303, 307, 308] {
            let failure = failure(reply(status, &[("location", location)], ""));
            assert_eq!(failure.kind, FailureKind::RedirectRefused);
            assert!(failure.message.contains(&format!("{status}, a redirect to {named}")), "{failure}");
            assert!(!failure.message.to_ascii_lowercase().contains("t0psecret"), "{failure}");
        }
        assert_eq!(failure(reply(304, &[("location", location)], "")).kind, FailureKind::InvalidResponse);
        assert_eq!(failure(reply(302, &[], "")).kind, FailureKind::InvalidResponse);
    }

    #[rstest::rstest]
    #[case(&["<https://h/x?page=2>; rel=\"next\""], Some("https://h/x?page=2"))]
    #[case(&["<https://h/x?page=1>; rel=\"prev\", <https://h/x?page=3>; rel=\"next\""], Some("https://h/x?page=3"))]
    #[case(&["</x?page=2>; title=\"t\"; REL=next"], Some("/x?page=2"))]
    #[case(&["<https://h/1>; rel=last", "<https://h/2>; rel=\"next last\""], Some("https://h/2"))]
    #[case(&["<https://h/x?page=9>; rel=\"last\""], None)]
    #[case(&["https://h/x; rel=next"], None)]
    #[case(&["<https://h/x"], None)]
    #[case(&[""], None)]
    fn the_header_link_names_the_next_page(#[case] values: &[&str], #[case] next: Option<&str>) {
        let headers: Vec<_> = values.iter().map(|value| ("link", *value)).collect();
        let page = classify_reply(reply(200, &headers, "[]")).result.unwrap();
        assert_eq!(page.next.as_deref(), next);
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
    fn retry_after_gives_the_pause(#[case] values: &[&str], #[case] seconds: u64) {
        let headers: Vec<_> = values.iter().map(|value| ("retry-after", *value)).collect();
        for status in [429, 503] {
            let meaning = classify_reply(reply(status, &headers, ""));
            assert_eq!(meaning.pause, Some(Duration::from_secs(seconds)));
            assert_eq!(meaning.result.unwrap_err().kind, FailureKind::Throttled);
        }
        assert_eq!(classify_reply(reply(500, &headers, "")).pause, None);
    }

    #[rstest::rstest]
    #[case::its_clock_is_an_hour_slow("Mon, 23 Nov 2026 11:00:00 GMT", "Mon, 23 Nov 2026 11:01:30 GMT", 90)]
    #[case::its_clock_is_an_hour_fast("Mon, 23 Nov 2026 13:00:00 GMT", "Mon, 23 Nov 2026 13:01:30 GMT", 90)]
    #[case::its_date_is_none("yesterday", "Mon, 23 Nov 2026 12:01:30 GMT", 90)]
    fn a_date_to_retry_after_is_one_of_the_clouds_clock(#[case] date: &str, #[case] until: &str, #[case] seconds: u64) {
        let meaning = classify_reply(reply(429, &[("date", date), ("retry-after", until)], ""));
        assert_eq!(meaning.pause, Some(Duration::from_secs(seconds)));
    }

    #[test]
    fn throttling_without_a_hint_pauses_and_a_plain_503_does_not() {
        assert_eq!(classify_reply(reply(429, &[], "")).pause, Some(DEFAULT_PAUSE));
        assert_eq!(classify_reply(reply(503, &[], "")).pause, None);
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
        assert!(classify_reply(reply(200, &[("content-encoding", "Identity")], "{}")).result.is_ok());
    }

    /// An answer about an operation of the secret's own name, and one with the secret in a text.
    #[rstest::rstest]
    #[case::plain("t0pSecret")]
    #[case::escaped("t0p\\u0053ecret")]
    #[case::with_something_invisible_inside("t0p\u{200b}Secret")]
    fn what_is_read_is_the_reply_and_what_is_shown_has_no_secret(#[case] spelling: &str) {
        let body = format!(
            r#"{{"metadata":{{"uid":"t0pSecret-job-1"}},"spec":{{"type":"{spelling}"}},"status":{{"phase":"Running","reason":"x {spelling}"}}}}"#
        );
        let page = classify_reply(reply(200, &[], &body)).result.unwrap();
        let provider: Provider =
            serde_json::from_value(serde_json::json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}})).unwrap();
        let Ok(Reading::Found(observation)) =
            page.read(|document| provider.built_in().unwrap().interpret("t0pSecret-job-1", document))
        else {
            panic!("its own operation is another's")
        };
        assert_eq!(observation.operation_type.as_deref(), Some("[redacted]"));
        assert_eq!(observation.message.as_deref(), Some("x [redacted]"));
        let Err(misread) = page.read(|document| provider.built_in().unwrap().interpret("other", document)) else {
            panic!()
        };
        assert_eq!(misread.0, "the reply is about another operation, [redacted]-job-1");
    }

    #[test]
    fn a_list_is_shown_without_secrets_and_without_ids_that_hold_one() {
        let body = r#"[{"metadata":{"uid":"t0pSecret-job-1"},"spec":{"type":"t0pSecret"},"status":{"phase":"Running"}},
            {"metadata":{"uid":"job-2"},"status":{}}]"#;
        let page = classify_reply(reply(200, &[], body)).result.unwrap();
        let provider: Provider =
            serde_json::from_value(serde_json::json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}})).unwrap();
        let listing = page.read_all(|document| provider.built_in().unwrap().read_page(document)).unwrap();
        let ids: Vec<Option<&str>> = listing.members.iter().map(|member| member.id.as_deref()).collect();
        assert_eq!(ids, [None, Some("job-2")]);
        assert_eq!(listing.members[0].reading.as_ref().unwrap().operation_type.as_deref(), Some("[redacted]"));
        assert_eq!(listing.members[1].reading, Err(Misread::field("status.phase")));
    }

    #[test]
    fn a_code_that_looks_like_the_secret_is_understood_before_it_is_redacted() {
        let provider: Provider =
            serde_json::from_value(serde_json::json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}})).unwrap();
        let credential = Credential::from(ReadyToken("CCE.".into()));
        let redaction = Redaction::new(credential.secrets());
        let asked =
            Asked { provider: provider.built_in().unwrap(), host: "cce.example", credential: &credential, redaction };
        let failure = classify(reply(404, &[("x-request-id", "r-0815")], CCE_404), asked).result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotFound);
        assert_eq!(failure.code.as_deref(), Some("[redacted]01404001"));
        assert_eq!(failure.request_id.as_deref(), Some("r-0815"));
    }
}
