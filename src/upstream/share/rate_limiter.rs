//! How often a cloud may be asked, and by whom first. Pure: the time is an argument.
//!
//! One account has one budget, whoever asks: a burst, then a steady rate. An asker over budget gets a ticket: a moment in
//! the future that is its alone, so that a thousand askers wait their turn without asking again and again, and the time
//! between two polls grows alike for all. Who asks for the first time goes before those who have had an answer. A cloud
//! that asks for a pause gets one from the whole account.
//!
//! Requests under way are shared out too, so that a cloud that does not answer holds up nobody else: an account has at
//! most its burst and an eighth of all, a namespace at most a quarter. A permit that becomes free goes to the ticket with
//! the earliest moment.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The interval of a rate too small to be written.
const LONGEST_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// How long a ticket whose moment has come is kept for its owner.
const TICKET_KEPT: Duration = Duration::from_secs(120);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest and the longest time after which an asker looks again whose moment has come while all permits are out.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(30)];
/// How long after the moment it was told an asker may come without losing its place.
const LATE: Duration = Duration::from_secs(10);
/// The parts of all requests under way that one account, and one namespace, may have.
const ACCOUNTS_PART: u32 = 8;
const NAMESPACES_PART: u32 = 4;

/// What bounds the requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The steady rate of one account, in requests a second.
    pub requests_per_second: f64,
    /// How many requests an account may send at once after a quiet time.
    pub burst: u32,
    /// How many requests of all accounts may be under way at once.
    pub under_way: u32,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The account that pays.
    pub account: &'a str,
    /// The namespace it is asked for.
    pub namespace: &'a str,
    /// An object's UID.
    pub uid: &'a str,
    /// Whether it has never had an answer.
    pub is_first: bool,
}

/// The budgets of all accounts.
#[derive(Debug)]
pub struct RateLimiter {
    /// Time between two requests at the steady rate.
    interval: Duration,
    /// How far an idle account's next moment may lie in the past: what allows the burst.
    credit: Duration,
    most_of_account: u32,
    most_of_namespace: u32,
    accounts: HashMap<String, Account>,
    /// How many requests are under way for each namespace that has any.
    namespaces: HashMap<String, u32>,
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
    /// About how long a request takes, from those that were over last.
    takes: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    moment: Instant,
    is_first: bool,
    /// When its owner was told to come back.
    expected: Instant,
}

impl RateLimiter {
    /// Budgets within `limits`.
    pub fn new(limits: Limits) -> Self {
        let interval = Duration::try_from_secs_f64(limits.requests_per_second.recip()).unwrap_or(LONGEST_INTERVAL);
        Self {
            interval,
            credit: interval.saturating_mul(limits.burst.saturating_sub(1)),
            most_of_account: limits.burst.min(limits.under_way / ACCOUNTS_PART).max(1),
            most_of_namespace: (limits.under_way / NAMESPACES_PART).max(1),
            accounts: HashMap::new(),
            namespaces: HashMap::new(),
            swept: None,
        }
    }

    /// Takes a permit for one request, which counts as under way until [`Self::finish`].
    ///
    /// # Errors
    /// When to come back: the moment stays this asker's, unless a first-comer takes it and it gets the next.
    pub fn acquire(&mut self, asker: Asker<'_>, now: Instant) -> Result<(), Instant> {
        self.sweep(now);
        let (interval, most) = (self.interval, self.most_of_account);
        let namespace_is_full = self.namespaces.get(asker.namespace).is_some_and(|n| *n >= self.most_of_namespace);
        let account = self.account(asker.account, now);
        let kept = account.tickets.get(asker.uid).map(|ticket| ticket.moment);
        let moment = kept.unwrap_or_else(|| account.give_moment(asker.is_first, interval, now));
        let free = most.saturating_sub(account.under_way);
        let come_back = match moment.max(account.paused_until) {
            later if later > now => Some(later),
            _ if namespace_is_full => Some(now + LOOK_AGAIN[0] * 4),
            _ => account.come_back(asker.uid, moment, free, most, now),
        };
        match come_back {
            None => {
                account.under_way += 1;
                account.tickets.remove(asker.uid);
                *self.namespaces.entry(asker.namespace.to_owned()).or_default() += 1;
                Ok(())
            }
            Some(expected) => {
                let ticket = Ticket { moment, is_first: asker.is_first, expected };
                match account.tickets.get_mut(asker.uid) {
                    Some(kept) => *kept = Ticket { is_first: kept.is_first, ..ticket },
                    None => _ = account.tickets.insert(asker.uid.to_owned(), ticket),
                }
                Err(expected)
            }
        }
    }

    /// Takes a permit for a further request of a poll already permitted; who asks next waits the longer.
    ///
    /// # Errors
    /// The end of a pause.
    pub fn acquire_further(&mut self, asker: Asker<'_>, now: Instant) -> Result<(), Instant> {
        let interval = self.interval;
        let account = self.account(asker.account, now);
        if account.paused_until > now {
            return Err(account.paused_until);
        }
        account.next += interval;
        account.under_way += 1;
        *self.namespaces.entry(asker.namespace.to_owned()).or_default() += 1;
        Ok(())
    }

    /// Notes that a permitted request is over after it `took` so long, whatever came of it.
    pub fn finish(&mut self, account: &str, namespace: &str, took: Duration) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.under_way = account.under_way.saturating_sub(1);
            account.takes = (account.takes * 3 + took) / 4;
        }
        if let Some(under_way) = self.namespaces.get_mut(namespace) {
            *under_way = under_way.saturating_sub(1);
            if *under_way == 0 {
                self.namespaces.remove(namespace);
            }
        }
    }

    /// Gives back a ticket that its owner no longer needs.
    pub fn release(&mut self, account: &str, uid: &str) {
        if let Some(account) = self.accounts.get_mut(account)
            && account.tickets.remove(uid).is_some()
        {
            account.next = account.next.checked_sub(self.interval).unwrap_or(account.next);
        }
    }

    /// Stops all requests of the account for `pause`. Those who wait keep their order.
    pub fn pause(&mut self, account: &str, pause: Duration, now: Instant) {
        let until = now + pause;
        let account = self.account(account, now);
        let delay = until.saturating_duration_since(account.paused_until.max(now));
        for ticket in account.tickets.values_mut() {
            ticket.moment += delay;
            ticket.expected += delay;
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
            takes: LOOK_AGAIN[0],
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
            let paused_until = account.paused_until;
            account.tickets.retain(|_, ticket| ticket.expected.max(paused_until) + TICKET_KEPT > now);
            let is_busy = !account.tickets.is_empty() || account.under_way > 0;
            is_busy || account.next + credit > now || account.paused_until > now
        });
    }
}

impl Account {
    /// The moment of a new asker: the next that nobody has. A first-comer gets the earliest that still lies ahead of
    /// someone who is none; that one and all others behind it then move back by one.
    fn give_moment(&mut self, is_first: bool, interval: Duration, now: Instant) -> Instant {
        let next = self.next;
        self.next += interval;
        let waits = |ticket: &&mut Ticket| !ticket.is_first && ticket.moment > now;
        let mut others: Vec<&mut Ticket> = self.tickets.values_mut().filter(waits).collect();
        match others.iter().map(|ticket| ticket.moment).min() {
            Some(foremost) if is_first => {
                for ticket in &mut others {
                    ticket.moment += interval;
                    ticket.expected += interval;
                }
                foremost
            }
            _ => next,
        }
    }

    /// When the owner of a ticket whose `moment` has come is to come back; `None` where one of the `free` permits is
    /// its. Those with an earlier moment go first, as long as they come when they were told to.
    fn come_back(&self, uid: &str, moment: Instant, free: u32, most: u32, now: Instant) -> Option<Instant> {
        let is_before = |(other, ticket): &(&String, &Ticket)| {
            other.as_str() != uid && ticket.moment < moment && ticket.expected + LATE > now
        };
        let before = match free {
            0 => self.tickets.iter().filter(is_before).count(),
            // Most often nobody waits.
            free => self.tickets.iter().filter(is_before).take(free as usize).count(),
        };
        if before < free as usize {
            return None;
        }
        // Half of what it will take, so as not to come too late where it goes faster.
        let ahead = u32::try_from(before + 1).unwrap_or(u32::MAX).saturating_sub(free);
        let wait = self.takes.saturating_mul(ahead) / most / 2;
        Some(now + wait.clamp(LOOK_AGAIN[0], LOOK_AGAIN[1]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limiter(requests_per_second: f64, burst: u32) -> RateLimiter {
        RateLimiter::new(Limits { requests_per_second, burst, under_way: 1000 })
    }

    fn asker<'a>(account: &'a str, uid: &'a str, is_first: bool) -> Asker<'a> {
        Asker { account, namespace: "n", uid, is_first }
    }

    /// Asks as someone who has had an answer before, for a request that is over at once.
    fn ask(limiter: &mut RateLimiter, account: &str, uid: &str, now: Instant) -> Result<(), Instant> {
        limiter.acquire(asker(account, uid, false), now).inspect(|()| limiter.finish(account, "n", Duration::ZERO))
    }

    /// Comes back exactly when told, until permitted; says how often that was and when.
    fn wait_for_permit(limiter: &mut RateLimiter, asker: &str, mut now: Instant) -> (usize, Instant) {
        let mut visits = 1;
        while let Err(later) = ask(limiter, "a", asker, now) {
            assert!(later > now, "a permit is refused only until a later time");
            now = later;
            visits += 1;
        }
        (visits, now)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let (mut limiter, now) = (self::limiter(5.0, 10), Instant::now());
        for n in 0..10 {
            assert_eq!(ask(&mut limiter, "a", &n.to_string(), now), Ok(()));
        }
        for n in 10..20u32 {
            let expected = now + Duration::from_millis(200) * (n - 9);
            assert_eq!(ask(&mut limiter, "a", &n.to_string(), now), Err(expected));
        }
        assert_eq!(ask(&mut limiter, "b", "0", now), Ok(()), "another account has its own limiter");
    }

    #[test]
    fn a_thousand_askers_come_twice_each_and_are_served_in_order() {
        let (mut limiter, start) = (self::limiter(5.0, 10), Instant::now());
        let served: Vec<_> = (0..1000).map(|n| wait_for_permit(&mut limiter, &n.to_string(), start)).collect();
        assert!(served.iter().all(|(visits, _)| *visits <= 2));
        assert!(served.is_sorted_by_key(|(_, at)| *at));
        assert_eq!(served[999].1 - start, Duration::from_millis(200) * 990);
    }

    #[test]
    fn a_ticket_is_its_owners_until_he_comes() {
        let (mut limiter, now) = (self::limiter(1.0, 1), Instant::now());
        assert_eq!(ask(&mut limiter, "a", "first", now), Ok(()));
        assert_eq!(ask(&mut limiter, "a", "second", now), Err(now + SECOND));
        assert_eq!(ask(&mut limiter, "a", "third", now), Err(now + 2 * SECOND));
        assert_eq!(ask(&mut limiter, "a", "second", now), Err(now + SECOND), "asking again changes nothing");
        assert_eq!(ask(&mut limiter, "a", "newcomer", now + SECOND), Err(now + 3 * SECOND), "nobody overtakes");
        assert_eq!(ask(&mut limiter, "a", "second", now + 5 * SECOND), Ok(()), "late is not too late");
    }

    #[test]
    fn whoever_asks_whenever_the_limiter_is_never_exceeded_since_the_start() {
        let (mut limiter, start) = (self::limiter(5.0, 10), Instant::now());
        let mut state = 7u64;
        let mut permits = 0u32;
        let mut now = start;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            now += Duration::from_millis((state >> 60) * 5);
            let asker = (state >> 40) % 50;
            match (state >> 33) % 20 {
                0 => limiter.release("a", &asker.to_string()),
                _ => permits += u32::from(ask(&mut limiter, "a", &asker.to_string(), now).is_ok()),
            }
            let allowed = 10.0 + 5.0 * (now - start).as_secs_f64();
            assert!(f64::from(permits) <= allowed + 1e-6, "{permits} permits, {allowed} allowed");
        }
        assert!(permits > 3000, "the limiter is also used: {permits}");
    }

    #[test]
    fn a_pause_stops_all_and_keeps_their_order_without_a_burst_after_it() {
        let (mut limiter, now) = (self::limiter(1.0, 10), Instant::now());
        assert_eq!(ask(&mut limiter, "a", "served", now), Ok(()));
        limiter.pause("a", 30 * SECOND, now);
        for n in 0..5u32 {
            let expected = now + (30 + n) * SECOND;
            assert_eq!(ask(&mut limiter, "a", &n.to_string(), now + SECOND), Err(expected));
        }
        limiter.pause("a", 59 * SECOND, now + SECOND);
        assert_eq!(ask(&mut limiter, "a", "1", now + 31 * SECOND), Err(now + 61 * SECOND));
        assert_eq!(ask(&mut limiter, "a", "0", now + 31 * SECOND), Err(now + 60 * SECOND));
        assert_eq!(ask(&mut limiter, "a", "0", now + 60 * SECOND), Ok(()));
        assert_eq!(ask(&mut limiter, "a", "newcomer", now + 60 * SECOND), Err(now + 65 * SECOND));
    }

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one() {
        let (mut limiter, now) = (self::limiter(5.0, 10), Instant::now());
        limiter.pause("a", 900 * SECOND, now);
        limiter.pause("a", SECOND, now);
        assert_eq!(ask(&mut limiter, "a", "x", now), Err(now + 900 * SECOND));
    }

    #[test]
    fn a_further_page_makes_the_next_asker_wait() {
        let (mut limiter, now) = (self::limiter(1.0, 1), Instant::now());
        assert_eq!(ask(&mut limiter, "a", "x", now), Ok(()));
        assert_eq!(limiter.acquire_further(asker("a", "x", false), now), Ok(()));
        assert_eq!(ask(&mut limiter, "a", "y", now), Err(now + 2 * SECOND));
        limiter.pause("a", 9 * SECOND, now);
        assert_eq!(limiter.acquire_further(asker("a", "x", false), now), Err(now + 9 * SECOND));
    }

    #[test]
    fn who_asks_for_the_first_time_goes_before_the_others_who_keep_their_order() {
        let (mut limiter, now) = (self::limiter(1.0, 1), Instant::now());
        assert_eq!(limiter.acquire(asker("a", "served", false), now), Ok(()));
        for (uid, turn) in [("b", 1), ("c", 2)] {
            assert_eq!(limiter.acquire(asker("a", uid, false), now), Err(now + turn * SECOND));
        }
        for (newcomer, turn) in [("x", 1), ("y", 2)] {
            assert_eq!(limiter.acquire(asker("a", newcomer, true), now), Err(now + turn * SECOND));
        }
        limiter.finish("a", "n", Duration::ZERO);
        assert_eq!(limiter.acquire(asker("a", "b", false), now + SECOND), Err(now + 3 * SECOND));
        for (turn, uid, is_first) in [(1, "x", true), (2, "y", true), (3, "b", false), (4, "c", false)] {
            assert_eq!(limiter.acquire(asker("a", uid, is_first), now + turn * SECOND), Ok(()), "{uid}");
            limiter.finish("a", "n", Duration::ZERO);
        }
    }

    #[test]
    fn no_more_requests_are_under_way_than_the_burst() {
        let (mut limiter, now) = (self::limiter(100.0, 2), Instant::now());
        assert_eq!(limiter.acquire(asker("a", "x", false), now), Ok(()));
        assert_eq!(limiter.acquire(asker("a", "y", false), now), Ok(()));
        let later = now + 9 * SECOND;
        assert_eq!(limiter.acquire(asker("a", "z", false), later), Err(later + LOOK_AGAIN[0]));
        assert_eq!(limiter.acquire(asker("b", "z", false), later), Ok(()), "another account does not wait for it");
        limiter.finish("a", "n", SECOND);
        assert_eq!(limiter.acquire(asker("a", "z", false), later), Ok(()));
    }

    #[test]
    fn an_account_has_an_eighth_of_all_requests_under_way_and_a_namespace_a_quarter() {
        let (limits, now) = (Limits { requests_per_second: 1e6, burst: 1000, under_way: 64 }, Instant::now());
        let mut limiter = RateLimiter::new(limits);
        let mut permits = |account: &str, namespace: &str| {
            let uids = (0..100).map(|n| n.to_string());
            let ask = |uid: &String| limiter.acquire(Asker { account, namespace, uid, is_first: false }, now).is_ok();
            uids.filter(ask).count()
        };
        assert_eq!([permits("a", "n"), permits("b", "n"), permits("c", "n")], [8, 8, 0]);
        assert_eq!([permits("c", "m"), permits("d", "o")], [8, 8], "others do not notice");
        (0..8).for_each(|_| limiter.finish("a", "n", SECOND));
        assert_eq!(limiter.acquire(asker("e", "x", false), now), Ok(()));
    }

    /// The longest gap between two permits of one of 300, where the cloud takes 20 s for each request.
    #[test]
    fn permits_that_become_free_go_to_those_who_wait_in_order() {
        let (askers, start, takes) = (300, Instant::now(), 20 * SECOND);
        let mut limiter = self::limiter(5.0, 10);
        // Who does what next, and when; those with a permit hold it.
        let mut agenda: BTreeSet<(Instant, u32, bool)> = (0..askers).map(|n| (start, n, false)).collect();
        let mut last = vec![start; askers as usize];
        let (mut longest, mut looks) = (Duration::ZERO, 0);
        while let Some((now, n, has_permit)) = agenda.pop_first() {
            if now > start + 7200 * SECOND {
                break;
            }
            if has_permit {
                limiter.finish("a", "n", takes);
                agenda.insert((now + SECOND, n, false));
                continue;
            }
            looks += 1;
            match limiter.acquire(asker("a", &n.to_string(), false), now) {
                Ok(()) => {
                    longest = longest.max(now - last[n as usize]);
                    last[n as usize] = now;
                    agenda.insert((now + takes, n, true));
                }
                Err(later) => _ = agenda.insert((later, n, false)),
            }
        }
        let fair = takes * askers / 10;
        assert!(longest < fair * 5 / 4, "{longest:?}, fair would be {fair:?}");
        assert!(last.iter().all(|at| *at + fair * 5 / 4 > start + 7200 * SECOND), "nobody is forgotten");
        assert!(looks < 40 * askers * 12, "{looks} looks");
    }

    #[test]
    fn a_released_ticket_is_anothers() {
        let (mut limiter, now) = (self::limiter(1.0, 1), Instant::now());
        assert_eq!(ask(&mut limiter, "a", "x", now), Ok(()));
        assert_eq!(ask(&mut limiter, "a", "y", now), Err(now + SECOND));
        limiter.release("a", "y");
        limiter.release("a", "y");
        assert_eq!(ask(&mut limiter, "a", "z", now), Err(now + SECOND));
    }

    #[test]
    fn the_forgotten_take_no_memory() {
        let (mut limiter, now) = (self::limiter(1.0, 1), Instant::now());
        for n in 0..100 {
            let _ = ask(&mut limiter, "a", &n.to_string(), now);
            let _ = ask(&mut limiter, &n.to_string(), "x", now);
        }
        assert_eq!(ask(&mut limiter, "z", "x", now + 1000 * SECOND), Ok(()));
        assert_eq!(limiter.accounts.len(), 1);
    }
}
