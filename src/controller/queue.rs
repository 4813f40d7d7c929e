//! Whose turn it is: kube's scheduler keeps the times, those whose time has come wait in line here, and as many looks as
//! are allowed are under way at once, of one object never two.
//!
//! kube's own `applier` re-polls every running reconcile each time one finishes, O(n²) where polls made together end
//! together, and scans those that wait from its first bucket, so that some wait for ever. Who waits for somebody else's
//! request takes no place here: it is woken when that is over.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::future;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::HashMap;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt, Stream, StreamExt};
use kube::runtime::scheduler::{ScheduleRequest, scheduler};
use tokio::time::Instant;

use crate::clock;
use crate::upstream::Landing;

/// When an object is looked at again, unless it changes before.
#[derive(Debug)]
pub(super) enum Requeue {
    /// Not at all.
    Never,
    /// After so long.
    After(Duration),
    /// When a request of somebody else is over, after so long at the latest.
    WhenOver { landing: Landing, at_latest: Duration },
}

/// Whether the queue gets on.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Since when somebody is ready and no look has begun or ended.
    stands_still_since: Mutex<Option<std::time::Instant>>,
}

impl Turns {
    /// For how long nothing has begun or ended though somebody is ready.
    pub(super) fn stand_still(&self) -> Option<Duration> {
        self.since().map(|since| clock::monotonic().saturating_duration_since(since))
    }

    /// Notes that a look has begun or ended.
    fn moved(&self, is_anyone_ready: bool) {
        *self.since() = is_anyone_ready.then(clock::monotonic);
    }

    /// Notes that somebody is ready.
    fn joined(&self) {
        self.since().get_or_insert_with(clock::monotonic);
    }

    fn since(&self) -> MutexGuard<'_, Option<std::time::Instant>> {
        self.stands_still_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what is noted earlier.
    #[cfg(test)]
    pub(super) fn antedate(&self, by: Duration) {
        self.joined();
        if let Some(since) = self.since().as_mut() {
            *since -= by;
        }
    }
}

/// Those whose time has come, in the order in which it came, first looks before others; and those that are looked at.
struct Line<K> {
    objects: HashMap<K, Standing>,
    in_order: BTreeMap<Place, K>,
    /// The number to be drawn next.
    next: u64,
    busy: usize,
}

/// Whether it has been looked at before, and the number it drew.
type Place = (bool, u64);

/// How an object stands.
enum Standing {
    InLine,
    Busy {
        /// Its time has come again: it is looked at once more after this.
        again: bool,
    },
}

impl<K: Clone + Eq + Hash> Line<K> {
    fn new() -> Self {
        Self { objects: HashMap::default(), in_order: BTreeMap::new(), next: 0, busy: 0 }
    }

    /// Who stands in line already keeps its place.
    fn join(&mut self, object: K, is_first: bool) {
        match self.objects.entry(object) {
            Entry::Occupied(mut entry) => {
                if let Standing::Busy { again } = entry.get_mut() {
                    *again = true;
                }
            }
            Entry::Vacant(entry) => {
                self.in_order.insert((!is_first, self.next), entry.key().clone());
                self.next += 1;
                entry.insert(Standing::InLine);
            }
        }
    }

    /// Who is looked at next.
    fn begin(&mut self) -> Option<K> {
        let (_, object) = self.in_order.pop_first()?;
        if let Some(standing) = self.objects.get_mut(&object) {
            *standing = Standing::Busy { again: false };
            self.busy += 1;
        }
        Some(object)
    }

    /// Ends the look at `object`. Whether there is to be another at once.
    fn end(&mut self, object: &K) -> bool {
        match self.objects.remove(object) {
            Some(Standing::Busy { again }) => {
                self.busy -= 1;
                again
            }
            _ => false,
        }
    }

    fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }
}

/// The next of either stream.
async fn either<T>(mut first: impl Stream<Item = T> + Unpin, mut second: impl Stream<Item = T> + Unpin) -> T {
    tokio::select! {
        biased;
        Some(item) = first.next() => item,
        Some(item) = second.next() => item,
        else => future::pending().await,
    }
}

/// Those that are to come again.
struct Returns<K> {
    at_times: mpsc::UnboundedSender<ScheduleRequest<K>>,
    /// Much smaller than looks.
    when_over: FuturesUnordered<BoxFuture<'static, K>>,
}

impl<K: Send + 'static> Returns<K> {
    fn plan(&self, object: K, requeue: Requeue) {
        match requeue {
            Requeue::Never => {}
            Requeue::After(wait) => {
                if let Some(run_at) = Instant::from(clock::monotonic()).checked_add(wait) {
                    // The other end is in the same function.
                    let _ = self.at_times.unbounded_send(ScheduleRequest { message: object, run_at });
                }
            }
            Requeue::WhenOver { landing, at_latest } => {
                self.when_over.push(tokio::time::timeout(at_latest, landing).map(|_| object).boxed());
            }
        }
    }
}

/// Who is looked at, and how.
pub(super) trait Look<K> {
    /// Whether it has never had an answer.
    fn is_first(&self, object: &K) -> bool;

    /// What is next where no more than a glance is needed.
    fn glance(&self, object: &K) -> Option<Requeue>;

    /// A whole look.
    fn look(&self, object: K) -> impl Future<Output = Requeue>;
}

/// Takes a `look` at each object when it changes, and again when the look before said, `at_once` at most. None is begun
/// before `ready`, nor after `stop`, when those under way go on to their end.
pub(super) async fn run<K: Clone + Eq + Hash + Send + 'static>(
    changes: impl Stream<Item = K>,
    ready: impl Future,
    at_once: u16,
    look: impl Look<K>,
    stop: impl Future<Output = ()>,
    progress: &Turns,
) {
    let (at_times, times) = mpsc::unbounded();
    let mut returns = Returns { at_times, when_over: FuturesUnordered::new() };
    let news = changes.map(|object| ScheduleRequest { message: object, run_at: clock::monotonic().into() });
    let mut due = pin!(scheduler(stream::select(news, times)));
    let (mut is_ready, mut line, mut under_way) = (false, Line::new(), FuturesUnordered::new());
    let turns = async {
        let mut ready = pin!(ready);
        loop {
            // Most looks wait for nothing, and much else runs in the same task.
            tokio::task::consume_budget().await;
            let may_begin = is_ready && line.busy < usize::from(at_once);
            let come = either(&mut due, &mut returns.when_over);
            // All whose time has come join the line before any begins, and who has begun goes on before the next does:
            // one glance then shows that an equal request is under way.
            tokio::select! {
                biased;
                object = come => {
                    progress.joined();
                    let is_first = look.is_first(&object);
                    line.join(object, is_first);
                }
                Some((object, requeue)) = under_way.next() => {
                    progress.moved(!line.is_empty());
                    let is_again = line.end(&object);
                    returns.plan(object, if is_again { Requeue::After(Duration::ZERO) } else { requeue });
                }
                Some(object) = async { line.begin() }, if may_begin => {
                    progress.moved(!line.is_empty());
                    match look.glance(&object) {
                        Some(requeue) => {
                            line.end(&object);
                            returns.plan(object, requeue);
                        }
                        None => under_way.push(look.look(object.clone()).map(|requeue| (object, requeue))),
                    }
                }
                _ = &mut ready, if !is_ready => is_ready = true,
            }
        }
    };
    tokio::select! {
        () = stop => {}
        () = turns => {}
    }
    under_way.for_each(|_| future::ready(())).await;
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// A look without glances, and whether it is the first.
    impl<K, F: Future<Output = Requeue>, L: Fn(&K) -> F, I: Fn(&K) -> bool> Look<K> for (L, I) {
        fn is_first(&self, object: &K) -> bool {
            self.1(object)
        }

        fn glance(&self, _: &K) -> Option<Requeue> {
            None
        }

        fn look(&self, object: K) -> impl Future<Output = Requeue> {
            self.0(&object)
        }
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    /// The looks within ten seconds, and the most at once: at what, and when begun. Objects change at the times given in
    /// seconds; a look takes two.
    async fn looks(
        changes: &[(char, u64)],
        ready: u64,
        at_once: u16,
        again: Option<Duration>,
    ) -> (Vec<(char, u64)>, usize) {
        let began = Instant::now();
        let (looks, under_way, most) = (RefCell::new(Vec::new()), Cell::new(0), Cell::new(0));
        let changes = stream::iter(changes.to_vec()).then(|(object, at)| async move {
            tokio::time::sleep_until(began + seconds(at)).await;
            object
        });
        let look = |object: &char| {
            let (object, looks, under_way, most) = (*object, &looks, &under_way, &most);
            async move {
                looks.borrow_mut().push((object, began.elapsed().as_secs()));
                under_way.set(under_way.get() + 1);
                most.set(most.get().max(under_way.get()));
                tokio::time::sleep(seconds(2)).await;
                under_way.set(under_way.get() - 1);
                again.map_or(Requeue::Never, Requeue::After)
            }
        };
        let (ready, stop) = (tokio::time::sleep(seconds(ready)), tokio::time::sleep(seconds(10)));
        run(changes, ready, at_once, (look, |_: &char| false), stop, &Turns::default()).await;
        assert_eq!(under_way.get(), 0, "what was under way has ended");
        (looks.take(), most.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_follows_each_change_and_each_wait() {
        assert_eq!(looks(&[('a', 0), ('a', 5)], 0, 9, None).await.0, [('a', 0), ('a', 5)]);
        let again = Some(seconds(2));
        assert_eq!(looks(&[('a', 0)], 0, 9, again).await.0, [('a', 0), ('a', 4), ('a', 8)]);
        assert_eq!(
            looks(&[('a', 0), ('a', 3)], 0, 9, again).await.0,
            [('a', 0), ('a', 3), ('a', 7)],
            "a change is sooner"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_changes_while_it_is_looked_at_is_looked_at_again_after_that() {
        let changes = [('a', 0), ('a', 1), ('b', 1)];
        assert_eq!(looks(&changes, 0, 9, None).await, (vec![('a', 0), ('b', 1), ('a', 2)], 2));
    }

    #[tokio::test]
    async fn others_have_their_turn_among_thousands_of_looks() {
        let (many, seen, most) = (10_000, Cell::new(0), Cell::new(0));
        let look = |_: &i32| {
            seen.set(seen.get() + 1);
            std::future::ready(Requeue::Never)
        };
        let others = async {
            while seen.get() < many {
                let before = seen.get();
                tokio::task::yield_now().await;
                most.set(most.get().max(seen.get() - before));
            }
        };
        let changes = stream::iter(0..many).chain(stream::pending());
        run(changes, std::future::ready(()), 9, (look, |_: &i32| false), others, &Turns::default()).await;
        assert!(most.get() < 1000, "{} looks without a break", most.get());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_begins_no_look_and_breaks_none_off() {
        assert_eq!(looks(&[('a', 9), ('b', 11)], 0, 9, None).await.0, [('a', 9)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_before_all_is_ready_is_looked_at_once_then() {
        assert_eq!(looks(&[('a', 0), ('a', 1), ('a', 2)], 3, 9, None).await.0, [('a', 3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_under_way_than_allowed() {
        let changes: Vec<_> = ('a'..='j').map(|object| (object, 0)).collect();
        let (looks, most) = looks(&changes, 0, 4, None).await;
        let at = |second| looks.iter().filter(|(_, at)| *at == second).count();
        assert_eq!((most, at(0), at(2), at(4), looks.len()), (4, 4, 4, 2, 10), "{looks:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn those_whose_time_has_come_are_served_in_order_and_first_looks_before_them() {
        let began = Instant::now();
        let looks = RefCell::new(Vec::new());
        // Twenty objects that hang for ten seconds each time and are due again at once, two places, and a newcomer.
        let changes = stream::iter(0..20).chain(stream::iter([99]).then(|object| async move {
            tokio::time::sleep(seconds(5)).await;
            object
        }));
        let look = |object: &i32| {
            looks.borrow_mut().push(*object);
            tokio::time::sleep(seconds(10)).map(|()| Requeue::After(Duration::ZERO))
        };
        let is_first = |object: &i32| *object == 99 && began.elapsed() < seconds(11);
        let stop = tokio::time::sleep(seconds(1000));
        run(changes.chain(stream::pending()), std::future::ready(()), 2, (look, is_first), stop, &Turns::default())
            .await;
        let looks = looks.take();
        assert_eq!(looks[2], 99, "the newcomer is next");
        let number = |object| looks.iter().filter(|looked| **looked == object).count();
        assert!((0..20).all(|object| (9..=11).contains(&number(object))), "{looks:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_the_request_of_another_takes_no_place() {
        let (over, landing) = futures::channel::oneshot::channel::<()>();
        let (landing, looks) = (landing.shared(), RefCell::new(Vec::new()));
        let began = Instant::now();
        let look = |object: &i32| {
            looks.borrow_mut().push((*object, began.elapsed().as_secs()));
            let is_over = began.elapsed() >= seconds(5);
            std::future::ready(if is_over {
                Requeue::Never
            } else {
                Requeue::WhenOver { landing: landing.clone(), at_latest: seconds(60) }
            })
        };
        let stop = async {
            tokio::time::sleep(seconds(5)).await;
            drop(over);
            tokio::time::sleep(seconds(5)).await;
        };
        let changes = stream::iter(0..500).chain(stream::pending());
        run(changes, std::future::ready(()), 1, (look, |_: &i32| false), stop, &Turns::default()).await;
        let at = |second| looks.borrow().iter().filter(|(_, at)| *at == second).count();
        assert_eq!((at(0), at(5), looks.borrow().len()), (500, 500, 1000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_gets_on_however_slowly_does_not_stand_still() {
        let turns = Turns::default();
        let look = |_: &i32| tokio::time::sleep(seconds(60)).map(|()| Requeue::After(Duration::ZERO));
        let still = RefCell::new(Duration::ZERO);
        let stop = async {
            for _ in 0..1000 {
                tokio::time::sleep(seconds(7)).await;
                let now = turns.stand_still().unwrap_or_default().max(*still.borrow());
                *still.borrow_mut() = now;
            }
        };
        let changes = stream::iter(0..20).chain(stream::pending());
        run(changes, std::future::ready(()), 2, (look, |_: &i32| false), stop, &turns).await;
        assert!(still.take() <= seconds(60));
    }
}
