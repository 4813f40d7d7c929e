//! A Keystone v3 user: <https://support.huaweicloud.com/intl/en-us/api-iam/iam_30_0001.html>.

use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::auth::token_request::{JSON, read_keystone};

pub(super) const METHOD: Method =
    Method { name: "keystonePassword", keys: &["username", "password", "domainName"], optional: &[], read };

/// A Keystone v3 user.
#[derive(Debug)]
pub struct KeystonePassword {
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: SecretString,
    /// `domainName`.
    pub domain_name: String,
}

fn read(keys: &SecretKeys) -> Result<Credential, PollFailure> {
    let user = KeystonePassword {
        username: keys.required("username")?.to_owned(),
        password: keys.secret("password")?,
        domain_name: keys.required("domainName")?.to_owned(),
    };
    Ok(user.into())
}

impl Authenticate for KeystonePassword {
    fn keys(&self) -> &'static str {
        "username, password and domainName"
    }

    fn secrets(&self) -> Vec<&SecretString> {
        vec![&self.password]
    }

    fn identity(&self) -> Vec<Option<&str>> {
        vec![Some(&self.username), Some(&self.domain_name)]
    }

    fn proof(&self) -> Proof<'_> {
        Proof::SignIn(self)
    }

    fn advice(&self) -> Option<&'static str> {
        Some("a user who needs a second factor cannot sign in so: use accessKey and secretKey")
    }
}

impl RequestToken for KeystonePassword {
    fn token_request(&self, connection: &Connection, sign_in: &SignIn) -> Result<TokenRequest, String> {
        let domain = json!({"name": self.domain_name});
        let scope = match &sign_in.scope {
            Scope::Project(id) => json!({"project": {"id": id}}),
            Scope::Account => json!({"domain": domain}),
        };
        let user = json!({"name": self.username, "password": self.password.expose_secret(), "domain": domain});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let (endpoint, endpoint_key) = connection.token_endpoint(sign_in);
        Ok(TokenRequest {
            // Its usual spelling, as in OpenStack's OS_AUTH_URL, ends in the version.
            endpoint: endpoint.trim_end_matches('/').trim_end_matches("/v3").to_owned(),
            endpoint_key,
            path: "/v3/auth/tokens?nocatalog=true".into(),
            content_type: JSON,
            basic: None,
            body: json!({"auth": {"identity": identity, "scope": scope}}).to_string().into(),
            read: read_keystone,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::provider::IdentityService;

    #[rstest::rstest]
    #[case(Scope::Project("p1".into()), None, "https://iam.example.com", r#"{"project":{"id":"p1"}}"#)]
    #[case(Scope::Account, None, "https://iam.example.com", r#"{"domain":{"name":"d"}}"#)]
    #[case(Scope::Account, Some("https://iam.other/v3/"), "https://iam.other", r#"{"domain":{"name":"d"}}"#)]
    fn a_password_asks_for_the_scope_of_the_service(
        #[case] scope: Scope,
        #[case] iam: Option<&str>,
        #[case] host: &str,
        #[case] scope_sent: &str,
    ) {
        let user = KeystonePassword { username: "u".into(), password: "p\"&".into(), domain_name: "d".into() };
        let service = IdentityService { url: "https://iam.example.com".into(), domain: Some("example.com".into()) };
        let sign_in = SignIn {
            methods: Cow::Borrowed(&["token", "keystonePassword"]),
            identity_service: Some(service),
            scope,
            oauth: None,
        };
        let endpoint = "https://api.example.com".to_owned();
        let token: Credential = ReadyToken("t".into()).into();
        let connection = Connection { endpoint, iam_endpoint: iam.map(Into::into), ca: None, credential: token };
        let request = user.token_request(&connection, &sign_in).unwrap();
        let user = r#"{"domain":{"name":"d"},"name":"u","password":"p\"&"}"#;
        let identity = format!(r#"{{"methods":["password"],"password":{{"user":{user}}}}}"#);
        let expected = format!(r#"{{"auth":{{"identity":{identity},"scope":{scope_sent}}}}}"#);
        assert_eq!(format!("{}{}", request.endpoint, request.path), format!("{host}/v3/auth/tokens?nocatalog=true"));
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(request.body.expose_secret()), parse(&expected));
    }
}
