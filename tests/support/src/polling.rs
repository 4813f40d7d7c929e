use std::{
    thread,
    time::{Duration, Instant},
};

const PERIOD: Duration = Duration::from_millis(50);

/// Calls `attempt` until it returns a value, and returns that value.
///
/// # Panics
///
/// When `timeout` has passed, with `description` and the last error. This is an assertion for
/// tests.
#[track_caller]
pub fn eventually<T>(timeout: Duration, description: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) if Instant::now() >= deadline => {
                panic!("{description}: not within {timeout:?}: {error}")
            }
            Err(_) => thread::sleep(PERIOD),
        }
    }
}
