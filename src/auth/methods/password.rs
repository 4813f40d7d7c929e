//! A Keystone v3 user, exchanged for a token of a project or of the whole account:
//! <https://docs.openstack.org/api-ref/identity/v3/#password-authentication-with-scoped-authorization>.

use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::provider::Scope;
use crate::time::parse_time;

/// A Keystone v3 user.
#[derive(Clone, Debug)]
pub struct Password {
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: SecretString,
    /// `domainName`.
    pub domain_name: String,
}

impl Method for Password {
    const KEYS: &'static [&'static str] = &["username", "password", "domainName"];

    fn is_for(sign_in: &SignIn) -> bool {
        matches!(sign_in, SignIn::Keystone { .. })
    }

    fn read(keys: Keys<'_>, _: &Provider) -> Result<Self, PollFailure> {
        Ok(Self {
            username: keys.required("username")?.to_owned(),
            password: keys.secret("password")?,
            domain_name: keys.required("domainName")?.to_owned(),
        })
    }

    fn label(&self) -> &'static str {
        "username, password and domainName"
    }

    fn secrets(&self) -> Vec<&SecretString> {
        vec![&self.password]
    }

    fn identity(&self) -> Vec<Option<&str>> {
        vec![Some(&self.username), Some(&self.domain_name)]
    }

    fn prove(&self, subject: &Subject<'_>) -> Result<Proof, String> {
        let SignIn::Keystone { iam, scope } = subject.sign_in else {
            return Err("this cloud takes no user".into());
        };
        let Self { username, password, domain_name } = self;
        let scope = match scope {
            Scope::Project(id) => json!({"project": {"id": id}}),
            Scope::Domain => json!({"domain": {"name": domain_name}}),
        };
        let user = json!({"name": username, "password": password.expose_secret(), "domain": {"name": domain_name}});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        // Its usual spelling, as in OpenStack's OS_AUTH_URL, ends in the version.
        let endpoint = subject.connection.iam_endpoint.as_deref().unwrap_or(iam);
        Ok(Proof::SignIn(Box::new(TokenRequest {
            endpoint: endpoint.trim_end_matches('/').trim_end_matches("/v3").to_owned(),
            endpoint_key: "iamEndpoint",
            path: "/v3/auth/tokens?nocatalog=true",
            content_type: JSON,
            basic: None,
            body: json!({"auth": {"identity": identity, "scope": scope}}).to_string().into(),
            read,
        })))
    }

    fn hint(&self) -> &'static str {
        "; a user who needs a second factor cannot sign in so: use accessKey and secretKey"
    }
}

/// The token is a header; its life is told by the cloud's clock, which is not ours.
fn read(reply: &TokenReply<'_>) -> Result<Granted, String> {
    let token = reply.subject_token.ok_or("the reply has no header X-Subject-Token")?;
    let time = |path: &str| reply.body.get(path).and_then(Json::text).and_then(parse_time);
    let issued = time("token.issued_at").or(reply.date);
    let life = time("token.expires_at").zip(issued).map(|(end, issued)| end.duration_since(issued));
    Ok((token.to_owned(), life.and_then(|life| Duration::try_from(life).ok())))
}
