//! Where tokens come from: NumSpot's OAuth 2 client credentials, Keystone v3 (Huawei, OTC), and two generations of
//! Cloud.ru's.

use aws_lc_rs::rand;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Refusal;
use crate::{
    account::Account,
    http::{Reply, Request},
    world::{Reach, World},
};

/// How NumSpot's sign-in reads a Basic header: the ID, a colon and the secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BasicHeader {
    /// As they are.
    Raw,
    /// Each encoded as a form has it: RFC 6749 2.3.1.
    #[default]
    FormEncoded,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SignIn {
    /// <https://docs.numspot.com/docs/iam/concepts/api>
    Numspot,
    /// <https://support.huaweicloud.com/intl/en-us/api-iam/iam_30_0001.html>
    Keystone,
    /// Which versions Keystone speaks: what OpenStack's clients ask first, without a token.
    /// <https://docs.otc.t-systems.com/identity-access-management/api-ref/apis/version_information_management/>
    KeystoneVersion,
    /// <https://cloud.ru/docs/console_api/ug/topics/guides__auth_api>
    Cloudru,
    /// The form that Cloud.ru took before.
    CloudruForm,
    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
    Entra,
}

pub(super) fn locate(segments: &[&str]) -> Option<SignIn> {
    match segments {
        ["iam", "token"] => Some(SignIn::Numspot),
        ["v3", "auth", "tokens"] => Some(SignIn::Keystone),
        ["v3"] => Some(SignIn::KeystoneVersion),
        ["api", "v1", "auth", "token"] => Some(SignIn::Cloudru),
        [_, "oauth2", "v2.0", "token"] => Some(SignIn::Entra),
        ["auth", "system", "openid", "token"] => Some(SignIn::CloudruForm),
        _ => None,
    }
}

impl SignIn {
    /// Whether its replies carry `X-Request-Id`, as Huawei's do.
    pub(super) fn numbers_replies(self) -> bool {
        matches!(self, Self::Keystone | Self::KeystoneVersion)
    }

    pub(super) fn refuse(self, refusal: &Refusal) -> Reply {
        let (status, name, message) = match refusal {
            Refusal::NoSuchPath => (404, "not_found", "Not Found"),
            Refusal::NoSuchMethod => (405, "invalid_request", "Method Not Allowed"),
            Refusal::BadRequest(why) => (400, "invalid_request", *why),
            Refusal::Forbidden => (403, "access_denied", "Forbidden"),
            Refusal::Echo(sent) => (403, "access_denied", sent.as_str()),
            Refusal::Throttled { status, .. } => (*status, "slow_down", "Too many requests"),
            Refusal::Broken { status } => (*status, "server_error", "Internal error"),
            Refusal::Unauthenticated | Refusal::ClockSkew | Refusal::Unknown => {
                (401, "invalid_client", "Invalid credentials")
            }
        };
        let body = match self {
            Self::Numspot | Self::Entra => json!({"error": name, "error_description": message}),
            Self::Keystone | Self::KeystoneVersion if status == 429 => {
                json!({"error_code": "IAM.0012", "error_msg": message})
            }
            Self::Keystone | Self::KeystoneVersion => {
                json!({"error": {"code": status, "message": message, "title": name}})
            }
            Self::Cloudru | Self::CloudruForm => json!({"error": message}),
        };
        Reply::json(status, &body)
    }

    pub(super) fn reply(self, world: &mut World, request: &Request, now: Timestamp) -> Result<Reply, Refusal> {
        let method = if self == Self::KeystoneVersion { "GET" } else { "POST" };
        if request.method != method {
            return Err(Refusal::NoSuchMethod);
        }
        match self {
            Self::KeystoneVersion => Ok(keystone_version(request)),
            Self::Numspot => numspot(world, request, now),
            Self::Entra => entra(world, request, now),
            Self::Keystone => keystone(world, request, now),
            Self::Cloudru => {
                let body = json_body(request)?;
                let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
                cloudru(world, &text("keyId"), &text("secret"), now)
            }
            Self::CloudruForm => {
                let form = Form::read(request)?;
                match form.get("grant_type") {
                    Some("access_key" | "client_credentials") => {}
                    _ => return Err(Refusal::BadRequest("grant_type is not supported")),
                }
                let field = |name| form.get(name).unwrap_or_default();
                cloudru(world, field("client_id"), field("client_secret"), now)
            }
        }
    }
}

/// The credentials come in a Basic header, in the form, or in both.
fn numspot(world: &mut World, request: &Request, now: Timestamp) -> Result<Reply, Refusal> {
    let form = Form::read(request)?;
    if form.get("grant_type") != Some("client_credentials") {
        return Err(Refusal::BadRequest("grant_type is not supported"));
    }
    let (id, secret) = match (basic(request, world.basic_header), form.get("client_id"), form.get("client_secret")) {
        (Some(pair), ..) => pair,
        (None, Some(id), Some(secret)) => (id.to_owned(), secret.to_owned()),
        _ => return Err(Refusal::Unauthenticated),
    };
    let account = find(world, &id, &secret)?;
    let (token, _, seconds) = mint(world, &account, 3600, Reach::Everything, now)?;
    Ok(Reply::json(200, &json!({"access_token": token, "expires_in": seconds, "token_type": "Bearer"})))
}

/// As NumSpot's, with a scope that names a resource, and one way of sending the credentials, not both.
fn entra(world: &mut World, request: &Request, now: Timestamp) -> Result<Reply, Refusal> {
    let form = Form::read(request)?;
    if !form.get("scope").is_some_and(|scope| scope.ends_with("/.default")) {
        return Err(Refusal::BadRequest("scope must end in /.default"));
    }
    if request.header("authorization").is_some() && form.get("client_secret").is_some() {
        return Err(Refusal::BadRequest("more than one way of sending the credentials"));
    }
    numspot(world, request, now)
}

fn keystone_version(request: &Request) -> Reply {
    let version = json!({
        "id": "v3.6",
        "status": "stable",
        "updated": "2016-04-04T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/v3/", origin(request))}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    });
    Reply::json(200, &json!({"version": version}))
}

/// The simulator's own address, as the client knows it.
fn origin(request: &Request) -> String {
    format!("https://{}", request.header("host").unwrap_or_default())
}

fn keystone(world: &mut World, request: &Request, now: Timestamp) -> Result<Reply, Refusal> {
    let body = json_body(request)?;
    let identity = &body["auth"]["identity"];
    if identity["methods"] != json!(["password"]) {
        return Err(Refusal::BadRequest("auth.identity.methods must be [\"password\"]"));
    }
    let user = &identity["password"]["user"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let account = find(world, &text(&user["name"]), &text(&user["password"]))?;
    let domain = account.credential.as_ref().map_or("", |credential| &credential.domain);
    if !domain.is_empty() && user["domain"]["name"] != domain {
        return Err(Refusal::Unauthenticated);
    }
    let scope = &body["auth"]["scope"];
    let mut token = json!({"methods": ["password"], "user": {"name": user["name"]}, "roles": []});
    // Where both are given, the project wins.
    let reach = if let Some(project) = scope["project"]["id"].as_str() {
        if !account.sees(project) {
            return Err(Refusal::Forbidden);
        }
        token["project"] = json!({"id": project});
        Reach::Project(project.to_owned())
    } else if scope.get("project").is_some() {
        return Err(Refusal::BadRequest("the simulator knows projects by auth.scope.project.id only"));
    } else {
        token["domain"] = json!({"name": domain});
        Reach::Domain
    };
    let (secret, expires, _) = mint(world, &account, 24 * 3600, reach, now)?;
    let micros = |at: Timestamp| json!(at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
    if !request.path_and_query.contains("nocatalog=") {
        // The one service that clients look up here; they add the path to its bare address.
        let endpoint = json!({"id": "cce", "interface": "public", "region": "eu-de", "region_id": "eu-de",
                              "url": origin(request)});
        token["catalog"] = json!([{"id": "cce", "name": "ccev2.0", "type": "ccev2.0", "endpoints": [endpoint]}]);
    }
    token["issued_at"] = micros(now);
    token["expires_at"] = micros(expires);
    Ok(Reply::json(201, &json!({"token": token})).header("X-Subject-Token", secret))
}

fn cloudru(world: &mut World, id: &str, secret: &str, now: Timestamp) -> Result<Reply, Refusal> {
    let account = find(world, id, secret)?;
    let (token, _, seconds) = mint(world, &account, 3600, Reach::Everything, now)?;
    Ok(Reply::json(
        200,
        &json!({
            "access_token": token,
            "id_token": "",
            "refresh_token": "",
            "expires_in": seconds,
            "refresh_expires_in": 0,
            "scopes": ["openid profile email roles"],
            "token_type": "Bearer",
            "not_before": 0,
        }),
    ))
}

fn find(world: &World, id: &str, secret: &str) -> Result<Account, Refusal> {
    world
        .accounts
        .iter()
        .find(|account| {
            let known = account.credential.as_ref();
            known.is_some_and(|known| known.id == id && known.secret == secret)
        })
        .cloned()
        .ok_or(Refusal::Unauthenticated)
}

/// A new token, when it ends, and its life in seconds.
fn mint(
    world: &mut World,
    account: &Account,
    default_seconds: u64,
    reach: Reach,
    now: Timestamp,
) -> Result<(String, Timestamp, u64), Refusal> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Refusal::Broken { status: 500 })?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let seconds = account.token_lifetime.map_or(default_seconds, |lifetime| lifetime.as_secs());
    let life = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let expires = now.checked_add(life).unwrap_or(Timestamp::MAX);
    world.mint(&account.name, token.clone(), expires, reach);
    Ok((token, expires, seconds))
}

fn basic(request: &Request, form: BasicHeader) -> Option<(String, String)> {
    let encoded = request.header("authorization")?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some(match form {
        BasicHeader::Raw => (id.to_owned(), secret.to_owned()),
        BasicHeader::FormEncoded => (decode(id)?, decode(secret)?),
    })
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}

fn json_body(request: &Request) -> Result<Value, Refusal> {
    let json = request.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if !json {
        return Err(Refusal::BadRequest("Content-Type must be application/json"));
    }
    serde_json::from_slice(&request.body).map_err(|_| Refusal::BadRequest("the body is not JSON"))
}

struct Form(Vec<(String, String)>);

impl Form {
    fn read(request: &Request) -> Result<Self, Refusal> {
        let form =
            request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if !form {
            return Err(Refusal::BadRequest("Content-Type must be application/x-www-form-urlencoded"));
        }
        Ok(Self(form_urlencoded::parse(&request.body).into_owned().collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let Self(fields) = self;
        fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
