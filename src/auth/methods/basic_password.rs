//! A user and a password with each request (RFC 7617).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

use super::*;

pub(super) const METHOD: Method = Method { name: "basic", keys: &["username", "password"], optional: &[], read };

/// A user and a password.
#[derive(Debug)]
pub struct BasicPassword {
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: SecretString,
    /// Both as they are sent, which must not be repeated either.
    pair: SecretString,
}

impl BasicPassword {
    fn new(username: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        Self { username: username.to_owned(), password: password.into(), pair: pair.into() }
    }
}

fn read(keys: &SecretKeys) -> Result<Credential, PollFailure> {
    let username = keys.required("username")?;
    if username.contains(':') {
        return Err(keys.incomplete("username", "holds a colon, which ends a user's name in a request"));
    }
    Ok(BasicPassword::new(username, keys.required("password")?).into())
}

impl Authenticate for BasicPassword {
    fn keys(&self) -> &'static str {
        "username and password"
    }

    fn secrets(&self) -> Vec<&SecretString> {
        vec![&self.password, &self.pair]
    }

    fn identity(&self) -> Vec<Option<&str>> {
        vec![Some(&self.username)]
    }

    fn proof(&self) -> Proof<'_> {
        Proof::Signature(self)
    }
}

impl Sign for BasicPassword {
    fn sign(&self, _request: &Unsigned<'_>, _scope: &Scope, _now: Timestamp) -> Vec<Header> {
        let value = format!("Basic {}", self.pair.expose_secret());
        vec![Header { name: "authorization", value: value.into(), key: "password" }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_go_into_the_header_and_neither_is_shown() {
        let basic = BasicPassword::new("Aladdin", "open sesame");
        let request = Unsigned { host: "h", path: "/", query: &[] };
        let headers = basic.sign(&request, &Scope::Account, Timestamp::UNIX_EPOCH);
        let [Header { name: "authorization", value, .. }] = headers.as_slice() else { panic!("{headers:?}") };
        // The example of RFC 7617, section 2.
        assert_eq!(value.expose_secret(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let hidden: Vec<&str> = basic.secrets().into_iter().map(|secret| secret.expose_secret()).collect();
        assert_eq!(hidden, ["open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]);
    }
}
