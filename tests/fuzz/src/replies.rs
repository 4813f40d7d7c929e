//! What a cloud answers about operations: read, and decided about.

use std::time::Duration;

use cloudop::api::{CloudOperation, CloudOperationStatus, StateSpec, WordsSpec};
use cloudop::auth::Credential;
use cloudop::auth::methods::ReadyToken;
use cloudop::decision::{Memory, Poll, Subject, decide, is_over};
use cloudop::document::Document;
use cloudop::observation::{FailureKind, Observation, PollFailure, Reading, State};
use cloudop::provider::{CloudApi, find, interpret, read_page};
use cloudop::upstream::Redaction;
use cloudop::upstream::reply::classify::{Asked, Meaning, Page, classify};
use cloudop::upstream::reply::{Body, Reply};
use http::HeaderMap;
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::apis::{Api, Ends, api};
use crate::{now, split_line};

/// What the account's Secret holds: short, with letters that JSON, a URL and Base64 write otherwise, and one that a host's name
/// could hold.
pub const SECRETS: [&str; 5] = ["t0p/Secret+A=", "p\"w\\d", "hunter2-lower", "Pass wörd~*", "c4n4"];

/// The most bytes of a status.
pub const LARGEST_STATUS: usize = 32 << 10;

pub fn redaction() -> Redaction {
    Redaction::new(&SECRETS.map(SecretString::from))
}

/// That no secret stands in `shown`.
pub fn check_redacted(shown: &str) {
    for secret in SECRETS {
        let quoted = Value::from(secret).to_string();
        for spelling in [secret, &quoted[1..quoted.len() - 1]] {
            assert!(!shown.contains(spelling), "the secret {secret} shows in {shown}");
        }
    }
}

pub fn classify_for(api: &dyn CloudApi, reply: Reply) -> Meaning {
    let credential = Credential::from(ReadyToken(SECRETS[0].into()));
    classify(reply, Asked { provider: api, host: "cloud.example", credential: &credential, redaction: redaction() })
}

fn page_of(api: &dyn CloudApi, body: &[u8]) -> Result<Page, PollFailure> {
    let reply = Reply { status: 200, headers: HeaderMap::new(), body: Body::Whole(body.to_vec()), received: now() };
    let meaning = classify_for(api, reply);
    assert_eq!(meaning.pause, None, "nobody asked for a pause");
    meaning.result
}

/// `<api> <operation ID>`, and the reply about that operation.
pub fn reply(data: &[u8]) {
    let (line, body) = split_line(data);
    let (name, id) = line.split_once(' ').unwrap_or((line, "j"));
    let api = api(name);
    let document = Document::parse(body);
    let read = |document: &Document| api.single(|api| interpret(api, id, document.root()));
    if let Ok(document) = &document {
        let reading = read(document);
        assert_eq!(reading, read(document), "a reply that is read twice is read otherwise");
        if let Ok(Reading::Found(observation)) = &reading {
            check_end(api, body, observation);
            check_list(api, id, body, observation);
        }
    }
    let page = api.single(|api| page_of(api, body));
    assert_eq!(page.is_ok(), document.is_ok());
    let result = page.and_then(|page| {
        let reading = api.single(|api| page.read(|reply| interpret(api, id, reply)));
        match reading {
            Ok(Reading::Found(observation)) => Ok(*observation),
            Ok(Reading::NextPage(_) | Reading::Absent) => Err(PollFailure::new(FailureKind::NotFound, "it is unknown")),
            Ok(Reading::Unreadable(misread)) | Err(misread) => {
                Err(PollFailure::new(FailureKind::InvalidResponse, misread.to_string()))
            }
        }
    });
    check_decision(api, id, result);
}

/// As [`reply`], of which much more is made than a search would: every list gets sixty members, every text many more letters.
pub fn large(data: &[u8]) {
    let (line, body) = split_line(data);
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return };
    enlarge(&mut value, "", 60);
    reply(format!("{line}\n{value}").as_bytes());
}

/// `suffix` tells one member of a list from another.
fn enlarge(value: &mut Value, suffix: &str, members: usize) {
    const LETTERS: usize = 1100;
    match value {
        Value::Array(items) => {
            if let Some(first) = items.first().cloned().filter(|_| members > 1) {
                items.extend(std::iter::repeat_n(first, members.saturating_sub(items.len())));
            }
            for (number, item) in items.iter_mut().enumerate() {
                enlarge(item, &format!("{suffix}-{number}"), 1);
            }
        }
        Value::Object(object) => {
            for (name, value) in object {
                let is_id = ["id", "uid", "job_id", "name"].contains(&name.as_str());
                match value {
                    Value::String(text) if is_id && !suffix.is_empty() => text.push_str(suffix),
                    // States and times are words; what is longer is told to people.
                    Value::String(text) if text.contains(' ') => *text = text.repeat(LETTERS / text.len() + 1),
                    Value::String(_) => {}
                    value => enlarge(value, suffix, members),
                }
            }
        }
        _ => {}
    }
}

/// `<api> <operation ID>`, and a page of the list that has that operation in it.
pub fn page(data: &[u8]) {
    let (line, body) = split_line(data);
    let (name, id) = line.split_once(' ').unwrap_or((line, "j"));
    let api = api(name);
    let Ok(document) = Document::parse(body) else { return };
    api.list(|list| {
        let page = document.root();
        let listing = read_page(list, page);
        assert_eq!(listing, read_page(list, page), "a page that is read twice is read otherwise");
        let found = find(list, id, page);
        let Ok(listing) = listing else {
            assert!(found.is_err(), "found on a page that cannot be read: {found:?}");
            return;
        };
        match &found {
            Ok(Reading::Found(observation)) => {
                let is_there = listing.members.iter().any(|member| member.reading.as_ref() == Ok(observation));
                assert!(is_there, "found, and not on the page: {observation:?}");
            }
            Ok(Reading::NextPage(request)) => assert_eq!(Some(request), listing.next.as_ref()),
            Ok(Reading::Absent) => assert_eq!(listing.next, None),
            Ok(Reading::Unreadable(misread)) => {
                assert!(listing.members.iter().any(|member| member.reading.as_ref() == Err(misread)));
            }
            Err(misread) => panic!("the page can be read, and not looked through: {misread}"),
        }
        for member in listing.members.iter().take(8) {
            let Some(id) = &member.id else { continue };
            let found = find(list, id, page);
            assert!(
                matches!(found, Ok(Reading::Found(_) | Reading::Unreadable(_))),
                "{id:?} is on the page, and is not found there: {found:?}"
            );
        }
    });
    let listing = api.list(|list| {
        let page = page_of(list, body).ok()?;
        page.read_all(|page| read_page(list, page)).ok()
    });
    for member in listing.flatten().into_iter().flat_map(|listing| listing.members).take(4) {
        check_redacted(member.id.as_deref().unwrap_or_default());
        if let Ok(observation) = member.reading {
            check_decision(api, id, Ok(observation));
        }
    }
}

/// That the same operation is read the same from a list that has it alone.
fn check_list(api: &Api, id: &str, body: &[u8], observation: &Observation) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let single = match text.trim_start().starts_with("{\"task\":") && api.name == "sbercloudOpenshiftTask" {
        // Its one operation has a name around it.
        true => match text.trim().strip_prefix("{\"task\":").and_then(|text| text.strip_suffix('}')) {
            Some(task) if Document::parse(task.as_bytes()).is_ok() => task,
            _ => return,
        },
        false if api.name == "sbercloudOpenshiftTask" => return,
        false => text,
    };
    let Some(list) = api.list_around(single) else { return };
    let Ok(document) = Document::parse(list.as_bytes()) else { return };
    let reading = api.list(|list| find(list, id, document.root()));
    match reading {
        Some(Ok(Reading::Found(listed))) => assert_eq!(*listed, *observation, "a list says otherwise: {list}"),
        // A single reply need not say which operation it is about.
        Some(Ok(Reading::Absent)) | None => {}
        other => panic!("alone it is read, in a list it is {other:?}: {list}"),
    }
}

/// That an end is one by the cloud's own word.
fn check_end(api: &Api, body: &[u8], observation: &Observation) {
    let state = observation.state;
    if !matches!(state, State::Succeeded | State::Failed | State::Cancelled) {
        return;
    }
    match &api.ends {
        Ends::BuiltIn { paths, succeeded, failed, cancelled, errors, error_ends, .. } => {
            let Ok(reply) = serde_json::from_slice::<Value>(body) else {
                // Too deep for that parser, or with what only some encoders write.
                let text = String::from_utf8_lossy(body).to_ascii_lowercase();
                let mut words = succeeded.iter().chain(*failed).chain(*cancelled);
                assert!(
                    text.contains('\\') || *error_ends || words.any(|word| text.contains(word)),
                    "{state:?} without a word"
                );
                return;
            };
            let values =
                |paths: &[&str]| -> Vec<Value> { paths.iter().flat_map(|path| at(&reply, path)).cloned().collect() };
            let says = |known: &[&str]| {
                values(paths).iter().any(|value| {
                    let Some(word) = value.as_str().map(str::trim) else { return false };
                    observation.upstream_state == word && known.iter().any(|known| is_word(known, word))
                })
            };
            let has_error = || values(errors).iter().any(may_be_error);
            match state {
                State::Succeeded => {
                    assert!(says(succeeded), "success without a word of it");
                    assert!(
                        errors.iter().all(|path| {
                            let found = at(&reply, path);
                            found.is_empty() || found.into_iter().any(is_nothing)
                        }),
                        "success beside an error"
                    );
                }
                State::Cancelled => assert!(says(cancelled) || *error_ends && has_error(), "cancelled without a word"),
                _ => assert!(
                    says(failed) || (says(succeeded) || says(cancelled) || *error_ends) && has_error(),
                    "failure without a word"
                ),
            }
        }
        Ends::Described(spec) => {
            let word = &observation.upstream_state;
            let is = |pick: fn(&WordsSpec) -> &Vec<String>| {
                let tables: &[StateSpec] = &spec.read.state;
                let mut words = tables.iter().flat_map(|table| table.words.iter().flat_map(pick));
                words.any(|known| is_like(known, word))
            };
            let ends = spec.read.error.as_ref().and_then(|error| error.ends) == Some(true);
            match state {
                State::Succeeded => {
                    assert!(is(|words| &words.succeeded), "success by the word {word:?}");
                    assert_eq!(observation.error, None);
                }
                _ => assert!(
                    ends || is(|words| &words.failed) || is(|words| &words.cancelled) || is(|words| &words.succeeded),
                    "an end by the word {word:?}"
                ),
            }
            let text = String::from_utf8_lossy(body);
            assert!(text.contains('\\') || text.contains(word.as_str()), "the word {word:?} is not the cloud's");
        }
    }
}

/// A word as it is, or behind what frameworks put before it (`TASK_STATUS_DONE`).
fn is_word(known: &str, word: &str) -> bool {
    let word = word.to_ascii_lowercase().replace(['-', ' '], "_");
    word == known
        || word.strip_suffix(known).is_some_and(|before| ["status_", "state_"].iter().any(|p| before.ends_with(p)))
}

/// Whether a word is what a profile's table has, where `*` stands for anything.
fn is_like(known: &str, word: &str) -> bool {
    let (known, word) = (known.trim().to_ascii_lowercase(), word.to_ascii_lowercase());
    match (known.split_once('*'), known.rsplit_once('*')) {
        (Some((first, _)), Some((_, last))) => word.starts_with(first) && word.ends_with(last),
        _ => known == word,
    }
}

/// What stands at a path of keys, in whichever case, null being nothing.
fn at<'a>(reply: &'a Value, path: &str) -> Vec<&'a Value> {
    let members = |value: &'a Value, key: &str| -> Vec<&'a Value> {
        let Some(object) = value.as_object() else { return Vec::new() };
        match object.get(key) {
            Some(value) => vec![value],
            None => object.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value).collect(),
        }
    };
    let found = path
        .split('.')
        .fold(vec![reply], |values, key| values.into_iter().flat_map(|value| members(value, key)).collect());
    found.into_iter().filter(|value| !value.is_null()).collect()
}

/// Whether what stands where errors do may tell of one.
fn may_be_error(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(may_be_error),
        Value::Object(members) => !members.is_empty(),
        scalar => !is_nothing(scalar),
    }
}

/// Whether what stands where errors do may tell of none.
fn is_nothing(value: &Value) -> bool {
    const NOTHING: [&str; 7] = ["", "0", "ok", "false", "null", "none", "success"];
    let is_bare = |text: &str| NOTHING.contains(&text.trim().to_ascii_lowercase().as_str());
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => is_bare(&number.to_string()),
        Value::String(text) => is_bare(text),
        Value::Array(items) => items.iter().all(is_nothing),
        Value::Object(members) => {
            const CODES: [&str; 5] = ["code", "errorcode", "error_code", "type", "status"];
            members.is_empty()
                || members.iter().any(|(name, value)| {
                    CODES.contains(&name.to_ascii_lowercase().as_str())
                        && matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_))
                        && is_nothing(value)
                })
        }
    }
}

/// That what follows is bounded, holds nothing secret, is an end only where the cloud said so, and is written once.
fn check_decision(api: &Api, id: &str, result: Result<Observation, PollFailure>) {
    let spec = json!({"provider": api.provider(), "operationId": id, "credentialsRef": {"name": "cloud"}});
    let mut operation = CloudOperation::new("operation", serde_json::from_value(spec).unwrap());
    operation.metadata.generation = Some(1);
    let cloud = api.single(|api| api.cloud().to_owned());
    let ended =
        matches!(&result, Ok(said) if matches!(said.state, State::Succeeded | State::Failed | State::Cancelled));
    let poll = Poll { result, age: Duration::ZERO, since_last: None };
    let decide = |operation: &CloudOperation, memory, now| {
        decide(Subject { operation, cloud: &cloud, typical: None }, Some(poll.clone()), memory, now)
    };
    let first = decide(&operation, Memory::default(), now());
    let text = serde_json::to_string(&first.status).unwrap();
    assert!(text.len() <= LARGEST_STATUS, "a status of {} bytes", text.len());
    if !SECRETS.iter().any(|secret| id.contains(secret)) {
        check_redacted(&text);
        first.notices.iter().for_each(|notice| check_redacted(&format!("{notice:?}")));
    }
    assert!(ended || !is_over(&first.status), "over, and the cloud did not say so");
    let later = now() + SignedDuration::from_secs(10);
    operation.status = Some(first.status);
    let second = decide(&operation, first.memory, later);
    assert_eq!(decide(&operation, first.memory, later), second, "the same answer is decided otherwise");
    if poll.result.is_ok() {
        // An estimate may come with time.
        let told = |status: &CloudOperationStatus| {
            let mut status = status.clone();
            status.progress.iter_mut().for_each(|progress| progress.estimated_completion_time = None);
            status
        };
        assert_eq!(Some(told(&second.status)), operation.status.as_ref().map(told), "the same answer is written twice");
    }
}
