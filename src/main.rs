//! `cloudop-controller`: flags, logs, start and stop.

#![cfg_attr(not(test), deny(clippy::dbg_macro, clippy::expect_used, clippy::panic, clippy::todo, clippy::unwrap_used))]

use std::hash::{BuildHasher, RandomState};
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use cloudop::controller::{self, Context, Stage, Watched};
use cloudop::metrics::Metrics;
use cloudop::server;
use cloudop::traces;
use cloudop::upstream::{Options, Proxy, Upstream};
use ipnet::IpNet;
use k8s_controller::LeaderElection;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// How long a stop may take: a poll that does not finish by then is abandoned, before it writes anything.
const STOP: Duration = Duration::from_secs(10);
/// How long a stop waits for the collector of traces.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Follows CloudOperations: polls each cloud and writes what it says into .status.
///
/// Finds its cluster by KUBECONFIG or ~/.kube/config, inside a cluster by its ServiceAccount.
#[derive(Parser)]
#[command(version, name = "cloudop-controller")]
struct Flags {
    /// Namespaces to watch, separated by commas; all of them by default.
    #[arg(long, env = "CLOUDOP_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    watch_namespaces: Vec<String>,

    /// Hosts that credentials may be sent to beside those of each vendor's own services, separated by commas: a host, or
    /// *.example.com for every host below it; on port 443, or the one that follows (:8443, or :* for any).
    #[arg(long, env = "CLOUDOP_ALLOW_HOST", value_delimiter = ',', value_name = "HOST")]
    allow_host: Vec<String>,

    /// Loopback, private and other internal addresses that the hosts of --allow-host may be at, separated by commas:
    /// ranges such as 10.0.0.0/8.
    #[arg(long, env = "CLOUDOP_ALLOW_PRIVATE_ADDRESSES", value_delimiter = ',', value_parser = range, value_name = "RANGE")]
    allow_private_addresses: Vec<IpNet>,

    /// Reach all clouds through this proxy, such as http://proxy.example.com:3128; HTTPS_PROXY and its like are not
    /// read. The hosts that may be called stay the same, and the proxy looks their names up.
    #[arg(long, env = "CLOUDOP_EGRESS_PROXY", value_name = "URL")]
    egress_proxy: Option<String>,

    /// File with the proxy's user and password, as user:password.
    #[arg(long, env = "CLOUDOP_EGRESS_PROXY_CREDENTIALS_FILE", requires = "egress_proxy", value_name = "FILE")]
    egress_proxy_credentials_file: Option<PathBuf>,

    /// File with the certificate authorities (PEM) for an https:// proxy's own certificate.
    #[arg(long, env = "CLOUDOP_EGRESS_PROXY_CA_FILE", requires = "egress_proxy", value_name = "FILE")]
    egress_proxy_ca_file: Option<PathBuf>,

    /// Requests per second to one endpoint with one account.
    #[arg(long, env = "CLOUDOP_REQUESTS_PER_SECOND", default_value_t = 5.0, value_parser = positive, value_name = "NUMBER")]
    requests_per_second: f64,

    /// Requests that may be made at once after a quiet time, to one endpoint with one account.
    #[arg(long, env = "CLOUDOP_BURST", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..), value_name = "NUMBER")]
    burst: u32,

    /// Objects worked on at the same time.
    #[arg(long, env = "CLOUDOP_CONCURRENCY", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..), value_name = "NUMBER")]
    concurrency: u16,

    /// Watch only CloudOperations with these labels, so that several controllers share a cluster, such as
    /// example.com/shard=one.
    #[arg(long, env = "CLOUDOP_WATCH_LABEL_SELECTOR", value_name = "SELECTOR")]
    watch_label_selector: Option<String>,

    /// Of several processes let one lead, by a Lease.
    #[arg(long, env = "CLOUDOP_LEADER_ELECTION")]
    leader_election: bool,

    /// Namespace of the Lease.
    #[arg(long, env = "CLOUDOP_LEADER_ELECTION_NAMESPACE", default_value = "default", value_name = "NAMESPACE")]
    leader_election_namespace: String,

    /// Name of the Lease; controllers that share a cluster by labels need one each.
    #[arg(long, env = "CLOUDOP_LEADER_ELECTION_ID", default_value = "cloudop-controller", value_name = "NAME")]
    leader_election_id: String,

    /// Address to serve /livez, /readyz and /metrics on, such as 0.0.0.0:8080; none are served without it.
    #[arg(long, env = "CLOUDOP_METRICS_ADDRESS", value_name = "ADDRESS")]
    metrics_address: Option<SocketAddr>,

    /// Format of the logs.
    #[arg(long, env = "CLOUDOP_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// What to log: error, warn, info, debug or trace, also by module (info,cloudop=debug).
    #[arg(long, env = "CLOUDOP_LOG", default_value = "info,kube_client=off,kube_runtime=warn", value_name = "FILTER")]
    log: Targets,

    /// Send a span for each poll to the OpenTelemetry collector at this address, such as http://collector:4318; none
    /// are sent without it.
    #[arg(long, env = "CLOUDOP_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<traces::Endpoint>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("must be a number above 0".into()),
    }
}

/// A range of addresses; a single address is one of its own.
fn range(text: &str) -> Result<IpNet, String> {
    let range = text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| address.into()));
    range.ok_or_else(|| "must be a range of addresses such as 10.0.0.0/8 or fd00::/8".into())
}

/// The proxy of the flags, if there is one.
fn egress_proxy(flags: &Flags) -> Result<Option<Proxy>, String> {
    let Some(url) = &flags.egress_proxy else { return Ok(None) };
    let read = |flag: &str, file: &Option<PathBuf>| {
        let read = |file: &PathBuf| {
            std::fs::read_to_string(file).map_err(|error| format!("{flag}: {}: {error}", file.display()))
        };
        file.as_ref().map(read).transpose()
    };
    let credentials = read("--egress-proxy-credentials-file", &flags.egress_proxy_credentials_file)?;
    let authorities = read("--egress-proxy-ca-file", &flags.egress_proxy_ca_file)?;
    let proxy = Proxy::new(url, credentials.as_deref(), authorities);
    proxy.map(Some).map_err(|error| format!("--egress-proxy: {error}"))
}

/// The system's keeps a quarter more memory in holes; musl's, in the image, is slow beside.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

// One thread: what the process does is wait, and waking one thread costs less than handing work between several.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(error) = follow(Flags::parse()).await else { return ExitCode::SUCCESS };
    // Some errors say their cause, others leave that to the reader of the chain.
    let mut said = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string) {
        if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    eprintln!("error: {said}");
    ExitCode::FAILURE
}

async fn follow(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    let traces = flags.otlp_endpoint.as_ref().map(traces::provider).transpose();
    let traces = traces.map_err(|error| format!("--otlp-endpoint: {error}"))?;
    start_logs(&flags, traces.as_ref())?;
    let metrics = Arc::new(Metrics::default());
    let upstream = Upstream::new(Options {
        allow_hosts: flags.allow_host.clone(),
        allow_private_addresses: flags.allow_private_addresses.clone(),
        egress_proxy: egress_proxy(&flags)?,
        requests_per_second: flags.requests_per_second,
        burst: flags.burst,
        requests_under_way: flags.concurrency,
        metrics: Arc::clone(&metrics),
        ..Options::default()
    })?;
    let (watches, calls) = connect().await?;
    let instance = instance();
    let context = Arc::new(Context::new(calls.clone(), upstream, instance.clone(), metrics));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespaces = ?flags.watch_namespaces, "started");
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let stopping = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
        let _ = stop.send(true);
        // Without a first answer of the API server the controller would wait for it for ever.
        tokio::time::sleep(STOP).await;
    };
    let serving = async {
        match flags.metrics_address {
            Some(address) => server::serve(address, Arc::clone(&context)).await,
            None => std::future::pending().await,
        }
    };
    let election = flags.leader_election.then(|| {
        LeaderElection::new(calls.clone(), &flags.leader_election_namespace, &flags.leader_election_id, &instance)
    });
    let result: Result<(), Box<dyn std::error::Error>> = tokio::select! {
        led = lead(&flags, &watches, &calls, &context, election.as_ref(), stopped) => led,
        served = serving => served.map_err(|error| format!("--metrics-address: {error}").into()),
        () = stopping => {
            tracing::warn!("stopped without waiting any longer for what was under way");
            Ok(())
        }
    };
    if let Some(election) = &election {
        // So that the next leader need not wait for the lease to run out.
        let _ = tokio::time::timeout(Duration::from_secs(2), election.release()).await;
    }
    if let Some(traces) = traces {
        let last = tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(LAST_SPANS));
        if !matches!(last.await, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be sent");
        }
    }
    tracing::info!("stopped");
    result
}

/// Follows operations until told to stop, with leader election only while this process holds the lease.
async fn lead(
    flags: &Flags,
    watches: &Client,
    calls: &Client,
    context: &Arc<Context>,
    election: Option<&LeaderElection>,
    stopped: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error>> {
    let controllers = async {
        context.reach(Stage::Leading);
        let namespaces: Vec<Option<String>> = match flags.watch_namespaces.as_slice() {
            [] => vec![None],
            namespaces => namespaces.iter().cloned().map(Some).collect(),
        };
        let label_selector = &flags.watch_label_selector;
        let until_stopped = || {
            let mut stopped = stopped.clone();
            async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            }
        };
        let profiles = controller::watch_profiles(watches.clone(), Arc::clone(context), until_stopped());
        let operations = futures::future::join_all(namespaces.into_iter().map(|namespace| {
            let watched = Watched { namespace, label_selector: label_selector.clone() };
            controller::run(watches.clone(), watched, flags.concurrency, Arc::clone(context), until_stopped())
        }));
        futures::future::join(profiles, operations).await;
    };
    let Some(election) = election else {
        controllers.await;
        return Ok(());
    };
    let mut stop = stopped.clone();
    tokio::select! {
        () = see_lease(calls, flags) => {}
        _ = stop.wait_for(|stopped| *stopped) => return Ok(()),
    }
    context.reach(Stage::Standby);
    let lease = &flags.leader_election_id;
    tracing::info!(lease, namespace = flags.leader_election_namespace, "waiting to lead");
    let leading = election.with_lease(async {
        tracing::info!(lease, "leading");
        controllers.await;
    });
    // One that does not lead has nothing to finish.
    let told_to_stop = async {
        let _ = stop.wait_for(|stopped| *stopped).await;
        if !context.is_leading() {
            return;
        }
        std::future::pending().await
    };
    tokio::select! {
        led = leading => match led {
            Some(()) => Ok(()),
            // Whatever is still under way here must not outlive the lease.
            None => Err("the lease was lost: another process may lead now".into()),
        },
        () = told_to_stop => Ok(()),
    }
}

/// Waits until the API server tells about the lease, or that there is none yet.
async fn see_lease(client: &Client, flags: &Flags) {
    let (namespace, lease) = (&flags.leader_election_namespace, &flags.leader_election_id);
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    loop {
        match leases.get_opt(lease).await {
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, lease, namespace, "the lease cannot be read; trying again");
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }
}

/// A client for watches, which may be silent for minutes, and one for calls, which may not. Neither tries again by
/// itself: the requeue is the one retry loop.
async fn connect() -> Result<(Client, Client), Box<dyn std::error::Error>> {
    let mut config = Config::infer().await.map_err(|error| format!("no cluster is known: {error}"))?;
    config.default_retry = false;
    let watches = Client::try_from(config.clone())?;
    config.read_timeout = Some(Duration::from_secs(30));
    config.reset_reader_on_write = true;
    Ok((watches, Client::try_from(config)?))
}

fn start_logs(flags: &Flags, traces: Option<&SdkTracerProvider>) -> Result<(), Box<dyn std::error::Error>> {
    // Spans are for traces.
    let filter = flags.log.clone().and(filter_fn(|metadata| metadata.is_event()));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs: Box<dyn Layer<Registry> + Send + Sync> = match flags.log_format {
        LogFormat::Text => Box::new(logs.with_ansi(std::io::stderr().is_terminal()).with_filter(filter)),
        LogFormat::Json => Box::new(logs.json().flatten_event(true).with_filter(filter)),
    };
    let registry = tracing_subscriber::registry().with(logs);
    // A layer that is None would have every span made for nobody.
    match traces {
        Some(provider) => registry.with(traces::layer(provider)).try_init()?,
        None => registry.try_init()?,
    }
    Ok(())
}

/// The name of this process in Events and on the Lease: the Pod's, which is its host name, and a random number: two
/// processes on one host's network, or without a host name, would both take the Lease for theirs.
fn instance() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let number = RandomState::new().hash_one(std::process::id());
    format!("{}-{:08x}", host.as_deref().unwrap_or("cloudop-controller"), number >> 32)
}
