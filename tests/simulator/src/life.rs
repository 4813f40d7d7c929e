//! What a scripted operation is: the cloud it runs on, the stages it lives through, and the tasks seen in each.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de};

use crate::clouds::Cloud;

/// Where in a cloud an operation lives: what its path carries besides the operation's own ID. Each cloud's file has a
/// constructor.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The space, project or service instance; empty for a fleet's federation, which has none.
    pub(crate) owner: String,
    pub(crate) cluster: String,
}

impl Scope {
    pub(crate) fn new(owner: impl Into<String>, cluster: impl Into<String>) -> Self {
        Self { owner: owner.into(), cluster: cluster.into() }
    }
}

/// In a scenario the owner stands under the word that a cloud has for it ([`crate::clouds::ScopeShape`]).
impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut scope = Self::default();
        let is_owner = |word: &str| Cloud::ALL.iter().any(|cloud| cloud.api().scope().owner == Some(word));
        for (name, value) in BTreeMap::<String, String>::deserialize(input)? {
            let member = match name.as_str() {
                "cluster" => &mut scope.cluster,
                word if word == "owner" || is_owner(word) => &mut scope.owner,
                _ => return Err(de::Error::custom(format!("unknown member {name:?} of a scope"))),
            };
            if !member.is_empty() {
                return Err(de::Error::custom(format!("a scope has one owner: {name:?} is a second one")));
            }
            *member = value;
        }
        Ok(scope)
    }
}

/// Names one scripted operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub cloud: Cloud,
    pub scope: Scope,
    pub id: String,
}

/// A scripted operation. Its life begins at the first request that sees it, and goes through its stages in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    pub(crate) cloud: Cloud,
    #[serde(default)]
    pub(crate) scope: Scope,
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) target: Resource,
    #[serde(default)]
    pub(crate) job_uid: Option<String>,
    #[serde(default)]
    pub(crate) repeats: bool,
    pub(crate) stages: Vec<Stage>,
}

/// What an operation works on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resource {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
}

impl Operation {
    pub fn new(cloud: Cloud, scope: Scope, id: impl Into<String>) -> Self {
        Self {
            cloud,
            scope,
            id: id.into(),
            kind: String::new(),
            target: Resource::default(),
            job_uid: None,
            repeats: false,
            stages: Vec::new(),
        }
    }

    /// What the cloud calls this type of operation, e.g. `CreateCluster`.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// The resource worked on; where the scope has a cluster, that cluster is the default.
    pub fn target(mut self, id: impl Into<String>, name: impl Into<String>) -> Self {
        self.target = Resource { id: id.into(), name: name.into() };
        self
    }

    /// UCS only: the job's `metadata.uid`, a random one by default. The path carries the fleet, so two jobs of one
    /// fleet differ in nothing else.
    pub fn job_uid(mut self, uid: impl Into<String>) -> Self {
        self.job_uid = Some(uid.into());
        self
    }

    pub fn stage(mut self, stage: Stage) -> Self {
        self.stages.push(stage);
        self
    }

    /// After the last stage the first comes again: a cloud that cannot make up its mind.
    pub fn repeats(mut self) -> Self {
        self.repeats = true;
        self
    }

    pub fn key(&self) -> Key {
        Key { cloud: self.cloud, scope: self.scope.clone(), id: self.id.clone() }
    }
}

/// A part of an operation's life during which the cloud says the same. It ends after its duration, after its number of
/// polls, or when told to ([`crate::Simulator::advance`]); the last one never ends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default, rename = "seconds", deserialize_with = "seconds")]
    pub(crate) lasting: Option<Duration>,
    #[serde(default)]
    pub(crate) polls: Option<u32>,
    #[serde(default)]
    pub(crate) progress: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<Failure>,
    #[serde(default)]
    pub(crate) tasks: Vec<Task>,
    #[serde(default)]
    pub(crate) raw: Option<String>,
    #[serde(default)]
    pub(crate) gone: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    #[serde(default)]
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Stage {
    /// The cloud's own word, put where that cloud has it (`status`, `status.phase`, `task.status`).
    pub fn state(word: impl Into<String>) -> Self {
        Self { state: word.into(), ..Self::default() }
    }

    /// Answers 200 with exactly these bytes. In a list they stand as one element.
    pub fn raw(json: impl Into<String>) -> Self {
        Self { raw: Some(json.into()), ..Self::default() }
    }

    /// The cloud knows the operation no more: its 404 for an unknown ID.
    pub fn gone() -> Self {
        Self { gone: true, ..Self::default() }
    }

    pub fn lasting(mut self, duration: Duration) -> Self {
        self.lasting = Some(duration);
        self
    }

    /// Answers this many polls (lists count), then the next stage begins.
    pub fn for_polls(mut self, polls: u32) -> Self {
        self.polls = Some(polls);
        self
    }

    /// NumSpot's `progress` text; the other clouds have no such field.
    pub fn progress(mut self, text: impl Into<String>) -> Self {
        self.progress = Some(text.into());
        self
    }

    /// NumSpot and SberCloud: the `error` member (SberCloud's code is a google.rpc number). Jobs: `status.reason`.
    /// An upgrade workflow has no place for it.
    pub fn error(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.error = Some(Failure { code: code.into(), message: message.into() });
        self
    }

    pub(crate) fn tasks(mut self, tasks: Vec<Task>) -> Self {
        self.tasks = tasks;
        self
    }

    /// A sub-job (UCS, OTC) or a point of the workflow (Huawei CCE). NumSpot and SberCloud have none.
    pub fn task(mut self, task: Task) -> Self {
        self.tasks.push(task);
        self
    }
}

/// A part of an operation, as seen in one stage.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    #[serde(default)]
    pub(crate) id: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) tasks: Vec<Task>,
    /// A job's `extendParam`.
    #[serde(default, rename = "extendParam")]
    pub(crate) extend: BTreeMap<String, String>,
}

impl Task {
    /// A task without a state: a sub-job whose `status` is missing, or a point that has not started.
    pub fn new(id: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { id: id.into(), kind: kind.into(), state: None, reason: None, tasks: Vec::new(), extend: BTreeMap::new() }
    }

    pub fn state(mut self, word: impl Into<String>) -> Self {
        self.state = Some(word.into());
        self
    }

    /// A job's `status.reason`; a workflow's points have none.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub fn task(mut self, task: Task) -> Self {
        self.tasks.push(task);
        self
    }
}

fn seconds<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    let seconds = f64::deserialize(input)?;
    Duration::try_from_secs_f64(seconds).map(Some).map_err(de::Error::custom)
}
