//! An access key that signs each request. Content type, host, project or account, and date are signed, as the vendors'
//! own clients do.

use secrecy::ExposeSecret;

use super::*;
use crate::auth::signature::{self, AccessKey, Signable, SignatureForm, sdk_date};

pub(super) const METHOD: Method = Method {
    name: "accessKey",
    keys: &["accessKey", "secretKey"],
    optional: &["securityToken", "domainId", "signature"],
    read,
};

/// An access key, permanent or temporary.
#[derive(Debug)]
pub struct AccessKeyPair {
    /// `accessKey`, `secretKey` and `signature`.
    pub key: AccessKey,
    /// `securityToken` of a temporary key.
    pub security_token: Option<SecretString>,
    /// `domainId`, for services that are not a project's.
    pub domain_id: Option<String>,
}

fn read(keys: &SecretKeys) -> Result<Credential, PollFailure> {
    let form = match keys.text("signature")? {
        None | Some("access") => SignatureForm::Access,
        Some("credential") => SignatureForm::Credential,
        Some(_) => return Err(keys.incomplete("signature", "must be access or credential")),
    };
    let pair = AccessKeyPair {
        key: AccessKey { id: keys.required("accessKey")?.to_owned(), secret: keys.secret("secretKey")?, form },
        security_token: keys.text("securityToken")?.map(SecretString::from),
        domain_id: keys.text("domainId")?.map(str::to_owned),
    };
    Ok(pair.into())
}

impl Authenticate for AccessKeyPair {
    fn keys(&self) -> &'static str {
        match self.security_token {
            Some(_) => "accessKey, secretKey and securityToken",
            None => "accessKey and secretKey",
        }
    }

    fn secrets(&self) -> Vec<&SecretString> {
        [&self.key.secret].into_iter().chain(&self.security_token).collect()
    }

    fn identity(&self) -> Vec<Option<&str>> {
        let form = match self.key.form {
            SignatureForm::Access => "access",
            SignatureForm::Credential => "credential",
        };
        vec![Some(&self.key.id), self.domain_id.as_deref(), Some(form)]
    }

    fn proof(&self) -> Proof<'_> {
        Proof::Signature(self)
    }

    fn missing_key(&self, scope: &Scope) -> Option<&'static str> {
        (*scope == Scope::Account && self.domain_id.is_none()).then_some("domainId")
    }

    fn explain(&self, code: &str) -> Option<&'static str> {
        signature::explain(code)
    }
}

impl Sign for AccessKeyPair {
    fn sign(&self, request: &Unsigned<'_>, scope: &Scope, now: Timestamp) -> Vec<Header> {
        let date = sdk_date(now);
        let security_token = self.security_token.as_ref().map(ExposeSecret::expose_secret);
        let owner = match scope {
            Scope::Project(id) => ("x-project-id", Some(id.as_str())),
            Scope::Account => ("x-domain-id", self.domain_id.as_deref()),
        };
        let extra = [("x-security-token", security_token, "securityToken"), (owner.0, owner.1, "domainId")];
        let extra: Vec<(&'static str, &str, &'static str)> =
            extra.into_iter().filter_map(|(name, value, key)| Some((name, value?, key))).collect();
        let mut signed = vec![("content-type", "application/json"), ("host", request.host)];
        signed.extend(extra.iter().map(|(name, value, _)| (*name, *value)));
        let signable =
            Signable { method: "GET", path: request.path, query: request.query, headers: &signed, body: b"" };
        let authorization = self.key.authorization(&signable, &date);
        let extra = extra.into_iter().map(|(name, value, key)| Header { name, value: value.into(), key });
        [
            Header { name: "authorization", value: authorization.into(), key: "accessKey" },
            Header { name: "x-sdk-date", value: date.into(), key: "accessKey" },
        ]
        .into_iter()
        .chain(extra)
        .collect()
    }
}
