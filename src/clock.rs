//! The two clocks of the process, read here and nowhere else: whoever needs the time gets it as an argument, or asks
//! this module.

use std::cell::Cell;
use std::time::Instant;

use jiff::Timestamp;

use crate::schedule::{after, elapsed};

thread_local! {
    static TOLD: Cell<Option<Moment>> = const { Cell::new(None) };
}

/// The time of day, which can be set and can step.
pub fn wall() -> Timestamp {
    TOLD.get().map_or_else(Timestamp::now, |told| told.time_at(monotonic()))
}

/// Sets the time of day for this thread: in a simulation it goes as tokio's clock does, and steps when told to.
#[doc(hidden)]
pub fn tell(now: Option<Timestamp>) {
    TOLD.set(now.map(|wall| Moment { wall, monotonic: monotonic() }));
}

/// The clock that only goes forward: for waits, ages and limits. Tests may pause it with tokio's.
pub fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time of day.
    pub wall: Timestamp,
    /// The clock that only goes forward.
    pub monotonic: Instant,
}

impl Moment {
    /// What both show now.
    pub fn now() -> Self {
        Self { wall: wall(), monotonic: monotonic() }
    }

    /// The moment when the wall clock shows `at`, unless it is set meanwhile.
    pub fn at(self, at: Timestamp) -> Option<Instant> {
        self.monotonic.checked_add(elapsed(self.wall, at))
    }

    /// What the wall clock shows at `at`.
    pub fn time_at(self, at: Instant) -> Timestamp {
        after(self.wall, at.saturating_duration_since(self.monotonic))
    }
}
