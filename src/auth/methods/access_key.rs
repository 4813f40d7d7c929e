//! An access key, which signs each request: see [`signature`](crate::auth::signature).

use secrecy::ExposeSecret;

use super::*;
use crate::auth::signature::{self, AccessKey, Signable, SignatureForm, sdk_date};
use crate::provider::Scope;

/// An access key, which signs each request.
#[derive(Clone, Debug)]
pub struct SignedRequests {
    /// `accessKey`, `secretKey` and `signature`.
    pub key: AccessKey,
    /// `securityToken` of a temporary key.
    pub security_token: Option<SecretString>,
    /// `domainId`, for services that are not a project's.
    pub domain_id: Option<String>,
}

impl Method for SignedRequests {
    const KEYS: &'static [&'static str] = &["accessKey", "secretKey"];

    fn is_for(sign_in: &SignIn) -> bool {
        matches!(sign_in, SignIn::Keystone { .. })
    }

    fn read(keys: Keys<'_>, provider: &Provider) -> Result<Self, PollFailure> {
        let domain_id = keys.text("domainId")?.map(str::to_owned);
        if domain_id.is_none() && matches!(provider.sign_in(), SignIn::Keystone { scope: Scope::Domain, .. }) {
            let what = format!("is missing; {} wants it beside accessKey and secretKey", provider.cloud());
            return Err(keys.incomplete("domainId", &what));
        }
        let form = match keys.text("signature")? {
            None | Some("access") => SignatureForm::Access,
            Some("credential") => SignatureForm::Credential,
            Some(_) => return Err(keys.incomplete("signature", "must be access or credential")),
        };
        let id = keys.required("accessKey")?.to_owned();
        Ok(Self {
            key: AccessKey { id, secret: keys.secret("secretKey")?, form },
            security_token: keys.text("securityToken")?.map(SecretString::from),
            domain_id,
        })
    }

    fn label(&self) -> &'static str {
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

    /// Content type, host, project and date are signed, as the vendor's own clients do.
    fn prove(&self, subject: &Subject<'_>) -> Result<Proof, String> {
        let Subject { url, request, .. } = subject;
        let date = sdk_date(subject.now);
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let whose = match subject.sign_in {
            SignIn::Keystone { scope: Scope::Project(id), .. } => ("x-project-id", Some(id.as_str()), "domainId"),
            _ => ("x-domain-id", self.domain_id.as_deref(), "domainId"),
        };
        let token = self.security_token.as_ref().map(|token| token.expose_secret());
        let extra = [("x-security-token", token, "securityToken"), whose];
        let extra: Vec<_> = extra.into_iter().filter_map(|(name, value, key)| Some((name, value?, key))).collect();
        let mut signed = vec![("content-type", "application/json"), ("host", host.as_str())];
        signed.extend(extra.iter().map(|(name, value, _)| (*name, *value)));
        let signable =
            Signable { method: "GET", path: url.path(), query: &request.query, headers: &signed, body: b"" };
        let authorization = self.key.authorization(&signable, &date);
        let own = [("authorization", authorization.as_str(), "accessKey"), ("x-sdk-date", &date, "accessKey")];
        let headers = own.into_iter().chain(extra);
        Ok(Proof::Headers(headers.map(|(name, value, key)| Header { name, value: value.into(), key }).collect()))
    }

    fn explain(&self, code: &str) -> Option<&'static str> {
        signature::explain(code)
    }
}
