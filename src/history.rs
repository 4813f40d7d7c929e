//! How long operations take, learnt from those that ended well. Pure and bounded; the objects are the memory, so a restart
//! loses nothing.

use std::time::Duration;

use ahash::{HashMap, RandomState};

use crate::api::{CloudOperation, CloudOperationStatus, Phase};

/// The most runs that are kept of one kind, and of these the most of one account: no tenant makes others' operations look
/// longer than they are.
const MOST_RUNS: usize = 64;
const MOST_OF_ACCOUNT: usize = 16;
/// The most kinds. Beyond it the one goes of which no run ended for longest.
const MOST_KINDS: usize = 256;
/// Fewer runs tell nothing.
const FEWEST: usize = 3;
/// How many of an account's own runs are better than all.
const ENOUGH_OF_ACCOUNT: usize = 5;
/// No kind is so regular that a few runs show it.
const LEAST_SPREAD: f64 = 0.03;
const MOST_SPREAD: f64 = 0.67;
/// By how much a spread is larger than that of the runs seen, were there but one.
const DOUBT: f64 = 2.0;

/// How long operations like one usually take: the logarithms of their durations lie around that of the median as in a
/// logistic distribution, whose tail is as heavy as that of real operations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Typical {
    /// Half of them took no longer.
    pub median: Duration,
    /// The scale of the distribution: half of them lie within `median` times e^±(1.1 `spread`).
    pub spread: f64,
    /// How many there were.
    pub runs: usize,
}

/// The runs that ended well, by kind: the API and what the cloud calls the operation.
#[derive(Debug, Default)]
pub struct History {
    names: RandomState,
    kinds: HashMap<u64, Kind>,
    noted: u64,
}

#[derive(Debug, Default)]
struct Kind {
    /// In the order in which they ended.
    runs: Vec<Run>,
    noted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    object: u64,
    account: u64,
    /// In seconds since 1970.
    ended: i64,
    took: Duration,
}

impl History {
    /// Notes how long `operation` took, where it ended well.
    pub fn note(&mut self, operation: &CloudOperation) {
        let Some(status) = operation.status.as_ref().filter(|status| status.phase == Phase::Succeeded) else { return };
        let (Some(start), Some(end)) = (&status.start_time, &status.completion_time) else { return };
        let run = Run {
            object: self.names.hash_one(&operation.metadata.uid),
            account: self.account(operation),
            ended: end.0.as_second(),
            took: Duration::try_from(end.0.duration_since(start.0)).unwrap_or_default().max(Duration::from_secs(1)),
        };
        self.noted += 1;
        let key = self.key(operation, status);
        let kind = self.kinds.entry(key).or_default();
        kind.noted = self.noted;
        kind.take(run);
        if self.kinds.len() > MOST_KINDS {
            let oldest = self.kinds.iter().min_by_key(|(_, kind)| kind.noted).map(|(key, _)| *key);
            oldest.map(|key| self.kinds.remove(&key));
        }
    }

    /// How long operations like `operation` take: those of its account where there are enough, else all.
    pub fn typical(&self, operation: &CloudOperation) -> Option<Typical> {
        let kind = self.kinds.get(&self.key(operation, operation.status.as_ref()?))?;
        let account = self.account(operation);
        let own = kind.runs.iter().filter(|run| run.account == account).count();
        let is_meant = |run: &&Run| own < ENOUGH_OF_ACCOUNT || run.account == account;
        measure(kind.runs.iter().filter(is_meant).map(|run| run.took))
    }

    fn key(&self, operation: &CloudOperation, status: &CloudOperationStatus) -> u64 {
        let is_declared = operation.spec.provider.built_in().is_err();
        self.names.hash_one((is_declared, operation.spec.provider.name(), &status.operation_type))
    }

    fn account(&self, operation: &CloudOperation) -> u64 {
        self.names.hash_one((&operation.metadata.namespace, &operation.spec.credentials_ref.name))
    }
}

impl Kind {
    fn take(&mut self, run: Run) {
        self.runs.retain(|known| known.object != run.object);
        let place = self.runs.partition_point(|known| known.ended <= run.ended);
        self.runs.insert(place, run);
        let of_account = self.runs.iter().filter(|known| known.account == run.account).count();
        let is_too_many = |known: &Run| of_account <= MOST_OF_ACCOUNT || known.account == run.account;
        if (of_account > MOST_OF_ACCOUNT || self.runs.len() > MOST_RUNS)
            && let Some(oldest) = self.runs.iter().position(is_too_many)
        {
            self.runs.remove(oldest);
        }
    }
}

/// What is typical of runs that took so long.
pub fn measure(took: impl Iterator<Item = Duration>) -> Option<Typical> {
    let mut logarithms: Vec<f64> = took.map(|took| took.as_secs_f64().max(1.0).ln()).collect();
    let runs = logarithms.len();
    if runs < FEWEST {
        return None;
    }
    logarithms.sort_by(f64::total_cmp);
    let middle = (logarithms.get((runs - 1) / 2)? + logarithms.get(runs / 2)?) / 2.0;
    // Counts of at most 64.
    #[expect(clippy::cast_precision_loss, reason = "there are at most 64")]
    let many = runs as f64;
    let deviation = logarithms.iter().map(|logarithm| (logarithm - middle).abs()).sum::<f64>() / (many - 1.0);
    // The mean deviation of a logistic distribution is 2 ln 2 times its scale.
    let spread = deviation / (2.0 * std::f64::consts::LN_2);
    let spread = (spread.max(LEAST_SPREAD) * (1.0 + DOUBT / many)).min(MOST_SPREAD);
    Some(Typical { median: Duration::from_secs_f64(middle.exp().min(1e9)), spread, runs })
}

impl Typical {
    /// How likely it is that one that is so old ends within the next second.
    pub fn hazard(self, age: Duration) -> f64 {
        let median = self.median.as_secs_f64().max(1.0);
        let (share, shape) = (age.as_secs_f64() / median, self.spread.recip());
        let power = share.powf(shape - 1.0);
        // Written so that nothing becomes infinite.
        let hazard = if power > 1e100 { shape / share } else { shape * power / (1.0 + power * share) };
        hazard / median
    }

    /// How old one will be at its end that is so old now: half of those like it end before.
    pub fn end_of(self, age: Duration) -> Duration {
        let median = self.median.as_secs_f64().max(1.0);
        let share = age.as_secs_f64() / median;
        let power = share.powf(self.spread.recip());
        let end = if power > 1e100 { share * self.spread.exp2() } else { (1.0 + 2.0 * power).powf(self.spread) };
        Duration::from_secs_f64((median * end).min(1e9))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A run of `kind` that ended at second `ended` after `took` seconds.
    fn ended(name: &str, secret: &str, kind: &str, ended: i64, took: i64) -> CloudOperation {
        let time = |second| Timestamp::from_second(1_700_000_000 + second).unwrap();
        serde_json::from_value(json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation",
            "metadata": {"name": name, "namespace": "n", "uid": name},
            "spec": {"provider": {"otcCceJob": {"region": "eu-de", "projectId": "p"}}, "operationId": "j",
                     "credentialsRef": {"name": secret}},
            "status": {"phase": "Succeeded", "operationType": kind,
                       "startTime": time(ended - took), "completionTime": time(ended)},
        }))
        .unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_runs_of_a_kind_are_needed_and_each_counts_once() {
        let mut history = History::default();
        let like = ended("like", "a", "Upgrade", 0, 1);
        for (name, took) in [("1", 100), ("2", 200), ("2", 200), ("2", 200)] {
            history.note(&ended(name, "a", "Upgrade", 0, took));
        }
        assert_eq!(history.typical(&like), None);
        history.note(&ended("3", "a", "Create", 0, 9000));
        assert_eq!(history.typical(&like), None, "another kind");
        let mut failed = ended("4", "a", "Upgrade", 0, 9000);
        failed.status.as_mut().unwrap().phase = Phase::Failed;
        history.note(&failed);
        assert_eq!(history.typical(&like), None, "a failure tells not how long it takes");
        history.note(&ended("5", "b", "Upgrade", 0, 300));
        let typical = history.typical(&like).unwrap();
        assert_eq!((typical.median.as_secs_f64().round(), typical.runs), (200.0, 3));
    }

    #[test]
    fn an_accounts_own_runs_are_better_than_all_and_none_has_more_than_a_quarter() {
        let mut history = History::default();
        for n in 0..1000 {
            history.note(&ended(&format!("mean {n}"), "mean", "Upgrade", n, 7200));
        }
        for n in 0..4 {
            history.note(&ended(&format!("own {n}"), "own", "Upgrade", -n, 60));
        }
        let own = ended("like", "own", "Upgrade", 0, 1);
        assert_eq!(history.typical(&own).unwrap().runs, MOST_OF_ACCOUNT + 4);
        history.note(&ended("own 4", "own", "Upgrade", -4, 60));
        let typical = history.typical(&own).unwrap();
        assert_eq!((typical.median.as_secs_f64().round(), typical.runs), (60.0, 5));
        for n in 0..100 {
            history.note(&ended(&format!("other {n}"), &format!("secret {n}"), "Upgrade", 2000 + n, 600));
        }
        assert_eq!(history.typical(&ended("like", "new", "Upgrade", 0, 1)).unwrap().runs, MOST_RUNS);
    }

    #[test]
    fn the_kinds_are_bounded_and_those_in_use_stay() {
        let mut history = History::default();
        for n in 0..2000 {
            for run in ["a", "b", "c"] {
                history.note(&ended(&format!("{run} {}", n % 7), "a", "Upgrade", n, 60));
            }
            history.note(&ended("d", "a", &format!("kind {n}"), n, 60));
        }
        assert_eq!(history.kinds.len(), MOST_KINDS);
        assert!(history.typical(&ended("like", "a", "Upgrade", 0, 1)).is_some());
    }

    #[test]
    fn an_end_is_likely_around_the_median_and_less_so_long_after_it() {
        let typical = measure([580, 590, 600, 600, 610, 620].map(seconds).into_iter()).unwrap();
        let hazard = |age| typical.hazard(seconds(age));
        assert!(hazard(60) < 1e-9 && hazard(300) < hazard(500) && hazard(500) < hazard(600));
        assert!(hazard(600) > hazard(1200) && hazard(1200) > hazard(6000));
        let end = |age| typical.end_of(seconds(age)).as_secs_f64().round();
        assert_eq!((end(0), end(300)), (600.0, 600.0));
        assert!((602.0..640.0).contains(&end(600)), "{}", end(600));
    }

    proptest! {
        #[test]
        fn whatever_was_seen_an_end_lies_ahead_and_nothing_is_infinite(
            took in prop::collection::vec(0_u64..10_000_000, 3..64), age in 0_u64..100_000_000,
        ) {
            let typical = measure(took.into_iter().map(seconds)).unwrap();
            let hazard = typical.hazard(seconds(age));
            prop_assert!(hazard.is_finite() && hazard >= 0.0);
            prop_assert!(typical.end_of(seconds(age)) >= seconds(age) || age > 1_000_000_000);
        }
    }
}
