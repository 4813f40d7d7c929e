//! Plays a scripted operation: which stage it is in at a moment, and since when.

use jiff::{SignedDuration, Timestamp};

use crate::life::{Operation, Stage, Task};

/// A scripted operation with the times at which its stages began.
#[derive(Debug)]
pub(crate) struct Life {
    operation: Operation,
    created: Timestamp,
    entered: Vec<Timestamp>,
    polls: u32,
}

/// What a cloud shows of an operation in one reply.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) stage: &'a Stage,
    pub(crate) created: Timestamp,
    entered: &'a [Timestamp],
}

/// When something began and ended, as far as it has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
    pub(crate) changed: Option<Timestamp>,
}

const SHORTEST_REPEATED: SignedDuration = SignedDuration::from_millis(1);

impl Life {
    pub(crate) fn new(operation: Operation, created: Timestamp) -> Self {
        Self { operation, created, entered: Vec::new(), polls: 0 }
    }

    /// One poll at `now`. `None` while the operation is unknown to its cloud: gone, or never given a stage.
    pub(crate) fn poll(&mut self, now: Timestamp, speed: f64) -> Option<Moment<'_>> {
        self.catch_up(now, speed);
        let limit = self.current()?.polls;
        if limit.is_some_and(|limit| self.polls >= limit) && self.has_next() {
            self.enter(now);
            self.catch_up(now, speed);
        }
        self.polls += 1;
        let stage = self.current()?;
        (!stage.gone).then_some(Moment {
            operation: &self.operation,
            stage,
            created: self.created,
            entered: &self.entered,
        })
    }

    /// Begins the next stage. False at the last one.
    pub(crate) fn advance(&mut self, now: Timestamp, speed: f64) -> bool {
        self.catch_up(now, speed);
        let moves = self.has_next();
        if moves {
            self.enter(now);
        }
        moves
    }

    fn catch_up(&mut self, now: Timestamp, speed: f64) {
        if self.entered.is_empty() {
            self.enter(now);
        }
        while let (Some(stage), Some(since)) = (self.current(), self.entered.last()) {
            let Some(duration) = stage.lasting.filter(|_| self.has_next()) else {
                return;
            };
            let length = SignedDuration::try_from_secs_f64(duration.as_secs_f64() / speed).unwrap_or_default();
            // Stages of no length that repeat would have no end.
            let length = if self.operation.repeats { length.max(SHORTEST_REPEATED) } else { length };
            match since.checked_add(length) {
                Ok(end) if end <= now => self.enter(end),
                _ => return,
            }
        }
    }

    fn enter(&mut self, at: Timestamp) {
        self.entered.push(at);
        self.polls = 0;
    }

    fn current(&self) -> Option<&Stage> {
        let entered = self.entered.len().checked_sub(1)?;
        let stages = &self.operation.stages;
        // `has_next` keeps an operation that does not repeat within its stages.
        stages.get(entered % stages.len().max(1))
    }

    fn has_next(&self) -> bool {
        self.operation.repeats || self.entered.len() < self.operation.stages.len()
    }
}

impl<'a> Moment<'a> {
    pub(crate) fn span(&self) -> Span {
        span(self.past().map(|(stage, at)| (Some(stage.state.as_str()), at)))
    }

    pub(crate) fn task_span(&self, task: &Task) -> Span {
        span(self.past().map(|(stage, at)| {
            let then = find(&stage.tasks, task);
            (then.and_then(|task| task.state.as_deref()), at)
        }))
    }

    /// When the current stage began.
    pub(crate) fn updated(&self) -> Timestamp {
        self.entered.last().copied().unwrap_or(self.created)
    }

    fn past(&self) -> impl Iterator<Item = (&'a Stage, Timestamp)> + use<'a> {
        self.operation.stages.iter().cycle().zip(self.entered.iter().copied())
    }
}

fn find<'a>(tasks: &'a [Task], wanted: &Task) -> Option<&'a Task> {
    tasks.iter().find_map(|task| {
        if task.id == wanted.id && task.kind == wanted.kind { Some(task) } else { find(&task.tasks, wanted) }
    })
}

fn span<'a>(history: impl Iterator<Item = (Option<&'a str>, Timestamp)>) -> Span {
    let mut span = Span::default();
    let mut last = None;
    for (word, at) in history {
        if word == last && span.changed.is_some() {
            continue;
        }
        last = word;
        span.changed = Some(at);
        let word = word.unwrap_or_default().to_ascii_lowercase();
        if WAITING.contains(&word.as_str()) {
            continue;
        }
        span.start = span.start.or(Some(at));
        span.end = OVER.contains(&word.as_str()).then_some(at);
    }
    span
}

// These words choose only which times a reply shows.
const WAITING: [&str; 6] = ["", "init", "initializing", "queuing", "pending", "accepted"];
const OVER: [&str; 9] = ["success", "succeeded", "done", "fail", "failed", "cancel", "cancelled", "completed", "error"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{clouds::Cloud, life::Scope};

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + second)
    }

    fn life(stages: impl IntoIterator<Item = Stage>) -> Life {
        let operation = Operation::new(Cloud::OtcCceJob, Scope::otc("p"), "j");
        Life::new(stages.into_iter().fold(operation, Operation::stage), at(0))
    }

    fn word(life: &mut Life, second: i64) -> Option<String> {
        life.poll(at(second), 1.0).map(|moment| moment.stage.state.clone())
    }

    #[test]
    fn time_starts_at_the_first_poll_and_skips_whole_stages() {
        let ten = Duration::from_secs(10);
        let mut life = life([
            Stage::state("Initializing").lasting(ten),
            Stage::state("Running").lasting(ten),
            Stage::state("Success"),
        ]);
        assert_eq!(word(&mut life, 500).as_deref(), Some("Initializing"));
        assert_eq!(word(&mut life, 509).as_deref(), Some("Initializing"));
        assert_eq!(word(&mut life, 530).as_deref(), Some("Success"));
        let moment = life.poll(at(600), 1.0).unwrap();
        let span = moment.span();
        assert_eq!((span.start, span.end), (Some(at(510)), Some(at(520))));
        assert_eq!(moment.updated(), at(520));
    }

    #[test]
    fn a_higher_speed_shortens_a_stage() {
        let mut life = life([Stage::state("Running").lasting(Duration::from_secs(100)), Stage::state("Success")]);
        assert_eq!(life.poll(at(0), 10.0).unwrap().stage.state, "Running");
        assert_eq!(life.poll(at(10), 10.0).unwrap().stage.state, "Success");
    }

    #[test]
    fn a_stage_counted_in_polls_answers_that_many() {
        let mut life = life([Stage::state("Running").for_polls(2), Stage::state("Failed").for_polls(1)]);
        let words: Vec<_> = (0..4).filter_map(|n| word(&mut life, n)).collect();
        assert_eq!(words, ["Running", "Running", "Failed", "Failed"]);
    }

    #[test]
    fn a_stage_without_an_end_waits_to_be_told() {
        let mut life = life([Stage::state("Running"), Stage::gone()]);
        assert_eq!(word(&mut life, 10_000).as_deref(), Some("Running"));
        assert!(life.advance(at(10_001), 1.0));
        assert_eq!(word(&mut life, 10_002), None);
        assert!(!life.advance(at(10_003), 1.0));
    }

    #[test]
    fn a_retried_task_has_no_end_until_it_ends_again() {
        let stage = |word: &str| {
            Stage::state("Running").for_polls(1).task(Task::new("t", "Outer").task(Task::new("u", "Inner").state(word)))
        };
        let mut life = life([stage("Running"), stage("Failed"), stage("Running")]);
        let inner = Task::new("u", "Inner");
        let spans: Vec<_> = (0..3).map(|n| life.poll(at(n), 1.0).unwrap().task_span(&inner)).collect();
        assert_eq!(spans[1].end, Some(at(1)));
        assert_eq!(spans[2].end, None);
        assert_eq!(spans[2].start, Some(at(0)));
    }

    #[test]
    fn stages_that_repeat_have_no_last_one() {
        let stages = [Stage::state("Running").for_polls(1), Stage::state("odd").for_polls(2)];
        let operation = Operation::new(Cloud::OtcCceJob, Scope::otc("p"), "j").repeats();
        let mut life = Life::new(stages.into_iter().fold(operation, Operation::stage), at(0));
        let words: Vec<_> = (0..6).filter_map(|n| word(&mut life, n)).collect();
        assert_eq!(words, ["Running", "odd", "odd", "Running", "odd", "odd"]);
        assert!(life.advance(at(6), 1.0));
        let moment = life.poll(at(7), 1.0).unwrap();
        assert_eq!((moment.stage.state.as_str(), moment.updated()), ("Running", at(6)));
        let operation = Operation::new(Cloud::OtcCceJob, Scope::otc("p"), "j").repeats();
        let mut instant = Life::new(operation.stage(Stage::state("Running").lasting(Duration::ZERO)), at(0));
        assert_eq!(word(&mut instant, 1).as_deref(), Some("Running"));
    }
}
