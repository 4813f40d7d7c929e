//! One request for all who want the same answer at about the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// How long an answer is kept at least: who asked for news has fetched it for the others too.
const SHORTEST_KEEP: Duration = Duration::from_secs(10);
/// How many wait for one request; more come back a little later, so that a cloud that does not answer a list does not
/// hold all who are in it.
const MOST_WAITING: usize = 16;
const COME_BACK: Duration = Duration::from_millis(250);

/// Requests under way and answers not yet too old to share.
#[derive(Debug)]
pub struct Flights<K, V> {
    state: Mutex<State<K, V>>,
    capacity: usize,
}

#[derive(Debug)]
struct State<K, V> {
    /// Counts arrivals and departures: tells which came first where the clock cannot.
    turn: u64,
    entries: HashMap<K, Entry<V>>,
    /// What is kept for one, and what for many.
    weights: [usize; 2],
    swept: Instant,
}

#[derive(Debug)]
enum Entry<V> {
    Flying { landing: watch::Receiver<Option<Landed<V>>>, waiting: usize },
    Kept { landed: Landed<V>, weight: usize, until: Instant, for_many: bool },
}

#[derive(Clone, Debug)]
struct Landed<V> {
    value: V,
    /// The turn at which the request went out.
    asked: u64,
    at: Instant,
}

/// What a request brought.
#[derive(Debug)]
pub struct Landing<V> {
    /// For the asker and those who waited with him.
    pub value: V,
    /// Its size in bytes where also later askers may have it.
    pub weight: Option<usize>,
    /// Whether it answers others too who ask for something else.
    pub for_many: bool,
}

/// How an asker was served.
#[derive(Debug, PartialEq, Eq)]
pub enum Service<V> {
    /// With an answer.
    Answered {
        /// What it is.
        value: V,
        /// When it arrived.
        at: Instant,
        /// Whether someone else had asked.
        shared: bool,
    },
    /// Not at all: no permit before this time, or too many wait already.
    Denied(Instant),
}

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    /// Keeps answers of about `capacity` bytes in all, and of eight times as many for those that serve many.
    pub fn new(capacity: usize) -> Self {
        let state = State { turn: 0, entries: HashMap::new(), weights: [0; 2], swept: Instant::now() };
        Self { state: Mutex::new(state), capacity }
    }

    /// Shares an answer not older than `max_age` or one under way; with a `max_age` of zero only one that was asked
    /// for after this call. Otherwise asks, once `permit` agrees. The asker may be dropped at any time: another of those
    /// who wait takes his place.
    pub async fn share<F>(
        &self,
        key: &K,
        max_age: Duration,
        permit: impl Fn() -> Result<(), Instant>,
        ask: impl FnOnce() -> F,
    ) -> Service<V>
    where
        F: Future<Output = Landing<V>>,
    {
        let came = self.lock().next_turn();
        let (sender, asked) = loop {
            let mut flying = {
                let mut state = self.lock();
                let now = Instant::now();
                match state.entries.get_mut(key) {
                    Some(Entry::Kept { landed, until, .. }) if landed.serves(came, max_age, now) => {
                        *until = (*until).max(landed.at + max_age);
                        return landed.clone().shared();
                    }
                    Some(Entry::Flying { waiting, .. }) if *waiting >= MOST_WAITING => {
                        return Service::Denied(now + COME_BACK);
                    }
                    Some(Entry::Flying { landing, waiting }) => {
                        *waiting += 1;
                        landing.clone()
                    }
                    Some(Entry::Kept { .. }) | None => {
                        if let Err(later) = permit() {
                            return Service::Denied(later);
                        }
                        let (sender, receiver) = watch::channel(None);
                        let asked = state.next_turn();
                        state.replace(key.clone(), Entry::Flying { landing: receiver, waiting: 0 });
                        break (sender, asked);
                    }
                }
            };
            if let Ok(landed) = flying.wait_for(Option::is_some).await
                && let Some(landed) = landed.as_ref()
                && landed.serves(came, max_age, landed.at)
            {
                return landed.clone().shared();
            }
        };
        let departure = Departure { flights: self, key };
        let landing = ask().await;
        let landed = Landed { value: landing.value, asked, at: Instant::now() };
        if let Some(weight) = landing.weight {
            let until = landed.at + max_age.max(SHORTEST_KEEP);
            let for_many = landing.for_many;
            self.keep(key, Entry::Kept { landed: landed.clone(), weight, until, for_many });
        }
        drop(departure);
        sender.send_replace(Some(landed.clone()));
        Service::Answered { value: landed.value, at: landed.at, shared: false }
    }

    fn keep(&self, key: &K, entry: Entry<V>) {
        let now = Instant::now();
        let mut state = self.lock();
        state.replace(key.clone(), entry);
        let [one, many] = state.weights;
        if now >= state.swept + SWEEP_INTERVAL || one > self.capacity || many > 8 * self.capacity {
            state.sweep(now, self.capacity);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V> State<K, V> {
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    fn replace(&mut self, key: K, entry: Entry<V>) {
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
        self.swept = now;
        let mut kept: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, entry)| match entry {
                Entry::Kept { landed, until, .. } => Some((landed.asked, *until, entry.weight().1, key.clone())),
                Entry::Flying { .. } => None,
            })
            .collect();
        kept.sort_unstable_by_key(|(asked, ..)| *asked);
        let newest = kept.last().map(|(asked, ..)| *asked);
        let room = [capacity, 8 * capacity];
        let enough = [0, 1].map(|place| if self.weights[place] > room[place] { room[place] / 2 } else { room[place] });
        for (asked, until, place, key) in kept {
            if until < now || (self.weights[place] > enough[place] && Some(asked) != newest) {
                self.remove(&key);
            }
        }
    }
}

impl<V> Entry<V> {
    /// In bytes, and which of [`State::weights`] it is part of.
    fn weight(&self) -> (usize, usize) {
        match self {
            Self::Flying { .. } => (0, 0),
            Self::Kept { weight, for_many, .. } => (*weight, usize::from(*for_many)),
        }
    }
}

impl<V> Landed<V> {
    fn serves(&self, came: u64, max_age: Duration, now: Instant) -> bool {
        self.asked > came || (!max_age.is_zero() && self.at + max_age >= now)
    }

    fn shared(self) -> Service<V> {
        Service::Answered { value: self.value, at: self.at, shared: true }
    }
}

/// Ends a flight, also one whose asker was dropped.
struct Departure<'a, K: Clone + Eq + Hash, V: Clone> {
    flights: &'a Flights<K, V>,
    key: &'a K,
}

impl<K: Clone + Eq + Hash, V: Clone> Drop for Departure<'_, K, V> {
    fn drop(&mut self) {
        let mut state = self.flights.lock();
        if let Some(Entry::Flying { .. }) = state.entries.get(self.key) {
            state.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Answers take a second and are numbered.
    struct Cloud {
        flights: Flights<&'static str, usize>,
        asked: AtomicUsize,
        weight: Option<usize>,
    }

    impl Cloud {
        fn new(weight: Option<usize>) -> Arc<Self> {
            Arc::new(Self { flights: Flights::new(1000), asked: AtomicUsize::new(0), weight })
        }

        async fn poll(self: Arc<Self>, key: &'static str, max_age: Duration) -> (usize, Instant, bool) {
            let service = self.flights.share(
                &key,
                max_age,
                || Ok(()),
                || async {
                    let value = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
                    tokio::time::sleep(SECOND).await;
                    Landing { value, weight: self.weight, for_many: false }
                },
            );
            match service.await {
                Service::Answered { value, at, shared } => (value, at, shared),
                Service::Denied(_) => panic!("denied without cause"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn equal_requests_under_way_are_one() {
        let cloud = Cloud::new(None);
        let start = Instant::now();
        let polls: Vec<_> = (0..MOST_WAITING).map(|_| tokio::spawn(cloud.clone().poll("x", SECOND))).collect();
        let mut own = 0;
        for poll in polls {
            let (value, at, shared) = poll.await.unwrap();
            assert_eq!((value, at), (1, start + SECOND));
            own += usize::from(!shared);
        }
        assert_eq!(own, 1);
        let (other, ..) = cloud.clone().poll("y", SECOND).await;
        assert_eq!(other, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn those_too_many_to_wait_come_back_for_the_answer() {
        let cloud = Cloud::new(Some(1));
        let polls: Vec<_> = (0..=MOST_WAITING).map(|_| tokio::spawn(cloud.clone().poll("x", SECOND))).collect();
        tokio::time::sleep(SECOND / 4).await;
        let ask = || async { unreachable!("asked beside a request under way") };
        let service = cloud.flights.share(&"x", SECOND, || Ok(()), ask).await;
        assert_eq!(service, Service::Denied(Instant::now() + COME_BACK));
        for poll in polls {
            assert_eq!(poll.await.unwrap().0, 1);
        }
        assert_eq!(cloud.poll("x", SECOND).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_shared_until_it_is_too_old() {
        let cloud = Cloud::new(Some(1));
        let (_, at, _) = cloud.clone().poll("x", 10 * SECOND).await;
        tokio::time::advance(5 * SECOND).await;
        assert_eq!(cloud.clone().poll("x", 10 * SECOND).await, (1, at, true));
        assert_eq!(cloud.clone().poll("x", 5 * SECOND).await, (1, at, true));
        let (newer, newer_at, shared) = cloud.clone().poll("x", 4 * SECOND).await;
        assert_eq!((newer, shared), (2, false));
        assert_eq!(cloud.clone().poll("x", 10 * SECOND).await, (2, newer_at, true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_news_gets_only_what_was_asked_after_he_came() {
        let cloud = Cloud::new(Some(1));
        let early = tokio::spawn(cloud.clone().poll("x", SECOND));
        tokio::time::sleep(SECOND / 2).await;
        let polls: Vec<_> = (0..10).map(|_| tokio::spawn(cloud.clone().poll("x", Duration::ZERO))).collect();
        assert_eq!(early.await.unwrap().0, 1);
        for poll in polls {
            assert_eq!(poll.await.unwrap().0, 2, "the ten share the next request");
        }
        assert_eq!(cloud.clone().poll("x", Duration::ZERO).await.0, 3);
        assert_eq!(cloud.clone().poll("x", SECOND).await.0, 3, "news is good enough for all");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_asker_is_replaced_by_one_who_waits() {
        let cloud = Cloud::new(None);
        let first = tokio::spawn(cloud.clone().poll("x", SECOND));
        tokio::time::sleep(SECOND / 2).await;
        let second = tokio::spawn(cloud.clone().poll("x", SECOND));
        let third = tokio::spawn(cloud.clone().poll("x", SECOND));
        tokio::time::sleep(SECOND / 4).await;
        first.abort();
        assert_eq!(second.await.unwrap().0, 2);
        assert_eq!(third.await.unwrap().0, 2);
        assert!(cloud.flights.lock().entries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_be_kept_is_shared_with_those_who_waited_only() {
        let cloud = Cloud::new(None);
        let first = tokio::spawn(cloud.clone().poll("x", 60 * SECOND));
        let second = tokio::spawn(cloud.clone().poll("x", 60 * SECOND));
        assert_eq!((first.await.unwrap().0, second.await.unwrap().0), (1, 1));
        assert_eq!(cloud.clone().poll("x", 60 * SECOND).await.0, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_permit_nothing_is_asked_but_an_answer_is_still_shared() {
        let cloud = Cloud::new(Some(1));
        let later = Instant::now() + 9 * SECOND;
        let ask = || async { unreachable!("asked without a permit") };
        assert_eq!(cloud.flights.share(&"x", SECOND, || Err(later), ask).await, Service::<usize>::Denied(later));
        let (value, at, _) = cloud.clone().poll("x", SECOND).await;
        assert_eq!(
            cloud.flights.share(&"x", SECOND, || Err(later), ask).await,
            Service::Answered { value, at, shared: true }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_larger_than_all_room_is_kept_until_the_next() {
        let flights: Flights<usize, usize> = Flights::new(100);
        for n in 0..2 {
            let landing = || async move { Landing { value: n, weight: Some(5000), for_many: true } };
            flights.share(&n, 5 * SECOND, || Ok(()), landing).await;
            assert_eq!(flights.lock().weights, [0, 5000], "{n}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn old_answers_and_too_many_answers_are_dropped() {
        let flights: Flights<usize, usize> = Flights::new(100);
        for n in 0..1000 {
            let landing = || async move { Landing { value: n, weight: Some(10), for_many: n % 2 == 0 } };
            flights.share(&n, 5 * SECOND, || Ok(()), landing).await;
        }
        let [one, many] = flights.lock().weights;
        assert!((50..=100).contains(&one) && (400..=800).contains(&many), "{one} {many}");
        tokio::time::advance(11 * SECOND).await;
        flights.share(&0, SECOND, || Ok(()), || async { Landing { value: 0, weight: Some(1), for_many: false } }).await;
        let state = flights.lock();
        assert_eq!((state.entries.len(), state.weights), (1, [1, 0]));
    }
}
