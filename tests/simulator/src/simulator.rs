//! The handle that a test or the binary holds.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use jiff::SignedDuration;
use tokio::{net::TcpListener, runtime};

use crate::{
    account::Account,
    clouds::{BasicHeader, NumspotApi, Route},
    fault::{Fault, Times},
    life::{Key, Operation},
    listener::{Extra, Listener},
    record::{Matcher, RecordedRequest},
    server::{self, Shared},
    tls::{Authority, Shown},
    world::World,
};

/// How to start a simulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// A loopback address, or any where `hosts` names whom it is; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names that its certificate is for, beside localhost and its addresses.
    pub hosts: Vec<String>,
    /// None of them: one account with the token `let-me-in` that may see everything.
    pub accounts: Vec<Account>,
    /// Divides the duration of every stage; above 0.
    pub speed: f64,
    /// Whether HTTP/2 is offered beside HTTP/1.1.
    pub http2: bool,
    /// Prints a line for each request on standard output; never a header or a body.
    pub log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            hosts: Vec::new(),
            accounts: Vec::new(),
            speed: 1.0,
            http2: false,
            log: false,
        }
    }
}

/// A running simulator. It has its own threads, so that a test which blocks does not stop the clouds. Dropping it ends
/// every connection and listener.
pub struct Simulator {
    shared: Arc<Shared>,
    authority: Arc<Authority>,
    port: u16,
    extras: Mutex<Vec<Extra>>,
    runtime: Option<runtime::Runtime>,
}

impl Simulator {
    /// Starts on a free port with the default account.
    ///
    /// # Errors
    /// See [`Self::start_with`].
    pub async fn start() -> io::Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// # Errors
    /// When the address can't be bound or is not loopback, the speed is not positive, or no certificate can be made.
    pub async fn start_with(options: Options) -> io::Result<Self> {
        if options.hosts.is_empty() && !options.listen.ip().is_loopback() {
            let text = format!("{} is not a loopback address, and it is for no host", options.listen);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if !(options.speed.is_finite() && options.speed > 0.0) {
            let text = format!("speed {} is not above 0", options.speed);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let accounts = if options.accounts.is_empty() {
            vec![Account::new("default").token("let-me-in")]
        } else {
            options.accounts
        };
        let shared = Arc::new(Shared::new(World::new(accounts, options.speed), options.log));
        let authority = Authority::new(options.hosts)?;
        let acceptor =
            authority.acceptor(Shown::Valid, if options.http2 { &["h2", "http/1.1"] } else { &["http/1.1"] })?.0;
        let socket = std::net::TcpListener::bind(options.listen)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", options.listen)))?;
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cloudop-simulator")
            .enable_all()
            .build()?;
        let socket = {
            let _entered = runtime.enter();
            TcpListener::from_std(socket)?
        };
        runtime.spawn(server::run(socket, acceptor, Arc::clone(&shared)));
        Ok(Self { shared, authority: Arc::new(authority), port, extras: Mutex::default(), runtime: Some(runtime) })
    }

    /// The base URL of all clouds, `https://localhost:PORT`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority that signed the server's certificate (for localhost, 127.0.0.1 and ::1).
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// Adds an account, or replaces the one of the same name.
    pub fn account(&self, account: Account) {
        let mut world = self.shared.world();
        world.accounts.retain(|known| known.name != account.name);
        world.accounts.push(account);
    }

    /// Replaces all accounts; tokens from sign-ins of those that go are void.
    pub fn set_accounts(&self, accounts: Vec<Account>) {
        self.shared.world().accounts = accounts;
    }

    /// Makes the token valid, for the account that was there first.
    pub fn grant_token(&self, token: impl Into<String>) {
        if let Some(account) = self.shared.world().accounts.first_mut() {
            account.tokens.push(token.into());
        }
    }

    /// From now on the token is refused, whether it was granted or came from a sign-in.
    pub fn revoke_token(&self, token: &str) {
        self.shared.world().revoke(token);
    }

    /// Which generation of NumSpot's API is played.
    pub fn numspot(&self, api: NumspotApi) {
        self.shared.world().numspot = api;
    }

    /// How NumSpot's sign-in reads a Basic header.
    pub fn basic_header(&self, form: BasicHeader) {
        self.shared.world().basic_header = form;
    }

    /// Sets the clouds' clock this far ahead of ours, or behind: the `Date` of every reply, the times in it, the life of
    /// tokens, and the age of a signature.
    pub fn clock_ahead(&self, offset: SignedDuration) {
        self.shared.world().clock = offset;
    }

    /// Takes no request whose headers' names and values have more bytes: over HTTP/2 the whole connection ends, as nginx
    /// ends it; over HTTP/1.1 the answer is 400.
    pub fn longest_headers(&self, bytes: Option<usize>) {
        self.shared.world().longest_headers = bytes;
    }

    /// Adds an operation, or replaces the one of the same key; its life begins again.
    pub fn put(&self, operation: Operation) -> Key {
        let mut world = self.shared.world();
        let now = world.now();
        world.put(operation, now)
    }

    /// Adds an address, or replaces what stood there.
    pub fn route(&self, route: Route) {
        self.shared.world().routes.insert(route.path_and_query.clone(), route);
    }

    /// The address goes on to its next answer. False at the last one, and where there is none.
    pub fn advance_route(&self, path_and_query: &str) -> bool {
        self.shared.world().routes.get_mut(path_and_query).is_some_and(Route::advance)
    }

    /// Forgets an operation. False if there was none.
    pub fn remove(&self, key: &Key) -> bool {
        self.shared.world().lives.remove(key).is_some()
    }

    /// Begins the operation's next stage. False if there is none.
    pub fn advance(&self, key: &Key) -> bool {
        let mut world = self.shared.world();
        let (now, speed) = (world.now(), world.speed);
        world.lives.get_mut(key).is_some_and(|life| life.advance(now, speed))
    }

    /// Plans a fault for the requests that match. Of several that match one request, the one planned first strikes.
    pub fn fault(&self, fault: Fault, matcher: Matcher, times: impl Into<Times>) -> FaultHandle {
        let number = self.shared.world().plan(fault, matcher, times.into());
        FaultHandle { shared: Arc::clone(&self.shared), number }
    }

    /// Waits this long before each answer.
    pub fn latency(&self, latency: Duration) {
        self.shared.world().latency = latency;
    }

    /// The requests since the start or the last [`Self::reset_counts`], oldest first; the newest 50 000 are kept.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.world().requests.iter().cloned().collect()
    }

    /// How many of [`Self::requests`] match.
    pub fn count(&self, matcher: Matcher) -> usize {
        let world = self.shared.world();
        let matches =
            |request: &&RecordedRequest| matcher.matches(&request.path_and_query, request.cloud, request.id.as_deref());
        world.requests.iter().filter(matches).count()
    }

    /// TCP connections accepted since the start or the last [`Self::reset_counts`], failed handshakes included.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Forgets all requests and connections counted, those of extra listeners too.
    pub fn reset_counts(&self) {
        self.shared.world().requests.clear();
        self.shared.connections.store(0, Ordering::SeqCst);
        for extra in self.extras().iter() {
            extra.connections.store(0, Ordering::SeqCst);
        }
    }

    /// Opens an extra listener on 127.0.0.1 and returns its port.
    ///
    /// # Errors
    /// When no port can be bound or no certificate made.
    pub async fn listener(&self, listener: Listener) -> io::Result<u16> {
        let Some(runtime) = &self.runtime else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (authority, shared) = (Arc::clone(&self.authority), Arc::clone(&self.shared));
        let extra =
            runtime.spawn(async move { listener.open(&authority, shared).await }).await.map_err(io::Error::other)??;
        let port = extra.port;
        self.extras().push(extra);
        Ok(port)
    }

    /// TCP connections that the extra listener on `port` has accepted.
    pub fn connections_to(&self, port: u16) -> u64 {
        self.extras()
            .iter()
            .find(|extra| extra.port == port)
            .map_or(0, |extra| extra.connections.load(Ordering::SeqCst))
    }

    /// The certificate, as PEM, that the extra listener on `port` shows.
    pub fn certificate(&self, port: u16) -> Option<String> {
        self.extras().iter().find(|extra| extra.port == port).map(|extra| extra.certificate.clone())
    }

    fn extras(&self) -> std::sync::MutexGuard<'_, Vec<Extra>> {
        self.extras.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A plain drop waits, which a caller inside another runtime may not.
            runtime.shutdown_background();
        }
    }
}

/// A planned fault. Dropping it changes nothing.
#[derive(Debug)]
pub struct FaultHandle {
    shared: Arc<Shared>,
    number: u64,
}

impl FaultHandle {
    /// The fault strikes no more.
    pub fn clear(self) {
        self.shared.world().cancel_fault(self.number);
    }
}
