//! OAuth 2 client credentials (RFC 6749, section 4.4): <https://docs.numspot.com/docs/iam/concepts/api>.

use secrecy::ExposeSecret;

use super::*;
use crate::auth::token_request::{Basic, FORM, form, read_oauth};
use crate::provider::ClientForm;

pub(super) const METHOD: Method =
    Method { name: "clientCredentials", keys: &["clientId", "clientSecret"], optional: &[], read };

/// OAuth 2 client credentials.
#[derive(Debug)]
pub struct ClientCredentials {
    /// `clientId`.
    pub id: String,
    /// `clientSecret`.
    pub secret: SecretString,
}

fn read(keys: &SecretKeys) -> Result<Credential, PollFailure> {
    Ok(ClientCredentials { id: keys.required("clientId")?.to_owned(), secret: keys.secret("clientSecret")? }.into())
}

impl Authenticate for ClientCredentials {
    fn keys(&self) -> &'static str {
        "clientId and clientSecret"
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

impl RequestToken for ClientCredentials {
    fn token_request(&self, connection: &Connection, sign_in: &SignIn) -> Result<TokenRequest, String> {
        let (endpoint, endpoint_key) = connection.token_endpoint(sign_in);
        let oauth = sign_in.oauth.as_ref().ok_or("the API takes no client credentials")?;
        let secret = self.secret.expose_secret();
        let mut pairs = vec![("grant_type", "client_credentials")];
        if oauth.client != ClientForm::Header {
            pairs.extend([("client_id", self.id.as_str()), ("client_secret", secret)]);
        }
        pairs.extend(oauth.scope.as_deref().map(|scope| ("scope", scope)));
        pairs.extend(oauth.audience.as_deref().map(|audience| ("audience", audience)));
        let basic = || Basic { user: self.id.clone(), password: self.secret.clone() };
        Ok(TokenRequest {
            endpoint: endpoint.to_owned(),
            endpoint_key,
            path: oauth.path.clone(),
            content_type: FORM,
            basic: (oauth.client != ClientForm::Body).then(basic),
            body: form(&pairs),
            read: read_oauth,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::provider::OAuth;

    #[test]
    fn client_credentials_go_to_the_api_s_own_endpoint_both_ways() {
        let client = ClientCredentials { id: "id".into(), secret: "s/+&".into() };
        let oauth = OAuth { path: "/iam/token".into(), scope: None, audience: None, client: ClientForm::Both };
        let endpoint = "https://api.example.com".to_owned();
        let iam_endpoint = Some("https://not.used".into());
        let token: Credential = ReadyToken("t".into()).into();
        let connection = Connection { endpoint, iam_endpoint, ca: None, credential: token };
        let sign_in = SignIn {
            methods: Cow::Borrowed(&["token", "clientCredentials"]),
            identity_service: None,
            scope: Scope::Account,
            oauth: Some(oauth),
        };
        let request = client.token_request(&connection, &sign_in).unwrap();
        assert_eq!(request.body.expose_secret(), "grant_type=client_credentials&client_id=id&client_secret=s%2F%2B%26");
        assert_eq!((request.endpoint.as_str(), &*request.path), ("https://api.example.com", "/iam/token"));
        assert_eq!(request.endpoint_key, "endpoint");
        let basic = request.basic.unwrap();
        assert_eq!((basic.user.as_str(), basic.password.expose_secret()), ("id", "s/+&"));
    }
}
