//! What proves to a cloud who asks: the credential of a Secret, what it becomes on the wire, and where it may be sent.
//!
//! | module | what it is |
//! |---|---|
//! | [`secret_keys`] | the keys of a Secret, within their limits; pure |
//! | [`methods`] | the sign-in methods, one file each, and the table that joins them; pure |
//! | [`signature`] | requests signed with an access key; pure |
//! | [`token_request`] | how a token is asked for and how the answer is read; pure |
//! | [`token_cache`] | the tokens in use, each requested once for all who use it |

pub mod methods;
pub mod secret_keys;
pub mod signature;
#[expect(clippy::disallowed_methods, reason = "it measures the age of tokens")]
pub mod token_cache;
pub mod token_request;

use std::fmt::Write;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use url::Url;

use crate::observation::PollFailure;
use crate::provider::SignIn;
use methods::Authenticate;

/// Everything a Secret says about reaching a cloud.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Base URL, as the Secret or the region gives it; not yet checked against the allowed hosts.
    pub endpoint: String,
    /// Base URL of the identity service where the Secret gives one; not yet checked either. Shared by all accounts of
    /// one Secret, as the next two are.
    pub iam_endpoint: Option<Arc<str>>,
    /// PEM bundle of certificate authorities trusted beside the system's.
    pub ca: Option<Arc<str>>,
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
    /// Base URL of what gives tokens, and the Secret's key that it comes from or would come from, for messages.
    pub fn token_endpoint<'a>(&'a self, sign_in: &'a SignIn) -> (&'a str, &'static str) {
        match &sign_in.identity_service {
            Some(service) => (self.iam_endpoint.as_deref().unwrap_or(&service.url), "iamEndpoint"),
            None => (&self.endpoint, "endpoint"),
        }
    }

    fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let plain = [Some(self.endpoint.as_str()), self.iam_endpoint.as_deref(), self.ca.as_deref()];
        let secrets = self.credential.secrets().into_iter().map(|secret| Some(secret.expose_secret()));
        let credential = [Some(self.credential.keys())].into_iter().chain(self.credential.identity()).chain(secrets);
        for part in plain.into_iter().chain(credential) {
            // Told apart from an empty one, and from one that runs on into the next.
            digest.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            digest.update(part.unwrap_or_default());
        }
        digest.finalize().iter().take(16).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// A credential of one of the [`methods`]; its secrets are never printed, and clones share them.
#[derive(Clone, Debug)]
pub struct Credential(Arc<dyn Authenticate>);

impl<A: Authenticate + 'static> From<A> for Credential {
    fn from(credential: A) -> Self {
        Self(Arc::new(credential))
    }
}

impl Deref for Credential {
    type Target = dyn Authenticate;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
