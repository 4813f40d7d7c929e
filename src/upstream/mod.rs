//! The one way out to a cloud: who may be asked, how often, by which connection, and what the answer means.
//!
//! [`Upstream::observe`] asks one question ([`visit`]). Several about one collection are asked by its list
//! ([`collections`]), equal requests of one account are one ([`flight`]), each account keeps to its budget ([`budget`]),
//! a credential goes to checked hosts only ([`egress`], [`address`], [`resolver`]), the exchange is bounded in time and
//! size ([`client`]), and what went wrong is named by what happens next ([`verdict`], [`refusal`], [`transport`])
//! without repeating anything secret ([`redaction`]).

mod address;
mod authority;
mod budget;
mod client;
mod collections;
mod egress;
mod flight;
mod redaction;
mod refusal;
mod resolver;
mod transport;
mod verdict;
mod visit;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use secrecy::SecretString;

use crate::auth::Account;
use crate::auth::token_cache::TokenCache;
use crate::document::Document;
use crate::metrics::Metrics;
use crate::observation::{FailureKind, Observation, PollFailure, Request};
use crate::provider::Provider;

use authority::{Authority, Signed};
use budget::Budget;
use client::{Call, Client};
use collections::{Collections, Way};
use egress::{Egress, Endpoint};
use flight::Flights;
use redaction::Redaction;
use verdict::{Exchange, Reply, judge};
use visit::Visit;

/// What share of his interval the answer of a list may be old for an asker. As his next poll follows the answer's time,
/// no change is seen later than an interval after it happened.
const LISTS_SHARED: f64 = 0.9;
/// The most bytes of answers kept for others who ask the same.
const ANSWERS_KEPT: usize = 512 << 10;
/// About how many bytes an answer takes there beside its document.
const BESIDE_ANSWER: usize = 400;

/// How clouds are asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hosts that may receive a credential beside the vendors' own: `api.example.com`, `192.0.2.1`, or `*.example.com`
    /// (also `.example.com`) for all subdomains.
    pub allow_hosts: Vec<String>,
    /// Whether loopback, private and other internal addresses may be called.
    pub allow_private_addresses: bool,
    /// The steady rate for one account on one endpoint.
    pub requests_per_second: f64,
    /// How many requests an account may send at once after a quiet time.
    pub burst: u32,
    /// Limit for making a connection.
    pub connect_timeout: Duration,
    /// Limit for a whole request, from the name's resolution to the end of the body.
    pub timeout: Duration,
    /// Sent with every request.
    pub user_agent: String,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_hosts: Vec::new(),
            allow_private_addresses: false,
            requests_per_second: 5.0,
            burst: 10,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            user_agent: concat!("cloudop/", env!("CARGO_PKG_VERSION")).to_owned(),
            metrics: Arc::default(),
        }
    }
}

/// Why [`Upstream::new`] fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A host in [`Options::allow_hosts`] cannot be used.
    #[error("--allow-host: {0}")]
    AllowHost(#[from] egress::BadPattern),
    /// The rate is no positive number or the burst is zero.
    #[error("the rate of requests must be above zero and the burst at least 1")]
    Rate,
    /// No HTTPS client can be made, for instance because the system trusts no certificate authority.
    #[error("no HTTPS client can be made")]
    Client(#[from] reqwest::Error),
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The API that knows the operation.
    pub provider: &'a Provider,
    /// The operation.
    pub operation_id: &'a str,
    /// Who asks: an object's UID. He keeps his place in the queue of those who wait for the account's budget.
    pub asker: &'a str,
    /// Whether he has never had an answer: he goes before those who have.
    pub is_first: bool,
    /// How often he asks, or how long ago he had his last answer where that is shorter: an answer not so old is news to
    /// him. With zero only the answer to a request sent from now on will do.
    pub interval: Duration,
}

/// What came of a question.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every question is answered, and each outcome is used up at once")]
pub enum Outcome {
    /// An answer.
    Answered {
        /// What the cloud says of the operation, or why nothing was learnt.
        result: Result<Observation, PollFailure>,
        /// When the answer arrived, which was earlier for a shared one.
        at: Instant,
        /// Whether it is an answer to requests of others only.
        shared: bool,
    },
    /// Nothing was asked and nothing learnt: the account's budget has no room before this time.
    Later(Instant),
}

/// The way out to all clouds; one for the whole process.
#[derive(Debug)]
pub struct Upstream {
    egress: Egress,
    client: Client,
    budget: Mutex<Budget>,
    collections: Mutex<Collections>,
    tokens: TokenCache,
    metrics: Arc<Metrics>,
    flights: Flights<Inquiry, Answer>,
}

/// One GET by one account: equal ones have equal answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Inquiry {
    account: Arc<str>,
    provider: &'static str,
    request: Request,
}

type Answer = Result<Arc<Document>, PollFailure>;

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
        Ok(Self {
            egress: Egress::new(&options.allow_hosts, options.allow_private_addresses)?,
            client: Client::new(&options)?,
            budget: Mutex::new(Budget::new(rate, options.burst)),
            collections: Mutex::default(),
            tokens: TokenCache::default(),
            metrics: Arc::clone(&options.metrics),
            flights: Flights::new(ANSWERS_KEPT),
        })
    }

    /// Asks the cloud as `account`, or shares an answer: to an equal request one of half the asker's interval at
    /// most, from a list one of nearly the whole, so that all who are in it fall into step.
    pub async fn observe(&self, question: Question<'_>, account: &Account) -> Outcome {
        let Question { provider, operation_id, interval, .. } = question;
        let endpoint = match self.egress.admit(account, provider) {
            Ok(endpoint) => endpoint,
            Err(failure) => {
                return Outcome::Answered { result: Err(failure), at: Instant::now(), shared: false };
            }
        };
        let mut visit = Visit::new(self, question, account, endpoint);
        if let Some(list) = provider.list() {
            let list = visit.inquiry(list);
            if self.join(&list, operation_id, interval).await {
                let found = match visit.read(list.clone(), interval.mul_f64(LISTS_SHARED), Provider::find).await {
                    Ok(found) => found,
                    Err(later) => return Outcome::Later(later),
                };
                let is_only_way = || provider.request(operation_id) == list.request;
                match &found.result {
                    Ok(None) if !is_only_way() => self.collections().miss(&list, operation_id, Instant::now()),
                    Err(failure) if is_of_the_list(failure.kind) && !is_only_way() => {
                        if self.collections().set_aside(&list, Instant::now()) {
                            self.metrics.count_list_fallback(provider.name(), failure.kind.reason());
                        }
                    }
                    _ => return visit.conclude(found),
                }
            }
        }
        visit.for_many = false;
        let alone = visit.inquiry(provider.request(operation_id));
        match visit.read(alone, interval / 2, Provider::interpret).await {
            Ok(found) => visit.conclude(found),
            Err(later) => Outcome::Later(later),
        }
    }

    /// Whether its `list` is the way to ask for the operation. Who is new and alone looks again when those who have come
    /// at the same moment have joined, too, as after a restart.
    async fn join(&self, list: &Inquiry, operation_id: &str, interval: Duration) -> bool {
        let join = || self.collections().join(list, operation_id, interval, Instant::now());
        let mut way = join();
        if way == Way::AloneSoFar {
            tokio::task::yield_now().await;
            way = join();
        }
        way == Way::List
    }

    async fn ask(
        &self,
        provider: &Provider,
        endpoint: &Endpoint,
        inquiry: &Inquiry,
        account: &Account,
    ) -> (Answer, Option<usize>) {
        let (reply, minted) = match self.converse(provider, endpoint, inquiry, account).await {
            Ok(answered) => answered,
            Err(failure) => return (Err(failure), None),
        };
        let credential = &account.connection.credential;
        let redaction = Redaction::new(credential.secrets().into_iter().chain(&minted));
        let verdict = judge(reply, &Exchange { provider, host: endpoint.host(), credential, redaction: &redaction });
        if let Some(pause) = verdict.pause {
            self.metrics.count_pause(provider.name(), pause);
            self.budget().pause(&inquiry.account, pause, Instant::now());
        }
        match verdict.result {
            Ok(document) => {
                let weight = document.size() + BESIDE_ANSWER;
                (Ok(Arc::new(document)), Some(weight))
            }
            Err(failure) => (Err(failure), None),
        }
    }

    /// Sends the request; with a new token once more where the one in use is refused: it may have been revoked before
    /// its time. Also gives the token in use, which must not be repeated.
    async fn converse(
        &self,
        provider: &Provider,
        endpoint: &Endpoint,
        inquiry: &Inquiry,
        account: &Account,
    ) -> Result<(Reply, Option<SecretString>), PollFailure> {
        let mut is_second = false;
        loop {
            let authority = Authority { egress: &self.egress, client: &self.client, tokens: &self.tokens };
            let request = &inquiry.request;
            let url = endpoint.url(request);
            let Signed { headers, minted } = authority.sign(provider, account, &url, request).await?;
            let call = Call { url, key: "endpoint", headers, body: None };
            let reply = self.client.send(call, provider, account.connection.ca.as_deref()).await?;
            let is_refused = reply.status == 401 && !is_second;
            match &minted {
                Some(token) if is_refused && authority.renew(provider, account, token).await => is_second = true,
                _ => return Ok((reply, minted)),
            }
        }
    }

    fn collections(&self) -> MutexGuard<'_, Collections> {
        self.collections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a failure may be that of the list alone, so that its operations may still be asked for one by one.
fn is_of_the_list(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Unreachable
        | FailureKind::Throttled
        | FailureKind::Unauthorized
        | FailureKind::CredentialsNotFound
        | FailureKind::CredentialsIncomplete => false,
        FailureKind::ServerError
        | FailureKind::Forbidden
        | FailureKind::EndpointRefused
        | FailureKind::InvalidResponse
        | FailureKind::RedirectRefused
        | FailureKind::NotFound => true,
    }
}
