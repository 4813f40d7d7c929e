//! What readers see of an operation, on a real API server with the real controller: `kubectl get`, `wait`, `describe`,
//! field selectors, Events.

mod edits;
mod events;
mod kubectl;
mod rows;
mod view;

use cloudop_simulator::{Cloud, Operation, Scope};
use cloudop_testbed::Bed;

/// The member of `spec.provider` that [`job`] is found by.
const OTC: &str = "otcCceJob: {region: eu-de, projectId: p1}";
/// The member of `spec.provider` that [`upgrade`] is found by.
const CCE: &str = "huaweiCceUpgrade: {region: ap-southeast-3, projectId: p1, clusterId: c1}";

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A job that begins, runs and ends well or not, as its stages say.
fn job(id: &str) -> Operation {
    Operation::new(Cloud::OtcCceJob, Scope::otc("p1"), id).kind("CreateCluster")
}

/// The upgrade of a cluster, which its cloud can park.
fn upgrade(id: &str) -> Operation {
    Operation::new(Cloud::HuaweiCceUpgrade, Scope::cce("p1", "c1"), id)
}

/// An object that follows `id`, which is its name too, at `provider`, polled every second.
fn apply(bed: &Bed, provider: &str, id: &str, more: &str) {
    bed.apply(&Bed::operation(id, provider, id, &format!("pollIntervalSeconds: 1\n{more}")));
}
