//! Names of hosts, and patterns of them.

use std::fmt;

use url::Host;

/// HTTPS's own port.
pub const HTTPS: u16 = 443;

/// A host (`api.example.com`, `192.0.2.1`, `[2001:db8::1]`) or all subdomains of one (`*.example.com`, `.example.com`), on
/// port 443 or the one that follows (`:8443`, `:*` for any).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    hosts: Hosts,
    /// Any where there is none.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    One(Host<String>),
    /// Without the leading dot.
    Below(String),
}

impl HostPattern {
    /// Reads a pattern; `None` for anything else.
    pub fn read(text: &str) -> Option<Self> {
        let (hosts, port) = match text.rsplit_once(':') {
            Some((hosts, port)) if !port.ends_with(']') && !hosts.is_empty() => (hosts, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            None => Some(HTTPS),
            Some("*") => None,
            Some(port) => Some(port.parse().ok()?),
        };
        let hosts = match hosts.strip_prefix('*').unwrap_or(hosts).strip_prefix('.') {
            Some(parent) => match host(parent)? {
                Host::Domain(parent) => Hosts::Below(parent),
                Host::Ipv4(_) | Host::Ipv6(_) => return None,
            },
            None => Hosts::One(host(hosts)?),
        };
        Some(Self { hosts, port })
    }

    /// Whether it stands for `host` on `port`.
    pub fn matches(&self, host: &Host<String>, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && self.matches_host(host)
    }

    /// Whether it stands for `host` on some port.
    pub fn matches_host(&self, host: &Host<String>) -> bool {
        match (&self.hosts, host) {
            (Hosts::One(own), host) => own == host,
            (Hosts::Below(parent), Host::Domain(name)) => is_subdomain(name, parent),
            (Hosts::Below(_), Host::Ipv4(_) | Host::Ipv6(_)) => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::One(host) => write!(f, "{host}")?,
            Hosts::Below(parent) => write!(f, "*.{parent}")?,
        }
        match self.port {
            Some(HTTPS) => Ok(()),
            Some(port) => write!(f, ":{port}"),
            None => f.write_str(":*"),
        }
    }
}

/// A host in its one canonical form: lower case, punycode, no final dot, numbers of any base as an IPv4 address.
pub fn host(text: &str) -> Option<Host<String>> {
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
