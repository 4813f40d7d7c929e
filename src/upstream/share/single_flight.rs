//! One request for all who want the same answer at about the same time.
//!
//! Pure: who enters is told what to do, and the time is an argument. Nobody waits in here.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ahash::HashMap;
use futures::FutureExt;
use futures::channel::oneshot;

use super::Landing;
use crate::observation::PollFailure;

const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// How long an answer is kept at least: those who waited for it may be thousands, each with a turn of its own.
const SHORTEST_KEEP: Duration = Duration::from_secs(10);
/// About how many bytes a failure takes.
const FAILURE: usize = 500;

/// What was learnt, when, and whether it cost the asker a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// What was learnt, or why nothing was.
    pub result: Result<T, PollFailure>,
    /// When the answer arrived.
    pub at: Instant,
    /// Whether it is an answer to requests of others only.
    pub shared: bool,
}

/// Which answer will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Since when the asker wants one: what arrived after that is news, and so is a failure.
    pub since: Instant,
    /// No answer to a request sent before this.
    pub not_before: Option<Instant>,
    /// How long ago a good answer may have arrived.
    pub max_age: Duration,
}

/// A request under way for somebody else.
#[derive(Clone, Debug)]
pub struct UnderWay<K> {
    /// Which request.
    pub key: K,
    /// Its end.
    pub landing: Landing,
}

/// What an asker is to do.
#[derive(Debug)]
pub enum Entry<'a, K: Clone + Eq + Hash, V: Clone> {
    /// Take this answer.
    Hit(Answer<V>),
    /// An equal request is under way: enter again when it is over.
    Wait(UnderWay<K>),
    /// Send the request and [`Lead::land`] what comes of it. Dropped before, it lets those who wait enter again.
    Lead(Lead<'a, K, V>),
}

/// Requests under way and answers not yet too old to share.
#[derive(Debug)]
pub struct SingleFlight<K, V> {
    state: Mutex<State<K, V>>,
    capacity: usize,
}

#[derive(Debug)]
struct State<K, V> {
    entries: HashMap<K, Kept<V>>,
    /// In bytes: what is kept for one asker, and what for the many in a list.
    weights: [usize; 2],
    swept: Option<Instant>,
}

#[derive(Debug)]
enum Kept<V> {
    UnderWay { landing: Landing },
    Landed { landed: Landed<V>, weight: usize, until: Instant, for_many: bool },
}

#[derive(Clone, Debug)]
struct Landed<V> {
    result: Result<V, PollFailure>,
    /// When the request was sent.
    asked: Instant,
    at: Instant,
}

/// The duty to send a request for all who want its answer.
#[derive(Debug)]
pub struct Lead<'a, K: Clone + Eq + Hash, V: Clone> {
    flights: &'a SingleFlight<K, V>,
    key: K,
    asked: Instant,
    max_age: Duration,
    /// Dropped with the guard: that is what those who wait are told by.
    _over: oneshot::Sender<()>,
}

impl<K: Clone + Eq + Hash, V: Clone> SingleFlight<K, V> {
    /// Keeps answers of about `capacity` bytes in all, and of eight times as many for those that serve many.
    pub fn new(capacity: usize) -> Self {
        let state = State { entries: HashMap::default(), weights: [0; 2], swept: None };
        Self { state: Mutex::new(state), capacity }
    }

    /// What whoever wants such an answer to `key` is to do `now`.
    pub fn enter(&self, key: &K, wanted: Wanted, now: Instant) -> Entry<'_, K, V> {
        if let Some(under_way) = self.under_way(key) {
            return Entry::Wait(under_way);
        }
        let mut state = self.lock();
        if let Some(Kept::Landed { landed, until, .. }) = state.entries.get_mut(key)
            && landed.serves(wanted, now)
        {
            *until = (*until).max(landed.at + wanted.max_age);
            return Entry::Hit(landed.clone().shared());
        }
        let (over, landing) = oneshot::channel();
        state.replace(key.clone(), Kept::UnderWay { landing: landing.shared() });
        Entry::Lead(Lead { flights: self, key: key.clone(), asked: now, max_age: wanted.max_age, _over: over })
    }

    /// The request for `key` that is under way, if one is.
    pub fn under_way(&self, key: &K) -> Option<UnderWay<K>> {
        match self.lock().entries.get_key_value(key)? {
            (key, Kept::UnderWay { landing }) => Some(UnderWay { key: key.clone(), landing: landing.clone() }),
            (_, Kept::Landed { .. }) => None,
        }
    }

    fn keep(&self, key: &K, entry: Kept<V>, now: Instant) {
        let mut state = self.lock();
        state.replace(key.clone(), entry);
        let is_due = state.swept.is_none_or(|swept| now >= swept + SWEEP_INTERVAL);
        let [one, many] = state.weights;
        if is_due || one > self.capacity || many > 8 * self.capacity {
            state.sweep(now, self.capacity);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Lead<'_, K, V> {
    /// Ends the request with its `result`, which arrived `now`, and lets those who wait have it. `weight` is its size in
    /// bytes; `for_many` tells whether it also answers those who ask for something else.
    pub fn land(self, result: Result<V, PollFailure>, weight: usize, for_many: bool, now: Instant) -> Answer<V> {
        let landed = Landed { result, asked: self.asked, at: now };
        // A failure is for those who wait already; later ones ask for themselves.
        let (weight, until) = match &landed.result {
            Ok(_) => (weight, now + self.max_age.max(SHORTEST_KEEP)),
            Err(_) => (FAILURE, now + SHORTEST_KEEP),
        };
        let answer = Answer { result: landed.result.clone(), at: now, shared: false };
        self.flights.keep(&self.key, Kept::Landed { landed, weight, until, for_many }, now);
        answer
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Drop for Lead<'_, K, V> {
    fn drop(&mut self) {
        let mut state = self.flights.lock();
        if let Some(Kept::UnderWay { .. }) = state.entries.get(&self.key) {
            state.remove(&self.key);
        }
    }
}

impl<K: Clone + Eq + Hash, V> State<K, V> {
    fn replace(&mut self, key: K, entry: Kept<V>) {
        let (weight, place) = entry.weight();
        self.weights[place] += weight;
        if let Some(old) = self.entries.insert(key, entry) {
            let (weight, place) = old.weight();
            self.weights[place] -= weight;
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some(old) = self.entries.remove(key) {
            let (weight, place) = old.weight();
            self.weights[place] -= weight;
        }
    }

    /// Drops what nobody may share any more; and of what takes more than its room, the oldest, down to half of it. The
    /// newest stays, however large: others may be on their way to it.
    fn sweep(&mut self, now: Instant, capacity: usize) {
        self.swept = Some(now);
        let mut kept: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, entry)| match entry {
                Kept::Landed { landed, until, .. } => Some((landed.at, *until, entry.weight().1, key.clone())),
                Kept::UnderWay { .. } => None,
            })
            .collect();
        kept.sort_unstable_by_key(|(at, ..)| *at);
        let last = kept.len().saturating_sub(1);
        let room = [capacity, 8 * capacity];
        let enough = [0, 1].map(|place| if self.weights[place] > room[place] { room[place] / 2 } else { room[place] });
        for (nth, (_, until, place, key)) in kept.into_iter().enumerate() {
            if until < now || (self.weights[place] > enough[place] && nth != last) {
                self.remove(&key);
            }
        }
    }
}

impl<V> Kept<V> {
    /// In bytes, and which of [`State::weights`] it is part of.
    fn weight(&self) -> (usize, usize) {
        match self {
            Self::UnderWay { .. } => (0, 0),
            Self::Landed { weight, for_many, .. } => (*weight, usize::from(*for_many)),
        }
    }
}

impl<V> Landed<V> {
    fn serves(&self, wanted: Wanted, now: Instant) -> bool {
        let is_new_enough = wanted.not_before.is_none_or(|not_before| self.asked >= not_before);
        let waited_for_it = wanted.since <= self.at && self.at + SHORTEST_KEEP >= now;
        is_new_enough && (waited_for_it || (self.result.is_ok() && self.at + wanted.max_age >= now))
    }

    fn shared(self) -> Answer<V> {
        Answer { result: self.result, at: self.at, shared: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::FailureKind;

    const SECOND: Duration = Duration::from_secs(1);

    type Flights = SingleFlight<&'static str, usize>;

    fn wanted(since: Instant, max_age: Duration) -> Wanted {
        Wanted { since, not_before: None, max_age }
    }

    /// As whoever wants an answer to a request sent from now on.
    fn news(since: Instant) -> Wanted {
        Wanted { since, not_before: Some(since), max_age: Duration::ZERO }
    }

    fn lead<'a>(
        flights: &'a Flights,
        key: &'static str,
        wanted: Wanted,
        now: Instant,
    ) -> Lead<'a, &'static str, usize> {
        match flights.enter(&key, wanted, now) {
            Entry::Lead(lead) => lead,
            other => panic!("{other:?}"),
        }
    }

    fn hit(flights: &Flights, wanted: Wanted, now: Instant) -> Option<Result<usize, PollFailure>> {
        match flights.enter(&"x", wanted, now) {
            Entry::Hit(answer) => {
                assert!(answer.shared);
                Some(answer.result)
            }
            Entry::Wait(_) | Entry::Lead(_) => None,
        }
    }

    fn waits(flights: &Flights, wanted: Wanted, now: Instant) -> Landing {
        match flights.enter(&"x", wanted, now) {
            Entry::Wait(under_way) => under_way.landing,
            other => panic!("{other:?}"),
        }
    }

    fn failure() -> PollFailure {
        PollFailure::new(FailureKind::Unreachable, "silent")
    }

    #[test]
    fn equal_requests_under_way_are_one() {
        let (flights, now) = (Flights::new(1000), Instant::now());
        let leader = lead(&flights, "x", wanted(now, SECOND), now);
        let landings: Vec<_> = (0..500).map(|_| waits(&flights, wanted(now, SECOND), now)).collect();
        drop(lead(&flights, "y", wanted(now, SECOND), now));
        assert!(landings.iter().all(|landing| landing.clone().now_or_never().is_none()));
        let answer = leader.land(Ok(1), 1, false, now + SECOND);
        assert_eq!(answer, Answer { result: Ok(1), at: now + SECOND, shared: false });
        for landing in landings {
            assert!(landing.now_or_never().is_some(), "who waits is told");
            assert_eq!(
                hit(&flights, wanted(now, SECOND), now + 5 * SECOND),
                Some(Ok(1)),
                "also when its turn comes late"
            );
        }
    }

    #[test]
    fn an_answer_is_shared_until_it_is_too_old() {
        let (flights, now) = (Flights::new(1000), Instant::now());
        lead(&flights, "x", wanted(now, 10 * SECOND), now).land(Ok(1), 1, false, now);
        let later = now + 5 * SECOND;
        assert_eq!(hit(&flights, wanted(later, 10 * SECOND), later), Some(Ok(1)));
        assert_eq!(hit(&flights, wanted(later, 5 * SECOND), later), Some(Ok(1)));
        lead(&flights, "x", wanted(later, 4 * SECOND), later).land(Ok(2), 1, false, later);
        assert_eq!(hit(&flights, wanted(later, 10 * SECOND), later), Some(Ok(2)));
    }

    #[test]
    fn who_wants_news_gets_only_what_was_asked_after_it_came() {
        let (flights, now) = (Flights::new(1000), Instant::now());
        let early = lead(&flights, "x", wanted(now, SECOND), now);
        let came = now + SECOND / 2;
        let landing = waits(&flights, news(came), came);
        early.land(Ok(1), 1, false, now + SECOND);
        assert!(landing.now_or_never().is_some());
        let second = lead(&flights, "x", news(came), now + SECOND);
        for _ in 0..10 {
            drop(waits(&flights, news(came), now + SECOND));
        }
        second.land(Ok(2), 1, false, now + 2 * SECOND);
        assert_eq!(hit(&flights, news(came), now + 2 * SECOND), Some(Ok(2)), "the ten share the next request");
        let later = now + 3 * SECOND;
        assert_eq!(hit(&flights, wanted(later, SECOND), later), Some(Ok(2)), "news is good enough for all");
        assert_eq!(hit(&flights, news(later), later), None);
    }

    #[test]
    fn a_leader_that_is_dropped_wakes_those_who_wait() {
        let (flights, now) = (Flights::new(1000), Instant::now());
        let leader = lead(&flights, "x", wanted(now, SECOND), now);
        let landing = waits(&flights, wanted(now, SECOND), now);
        drop(leader);
        assert!(landing.now_or_never().is_some());
        lead(&flights, "x", wanted(now, SECOND), now);
        assert!(flights.lock().entries.is_empty());
    }

    #[test]
    fn a_failure_is_for_all_who_came_before_it_and_for_no_one_later() {
        let (flights, now) = (Flights::new(1000), Instant::now());
        let leader = lead(&flights, "x", wanted(now, 60 * SECOND), now);
        let over = now + 20 * SECOND;
        leader.land(Err(failure()), 0, true, over);
        let its_turn = over + 5 * SECOND;
        assert_eq!(hit(&flights, wanted(now + SECOND, 60 * SECOND), its_turn), Some(Err(failure())));
        assert_eq!(hit(&flights, wanted(its_turn, 60 * SECOND), its_turn), None);
    }

    #[test]
    fn an_answer_larger_than_all_room_is_kept_until_the_next() {
        let (flights, now) = (SingleFlight::<usize, usize>::new(100), Instant::now());
        for n in 0..2 {
            let Entry::Lead(lead) = flights.enter(&n, wanted(now, 5 * SECOND), now) else { panic!("{n}") };
            lead.land(Ok(n), 5000, true, now + SECOND * n as u32);
            assert_eq!(flights.lock().weights, [0, 5000], "{n}");
        }
    }

    #[test]
    fn old_answers_and_too_many_answers_are_dropped() {
        let (flights, now) = (SingleFlight::<usize, usize>::new(100), Instant::now());
        let answer = |n: usize, weight, now| {
            let Entry::Lead(lead) = flights.enter(&n, wanted(now, 5 * SECOND), now) else { panic!("{n}") };
            lead.land(Ok(n), weight, n % 2 == 1, now);
        };
        for n in 0..1000 {
            answer(n, 10, now + Duration::from_millis(n as u64));
        }
        let [one, many] = flights.lock().weights;
        assert!((50..=100).contains(&one) && (400..=800).contains(&many), "{one} {many}");
        answer(0, 1, now + 21 * SECOND);
        let state = flights.lock();
        assert_eq!((state.entries.len(), state.weights), (1, [1, 0]));
    }
}
