//! What runs at a cloud, and how to follow it.

use clap::Args;
use cloudop::api::CloudOperation;
use cloudop::observation::{Member, State};
use cloudop::provider::Provider;
use cloudop::wording::sanitize;
use comfy_table::{ContentArrangement, Table, presets};
use console::Term;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cloud::{Meant, ReachFlags, account, failed};
use crate::cluster::{Cluster, trouble};
use crate::exit::{Error, Exit};
use crate::provider::ParameterFlags;
use crate::screen;
use crate::wait::{Format, render};

/// The most operations that are shown: the newest.
const MOST_SHOWN: usize = 200;
/// The longest text of a cloud that is shown, in characters.
const LONGEST_TEXT: usize = 120;

/// Where operations are looked for.
#[derive(Args, Clone, Debug)]
pub struct DiscoverFlags {
    /// Provider, as in spec.provider (otcCceJob, …), or an OperationProfile's name
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// Secret with the credentials
    #[arg(long, value_name = "NAME")]
    pub secret: String,
    /// What stands beside the provider's name.
    #[command(flatten)]
    pub parameters: ParameterFlags,
    /// Look in all namespaces for CloudOperations that follow them
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// What to print instead of a table; name prints the operations' IDs
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Where credentials may be sent.
    #[command(flatten)]
    pub reach: ReachFlags,
}

/// An operation at the cloud.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    /// None where the list has none that can be read.
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    target: Option<String>,
    /// `?` where it cannot be read.
    state: String,
    upstream_state: Option<String>,
    start_time: Option<Timestamp>,
    /// What cannot be read of it.
    misread: Option<String>,
    /// The CloudOperations that follow it.
    followed_by: Vec<String>,
    /// The command line that would follow it.
    follow: Option<String>,
}

/// Lists the operations of a cloud's own list.
///
/// # Errors
/// An API without a list, what is wrong with the Secret, the cloud's trouble or the cluster's.
pub async fn discover(cluster: &Cluster, flags: &DiscoverFlags) -> Result<Exit, Error> {
    let meant = Meant::find(cluster, &flags.provider, &flags.parameters).await?;
    let api = meant.api(None)?;
    let Some(list) = api.list() else {
        return Err(Error::usage(format!(
            "this API of {} has no list of operations, or none with these parameters: take the ID from the reply that \
             started an operation, and give it to kubectl cloudop follow {} ID --secret {}",
            api.cloud(),
            flags.provider,
            flags.secret
        )));
    };
    let upstream = flags.reach.upstream()?;
    let account = account(cluster, &flags.secret, &*api).await?;
    let listed = upstream.list(&*api, &account, list).await.map_err(|failure| failed(&failure))?;
    let followers = followers(cluster, flags.all_namespaces, &meant.provider).await?;
    let find = |member: &Member| find(member, cluster, flags, &followers);
    let mut found: Vec<Found> = listed.members.iter().map(find).collect();
    found.sort_by_key(|found| std::cmp::Reverse(found.start_time));
    let is_whole = listed.is_whole && found.len() <= MOST_SHOWN;
    found.truncate(MOST_SHOWN);
    match flags.output {
        Some(Format::Name) => found.iter().filter_map(|found| found.id.as_ref()).for_each(|id| println!("{id}")),
        Some(format) => print!("{}", render(&json!({"items": found, "isWhole": is_whole}), format)?),
        None if found.is_empty() => eprintln!("The list of {} has no operations.", api.cloud()),
        None => show(&found),
    }
    if !is_whole {
        screen::note(&format!("{} has more operations than these {}.", api.cloud(), found.len()));
    }
    Ok(Exit::Succeeded)
}

/// The CloudOperations that follow operations of this provider: their names, and the IDs that they follow.
async fn followers(
    cluster: &Cluster,
    of_all_namespaces: bool,
    provider: &Provider,
) -> Result<Vec<(String, String)>, Error> {
    let api: Api<CloudOperation> = match of_all_namespaces {
        true => Api::all(cluster.client.clone()),
        false => cluster.operations(),
    };
    let listed = api.list(&ListParams::default()).await;
    let operations = listed.map_err(|error| trouble(&error, "list", "CloudOperations"))?.items;
    let of_it = operations.into_iter().filter(|operation| is_same(&operation.spec.provider, provider));
    let name = |operation: &CloudOperation| match operation.namespace() {
        Some(namespace) if of_all_namespaces => format!("{namespace}/{}", operation.name_any()),
        _ => operation.name_any(),
    };
    Ok(of_it.map(|operation| (name(&operation), operation.spec.operation_id.to_string())).collect())
}

/// Whether both are one API with the same parameters, as far as both give them: one may be left to its default.
fn is_same(one: &Provider, other: &Provider) -> bool {
    fn agree(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Object(members), Value::Object(others)) => {
                members.iter().all(|(key, value)| others.get(key).is_none_or(|other| agree(value, other)))
            }
            (one, other) => one == other,
        }
    }
    one.name() == other.name() && agree(&json!(one), &json!(other))
}

fn find(member: &Member, cluster: &Cluster, flags: &DiscoverFlags, followers: &[(String, String)]) -> Found {
    let clean = |text: &String| Some(sanitize(text, LONGEST_TEXT)).filter(|text| !text.is_empty());
    let mut found = Found {
        id: member.id.as_ref().map(|id| sanitize(id, usize::MAX)),
        kind: None,
        target: None,
        state: "?".to_owned(),
        upstream_state: None,
        start_time: None,
        misread: None,
        followed_by: Vec::new(),
        follow: None,
    };
    match &member.reading {
        Ok(observation) => {
            let target = &observation.target;
            found.kind = observation.operation_type.as_ref().and_then(clean);
            found.target = [&target.name, &target.id, &target.url].into_iter().flatten().find_map(clean);
            found.upstream_state = clean(&observation.upstream_state);
            found.start_time = observation.start_time;
            if observation.state != State::Unrecognized {
                found.state = format!("{:?}", observation.state);
            }
        }
        Err(misread) => found.misread = clean(&misread.0),
    }
    if let Some(id) = &member.id {
        let of_it = followers.iter().filter(|(_, followed)| followed.eq_ignore_ascii_case(id));
        found.followed_by = of_it.map(|(name, _)| name.clone()).collect();
        // One that is not as it is shown cannot be given back.
        found.follow = (found.id.as_ref() == Some(id)).then(|| follow(id, cluster, flags)).flatten();
    }
    found
}

/// The command line that would follow the operation.
fn follow(id: &str, cluster: &Cluster, flags: &DiscoverFlags) -> Option<String> {
    let ParameterFlags { parameters, region } = &flags.parameters;
    let mut words = vec!["kubectl", "cloudop", "follow", &flags.provider, id, "--secret", &flags.secret];
    words.extend(parameters.iter().flat_map(|parameter| ["-p", parameter]));
    words.extend(region.iter().flat_map(|region| ["--region", region]));
    words.extend(["-n", &cluster.namespace]);
    shlex::try_join(words).ok()
}

/// A table, and below it how to follow what nobody follows.
fn show(found: &[Found]) {
    let width = Term::stdout().size_checked().map(|(_, width)| width);
    println!("{}", table(found, width));
    let mut lines = found.iter().filter(|found| found.followed_by.is_empty()).filter_map(|found| found.follow.as_ref());
    if let Some(first) = lines.next() {
        println!("\nNobody follows these:\n");
        [first].into_iter().chain(lines).for_each(|line| println!("  {line}"));
    }
}

fn table(found: &[Found], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(["ID", "TYPE", "TARGET", "STATE", "STARTED", "FOLLOWED BY"]);
    for found in found {
        let state = match found.upstream_state.as_deref().or(found.misread.as_deref()) {
            Some(word) if !word.eq_ignore_ascii_case(&found.state) => format!("{} ({word})", found.state),
            _ => found.state.clone(),
        };
        let started = found.start_time.map(|time| format!("{time:.0}")).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let id = found.id.clone().unwrap_or_else(|| "?".to_owned());
        table.add_row([id, text(&found.kind), text(&found.target), state, started, found.followed_by.join(", ")]);
    }
    table.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(json!({"numspotKubernetes": {"region": "r", "spaceId": "s"}}), true)]
    #[case(json!({"numspotKubernetes": {"region": "r", "spaceId": "s", "clusterId": "c"}}), true)]
    #[case(json!({"numspotKubernetes": {"region": "r", "spaceId": "t"}}), false)]
    #[case(json!({"numspotCluster": {"region": "r", "spaceId": "s", "clusterId": "c"}}), false)]
    #[case(json!({"declared": {"profile": "numspot"}}), false)]
    fn what_one_leaves_out_is_no_difference(#[case] other: Value, #[case] expected: bool) {
        let provider = |spec: Value| serde_json::from_value::<Provider>(spec).unwrap();
        let one = provider(json!({"numspotKubernetes": {"region": "r", "spaceId": "s", "clusterId": "c"}}));
        let other = provider(other);
        assert_eq!(is_same(&one, &other), expected);
        assert_eq!(is_same(&other, &one), expected);
    }
}
