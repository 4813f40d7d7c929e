//! The tokens in use: each since once for all who use it, renewed before its end, and once more when refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};

use super::token_response::FreshToken;
use crate::clock;
use crate::observation::PollFailure;

/// A token younger than this that is refused is not renewed: the next would be refused as well.
const YOUNG: Duration = Duration::from_secs(10);
/// How long a sign-in that failed is not tried again by anyone who shares the account.
const FAILED: Duration = Duration::from_secs(5);
/// The same where only the user can fix it.
const REFUSED: Duration = Duration::from_secs(30);

/// The most bytes kept, and about how many a token takes beside itself.
const MOST_BYTES: u64 = 8 << 20;
const BESIDE_TOKEN: usize = 500;

/// The tokens of all accounts.
#[derive(Clone, Debug)]
pub struct Tokens {
    held: Cache<String, Arc<Held>>,
}

#[derive(Debug)]
struct Held {
    result: Result<SecretString, PollFailure>,
    since: Instant,
    usable: Duration,
}

impl Default for Tokens {
    fn default() -> Self {
        let weigh = |_: &String, held: &Arc<Held>| {
            let length = held.result.as_ref().map_or(0, |token| token.expose_secret().len());
            u32::try_from(BESIDE_TOKEN + length).unwrap_or(u32::MAX)
        };
        Self { held: Cache::builder().weigher(weigh).max_capacity(MOST_BYTES).expire_after(Usability).build() }
    }
}

impl Tokens {
    /// The token of `account`, from `sign_in` where none is held. A hundred who ask at once wait for one sign-in, and share
    /// its failure as well.
    ///
    /// # Errors
    /// Why signing in failed, also a moment ago.
    pub async fn get(
        &self,
        account: &str,
        sign_in: impl Future<Output = Result<FreshToken, (PollFailure, Option<Duration>)>>,
    ) -> Result<SecretString, PollFailure> {
        let hold = async {
            let result = sign_in.await;
            let since = clock::monotonic();
            Arc::new(match result {
                Ok(FreshToken { token, usable }) => Held { result: Ok(token), since, usable },
                Err((failure, pause)) => {
                    let least = if failure.kind.is_configuration() { REFUSED } else { FAILED };
                    Held { result: Err(failure), since, usable: pause.unwrap_or_default().max(least) }
                }
            })
        };
        self.held.get_with(account.to_owned(), hold).await.result.clone()
    }

    /// Drops the token of `account` if it is still `refused`, the one the cloud did not take. Whether a new one may be
    /// asked for.
    pub async fn renew(&self, account: &str, refused: &SecretString) -> bool {
        match self.held.get(account).await {
            Some(held) if held.result.as_ref().is_ok_and(|t| t.expose_secret() == refused.expose_secret()) => {
                let is_worth_it = clock::monotonic().saturating_duration_since(held.since) >= YOUNG;
                if is_worth_it {
                    self.held.invalidate(account).await;
                }
                is_worth_it
            }
            // Someone else has renewed it meanwhile.
            Some(held) => held.result.is_ok(),
            None => true,
        }
    }
}

struct Usability;

impl moka::Expiry<String, Arc<Held>> for Usability {
    fn expire_after_create(&self, _: &String, held: &Arc<Held>, _: Instant) -> Option<Duration> {
        Some(held.usable)
    }
}
