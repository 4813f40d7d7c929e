//! What proves to a cloud who asks: the credential of a Secret, what it becomes on the wire, and where it may be sent.
//!
//! | module | what it is |
//! |---|---|
//! | [`signature`] | requests signed with an access key; pure |
//! | [`sign_in`] | the exchanges of a long-lived credential for a token, as data; pure |
//! | [`tokens`] | the tokens in use, each minted once for all who use it |

pub mod sign_in;
pub mod signature;
#[expect(clippy::disallowed_methods, reason = "it measures the age of tokens")]
pub mod tokens;

use std::sync::{Arc, OnceLock};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

use crate::observation::PollFailure;
pub use signature::{AccessKey, SignatureForm};

/// Everything a Secret says about reaching a cloud.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Base URL, as the Secret or the region gives it; not yet checked against the allowed hosts.
    pub endpoint: String,
    /// Base URL of the identity service where the Secret gives one; not yet checked either.
    pub iam_endpoint: Option<String>,
    /// PEM bundle of certificate authorities trusted beside the system's.
    pub ca: Option<String>,
    /// What proves who asks.
    pub credential: Credential,
}

/// Who asks whom: all who share it share one budget, one token and each other's answers.
#[derive(Clone, Debug)]
pub struct Account {
    /// Tells nothing of the credential, and changes with every part of the Secret.
    pub name: Arc<str>,
    /// How it is reached.
    pub connection: Connection,
    /// [`Connection::endpoint`] as it may be called, or why it may not: checked in `upstream`, once.
    pub endpoint: OnceLock<Result<Url, PollFailure>>,
}

impl From<Connection> for Account {
    fn from(connection: Connection) -> Self {
        Self { name: connection.digest().into(), connection, endpoint: OnceLock::new() }
    }
}

impl Connection {
    fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let plain = [Some(self.endpoint.as_str()), self.iam_endpoint.as_deref(), self.ca.as_deref()];
        let parts = plain.into_iter().chain(self.credential.parts());
        for part in parts {
            // Told apart from an empty one, and from one that runs on into the next.
            digest.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            digest.update(part.unwrap_or_default());
        }
        digest.finalize().iter().take(16).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }
}

/// A credential; its secrets are never printed.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A ready bearer token or X-Auth-Token.
    Token(SecretString),
    /// OAuth 2 client credentials.
    Client {
        /// `clientId`.
        id: String,
        /// `clientSecret`.
        secret: SecretString,
    },
    /// A Keystone v3 user.
    Password {
        /// `username`.
        username: String,
        /// `password`.
        password: SecretString,
        /// `domainName`.
        domain_name: String,
    },
    /// An access key, which signs each request.
    AccessKey {
        /// `accessKey`, `secretKey` and `signature`.
        key: AccessKey,
        /// `securityToken` of a temporary key.
        security_token: Option<SecretString>,
        /// `domainId`, for services that are not a project's.
        domain_id: Option<String>,
    },
    /// A Cloud.ru service account's key.
    ServiceKey {
        /// `keyId`.
        id: String,
        /// `secret`.
        secret: SecretString,
    },
}

impl Credential {
    /// The Secret's keys it came from, for messages.
    pub fn keys(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Client { .. } => "clientId and clientSecret",
            Self::Password { .. } => "username, password and domainName",
            Self::AccessKey { security_token: Some(_), .. } => "accessKey, secretKey and securityToken",
            Self::AccessKey { .. } => "accessKey and secretKey",
            Self::ServiceKey { .. } => "keyId and secret",
        }
    }

    /// What the cloud's `code` says of this credential, with the next step.
    pub fn explain(&self, code: &str) -> Option<&'static str> {
        match self {
            Self::AccessKey { .. } => signature::explain(code),
            _ => None,
        }
    }

    /// Every secret text that could come back in a reply.
    pub fn secrets(&self) -> Vec<&SecretString> {
        match self {
            Self::Token(secret) | Self::Client { secret, .. } | Self::ServiceKey { secret, .. } => vec![secret],
            Self::Password { password, .. } => vec![password],
            Self::AccessKey { key, security_token, .. } => [&key.secret].into_iter().chain(security_token).collect(),
        }
    }

    fn parts(&self) -> Vec<Option<&str>> {
        let plain = match self {
            Self::Token(_) => vec![],
            Self::Client { id, .. } | Self::ServiceKey { id, .. } => vec![Some(id.as_str())],
            Self::Password { username, domain_name, .. } => vec![Some(username.as_str()), Some(domain_name)],
            Self::AccessKey { key, domain_id, .. } => {
                let form = match key.form {
                    SignatureForm::Access => "access",
                    SignatureForm::Credential => "credential",
                };
                vec![Some(key.id.as_str()), domain_id.as_deref(), Some(form)]
            }
        };
        let secrets = self.secrets().into_iter().map(|secret| Some(secret.expose_secret()));
        [Some(self.keys())].into_iter().chain(plain).chain(secrets).collect()
    }
}
