//! From a Secret to an [`Account`]; the only reader of Secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use moka::future::Cache;

use crate::auth::keys::{Data, Keys};
use crate::auth::methods::key_sets;
use crate::auth::{Account, Connection, Credential};
use crate::clock;
use crate::observation::{FailureKind, PollFailure};
use crate::provider::Provider;

/// How long a Secret that was read is used without being read again.
const FRESH: Duration = Duration::from_secs(60);
/// The same for one that cannot be used: it is likely to be fixed soon.
const FRESH_FAILURE: Duration = Duration::from_secs(5);

/// How long a Secret at fault is used without being read again.
const QUARTER_MINUTE: Duration = Duration::from_secs(15);

type Key = (String, String);

/// The Secrets in use, each read once for all who use it.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    read: Cache<Key, Read>,
}

/// How new a Secret must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Read within the last minute.
    Minute,
    /// Read within the last 15 seconds.
    FifteenSeconds,
    /// Read after a credential from it was refused, which may concern all who use it: once in five seconds.
    AfterRefusal,
    /// Read now.
    Now,
}

/// A Secret that was looked at.
pub struct Loaded {
    /// Its resourceVersion; none where it is missing.
    pub version: Option<Arc<str>>,
    /// The account it describes, or why there is none.
    pub account: Result<Arc<Account>, PollFailure>,
}

#[derive(Clone)]
struct Read {
    version: Option<Arc<str>>,
    at: Instant,
    freshness: Freshness,
    accounts: Result<Arc<Accounts>, PollFailure>,
}

impl Read {
    fn age(&self) -> Duration {
        clock::monotonic().saturating_duration_since(self.at)
    }

    /// What was read of the account, unless that cannot be used and is old enough to be read again.
    fn account(&self, name: &str, provider: &Provider) -> Option<Result<Arc<Account>, PollFailure>> {
        let account = match &self.accounts {
            Ok(accounts) => accounts.get(name, provider),
            Err(failure) => Err(failure.clone()),
        };
        (account.is_ok() || self.age() < FRESH_FAILURE).then_some(account)
    }
}

/// A provider's name and its own endpoint: all that an account depends on beside the Secret.
type Destination = (&'static str, Option<String>);

/// What one reading of a Secret says, worked out once for all who use it.
struct Accounts {
    data: Data,
    known: Mutex<HashMap<Destination, Arc<Account>>>,
}

impl Accounts {
    fn get(&self, name: &str, provider: &Provider) -> Result<Arc<Account>, PollFailure> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (provider.name(), provider.endpoint());
        if let Some(account) = known.get(&key) {
            return Ok(Arc::clone(account));
        }
        let account = Arc::new(Account::from(connect(name, &self.data, provider)?));
        known.insert(key, Arc::clone(&account));
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
    ) -> Result<Loaded, Arc<kube::Error>> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(read) = self.read.get(&key).await {
            let is_fresh = match freshness {
                Freshness::Minute => true,
                Freshness::FifteenSeconds => read.age() < QUARTER_MINUTE,
                Freshness::AfterRefusal => read.freshness == Freshness::AfterRefusal && read.age() < FRESH_FAILURE,
                Freshness::Now => false,
            };
            if is_fresh && let Some(account) = read.account(name, provider) {
                return Ok(Loaded { version: read.version.clone(), account });
            }
            self.read.invalidate(&key).await;
        }
        // Boxed, as nearly always it was there.
        Box::pin(async {
            loop {
                let get = self.get(namespace, name, freshness);
                let read = self.read.try_get_with(key.clone(), get).await?;
                if let Some(account) = read.account(name, provider) {
                    return Ok(Loaded { version: read.version.clone(), account });
                }
                self.read.invalidate(&key).await;
            }
        })
        .await
    }

    async fn get(&self, namespace: &str, name: &str, freshness: Freshness) -> Result<Read, kube::Error> {
        let missing = |message: String| Err(PollFailure::new(FailureKind::CredentialsNotFound, message));
        let mut version = None;
        let accounts = match Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await {
            Ok(Some(secret)) => {
                version = secret.metadata.resource_version.map(Arc::from);
                Ok(Arc::new(Accounts { data: secret.data.unwrap_or_default(), known: Mutex::default() }))
            }
            Ok(None) => {
                missing(format!("spec.credentialsRef: there is no Secret {name} in namespace {namespace}; create it"))
            }
            Err(kube::Error::Api(status)) if status.code == 403 => missing(format!(
                "spec.credentialsRef: the controller may not read Secret {name} in namespace {namespace}; grant it get on secrets"
            )),
            Err(error) => return Err(error),
        };
        Ok(Read { version, at: clock::monotonic(), freshness, accounts })
    }
}

/// What Secret `name` with `data` says about reaching `provider`.
///
/// # Errors
/// [`FailureKind::CredentialsIncomplete`] with a message that names the key at fault.
pub fn connect(name: &str, data: &Data, provider: &Provider) -> Result<Connection, PollFailure> {
    let keys = Keys { name, data };
    let endpoint = keys.text("endpoint")?.map(str::to_owned).or_else(|| provider.endpoint()).ok_or_else(|| {
        let what = format!("is missing; the host of {} does not follow from the spec", provider.cloud());
        keys.incomplete("endpoint", &what)
    })?;
    Ok(Connection {
        endpoint,
        iam_endpoint: keys.text("iamEndpoint")?.map(str::to_owned),
        ca: keys.text("ca.crt")?.map(str::to_owned),
        credential: credential(keys, provider)?,
    })
}

/// The credential of the one set of keys that is complete.
fn credential(keys: Keys<'_>, provider: &Provider) -> Result<Credential, PollFailure> {
    let sets = key_sets(&provider.sign_in());
    let complete: Vec<_> = sets.iter().copied().filter(|set| set.iter().all(|key| keys.has(key))).collect();
    match complete.as_slice() {
        [set] => Credential::read(set, keys, provider),
        [] => Err(no_set(keys, &sets, provider)),
        several => {
            let several: Vec<String> = several.iter().map(|set| set.join(" with ")).collect();
            let message = format!("holds more than one set of credentials ({}); leave one", several.join("; "));
            Err(keys.failure(&message))
        }
    }
}

fn no_set(keys: Keys<'_>, sets: &[&[&str]], provider: &Provider) -> PollFailure {
    let begun = sets.iter().find(|set| set.iter().any(|key| keys.has(key)));
    if let Some(set) = begun
        && let Some(missing) = set.iter().find(|key| !keys.has(key))
    {
        return keys.incomplete(missing, &format!("is missing; {} belong together", set.join(", ")));
    }
    let sets: Vec<String> = sets.iter().map(|set| set.join(" with ")).collect();
    keys.failure(&format!("has no credentials for {}: put in {}", provider.cloud(), sets.join("; or ")))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn provider(name: &str) -> Provider {
        let spec = match name {
            "numspot" => json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": "s"}}),
            "cce" => json!({"huaweiCceUpgrade": {"region": "r", "projectId": "p", "clusterId": "c"}}),
            "ucs" => json!({"huaweiUcsFederation": {}}),
            _ => json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "i"}}),
        };
        serde_json::from_value(spec).unwrap()
    }

    /// Each character of a value is one byte.
    fn connect(name: &str, data: &[(&str, &str)]) -> Result<Connection, String> {
        let data = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.chars().map(|c| c as u8).collect())))
            .collect();
        super::connect("cloud", &data, &provider(name)).map_err(|failure| {
            assert_eq!(failure.kind, FailureKind::CredentialsIncomplete);
            failure.message
        })
    }

    #[rstest::rstest]
    #[case("numspot", &[("token", "t\n")], "token")]
    #[case("numspot", &[("clientId", "i"), ("clientSecret", "s")], "clientId and clientSecret")]
    #[case("cce", &[("username", "u"), ("password", "p"), ("domainName", "d")], "username, password and domainName")]
    #[case("cce", &[("accessKey", "a"), ("secretKey", "s"), ("signature", "credential\n")], "accessKey and secretKey")]
    #[case("ucs", &[("accessKey", "a"), ("secretKey", "s"), ("domainId", "d")], "accessKey and secretKey")]
    #[case("sber", &[("endpoint", "https://x"), ("keyId", "k"), ("secret", "s")], "keyId and secret")]
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
        }
    }
}
