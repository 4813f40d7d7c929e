//! The ways to sign in: one file each, and the table that joins them. Pure.
//!
//! To add one, write its file and add its row to the table below; nothing else names a method.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use url::Url;

use super::Connection;
use super::keys::Keys;
use crate::document::Json;
use crate::observation::{PollFailure, Request};
use crate::provider::{Provider, SignIn};

/// One way to prove who asks: the credential of a Secret, and what it becomes on the wire.
pub trait Method: Sized {
    /// The Secret's keys that make it: it is in use where all of them are there.
    const KEYS: &'static [&'static str];

    /// Whether a cloud that signs in so takes it.
    fn is_for(sign_in: &SignIn) -> bool;

    /// Reads it from a Secret.
    ///
    /// # Errors
    /// Which key is wrong, and how.
    fn read(keys: Keys<'_>, provider: &Provider) -> Result<Self, PollFailure>;

    /// The Secret's keys it came from, for messages.
    fn label(&self) -> &'static str;

    /// Every secret text in it that could come back in a reply.
    fn secrets(&self) -> Vec<&SecretString>;

    /// What else makes it this credential and no other.
    fn identity(&self) -> Vec<Option<&str>>;

    /// What a request carries, or what has to be asked for first.
    ///
    /// # Errors
    /// What is wrong with the Secret, for people.
    fn prove(&self, subject: &Subject<'_>) -> Result<Proof, String>;

    /// What the cloud's `code` says of this credential, with the next step.
    fn explain(&self, _code: &str) -> Option<&'static str> {
        None
    }

    /// What to add to a refused sign-in, for people.
    fn hint(&self) -> &'static str {
        ""
    }
}

/// A request that is to be proven.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What else the Secret says.
    pub connection: &'a Connection,
    /// How the cloud signs in.
    pub sign_in: &'a SignIn,
    /// Where the request goes.
    pub url: &'a Url,
    /// The request.
    pub request: &'a Request,
    /// The time of day.
    pub now: Timestamp,
}

/// What proves who asks.
#[derive(Debug)]
pub enum Proof {
    /// A ready token.
    Token(SecretString),
    /// Headers, such as a signature.
    Headers(Vec<Header>),
    /// A token that has to be asked for.
    SignIn(Box<TokenRequest>),
}

/// A header of a request.
#[derive(Debug)]
pub struct Header {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Its value.
    pub value: SecretString,
    /// The Secret's key that it comes from, for messages.
    pub key: &'static str,
}

/// A POST that asks for a token.
#[derive(Debug)]
pub struct TokenRequest {
    /// Base URL, to be checked like every address that receives a credential.
    pub endpoint: String,
    /// The Secret's key that the base URL came from or would come from, for messages.
    pub endpoint_key: &'static str,
    /// Path below it, with the query.
    pub path: &'static str,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// User and password of `Authorization: Basic`, where the cloud wants them.
    pub basic: Option<(String, SecretString)>,
    /// The body.
    pub body: SecretString,
    /// How the reply is read.
    pub read: fn(&TokenReply<'_>) -> Result<Granted, String>,
}

/// A token, and how long it lives where the reply tells.
pub type Granted = (String, Option<Duration>);

/// A reply to such a POST.
#[derive(Clone, Copy, Debug)]
pub struct TokenReply<'a> {
    /// Its header `X-Subject-Token`.
    pub subject_token: Option<&'a str>,
    /// Its body.
    pub body: Json<'a>,
    /// Its header `Date`: what the cloud's clock shows.
    pub date: Option<Timestamp>,
}

/// Content types of token requests.
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A form of `pairs`.
fn form(pairs: &[(&str, &str)]) -> SecretString {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into()
}

/// A token in a JSON reply with `access_token` and `expires_in` (RFC 6749, section 5.1).
fn read_oauth(reply: &TokenReply<'_>) -> Result<Granted, String> {
    let token = reply.body.get("access_token").and_then(Json::text).ok_or("the reply has no access_token")?;
    let seconds = reply.body.get("expires_in").and_then(Json::number).filter(|seconds| *seconds > 0.0);
    Ok((token.to_owned(), seconds.map(|seconds| Duration::from_secs_f64(seconds.min(86_400.0)))))
}

macro_rules! methods {
    ($($module:ident $method:ident),+ $(,)?) => {
        $(mod $module; pub use $module::$method;)+

        /// The credential of a Secret; its secrets are never printed.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "each member's documentation is that of its struct")]
        pub enum Credential {
            $($method($method),)+
        }

        /// The sets of keys that a cloud takes which signs in so: one of them must be complete.
        pub fn key_sets(sign_in: &SignIn) -> Vec<&'static [&'static str]> {
            let mut sets = Vec::new();
            $(if $method::is_for(sign_in) { sets.push($method::KEYS); })+
            sets
        }

        impl Credential {
            /// Reads the credential that the set of `keys` makes.
            ///
            /// # Errors
            /// Which key is wrong, and how.
            pub fn read(set: &[&str], keys: Keys<'_>, provider: &Provider) -> Result<Self, PollFailure> {
                $(if set == $method::KEYS { return $method::read(keys, provider).map(Self::$method); })+
                Err(keys.failure("has no credentials"))
            }

            /// See [`Method::label`].
            pub fn keys(&self) -> &'static str {
                match self { $(Self::$method(method) => method.label(),)+ }
            }

            /// See [`Method::secrets`].
            pub fn secrets(&self) -> Vec<&SecretString> {
                match self { $(Self::$method(method) => method.secrets(),)+ }
            }

            /// See [`Method::identity`].
            pub fn identity(&self) -> Vec<Option<&str>> {
                match self { $(Self::$method(method) => method.identity(),)+ }
            }

            /// See [`Method::prove`].
            ///
            /// # Errors
            /// What is wrong with the Secret, for people.
            pub fn prove(&self, subject: &Subject<'_>) -> Result<Proof, String> {
                match self { $(Self::$method(method) => method.prove(subject),)+ }
            }

            /// See [`Method::explain`].
            pub fn explain(&self, code: &str) -> Option<&'static str> {
                match self { $(Self::$method(method) => method.explain(code),)+ }
            }

            /// See [`Method::hint`].
            pub fn hint(&self) -> &'static str {
                match self { $(Self::$method(method) => method.hint(),)+ }
            }
        }
    };
}

methods! {
    token Token,
    client_credentials ClientCredentials,
    password Password,
    access_key SignedRequests,
    service_key ServiceKey,
}

#[cfg(test)]
mod tests;
