//! Which endpoints a credential may be sent to. Pure; what a name resolves to is checked by the resolver.

use reqwest::Url;
use url::Host;

use super::special_addresses;
use crate::auth::Account;
use crate::observation::{FailureKind, PollFailure, Request};
use crate::provider::Provider;

/// The hosts that may be called beside the vendors' own.
#[derive(Clone, Debug)]
pub struct AllowList {
    allowed: Vec<Allowed>,
    private_addresses: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    Host(Host<String>),
    /// Without the leading dot.
    Subdomains(String),
}

/// A host pattern that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host name, nor an IP address, nor a pattern such as *.example.com")]
pub struct BadPattern(pub String);

/// An endpoint that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl AllowList {
    /// Each of `patterns` is a host (`api.example.com`, `192.0.2.1`, `[2001:db8::1]`) or stands for all subdomains of one
    /// (`*.example.com` or `.example.com`).
    ///
    /// # Errors
    /// [`BadPattern`] for anything else.
    pub fn new(patterns: &[String], private_addresses: bool) -> Result<Self, BadPattern> {
        let allowed = patterns.iter().map(|pattern| {
            let text = pattern.trim();
            let allowed = match text.strip_prefix('*').unwrap_or(text).strip_prefix('.') {
                Some(parent) => match host(parent)? {
                    Host::Domain(parent) => Allowed::Subdomains(parent),
                    Host::Ipv4(_) | Host::Ipv6(_) => return None,
                },
                None => Allowed::Host(host(text)?),
            };
            Some(allowed)
        });
        let allowed =
            allowed.zip(patterns).map(|(allowed, pattern)| allowed.ok_or_else(|| BadPattern(pattern.clone())));
        Ok(Self { allowed: allowed.collect::<Result<_, _>>()?, private_addresses })
    }

    /// The endpoint of `account`, checked as by [`Self::check`] the first time: an account is of one `provider`.
    ///
    /// # Errors
    /// [`FailureKind::EndpointRefused`], naming the Secret's key.
    pub fn admit(&self, account: &Account, provider: &Provider) -> Result<Endpoint, PollFailure> {
        let check = || self.check("endpoint", &account.connection.endpoint, provider).map(|endpoint| endpoint.0);
        account.endpoint.get_or_init(check).clone().map(Endpoint)
    }

    /// Checks the `endpoint`, from the Secret's `key` or what stands in for it, that is to receive a credential of
    /// `provider`.
    ///
    /// # Errors
    /// [`FailureKind::EndpointRefused`], naming the Secret's key.
    pub fn check(&self, key: &str, endpoint: &str, provider: &Provider) -> Result<Endpoint, PollFailure> {
        let refuse = |why: &str| PollFailure::new(FailureKind::EndpointRefused, explain_refusal(key, why));
        // A URL parser would drop or turn round what people do not see.
        if endpoint.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(refuse("it has a space, a control character or a backslash in it"));
        }
        let mut url = Url::parse(endpoint).map_err(|_| refuse("it is not a URL such as https://api.example.com"))?;
        if url.scheme() != "https" {
            return Err(refuse("it must begin with https://"));
        }
        if !url.username().is_empty() || url.password().is_some() || endpoint.contains('@') {
            return Err(refuse("it must not hold a user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it must not have a query (?) or fragment (#)"));
        }
        let host = url.host_str().and_then(host).ok_or_else(|| refuse("it has no usable host"))?;
        if !self.allows(&host, provider.domains()) {
            let vendors = match provider.domains() {
                [] => String::new(),
                domains => format!(" of {} ({})", provider.cloud(), domains.join(", ")),
            };
            return Err(refuse(&format!(
                "{host} is not an allowed host{vendors}; correct it, or start the controller with --allow-host {host}"
            )));
        }
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        };
        if let Some(what) = address.and_then(special_addresses::internal).filter(|_| !self.private_addresses) {
            return Err(refuse(&refuse_internal(&host.to_string(), what)));
        }
        // The name without a final dot is also the one in the certificate.
        if url.set_host(Some(&host.to_string())).is_err() {
            return Err(refuse("it has no usable host"));
        }
        Ok(Endpoint(url))
    }

    fn allows(&self, host: &Host<String>, domains: &[&str]) -> bool {
        let vendors = match host {
            Host::Domain(name) => domains.iter().any(|domain| name == domain || is_subdomain(name, domain)),
            Host::Ipv4(_) | Host::Ipv6(_) => false,
        };
        vendors
            || self.allowed.iter().any(|allowed| match (allowed, host) {
                (Allowed::Host(allowed), host) => allowed == host,
                (Allowed::Subdomains(parent), Host::Domain(name)) => is_subdomain(name, parent),
                (Allowed::Subdomains(_), Host::Ipv4(_) | Host::Ipv6(_)) => false,
            })
    }
}

/// That the endpoint in the Secret's `key` is refused, and `why`.
pub fn explain_refusal(key: &str, why: &str) -> String {
    format!("the Secret's key {key} cannot be used: {why}")
}

/// Why an internal address is not called.
pub fn refuse_internal(host: &str, what: &str) -> String {
    format!("{host} is {what}; correct it, or start the controller with --allow-private-addresses")
}

impl Endpoint {
    /// The address that asks `request` of the endpoint, below the endpoint's own path.
    pub fn url(&self, request: &Request) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), request.path);
        url.set_path(&path);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        url
    }

    /// The address of `path`, which may have a query, below the endpoint's own path.
    pub fn post_url(&self, path: &str) -> Url {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.url(&Request { path: path.to_owned(), query: Vec::new() });
        url.set_query(query);
        url
    }

    /// Its host, as it stands in a URL.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

/// A host in its one canonical form: lower case, punycode, no final dot, numbers of any base as an IPv4 address.
fn host(text: &str) -> Option<Host<String>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let host = Host::parse(text).ok()?;
    match &host {
        Host::Domain(name) if name.split('.').any(|label| label.is_empty() || label.contains('*')) => None,
        _ => Some(host),
    }
}

fn is_subdomain(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|prefix| prefix.len() > 1 && prefix.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> Provider {
        serde_json::from_value(serde_json::json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}})).unwrap()
    }

    fn egress(private_addresses: bool) -> AllowList {
        let patterns = [
            "api.example.com",
            "*.apps.example.com",
            ".dotted.example",
            "BÜCHER.example",
            "127.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "8.8.8.8",
            "[2606:4700::1111]",
            "10.0.0.1",
            "localhost",
        ];
        AllowList::new(&patterns.map(str::to_owned), private_addresses).unwrap()
    }

    #[rstest::rstest]
    #[case::vendor("https://otc.t-systems.com", "https://otc.t-systems.com/")]
    #[case::vendor_subdomain("https://cce.eu-de.otc.t-systems.com", "https://cce.eu-de.otc.t-systems.com/")]
    #[case::upper_case("HTTPS://CCE.EU-DE.OTC.T-SYSTEMS.COM/", "https://cce.eu-de.otc.t-systems.com/")]
    #[case::final_dot("https://cce.eu-de.otc.t-systems.com./", "https://cce.eu-de.otc.t-systems.com/")]
    #[case::full_width_dot("https://cce.otc.t-systems。com", "https://cce.otc.t-systems.com/")]
    #[case::path_prefix("https://api.example.com/gateway/v1/", "https://api.example.com/gateway/v1/")]
    #[case::port("https://api.example.com:8443", "https://api.example.com:8443/")]
    #[case::default_port("https://api.example.com:443", "https://api.example.com/")]
    #[case::wildcard("https://a.apps.example.com", "https://a.apps.example.com/")]
    #[case::wildcard_deeper("https://a.b.apps.example.com", "https://a.b.apps.example.com/")]
    #[case::dotted("https://a.dotted.example", "https://a.dotted.example/")]
    #[case::unicode("https://bücher.example", "https://xn--bcher-kva.example/")]
    #[case::punycode("https://xn--bcher-kva.example", "https://xn--bcher-kva.example/")]
    #[case::public_v4("https://8.8.8.8", "https://8.8.8.8/")]
    #[case::public_v4_as_a_number("https://134744072", "https://8.8.8.8/")]
    #[case::public_v6("https://[2606:4700:0::1111]", "https://[2606:4700::1111]/")]
    #[case::a_name_is_checked_when_resolved("https://localhost", "https://localhost/")]
    fn an_allowed_endpoint_passes(#[case] endpoint: &str, #[case] url: &str) {
        assert_eq!(egress(false).check("endpoint", endpoint, &provider()).map(|e| e.0.to_string()), Ok(url.to_owned()));
    }

    #[rstest::rstest]
    #[case::empty("", "not a URL")]
    #[case::no_scheme("cce.eu-de.otc.t-systems.com", "not a URL")]
    #[case::no_host("https://", "not a URL")]
    #[case::http("http://cce.eu-de.otc.t-systems.com", "https://")]
    #[case::file("file:///etc/passwd", "https://")]
    #[case::user_name("https://me@cce.otc.t-systems.com", "user name")]
    #[case::password("https://me:secret@cce.otc.t-systems.com", "user name")]
    #[case::empty_user_name("https://@cce.otc.t-systems.com", "user name")]
    #[case::user_name_like_a_host("https://cce.otc.t-systems.com@evil.example", "user name")]
    #[case::query("https://cce.otc.t-systems.com?x=1", "query")]
    #[case::empty_query("https://cce.otc.t-systems.com?", "query")]
    #[case::fragment("https://cce.otc.t-systems.com#x", "fragment")]
    #[case::empty_fragment("https://cce.otc.t-systems.com/#", "fragment")]
    #[case::backslash("https://cce.otc.t-systems.com\\.evil.example", "backslash")]
    #[case::space(" https://cce.otc.t-systems.com", "space")]
    #[case::newline("https://cce.otc.t-systems.com\n.evil.example", "control character")]
    #[case::tab("https://cce.otc.t-sys\ttems.com", "control character")]
    #[case::other_host("https://evil.example", "evil.example is not an allowed host of Open Telekom Cloud CCE (")]
    #[case::vendor_as_prefix("https://otc.t-systems.com.evil.example", "not an allowed host")]
    #[case::vendor_as_suffix("https://evilotc.t-systems.com", "not an allowed host")]
    #[case::hyphen("https://evil-otc.t-systems.com", "not an allowed host")]
    #[case::parent("https://t-systems.com", "not an allowed host")]
    #[case::two_final_dots("https://otc.t-systems.com..", "no usable host")]
    #[case::empty_label("https://evil..otc.t-systems.com", "no usable host")]
    #[case::leading_dot("https://.otc.t-systems.com", "no usable host")]
    #[case::wildcards_parent("https://apps.example.com", "not an allowed host")]
    #[case::dots_parent("https://dotted.example", "not an allowed host")]
    #[case::subdomain_of_a_host("https://x.api.example.com", "not an allowed host")]
    #[case::homograph("https://cce.оtc.t-systems.com", "not an allowed host")]
    #[case::percent_encoded("https://evil%2eexample", "evil.example is not an allowed host")]
    #[case::v4("https://127.0.0.1", "127.0.0.1 is a loopback address")]
    #[case::v4_hex("https://0x7f.1", "127.0.0.1 is a loopback address")]
    #[case::v4_octal("https://0177.0.0.1", "127.0.0.1 is a loopback address")]
    #[case::v4_number("https://2130706433", "127.0.0.1 is a loopback address")]
    #[case::v4_final_dot("https://127.0.0.1./", "127.0.0.1 is a loopback address")]
    #[case::v4_full_width("https://127。0。0。1", "127.0.0.1 is a loopback address")]
    #[case::v4_private("https://10.0.0.1", "10.0.0.1 is a private address")]
    #[case::v4_not_allowed("https://169.254.169.254", "169.254.169.254 is not an allowed host")]
    #[case::v6("https://[::1]", "[::1] is a loopback address")]
    #[case::v6_mapped("https://[::ffff:7f00:1]", "is a loopback address")]
    #[case::v6_not_allowed("https://[fd00:ec2::254]", "not an allowed host")]
    #[case::v6_zone("https://[fe80::1%25eth0]", "not a URL")]
    fn any_other_endpoint_is_refused(#[case] endpoint: &str, #[case] why: &str) {
        let failure = egress(false).check("endpoint", endpoint, &provider()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::EndpointRefused);
        assert!(failure.message.starts_with("the Secret's key endpoint cannot be used: "), "{failure}");
        assert!(failure.message.contains(why), "{failure}");
        assert!(!failure.message.contains("secret@"), "{failure}");
    }

    #[rstest::rstest]
    #[case("https://127.0.0.1:8443", "https://127.0.0.1:8443/")]
    #[case("https://[::1]:8443", "https://[::1]:8443/")]
    #[case("https://10.0.0.1", "https://10.0.0.1/")]
    fn internal_addresses_pass_where_the_operator_allows_them(#[case] endpoint: &str, #[case] url: &str) {
        assert_eq!(egress(true).check("endpoint", endpoint, &provider()).map(|e| e.0.to_string()), Ok(url.to_owned()));
    }

    #[rstest::rstest]
    #[case("")]
    #[case("*")]
    #[case("*.")]
    #[case("a.*.example")]
    #[case("**.example")]
    #[case("https://api.example.com")]
    #[case("api.example.com:443")]
    #[case("api.example.com/")]
    #[case("*.10.0.0.1")]
    #[case("two words")]
    fn an_unusable_pattern_is_refused(#[case] pattern: &str) {
        let patterns = ["api.example.com".to_owned(), pattern.to_owned()];
        assert_eq!(AllowList::new(&patterns, false).unwrap_err(), BadPattern(pattern.to_owned()));
    }

    #[rstest::rstest]
    #[case("https://api.example.com", "/v1/x%2F..", "https://api.example.com/v1/x%2F..?a=b+c%26d")]
    #[case("https://api.example.com/", "/v1/x", "https://api.example.com/v1/x?a=b+c%26d")]
    #[case("https://api.example.com/p/q/", "/v1/x", "https://api.example.com/p/q/v1/x?a=b+c%26d")]
    fn a_request_goes_below_the_endpoints_path(#[case] endpoint: &str, #[case] path: &str, #[case] url: &str) {
        let request = Request { path: path.to_owned(), query: Vec::new() }.with_query("a", "b c&d");
        assert_eq!(egress(false).check("endpoint", endpoint, &provider()).unwrap().url(&request).as_str(), url);
    }
}
