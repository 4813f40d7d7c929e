//! One operation followed from `kubectl apply` to its end, held against a reviewed expectation.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use cloudop_simulator::{Key, Matcher, Operation};
use cloudop_testbed::{Bed, Process, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

/// Long enough for a poll on a busy machine, short enough to wait for when a test is red.
const SOON: Duration = Duration::from_secs(60);
const TIMES: [&str; 7] = [
    "startTime",
    "completionTime",
    "trackingStartTime",
    "lastProgressTime",
    "lastTransitionTime",
    "notFoundSince",
    "configurationFaultSince",
];

pub fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A scripted operation, the CloudOperation that follows it, and what was seen of that so far.
pub struct Story {
    _controller: Process,
    pub bed: Bed,
    pub key: Key,
    pub name: String,
    file: PathBuf,
    expected: Value,
    seen: Vec<String>,
    last: Option<Value>,
    text: String,
    began: Timestamp,
}

impl Story {
    /// A cloud with `operation` and a controller; what is to be seen stands in the file of `case`,
    /// `<provider>/<name>`.
    pub fn new(case: &str, operation: Operation) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/lives/{case}.yaml"));
        let expected = match std::fs::read_to_string(&file) {
            Ok(text) => serde_saphyr::from_str(&text).unwrap(),
            Err(_) if updates() => Value::Null,
            Err(error) => panic!("{}: {error}", file.display()),
        };
        let bed = bed();
        // What is seen later has no fraction of a second.
        let began = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        Self {
            _controller: bed.controller(&[]),
            key: bed.simulator.put(operation),
            bed,
            name: case.rsplit('/').next().unwrap().to_owned(),
            file,
            expected,
            seen: Vec::new(),
            last: None,
            text: String::new(),
            began,
        }
    }

    /// Applies a CloudOperation that is polled every second; `more` are further lines of its spec.
    pub fn apply(&self, provider: &str, more: &str) {
        let more = format!("pollIntervalSeconds: 1\n{more}");
        self.bed.apply(&Bed::operation(&self.name, provider, &self.key.id, more.trim_end()));
    }

    /// The cloud goes on to the next stage, after at least one more poll that brings nothing new.
    #[track_caller]
    pub fn advance(&self) {
        let polls = || self.bed.simulator.count(Matcher::any());
        let before = polls();
        eventually(SOON, "another poll", || if polls() > before { Ok(()) } else { Err(format!("{before} so far")) });
        assert!(self.bed.simulator.advance(&self.key), "the script has no further stage");
    }

    /// Waits until the status is the one expected at this moment, and returns it.
    #[track_caller]
    pub fn see(&mut self, moment: &str) -> Value {
        let status = if updates() {
            self.settled()
        } else {
            let expected = &self.expected[moment];
            eventually(SOON, &format!("{} at the moment {moment:?}", self.file.display()), || {
                let status = self.bed.get(&self.name)?["status"].take();
                let mut differences = Vec::new();
                compare("", expected, &self.normalise(&status), &mut differences);
                if differences.is_empty() { Ok(status) } else { Err(differences.join("\n")) }
            })
        };
        self.check_times(&status);
        let normal = self.normalise(&status);
        write_status(&mut self.text, moment, &normal);
        assert_ne!(self.last.as_ref(), Some(&normal), "at the moment {moment:?} all is as before");
        self.last = Some(normal);
        self.seen.push(moment.to_owned());
        status
    }

    /// The next stage, and what is to be seen in it.
    #[track_caller]
    pub fn advance_to(&mut self, moment: &str) -> Value {
        self.advance();
        self.see(moment)
    }

    /// Waits for the end as a pipeline does, compares the verdict, and sees the status.
    #[track_caller]
    pub fn end(&mut self, moment: &str, succeeded: bool) -> Value {
        let object = format!("cloudop/{}", self.name);
        let finished = self.bed.kubectl(&["wait", &object, "--for=condition=Finished", "--timeout=60s"]);
        assert!(finished.success(), "{}", finished.stderr);
        let verdict = self.bed.kubectl(&["wait", &object, "--for=condition=Succeeded", "--timeout=0s"]);
        assert_eq!(verdict.success(), succeeded, "{}{}", verdict.stdout, verdict.stderr);
        self.see(moment)
    }

    /// The user edits the object.
    #[track_caller]
    pub fn patch(&self, patch: &str) {
        let output = self.bed.kubectl(&["patch", "cloudop", &self.name, "--type=merge", "--patch", patch]);
        assert!(output.success(), "{}", output.stderr);
    }

    /// Makes the user's patience end at once, so that the end comes at a moment that a test can name.
    #[track_caller]
    pub fn end_the_grace(&self) {
        self.patch(r#"{"spec":{"notFoundGraceSeconds":0}}"#);
    }

    /// Compares the Events, and how often the status was written: once for each moment.
    #[track_caller]
    pub fn close(mut self) {
        if updates() {
            sleep(Duration::from_secs(2));
            let events = self.events();
            self.text.push_str("events:\n");
            for event in events {
                let _ = writeln!(self.text, "- {}", Value::from(event));
            }
            std::fs::create_dir_all(self.file.parent().unwrap()).unwrap();
            std::fs::write(&self.file, &self.text).unwrap();
            return;
        }
        let mut expected = self.expected.as_object().unwrap().clone();
        let events: Vec<String> = serde_json::from_value(expected.remove("events").unwrap()).unwrap();
        assert_eq!(expected.len(), self.seen.len(), "the file tells of more moments than {:?}", self.seen);
        eventually(SOON, "the Events", || {
            let told = self.events();
            if told == events { Ok(()) } else { Err(format!("{told:#?} instead of {events:#?}")) }
        });
        assert_eq!(self.writes(), self.seen.len(), "writes of the status");
    }

    /// How often the status was written.
    fn writes(&self) -> usize {
        let log = self.bed.asked().resource("cloudoperations").subresource("status").name(&self.name);
        log.keep(|event| event.verb != "get" && event.code < 300).len()
    }

    /// The Events in the order they were written, each with its type, reason and note.
    fn events(&self) -> Vec<String> {
        let about = format!("regarding.name={}", self.name);
        let output = self.bed.kubectl(&["get", "events.events.k8s.io", "--field-selector", &about, "-o", "json"]);
        let list: Value = serde_json::from_str(&output.stdout).unwrap();
        let mut events: Vec<&Value> = list["items"].as_array().unwrap().iter().collect();
        events.sort_by_key(|event| event["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap());
        let told = |event: &&Value| {
            let [kind, reason, note] = ["type", "reason", "note"].map(|key| event[key].as_str().unwrap_or_default());
            let note = match note.split_once("answers again after ") {
                Some((before, _)) => &format!("{before}answers again after <time>"),
                None => note,
            };
            self.without_port(&format!("{kind} {reason}: {note}"))
        };
        events.iter().map(told).collect()
    }

    /// The status once it is another than at the last moment and has been the same for some polls.
    fn settled(&self) -> Value {
        let mut last = Value::Null;
        eventually(SOON, "another status", || {
            sleep(Duration::from_secs(2));
            let status = self.bed.get(&self.name)?["status"].take();
            let normal = self.normalise(&status);
            let is_new = status["trackingStartTime"].is_string() && self.last.as_ref() != Some(&normal);
            if is_new && status == last {
                return Ok(status);
            }
            last = status;
            Err(format!("{last:#}"))
        })
    }

    /// `value` without what differs from run to run: times since the story began, and the simulator's port.
    fn normalise(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| match time(value) {
                    Some(time) if TIMES.contains(&key.as_str()) && time >= self.began => {
                        (key.clone(), Value::from("<time>"))
                    }
                    _ => (key.clone(), self.normalise(value)),
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items.iter().map(|item| self.normalise(item)).collect(),
            Value::String(text) => Value::from(self.without_port(text)),
            other => other.clone(),
        }
    }

    fn without_port(&self, text: &str) -> String {
        text.replace(&format!("localhost:{}", self.bed.simulator.port()), "cloud")
    }

    /// Nothing is in the future, nothing ends before it starts, and what the controller itself did or saw is not older
    /// than the story.
    #[track_caller]
    fn check_times(&self, status: &Value) {
        let now = Timestamp::now();
        let mut given = Vec::new();
        collect_times(status, &mut given);
        for (key, text) in given {
            let at: Timestamp = text.parse().unwrap_or_else(|error| panic!("{key} {text}: {error}"));
            assert!(at <= now, "{key} {text} lies ahead of {now}");
        }
        let conditions = status["conditions"].as_array().unwrap();
        let own = conditions.iter().map(|condition| &condition["lastTransitionTime"]);
        for value in own.chain([&status["trackingStartTime"], &status["lastProgressTime"], &status["notFoundSince"]]) {
            assert!(time(value).is_none_or(|at| at >= self.began), "{value} is older than {}", self.began);
        }
        let begun = |value: &Value| time(&value["startTime"]);
        for part in status["subJobs"].as_array().into_iter().flatten().chain([status]) {
            let in_order = time(&part["completionTime"]).is_none_or(|end| begun(part).is_none_or(|start| start <= end));
            assert!(in_order, "{part:#} ends before it starts");
        }
        // A second for the clouds' fractions.
        let first = begun(status).map(|start| start - SignedDuration::from_secs(1));
        for part in status["subJobs"].as_array().into_iter().flatten() {
            assert!(begun(part).is_none_or(|start| Some(start) >= first), "{part:#} starts before its operation");
        }
    }
}

fn updates() -> bool {
    std::env::var_os("UPDATE_EXPECTED").is_some()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn collect_times<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if TIMES.contains(&key.as_str()) => found.push((key, text)),
                    _ => collect_times(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_times(item, found)),
        _ => {}
    }
}

/// Where `seen` is not as `expected`.
fn compare(place: &str, expected: &Value, seen: &Value, differences: &mut Vec<String>) {
    match (expected, seen) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                compare(&format!("{place}.{key}"), &expected[key], &seen[key], differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (number, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{place}[{number}]"), a, b, differences);
            }
        }
        _ if expected == seen => {}
        _ => differences.push(format!("{place}: {seen} instead of {expected}")),
    }
}

/// YAML with a line for each fact, each part and each condition.
fn write_status(text: &mut String, moment: &str, status: &Value) {
    let _ = writeln!(text, "{moment}:");
    for (key, value) in status.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) => {
                let _ = writeln!(text, "  {key}:");
                for item in items {
                    let _ = writeln!(text, "  - {}", in_one_line(item));
                }
            }
            value => {
                let _ = writeln!(text, "  {key}: {}", in_one_line(value));
            }
        }
    }
}

fn in_one_line(value: &Value) -> String {
    const FIRST: [&str; 7] = ["type", "status", "reason", "id", "name", "phase", "message"];
    let Some(map) = value.as_object() else { return value.to_string() };
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by_key(|(key, _)| FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()));
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}: {}", in_one_line(value))).collect();
    format!("{{{}}}", members.join(", "))
}
