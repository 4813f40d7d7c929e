//! Plays a story: the controller in this process, on paused time, between the model of the API server and the clouds.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudop::clock;
use cloudop::controller::{self, Context, Stage, Watched};
use cloudop::metrics::Metrics;
use cloudop::upstream::{Options, Upstream};
use futures::future::pending;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::api_server::{ApiServer, Crashes, NAMESPACE, Store};
use crate::clouds::{HOST, Line, Sky, token};
use crate::promises::{BURST, Broken, Ledger, Promise, RATE, Witness, is_over};
use crate::story::{ACCOUNTS, Edit, End, Provider, Story, TROUBLE, What};

/// How long a story goes on when nothing happens any more: the longest pause and the slowest look, twice.
const QUIET: u64 = 1000;
/// After how long without trouble all is as usual again: the longest delay of a fault, and a pause.
const SETTLED: u64 = 600;
/// How late a look may be, and how far intervals are drawn apart.
const LATE: Duration = Duration::from_secs(15);
const LONGEST_INTERVAL: Duration = Duration::from_secs(132);

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.polls += other.polls;
        self.crashes += other.crashes;
        self.ends += other.ends;
    }
}

/// What one story came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of the API server.
    pub calls: usize,
    /// Requests to clouds.
    pub polls: usize,
    pub crashes: usize,
    pub ends: usize,
}

/// The clouds, and all that was asked of them.
#[derive(Debug)]
pub struct Network {
    pub story: Story,
    sky: Mutex<Sky>,
    began: Instant,
    broken: Mutex<Option<Broken>>,
    ledger: Mutex<Ledger>,
    /// Answers in a row that deny an operation, and since when.
    absences: Mutex<BTreeMap<usize, (u32, Instant)>>,
    /// When each operation was last told of.
    told: Mutex<BTreeMap<usize, Instant>>,
    /// When two processes led last.
    doubled: Mutex<Option<Instant>>,
}

fn beginning() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Which operation has that ID.
pub fn operation_number(id: &str) -> usize {
    id.trim_start_matches("operation-").parse().unwrap_or_default()
}

impl Network {
    pub fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap()
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The clouds' time, which nobody sets.
    pub fn time(&self) -> Timestamp {
        beginning() + SignedDuration::try_from(self.elapsed()).unwrap()
    }

    pub fn check(&self, promise: Promise, holds: bool, how: impl FnOnce() -> String) {
        if !holds {
            let broken = Broken { promise, at: self.elapsed().as_secs(), how: how() };
            self.broken.lock().unwrap().get_or_insert(broken);
        }
    }

    /// What the cloud's word for an operation is now.
    pub fn word(&self, number: usize) -> Option<String> {
        let key = self.story.operations[number].key(number);
        let now = self.time();
        self.sky().clouds.word(&key, now)
    }

    pub fn absence(&self, number: usize) -> (u32, Option<Instant>) {
        let absence = self.absences.lock().unwrap().get(&number).copied();
        absence.map_or((0, None), |(answers, since)| (answers, Some(since)))
    }

    pub fn note_request(&self, process: u64, account: usize) {
        let is_doubled = self.doubled.lock().unwrap().is_some_and(|at| at.elapsed() < Duration::from_secs(70));
        let noted = self.ledger.lock().unwrap().note_request(process, account, if is_doubled { 2 } else { 1 });
        self.check(Promise::Limits, noted.is_ok(), || noted.clone().unwrap_err());
    }

    pub fn note_pause(&self, process: u64, account: usize, pause: Duration) {
        self.ledger.lock().unwrap().note_pause(process, account, pause);
    }

    /// An answer to a request for `target`: of which operations it tells.
    pub fn note_answer(&self, account: usize, target: &str, status: u16, body: &[u8]) {
        let body = String::from_utf8_lossy(body);
        for (number, followed) in self.story.operations.iter().enumerate().filter(|(_, f)| f.account == account) {
            let id = followed.operation_id(number);
            let is_told_of = status == 200 && body.contains(&format!("\"{id}\""));
            let is_asked_for = followed.is_asked_for(number, target);
            let is_denied = is_asked_for && followed.is_denied(status, is_told_of);
            if is_asked_for || is_told_of {
                self.told.lock().unwrap().insert(number, Instant::now());
            }
            let mut absences = self.absences.lock().unwrap();
            if is_denied {
                absences.entry(number).or_insert((0, Instant::now())).0 += 1;
            } else if is_asked_for || is_told_of {
                absences.remove(&number);
            }
        }
    }
}

/// A story while it is played.
struct World {
    network: Arc<Network>,
    store: Arc<Mutex<Store>>,
    crashes: Crashes,
    processes: BTreeMap<u64, JoinHandle<()>>,
    started: u64,
    tally: Tally,
    /// What is still to come, the next at the end.
    agenda: Vec<(Instant, Todo)>,
}

#[derive(Clone, Debug)]
enum Todo {
    Create(usize),
    Happen(What),
    Start,
    Stop(u64),
    /// The trouble is over.
    Mend,
    Settled,
    End,
}

/// Plays `story`.
///
/// # Errors
/// The first promise that was not kept.
pub fn play(story: &Story) -> Result<Tally, Broken> {
    fastrand::seed(story.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // What the controller does need not be sent between threads.
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        clock::tell(Some(beginning()));
        let (world, crashed) = World::new(story);
        world.play(crashed).await
    });
    clock::tell(None);
    result
}

fn name(number: usize) -> String {
    format!("object-{number}")
}

fn secret(token: &str) -> Value {
    let encode = |text: &str| STANDARD.encode(text);
    json!({"token": encode(token), "endpoint": encode(&format!("https://{HOST}")), "provider": encode(Provider::NAMES)})
}

impl World {
    fn new(story: &Story) -> (Self, mpsc::UnboundedReceiver<u64>) {
        let began = Instant::now();
        let network = Arc::new(Network {
            story: story.clone(),
            sky: Mutex::new(Sky::new(story.cloud_faults.clone())),
            began,
            broken: Mutex::default(),
            ledger: Mutex::default(),
            absences: Mutex::default(),
            told: Mutex::default(),
            doubled: Mutex::default(),
        });
        let witness = Witness::new(Arc::clone(&network));
        let mut store = Store::new(story.streams, story.lag, story.server_faults.clone(), witness);
        for account in 0..ACCOUNTS {
            store.set_secret(&format!("account-{account}"), Some(secret(&token(account))));
        }
        let (crashes, crashed) = mpsc::unbounded_channel();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut agenda = vec![
            (at(0), Todo::Start),
            (at(TROUBLE), Todo::Mend),
            (at(TROUBLE + SETTLED), Todo::Settled),
            (at(TROUBLE + QUIET), Todo::End),
        ];
        agenda
            .extend(story.operations.iter().enumerate().map(|(n, operation)| (at(operation.created), Todo::Create(n))));
        agenda
            .extend(story.happenings.iter().map(|happening| (at(happening.at), Todo::Happen(happening.what.clone()))));
        let world = Self {
            network,
            store: Arc::new(Mutex::new(store)),
            crashes,
            processes: BTreeMap::new(),
            started: 0,
            tally: Tally::default(),
            agenda,
        };
        (world, crashed)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    fn later(&mut self, seconds: u64, todo: Todo) {
        self.agenda.push((Instant::now() + Duration::from_secs(seconds), todo));
    }

    fn next(&mut self) -> (Instant, Todo) {
        // The first of those that are due first.
        let first = (0..self.agenda.len()).min_by_key(|n| self.agenda[*n].0).unwrap();
        self.agenda.remove(first)
    }

    async fn play(mut self, mut crashed: mpsc::UnboundedReceiver<u64>) -> Result<Tally, Broken> {
        loop {
            let (at, todo) = self.next();
            let is_due = tokio::select! {
                biased;
                Some(process) = crashed.recv() => {
                    self.crash(process, 3).await;
                    false
                }
                () = sleep_until(at) => true,
            };
            let broken = self.network.broken.lock().unwrap().clone();
            if let Some(broken) = broken {
                self.stop_all().await;
                return Err(broken);
            }
            if !is_due {
                self.agenda.push((at, todo));
                continue;
            }
            if matches!(todo, Todo::End) {
                self.check_ends();
                self.stop_all().await;
                let broken = self.network.broken.lock().unwrap().clone();
                self.tally.polls = self.network.sky().calls;
                let calls = self.store().calls;
                self.tally.calls = calls;
                return broken.map_or(Ok(self.tally), Err);
            }
            self.go_on(todo).await;
        }
    }

    async fn go_on(&mut self, todo: Todo) {
        match todo {
            Todo::Create(number) => {
                let operation = self.network.story.operations[number].clone();
                let now = self.network.time();
                self.network.sky().clouds.put(operation.operation(number), now);
                self.store().create(&name(number), operation.spec(number), now);
            }
            Todo::Happen(what) => self.happen(what).await,
            Todo::Start => self.start(),
            Todo::Stop(process) => {
                // The other may have died before it.
                self.crash(process, 3).await;
                *self.network.doubled.lock().unwrap() = Some(Instant::now());
            }
            Todo::Mend => {
                for account in 0..ACCOUNTS {
                    self.network.sky().taken[account] = true;
                    self.store().set_secret(&format!("account-{account}"), Some(secret(&token(account))));
                }
            }
            Todo::Settled => {
                let now = Instant::now();
                let mut told = self.network.told.lock().unwrap();
                told.values_mut().for_each(|at| *at = (*at).max(now - LONGEST_INTERVAL));
            }
            Todo::End => {}
        }
    }

    async fn happen(&mut self, what: What) {
        let after = |seconds| Some(Instant::now() + Duration::from_secs(seconds));
        match what {
            What::Crash { pause } => {
                if let Some(process) = self.processes.keys().next().copied() {
                    self.crash(process, pause).await;
                }
            }
            What::TwoLeaders { seconds } => {
                if let Some(process) = self.processes.keys().next().copied() {
                    *self.network.doubled.lock().unwrap() = Some(Instant::now() + Duration::from_secs(seconds));
                    self.start();
                    self.later(seconds, Todo::Stop(process));
                }
            }
            What::ClockStep { seconds } => clock::tell(Some(clock::wall() + SignedDuration::from_secs(seconds))),
            What::WatchBreaks { gone } => self.store().break_watches(gone),
            What::ServerDown { seconds } => self.store().down_until = after(seconds),
            What::CloudDown { account, seconds, how } => {
                let until = Instant::now() + Duration::from_secs(seconds);
                self.network.sky().down.insert(account, (until, how));
            }
            What::SecretChanges { account, good } => {
                self.network.sky().taken[account] = good;
                self.store().set_secret(&format!("account-{account}"), Some(secret(&token(account))));
            }
            What::SecretIsMissing { account } => self.store().set_secret(&format!("account-{account}"), None),
            What::Edit { operation, edit } => self.edit(operation, edit),
        }
    }

    fn edit(&mut self, number: usize, edit: Edit) {
        let followed = self.network.story.operations[number].clone();
        let now = self.network.time();
        let mut store = self.store();
        let name = name(number);
        match edit {
            Edit::Suspend => store.edit(&name, |object| object["spec"]["suspend"] = json!(true)),
            Edit::Resume => store.edit(&name, |object| object["spec"]["suspend"] = json!(false)),
            Edit::Interval(seconds) => {
                store.edit(&name, |object| object["spec"]["pollIntervalSeconds"] = json!(seconds))
            }
            Edit::Deadline(seconds) => {
                store.edit(&name, |object| object["spec"]["activeDeadlineSeconds"] = json!(seconds));
            }
            Edit::Request => store.edit(&name, |object| {
                object["metadata"]["annotations"] = json!({"cloudop.dev/requested-at": now.to_string()});
            }),
            Edit::Delete => store.delete(&name),
            Edit::Replace if store.objects.contains_key(&name) => {
                store.delete(&name);
                store.create(&name, followed.spec(number), now);
            }
            Edit::Replace => {}
            Edit::Tamper => {
                if let Some(object) = store.objects.get(&name).cloned() {
                    store.witness.tamper(&object);
                }
                store.edit(&name, |object| {
                    object["status"]["phase"] = json!("Running");
                    object["status"].as_object_mut().unwrap().remove("completionTime");
                });
            }
        }
    }

    fn start(&mut self) {
        self.started += 1;
        let process = self.started;
        let client =
            kube::Client::new(ApiServer::new(Arc::clone(&self.store), process, self.crashes.clone()), NAMESPACE);
        let line = Line { network: Arc::clone(&self.network), process, crashes: self.crashes.clone() };
        let metrics = Arc::new(Metrics::default());
        let upstream = Upstream::new(Options {
            allow_hosts: vec![HOST.to_owned()],
            requests_per_second: RATE,
            burst: BURST,
            metrics: Arc::clone(&metrics),
            wire: Some(Arc::new(line)),
            ..Options::default()
        });
        let context = Context::new(client.clone(), upstream.unwrap(), format!("process-{process}"), metrics);
        let context = Arc::new(context);
        context.reach(Stage::Leading);
        let profiles = controller::watch_profiles(client.clone(), Arc::clone(&context), pending());
        let operations = controller::run(client, Watched::default(), 64, context, pending());
        let running = async {
            futures::future::join(profiles, operations).await;
        };
        self.processes.insert(process, tokio::task::spawn_local(running));
    }

    /// Has a process die, and another start after a pause unless one leads.
    async fn crash(&mut self, process: u64, pause: u64) {
        if self.end(process).await && self.processes.is_empty() {
            self.later(pause, Todo::Start);
        }
    }

    async fn end(&mut self, process: u64) -> bool {
        let Some(running) = self.processes.remove(&process) else { return false };
        running.abort();
        let ended = running.await;
        self.network.check(Promise::LookedAtAgain, ended.is_err_and(|error| error.is_cancelled()), || {
            "the process ended by itself".into()
        });
        self.tally.crashes += 1;
        true
    }

    async fn stop_all(&mut self) {
        for process in self.processes.keys().copied().collect::<Vec<_>>() {
            self.end(process).await;
        }
    }

    /// After a time without trouble every end has been seen, written and announced, and what goes on is looked at.
    fn check_ends(&mut self) {
        let store = Arc::clone(&self.store);
        let store = store.lock().unwrap();
        let network = &self.network;
        for (number, followed) in network.story.operations.iter().enumerate() {
            let Some(object) = store.objects.get(&name(number)) else { continue };
            if object["spec"]["suspend"] == true {
                continue;
            }
            let word = network.word(number);
            let has_ended = followed.is_success(word.as_deref()) || followed.is_failure(word.as_deref());
            let is_over = is_over(&object["status"]);
            let has_gone = word.is_none() && followed.end == End::Goes;
            network.check(Promise::LookedAtAgain, is_over || !(has_ended || has_gone), || {
                format!("an end was lost: {number} is {word:?}: {object}")
            });
            let interval = object["spec"]["pollIntervalSeconds"].as_u64().map(Duration::from_secs);
            let limit = interval.unwrap_or_default().max(LONGEST_INTERVAL) + LATE;
            let told = network.told.lock().unwrap().get(&number).copied();
            network.check(Promise::LookedAtAgain, is_over || told.is_some_and(|at| at.elapsed() <= limit), || {
                format!("{number} was not asked for in {limit:?}: {object}")
            });
        }
        for (uid, seen) in store.witness.seen().iter().filter(|(_, seen)| seen.is_over && !seen.is_tampered_with) {
            let is_there = store.objects.values().any(|object| object["metadata"]["uid"] == uid.as_str());
            self.tally.ends += 1;
            let is_due = seen.is_expired || is_there;
            network.check(Promise::AnnouncedOnce, !is_due || seen.ends_announced >= 1, || {
                format!("the end of {} was not announced", seen.name)
            });
        }
    }
}
