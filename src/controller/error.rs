//! Calls to the Kubernetes API that failed, and how long to wait before the next try.

use std::sync::Arc;
use std::time::Duration;

/// A call to the Kubernetes API failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status could not be written.
    #[error("the status could not be written: {0}")]
    WriteStatus(#[source] kube::Error),
    /// An Event could not be written.
    #[error("an Event could not be written: {0}")]
    WriteEvent(#[source] kube::Error),
    /// The Secret could not be read.
    #[error("the Secret could not be read: {0}")]
    ReadSecret(#[source] Arc<kube::Error>),
    /// The object could not be deleted after its TTL.
    #[error("the object could not be deleted after spec.ttlSecondsAfterFinished: {0}")]
    Delete(#[source] kube::Error),
    /// A defect of ours; the other objects go on.
    #[error("a defect: the reconcile panicked")]
    Panicked,
}

/// The first wait after a failure.
pub(super) const RETRY: Duration = Duration::from_secs(2);
/// The longest.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// What panicked once is likely to panic again.
const AFTER_PANIC: Duration = Duration::from_secs(60);

impl Error {
    /// How long to wait after this, the last of so many `failures` in a row: twice as long each time.
    pub(super) fn backoff(&self, failures: u32) -> Duration {
        let first = if matches!(self, Self::Panicked) { AFTER_PANIC } else { RETRY };
        first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_failing_is_tried_ever_more_seldom() {
        let waits = [1, 2, 3, 7, 8, 9, 1000]
            .map(|failures| Error::Delete(kube::Error::LinesCodecMaxLineLengthExceeded).backoff(failures).as_secs());
        assert_eq!(waits, [2, 4, 8, 128, 256, 300, 300]);
        assert_eq!([1, 2, 9].map(|failures| Error::Panicked.backoff(failures).as_secs()), [60, 120, 300]);
    }
}
