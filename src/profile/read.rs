//! What a reply says, by a profile's paths and tables.

use std::time::Duration;

use super::path::Path;
use super::words::Table;
use crate::document::Json;
use crate::observation::{Misread, Observation, OperationError, State, SubJob, Target};
use crate::provider::{Ids, add_error, bound_id, is_end, read_error};
use crate::time::parse_any_time;

/// How a reply is read.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) state: Box<[Table]>,
    pub(super) error: ErrorReader,
    pub(super) percent: Option<Path>,
    pub(super) completed: Option<Path>,
    pub(super) total: Option<Path>,
    pub(super) message: Option<Path>,
    pub(super) operation_type: Option<Path>,
    pub(super) target: [Option<Path>; 3],
    pub(super) start_time: Option<Path>,
    pub(super) completion_time: Option<Path>,
    pub(super) sub_jobs: Option<SubJobReader>,
    pub(super) settle: Option<Duration>,
}

/// Where an error stands.
#[derive(Clone, Debug)]
pub struct ErrorReader {
    pub(super) path: Path,
    /// Whether the profile says that it stands there: code and message are then read from it, else from the operation.
    pub(super) is_given: bool,
    pub(super) code: Option<Path>,
    pub(super) message: Option<Path>,
    pub(super) request_id: Option<Path>,
    pub(super) cancelled_codes: Box<[String]>,
    pub(super) ends: bool,
}

/// Where the parts stand.
#[derive(Clone, Debug)]
pub struct SubJobReader {
    pub(super) items: Path,
    pub(super) children: Option<Path>,
    pub(super) id: Option<Path>,
    pub(super) name: Option<Path>,
    /// The operation's where it is empty.
    pub(super) state: Box<[Table]>,
    pub(super) message: Option<Path>,
    pub(super) start_time: Option<Path>,
    pub(super) completion_time: Option<Path>,
}

impl Reader {
    /// What `item` says.
    ///
    /// # Errors
    /// [`Misread`] when it does not say where the operation stands.
    pub fn read(&self, item: Json<'_>) -> Result<Observation, Misread> {
        let (state, word) = look_up(&self.state, item).ok_or_else(|| {
            let path = self.state.first().map(|table| table.path().to_string());
            Misread::field(&path.unwrap_or_default())
        })?;
        let mut observation = Observation::new(state, word);
        observation.operation_type = text(&self.operation_type, item);
        let [id, name, url] = &self.target;
        observation.target = Target { id: text(id, item), name: text(name, item), url: text(url, item) };
        observation.percent = self.percent.as_ref().and_then(|path| percent(path, item));
        observation.counts = self.counts(item);
        observation.start_time = time(&self.start_time, item);
        observation.sub_jobs = self.sub_jobs.as_ref().map(|parts| parts.read(item, &self.state)).unwrap_or_default();
        observation.settle = self.settle;
        let message = text(&self.message, item);
        self.error.read(&mut observation, item);
        if is_end(observation.state) {
            observation.completion_time = time(&self.completion_time, item);
        }
        match &mut observation.error {
            Some(error) if error.message.is_none() => error.message = message,
            None if matches!(observation.state, State::Failed | State::Cancelled) => {
                observation.error =
                    message.map(|message| OperationError { message: Some(message), ..OperationError::default() });
            }
            _ => observation.message = message,
        }
        Ok(observation)
    }

    fn counts(&self, item: Json<'_>) -> Option<(u64, u64)> {
        let count = |path: &Option<Path>| {
            let number = path.as_ref()?.follow(item)?.number()?;
            (number >= 0.0).then_some(number as u64)
        };
        let (completed, total) = (count(&self.completed)?, count(&self.total)?);
        (total > 0).then_some((completed.min(total), total))
    }
}

/// What the first table that knows its word says; a word that none knows is unrecognized. None where there is no word.
fn look_up<'a>(tables: &[Table], item: Json<'a>) -> Option<(State, &'a str)> {
    let known = tables.iter().find_map(|table| table.look_up(item));
    known.or_else(|| Some((State::Unrecognized, tables.iter().find_map(|table| table.word(item))?)))
}

fn text(path: &Option<Path>, item: Json<'_>) -> Option<String> {
    path.as_ref()?.scalar(item).map(str::to_owned)
}

fn time(path: &Option<Path>, item: Json<'_>) -> Option<jiff::Timestamp> {
    parse_any_time(path.as_ref()?.scalar(item)?)
}

/// Below zero it is no percentage but a word for "unknown".
fn percent(path: &Path, item: Json<'_>) -> Option<f64> {
    let percent = path.follow(item)?.number()?;
    (percent >= 0.0).then(|| percent.min(100.0))
}

impl ErrorReader {
    /// Adds the error in `item` to `observation`, if there is one.
    fn read(&self, observation: &mut Observation, item: Json<'_>) {
        let value = self.path.follow(item);
        let found = value.and_then(read_error);
        let is_bad = matches!(observation.state, State::Failed | State::Cancelled | State::Blocked);
        let error = match (value, found) {
            (Some(value), Some(found)) if self.is_given => self.name(value, found),
            (_, Some(found)) => self.name(item, found),
            (_, None) if is_bad && !self.is_given => self.name(item, OperationError::default()),
            (_, None) => return,
        };
        if error == OperationError::default() {
            return;
        }
        if self.ends && !is_end(observation.state) {
            observation.state = State::Failed;
        }
        let is_cancelled = error.code.as_ref().is_some_and(|code| self.cancelled_codes.contains(code));
        if is_end(observation.state) {
            add_error(observation, Some(error));
            if is_cancelled {
                observation.state = State::Cancelled;
            }
        } else if observation.state == State::Blocked {
            observation.error = Some(error);
        }
    }

    /// `error`, with what the profile says of it in place of what was found by the usual names.
    fn name(&self, value: Json<'_>, error: OperationError) -> OperationError {
        OperationError {
            code: text(&self.code, value).or(error.code),
            message: text(&self.message, value).or(error.message),
            request_id: text(&self.request_id, value).or(error.request_id),
            sub_job: None,
        }
    }
}

impl SubJobReader {
    /// Every part, parents before children. One that is listed again under the same ID counts once.
    fn read(&self, item: Json<'_>, tables: &[Table]) -> Vec<SubJob> {
        let tables = if self.state.is_empty() { tables } else { &self.state };
        let mut parts: Vec<SubJob> = Vec::new();
        let mut ids = Ids::default();
        // Each level with the number of the part that it is of.
        let mut open = vec![(members(self.items.follow(item)), None::<usize>)];
        while let Some((siblings, parent)) = open.last_mut() {
            let Some(member) = siblings.next() else {
                open.pop();
                continue;
            };
            let mut above = *parent;
            let parent_id = above.and_then(|at| parts.get(at)).map(|part| part.id.clone());
            match self.read_part(member, parent_id, &mut ids, tables) {
                Ok(part) => {
                    above = Some(parts.len());
                    parts.push(part);
                }
                Err(known) => above = Some(known),
            }
            if let Some(children) = &self.children {
                open.push((members(children.follow(member)), above));
            }
        }
        parts
    }

    /// # Errors
    /// The number of the part, where it has been listed before.
    fn read_part(
        &self,
        member: Json<'_>,
        parent_id: Option<String>,
        ids: &mut Ids,
        tables: &[Table],
    ) -> Result<SubJob, usize> {
        let name = text(&self.name, member);
        let id = match text(&self.id, member).map(bound_id) {
            Some(id) => {
                ids.take(&id)?;
                id
            }
            None => ids.make(&bound_id(name.clone().unwrap_or_else(|| "part".to_owned()))),
        };
        let (state, word) = look_up(tables, member).unwrap_or((State::Pending, ""));
        Ok(SubJob {
            parent_id,
            name: name.unwrap_or_else(|| id.clone()),
            id,
            state,
            upstream_state: word.to_owned(),
            message: text(&self.message, member),
            start_time: time(&self.start_time, member),
            completion_time: time(&self.completion_time, member).filter(|_| is_end(state)),
        })
    }
}

/// The objects that a list or an object holds.
fn members(list: Option<Json<'_>>) -> impl Iterator<Item = Json<'_>> {
    list.into_iter().flat_map(Json::values).filter(|member| member.is_object())
}
