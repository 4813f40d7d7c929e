//! The clouds' APIs: one file each, and the table that joins them.
//!
//! A provider is a pure set of facts about one API: where it lives, what to ask and how to read the answer. To add one,
//! write its file and add its row to the table below; nothing else names a provider.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::sync::Arc;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::Json;
use crate::hosts::HostPattern;
use crate::observation::{
    ApiError, Listing, Member, Misread, Observation, OperationError, Reading, Request, State, SubJob, Target,
};

mod declared;
mod errors;
mod huawei_cloud;
mod job;
mod numspot;
mod open_telekom_cloud;
mod service_job;

pub use declared::Declared;
pub use service_job::JobService;

use errors::find_code;
pub(crate) use errors::{add_error, read_error};

/// How a ready token is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenHeader {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `X-Auth-Token: …` (OpenStack Keystone).
    XAuthToken,
    /// In a header of that name, in lower case, behind that prefix.
    Other {
        /// The header's name.
        name: Box<str>,
        /// What stands before the token.
        prefix: Box<str>,
    },
}

/// How a long-lived credential of this cloud becomes something its API accepts. A ready token always is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The sign-in methods that the cloud takes, by their names in `auth::methods`.
    pub methods: Cow<'static, [&'static str]>,
    /// What gives tokens; `None` where the API does so itself.
    pub identity_service: Option<IdentityService>,
    /// What a token, or a signed request, is for.
    pub scope: Scope,
    /// How OAuth's client credentials are exchanged, where the cloud takes them.
    pub oauth: Option<OAuth>,
}

/// How OAuth's client credentials become a token (RFC 6749, section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth {
    /// Path below the identity service's base URL.
    pub path: Cow<'static, str>,
    /// The scope to ask for.
    pub scope: Option<String>,
    /// The audience to ask for.
    pub audience: Option<String>,
    /// Where ID and secret of the client stand.
    pub client: ClientForm,
}

/// Where ID and secret of a client stand in the request for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientForm {
    /// In the header Authorization.
    Header,
    /// In the form.
    Body,
    /// In both.
    Both,
}

/// Where a cloud exchanges credentials for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityService {
    /// Its base URL; empty where only the Secret knows it.
    pub url: String,
    /// The domain that it shares with the APIs it serves. The credentials of an API elsewhere are not for it. Without one,
    /// those of a Secret that names the provider are.
    pub domain: Option<String>,
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

/// The name of a provider: its member's in the spec, or that of a declared one's profile, which no member has, as it has
/// no capitals.
pub trait Named {
    /// The name.
    fn name(&self) -> Cow<'static, str>;

    /// What changes whenever the facts do; none where they are built in.
    fn revision(&self) -> Option<&Arc<str>> {
        None
    }
}

/// The facts of one cloud API. Implemented by the structs that are its part of the CloudOperation's spec, and by a
/// profile with its parameters.
pub trait CloudApi: Named + Debug + Send + Sync {
    /// The cloud's name in messages.
    fn cloud(&self) -> &str;

    /// The vendor's own domains, whose services a credential may be sent to without further leave.
    fn domains(&self) -> &[&str];

    /// The hosts that its credentials go to at most, whatever else is allowed.
    fn hosts(&self) -> Option<&[HostPattern]> {
        None
    }

    /// How a token is sent.
    fn token_header(&self) -> TokenHeader;

    /// Headers that go with each request for an operation, by their names in lower case.
    fn headers(&self) -> &[(Box<str>, Box<str>)] {
        &[]
    }

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

    /// All that a page of that list holds.
    ///
    /// # Errors
    /// [`Misread`] when it is no page of this API's list.
    fn read_page(&self, _page: Json<'_>) -> Result<Listing, Misread> {
        Ok(Listing::default())
    }

    /// The page of that list that the header Link names, where the API has pages that are named so.
    fn next_page(&self, _link: &str) -> Option<Request> {
        None
    }

    /// Whose a 404 or 410 is.
    fn whose(&self, refusal: &ApiError) -> Whose;

    /// What to do where the path is unknown though the endpoint is right, for the message.
    fn unknown_path_advice(&self) -> Option<&'static str> {
        None
    }
}

/// What the reply says of the operation.
///
/// # Errors
/// [`Misread`] when it is not an answer about this operation.
pub fn interpret(api: &dyn CloudApi, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
    refuse_bare_value(reply)?;
    api.interpret(operation_id, reply)
}

/// What a page of the list says of the operation.
///
/// # Errors
/// [`Misread`] when the reply is not a page of the list.
pub fn find(api: &dyn CloudApi, operation_id: &str, page: Json<'_>) -> Result<Reading, Misread> {
    refuse_bare_value(page)?;
    api.find(operation_id, page)
}

/// All that a page of the list holds.
///
/// # Errors
/// [`Misread`] when the reply is not a page of the list.
pub fn read_page(api: &dyn CloudApi, page: Json<'_>) -> Result<Listing, Misread> {
    refuse_bare_value(page)?;
    api.read_page(page)
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

/// Every member of a list that has no further page, with the ID at `path` in each.
fn read_members<'a>(
    members: impl Iterator<Item = Json<'a>>,
    path: &str,
    read: impl Fn(Json<'a>) -> Result<Observation, Misread>,
) -> Listing {
    let id = |member: Json<'a>| member.get(path).and_then(Json::scalar).map(|id| id.trim().to_owned());
    let members = members.map(|member| Member { id: id(member).filter(|id| !id.is_empty()), reading: read(member) });
    Listing { members: members.collect(), next: None }
}

/// Whose a refusal is, where `is_service` tells the service's own codes.
pub(crate) fn whose(refusal: &ApiError, is_service: impl Fn(&str) -> bool) -> Whose {
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
pub(crate) fn bound_id(id: String) -> String {
    if id.len() <= LONGEST_ID {
        return id;
    }
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The IDs of the parts of one operation, each given once.
#[derive(Default)]
pub(crate) struct Ids {
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
    pub(crate) fn take(&mut self, id: &str) -> Result<(), usize> {
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
    pub(crate) fn make(&mut self, name: &str) -> String {
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

pub(crate) fn is_end(state: State) -> bool {
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
            #[serde(rename = "declared")] Declared(Declared),
        }

        impl Provider {
            /// Every member's name in the spec.
            pub const NAMES: &'static [&'static str] = &[$($name,)+ "declared"];

            /// The API, where it is built in; otherwise what names its profile.
            ///
            /// # Errors
            /// [`Declared`], where it is not built in.
            pub fn built_in(&self) -> Result<&dyn CloudApi, &Declared> {
                match self {
                    $(Self::$api(api) => Ok(api),)+
                    Self::Declared(declared) => Err(declared),
                }
            }

            /// As [`Named::name`] has it.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$api(_) => $name,)+
                    Self::Declared(declared) => &declared.profile,
                }
            }
        }

        $(impl Named for $api {
            fn name(&self) -> Cow<'static, str> {
                $name.into()
            }
        })+
    };
}

providers! {
    numspot_kubernetes NumspotKubernetes "numspotKubernetes",
    numspot_cluster NumspotCluster "numspotCluster",
    huawei_cce_upgrade HuaweiCceUpgrade "huaweiCceUpgrade",
    huawei_cce_job HuaweiCceJob "huaweiCceJob",
    huawei_ucs_federation HuaweiUcsFederation "huaweiUcsFederation",
    huawei_job HuaweiJob "huaweiJob",
    otc_cce_job OtcCceJob "otcCceJob",
    otc_job OtcJob "otcJob",
    sbercloud_openshift_task SbercloudOpenshiftTask "sbercloudOpenshiftTask",
}

#[cfg(test)]
mod tests;
