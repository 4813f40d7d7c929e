//! From what a platform team wrote to a profile that can be used, or to what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use url::Url;

use super::path::Path;
use super::read::{ErrorReader, Reader, SubJobReader};
use super::template::{OPERATION_ID, Template, check_path};
use super::words::{Glob, Table};
use super::{Exchange, Headers, Identity, List, NextPage, Parameter, Profile, Query, SignInWays};
use crate::api::{
    AuthSpec, ClientIn, ErrorSpec, IdentityOf, IdentitySpec, ListSpec, OperationProfileSpec, ParameterSpec, ReadSpec,
    StateSpec, SubJobsSpec,
};
use crate::hosts::{HTTPS, HostPattern, host};
use crate::provider::{ClientForm, TokenHeader};

/// How much memory a pattern may take when it is compiled, in bytes.
const LARGEST_PATTERN: usize = 256 << 10;

/// Where an error stands unless a profile says otherwise: that success beside one is a failure must not depend on it.
const USUAL_ERROR: &str = "error|errors";

/// Headers that carry a credential, belong to the connection or are the controller's own.
const FORBIDDEN_HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-auth-token",
    "x-sdk-date",
    "x-security-token",
];

/// Makes a profile of what was written under that `name`.
///
/// # Errors
/// What is wrong, naming the field.
pub fn compile(name: &str, spec: &OperationProfileSpec) -> Result<Profile, String> {
    let parameters = parameters(&spec.parameters)?;
    let own: BTreeSet<&str> = parameters.keys().map(|name| &**name).collect();
    let with_id: BTreeSet<&str> = own.iter().copied().chain([OPERATION_ID]).collect();
    let hosts = spec.hosts.iter().flatten().enumerate().map(|(at, host)| {
        HostPattern::read(host).ok_or_else(|| format!("spec.hosts[{at}]: {host:?} is neither a host nor *.example.com"))
    });
    let hosts: Option<Vec<HostPattern>> = match spec.hosts {
        Some(_) => Some(hosts.collect::<Result<_, _>>()?),
        None => None,
    };
    let endpoint = spec.endpoint.as_deref().map(|text| address("spec.endpoint", text, &own, &hosts)).transpose()?;
    let path = path_template("spec.request.path", &spec.request.path, &with_id)?;
    let query = query("spec.request.query", &spec.request.query, &with_id)?;
    let is_of_many = !path.names(OPERATION_ID) && !query.iter().any(|(_, value)| value.names(OPERATION_ID));
    let of_list = spec.list.as_ref().map(|list| (&list.path, &list.query));
    if is_of_many && of_list != Some((&spec.request.path, &spec.request.query)) {
        return Err(
            "spec.request: neither path nor query names {operationId}, and it is not the request of spec.list".into()
        );
    }
    let profile = Profile {
        name: name.into(),
        cloud: spec.cloud.as_str().into(),
        auth: auth(&spec.auth, &own, &hosts)?,
        hosts,
        endpoint,
        operation_id: spec.operation_id.as_ref().map(|id| parameter("spec.operationId", id)).transpose()?,
        is_of_many,
        path,
        query,
        headers: headers(&spec.request.headers, &spec.auth)?,
        item: optional("spec.request.item", &spec.request.item)?,
        list: spec.list.as_ref().map(|spec| list(spec, &own)).transpose()?,
        identity: identity(&spec.read.identity, &with_id)?,
        not_found: spec.read.not_found.as_ref().map(|not_found| {
            let globs = |texts: &[String]| texts.iter().map(|text| Glob::read(text)).collect();
            (globs(&not_found.codes), globs(&not_found.messages))
        }),
        reader: reader(&spec.read)?,
        parameters,
    };
    refuse_unused(&profile)?;
    Ok(profile)
}

/// What is allowed and yet likely to be a mistake.
pub fn warnings(spec: &OperationProfileSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    if spec.read.identity.of == Some(IdentityOf::Resource) && spec.read.settle_seconds.is_none() {
        warnings.push(
            "spec.read.identity.of is Resource and spec.read.settleSeconds is missing: the state from before the \
             operation would be taken for its end"
                .to_owned(),
        );
    }
    if spec.read.not_found.is_none() {
        warnings.push(
            "spec.read.notFound is missing: an operation that the API does not know, or no longer knows, is a fault \
             that never ends"
                .to_owned(),
        );
    }
    warnings
}

fn parameters(specs: &BTreeMap<String, ParameterSpec>) -> Result<BTreeMap<Box<str>, Parameter>, String> {
    let mut parameters = BTreeMap::new();
    for (name, spec) in specs {
        let field = format!("spec.parameters.{name}");
        let is_name = name.len() <= 63
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric());
        if !is_name || name == OPERATION_ID {
            return Err(format!("{field}: a parameter's name is letters and digits, and not {OPERATION_ID}"));
        }
        parameters.insert(name.as_str().into(), parameter(&field, spec)?);
    }
    Ok(parameters)
}

fn parameter(field: &str, spec: &ParameterSpec) -> Result<Parameter, String> {
    let pattern = spec.pattern.as_deref().map(|text| pattern(field, text)).transpose()?;
    if let (Some(pattern), Some(default)) = (&pattern, &spec.default)
        && !pattern.is_match(default)
    {
        return Err(format!("{field}.default: {default:?} does not match its pattern"));
    }
    Ok(Parameter {
        pattern,
        pattern_text: spec.pattern.as_deref().map(Into::into),
        description: spec.description.as_deref().map(Into::into),
        default: spec.default.as_deref().map(Into::into),
    })
}

/// The whole of a value must match. The engine takes time that grows with the text alone, whatever the pattern.
fn pattern(field: &str, text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(LARGEST_PATTERN).build();
    // Its own words show the pattern over several lines.
    built.map_err(|error| {
        let said = error.to_string();
        let why = said.lines().next_back().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        format!("{field}.pattern: {text:?} is no regular expression: {why}")
    })
}

/// An address that begins with https:// and whose host is one of `hosts`, as far as that is known before its parameters
/// are.
fn address(
    field: &str,
    text: &str,
    known: &BTreeSet<&str>,
    hosts: &Option<Vec<HostPattern>>,
) -> Result<Template, String> {
    let template = Template::read(text, known).map_err(|why| format!("{field}: {why}"))?;
    // A parameter of a host is one label of it.
    let sample = template.fill(|_| "x");
    let url =
        Url::parse(&sample).map_err(|_| format!("{field}: {text:?} is not a URL such as https://api.example.com"))?;
    if url.scheme() != "https" || !url.username().is_empty() || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{field}: {text:?} must begin with https:// and have no user, query (?) or fragment (#)"));
    }
    let host = url.host_str().and_then(host).ok_or_else(|| format!("{field}: {text:?} has no usable host"))?;
    let port = url.port().unwrap_or(HTTPS);
    let is_there = |hosts: &Vec<HostPattern>| hosts.iter().any(|pattern| pattern.matches(&host, port));
    match hosts {
        Some(hosts) if is_there(hosts) => Ok(template),
        Some(_) => Err(format!("{field}: its host is none of spec.hosts, and no credential may go there")),
        None => Err(format!("{field}: spec.hosts is missing: name the hosts that a credential may go to")),
    }
}

fn auth(spec: &AuthSpec, known: &BTreeSet<&str>, hosts: &Option<Vec<HostPattern>>) -> Result<SignInWays, String> {
    let takes_tokens = spec.bearer.is_some() || spec.header.is_some();
    let (exchange, mut methods) = exchange(spec, known, hosts)?;
    if takes_tokens || exchange.is_some() {
        methods.insert(0, "token");
    }
    if spec.basic.is_some() {
        methods.push("basic");
    }
    if methods.is_empty() {
        return Err("spec.auth: set at least one of bearer, header, basic, oauth2, keystone, serviceKey".into());
    }
    let token_header = match (&spec.header, &exchange) {
        (Some(header), _) => {
            let name = header.name.to_ascii_lowercase();
            let may_carry_a_token = ["authorization", "x-auth-token"].contains(&&*name);
            if FORBIDDEN_HEADERS.contains(&&*name) && !may_carry_a_token {
                return Err(format!("spec.auth.header.name: {} is no header for a token", header.name));
            }
            TokenHeader::Other { name: name.into(), prefix: header.prefix.as_deref().unwrap_or_default().into() }
        }
        (None, Some(Exchange::Keystone { .. })) => TokenHeader::XAuthToken,
        (None, _) => TokenHeader::Bearer,
    };
    Ok(SignInWays { methods, token_header, exchange })
}

/// How credentials become a token, and by which methods.
fn exchange(
    spec: &AuthSpec,
    known: &BTreeSet<&str>,
    hosts: &Option<Vec<HostPattern>>,
) -> Result<(Option<Exchange>, Vec<&'static str>), String> {
    match (&spec.oauth2, &spec.keystone, &spec.service_key) {
        (None, None, None) => Ok((None, Vec::new())),
        (Some(oauth), None, None) => {
            let exchange = Exchange::OAuth {
                token_url: address("spec.auth.oauth2.tokenUrl", &oauth.token_url, known, hosts)?,
                scope: oauth.scope.clone(),
                audience: oauth.audience.clone(),
                client: match oauth.client_in.unwrap_or_default() {
                    ClientIn::Header => ClientForm::Header,
                    ClientIn::Body => ClientForm::Body,
                },
            };
            Ok((Some(exchange), vec!["clientCredentials"]))
        }
        (None, Some(keystone), None) => {
            let url = keystone.url.as_deref().map(|url| address("spec.auth.keystone.url", url, known, hosts));
            let project = keystone.project.as_deref().map(|project| {
                Template::read(project, known).map_err(|why| format!("spec.auth.keystone.project: {why}"))
            });
            let methods = match keystone.signature {
                Some(true) => vec!["keystonePassword", "accessKey"],
                _ => vec!["keystonePassword"],
            };
            Ok((Some(Exchange::Keystone { url: url.transpose()?, project: project.transpose()? }), methods))
        }
        (None, None, Some(key)) => {
            let url = address("spec.auth.serviceKey.url", &key.url, known, hosts)?;
            Ok((Some(Exchange::Key { url }), vec!["serviceKey"]))
        }
        _ => Err("spec.auth: set one of oauth2, keystone and serviceKey, not several".into()),
    }
}

fn path_template(field: &str, text: &str, known: &BTreeSet<&str>) -> Result<Template, String> {
    check_path(text).and_then(|()| Template::read(text, known)).map_err(|why| format!("{field}: {why}"))
}

fn query(field: &str, pairs: &BTreeMap<String, String>, known: &BTreeSet<&str>) -> Result<Query, String> {
    let read = |(name, value): (&String, &String)| {
        let value = Template::read(value, known).map_err(|why| format!("{field}.{name}: {why}"))?;
        Ok((name.as_str().into(), value))
    };
    pairs.iter().map(read).collect()
}

fn headers(headers: &BTreeMap<String, String>, auth: &AuthSpec) -> Result<Headers, String> {
    let of_token = auth.header.as_ref().map(|header| header.name.to_ascii_lowercase());
    let mut read: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (name, value) in headers {
        let field = format!("spec.request.headers.{name}");
        let lower = name.to_ascii_lowercase();
        let is_name = !lower.is_empty() && lower.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if !is_name {
            return Err(format!("{field}: a header's name is letters, digits, - and _"));
        }
        if FORBIDDEN_HEADERS.contains(&&*lower) || of_token.as_ref() == Some(&lower) {
            return Err(format!(
                "{field}: this header may not be set: it carries a credential or concerns the connection"
            ));
        }
        if value.is_empty() || value.len() > 253 || !value.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(format!("{field}: its value is not one line of up to 253 ASCII characters"));
        }
        if read.iter().any(|(known, _)| **known == *lower) {
            return Err(format!("{field}: stands there twice"));
        }
        read.push((lower.into(), value.as_str().into()));
    }
    Ok(read.into())
}

fn list(spec: &ListSpec, known: &BTreeSet<&str>) -> Result<List, String> {
    let next = spec.next.as_ref().map(|next| match (&next.path, &next.query, next.link_header) {
        (Some(token), Some(query), None) => {
            Ok(NextPage::Token { path: path("spec.list.next.path", token)?, query: query.as_str().into() })
        }
        (None, None, Some(true)) => Ok(NextPage::LinkHeader),
        _ => Err("spec.list.next: set path and query, or linkHeader".to_owned()),
    });
    Ok(List {
        path: path_template("spec.list.path", &spec.path, known)?,
        query: query("spec.list.query", &spec.query, known)?,
        items: path("spec.list.items", &spec.items)?,
        next: next.transpose()?,
    })
}

fn identity(spec: &IdentitySpec, known: &BTreeSet<&str>) -> Result<Identity, String> {
    let is = spec.is.as_deref().unwrap_or("{operationId}");
    let is = Template::read(is, known).map_err(|why| format!("spec.read.identity.is: {why}"))?;
    if !is.names(OPERATION_ID) {
        return Err("spec.read.identity.is: must name {operationId}".into());
    }
    Ok(Identity { path: path("spec.read.identity.path", &spec.path)?, is })
}

fn path(field: &str, text: &str) -> Result<Path, String> {
    Path::read(text).map_err(|why| format!("{field}: {why}"))
}

fn optional(field: &str, text: &Option<String>) -> Result<Option<Path>, String> {
    text.as_deref().map(|text| path(field, text)).transpose()
}

fn reader(spec: &ReadSpec) -> Result<Reader, String> {
    let target = spec.target.clone().unwrap_or_default();
    if spec.completed.is_some() != spec.total.is_some() {
        return Err("spec.read: completed and total belong together".into());
    }
    Ok(Reader {
        state: tables("spec.read.state", &spec.state)?,
        error: error(spec.error.as_ref())?,
        percent: optional("spec.read.percent", &spec.percent)?,
        completed: optional("spec.read.completed", &spec.completed)?,
        total: optional("spec.read.total", &spec.total)?,
        message: optional("spec.read.message", &spec.message)?,
        operation_type: optional("spec.read.operationType", &spec.operation_type)?,
        target: [
            optional("spec.read.target.id", &target.id)?,
            optional("spec.read.target.name", &target.name)?,
            optional("spec.read.target.url", &target.url)?,
        ],
        start_time: optional("spec.read.startTime", &spec.start_time)?,
        completion_time: optional("spec.read.completionTime", &spec.completion_time)?,
        sub_jobs: spec.sub_jobs.as_ref().map(sub_jobs).transpose()?,
        settle: spec.settle_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
    })
}

fn tables(field: &str, specs: &[StateSpec]) -> Result<Box<[Table]>, String> {
    specs.iter().enumerate().map(|(at, spec)| Table::read(spec, &format!("{field}[{at}]"))).collect()
}

fn error(spec: Option<&ErrorSpec>) -> Result<ErrorReader, String> {
    let unsaid = ErrorSpec::default();
    if spec.is_some_and(|spec| spec.path.is_none() && spec.code.is_none() && spec.message.is_none()) {
        return Err("spec.read.error: has neither path nor code nor message".into());
    }
    let spec = spec.unwrap_or(&unsaid);
    if spec.path.is_none() && spec.ends == Some(true) {
        return Err(
            "spec.read.error.ends: needs path, as only an error that stands by itself can end an operation".into()
        );
    }
    Ok(ErrorReader {
        path: path("spec.read.error.path", spec.path.as_deref().unwrap_or(USUAL_ERROR))?,
        is_given: spec.path.is_some(),
        code: optional("spec.read.error.code", &spec.code)?,
        message: optional("spec.read.error.message", &spec.message)?,
        request_id: optional("spec.read.error.requestId", &spec.request_id)?,
        cancelled_codes: spec.cancelled_codes.clone().into(),
        ends: spec.ends.unwrap_or_default(),
    })
}

fn sub_jobs(spec: &SubJobsSpec) -> Result<SubJobReader, String> {
    let field = |name: &str| format!("spec.read.subJobs.{name}");
    Ok(SubJobReader {
        items: path(&field("items"), &spec.items)?,
        children: optional(&field("children"), &spec.children)?,
        id: optional(&field("id"), &spec.id)?,
        name: optional(&field("name"), &spec.name)?,
        state: tables(&field("state"), &spec.state)?,
        message: optional(&field("message"), &spec.message)?,
        start_time: optional(&field("startTime"), &spec.start_time)?,
        completion_time: optional(&field("completionTime"), &spec.completion_time)?,
    })
}

/// A parameter that is nowhere used is a slip of the pen somewhere else.
fn refuse_unused(profile: &Profile) -> Result<(), String> {
    let of_auth = profile.auth.addresses().into_iter().chain(profile.auth.project());
    let of_list =
        profile.list.iter().flat_map(|list| [&list.path].into_iter().chain(list.query.iter().map(|(_, q)| q)));
    let of_request = [&profile.path].into_iter().chain(profile.query.iter().map(|(_, value)| value));
    let templates: Vec<&Template> =
        of_request.chain(of_list).chain(&profile.endpoint).chain(of_auth).chain([&profile.identity.is]).collect();
    match profile.parameters.keys().find(|name| !templates.iter().any(|template| template.names(name))) {
        Some(name) => Err(format!("spec.parameters.{name}: is used nowhere")),
        None => Ok(()),
    }
}
