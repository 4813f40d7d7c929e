//! HTTPS: one GET at a time, bounded in time and size, to no other place than the one checked.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ahash::HashMap;
use futures::future::BoxFuture;
use http::{Request, Response};
use reqwest::dns::Resolve;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::dns::Resolver;
use super::proxy::Proxy;
use super::room::{Place, Room};
use super::trust::System;
use crate::auth::{Account, CaBundle};
use crate::clock;
use crate::observation::{FailureKind, PollFailure};
use crate::provider::CloudApi;
use crate::upstream::Options;
use crate::upstream::guard::allow_list::AllowList;
use crate::upstream::reply::transport_error::{Limits, Peer, explain, is_end_of_connection};
use crate::upstream::reply::{Body, Reply};

/// The most that is read of a reply.
const LONGEST_BODY: usize = 1 << 20;
/// The most that is read of a reply's headers over HTTP/2; over HTTP/1.1 hyper has a bound of its own, about 400 KiB.
const LONGEST_HEADERS: u32 = 128 << 10;
/// The most clients kept: one for each bundle of authorities, and for each account that has connections of its own. What
/// is dropped is made again, with new connections.
const MOST_CLIENTS: usize = 256;
/// How long a client is used: its connections stay where they are, while the names of clouds move.
const RENEWED: Duration = Duration::from_secs(600);
/// From how many bytes of headers on an account has connections of its own: many servers take 8 KiB, and end an HTTP/2
/// connection, with all that others ask on it, over more.
const LARGE_HEADERS: usize = 4 << 10;
/// How long an account has connections of its own after its connection was ended by the other end.
const APART: Duration = Duration::from_secs(600);
/// Longer than the longest time between two polls of a running operation, so that they share a connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// As many as are used at once when many accounts share a host: one that finds no place here is made again, which costs
/// more than all the rest of a request.
const MOST_IDLE_CONNECTIONS: usize = 256;
/// Where all accounts share one connection of HTTP/2 and its other end has vanished, every request would wait in vain
/// until TCP gives up. While a request waits, the other end must show that it is there: it is asked after one of these
/// parts of the limit for a request, and has another to answer, so that the connection is given up before the request.
const PARTS_OF_TIMEOUT: u32 = 4;

/// One request to an address that was checked.
pub struct Call {
    /// Where.
    pub url: Url,
    /// The Secret's key that says so, or would.
    pub key: &'static str,
    /// What the credential adds.
    pub headers: HeaderMap,
    /// What is posted; a GET without.
    pub body: Option<SecretString>,
}

/// What carries requests in place of HTTPS: a simulation brings a network of its own.
pub trait Wire: std::fmt::Debug + Send + Sync {
    /// The reply to `request`, or why there is none. It may take as long as it likes.
    fn carry(&self, request: Request<Vec<u8>>) -> BoxFuture<'static, Result<Response<Vec<u8>>, PollFailure>>;
}

/// The connections to all clouds.
#[derive(Debug)]
pub struct Client {
    options: Options,
    limits: Limits,
    system: System,
    resolver: Resolver,
    room: Room,
    /// The last used at the end.
    kept: Mutex<Vec<Kept>>,
    /// Accounts whose connection was ended by its other end, and until when they have one of their own.
    apart: Mutex<HashMap<Arc<str>, Instant>>,
}

/// Connections that are shared.
#[derive(Debug)]
struct Kept {
    group: Group,
    client: reqwest::Client,
    since: Instant,
}

/// Whose requests may share a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    /// Who trusts the same authorities beside the system's: the digest of their bundle.
    bundle: Option<[u8; 32]>,
    /// The one account that has connections of its own.
    account: Option<Arc<str>>,
}

impl Client {
    /// A client without connections.
    ///
    /// # Errors
    /// When the system has no trusted authorities, or no client can be made.
    pub fn new(
        options: &Options,
        allow_list: Arc<AllowList>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let proxy = options.egress_proxy.as_ref();
        let client = Self {
            limits: Limits { connect: options.connect_timeout, whole: options.timeout },
            system: System::load(proxy)?,
            resolver: Resolver { allow_list, proxy: proxy.map(|proxy| proxy.host().to_owned()) },
            room: Room::default(),
            kept: Mutex::default(),
            apart: Mutex::default(),
            options: options.clone(),
        };
        build(options, client.system.config(None)?, client.resolver.clone())?;
        Ok(client)
    }

    /// Sends one request as `account`, for somebody in `namespace`, and reads the reply.
    ///
    /// # Errors
    /// [`FailureKind::Unreachable`] with the cause in words; [`FailureKind::EndpointRefused`] when the host's name leads
    /// nowhere or to an internal address; [`FailureKind::CredentialsIncomplete`] when `ca.crt` cannot be used.
    pub async fn send(
        &self,
        call: Call,
        provider: &dyn CloudApi,
        (account, namespace): (&Account, &str),
    ) -> Result<Reply, PollFailure> {
        let started = clock::monotonic();
        let result = self.exchange(call, provider.cloud(), account, namespace).await;
        let code = match &result {
            Ok(reply) => reply.status.to_string(),
            Err(failure) => failure.kind.reason().to_owned(),
        };
        let took = clock::monotonic().saturating_duration_since(started);
        self.options.metrics.count_request(provider.name(), &code, took);
        result
    }

    /// The addresses of `host`, as they are dialled.
    ///
    /// # Errors
    /// As [`Resolver::find`] has it.
    pub async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, PollFailure> {
        self.resolver.find(host).await
    }

    async fn exchange(
        &self,
        call: Call,
        cloud: &str,
        account: &Account,
        namespace: &str,
    ) -> Result<Reply, PollFailure> {
        if let Some(wire) = &self.options.wire {
            return carry(&**wire, call, cloud, self.limits.whole).await;
        }
        let client = self.client(account, &call.headers)?;
        let host = call.url.host_str().unwrap_or_default().to_owned();
        let proxy = self.options.egress_proxy.as_ref().map(Proxy::host);
        let peer = Peer { cloud, host: &host, key: call.key, proxy };
        let explain = |error: &reqwest::Error| {
            if is_end_of_connection(error) {
                self.set_apart(&account.name);
            }
            explain(error, peer, self.limits)
        };
        let request = match call.body {
            None => client.get(call.url),
            Some(body) => client.post(call.url).body(body.expose_secret().to_owned()),
        };
        let response = request.headers(call.headers).send().await.map_err(|error| explain(&error))?;
        let received = clock::wall();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = match read(response, self.room.place(namespace)).await {
            Ok(Some(body)) => body,
            Ok(None) => return Err(no_room(cloud)),
            Err(error) if error.is_timeout() => Body::Late(explain(&error)),
            Err(_) => Body::Cut,
        };
        Ok(Reply { status, headers, body, received })
    }

    /// The client for a request of `account` with these `headers`.
    fn client(&self, account: &Account, headers: &HeaderMap) -> Result<reqwest::Client, PollFailure> {
        let bundle = account.connection.ca.as_ref();
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let is_apart = size > LARGE_HEADERS || self.is_apart(&account.name);
        let group =
            Group { bundle: bundle.map(CaBundle::digest), account: is_apart.then(|| Arc::clone(&account.name)) };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::monotonic();
        let known = kept.iter().position(|kept| kept.group == group).map(|at| kept.remove(at));
        let entry = match known.filter(|kept| now < kept.since + RENEWED) {
            Some(known) => known,
            None => Kept { group, client: self.build(bundle)?, since: now },
        };
        if kept.len() >= MOST_CLIENTS {
            kept.remove(0);
        }
        let client = entry.client.clone();
        kept.push(entry);
        Ok(client)
    }

    fn build(&self, bundle: Option<&CaBundle>) -> Result<reqwest::Client, PollFailure> {
        let unusable =
            |why: &str| PollFailure::new(FailureKind::CredentialsIncomplete, format!("the Secret's key ca.crt {why}"));
        let config = self.system.config(bundle.map(|bundle| &**bundle)).map_err(unusable)?;
        build(&self.options, config, self.resolver.clone())
            .map_err(|_| unusable("holds a certificate that cannot be used"))
    }

    fn is_apart(&self, account: &Arc<str>) -> bool {
        let apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        apart.get(account).is_some_and(|until| clock::monotonic() < *until)
    }

    /// Gives `account` connections of its own for a while: what it sends may be why the other end ends them.
    fn set_apart(&self, account: &Arc<str>) {
        let now = clock::monotonic();
        let mut apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        apart.retain(|_, until| now < *until);
        if apart.len() < MOST_CLIENTS {
            apart.insert(Arc::clone(account), now + APART);
        }
    }
}

async fn carry(wire: &dyn Wire, call: Call, cloud: &str, limit: Duration) -> Result<Reply, PollFailure> {
    let body = call.body.as_ref().map(|body| body.expose_secret().as_bytes().to_vec());
    let mut request = Request::new(body.clone().unwrap_or_default());
    *request.method_mut() = if body.is_some() { http::Method::POST } else { http::Method::GET };
    *request.uri_mut() = call.url.as_str().parse().unwrap_or_default();
    *request.headers_mut() = call.headers;
    let response = tokio::time::timeout(limit, wire.carry(request)).await;
    let late = |_| PollFailure::new(FailureKind::Unreachable, format!("{cloud} did not answer within {limit:?}"));
    let (head, body) = response.map_err(late)??.into_parts();
    let status = head.status.as_u16();
    Ok(Reply { status, headers: head.headers, body: Body::Whole(body), received: clock::wall() })
}

fn no_room(cloud: &str) -> PollFailure {
    let message = format!("{cloud}'s reply found no room beside other large ones that are slow to arrive");
    PollFailure::new(FailureKind::Unreachable, message)
}

/// The addresses that `resolver` gives are dialled as they are: names are looked up nowhere else.
fn build(
    options: &Options,
    config: ClientConfig,
    resolver: impl Resolve + 'static,
) -> Result<reqwest::Client, reqwest::Error> {
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([
        (ACCEPT, json.clone()),
        // The vendors' own clients send it with a GET as well.
        (CONTENT_TYPE, json),
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
    ]);
    let builder = reqwest::Client::builder().no_proxy();
    let builder = match &options.egress_proxy {
        Some(proxy) => builder.proxy(proxy.intercept()?),
        None => builder,
    };
    builder
        .user_agent(&options.user_agent)
        .default_headers(headers)
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MOST_IDLE_CONNECTIONS)
        .http2_max_header_list_size(LONGEST_HEADERS)
        .http2_keep_alive_interval(options.timeout / PARTS_OF_TIMEOUT)
        .http2_keep_alive_timeout(options.timeout / PARTS_OF_TIMEOUT)
        .dns_resolver(Arc::new(resolver))
        .tls_backend_preconfigured(config)
        .build()
}

/// Reads the body; `None` where there is no room for it.
async fn read(mut response: reqwest::Response, mut place: Place<'_>) -> Result<Option<Body>, reqwest::Error> {
    let mut body: Vec<u8> = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let length = body.len() + chunk.len();
        if length > LONGEST_BODY {
            return Ok(Some(Body::TooLarge));
        }
        if length > body.capacity() {
            let capacity = length.max(2 * body.capacity()).min(LONGEST_BODY);
            if !place.grow(capacity) {
                return Ok(None);
            }
            body.reserve_exact(capacity - body.len());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(Body::Whole(body)))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use reqwest::dns::{Addrs, Name, Resolving};

    use super::*;

    /// Answers first with one address, then always with another.
    struct Rebinding {
        lookups: Arc<AtomicUsize>,
        first: SocketAddr,
        then: SocketAddr,
    }

    impl Resolve for Rebinding {
        fn resolve(&self, _: Name) -> Resolving {
            let is_first = self.lookups.fetch_add(1, Ordering::SeqCst) == 0;
            let address = if is_first { self.first } else { self.then };
            Box::pin(async move { Ok(Box::new([address].into_iter()) as Addrs) })
        }
    }

    #[tokio::test]
    async fn the_address_that_was_checked_is_dialled_and_the_name_not_looked_up_again() {
        let listen = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            (listener, address)
        };
        let ((checked, first), (trap, then)) = (listen(), listen());
        let lookups = Arc::new(AtomicUsize::new(0));
        let options = Options { timeout: Duration::from_millis(500), ..Options::default() };
        let resolver = Rebinding { lookups: Arc::clone(&lookups), first, then };
        let client = build(&options, System::load(None).unwrap().config(None).unwrap(), resolver).unwrap();
        // Nobody answers the handshake.
        assert!(client.get("https://rebinding.example").send().await.unwrap_err().is_timeout());
        assert_eq!(lookups.load(Ordering::SeqCst), 1);
        assert!(checked.accept().is_ok());
        assert_eq!(trap.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    fn client() -> Client {
        Client::new(&Options::default(), Arc::new(AllowList::new(&[], &[]).unwrap())).unwrap()
    }

    fn account(name: &str, bundle: Option<&str>) -> Account {
        let credential = crate::auth::methods::ReadyToken(name.into()).into();
        let ca = bundle.map(CaBundle::from);
        crate::auth::Connection { endpoint: String::new(), iam_endpoint: None, ca, credential }.into()
    }

    /// Which clients are kept: whether for a bundle, and whether for one account.
    fn groups(client: &Client) -> Vec<(bool, bool)> {
        let kept = client.kept.lock().unwrap();
        kept.iter().map(|kept| (kept.group.bundle.is_some(), kept.group.account.is_some())).collect()
    }

    #[test]
    fn who_sends_large_headers_or_had_its_connection_ended_has_its_own() {
        let client = client();
        let [small, large] = [100, LARGE_HEADERS]
            .map(|size| HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(&"x".repeat(size)).unwrap())]));
        let (one, two) = (account("one", None), account("two", None));
        for account in [&one, &two] {
            client.client(account, &small).unwrap();
        }
        assert_eq!(groups(&client), [(false, false)], "shared");
        client.client(&one, &large).unwrap();
        client.client(&one, &large).unwrap();
        assert_eq!(groups(&client), [(false, false), (false, true)]);
        client.set_apart(&two.name);
        client.client(&two, &small).unwrap();
        assert_eq!(groups(&client), [(false, false), (false, true), (false, true)]);
    }

    #[test]
    fn a_client_is_used_for_a_while_and_a_bounded_number_is_kept() {
        let client = client();
        let since = |at: usize| client.kept.lock().unwrap()[at].since;
        client.client(&account("a", None), &HeaderMap::new()).unwrap();
        let first = since(0);
        client.client(&account("a", None), &HeaderMap::new()).unwrap();
        assert_eq!(since(0), first);
        client.kept.lock().unwrap()[0].since = first.checked_sub(RENEWED).unwrap();
        client.client(&account("a", None), &HeaderMap::new()).unwrap();
        assert!(since(0) > first, "it is renewed, so that it follows the host's name");
        for n in 0..MOST_CLIENTS + 10 {
            client.set_apart(&account(&n.to_string(), None).name);
            client.client(&account(&n.to_string(), None), &HeaderMap::new()).unwrap();
        }
        assert_eq!(groups(&client).len(), MOST_CLIENTS);
        assert_eq!(client.apart.lock().unwrap().len(), MOST_CLIENTS);
    }

    fn trust(client: &Client, bundle: &str) -> Result<(), PollFailure> {
        client.client(&account("a", Some(bundle)), &HeaderMap::new()).map(|_| ())
    }

    #[rstest::rstest]
    #[case("", "holds no certificate")]
    #[case("not PEM", "holds no certificate")]
    #[case("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "holds a certificate")]
    #[case("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a certificate")]
    fn an_unusable_bundle_names_its_key(#[case] bundle: &str, #[case] why: &str) {
        let client = client();
        let failure = trust(&client, bundle).unwrap_err();
        assert_eq!(failure.kind, FailureKind::CredentialsIncomplete);
        assert!(failure.message.starts_with(&format!("the Secret's key ca.crt {why}")), "{failure}");
    }
}
