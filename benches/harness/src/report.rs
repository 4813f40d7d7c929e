//! The report: tables, and the targets with what the run says to them. Pure but for the file.

use std::{error::Error, fmt::Write, fs, io, path::Path};

use crate::{
    figures::Spread,
    plan::{ACCOUNTS, Plan, Scenario},
    run::Outcome,
    subject::Subject,
};

const BEGIN: &str = "<!-- begin: written by make bench -->\n";
const END: &str = "<!-- end: written by make bench -->\n";
const WRITES: [&str; 5] = ["create", "update", "patch", "apply", "delete"];

/// Writes the report into the part of `path` between the markers, or into a new file.
///
/// # Errors
/// When the file can't be read or written, or has no markers.
pub fn write(path: &Path, machine: &[String], results: &[Outcome]) -> Result<(), Box<dyn Error>> {
    let report = format!("{BEGIN}{}{END}", render(machine, results));
    let text = match fs::read_to_string(path) {
        Ok(text) => splice(&text, &report).ok_or_else(|| format!("{} lacks the markers", path.display()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => report,
        Err(error) => return Err(error.into()),
    };
    Ok(fs::write(path, text)?)
}

fn splice(text: &str, report: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{report}{after}"))
}

/// The report as Markdown.
pub fn render(machine: &[String], results: &[Outcome]) -> String {
    let mut text = String::from("\n## Machine and versions\n\n");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = if arguments.is_empty() { String::new() } else { format!(" BENCH=\"{}\"", arguments.join(" ")) };
    for line in machine {
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(text, "- Command: `make bench{given}`");
    for scenario in [Scenario::Single, Scenario::Http1, Scenario::Listed, Scenario::Job, Scenario::Declared] {
        let results: Vec<&Outcome> = results.iter().filter(|outcome| outcome.scenario == scenario).collect();
        if !results.is_empty() {
            let _ = write!(text, "\n## Scenario *{scenario}*\n\n");
            costs(&mut text, &results);
            times(&mut text, &results);
        }
    }
    targets(&mut text, results);
    text
}

fn costs(text: &mut String, results: &[&Outcome]) {
    text.push_str(
        "| N | subject | polls/s | CPU/poll µs | memory MiB (peak) | API reads/poll | API writes/poll | upstream requests/poll | connections (new) | CPU of API server, etcd % | CPU of the clouds µs/request |\n\
         |--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for outcome in results {
        let window = outcome.window as f64;
        let api = if outcome.subject.follows() {
            let percent = |cpu: f64| 100.0 * cpu / window;
            let (server, etcd) = (percent(outcome.api_server_cpu), percent(outcome.etcd_cpu));
            [per_poll(outcome, outcome.reads()), per_poll(outcome, outcome.writes()), format!("{server:.1}, {etcd:.1}")]
        } else {
            ["–"; 3].map(str::to_owned)
        };
        let [reads, writes, cluster] = api;
        let traffic = &outcome.traffic;
        let refused = if traffic.refused > 0 { format!("; {} refused", traffic.refused) } else { String::new() };
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {:.0} | {:.1} ({:.1}) | {reads} | {writes} | {:.3}{refused} | {} ({}) | {cluster} | {:.0} |",
            outcome.size,
            outcome.subject,
            traffic.polls / window,
            outcome.cpu_per_poll(),
            mib(outcome.resident),
            mib(outcome.peak),
            traffic.requests as f64 / traffic.polls.max(1.0),
            traffic.connections,
            traffic.new_connections,
            1e6 * outcome.simulator_cpu / traffic.requests.max(1) as f64,
        );
    }
}

fn times(text: &mut String, results: &[&Outcome]) {
    text.push_str(
        "\n| N | subject | first status s (p50, p99) | poll lag ms (p50, p99) | restart: first request s | usual rate s | peak rate | all polled s | API writes |\n\
         |--:|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for outcome in results {
        let missing = match outcome.size - outcome.with_status.min(outcome.size) {
            missing if missing > 0 && outcome.subject.follows() => format!(", {missing} without"),
            _ => String::new(),
        };
        let restart = match &outcome.restart {
            None => ["–"; 5].map(str::to_owned),
            Some(restart) => [
                seconds(restart.first),
                seconds(restart.usual_again),
                format!("{:.2}×", restart.peak),
                seconds(restart.all),
                restart.writes.to_string(),
            ],
        };
        let _ = writeln!(
            text,
            "| {} | {} | {}{missing} | {} | {} |",
            outcome.size,
            outcome.subject,
            spread(outcome.first_status, 1.0, 2),
            spread(outcome.traffic.lag, 1000.0, 0),
            restart.join(" | "),
        );
    }
}

impl Outcome {
    /// In µs.
    fn cpu_per_poll(&self) -> f64 {
        1e6 * self.cpu / self.traffic.polls.max(1.0)
    }

    fn writes(&self) -> u64 {
        WRITES.iter().filter_map(|verb| self.verbs.get(*verb)).sum()
    }

    fn reads(&self) -> u64 {
        self.verbs.values().sum::<u64>() - self.writes()
    }
}

/// What the run says to the targets, at its largest size.
fn targets(text: &mut String, results: &[Outcome]) {
    let Some(size) = results.iter().map(|outcome| outcome.size).max() else { return };
    let find =
        |scenario, subject| results.iter().find(|o| o.size == size && o.scenario == scenario && o.subject == subject);
    let _ = write!(text, "\n## Targets, at N = {size}\n\n| target | seen | |\n|---|--:|---|\n");
    let mut row = |target: &str, seen: String, met: bool| {
        let _ = writeln!(text, "| {target} | {seen} | {} |", if met { "met" } else { "**not met**" });
    };
    if let Some(ours) = find(Scenario::Single, Subject::Cloudop) {
        let memory = mib(ours.resident);
        row("resident memory ≤ 48 MiB", format!("{memory:.1} MiB"), memory <= 48.0);
        let share = |value: u64| value as f64 / ours.traffic.polls.max(1.0);
        let (reads, writes) = (share(ours.reads()), ours.writes());
        row("API writes per unchanged poll: 0", writes.to_string(), writes == 0);
        row("API reads per unchanged poll ≤ 0.01", format!("{reads:.4}"), reads <= 0.01);
        let connections = ours.traffic.connections;
        row(&format!("connections ≤ {ACCOUNTS}, the accounts"), connections.to_string(), connections <= ACCOUNTS);
        let new = ours.traffic.new_connections;
        row("new connections in the window: 0", new.to_string(), new == 0);
        if let Some(restart) = &ours.restart {
            let back = restart.usual_again;
            row("restart: the usual rate within 10 s", format!("{} s", seconds(back)), back.is_some_and(|s| s <= 10.0));
            row("restart: peak rate ≤ 1.1 of the usual", format!("{:.2}", restart.peak), restart.peak <= 1.1);
        }
        if let Some(twin) = find(Scenario::Single, Subject::Twin) {
            let ratio = ours.resident as f64 / twin.resident.max(1) as f64;
            row("resident memory / twin's < 1", format!("{ratio:.2}"), ratio < 1.0);
            let ratio = ours.cpu_per_poll() / twin.cpu_per_poll();
            row("CPU per single poll / twin's ≤ 0.35", format!("{ratio:.2}"), ratio <= 0.35);
            if let (Some(own), Some(others)) = (ours.first_status, twin.first_status) {
                let seen = format!("{:.2} s, {:.2} s", own.p99, others.p99);
                row("first status p99 ≤ twin's", seen, own.p99 <= others.p99 && ours.with_status == size);
            }
        }
        if let Some(floor) = find(Scenario::Single, Subject::Floor) {
            let ratio = ours.cpu_per_poll() / floor.cpu_per_poll();
            row("CPU per single poll / bare loop's ≤ 1.2", format!("{ratio:.2}"), ratio <= 1.2);
            row("the prize: CPU per single poll / bare loop's < 1", format!("{ratio:.2}"), ratio < 1.0);
        }
    }
    if let Some(ours) = find(Scenario::Listed, Subject::Cloudop) {
        let lists = Plan::new(Scenario::Listed, size).paths().values().filter(|asked| asked.shows.len() > 1).count();
        let rounds = ours.window as f64 / ours.interval as f64;
        let requests = ours.traffic.requests as f64 / rounds;
        // One on either edge of the window belongs to another round.
        let met = requests <= lists as f64 * (1.0 + 0.02 / rounds) + 1.0;
        row(&format!("list requests an interval: {lists}, one a collection"), format!("{requests:.1}"), met);
        if let Some(twin) = find(Scenario::Listed, Subject::Twin) {
            let ratio = ours.cpu_per_poll() / twin.cpu_per_poll();
            row("CPU per listed operation / twin's ≤ 0.1", format!("{ratio:.3}"), ratio <= 0.1);
        }
    }
    let of_cloudop = |scenario| find(scenario, Subject::Cloudop);
    if let (Some(declared), Some(built_in)) = (of_cloudop(Scenario::Declared), of_cloudop(Scenario::Job)) {
        let ratio = declared.cpu_per_poll() / built_in.cpu_per_poll();
        row("CPU per declared poll / built-in poll's ≤ 1.1", format!("{ratio:.2}"), ratio <= 1.1);
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn per_poll(outcome: &Outcome, count: u64) -> String {
    if count == 0 { "0".to_owned() } else { format!("{:.4}", count as f64 / outcome.traffic.polls.max(1.0)) }
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "never".to_owned(), |value| format!("{value:.1}"))
}

fn spread(spread: Option<Spread>, factor: f64, digits: usize) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |Spread { p50, p99 }| format!("{:.digits$}, {:.digits$}", p50 * factor, p99 * factor),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::figures::Traffic;

    fn outcome(subject: Subject, cpu: f64, writes: u64) -> Outcome {
        Outcome {
            subject,
            scenario: Scenario::Single,
            size: 100,
            interval: 1,
            window: 20,
            with_status: 100,
            first_status: Some(Spread { p50: 0.1, p99: 0.2 }),
            traffic: Traffic { requests: 2000, polls: 2000.0, ..Traffic::default() },
            cpu,
            simulator_cpu: 0.2,
            api_server_cpu: 1.0,
            etcd_cpu: 0.5,
            resident: 40 << 10,
            peak: 50 << 10,
            verbs: BTreeMap::from([("update".to_owned(), writes), ("get".to_owned(), 10)]),
            restart: None,
        }
    }

    #[test]
    fn a_target_is_met_by_what_was_seen_alone() {
        let report =
            |cpu, writes| render(&[], &[outcome(Subject::Cloudop, cpu, writes), outcome(Subject::Twin, 2.0, 0)]);
        let met = report(0.7, 0);
        assert!(met.contains("| CPU per single poll / twin's ≤ 0.35 | 0.35 | met |"), "{met}");
        assert!(met.contains("| API writes per unchanged poll: 0 | 0 | met |"), "{met}");
        let missed = report(0.8, 3);
        assert!(missed.contains("| CPU per single poll / twin's ≤ 0.35 | 0.40 | **not met** |"), "{missed}");
        assert!(missed.contains("| API writes per unchanged poll: 0 | 3 | **not met** |"), "{missed}");
        assert!(!missed.contains("bare loop"), "what was not run has no row: {missed}");
    }

    #[test]
    fn only_the_part_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}z\n");
        assert_eq!(splice(&text, "new\n").unwrap(), "a\nnew\nz\n");
        assert_eq!(splice("a", "new"), None);
    }
}
