//! Operations that nobody scripted: whichever ID is asked for is there, and the account says how it goes.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    account::Account,
    clouds::{Target, Words},
    fault::{Fault, Times},
    life::{Operation, Stage, Task},
    record::Matcher,
    world::World,
};

/// The secret of the accounts of a rehearsal, beside their name as user, client or access key.
const SECRET: &str = "let-me-in";

/// How long a part of an operation takes.
const PART: Duration = Duration::from_secs(10);
/// How long each part of a slow one takes.
const SLOW: Duration = Duration::from_secs(600);

/// How an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Success,
    /// It fails, with a cause.
    Failure,
    /// It waits for somebody: Huawei's upgrades say so, at other clouds it never changes again.
    Parked,
    /// It succeeds, after half an hour or more.
    Slow,
    /// It succeeds; meanwhile the cloud is down, throttles, and is down again.
    Flapping,
}

impl Outcome {
    const ALL: [(Self, &str); 5] = [
        (Self::Success, "success"),
        (Self::Failure, "failure"),
        (Self::Parked, "parked"),
        (Self::Slow, "slow"),
        (Self::Flapping, "flapping"),
    ];
}

/// An account for each outcome: its name is its token, and what it signs in as.
pub fn accounts() -> Vec<Account> {
    let account = |(outcome, name)| Account::new(name).token(name).credential(name, SECRET, "rehearsal").plays(outcome);
    Outcome::ALL.map(account).into()
}

impl World {
    /// Has the operation that is asked for be there, if it is not.
    pub(crate) fn rehearse(&mut self, target: &Target, outcome: Outcome) {
        let Some(id) = &target.id else { return };
        let operation = play(target, id, outcome);
        if self.lives.contains_key(&operation.key()) {
            return;
        }
        if outcome == Outcome::Flapping {
            let down = || Fault::ServerError { status: 503 };
            let throttled = Fault::Throttled { status: 429, retry_after: Some("3".to_owned()), twice: false };
            let turns = vec![Fault::Truth, down(), Fault::Truth, throttled, Fault::Truth, down()];
            let times = Times::Exactly(turns.len());
            self.plan(Fault::InTurn(turns), Matcher::id(id).and_cloud(target.cloud), times);
        }
        let now = self.now();
        self.put(operation, now);
    }
}

fn play(target: &Target, id: &str, outcome: Outcome) -> Operation {
    let words = target.cloud.api().words();
    let part = if outcome == Outcome::Slow { SLOW } else { PART };
    let last = words.tasks.len().saturating_sub(1);
    let mut operation = Operation::new(target.cloud, target.scope.clone(), id).kind("Rehearsal");
    operation = operation.stage(Stage::state(words.pending).lasting(PART).tasks(words.tasks(0, None)));
    for begun in 0..=last {
        let stops = begun == last / 2 && outcome == Outcome::Parked;
        if stops {
            let state = if words.parked.is_empty() { words.running } else { words.parked };
            let task = if words.parked.is_empty() { words.task_running } else { words.task_failed };
            return operation.stage(Stage::state(state).tasks(words.tasks(begun, Some(task))));
        }
        let tasks = words.tasks(begun, Some(words.task_running));
        operation = operation.stage(Stage::state(words.running).lasting(part).tasks(tasks));
    }
    operation.stage(match outcome {
        Outcome::Failure => Stage::state(words.failed)
            .error("8", "rehearsal: the quota of vCPUs is exceeded")
            .tasks(words.tasks(last, Some(words.task_failed))),
        _ => Stage::state(words.succeeded).tasks(words.tasks(words.tasks.len(), None)),
    })
}

impl Words {
    /// The parts, of which `done` have succeeded and the next one is `now`.
    fn tasks(&self, done: usize, now: Option<&str>) -> Vec<Task> {
        let task = |(index, kind): (usize, &&str)| {
            let task = Task::new(format!("{index:08x}-0000-4000-8000-000000000000"), *kind);
            match now.filter(|_| index == done) {
                _ if index < done => task.state(self.task_succeeded),
                Some(word) if word == self.task_failed => task.state(word).reason("the quota of vCPUs is exceeded"),
                Some(word) => task.state(word),
                None => task,
            }
        };
        self.tasks.iter().enumerate().map(task).collect()
    }
}
