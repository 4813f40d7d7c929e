//! The promises, as checks of what reaches the API server and the clouds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cloudop::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use crate::world::{Network, operation_number};

/// Which of the nine; what one process cannot show, such as one tenant beside another, is others' to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// 1: every live operation is looked at again, and no end is lost.
    LookedAtAgain,
    /// 2: an end is an end.
    EndIsEnd,
    /// 3: a gate opens only on success.
    GateOpensOnSuccess,
    /// 4: progress never falls.
    ProgressNeverFalls,
    /// 5: the end is announced once.
    AnnouncedOnce,
    /// 6: nothing changed, nothing written.
    NothingWritten,
    /// 7: the cloud's limits hold.
    Limits,
    /// 9: a credential goes only where its Secret says.
    Credentials,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    pub promise: Promise,
    /// Seconds since the story's beginning.
    pub at: u64,
    pub how: String,
}

const LARGEST_STATUS: usize = 32 << 10;
/// What was decided a moment before it is written.
const SLACK: Duration = Duration::from_secs(35);

/// What is known of the objects from what was written and announced.
pub struct Witness {
    network: Arc<Network>,
    seen: BTreeMap<String, Seen>,
}

/// Of one object, by its UID.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub name: String,
    pub is_over: bool,
    pub is_tampered_with: bool,
    /// Deleted by us, after its time to live.
    pub is_expired: bool,
    pub ends_announced: usize,
    writes: usize,
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn says(status: &Value, kind: &str, what: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition["status"] == what)
}

/// Whether all who read `status` take it for an end.
pub fn is_over(status: &Value) -> bool {
    let result = match status["phase"].as_str() {
        Some("Succeeded") => "True",
        Some("Failed") => "False",
        _ => return false,
    };
    says(status, "Finished", "True") && says(status, "Succeeded", result) && says(status, "Ready", result)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// What must stay of a status that is over.
fn frozen(status: &Value) -> Value {
    let mut status = status.clone();
    for key in ["observedGeneration", "lastHandledRequest", "provider"] {
        status.as_object_mut().unwrap().remove(key);
    }
    for condition in status["conditions"].as_array_mut().unwrap() {
        condition.as_object_mut().unwrap().remove("observedGeneration");
    }
    status
}

impl Witness {
    pub fn new(network: Arc<Network>) -> Self {
        Self { network, seen: BTreeMap::new() }
    }

    pub fn seen(&self) -> &BTreeMap<String, Seen> {
        &self.seen
    }

    pub fn tamper(&mut self, object: &Value) {
        self.of(object).is_tampered_with = true;
    }

    fn of(&mut self, object: &Value) -> &mut Seen {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let seen = self.seen.entry(text("uid")).or_default();
        seen.name = text("name");
        seen
    }

    pub fn see_deletion(&mut self, object: &Value) {
        self.of(object).is_expired = true;
    }

    /// A status that the API server takes.
    pub fn see_status(&mut self, object: &Value, new: &Value) {
        let network = Arc::clone(&self.network);
        let old = &object["status"];
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let check =
            |promise, holds: bool, why: &str| network.check(promise, holds, || format!("{name}: {why}: {old} → {new}"));
        let text = new.to_string();
        check(Promise::NothingWritten, old != new, "nothing changed");
        check(Promise::NothingWritten, text.len() <= LARGEST_STATUS, "too large");
        check(Promise::Credentials, !text.contains("canary"), "a secret in a status");

        let (was_over, is_over_now) = (is_over(old), is_over(new));
        let has_phase = |phase: &str| new["phase"] == phase;
        let (succeeded, failed) = (has_phase("Succeeded"), has_phase("Failed"));
        check(Promise::GateOpensOnSuccess, says(new, "Succeeded", "True") == succeeded, "Succeeded and phase");
        check(Promise::GateOpensOnSuccess, says(new, "Ready", "True") == succeeded, "Ready and phase");
        check(
            Promise::GateOpensOnSuccess,
            says(new, "Finished", "True") == (succeeded || failed),
            "Finished and phase",
        );
        let moves = says(new, "Reconciling", "True");
        let stalls = says(new, "Stalled", "True");
        check(Promise::GateOpensOnSuccess, succeeded == (!moves && !stalls && succeeded), "kstatus is not Current");
        check(
            Promise::GateOpensOnSuccess,
            succeeded || moves || stalls || is_suspended(new),
            "kstatus is Current too early",
        );
        if was_over {
            check(Promise::EndIsEnd, frozen(old) == frozen(new), "an end was changed");
        } else if is_over_now {
            self.see_end(object, new, &check);
        }
        check_progress(old, new, succeeded, &check);
        let begun = network.elapsed().as_secs();
        let seen = self.of(object);
        seen.is_over |= is_over_now;
        seen.writes += 1;
        // A burst, one in ten seconds, and what may not wait: a few.
        let most = 30 + begun as usize / 10;
        let writes = seen.writes;
        check(Promise::NothingWritten, writes <= most, "too many writes");
    }

    fn see_end(&mut self, object: &Value, new: &Value, check: &dyn Fn(Promise, bool, &str)) {
        let network = Arc::clone(&self.network);
        let id = object["spec"]["operationId"].as_str().unwrap_or_default();
        let number = operation_number(id);
        let followed = &network.story.operations[number];
        let word = network.word(number);
        let reason = condition(new, "Succeeded").and_then(|succeeded| succeeded["reason"].as_str()).unwrap_or_default();
        match reason {
            "OperationSucceeded" => {
                check(Promise::GateOpensOnSuccess, followed.is_success(word.as_deref()), "the cloud has not said so");
            }
            "OperationFailed" | "OperationCancelled" => {
                check(Promise::EndIsEnd, followed.is_failure(word.as_deref()), "the cloud has not said so");
            }
            "DeadlineExceeded" => {
                let start = time(&new["startTime"]).or_else(|| time(&new["trackingStartTime"]));
                let seconds = object["spec"]["activeDeadlineSeconds"].as_i64();
                let deadline = start.zip(seconds).map(|(start, seconds)| start + SignedDuration::from_secs(seconds));
                // Another process may have had another time of day.
                let now = clock::wall() + SignedDuration::from_secs(1);
                check(Promise::EndIsEnd, deadline.is_some_and(|deadline| deadline <= now), "no deadline has passed");
            }
            "OperationNotFound" | "OperationExpired" => {
                let grace = Duration::from_secs(object["spec"]["notFoundGraceSeconds"].as_u64().unwrap_or_default());
                let (answers, since) = network.absence(number);
                let lasted = since.map_or(Duration::ZERO, |since| since.elapsed());
                check(Promise::EndIsEnd, answers >= 3, "the cloud has not denied it three times in a row");
                check(Promise::EndIsEnd, lasted + SLACK >= grace, "not for the whole grace");
            }
            other => check(Promise::EndIsEnd, false, &format!("an end for no reason: {other}")),
        }
    }

    /// An Event that the API server takes, under a name that it had not.
    pub fn see_event(&mut self, event: &Value) {
        let network = Arc::clone(&self.network);
        network.check(Promise::Credentials, !event.to_string().contains("canary"), || "a secret in an Event".into());
        let reason = event["reason"].as_str().unwrap_or_default();
        if !["Succeeded", "Failed"].contains(&reason) {
            return;
        }
        let uid = event["regarding"]["uid"].as_str().unwrap_or_default().to_owned();
        let seen = self.seen.entry(uid).or_default();
        seen.ends_announced += 1;
        let (holds, times, is_over) = (seen.is_tampered_with, seen.ends_announced, seen.is_over);
        network.check(Promise::AnnouncedOnce, holds || times == 1, || format!("an end was announced {times} times"));
        network.check(Promise::AnnouncedOnce, is_over, || "an end was announced before it was written".into());
    }
}

fn is_suspended(status: &Value) -> bool {
    condition(status, "Succeeded").is_some_and(|succeeded| succeeded["reason"] == "Suspended")
}

fn check_progress(old: &Value, new: &Value, succeeded: bool, check: &dyn Fn(Promise, bool, &str)) {
    let percent = |status: &Value| status["progress"]["percent"].as_i64();
    let is_one_run = old["upstreamUID"].is_null() || old["upstreamUID"] == new["upstreamUID"];
    if let (Some(before), Some(after), true) = (percent(old), percent(new), is_one_run) {
        check(Promise::ProgressNeverFalls, after >= before, "the percentage fell");
    }
    // What somebody else has written may say so already.
    let holds = percent(new).is_none_or(|percent| (percent == 100) == succeeded || percent_stays(old, new));
    check(Promise::ProgressNeverFalls, holds, "100 and success");
    let (start, end) = (time(&new["startTime"]), time(&new["completionTime"]));
    check(Promise::ProgressNeverFalls, end.is_some() == is_over(new), "completionTime and the end");
    check(
        Promise::ProgressNeverFalls,
        end.is_none_or(|end| start.is_none_or(|start| start <= end)),
        "it ended before it began",
    );
}

/// Whether a percentage of 100 stands in `old` and no success.
fn percent_stays(old: &Value, new: &Value) -> bool {
    !is_over(old) && old["progress"]["percent"] == 100 && new["progress"]["percent"] == 100
}

/// The requests of each account, and what the clouds asked for.
#[derive(Debug, Default)]
pub struct Ledger {
    requests: Vec<(Instant, u64, usize)>,
    pauses: Vec<(Instant, u64, usize, Duration)>,
}

/// One request in five seconds, after three at once: so few that the budget is used up often.
pub const RATE: f64 = 0.2;
pub const BURST: u32 = 3;
const MINUTE: Duration = Duration::from_secs(60);

impl Ledger {
    /// A request of `account`; `leaders`: how many processes have led at once in its last minute.
    pub fn note_request(&mut self, process: u64, account: usize, leaders: usize) -> Result<(), String> {
        let now = Instant::now();
        self.requests.push((now, process, account));
        let recent = self.requests.iter().filter(|(at, _, of)| *of == account && now - *at < MINUTE).count();
        let allowed = (BURST as usize + (MINUTE.as_secs_f64() * RATE) as usize) * leaders;
        if recent > allowed {
            return Err(format!("{recent} requests of one account in a minute, {allowed} are allowed"));
        }
        // The answer takes a moment to arrive, and a date has whole seconds.
        let is_in = |(from, of_process, of, pause): &(Instant, u64, usize, Duration)| {
            let until = *from + pause.saturating_sub(Duration::from_millis(1100));
            *of == account && *of_process == process && now > *from + Duration::from_millis(50) && now < until
        };
        match self.pauses.iter().find(|pause| is_in(pause)) {
            Some((from, _, _, pause)) => Err(format!("a request {:?} into a pause of {pause:?}", now - *from)),
            None => Ok(()),
        }
    }

    pub fn note_pause(&mut self, process: u64, account: usize, pause: Duration) {
        self.pauses.push((Instant::now(), process, account, pause));
    }
}
