//! Lists operations.

use clap::Args;
use cloudop::api::CloudOperation;
use comfy_table::{ContentArrangement, Table, presets};
use console::Term;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::cluster::{Cluster, ScopeFlags, trouble};
use crate::exit::{Error, Exit};
use crate::screen::short;
use crate::verdict::{condition, line};
use crate::wait::{Format, print};

/// What is listed.
#[derive(Args, Clone, Debug)]
pub struct GetFlags {
    /// CloudOperations, by their names; by default all of the namespace
    #[arg(value_name = "NAME", conflicts_with_all = ["selector", "all_namespaces"])]
    pub names: Vec<String>,
    /// Which of several.
    #[command(flatten)]
    pub scope: ScopeFlags,
    /// What to print instead of a table
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Lists as the flags say. Exit code 4 where a name is not there.
///
/// # Errors
/// The cluster's trouble.
pub async fn get(cluster: &Cluster, flags: &GetFlags) -> Result<Exit, Error> {
    let api = match flags.scope.all_namespaces {
        true => Api::all(cluster.client.clone()),
        false => cluster.operations(),
    };
    let parameters = ListParams { label_selector: flags.scope.selector.clone(), ..ListParams::default() };
    let mut found = api.list(&parameters).await.map_err(|error| trouble(&error, "list", "CloudOperations"))?.items;
    let names: Vec<&str> = flags.names.iter().map(|name| name.rsplit('/').next().unwrap_or_default()).collect();
    found.retain(|operation| names.is_empty() || names.contains(&&*operation.name_any()));
    let missing: Vec<&&str> =
        names.iter().filter(|name| !found.iter().any(|operation| operation.name_any() == **name)).collect();
    match flags.output {
        Some(format) => print(&found.iter().collect::<Vec<_>>(), format)?,
        None if found.is_empty() && names.is_empty() => eprintln!("There are no such CloudOperations."),
        None if found.is_empty() => {}
        None => {
            let width = Term::stdout().size_checked().map(|(_, width)| width);
            println!("{}", table(&found, flags.scope.all_namespaces, width, Timestamp::now()));
        }
    }
    for name in &missing {
        eprintln!("error: there is no CloudOperation {name} in namespace {}", cluster.namespace);
    }
    Ok(if missing.is_empty() { Exit::Succeeded } else { Exit::Unknown })
}

/// A row for each, without lines between; wrapped to `width` where there is one.
fn table(operations: &[CloudOperation], with_namespaces: bool, width: Option<u16>, now: Timestamp) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    let namespace = with_namespaces.then_some("NAMESPACE");
    table.set_header(namespace.into_iter().chain(["NAME", "PROVIDER", "PHASE", "PROGRESS", "TIME", "MESSAGE"]));
    for operation in operations {
        let status = operation.status.as_ref();
        let start = status.and_then(|status| status.start_time.as_ref());
        let end = status.and_then(|status| status.completion_time.as_ref()).map_or(now, |end| end.0);
        let time = start.map(|start| short(end.duration_since(start.0).unsigned_abs())).unwrap_or_default();
        let progress = status.and_then(|status| status.progress.as_deref());
        let counts = progress.and_then(|progress| Some(format!("{}/{}", progress.completed?, progress.total?)));
        let far = counts.or(progress.and_then(|progress| progress.percent).map(|percent| format!("{percent}%")));
        let stalled = status.and_then(|status| condition(status, "Stalled")).map(|stalled| stalled.reason.to_string());
        let phase = status.map(|status| format!("{:?}", status.phase)).unwrap_or_default();
        let phase = match stalled.filter(|_| phase != "Failed") {
            Some(stalled) => format!("{phase}, {stalled}"),
            None => phase,
        };
        let said = line(operation);
        let message = status.and_then(|status| condition(status, "Succeeded"));
        let message =
            message.map_or(said.split_once(": ").map_or("", |(_, said)| said), |condition| &condition.message);
        let cells = [
            operation.name_any(),
            operation.spec.provider.name().to_owned(),
            phase,
            far.unwrap_or_default(),
            time,
            message.to_owned(),
        ];
        table.add_row(operation.namespace().filter(|_| with_namespaces).into_iter().chain(cells));
    }
    table.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}
