//! The way from this machine to a cloud, with a Secret of the cluster: the controller's own, under the same rules.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use cloudop::auth::Account;
use cloudop::auth::methods::Proof;
use cloudop::credentials::{Freshness, Secrets};
use cloudop::observation::{FailureKind, Observation, PollFailure};
use cloudop::profile::{Bound, Profile, judge};
use cloudop::provider::{CloudApi, Provider};
use cloudop::upstream::{Asked, Later, Options, Question, Upstream};
use cloudop::wording::sanitize;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use crate::cluster::{Cluster, trouble};
use crate::exit::{Error, Exit};
use crate::provider::{ParameterFlags, is_built_in, profile, provider};
use crate::screen::{Finding, Mark};

/// The most that is shown of a cloud's word for a state.
const LONGEST_WORD: usize = 80;

/// Which cloud is looked at, and with which credentials.
#[derive(Args, Clone, Debug, Default)]
pub struct CloudFlags {
    /// Also look at the way to the cloud with the credentials in this Secret
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// Provider to ask with it, as in spec.provider (otcCceJob, …), or an OperationProfile's name
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// What stands beside the provider's name.
    #[command(flatten)]
    pub parameters: ParameterFlags,
    /// ID of an operation to read there; by default the list is read, where the API has one
    #[arg(long, value_name = "ID")]
    pub operation_id: Option<String>,
    /// Where credentials may be sent.
    #[command(flatten)]
    pub reach: ReachFlags,
}

/// Where credentials may be sent.
#[derive(Args, Clone, Debug, Default)]
pub struct ReachFlags {
    /// Hosts that credentials may be sent to beside those of each vendor's own services, as the controller's flag has them:
    /// a host, or *.example.com for every host below it; on port 443, or the one that follows (:8443, or :* for any)
    #[arg(long, value_delimiter = ',', value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// Internal addresses that those hosts may be at, as the controller's flag has them: ranges such as 10.0.0.0/8
    #[arg(long, value_delimiter = ',', value_name = "RANGE")]
    pub allow_private_addresses: Vec<String>,
}

impl ReachFlags {
    /// The way out to all clouds that these flags leave open.
    ///
    /// # Errors
    /// A flag that cannot be meant.
    pub fn upstream(&self) -> Result<Upstream, Error> {
        let mut options = Options { allow_hosts: self.allow_host.clone(), ..Options::default() };
        for text in &self.allow_private_addresses {
            let range = text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| address.into()));
            options.allow_private_addresses.push(range.ok_or_else(|| {
                Error::usage(format!(
                    "--allow-private-addresses: {text:?} is no range of addresses such as 10.0.0.0/8 or fd00::/8"
                ))
            })?);
        }
        Upstream::new(options).map_err(|error| Error::usage(error.to_string()))
    }
}

/// An API as the command line names it.
pub struct Meant {
    /// As in the spec of a CloudOperation.
    pub provider: Provider,
    /// With its revision, where it is described rather than built in.
    profile: Option<(Arc<Profile>, Arc<str>)>,
}

impl Meant {
    /// Finds the provider of that name, if need be in the cluster.
    ///
    /// # Errors
    /// There is none, it may not serve, or the cluster's trouble.
    pub async fn find(cluster: &Cluster, name: &str, flags: &ParameterFlags) -> Result<Self, Error> {
        let provider = provider(name, flags)?;
        if is_built_in(name) {
            return Ok(Self { provider, profile: None });
        }
        let object = profile(cluster, name).await?;
        let profile = judge(&object).map_err(|refusal| Error {
            exit: Exit::NeedsPerson,
            message: format!("OperationProfile {name} is not ready ({}): {}", refusal.reason, refusal.message),
        })?;
        let revision = object.metadata.resource_version.as_deref().unwrap_or_default().into();
        Ok(Self { provider, profile: Some((profile, revision)) })
    }

    /// The API of one operation, or of all in its list.
    ///
    /// # Errors
    /// What does not fit the profile.
    pub fn api(&self, operation_id: Option<&str>) -> Result<MeantApi<'_>, Error> {
        let declared = match self.provider.built_in() {
            Ok(api) => return Ok(MeantApi::BuiltIn(api)),
            Err(declared) => declared,
        };
        let Some((profile, revision)) = &self.profile else {
            return Err(Error::usage(format!("there is no OperationProfile {}", declared.profile)));
        };
        let bound = match operation_id {
            Some(id) => profile.bind(declared, id),
            None => profile.bind_to_all(declared),
        };
        bound.map(|bound| MeantApi::Declared(bound.at(Arc::clone(revision)))).map_err(Error::usage)
    }
}

/// An API, built in or described.
pub enum MeantApi<'a> {
    /// Built in.
    BuiltIn(&'a dyn CloudApi),
    /// Described, with its parameters.
    Declared(Bound<'a>),
}

impl<'a> Deref for MeantApi<'a> {
    type Target = dyn CloudApi + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::BuiltIn(api) => *api,
            Self::Declared(bound) => bound,
        }
    }
}

/// Who asks the API: what the Secret of that name says for it.
///
/// # Errors
/// The Secret is missing or cannot be used, or the cluster's trouble.
pub async fn account(cluster: &Cluster, secret: &str, api: &dyn CloudApi) -> Result<Arc<Account>, Error> {
    let refused = |error: &kube::Error| trouble(error, "get", &format!("Secret {secret}"));
    // The controller's words for these two are about the controller.
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    if secrets.get_metadata_opt(secret).await.map_err(|error| refused(&error))?.is_none() {
        let message = format!(
            "there is no Secret {secret} in namespace {}: create it, or give another --secret or --namespace",
            cluster.namespace
        );
        return Err(Error { exit: Exit::NeedsPerson, message });
    }
    let secrets = Secrets::new(cluster.client.clone());
    let loaded = secrets.load(&cluster.namespace, secret, api, Freshness::Now).await;
    loaded.map_err(|error| refused(&error))?.account.map_err(|failure| failed(&failure))
}

/// What a failure means to a command that wanted an answer.
pub fn failed(failure: &PollFailure) -> Error {
    let exit = if failure.kind.is_configuration() { Exit::NeedsPerson } else { Exit::Failed };
    Error { exit, message: failure.message.clone() }
}

/// Looks at the way to the cloud, as far as it goes: what is behind the first fault cannot be seen. Creates nothing.
pub async fn check(cluster: &Cluster, flags: &CloudFlags) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(fault) = look(cluster, flags, &mut findings).await {
        findings.push(fault);
    }
    findings
}

fn finding(mark: Mark, what: &str, line: &str) -> Finding {
    Finding { mark, line: format!("{what}: {line}") }
}

fn good(what: &str, line: &str) -> Finding {
    finding(Mark::Good, what, line)
}

fn bad(what: &str, line: &str) -> Finding {
    finding(Mark::Bad, what, line)
}

/// Adds what is well to `findings`, up to the fault.
async fn look(cluster: &Cluster, flags: &CloudFlags, findings: &mut Vec<Finding>) -> Result<(), Finding> {
    let (Some(secret), Some(name)) = (&flags.secret, &flags.provider) else {
        let missing = if flags.secret.is_none() { "--secret" } else { "--provider" };
        return Err(bad("cloud", &format!("{missing} is missing: --secret and --provider belong together")));
    };
    let fault = |what: &'static str| move |error: Error| bad(what, &error.message);
    let meant = Meant::find(cluster, name, &flags.parameters).await.map_err(fault("provider"))?;
    let api = meant.api(flags.operation_id.as_deref()).map_err(fault("provider"))?;
    let account = account(cluster, secret, &*api).await.map_err(fault("Secret"))?;
    let keys = account.connection.credential.keys();
    findings.push(good("Secret", &format!("{secret} says how {} is asked, with key {keys}", api.cloud())));

    let upstream = flags.reach.upstream().map_err(fault("flags"))?;
    let destination = upstream.destination(&*api, &account).map_err(|failure| {
        bad("endpoint", &format!("{}; this command wants the same flags as the controller", failure.message))
    })?;
    let host = &destination.host;
    let like = if flags.reach.allow_host.is_empty() { "" } else { ", where the controller has these flags too" };
    let place = format!("{host}, port {}, may be sent the credential{like}", destination.port);
    findings.push(good("endpoint", &place));

    let addresses = upstream.addresses(&destination).await.map_err(|failure| bad("DNS", &failure.message))?;
    let listed: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let seen = "from this machine, which may see other than where the controller runs";
    findings.push(good("DNS", &format!("{seen}, {host} is at {}", listed.join(", "))));
    findings.push(connect(&addresses).await?);

    let signs_in = matches!(account.connection.credential.proof(), Proof::SignIn(_));
    if signs_in {
        upstream.sign_in(&*api, &account).await.map_err(|failure| bad("sign-in", &failure.message))?;
    }
    let tls = || {
        let beside = if account.connection.ca.is_some() { ", by the system or the Secret's key ca.crt" } else { "" };
        good("TLS", &format!("the certificate of {host} is trusted{beside}"))
    };
    let signed_in = good("sign-in", &format!("{} accepts the Secret's key {keys}", api.cloud()));
    let read = match (&flags.operation_id, api.list()) {
        (Some(id), _) => ask(&upstream, &*api, &account, id)
            .await
            .map(|observation| format!("operation {id} is {}", sanitize(&observation.upstream_state, LONGEST_WORD))),
        (None, Some(list)) => upstream.list(&*api, &account, list).await.map(|listed| {
            let more = if listed.is_whole { "" } else { " or more" };
            format!("operations in the list: {}{more}", listed.members.len())
        }),
        (None, None) => {
            findings.extend(signs_in.then_some(signed_in));
            let line = format!(
                "nothing was read, as this API of {} has no list: give --operation-id to see whether TLS is trusted and \
                 the credential accepted",
                api.cloud()
            );
            return Err(finding(Mark::Unknown, "read", &line));
        }
    };
    match read {
        Ok(line) => findings.extend([tls(), signed_in, good("read", &line)]),
        Err(failure) => findings.extend(explain(&failure, tls, signed_in)),
    }
    Ok(())
}

/// How far a request came that failed in this way. Its host was allowed, has an address and takes connections.
fn explain(failure: &PollFailure, tls: impl Fn() -> Finding, signed_in: Finding) -> Vec<Finding> {
    let said = &*failure.message;
    match failure.kind {
        FailureKind::Unreachable | FailureKind::CredentialsIncomplete => vec![bad("TLS", said)],
        FailureKind::Unauthorized => vec![tls(), bad("sign-in", said)],
        FailureKind::Forbidden => vec![tls(), signed_in, bad("read", said)],
        FailureKind::NotFound => vec![tls(), signed_in, good("read", &format!("the service answers: {said}"))],
        FailureKind::Throttled | FailureKind::ServerError => vec![tls(), finding(Mark::Unknown, "read", said)],
        FailureKind::EndpointRefused
        | FailureKind::InvalidResponse
        | FailureKind::RedirectRefused
        | FailureKind::CredentialsNotFound
        | FailureKind::ProfileNotFound
        | FailureKind::ProfileRefused => vec![tls(), bad("read", said)],
    }
}

/// Whether one of the addresses takes connections.
async fn connect(addresses: &[SocketAddr]) -> Result<Finding, Finding> {
    let limit = Options::default().connect_timeout;
    let mut refusals = Vec::new();
    for address in addresses {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(good("connection", &format!("{address} takes connections"))),
            Ok(Err(error)) => refusals.push(format!("{address}: {error}")),
            Err(_) => refusals.push(format!("{address}: no connection within {} s", limit.as_secs())),
        }
    }
    let refusals = refusals.join("; ");
    Err(bad(
        "connection",
        &format!("{refusals}: check the port in the Secret's key endpoint, and firewalls on the way"),
    ))
}

/// What the cloud says of one operation now.
async fn ask(
    upstream: &Upstream,
    api: &dyn CloudApi,
    account: &Account,
    operation_id: &str,
) -> Result<Observation, PollFailure> {
    let since = Instant::now();
    let question = Question {
        provider: api,
        operation_id,
        uid: "",
        namespace: "",
        is_first: true,
        interval: Duration::ZERO,
        since,
        not_before: Some(since),
    };
    loop {
        match upstream.observe(question, account).await {
            Asked::Answered(answer) => return answer.result,
            Asked::Later(Later::At(at) | Later::WhenCalled(_, at)) => sleep_until(at.into()).await,
            Asked::Later(Later::AfterTheOthers | Later::WhenOver(_)) => tokio::task::yield_now().await,
        }
    }
}
