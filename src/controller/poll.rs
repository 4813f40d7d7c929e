//! One poll: with which credential, how new the answer has to be, and once more with a credential that was renewed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::Instrument;

use super::context::{Context, Followed};
use super::{Error, POLLS};
use crate::api::{CloudOperation, CloudOperationStatus};
use crate::credentials::Freshness;
use crate::decision::{Poll, has_request};
use crate::schedule::{after, poll_interval};
use crate::upstream::{Outcome, Question};

/// As [`ask`], in a span that tells how it went in words that are ours.
pub(super) async fn ask_in_span(
    operation: &CloudOperation,
    followed: &Followed,
    context: &Context,
) -> Result<Result<Poll, Timestamp>, Error> {
    let provider = operation.spec.provider.name();
    let span = tracing::info_span!(target: POLLS, "poll", provider, outcome = tracing::field::Empty);
    let asked = ask(operation, followed, context).instrument(span.clone()).await;
    let outcome = match &asked {
        Ok(Ok(poll)) => poll.result.as_ref().map_or_else(|failure| failure.kind.reason(), |_| "PollSucceeded"),
        Ok(Err(_)) => "Later",
        Err(_) => "KubernetesFailed",
    };
    span.record("outcome", outcome);
    asked
}

/// Asks the cloud; `Err` is when a request may be made, where none may be now.
async fn ask(
    operation: &CloudOperation,
    followed: &Followed,
    context: &Context,
) -> Result<Result<Poll, Timestamp>, Error> {
    let now = Timestamp::now();
    let unwritten = CloudOperationStatus::default();
    let status = operation.status.as_ref().unwrap_or(&unwritten);
    let uid = operation.metadata.uid.as_deref().unwrap_or_default();
    let is_edited = status.tracking_start_time.is_some() && status.observed_generation != operation.metadata.generation;
    let is_wanted_now = is_edited || has_request(operation);
    let interval = match is_wanted_now {
        true => Duration::ZERO,
        // Never the answer this object had last: an interval may have grown meanwhile.
        false => {
            let since = followed.answered.map(|answered| answered.elapsed());
            poll_interval(operation, status, uid, now).min(since.unwrap_or(Duration::MAX))
        }
    };
    let is_first = status.tracking_start_time.is_none();
    let namespace = operation.metadata.namespace.as_deref().unwrap_or_default();
    let name = &operation.spec.credentials_ref.name;
    let provider = &operation.spec.provider;
    let mut freshness = if is_wanted_now { Freshness::Now } else { Freshness::Minute };
    let mut refused: Option<(Arc<str>, Poll)> = None;
    loop {
        let loaded = context.secrets.load(namespace, name, provider, freshness).await.map_err(Error::ReadSecret)?;
        let account = match loaded.account {
            Ok(account) => account,
            Err(failure) => return Ok(Ok(Poll { result: Err(failure), age: Duration::ZERO })),
        };
        if let Some((_, poll)) = refused.take_if(|(refused, _)| *refused == account.name) {
            return Ok(Ok(poll));
        }
        let operation_id = &operation.spec.operation_id;
        let question = Question { provider, operation_id, asker: uid, is_first, interval };
        match context.upstream.observe(question, &account).await {
            Outcome::Later(at) => {
                let wait = at.saturating_duration_since(tokio::time::Instant::now());
                return Ok(Err(after(Timestamp::now(), wait)));
            }
            Outcome::Answered { result, at, .. } => {
                let is_refused = matches!(&result, Err(failure) if failure.kind.is_configuration());
                let poll = Poll { result, age: at.elapsed() };
                if !is_refused || freshness != Freshness::Minute {
                    return Ok(Ok(poll));
                }
                // The Secret may have been renewed since it was read.
                freshness = Freshness::AfterRefusal;
                refused = Some((Arc::clone(&account.name), poll));
            }
        }
    }
}
