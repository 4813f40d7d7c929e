//! OAuth 2 client credentials (RFC 6749, section 4.4), exchanged at the API's own endpoint:
//! <https://docs.numspot.com/docs/category/identity-and-access-manager>.

use secrecy::ExposeSecret;

use super::*;

/// OAuth 2 client credentials.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// `clientId`.
    pub id: String,
    /// `clientSecret`.
    pub secret: SecretString,
}

impl Method for ClientCredentials {
    const KEYS: &'static [&'static str] = &["clientId", "clientSecret"];

    fn is_for(sign_in: &SignIn) -> bool {
        matches!(sign_in, SignIn::ClientCredentials)
    }

    fn read(keys: Keys<'_>, _: &Provider) -> Result<Self, PollFailure> {
        Ok(Self { id: keys.required("clientId")?.to_owned(), secret: keys.secret("clientSecret")? })
    }

    fn label(&self) -> &'static str {
        "clientId and clientSecret"
    }

    fn secrets(&self) -> Vec<&SecretString> {
        vec![&self.secret]
    }

    fn identity(&self) -> Vec<Option<&str>> {
        vec![Some(&self.id)]
    }

    /// The vendor's own client sends the credential both ways.
    fn prove(&self, subject: &Subject<'_>) -> Result<Proof, String> {
        let secret = self.secret.expose_secret();
        let body = form(&[("grant_type", "client_credentials"), ("client_id", &self.id), ("client_secret", secret)]);
        Ok(Proof::SignIn(Box::new(TokenRequest {
            endpoint: subject.connection.endpoint.clone(),
            endpoint_key: "endpoint",
            path: "/iam/token",
            content_type: FORM,
            basic: Some((self.id.clone(), self.secret.clone())),
            body,
            read: read_oauth,
        })))
    }
}
