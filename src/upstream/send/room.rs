//! How many bytes of replies may be under way at once. Pure.
//!
//! A cloud that sends a megabyte and then nothing holds it until the request's time is over. Small replies always have
//! room; of what is left for large ones a namespace has at most a quarter, so that nobody's clouds fill all of it.

use std::sync::{Mutex, PoisonError};

use ahash::HashMap;

/// For all replies together, beside the small ones.
const ALL: usize = 32 << 20;
/// For those of one namespace.
const NAMESPACE: usize = ALL / 4;
/// What a reply may take without being counted.
pub const SMALL: usize = 16 << 10;

/// The room for all replies.
#[derive(Debug, Default)]
pub struct Room {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    namespaces: HashMap<String, usize>,
}

/// What one reply has taken, until it is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    room: &'a Room,
    namespace: &'a str,
    taken: usize,
}

impl Room {
    /// A place for a reply that somebody in `namespace` asked for.
    pub fn place<'a>(&'a self, namespace: &'a str) -> Place<'a> {
        Place { room: self, namespace, taken: 0 }
    }
}

impl Place<'_> {
    /// Takes room for a reply of `bytes` in all. Whether there is any.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(SMALL).saturating_sub(self.taken);
        if more == 0 {
            return true;
        }
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_namespace = taken.namespaces.get(self.namespace).copied().unwrap_or_default();
        if taken.all + more > ALL || of_namespace + more > NAMESPACE {
            return false;
        }
        taken.all += more;
        taken.namespaces.insert(self.namespace.to_owned(), of_namespace + more);
        self.taken += more;
        true
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.taken == 0 {
            return;
        }
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= self.taken;
        if let Some(of_namespace) = taken.namespaces.get_mut(self.namespace) {
            *of_namespace -= self.taken;
            if *of_namespace == 0 {
                taken.namespaces.remove(self.namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = (1 << 20) + SMALL;

    #[test]
    fn a_namespace_has_a_quarter_and_all_together_have_their_bound() {
        let room = Room::default();
        let mut places = Vec::new();
        for namespace in ["a", "b", "c", "d", "e"] {
            for _ in 0..100 {
                let mut place = room.place(namespace);
                let has_room = place.grow(LARGE);
                places.push((namespace, has_room, place));
            }
        }
        let number = |of| places.iter().filter(|(namespace, has_room, _)| *namespace == of && *has_room).count();
        assert_eq!(["a", "b", "c", "d", "e"].map(number), [8, 8, 8, 8, 0]);
        assert!(room.place("e").grow(SMALL), "small replies always have room");
        drop(places);
        assert!(room.place("e").grow(LARGE));
        assert!(room.taken.lock().unwrap().namespaces.is_empty(), "the forgotten take no memory");
    }

    #[test]
    fn a_reply_takes_room_as_it_grows() {
        let room = Room::default();
        let mut place = room.place("a");
        for bytes in [SMALL, 2 * SMALL, 4 * SMALL] {
            assert!(place.grow(bytes));
            assert_eq!(room.taken.lock().unwrap().all, bytes - SMALL);
        }
    }
}
