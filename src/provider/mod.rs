//! The clouds' APIs: one file each, and the table that joins them.
//!
//! A provider is a pure set of facts about one API: where it lives, what to ask and how to read the answer. To add one,
//! write its file and add its row to the table below; nothing else names a provider.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::Json;
use crate::observation::{ApiError, Misread, Observation, OperationError, Reading, Request, State, SubJob, Target};

mod errors;
mod job;

use errors::{add_error, find_code, read_error};

/// How a ready token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenHeader {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `X-Auth-Token: …` (OpenStack Keystone).
    XAuthToken,
}

/// How a long-lived credential of this cloud becomes something its API accepts. A ready token always is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The sign-in methods that the cloud takes beside a ready token, by their names in `auth::methods`.
    pub methods: &'static [&'static str],
    /// What gives tokens; `None` where the API does so itself.
    pub identity_service: Option<IdentityService>,
    /// What a token, or a signed request, is for.
    pub scope: Scope,
}

/// Where a cloud exchanges credentials for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityService {
    /// Its base URL.
    pub url: String,
    /// The domain that it shares with the APIs it serves. The credentials of an API elsewhere are not for it.
    pub domain: String,
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The project with this ID.
    Project(String),
    /// The whole account (a domain, in Keystone's words), for services that are no project's.
    Account,
}

/// Whose answer a 404 or 410 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Surely the service's: it does not know the operation.
    Service,
    /// Surely a gateway's: it does not know the path, so the endpoint is wrong.
    Gateway,
    /// Neither is sure.
    Unclear,
}

/// The facts of one cloud API. Implemented by the struct that is its part of the CloudOperation's spec.
pub trait CloudApi {
    /// The cloud's name in messages.
    const CLOUD: &'static str;
    /// The vendor's own domains, whose hosts (and subdomains) a credential may be sent to without further leave.
    const DOMAINS: &'static [&'static str];
    /// How a token is sent.
    const TOKEN_HEADER: TokenHeader;

    /// The base URL of the API, where it follows from the spec; otherwise the Secret must hold `endpoint`.
    fn endpoint(&self) -> Option<String>;

    /// How long-lived credentials sign in.
    fn sign_in(&self) -> SignIn;

    /// What to ask for the operation.
    fn request(&self, operation_id: &str) -> Request;

    /// What the reply says of the operation.
    ///
    /// # Errors
    /// [`Misread`] when it is not this API's answer about this operation.
    fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread>;

    /// What to ask for all operations of the collection that the operation is in: the first page of its list. `None`
    /// where the API has no list of them.
    fn list(&self) -> Option<Request> {
        None
    }

    /// What a page of that list says of the operation.
    ///
    /// # Errors
    /// [`Misread`] when it is no page of this API's list, or the operation in it cannot be read.
    fn find(&self, _operation_id: &str, _page: Json<'_>) -> Result<Reading, Misread> {
        Ok(Reading::Absent)
    }

    /// Whose a 404 or 410 is.
    fn whose(refusal: &ApiError) -> Whose;

    /// What to do where the path is unknown though the endpoint is right, for the message.
    fn unknown_path_advice(&self) -> Option<&'static str> {
        None
    }
}

fn refuse_bare_value(reply: Json<'_>) -> Result<(), Misread> {
    match reply.is_object() || reply.is_array() {
        true => Ok(()),
        false => Err(Misread("the reply is neither a JSON object nor an array".into())),
    }
}

/// The word for a state, without the spaces around it; `field` is its place, for the message.
fn read_state_word<'a>(value: Option<Json<'a>>, field: &str) -> Result<&'a str, Misread> {
    let word = value.and_then(Json::text).map(str::trim).unwrap_or_default();
    if word.is_empty() { Err(Misread::field(field)) } else { Ok(word) }
}

/// Refuses a reply whose own ID at `path` is another than the one asked for. No ID is no contradiction.
fn check_id(operation_id: &str, reply: Json<'_>, path: &str) -> Result<(), Misread> {
    let Some(id) = reply.get(path) else { return Ok(()) };
    let id = id.scalar().ok_or_else(|| Misread::field(path))?.trim();
    if id.is_empty() || id.eq_ignore_ascii_case(operation_id) {
        Ok(())
    } else {
        Err(Misread(format!("the reply is about another operation, {id}")))
    }
}

/// The members of the list that stands under one of `keys`; null is an empty list.
fn read_list<'a>(page: Json<'a>, keys: &[&str]) -> Result<impl Iterator<Item = Json<'a>>, Misread> {
    let list = keys.iter().find_map(|key| page.get(key).filter(|list| list.is_array()));
    if list.is_none() && !keys.iter().any(|key| page.has_null(key)) {
        return Err(Misread::field(keys.first().copied().unwrap_or_default()));
    }
    Ok(list.into_iter().flat_map(Json::items))
}

/// The member of a list whose ID, at `path` in each, is the one asked for.
fn find_by_id<'a>(operation_id: &str, mut members: impl Iterator<Item = Json<'a>>, path: &str) -> Option<Json<'a>> {
    members.find(|member| {
        let id = member.get(path).and_then(Json::scalar);
        id.is_some_and(|id| id.trim().eq_ignore_ascii_case(operation_id))
    })
}

/// The observation of a list's member, if it was found in the list, which has no further page.
fn read_found(
    found: Option<Json<'_>>,
    read: impl FnOnce(Json<'_>) -> Result<Observation, Misread>,
) -> Result<Reading, Misread> {
    Ok(match found.map(read) {
        Some(Ok(observation)) => Reading::Found(Box::new(observation)),
        Some(Err(misread)) => Reading::Unreadable(misread),
        None => Reading::Absent,
    })
}

/// Whose a refusal is, where `is_service` tells the service's own codes.
fn whose(refusal: &ApiError, is_service: impl Fn(&str) -> bool) -> Whose {
    // What answers for a path that nothing stands behind: Huawei's gateway, frameworks and ingresses (a problem whose
    // type is a section of HTTP's RFC, or none), and pages that are no JSON.
    const GATEWAYS: &[&str] =
        &["APIGW.", "https://tools.ietf.org/html/rfc", "https://www.rfc-editor.org/rfc", "about:"];
    let is_bare = |message: &str| {
        const BARE: &[&str] =
            &["not found", "api not found", "page not found", "404 page not found", "no route matched"];
        let message = message.to_ascii_lowercase();
        BARE.contains(&message.as_str()) || message.starts_with("no route matched")
    };
    match (refusal.code.as_deref(), refusal.message.as_deref()) {
        (Some(code), _) if is_service(code) => Whose::Service,
        (Some(code), _) if GATEWAYS.iter().any(|gateway| code.starts_with(gateway)) => Whose::Gateway,
        (None, None) => Whose::Gateway,
        (None, Some(message)) if is_bare(message) => Whose::Gateway,
        _ => Whose::Unclear,
    }
}

/// The longest ID of a part that is kept as it is: an ID stands once in a reply, but is copied for each child.
const LONGEST_ID: usize = 512;

/// An ID of a part, or what stands for one that is too long: its digest, as what it begins with may be half a secret.
fn bound_id(id: String) -> String {
    if id.len() <= LONGEST_ID {
        return id;
    }
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The IDs of the parts of one operation, each given once.
#[derive(Default)]
struct Ids {
    /// With the number of the part in the order in which they came.
    numbers: HashMap<String, usize>,
    /// How many parts without an ID have each name.
    names: HashMap<String, usize>,
}

impl Ids {
    /// Takes the cloud's own ID.
    ///
    /// # Errors
    /// The number of the part that has it already.
    fn take(&mut self, id: &str) -> Result<(), usize> {
        let number = self.numbers.len();
        match self.numbers.entry(id.to_owned()) {
            Entry::Occupied(known) => Err(*known.get()),
            Entry::Vacant(place) => {
                place.insert(number);
                Ok(())
            }
        }
    }

    /// Makes an ID for a part without one from its name and, where others have that name, its place among them.
    fn make(&mut self, name: &str) -> String {
        loop {
            let place = self.names.entry(name.to_owned()).or_default();
            *place += 1;
            let id = if *place == 1 { name.to_owned() } else { format!("{name}#{place}") };
            if self.take(&id).is_ok() {
                return id;
            }
        }
    }
}

fn is_end(state: State) -> bool {
    matches!(state, State::Succeeded | State::Failed | State::Cancelled)
}

macro_rules! providers {
    ($($module:ident $api:ident $name:literal),+ $(,)?) => {
        $(mod $module; pub use $module::$api;)+

        /// The API that knows the operation: exactly one member.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[expect(missing_docs, reason = "each member's documentation is that of its struct, in the schema too")]
        pub enum Provider {
            $(#[serde(rename = $name)] $api($api),)+
        }

        impl Provider {
            /// Every member's name in the spec.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// Each provider's own domains.
            pub const DOMAINS: &'static [&'static [&'static str]] = &[$(<$api as CloudApi>::DOMAINS),+];

            /// The member's name in the spec.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$api(_) => $name,)+ }
            }

            /// See [`CloudApi::CLOUD`].
            pub fn cloud(&self) -> &'static str {
                match self { $(Self::$api(_) => <$api as CloudApi>::CLOUD,)+ }
            }

            /// See [`CloudApi::DOMAINS`].
            pub fn domains(&self) -> &'static [&'static str] {
                match self { $(Self::$api(_) => <$api as CloudApi>::DOMAINS,)+ }
            }

            /// See [`CloudApi::TOKEN_HEADER`].
            pub fn token_header(&self) -> TokenHeader {
                match self { $(Self::$api(_) => <$api as CloudApi>::TOKEN_HEADER,)+ }
            }

            /// See [`CloudApi::endpoint`].
            pub fn endpoint(&self) -> Option<String> {
                match self { $(Self::$api(api) => api.endpoint(),)+ }
            }

            /// See [`CloudApi::sign_in`].
            pub fn sign_in(&self) -> SignIn {
                match self { $(Self::$api(api) => api.sign_in(),)+ }
            }

            /// See [`CloudApi::request`].
            pub fn request(&self, operation_id: &str) -> Request {
                match self { $(Self::$api(api) => api.request(operation_id),)+ }
            }

            /// See [`CloudApi::interpret`].
            ///
            /// # Errors
            /// [`Misread`] when the reply is not an answer about this operation.
            pub fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
                refuse_bare_value(reply)?;
                match self { $(Self::$api(api) => api.interpret(operation_id, reply),)+ }
            }

            /// See [`CloudApi::list`].
            pub fn list(&self) -> Option<Request> {
                match self { $(Self::$api(api) => api.list(),)+ }
            }

            /// See [`CloudApi::find`].
            ///
            /// # Errors
            /// [`Misread`] when the reply is not a page of the list, or the operation in it cannot be read.
            pub fn find(&self, operation_id: &str, page: Json<'_>) -> Result<Reading, Misread> {
                refuse_bare_value(page)?;
                match self { $(Self::$api(api) => api.find(operation_id, page),)+ }
            }

            /// See [`CloudApi::whose`].
            pub fn whose(&self, refusal: &ApiError) -> Whose {
                match self { $(Self::$api(_) => <$api as CloudApi>::whose(refusal),)+ }
            }

            /// See [`CloudApi::unknown_path_advice`].
            pub fn unknown_path_advice(&self) -> Option<&'static str> {
                match self { $(Self::$api(api) => api.unknown_path_advice(),)+ }
            }
        }
    };
}

providers! {
    numspot_kubernetes NumspotKubernetes "numspotKubernetes",
    huawei_cce_upgrade HuaweiCceUpgrade "huaweiCceUpgrade",
    huawei_ucs_federation HuaweiUcsFederation "huaweiUcsFederation",
    otc_cce_job OtcCceJob "otcCceJob",
    sbercloud_openshift_task SbercloudOpenshiftTask "sbercloudOpenshiftTask",
}

#[cfg(test)]
mod tests;
