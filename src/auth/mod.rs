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
pub mod token_cache;
pub mod token_request;

use std::fmt::{self, Write};
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
    pub ca: Option<CaBundle>,
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
        Self { name: connection.name().into(), connection, endpoint: OnceLock::new() }
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

    fn name(&self) -> String {
        let texts = [Some(self.endpoint.as_bytes()), self.iam_endpoint.as_deref().map(str::as_bytes)];
        let digests = [self.ca.as_ref().map(|ca| &ca.digest[..]), Some(&self.credential.digest[..])];
        let digest = digest(texts.into_iter().chain(digests));
        digest.iter().take(16).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// A digest of `parts` in which each counts, absent or not.
fn digest<'a>(parts: impl IntoIterator<Item = Option<&'a [u8]>>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        // Told apart from an empty one, and from one that runs on into the next.
        digest.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        digest.update(part.unwrap_or_default());
    }
    digest.finalize().into()
}

/// A PEM bundle of certificate authorities; clones share it.
#[derive(Clone, Debug)]
pub struct CaBundle {
    pem: Arc<str>,
    /// Hashed once, as hundreds of accounts may share a bundle of 128 KiB.
    digest: [u8; 32],
}

impl From<&str> for CaBundle {
    fn from(pem: &str) -> Self {
        Self { pem: pem.into(), digest: digest([Some(pem.as_bytes())]) }
    }
}

impl CaBundle {
    /// Equal bundles have equal ones.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl Deref for CaBundle {
    type Target = str;

    fn deref(&self) -> &str {
        &self.pem
    }
}

/// A credential of one of the [`methods`]; its secrets are never printed, and clones share them.
#[derive(Clone)]
pub struct Credential {
    method: Arc<dyn Authenticate>,
    /// As for [`CaBundle`].
    digest: [u8; 32],
}

impl<A: Authenticate + 'static> From<A> for Credential {
    fn from(method: A) -> Self {
        let secrets = method.secrets().into_iter().map(|secret| Some(secret.expose_secret()));
        let texts = [Some(method.keys())].into_iter().chain(method.identity()).chain(secrets);
        let digest = digest(texts.map(|text| text.map(str::as_bytes)));
        Self { method: Arc::new(method), digest }
    }
}

impl fmt::Debug for Credential {
    /// Without the digest, by which a weak secret could be guessed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.method.fmt(f)
    }
}

impl Deref for Credential {
    type Target = dyn Authenticate;

    fn deref(&self) -> &Self::Target {
        &*self.method
    }
}
