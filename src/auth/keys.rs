//! The keys of a Secret, read one by one, with what is wrong in words that name the key. Pure.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use secrecy::SecretString;

use crate::observation::{FailureKind, PollFailure};

/// What a Secret holds.
pub type Data = BTreeMap<String, ByteString>;

/// The keys of the Secret `name`.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// What it holds.
    pub data: &'a Data,
}

impl<'a> Keys<'a> {
    /// Whether `key` is there, whatever it holds.
    pub fn has(&self, key: &str) -> bool {
        self.data.contains_key(key)
    }

    /// The text of `key`, absent where the key is; what editors and shells put at its end is no part of it.
    ///
    /// # Errors
    /// [`FailureKind::CredentialsIncomplete`] where it is not text, or empty.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, PollFailure> {
        let Some(bytes) = self.data.get(key) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| self.incomplete(key, "is not text"))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            return Err(self.incomplete(key, "is empty"));
        }
        Ok(Some(text))
    }

    /// The text of `key`, which must be there.
    ///
    /// # Errors
    /// As [`Self::text`], and where it is not there.
    pub fn required(&self, key: &str) -> Result<&'a str, PollFailure> {
        self.text(key)?.ok_or_else(|| self.incomplete(key, "is missing"))
    }

    /// The secret text of `key`, which must be there.
    ///
    /// # Errors
    /// As [`Self::required`].
    pub fn secret(&self, key: &str) -> Result<SecretString, PollFailure> {
        self.required(key).map(SecretString::from)
    }

    /// That `key` cannot be used, and why.
    pub fn incomplete(&self, key: &str, what: &str) -> PollFailure {
        self.failure(&format!("key {key} {what}"))
    }

    /// That the Secret cannot be used, and why.
    pub fn failure(&self, what: &str) -> PollFailure {
        PollFailure::new(FailureKind::CredentialsIncomplete, format!("Secret {}: {what}", self.name))
    }
}
