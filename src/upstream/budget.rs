//! How often a cloud may be asked. Pure: the time is an argument.
//!
//! One account has one budget, whoever asks: a burst, then a steady rate. An asker over budget gets a ticket, a moment
//! in the future that is his alone, so that a thousand askers wait their turn without asking again and again, and the
//! time between two polls grows alike for all. A cloud that asks for a pause gets one from the whole account.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The longest pause a cloud can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// How long a ticket whose moment has come is kept for its owner.
const TICKET_KEPT: Duration = Duration::from_secs(120);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The budgets of all accounts.
#[derive(Debug)]
pub struct Budget {
    /// Time between two requests at the steady rate.
    interval: Duration,
    /// How far an idle account's next moment may lie in the past: what allows the burst.
    credit: Duration,
    accounts: HashMap<String, Account>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Account {
    /// The next moment nobody has yet.
    next: Instant,
    paused_until: Instant,
    /// Moments in the future, by asker.
    tickets: HashMap<String, Instant>,
}

impl Budget {
    /// Budgets of `requests_per_second`, after a burst of `burst` requests.
    pub fn new(requests_per_second: f64, burst: u32) -> Self {
        let interval = Duration::try_from_secs_f64(requests_per_second.recip()).unwrap_or(LONGEST_PAUSE);
        Self {
            interval,
            credit: interval.saturating_mul(burst.saturating_sub(1)),
            accounts: HashMap::new(),
            swept: None,
        }
    }

    /// Takes a permit for one request.
    ///
    /// # Errors
    /// The moment to come back at: it stays this asker's.
    pub fn ask(&mut self, account: &str, asker: &str, now: Instant) -> Result<(), Instant> {
        self.sweep(now);
        let interval = self.interval;
        let account = self.account(account, now);
        let moment = match account.tickets.get(asker) {
            Some(ticket) => *ticket,
            None => {
                let moment = account.next;
                account.next += interval;
                account.tickets.insert(asker.to_owned(), moment);
                moment
            }
        };
        let moment = moment.max(account.paused_until);
        if moment > now {
            return Err(moment);
        }
        account.tickets.remove(asker);
        Ok(())
    }

    /// Takes a permit for a further request of a poll already permitted; who asks next waits the longer.
    ///
    /// # Errors
    /// The end of a pause.
    pub fn charge(&mut self, account: &str, now: Instant) -> Result<(), Instant> {
        let interval = self.interval;
        let account = self.account(account, now);
        if account.paused_until > now {
            return Err(account.paused_until);
        }
        account.next += interval;
        Ok(())
    }

    /// Gives back a ticket that its owner no longer needs.
    pub fn release(&mut self, account: &str, asker: &str) {
        if let Some(account) = self.accounts.get_mut(account)
            && account.tickets.remove(asker).is_some()
        {
            account.next = account.next.checked_sub(self.interval).unwrap_or(account.next);
        }
    }

    /// Stops all requests of the account for `pause`, at most 15 minutes. Those who wait keep their order.
    pub fn pause(&mut self, account: &str, pause: Duration, now: Instant) {
        let until = now + pause.min(LONGEST_PAUSE);
        let account = self.account(account, now);
        let delay = until.saturating_duration_since(account.paused_until.max(now));
        for ticket in account.tickets.values_mut() {
            *ticket += delay;
        }
        account.paused_until = account.paused_until.max(until);
        // No burst right after the pause: the cloud has just said that it is too much.
        account.next = (account.next + delay).max(account.paused_until);
    }

    fn account(&mut self, name: &str, now: Instant) -> &mut Account {
        let floor = now.checked_sub(self.credit).unwrap_or(now);
        let account = self.accounts.entry(name.to_owned()).or_insert_with(|| Account {
            next: floor,
            paused_until: now,
            tickets: HashMap::new(),
        });
        account.next = account.next.max(floor);
        account
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP_INTERVAL) {
            return;
        }
        self.swept = Some(now);
        let credit = self.credit;
        self.accounts.retain(|_, account| {
            account.tickets.retain(|_, ticket| (*ticket).max(account.paused_until) + TICKET_KEPT > now);
            !account.tickets.is_empty() || account.next + credit > now || account.paused_until > now
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Comes back exactly when told, until permitted; says how often that was and when.
    fn wait_for_permit(budget: &mut Budget, asker: &str, mut now: Instant) -> (usize, Instant) {
        let mut visits = 1;
        while let Err(later) = budget.ask("a", asker, now) {
            assert!(later > now, "a permit is refused only until a later time");
            now = later;
            visits += 1;
        }
        (visits, now)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let (mut budget, now) = (Budget::new(5.0, 10), Instant::now());
        for n in 0..10 {
            assert_eq!(budget.ask("a", &n.to_string(), now), Ok(()));
        }
        for n in 10..20u32 {
            let expected = now + Duration::from_millis(200) * (n - 9);
            assert_eq!(budget.ask("a", &n.to_string(), now), Err(expected));
        }
        assert_eq!(budget.ask("b", "0", now), Ok(()), "another account has its own budget");
    }

    #[test]
    fn a_thousand_askers_come_twice_each_and_are_served_in_order() {
        let (mut budget, start) = (Budget::new(5.0, 10), Instant::now());
        let served: Vec<_> = (0..1000).map(|n| wait_for_permit(&mut budget, &n.to_string(), start)).collect();
        assert!(served.iter().all(|(visits, _)| *visits <= 2));
        assert!(served.is_sorted_by_key(|(_, at)| *at));
        assert_eq!(served[999].1 - start, Duration::from_millis(200) * 990);
    }

    #[test]
    fn a_ticket_is_its_owners_until_he_comes() {
        let (mut budget, now) = (Budget::new(1.0, 1), Instant::now());
        assert_eq!(budget.ask("a", "first", now), Ok(()));
        assert_eq!(budget.ask("a", "second", now), Err(now + SECOND));
        assert_eq!(budget.ask("a", "third", now), Err(now + 2 * SECOND));
        assert_eq!(budget.ask("a", "second", now), Err(now + SECOND), "asking again changes nothing");
        assert_eq!(budget.ask("a", "newcomer", now + SECOND), Err(now + 3 * SECOND), "nobody overtakes");
        assert_eq!(budget.ask("a", "second", now + 5 * SECOND), Ok(()), "late is not too late");
    }

    #[test]
    fn whoever_asks_whenever_the_budget_is_never_exceeded_since_the_start() {
        let (mut budget, start) = (Budget::new(5.0, 10), Instant::now());
        let mut state = 7u64;
        let mut permits = 0u32;
        let mut now = start;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            now += Duration::from_millis((state >> 60) * 5);
            let asker = (state >> 40) % 50;
            match (state >> 33) % 20 {
                0 => budget.release("a", &asker.to_string()),
                _ => permits += u32::from(budget.ask("a", &asker.to_string(), now).is_ok()),
            }
            let allowed = 10.0 + 5.0 * (now - start).as_secs_f64();
            assert!(f64::from(permits) <= allowed + 1e-6, "{permits} permits, {allowed} allowed");
        }
        assert!(permits > 3000, "the budget is also used: {permits}");
    }

    #[test]
    fn a_pause_stops_all_and_keeps_their_order_without_a_burst_after_it() {
        let (mut budget, now) = (Budget::new(1.0, 10), Instant::now());
        assert_eq!(budget.ask("a", "served", now), Ok(()));
        budget.pause("a", 30 * SECOND, now);
        for n in 0..5u32 {
            let expected = now + (30 + n) * SECOND;
            assert_eq!(budget.ask("a", &n.to_string(), now + SECOND), Err(expected));
        }
        budget.pause("a", 59 * SECOND, now + SECOND);
        assert_eq!(budget.ask("a", "1", now + 31 * SECOND), Err(now + 61 * SECOND));
        assert_eq!(budget.ask("a", "0", now + 31 * SECOND), Err(now + 60 * SECOND));
        assert_eq!(budget.ask("a", "0", now + 60 * SECOND), Ok(()));
        assert_eq!(budget.ask("a", "newcomer", now + 60 * SECOND), Err(now + 65 * SECOND));
    }

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one_and_none_lasts_over_15_minutes() {
        let (mut budget, now) = (Budget::new(5.0, 10), Instant::now());
        budget.pause("a", Duration::from_secs(1_000_000_000), now);
        budget.pause("a", SECOND, now);
        assert_eq!(budget.ask("a", "x", now), Err(now + LONGEST_PAUSE));
    }

    #[test]
    fn a_further_page_makes_the_next_asker_wait() {
        let (mut budget, now) = (Budget::new(1.0, 1), Instant::now());
        assert_eq!(budget.ask("a", "x", now), Ok(()));
        assert_eq!(budget.charge("a", now), Ok(()));
        assert_eq!(budget.ask("a", "y", now), Err(now + 2 * SECOND));
        budget.pause("a", 9 * SECOND, now);
        assert_eq!(budget.charge("a", now), Err(now + 9 * SECOND));
    }

    #[test]
    fn a_released_ticket_is_anothers() {
        let (mut budget, now) = (Budget::new(1.0, 1), Instant::now());
        assert_eq!(budget.ask("a", "x", now), Ok(()));
        assert_eq!(budget.ask("a", "y", now), Err(now + SECOND));
        budget.release("a", "y");
        budget.release("a", "y");
        assert_eq!(budget.ask("a", "z", now), Err(now + SECOND));
    }

    #[test]
    fn the_forgotten_take_no_memory() {
        let (mut budget, now) = (Budget::new(1.0, 1), Instant::now());
        for n in 0..100 {
            let _ = budget.ask("a", &n.to_string(), now);
            let _ = budget.ask(&n.to_string(), "x", now);
        }
        assert_eq!(budget.ask("z", "x", now + 1000 * SECOND), Ok(()));
        assert_eq!(budget.accounts.len(), 1);
    }
}
