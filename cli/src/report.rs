//! What a bug report needs, in one file that holds no secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use cloudop::api::{CloudOperation, OperationProfile};
use cloudop::provider::Provider;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, trouble};
use crate::doctor;
use crate::exit::{Error, Exit};
use crate::installation::{Controller, VERSION, allowed, controllers};
use crate::screen::{self, Mark};
use crate::version::versions;
use crate::wait::{Format, render};
use cloudop::upstream::Redaction;

/// Lines of each Pod's log that are kept.
const LINES: usize = 200;
/// Lines of each Pod's log, the last ones, that are read for them.
const READ: i64 = 20_000;
/// The keys of a Secret whose values are no secret, and may stand in an object as well.
const OPEN_KEYS: [&str; 7] = ["provider", "endpoint", "iamEndpoint", "ca.crt", "signature", "region", "domainName"];
/// The annotations whose values are cloudop's own.
const OWN: &str = "cloudop.dev/";
const LEFT_OUT: &str = "[left out]";

/// What is reported.
#[derive(Args, Clone, Debug)]
pub struct ReportFlags {
    /// CloudOperations, by their names; by default all of the namespace
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Where to write it; - is standard output
    #[arg(long, default_value = "cloudop-report.yaml", value_name = "FILE")]
    pub out: PathBuf,
}

/// Writes the report. Exit code 4 where a name is not there.
///
/// # Errors
/// The cluster's trouble, and that of the file.
pub async fn report(cluster: &Cluster, flags: &ReportFlags) -> Result<Exit, Error> {
    let names: Vec<&str> = flags.names.iter().map(|name| name.rsplit('/').next().unwrap_or_default()).collect();
    let mut report = Report { left_out: BTreeSet::new(), secrets: Vec::new() };
    let operations = operations(cluster, &names).await?;
    for name in names.iter().filter(|name| !operations.iter().any(|known| known.name_any() == **name)) {
        report.left_out.insert(format!("CloudOperation {name}: there is none in namespace {}", cluster.namespace));
    }
    let is_complete = report.left_out.is_empty();
    let body = report.gather(cluster, &operations).await?;
    write(&flags.out, &render(&body, Format::Yaml)?)?;
    for line in &report.left_out {
        screen::note(&format!("left out: {line}"));
    }
    if flags.out != Path::new("-") {
        screen::progress(&format!("{}: written; read it before you attach it", flags.out.display()));
    }
    Ok(if is_complete { Exit::Succeeded } else { Exit::Unknown })
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    let written = match file == Path::new("-") {
        true => std::io::stdout().write_all(text.as_bytes()),
        false => std::fs::write(file, text),
    };
    written.map_err(|error| Error { exit: Exit::Failed, message: format!("--out {}: {error}", file.display()) })
}

async fn operations(cluster: &Cluster, names: &[&str]) -> Result<Vec<CloudOperation>, Error> {
    let api = cluster.operations();
    if names.is_empty() {
        let all = api.list(&ListParams::default()).await;
        return Ok(all.map_err(|error| trouble(&error, "list", "CloudOperations"))?.items);
    }
    let mut found = Vec::new();
    for name in names {
        let one = api.get_opt(name).await;
        found.extend(one.map_err(|error| trouble(&error, "get", &format!("CloudOperation {name}")))?);
    }
    Ok(found)
}

struct Report {
    left_out: BTreeSet<String>,
    /// What is to be found nowhere in it.
    secrets: Vec<SecretString>,
}

impl Report {
    async fn gather(&mut self, cluster: &Cluster, operations: &[CloudOperation]) -> Result<Value, Error> {
        let mut secrets = Map::new();
        let names: BTreeSet<&str> = operations.iter().map(|one| &*one.spec.credentials_ref.name).collect();
        for name in names {
            secrets.insert(name.to_owned(), self.keys(cluster, name).await?);
        }
        let mut shown = Vec::new();
        for operation in operations {
            let known = secrets.get(&*operation.spec.credentials_ref.name).is_some_and(|keys| !keys.is_null());
            let events = self.events(cluster, &operation.name_any()).await?;
            shown.push(json!({"object": object(&json!(operation), known), "events": events}));
        }
        let profiles = self.profiles(cluster, operations).await?;
        let controllers = self.controllers(cluster, operations).await?;
        let findings = doctor::findings(cluster).await?;
        let findings = findings.into_iter().map(|finding| {
            let mark = match finding.mark {
                Mark::Good => "well",
                Mark::Bad => "wrong",
                Mark::Unknown => "unknown",
            };
            json!({mark: finding.line})
        });
        let mut body = json!({
            "cloudopReport": {"by": format!("kubectl cloudop {VERSION}"), "at": Timestamp::now().to_string(),
                              "namespace": cluster.namespace},
            "versions": versions(cluster).await?.value,
            "doctor": findings.collect::<Vec<_>>(),
            "operations": shown,
            "keysOfSecrets": secrets,
            "profiles": profiles,
            "controllers": controllers,
            "leftOut": self.left_out,
        });
        let redaction = Redaction::new(&self.secrets);
        clean(&mut body, &|text| redact(&redaction, text));
        Ok(body)
    }

    /// The names of a Secret's keys; nothing where it cannot be read.
    async fn keys(&mut self, cluster: &Cluster, name: &str) -> Result<Value, Error> {
        let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let secret = match allowed(api.get_opt(name).await, "get secrets")? {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                self.left_out.insert(format!("Secret {name}: there is none in namespace {}", cluster.namespace));
                return Ok(Value::Null);
            }
            Err(right) => {
                self.left_out.insert(format!(
                    "Secret {name}: the names of its keys, and all annotations, as they could not be searched for its \
                     values, take the right to {right}"
                ));
                return Ok(Value::Null);
            }
        };
        let mut names = Vec::new();
        for (key, value) in secret.data.unwrap_or_default() {
            if !OPEN_KEYS.contains(&&*key) {
                self.secrets.extend(spellings(&String::from_utf8_lossy(&value.0)));
            }
            names.push(Value::from(key));
        }
        Ok(Value::from(names))
    }

    async fn events(&mut self, cluster: &Cluster, name: &str) -> Result<Vec<Value>, Error> {
        let api: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let about = format!("regarding.kind=CloudOperation,regarding.name={name}");
        match allowed(api.list(&ListParams::default().fields(&about)).await, "list events.events.k8s.io")? {
            Ok(events) => Ok(events
                .iter()
                .map(|event| {
                    json!({"at": event.event_time, "type": event.type_, "reason": event.reason, "note": event.note,
                           "by": event.reporting_instance})
                })
                .collect()),
            Err(right) => {
                self.left_out.insert(format!("Events: take the right to {right}"));
                Ok(Vec::new())
            }
        }
    }

    async fn profiles(&mut self, cluster: &Cluster, operations: &[CloudOperation]) -> Result<Vec<Value>, Error> {
        let names: BTreeSet<String> = operations
            .iter()
            .filter_map(|operation| match &operation.spec.provider {
                Provider::Declared(declared) => Some(declared.profile.to_string()),
                _ => None,
            })
            .collect();
        let api: Api<OperationProfile> = Api::all(cluster.client.clone());
        let mut shown = Vec::new();
        for name in names {
            match allowed(api.get_opt(&name).await, "get operationprofiles")? {
                Ok(Some(profile)) => shown.push(object(&json!(profile), true)),
                Ok(None) => {
                    self.left_out.insert(format!("OperationProfile {name}: there is none"));
                }
                Err(right) => {
                    self.left_out.insert(format!("OperationProfile {name}: takes the right to {right}"));
                }
            }
        }
        Ok(shown)
    }

    async fn controllers(&mut self, cluster: &Cluster, operations: &[CloudOperation]) -> Result<Vec<Value>, Error> {
        let controllers = controllers(cluster).await?;
        if let Some(right) = controllers.hidden {
            self.left_out.insert(format!("controllers in other namespaces: take the right to {right}"));
        }
        let mut shown = Vec::new();
        for controller in &controllers.seen {
            let logs = self.logs(cluster, controller, operations).await?;
            shown.push(json!({"deployment": controller.place(), "version": controller.version,
                              "image": controller.image, "args": controller.args, "logs": logs}));
        }
        Ok(shown)
    }

    /// The lines about the operations, by Pods.
    async fn logs(
        &mut self,
        cluster: &Cluster,
        controller: &Controller,
        operations: &[CloudOperation],
    ) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &controller.namespace);
        let right = format!("list pods in namespace {}", controller.namespace);
        let pods = match allowed(api.list(&ListParams::default().labels(&controller.pods)).await, &right)? {
            Ok(pods) => pods,
            Err(right) => {
                self.left_out.insert(format!("logs of {}: take the right to {right}", controller.place()));
                return Ok(BTreeMap::new());
            }
        };
        let names: Vec<String> = operations.iter().map(ResourceExt::name_any).collect();
        let read = LogParams { tail_lines: Some(READ), ..LogParams::default() };
        let mut logs = BTreeMap::new();
        for pod in pods.iter().map(ResourceExt::name_any) {
            match api.logs(&pod, &read).await {
                Ok(log) => {
                    logs.insert(pod, lines_about(&log, &cluster.namespace, &names));
                }
                // A node that is away must not cost the rest of the report.
                Err(error) => {
                    let why = trouble(&error, "get", &format!("pods/log in namespace {}", controller.namespace));
                    self.left_out.insert(format!("log of Pod {pod}: {}", why.message));
                }
            }
        }
        Ok(logs)
    }
}

/// A secret, and each line of it: one that has several may be repeated in part.
fn spellings(value: &str) -> impl Iterator<Item = SecretString> + '_ {
    let trimmed = value.trim();
    std::iter::once(trimmed).chain(trimmed.lines().map(str::trim)).map(SecretString::from)
}

/// The text with neither secrets nor users in URLs.
fn redact(redaction: &Redaction, text: &str) -> String {
    let redacted = redaction.redact(text);
    without_users(redacted.as_deref().unwrap_or(text))
}

/// Replaces what stands before the `@` of a URL's host.
fn without_users(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let host = part.split(|c: char| c == '/' || c.is_whitespace() || c == '"').next().unwrap_or_default();
        let user = host.rfind('@').unwrap_or_default();
        clean.push_str("://");
        if user > 0 {
            clean.push_str("[redacted]");
        }
        clean.push_str(part.get(user..).unwrap_or_default());
    }
    clean
}

/// Changes every text of a value, names of members included.
fn clean(value: &mut Value, redact: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = redact(text),
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, redact)),
        Value::Object(members) => {
            *members = std::mem::take(members)
                .into_iter()
                .map(|(name, mut member)| {
                    clean(&mut member, redact);
                    (redact(&name), member)
                })
                .collect();
        }
        _ => {}
    }
}

/// An object without what the API server keeps of its writers. Annotations are others' texts: of those that are not
/// cloudop's own, and of all where `shows_own` is not set, the names alone.
fn object(object: &Value, shows_own: bool) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            for (name, value) in annotations.iter_mut() {
                if !shows_own || !name.starts_with(OWN) {
                    *value = LEFT_OUT.into();
                }
            }
        }
    }
    object
}

/// The last lines of a controller's log, in either format, that name one of the objects.
fn lines_about(log: &str, namespace: &str, names: &[String]) -> Vec<String> {
    let is_about = |line: &&str| {
        let has = |name: &str, value: &str| {
            line.contains(&format!("{name}=\"{value}\""))
                || line.contains(&format!("\"{name}\":\"{value}\""))
                || line.split_whitespace().any(|word| word == format!("{name}={value}"))
        };
        has("namespace", namespace) && names.iter().any(|name| has("name", name))
    };
    let mut lines: Vec<String> = log.lines().rev().filter(is_about).take(LINES).map(str::to_owned).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_are_not_taken() {
        let about = [
            r#"2026-01-01T00:00:00Z  INFO cloudop: changed namespace="team-a" name="job" to="Running""#,
            r#"{"timestamp":"2026-01-01T00:00:00Z","level":"INFO","message":"changed","namespace":"team-a","name":"job"}"#,
            r#"2026-01-01T00:00:00Z  WARN cloudop: an Event was refused namespace=team-a name="job" reason="x""#,
        ];
        let others = [
            r#"INFO cloudop: changed namespace="team-b" name="job""#,
            r#"INFO cloudop: changed namespace="team-a" name="job-2""#,
            r#"INFO cloudop: changed namespace=team-ab name="job""#,
            "INFO cloudop: job of team-a",
        ];
        let log = [&about[..], &others[..]].concat().join("\n");
        assert_eq!(lines_about(&log, "team-a", &["job".to_owned()]), about);
        let many = format!("{}\n", about[0]).repeat(LINES + 7) + about[1];
        let taken = lines_about(&many, "team-a", &["job".to_owned()]);
        assert_eq!((taken.len(), taken.last().map(String::as_str)), (LINES, Some(about[1])));
    }

    #[rstest::rstest]
    #[case("--proxy=http://user:pass@proxy:3128", "--proxy=http://[redacted]@proxy:3128")]
    #[case("to https://a/b@c and http://u@d/x", "to https://a/b@c and http://[redacted]@d/x")]
    #[case("https://u:p@ss@host", "https://[redacted]@host")]
    #[case("no URL: a@b", "no URL: a@b")]
    fn the_user_of_a_url_is_hidden(#[case] text: &str, #[case] clean: &str) {
        assert_eq!(without_users(text), clean);
    }

    #[test]
    fn each_line_of_a_secret_is_hidden_wherever_it_stands() {
        let secrets: Vec<SecretString> = spellings("first-t0ken\nsecond-t0ken\n").collect();
        let redaction = Redaction::new(&secrets);
        let mut value = json!({"second-t0ken": ["x first-t0ken y", 1, {"a": "first-t0ken\nsecond-t0ken"}]});
        clean(&mut value, &|text| redact(&redaction, text));
        assert_eq!(value, json!({"[redacted]": ["x [redacted] y", 1, {"a": "[redacted]"}]}));
    }

    #[test]
    fn an_object_is_shown_without_others_annotations() {
        let given = json!({"metadata": {"name": "a", "managedFields": [1], "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}", "cloudop.dev/requested-at": "now", "x/y": "z"}}});
        let shown = |own: bool| object(&given, own)["metadata"].take();
        assert_eq!(
            shown(true),
            json!({"name": "a", "annotations": {"cloudop.dev/requested-at": "now", "x/y": LEFT_OUT}})
        );
        assert_eq!(shown(false)["annotations"]["cloudop.dev/requested-at"], LEFT_OUT);
    }
}
