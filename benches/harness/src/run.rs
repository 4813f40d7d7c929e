//! One run: one subject, one plan, from an empty control plane to the restart.

use std::{
    collections::BTreeMap,
    error::Error,
    fs, thread,
    time::{Duration, Instant},
};

use cloudop_testbed::Process;

use crate::{
    audit::Audit,
    bed::{Bed, Clouds, USER},
    figures::{Expected, Restart, Spread, Traffic},
    floor::Planned,
    plan::{Plan, Scenario, token},
    requests::{Log, Request},
    subject::Subject,
    usage,
};

/// What a program needs to start before anything is asked of it.
const START: Duration = Duration::from_secs(3);
/// Seconds beyond an interval for the operations to get to their places, at first and after a restart.
const SETTLE: u64 = 5;

/// What was seen of one subject.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub subject: Subject,
    pub scenario: Scenario,
    pub size: usize,
    /// Seconds.
    pub interval: u64,
    pub window: u64,
    /// How many had a status before the window began.
    pub with_status: usize,
    pub first_status: Option<Spread>,
    pub traffic: Traffic,
    /// Seconds in the window.
    pub cpu: f64,
    pub simulator_cpu: f64,
    pub api_server_cpu: f64,
    pub etcd_cpu: f64,
    /// In KiB.
    pub resident: u64,
    pub peak: u64,
    /// Requests to the API server in the window.
    pub verbs: BTreeMap<String, u64>,
    pub restart: Option<Restart>,
}

/// Runs `subject`, and measures in a window of at least `shortest` seconds.
///
/// # Errors
/// When something does not start, or the subject ends by itself.
pub fn run(subject: Subject, plan: &Plan, shortest: u64) -> Result<Outcome, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("cloudop-bench-{}", std::process::id()));
    let clouds = Clouds::start(plan, &folder)?;
    let outcome = if subject.follows() {
        follow(subject, plan, shortest, &clouds)
    } else {
        let requests = folder.join("requests.json");
        fs::write(&requests, serde_json::to_vec(&planned(plan, &clouds.url))?)?;
        let mut command = subject.command(&folder, "");
        command.arg("floor").arg("--requests").arg(requests).arg("--ca").arg(&clouds.ca);
        command.args(["--interval", &plan.interval.to_string()]);
        let process = Process::spawn("floor", command)?;
        let mut watch = Watch::new(subject, plan, shortest, &clouds)?;
        watch.settle();
        watch.measure(&process, None)?;
        Ok(watch.outcome)
    };
    fs::remove_dir_all(&folder)?;
    outcome
}

fn follow(subject: Subject, plan: &Plan, shortest: u64, clouds: &Clouds) -> Result<Outcome, Box<dyn Error>> {
    let bed = Bed::start(clouds)?;
    let start = || Process::spawn("subject", subject.command(&bed.kubeconfig, bed.namespace()));
    let process = start()?;
    let mut audit = Audit::open(&bed.cluster.folder().join("audit.log"), USER)?;
    thread::sleep(START);
    bed.create_operations(plan)?;
    wait_for_statuses(&mut audit, plan, &process)?;

    let mut watch = Watch::new(subject, plan, shortest, clouds)?;
    watch.outcome.with_status = audit.with_status();
    watch.outcome.first_status = Spread::of(audit.first_status());
    watch.settle();
    audit.read()?;
    audit.take_verbs();
    watch.measure(&process, Some(&bed))?;
    audit.read()?;
    watch.outcome.verbs = audit.take_verbs();

    let killed = now();
    process.kill()?;
    let process = start()?;
    let seconds = plan.interval + 2 * SETTLE;
    thread::sleep(Duration::from_secs(seconds));
    let usual = watch.outcome.traffic.requests as f64 / watch.outcome.window as f64;
    watch.read()?;
    let mut restart = watch.expected().restart(&watch.seen, watch.at(killed), seconds as f64, usual);
    audit.read()?;
    let verbs = audit.take_verbs();
    restart.writes = ["create", "update", "patch", "apply", "delete"].iter().filter_map(|verb| verbs.get(*verb)).sum();
    watch.outcome.restart = Some(restart);
    usage::of_group(process.pid())?;
    Ok(watch.outcome)
}

/// Waits until all have a status, or for as long as nobody would wait.
fn wait_for_statuses(audit: &mut Audit, plan: &Plan, process: &Process) -> Result<(), Box<dyn Error>> {
    let count = plan.operations.len();
    let deadline = Instant::now() + Duration::from_secs(30 + count as u64 / 100);
    loop {
        audit.read()?;
        if audit.with_status() == count || Instant::now() > deadline {
            return Ok(());
        }
        if let Some(status) = process.try_wait()? {
            return Err(format!("the subject ended: {status}\n{}", process.logs()).into());
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn planned(plan: &Plan, url: &str) -> Vec<Planned> {
    let planned = plan.operations.iter().map(|operation| {
        let token = token(operation.account);
        let (header, value) =
            if operation.bearer { ("Authorization", format!("Bearer {token}")) } else { ("X-Auth-Token", token) };
        Planned { url: format!("{url}{}", operation.path), header: header.to_owned(), value }
    });
    planned.collect()
}

/// What is watched of a run while it goes on.
struct Watch<'a> {
    plan: &'a Plan,
    paths: std::collections::HashMap<&'a str, crate::plan::Asked>,
    clouds: &'a Clouds,
    log: Log,
    seen: Vec<Request>,
    outcome: Outcome,
}

impl<'a> Watch<'a> {
    fn new(subject: Subject, plan: &'a Plan, shortest: u64, clouds: &'a Clouds) -> Result<Self, Box<dyn Error>> {
        let outcome = Outcome {
            subject,
            scenario: plan.scenario,
            size: plan.operations.len(),
            interval: plan.interval,
            window: shortest.div_ceil(plan.interval).max(1) * plan.interval,
            with_status: 0,
            first_status: None,
            traffic: Traffic::default(),
            cpu: 0.0,
            simulator_cpu: 0.0,
            api_server_cpu: 0.0,
            etcd_cpu: 0.0,
            resident: 0,
            peak: 0,
            verbs: BTreeMap::new(),
            restart: None,
        };
        let log = Log::open(clouds.process.log_file())?;
        Ok(Self { plan, paths: plan.paths(), clouds, log, seen: Vec::new(), outcome })
    }

    fn settle(&self) {
        thread::sleep(Duration::from_secs(self.plan.interval + SETTLE));
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            paths: &self.paths,
            operations: self.plan.operations.len(),
            interval: self.plan.interval as f64,
            shares: self.outcome.subject.shares(),
        }
    }

    fn measure(&mut self, process: &Process, bed: Option<&Bed>) -> Result<(), Box<dyn Error>> {
        let mut groups = vec![process.pid(), self.clouds.process.pid()];
        if let Some(bed) = bed {
            groups.extend([bed.cluster.api_server_pid(), bed.cluster.etcd_pid()]);
        }
        let usages = || groups.iter().map(|group| usage::of_group(*group)).collect::<Result<Vec<_>, _>>();
        let (from, before) = (now(), usages()?);
        thread::sleep(Duration::from_secs(self.outcome.window));
        let after = usages()?;
        let used = |index| before.iter().zip(&after).nth(index).map_or(0.0, |(before, after)| after.cpu - before.cpu);
        let outcome = &mut self.outcome;
        [outcome.cpu, outcome.simulator_cpu, outcome.api_server_cpu, outcome.etcd_cpu] = [0, 1, 2, 3].map(used);
        (outcome.resident, outcome.peak) = (after[0].resident, after[0].peak);
        self.read()?;
        self.outcome.traffic = self.expected().traffic(&self.seen, self.at(from), self.outcome.window as f64);
        Ok(())
    }

    fn read(&mut self) -> Result<(), Box<dyn Error>> {
        self.seen.extend(self.log.read()?);
        Ok(())
    }

    /// A time of [`now`] as the log has it: in seconds since the midnight that the first request came after.
    fn at(&self, now: f64) -> f64 {
        let last = self.seen.last().map_or(0.0, |request| request.at);
        let days = ((last - now) / 86_400.0).round();
        now + days * 86_400.0
    }
}

/// Seconds since midnight, UTC.
fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64().rem_euclid(86_400.0)
}
