//! From what was seen to figures. Pure.

use std::collections::{HashMap, HashSet};

use crate::{plan::Asked, requests::Request};

/// Half of them, and all but one in a hundred, are at most this.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    pub p50: f64,
    pub p99: f64,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |share: f64| values[((values.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last)];
        Some(Self { p50: at(0.5), p99: at(0.99) })
    }
}

/// What the clouds saw in a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    pub requests: usize,
    /// Those that were not answered with 200.
    pub refused: usize,
    /// Operations that were answered for, each counted once an interval at most.
    pub polls: f64,
    /// Connections with a request in the window.
    pub connections: usize,
    /// Connections of these that had none before.
    pub new_connections: usize,
    /// Seconds by which polls came later than one interval after the one before; negative: sooner.
    pub lag: Option<Spread>,
}

/// What to expect of a subject's requests.
pub struct Expected<'a> {
    pub paths: &'a HashMap<&'a str, Asked>,
    /// Operations followed.
    pub operations: usize,
    /// Seconds.
    pub interval: f64,
    /// Whether one of its requests may serve many operations.
    pub shares: bool,
}

impl Expected<'_> {
    /// How many operations a request serves.
    fn served(&self, path: &str) -> usize {
        match self.paths.get(path) {
            Some(asked) if self.shares => asked.shows.len(),
            Some(_) => 1,
            None => 0,
        }
    }

    /// Whether the time between two such requests is that between two polls.
    fn tells_lag(&self, path: &str) -> bool {
        self.paths.get(path).is_some_and(|asked| self.shares || asked.alone == 1)
    }

    /// `seen` reaches from at least an interval before the window, which begins at `from`, to its end.
    pub fn traffic(&self, seen: &[Request], from: f64, seconds: f64) -> Traffic {
        let mut traffic = Traffic::default();
        let mut last: HashMap<&str, f64> = HashMap::new();
        let (mut before, mut within) = (HashSet::new(), HashSet::new());
        let (mut lags, mut served) = (Vec::new(), 0);
        for request in seen.iter().take_while(|request| request.at < from + seconds) {
            let previous = last.insert(&request.path, request.at);
            if request.at < from {
                before.insert(request.connection);
                continue;
            }
            within.insert(request.connection);
            traffic.requests += 1;
            traffic.refused += usize::from(request.status != 200);
            served += self.served(&request.path);
            if let Some(previous) = previous.filter(|_| self.tells_lag(&request.path)) {
                lags.push(request.at - previous - self.interval);
            }
        }
        traffic.polls = (served as f64).min(self.operations as f64 * seconds / self.interval);
        traffic.connections = within.len();
        traffic.new_connections = within.difference(&before).count();
        traffic.lag = Spread::of(lags);
        traffic
    }

    /// `seen` reaches from the kill, at `killed`, for `seconds`; `usual` is the rate before, in requests a second.
    pub fn restart(&self, seen: &[Request], killed: f64, seconds: f64, usual: f64) -> Restart {
        let seen: Vec<&Request> =
            seen.iter().filter(|request| request.at >= killed && request.at < killed + seconds).collect();
        let step = (self.interval / 2.0).min(5.0);
        let mut rates = Vec::new();
        let mut start = 0.0;
        while start + step <= seconds {
            let within = |request: &&&Request| (killed + start..killed + start + step).contains(&request.at);
            rates.push((start, seen.iter().filter(within).count() as f64 / step / usual.max(f64::MIN_POSITIVE)));
            start += 0.5;
        }
        let mut first: HashMap<usize, f64> = HashMap::new();
        for request in &seen {
            for operation in self.paths.get(&*request.path).into_iter().flat_map(|asked| &asked.shows) {
                first.entry(*operation).or_insert(request.at - killed);
            }
        }
        Restart {
            first: seen.first().map(|request| request.at - killed),
            usual_again: rates.iter().find(|(_, share)| *share >= 0.9).map(|(start, _)| *start),
            peak: rates.iter().map(|(_, share)| *share).fold(0.0, f64::max),
            all: (first.len() == self.operations).then(|| first.values().copied().fold(0.0, f64::max)),
            writes: 0,
        }
    }
}

/// What was seen after the subject had been killed and started again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restart {
    /// Seconds to the first request.
    pub first: Option<f64>,
    /// Seconds after which at least 0.9 of the usual rate was reached for five seconds, or for half an interval if
    /// that is less.
    pub usual_again: Option<f64>,
    /// The highest rate over such a time, as a share of the usual one.
    pub peak: f64,
    /// Seconds until every operation had been asked for again.
    pub all: Option<f64>,
    /// Requests to the API server that may change something.
    pub writes: u64,
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    fn request(at: f64, connection: u64, path: &str) -> Request {
        Request { at, connection, status: 200, path: path.to_owned() }
    }

    fn paths(of: &[(&'static str, Range<usize>, usize)]) -> HashMap<&'static str, Asked> {
        of.iter().map(|(path, shows, alone)| (*path, Asked { shows: shows.clone().collect(), alone: *alone })).collect()
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let spread = Spread::of((1..=100).rev().map(f64::from).collect()).unwrap();
        assert_eq!((spread.p50, spread.p99), (50.0, 99.0));
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn a_list_counts_for_all_that_it_shows_but_only_for_who_shares_it() {
        let paths = paths(&[("/list", 0..20, 20), ("/a", 20..21, 1)]);
        let seen = [
            request(8.0, 1, "/list"),
            request(9.0, 1, "/a"),
            request(11.0, 2, "/list"),
            request(11.5, 1, "/a"),
            request(99.0, 3, "/a"),
        ];
        let mut expected = Expected { paths: &paths, operations: 21, interval: 2.0, shares: true };
        let traffic = expected.traffic(&seen, 10.0, 2.0);
        assert_eq!((traffic.requests, traffic.polls), (2, 21.0));
        assert_eq!((traffic.connections, traffic.new_connections), (2, 1));
        assert_eq!(traffic.lag, Some(Spread { p50: 0.5, p99: 1.0 }));
        expected.shares = false;
        let traffic = expected.traffic(&seen, 10.0, 2.0);
        assert_eq!((traffic.polls, traffic.lag), (2.0, Some(Spread { p50: 0.5, p99: 0.5 })));
    }

    #[test]
    fn a_restart_is_told_by_its_rates() {
        let paths = paths(&[("/a", 0..1, 1), ("/b", 1..2, 1)]);
        let expected = Expected { paths: &paths, operations: 2, interval: 2.0, shares: false };
        let seen = [request(0.5, 1, "/a"), request(12.0, 2, "/a"), request(12.25, 2, "/b"), request(13.0, 2, "/a")];
        let restart = expected.restart(&seen, 10.0, 4.0, 2.0);
        assert_eq!((restart.first, restart.usual_again, restart.all), (Some(2.0), Some(1.5), Some(2.25)));
        assert_eq!(restart.peak, 1.0);
        assert_eq!(expected.restart(&seen[..2], 10.0, 4.0, 2.0).all, None);
    }
}
