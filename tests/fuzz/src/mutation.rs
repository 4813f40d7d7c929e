//! Changes of JSON as JSON: bytes changed at random are hardly ever a reply that gets past the parser.

use serde_json::{Map, Value, json};

use crate::apis::{APIS, Ends};

/// A sequence that its seed decides.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u32) -> Self {
        Self(u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Keys that some API reads.
pub const KEYS: [&str; 75] = [
    "status",
    "phase",
    "state",
    "error",
    "errors",
    "code",
    "message",
    "reason",
    "details",
    "id",
    "uid",
    "metadata",
    "spec",
    "subJobs",
    "sub_jobs",
    "entities",
    "job_id",
    "job_type",
    "begin_time",
    "end_time",
    "fail_reason",
    "error_code",
    "error_msg",
    "errorCode",
    "errorMessage",
    "errorMsg",
    "request_id",
    "requestId",
    "instance",
    "type",
    "title",
    "detail",
    "description",
    "violations",
    "field",
    "items",
    "operations",
    "tasks",
    "task",
    "nextPageToken",
    "kind",
    "resourceID",
    "resourceName",
    "clusterID",
    "clusterId",
    "progress",
    "percent",
    "startTime",
    "completionTime",
    "creationTimestamp",
    "updateTimestamp",
    "startedAt",
    "endedAt",
    "target",
    "targetName",
    "operationType",
    "command",
    "createdAt",
    "modifiedAt",
    "value",
    "token",
    "expires_at",
    "issued_at",
    "expires_in",
    "access_token",
    "server_id",
    "conditions",
    "lastTransitionTime",
    "observedGeneration",
    "suspend",
    "subJobsTotal",
    "parentId",
    "upstreamState",
    "name",
    "clusterUID",
];

/// Words of some API's states, and what else may stand in a field.
pub const WORDS: [&str; 62] = [
    "",
    " ",
    "0",
    "1",
    "-1",
    "100",
    "42%",
    "1e999",
    "NaN",
    "null",
    "ok",
    "OK",
    "true",
    "false",
    "none",
    "SUCCESS",
    "Success",
    "FAIL",
    "Failed",
    "failed",
    "RUNNING",
    "Running",
    "INIT",
    "Initializing",
    "PENDING",
    "Pending",
    "PENDING_PAYMENT",
    "DONE",
    "done",
    "SUCCEEDED",
    "succeeded",
    "completed",
    "CANCELLED",
    "Cancel",
    "cancelled",
    "error",
    "ERROR",
    "queuing",
    "List",
    "about:blank",
    "urn:numspot:errors#conflict",
    "CCE.01404001",
    "APIGW.0101",
    "Ecs.0114",
    "CCE_CM.0303: quota",
    "2026-11-23T11:59:30Z",
    "2026-11-23 11:00:00.5 +0000 UTC",
    "0001-01-01T00:00:00Z",
    "2199-12-31T23:59:59Z",
    "1718208254267",
    "t0p/Secret+A=",
    "dDBwL1NlY3JldCtBPQ",
    "t0p%2FSecret%2BA%3D",
    "p\"w\\d",
    "hunter2-lower",
    "Pass w\u{f6}rd~*",
    "c4n4",
    "hunt\u{200b}er2-lower",
    "\u{1b}[31mred",
    "\u{202e}",
    "https://x.example/a/b",
    "j",
];

/// `value` with one to four changes.
pub fn mutate(value: &mut Value, chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        let count = count(value);
        let donor = nth(value, &mut chance.below(count)).map_or(Value::Null, |value| value.clone());
        let mut at = chance.below(count);
        if let Some(place) = nth(value, &mut at) {
            change(place, donor, chance);
        }
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, at)),
        Value::Object(members) => members.values_mut().find_map(|member| nth(member, at)),
        _ => None,
    }
}

fn change(place: &mut Value, donor: Value, chance: &mut Chance) {
    match (chance.below(8), &mut *place) {
        (0, Value::Object(members)) => {
            let gone = members.keys().nth(chance.below(members.len())).cloned();
            gone.map(|key| members.remove(&key));
        }
        (0, Value::Array(items)) if !items.is_empty() => drop(items.remove(chance.below(items.len()))),
        (1, Value::Object(members)) => {
            members.insert(key(chance), donor);
        }
        (1 | 2, Value::Array(items)) => items.push(donor),
        (2, Value::Object(members)) => {
            members.insert(key(chance), scalar(chance));
        }
        (3, Value::Object(members)) => {
            // The same under another name.
            if let Some((_, value)) =
                members.iter().nth(chance.below(members.len())).map(|(k, v)| (k.clone(), v.clone()))
            {
                members.insert(key(chance), value);
            }
        }
        (4, Value::String(text)) => {
            *text = match chance.below(5) {
                0 => text.to_ascii_uppercase(),
                1 => text.to_ascii_lowercase(),
                2 => format!(" {text} "),
                3 => text.repeat(1 + chance.below(64)).chars().take(4096).collect(),
                _ => format!("{text}{}", chance.pick(&WORDS)),
            };
        }
        (5, Value::Array(items)) => {
            // Many of one: what is bounded must meet more.
            if let Some(item) = items.first().cloned() {
                items.extend(std::iter::repeat_n(item, 1 + chance.below(80)));
            }
        }
        (6, here) => *here = json!([here.take()]),
        (7, here) => *here = Value::Object(Map::from_iter([(key(chance), here.take())])),
        (_, here) => *here = if chance.below(3) == 0 { donor } else { scalar(chance) },
    }
}

fn key(chance: &mut Chance) -> String {
    (*chance.pick(&KEYS)).to_owned()
}

fn scalar(chance: &mut Chance) -> Value {
    match chance.below(9) {
        0 => Value::Null,
        1 => json!(chance.below(2) == 0),
        2 => json!(chance.below(101)),
        3 => json!({}),
        4 => json!([]),
        5 => {
            let Ends::Described(spec) = &chance.pick(&APIS).ends else { return json!(*chance.pick(&WORDS)) };
            let words = spec.read.state.iter().flat_map(|table| &table.words);
            let words: Vec<&String> = words
                .flat_map(|w| [&w.pending, &w.running, &w.blocked, &w.succeeded, &w.failed, &w.cancelled])
                .flatten()
                .collect();
            if words.is_empty() { json!("") } else { json!(chance.pick(&words).replace('*', "x")) }
        }
        _ => json!(*chance.pick(&WORDS)),
    }
}
