//! What readers see of an operation, on a real API server with the real controller: `kubectl get`, `wait`, `describe`,
//! field selectors, Events.

mod edits;
mod events;
mod kubectl;
mod rows;
mod view;

use cloudop_simulator::{Cloud, Operation, Scope};
use cloudop_testbed::Bed;

/// The member of `spec.provider` that [`job`] is found by, with the job's ID for ID: each has a project of its own, so
/// that no list tells of it.
const OTC: &str = "otcCceJob: {region: eu-de, projectId: ID}";
/// The member of `spec.provider` that [`upgrade`] is found by, likewise.
const CCE: &str = "huaweiCceUpgrade: {region: ap-southeast-3, projectId: p1, clusterId: ID}";

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A job that begins, runs and ends well or not, as its stages say.
fn job(id: &str) -> Operation {
    Operation::new(Cloud::OtcCceJob, Scope::otc(id), id).kind("CreateCluster")
}

/// The upgrade of a cluster, which its cloud can park.
fn upgrade(id: &str) -> Operation {
    Operation::new(Cloud::HuaweiCceUpgrade, Scope::cce("p1", id), id)
}

/// An object that follows `id`, which is its name too, at `provider`, polled every second.
fn apply(bed: &Bed, provider: &str, id: &str, more: &str) {
    let provider = provider.replace("ID", id);
    bed.apply(&Bed::operation(id, &provider, id, &format!("pollIntervalSeconds: 1\n{more}")));
}
