//! From a Secret to an [`Account`]; the only reader of Secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use moka::future::Cache;

use crate::auth::methods::{METHODS, Method};
use crate::auth::secret_keys::SecretKeys;
use crate::auth::{Account, Connection, Credential};
use crate::observation::{FailureKind, PollFailure};
use crate::provider::Provider;

/// How long a Secret that was read is used without being read again.
const FRESH: Duration = Duration::from_secs(60);
/// The same for one that cannot be used: it is likely to be fixed soon.
const FRESH_FAILURE: Duration = Duration::from_secs(5);
type Key = (String, String);

/// The Secrets in use, each read once for all who use it.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    read: Cache<Key, Reading>,
}

/// How new a Secret must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Read within the last minute.
    Minute,
    /// Read after a credential from it was refused, which may concern all who use it: once in five seconds.
    AfterRefusal,
    /// Read now.
    Now,
}

type Loaded = Result<Arc<Account>, PollFailure>;

#[derive(Clone)]
struct Reading {
    at: Instant,
    freshness: Freshness,
    contents: Result<Arc<Contents>, PollFailure>,
}

impl Reading {
    fn account(&self, provider: &Provider) -> Loaded {
        match &self.contents {
            Ok(contents) => contents.account(provider),
            Err(failure) => Err(failure.clone()),
        }
    }

    /// Whether it is as fresh as `wanted`; `loaded` is what it says.
    fn is_fresh(&self, wanted: Freshness, loaded: &Loaded) -> bool {
        let age = self.at.elapsed();
        match wanted {
            Freshness::Minute => loaded.is_ok() || age < FRESH_FAILURE,
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

/// A provider's name and the API's base URL: all that an account depends on beside the Secret.
type Destination = (&'static str, String);

/// What was worked out. Hundreds of regions may use one Secret: what is long is shared by their accounts, and what is
/// left of an account takes less than the object that asks for it.
#[derive(Debug, Default)]
struct Known {
    /// By the method's name.
    credentials: HashMap<&'static str, Credential>,
    ca: Option<Arc<str>>,
    iam_endpoint: Option<Arc<str>>,
    accounts: HashMap<Destination, Arc<Account>>,
}

impl Contents {
    fn new(keys: SecretKeys) -> Self {
        Self { keys, known: Mutex::default() }
    }

    /// # Errors
    /// [`FailureKind::CredentialsIncomplete`] with a message that names the key at fault.
    fn account(&self, provider: &Provider) -> Result<Arc<Account>, PollFailure> {
        let endpoint = endpoint(&self.keys, provider)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let destination = (provider.name(), endpoint);
        if let Some(account) = known.accounts.get(&destination) {
            return Ok(Arc::clone(account));
        }
        let connection = connect(&self.keys, &destination.1, provider, &mut known)?;
        let account = Arc::new(Account::from(connection));
        known.accounts.insert(destination, Arc::clone(&account));
        Ok(account)
    }
}

impl Secrets {
    /// Reads Secrets through `client`.
    pub fn new(client: Client) -> Self {
        let read = Cache::builder().max_capacity(10_000).time_to_live(FRESH).build();
        Self { client, read }
    }

    /// The account that Secret `name` in `namespace` describes for `provider`.
    ///
    /// # Errors
    /// The Kubernetes API did not answer. A Secret that is missing or unusable is an inner [`PollFailure`].
    pub async fn load(
        &self,
        namespace: &str,
        name: &str,
        provider: &Provider,
        freshness: Freshness,
    ) -> Result<Result<Arc<Account>, PollFailure>, Arc<kube::Error>> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(reading) = self.read.get(&key).await {
            let loaded = reading.account(provider);
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
                let loaded = reading.account(provider);
                if reading.is_fresh(Freshness::Minute, &loaded) {
                    return Ok(loaded);
                }
                self.read.invalidate(&key).await;
            }
        })
        .await
    }

    async fn get(&self, namespace: &str, name: &str, freshness: Freshness) -> Result<Reading, kube::Error> {
        let missing = |message: String| Err(PollFailure::new(FailureKind::CredentialsNotFound, message));
        let contents = match Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await {
            Ok(Some(secret)) => Ok(Arc::new(Contents::new(pick(name, &secret)))),
            Ok(None) => {
                missing(format!("spec.credentialsRef: there is no Secret {name} in namespace {namespace}; create it"))
            }
            Err(kube::Error::Api(status)) if status.code == 403 => missing(format!(
                "spec.credentialsRef: the controller may not read Secret {name} in namespace {namespace}; grant it get on secrets"
            )),
            Err(error) => return Err(error),
        };
        Ok(Reading { at: Instant::now(), freshness, contents })
    }
}

/// The keys of a Secret that are ever read.
fn pick(name: &str, secret: &Secret) -> SecretKeys {
    let data = secret.data.as_ref();
    SecretKeys::new(name, |key| data.and_then(|data| data.get(key)).map(|value| value.0.as_slice()))
}

/// Base URL of the API.
fn endpoint(keys: &SecretKeys, provider: &Provider) -> Result<String, PollFailure> {
    keys.text("endpoint")?.map(str::to_owned).or_else(|| provider.endpoint()).ok_or_else(|| {
        let what = format!("is missing; the host of {} does not follow from the spec", provider.cloud());
        keys.incomplete("endpoint", &what)
    })
}

/// How the API of `provider` at `endpoint` is reached with what is in `keys`.
fn connect(
    keys: &SecretKeys,
    endpoint: &str,
    provider: &Provider,
    known: &mut Known,
) -> Result<Connection, PollFailure> {
    let shared = |key, known: &mut Option<Arc<str>>| {
        if known.is_none() {
            *known = keys.text(key)?.map(Arc::from);
        }
        Ok(known.clone())
    };
    let iam_endpoint = shared("iamEndpoint", &mut known.iam_endpoint)?;
    let ca = shared("ca.crt", &mut known.ca)?;
    let sign_in = provider.sign_in();
    let method = choose(keys, sign_in.methods, provider.cloud())?;
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
    Ok(Connection { endpoint: endpoint.to_owned(), iam_endpoint, ca, credential })
}

/// The one method that the cloud takes and whose keys are all there.
fn choose(keys: &SecretKeys, taken: &[&str], cloud: &str) -> Result<&'static Method, PollFailure> {
    let is_taken = |(at, method): &(usize, &'static Method)| *at == 0 || taken.contains(&method.name);
    let methods: Vec<&Method> = METHODS.iter().enumerate().filter(is_taken).map(|(_, method)| method).collect();
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

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

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

    /// Each character of a value is one byte.
    fn secret(data: &[(&str, &str)]) -> Secret {
        let data = data.iter().copied();
        let data =
            data.map(|(key, value)| (key.to_owned(), ByteString(value.chars().map(|c| c as u8).collect()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    fn account(secret: &Secret, provider: &Provider) -> Result<Arc<Account>, String> {
        Contents::new(pick("cloud", secret)).account(provider).map_err(|failure| {
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

    #[test]
    fn every_method_that_a_provider_takes_is_in_the_table() {
        for name in ["numspot", "cce", "ucs", "otc", "sber"] {
            let sign_in = provider(name).sign_in();
            assert!(!sign_in.methods.is_empty());
            for method in sign_in.methods {
                assert!(METHODS.iter().any(|row| row.name == *method), "{name}: {method}");
            }
        }
    }
}
