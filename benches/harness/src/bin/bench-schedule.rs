//! Compares when operations are polled: how many requests, and how late the end is seen. Pure and seeded, so it says the
//! same each time. `make bench-schedule` writes what it prints into docs/schedules.md.

use std::time::Duration;

use cloudop::api::{CloudOperation, CloudOperationStatus, Phase, ProgressStatus};
use cloudop::history::{Typical, measure};
use cloudop::schedule::poll_interval;
use cloudop_testbed::Dice;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Operations of each kind that are followed.
const OPERATIONS: usize = 300;
/// What a policy is scaled by lies between these.
const SCALES: (f64, f64) = (0.02, 50.0);

/// Operations of one kind.
struct Kind {
    name: String,
    durations: Durations,
}

enum Durations {
    /// Log-normal, by its median in seconds and the standard deviation of the logarithm.
    Drawn { median: f64, deviation: f64 },
    /// In seconds, as they were measured.
    Measured(&'static [f64]),
}

/// One operation: how long it takes, and what is known beside.
struct Operation {
    seconds: f64,
    earlier: Vec<f64>,
    /// By how much its percentage runs ahead or behind: 1 is even.
    bend: f64,
}

/// Whose schedule.
#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Gax,
    Azure,
    Terraform,
    Smithy,
    Kubectl,
    Cloudop { earlier: usize, has_percentage: bool },
}

impl Policy {
    const ALL: [Self; 9] = [
        Self::Gax,
        Self::Azure,
        Self::Terraform,
        Self::Smithy,
        Self::Kubectl,
        Self::Cloudop { earlier: 0, has_percentage: false },
        Self::Cloudop { earlier: 3, has_percentage: false },
        Self::Cloudop { earlier: 30, has_percentage: false },
        Self::Cloudop { earlier: 0, has_percentage: true },
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Gax => "GAX",
            Self::Azure => "azcore",
            Self::Terraform => "Terraform",
            Self::Smithy => "Smithy waiter",
            Self::Kubectl => "every 2 s",
            Self::Cloudop { earlier: 0, has_percentage: true } => "cloudop, percentage",
            Self::Cloudop { earlier: 3, .. } => "cloudop, 3 earlier",
            Self::Cloudop { earlier: 30, .. } => "cloudop, 30 earlier",
            Self::Cloudop { .. } => "cloudop",
        }
    }

    /// The wait before the poll after `polls`, at `age` seconds.
    fn wait(self, polls: i32, age: f64, followed: &mut Followed, dice: &mut Dice) -> f64 {
        match self {
            // googleapis/sdk-platform-java, OperationTimedPollAlgorithm and the defaults of generated settings.
            Self::Gax => (5.0 * 1.5_f64.powi(polls)).min(45.0),
            // Azure/azure-sdk-for-go, runtime.PollUntilDoneOptions.
            Self::Azure => 30.0,
            // hashicorp/terraform-plugin-sdk, retry.StateChangeConf as most resources set it.
            Self::Terraform if polls == 0 => 30.0,
            Self::Terraform => 10.0,
            // smithy.io, waiters: minDelay 2 and maxDelay 120, with full jitter above minDelay.
            Self::Smithy => 2.0 + dice.share() * ((2.0 * 2.0_f64.powi(polls.min(20))).min(120.0) - 2.0),
            Self::Kubectl => 2.0,
            Self::Cloudop { has_percentage, .. } => followed.interval(age, has_percentage),
        }
    }
}

/// An operation as the controller knows it.
struct Followed<'a> {
    operation: &'a Operation,
    object: CloudOperation,
    status: CloudOperationStatus,
    typical: Option<Typical>,
    began: Timestamp,
}

impl<'a> Followed<'a> {
    fn new(operation: &'a Operation, number: usize, earlier: usize) -> Self {
        let spec = serde_json::from_value(serde_json::json!({
            "provider": {"otcCceJob": {"region": "eu-de", "projectId": "p"}},
            "operationId": "j", "credentialsRef": {"name": "otc"},
        }));
        let mut object = CloudOperation::new("operation", spec.expect("a spec"));
        object.metadata.uid = Some(number.to_string());
        let began = Timestamp::from_second(1_700_000_000).expect("a time");
        let status =
            CloudOperationStatus { phase: Phase::Running, start_time: Some(Time(began)), ..Default::default() };
        let took = operation.earlier.iter().take(earlier).map(|seconds| Duration::from_secs_f64(*seconds));
        Self { operation, object, status, typical: measure(took), began }
    }

    fn interval(&mut self, age: f64, has_percentage: bool) -> f64 {
        if has_percentage {
            let done = (age / self.operation.seconds).powf(self.operation.bend);
            let percent = Some((done * 100.0).floor().min(99.0) as i32);
            self.status.progress = Some(Box::new(ProgressStatus { percent, ..Default::default() }));
        }
        let now = self.began + SignedDuration::from_secs_f64(age);
        poll_interval(&self.object, &self.status, self.typical, now).as_secs_f64()
    }
}

/// What a policy costs and gives.
struct Outcome {
    polls: f64,
    delay: f64,
    late: f64,
}

/// Follows all `operations` by a policy whose waits are `scale` times as long.
fn follow(operations: &[Operation], policy: Policy, scale: f64) -> Outcome {
    let mut dice = Dice::new(7);
    let mut delays = Vec::with_capacity(operations.len());
    let mut polls_of_all = 0;
    for (number, operation) in operations.iter().enumerate() {
        let earlier = if let Policy::Cloudop { earlier, .. } = policy { earlier } else { 0 };
        let mut followed = Followed::new(operation, number, earlier);
        let (mut age, mut polls) = (0.0, 0);
        while age < operation.seconds {
            age += policy.wait(polls, age, &mut followed, &mut dice) * scale;
            polls += 1;
        }
        polls_of_all += polls;
        delays.push(age - operation.seconds);
    }
    delays.sort_by(f64::total_cmp);
    let many = operations.len() as f64;
    let late = delays[operations.len() * 95 / 100];
    Outcome { polls: f64::from(polls_of_all) / many, delay: delays.iter().sum::<f64>() / many, late }
}

/// As [`follow`], with waits so scaled that there are as many polls as wanted.
fn follow_with_as_many_polls(operations: &[Operation], policy: Policy, polls: f64) -> Outcome {
    let (mut shorter, mut longer) = SCALES;
    for _ in 0..12 {
        let middle = (shorter * longer).sqrt();
        let has_too_many = follow(operations, policy, middle).polls > polls;
        if has_too_many { shorter = middle } else { longer = middle }
    }
    follow(operations, policy, (shorter * longer).sqrt())
}

impl Kind {
    fn draw(&self, dice: &mut Dice) -> f64 {
        match self.durations {
            Durations::Drawn { median, deviation } => median * (deviation * dice.normal()).exp(),
            Durations::Measured(all) => all[(dice.share() * all.len() as f64) as usize],
        }
    }

    fn operations(&self) -> Vec<Operation> {
        let mut dice = Dice::new(42);
        (0..OPERATIONS)
            .map(|_| {
                let seconds = self.draw(&mut dice);
                let mut earlier: Vec<f64> = (0..30).map(|_| self.draw(&mut dice)).collect();
                if let Durations::Measured(all) = self.durations {
                    // What is followed is not among what was learnt.
                    earlier = all.iter().copied().filter(|one| *one != seconds).collect();
                    earlier.sort_by_cached_key(|_| (dice.share() * 1e9) as u64);
                }
                Operation { seconds, earlier, bend: (0.3 * dice.normal()).exp() }
            })
            .collect()
    }

    /// The least that the number of polls times the mean delay can be for whoever knows how these operations' durations
    /// are distributed and nothing else: half the square of the integral of the root of density times survival (from
    /// Keller's schedule by Cauchy and Schwarz).
    fn bound(&self) -> Option<f64> {
        let Durations::Drawn { median, deviation } = self.durations else { return None };
        let steps = 20_000;
        let step = median * (6.0 * deviation).exp() / f64::from(steps);
        let mut survival = 1.0;
        let mut integral = 0.0;
        for number in 1..steps {
            let at = (f64::from(number) - 0.5) * step;
            let off = (at / median).ln() / deviation;
            let density = (-off * off / 2.0).exp() / (at * deviation * std::f64::consts::TAU.sqrt());
            survival = f64::max(survival - density * step, 0.0);
            integral += (density * survival).sqrt() * step;
        }
        Some(integral * integral / 2.0)
    }
}

/// Seconds that acceptance tests of Terraform providers took on real clouds, creation and removal included, as their
/// maintainers posted them.
const MEASURED: [(&str, &[f64]); 4] = [
    (
        "CCE clusters of Open Telekom Cloud ([#845](https://github.com/opentelekomcloud/terraform-provider-opentelekomcloud/pull/845), \
         [#1419](https://github.com/opentelekomcloud/terraform-provider-opentelekomcloud/pull/1419))",
        &[486.64, 446.40, 540.11, 457.45, 430.51],
    ),
    (
        "EKS clusters ([#40371](https://github.com/hashicorp/terraform-provider-aws/pull/40371))",
        &[
            563.36, 580.70, 622.03, 635.57, 637.44, 651.74, 656.18, 658.09, 667.40, 701.18, 703.71, 710.53, 732.94,
            733.60, 496.29, 1172.23, 1194.02, 1204.70, 1253.80, 1297.37, 801.51, 1557.97,
        ],
    ),
    (
        "EKS node groups ([#10916](https://github.com/hashicorp/terraform-provider-aws/pull/10916))",
        &[1541.19, 1592.90, 1474.40, 1509.60, 1718.96, 1674.47, 1473.09, 1572.12, 1579.61, 1695.85, 1644.41],
    ),
    (
        "RDS instances from snapshots ([#21457](https://github.com/hashicorp/terraform-provider-aws/pull/21457))",
        &[
            1083.80, 1178.77, 1137.29, 988.58, 1229.47, 1168.79, 1179.49, 1374.63, 1839.54, 1063.71, 1178.25, 1125.89,
            1178.76, 941.67, 1120.60, 1063.79,
        ],
    ),
];

fn main() {
    print!("{}", include_str!("bench-schedule.md"));
    let measured = MEASURED.iter().map(|(name, all)| Kind {
        name: format!("{name}, {} of {:.0} to {:.0} s", all.len(), least(all), most(all)),
        durations: Durations::Measured(all),
    });
    let drawn = [60.0, 300.0, 1200.0, 3600.0, 7200.0].into_iter().flat_map(|median| {
        [0.1, 0.3, 0.6].map(|deviation| Kind {
            name: format!("log-normal, median {:.0} min, deviation {deviation}", median / 60.0),
            durations: Durations::Drawn { median, deviation },
        })
    });
    for kind in measured.chain(drawn) {
        println!("\n### {}\n", kind.name);
        println!("| | polls | mean delay, s | 95 % within, s | delay with GAX's polls, s | of GAX's |");
        println!("|---|---:|---:|---:|---:|---:|");
        let operations = kind.operations();
        let gax = follow(&operations, Policy::Gax, 1.0);
        for policy in Policy::ALL {
            let Outcome { polls, delay, late } = follow(&operations, policy, 1.0);
            let equal = match policy {
                Policy::Cloudop { .. } => {
                    let delay = follow_with_as_many_polls(&operations, policy, gax.polls).delay;
                    format!("{delay:.1} | {:.2}", delay / gax.delay)
                }
                _ => "| ".into(),
            };
            println!("| {} | {polls:.1} | {delay:.1} | {late:.1} | {equal} |", policy.name());
        }
        if let Some(bound) = kind.bound() {
            let delay = bound / gax.polls;
            println!("| *the least there can be without a percentage* | | | | {delay:.1} | {:.2} |", delay / gax.delay);
        }
    }
}

fn least(all: &[f64]) -> f64 {
    all.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(all: &[f64]) -> f64 {
    all.iter().copied().fold(0.0, f64::max)
}
