//! One question on its way: the pages it is looked for in, and what they cost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::budget::Budget;
use super::egress::Endpoint;
use super::flight::{Landing, Service};
use super::{Inquiry, Outcome, Question, Upstream};
use crate::auth::Account;
use crate::document::Json;
use crate::observation::{FailureKind, Misread, Observation, PollFailure, Reading, Request};
use crate::provider::Provider;

/// The most pages of a collection that one poll looks through.
const MOST_PAGES: usize = 40;

/// One question on its way.
pub(super) struct Visit<'a> {
    upstream: &'a Upstream,
    question: Question<'a>,
    account: &'a Account,
    endpoint: Endpoint,
    /// Whether a list is asked for.
    pub(super) for_many: bool,
    /// Whether it has cost a request of its own.
    has_sent: bool,
}

/// A permitted request, until it is over or dropped.
struct UnderWay<'a> {
    budget: &'a Mutex<Budget>,
    account: &'a str,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).land(self.account);
    }
}

/// What was read, and when it arrived; `None` where the whole answer lacks the operation.
pub(super) struct Found {
    pub(super) result: Result<Option<Observation>, PollFailure>,
    at: Instant,
}

type Interpret = fn(&Provider, &str, Json<'_>) -> Result<Reading, Misread>;

impl<'a> Visit<'a> {
    /// A visit that has not begun, to a list.
    pub(super) fn new(
        upstream: &'a Upstream,
        question: Question<'a>,
        account: &'a Account,
        endpoint: Endpoint,
    ) -> Self {
        Self { upstream, question, account, endpoint, for_many: true, has_sent: false }
    }

    /// The GET of `request` by this account.
    pub(super) fn inquiry(&self, request: Request) -> Inquiry {
        Inquiry { account: Arc::clone(&self.account.name), provider: self.question.provider.name(), request }
    }

    /// Reads from the `first` page on until `interpret` finds the operation or there is no further page.
    ///
    /// # Errors
    /// When to come back: the account's budget has no room before.
    pub(super) async fn read(
        &mut self,
        first: Inquiry,
        max_age: Duration,
        interpret: Interpret,
    ) -> Result<Found, Instant> {
        let Question { provider, operation_id, asker, is_first, .. } = self.question;
        let upstream = self.upstream;
        let mut inquiry = first;
        let mut arrived = Instant::now();
        for _ in 0..MOST_PAGES {
            let has_sent = self.has_sent;
            let permit = || match has_sent {
                false => upstream.budget().ask(&self.account.name, asker, is_first, Instant::now()),
                true => upstream.budget().charge(&self.account.name, Instant::now()),
            };
            let ask = || {
                let under_way = UnderWay { budget: &upstream.budget, account: &self.account.name };
                // Boxed, as most polls share an answer and need no room for it.
                let asked = Box::pin(upstream.ask(provider, &self.endpoint, &inquiry, self.account));
                let for_many = self.for_many;
                async move {
                    let _under_way = under_way;
                    let (value, weight) = asked.await;
                    Landing { value, weight, for_many }
                }
            };
            let (answer, at) = match upstream.flights.share(&inquiry, max_age, permit, ask).await {
                Service::Denied(later) => return Err(later),
                Service::Answered { value, at, shared } => {
                    self.has_sent |= !shared;
                    (value, at)
                }
            };
            arrived = at;
            let reading = answer.and_then(|document| {
                interpret(provider, operation_id, document.root())
                    .map_err(|misread| unusable(provider, &misread.to_string()))
            });
            let result = match reading {
                Ok(Reading::NextPage(next)) => {
                    inquiry = self.inquiry(next);
                    continue;
                }
                Ok(Reading::Found(observation)) => Ok(Some(*observation)),
                Ok(Reading::Absent) => Ok(None),
                Ok(Reading::Unreadable(misread)) => Err(unusable(provider, &misread.to_string())),
                Err(failure) => Err(failure),
            };
            return Ok(Found { result, at });
        }
        let failure = unusable(provider, &format!("the list goes on after {MOST_PAGES} pages"));
        Ok(Found { result: Err(failure), at: arrived })
    }

    /// Makes what was found the outcome.
    pub(super) fn conclude(self, found: Found) -> Outcome {
        let Question { provider, asker, .. } = self.question;
        if !self.has_sent {
            self.upstream.metrics.count_coalesced(provider.name());
            self.upstream.budget().release(&self.account.name, asker);
        }
        let missing = || {
            let message = format!("{} lists no such operation", provider.cloud());
            PollFailure::new(FailureKind::NotFound, message)
        };
        let result = found.result.and_then(|observation| observation.ok_or_else(missing));
        Outcome::Answered { result, at: found.at, shared: !self.has_sent }
    }
}

fn unusable(provider: &Provider, why: &str) -> PollFailure {
    PollFailure::new(FailureKind::InvalidResponse, format!("{} gave no usable answer: {why}", provider.cloud()))
}
