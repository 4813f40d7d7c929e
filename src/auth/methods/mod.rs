//! The sign-in methods: one file each, and the table that joins them. Pure.
//!
//! To add one, write its file and add its row to [`METHODS`]. A provider takes it by its name ([`SignIn::methods`]);
//! nothing else knows one method from another.

mod access_key;
mod basic_password;
mod client_credentials;
mod keystone_password;
mod service_key;
mod token;

use std::fmt::Debug;

use jiff::Timestamp;
use secrecy::SecretString;

use super::secret_keys::SecretKeys;
use super::token_request::TokenRequest;
use super::{Connection, Credential};
use crate::observation::PollFailure;
use crate::provider::{Scope, SignIn};

pub use access_key::AccessKeyPair;
pub use basic_password::BasicPassword;
pub use client_credentials::ClientCredentials;
pub use keystone_password::KeystonePassword;
pub use service_key::ServiceKey;
pub use token::ReadyToken;

/// Every sign-in method.
pub const METHODS: &[Method] = &[
    token::METHOD,
    client_credentials::METHOD,
    keystone_password::METHOD,
    access_key::METHOD,
    service_key::METHOD,
    basic_password::METHOD,
];

/// One sign-in method, as far as it concerns the Secret.
#[derive(Debug)]
pub struct Method {
    /// The name by which a provider takes it.
    pub name: &'static str,
    /// The Secret's keys that it needs: a complete set.
    pub keys: &'static [&'static str],
    /// The keys that it reads where they are there.
    pub optional: &'static [&'static str],
    /// Makes them a credential; fails as [`SecretKeys::required`] does.
    pub read: fn(&SecretKeys) -> Result<Credential, PollFailure>,
}

/// What a credential can do, whatever its method.
pub trait Authenticate: Debug + Send + Sync {
    /// The Secret's keys it came from, for messages.
    fn keys(&self) -> &'static str;

    /// Every secret text that could come back in a reply.
    fn secrets(&self) -> Vec<&SecretString>;

    /// What else tells it from another of its method.
    fn identity(&self) -> Vec<Option<&str>>;

    /// How a request proves who asks.
    fn proof(&self) -> Proof<'_>;

    /// The optional key that `scope` needs all the same, and that was not there.
    fn missing_key(&self, _scope: &Scope) -> Option<&'static str> {
        None
    }

    /// What the cloud's `code` says of this credential, with the next step.
    fn explain(&self, _code: &str) -> Option<&'static str> {
        None
    }

    /// What else to think of when a sign-in with it is refused.
    fn advice(&self) -> Option<&'static str> {
        None
    }
}

/// How a request proves who asks.
#[derive(Debug)]
pub enum Proof<'a> {
    /// By a token that is at hand.
    Token(&'a SecretString),
    /// By a signature of its own.
    Signature(&'a dyn Sign),
    /// By a token that has to be requested first.
    SignIn(&'a dyn RequestToken),
}

/// A credential that signs each request.
pub trait Sign: Debug {
    /// The headers of `request` at `now`, all of them secret.
    fn sign(&self, request: &Unsigned<'_>, scope: &Scope, now: Timestamp) -> Vec<Header>;
}

/// A GET without a body, before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// Host as in the request's header of that name, with the port where it is not the default.
    pub host: &'a str,
    /// The path as sent, percent-encoded.
    pub path: &'a str,
    /// The query's parameters, not encoded.
    pub query: &'a [(String, String)],
}

/// A header that carries a part of a credential.
#[derive(Debug)]
pub struct Header {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Its value.
    pub value: SecretString,
    /// The Secret's key it stems from, for messages.
    pub key: &'static str,
}

/// A credential that is exchanged for a token.
pub trait RequestToken: Debug {
    /// What to send, and how to read the answer.
    ///
    /// # Errors
    /// What is wrong with the Secret's key iamEndpoint, for people.
    fn token_request(&self, connection: &Connection, sign_in: &SignIn) -> Result<TokenRequest, String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_a_name_and_a_set_of_keys_of_its_own() {
        for (at, method) in METHODS.iter().enumerate() {
            assert!(!method.keys.is_empty(), "{}", method.name);
            for other in &METHODS[..at] {
                assert_ne!(method.name, other.name);
                assert_ne!(method.keys, other.keys);
            }
        }
    }
}
