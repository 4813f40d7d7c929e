//! When to poll next: pure functions of status and time, and after a restart of the order in which objects come back.
//! Nothing is lost by one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};
use sha2::{Digest, Sha256};

use crate::api::{CloudOperation, CloudOperationStatus, Phase};
use crate::history::Typical;

const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// Where an end is unlikely by all that was learnt.
const LONGEST_LEARNED: Duration = Duration::from_secs(120);
/// By how much at most an interval is longer for what was learnt.
const MOST_STRETCH: u32 = 4;
/// How much later an end may be seen for one request less, in seconds.
const WORTH_OF_A_POLL: f64 = 0.25;
const LONGEST_FAULT: Duration = Duration::from_secs(300);
const SHORTEST_CONFIGURATION_FAULT: Duration = Duration::from_secs(30);
/// From which percentage and age on it tells when the end will be.
const TELLING: i32 = 10;
const TELLING_AGE: Duration = Duration::from_secs(60);
const GOLDEN: f64 = 0.618_033_988_749_894_9;
/// In microseconds. Each divides a second, so that a wait of whole seconds ends where it began.
const STEPS: [u32; 5] = [500_000, 250_000, 125_000, 62_500, 31_250];

/// How long to wait after an answer.
///
/// The spec's `pollIntervalSeconds` where set. Otherwise a quarter of the estimated remaining time where a percentage tells,
/// else by how likely an end is where that is `typical`, else a tenth of the operation's age, within 5 s and 60 s (120 s where an
/// end is unlikely); 60 s while blocked; all give or take a tenth by UID and time, so that objects made together drift
/// apart.
///
/// The interval by which the fewest requests see an end soonest is the root of twice what a request may cost over the
/// likelihood of an end: J. B. Keller, Optimum checking schedules for systems subject to random failure, Management
/// Science 21 (1974).
pub fn poll_interval(
    operation: &CloudOperation,
    status: &CloudOperationStatus,
    typical: Option<Typical>,
    now: Timestamp,
) -> Duration {
    if let Some(seconds) = operation.spec.poll_interval_seconds {
        return Duration::from_secs(seconds.max(1).unsigned_abs().into());
    }
    let age = age(status, now);
    let unlearnt = (age / 10).clamp(SHORTEST, LONGEST);
    let interval = match (status.phase, remaining(status, now), typical) {
        (Phase::Blocked, ..) => LONGEST,
        (_, Some(remaining), _) => (remaining / 4).clamp(SHORTEST, LONGEST),
        (_, None, Some(typical)) => {
            let best = (2.0 * WORTH_OF_A_POLL / typical.hazard(age).max(f64::MIN_POSITIVE)).sqrt();
            let longest = LONGEST_LEARNED.min(unlearnt * MOST_STRETCH);
            Duration::try_from_secs_f64(best).unwrap_or(longest).clamp(SHORTEST, longest)
        }
        (_, None, None) => unlearnt,
    };
    let uid = operation.metadata.uid.as_deref().unwrap_or_default();
    let share = fraction(&[uid.as_bytes(), &now.as_second().to_be_bytes()]);
    interval.mul_f64(0.9 + 0.2 * share)
}

/// When the operation will be over: if it goes on as its percentage did, from a tenth and a minute on, else as `typical`
/// ones do.
pub fn estimate(status: &CloudOperationStatus, typical: Option<Typical>, now: Timestamp) -> Option<Timestamp> {
    let percent = status.progress.as_ref().and_then(|progress| progress.percent);
    let age = age(status, now);
    let tells = percent.is_some_and(|percent| percent >= TELLING) && age >= TELLING_AGE;
    let remaining = remaining(status, now).filter(|_| tells);
    let remaining = remaining.or_else(|| Some(typical?.end_of(age).saturating_sub(age)))?;
    Some(after(now, remaining))
}

fn age(status: &CloudOperationStatus, now: Timestamp) -> Duration {
    let start = status.start_time.as_ref().or(status.tracking_start_time.as_ref());
    start.map_or(Duration::ZERO, |start| elapsed(start.0, now))
}

/// How long it takes yet, if it goes on as its percentage did.
fn remaining(status: &CloudOperationStatus, now: Timestamp) -> Option<Duration> {
    let percent = status.progress.as_ref()?.percent.filter(|percent| (1..100).contains(percent))?;
    Some(age(status, now).mul_f64(f64::from(100 - percent) / f64::from(percent)))
}

/// How long to wait in a fault that has lasted for `lasted`: as long again, which doubles by itself, within 5 s (30 s
/// where only the user can fix it) and 5 min.
pub fn fault_delay(lasted: Duration, is_configuration: bool) -> Duration {
    lasted.clamp(if is_configuration { SHORTEST_CONFIGURATION_FAULT } else { SHORTEST }, LONGEST_FAULT)
}

/// The share of an interval that the `nth` of those waits who were followed before a restart, in [0, 1). However many
/// there are, they come back at an even rate: by the golden ratio each falls into the widest gap.
pub fn spread(nth: u32) -> f64 {
    (f64::from(nth) * GOLDEN).fract()
}

/// The time from `start` to `now`; zero where the clock stepped back.
pub fn elapsed(start: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(start).try_into().unwrap_or(Duration::ZERO)
}

/// `time` plus `delay`; the far future where that cannot be written.
pub fn after(time: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay).ok().and_then(|d| time.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
}

/// `at`, the time after a wait of `interval`, moved to the nearest of the moments at which polls are made together: parts
/// of a second of at most a sixteenth of the interval. One wake-up then serves many operations, and their requests can
/// share what is sent.
pub fn align(at: Timestamp, interval: Duration) -> Timestamp {
    let is_short = |step: &&u32| Duration::from_micros(u64::from(**step) * 16) <= interval;
    let Some(step) = STEPS.iter().find(is_short) else { return at };
    at.round(TimestampRound::new().smallest(Unit::Microsecond).increment((*step).into())).unwrap_or(at)
}

/// A number in [0, 1) that is the same for the same parts.
fn fraction(parts: &[&[u8]]) -> f64 {
    let digest =
        parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update([0])).finalize();
    let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::history::measure;

    fn operation(interval: Option<i32>) -> CloudOperation {
        let spec = json!({"provider": {"otcCceJob": {"region": "eu-de", "projectId": "p"}}, "operationId": "j",
                          "credentialsRef": {"name": "otc"}, "pollIntervalSeconds": interval});
        CloudOperation::new("a", serde_json::from_value(spec).unwrap())
    }

    fn status(start: i64, percent: Option<i32>, phase: Phase) -> CloudOperationStatus {
        serde_json::from_value(json!({"phase": phase, "progress": {"percent": percent},
            "startTime": Timestamp::from_second(start).unwrap()}))
        .unwrap()
    }

    #[rstest::rstest]
    #[case::just_started(0, None, Phase::Running, 5.0)]
    #[case::a_tenth_of_its_age(300, None, Phase::Running, 30.0)]
    #[case::at_most_a_minute(9000, None, Phase::Running, 60.0)]
    #[case::a_quarter_of_what_remains(60, Some(60), Phase::Running, 10.0)]
    #[case::nearly_done(60, Some(99), Phase::Running, 5.0)]
    #[case::nothing_done_tells_nothing(300, Some(0), Phase::Running, 30.0)]
    #[case::blocked(10, None, Phase::Blocked, 60.0)]
    fn the_interval_follows_the_operation(
        #[case] age: i64,
        #[case] percent: Option<i32>,
        #[case] phase: Phase,
        #[case] seconds: f64,
    ) {
        let now = Timestamp::from_second(1_700_000_000 + age).unwrap();
        let interval = poll_interval(&operation(None), &status(1_700_000_000, percent, phase), None, now).as_secs_f64();
        assert!((seconds * 0.9..=seconds * 1.1).contains(&interval), "{interval}");
    }

    #[rstest::rstest]
    #[case::an_end_is_unlikely_yet(300, 120.0)]
    #[case::not_too_seldom_at_its_beginning(60, 24.0)]
    #[case::it_is_due(1200, 6.9)]
    #[case::it_is_overdue(2400, 6.9)]
    #[case::it_is_long_overdue(24_000, 21.9)]
    fn the_interval_follows_what_was_learnt(#[case] age: i64, #[case] seconds: f64) {
        let now = Timestamp::from_second(1_700_000_000 + age).unwrap();
        let typical = measure([1180, 1190, 1200, 1200, 1210, 1220].map(Duration::from_secs).into_iter());
        let status = status(1_700_000_000, None, Phase::Running);
        let interval = poll_interval(&operation(None), &status, typical, now).as_secs_f64();
        assert!((seconds * 0.8..=seconds * 1.2).contains(&interval), "{interval}");
    }

    #[test]
    fn an_end_is_estimated_by_the_percentage_and_before_that_by_what_was_learnt() {
        let now = Timestamp::from_second(1_700_000_300).unwrap();
        let typical = measure([1200, 1200, 1200].map(Duration::from_secs).into_iter());
        let end = |percent, typical| {
            let end = estimate(&status(1_700_000_000, percent, Phase::Running), typical, now);
            end.map(|end| elapsed(now, end).as_secs())
        };
        assert_eq!(end(None, None), None);
        assert_eq!(end(Some(9), None), None, "too early to tell");
        assert_eq!(end(Some(10), typical), Some(2700));
        assert_eq!(end(Some(75), typical), Some(100));
        assert!((895..=905).contains(&end(Some(9), typical).unwrap()), "{:?}", end(Some(9), typical));
    }

    #[test]
    fn a_given_interval_is_taken_as_it_is() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let interval = poll_interval(&operation(Some(7)), &status(0, Some(50), Phase::Blocked), None, now);
        assert_eq!(interval, Duration::from_secs(7));
    }

    #[rstest::rstest]
    #[case(50.0, 0.1, 0.0)]
    #[case(50.0, 0.3, 0.5)]
    #[case(5.0, 0.1, 0.0)]
    #[case(5.0, 0.2, 0.25)]
    #[case(1.0, 0.05, 0.0625)]
    #[case(0.4, 0.05, 0.05)]
    fn polls_are_made_together_at_moments_of_the_clock(#[case] interval: f64, #[case] at: f64, #[case] moved: f64) {
        let time = |seconds| after(Timestamp::from_second(1_700_000_000).unwrap(), Duration::from_secs_f64(seconds));
        assert_eq!(align(time(at), Duration::from_secs_f64(interval)), time(moved));
    }

    #[test]
    fn shares_are_even_however_many_there_are() {
        for many in [10, 500, 10_000_u32] {
            let mut in_tenths = [0_u32; 10];
            (0..many).for_each(|nth| in_tenths[(spread(nth) * 10.0) as usize] += 1);
            assert!(in_tenths.iter().all(|number| number.abs_diff(many / 10) <= 2), "{in_tenths:?}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_is_moved_by_little_and_meets_those_of_longer_intervals(micros in 0_i64..60_000_000, millis in 1_u64..100_000) {
            let (at, interval) = (Timestamp::from_microsecond(1_700_000_000_000_000 + micros).unwrap(), Duration::from_millis(millis));
            let moved = align(at, interval);
            prop_assert!(at.duration_since(moved).abs() <= SignedDuration::try_from(interval / 32).unwrap());
            prop_assert_eq!(align(align(at, interval * 2), interval), align(at, interval * 2));
        }

        #[test]
        fn a_fault_is_waited_for_within_bounds_and_never_less_for_lasting_longer(a in 0_u64..100_000, b in 0_u64..100_000, c: bool) {
            let delay = |seconds| fault_delay(Duration::from_secs(seconds), c);
            prop_assert!(delay(a.min(b)) <= delay(a.max(b)));
            let shortest = if c { 30 } else { 5 };
            prop_assert!((Duration::from_secs(shortest)..=Duration::from_secs(300)).contains(&delay(a)));
        }

        #[test]
        fn an_interval_is_bounded_whatever_the_clocks_say(
            start in 0_i64..4_000_000_000, now in 0_i64..4_000_000_000, percent in prop::option::of(0..101), uid in ".{0,9}",
            took in prop::collection::vec(0_u64..100_000, 0..9),
        ) {
            let now = Timestamp::from_second(now).unwrap();
            let mut operation = operation(None);
            operation.metadata.uid = Some(uid);
            let typical = measure(took.into_iter().map(Duration::from_secs));
            let interval = poll_interval(&operation, &status(start, percent, Phase::Running), typical, now);
            let longest = if typical.is_some() { 132 } else { 66 };
            prop_assert!((Duration::from_millis(4500)..=Duration::from_secs(longest)).contains(&interval));
            let end = estimate(&status(start, percent, Phase::Running), typical, now);
            prop_assert!(end.is_none_or(|end| end >= now));
        }
    }
}
