//! A ready token: a bearer token, or OpenStack's X-Auth-Token.

use super::*;

/// A ready token.
#[derive(Clone, Debug)]
pub struct Token(pub SecretString);

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self(token.into())
    }
}

impl Method for Token {
    const KEYS: &'static [&'static str] = &["token"];

    fn is_for(_: &SignIn) -> bool {
        true
    }

    fn read(keys: Keys<'_>, _: &Provider) -> Result<Self, PollFailure> {
        let token = keys.required("token")?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(keys.incomplete("token", "holds white space or characters that no header carries"));
        }
        Ok(Self(token.into()))
    }

    fn label(&self) -> &'static str {
        "token"
    }

    fn secrets(&self) -> Vec<&SecretString> {
        vec![&self.0]
    }

    fn identity(&self) -> Vec<Option<&str>> {
        Vec::new()
    }

    fn prove(&self, _: &Subject<'_>) -> Result<Proof, String> {
        Ok(Proof::Token(self.0.clone()))
    }
}
