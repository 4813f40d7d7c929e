//! The tokens in use: each requested once for all who use it, renewed before its end, and once more when refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};

use super::token_request::TokenResponse;
use crate::observation::PollFailure;

/// A token younger than this that is refused is not renewed: the next would be refused as well.
const YOUNG: Duration = Duration::from_secs(10);
/// How long a sign-in that failed is not tried again by anyone who shares the account.
const FAILED: Duration = Duration::from_secs(5);
/// The same where only the user can fix it.
const REFUSED: Duration = Duration::from_secs(30);
/// The tokens of all accounts.
#[derive(Clone, Debug)]
pub struct TokenCache {
    entries: Cache<String, Arc<Entry>>,
}

#[derive(Debug)]
struct Entry {
    result: Result<SecretString, PollFailure>,
    at: Instant,
    usable: Duration,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self { entries: Cache::builder().max_capacity(10_000).expire_after(Usability).build() }
    }
}

impl TokenCache {
    /// The token of `account`, by `request` where none is held. A hundred who ask at once wait for one request, and
    /// share its failure as well; a pause that goes with the failure is kept.
    ///
    /// # Errors
    /// Why signing in failed, also a moment ago.
    pub async fn get(
        &self,
        account: &str,
        request: impl Future<Output = Result<TokenResponse, (PollFailure, Option<Duration>)>>,
    ) -> Result<SecretString, PollFailure> {
        let enter = async {
            let result = request.await;
            let at = Instant::now();
            Arc::new(match result {
                Ok(TokenResponse { token, usable }) => Entry { result: Ok(token), at, usable },
                Err((failure, pause)) => {
                    let least = if failure.kind.is_configuration() { REFUSED } else { FAILED };
                    Entry { result: Err(failure), at, usable: pause.unwrap_or_default().max(least) }
                }
            })
        };
        self.entries.get_with(account.to_owned(), enter).await.result.clone()
    }

    /// Drops the token of `account` if it is still `refused`, the one the cloud did not take. Whether a new one may be
    /// asked for.
    pub async fn renew(&self, account: &str, refused: &SecretString) -> bool {
        match self.entries.get(account).await {
            Some(entry) if entry.result.as_ref().is_ok_and(|t| t.expose_secret() == refused.expose_secret()) => {
                let is_worth_it = entry.at.elapsed() >= YOUNG;
                if is_worth_it {
                    self.entries.invalidate(account).await;
                }
                is_worth_it
            }
            // Someone else has renewed it meanwhile.
            Some(entry) => entry.result.is_ok(),
            None => true,
        }
    }
}

struct Usability;

impl moka::Expiry<String, Arc<Entry>> for Usability {
    fn expire_after_create(&self, _: &String, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.usable)
    }
}
