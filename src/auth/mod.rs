//! What proves to a cloud who asks: the credential of a Secret, what it becomes on the wire, and where it may be sent.
//!
//! | module | what it is |
//! |---|---|
//! | [`keys`] | the keys of a Secret; pure |
//! | [`methods`] | the ways to sign in, one file each, and their table; pure |
//! | [`signature`] | requests signed with an access key; pure |
//! | [`token_response`] | the token in the answer to a sign-in; pure |
//! | [`token_cache`] | the tokens in use, each asked for once for all who use it |

pub mod keys;
pub mod methods;
pub mod signature;
pub mod token_cache;
pub mod token_response;

use std::sync::{Arc, OnceLock};

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use url::Url;

use crate::observation::PollFailure;
pub use methods::{ClientCredentials, Credential, Password, ServiceKey, SignedRequests, Token};
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
        let secrets = self.credential.secrets().into_iter().map(|secret| Some(secret.expose_secret()));
        let kind = Some(self.credential.keys());
        let parts = plain.into_iter().chain([kind]).chain(self.credential.identity()).chain(secrets);
        for part in parts {
            // Told apart from an empty one, and from one that runs on into the next.
            digest.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            digest.update(part.unwrap_or_default());
        }
        digest.finalize().iter().take(16).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }
}
