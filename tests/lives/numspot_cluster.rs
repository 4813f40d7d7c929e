//! NumSpot clusters, whose own state tells what is done to them.

use cloudop_simulator::{Cloud, Operation, Scope, Stage};

use crate::story::Story;

const SPACE: &str = "6f0e3b5a-2c1d-4f7e-9a8b-1d2c3e4f5a6b";
const CLUSTER: &str = "0b9d7c1e-5a4f-4e3d-8c2b-7a6f5e4d3c2b";
const PROVIDER: &str = "numspotCluster: {region: eu-west-2, spaceId: 6f0e3b5a-2c1d-4f7e-9a8b-1d2c3e4f5a6b}";

fn cluster() -> Operation {
    Operation::new(Cloud::NumspotCluster, Scope::numspot(SPACE, ""), CLUSTER).target("", "prod")
}

#[test]
fn a_cluster_counts_as_ready_only_once_it_was_seen_busy() {
    let cluster = cluster()
        .stage(Stage::state("RUNNING"))
        .stage(Stage::state("CREATING").progress("the control plane is being set up"))
        .stage(Stage::state("RUNNING"));
    let mut story = Story::new("numspot_cluster/ready", cluster);
    story.apply(PROVIDER, "");
    story.see("as before");
    story.advance_to("busy");
    story.advance();
    story.end("ready", true);
    story.close();
}

#[test]
fn a_failure_says_why() {
    let cluster = cluster()
        .stage(Stage::state("CREATING"))
        .stage(Stage::state("FAILED").error("", "no capacity left for the control plane"));
    let mut story = Story::new("numspot_cluster/failed", cluster);
    story.apply(PROVIDER, "");
    story.see("busy");
    story.advance();
    story.end("failed", false);
    story.close();
}
