//! What comes over the wire beside documents, and what a Secret sends there.

use std::sync::LazyLock;
use std::time::Duration;

use cloudop::auth::token_request::{TokenReply, read_keystone, read_oauth};
use cloudop::credentials::account;
use cloudop::upstream::reply::classify::{self, Asked, LONGEST_PAUSE, refuse_sign_in, request_id};
use cloudop::upstream::reply::{Body, Reply};
use cloudop::upstream::{Options, System, Upstream};
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use secrecy::ExposeSecret;

use crate::apis::{APIS, api};
use crate::replies::{LARGEST_STATUS, check_redacted, classify_for, redaction};
use crate::{now, split_line};

/// `<api> <status> <name: value>|<name: value>`, and the body.
pub fn refusal(data: &[u8]) {
    let (line, body) = split_line(data);
    let mut words = line.splitn(3, ' ');
    let api = api(words.next().unwrap_or_default());
    let status = words.next().and_then(|status| status.parse().ok()).unwrap_or(404);
    let headers = || {
        let mut headers = HeaderMap::new();
        for (name, value) in line.splitn(3, ' ').nth(2).unwrap_or_default().split('|').filter_map(|h| h.split_once(':'))
        {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.trim()), HeaderValue::try_from(value.trim())) {
                headers.append(name, value);
            }
        }
        headers
    };
    let reply = || Reply { status, headers: headers(), body: Body::Whole(body.to_vec()), received: now() };
    let check_pause = |pause: Option<Duration>| {
        assert!(pause.is_none_or(|pause| !pause.is_zero() && pause <= LONGEST_PAUSE), "a pause of {pause:?}");
        assert!(pause.is_none() || matches!(status, 429 | 503), "a pause after {status}");
    };
    let meaning = api.single(|api| classify_for(api, reply()));
    check_pause(meaning.pause);
    match meaning.result {
        Ok(_) => assert_eq!(status, 200),
        Err(failure) => {
            let shown = serde_json::json!([failure.message, failure.code, failure.request_id]).to_string();
            assert!(shown.len() <= LARGEST_STATUS / 2, "a failure of {} bytes", shown.len());
            check_redacted(&shown);
        }
    }
    let credential = cloudop::auth::Credential::from(cloudop::auth::methods::ReadyToken("t".into()));
    let reply = reply();
    let (failure, pause) = api.single(|api| {
        let asked = Asked { provider: api, host: "iam.example", credential: &credential, redaction: redaction() };
        refuse_sign_in(&reply, body, request_id(&reply.headers), "iamEndpoint", &asked)
    });
    check_pause(pause);
    check_redacted(&serde_json::json!([failure.message, failure.code, failure.request_id]).to_string());
}

/// A Date, and what stands in Retry-After, one a line.
fn read_lines(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (at, line) in data.split(|byte| *byte == b'\n').enumerate() {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        let name = if at == 0 { http::header::DATE } else { RETRY_AFTER };
        headers.append(name, value);
    }
    headers
}

pub fn retry_after(data: &[u8]) {
    let headers = read_lines(data);
    let pause = classify::retry_after(&headers, now());
    assert!(pause.is_none_or(|pause| !pause.is_zero() && pause <= LONGEST_PAUSE), "{pause:?}");
    assert_eq!(pause, classify::retry_after(&headers, now()));
    // Seconds as digits say what they say.
    let digits = |value: &HeaderValue| value.to_str().ok().and_then(|text| text.trim().parse::<u32>().ok());
    let longest = headers.get_all(RETRY_AFTER).iter().filter_map(digits).max().filter(|seconds| *seconds > 0);
    if let Some(seconds) =
        longest.filter(|_| !headers.get_all(RETRY_AFTER).iter().any(|v| v.as_bytes().contains(&b'+')))
    {
        let asked = Duration::from_secs(seconds.into()).min(LONGEST_PAUSE);
        assert!(pause.is_some_and(|pause| pause >= asked), "{seconds} s were asked for, and it pauses {pause:?}");
    }
}

/// The header with a token, and the answer to a sign-in.
pub fn token(data: &[u8]) {
    let (line, body) = split_line(data);
    let subject_token = (!line.is_empty()).then_some(line);
    for date in [None, Some(now())] {
        let reply = TokenReply { body, subject_token, date };
        for read in [read_oauth, read_keystone] {
            match read(&reply) {
                Ok(response) => {
                    let token = response.token.expose_secret();
                    assert!(HeaderValue::from_str(token).is_ok() && !token.is_empty() && token.len() <= 32 << 10);
                    assert!(response.usable <= Duration::from_secs(86_400), "{:?}", response.usable);
                }
                Err(why) => {
                    // Nothing of what the reply holds.
                    assert!(why.len() < 200, "{why}");
                    assert!(why.is_ascii(), "{why}");
                }
            }
        }
    }
}

/// The API's name, and a Secret: a key and its value a line, `\n` in a value as a tab.
fn secret_of(data: &[u8]) -> (&str, Secret) {
    let (name, rest) = split_line(data);
    let pairs = rest.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b'=')?;
        let key = String::from_utf8(line[..at].to_vec()).ok()?;
        let value = line[at + 1..].iter().map(|byte| if *byte == b'\t' { b'\n' } else { *byte }).collect();
        Some((key, ByteString(value)))
    });
    (name, Secret { data: Some(pairs.collect()), ..Secret::default() })
}

/// What must stay secret of a Secret; the rest names things.
const SECRET_KEYS: [&str; 7] =
    ["token", "clientSecret", "password", "secretKey", "secret", "privateKey", "securityToken"];

pub fn secret(data: &[u8]) {
    let (name, secret) = secret_of(data);
    let data = secret.data.as_ref();
    let values = SECRET_KEYS.iter().filter_map(|key| Some(std::str::from_utf8(&data?.get(*key)?.0).ok()?.trim()));
    let values: Vec<&str> = values.filter(|value| value.len() >= 8).collect();
    // What is also named elsewhere in it is no secret.
    let others = || data.into_iter().flatten().filter(|(key, _)| !SECRET_KEYS.contains(&key.as_str()));
    let is_named = |value: &str| {
        others().any(|(key, other)| key.contains(value) || String::from_utf8_lossy(&other.0).contains(value))
    };
    api(name).single(|api| {
        let read = account(&secret, api);
        let shown = match &read {
            Ok(account) => {
                assert!(account.name.len() <= 64 && account.name.bytes().all(|byte| byte.is_ascii_hexdigit()));
                format!("{account:?}")
            }
            Err(failure) => format!("{failure:?}"),
        };
        // Messages of ours are of words that somebody may have for a password.
        for value in values.iter().filter(|value| !is_named(value) && value.bytes().any(|byte| byte.is_ascii_digit())) {
            assert!(!shown.contains(*value), "{value} shows in {shown}");
        }
        match (read, account(&secret, api)) {
            (Ok(one), Ok(other)) => assert_eq!(one.name, other.name),
            (Err(one), Err(other)) => assert_eq!(one, other),
            (one, other) => panic!("read twice it is {one:?} and {other:?}"),
        }
    });
}

static UPSTREAM: LazyLock<Upstream> = LazyLock::new(|| Upstream::new(Options::default()).unwrap());

/// `<api>`, and an endpoint for it: where its credential would go.
pub fn endpoint(data: &[u8]) {
    let (name, endpoint) = split_line(data);
    let data = [("token", &b"t"[..]), ("endpoint", endpoint), ("keyId", b"k")];
    let data = data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.to_vec())));
    let secret = Secret { data: Some(data.collect()), ..Secret::default() };
    let api = APIS.iter().find(|api| api.name == name).unwrap_or(&APIS[0]);
    api.single(|api| {
        let Ok(account) = account(&secret, api) else { return };
        let Ok(to) = UPSTREAM.destination(api, &account) else { return };
        let host = to.host.to_ascii_lowercase();
        let is_below = |domain: &&str| host.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
        assert!(api.domains().iter().any(is_below), "a credential would go to {host}");
        assert_eq!(to.port, 443);
        assert!(!host.split('.').any(|label| label == "obs" || label.is_empty()), "a credential would go to {host}");
        let text = String::from_utf8_lossy(endpoint).trim().to_ascii_lowercase();
        assert!(text.starts_with("https:") && !text.contains('@'), "a credential would go by {text}");
    });
}

static SYSTEM: LazyLock<System> = LazyLock::new(|| System::load(None).unwrap());

/// A bundle of certificates.
pub fn pem(data: &[u8]) {
    let Ok(bundle) = std::str::from_utf8(data) else { return };
    let config = SYSTEM.config(Some(bundle));
    match config {
        Ok(_) => assert!(bundle.contains("-----BEGIN CERTIFICATE")),
        Err(why) => assert!(why.contains("certificate"), "{why}"),
    }
}
