//! What a request carries to prove who asks: a token from the Secret, one that was asked for, or a signature.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use super::client::{Call, Client};
use crate::auth::Account;
use crate::auth::methods::{Proof, Subject, TokenRequest};
use crate::auth::token_cache::Tokens;
use crate::auth::token_response::{FreshToken, read_token};
use crate::clock;
use crate::observation::{FailureKind, PollFailure, Request};
use crate::provider::{Provider, TokenHeader};
use crate::upstream::guard::allow_list::AllowList;
use crate::upstream::guard::redaction::Redaction;
use crate::upstream::reply::classify::{Asked, refuse_sign_in, request_id};
use crate::upstream::reply::{Body, Reply};

/// What signs requests, and asks for the tokens that takes.
pub struct Authenticator<'a> {
    /// Where a credential may go.
    pub allow_list: &'a AllowList,
    /// How it gets there.
    pub client: &'a Client,
    /// The tokens in use.
    pub tokens: &'a Tokens,
}

/// What a request carries.
pub struct Signed {
    /// The headers, the secret ones marked as such.
    pub headers: HeaderMap,
    /// The token in them, where it was asked for and not given.
    pub fetched: Option<SecretString>,
}

/// Why there is no token, and how long the account is to wait.
type Refused = (PollFailure, Option<Duration>);

impl Authenticator<'_> {
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
        let (connection, sign_in) = (&account.connection, &provider.sign_in());
        let subject = Subject { connection, sign_in, url, request, now: clock::wall() };
        let unusable = |why| PollFailure::new(FailureKind::CredentialsIncomplete, why);
        match connection.credential.prove(&subject).map_err(unusable)? {
            Proof::Token(token) => {
                Ok(Signed { headers: token_headers(&token, provider.token_header())?, fetched: None })
            }
            Proof::Headers(proof) => {
                let mut headers = HeaderMap::new();
                for header in proof {
                    let value = secret_value(header.key, header.value.expose_secret())?;
                    headers.insert(HeaderName::from_static(header.name), value);
                }
                Ok(Signed { headers, fetched: None })
            }
            Proof::SignIn(request) => {
                // Boxed, as the others need no room for it.
                let sign_in = self.sign_in(provider, account, &request);
                let token = Box::pin(self.tokens.get(&name(provider, account), sign_in)).await?;
                Ok(Signed { headers: token_headers(&token, provider.token_header())?, fetched: Some(token) })
            }
        }
    }

    /// Drops the token that was `refused`; whether another may be asked for.
    pub async fn renew(&self, provider: &Provider, account: &Account, refused: &SecretString) -> bool {
        self.tokens.renew(&name(provider, account), refused).await
    }

    async fn sign_in(
        &self,
        provider: &Provider,
        account: &Account,
        request: &TokenRequest,
    ) -> Result<FreshToken, Refused> {
        let key = request.endpoint_key;
        let without_pause = |failure| (failure, None);
        let endpoint = self.allow_list.check(key, &request.endpoint, provider).map_err(without_pause)?;
        let mut spellings = basic_spellings(request).into_iter().peekable();
        loop {
            let basic = spellings.next().flatten();
            let call = Call {
                key,
                url: endpoint.post_url(request.path),
                headers: sign_in_headers(request, basic.as_ref()).map_err(without_pause)?,
                body: Some(request.body.clone()),
            };
            let ca = account.connection.ca.as_deref();
            let reply = self.client.send(call, provider, ca).await.map_err(without_pause)?;
            let is_refused = matches!(reply.status, 400 | 401);
            if !(is_refused && spellings.peek().is_some()) {
                return understand(&reply, request, provider, account, endpoint.host(), basic.as_ref());
            }
        }
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

fn sign_in_headers(request: &TokenRequest, basic: Option<&SecretString>) -> Result<HeaderMap, PollFailure> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.content_type));
    if let Some(pair) = basic {
        headers.insert(AUTHORIZATION, secret_value("clientSecret", &format!("Basic {}", pair.expose_secret()))?);
    }
    Ok(headers)
}

/// User and secret as HTTP's basic authentication sends them (RFC 7617): form-encoded first (RFC 6749, section 2.3.1),
/// then, where that differs, as they are, as many servers want them.
fn basic_spellings(request: &TokenRequest) -> Vec<Option<SecretString>> {
    let Some((user, secret)) = &request.basic else { return vec![None] };
    let pair = |user: &str, secret: &str| Some(SecretString::from(STANDARD.encode(format!("{user}:{secret}"))));
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let secret = secret.expose_secret();
    let (encoded_user, encoded_secret) = (encode(user), encode(secret));
    let is_same = (encoded_user.as_str(), encoded_secret.as_str()) == (user.as_str(), secret);
    let raw = (!is_same).then(|| pair(user, secret));
    [pair(&encoded_user, &encoded_secret)].into_iter().chain(raw).collect()
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

/// The token in a `reply`, or why there is none. Clouds answer 200 as well as 201.
fn understand(
    reply: &Reply,
    request: &TokenRequest,
    provider: &Provider,
    account: &Account,
    host: &str,
    basic: Option<&SecretString>,
) -> Result<FreshToken, Refused> {
    let credential = &account.connection.credential;
    let body: &[u8] = match &reply.body {
        Body::Whole(body) => body,
        Body::Late(failure) => return Err((failure.clone(), None)),
        Body::TooLarge | Body::Cut => b"",
    };
    if matches!(reply.status, 200 | 201) {
        let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok());
        return read_token(request, header("x-subject-token"), date(&reply.headers), body).map_err(|why| {
            let message = format!("signing in to {}: no usable answer: {why}", provider.cloud());
            (PollFailure::new(FailureKind::InvalidResponse, message), None)
        });
    }
    let redaction = Redaction::new(credential.secrets().into_iter().chain(basic));
    let asked = Asked { provider, host, credential, redaction };
    Err(refuse_sign_in(reply, body, request_id(&reply.headers), request.endpoint_key, &asked))
}

/// What the cloud's clock showed.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Timestamp::try_from(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::methods::TokenReply;

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

    #[rstest::rstest]
    #[case("id", "s3cret", &["id:s3cret"])]
    #[case("id", "s/+ &", &["id:s%2F%2B+%26", "id:s/+ &"])]
    #[case("i:d", "s", &["i%3Ad:s", "i:d:s"])]
    fn a_basic_header_is_form_encoded_and_raw_where_that_differs(
        #[case] user: &str,
        #[case] secret: &str,
        #[case] pairs: &[&str],
    ) {
        let request = TokenRequest {
            endpoint: String::new(),
            endpoint_key: "",
            path: "",
            content_type: "",
            basic: Some((user.into(), secret.into())),
            body: "".into(),
            read: |_: &TokenReply<'_>| Err(String::new()),
        };
        let spelt: Vec<String> = basic_spellings(&request)
            .into_iter()
            .map(|pair| String::from_utf8(STANDARD.decode(pair.unwrap().expose_secret()).unwrap()).unwrap())
            .collect();
        assert_eq!(spelt, pairs);
    }
}
