//! How often a cloud may be asked. Pure: the time is an argument.
//!
//! One account has one budget, whoever asks: a burst, then a steady rate, and no more requests under way at once than
//! the burst, so that a cloud that does not answer holds up nobody else. An asker over budget gets a ticket, a moment in
//! the future that is his alone, so that a thousand askers wait their turn without asking again and again, and the time
//! between two polls grows alike for all. Who asks for the first time goes before those who have had an answer. A cloud
//! that asks for a pause gets one from the whole account.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The longest pause a cloud can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// How long a ticket whose moment has come is kept for its owner.
const TICKET_KEPT: Duration = Duration::from_secs(120);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// When an asker is to look again who finds too many requests under way.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The budgets of all accounts.
#[derive(Debug)]
pub struct Budget {
    /// Time between two requests at the steady rate.
    interval: Duration,
    /// How far an idle account's next moment may lie in the past: what allows the burst.
    credit: Duration,
    most_under_way: u32,
    accounts: HashMap<String, Account>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Account {
    /// The next moment nobody has yet.
    next: Instant,
    paused_until: Instant,
    /// By asker. Future ones of first-comers stand before all future ones of others.
    tickets: HashMap<String, Ticket>,
    under_way: u32,
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    moment: Instant,
    is_first: bool,
}

impl Budget {
    /// Budgets of `requests_per_second`, after a burst of `burst` requests.
    pub fn new(requests_per_second: f64, burst: u32) -> Self {
        let interval = Duration::try_from_secs_f64(requests_per_second.recip()).unwrap_or(LONGEST_PAUSE);
        Self {
            interval,
            credit: interval.saturating_mul(burst.saturating_sub(1)),
            most_under_way: burst,
            accounts: HashMap::new(),
            swept: None,
        }
    }

    /// Takes a permit for one request, which counts as under way until [`Self::land`]. `is_first` tells that the asker
    /// has never had an answer.
    ///
    /// # Errors
    /// The moment to come back at: it stays this asker's, unless a first-comer takes it and he gets the next.
    pub fn ask(&mut self, account: &str, asker: &str, is_first: bool, now: Instant) -> Result<(), Instant> {
        self.sweep(now);
        let (interval, most_under_way) = (self.interval, self.most_under_way);
        let account = self.account(account, now);
        let kept = account.tickets.get(asker).map(|ticket| ticket.moment);
        let moment = kept.unwrap_or_else(|| account.give_moment(is_first, interval, now));
        let allowed = match moment.max(account.paused_until) {
            later if later > now => Err(later),
            _ if account.under_way >= most_under_way => Err(now + LOOK_AGAIN),
            _ => Ok(()),
        };
        match allowed {
            Ok(()) => {
                account.under_way += 1;
                if kept.is_some() {
                    account.tickets.remove(asker);
                }
            }
            Err(_) if kept.is_none() => {
                account.tickets.insert(asker.to_owned(), Ticket { moment, is_first });
            }
            Err(_) => {}
        }
        allowed
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
        account.under_way += 1;
        Ok(())
    }

    /// Notes that a permitted request is over, whatever came of it.
    pub fn land(&mut self, account: &str) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.under_way = account.under_way.saturating_sub(1);
        }
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
            ticket.moment += delay;
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
            under_way: 0,
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
            account.tickets.retain(|_, ticket| ticket.moment.max(account.paused_until) + TICKET_KEPT > now);
            let is_busy = !account.tickets.is_empty() || account.under_way > 0;
            is_busy || account.next + credit > now || account.paused_until > now
        });
    }
}

impl Account {
    /// The moment of a new asker: the next that nobody has, or for a first-comer that of the foremost who is none, who
    /// then moves up by one with all behind him.
    fn give_moment(&mut self, is_first: bool, interval: Duration, now: Instant) -> Instant {
        let next = self.next;
        self.next += interval;
        let waits = |ticket: &&mut Ticket| !ticket.is_first && ticket.moment > now;
        let mut others: Vec<&mut Ticket> = self.tickets.values_mut().filter(waits).collect();
        match others.iter().map(|ticket| ticket.moment).min() {
            Some(foremost) if is_first => {
                others.iter_mut().for_each(|ticket| ticket.moment += interval);
                foremost
            }
            _ => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Asks as someone who has had an answer before, for a request that is over at once.
    fn ask(budget: &mut Budget, account: &str, asker: &str, now: Instant) -> Result<(), Instant> {
        budget.ask(account, asker, false, now).inspect(|()| budget.land(account))
    }

    /// Comes back exactly when told, until permitted; says how often that was and when.
    fn wait_for_permit(budget: &mut Budget, asker: &str, mut now: Instant) -> (usize, Instant) {
        let mut visits = 1;
        while let Err(later) = ask(budget, "a", asker, now) {
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
            assert_eq!(ask(&mut budget, "a", &n.to_string(), now), Ok(()));
        }
        for n in 10..20u32 {
            let expected = now + Duration::from_millis(200) * (n - 9);
            assert_eq!(ask(&mut budget, "a", &n.to_string(), now), Err(expected));
        }
        assert_eq!(ask(&mut budget, "b", "0", now), Ok(()), "another account has its own budget");
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
        assert_eq!(ask(&mut budget, "a", "first", now), Ok(()));
        assert_eq!(ask(&mut budget, "a", "second", now), Err(now + SECOND));
        assert_eq!(ask(&mut budget, "a", "third", now), Err(now + 2 * SECOND));
        assert_eq!(ask(&mut budget, "a", "second", now), Err(now + SECOND), "asking again changes nothing");
        assert_eq!(ask(&mut budget, "a", "newcomer", now + SECOND), Err(now + 3 * SECOND), "nobody overtakes");
        assert_eq!(ask(&mut budget, "a", "second", now + 5 * SECOND), Ok(()), "late is not too late");
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
                _ => permits += u32::from(ask(&mut budget, "a", &asker.to_string(), now).is_ok()),
            }
            let allowed = 10.0 + 5.0 * (now - start).as_secs_f64();
            assert!(f64::from(permits) <= allowed + 1e-6, "{permits} permits, {allowed} allowed");
        }
        assert!(permits > 3000, "the budget is also used: {permits}");
    }

    #[test]
    fn a_pause_stops_all_and_keeps_their_order_without_a_burst_after_it() {
        let (mut budget, now) = (Budget::new(1.0, 10), Instant::now());
        assert_eq!(ask(&mut budget, "a", "served", now), Ok(()));
        budget.pause("a", 30 * SECOND, now);
        for n in 0..5u32 {
            let expected = now + (30 + n) * SECOND;
            assert_eq!(ask(&mut budget, "a", &n.to_string(), now + SECOND), Err(expected));
        }
        budget.pause("a", 59 * SECOND, now + SECOND);
        assert_eq!(ask(&mut budget, "a", "1", now + 31 * SECOND), Err(now + 61 * SECOND));
        assert_eq!(ask(&mut budget, "a", "0", now + 31 * SECOND), Err(now + 60 * SECOND));
        assert_eq!(ask(&mut budget, "a", "0", now + 60 * SECOND), Ok(()));
        assert_eq!(ask(&mut budget, "a", "newcomer", now + 60 * SECOND), Err(now + 65 * SECOND));
    }

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one_and_none_lasts_over_15_minutes() {
        let (mut budget, now) = (Budget::new(5.0, 10), Instant::now());
        budget.pause("a", Duration::from_secs(1_000_000_000), now);
        budget.pause("a", SECOND, now);
        assert_eq!(ask(&mut budget, "a", "x", now), Err(now + LONGEST_PAUSE));
    }

    #[test]
    fn a_further_page_makes_the_next_asker_wait() {
        let (mut budget, now) = (Budget::new(1.0, 1), Instant::now());
        assert_eq!(ask(&mut budget, "a", "x", now), Ok(()));
        assert_eq!(budget.charge("a", now), Ok(()));
        assert_eq!(ask(&mut budget, "a", "y", now), Err(now + 2 * SECOND));
        budget.pause("a", 9 * SECOND, now);
        assert_eq!(budget.charge("a", now), Err(now + 9 * SECOND));
    }

    #[test]
    fn who_asks_for_the_first_time_goes_before_the_others_who_keep_their_order() {
        let (mut budget, now) = (Budget::new(1.0, 1), Instant::now());
        assert_eq!(budget.ask("a", "served", false, now), Ok(()));
        for (asker, turn) in [("b", 1), ("c", 2)] {
            assert_eq!(budget.ask("a", asker, false, now), Err(now + turn * SECOND));
        }
        for (newcomer, turn) in [("x", 1), ("y", 2)] {
            assert_eq!(budget.ask("a", newcomer, true, now), Err(now + turn * SECOND));
        }
        budget.land("a");
        assert_eq!(budget.ask("a", "b", false, now + SECOND), Err(now + 3 * SECOND));
        for (turn, asker, is_first) in [(1, "x", true), (2, "y", true), (3, "b", false), (4, "c", false)] {
            assert_eq!(budget.ask("a", asker, is_first, now + turn * SECOND), Ok(()), "{asker}");
            budget.land("a");
        }
    }

    #[test]
    fn no_more_requests_are_under_way_than_the_burst() {
        let (mut budget, now) = (Budget::new(100.0, 2), Instant::now());
        assert_eq!(budget.ask("a", "x", false, now), Ok(()));
        assert_eq!(budget.ask("a", "y", false, now), Ok(()));
        let later = now + 9 * SECOND;
        assert_eq!(budget.ask("a", "z", false, later), Err(later + LOOK_AGAIN));
        assert_eq!(budget.ask("b", "z", false, later), Ok(()), "another account does not wait for it");
        budget.land("a");
        assert_eq!(budget.ask("a", "z", false, later), Ok(()));
    }

    #[test]
    fn a_released_ticket_is_anothers() {
        let (mut budget, now) = (Budget::new(1.0, 1), Instant::now());
        assert_eq!(ask(&mut budget, "a", "x", now), Ok(()));
        assert_eq!(ask(&mut budget, "a", "y", now), Err(now + SECOND));
        budget.release("a", "y");
        budget.release("a", "y");
        assert_eq!(ask(&mut budget, "a", "z", now), Err(now + SECOND));
    }

    #[test]
    fn the_forgotten_take_no_memory() {
        let (mut budget, now) = (Budget::new(1.0, 1), Instant::now());
        for n in 0..100 {
            let _ = ask(&mut budget, "a", &n.to_string(), now);
            let _ = ask(&mut budget, &n.to_string(), "x", now);
        }
        assert_eq!(ask(&mut budget, "z", "x", now + 1000 * SECOND), Ok(()));
        assert_eq!(budget.accounts.len(), 1);
    }
}
