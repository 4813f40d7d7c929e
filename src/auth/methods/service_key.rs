//! A Cloud.ru service account's key, exchanged for a token: <https://cloud.ru/docs/console_api/ug/topics/guides__auth_api>.

use secrecy::ExposeSecret;
use serde_json::json;

use super::*;

/// Where Cloud.ru exchanges keys.
const CLOUDRU_TOKEN_PATH: &str = "/api/v1/auth/token";
/// The path of the generation before, known from its users only.
const SBERCLOUD_TOKEN_PATH: &str = "/auth/system/openid/token";

/// A Cloud.ru service account's key.
#[derive(Clone, Debug)]
pub struct ServiceKey {
    /// `keyId`.
    pub id: String,
    /// `secret`.
    pub secret: SecretString,
}

impl Method for ServiceKey {
    const KEYS: &'static [&'static str] = &["keyId", "secret"];

    fn is_for(sign_in: &SignIn) -> bool {
        matches!(sign_in, SignIn::KeyExchange { .. })
    }

    fn read(keys: Keys<'_>, _: &Provider) -> Result<Self, PollFailure> {
        Ok(Self { id: keys.required("keyId")?.to_owned(), secret: keys.secret("secret")? })
    }

    fn label(&self) -> &'static str {
        "keyId and secret"
    }

    fn secrets(&self) -> Vec<&SecretString> {
        vec![&self.secret]
    }

    fn identity(&self) -> Vec<Option<&str>> {
        vec![Some(&self.id)]
    }

    fn prove(&self, subject: &Subject<'_>) -> Result<Proof, String> {
        let SignIn::KeyExchange { iam } = subject.sign_in else {
            return Err("this cloud takes no service account's key".into());
        };
        let endpoint = subject.connection.iam_endpoint.as_deref().unwrap_or(iam).trim_end_matches('/');
        let (id, secret) = (self.id.as_str(), self.secret.expose_secret());
        let (endpoint, path, content_type, body) = match endpoint.strip_suffix(SBERCLOUD_TOKEN_PATH) {
            Some(base) => {
                let body = form(&[("grant_type", "access_key"), ("client_id", id), ("client_secret", secret)]);
                (base, SBERCLOUD_TOKEN_PATH, FORM, body)
            }
            None => {
                let base = endpoint.strip_suffix(CLOUDRU_TOKEN_PATH).unwrap_or(endpoint);
                if Url::parse(base).is_ok_and(|url| url.path() != "/") {
                    return Err(format!(
                        "the Secret's key iamEndpoint cannot be used: its path is neither {CLOUDRU_TOKEN_PATH} nor \
                         {SBERCLOUD_TOKEN_PATH}"
                    ));
                }
                (base, CLOUDRU_TOKEN_PATH, JSON, json!({"keyId": id, "secret": secret}).to_string().into())
            }
        };
        Ok(Proof::SignIn(Box::new(TokenRequest {
            endpoint: endpoint.to_owned(),
            endpoint_key: "iamEndpoint",
            path,
            content_type,
            basic: None,
            body,
            read: read_oauth,
        })))
    }
}
