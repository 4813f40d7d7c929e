//! Whose turn it is: kube's scheduler keeps the times, and as many looks as are allowed are under way at once, of one
//! object never two.
//!
//! kube's own `applier` asks all that are under way whenever one of them has ended, and holds two copies of each
//! object's names. Polls made together end together.

use std::collections::HashSet;
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures::channel::mpsc;
use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt, Stream, StreamExt};
use kube::runtime::scheduler::{ScheduleRequest, Scheduler, scheduler};
use tokio::time::Instant;

/// Takes a `look` at each object when it changes, and again after the time that the look before said, `at_once` at most.
/// None is begun before `ready`, nor after `stop`, when those under way go on to their end.
pub(super) async fn run<K, F>(
    changes: impl Stream<Item = K>,
    ready: impl Future<Output = ()>,
    at_once: u16,
    look: impl Fn(&K) -> F,
    stop: impl Future<Output = ()>,
) where
    K: Clone + Eq + Hash,
    F: Future<Output = Option<Duration>>,
{
    let (again, returns) = mpsc::unbounded();
    let news = changes.map(|object| ScheduleRequest { message: object, run_at: Instant::now() });
    let mut scheduler = pin!(scheduler(stream::select(news, returns)));
    let (mut is_ready, mut busy, mut under_way) = (false, HashSet::new(), FuturesUnordered::new());
    let turns = async {
        let mut ready = pin!(ready);
        loop {
            // Most looks wait for nothing, and much else runs in the same task.
            tokio::task::consume_budget().await;
            let is_free = is_ready && under_way.len() < usize::from(at_once);
            // All whose time has come begin before any goes on: those of one collection then find each other.
            tokio::select! {
                biased;
                Some(object) = next(scheduler.as_mut(), is_free, &busy) => {
                    busy.insert(object.clone());
                    under_way.push(look(&object).map(|wait| (object, wait)));
                }
                Some((object, wait)) = under_way.next() => {
                    busy.remove(&object);
                    if let Some(run_at) = wait.and_then(|wait| Instant::now().checked_add(wait)) {
                        // The other end is here, too.
                        let _ = again.unbounded_send(ScheduleRequest { message: object, run_at });
                    }
                }
                () = &mut ready, if !is_ready => is_ready = true,
            }
        }
    };
    tokio::select! {
        () = stop => {}
        () = turns => {}
    }
    under_way.for_each(|_| std::future::ready(())).await;
}

/// The next whose time has come and who is not `busy`; nobody while nobody `is_free` to look.
async fn next<K: Clone + Eq + Hash>(
    scheduler: Pin<&mut Scheduler<K, impl Stream<Item = ScheduleRequest<K>>>>,
    is_free: bool,
    busy: &HashSet<K>,
) -> Option<K> {
    match is_free {
        true => scheduler.hold_unless(|object| !busy.contains(object)).next().await,
        false => scheduler.hold().next().await,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

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
                again
            }
        };
        run(changes, tokio::time::sleep(seconds(ready)), at_once, look, tokio::time::sleep(seconds(10))).await;
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
            std::future::ready(None)
        };
        let others = async {
            while seen.get() < many {
                let before = seen.get();
                tokio::task::yield_now().await;
                most.set(most.get().max(seen.get() - before));
            }
        };
        let changes = stream::iter(0..many).chain(stream::pending());
        run(changes, std::future::ready(()), 9, look, others).await;
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
}
