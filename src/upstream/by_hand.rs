//! For one who asks by hand, once, as a command line does: the way to a cloud step by step, and all that a list holds.
//! Shares no answers and takes no permits: it is alone.

use std::net::SocketAddr;
use std::time::Duration;

use super::Upstream;
use super::guard::allow_list::{Endpoint, explain_refusal};
use super::send::authenticate::Authenticator;
use crate::auth::Account;
use crate::clock;
use crate::observation::{FailureKind, Member, PollFailure, Request};
use crate::provider::{self, CloudApi};

/// The most pages of a list that are read.
const MOST_PAGES: usize = 10;
/// The most operations of a list that are read, but for those of the page that brings the last of them.
const MOST_MEMBERS: usize = 200;
/// After how long no further page is begun.
const LONGEST: Duration = Duration::from_secs(60);

/// Where an account asks, of which host at which port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The host, as it stands in a URL.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What was read of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The operations, in the cloud's order.
    pub members: Vec<Member>,
    /// Whether those are all.
    pub is_whole: bool,
}

impl Upstream {
    /// Where `account` asks, if its credential may be sent there.
    ///
    /// # Errors
    /// [`FailureKind::EndpointRefused`], naming the Secret's key.
    pub fn destination(&self, provider: &dyn CloudApi, account: &Account) -> Result<Destination, PollFailure> {
        let endpoint = self.sender.allow_list.admit(account, provider)?;
        Ok(Destination { host: endpoint.host().to_owned(), port: endpoint.port() })
    }

    /// The addresses of a `destination`, none of which is refused.
    ///
    /// # Errors
    /// [`FailureKind::EndpointRefused`] where there is no such host, or at an internal address;
    /// [`FailureKind::Unreachable`] where the name service does not answer.
    pub async fn addresses(&self, destination: &Destination) -> Result<Vec<SocketAddr>, PollFailure> {
        let addresses = self.sender.client.look_up(&destination.host).await.map_err(|failure| match failure.kind {
            FailureKind::EndpointRefused => {
                PollFailure { message: explain_refusal("endpoint", &failure.message), ..failure }
            }
            _ => failure,
        })?;
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, destination.port)).collect())
    }

    /// Gets whatever a request of `account` needs to prove who asks: a token, where that has to be requested.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub async fn sign_in(&self, provider: &dyn CloudApi, account: &Account) -> Result<(), PollFailure> {
        let endpoint = self.sender.allow_list.admit(account, provider)?;
        let (allow_list, client, tokens) = (&*self.sender.allow_list, &self.sender.client, &self.sender.tokens);
        let authenticator = Authenticator { allow_list, client, tokens, namespace: "" };
        let request = Request::get(&[]);
        authenticator.sign(provider, account, &endpoint.url(&request), &request).await.map(drop)
    }

    /// All operations of the list whose first page `first` gets, as far as that goes within bounds.
    ///
    /// # Errors
    /// Why a page cannot be had or read.
    pub async fn list(
        &self,
        provider: &dyn CloudApi,
        account: &Account,
        first: Request,
    ) -> Result<Listed, PollFailure> {
        let endpoint = self.sender.allow_list.admit(account, provider)?;
        let ends = clock::monotonic() + LONGEST;
        let mut members = Vec::new();
        let mut next = Some(first);
        for _ in 0..MOST_PAGES {
            let Some(request) = next.take() else { break };
            let page = self.page(provider, account, &endpoint, &request).await?;
            members.extend(page.0);
            next = page.1;
            if members.len() >= MOST_MEMBERS || clock::monotonic() >= ends {
                break;
            }
        }
        Ok(Listed { members, is_whole: next.is_none() })
    }

    async fn page(
        &self,
        provider: &dyn CloudApi,
        account: &Account,
        endpoint: &Endpoint,
        request: &Request,
    ) -> Result<(Vec<Member>, Option<Request>), PollFailure> {
        let page = self.sender.send(provider, endpoint, request, (account, "")).await.result?;
        let listing = page.read_all(|document| provider::read_page(provider, document)).map_err(|misread| {
            let message = format!("{} gave no usable answer: {misread}", provider.cloud());
            PollFailure::new(FailureKind::InvalidResponse, message)
        })?;
        let by_link = page.next.as_deref().and_then(|link| provider.next_page(link));
        Ok((listing.members, listing.next.or(by_link)))
    }
}
