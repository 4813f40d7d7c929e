//! The one way out to a cloud: who may be asked, how often, by which connection, and what the answer means.
//!
//! [`Upstream::observe`] asks one question. Equal questions of one account share one request ([`flight`]), each account
//! keeps to its budget ([`budget`]), a credential goes to checked hosts only ([`egress`], [`address`], [`resolver`]), the
//! exchange is bounded in time and size ([`client`]), and what went wrong is named by what happens next ([`verdict`],
//! [`refusal`], [`transport`]) without repeating anything secret ([`redaction`]).

mod address;
mod authority;
mod budget;
mod client;
mod egress;
mod flight;
mod redaction;
mod refusal;
mod resolver;
mod transport;
mod verdict;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use secrecy::SecretString;

use crate::auth::Connection;
use crate::auth::tokens::Tokens;
use crate::document::Document;
use crate::metrics::Metrics;
use crate::observation::{FailureKind, Observation, PollFailure, Reading, Request};
use crate::provider::Provider;

use authority::{Authority, Signed};
use budget::Budget;
use client::{Call, Client};
use egress::{Egress, Endpoint};
use flight::{Flights, Landing, Service};
use redaction::Redaction;
use verdict::{Exchange, Reply, judge};

/// The most pages of a collection that one poll looks through.
const MOST_PAGES: usize = 40;
/// The most bytes of answers kept for others who ask the same.
const ANSWERS_KEPT: usize = 16 << 20;

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
    tokens: Tokens,
    metrics: Arc<Metrics>,
    flights: Flights<Inquiry, Answer>,
}

/// One GET by one account: equal ones have equal answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Inquiry {
    account: String,
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
            tokens: Tokens::default(),
            metrics: Arc::clone(&options.metrics),
            flights: Flights::new(ANSWERS_KEPT),
        })
    }

    /// Asks the cloud behind `connection`, or shares an answer that arrived at most `max_age` ago. With a `max_age` of
    /// zero only an answer to a request sent after this call will do.
    pub async fn observe(&self, question: Question<'_>, connection: &Connection, max_age: Duration) -> Outcome {
        let Question { provider, operation_id, asker } = question;
        let endpoint = match self.egress.check("endpoint", &connection.endpoint, provider) {
            Ok(endpoint) => endpoint,
            Err(failure) => {
                return Outcome::Answered { result: Err(failure), at: Instant::now(), shared: false };
            }
        };
        let account = connection.account();
        let mut request = provider.request(operation_id);
        let mut sent = false;
        let mut arrived = Instant::now();
        for page in 0..MOST_PAGES {
            let permit = || match page {
                0 => self.budget().ask(&account, asker, Instant::now()),
                _ => self.budget().charge(&account, Instant::now()),
            };
            let inquiry = Inquiry { account: account.clone(), provider: provider.name(), request: request.clone() };
            let ask = || self.ask(provider, &endpoint, &inquiry, connection);
            let (answer, at) = match self.flights.share(&inquiry, max_age, permit, ask).await {
                Service::Denied(later) => return Outcome::Later(later),
                Service::Answered { value, at, shared } => {
                    sent |= !shared;
                    (value, at)
                }
            };
            if !sent {
                self.metrics.count_coalesced(provider.name());
                self.budget().release(&account, asker);
            }
            arrived = at;
            let reading = answer.and_then(|document| {
                provider
                    .interpret(operation_id, document.root())
                    .map_err(|misread| unusable(provider, &misread.to_string()))
            });
            let result = match reading {
                Ok(Reading::NextPage(next)) => {
                    request = next;
                    continue;
                }
                Ok(Reading::Found(observation)) => Ok(*observation),
                Ok(Reading::Absent) => Err(PollFailure::new(
                    FailureKind::NotFound,
                    format!("{} lists no such operation", provider.cloud()),
                )),
                Err(failure) => Err(failure),
            };
            return Outcome::Answered { result, at, shared: !sent };
        }
        let failure = unusable(provider, &format!("the list goes on after {MOST_PAGES} pages"));
        Outcome::Answered { result: Err(failure), at: arrived, shared: !sent }
    }

    async fn ask(
        &self,
        provider: &Provider,
        endpoint: &Endpoint,
        inquiry: &Inquiry,
        connection: &Connection,
    ) -> Landing<Answer> {
        let (reply, minted) = match self.converse(provider, endpoint, inquiry, connection).await {
            Ok(answered) => answered,
            Err(failure) => return Landing { value: Err(failure), weight: None },
        };
        let credential = &connection.credential;
        let redaction = Redaction::new(credential.secrets().into_iter().chain(&minted));
        let verdict = judge(reply, &Exchange { provider, host: endpoint.host(), credential, redaction: &redaction });
        if let Some(pause) = verdict.pause {
            self.metrics.count_pause(provider.name(), pause);
            self.budget().pause(&inquiry.account, pause, Instant::now());
        }
        match verdict.result {
            Ok((document, size)) => Landing { value: Ok(Arc::new(document)), weight: Some(size) },
            Err(failure) => Landing { value: Err(failure), weight: None },
        }
    }

    /// Sends the request; with a new token once more where the one in use is refused: it may have been revoked before
    /// its time. Also gives the token in use, which must not be repeated.
    async fn converse(
        &self,
        provider: &Provider,
        endpoint: &Endpoint,
        inquiry: &Inquiry,
        connection: &Connection,
    ) -> Result<(Reply, Option<SecretString>), PollFailure> {
        let mut is_second = false;
        loop {
            let authority = Authority { egress: &self.egress, client: &self.client, tokens: &self.tokens };
            let request = &inquiry.request;
            let url = endpoint.url(request);
            let Signed { headers, minted } = authority.sign(provider, connection, &url, request).await?;
            let call = Call { url, key: "endpoint", headers, body: None };
            let reply = self.client.send(call, provider, connection.ca.as_deref()).await?;
            let is_refused = reply.status == 401 && !is_second;
            match &minted {
                Some(token) if is_refused && authority.renew(provider, connection, token).await => is_second = true,
                _ => return Ok((reply, minted)),
            }
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unusable(provider: &Provider, why: &str) -> PollFailure {
    PollFailure::new(FailureKind::InvalidResponse, format!("{} gave no usable answer: {why}", provider.cloud()))
}
