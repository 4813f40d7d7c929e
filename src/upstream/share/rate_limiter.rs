//! How often a cloud may be asked, and by whom first. Pure: the time is an argument.
//!
//! One account has one budget, whoever asks: a burst, then a steady rate. An asker over budget gets a ticket: a moment in
//! the future that is its alone, so that a thousand askers wait their turn without asking again and again, and the time
//! between two polls grows alike for all. Who asks for the first time goes before those who have had an answer. A cloud
//! that asks for a pause gets one from the whole account.
//!
//! Requests under way are shared out too, so that a cloud that does not answer holds up nobody else: an account has at
//! most its burst and an eighth of all, a namespace at most a quarter. Whoever finds them all out stands in line, in the
//! order of moments, and is called when one is free.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ahash::HashMap;
use futures::FutureExt;
use futures::channel::oneshot;

use super::Landing;

/// The interval of a rate too small to be written.
const LONGEST_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// How long a ticket whose moment has come is kept for its owner.
const TICKET_KEPT: Duration = Duration::from_secs(120);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// After how long an asker in line comes again though it was not called.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long an asker may take to come without losing its place in line.
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

/// Why there is no permit.
#[derive(Clone, Debug)]
pub enum Refused {
    /// The budget is used up, or the account pauses: come at this time.
    Until(Instant),
    /// All permits are out: come when called, but not later than at that time.
    Full(Landing, Instant),
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
    /// Those for which requests are under way or waited for.
    namespaces: HashMap<String, Share>,
    swept: Option<Instant>,
    /// Before this nobody has saved up a burst.
    begun: Option<Instant>,
}

#[derive(Debug)]
struct Account {
    /// The next moment nobody has yet.
    next: Instant,
    paused_until: Instant,
    /// By asker. Future ones of first-comers stand before all future ones of others.
    tickets: HashMap<String, Ticket>,
    share: Share,
}

/// What an account or a namespace has of all requests under way.
#[derive(Debug, Default)]
struct Share {
    under_way: u32,
    /// Those who wait for a permit. Each stands in one line, its account's or its namespace's.
    line: BTreeMap<Place, Waiter>,
}

/// The moment and the UID of an asker.
type Place = (Instant, String);

#[derive(Debug)]
struct Waiter {
    /// Dropped to call it.
    call: Option<oneshot::Sender<()>>,
    landing: Landing,
    /// When it loses its place unless it comes.
    leaves: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    moment: Instant,
    is_first: bool,
    /// When its owner was told to come back.
    expected: Instant,
    /// The moment by which its owner stands in line, if it does. A pause after that moves it no more.
    stands: Option<Instant>,
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
            accounts: HashMap::default(),
            namespaces: HashMap::default(),
            swept: None,
            begun: None,
        }
    }

    /// Lets every account save up its burst from `now` on, as another process may have spent it a moment ago.
    pub fn begin(&mut self, now: Instant) {
        self.begun = Some(now + self.interval);
    }

    /// Takes a permit for one request, which counts as under way until [`Self::finish`].
    ///
    /// # Errors
    /// When to come again: the moment stays this asker's, unless a first-comer takes it and it gets the next.
    pub fn acquire(&mut self, asker: Asker<'_>, now: Instant) -> Result<(), Refused> {
        self.sweep(now);
        let interval = self.interval;
        let account = self.account(asker.account, now);
        let kept = account.tickets.get(asker.uid).copied();
        let moment = kept.map(|ticket| ticket.moment);
        let moment = moment.unwrap_or_else(|| account.give_moment(asker.is_first, interval, now));
        let place = (kept.and_then(|ticket| ticket.stands).unwrap_or(moment), asker.uid.to_owned());
        let refused = match moment.max(account.paused_until) {
            later if later > now => {
                self.leave(asker, &place, now);
                Some(Refused::Until(later))
            }
            _ => self.stand_in_line(asker, &place, now),
        };
        let Some(refused) = refused else {
            self.account(asker.account, now).tickets.remove(asker.uid);
            self.count(asker);
            return Ok(());
        };
        let (expected, stands) = match refused {
            Refused::Until(at) => (at, None),
            Refused::Full(_, at) => (at, Some(place.0)),
        };
        let is_first = kept.map_or(asker.is_first, |ticket| ticket.is_first);
        let ticket = Ticket { moment, is_first, expected, stands };
        self.account(asker.account, now).tickets.insert(asker.uid.to_owned(), ticket);
        Err(refused)
    }

    /// Whether there is no permit for an asker whose moment has come. It then has its `place` in one line.
    fn stand_in_line(&mut self, asker: Asker<'_>, place: &Place, now: Instant) -> Option<Refused> {
        let most = [self.most_of_account, self.most_of_namespace];
        let account = &mut self.accounts.get_mut(asker.account)?.share;
        if !self.namespaces.contains_key(asker.namespace) {
            self.namespaces.insert(asker.namespace.to_owned(), Share::default());
        }
        let namespace = self.namespaces.get_mut(asker.namespace)?;
        if !account.is_turn_of(place, most[0], now) {
            namespace.leave(place, most[1], now);
            return Some(account.join(place, now));
        }
        if !namespace.is_turn_of(place, most[1], now) {
            account.leave(place, most[0], now);
            return Some(namespace.join(place, now));
        }
        account.line.remove(place);
        namespace.line.remove(place);
        None
    }

    /// Takes an asker out of line.
    fn leave(&mut self, asker: Asker<'_>, place: &Place, now: Instant) {
        if let Some(account) = self.accounts.get_mut(asker.account) {
            account.share.leave(place, self.most_of_account, now);
        }
        if let Some(namespace) = self.namespaces.get_mut(asker.namespace) {
            namespace.leave(place, self.most_of_namespace, now);
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
        self.count(asker);
        Ok(())
    }

    /// Counts a request of `asker` that begins.
    fn count(&mut self, asker: Asker<'_>) {
        if let Some(account) = self.accounts.get_mut(asker.account) {
            account.share.under_way += 1;
        }
        match self.namespaces.get_mut(asker.namespace) {
            Some(namespace) => namespace.under_way += 1,
            None => {
                let share = Share { under_way: 1, ..Share::default() };
                self.namespaces.insert(asker.namespace.to_owned(), share);
            }
        }
    }

    /// Notes that a permitted request is over, whatever came of it, and calls who is next.
    pub fn finish(&mut self, account: &str, namespace: &str, now: Instant) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.share.under_way = account.share.under_way.saturating_sub(1);
            account.share.call(self.most_of_account, now);
        }
        if let Some(share) = self.namespaces.get_mut(namespace) {
            share.under_way = share.under_way.saturating_sub(1);
            share.call(self.most_of_namespace, now);
            if share.is_idle() {
                self.namespaces.remove(namespace);
            }
        }
    }

    /// Gives back the ticket of an asker that no longer needs it.
    pub fn release(&mut self, asker: Asker<'_>, now: Instant) {
        let Some(account) = self.accounts.get_mut(asker.account) else { return };
        let Some(ticket) = account.tickets.remove(asker.uid) else { return };
        account.next = account.next.checked_sub(self.interval).unwrap_or(account.next);
        if let Some(stands) = ticket.stands {
            self.leave(asker, &(stands, asker.uid.to_owned()), now);
        }
    }

    /// Stops all requests of the account for `pause`, and tells by how much that adds to a pause which it has already.
    /// Those who wait keep their order.
    pub fn pause(&mut self, account: &str, pause: Duration, now: Instant) -> Duration {
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
        delay
    }

    fn account(&mut self, name: &str, now: Instant) -> &mut Account {
        let floor = now.checked_sub(self.credit).unwrap_or(now);
        let floor = self.begun.map_or(floor, |begun| floor.max(begun));
        let account = self.accounts.entry(name.to_owned()).or_insert_with(|| Account {
            next: floor,
            paused_until: now,
            tickets: HashMap::default(),
            share: Share::default(),
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
            account.share.call(self.most_of_account, now);
            let is_busy = !account.tickets.is_empty() || !account.share.is_idle();
            is_busy || account.next + credit > now || account.paused_until > now
        });
        self.namespaces.retain(|_, namespace| {
            namespace.call(self.most_of_namespace, now);
            !namespace.is_idle()
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
}

impl Share {
    /// Whether one of the permits, of which there are `most`, is for the asker at `place`: those before it in line go
    /// first.
    fn is_turn_of(&self, place: &Place, most: u32, now: Instant) -> bool {
        let free = most.saturating_sub(self.under_way) as usize;
        // Most often nobody waits.
        let before = self.line.range(..place).filter(|(_, waiter)| waiter.leaves > now);
        before.take(free).count() < free
    }

    /// Puts an asker at `place` in line, where it may stand already.
    fn join(&mut self, place: &Place, now: Instant) -> Refused {
        let is_waiting = self.line.get(place).is_some_and(|waiter| waiter.call.is_some());
        if !is_waiting {
            let (call, landing) = oneshot::channel();
            self.line.insert(place.clone(), Waiter { call: Some(call), landing: landing.shared(), leaves: now });
        }
        let at_latest = now + LONGEST_WAIT;
        let landing = self.line.get_mut(place).map(|waiter| {
            waiter.leaves = at_latest + LATE;
            waiter.landing.clone()
        });
        match landing {
            Some(landing) => Refused::Full(landing, at_latest),
            None => Refused::Until(at_latest),
        }
    }

    /// Takes the asker at `place` out of line, so that the next may come.
    fn leave(&mut self, place: &Place, most: u32, now: Instant) {
        if self.line.remove(place).is_some() {
            self.call(most, now);
        }
    }

    /// Calls the first in line, as many as permits are free, of which there are `most`. Who did not come is not waited
    /// for.
    fn call(&mut self, most: u32, now: Instant) {
        while self.line.first_entry().is_some_and(|first| first.get().leaves <= now) {
            self.line.pop_first();
        }
        let free = most.saturating_sub(self.under_way) as usize;
        let present = self.line.values_mut().filter(|waiter| waiter.leaves > now);
        for waiter in present.take(free) {
            if waiter.call.take().is_some() {
                waiter.leaves = now + LATE;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.under_way == 0 && self.line.is_empty()
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

    /// As [`RateLimiter::acquire`]; whoever stands in line is told nothing but to wait.
    fn acquire(limiter: &mut RateLimiter, asker: Asker<'_>, now: Instant) -> Result<(), Option<Instant>> {
        limiter.acquire(asker, now).map_err(|refused| match refused {
            Refused::Until(at) => Some(at),
            Refused::Full(..) => None,
        })
    }

    /// Asks as someone who has had an answer before, for a request that is over at once.
    fn ask(limiter: &mut RateLimiter, account: &str, uid: &str, now: Instant) -> Result<(), Instant> {
        let permit = acquire(limiter, asker(account, uid, false), now);
        permit.inspect(|()| limiter.finish(account, "n", now)).map_err(|until| until.unwrap())
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
    fn a_new_process_saves_its_burst_up_from_its_beginning() {
        let (mut limiter, now) = (self::limiter(5.0, 10), Instant::now());
        limiter.begin(now);
        let permits = |limiter: &mut RateLimiter, from: u32, at| {
            (from..from + 20).filter(|n| ask(limiter, "a", &n.to_string(), at).is_ok()).count()
        };
        assert_eq!(permits(&mut limiter, 0, now), 0, "the process before may have sent all that is allowed now");
        let mut quiet = self::limiter(5.0, 10);
        quiet.begin(now);
        assert_eq!(permits(&mut quiet, 0, now + SECOND), 5);
        assert_eq!(permits(&mut quiet, 100, now + 60 * SECOND), 10, "later it is as ever");
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
                0 => limiter.release(self::asker("a", &asker.to_string(), false), now),
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
        assert_eq!(limiter.pause("a", 900 * SECOND, now), 900 * SECOND);
        assert_eq!(limiter.pause("a", SECOND, now), Duration::ZERO, "it pauses longer anyway");
        assert_eq!(ask(&mut limiter, "a", "x", now), Err(now + 900 * SECOND));
        assert_eq!(limiter.pause("a", 905 * SECOND, now), 5 * SECOND);
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
        assert_eq!(acquire(&mut limiter, asker("a", "served", false), now), Ok(()));
        for (uid, turn) in [("b", 1), ("c", 2)] {
            assert_eq!(acquire(&mut limiter, asker("a", uid, false), now), Err(Some(now + turn * SECOND)));
        }
        for (newcomer, turn) in [("x", 1), ("y", 2)] {
            assert_eq!(acquire(&mut limiter, asker("a", newcomer, true), now), Err(Some(now + turn * SECOND)));
        }
        limiter.finish("a", "n", now);
        let later = now + SECOND;
        assert_eq!(acquire(&mut limiter, asker("a", "b", false), later), Err(Some(now + 3 * SECOND)));
        for (turn, uid, is_first) in [(1, "x", true), (2, "y", true), (3, "b", false), (4, "c", false)] {
            let later = now + turn * SECOND;
            assert_eq!(acquire(&mut limiter, asker("a", uid, is_first), later), Ok(()), "{uid}");
            limiter.finish("a", "n", later);
        }
    }

    #[test]
    fn no_more_requests_are_under_way_than_the_burst() {
        let (mut limiter, now) = (self::limiter(100.0, 2), Instant::now());
        assert_eq!(acquire(&mut limiter, asker("a", "x", false), now), Ok(()));
        assert_eq!(acquire(&mut limiter, asker("a", "y", false), now), Ok(()));
        let later = now + 9 * SECOND;
        assert_eq!(acquire(&mut limiter, asker("a", "z", false), later), Err(None));
        assert_eq!(
            acquire(&mut limiter, asker("b", "z", false), later),
            Ok(()),
            "another account does not wait for it"
        );
        limiter.finish("a", "n", later);
        assert_eq!(acquire(&mut limiter, asker("a", "z", false), later), Ok(()));
    }

    #[test]
    fn an_account_has_an_eighth_of_all_requests_under_way_and_a_namespace_a_quarter() {
        let (limits, now) = (Limits { requests_per_second: 1e6, burst: 1000, under_way: 64 }, Instant::now());
        let mut limiter = RateLimiter::new(limits);
        let mut permits = |account: &str, namespace: &str| {
            let uids = (0..100).map(|n| format!("{account}{n}"));
            let ask = |uid: &String| limiter.acquire(Asker { account, namespace, uid, is_first: false }, now).is_ok();
            uids.filter(ask).count()
        };
        assert_eq!([permits("a", "n"), permits("b", "n"), permits("c", "n")], [8, 8, 0]);
        assert_eq!([permits("c", "m"), permits("d", "o")], [8, 8], "others do not notice");
    }

    /// Looks again as `asker`, who must have been called.
    fn comes(limiter: &mut RateLimiter, asker: Asker<'_>, landing: &Landing, now: Instant) -> Result<(), Refused> {
        assert!(landing.peek().is_some() || landing.clone().now_or_never().is_some(), "{} was not called", asker.uid);
        limiter.acquire(asker, now)
    }

    /// One permit for an account, two for a namespace.
    fn narrow() -> RateLimiter {
        RateLimiter::new(Limits { requests_per_second: 1e6, burst: 1000, under_way: 8 })
    }

    fn full(permit: Result<(), Refused>) -> Landing {
        match permit {
            Err(Refused::Full(landing, _)) => landing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whoever_waits_for_a_permit_is_called_in_order_and_nobody_overtakes() {
        let (mut limiter, now) = (narrow(), Instant::now());
        let [x, y, z, late] = ["x", "y", "z", "late"].map(|uid| asker("a", uid, false));
        assert!(limiter.acquire(x, now).is_ok());
        let called = |landing: &Landing| landing.clone().now_or_never().is_some();
        let later = now + SECOND;
        let [for_y, for_z] = [y, z].map(|asker| full(limiter.acquire(asker, later)));
        assert!(!called(&for_y));
        limiter.finish("a", "n", later);
        assert!(called(&for_y) && !called(&for_z), "one is free");
        drop(full(limiter.acquire(late, later)));
        comes(&mut limiter, y, &for_y, later).unwrap();
        drop(full(limiter.acquire(late, later)));
        assert!(!called(&for_z), "who looks in between calls nobody");
        limiter.finish("a", "n", later);
        comes(&mut limiter, z, &for_z, later).unwrap();
    }

    #[test]
    fn whoever_was_called_and_does_not_come_is_not_waited_for() {
        let (mut limiter, now) = (narrow(), Instant::now());
        let [x, gone, z] = ["x", "gone", "z"].map(|uid| asker("a", uid, false));
        assert!(limiter.acquire(x, now).is_ok());
        drop(full(limiter.acquire(gone, now + SECOND)));
        drop(full(limiter.acquire(z, now + SECOND)));
        limiter.finish("a", "n", now + SECOND);
        drop(full(limiter.acquire(z, now + SECOND)));
        assert!(limiter.acquire(z, now + SECOND + LATE).is_ok());
    }

    #[test]
    fn a_pause_empties_the_line_one_by_one_and_a_call_is_never_lost() {
        let (mut limiter, now) = (narrow(), Instant::now());
        let [x, y, z] = ["x", "y", "z"].map(|uid| asker("a", uid, false));
        assert!(limiter.acquire(x, now).is_ok());
        let [for_y, for_z] = [y, z].map(|asker| full(limiter.acquire(asker, now + SECOND)));
        limiter.pause("a", 5 * SECOND, now + SECOND);
        limiter.finish("a", "n", now + SECOND);
        for (asker, landing) in [(y, &for_y), (z, &for_z)] {
            let Err(Refused::Until(at)) = comes(&mut limiter, asker, landing, now + SECOND) else { panic!() };
            assert!(at >= now + 6 * SECOND);
        }
        assert!(limiter.acquire(z, now + 7 * SECOND).is_ok(), "nobody stands before it any more");
    }

    #[test]
    fn who_waits_for_the_namespace_leaves_the_permit_of_the_account_to_others() {
        let (mut limiter, now) = (narrow(), Instant::now());
        let of = |account, namespace, uid| Asker { account, namespace, uid, is_first: false };
        for account in ["a", "b"] {
            assert!(limiter.acquire(of(account, "n", account), now).is_ok());
        }
        let later = now + SECOND;
        let first = full(limiter.acquire(of("c", "n", "first"), later));
        assert!(limiter.acquire(of("c", "m", "second"), later).is_ok(), "in another namespace");
        limiter.finish("a", "n", later);
        let first = full(comes(&mut limiter, of("c", "n", "first"), &first, later));
        limiter.finish("c", "m", later);
        comes(&mut limiter, of("c", "n", "first"), &first, later).unwrap();
    }

    /// The longest gap between two permits of one of 300, where the cloud takes 20 s for each request.
    #[test]
    fn permits_that_become_free_go_to_those_who_wait_in_order() {
        let (askers, start, takes) = (300, Instant::now(), 20 * SECOND);
        let mut limiter = self::limiter(5.0, 10);
        // Who does what next, and when; those with a permit hold it.
        let mut agenda: BTreeSet<(Instant, u32, bool)> = (0..askers).map(|n| (start, n, false)).collect();
        let mut in_line: Vec<(Landing, Instant, u32)> = Vec::new();
        let mut last = vec![start; askers as usize];
        let (mut longest, mut looks) = (Duration::ZERO, 0);
        while let Some((now, n, has_permit)) = agenda.pop_first() {
            if now > start + 7200 * SECOND {
                break;
            }
            if has_permit {
                limiter.finish("a", "n", now);
                agenda.insert((now + SECOND, n, false));
            } else {
                looks += 1;
                match limiter.acquire(asker("a", &n.to_string(), false), now) {
                    Ok(()) => {
                        longest = longest.max(now - last[n as usize]);
                        last[n as usize] = now;
                        agenda.insert((now + takes, n, true));
                    }
                    Err(Refused::Until(later)) => _ = agenda.insert((later, n, false)),
                    Err(Refused::Full(landing, at_latest)) => in_line.push((landing, at_latest, n)),
                }
            }
            in_line.retain(|(landing, at_latest, n)| {
                let is_called = has_permit && (landing.clone().now_or_never().is_some() || *at_latest <= now);
                if is_called {
                    agenda.insert((now, *n, false));
                }
                !is_called
            });
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
        limiter.release(asker("a", "y", false), now);
        limiter.release(asker("a", "y", false), now);
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
