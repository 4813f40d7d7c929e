//! What a request carries to prove who asks: a token from the Secret, one minted for it, or a signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use url::Url;

use super::client::{Call, Client};
use crate::auth::sign_in::{Exchange, Minted, exchange};
use crate::auth::signature::{AccessKey, Signable, sdk_date};
use crate::auth::tokens::Tokens;
use crate::auth::{Account, Credential};
use crate::clock;
use crate::observation::{FailureKind, PollFailure, Request};
use crate::provider::{Provider, Scope, SignIn, TokenHeader};
use crate::upstream::guard::allow_list::Egress;
use crate::upstream::guard::redaction::Redaction;
use crate::upstream::reply::api_error::{present, read_refusal};
use crate::upstream::reply::classify::{DEFAULT_PAUSE, describe, redirect_target, request_id, retry_after};
use crate::upstream::reply::{Body, Reply};

/// What signs requests, and mints what it takes.
pub struct Authority<'a> {
    /// Where a credential may go.
    pub egress: &'a Egress,
    /// How it gets there.
    pub client: &'a Client,
    /// What was minted before.
    pub tokens: &'a Tokens,
}

/// What a request carries.
pub struct Signed {
    /// The headers, the secret ones marked as such.
    pub headers: HeaderMap,
    /// The token in them, where it was minted and not given.
    pub minted: Option<SecretString>,
}

impl Authority<'_> {
    /// The headers for `request` to `url`.
    ///
    /// # Errors
    /// What is wrong with the Secret, or why signing in failed.
    pub async fn sign(
        &self,
        provider: &Provider,
        account: &Account,
        url: &Url,
        request: &Request,
    ) -> Result<Signed, PollFailure> {
        match &account.connection.credential {
            Credential::Token(token) => {
                Ok(Signed { headers: token_headers(token, provider.token_header())?, minted: None })
            }
            Credential::AccessKey { key, security_token, domain_id } => {
                let extra = [
                    ("x-security-token", security_token.as_ref().map(|token| token.expose_secret().to_owned())),
                    match provider.sign_in() {
                        SignIn::Keystone { scope: Scope::Project(id), .. } => ("x-project-id", Some(id)),
                        _ => ("x-domain-id", domain_id.clone()),
                    },
                ];
                let headers = signature_headers(key, &extra, url, request, clock::wall())?;
                Ok(Signed { headers, minted: None })
            }
            Credential::Client { .. } | Credential::Password { .. } | Credential::ServiceKey { .. } => {
                // Boxed, as the others need no room for it.
                let token = Box::pin(self.tokens.get(&name(provider, account), self.mint(provider, account))).await?;
                Ok(Signed { headers: token_headers(&token, provider.token_header())?, minted: Some(token) })
            }
        }
    }

    /// Drops the minted token that was `refused`; whether another may be asked for.
    pub async fn renew(&self, provider: &Provider, account: &Account, refused: &SecretString) -> bool {
        self.tokens.renew(&name(provider, account), refused).await
    }

    async fn mint(&self, provider: &Provider, account: &Account) -> Result<Minted, (PollFailure, Option<Duration>)> {
        let without_pause = |failure| (failure, None);
        let exchange = exchange(&account.connection, &provider.sign_in()).map_err(|why| {
            let message = format!("the Secret's key iamEndpoint cannot be used: {why}");
            without_pause(PollFailure::new(FailureKind::CredentialsIncomplete, message))
        })?;
        let Some(exchange) = exchange else {
            let keys = account.connection.credential.keys();
            let message = format!("{} does not take the Secret's keys {keys}", provider.cloud());
            return Err(without_pause(PollFailure::new(FailureKind::CredentialsIncomplete, message)));
        };
        let key = exchange.endpoint_key;
        let endpoint = self.egress.check(key, &exchange.endpoint, provider).map_err(without_pause)?;
        let call = Call {
            key,
            url: endpoint.post_url(exchange.path),
            headers: exchange_headers(&exchange).map_err(without_pause)?,
            body: Some(exchange.body.clone()),
        };
        let reply = self.client.send(call, provider, account.connection.ca.as_deref()).await.map_err(without_pause)?;
        read_token(reply, &exchange, provider, &account.connection.credential, endpoint.host())
    }
}

/// A Keystone token is good for its scope only.
fn name(provider: &Provider, account: &Account) -> String {
    format!("{} {:?}", account.name, provider.sign_in())
}

fn token_headers(token: &SecretString, header: TokenHeader) -> Result<HeaderMap, PollFailure> {
    let token = token.expose_secret();
    let (name, value) = match header {
        TokenHeader::Bearer => (AUTHORIZATION, secret_value("token", &format!("Bearer {token}"))?),
        TokenHeader::XAuthToken => (HeaderName::from_static("x-auth-token"), secret_value("token", token)?),
    };
    Ok(HeaderMap::from_iter([(name, value)]))
}

/// Content type, host, project and date are signed, as the vendor's own clients do.
fn signature_headers(
    key: &AccessKey,
    extra: &[(&'static str, Option<String>)],
    url: &Url,
    request: &Request,
    now: Timestamp,
) -> Result<HeaderMap, PollFailure> {
    let date = sdk_date(now);
    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let extra: Vec<(&'static str, &str)> =
        extra.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let mut signed = vec![("content-type", "application/json"), ("host", host.as_str())];
    signed.extend(&extra);
    let signable = Signable { method: "GET", path: url.path(), query: &request.query, headers: &signed, body: b"" };
    let authorization = key.authorization(&signable, &date);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, secret_value("accessKey", &authorization)?);
    headers.insert(HeaderName::from_static("x-sdk-date"), secret_value("accessKey", &date)?);
    for (name, value) in extra {
        let key = if name == "x-security-token" { "securityToken" } else { "domainId" };
        headers.insert(HeaderName::from_static(name), secret_value(key, value)?);
    }
    Ok(headers)
}

fn exchange_headers(exchange: &Exchange) -> Result<HeaderMap, PollFailure> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(exchange.content_type));
    if let Some((user, secret)) = &exchange.basic {
        let pair = basic_pair(user, secret);
        headers.insert(AUTHORIZATION, secret_value("clientSecret", &format!("Basic {}", pair.expose_secret()))?);
    }
    Ok(headers)
}

/// User and secret as HTTP's basic authentication sends them (RFC 7617).
fn basic_pair(user: &str, secret: &SecretString) -> SecretString {
    STANDARD.encode(format!("{user}:{}", secret.expose_secret())).into()
}

fn secret_value(key: &str, text: &str) -> Result<HeaderValue, PollFailure> {
    let mut value = HeaderValue::try_from(text).map_err(|_| {
        let message =
            format!("the Secret's key {key} holds a character that no header carries, such as a line break within");
        PollFailure::new(FailureKind::CredentialsIncomplete, message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_token(
    reply: Reply,
    exchange: &Exchange,
    provider: &Provider,
    credential: &Credential,
    host: &str,
) -> Result<Minted, (PollFailure, Option<Duration>)> {
    let cloud = provider.cloud();
    let keys = credential.keys();
    let fail = |kind, message: String| Err((PollFailure::new(kind, format!("signing in to {cloud}: {message}")), None));
    if let Some(target) = redirect_target(&reply) {
        let message = format!(
            "it answered with a redirect to {target}, which was not followed; check the Secret's key {}",
            exchange.endpoint_key
        );
        return fail(FailureKind::RedirectRefused, message);
    }
    let body: &[u8] = match &reply.body {
        Body::Whole(body) => body,
        Body::Late(failure) => return Err((failure.clone(), None)),
        Body::TooLarge | Body::Cut => b"",
    };
    if exchange.is_success(reply.status) {
        let token = reply.headers.get("x-subject-token").and_then(|token| token.to_str().ok());
        return match exchange.read(token, body, reply.received) {
            Ok(minted) => Ok(minted),
            Err(why) => fail(FailureKind::InvalidResponse, format!("no usable answer: {why}")),
        };
    }
    let pair = exchange.basic.as_ref().map(|(user, secret)| basic_pair(user, secret));
    let redaction = Redaction::new(credential.secrets().into_iter().chain(&pair));
    let refusal = read_refusal(reply.status, request_id(&reply.headers), body);
    let refusal = present(&refusal, |text| redaction.redact(text));
    let said = describe(&refusal);
    let second_factor = match credential {
        Credential::Password { .. } => {
            "; a user who needs a second factor cannot sign in so: use accessKey and secretKey"
        }
        _ => "",
    };
    match refusal.status {
        429 | 503 => {
            let pause = retry_after(&reply.headers, reply.received).unwrap_or(DEFAULT_PAUSE);
            let kind = if refusal.status == 429 { FailureKind::Throttled } else { FailureKind::ServerError };
            Err((PollFailure::new(kind, format!("signing in to {cloud}: it answered {said}")), Some(pause)))
        }
        400 | 401 => fail(
            FailureKind::Unauthorized,
            format!("it answered {said}: correct the Secret's keys {keys}{second_factor}"),
        ),
        403 => fail(
            FailureKind::Forbidden,
            format!("it answered {said}: the owner of the Secret's keys {keys} may not sign in{second_factor}"),
        ),
        404 | 405 | 410 => fail(
            FailureKind::EndpointRefused,
            format!("{host} answered {said}: check the Secret's key {}", exchange.endpoint_key),
        ),
        500..=599 => fail(FailureKind::ServerError, format!("it answered {said}: it has trouble of its own")),
        _ => fail(FailureKind::InvalidResponse, format!("it answered {said}: that is no answer to a sign-in")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_as_the_cloud_wants_it_and_marked_sensitive() {
        for (header, name, value) in
            [(TokenHeader::Bearer, "authorization", "Bearer t"), (TokenHeader::XAuthToken, "x-auth-token", "t")]
        {
            let headers = token_headers(&"t".into(), header).unwrap();
            assert_eq!(headers[name], value);
            assert!(headers[name].is_sensitive());
        }
        let failure = token_headers(&"a\nb".into(), TokenHeader::Bearer).unwrap_err();
        assert_eq!(failure.kind, FailureKind::CredentialsIncomplete);
    }
}
