//! What a request carries to prove who asks: a token from the Secret, one requested with it, or a signature.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::client::{Call, Client};
use crate::auth::Account;
use crate::auth::methods::{Header, Proof, RequestToken, Unsigned};
use crate::auth::token_cache::TokenCache;
use crate::auth::token_request::{TokenReply, TokenRequest, TokenResponse};
use crate::clock;
use crate::observation::{ApiError, FailureKind, PollFailure, Request};
use crate::provider::{CloudApi, TokenHeader};
use crate::upstream::guard::allow_list::{AllowList, Endpoint};
use crate::upstream::guard::redaction::Redaction;
use crate::upstream::reply::api_error::read_api_error;
use crate::upstream::reply::classify::{Asked, refuse_sign_in, request_id};
use crate::upstream::reply::{Body, Reply};

/// What authenticates requests, and signs in where that takes a token.
pub struct Authenticator<'a> {
    /// Where a credential may go.
    pub allow_list: &'a AllowList,
    /// How it gets there.
    pub client: &'a Client,
    /// What was requested before.
    pub tokens: &'a TokenCache,
    /// Of whoever asks.
    pub namespace: &'a str,
}

/// What a request carries.
pub struct Signed {
    /// The headers, the secret ones marked as such.
    pub headers: HeaderMap,
    /// The token in them, where it was requested and not given.
    pub fetched: Option<SecretString>,
}

/// Why signing in failed, and for how long the cloud wants no further try.
type SignInFailure = (PollFailure, Option<Duration>);

impl Authenticator<'_> {
    /// The headers for `request` to `url`.
    ///
    /// # Errors
    /// What is wrong with the Secret, or why signing in failed.
    pub async fn sign(
        &self,
        provider: &dyn CloudApi,
        account: &Account,
        url: &Url,
        request: &Request,
    ) -> Result<Signed, PollFailure> {
        match account.connection.credential.proof() {
            Proof::Token(token) => {
                Ok(Signed { headers: token_headers(token, provider.token_header())?, fetched: None })
            }
            Proof::Signature(signer) => {
                let host = match (url.host_str().unwrap_or_default(), url.port()) {
                    (host, Some(port)) => format!("{host}:{port}"),
                    (host, None) => host.to_owned(),
                };
                let unsigned = Unsigned { host: &host, path: url.path(), query: &request.query };
                let headers = signer.sign(&unsigned, &provider.sign_in().scope, clock::wall());
                Ok(Signed { headers: secret_headers(headers)?, fetched: None })
            }
            Proof::SignIn(method) => {
                let name = name(provider, account);
                // Boxed, as the others need no room for it.
                let token = Box::pin(self.tokens.get(&name, self.sign_in(method, provider, account))).await?;
                Ok(Signed { headers: token_headers(&token, provider.token_header())?, fetched: Some(token) })
            }
        }
    }

    /// Drops the requested token that was `refused`; whether another may be asked for.
    pub async fn renew(&self, provider: &dyn CloudApi, account: &Account, refused: &SecretString) -> bool {
        self.tokens.renew(&name(provider, account), refused).await
    }

    async fn sign_in(
        &self,
        method: &dyn RequestToken,
        provider: &dyn CloudApi,
        account: &Account,
    ) -> Result<TokenResponse, SignInFailure> {
        let without_pause = |failure| (failure, None);
        let connection = &account.connection;
        let request = method.token_request(connection, &provider.sign_in()).map_err(|why| {
            let message = format!("the Secret's key iamEndpoint cannot be used: {why}");
            without_pause(PollFailure::new(FailureKind::CredentialsIncomplete, message))
        })?;
        let key = request.endpoint_key;
        let endpoint = self.allow_list.check(key, &request.endpoint, provider).map_err(without_pause)?;
        let (reply, pairs) = self.request_token(&request, &endpoint, provider, account).await.map_err(without_pause)?;
        let credential = &connection.credential;
        let redaction = Redaction::new(credential.secrets().into_iter().chain(&pairs));
        read_token(&reply, &request, &Asked { provider, host: endpoint.host(), credential, redaction })
    }

    /// Sends the request with each spelling of its Basic header until one is not refused. Also gives the spellings, none
    /// of which must be repeated.
    async fn request_token(
        &self,
        request: &TokenRequest,
        endpoint: &Endpoint,
        provider: &dyn CloudApi,
        account: &Account,
    ) -> Result<(Reply, Vec<SecretString>), PollFailure> {
        let pairs = request.basic.as_ref().map(|basic| basic.spellings()).unwrap_or_default();
        let mut left = pairs.iter();
        loop {
            let call = Call {
                key: request.endpoint_key,
                url: endpoint.post_url(&request.path),
                headers: token_request_headers(request, left.next())?,
                body: Some(request.body.clone()),
            };
            let reply = self.client.send(call, provider, (account, self.namespace)).await?;
            if left.len() == 0 || !refuses_client(&reply) {
                return Ok((reply, pairs));
            }
        }
    }
}

/// A token is good for its scope only.
fn name(provider: &dyn CloudApi, account: &Account) -> String {
    let sign_in = provider.sign_in();
    format!(
        "{} {} {:?} {:?}",
        account.name,
        account.connection.token_endpoint(&sign_in).0,
        sign_in.scope,
        sign_in.oauth
    )
}

fn token_headers(token: &SecretString, header: TokenHeader) -> Result<HeaderMap, PollFailure> {
    let token = token.expose_secret();
    let (name, value) = match header {
        TokenHeader::Bearer => (AUTHORIZATION, secret_value("token", &format!("Bearer {token}"))?),
        TokenHeader::XAuthToken => (HeaderName::from_static("x-auth-token"), secret_value("token", token)?),
        TokenHeader::Other { name, prefix } => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                PollFailure::new(FailureKind::ProfileRefused, format!("{name:?} is no name of a header"))
            })?;
            (name, secret_value("token", &format!("{prefix}{token}"))?)
        }
    };
    Ok(HeaderMap::from_iter([(name, value)]))
}

fn secret_headers(headers: Vec<Header>) -> Result<HeaderMap, PollFailure> {
    let pair = |header: Header| {
        let value = secret_value(header.key, header.value.expose_secret())?;
        Ok((HeaderName::from_static(header.name), value))
    };
    headers.into_iter().map(pair).collect()
}

fn token_request_headers(request: &TokenRequest, pair: Option<&SecretString>) -> Result<HeaderMap, PollFailure> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.content_type));
    if let Some(pair) = pair {
        headers.insert(AUTHORIZATION, secret_value("clientSecret", &format!("Basic {}", pair.expose_secret()))?);
    }
    Ok(headers)
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

/// Whether the reply says that the client's ID and secret are wrong, and nothing else (RFC 6749, section 5.2).
fn refuses_client(reply: &Reply) -> bool {
    let Body::Whole(body) = &reply.body else { return reply.status == 401 };
    let ApiError { code, message, .. } = read_api_error(reply.status, None, body);
    reply.status == 401 || reply.status == 400 && code.or(message).as_deref() == Some("invalid_client")
}

/// The token in a `reply`, or why there is none. Keystone gives 201 and OAuth 200, but a token is one by either.
fn read_token(reply: &Reply, request: &TokenRequest, asked: &Asked<'_>) -> Result<TokenResponse, SignInFailure> {
    let body: &[u8] = match &reply.body {
        Body::Whole(body) => body,
        Body::Late(failure) => return Err((failure.clone(), None)),
        Body::TooLarge | Body::Cut => b"",
    };
    if !matches!(reply.status, 200 | 201) {
        return Err(refuse_sign_in(reply, body, request_id(&reply.headers), request.endpoint_key, asked));
    }
    let header = |name| reply.headers.get(name).and_then(|value| value.to_str().ok());
    let date = header(DATE).and_then(|date| Timestamp::try_from(httpdate::parse_http_date(date).ok()?).ok());
    let subject_token = header(HeaderName::from_static("x-subject-token"));
    (request.read)(&TokenReply { body, subject_token, date }).map_err(|why| {
        let message = format!("signing in to {}: no usable answer: {why}", asked.provider.cloud());
        (PollFailure::new(FailureKind::InvalidResponse, message), None)
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use cloudop_simulator::{Fault, Matcher, RecordedRequest, Simulator, Times};
    use http::header::RETRY_AFTER;
    use serde_json::json;

    use std::sync::Arc;

    use super::*;
    use crate::auth::methods::{ClientCredentials, KeystonePassword};
    use crate::auth::{Connection, Credential};
    use crate::provider::Provider;
    use crate::upstream::Options;

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

    /// One simulated cloud, and what signs in to it.
    struct Bed {
        simulator: Simulator,
        allow_list: Arc<AllowList>,
        client: Client,
        tokens: TokenCache,
    }

    impl Bed {
        async fn new() -> Self {
            let options = Options {
                allow_hosts: vec!["localhost:*".into(), "127.0.0.1:*".into()],
                allow_private_addresses: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
                ..Options::default()
            };
            let allow_list = AllowList::new(&options.allow_hosts, &options.allow_private_addresses);
            let allow_list = Arc::new(allow_list.unwrap());
            Self {
                simulator: Simulator::start().await.unwrap(),
                client: Client::new(&options, Arc::clone(&allow_list)).unwrap(),
                allow_list,
                tokens: TokenCache::default(),
            }
        }

        /// Answers the sign-ins to come.
        fn answer(&self, code: u16, headers: &[(&str, &str)], body: &str, times: impl Into<Times>) {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let fault = Fault::Status { code, headers, body: body.to_owned() };
            self.simulator.fault(fault, Matcher::path("/token"), times);
        }

        async fn sign(&self, provider: &Provider, credential: impl Into<Credential>) -> Result<String, PollFailure> {
            let authenticator = Authenticator {
                allow_list: &self.allow_list,
                client: &self.client,
                tokens: &self.tokens,
                namespace: "n",
            };
            let account = Account::from(Connection {
                endpoint: self.simulator.url(),
                iam_endpoint: Some(self.simulator.url().into()),
                ca: Some(self.simulator.ca_pem().into()),
                credential: credential.into(),
            });
            let request = Request::get(&["x"]);
            let url = Url::parse(&self.simulator.url()).unwrap();
            let signed = authenticator.sign(provider.built_in().unwrap(), &account, &url, &request).await?;
            Ok(signed.fetched.unwrap().expose_secret().to_owned())
        }

        /// The Basic headers of the sign-ins so far, decoded.
        fn pairs(&self) -> Vec<String> {
            let pair = |request: RecordedRequest| {
                let pair = request.header("authorization")?.strip_prefix("Basic ")?.to_owned();
                Some(String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap())
            };
            self.simulator.requests().into_iter().filter_map(pair).collect()
        }
    }

    fn numspot() -> Provider {
        serde_json::from_value(json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": "s"}})).unwrap()
    }

    fn otc() -> Provider {
        serde_json::from_value(json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}})).unwrap()
    }

    fn client() -> ClientCredentials {
        ClientCredentials { id: "robot:1".into(), secret: "s3cret/+".into() }
    }

    fn user() -> KeystonePassword {
        KeystonePassword { username: "u".into(), password: "s3cret".into(), domain_name: "d".into() }
    }

    const SUBJECT_TOKEN: (&str, &str) = ("X-Subject-Token", "t");

    #[tokio::test]
    async fn a_token_is_one_with_200_as_with_201() {
        for code in [200, 201] {
            let bed = Bed::new().await;
            bed.answer(code, &[SUBJECT_TOKEN], r#"{"access_token":"t","token":{}}"#, Times::Forever);
            assert_eq!(bed.sign(&numspot(), client()).await, Ok("t".to_owned()), "{code}");
            assert_eq!(bed.sign(&otc(), user()).await, Ok("t".to_owned()), "{code}");
        }
    }

    #[tokio::test]
    async fn a_client_is_sent_form_encoded_and_raw_once_more_where_that_is_refused() {
        let accepted = r#"{"access_token":"t"}"#;
        for (code, body) in [(401, ""), (400, r#"{"error":"invalid_client"}"#)] {
            let bed = Bed::new().await;
            bed.answer(code, &[], body, 1);
            bed.answer(200, &[], accepted, Times::Forever);
            assert_eq!(bed.sign(&numspot(), client()).await, Ok("t".to_owned()));
            assert_eq!(bed.pairs(), ["robot%3A1:s3cret%2F%2B", "robot:1:s3cret/+"]);
        }
        // Neither what is refused for another reason nor what has one spelling is sent twice.
        let plain = ClientCredentials { id: "robot".into(), secret: "s3cret".into() };
        for (client, code, body) in
            [(client(), 400, r#"{"error":"invalid_scope"}"#), (client(), 403, ""), (plain, 401, "")]
        {
            let bed = Bed::new().await;
            bed.answer(code, &[], body, 1);
            bed.answer(200, &[], accepted, Times::Forever);
            bed.sign(&numspot(), client).await.unwrap_err();
            assert_eq!(bed.pairs().len(), 1, "{code} {body}");
        }
        let bed = Bed::new().await;
        let pairs = ["robot%3A1:s3cret%2F%2B", "robot:1:s3cret/+"].map(|pair| STANDARD.encode(pair));
        let echo = format!("{} {} s3cret%2F%2B", pairs[0], pairs[1]);
        let echo = json!({"error": "invalid_client", "error_description": echo}).to_string();
        bed.answer(401, &[], &echo, Times::Forever);
        let failure = bed.sign(&numspot(), client()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unauthorized);
        assert!(failure.message.contains("(invalid_client [redacted] [redacted] [redacted])"), "{failure}");
        assert_eq!(bed.pairs().len(), 2);
    }

    #[tokio::test]
    async fn a_token_is_reused_though_our_clock_is_a_day_ahead_of_the_cloud_s() {
        let bed = Bed::new().await;
        let at = |hours| Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        let token = json!({"token": {"issued_at": at(24).to_string(), "expires_at": at(23).to_string()}});
        bed.answer(201, &[SUBJECT_TOKEN], &token.to_string(), Times::Forever);
        for _ in 0..3 {
            assert_eq!(bed.sign(&otc(), user()).await, Ok("t".to_owned()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(bed.simulator.requests().len(), 1);
    }

    #[test]
    fn a_sign_in_that_asks_for_a_pause_of_a_year_gets_15_minutes() {
        let request = user().token_request(&connection(), &otc().built_in().unwrap().sign_in()).unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("31536000"))]);
        let reply = Reply { status: 429, headers, body: Body::Whole(Vec::new()), received: Timestamp::now() };
        let (provider, credential) = (otc(), user().into());
        let asked = Asked {
            provider: provider.built_in().unwrap(),
            host: "x",
            credential: &credential,
            redaction: Redaction::new([]),
        };
        let (failure, pause) = read_token(&reply, &request, &asked).unwrap_err();
        assert_eq!((failure.kind, pause), (FailureKind::Throttled, Some(Duration::from_secs(900))));
    }

    fn connection() -> Connection {
        Connection { endpoint: "https://x".into(), iam_endpoint: None, ca: None, credential: user().into() }
    }
}
