//! What the process counts. No label holds the name or ID of an object: the number of series is bounded.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

type Label = (&'static str, Cow<'static, str>);

/// The labels of one metric, in order. Without a heap: every poll is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels(Label, Option<Label>);

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [Some(&self.0), self.1.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|(name, value)| (*name, value.as_ref()).encode(encoder.encode_label()))
    }
}

fn by(provider: Cow<'static, str>) -> Labels {
    Labels(("provider", provider), None)
}

fn by_both(provider: impl Into<Cow<'static, str>>, name: &'static str, value: impl Into<Cow<'static, str>>) -> Labels {
    Labels(("provider", provider.into()), Some((name, value.into())))
}

type Counters<N = u64, A = AtomicU64> = Family<Labels, Counter<N, A>>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// How many numbers there are for the accounts of one provider.
const ACCOUNT_NUMBERS: usize = 16;
/// What becomes of a write of a status.
const WRITES: [&str; 4] = ["written", "conflict", "failed", "held back"];

/// How the CloudOperations of one provider stand.
#[derive(Debug, Default)]
pub struct Standing {
    /// How many are in each phase.
    pub phases: BTreeMap<&'static str, i64>,
    /// How many have the condition Stalled, by its reason.
    pub stalled: BTreeMap<&'static str, i64>,
    /// The earliest start of those that go on, neither ended nor suspended, in seconds of Unix time.
    pub oldest_start: Option<i64>,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    leader: Gauge,
    operations: Family<Labels, Gauge>,
    operations_stalled: Family<Labels, Gauge>,
    oldest_operation_start: Family<Labels, Gauge>,
    operations_ended: Counters,
    upstream_requests: Counters,
    upstream_request_duration: Histograms,
    upstream_throttled: Counters<f64, AtomicU64>,
    throttled_accounts: Mutex<HashMap<Cow<'static, str>, Numbers>>,
    poll_lag: Histograms,
    coalesced_polls: Counters,
    list_fallbacks: Counters,
    operation_duration: Histograms,
    unrecognized_states: Counters,
    status_writes: Counters,
    reconcile_duration: Histogram,
}

/// Numbers in place of the names of accounts, which tell of their secrets. An account keeps its number until as many
/// others were throttled after it as there are numbers, so that no tenant can have more by changing its credentials.
#[derive(Debug, Default)]
struct Numbers {
    /// Who has each number, and at which turn it was last asked for.
    holders: Vec<(Arc<str>, u64)>,
    turn: u64,
}

impl Numbers {
    fn of(&mut self, account: &Arc<str>) -> usize {
        self.turn += 1;
        let longest_unused = || self.holders.iter().enumerate().min_by_key(|(_, (_, turn))| *turn).map(|(at, _)| at);
        let at = match self.holders.iter().position(|(holder, _)| holder == account) {
            Some(at) => at,
            None if self.holders.len() == ACCOUNT_NUMBERS => longest_unused().unwrap_or_default(),
            None => {
                self.holders.push((Arc::clone(account), 0));
                self.holders.len() - 1
            }
        };
        if let Some(holder) = self.holders.get_mut(at) {
            *holder = (Arc::clone(account), self.turn);
        }
        at + 1
    }
}

/// From a tenth of a second to about seven minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.1, 2.0, 13))
}

/// From 5 ms to about 20 s, the longest a request may take.
fn request_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 13))
}

/// From a minute to about a day and a half.
fn operation_seconds() -> Histogram {
    Histogram::new(exponential_buckets(60.0, 2.0, 12))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("cloudop");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", build);
        let metrics = Self {
            leader: Gauge::default(),
            operations: Family::default(),
            operations_stalled: Family::default(),
            oldest_operation_start: Family::default(),
            operations_ended: Family::default(),
            upstream_requests: Family::default(),
            upstream_request_duration: Family::new_with_constructor(request_seconds),
            upstream_throttled: Family::default(),
            throttled_accounts: Mutex::default(),
            poll_lag: Family::new_with_constructor(seconds),
            coalesced_polls: Family::default(),
            list_fallbacks: Family::default(),
            operation_duration: Family::new_with_constructor(operation_seconds),
            unrecognized_states: Family::default(),
            status_writes: Family::default(),
            reconcile_duration: request_seconds(),
            registry: Registry::default(),
        };
        registry.register("leader", "1 in the process that leads, 0 in those that wait to", metrics.leader.clone());
        registry.register("operations", "CloudOperations by provider and phase", metrics.operations.clone());
        registry.register(
            "operations_stalled",
            "CloudOperations with the condition Stalled, by provider and its reason: those that do not go on without someone's \
             help, and those that ended badly",
            metrics.operations_stalled.clone(),
        );
        registry.register(
            "oldest_operation_start_time_seconds",
            "When the operation that goes on for longest started, in Unix time, by provider: neither ended nor suspended ones; \
             no series where there is none",
            metrics.oldest_operation_start.clone(),
        );
        registry.register(
            "operations_ended",
            "CloudOperations that ended while this process led, by provider and result, which is the reason of Finished",
            metrics.operations_ended.clone(),
        );
        registry.register(
            "upstream_requests",
            "Requests to clouds by provider and code: the HTTP status, or the reason why there was none",
            metrics.upstream_requests.clone(),
        );
        registry.register(
            "upstream_request_duration_seconds",
            "Time from sending a request to a cloud to the end of its answer, by provider",
            metrics.upstream_request_duration.clone(),
        );
        registry.register(
            "upstream_throttled_seconds",
            "Time for which an account was paused because a cloud asked for fewer requests, by provider and a number for the \
             account: up to 16 a provider, which say nothing else of it",
            metrics.upstream_throttled.clone(),
        );
        registry.register(
            "poll_lag_seconds",
            "How late polls were made, by provider: rising, the accounts' budgets or the process do not suffice",
            metrics.poll_lag.clone(),
        );
        registry.register(
            "coalesced_polls",
            "Polls that cost no request because an equal one or a list was answered, by provider",
            metrics.coalesced_polls.clone(),
        );
        registry.register(
            "list_fallbacks",
            "Times that a cloud's list of operations could not be used and they were asked for one by one for ten \
             minutes, by provider and reason",
            metrics.list_fallbacks.clone(),
        );
        registry.register(
            "operation_duration_seconds",
            "Time from start to end of operations that ended, by provider and result; those never seen are not in it",
            metrics.operation_duration.clone(),
        );
        registry.register(
            "unrecognized_states",
            "Answers with a state this version does not know, by provider",
            metrics.unrecognized_states.clone(),
        );
        registry.register(
            "status_writes",
            "Writes of a status, by result: written, conflict, failed, or held back so that no cloud can have one written as fast \
             as it changes its words",
            metrics.status_writes.clone(),
        );
        registry.register(
            "reconcile_duration_seconds",
            "Time spent on one object at a time, waiting for clouds and the API server included",
            metrics.reconcile_duration.clone(),
        );
        for result in WRITES {
            drop(metrics.status_writes.get_or_create(&Labels(("result", result.into()), None)));
        }
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// All of it in the OpenMetrics text format, with how the operations of each provider stand now.
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn encode(
        &self,
        standings: impl IntoIterator<Item = (Cow<'static, str>, Standing)>,
    ) -> Result<String, std::fmt::Error> {
        for gauges in [&self.operations, &self.operations_stalled, &self.oldest_operation_start] {
            gauges.clear();
        }
        for (provider, Standing { phases, stalled, oldest_start }) in standings {
            for (phase, number) in phases {
                self.operations.get_or_create(&by_both(provider.clone(), "phase", phase)).set(number);
            }
            for (reason, number) in stalled {
                self.operations_stalled.get_or_create(&by_both(provider.clone(), "reason", reason)).set(number);
            }
            if let Some(start) = oldest_start {
                self.oldest_operation_start.get_or_create(&by(provider)).set(start);
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// This process leads from now on.
    pub fn lead(&self) {
        self.leader.set(1);
    }

    /// Has what counts the rare events of `provider` begin at zero, its ends by each of `results`: Prometheus'
    /// `increase()` does not see the event that a series begins with. So do the durations by the first of `results`, the
    /// usual one; the others' would be fifteen series each that most often count nothing.
    pub fn begin(&self, provider: Cow<'static, str>, results: &[&'static str]) {
        for result in results {
            drop(self.operations_ended.get_or_create(&by_both(provider.clone(), "result", *result)));
        }
        if let Some(usual) = results.first() {
            drop(self.operation_duration.get_or_create(&by_both(provider.clone(), "result", *usual)));
        }
        drop(self.unrecognized_states.get_or_create(&by(provider.clone())));
        drop(self.coalesced_polls.get_or_create(&by(provider.clone())));
        drop(self.upstream_throttled.get_or_create(&by_both(provider.clone(), "account", "1")));
    }

    /// A request to `provider` ended with `code` after `took`.
    pub fn count_request(&self, provider: Cow<'static, str>, code: &str, took: Duration) {
        self.upstream_requests.get_or_create(&by_both(provider.clone(), "code", code.to_owned())).inc();
        self.upstream_request_duration.get_or_create(&by(provider)).observe(took.as_secs_f64());
    }

    /// `provider` asked `account` for a pause, which is longer for it by `added`.
    pub fn count_pause(&self, provider: Cow<'static, str>, account: &Arc<str>, added: Duration) {
        let mut accounts = self.throttled_accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let number = accounts.entry(provider.clone()).or_default().of(account);
        let labels = by_both(provider, "account", number.to_string());
        self.upstream_throttled.get_or_create(&labels).inc_by(added.as_secs_f64());
    }

    /// A poll was made `lag` after it was due.
    pub fn count_poll(&self, provider: Cow<'static, str>, lag: Duration) {
        self.poll_lag.get_or_create(&by(provider)).observe(lag.as_secs_f64());
    }

    /// A poll shared the answer to another.
    pub fn count_coalesced(&self, provider: Cow<'static, str>) {
        self.coalesced_polls.get_or_create(&by(provider)).inc();
    }

    /// A list of `provider` could not be used, for `reason`.
    pub fn count_list_fallback(&self, provider: Cow<'static, str>, reason: &'static str) {
        self.list_fallbacks.get_or_create(&by_both(provider, "reason", reason)).inc();
    }

    /// An operation ended, `took` after its start, where that is known.
    pub fn count_end(&self, provider: Cow<'static, str>, result: &str, took: Option<Duration>) {
        let labels = by_both(provider, "result", result.to_owned());
        self.operations_ended.get_or_create(&labels).inc();
        if let Some(took) = took {
            self.operation_duration.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }

    /// A cloud used a word we do not know.
    pub fn count_unrecognized(&self, provider: Cow<'static, str>) {
        self.unrecognized_states.get_or_create(&by(provider)).inc();
    }

    /// A status was written, or not.
    pub fn count_write(&self, result: &'static str) {
        self.status_writes.get_or_create(&Labels(("result", result.into()), None)).inc();
    }

    /// A reconcile took this long.
    pub fn count_reconcile(&self, took: Duration) {
        self.reconcile_duration.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The lines of `metrics` that begin with `name`.
    fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
        let text = metrics.encode([]).unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn what_stands_no_more_is_not_told_any_more() {
        let metrics = Metrics::default();
        let standing = Standing {
            phases: [("Running", 2)].into(),
            stalled: [("NoProgress", 1)].into(),
            oldest_start: Some(1_700_000_000),
        };
        let text = metrics.encode([("p".into(), standing)]).unwrap();
        for line in [
            "cloudop_operations{provider=\"p\",phase=\"Running\"} 2",
            "cloudop_operations_stalled{provider=\"p\",reason=\"NoProgress\"} 1",
            "cloudop_oldest_operation_start_time_seconds{provider=\"p\"} 1700000000",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!metrics.encode([]).unwrap().contains("provider=\"p\""));
    }

    #[test]
    fn rare_events_are_counted_from_zero() {
        let metrics = Metrics::default();
        assert!(lines(&metrics, "cloudop_status_writes_total{result=\"failed\"} 0").len() == 1);
        metrics.begin("p".into(), &["OperationFailed"]);
        assert_eq!(
            lines(&metrics, "cloudop_operations_ended_total"),
            ["cloudop_operations_ended_total{provider=\"p\",result=\"OperationFailed\"} 0"]
        );
        assert_eq!(
            lines(&metrics, "cloudop_operation_duration_seconds_count"),
            ["cloudop_operation_duration_seconds_count{provider=\"p\",result=\"OperationFailed\"} 0"]
        );
        metrics.count_end("p".into(), "OperationFailed", None);
        metrics.begin("p".into(), &["OperationFailed"]);
        assert_eq!(
            lines(&metrics, "cloudop_operations_ended_total"),
            ["cloudop_operations_ended_total{provider=\"p\",result=\"OperationFailed\"} 1"]
        );
        assert_eq!(
            lines(&metrics, "cloudop_unrecognized_states_total"),
            ["cloudop_unrecognized_states_total{provider=\"p\"} 0"]
        );
    }

    #[test]
    fn accounts_have_numbers_of_which_there_are_few() {
        let metrics = Metrics::default();
        let name = |n: usize| -> Arc<str> { format!("secret-{n}").into() };
        for n in [1, 2, 1] {
            metrics.count_pause("p".into(), &name(n), SECOND);
        }
        let series = |n, seconds| {
            format!("cloudop_upstream_throttled_seconds_total{{provider=\"p\",account=\"{n}\"}} {seconds}.0")
        };
        let mut lines_before = lines(&metrics, "cloudop_upstream_throttled_seconds_total");
        lines_before.sort();
        assert_eq!(lines_before, [series(1, 2), series(2, 1)]);
        for n in 0..100 {
            metrics.count_pause("p".into(), &name(n), SECOND);
            // In use all the time, so that nobody gets its number.
            metrics.count_pause("p".into(), &name(1), SECOND);
        }
        let lines = lines(&metrics, "cloudop_upstream_throttled_seconds_total");
        assert_eq!(lines.len(), ACCOUNT_NUMBERS);
        assert!(lines.contains(&series(1, 2 + 101)), "{lines:?}");
        assert!(!lines.concat().contains("secret"));
    }
}
