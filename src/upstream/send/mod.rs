//! The exchange with a cloud: what proves who asks ([`authenticate`]), HTTPS ([`client`]) with servers that are believed
//! ([`trust`]) to addresses that were checked ([`dns`]), by a proxy if there is one ([`proxy`]), and room for the replies
//! ([`room`]). The only place of `upstream` with I/O.

pub mod authenticate;
pub mod client;
pub mod dns;
pub mod proxy;
pub mod room;
pub mod trust;

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

use crate::auth::Account;
use crate::auth::token_cache::TokenCache;
use crate::observation::{PollFailure, Request};
use crate::provider::CloudApi;
use crate::upstream::guard::allow_list::{AllowList, Endpoint};
use crate::upstream::guard::redaction::Redaction;
use crate::upstream::reply::Reply;
use crate::upstream::reply::classify::{Asked, Meaning, classify};

use authenticate::{Authenticator, Signed};
use client::{Call, Client};

/// Sends requests to all clouds.
#[derive(Debug)]
pub struct Sender {
    /// Where a credential may go.
    pub allow_list: Arc<AllowList>,
    /// How it gets there.
    pub client: Client,
    /// What was signed in with before.
    pub tokens: TokenCache,
}

/// Adds the headers that an API wants with each request. None of them replaces what proves who asks.
fn add_fixed(headers: &mut HeaderMap, fixed: &[(Box<str>, Box<str>)]) {
    for (name, value) in fixed {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            headers.entry(name).or_insert(value);
        }
    }
}

impl Sender {
    /// Sends `request` as `account`, for somebody in `namespace`, and says what the reply means.
    pub async fn send(
        &self,
        provider: &dyn CloudApi,
        endpoint: &Endpoint,
        request: &Request,
        (account, namespace): (&Account, &str),
    ) -> Meaning {
        let (reply, fetched) = match self.exchange(provider, endpoint, request, (account, namespace)).await {
            Ok(answered) => answered,
            Err(failure) => return Meaning { result: Err(failure), pause: None },
        };
        let credential = &account.connection.credential;
        let redaction = Redaction::new(credential.secrets().into_iter().chain(&fetched));
        classify(reply, Asked { provider, host: endpoint.host(), credential, redaction })
    }

    /// Sends the request; with a new token once more where the one in use is refused: it may have been revoked before
    /// its time. Also gives the token in use, which must not be repeated.
    async fn exchange(
        &self,
        provider: &dyn CloudApi,
        endpoint: &Endpoint,
        request: &Request,
        (account, namespace): (&Account, &str),
    ) -> Result<(Reply, Option<SecretString>), PollFailure> {
        let Self { allow_list, client, tokens } = self;
        let authenticator = Authenticator { allow_list, client, tokens, namespace };
        let mut is_second = false;
        loop {
            let url = endpoint.url(request);
            let Signed { mut headers, fetched } = authenticator.sign(provider, account, &url, request).await?;
            add_fixed(&mut headers, provider.headers());
            let call = Call { url, key: "endpoint", headers, body: None };
            let reply = self.client.send(call, provider, (account, namespace)).await?;
            let is_refused = reply.status == 401 && !is_second;
            match &fetched {
                Some(token) if is_refused && authenticator.renew(provider, account, token).await => is_second = true,
                _ => return Ok((reply, fetched)),
            }
        }
    }
}
