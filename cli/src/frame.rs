//! What `watch` draws: how operations stand, as lines that fit a terminal. Pure.

use std::time::Duration;

use cloudop::api::{CloudOperation, CloudOperationStatus, Phase, SubJobStatus};
use console::{Alignment, Style, measure_text_width, pad_str, truncate_str};
use jiff::Timestamp;
use kube::ResourceExt;

use crate::exit::Exit;
use crate::screen::short;
use crate::tree;
use crate::verdict::{Verdict, cause, condition, verdict};

/// Below this width there is no bar.
const WIDE: usize = 76;
/// How wide a bar is, in columns.
const BAR: usize = 20;
/// The longest name that is shown whole where there is a bar, in columns.
const NAME: usize = 36;
/// Before this much time has passed, nothing is said of the time that is left.
const SOON: Duration = Duration::from_secs(10);
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// What is to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The operations, in any order.
    pub operations: &'a [&'a CloudOperation],
    /// Names that are waited for and do not exist.
    pub missing: &'a [&'a str],
    /// Whether their namespaces are shown.
    pub with_namespaces: bool,
    /// Why they may have changed without being seen.
    pub trouble: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
    /// Counts the frames; none for the last one, which stays.
    pub tick: Option<usize>,
}

/// How much is shown of an operation that goes on, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    Parts,
    OpenParts,
    ActiveParts,
    Message,
    Line,
}

impl Scene<'_> {
    /// The lines, each at most `width` columns wide, at most `height` of them.
    pub fn lines(&self, width: usize, height: usize) -> Vec<String> {
        let mut operations = self.operations.to_vec();
        operations.sort_by_key(|operation| (rank(operation), operation.namespace(), operation.name_any()));
        let names: Vec<String> = operations.iter().map(|operation| self.name(operation)).collect();
        let widest = names.iter().map(|name| measure_text_width(name)).max().unwrap_or_default();
        let words =
            operations.iter().filter_map(|operation| Some(word(operation.status.as_ref()?, &verdict(operation))));
        let word_width = words.map(|word| measure_text_width(&word)).max().unwrap_or_default();
        let name_width = if width < WIDE { widest.min(width / 2) } else { widest.min(NAME) };
        let last = [self.missing_line(), Some(self.summary())].into_iter().flatten();
        let last: Vec<String> =
            last.chain(self.trouble.map(|why| Style::new().yellow().apply_to(why).to_string())).collect();
        let room = height.saturating_sub(last.len() + 1).max(1);
        let details = [Detail::Parts, Detail::OpenParts, Detail::ActiveParts, Detail::Message, Detail::Line];
        let draw = |detail| -> Vec<String> {
            let each = operations.iter().zip(&names);
            each.flat_map(|(operation, name)| self.block(operation, name, [name_width, word_width, width], detail))
                .collect()
        };
        let mut lines = draw(Detail::Line);
        if let Some(fitting) = details.into_iter().map(draw).find(|lines| lines.len() <= room) {
            lines = fitting;
        }
        if lines.len() > room {
            let hidden = lines.len() - (room - 1);
            lines.truncate(room - 1);
            lines.push(format!("… and {hidden} more lines: make the terminal higher, or select by -l"));
        }
        lines.push(String::new());
        lines.extend(last);
        lines.iter().map(|line| truncate_str(line, width, "…").into_owned()).collect()
    }

    fn name(&self, operation: &CloudOperation) -> String {
        match operation.namespace().filter(|_| self.with_namespaces) {
            Some(namespace) => format!("{namespace}/{}", operation.name_any()),
            None => operation.name_any(),
        }
    }

    fn missing_line(&self) -> Option<String> {
        (!self.missing.is_empty()).then(|| format!("not there yet: {}", self.missing.join(", ")))
    }

    /// How many there are of each kind.
    fn summary(&self) -> String {
        let count = |what: &str, is: fn(&Verdict) -> bool| {
            let number = self.operations.iter().filter(|operation| is(&verdict(operation))).count();
            (number > 0).then(|| format!("{number} {what}"))
        };
        let counts = [
            count("going on", |verdict| *verdict == Verdict::GoesOn),
            count("waiting for a person", |verdict| *verdict == Verdict::Stalled),
            count("succeeded", |verdict| *verdict == Verdict::Over(Exit::Succeeded)),
            count("not succeeded", |verdict| matches!(verdict, Verdict::Over(exit) if *exit != Exit::Succeeded)),
        ];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        let said = if counts.is_empty() { "no CloudOperations".to_owned() } else { counts.join(", ") };
        let hint = self.tick.map_or("", |_| " · Ctrl-C ends this, not the operations");
        Style::new().dim().apply_to(format!("{said}{hint}")).to_string()
    }

    fn block(
        &self,
        operation: &CloudOperation,
        name: &str,
        [name_width, word_width, width]: [usize; 3],
        detail: Detail,
    ) -> Vec<String> {
        let verdict = verdict(operation);
        let (sign, style) = self.sign(&verdict, operation);
        let padded = pad_str(name, name_width, Alignment::Left, Some("…"));
        let mut first = vec![style.apply_to(sign).to_string(), padded.into_owned()];
        let Some(status) = operation.status.as_ref().filter(|status| !status.conditions.is_empty()) else {
            first.push("not yet seen by the controller".to_owned());
            return vec![first.join(" ")];
        };
        first.push(style.apply_to(pad_str(&word(status, &verdict), word_width, Alignment::Left, None)).to_string());
        if width >= WIDE {
            first.push(bar(status, &verdict));
        }
        first.extend(self.facts(status, &verdict));
        let mut lines = vec![first.join(" ").trim_end().to_owned()];
        let is_good = verdict == Verdict::Over(Exit::Succeeded);
        if detail > Detail::Message || is_good {
            return lines;
        }
        let message = condition(status, "Succeeded").map(|condition| &*condition.message);
        lines.extend(message.map(|message| format!("  {message}")));
        if matches!(verdict, Verdict::Over(_)) {
            lines.extend(cause(operation).into_iter().map(|fact| format!("  {}", Style::new().red().apply_to(fact))));
        }
        let shown = |part: &SubJobStatus| match detail {
            Detail::Parts => true,
            Detail::OpenParts => part.phase != Phase::Succeeded,
            _ => !matches!(part.phase, Phase::Succeeded | Phase::Pending),
        };
        if detail < Detail::Message {
            let sign = |part: &SubJobStatus| self.part(part, &verdict);
            lines.extend(tree::parts(operation, &shown, &sign).into_iter().map(|line| format!("  {line}")));
        }
        lines
    }

    fn sign(&self, verdict: &Verdict, operation: &CloudOperation) -> (&'static str, Style) {
        match verdict {
            Verdict::Over(Exit::Succeeded) => ("✔", Style::new().green()),
            Verdict::Over(_) => ("✖", Style::new().red()),
            Verdict::Stalled => ("!", Style::new().yellow()),
            Verdict::GoesOn if operation.spec.suspend => ("‖", Style::new()),
            Verdict::GoesOn => (self.spinner(), Style::new().cyan()),
        }
    }

    fn spinner(&self) -> &'static str {
        self.tick.map_or("…", |tick| SPINNER[tick % SPINNER.len()])
    }

    /// A part's sign and name; its message stands on a line below where it is why it failed.
    fn part(&self, part: &SubJobStatus, whole: &Verdict) -> Vec<String> {
        let (sign, style) = match part.phase {
            Phase::Pending => ("·", Style::new().dim()),
            Phase::Running if *whole == Verdict::GoesOn => (self.spinner(), Style::new().cyan()),
            Phase::Running => ("…", Style::new()),
            Phase::Blocked => ("!", Style::new().yellow()),
            Phase::Succeeded => ("✔", Style::new().green()),
            Phase::Failed => ("✖", Style::new().red()),
        };
        let name = format!("{} {}", style.apply_to(sign), part.name);
        match part.message.as_deref().map(str::trim).filter(|message| !message.is_empty()) {
            Some(message) if part.phase == Phase::Failed => vec![name, style.apply_to(message).to_string()],
            Some(message) => vec![format!("{name}: {message}")],
            None => vec![name],
        }
    }

    /// How far, since when, and how long yet.
    fn facts(&self, status: &CloudOperationStatus, verdict: &Verdict) -> Vec<String> {
        let progress = status.progress.as_deref();
        let counts = progress.and_then(|progress| Some(format!("{}/{}", progress.completed?, progress.total?)));
        let percent = progress.and_then(|progress| progress.percent).map(|percent| format!("{percent}%"));
        let is_over = matches!(verdict, Verdict::Over(_));
        let ended = status.completion_time.as_ref().map(|time| time.0).filter(|_| is_over);
        let elapsed = status.start_time.as_ref().map(|start| short(since(start.0, ended.unwrap_or(self.now))));
        let left = if is_over { None } else { left(status, self.now).map(|left| format!("~{} left", short(left))) };
        let quiet = status.last_progress_time.as_ref().map(|time| since(time.0, self.now));
        let quiet = quiet.filter(|quiet| !is_over && *quiet >= Duration::from_secs(120));
        let quiet = quiet.map(|quiet| format!("no change for {}", short(quiet)));
        let unreachable = condition(status, "UpstreamReachable").filter(|reachable| *reachable.status == *"False");
        let unreachable = unreachable.filter(|_| !is_over).map(|reachable| {
            let unseen = short(since(reachable.last_transition_time.0, self.now));
            Style::new().yellow().apply_to(format!("no answer for {unseen}")).to_string()
        });
        let far = counts.or(percent).map(|far| pad_str(&far, 5, Alignment::Left, None).into_owned());
        [far, elapsed, left, unreachable.or(quiet)].into_iter().flatten().collect()
    }
}

/// What needs somebody goes first, then what goes on, then what is over, the failed before the others.
fn rank(operation: &CloudOperation) -> u8 {
    match verdict(operation) {
        Verdict::Stalled => 0,
        Verdict::GoesOn => 1,
        Verdict::Over(Exit::Succeeded) => 3,
        Verdict::Over(_) => 2,
    }
}

/// How it stands, in a word.
fn word(status: &CloudOperationStatus, verdict: &Verdict) -> String {
    let stalled = condition(status, "Stalled").map(|condition| condition.reason.to_string());
    match verdict {
        Verdict::Stalled if status.phase != Phase::Blocked => stalled.unwrap_or_default(),
        _ => format!("{:?}", status.phase),
    }
}

/// The part that is done, of one, where it is known.
fn share(status: &CloudOperationStatus) -> Option<f64> {
    let progress = status.progress.as_deref()?;
    match (progress.percent, progress.completed, progress.total) {
        (Some(percent), ..) => Some(f64::from(percent.clamp(0, 100)) / 100.0),
        (None, Some(completed), Some(total)) if total > 0 => {
            // Counts of parts are small.
            #[expect(clippy::cast_precision_loss, reason = "counts of parts are small")]
            Some((completed.clamp(0, total) as f64) / total as f64)
        }
        _ => None,
    }
}

fn bar(status: &CloudOperationStatus, verdict: &Verdict) -> String {
    let share = match verdict {
        Verdict::Over(Exit::Succeeded) => Some(1.0),
        _ => share(status),
    };
    let Some(share) = share else { return " ".repeat(BAR) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and BAR")]
    let full = (share * BAR as f64).floor() as usize;
    format!("{}{}", "█".repeat(full), Style::new().dim().apply_to("░".repeat(BAR - full)))
}

/// How long it may take yet, if it goes on as it did, or as others like it did. Unknown near its beginning.
fn left(status: &CloudOperationStatus, now: Timestamp) -> Option<Duration> {
    let elapsed = since(status.start_time.as_ref()?.0, now);
    let share = share(status).filter(|share| *share >= 0.02 && *share < 1.0 && elapsed >= SOON);
    share.map(|share| elapsed.mul_f64((1.0 - share) / share)).or_else(|| {
        let end = status.progress.as_ref()?.estimated_completion_time.as_ref()?.0;
        Some(since(now, end)).filter(|left| !left.is_zero())
    })
}

/// The time from `then` to `now`; none where that is earlier.
pub fn since(then: Timestamp, now: Timestamp) -> Duration {
    if now > then { now.duration_since(then).unsigned_abs() } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-27T01:00:00Z";

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
               "lastTransitionTime": "2026-11-27T00:55:00Z"})
    }

    fn operation(name: &str, status: Value) -> CloudOperation {
        serde_json::from_value(json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": name, "namespace": "n"},
            "spec": {"provider": {"huaweiUcsFederation": {}}, "operationId": "a", "credentialsRef": {"name": "c"}},
            "status": status,
        }))
        .unwrap()
    }

    fn running(name: &str) -> CloudOperation {
        operation(
            name,
            json!({
                "phase": "Running", "startTime": "2026-11-27T00:45:00Z", "lastProgressTime": "2026-11-27T00:59:00Z",
                "progress": {"completed": 1, "total": 4, "percent": 25},
                "conditions": [condition("Succeeded", "Unknown", "Running", "OTC says Running")],
                "subJobs": [
                    {"id": "1", "name": "CreateNode", "phase": "Running"},
                    {"id": "2", "parentId": "1", "name": "CreateNodeVM", "phase": "Succeeded"},
                    {"id": "3", "parentId": "1", "name": "InstallNode", "phase": "Running", "message": "2 of 3"},
                    {"id": "4", "name": "Cert", "phase": "Pending"},
                ],
            }),
        )
    }

    #[test]
    fn what_is_left_follows_the_progress_and_else_the_estimate() {
        let left = |status: Value| left(&operation("a", status).status.unwrap(), NOW.parse().unwrap());
        let estimate = "2026-11-27T01:20:00Z";
        let progress = |progress: Value| json!({"startTime": "2026-11-27T00:45:00Z", "progress": progress});
        assert_eq!(left(progress(json!({"estimatedCompletionTime": estimate}))), Some(Duration::from_secs(1200)));
        let both = json!({"percent": 50, "estimatedCompletionTime": estimate});
        assert_eq!(left(progress(both)), Some(Duration::from_secs(900)));
        assert_eq!(left(progress(json!({"estimatedCompletionTime": "2026-11-27T00:59:00Z"}))), None, "it is over due");
        assert_eq!(left(progress(json!({}))), None);
    }

    fn failed(name: &str) -> CloudOperation {
        operation(
            name,
            json!({
                "phase": "Failed", "startTime": "2026-11-27T00:30:00Z", "completionTime": "2026-11-27T00:40:00Z",
                "progress": {"percent": 50},
                "conditions": [condition("Succeeded", "False", "OperationFailed", "OTC says Failed: no room")],
                "error": {"code": "CCE.1", "message": "no room", "subJob": "2"},
                "subJobs": [
                    {"id": "1", "name": "CreateNode", "phase": "Failed"},
                    {"id": "2", "parentId": "1", "name": "CreateNodeVM", "phase": "Failed", "message": "no room"},
                ],
            }),
        )
    }

    fn succeeded(name: &str) -> CloudOperation {
        operation(
            name,
            json!({
                "phase": "Succeeded", "startTime": "2026-11-27T00:30:00Z", "completionTime": "2026-11-27T00:42:30Z",
                "conditions": [condition("Succeeded", "True", "OperationSucceeded", "OTC says Success")],
            }),
        )
    }

    fn stalled(name: &str) -> CloudOperation {
        operation(
            name,
            json!({
                "phase": "Blocked", "startTime": "2026-11-27T00:30:00Z", "lastProgressTime": "2026-11-27T00:50:00Z",
                "conditions": [condition("Succeeded", "Unknown", "Blocked", "Huawei says Pause"),
                               condition("Stalled", "True", "OperationBlocked", "Huawei says Pause"),
                               condition("UpstreamReachable", "False", "TimedOut", "no answer")],
            }),
        )
    }

    fn scene<'a>(operations: &'a [&'a CloudOperation]) -> Scene<'a> {
        Scene {
            operations,
            missing: &[],
            with_namespaces: false,
            trouble: None,
            now: NOW.parse().unwrap(),
            tick: Some(0),
        }
    }

    fn plain(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect()
    }

    #[test]
    fn wide_and_high_enough_everything_is_shown_what_needs_somebody_first() {
        let all = [succeeded("done"), failed("broken"), running("job"), stalled("parked")];
        let lines = scene(&all.iter().collect::<Vec<_>>()).lines(100, 40);
        let expected = [
            "! parked Blocked                        30m no answer for 5m 00s",
            "  Huawei says Pause",
            "⠋ job    Running   █████░░░░░░░░░░░░░░░ 1/4   15m ~45m left",
            "  OTC says Running",
            "  ├─ ⠋ CreateNode",
            "  │  ├─ ✔ CreateNodeVM",
            "  │  └─ ⠋ InstallNode: 2 of 3",
            "  └─ · Cert",
            "✖ broken Failed    ██████████░░░░░░░░░░ 50%   10m",
            "  OTC says Failed: no room",
            "  sub-job: CreateNodeVM (2): no room",
            "  code: CCE.1",
            "  message: no room",
            "  └─ ✖ CreateNode",
            "     └─ ✖ CreateNodeVM",
            "        no room",
            "✔ done   Succeeded ████████████████████ 12m",
            "",
            "1 going on, 1 waiting for a person, 1 succeeded, 1 not succeeded · Ctrl-C ends this, not the operations",
        ];
        let expected: Vec<String> = expected.iter().map(|line| truncate_str(line, 100, "…").into_owned()).collect();
        assert_eq!(plain(&lines), expected);
    }

    #[rstest::rstest]
    #[case(9, &["⠋ job Running █████░░░░░░░░░░░░░░░ 1/4   15m ~45m left", "  OTC says Running", "  ├─ ⠋ CreateNode", "  │  ├─ ✔ CreateNodeVM", "  │  └─ ⠋ InstallNode: 2 of 3", "  └─ · Cert"])]
    #[case(7, &["⠋ job Running █████░░░░░░░░░░░░░░░ 1/4   15m ~45m left", "  OTC says Running", "  ├─ ⠋ CreateNode", "  │  └─ ⠋ InstallNode: 2 of 3", "  └─ · Cert"])]
    #[case(6, &["⠋ job Running █████░░░░░░░░░░░░░░░ 1/4   15m ~45m left", "  OTC says Running", "  └─ ⠋ CreateNode", "     └─ ⠋ InstallNode: 2 of 3"])]
    #[case(5, &["⠋ job Running █████░░░░░░░░░░░░░░░ 1/4   15m ~45m left", "  OTC says Running"])]
    #[case(3, &["⠋ job Running █████░░░░░░░░░░░░░░░ 1/4   15m ~45m left"])]
    fn the_lower_the_terminal_the_less_is_said(#[case] height: usize, #[case] expected: &[&str]) {
        let job = running("job");
        let lines = plain(&scene(&[&job]).lines(90, height));
        assert_eq!(&lines[..lines.len() - 2], expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_nor_the_frame_higher() {
        let name = "a-very-long-name-that-goes-on-and-on-and-on-and-does-not-end-soon";
        let all: Vec<CloudOperation> = (0..50).map(|n| running(&format!("{name}-{n}"))).collect();
        for (width, height) in [(20, 5), (40, 10), (80, 24), (200, 50), (1, 1)] {
            let lines = scene(&all.iter().collect::<Vec<_>>()).lines(width, height);
            assert!(lines.len() <= height.max(3), "{width}×{height}: {}", lines.len());
            for line in plain(&lines) {
                assert!(measure_text_width(&line) <= width, "{width}: {line}");
            }
        }
        let lines = plain(&scene(&all.iter().collect::<Vec<_>>()).lines(80, 24));
        assert!(lines[21].contains("and 29 more lines"), "{lines:#?}");
    }

    #[test]
    fn what_is_missing_and_what_is_wrong_with_the_watch_is_said() {
        let scene = Scene { missing: &["a", "b"], trouble: Some("the watch was lost"), ..scene(&[]) };
        let lines = plain(&scene.lines(100, 24));
        assert_eq!(lines[1], "not there yet: a, b");
        assert!(lines[2].starts_with("no CloudOperations"), "{lines:?}");
        assert_eq!(lines[3], "the watch was lost");
    }
}
