//! What the process counts. No label holds the name or ID of an object: the number of series is bounded.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
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

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    operations: Family<Labels, Gauge>,
    upstream_requests: Counters,
    upstream_request_duration: Histograms,
    upstream_throttled: Counters<f64, AtomicU64>,
    poll_lag: Histograms,
    coalesced_polls: Counters,
    list_fallbacks: Counters,
    operation_duration: Histograms,
    unrecognized_states: Counters,
    status_writes: Counters,
    reconcile_duration: Histogram,
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
            operations: Family::default(),
            upstream_requests: Family::default(),
            upstream_request_duration: Family::new_with_constructor(request_seconds),
            upstream_throttled: Family::default(),
            poll_lag: Family::new_with_constructor(seconds),
            coalesced_polls: Family::default(),
            list_fallbacks: Family::default(),
            operation_duration: Family::new_with_constructor(operation_seconds),
            unrecognized_states: Family::default(),
            status_writes: Family::default(),
            reconcile_duration: request_seconds(),
            registry: Registry::default(),
        };
        registry.register("operations", "CloudOperations by provider and phase", metrics.operations.clone());
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
            "Time for which accounts were paused because a cloud asked for fewer requests, by provider",
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
            "Time from start to end of operations that ended, by provider and result",
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
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// All of it in the OpenMetrics text format; `operations` are the numbers by provider and phase now.
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn encode(
        &self,
        operations: impl IntoIterator<Item = ((String, String), i64)>,
    ) -> Result<String, std::fmt::Error> {
        self.operations.clear();
        for ((provider, phase), number) in operations {
            self.operations.get_or_create(&by_both(provider, "phase", phase)).set(number);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// A request to `provider` ended with `code` after `took`.
    pub fn count_request(&self, provider: Cow<'static, str>, code: &str, took: Duration) {
        self.upstream_requests.get_or_create(&by_both(provider.clone(), "code", code.to_owned())).inc();
        self.upstream_request_duration.get_or_create(&by(provider)).observe(took.as_secs_f64());
    }

    /// `provider` asked for a pause.
    pub fn count_pause(&self, provider: Cow<'static, str>, pause: Duration) {
        self.upstream_throttled.get_or_create(&by(provider)).inc_by(pause.as_secs_f64());
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

    /// An operation ended, `took` after its start.
    pub fn count_end(&self, provider: Cow<'static, str>, result: &str, took: Duration) {
        self.operation_duration
            .get_or_create(&by_both(provider, "result", result.to_owned()))
            .observe(took.as_secs_f64());
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
