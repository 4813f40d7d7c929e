//! The two clocks of the process, read here and nowhere else: whoever needs the time gets it as an argument, or asks
//! this module.

use std::time::Instant;

use jiff::Timestamp;

/// The time of day, which can be set and can step.
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// The clock that only goes forward: for waits, ages and limits. Tests may pause it with tokio's.
pub fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}
