//! Names to addresses, none of them internal: the addresses checked here are the ones that are dialled.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dns_lookup::{LookupError, LookupErrorKind};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::hosts::host;
use crate::observation::{FailureKind, PollFailure};
use crate::upstream::guard::allow_list::{AllowList, refuse_internal};

/// Names that the machine itself knows, such as a Pod's `hostAliases`: hosts(5).
const HOSTS: &str = "/etc/hosts";

/// Resolves by the system's resolver.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// Whose names may lead to which internal addresses.
    pub allow_list: Arc<AllowList>,
    /// The host of the proxy, which the controller's owner chose: it may be anywhere.
    pub proxy: Option<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || resolver.look_up(name.as_str()));
            // Port 0 stands for the one in the URL.
            let addresses = found.await??.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

impl Resolver {
    /// The addresses of `host`: a name, or an address as it stands in a URL, which was checked before.
    ///
    /// # Errors
    /// There is no such host, or it is at an internal address, or nobody can tell.
    pub async fn find(&self, host: &str) -> Result<Vec<IpAddr>, PollFailure> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        let (resolver, name) = (self.clone(), host.to_owned());
        tokio::task::spawn_blocking(move || resolver.look_up(&name)).await.unwrap_or_else(|_| {
            Err(PollFailure::new(FailureKind::Unreachable, format!("the name service gives no answer about {host}")))
        })
    }

    fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, PollFailure> {
        let ask = |name: &str| dns_lookup::lookup_host(name).map(Iterator::collect);
        if self.proxy.as_deref() == Some(name) {
            return found(name, ask(name));
        }
        let known = std::fs::read_to_string(HOSTS).map(|hosts| known(&hosts, name)).unwrap_or_default();
        let addresses = match known.is_empty() {
            true => found(name, ask(&absolute(name)))?,
            false => known,
        };
        check(&self.allow_list, name, addresses)
    }
}

/// The name with a final dot where it has a dot: a Pod's search list would be gone through first, and a namespace of the
/// cluster could answer for a cloud.
fn absolute(name: &str) -> String {
    if name.contains('.') { format!("{name}.") } else { name.to_owned() }
}

/// What the text of a `hosts` file says of `name`.
fn known(hosts: &str, name: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().filter_map(|line| line.split('#').next());
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect()
}

/// What the name service says. Which key of the Secret the name came from is for the caller to add.
fn found(host: &str, found: Result<Vec<IpAddr>, LookupError>) -> Result<Vec<IpAddr>, PollFailure> {
    let missing = || {
        let message = format!("there is no host named {host}; check it and the region");
        PollFailure::new(FailureKind::EndpointRefused, message)
    };
    let addresses = found.map_err(|error| match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => missing(),
        _ => PollFailure::new(FailureKind::Unreachable, format!("the name service gives no answer about {host}")),
    })?;
    if addresses.is_empty() { Err(missing()) } else { Ok(addresses) }
}

/// Refuses a name with any internal address: a name that answers now with this and now with that is a trap.
fn check(allow_list: &AllowList, name: &str, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, PollFailure> {
    let refuse = |why: &str| Err(PollFailure::new(FailureKind::EndpointRefused, refuse_internal(name, why)));
    let Some(host) = host(name) else { return refuse("no host name") };
    match addresses.iter().find_map(|address| allow_list.refuses_address(&host, *address)) {
        Some(what) => refuse(&format!("the name of {what}")),
        None => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn resolver(networks: &[&str]) -> Resolver {
        let networks: Vec<_> = networks.iter().map(|network| network.parse().unwrap()).collect();
        let patterns = ["x.example", "localhost"].map(str::to_owned);
        Resolver { allow_list: Arc::new(AllowList::new(&patterns, &networks).unwrap()), proxy: None }
    }

    #[test]
    fn public_addresses_pass_in_their_order() {
        let found = addresses(&["8.8.8.8", "2606:4700::1111"]);
        assert_eq!(check(&resolver(&[]).allow_list, "x.example", found.clone()), Ok(found));
    }

    #[rstest::rstest]
    #[case(&["127.0.0.1"], "the name of a loopback address")]
    #[case(&["8.8.8.8", "10.0.0.1"], "the name of a private address")]
    #[case(&["8.8.8.8", "::ffff:169.254.169.254"], "the name of a link-local or metadata address")]
    fn one_internal_address_among_others_is_enough_to_refuse(#[case] found: &[&str], #[case] why: &str) {
        let found = addresses(found);
        let failure = check(&resolver(&[]).allow_list, "x.example", found.clone()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::EndpointRefused);
        assert!(failure.message.contains(&format!("x.example is {why}")), "{failure}");
        let all = &resolver(&["0.0.0.0/0"]).allow_list;
        assert_eq!(check(all, "x.example", found.clone()), Ok(found.clone()));
        assert!(check(all, "y.example", found).is_err(), "a name that nobody allowed");
    }

    #[test]
    fn a_name_that_does_not_exist_is_told_from_a_name_service_in_trouble() {
        let kind = |code| found("x.example", Err(LookupError::new(code))).unwrap_err().kind;
        // The values of EAI_NONAME, EAI_NODATA, EAI_AGAIN and EAI_FAIL in glibc and musl.
        assert_eq!(kind(-2), FailureKind::EndpointRefused);
        assert_eq!(kind(-5), FailureKind::EndpointRefused);
        assert_eq!(kind(-3), FailureKind::Unreachable);
        assert_eq!(kind(-4), FailureKind::Unreachable);
        assert_eq!(found("x.example", Ok(vec![])).unwrap_err().kind, FailureKind::EndpointRefused);
    }

    #[test]
    fn a_name_with_a_dot_is_looked_up_as_it_is() {
        assert_eq!(absolute("cce.eu-de.otc.t-systems.com"), "cce.eu-de.otc.t-systems.com.");
        assert_eq!(absolute("localhost"), "localhost");
    }

    #[test]
    fn what_the_hosts_file_says_counts() {
        let hosts =
            "# x.example\n127.0.0.1 localhost\n10.0.0.7\tother x.EXAMPLE # y.example\n::7 x.example\nbad x.example\n";
        assert_eq!(known(hosts, "x.example"), addresses(&["10.0.0.7", "::7"]));
        assert_eq!(known(hosts, "y.example"), addresses(&[]));
    }

    #[tokio::test]
    async fn localhost_is_resolved_and_refused() {
        let resolve = |networks: &[&str]| resolver(networks).resolve("localhost".parse().unwrap());
        let Err(error) = resolve(&[]).await else { panic!("localhost passed") };
        let failure = error.downcast_ref::<PollFailure>().unwrap();
        assert_eq!(failure.kind, FailureKind::EndpointRefused);
        assert!(resolve(&["127.0.0.0/8", "::1/128"]).await.unwrap().all(|address| address.ip().is_loopback()));
    }
}
