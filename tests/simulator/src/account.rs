//! Who may ask for what: the simulator's accounts.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::rehearsal::Outcome;

/// An account of the simulated clouds. It is valid on all of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tokens: Vec<String>,
    #[serde(default)]
    pub(crate) sees: Vec<String>,
    #[serde(default)]
    pub(crate) rate_limit: Option<RateLimit>,
    #[serde(default)]
    pub(crate) credential: Option<Credential>,
    #[serde(default)]
    pub(crate) plays: Option<Outcome>,
    #[serde(default, rename = "tokenSeconds", deserialize_with = "seconds")]
    pub(crate) token_lifetime: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RateLimit {
    pub(crate) requests: usize,
    #[serde(rename = "perSeconds", deserialize_with = "seconds_required")]
    pub(crate) per: Duration,
}

/// What an account signs in with: a client ID and secret, a user's name and password, a key ID and secret, or an access
/// key and its secret key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credential {
    pub(crate) id: String,
    pub(crate) secret: String,
    /// The domain (Huawei's "account") that a Keystone user belongs to.
    #[serde(default)]
    pub(crate) domain: String,
    /// What goes with a temporary access key.
    #[serde(default, rename = "securityToken")]
    pub(crate) security_token: Option<String>,
}

impl Account {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A ready token, valid until revoked.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.tokens.push(token.into());
        self
    }

    /// Limits the account to the spaces, projects, fleets and service instances named. One that names none sees all.
    pub fn may_see(mut self, id: impl Into<String>) -> Self {
        self.sees.push(id.into());
        self
    }

    /// More than `requests` within `per` are refused with 429 and a `Retry-After`. Refused requests don't count.
    pub fn rate_limit(mut self, requests: usize, per: Duration) -> Self {
        self.rate_limit = Some(RateLimit { requests, per });
        self
    }

    /// What the account signs in or signs requests with; `domain` is read by Keystone only.
    pub fn credential(mut self, id: impl Into<String>, secret: impl Into<String>, domain: impl Into<String>) -> Self {
        self.credential =
            Some(Credential { id: id.into(), secret: secret.into(), domain: domain.into(), security_token: None });
        self
    }

    /// Makes the credential a temporary access key: signed requests must carry this as `X-Security-Token`.
    pub fn security_token(mut self, token: impl Into<String>) -> Self {
        if let Some(credential) = &mut self.credential {
            credential.security_token = Some(token.into());
        }
        self
    }

    /// Has every operation be there that the account asks for, and go like this.
    pub fn plays(mut self, outcome: Outcome) -> Self {
        self.plays = Some(outcome);
        self
    }

    /// How long a token from a sign-in lives; by default what the cloud gives (Keystone 24 h, the others 1 h).
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = Some(lifetime);
        self
    }

    pub(crate) fn sees(&self, id: &str) -> bool {
        self.sees.is_empty() || self.sees.iter().any(|seen| seen == id)
    }
}

fn seconds_required<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(input)?).map_err(de::Error::custom)
}

fn seconds<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    seconds_required(input).map(Some)
}
