//! What a user does to CloudOperations: has them looked at now, or rest.

use cloudop::api::REQUESTED_AT;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, trouble};
use crate::exit::{Error, Exit};

/// Has them looked at now.
///
/// # Errors
/// The cluster's trouble.
pub async fn poll(cluster: &Cluster, names: &[String]) -> Result<Exit, Error> {
    let now = Timestamp::now().to_string();
    patch(cluster, names, &json!({"metadata": {"annotations": {REQUESTED_AT: now}}}), "will be polled now").await
}

/// Lets them rest, or not.
///
/// # Errors
/// The cluster's trouble.
pub async fn suspend(cluster: &Cluster, names: &[String], rests: bool) -> Result<Exit, Error> {
    patch(cluster, names, &json!({"spec": {"suspend": rests}}), if rests { "suspended" } else { "resumed" }).await
}

async fn patch(cluster: &Cluster, names: &[String], change: &Value, done: &str) -> Result<Exit, Error> {
    let api = cluster.operations();
    let mut exits = Vec::new();
    for name in names.iter().map(|name| name.rsplit('/').next().unwrap_or_default()) {
        match api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await {
            Ok(_) => println!("cloudoperation.cloudop.dev/{name} {done}"),
            Err(kube::Error::Api(status)) if status.code == 404 && !status.message.contains("page not found") => {
                eprintln!("error: there is no CloudOperation {name} in namespace {}", cluster.namespace);
                exits.push(Exit::Unknown);
            }
            Err(error) => return Err(trouble(&error, "patch", &format!("CloudOperation {name}"))),
        }
    }
    Ok(Exit::of_several(exits))
}
