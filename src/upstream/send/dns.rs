//! Names to addresses, none of them internal: the addresses checked here are the ones that are dialled.

use std::net::{IpAddr, SocketAddr};

use dns_lookup::{LookupError, LookupErrorKind};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::observation::{FailureKind, PollFailure};
use crate::upstream::guard::allow_list::refuse_internal;
use crate::upstream::guard::special_addresses;

/// Resolves by the system's resolver.
#[derive(Debug)]
pub struct Resolver {
    /// Whether internal addresses may be called.
    pub allow_private_addresses: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private_addresses = self.allow_private_addresses;
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || {
                let found = dns_lookup::lookup_host(name.as_str()).map(Iterator::collect);
                check(name.as_str(), found, allow_private_addresses)
            });
            // Port 0 stands for the one in the URL.
            let addresses = found.await??.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// Refuses a name with any internal address: a name that answers now with this and now with that is a trap. Which key of
/// the Secret the name came from is for the caller to add.
fn check(
    host: &str,
    found: Result<Vec<IpAddr>, LookupError>,
    allow_private_addresses: bool,
) -> Result<Vec<IpAddr>, PollFailure> {
    let missing = || {
        let message = format!("there is no host named {host}; check it and the region");
        PollFailure::new(FailureKind::EndpointRefused, message)
    };
    let addresses = found.map_err(|error| match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => missing(),
        _ => PollFailure::new(FailureKind::Unreachable, format!("the name service gives no answer about {host}")),
    })?;
    if addresses.is_empty() {
        return Err(missing());
    }
    match addresses.iter().find_map(|found| special_addresses::internal(*found)) {
        Some(what) if !allow_private_addresses => {
            Err(PollFailure::new(FailureKind::EndpointRefused, refuse_internal(host, &format!("the name of {what}"))))
        }
        _ => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn public_addresses_pass_in_their_order() {
        let found = addresses(&["8.8.8.8", "2606:4700::1111"]);
        assert_eq!(check("x.example", Ok(found.clone()), false), Ok(found));
    }

    #[rstest::rstest]
    #[case(&["127.0.0.1"], "the name of a loopback address")]
    #[case(&["8.8.8.8", "10.0.0.1"], "the name of a private address")]
    #[case(&["8.8.8.8", "::ffff:169.254.169.254"], "the name of a link-local or metadata address")]
    fn one_internal_address_among_others_is_enough_to_refuse(#[case] found: &[&str], #[case] why: &str) {
        let failure = check("x.example", Ok(addresses(found)), false).unwrap_err();
        assert_eq!(failure.kind, FailureKind::EndpointRefused);
        assert!(failure.message.contains(&format!("x.example is {why}")), "{failure}");
        assert_eq!(check("x.example", Ok(addresses(found)), true), Ok(addresses(found)));
    }

    #[test]
    fn a_name_that_does_not_exist_is_told_from_a_name_service_in_trouble() {
        let kind = |code| check("x.example", Err(LookupError::new(code)), false).unwrap_err().kind;
        // The values of EAI_NONAME, EAI_NODATA, EAI_AGAIN and EAI_FAIL in glibc and musl.
        assert_eq!(kind(-2), FailureKind::EndpointRefused);
        assert_eq!(kind(-5), FailureKind::EndpointRefused);
        assert_eq!(kind(-3), FailureKind::Unreachable);
        assert_eq!(kind(-4), FailureKind::Unreachable);
        assert_eq!(check("x.example", Ok(vec![]), true).unwrap_err().kind, FailureKind::EndpointRefused);
    }

    #[tokio::test]
    async fn localhost_is_resolved_and_refused() {
        let resolve =
            |allow_private_addresses| Resolver { allow_private_addresses }.resolve("localhost".parse().unwrap());
        let Err(error) = resolve(false).await else { panic!("localhost passed") };
        let failure = error.downcast_ref::<PollFailure>().unwrap();
        assert_eq!(failure.kind, FailureKind::EndpointRefused);
        assert!(resolve(true).await.unwrap().all(|address| address.ip().is_loopback()));
    }
}
