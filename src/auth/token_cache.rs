//! The tokens in use: each requested once for all who use it, renewed before its end, and once more when refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use secrecy::{ExposeSecret, SecretString};

use super::token_request::TokenResponse;
use crate::clock;
use crate::observation::PollFailure;

/// A token younger than this that is refused is not renewed: the next would be refused as well.
const YOUNG: Duration = Duration::from_secs(10);
/// How long a sign-in that failed is not tried again by anyone who shares the account.
const FAILED: Duration = Duration::from_secs(5);
/// The same where only the user can fix it.
const REFUSED: Duration = Duration::from_secs(30);
/// The most bytes kept: 10,000 tokens of usual size, or 500 of the largest. Beyond it the least recently used go.
const MOST_BYTES: u64 = 16 << 20;
/// About how many bytes an entry takes beside its texts.
const BESIDE_TEXTS: usize = 400;

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

impl Entry {
    fn is_usable(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < self.usable
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::with_capacity(MOST_BYTES)
    }
}

impl TokenCache {
    fn with_capacity(bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(bytes)
            .weigher(weigh)
            // A new token must be kept, or each poll would sign in.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Usability);
        Self { entries: entries.build() }
    }

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
            let at = clock::monotonic();
            Arc::new(match result {
                Ok(TokenResponse { token, usable }) => Entry { result: Ok(token), at, usable },
                Err((failure, pause)) => {
                    let least = if failure.kind.is_configuration() { REFUSED } else { FAILED };
                    Entry { result: Err(failure), at, usable: pause.unwrap_or_default().max(least) }
                }
            })
        };
        // By our clock, as the cache goes by its own.
        if self.entries.get(account).await.is_some_and(|entry| !entry.is_usable(clock::monotonic())) {
            self.entries.invalidate(account).await;
        }
        self.entries.get_with(account.to_owned(), enter).await.result.clone()
    }

    /// Drops the token of `account` if it is still `refused`, the one the cloud did not take. Whether a new one may be
    /// asked for.
    pub async fn renew(&self, account: &str, refused: &SecretString) -> bool {
        match self.entries.get(account).await {
            Some(entry) if entry.result.as_ref().is_ok_and(|t| t.expose_secret() == refused.expose_secret()) => {
                let is_worth_it = clock::monotonic().saturating_duration_since(entry.at) >= YOUNG;
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

#[expect(clippy::ptr_arg, reason = "moka hands over the key as it is")]
fn weigh(account: &String, entry: &Arc<Entry>) -> u32 {
    let texts = match &entry.result {
        Ok(token) => token.expose_secret().len(),
        Err(failure) => failure.message.len(),
    };
    u32::try_from(account.len() + texts + BESIDE_TEXTS).unwrap_or(u32::MAX)
}

struct Usability;

impl moka::Expiry<String, Arc<Entry>> for Usability {
    fn expire_after_create(&self, _: &String, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.usable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(cache: &TokenCache, account: &str, token: &str) -> String {
        let request = async { Ok(TokenResponse { token: token.into(), usable: Duration::from_secs(600) }) };
        cache.get(account, request).await.unwrap().expose_secret().to_owned()
    }

    #[tokio::test]
    async fn large_tokens_do_not_grow_the_cache_beyond_its_bytes_and_the_newest_is_kept() {
        let cache = TokenCache::with_capacity(1 << 20);
        let token = "t".repeat(32 << 10);
        for n in 0..200 {
            get(&cache, &format!("account {n}"), &token).await;
            cache.entries.run_pending_tasks().await;
            assert!(cache.entries.weighted_size() <= 1 << 20, "{}", cache.entries.weighted_size());
            assert_eq!(get(&cache, &format!("account {n}"), "another").await, token);
        }
        assert!(cache.entries.entry_count() > 20, "{}", cache.entries.entry_count());
    }
}
