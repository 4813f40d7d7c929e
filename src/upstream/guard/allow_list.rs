//! Which endpoints a credential may be sent to. Pure; what a name resolves to is checked by the resolver.

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;
use url::Host;

use super::special_addresses;
use crate::auth::Account;
use crate::hosts::{HTTPS, HostPattern, host};
use crate::observation::{FailureKind, PollFailure, Request};
use crate::provider::CloudApi;

/// The services of the vendors that are asked: what stands before the region in the names of their hosts. Others are
/// not: customers put what they like below `obs.<region>`.
const SERVICES: &[&str] = &["api", "bms", "cce", "ecs", "evs", "iam", "iam-pub", "ims", "ucs"];

/// The hosts that may be called: those of the vendors' own services, and those that the controller was started with.
#[derive(Clone, Debug)]
pub struct AllowList {
    allowed: Vec<HostPattern>,
    private_addresses: Vec<IpNet>,
}

/// A host pattern that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a host name, nor an IP address, nor a pattern such as *.example.com; a port may follow, :8443 or :* for any"
)]
pub struct BadPattern(pub String);

/// An endpoint that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl AllowList {
    /// Each of `patterns` is a host (`api.example.com`, `192.0.2.1`, `[2001:db8::1]`) or stands for all subdomains of one
    /// (`*.example.com` or `.example.com`), on port 443 or the one that follows (`:8443`, `:*` for any). Only what they
    /// allow may be at one of the `private_addresses`.
    ///
    /// # Errors
    /// [`BadPattern`] for anything else.
    pub fn new(patterns: &[String], private_addresses: &[IpNet]) -> Result<Self, BadPattern> {
        let allowed =
            patterns.iter().map(|pattern| HostPattern::read(pattern.trim()).ok_or_else(|| BadPattern(pattern.clone())));
        Ok(Self { allowed: allowed.collect::<Result<_, _>>()?, private_addresses: private_addresses.to_vec() })
    }

    /// What is internal about `address`, where that may not be called for the host of that `name`.
    pub fn refuses_address(&self, name: &Host<String>, address: IpAddr) -> Option<&'static str> {
        let what = special_addresses::internal(address)?;
        let is_private = self.private_addresses.iter().any(|network| network.contains(&address.to_canonical()));
        let is_ours = self.allowed.iter().any(|allowed| allowed.matches_host(name));
        (!(is_private && is_ours)).then_some(what)
    }

    /// The endpoint of `account`, checked as by [`Self::check`] the first time: an account is of one `provider`.
    ///
    /// # Errors
    /// [`FailureKind::EndpointRefused`], naming the Secret's key.
    pub fn admit(&self, account: &Account, provider: &dyn CloudApi) -> Result<Endpoint, PollFailure> {
        let check = || self.check("endpoint", &account.connection.endpoint, provider).map(|endpoint| endpoint.0);
        account.endpoint.get_or_init(check).clone().map(Endpoint)
    }

    /// Checks the `endpoint`, from the Secret's `key` or what stands in for it, that is to receive a credential of
    /// `provider`.
    ///
    /// # Errors
    /// [`FailureKind::EndpointRefused`], naming the Secret's key.
    pub fn check(&self, key: &str, endpoint: &str, provider: &dyn CloudApi) -> Result<Endpoint, PollFailure> {
        let refuse = |why: &str| {
            let message = match is_of_profile(endpoint, provider) {
                true => format!("{endpoint}, which OperationProfile {} names, cannot be used: {why}", provider.name()),
                false => explain_refusal(key, why),
            };
            PollFailure::new(FailureKind::EndpointRefused, message)
        };
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
        let port = url.port().unwrap_or(HTTPS);
        if let Some(hosts) = provider.hosts().filter(|hosts| !hosts.iter().any(|own| own.matches(&host, port))) {
            return Err(refuse(&refuse_foreign_host(&host, hosts, provider)));
        }
        if !self.allows(&host, port, provider.domains()) {
            return Err(refuse(&refuse_host(&host, port, provider)));
        }
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        };
        if let Some(what) = address.and_then(|address| self.refuses_address(&host, address)) {
            return Err(refuse(&refuse_internal(&host.to_string(), what)));
        }
        // The name without a final dot is also the one in the certificate.
        if url.set_host(Some(&host.to_string())).is_err() {
            return Err(refuse("it has no usable host"));
        }
        Ok(Endpoint(url))
    }

    fn allows(&self, host: &Host<String>, port: u16, domains: &[&str]) -> bool {
        let is_vendors = match host {
            Host::Domain(name) => port == HTTPS && domains.iter().any(|domain| is_service(name, domain)),
            Host::Ipv4(_) | Host::Ipv6(_) => false,
        };
        is_vendors || self.allowed.iter().any(|allowed| allowed.matches(host, port))
    }
}

/// Whether `name` is that of a service in a region of the vendor's `domain`, such as `cce.eu-de.<domain>`, or of one
/// below its `api`, such as `iam.api.<domain>`.
fn is_service(name: &str, domain: &str) -> bool {
    let Some(below) = name.strip_suffix(domain).and_then(|below| below.strip_suffix('.')) else { return false };
    let mut labels = below.split('.');
    let service = labels.next().unwrap_or_default();
    // Regions have hyphens, and sc is OTC's Swiss partition.
    let is_region = |label: &str| label.contains('-') || label == "sc";
    match labels.clone().collect::<Vec<_>>().as_slice() {
        ["api"] => true,
        _ => SERVICES.contains(&service) && labels.all(is_region),
    }
}

fn refuse_host(host: &Host<String>, port: u16, provider: &dyn CloudApi) -> String {
    let vendors = match provider.domains() {
        [] => String::new(),
        domains => format!(" of {} ({} below {})", provider.cloud(), SERVICES.join(", "), domains.join(", ")),
    };
    let pattern = if port == HTTPS { host.to_string() } else { format!("{host}:{port}") };
    format!(
        "{pattern} is not an allowed host{vendors}; correct it, or start the controller with --allow-host {pattern}"
    )
}

fn refuse_foreign_host(host: &Host<String>, hosts: &[HostPattern], provider: &dyn CloudApi) -> String {
    let hosts = hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "{host} is none of the hosts of OperationProfile {} ({hosts}); correct it, or use another profile",
        provider.name()
    )
}

/// Whether `endpoint` is the profile's own and not the Secret's.
fn is_of_profile(endpoint: &str, provider: &dyn CloudApi) -> bool {
    let own = || {
        let service = provider.sign_in().identity_service.map(|service| service.url);
        provider.endpoint().into_iter().chain(service)
    };
    provider.revision().is_some() && own().any(|own| own == endpoint)
}

/// That the endpoint in the Secret's `key` is refused, and `why`.
pub fn explain_refusal(key: &str, why: &str) -> String {
    format!("the Secret's key {key} cannot be used: {why}")
}

/// Why an internal address is not called.
pub fn refuse_internal(host: &str, what: &str) -> String {
    format!(
        "{host} is {what}; correct it, or start the controller with --allow-host {host} and its range in \
         --allow-private-addresses"
    )
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

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port().unwrap_or(HTTPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Provider;

    fn provider() -> Provider {
        serde_json::from_value(serde_json::json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}})).unwrap()
    }

    fn list(private_addresses: &[&str]) -> AllowList {
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
            "ported.example:8443",
            "*.any.example:*",
            "[::2]:*",
        ];
        let networks: Vec<IpNet> = private_addresses.iter().map(|network| network.parse().unwrap()).collect();
        AllowList::new(&patterns.map(str::to_owned), &networks).unwrap()
    }

    #[rstest::rstest]
    #[case::switzerland("https://iam-pub.eu-ch2.sc.otc.t-systems.com", "https://iam-pub.eu-ch2.sc.otc.t-systems.com/")]
    #[case::service_of_no_region("https://ucs.otc.t-systems.com", "https://ucs.otc.t-systems.com/")]
    #[case::below_api("https://iam.api.otc.t-systems.com", "https://iam.api.otc.t-systems.com/")]
    #[case::vendor_subdomain("https://cce.eu-de.otc.t-systems.com", "https://cce.eu-de.otc.t-systems.com/")]
    #[case::upper_case("HTTPS://CCE.EU-DE.OTC.T-SYSTEMS.COM/", "https://cce.eu-de.otc.t-systems.com/")]
    #[case::final_dot("https://cce.eu-de.otc.t-systems.com./", "https://cce.eu-de.otc.t-systems.com/")]
    #[case::full_width_dot("https://cce.otc.t-systems。com", "https://cce.otc.t-systems.com/")]
    #[case::path_prefix("https://api.example.com/gateway/v1/", "https://api.example.com/gateway/v1/")]
    #[case::port("https://ported.example:8443", "https://ported.example:8443/")]
    #[case::any_port("https://a.any.example:1", "https://a.any.example:1/")]
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
        assert_eq!(
            list(&[]).check("endpoint", endpoint, provider().built_in().unwrap()).map(|e| e.0.to_string()),
            Ok(url.to_owned())
        );
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
    #[case::vendors_own("https://otc.t-systems.com", "not an allowed host")]
    #[case::vendors_other_port(
        "https://cce.eu-de.otc.t-systems.com:8443",
        "--allow-host cce.eu-de.otc.t-systems.com:8443"
    )]
    #[case::customers_content("https://bucket.obs.eu-de.otc.t-systems.com", "not an allowed host")]
    #[case::customers_content_like_a_service("https://cce.obs.eu-de.otc.t-systems.com", "not an allowed host")]
    #[case::deeper_below_api("https://a.b.api.otc.t-systems.com", "not an allowed host")]
    #[case::other_port("https://api.example.com:8443", "--allow-host api.example.com:8443")]
    #[case::no_other_port("https://ported.example", "not an allowed host")]
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
        let failure = list(&[]).check("endpoint", endpoint, provider().built_in().unwrap()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::EndpointRefused);
        assert!(failure.message.starts_with("the Secret's key endpoint cannot be used: "), "{failure}");
        assert!(failure.message.contains(why), "{failure}");
        assert!(!failure.message.contains("secret@"), "{failure}");
    }

    #[rstest::rstest]
    #[case::loopback("https://127.0.0.1", "127.0.0.0/8", true)]
    #[case::v6("https://[::1]", "::1/128", true)]
    #[case::v6_any_port("https://[::2]:8443", "::/64", true)]
    #[case::mapped("https://[::ffff:127.0.0.1]", "127.0.0.0/8", true)]
    #[case::private("https://10.0.0.1", "10.0.0.0/8", true)]
    #[case::another_range("https://10.0.0.1", "10.1.0.0/16", false)]
    #[case::none_for_another("https://127.0.0.1", "10.0.0.0/8", false)]
    fn internal_addresses_pass_in_the_ranges_that_are_allowed(
        #[case] endpoint: &str,
        #[case] network: &str,
        #[case] passes: bool,
    ) {
        let result = list(&[network]).check("endpoint", endpoint, provider().built_in().unwrap());
        assert_eq!(result.is_ok(), passes, "{result:?}");
    }

    #[rstest::rstest]
    #[case::ours("a.apps.example.com", "10.0.0.1", None)]
    #[case::vendors("cce.eu-de.otc.t-systems.com", "10.0.0.1", Some("a private address"))]
    #[case::metadata("a.apps.example.com", "169.254.169.254", Some("a link-local or metadata address"))]
    #[case::public("cce.eu-de.otc.t-systems.com", "8.8.8.8", None)]
    fn a_name_leads_to_a_private_address_only_where_both_are_allowed(
        #[case] name: &str,
        #[case] address: &str,
        #[case] what: Option<&str>,
    ) {
        let list = list(&["10.0.0.0/8"]);
        assert_eq!(list.refuses_address(&host(name).unwrap(), address.parse().unwrap()), what);
    }

    #[rstest::rstest]
    #[case("")]
    #[case("*")]
    #[case("*.")]
    #[case("a.*.example")]
    #[case("**.example")]
    #[case("https://api.example.com")]
    #[case("api.example.com:")]
    #[case("api.example.com:https")]
    #[case("api.example.com:70000")]
    #[case(":443")]
    #[case("api.example.com/")]
    #[case("*.10.0.0.1")]
    #[case("two words")]
    fn an_unusable_pattern_is_refused(#[case] pattern: &str) {
        let patterns = ["api.example.com".to_owned(), pattern.to_owned()];
        assert_eq!(AllowList::new(&patterns, &[]).unwrap_err(), BadPattern(pattern.to_owned()));
    }

    #[rstest::rstest]
    #[case("https://api.example.com", "/v1/x%2F..", "https://api.example.com/v1/x%2F..?a=b+c%26d")]
    #[case("https://api.example.com/", "/v1/x", "https://api.example.com/v1/x?a=b+c%26d")]
    #[case("https://api.example.com/p/q/", "/v1/x", "https://api.example.com/p/q/v1/x?a=b+c%26d")]
    fn a_request_goes_below_the_endpoints_path(#[case] endpoint: &str, #[case] path: &str, #[case] url: &str) {
        let request = Request { path: path.to_owned(), query: Vec::new() }.with_query("a", "b c&d");
        assert_eq!(
            list(&[]).check("endpoint", endpoint, provider().built_in().unwrap()).unwrap().url(&request).as_str(),
            url
        );
    }
}
