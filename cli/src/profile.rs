//! Profiles and their examples, read by the controller's own code.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloudop::api::{CloudOperation, CloudOperationSpec, CredentialsRef, OperationProfile};
use cloudop::decision::{Memory, Poll, Subject, decide};
use cloudop::document::Document;
use cloudop::observation::{FailureKind, Misread, PollFailure, Reading};
use cloudop::profile::{Profile, check_example, compile, warnings};
use cloudop::provider::{Declared, Provider, find, interpret};
use serde_json::{Value, json};

/// Tests the examples of all profiles in `files`; whether all are read as expected.
///
/// # Errors
/// A file cannot be read, or holds no profile.
pub fn test(files: &[impl AsRef<Path>]) -> Result<bool, String> {
    let mut is_good = true;
    for file in files {
        for profile in profiles(file.as_ref())? {
            is_good &= test_one(&profile);
        }
    }
    Ok(is_good)
}

fn test_one(profile: &OperationProfile) -> bool {
    let name = profile.metadata.name.as_deref().unwrap_or("(no name)");
    let compiled = match compile(name, &profile.spec) {
        Ok(compiled) => Arc::new(compiled),
        Err(why) => {
            println!("✖ {name}: {why}");
            return false;
        }
    };
    let mut is_good = has_both_ends(profile);
    if !is_good {
        println!("✖ {name}: spec.examples must hold one that is expected to be Succeeded and one that is Failed");
    }
    for example in &profile.spec.examples {
        match check_example(&compiled, example) {
            Ok(()) => println!("✔ {name}: {}", example.name),
            Err(mismatch) => {
                is_good = false;
                println!("✖ {name}: {mismatch}");
            }
        }
    }
    for warning in warnings(&profile.spec) {
        println!("? {name}: {warning}");
    }
    is_good
}

/// What the API server checks.
fn has_both_ends(profile: &OperationProfile) -> bool {
    use cloudop::api::Phase::{Failed, Succeeded};
    [Succeeded, Failed]
        .into_iter()
        .all(|phase| profile.spec.examples.iter().any(|example| example.expect.phase == Some(phase)))
}

/// Prints the status that the reply would give a CloudOperation.
///
/// # Errors
/// A file cannot be read, the profile cannot be used, or the parameters do not fit it.
pub fn try_reply(
    file: &Path,
    reply: &Path,
    operation_id: Option<&str>,
    parameters: &[String],
    from_list: bool,
) -> Result<(), String> {
    let profiles = profiles(file)?;
    let [profile] = profiles.as_slice() else {
        return Err(format!("{}: holds {} profiles, and one is wanted", file.display(), profiles.len()));
    };
    let name = profile.metadata.name.as_deref().unwrap_or("profile");
    let compiled = Arc::new(compile(name, &profile.spec)?);
    let declared = Declared { profile: name.into(), parameters: given(&compiled, parameters)? };
    let reply = read(reply)?;
    let document = Document::parse(reply.as_bytes()).map_err(|misread| misread.to_string());
    let operation_id = match (operation_id, &document) {
        (Some(id), _) => id.to_owned(),
        (None, Ok(document)) if !from_list => {
            compiled.identify(document.root()).ok_or("the reply names no operation: give --operation-id")?
        }
        _ => return Err("give --operation-id".into()),
    };
    let bound = compiled.for_reading(&declared);
    let read = document.map_err(Misread).and_then(|document| match from_list {
        true => find(&bound, &operation_id, document.root()),
        false => interpret(&bound, &operation_id, document.root()),
    });
    let result = match read {
        Ok(Reading::Found(observation)) => Ok(*observation),
        Ok(Reading::NextPage(_)) => {
            return Err("the operation is not on this page of the list, and there is another".into());
        }
        Ok(Reading::Absent) => Err(PollFailure::new(FailureKind::NotFound, "the list lacks the operation")),
        Ok(Reading::Unreadable(misread)) | Err(misread) => {
            Err(PollFailure::new(FailureKind::InvalidResponse, misread.to_string()))
        }
    };
    let mut operation = CloudOperation::new(
        "tried",
        CloudOperationSpec {
            provider: Provider::Declared(declared),
            operation_id: operation_id.into(),
            credentials_ref: CredentialsRef { name: "none".into() },
            poll_interval_seconds: None,
            active_deadline_seconds: None,
            progress_deadline_seconds: None,
            not_found_grace_seconds: 120,
            ttl_seconds_after_finished: None,
            suspend: false,
        },
    );
    operation.metadata.generation = Some(1);
    let poll = Poll { result, age: Duration::ZERO, since_last: None };
    let status = decide(
        Subject { operation: &operation, cloud: compiled.cloud(), typical: None },
        Some(poll),
        Memory::default(),
        jiff::Timestamp::now(),
    )
    .status;
    let status = serde_json::to_value(status).map_err(|error| error.to_string())?;
    print!("{}", serde_saphyr::to_string(&json!({"status": status})).map_err(|error| error.to_string())?);
    Ok(())
}

/// The parameters that are given; those that are not do not matter for reading.
fn given(profile: &Profile, parameters: &[String]) -> Result<BTreeMap<Box<str>, Box<str>>, String> {
    let mut given: BTreeMap<Box<str>, Box<str>> = profile.sample_parameters();
    for parameter in parameters {
        let (name, value) =
            parameter.split_once('=').ok_or_else(|| format!("--parameter {parameter}: is not NAME=VALUE"))?;
        given.insert(name.into(), value.into());
    }
    Ok(given)
}

/// The profiles in `file`, with what is no field of them refused.
fn profiles(file: &Path) -> Result<Vec<OperationProfile>, String> {
    let shown = file.display();
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&read(file)?).map_err(|error| format!("{shown}: {error}"))?;
    let mut profiles = Vec::new();
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        if document["kind"] != "OperationProfile" {
            return Err(format!("{shown}: holds a {}, and OperationProfiles are wanted", document["kind"]));
        }
        let profile: OperationProfile =
            serde_json::from_value(document.clone()).map_err(|error| format!("{shown}: {error}"))?;
        let known = serde_json::to_value(&profile.spec).map_err(|error| error.to_string())?;
        if let Some(field) = unknown(&document["spec"], &known, "spec") {
            return Err(format!("{shown}: there is no field {field}"));
        }
        profiles.push(profile);
    }
    match profiles.is_empty() {
        true => Err(format!("{shown}: holds no OperationProfile")),
        false => Ok(profiles),
    }
}

/// The first field of `written` that was not `understood`.
fn unknown(written: &Value, understood: &Value, place: &str) -> Option<String> {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => written.iter().find_map(|(name, value)| {
            let place = format!("{place}.{name}");
            match understood.get(name) {
                Some(known) => unknown(value, known, &place),
                // What is empty is left out when it is written again.
                None if value.is_null() || *value == json!({}) || *value == json!([]) => None,
                None => Some(place),
            }
        }),
        (Value::Array(written), Value::Array(understood)) => written
            .iter()
            .zip(understood)
            .enumerate()
            .find_map(|(at, (written, understood))| unknown(written, understood, &format!("{place}[{at}]"))),
        _ => None,
    }
}

fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let result = match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text).map(|_| text),
        false => std::fs::read_to_string(file),
    };
    result.map_err(|error| format!("{}: {error}", file.display()))
}
