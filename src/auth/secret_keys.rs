//! The keys of one Secret that are ever read, within their limits. Pure.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use crate::observation::{FailureKind, PollFailure};

/// The keys that every sign-in method shares.
const COMMON: &[&str] = &["endpoint", "provider", "iamEndpoint", "ca.crt"];
/// The longest token, from a Secret or from a cloud, in bytes.
pub const LONGEST_TOKEN: usize = 32 << 10;
/// The longest bundle of certificates, in bytes.
const LONGEST_CA: usize = 128 << 10;
/// The longest value of every other key, in bytes.
const LONGEST_VALUE: usize = 4 << 10;

/// What is kept of a Secret: the values of the keys that some method or all of them read.
#[derive(Debug)]
pub struct SecretKeys {
    name: String,
    values: BTreeMap<&'static str, Value>,
}

#[derive(Debug)]
enum Value {
    Text(SecretString),
    /// Why the value is none, for the message behind the key's name.
    Unusable(String),
}

impl SecretKeys {
    /// The keys of the Secret `name` that `get` gives the value of: those that every sign-in method shares, and those
    /// `of_methods`.
    pub fn new<'a>(
        name: &str,
        of_methods: impl Iterator<Item = &'static str>,
        get: impl Fn(&str) -> Option<&'a [u8]>,
    ) -> Self {
        let all = COMMON.iter().copied().chain(of_methods);
        let values = all.filter_map(|key| Some((key, read(key, get(key)?))));
        Self { name: name.to_owned(), values: values.collect() }
    }

    /// Whether the key is there, usable or not.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The text of `key` without the line breaks that editors and shells put at its end; `None` where the key is absent.
    ///
    /// # Errors
    /// [`FailureKind::CredentialsIncomplete`] that names the key, when its value is empty, not text or too long.
    pub fn text(&self, key: &str) -> Result<Option<&str>, PollFailure> {
        match self.values.get(key) {
            Some(Value::Text(text)) => Ok(Some(text.expose_secret())),
            Some(Value::Unusable(why)) => Err(self.incomplete(key, why)),
            None => Ok(None),
        }
    }

    /// The text of a `key` that must be there.
    ///
    /// # Errors
    /// As [`Self::text`], and when the key is absent.
    pub fn required(&self, key: &str) -> Result<&str, PollFailure> {
        self.text(key)?.ok_or_else(|| self.incomplete(key, "is missing"))
    }

    /// As [`Self::required`], for a value that is secret.
    ///
    /// # Errors
    /// As [`Self::required`].
    pub fn secret(&self, key: &str) -> Result<SecretString, PollFailure> {
        self.required(key).map(SecretString::from)
    }

    /// The failure that says `what` of `key`.
    pub fn incomplete(&self, key: &str, what: &str) -> PollFailure {
        self.failure(&format!("key {key} {what}"))
    }

    /// The failure that says `what` of the Secret.
    pub fn failure(&self, what: &str) -> PollFailure {
        PollFailure::new(FailureKind::CredentialsIncomplete, format!("Secret {}: {what}", self.name))
    }

    /// How many bytes the values take.
    pub fn size(&self) -> usize {
        let size = |value: &Value| match value {
            Value::Text(text) => text.expose_secret().len(),
            Value::Unusable(why) => why.len(),
        };
        self.values.values().map(size).sum()
    }
}

fn read(key: &str, value: &[u8]) -> Value {
    let longest = match key {
        "token" => LONGEST_TOKEN,
        "ca.crt" => LONGEST_CA,
        _ => LONGEST_VALUE,
    };
    if value.len() > longest {
        let why = format!("is {} bytes long, and {} KiB are the limit", value.len(), longest >> 10);
        return Value::Unusable(why);
    }
    match std::str::from_utf8(value).map(|text| text.trim_end_matches(['\r', '\n'])) {
        Err(_) => Value::Unusable("is not text".into()),
        Ok(text) if text.trim().is_empty() => Value::Unusable("is empty".into()),
        Ok(text) => Value::Text(text.into()),
    }
}
