//! One question on its way through a list or a single reply, page by page, and what that costs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::guard::allow_list::Endpoint;
use super::reply::classify as reply;
use super::share::rate_limiter::{Asker, RateLimiter, Refused};
use super::share::single_flight::{Answer, Entry, Wanted};
use super::{Asked, Inquiry, Later, Question, Upstream};
use crate::auth::Account;
use crate::clock;
use crate::document::Json;
use crate::observation::{FailureKind, Misread, PollFailure, Reading, Request};
use crate::provider::{self, CloudApi};

/// The most pages of a list that are looked through.
const MOST_PAGES: usize = 40;
/// How long one look may take in all, signing in and every page included. It goes on at the next page the next time.
const LONGEST: Duration = Duration::from_secs(60);
/// About how many bytes a kept answer takes beside its document.
const BESIDE_DOCUMENT: usize = 400;
/// What share of its interval the answer of a list may be old for an asker. As its next poll follows the answer's time,
/// no change is seen later than an interval after it happened.
const LISTS_SHARED: f64 = 0.9;

/// One question on its way.
pub(super) struct Lookup<'a> {
    upstream: &'a Upstream,
    question: Question<'a>,
    account: &'a Account,
    endpoint: Endpoint,
    /// When its time is over.
    ends: Instant,
    /// Whether it has cost a request of its own.
    has_sent: bool,
}

/// How far a walk through pages came.
enum Walk {
    /// To the end, or to the operation.
    Over(Answer<Reading>),
    /// Not so far.
    Later(Later),
}

/// One page, where it can be had now.
enum Page {
    Read(Answer<Arc<reply::Page>>),
    Later(Later),
}

type Interpret = fn(&dyn CloudApi, &str, Json<'_>) -> Result<Reading, Misread>;

impl<'a> Lookup<'a> {
    pub(super) fn new(
        upstream: &'a Upstream,
        question: Question<'a>,
        account: &'a Account,
        endpoint: Endpoint,
    ) -> Self {
        Self { upstream, question, account, endpoint, ends: clock::monotonic() + LONGEST, has_sent: false }
    }

    /// Looks the operation up in its `list`, from the page of the `bookmark` on; `None` where that lacks or spoils it, and
    /// it may be asked for alone.
    pub(super) async fn in_list(&mut self, list: &Arc<Inquiry>, bookmark: Option<Box<Request>>) -> Option<Asked> {
        let Question { provider, operation_id, interval, .. } = self.question;
        let first = match bookmark {
            Some(page) => self.inquiry(*page),
            None => Arc::clone(list),
        };
        let max_age = interval.mul_f64(LISTS_SHARED);
        let answer = match self.walk(first, max_age, Some(&**list), provider::find).await {
            Walk::Over(answer) => answer,
            Walk::Later(later) => return Some(Asked::Later(later)),
        };
        match &answer.result {
            Ok(Reading::Found(_)) => Some(self.conclude(answer)),
            _ if provider.request(operation_id) == list.request => Some(self.conclude(answer)),
            Ok(Reading::Absent | Reading::Unreadable(_)) => {
                self.upstream.lists().miss(list, operation_id, clock::monotonic());
                None
            }
            Err(failure) if is_of_the_list(failure.kind) => {
                if self.upstream.lists().set_aside(list, clock::monotonic()) {
                    self.upstream.metrics.count_list_fallback(provider.name(), failure.kind.reason());
                }
                None
            }
            Ok(_) | Err(_) => Some(self.conclude(answer)),
        }
    }

    /// Asks for the operation by itself.
    pub(super) async fn alone(mut self) -> Asked {
        let Question { provider, operation_id, interval, .. } = self.question;
        let inquiry = self.inquiry(provider.request(operation_id));
        match self.walk(inquiry, interval / 2, None, provider::interpret).await {
            Walk::Over(answer) => self.conclude(answer),
            Walk::Later(later) => Asked::Later(later),
        }
    }

    /// The GET of `request` by this account.
    pub(super) fn inquiry(&self, request: Request) -> Arc<Inquiry> {
        let account = Arc::clone(&self.account.name);
        Arc::new(Inquiry::new(account, self.question.provider.name(), request, &self.upstream.hasher))
    }

    /// Reads from the `first` page on until `interpret` finds the operation or there is no further page. `list` is the
    /// list that the pages are of, if they are.
    async fn walk(
        &mut self,
        first: Arc<Inquiry>,
        max_age: Duration,
        list: Option<&Inquiry>,
        interpret: Interpret,
    ) -> Walk {
        let Question { provider, operation_id, .. } = self.question;
        let mut inquiry = first;
        let mut last = clock::monotonic();
        for page in 0..MOST_PAGES {
            if page > 0 && clock::monotonic() >= self.ends {
                if let Some(list) = list {
                    self.upstream.lists().bookmark(list, operation_id, inquiry.request.clone());
                }
                return Walk::Later(Later::At(clock::monotonic()));
            }
            let answer = match self.page(&inquiry, max_age, list.is_some()).await {
                Page::Read(answer) => answer,
                Page::Later(later) => return Walk::Later(later),
            };
            last = answer.at;
            let result = answer.result.and_then(|page| {
                let reading = page.read(|document| interpret(provider, operation_id, document));
                match (reading, page.next.as_deref().and_then(|link| provider.next_page(link))) {
                    (Ok(Reading::Absent), Some(next)) => Ok(Reading::NextPage(next)),
                    (reading, _) => reading.map_err(|misread| unusable(provider, &misread.to_string())),
                }
            });
            match result {
                Ok(Reading::NextPage(next)) => inquiry = self.inquiry(next),
                result => return Walk::Over(Answer { result, at: answer.at, shared: answer.shared }),
            }
        }
        let failure = unusable(provider, &format!("the list goes on after {MOST_PAGES} pages"));
        Walk::Over(Answer { result: Err(failure), at: last, shared: !self.has_sent })
    }

    /// One page: an answer to share, else a request of its own once there is a permit for it.
    async fn page(&mut self, inquiry: &Arc<Inquiry>, max_age: Duration, for_many: bool) -> Page {
        let Question { since, not_before, .. } = self.question;
        let wanted = Wanted { since, not_before, max_age };
        let lead = match self.upstream.flights.enter(inquiry, wanted, clock::monotonic()) {
            Entry::Hit(answer) => return Page::Read(answer),
            Entry::Wait(under_way) => return Page::Later(Later::WhenOver(under_way)),
            Entry::Lead(lead) => lead,
        };
        let permit = match self.permit() {
            Ok(permit) => permit,
            Err(Refused::Until(at)) => return Page::Later(Later::At(at)),
            Err(Refused::Full(landing, at_latest)) => return Page::Later(Later::WhenCalled(landing, at_latest)),
        };
        let result = self.send(inquiry).await;
        drop(permit);
        self.has_sent = true;
        let weight = result.as_ref().map_or(0, |page| page.size() + BESIDE_DOCUMENT);
        Page::Read(lead.land(result, weight, for_many, clock::monotonic()))
    }

    /// Sends the request of `inquiry` while there is time, and lets the account pause where the cloud asks for it.
    async fn send(&self, inquiry: &Inquiry) -> Result<Arc<reply::Page>, PollFailure> {
        let Question { provider, namespace, .. } = self.question;
        let (sender, asker) = (&self.upstream.sender, (self.account, namespace));
        // Boxed, as most polls share an answer and need no room for it.
        let sent = Box::pin(sender.send(provider, &self.endpoint, &inquiry.request, asker));
        let Ok(meaning) = tokio::time::timeout_at(self.ends.into(), sent).await else {
            let message = format!("{} gave no answer within {} s", provider.cloud(), LONGEST.as_secs());
            return Err(PollFailure::new(FailureKind::Unreachable, message));
        };
        if let Some(pause) = meaning.pause {
            let added = self.upstream.limiter().pause(&self.account.name, pause, clock::monotonic());
            self.upstream.metrics.count_pause(provider.name(), &self.account.name, added);
        }
        meaning.result.map(Arc::new)
    }

    /// Leave to send one request.
    fn permit(&self) -> Result<Permit<'_>, Refused> {
        let (asker, now) = (self.asker(), clock::monotonic());
        match self.has_sent {
            false => self.upstream.limiter().acquire(asker, now)?,
            true => self.upstream.limiter().acquire_further(asker, now).map_err(Refused::Until)?,
        }
        Ok(Permit { limiter: &self.upstream.limiter, asker })
    }

    fn asker(&self) -> Asker<'_> {
        let Question { namespace, uid, is_first, .. } = self.question;
        Asker { account: &self.account.name, namespace, uid, is_first }
    }

    /// Makes what was read the answer.
    fn conclude(&self, answer: Answer<Reading>) -> Asked {
        let provider = self.question.provider;
        if !self.has_sent {
            self.upstream.metrics.count_coalesced(provider.name());
            self.upstream.limiter().release(self.asker(), clock::monotonic());
        }
        let result = answer.result.and_then(|reading| match reading {
            Reading::Found(observation) => Ok(*observation),
            Reading::Unreadable(misread) => Err(unusable(provider, &misread.to_string())),
            Reading::Absent | Reading::NextPage(_) => {
                let message = format!("{} lists no such operation", provider.cloud());
                Err(PollFailure::new(FailureKind::NotFound, message))
            }
        });
        Asked::Answered(Answer { result, at: answer.at, shared: !self.has_sent })
    }
}

/// A permitted request, until it is over or dropped.
struct Permit<'a> {
    limiter: &'a Mutex<RateLimiter>,
    asker: Asker<'a>,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Asker { account, namespace, .. } = self.asker;
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.finish(account, namespace, clock::monotonic());
    }
}

fn unusable(provider: &dyn CloudApi, why: &str) -> PollFailure {
    PollFailure::new(FailureKind::InvalidResponse, format!("{} gave no usable answer: {why}", provider.cloud()))
}

/// Whether a failure may be that of the list alone, so that its operations may still be asked for one by one.
fn is_of_the_list(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Unreachable
        | FailureKind::Throttled
        | FailureKind::Unauthorized
        | FailureKind::CredentialsNotFound
        | FailureKind::CredentialsIncomplete
        | FailureKind::ProfileNotFound
        | FailureKind::ProfileRefused => false,
        FailureKind::ServerError
        | FailureKind::Forbidden
        | FailureKind::EndpointRefused
        | FailureKind::InvalidResponse
        | FailureKind::RedirectRefused
        | FailureKind::NotFound => true,
    }
}
