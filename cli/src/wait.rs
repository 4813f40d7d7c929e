//! Waits until operations are over, and says what became of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};
use cloudop::api::CloudOperation;
use futures::StreamExt;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::cluster::{Cluster, trouble};
use crate::exit::{Error, Exit};
use crate::screen::{self, Mark, Results};
use crate::verdict::{Verdict, cause, line, next_step, verdict};

/// How long the API server may be silent or refuse before that is the result.
const LONGEST_TROUBLE: Duration = Duration::from_secs(60);

/// What is waited for.
#[derive(Args, Clone, Debug)]
pub struct WaitFlags {
    /// CloudOperations, by their names
    #[arg(value_name = "NAME", required_unless_present_any = ["selector", "all"], conflicts_with_all = ["selector", "all"])]
    pub names: Vec<String>,
    /// Those with these labels: together they are one gate
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "all")]
    pub selector: Option<String>,
    /// All of the namespace
    #[arg(long)]
    pub all: bool,
    /// How long, and what is printed in the end.
    #[command(flatten)]
    pub how: HowFlags,
}

/// How long, and what is printed in the end.
#[derive(Args, Clone, Debug)]
pub struct HowFlags {
    /// How long to wait, such as 30s, 45m or 2h
    #[arg(long, default_value = "2h", value_parser = span, value_name = "TIME")]
    pub timeout: Duration,
    /// Wait on where a person has to act, rather than to end with exit code 5
    #[arg(long)]
    pub patient: bool,
    /// How long to wait for objects that do not exist yet
    #[arg(long, default_value = "1m", value_parser = span, value_name = "TIME")]
    pub for_create: Duration,
    /// What to print on standard output in the end
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// How objects are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Their names
    Name,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// A time as people write it: 90s, 5m, 2h, 1h30m.
///
/// # Errors
/// What it should look like.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time such as 30s, 45m or 2h");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let seconds = span.total((jiff::Unit::Second, jiff::SpanRelativeTo::days_are_24_hours())).map_err(|_| wrong())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// Which operations are waited for.
enum Wanted {
    Names(Vec<String>),
    /// Those that the watch shows: it has a selector, or is of all.
    Shown,
}

/// What is known of one.
#[derive(Default)]
struct Known {
    object: Option<CloudOperation>,
    said: String,
    is_deleted: bool,
}

/// Waits as the flags say.
///
/// # Errors
/// The cluster's trouble, or names that cannot be meant.
pub async fn wait(cluster: &Cluster, flags: &WaitFlags) -> Result<Exit, Error> {
    let wanted = match flags.selector.is_some() || flags.all {
        true => Wanted::Shown,
        false => Wanted::Names(flags.names.iter().map(|name| plain(name)).collect()),
    };
    let mut config = watcher::Config::default();
    if let Some(selector) = &flags.selector {
        config = config.labels(selector);
    }
    if let Wanted::Names(names) = &wanted
        && let [name] = names.as_slice()
    {
        config = config.fields(&format!("metadata.name={name}"));
    }
    // Trouble that will not pass by itself is told at once.
    let list = kube::api::ListParams { limit: Some(1), label_selector: flags.selector.clone(), ..Default::default() };
    if let Err(error @ kube::Error::Api(_)) = cluster.operations().list(&list).await {
        return Err(trouble(&error, "list", "CloudOperations"));
    }
    Waiting { wanted, known: BTreeMap::new(), how: &flags.how }.run(cluster, config).await
}

/// `cloudop/NAME` is what kubectl takes.
fn plain(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

struct Waiting<'a> {
    wanted: Wanted,
    known: BTreeMap<String, Known>,
    how: &'a HowFlags,
}

impl Waiting<'_> {
    async fn run(mut self, cluster: &Cluster, config: watcher::Config) -> Result<Exit, Error> {
        let api: Api<CloudOperation> = Api::namespaced(cluster.watch_client.clone(), &cluster.namespace);
        let mut events = watcher(api, config).default_backoff().boxed();
        let (begun, mut last_good) = (Instant::now(), Instant::now());
        let ends = begun + self.how.timeout;
        let created_by = begun + self.how.for_create.min(self.how.timeout);
        let mut is_listed = false;
        loop {
            let exit = is_listed.then(|| self.ended(Instant::now() >= created_by)).flatten();
            if let Some(exit) = exit {
                return self.conclude(exit);
            }
            let next = if Instant::now() < created_by { created_by.min(ends) } else { ends };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
                () = sleep_until(next.min(last_good + LONGEST_TROUBLE)), if !is_listed => {
                    let now = Instant::now();
                    if now >= ends.min(last_good + LONGEST_TROUBLE) {
                        let waited = (now - begun).as_secs();
                        return Err(Error::cluster(format!(
                            "the API server gave no list of CloudOperations within {waited} s: is it the right context, and is there a way to it from here?"
                        )));
                    }
                }
                () = sleep_until(next), if is_listed => {
                    if Instant::now() >= ends {
                        let exits = self.exits(Exit::Timeout);
                        return self.conclude(Exit::of_several(exits));
                    }
                }
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        // Each attempt to list begins with an event of its own, which tells nothing of its success.
                        if !matches!(event, Event::Init) {
                            last_good = Instant::now();
                        }
                        is_listed |= matches!(event, Event::InitDone);
                        self.take(event);
                    }
                    Some(Err(error)) => {
                        screen::note(&format!("the watch was lost, trying again: {}", crate::cluster::chain(&error)));
                        if Instant::now() >= last_good + LONGEST_TROUBLE {
                            return Err(Error::cluster("the watch could not be renewed for a minute"));
                        }
                    }
                    None => return Err(Error::cluster("the watch ended")),
                },
            }
        }
    }

    fn is_wanted(&self, name: &str) -> bool {
        match &self.wanted {
            Wanted::Names(names) => names.iter().any(|wanted| wanted == name),
            Wanted::Shown => true,
        }
    }

    fn take(&mut self, event: Event<CloudOperation>) {
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                let name = object.name_any();
                if self.is_wanted(&name) {
                    let known = self.known.entry(name).or_default();
                    let line = line(&object);
                    if known.said != line {
                        screen::progress(&line);
                        known.said = line;
                    }
                    (known.object, known.is_deleted) = (Some(object), false);
                }
            }
            Event::Delete(object) => {
                if let Some(known) = self.known.get_mut(&object.name_any()) {
                    screen::progress(&format!("{}: deleted", object.name_any()));
                    known.is_deleted = true;
                }
            }
            Event::Init | Event::InitDone => {}
        }
    }

    /// The exit code, once nothing more is to be waited for. `is_late`: what does not exist by now is not waited for.
    fn ended(&self, is_late: bool) -> Option<Exit> {
        let missing = match &self.wanted {
            Wanted::Names(names) => names.iter().any(|name| !self.known.contains_key(name)),
            Wanted::Shown => self.known.is_empty(),
        };
        if missing && !is_late {
            return None;
        }
        let exits = self.exits(Exit::Succeeded);
        let waits = |known: &Known| self.exit(known).is_none();
        // A failure is final for a group, too, but the others are waited for: who reads it wants to know of all.
        (!self.known.values().any(waits)).then(|| Exit::of_several(exits))
    }

    /// How each stands; `open` for those that go on.
    fn exits(&self, open: Exit) -> Vec<Exit> {
        let missing = match &self.wanted {
            Wanted::Names(names) => names.iter().filter(|name| !self.known.contains_key(*name)).count(),
            Wanted::Shown => usize::from(self.known.is_empty()),
        };
        let known = self.known.values().map(|known| self.exit(known).unwrap_or(open));
        known.chain(std::iter::repeat_n(Exit::Unknown, missing)).collect()
    }

    fn exit(&self, known: &Known) -> Option<Exit> {
        let over = known.object.as_ref().map(verdict);
        match over {
            Some(Verdict::Over(exit)) => Some(exit),
            _ if known.is_deleted => Some(Exit::Unknown),
            Some(Verdict::Stalled) if !self.how.patient => Some(Exit::NeedsPerson),
            _ => None,
        }
    }

    fn results(&self) -> Results {
        if self.how.output.is_some() { Results::Err } else { Results::Out }
    }

    /// Says what became of each.
    fn conclude(&self, exit: Exit) -> Result<Exit, Error> {
        if let Wanted::Names(names) = &self.wanted {
            for name in names.iter().filter(|name| !self.known.contains_key(*name)) {
                self.results().result(Mark::Unknown, &format!("{name}: there is no such CloudOperation"));
            }
        } else if self.known.is_empty() {
            self.results().result(Mark::Unknown, "there are no such CloudOperations");
        }
        for (name, known) in &self.known {
            self.tell(name, known);
        }
        if let Some(format) = self.how.output {
            let objects: Vec<&CloudOperation> = self.known.values().filter_map(|known| known.object.as_ref()).collect();
            print(&objects, format)?;
        }
        Ok(exit)
    }

    fn tell(&self, name: &str, known: &Known) {
        let Some(object) = &known.object else { return };
        let (mark, what) = match self.exit(known) {
            Some(Exit::Succeeded) => (Mark::Good, "succeeded"),
            Some(Exit::Failed) => (Mark::Bad, "failed"),
            Some(Exit::Timeout) => (Mark::Bad, "passed its deadline"),
            Some(Exit::NeedsPerson) => (Mark::Bad, "needs a person"),
            Some(_) if known.is_deleted => (Mark::Unknown, "was deleted"),
            Some(_) => (Mark::Unknown, "has an unknown outcome"),
            None => (Mark::Unknown, "is not over"),
        };
        let message = line(object);
        let message = message.strip_prefix(name).unwrap_or(&message);
        self.results().result(mark, &format!("{name} {what}{message}"));
        if mark == Mark::Good {
            return;
        }
        let next = next_step(object).map(|next| format!("next: {next}"));
        let details: Vec<String> = cause(object).into_iter().chain(next).collect();
        for line in &details {
            self.results().detail(line);
        }
        crate::github::annotate(&format!("{name} {what}"), message.trim_start_matches(": "), &details);
    }
}

/// Prints objects on standard output.
///
/// # Errors
/// They cannot be written.
pub fn print(objects: &[&CloudOperation], format: Format) -> Result<(), Error> {
    let text = match (format, objects) {
        (Format::Name, objects) => {
            objects.iter().map(|object| format!("cloudoperation.cloudop.dev/{}\n", object.name_any())).collect()
        }
        (format, [object]) => render(&json!(object), format)?,
        (format, objects) => {
            render(&json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": objects}), format)?
        }
    };
    // A reader that has gone is no failure of the operation.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// A value as text.
///
/// # Errors
/// It cannot be written so.
pub fn render(value: &Value, format: Format) -> Result<String, Error> {
    match format {
        Format::Yaml => serde_saphyr::to_string(value).map_err(|error| Error::usage(error.to_string())),
        _ => Ok(format!("{value:#}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("30s", Some(30))]
    #[case("45m", Some(2700))]
    #[case("2h", Some(7200))]
    #[case("1h30m", Some(5400))]
    #[case("1d", Some(86_400))]
    #[case("0s", Some(0))]
    #[case("-5s", None)]
    #[case("30", None)]
    #[case("soon", None)]
    fn a_time_is_written_as_people_do(#[case] text: &str, #[case] seconds: Option<u64>) {
        assert_eq!(span(text).ok(), seconds.map(Duration::from_secs));
    }
}
