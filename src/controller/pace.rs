//! How often statuses are written: no cloud can make us fill etcd. Pure: the time is an argument.
//!
//! What must not wait is written at once. Other changes of an object have a burst and then a slow rate, and so have those
//! of all who use one Secret together; what comes meanwhile is written together.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Writes of one object: so many at once, then one in so long.
const OBJECT: Rate = Rate { burst: 10, interval: Duration::from_secs(10) };
/// Writes of all objects that use one Secret.
const ACCOUNT: Rate = Rate { burst: 10, interval: Duration::from_millis(100) };
/// How many accounts are looked through at least for those that are quiet.
const FEW: usize = 1000;

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    interval: Duration,
}

/// A budget: the moment at which it is full again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one; when there is one again otherwise.
    fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.unwrap_or(now).max(now);
        let capacity = rate.interval * (rate.burst - 1);
        match full_at.checked_duration_since(now + capacity) {
            Some(wait) if !wait.is_zero() => Err(now + wait),
            _ => {
                self.full_at = Some(full_at + rate.interval);
                Ok(())
            }
        }
    }
}

/// The budgets of all accounts.
#[derive(Debug, Default)]
pub(super) struct Pace {
    accounts: HashMap<u64, Bucket>,
    most: usize,
}

impl Pace {
    /// Leave to write the status of an object whose own budget is `object`. `is_urgent` writes are never held back, but
    /// count.
    ///
    /// # Errors
    /// When there is leave again.
    pub(super) fn admit(
        &mut self,
        account: u64,
        object: &mut Bucket,
        is_urgent: bool,
        now: Instant,
    ) -> Result<(), Instant> {
        if self.accounts.len() > self.most {
            self.accounts.retain(|_, bucket| bucket.full_at.is_some_and(|at| at > now));
            self.most = (self.accounts.len() * 2).max(FEW);
        }
        let shared = self.accounts.entry(account).or_default();
        if is_urgent {
            let _ = (shared.take(ACCOUNT, now), object.take(OBJECT, now));
            return Ok(());
        }
        let mut own = *object;
        own.take(OBJECT, now)?;
        shared.take(ACCOUNT, now)?;
        *object = own;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_object_has_a_burst_and_then_one_write_in_ten_seconds() {
        let (mut pace, mut object, now) = (Pace::default(), Bucket::default(), Instant::now());
        for n in 0..10u32 {
            assert_eq!(pace.admit(1, &mut object, false, now + SECOND * n / 10), Ok(()), "{n}");
        }
        let held = pace.admit(1, &mut object, false, now + SECOND).unwrap_err();
        assert!(held > now + 9 * SECOND && held <= now + 11 * SECOND);
        assert_eq!(pace.admit(1, &mut object, true, now + SECOND), Ok(()), "an end is never held back");
        let written = (0..1000).filter(|n| pace.admit(1, &mut object, false, now + SECOND * *n).is_ok()).count();
        assert!((98..=100).contains(&written), "{written}");
    }

    #[test]
    fn an_account_has_ten_writes_a_second_over_all_its_objects() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let mut objects = vec![Bucket::default(); 500];
        let mut written = 0;
        for tenth in 0..600u32 {
            for object in &mut objects {
                written += u32::from(pace.admit(1, object, false, now + SECOND * tenth / 10).is_ok());
            }
        }
        assert!((590..=620).contains(&written), "{written} in a minute");
        assert_eq!(pace.admit(2, &mut Bucket::default(), false, now), Ok(()), "another account does not notice");
    }

    #[test]
    fn quiet_accounts_take_no_memory() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for account in 0..5 * FEW as u64 {
            let later = now + SECOND * u32::try_from(account).unwrap();
            assert_eq!(pace.admit(account, &mut Bucket::default(), false, later), Ok(()));
        }
        assert!(pace.accounts.len() <= FEW + 1, "{}", pace.accounts.len());
    }
}
