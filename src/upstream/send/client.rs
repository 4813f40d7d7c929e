//! HTTPS: one GET at a time, bounded in time and size, to no other place than the one checked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::dns::Resolver;
use super::trust::System;
use crate::auth::CaBundle;
use crate::clock;
use crate::observation::{FailureKind, PollFailure};
use crate::provider::Provider;
use crate::upstream::Options;
use crate::upstream::reply::transport_error::{Limits, explain};
use crate::upstream::reply::{Body, Reply};

/// The most that is read of a reply.
const LONGEST_BODY: usize = 1 << 20;
/// The most that is read of a reply's headers over HTTP/2; over HTTP/1.1 hyper has a bound of its own, about 400 KiB.
const LONGEST_HEADERS: u32 = 128 << 10;
/// The most clients kept beside the first: one for each bundle of authorities. What is dropped is made again, with new
/// connections.
const MOST_CLIENTS: usize = 256;
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

/// The connections to all clouds.
#[derive(Debug)]
pub struct Client {
    options: Options,
    limits: Limits,
    system: System,
    /// Trusts the system's authorities only.
    plain: reqwest::Client,
    /// Those that trust further authorities, by the digest of the bundle, the last used at the end.
    trusting: Mutex<Vec<([u8; 32], reqwest::Client)>>,
}

impl Client {
    /// A client without connections.
    ///
    /// # Errors
    /// When the system has no trusted authorities, or no client can be made.
    pub fn new(options: &Options) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let system = System::load()?;
        let config = system.config(None)?;
        Ok(Self {
            options: options.clone(),
            limits: Limits { connect: options.connect_timeout, whole: options.timeout },
            plain: build(options, config, resolver(options))?,
            system,
            trusting: Mutex::default(),
        })
    }

    /// Sends one request and reads the reply.
    ///
    /// # Errors
    /// [`FailureKind::Unreachable`] with the cause in words; [`FailureKind::EndpointRefused`] when the host's name leads
    /// nowhere or to an internal address; [`FailureKind::CredentialsIncomplete`] when `ca.crt` cannot be used.
    pub async fn send(&self, call: Call, provider: &Provider, ca: Option<&CaBundle>) -> Result<Reply, PollFailure> {
        let started = clock::monotonic();
        let result = self.exchange(call, provider.cloud(), ca).await;
        let code = match &result {
            Ok(reply) => reply.status.to_string(),
            Err(failure) => failure.kind.reason().to_owned(),
        };
        self.options.metrics.count_request(
            provider.name(),
            &code,
            clock::monotonic().saturating_duration_since(started),
        );
        result
    }

    async fn exchange(&self, call: Call, cloud: &str, ca: Option<&CaBundle>) -> Result<Reply, PollFailure> {
        let client = self.trusting(ca)?;
        let host = call.url.host_str().unwrap_or_default().to_owned();
        let explain = |error: &reqwest::Error| explain(error, cloud, call.key, &host, self.limits);
        let request = match call.body {
            None => client.get(call.url),
            Some(body) => client.post(call.url).body(body.expose_secret().to_owned()),
        };
        let response = request.headers(call.headers).send().await.map_err(|error| explain(&error))?;
        let received = clock::wall();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = match read(response).await {
            Ok(body) => body,
            Err(error) if error.is_timeout() => Body::Late(explain(&error)),
            Err(_) => Body::Cut,
        };
        Ok(Reply { status, headers, body, received })
    }

    fn trusting(&self, bundle: Option<&CaBundle>) -> Result<reqwest::Client, PollFailure> {
        let Some(bundle) = bundle else {
            return Ok(self.plain.clone());
        };
        let digest = bundle.digest();
        let mut trusting = self.trusting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = trusting.iter().position(|(known, _)| *known == digest);
        let entry = match known {
            Some(at) => trusting.remove(at),
            None => {
                if trusting.len() >= MOST_CLIENTS {
                    trusting.remove(0);
                }
                (digest, self.build_trusting(bundle)?)
            }
        };
        let client = entry.1.clone();
        trusting.push(entry);
        Ok(client)
    }

    fn build_trusting(&self, bundle: &str) -> Result<reqwest::Client, PollFailure> {
        let unusable =
            |why: &str| PollFailure::new(FailureKind::CredentialsIncomplete, format!("the Secret's key ca.crt {why}"));
        let config = self.system.config(Some(bundle)).map_err(unusable)?;
        build(&self.options, config, resolver(&self.options))
            .map_err(|_| unusable("holds a certificate that cannot be used"))
    }
}

fn resolver(options: &Options) -> Resolver {
    Resolver { allow_private_addresses: options.allow_private_addresses }
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
    reqwest::Client::builder()
        .user_agent(&options.user_agent)
        .default_headers(headers)
        .https_only(true)
        .no_proxy()
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

async fn read(mut response: reqwest::Response) -> Result<Body, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_BODY {
            return Ok(Body::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Body::Whole(body))
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
        let client = build(&options, System::load().unwrap().config(None).unwrap(), resolver).unwrap();
        // Nobody answers the handshake.
        assert!(client.get("https://rebinding.example").send().await.unwrap_err().is_timeout());
        assert_eq!(lookups.load(Ordering::SeqCst), 1);
        assert!(checked.accept().is_ok());
        assert_eq!(trap.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    fn trust(client: &Client, bundle: &str) -> Result<(), PollFailure> {
        client.trusting(Some(&bundle.into())).map(|_| ())
    }

    #[rstest::rstest]
    #[case("", "holds no certificate")]
    #[case("not PEM", "holds no certificate")]
    #[case("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "holds a certificate")]
    #[case("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a certificate")]
    fn an_unusable_bundle_names_its_key(#[case] bundle: &str, #[case] why: &str) {
        let client = Client::new(&Options::default()).unwrap();
        let failure = trust(&client, bundle).unwrap_err();
        assert_eq!(failure.kind, FailureKind::CredentialsIncomplete);
        assert!(failure.message.starts_with(&format!("the Secret's key ca.crt {why}")), "{failure}");
    }
}
