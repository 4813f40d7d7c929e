//! From a Secret to an [`Account`]; the only reader of Secrets.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::Semaphore;
use url::Url;

use crate::auth::methods::{METHODS, Method, Proof};
use crate::auth::secret_keys::SecretKeys;
use crate::auth::{Account, CaBundle, Connection, Credential};
use crate::clock;
use crate::observation::{FailureKind, PollFailure};
use crate::provider::{CloudApi, IdentityService};

/// How long a Secret that was read is used without being read again.
const FRESH: Duration = Duration::from_secs(60);
/// The same for one that cannot be used and is asked for again: it is likely to be fixed soon.
const FRESH_FAILURE: Duration = Duration::from_secs(5);
/// [`Freshness::FifteenSeconds`], a second less: polls are made together, up to a second early, and an object that asks
/// every 15 s must not find its own last reading.
const FIFTEEN_SECONDS: Duration = Duration::from_secs(14);
/// The most bytes kept of Secrets: 10,000 of usual size, or 80 of the largest. Beyond it the least recently used go.
const MOST_BYTES: u64 = 32 << 20;
/// About how many bytes a Secret takes beside the values of its keys.
const BESIDE_VALUES: usize = 1500;
/// The most Secrets read at once: each may take a few MiB until its keys are picked out.
const MOST_READS: usize = 8;

/// The types of Secrets that Kubernetes makes or reads itself; their values are no credentials for a cloud:
/// <https://kubernetes.io/docs/concepts/configuration/secret/#secret-types>.
const BUILT_IN_TYPES: &[&str] = &[
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/dockercfg",
    "kubernetes.io/tls",
    "kubernetes.io/ssh-auth",
    "bootstrap.kubernetes.io/token",
];

type Key = (String, String);

/// The Secrets in use, each read once for all who use it.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    read: Cache<Key, Reading>,
    reads: Arc<Semaphore>,
}

/// How new a Secret must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Read within the last minute, or 5 s where it cannot be used.
    Minute,
    /// Read within the last 15 s: while a configuration fault lasts, one reading for all who use the Secret.
    FifteenSeconds,
    /// Read after a credential from it was refused, which may concern all who use it: once in five seconds.
    AfterRefusal,
    /// Read now.
    Now,
}

/// What a Secret says for one provider.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The Secret's resourceVersion: what was concluded from it holds until it changes. `None` where there is no Secret,
    /// or none that may be read.
    pub version: Option<Arc<str>>,
    /// The account, or why the Secret gives none.
    pub account: Result<Arc<Account>, PollFailure>,
}

#[derive(Clone)]
struct Reading {
    at: Instant,
    freshness: Freshness,
    version: Option<Arc<str>>,
    contents: Result<Arc<Contents>, PollFailure>,
}

impl Reading {
    fn load(&self, provider: &dyn CloudApi) -> Loaded {
        let account = match &self.contents {
            Ok(contents) => contents.account(provider),
            Err(failure) => Err(failure.clone()),
        };
        Loaded { version: self.version.clone(), account }
    }

    /// Whether it is as fresh as `wanted`; `loaded` is what it says.
    fn is_fresh(&self, wanted: Freshness, loaded: &Loaded) -> bool {
        let age = clock::monotonic().saturating_duration_since(self.at);
        match wanted {
            Freshness::Minute => age < if loaded.account.is_ok() { FRESH } else { FRESH_FAILURE },
            Freshness::FifteenSeconds => age < FIFTEEN_SECONDS,
            Freshness::AfterRefusal => self.freshness == Freshness::AfterRefusal && age < FRESH_FAILURE,
            Freshness::Now => false,
        }
    }
}

/// The keys of one Secret, and what they say, worked out once for all who use it.
#[derive(Debug)]
struct Contents {
    keys: SecretKeys,
    known: Mutex<Known>,
}

/// A provider's name, its revision and the API's base URL: all that an account depends on beside the Secret.
type Destination = (Cow<'static, str>, Option<Arc<str>>, String);

/// What was worked out. Hundreds of regions may use one Secret: what is long is shared by their accounts, and what is
/// left of an account takes less than the object that asks for it.
#[derive(Debug, Default)]
struct Known {
    /// By the method's name.
    credentials: HashMap<&'static str, Credential>,
    ca: Option<CaBundle>,
    iam_endpoint: Option<Arc<str>>,
    accounts: HashMap<Destination, Arc<Account>>,
}

impl Contents {
    fn new(keys: SecretKeys) -> Self {
        Self { keys, known: Mutex::default() }
    }

    /// # Errors
    /// [`FailureKind::CredentialsIncomplete`] with a message that names the key at fault.
    fn account(&self, provider: &dyn CloudApi) -> Result<Arc<Account>, PollFailure> {
        let endpoint = match endpoint(&self.keys, provider) {
            Ok(endpoint) => endpoint,
            // What is wrong with the credential itself is said first.
            Err(failure) => {
                let method = choose(&self.keys, &provider.sign_in().methods, provider.cloud())?;
                return Err((method.read)(&self.keys).err().unwrap_or(failure));
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let destination = (provider.name(), provider.revision().cloned(), endpoint);
        if let Some(account) = known.accounts.get(&destination) {
            return Ok(Arc::clone(account));
        }
        let connection = connect(&self.keys, &destination.2, provider, &mut known)?;
        let account = Arc::new(Account::from(connection));
        known.accounts.insert(destination, Arc::clone(&account));
        Ok(account)
    }
}

impl Secrets {
    /// Reads Secrets through `client`.
    pub fn new(client: Client) -> Self {
        Self::with_capacity(client, MOST_BYTES)
    }

    fn with_capacity(client: Client, bytes: u64) -> Self {
        let read = Cache::builder()
            .max_capacity(bytes)
            .weigher(weigh)
            // What was read last must be kept, or each poll would read.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(FRESH)
            .build();
        Self { client, read, reads: Arc::new(Semaphore::new(MOST_READS)) }
    }

    /// What Secret `name` in `namespace` says for `provider`.
    ///
    /// # Errors
    /// The Kubernetes API did not answer. A Secret that is missing or unusable is a [`PollFailure`] in
    /// [`Loaded::account`].
    pub async fn load(
        &self,
        namespace: &str,
        name: &str,
        provider: &dyn CloudApi,
        freshness: Freshness,
    ) -> Result<Loaded, Arc<kube::Error>> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(reading) = self.read.get(&key).await {
            let loaded = reading.load(provider);
            if reading.is_fresh(freshness, &loaded) {
                return Ok(loaded);
            }
            self.read.invalidate(&key).await;
        }
        // Boxed, as nearly always it was there.
        Box::pin(async {
            loop {
                let get = self.get(namespace, name, freshness);
                let reading = self.read.try_get_with(key.clone(), get).await?;
                let loaded = reading.load(provider);
                if reading.is_fresh(Freshness::Minute, &loaded) {
                    return Ok(loaded);
                }
                self.read.invalidate(&key).await;
            }
        })
        .await
    }

    async fn get(&self, namespace: &str, name: &str, freshness: Freshness) -> Result<Reading, kube::Error> {
        let _permit = self.reads.acquire().await;
        let missing = |message: String| (None, Err(PollFailure::new(FailureKind::CredentialsNotFound, message)));
        let (version, contents) = match Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await {
            Ok(Some(secret)) => {
                let version = secret.metadata.resource_version.as_deref().map(Arc::from);
                (version, pick(name, &secret).map(|keys| Arc::new(Contents::new(keys))))
            }
            Ok(None) => {
                missing(format!("spec.credentialsRef: there is no Secret {name} in namespace {namespace}; create it"))
            }
            Err(kube::Error::Api(status)) if status.code == 403 => missing(format!(
                "spec.credentialsRef: the controller may not read Secret {name} in namespace {namespace}; grant it get on secrets"
            )),
            Err(error) => return Err(error),
        };
        Ok(Reading { at: clock::monotonic(), freshness, version, contents })
    }
}

fn weigh((namespace, name): &Key, reading: &Reading) -> u32 {
    let values = match &reading.contents {
        // Once as read and once in the credential.
        Ok(contents) => 2 * contents.keys.size(),
        Err(failure) => failure.message.len(),
    };
    u32::try_from(namespace.len() + name.len() + values + BESIDE_VALUES).unwrap_or(u32::MAX)
}

/// What `secret` says for `provider`, for the fuzzer, which has no cluster to read it from.
///
/// # Errors
/// [`FailureKind::CredentialsIncomplete`] with a message that names the key at fault.
#[doc(hidden)]
pub fn account(secret: &Secret, provider: &dyn CloudApi) -> Result<Arc<Account>, PollFailure> {
    Contents::new(pick("cloud", secret)?).account(provider)
}

/// The keys of a Secret that is meant for a cloud.
fn pick(name: &str, secret: &Secret) -> Result<SecretKeys, PollFailure> {
    let data = secret.data.as_ref();
    let of_methods = METHODS.iter().flat_map(|method| method.keys.iter().chain(method.optional)).copied();
    let keys =
        SecretKeys::new(name, of_methods, |key| data.and_then(|data| data.get(key)).map(|value| value.0.as_slice()));
    match secret.type_.as_deref().filter(|kind| BUILT_IN_TYPES.contains(kind)) {
        Some(kind) => Err(keys.failure(&format!(
            "is of type {kind}, which is Kubernetes' own and goes to no cloud: put the credentials into a Secret of \
             type Opaque"
        ))),
        None => Ok(keys),
    }
}

/// Base URL of the API, if the Secret says that its credentials may be sent there.
fn endpoint(keys: &SecretKeys, provider: &dyn CloudApi) -> Result<String, PollFailure> {
    let given = keys.text("endpoint")?;
    let Some(endpoint) = given.map(str::to_owned).or_else(|| provider.endpoint()) else {
        let what = format!("is missing; the host of {} does not follow from the spec", provider.cloud());
        return Err(keys.incomplete("endpoint", &what));
    };
    let name = provider.name();
    match keys.text("provider")? {
        Some(_) if names(keys, &name)? => Ok(endpoint),
        Some(_) => Err(keys.incomplete(
            "provider",
            &format!("does not name {name}: add it, with a comma between the names, or refer to another Secret"),
        )),
        None if given.is_some() => Ok(endpoint),
        None => Err(keys.failure(&format!(
            "has neither key provider nor key endpoint, which say where its credentials may be sent: add provider with \
             the value {name}, or endpoint with the address of the API"
        ))),
    }
}

/// Whether the Secret's key provider names `name`.
fn names(keys: &SecretKeys, name: &str) -> Result<bool, PollFailure> {
    Ok(keys.text("provider")?.is_some_and(|names| names.split(',').any(|one| one.trim() == name)))
}

/// How the API of `provider` at `endpoint` is reached with what is in `keys`.
fn connect(
    keys: &SecretKeys,
    endpoint: &str,
    provider: &dyn CloudApi,
    known: &mut Known,
) -> Result<Connection, PollFailure> {
    if known.iam_endpoint.is_none() {
        known.iam_endpoint = keys.text("iamEndpoint")?.map(Arc::from);
    }
    if known.ca.is_none() {
        known.ca = keys.text("ca.crt")?.map(CaBundle::from);
    }
    let (iam_endpoint, ca) = (known.iam_endpoint.clone(), known.ca.clone());
    let sign_in = provider.sign_in();
    let method = choose(keys, &sign_in.methods, provider.cloud())?;
    let credential = match known.credentials.get(method.name) {
        Some(credential) => credential.clone(),
        None => {
            let credential = (method.read)(keys)?;
            known.credentials.insert(method.name, credential.clone());
            credential
        }
    };
    if let Some(key) = credential.missing_key(&sign_in.scope) {
        let what = format!("is missing; {} wants it beside {}", provider.cloud(), method.keys.join(" and "));
        return Err(keys.incomplete(key, &what));
    }
    if let (Proof::SignIn(_), Some(service), None) = (credential.proof(), &sign_in.identity_service, &iam_endpoint)
        && let Some((key, what)) = misses_consent(service, endpoint, provider, keys, &credential)?
    {
        return Err(keys.incomplete(key, &what));
    }
    Ok(Connection { endpoint: endpoint.to_owned(), iam_endpoint, ca, credential })
}

/// The one method that the cloud takes and whose keys are all there.
fn choose(keys: &SecretKeys, taken: &[&str], cloud: &str) -> Result<&'static Method, PollFailure> {
    let methods: Vec<&Method> = METHODS.iter().filter(|method| taken.contains(&method.name)).collect();
    let is_complete = |method: &&&Method| method.keys.iter().all(|key| keys.has(key));
    let complete: Vec<&Method> = methods.iter().filter(is_complete).copied().collect();
    let sets = |methods: &[&Method], between| {
        methods.iter().map(|method| method.keys.join(" with ")).collect::<Vec<_>>().join(between)
    };
    match complete.as_slice() {
        [method] => Ok(method),
        [] => {
            let begun = methods.iter().find(|method| method.keys.iter().any(|key| keys.has(key)));
            if let Some(method) = begun
                && let Some(missing) = method.keys.iter().find(|key| !keys.has(key))
            {
                let what = format!("is missing; {} belong together", method.keys.join(", "));
                return Err(keys.incomplete(missing, &what));
            }
            let what = format!("has no credentials for {cloud}: put in {}", sets(&methods, "; or "));
            Err(keys.failure(&what))
        }
        several => {
            let several = sets(several, "; ");
            Err(keys.failure(&format!("holds more than one set of credentials ({several}); leave one")))
        }
    }
}

/// The key that the Secret lacks for its credential to be sent to the identity `service`, and why.
fn misses_consent(
    service: &IdentityService,
    endpoint: &str,
    provider: &dyn CloudApi,
    keys: &SecretKeys,
    credential: &Credential,
) -> Result<Option<(&'static str, String)>, PollFailure> {
    let (name, keys_sent) = (provider.name(), credential.keys());
    Ok(match &service.domain {
        _ if service.url.is_empty() => {
            let what = format!("is missing; {} signs in at an identity service: add its address", provider.cloud());
            Some(("iamEndpoint", what))
        }
        Some(domain) if !serves(domain, endpoint) => {
            let what = format!(
                "is missing; endpoint is outside {domain}, whose identity service would get {keys_sent}: add the address \
                 of the identity service that belongs to endpoint"
            );
            Some(("iamEndpoint", what))
        }
        None if !names(keys, &name)? => {
            let what = format!(
                "is missing; {keys_sent} would be sent to {}, which profile {name} names: add provider with the value \
                 {name}, or iamEndpoint with another address",
                service.url
            );
            Some(("provider", what))
        }
        _ => None,
    })
}

/// Whether the API at `endpoint` is in the `domain`. What is no URL is refused elsewhere.
fn serves(domain: &str, endpoint: &str) -> bool {
    let Ok(url) = Url::parse(endpoint) else { return true };
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;
    use crate::provider::Provider;

    fn provider(name: &str) -> Provider {
        let spec = match name {
            "numspot" => json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": "s"}}),
            "cce" => json!({"huaweiCceUpgrade": {"region": "eu-west-0", "projectId": "p", "clusterId": "c"}}),
            "ucs" => json!({"huaweiUcsFederation": {}}),
            "otc" => json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}}),
            _ => json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "i"}}),
        };
        serde_json::from_value(spec).unwrap()
    }

    /// A Secret for all providers. Each character of a value is one byte.
    fn secret(data: &[(&str, &str)]) -> Secret {
        let names = Provider::NAMES.join(",");
        let data = [("provider", names.as_str())].into_iter().chain(data.iter().copied());
        let data =
            data.map(|(key, value)| (key.to_owned(), ByteString(value.chars().map(|c| c as u8).collect()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    fn account(secret: &Secret, provider: &Provider) -> Result<Arc<Account>, String> {
        let api = provider.built_in().unwrap();
        let account = pick("cloud", secret).and_then(|keys| Contents::new(keys).account(api));
        account.map_err(|failure| {
            assert_eq!(failure.kind, FailureKind::CredentialsIncomplete);
            failure.message
        })
    }

    fn connect(name: &str, data: &[(&str, &str)]) -> Result<Connection, String> {
        account(&secret(data), &provider(name)).map(|account| account.connection.clone())
    }

    #[rstest::rstest]
    #[case("numspot", &[("token", "t\n")], "token")]
    #[case("numspot", &[("clientId", "i"), ("clientSecret", "s")], "clientId and clientSecret")]
    #[case("cce", &[("username", "u"), ("password", "p"), ("domainName", "d")], "username, password and domainName")]
    #[case("cce", &[("accessKey", "a"), ("secretKey", "s"), ("signature", "credential\n")], "accessKey and secretKey")]
    #[case("ucs", &[("accessKey", "a"), ("secretKey", "s"), ("domainId", "d")], "accessKey and secretKey")]
    #[case("sber", &[("endpoint", "https://x.api.cloud.ru"), ("keyId", "k"), ("secret", "s")], "keyId and secret")]
    fn one_complete_set_is_taken(#[case] name: &str, #[case] data: &[(&str, &str)], #[case] keys: &str) {
        assert_eq!(connect(name, data).unwrap().credential.keys(), keys);
    }

    #[rstest::rstest]
    #[case("numspot", &[], "has no credentials for NumSpot: put in token; or clientId with clientSecret")]
    #[case("numspot", &[("accessKey", "a")], "has no credentials for NumSpot")]
    #[case("numspot", &[("token", "")], "key token is empty")]
    #[case("numspot", &[("token", " \n")], "key token is empty")]
    #[case("numspot", &[("token", "\u{ff}\u{fe}")], "key token is not text")]
    #[case("numspot", &[("token", "a ")], "key token holds white space")]
    #[case("numspot", &[("clientId", "i")], "key clientSecret is missing; clientId, clientSecret belong together")]
    #[case("numspot", &[("token", "t"), ("clientId", "i"), ("clientSecret", "s")], "more than one set")]
    #[case("cce", &[("username", "u"), ("domainName", "d")], "key password is missing")]
    #[case("cce", &[("accessKey", "a"), ("secretKey", "s"), ("signature", "v4")], "key signature must be access or credential")]
    #[case("cce", &[("token", "t"), ("ca.crt", "")], "key ca.crt is empty")]
    #[case("ucs", &[("accessKey", "a"), ("secretKey", "s")], "key domainId is missing")]
    #[case("sber", &[("token", "t")], "key endpoint is missing")]
    fn a_secret_that_cannot_be_used_names_the_key(
        #[case] name: &str,
        #[case] data: &[(&str, &str)],
        #[case] why: &str,
    ) {
        let message = connect(name, data).unwrap_err();
        assert!(message.starts_with("Secret cloud: ") && message.contains(why), "{message}");
    }

    #[test]
    fn every_part_of_a_secret_makes_another_account() {
        let base: &[(&str, &str)] = &[("accessKey", "a"), ("secretKey", "s")];
        let account = |data: &[_]| Account::from(connect("cce", data).unwrap()).name;
        let mut accounts = vec![account(base)];
        for (key, value) in [
            ("accessKey", "x"),
            ("secretKey", "x"),
            ("securityToken", "x"),
            ("signature", "credential"),
            ("endpoint", "https://x"),
            ("iamEndpoint", "https://x"),
            ("ca.crt", "x"),
            ("domainId", "x"),
        ] {
            let other = [base, &[(key, value)]].concat();
            accounts.push(account(&other));
        }
        assert_eq!(accounts[0], account(base));
        let number = accounts.len();
        accounts.sort();
        accounts.dedup();
        assert_eq!(accounts.len(), number);
    }

    #[test]
    fn no_secret_is_printed() {
        for data in [
            &[("token", "c4nary")] as &[(&str, &str)],
            &[("username", "u"), ("password", "c4nary"), ("domainName", "d")],
            &[("accessKey", "a"), ("secretKey", "c4nary"), ("securityToken", "c4nary")],
        ] {
            let connection = connect("cce", data).unwrap();
            assert!(!format!("{connection:?}").contains("c4nary"));
            assert!(!format!("{:?}", pick("cloud", &secret(data))).contains("c4nary"));
        }
    }

    #[rstest::rstest]
    #[case::neither("numspot", &[], Err("has neither key provider nor key endpoint"))]
    #[case::neither_says_the_fix("numspot", &[], Err("add provider with the value numspotKubernetes, or endpoint with"))]
    #[case::its_name("numspot", &[("provider", "numspotKubernetes\n")], Ok(()))]
    #[case::among_others("cce", &[("provider", "numspotKubernetes, huaweiCceUpgrade")], Ok(()))]
    #[case::another("cce", &[("provider", "numspotKubernetes")], Err("key provider does not name huaweiCceUpgrade"))]
    #[case::part_of_a_name("cce", &[("provider", "huaweiCceUpgrades")], Err("key provider does not name"))]
    #[case::an_address("cce", &[("endpoint", "https://x")], Ok(()))]
    #[case::both_hold("cce", &[("endpoint", "https://x"), ("provider", "otcCceJob")], Err("key provider does not name"))]
    #[case::no_name("cce", &[("provider", " ")], Err("key provider is empty"))]
    #[case::both_for_one_without_a_host("sber", &[("provider", "sbercloudOpenshiftTask")], Err("key endpoint is missing"))]
    fn a_secret_says_where_it_may_be_sent(
        #[case] name: &str,
        #[case] place: &[(&str, &str)],
        #[case] expected: Result<(), &str>,
    ) {
        let mut secret = secret(&[("token", "t")]);
        secret.data.as_mut().unwrap().remove("provider");
        let place = place.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        secret.data.as_mut().unwrap().extend(place);
        match (account(&secret, &provider(name)), expected) {
            (Ok(_), Ok(())) => {}
            (Err(message), Err(why)) => assert!(message.contains(why), "{message}"),
            (given, expected) => panic!("{:?}, not {expected:?}", given.map(|account| account.name.clone())),
        }
    }

    #[test]
    fn a_secret_of_kubernetes_own_goes_to_no_cloud() {
        let mut secret = secret(&[("token", "t")]);
        for kind in BUILT_IN_TYPES {
            secret.type_ = Some((*kind).to_owned());
            let message = account(&secret, &provider("otc")).unwrap_err();
            assert!(message.contains(kind) && message.contains("Opaque"), "{message}");
        }
        for kind in ["Opaque", "kubernetes.io/basic-auth", "example.com/cloud"] {
            secret.type_ = Some(kind.to_owned());
            assert!(account(&secret, &provider("otc")).is_ok(), "{kind}");
        }
    }

    #[rstest::rstest]
    #[case("token", 32)]
    #[case("ca.crt", 128)]
    #[case("endpoint", 4)]
    #[case("provider", 4)]
    #[case("password", 4)]
    #[case("securityToken", 4)]
    fn a_value_over_its_limit_names_the_key_and_the_limit(#[case] key: &str, #[case] limit: usize) {
        let base: &[(&str, &str)] = match key {
            "password" => &[("username", "u"), ("domainName", "d")],
            "securityToken" => &[("accessKey", "a"), ("secretKey", "s")],
            _ => &[("token", "t")],
        };
        let data = |length: usize| {
            let mut secret = secret(base);
            let value =
                if key == "provider" { format!("otcCceJob{}", ",".repeat(length - 9)) } else { "x".repeat(length) };
            secret.data.as_mut().unwrap().insert(key.to_owned(), ByteString(value.into_bytes()));
            secret
        };
        assert!(account(&data(limit << 10), &provider("otc")).is_ok());
        let message = account(&data((limit << 10) + 1), &provider("otc")).unwrap_err();
        assert!(message.contains(&format!("key {key} is ")) && message.contains(&format!("{limit} KiB")), "{message}");
    }

    #[rstest::rstest]
    #[case::default("otc", None, None, Ok(()))]
    #[case::the_same_domain("otc", Some("https://cce.eu-nl.otc.t-systems.com./x"), None, Ok(()))]
    #[case::upper_case("otc", Some("https://CCE.EU-NL.OTC.T-SYSTEMS.COM"), None, Ok(()))]
    #[case::another_domain("otc", Some("https://cce.example.com"), None, Err("otc.t-systems.com"))]
    #[case::its_end_only("otc", Some("https://evilotc.t-systems.com"), None, Err("otc.t-systems.com"))]
    #[case::its_own("otc", Some("https://cce.example.com"), Some("https://iam.example.com"), Ok(()))]
    #[case::another_vendor("ucs", Some("https://ucs.eu-de.otc.t-systems.com"), None, Err("myhuaweicloud.com"))]
    #[case::an_address("otc", Some("https://192.0.2.1"), None, Err("key iamEndpoint is missing"))]
    fn a_password_goes_to_no_other_vendor_s_identity_service(
        #[case] name: &str,
        #[case] endpoint: Option<&str>,
        #[case] iam_endpoint: Option<&str>,
        #[case] expected: Result<(), &str>,
    ) {
        let places = [("endpoint", endpoint), ("iamEndpoint", iam_endpoint)];
        let places = places.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let with = |credential: &[(&'static str, &'static str)]| {
            let data: Vec<_> = places.clone().chain(credential.iter().copied()).collect();
            connect(name, &data)
        };
        let password = with(&[("username", "u"), ("password", "p"), ("domainName", "d")]).map(|_| ());
        match (&password, expected) {
            (Ok(()), Ok(())) => {}
            (Err(message), Err(why)) => {
                assert!(message.contains("key iamEndpoint is missing") && message.contains(why), "{message}");
            }
            _ => panic!("{password:?}"),
        }
        // What needs no sign-in goes to endpoint only.
        assert!(with(&[("token", "t")]).is_ok());
        assert!(with(&[("accessKey", "a"), ("secretKey", "s"), ("domainId", "d")]).is_ok());
    }

    #[test]
    fn every_method_that_a_provider_takes_is_in_the_table() {
        for name in ["numspot", "cce", "ucs", "otc", "sber"] {
            let sign_in = provider(name).built_in().unwrap().sign_in();
            assert!(!sign_in.methods.is_empty());
            for method in sign_in.methods.iter() {
                assert!(METHODS.iter().any(|row| row.name == *method), "{name}: {method}");
            }
        }
    }

    #[test]
    fn what_is_long_in_a_secret_is_kept_once_for_all_regions() {
        let (token, ca) = ("t".repeat(32 << 10), "c".repeat(128 << 10));
        let mut secret = secret(&[("token", &token), ("ca.crt", &ca)]);
        let unread = ByteString(vec![b'x'; 700 << 10]);
        secret.data.as_mut().unwrap().insert("kubeconfig".into(), unread);
        let keys = pick("cloud", &secret).unwrap();
        assert!(keys.size() < 161 << 10, "{}", keys.size());
        let contents = Contents::new(keys);
        let account = |n: usize| {
            let spec = json!({"otcCceJob": {"region": format!("eu-{n}"), "projectId": "p"}});
            let provider: Provider = serde_json::from_value(spec).unwrap();
            contents.account(provider.built_in().unwrap()).unwrap()
        };
        let (first, all) = (account(0), (0..400).map(account).collect::<Vec<_>>());
        assert!(Arc::ptr_eq(&first, &all[0]), "the same region is the same account");
        for account in &all[1..] {
            let (mine, other) = (&account.connection, &first.connection);
            assert_ne!(account.name, first.name);
            assert!(std::ptr::eq(&**mine.ca.as_ref().unwrap(), &**other.ca.as_ref().unwrap()));
            assert!(std::ptr::eq(mine.credential.secrets()[0], other.credential.secrets()[0]));
        }
    }

    /// An API server that has one Secret under every name, and counts how often it was read.
    struct ApiServer {
        secret: Mutex<serde_json::Value>,
        reads: AtomicUsize,
    }

    impl ApiServer {
        async fn start() -> (Arc<Self>, Client) {
            let server = Arc::new(Self { secret: Mutex::default(), reads: AtomicUsize::new(0) });
            let state = Arc::clone(&server);
            let answer = move || {
                state.reads.fetch_add(1, Ordering::Relaxed);
                let secret = state.secret.lock().unwrap().clone();
                async move {
                    // Long enough for others to ask meanwhile.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if secret.is_null() {
                        let status = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404});
                        return (axum::http::StatusCode::NOT_FOUND, status.to_string());
                    }
                    (axum::http::StatusCode::OK, secret.to_string())
                }
            };
            let routes = axum::Router::new().fallback(answer);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
            (server, Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap())
        }

        fn put(&self, version: &str, token: &str) {
            let data = json!({"provider": "b3RjQ2NlSm9i", "token": STANDARD.encode(token)});
            *self.secret.lock().unwrap() = json!({"apiVersion": "v1", "kind": "Secret", "data": data,
                "metadata": {"name": "s", "namespace": "n", "resourceVersion": version}});
        }

        fn reads(&self) -> usize {
            self.reads.load(Ordering::Relaxed)
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn while_a_fault_lasts_a_secret_is_read_once_in_15_s_however_many_ask() {
        let (server, client) = ApiServer::start().await;
        let secrets = Secrets::new(client);
        let provider = provider("otc");
        let provider = provider.built_in().unwrap();
        let all = async || {
            let load = || secrets.load("n", "s", provider, Freshness::FifteenSeconds);
            let loaded = futures::future::join_all((0..400).map(|_| load())).await;
            let mut loaded: Vec<Loaded> = loaded.into_iter().map(Result::unwrap).collect();
            assert!(loaded.iter().all(|one| one.version == loaded[0].version));
            loaded.remove(0)
        };
        let missing = all().await;
        assert_eq!(missing.version, None);
        assert_eq!(missing.account.unwrap_err().kind, FailureKind::CredentialsNotFound);
        server.put("7", "");
        pass(7).await;
        assert_eq!(all().await.version, None);
        assert_eq!(server.reads(), 1);
        // What is wrong now is read as seldom.
        pass(8).await;
        let unusable = all().await;
        assert_eq!(unusable.version.as_deref(), Some("7"));
        assert_eq!(unusable.account.unwrap_err().kind, FailureKind::CredentialsIncomplete);
        server.put("8", "t");
        pass(7).await;
        assert_eq!(all().await.version.as_deref(), Some("7"));
        assert_eq!(server.reads(), 2);
        pass(8).await;
        let fixed = all().await;
        assert_eq!((fixed.version.as_deref(), server.reads()), (Some("8"), 3));
        // What is right is read as seldom, too, and the account is the same.
        pass(15).await;
        let again = all().await;
        assert_eq!((again.version.as_deref(), server.reads()), (Some("8"), 4));
        assert_eq!(again.account.unwrap().name, fixed.account.unwrap().name);
    }

    #[tokio::test]
    async fn large_secrets_do_not_grow_what_is_kept_beyond_its_bytes_and_the_newest_is_kept() {
        let (server, client) = ApiServer::start().await;
        let secrets = Secrets::with_capacity(client, 1 << 20);
        let provider = provider("otc");
        let provider = provider.built_in().unwrap();
        server.put("1", &"t".repeat(32 << 10));
        for n in 0..40 {
            let load = || async {
                secrets.load("n", &format!("s{n}"), provider, Freshness::Minute).await.unwrap().account.unwrap()
            };
            load().await;
            secrets.read.run_pending_tasks().await;
            assert!(secrets.read.weighted_size() <= 1 << 20, "{}", secrets.read.weighted_size());
            load().await;
            assert_eq!(server.reads(), n + 1);
        }
        assert!(secrets.read.entry_count() > 10, "{}", secrets.read.entry_count());
    }
}
