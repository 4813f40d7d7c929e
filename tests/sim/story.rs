//! What a seed becomes: operations and whatever happens to them. A story is played the same each time, and is shortened by
//! leaving things out.

use cloudop_testbed::Dice;
use serde::{Deserialize, Serialize};

/// Two Secrets of one namespace: two accounts at all clouds.
pub const ACCOUNTS: usize = 2;
/// When the last happening is over, in seconds.
pub const TROUBLE: u64 = 900;

/// One run of the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// Decides what is drawn while it is played: the moments of backoffs.
    pub seed: u64,
    /// Whether the API server sends lists as streams.
    pub streams: bool,
    /// How late a watch tells, in milliseconds.
    pub lag: u64,
    pub operations: Vec<Followed>,
    pub happenings: Vec<Happening>,
    /// What strikes the n-th request to the API server.
    pub server_faults: Vec<(usize, ServerFault)>,
    /// What strikes the n-th request to a cloud.
    pub cloud_faults: Vec<(usize, CloudFault)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Provider {
    Numspot,
    HuaweiCce,
    Ucs,
    Otc,
    Sbercloud,
}

/// A CloudOperation, and the life of its operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Followed {
    pub provider: Provider,
    pub account: usize,
    /// Of those in one place that can list, one request shows all.
    pub place: usize,
    /// When the object is created, in seconds.
    pub created: u64,
    /// How long its operation runs after that.
    pub runs: u64,
    pub end: End,
    pub interval: Option<i32>,
    pub deadline: Option<i64>,
    pub grace: i32,
    pub ttl: Option<i64>,
}

/// How an operation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    Succeeds,
    Fails,
    /// It succeeds by its word, with an error beside it.
    SucceedsWithError,
    /// The cloud forgets it.
    Goes,
    /// The cloud forgets it for so many seconds, and then it succeeds.
    GoesFor(u64),
    /// It says an unknown word for ever.
    Odd,
    Never,
}

/// Something that happens at a time, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    pub at: u64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// The process dies, and another starts so many seconds later.
    Crash {
        pause: u64,
    },
    /// A second process leads for so long beside the first, which then dies.
    TwoLeaders {
        seconds: u64,
    },
    /// The time of day is set.
    ClockStep {
        seconds: i64,
    },
    /// The watch breaks; `gone`: what it knew is too old to go on from.
    WatchBreaks {
        gone: bool,
    },
    /// The API server answers nobody for so long.
    ServerDown {
        seconds: u64,
    },
    /// An account's clouds are down for so long.
    CloudDown {
        account: usize,
        seconds: u64,
        how: CloudFault,
    },
    /// The Secret's token is another, which the clouds take or not.
    SecretChanges {
        account: usize,
        good: bool,
    },
    SecretIsMissing {
        account: usize,
    },
    Edit {
        operation: usize,
        edit: Edit,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    Suspend,
    Resume,
    Request,
    Interval(i32),
    Deadline(i64),
    Delete,
    /// Deleted and created again under its name.
    Replace,
    /// Somebody writes another status.
    Tamper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerFault {
    CrashBefore,
    /// The process dies after its request was carried out.
    CrashAfter,
    Refused(u16),
    /// Carried out, and the answer is lost.
    AnswerLost,
    RequestLost,
    Slow(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloudFault {
    CrashBefore,
    CrashAfter,
    Status(u16),
    /// 429 with Retry-After in seconds, or as a date.
    Throttled {
        seconds: u64,
        date: bool,
    },
    Hangs,
    Reset,
    Garbage,
    /// A page of HTML with status 404: a gateway's.
    NoSuchPage,
}

impl Story {
    pub fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let operations: Vec<Followed> = (0..1 + dice.below(5)).map(|_| Followed::draw(dice)).collect();
        let many = operations.len() as u64;
        // A few things happen in most, many in some.
        let most = if dice.one_in(4) { 12 } else { 5 };
        let happenings = (0..dice.below(most)).map(|_| Happening::draw(many, dice)).collect();
        let server_faults = (0..dice.below(most)).map(|_| (dice.below(60) as usize, ServerFault::draw(dice))).collect();
        let cloud_faults = (0..dice.below(most)).map(|_| (dice.below(40) as usize, CloudFault::draw(dice))).collect();
        Self {
            seed,
            streams: dice.one_in(2),
            lag: [0, 5, 300, 2000][dice.below(4) as usize],
            operations,
            happenings,
            server_faults,
            cloud_faults,
        }
    }
}

impl Followed {
    fn draw(dice: &mut Dice) -> Self {
        let providers = [Provider::Numspot, Provider::HuaweiCce, Provider::Ucs, Provider::Otc, Provider::Sbercloud];
        let end = match dice.below(10) {
            0..=3 => End::Succeeds,
            4 | 5 => End::Fails,
            6 => End::Goes,
            7 => End::GoesFor(20 + dice.below(300)),
            8 => [End::SucceedsWithError, End::Odd][dice.below(2) as usize],
            _ => End::Never,
        };
        Self {
            provider: providers[dice.below(5) as usize],
            account: dice.below(ACCOUNTS as u64) as usize,
            place: dice.below(2) as usize,
            created: if dice.one_in(2) { 0 } else { dice.below(300) },
            runs: [0, 3, 30, 200, 500][dice.below(5) as usize] + dice.below(30),
            end,
            interval: dice.one_in(3).then(|| [1, 5, 20, 20, 100, 100][dice.below(6) as usize]),
            deadline: dice.one_in(4).then(|| [10, 100, 1000][dice.below(3) as usize]),
            grace: [0, 30, 120, 120][dice.below(4) as usize],
            ttl: dice.one_in(6).then(|| 60 + dice.below(300) as i64),
        }
    }
}

impl Happening {
    fn draw(operations: u64, dice: &mut Dice) -> Self {
        let account = dice.below(ACCOUNTS as u64) as usize;
        let operation = dice.below(operations) as usize;
        let what = match dice.below(14) {
            0 | 1 => What::Crash { pause: dice.below(40) },
            2 => What::TwoLeaders { seconds: 1 + dice.below(60) },
            3 => What::ClockStep { seconds: [-3600, -70, -5, 5, 70, 3600][dice.below(6) as usize] },
            4 | 5 => What::WatchBreaks { gone: dice.one_in(2) },
            6 => What::ServerDown { seconds: 1 + dice.below(90) },
            7 | 8 => What::CloudDown { account, seconds: 1 + dice.below(400), how: CloudFault::lasting(dice) },
            9 => What::SecretChanges { account, good: dice.one_in(2) },
            10 => What::SecretIsMissing { account },
            _ => What::Edit { operation, edit: Edit::draw(dice) },
        };
        Self { at: dice.below(TROUBLE - 400), what }
    }
}

impl Edit {
    fn draw(dice: &mut Dice) -> Self {
        match dice.below(9) {
            0 => Self::Suspend,
            1 | 2 => Self::Resume,
            3 => Self::Request,
            4 => Self::Interval([1, 10, 300][dice.below(3) as usize]),
            5 => Self::Deadline([5, 500, 5000][dice.below(3) as usize]),
            6 => Self::Delete,
            7 => Self::Replace,
            _ => Self::Tamper,
        }
    }
}

impl ServerFault {
    fn draw(dice: &mut Dice) -> Self {
        match dice.below(8) {
            0 => Self::CrashBefore,
            1 | 2 => Self::CrashAfter,
            3 => Self::Refused([401, 409, 429, 500, 503][dice.below(5) as usize]),
            4 | 5 => Self::AnswerLost,
            6 => Self::RequestLost,
            _ => Self::Slow(1 + dice.below(20)),
        }
    }
}

impl CloudFault {
    fn draw(dice: &mut Dice) -> Self {
        match dice.below(6) {
            0 => Self::CrashBefore,
            1 => Self::CrashAfter,
            _ => Self::lasting(dice),
        }
    }

    /// One that may go on for a while.
    fn lasting(dice: &mut Dice) -> Self {
        match dice.below(8) {
            0 | 1 => Self::Status([401, 403, 500, 502, 503][dice.below(5) as usize]),
            2 | 3 => Self::Throttled { seconds: [1, 30, 200][dice.below(3) as usize], date: dice.one_in(2) },
            4 => Self::Hangs,
            5 => Self::Reset,
            6 => Self::Garbage,
            _ => Self::NoSuchPage,
        }
    }
}
