//! What is kept until the API server has taken it: Events, and statuses that may have been written.

use std::sync::Arc;

use jiff::Timestamp;

use crate::api::{CloudOperation, CloudOperationStatus};
use crate::decision::{Notice, is_over};

/// How many writes whose answers were lost are remembered.
const MOST_UNCERTAIN: usize = 4;

/// What is to be told of a status.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) status: CloudOperationStatus,
    /// The reason of Succeeded before.
    pub(super) from: Option<Arc<str>>,
    /// Whether it is the end.
    pub(super) is_end: bool,
    pub(super) notices: Vec<Notice>,
    pub(super) at: Timestamp,
}

/// What is told once the API server has taken it.
#[derive(Clone, Debug, Default)]
pub(super) struct Unannounced {
    /// Statuses that were sent, without an answer: they may have been written or not.
    pub(super) uncertain: Vec<Change>,
    /// Events about what was written.
    pub(super) events: Vec<(Notice, Timestamp)>,
}

impl Unannounced {
    pub(super) fn is_empty(&self) -> bool {
        self.uncertain.is_empty() && self.events.is_empty()
    }

    /// Notes a `change` that was sent, and whose answer was lost.
    pub(super) fn doubt(&mut self, change: Change) {
        self.uncertain.retain(|before| before.status != change.status);
        self.uncertain.truncate(MOST_UNCERTAIN - 1);
        self.uncertain.push(change);
    }
}

impl Change {
    /// What `status` changes for `operation`.
    pub(super) fn new(
        operation: &CloudOperation,
        status: CloudOperationStatus,
        notices: Vec<Notice>,
        at: Timestamp,
    ) -> Self {
        let before = operation.status.as_ref();
        let from = before.and_then(verdict).map(|(reason, _)| Arc::clone(reason));
        let is_end = is_over(&status) && !before.is_some_and(is_over);
        Self { status, from, is_end, notices, at }
    }
}

/// Reason and message of Succeeded.
pub(super) fn verdict(status: &CloudOperationStatus) -> Option<(&Arc<str>, &Arc<str>)> {
    status.conditions.iter().find(|c| *c.type_ == *"Succeeded").map(|c| (&c.reason, &c.message))
}
