//! How much memory the largest replies take: a cloud, or whoever owns one, must not be able to have gigabytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloudop::api::CloudOperation;
use cloudop::decision::{Memory, Poll, Subject, decide};
use cloudop::document::Document;
use cloudop::observation::{FailureKind, Misread, PollFailure, Reading};
use cloudop::provider::{find, interpret};
use serde_json::{Value, json};

/// The largest reply that is read.
const LARGEST: usize = 1 << 20;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call is handed on as it is.
#[expect(unsafe_code, reason = "an allocator is")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are held while one is copied into the other.
        took(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ID: &str = "2c6f6ad1-0000-4000-8000-000000000000";

fn providers() -> Vec<Value> {
    vec![
        json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": "s", "clusterId": "c"}}),
        json!({"huaweiCceUpgrade": {"region": "eu-west-101", "projectId": "p", "clusterId": "c"}}),
        json!({"huaweiUcsFederation": {}}),
        json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}}),
        json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "i"}}),
    ]
}

/// How many of [`replies`] are only JSON.
const SHAPELESS: usize = 6;

/// `part` again and again between `before` and `after`, up to the largest size.
fn filled(before: &str, part: impl Fn(usize) -> String, after: &str) -> String {
    let mut text = before.to_owned();
    for n in 0.. {
        let part = part(n);
        if text.len() + part.len() + after.len() > LARGEST {
            break;
        }
        text += &part;
    }
    text.trim_end_matches(',').to_owned() + after
}

/// A job of that `id` in the shape of all five clouds at once, with `parts` where each looks for them.
fn job(id: &str, parts: &str) -> String {
    format!(
        r#"{{"id":"{ID}","uid":"{ID}","kind":"Job","metadata":{{"uid":"{ID}","name":"{id}"}},"spec":{{"type":"x","resourceID":"{id}","clusterID":"c","subJobs":[{parts}]}},
        "task":{{"id":"{ID}","status":"RUNNING"}},"operation":{{"id":"{ID}","status":"RUNNING"}},
        "status":{{"phase":"Running","status":"Running","reason":"{id}","pipelineNodes":[{parts}],"subJobs":[{parts}],"tasks":[{parts}]}},"phase":"Running","state":"RUNNING","subJobs":[{parts}],"tasks":[{parts}]}}"#
    )
}

fn replies() -> Vec<(&'static str, String)> {
    let part = |n: usize| {
        format!(
            r#"{{"kind":"Job","metadata":{{"uid":"u{n}","name":"n{n}"}},"id":"u{n}","name":"n{n}","spec":{{"type":"t"}},"status":{{"phase":"Failed","reason":"r"}},"message":"m"}},"#
        )
    };
    let small = |n: usize| format!(r#"{{"metadata":{{"uid":"{n}"}}}},"#);
    let long = "9".repeat(LARGEST / 6);
    let parts = |size: usize, part: &dyn Fn(usize) -> String| -> String {
        let text: String = (0..size / part(9999).len()).map(part).collect();
        text.trim_end_matches(',').to_owned()
    };
    vec![
        ("values", filled("[", |_| "0,".to_owned(), "]")),
        ("empty objects", filled("[", |_| "{},".to_owned(), "]")),
        ("keys", filled("{", |n| format!(r#""{n}":0,"#), "}")),
        ("commas in a text", filled(r#"{"a":""#, |_| ", ".to_owned(), r#""}"#)),
        ("depth", filled("", |_| "[".to_owned(), "")),
        ("escapes", filled(r#"{"a":""#, |_| r"\u00e9".to_owned(), r#""}"#)),
        ("long ids beside many parts", job(&long, &parts(LARGEST / 12, &small))),
        ("many parts", job("i", &parts(LARGEST / 6, &part))),
        ("many small parts", job("i", &parts(LARGEST / 6, &small))),
        ("a list", filled(r#"{"items":["#, |n| job(&n.to_string(), "") + ",", "]}")),
        ("a bare list", filled("[", part, "]")),
        ("a cut list", filled(r#"{"items":["#, part, "")),
    ]
}

/// What reading `reply` leaves in the status, as the controller does it.
fn read(operation: &CloudOperation, reply: &str, in_list: bool) -> usize {
    let api = operation.spec.provider.built_in().unwrap();
    let id = &operation.spec.operation_id;
    let read = Document::parse(reply.as_bytes()).and_then(|document| match in_list {
        true => find(api, id, document.root()),
        false => interpret(api, id, document.root()),
    });
    let result = match read {
        Ok(Reading::Found(observation)) => Ok(*observation),
        Ok(_) => Err(PollFailure::new(FailureKind::NotFound, "not there")),
        Err(Misread(why)) => Err(PollFailure::new(FailureKind::InvalidResponse, why)),
    };
    let poll = Poll { result, age: Duration::ZERO, since_last: None };
    let decision = decide(
        Subject { operation, cloud: api.cloud(), typical: None },
        Some(poll),
        Memory::default(),
        "2026-11-23T12:00:00Z".parse().unwrap(),
    );
    serde_json::to_vec(&decision.status).unwrap().len()
}

#[test]
fn the_largest_replies_take_eight_times_their_size_at_most() {
    for (nth, provider) in providers().into_iter().enumerate() {
        let spec = json!({"provider": provider, "operationId": ID, "credentialsRef": {"name": "c"}});
        let mut operation = CloudOperation::new("operation", serde_json::from_value(spec).unwrap());
        operation.metadata.generation = Some(1);
        // Those without a shape are the same to all.
        for (kind, reply) in replies().into_iter().skip(if nth == 0 { 0 } else { SHAPELESS }) {
            assert!(reply.len() <= LARGEST, "{kind}: {}", reply.len());
            for in_list in [false, true] {
                let before = HELD.load(Ordering::Relaxed);
                MOST.store(before, Ordering::Relaxed);
                let status = read(&operation, &reply, in_list);
                let took = MOST.load(Ordering::Relaxed) - before;
                assert!(took <= 8 * LARGEST, "{} {kind}: {} KiB", operation.spec.provider.name(), took >> 10);
                assert!(status <= 32 << 10, "{} {kind}: a status of {status} bytes", operation.spec.provider.name());
            }
        }
    }
}
