//! Traces over OTLP: a span for each poll, which tells the provider and the outcome, and nothing of the object.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use crate::controller::POLLS;

/// Limit for handing over one batch of spans.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where spans go, as `--otlp-endpoint` names it.
#[derive(Clone, Debug)]
pub struct Endpoint(Url);

impl std::str::FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("must be a URL such as http://collector:4318".into());
        }
        Ok(Self(url))
    }
}

/// Sends spans to a collector, some seconds after they end and from a thread of its own.
///
/// # Errors
/// When no HTTP client can be made.
pub fn provider(endpoint: &Endpoint) -> Result<SdkTracerProvider, Box<dyn std::error::Error>> {
    // A blocking client brings a runtime, which must not be made inside another.
    let client = || reqwest::blocking::Client::builder().no_proxy().timeout(TIMEOUT).build();
    let client = std::thread::spawn(client).join().map_err(|_| "the thread panicked")??;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", endpoint.0.as_str().trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()?;
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name("cloudop").with_attribute(version).build();
    Ok(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())
}

/// What turns the spans of polls, and nothing else, into spans of `provider`.
pub fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("cloudop"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_poll))
}

/// Whether it is the span of a poll. Logs are not: they hold what clouds say.
fn is_poll(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == POLLS
}
