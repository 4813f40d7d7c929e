//! A ready token.

use super::*;

pub(super) const METHOD: Method = Method { name: "token", keys: &["token"], optional: &[], read };

/// A ready bearer token or X-Auth-Token: key token.
#[derive(Debug)]
pub struct ReadyToken(pub SecretString);

fn read(keys: &SecretKeys) -> Result<Credential, PollFailure> {
    let token = keys.required("token")?;
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(keys.incomplete("token", "holds white space or characters that no header carries"));
    }
    Ok(ReadyToken(token.into()).into())
}

impl Authenticate for ReadyToken {
    fn keys(&self) -> &'static str {
        "token"
    }

    fn secrets(&self) -> Vec<&SecretString> {
        vec![&self.0]
    }

    fn identity(&self) -> Vec<Option<&str>> {
        Vec::new()
    }

    fn proof(&self) -> Proof<'_> {
        Proof::Token(&self.0)
    }
}
