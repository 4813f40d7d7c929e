//! Shows how operations stand, as it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use cloudop::api::CloudOperation;
use console::Term;
use futures::StreamExt;
use jiff::Timestamp;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cluster::{Cluster, ScopeFlags, chain, trouble};
use crate::exit::{Error, Exit};
use crate::frame::Scene;
use crate::screen::short;
use crate::verdict::{Verdict, line, verdict};

/// The time between two frames.
const FRAME: Duration = Duration::from_millis(200);
/// What opens a screen of its own without a cursor (xterm's private modes 1049 and 25).
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
/// What brings back what stood there.
const END: &str = "\x1b[?25h\x1b[?1049l";

/// What is watched.
#[derive(Args, Clone, Debug)]
pub struct WatchFlags {
    /// CloudOperations, by their names; it ends once all of them are over. By default all of the namespace
    #[arg(value_name = "NAME", conflicts_with_all = ["selector", "all_namespaces"])]
    pub names: Vec<String>,
    /// Which of several.
    #[command(flatten)]
    pub scope: ScopeFlags,
}

/// Watches as the flags say.
///
/// # Errors
/// The cluster's trouble.
pub async fn watch(cluster: &Cluster, flags: &WatchFlags) -> Result<Exit, Error> {
    let names: Vec<String> =
        flags.names.iter().map(|name| name.rsplit('/').next().unwrap_or_default().to_owned()).collect();
    let mut config = watcher::Config::default();
    if let Some(selector) = &flags.scope.selector {
        config = config.labels(selector);
    }
    if let [name] = names.as_slice() {
        config = config.fields(&format!("metadata.name={name}"));
    }
    let [asked, watched]: [Api<CloudOperation>; 2] = match flags.scope.all_namespaces {
        true => [Api::all(cluster.client.clone()), Api::all(cluster.watch_client.clone())],
        false => [cluster.operations(), Api::namespaced(cluster.watch_client.clone(), &cluster.namespace)],
    };
    // Trouble that will not pass by itself is told at once.
    let list =
        kube::api::ListParams { limit: Some(1), label_selector: flags.scope.selector.clone(), ..Default::default() };
    asked.list(&list).await.map_err(|error| trouble(&error, "list", "CloudOperations"))?;
    let seen = Seen { names, with_namespaces: flags.scope.all_namespaces, ..Seen::default() };
    let events = watcher(watched, config).default_backoff().boxed();
    // The screen is put back before anything else is said.
    let (seen, exit) = match std::io::stdout().is_terminal() {
        true => seen.draw(events).await,
        false => seen.print(events).await,
    };
    if std::io::stdout().is_terminal() {
        let last = seen.frame(None, usize::from(Term::stdout().size().1), usize::MAX);
        last.iter().for_each(|line| println!("{line}"));
    }
    Ok(exit)
}

/// What has been seen.
#[derive(Default)]
struct Seen {
    /// The names that are asked for; all if there are none.
    names: Vec<String>,
    with_namespaces: bool,
    operations: BTreeMap<(String, String), CloudOperation>,
    /// Those that a new list has had so far.
    listed: BTreeSet<(String, String)>,
    /// Since when the watch is lost, and why.
    lost: Option<(Instant, String)>,
}

type Events<'a> = futures::stream::BoxStream<'a, Result<Event<CloudOperation>, watcher::Error>>;

impl Seen {
    /// Takes an event in; the line that it is worth, if any.
    fn take(&mut self, event: Result<Event<CloudOperation>, watcher::Error>) -> Option<String> {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let is_new = self.lost.is_none();
                let (_, why) = self.lost.get_or_insert((Instant::now(), String::new()));
                *why = chain(&error);
                return is_new.then(|| format!("the watch was lost, trying again: {why}"));
            }
        };
        self.lost = None;
        match event {
            Event::Init => self.listed.clear(),
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.operations.retain(|key, _| listed.contains(key));
            }
            Event::Apply(object) | Event::InitApply(object) => {
                let key = key(&object);
                if !self.names.is_empty() && !self.names.contains(&key.1) {
                    return None;
                }
                let said = self.line(&object);
                self.listed.insert(key.clone());
                let before = self.operations.insert(key, object);
                return (before.map(|before| self.line(&before)).as_ref() != Some(&said)).then_some(said);
            }
            Event::Delete(object) => {
                let known = self.operations.remove(&key(&object))?;
                return Some(format!("{}: deleted", known.name_any()));
            }
        }
        None
    }

    fn line(&self, object: &CloudOperation) -> String {
        match object.namespace().filter(|_| self.with_namespaces) {
            Some(namespace) => format!("{namespace}/{}", line(object)),
            None => line(object),
        }
    }

    /// The verdict, once all that were asked for by name are over.
    fn ended(&self) -> Option<Exit> {
        if self.names.is_empty() || self.operations.len() < self.names.len() {
            return None;
        }
        let exits = self.operations.values().map(|operation| match verdict(operation) {
            Verdict::Over(exit) => Some(exit),
            Verdict::GoesOn | Verdict::Stalled => None,
        });
        exits.collect::<Option<Vec<Exit>>>().map(Exit::of_several)
    }

    fn frame(&self, tick: Option<usize>, width: usize, height: usize) -> Vec<String> {
        let operations: Vec<&CloudOperation> = self.operations.values().collect();
        let is_known = |name: &String| operations.iter().any(|operation| operation.name_any() == *name);
        let missing: Vec<&str> = self.names.iter().filter(|name| !is_known(name)).map(String::as_str).collect();
        let trouble = self.lost.as_ref().map(|(since, why)| {
            format!("not up to date for {}: the watch was lost, trying again: {why}", short(since.elapsed()))
        });
        let scene = Scene {
            operations: &operations,
            missing: &missing,
            with_namespaces: self.with_namespaces,
            trouble: trouble.as_deref(),
            now: Timestamp::now(),
            tick,
        };
        scene.lines(width, height)
    }

    /// Draws it in the terminal until it is over.
    async fn draw(mut self, mut events: Events<'_>) -> (Self, Exit) {
        let _screen = Screen::open();
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut tick = 0;
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return (self, Exit::Interrupted),
                Some(event) = events.next() => {
                    self.take(event);
                }
                _ = frames.tick() => {
                    tick += 1;
                    let (height, width) = Term::stdout().size();
                    Screen::show(&self.frame(Some(tick), width.into(), height.into()));
                }
            }
            if let Some(exit) = self.ended() {
                return (self, exit);
            }
        }
    }

    /// Prints a line for each change until it is over.
    async fn print(mut self, mut events: Events<'_>) -> (Self, Exit) {
        loop {
            let event = tokio::select! {
                _ = tokio::signal::ctrl_c() => return (self, Exit::Interrupted),
                Some(event) = events.next() => event,
            };
            if let Some(line) = self.take(event) {
                // Who reads it has gone.
                if writeln!(std::io::stdout(), "{line}").is_err() {
                    return (self, Exit::Interrupted);
                }
            }
            if let Some(exit) = self.ended() {
                return (self, exit);
            }
        }
    }
}

fn key(object: &CloudOperation) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// A screen beside that of the shell; closed when dropped.
struct Screen;

impl Screen {
    fn open() -> Self {
        write(BEGIN);
        Self
    }

    /// Shows the lines and nothing else, in one write, so that it does not flicker.
    fn show(lines: &[String]) {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
        write(&format!("\x1b[H{}\x1b[J", lines.join("\r\n")));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write(END);
    }
}

/// A terminal that cannot be written to has nobody in front of it.
fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(name: &str, succeeded: &str) -> CloudOperation {
        let condition = json!({"type": "Succeeded", "status": succeeded, "reason": "R", "message": "m",
                               "lastTransitionTime": "2026-01-01T00:00:00Z"});
        serde_json::from_value(json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": name, "namespace": "n"},
            "spec": {"provider": {"huaweiUcsFederation": {}}, "operationId": "a", "credentialsRef": {"name": "c"}},
            "status": {"phase": "Running", "conditions": [condition]},
        }))
        .unwrap()
    }

    fn names(seen: &Seen) -> Vec<&str> {
        seen.operations.keys().map(|(_, name)| name.as_str()).collect()
    }

    #[test]
    fn what_a_new_list_lacks_is_gone_and_a_lost_watch_is_said_once() {
        let mut seen = Seen::default();
        for event in [Event::Init, Event::InitApply(operation("a", "Unknown")), Event::InitDone] {
            seen.take(Ok(event));
        }
        assert_eq!(seen.take(Ok(Event::Apply(operation("b", "Unknown")))).unwrap(), "b: Running: m");
        assert_eq!(seen.take(Ok(Event::Apply(operation("b", "Unknown")))), None);
        let lost = || Err(watcher::Error::NoResourceVersion);
        assert!(seen.take(lost()).unwrap().contains("the watch was lost"));
        assert_eq!(seen.take(lost()), None);
        assert!(seen.frame(Some(0), 200, 20).iter().any(|line| line.contains("not up to date for 0s")));
        seen.take(Ok(Event::Init));
        seen.take(Ok(Event::InitApply(operation("b", "Unknown"))));
        assert_eq!(names(&seen), ["a", "b"]);
        seen.take(Ok(Event::InitDone));
        assert_eq!(names(&seen), ["b"]);
        assert!(seen.lost.is_none());
    }

    #[test]
    fn it_ends_once_all_that_are_named_are_over() {
        let mut seen = Seen { names: vec!["a".into(), "b".into()], ..Seen::default() };
        seen.take(Ok(Event::Apply(operation("a", "False"))));
        seen.take(Ok(Event::Apply(operation("other", "True"))));
        assert_eq!((names(&seen), seen.ended()), (vec!["a"], None));
        seen.take(Ok(Event::Apply(operation("b", "Unknown"))));
        assert_eq!(seen.ended(), None);
        seen.take(Ok(Event::Apply(operation("b", "True"))));
        assert_eq!(seen.ended(), Some(Exit::Failed));
    }
}
