//! Operations described, not coded: what an OperationProfile says, as a [`CloudApi`]. Pure.
//!
//! [`compile`] checks what was written, [`examples`] reads its examples, [`Bound`] is a profile with the parameters of one
//! CloudOperation, which the rest of the code cannot tell from an API that is built in.

mod compile;
mod examples;
mod path;
mod read;
mod template;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use regex::Regex;
use url::Url;

use crate::document::Json;
use crate::hosts::HostPattern;
use crate::observation::{ApiError, Listing, Member, Misread, Reading, Request};
use crate::provider::{
    ClientForm, CloudApi, Declared, IdentityService, Named, OAuth, Scope, SignIn, TokenHeader, Whose, whose,
};

pub use compile::{compile, warnings};
pub use examples::{Mismatch, check_example};
use path::Path;
use read::Reader;
use template::{OPERATION_ID, Template};
pub use verdict::{Refusal, judge, status};
use words::Glob;

/// The longest value of a parameter, in bytes.
const LONGEST_VALUE: usize = 253;

/// Parameters of a query, by name.
type Query = Box<[(Box<str>, Template)]>;
/// Headers, by their names in lower case.
type Headers = Box<[(Box<str>, Box<str>)]>;

/// A profile that can be used.
#[derive(Clone, Debug)]
pub struct Profile {
    name: Box<str>,
    cloud: Box<str>,
    /// Any that the controller allows where there are none.
    hosts: Option<Vec<HostPattern>>,
    endpoint: Option<Template>,
    auth: SignInWays,
    parameters: BTreeMap<Box<str>, Parameter>,
    operation_id: Option<Parameter>,
    /// Whether there is no request for one operation, only that of the list.
    is_of_many: bool,
    path: Template,
    query: Query,
    headers: Headers,
    item: Option<Path>,
    list: Option<List>,
    identity: Identity,
    not_found: Option<(Vec<Glob>, Vec<Glob>)>,
    reader: Reader,
}

#[derive(Clone, Debug)]
struct Parameter {
    pattern: Option<Regex>,
    pattern_text: Option<Box<str>>,
    description: Option<Box<str>>,
    default: Option<Box<str>>,
}

#[derive(Clone, Debug)]
struct SignInWays {
    methods: Vec<&'static str>,
    token_header: TokenHeader,
    exchange: Option<Exchange>,
}

/// How credentials become a token.
#[derive(Clone, Debug)]
enum Exchange {
    OAuth { token_url: Template, scope: Option<String>, audience: Option<String>, client: ClientForm },
    Keystone { url: Option<Template>, project: Option<Template> },
    Key { url: Template },
}

impl SignInWays {
    /// The addresses that credentials are sent to.
    fn addresses(&self) -> Option<&Template> {
        match self.exchange.as_ref()? {
            Exchange::OAuth { token_url: url, .. } | Exchange::Key { url } => Some(url),
            Exchange::Keystone { url, .. } => url.as_ref(),
        }
    }

    fn project(&self) -> Option<&Template> {
        match self.exchange.as_ref()? {
            Exchange::Keystone { project, .. } => project.as_ref(),
            Exchange::OAuth { .. } | Exchange::Key { .. } => None,
        }
    }
}

#[derive(Clone, Debug)]
struct List {
    path: Template,
    query: Query,
    items: Path,
    next: Option<NextPage>,
}

impl List {
    fn items_of<'a>(&self, page: Json<'a>) -> Result<Json<'a>, Misread> {
        let items = self.items.follow(page).filter(|items| items.is_array() || items.is_object());
        items.ok_or_else(|| Misread::field(&self.items.to_string()))
    }
}

/// How the next page of a list is asked for.
#[derive(Clone, Debug)]
enum NextPage {
    Token { path: Path, query: Box<str> },
    LinkHeader,
}

#[derive(Clone, Debug)]
struct Identity {
    path: Path,
    is: Template,
}

impl Profile {
    /// The profile for one operation.
    ///
    /// # Errors
    /// What of `operation_id` and the parameters does not fit the profile, naming the field.
    pub fn bind<'a>(self: &Arc<Self>, declared: &'a Declared, operation_id: &str) -> Result<Bound<'a>, String> {
        let bound = self.bind_to_all(declared)?;
        if let Some(rule) = &self.operation_id {
            rule.check("spec.operationId", operation_id, &self.name)?;
        }
        Ok(bound)
    }

    /// The profile for whichever operations its list has.
    ///
    /// # Errors
    /// What of the parameters does not fit the profile, naming the field.
    pub fn bind_to_all<'a>(self: &Arc<Self>, declared: &'a Declared) -> Result<Bound<'a>, String> {
        let name = &self.name;
        for given in declared.parameters.keys() {
            if !self.parameters.contains_key(given) {
                let known = self.parameters.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "none".to_owned() } else { known };
                return Err(format!(
                    "spec.provider.declared.parameters.{given}: profile {name} has no such parameter ({known})"
                ));
            }
        }
        for (parameter, rule) in &self.parameters {
            let field = format!("spec.provider.declared.parameters.{parameter}");
            match declared.parameters.get(parameter).or(rule.default.as_ref()) {
                None => {
                    let what = rule.description.as_deref().map(|what| format!(" ({what})")).unwrap_or_default();
                    return Err(format!("{field}: is missing; profile {name} wants it{what}"));
                }
                Some(value) => rule.check(&field, value, name)?,
            }
        }
        let bound = self.for_reading(declared);
        let addresses = self.endpoint.iter().chain(self.auth.addresses());
        for label in addresses.flat_map(Template::parameters) {
            let value = bound.value(label);
            let is_label = value.len() <= 63
                && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !value.starts_with('-')
                && !value.ends_with('-');
            if !is_label {
                return Err(format!(
                    "spec.provider.declared.parameters.{label}: {value:?} cannot be a part of a host's name or of an \
                     address: letters, digits and '-' can"
                ));
            }
        }
        Ok(bound)
    }

    /// The name of the cloud in messages.
    pub fn cloud(&self) -> &str {
        &self.cloud
    }

    /// The ID of the operation that a reply is about, where it says one.
    pub fn identify(&self, reply: Json<'_>) -> Option<String> {
        let item = match &self.item {
            Some(path) => path.follow(reply)?,
            None => reply,
        };
        self.identity.path.scalar(item).map(str::to_owned)
    }

    /// A value for each parameter, where only its place matters.
    pub fn sample_parameters(&self) -> BTreeMap<Box<str>, Box<str>> {
        let sample = |rule: &Parameter| rule.default.clone().unwrap_or_else(|| "x".into());
        self.parameters.iter().map(|(name, rule)| (name.clone(), sample(rule))).collect()
    }

    /// The profile with whatever parameters, for reading a reply.
    pub fn for_reading<'a>(self: &Arc<Self>, declared: &'a Declared) -> Bound<'a> {
        Bound { profile: Arc::clone(self), parameters: &declared.parameters, revision: None }
    }
}

impl Parameter {
    fn check(&self, field: &str, value: &str, profile: &str) -> Result<(), String> {
        if value.is_empty() || value.len() > LONGEST_VALUE || value.chars().any(char::is_control) {
            return Err(format!("{field}: must be one line of 1 to {LONGEST_VALUE} bytes"));
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_match(value) => {
                let pattern = self.pattern_text.as_deref().unwrap_or_default();
                let what = self.description.as_deref().map(|what| format!(" ({what})")).unwrap_or_default();
                Err(format!("{field}: {value:?} does not match {pattern}, which profile {profile} wants{what}"))
            }
            _ => Ok(()),
        }
    }
}

/// A profile with the parameters of one operation.
#[derive(Clone)]
pub struct Bound<'a> {
    profile: Arc<Profile>,
    parameters: &'a BTreeMap<Box<str>, Box<str>>,
    revision: Option<Arc<str>>,
}

impl fmt::Debug for Bound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("profile", &self.profile.name).field("parameters", &self.parameters).finish()
    }
}

impl Bound<'_> {
    /// The same, of that revision of the profile.
    #[must_use]
    pub fn at(self, revision: Arc<str>) -> Self {
        Self { revision: Some(revision), ..self }
    }

    fn value<'s>(&'s self, name: &str) -> &'s str {
        let given = self.parameters.get(name).map(|value| &**value);
        let default = || self.profile.parameters.get(name)?.default.as_deref();
        given.or_else(default).unwrap_or_default()
    }

    fn fill(&self, template: &Template, operation_id: &str) -> String {
        template.fill(|name| if name == OPERATION_ID { operation_id } else { self.value(name) })
    }

    fn ask(&self, path: &Template, query: &[(Box<str>, Template)], operation_id: &str) -> Request {
        let path = path.fill_path(|name| if name == OPERATION_ID { operation_id } else { self.value(name) });
        let query = query.iter().map(|(name, value)| (name.to_string(), self.fill(value, operation_id)));
        Request { path, query: query.collect() }
    }

    /// What gets the page after `page`, where that names it.
    fn page_after(&self, page: Json<'_>, list: &List) -> Option<Request> {
        let Some(NextPage::Token { path, query }) = &list.next else { return None };
        let token = path.scalar(page)?;
        let mut request = self.ask(&list.path, &list.query, "");
        request.query.retain(|(name, _)| **name != **query);
        Some(request.with_query(query, token))
    }

    /// The ID by which `item` is followed: what of its own name the profile's `is` leaves open, or the last part of that
    /// where the whole does not fit what the profile takes for an ID.
    fn id_of(&self, item: Json<'_>) -> Option<String> {
        // No name of an operation holds it.
        const OPEN: &str = "\0";
        let identity = &self.profile.identity;
        let name = identity.path.scalar(item)?;
        let around = self.fill(&identity.is, OPEN);
        let (before, behind) = around.split_once(OPEN)?;
        let start = name.find(before)? + before.len();
        let id = name.get(start..)?.strip_suffix(behind)?;
        let fits = |id: &str| match &self.profile.operation_id {
            Some(rule) => rule.check("", id, "").is_ok(),
            None => !id.is_empty() && !id.contains('/'),
        };
        let last = id.rsplit('/').next().unwrap_or_default();
        [id, last].into_iter().find(|id| fits(id)).map(str::to_owned)
    }

    /// Whether `item` is about the operation.
    fn is_about(&self, operation_id: &str, item: Json<'_>) -> Result<bool, Misread> {
        let identity = &self.profile.identity;
        let Some(id) = identity.path.scalar(item) else { return Err(Misread::field(&identity.path.to_string())) };
        let wanted = self.fill(&identity.is, operation_id);
        // An ID may be the last part of a longer name, in the reply or in the spec.
        Ok(id.eq_ignore_ascii_case(&wanted)
            || ends_in(id, &wanted)
            || identity.is.is_alone(OPERATION_ID) && ends_in(&wanted, id))
    }
}

/// Whether `text` ends in a slash and `end`.
fn ends_in(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len()).filter(|start| text.is_char_boundary(*start) && !end.is_empty());
    start.is_some_and(|start| {
        let (before, behind) = text.split_at(start);
        before.ends_with('/') && behind.eq_ignore_ascii_case(end)
    })
}

impl Named for Bound<'_> {
    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(self.profile.name.to_string())
    }

    fn revision(&self) -> Option<&Arc<str>> {
        self.revision.as_ref()
    }
}

impl CloudApi for Bound<'_> {
    fn cloud(&self) -> &str {
        &self.profile.cloud
    }

    fn domains(&self) -> &[&str] {
        &[]
    }

    fn hosts(&self) -> Option<&[HostPattern]> {
        self.profile.hosts.as_deref()
    }

    fn token_header(&self) -> TokenHeader {
        self.profile.auth.token_header.clone()
    }

    fn headers(&self) -> &[(Box<str>, Box<str>)] {
        &self.profile.headers
    }

    fn endpoint(&self) -> Option<String> {
        self.profile.endpoint.as_ref().map(|endpoint| self.fill(endpoint, ""))
    }

    fn sign_in(&self) -> SignIn {
        let auth = &self.profile.auth;
        let mut sign_in =
            SignIn { methods: auth.methods.clone().into(), identity_service: None, scope: Scope::Account, oauth: None };
        let service = |url| Some(IdentityService { url, domain: None });
        match &auth.exchange {
            None => {}
            Some(Exchange::Key { url }) => sign_in.identity_service = service(self.fill(url, "")),
            Some(Exchange::Keystone { url, project }) => {
                sign_in.identity_service = service(url.as_ref().map(|url| self.fill(url, "")).unwrap_or_default());
                if let Some(project) = project {
                    sign_in.scope = Scope::Project(self.fill(project, ""));
                }
            }
            Some(Exchange::OAuth { token_url, scope, audience, client }) => {
                let address = Url::parse(&self.fill(token_url, "")).ok();
                let path = address.as_ref().map(|url| url.path().to_owned()).unwrap_or_default();
                sign_in.identity_service =
                    service(address.map(|url| url.origin().ascii_serialization()).unwrap_or_default());
                let (scope, audience) = (scope.clone(), audience.clone());
                sign_in.oauth = Some(OAuth { path: path.into(), scope, audience, client: *client });
            }
        }
        sign_in
    }

    fn request(&self, operation_id: &str) -> Request {
        self.ask(&self.profile.path, &self.profile.query, operation_id)
    }

    fn interpret(&self, operation_id: &str, reply: Json<'_>) -> Result<Reading, Misread> {
        if self.profile.is_of_many {
            return self.find(operation_id, reply);
        }
        let item = match &self.profile.item {
            Some(path) => path.follow(reply).ok_or_else(|| Misread::field(&path.to_string()))?,
            None => reply,
        };
        if !self.is_about(operation_id, item)? {
            let id = self.profile.identity.path.scalar(item).unwrap_or_default();
            return Err(Misread(format!("the reply is about another operation, {id}")));
        }
        Ok(Reading::Found(Box::new(self.profile.reader.read(item)?)))
    }

    fn list(&self) -> Option<Request> {
        self.profile.list.as_ref().map(|list| self.ask(&list.path, &list.query, ""))
    }

    fn find(&self, operation_id: &str, page: Json<'_>) -> Result<Reading, Misread> {
        let Some(list) = &self.profile.list else { return Ok(Reading::Absent) };
        let items = list.items_of(page)?;
        let found = items.values().find(|item| self.is_about(operation_id, *item).unwrap_or(false));
        if let Some(item) = found {
            return Ok(match self.profile.reader.read(item) {
                Ok(observation) => Reading::Found(Box::new(observation)),
                Err(misread) => Reading::Unreadable(misread),
            });
        }
        Ok(self.page_after(page, list).map_or(Reading::Absent, Reading::NextPage))
    }

    fn read_page(&self, page: Json<'_>) -> Result<Listing, Misread> {
        let Some(list) = &self.profile.list else { return Ok(Listing::default()) };
        let items = list.items_of(page)?.values();
        let members = items.map(|item| Member { id: self.id_of(item), reading: self.profile.reader.read(item) });
        Ok(Listing { members: members.collect(), next: self.page_after(page, list) })
    }

    /// The list's own path with the query of the link: wherever that leads, a credential stays here.
    fn next_page(&self, link: &str) -> Option<Request> {
        let list = self.profile.list.as_ref().filter(|list| matches!(list.next, Some(NextPage::LinkHeader)))?;
        let link = Url::parse("https://list.invalid").ok()?.join(link).ok()?;
        let query = link.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Some(Request { query, ..self.ask(&list.path, &[], "") })
    }

    fn whose(&self, refusal: &ApiError) -> Whose {
        let matches = |globs: &[Glob], text: &Option<String>| {
            text.as_deref().is_some_and(|text| globs.iter().any(|glob| glob.matches(text)))
        };
        match &self.profile.not_found {
            Some((codes, messages)) if matches(codes, &refusal.code) || matches(messages, &refusal.message) => {
                Whose::Service
            }
            _ => whose(refusal, |_| false),
        }
    }
}
