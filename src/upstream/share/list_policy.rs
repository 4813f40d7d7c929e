//! Which operations are asked for together, by the list of the collection they are in. Pure: the time is an argument.
//!
//! A list pays as soon as two of its operations are followed. One that cannot be used is set aside for a while, and one
//! that lacks an operation is not asked for that operation again so soon.

use std::time::{Duration, Instant};

use ahash::{HashMap, RandomState};

use crate::observation::Request;
use crate::upstream::Inquiry;

/// How long a follower counts after it was last seen, beside two of its intervals: longer than the longest delay in a
/// fault.
const FOLLOWED: Duration = Duration::from_secs(600);
/// How long a list that cannot be used is not asked for, and how long an operation that was missing from one is asked
/// for alone.
const SET_ASIDE: Duration = Duration::from_secs(600);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The collections of all accounts. Lists and operations go by their hashes, as most collections have one follower and
/// there are thousands of them; two that are taken for one cost a request.
#[derive(Debug, Default)]
pub struct ListPolicy {
    hasher: RandomState,
    by_list: HashMap<u64, Collection>,
    swept: Option<Instant>,
}

/// How an operation is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// With the others of its collection, from this page on if its last look had no time for more.
    List(Option<Box<Request>>),
    /// By itself.
    Alone,
    /// By itself, unless others join at the same moment.
    AloneSoFar,
}

#[derive(Debug, Default)]
struct Collection {
    /// In the order of `operation`.
    followers: Vec<Follower>,
    set_aside_until: Option<Instant>,
}

#[derive(Debug)]
struct Follower {
    operation: u64,
    until: Instant,
    unlisted_until: Option<Instant>,
    /// The page to go on at: its last look had no time for more.
    bookmark: Option<Box<Request>>,
}

impl Collection {
    /// Where the follower of `operation` is, else where it belongs.
    fn place(&self, operation: u64) -> Result<usize, usize> {
        self.followers.binary_search_by_key(&operation, |follower| follower.operation)
    }
}

impl Follower {
    fn is_listed(&self, now: Instant) -> bool {
        self.until > now && self.unlisted_until.is_none_or(|until| until <= now)
    }
}

impl ListPolicy {
    /// Notes that someone asks for `operation_id` every `interval`. Says how it is to ask.
    pub fn join(&mut self, list: &Inquiry, operation_id: &str, interval: Duration, now: Instant) -> Way {
        self.sweep(now);
        let operation = self.hasher.hash_one(operation_id);
        let collection = self.by_list.entry(self.hasher.hash_one(list)).or_default();
        let until = now + FOLLOWED + interval.saturating_mul(2);
        let (is_listed, is_new, place) = match collection.place(operation) {
            Ok(place) => {
                let follower = &mut collection.followers[place];
                follower.until = until;
                (follower.is_listed(now), false, place)
            }
            Err(place) => {
                // Most stay alone.
                if collection.followers.is_empty() {
                    collection.followers.reserve_exact(1);
                }
                collection.followers.insert(place, Follower { operation, until, unlisted_until: None, bookmark: None });
                (true, true, place)
            }
        };
        let is_usable = collection.set_aside_until.is_none_or(|until| until <= now);
        let mut listed = collection.followers.iter().filter(|follower| follower.is_listed(now));
        match is_usable && is_listed {
            true if listed.nth(1).is_some() => Way::List(collection.followers[place].bookmark.take()),
            true if is_new => Way::AloneSoFar,
            _ => Way::Alone,
        }
    }

    /// Notes that `operation_id` was not in its `list`, or not to be read there.
    pub fn miss(&mut self, list: &Inquiry, operation_id: &str, now: Instant) {
        if let Some(follower) = self.follower(list, operation_id) {
            follower.unlisted_until = Some(now + SET_ASIDE);
        }
    }

    /// Notes at which page of its `list` the search for `operation_id` is to go on.
    pub fn bookmark(&mut self, list: &Inquiry, operation_id: &str, page: Request) {
        if let Some(follower) = self.follower(list, operation_id) {
            follower.bookmark = Some(Box::new(page));
        }
    }

    fn follower(&mut self, list: &Inquiry, operation_id: &str) -> Option<&mut Follower> {
        let operation = self.hasher.hash_one(operation_id);
        let collection = self.by_list.get_mut(&self.hasher.hash_one(list))?;
        let place = collection.place(operation).ok()?;
        collection.followers.get_mut(place)
    }

    /// Notes that `list` cannot be used. Says whether that is new.
    pub fn set_aside(&mut self, list: &Inquiry, now: Instant) -> bool {
        let Some(collection) = self.by_list.get_mut(&self.hasher.hash_one(list)) else { return false };
        let was_usable = collection.set_aside_until.is_none_or(|until| until <= now);
        collection.set_aside_until = Some(now + SET_ASIDE);
        was_usable
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP_INTERVAL) {
            return;
        }
        self.swept = Some(now);
        self.by_list.retain(|_, collection| {
            collection.followers.retain(|follower| follower.until > now);
            !collection.followers.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use super::*;
    use crate::observation::Request;

    const SECOND: Duration = Duration::from_secs(1);

    fn list(project: &str) -> Inquiry {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        Inquiry::new("a".into(), "p".into(), Request::get(&["projects", project, "jobs"]), &hasher)
    }

    #[test]
    fn a_list_pays_once_two_of_its_operations_are_followed() {
        let (mut collections, now) = (ListPolicy::default(), Instant::now());
        assert_ne!(collections.join(&list("x"), "one", SECOND, now), Way::List(None));
        assert_ne!(collections.join(&list("x"), "one", SECOND, now), Way::List(None), "the same again is no second");
        assert_ne!(collections.join(&list("y"), "two", SECOND, now), Way::List(None), "another collection");
        assert_eq!(collections.join(&list("x"), "two", SECOND, now), Way::List(None));
        assert_eq!(collections.join(&list("x"), "one", SECOND, now), Way::List(None));
    }

    #[test]
    fn who_is_not_seen_any_more_does_not_count() {
        let (mut collections, now) = (ListPolicy::default(), Instant::now());
        collections.join(&list("x"), "quick", SECOND, now);
        collections.join(&list("x"), "slow", 3600 * SECOND, now);
        assert_eq!(
            collections.join(&list("x"), "quick", SECOND, now + 7000 * SECOND),
            Way::List(None),
            "twice its interval is not long"
        );
        assert_ne!(collections.join(&list("x"), "quick", SECOND, now + 9000 * SECOND), Way::List(None));
        collections.join(&list("z"), "last", SECOND, now + 20_000 * SECOND);
        assert_eq!(collections.by_list.len(), 1, "the forgotten take no memory");
    }

    #[test]
    fn an_operation_that_is_not_in_the_list_is_asked_for_alone_for_a_while() {
        let (mut collections, now) = (ListPolicy::default(), Instant::now());
        for id in ["one", "two", "three"] {
            collections.join(&list("x"), id, 60 * SECOND, now);
        }
        collections.miss(&list("x"), "one", now);
        assert_ne!(collections.join(&list("x"), "one", 60 * SECOND, now), Way::List(None));
        assert_eq!(collections.join(&list("x"), "two", 60 * SECOND, now), Way::List(None), "two are left");
        collections.miss(&list("x"), "two", now);
        assert_ne!(collections.join(&list("x"), "three", 60 * SECOND, now), Way::List(None), "one alone is left");
        assert_eq!(collections.join(&list("x"), "one", 60 * SECOND, now + SET_ASIDE), Way::List(None));
    }

    #[test]
    fn a_list_that_cannot_be_used_is_set_aside_for_a_while_and_that_is_news_once() {
        let (mut collections, now) = (ListPolicy::default(), Instant::now());
        for id in ["one", "two"] {
            collections.join(&list("x"), id, 60 * SECOND, now);
        }
        assert!(collections.set_aside(&list("x"), now));
        assert!(!collections.set_aside(&list("x"), now));
        assert_ne!(collections.join(&list("x"), "one", 60 * SECOND, now + SET_ASIDE / 2), Way::List(None));
        assert_eq!(collections.join(&list("x"), "one", 60 * SECOND, now + SET_ASIDE), Way::List(None));
        assert!(collections.set_aside(&list("x"), now + SET_ASIDE));
    }

    #[test]
    fn a_search_that_had_no_time_goes_on_once_at_the_page_it_came_to() {
        let (mut collections, now) = (ListPolicy::default(), Instant::now());
        for id in ["one", "two"] {
            collections.join(&list("x"), id, 60 * SECOND, now);
        }
        let page = Request::get(&["page", "2"]);
        collections.bookmark(&list("x"), "one", page.clone());
        assert_eq!(collections.join(&list("x"), "two", 60 * SECOND, now), Way::List(None));
        assert_eq!(collections.join(&list("x"), "one", 60 * SECOND, now), Way::List(Some(Box::new(page))));
        assert_eq!(collections.join(&list("x"), "one", 60 * SECOND, now), Way::List(None));
    }
}
