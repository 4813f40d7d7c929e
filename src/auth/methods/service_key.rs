//! The key of a Cloud.ru service account, in two generations.

use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::auth::token_request::{FORM, JSON, form, read_oauth};

pub(super) const METHOD: Method = Method { name: "serviceKey", keys: &["keyId", "secret"], optional: &[], read };

/// Where Cloud.ru exchanges keys: <https://cloud.ru/docs/console_api/ug/topics/guides__auth_api>.
const CLOUDRU_TOKEN_PATH: &str = "/api/v1/auth/token";
/// The path of the generation before, known from its users only.
const SBERCLOUD_TOKEN_PATH: &str = "/auth/system/openid/token";

/// A Cloud.ru service account's key.
#[derive(Debug)]
pub struct ServiceKey {
    /// `keyId`.
    pub id: String,
    /// `secret`.
    pub secret: SecretString,
}

fn read(keys: &SecretKeys) -> Result<Credential, PollFailure> {
    Ok(ServiceKey { id: keys.required("keyId")?.to_owned(), secret: keys.secret("secret")? }.into())
}

impl Authenticate for ServiceKey {
    fn keys(&self) -> &'static str {
        "keyId and secret"
    }

    fn secrets(&self) -> Vec<&SecretString> {
        vec![&self.secret]
    }

    fn identity(&self) -> Vec<Option<&str>> {
        vec![Some(&self.id)]
    }

    fn proof(&self) -> Proof<'_> {
        Proof::SignIn(self)
    }
}

impl RequestToken for ServiceKey {
    fn token_request(&self, connection: &Connection, sign_in: &SignIn) -> Result<TokenRequest, String> {
        let (endpoint, endpoint_key) = connection.token_endpoint(sign_in);
        let endpoint = endpoint.trim_end_matches('/');
        let secret = self.secret.expose_secret();
        let (base, path, content_type, body) = if let Some(base) = endpoint.strip_suffix(SBERCLOUD_TOKEN_PATH) {
            let body = form(&[("grant_type", "access_key"), ("client_id", &self.id), ("client_secret", secret)]);
            (base, SBERCLOUD_TOKEN_PATH, FORM, body)
        } else {
            let base = endpoint.strip_suffix(CLOUDRU_TOKEN_PATH).unwrap_or(endpoint);
            if url::Url::parse(base).is_ok_and(|url| url.path() != "/") {
                return Err(format!("its path is neither {CLOUDRU_TOKEN_PATH} nor {SBERCLOUD_TOKEN_PATH}"));
            }
            let body = json!({"keyId": self.id, "secret": secret}).to_string().into();
            (base, CLOUDRU_TOKEN_PATH, JSON, body)
        };
        let endpoint = base.to_owned();
        Ok(TokenRequest {
            endpoint,
            endpoint_key,
            path: path.into(),
            content_type,
            basic: None,
            body,
            read: read_oauth,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::provider::IdentityService;

    #[rstest::rstest]
    #[case(None, "https://iam.api.cloud.ru/api/v1/auth/token", r#"{"keyId":"k","secret":"s&"}"#)]
    #[case(Some("https://iam.x/"), "https://iam.x/api/v1/auth/token", r#"{"keyId":"k","secret":"s&"}"#)]
    #[case(
        Some("https://iam.x/api/v1/auth/token"),
        "https://iam.x/api/v1/auth/token",
        r#"{"keyId":"k","secret":"s&"}"#
    )]
    #[case(
        Some("https://auth.x/auth/system/openid/token"),
        "https://auth.x/auth/system/openid/token",
        "grant_type=access_key&client_id=k&client_secret=s%26"
    )]
    fn a_service_key_is_exchanged_as_the_path_says(#[case] iam: Option<&str>, #[case] url: &str, #[case] body: &str) {
        let service = IdentityService { url: "https://iam.api.cloud.ru".into(), domain: Some("cloud.ru".into()) };
        let sign_in = SignIn {
            methods: Cow::Borrowed(&["token", "serviceKey"]),
            identity_service: Some(service),
            scope: Scope::Account,
            oauth: None,
        };
        let request = |iam: Option<&str>| {
            let key = ServiceKey { id: "k".into(), secret: "s&".into() };
            let endpoint = "https://api.example.com".to_owned();
            let token: Credential = ReadyToken("t".into()).into();
            let connection = Connection { endpoint, iam_endpoint: iam.map(Into::into), ca: None, credential: token };
            key.token_request(&connection, &sign_in)
        };
        let sent = request(iam).unwrap();
        assert_eq!((format!("{}{}", sent.endpoint, sent.path).as_str(), sent.body.expose_secret()), (url, body));
        assert!(request(Some("https://iam.x/oauth")).unwrap_err().contains("/api/v1/auth/token"));
    }
}
