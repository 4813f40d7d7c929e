//! One poll: with which credential, how new the answer has to be, and once more with a credential that was renewed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use tracing::Instrument;

use super::context::Context;
use super::error::Error;
use super::memory::{Faulty, Tracked};
use super::profiles::{FoundApi, Missing};
use crate::api::{CloudOperation, CloudOperationStatus, REQUESTED_AT};
use crate::auth::Account;
use crate::clock::{self, Moment};
use crate::credentials::{Freshness, Loaded};
use crate::decision::{Poll, has_request};
use crate::observation::{PollFailure, State};
use crate::provider::CloudApi;
use crate::schedule::{elapsed, poll_interval};
use crate::upstream::{Answer, Asked, Later, Question};

/// The target of the spans of polls: where nobody subscribes to it, they cost nothing.
pub const POLLS: &str = "cloudop::polls";
/// How often a Secret that is at fault is looked at.
pub(super) const LOOK_AT_SECRET: Duration = Duration::from_secs(15);
/// How soon an operation is looked at again while the profiles have not been listed.
const PROFILES_NOT_YET: Duration = Duration::from_millis(500);
/// How finely the API server tells when an object was created.
const CREATION_PRECISION: Duration = Duration::from_secs(1);

/// What came of a poll.
#[expect(clippy::large_enum_variant, reason = "nearly every poll is answered, and each answer is used up at once")]
pub(super) enum Polled {
    /// An answer, or a failure.
    Answered(Poll),
    /// Nothing yet.
    Later(Later),
}

/// As [`ask`], in a span that tells how it went in words that are ours.
pub(super) async fn ask_in_span(
    operation: &CloudOperation,
    tracked: &mut Tracked,
    now: Moment,
    context: &Context,
) -> Result<Polled, Error> {
    let provider = context.label(&operation.spec.provider);
    let span = tracing::info_span!(target: POLLS, "poll", provider = &*provider, outcome = tracing::field::Empty);
    let polled = ask(operation, tracked, now, context).instrument(span.clone()).await;
    let outcome = match &polled {
        Ok(Polled::Answered(poll)) => {
            poll.result.as_ref().map_or_else(|failure| failure.kind.reason(), |_| "PollSucceeded")
        }
        Ok(Polled::Later(_)) => "Later",
        Err(_) => "KubernetesFailed",
    };
    span.record("outcome", outcome);
    if let Ok(Polled::Answered(poll)) = &polled {
        count(operation, poll, tracked, now.monotonic, context);
        tracked.answered = clock::monotonic().checked_sub(poll.age);
        let rare = tracked.rare();
        (rare.wanted_since, rare.requested, rare.joined) = (None, None, None);
    }
    polled
}

/// Counts a poll that was answered, and how late it was: until it joined somebody else's request, if it did.
fn count(operation: &CloudOperation, poll: &Poll, tracked: &mut Tracked, began: Instant, context: &Context) {
    let provider = context.label(&operation.spec.provider);
    let made = tracked.rare().joined.unwrap_or(began);
    let wanted_since = tracked.rare().wanted_since.unwrap_or(began);
    context.metrics.count_poll(provider.clone(), made.saturating_duration_since(wanted_since));
    if poll.result.as_ref().is_ok_and(|observation| observation.state == State::Unrecognized) {
        context.metrics.count_unrecognized(provider);
    }
}

async fn ask(
    operation: &CloudOperation,
    tracked: &mut Tracked,
    now: Moment,
    context: &Context,
) -> Result<Polled, Error> {
    let since = tracked.want(now);
    let wanted = Wanted::of(operation, tracked, since, now, context);
    let faulty = tracked.rare().faulty.clone().filter(|faulty| !wanted.is_news && now.monotonic < faulty.ask_at);
    let Some(faulty) = faulty else {
        let freshness = if wanted.is_news { Freshness::Now } else { Freshness::Minute };
        return ask_as(freshness, operation, &wanted, tracked, now, context).await;
    };
    if gather(operation, Freshness::FifteenSeconds, context).await?.0 == faulty.version {
        // No poll was due yet.
        tracked.rare().wanted_since = None;
        return Ok(Polled::Later(Later::At(faulty.ask_at.min(now.monotonic + LOOK_AT_SECRET))));
    }
    ask_as(Freshness::FifteenSeconds, operation, &wanted, tracked, now, context).await
}

/// Asks with a credential so fresh, and once more with one that is fresher where that is refused and another.
async fn ask_as(
    mut freshness: Freshness,
    operation: &CloudOperation,
    wanted: &Wanted,
    tracked: &mut Tracked,
    now: Moment,
    context: &Context,
) -> Result<Polled, Error> {
    let since_last = tracked.answered.map(|answered| now.monotonic.saturating_duration_since(answered));
    let mut refused: Option<(Arc<str>, Poll)> = None;
    loop {
        let (version, means) = gather(operation, freshness, context).await?;
        let faulty = Some(Faulty { version, ask_at: now.monotonic });
        let (api, account) = match means {
            Means::Have(api, account) => (api, account),
            Means::Lack(failure) => {
                tracked.rare().faulty = faulty;
                return Ok(Polled::Answered(Poll { result: Err(failure), age: Duration::ZERO, since_last }));
            }
            Means::NotYet => return Ok(Polled::Later(Later::At(now.monotonic + PROFILES_NOT_YET))),
        };
        if let Some((_, poll)) = refused.take_if(|(refused, _)| *refused == account.name) {
            tracked.rare().faulty = faulty;
            return Ok(Polled::Answered(poll));
        }
        let Answer { result, at, .. } =
            match context.upstream.observe(wanted.question(operation, &*api), &account).await {
                Asked::Answered(answer) => answer,
                Asked::Later(later) => return Ok(Polled::Later(later)),
            };
        let is_refused = matches!(&result, Err(failure) if failure.kind.is_configuration());
        let poll = Poll { result, age: clock::monotonic().saturating_duration_since(at), since_last };
        if !is_refused || freshness != Freshness::Minute {
            tracked.rare().faulty = faulty.filter(|_| poll.result.is_err());
            return Ok(Polled::Answered(poll));
        }
        // The Secret may have been renewed since it was read.
        freshness = Freshness::AfterRefusal;
        refused = Some((Arc::clone(&account.name), poll));
    }
}

/// What an operation is asked for with.
enum Means<'a> {
    Have(FoundApi<'a>, Arc<Account>),
    /// Why it cannot be asked for.
    Lack(PollFailure),
    /// The profiles have not been listed yet.
    NotYet,
}

/// What `operation` is asked for with, and the version of what that depends on: it holds until that changes.
async fn gather<'a>(
    operation: &'a CloudOperation,
    freshness: Freshness,
    context: &Context,
) -> Result<(Option<Arc<str>>, Means<'a>), Error> {
    let api = match context.profiles.find(&operation.spec.provider, &operation.spec.operation_id) {
        Ok(api) => api,
        Err(Missing::NotYet) => return Ok((None, Means::NotYet)),
        Err(Missing::Fault(revision, failure)) => return Ok((revision, Means::Lack(failure))),
    };
    let namespace = operation.metadata.namespace.as_deref().unwrap_or_default();
    let name = &operation.spec.credentials_ref.name;
    let loaded = context.secrets.load(namespace, name, &*api, freshness).await.map_err(Error::ReadSecret)?;
    let Loaded { version, account } = loaded;
    let version = match (version, api.revision()) {
        (Some(version), Some(revision)) => Some(format!("{version} {revision}").into()),
        (version, None) => version,
        (None, revision) => revision.cloned(),
    };
    Ok((version, account.map_or_else(Means::Lack, |account| Means::Have(api, account))))
}

/// Which answer an operation wants.
struct Wanted {
    /// Its user asks for a poll now, or has edited the spec.
    is_news: bool,
    is_first: bool,
    interval: Duration,
    since: Instant,
    not_before: Option<Instant>,
}

impl Wanted {
    fn of(operation: &CloudOperation, tracked: &mut Tracked, since: Instant, now: Moment, context: &Context) -> Self {
        let unwritten = CloudOperationStatus::default();
        let status = operation.status.as_ref().unwrap_or(&unwritten);
        let is_first = status.tracking_start_time.is_none();
        let is_edited = !is_first && status.observed_generation != operation.metadata.generation;
        let is_news = is_edited || has_request(operation);
        let not_before = match (is_news, is_first) {
            (true, _) => Some(requested(operation, tracked, now, context)),
            (false, true) => created(operation, now).map(|created| created.min(since)),
            (false, false) => None,
        };
        // Never the answer this object had last: an interval may have grown meanwhile.
        let interval = poll_interval(operation, status, context.history().typical(operation), now.wall);
        let since_answer = tracked.answered.map(|answered| now.monotonic.saturating_duration_since(answered));
        let interval = interval.min(since_answer.unwrap_or(Duration::MAX));
        Self { is_news, is_first, interval, since, not_before }
    }

    fn question<'a>(&self, operation: &'a CloudOperation, api: &'a dyn CloudApi) -> Question<'a> {
        Question {
            provider: api,
            operation_id: &operation.spec.operation_id,
            uid: operation.metadata.uid.as_deref().unwrap_or_default(),
            namespace: operation.metadata.namespace.as_deref().unwrap_or_default(),
            is_first: self.is_first,
            interval: self.interval,
            since: self.since,
            not_before: self.not_before,
        }
    }
}

/// Since when this process knows what the user of `operation` asks for now.
fn requested(operation: &CloudOperation, tracked: &mut Tracked, now: Moment, context: &Context) -> Instant {
    let said = context.memory.hash(&(operation.metadata.generation, operation.annotations().get(REQUESTED_AT)));
    match tracked.rare().requested {
        Some((before, since)) if before == said => since,
        _ => tracked.rare().requested.insert((said, now.monotonic)).1,
    }
}

/// The first moment at which `operation` surely existed.
fn created(operation: &CloudOperation, now: Moment) -> Option<Instant> {
    let created = operation.metadata.creation_timestamp.as_ref()?.0;
    let age = elapsed(created, now.wall).saturating_sub(CREATION_PRECISION);
    now.monotonic.checked_sub(age)
}
