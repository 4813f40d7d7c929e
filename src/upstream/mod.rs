//! The one way out to a cloud: who may be asked, how often, by which connection, and what the answer means.
//!
//! [`Upstream::observe`] takes one question through four rooms: [`guard`] (may this host receive a credential?),
//! [`share`] (a list, an equal request, a permit), [`send`] (sign in, sign, HTTPS) and [`reply`] (what it means).
//! [`lookup`] is the question on its way, [`by_hand`] what a command line asks beside.

mod by_hand;
mod guard;
mod lookup;
#[doc(hidden)] // For the fuzzer, which hands it replies.
pub mod reply;
mod send;
mod share;

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ahash::RandomState;
use ipnet::IpNet;

use crate::auth::Account;
use crate::auth::token_cache::TokenCache;
use crate::clock;
use crate::metrics::Metrics;
use crate::observation::{Observation, PollFailure, Request};
use crate::provider::CloudApi;

pub use by_hand::{Destination, Listed};
use guard::allow_list::{AllowList, BadPattern};
pub use guard::redaction::Redaction;
use lookup::Lookup;
use reply::classify::Page;
use send::Sender;
use send::client::Client;
#[doc(hidden)]
pub use send::client::Wire;
pub use send::proxy::{BadProxy, Proxy};
#[doc(hidden)] // For the fuzzer, which hands it bundles.
pub use send::trust::System;
pub use share::Landing;
use share::list_policy::{ListPolicy, Way};
use share::rate_limiter::{Limits, RateLimiter};
use share::single_flight;
pub use share::single_flight::Answer;
use share::single_flight::SingleFlight;

/// The most bytes of answers kept for others who ask the same.
const ANSWERS_KEPT: usize = 512 << 10;

/// How clouds are asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hosts that may receive a credential beside those of the vendors' services: `api.example.com`, `192.0.2.1`, or
    /// `*.example.com` (also `.example.com`) for all subdomains; on port 443, or `:8443`, or `:*` for any.
    pub allow_hosts: Vec<String>,
    /// The internal addresses that those hosts may be at.
    pub allow_private_addresses: Vec<IpNet>,
    /// What all requests go through, if anything.
    pub egress_proxy: Option<Proxy>,
    /// The steady rate for one account on one endpoint.
    pub requests_per_second: f64,
    /// How many requests an account may send at once after a quiet time.
    pub burst: u32,
    /// How many requests of all accounts may be under way at once: an account may have an eighth of them, a namespace a
    /// quarter.
    pub requests_under_way: u16,
    /// Limit for making a connection.
    pub connect_timeout: Duration,
    /// Limit for a whole request, from the name's resolution to the end of the body.
    pub timeout: Duration,
    /// Sent with every request.
    pub user_agent: String,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// What carries requests in place of HTTPS, in a simulation.
    #[doc(hidden)]
    pub wire: Option<Arc<dyn Wire>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_hosts: Vec::new(),
            allow_private_addresses: Vec::new(),
            egress_proxy: None,
            requests_per_second: 5.0,
            burst: 10,
            requests_under_way: 256,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            user_agent: concat!("cloudop/", env!("CARGO_PKG_VERSION")).to_owned(),
            metrics: Arc::default(),
            wire: None,
        }
    }
}

/// Why [`Upstream::new`] fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A host in [`Options::allow_hosts`] cannot be used.
    #[error("--allow-host: {0}")]
    AllowHost(#[from] BadPattern),
    /// The rate is no positive number or the burst is zero.
    #[error("the rate of requests must be above zero and the burst at least 1")]
    Rate,
    /// No HTTPS client can be made, for instance because the system trusts no certificate authority.
    #[error("no HTTPS client can be made: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The API that knows the operation.
    pub provider: &'a dyn CloudApi,
    /// The operation.
    pub operation_id: &'a str,
    /// The UID of the object that asks. It keeps its place in the line of those who wait for a permit.
    pub uid: &'a str,
    /// The namespace of that object.
    pub namespace: &'a str,
    /// Whether it has never had an answer: it goes before those who have.
    pub is_first: bool,
    /// How often it asks, or how long ago it had its last answer where that is shorter: an answer not so old is news to
    /// it.
    pub interval: Duration,
    /// Since when it wants an answer: what arrived after that will do, however late its turn comes.
    pub since: Instant,
    /// No answer to a request sent before this will do.
    pub not_before: Option<Instant>,
}

/// What came of a question.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every question is answered, and each answer is used up at once")]
pub enum Asked {
    /// An answer: what the cloud says of the operation, or why nothing was learnt.
    Answered(Answer<Observation>),
    /// Nothing was asked and nothing learnt: ask again later.
    Later(Later),
}

/// When to ask again.
#[derive(Debug)]
pub enum Later {
    /// Not before this time: until then there is no permit.
    At(Instant),
    /// At once, but after those who have come at the same moment, as after a restart: they may be in one list with it.
    AfterTheOthers,
    /// When an equal request of somebody else is over.
    WhenOver(UnderWay),
    /// When called, as a request of somebody else is over; not later than at that time.
    WhenCalled(Landing, Instant),
}

/// A request under way.
pub type UnderWay = single_flight::UnderWay<Arc<Inquiry>>;

/// The way out to all clouds; one for the whole process.
#[derive(Debug)]
pub struct Upstream {
    sender: Sender,
    limiter: Mutex<RateLimiter>,
    lists: Mutex<ListPolicy>,
    flights: SingleFlight<Arc<Inquiry>, Arc<Page>>,
    hasher: RandomState,
    metrics: Arc<Metrics>,
}

/// One GET by one account: equal ones have equal answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// Of the rest, as it is looked up again and again.
    hash: u64,
    account: Arc<str>,
    provider: Cow<'static, str>,
    request: Request,
}

impl Inquiry {
    fn new(account: Arc<str>, provider: Cow<'static, str>, request: Request, hasher: &impl BuildHasher) -> Self {
        Self { hash: hasher.hash_one((&account, &provider, &request)), account, provider, request }
    }
}

impl Hash for Inquiry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Upstream {
    /// A way out without connections.
    ///
    /// # Errors
    /// [`Error`] when an option cannot be used or the system has no trusted certificate authorities.
    pub fn new(options: Options) -> Result<Self, Error> {
        let rate = options.requests_per_second;
        if !(rate.is_finite() && rate > 0.0) || options.burst == 0 {
            return Err(Error::Rate);
        }
        let under_way = options.requests_under_way.into();
        let limits = Limits { requests_per_second: rate, burst: options.burst, under_way };
        let allow_list = Arc::new(AllowList::new(&options.allow_hosts, &options.allow_private_addresses)?);
        Ok(Self {
            sender: Sender {
                client: Client::new(&options, Arc::clone(&allow_list)).map_err(Error::Client)?,
                allow_list,
                tokens: TokenCache::default(),
            },
            limiter: Mutex::new(RateLimiter::new(limits)),
            lists: Mutex::default(),
            flights: SingleFlight::new(ANSWERS_KEPT),
            hasher: RandomState::new(),
            metrics: Arc::clone(&options.metrics),
        })
    }

    /// Notes that this process begins to ask in place of another, `now`: what that one may have sent in its last minute counts
    /// for every account's limit.
    pub fn begin(&self, now: Instant) {
        self.limiter().begin(now);
    }

    /// Asks the cloud as `account`, or shares an answer: to an equal request one of half the asker's interval at
    /// most, from a list one of nearly the whole, so that all who are in it fall into step. Never waits for others.
    pub async fn observe(&self, question: Question<'_>, account: &Account) -> Asked {
        let endpoint = match self.sender.allow_list.admit(account, question.provider) {
            Ok(endpoint) => endpoint,
            Err(failure) => return Asked::failed(failure),
        };
        let mut lookup = Lookup::new(self, question, account, endpoint);
        if let Some(list) = question.provider.list() {
            let (list, now) = (lookup.inquiry(list), clock::monotonic());
            let way = self.lists().join(&list, question.operation_id, question.interval, now);
            match way {
                Way::AloneSoFar => return Asked::Later(Later::AfterTheOthers),
                Way::Alone => {}
                Way::List(bookmark) => {
                    if let Some(asked) = lookup.in_list(&list, bookmark).await {
                        return asked;
                    }
                }
            }
        }
        lookup.alone().await
    }

    /// Whether an equal request to `inquiry` is under way, which was so when last asked for.
    pub fn under_way(&self, inquiry: &Arc<Inquiry>) -> Option<UnderWay> {
        self.flights.under_way(inquiry)
    }

    fn lists(&self) -> MutexGuard<'_, ListPolicy> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limiter(&self) -> MutexGuard<'_, RateLimiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// That nothing was sent, and why.
    fn failed(failure: PollFailure) -> Self {
        Self::Answered(Answer { result: Err(failure), at: clock::monotonic(), shared: false })
    }
}
