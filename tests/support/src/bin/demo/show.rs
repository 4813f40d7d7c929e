//! The operations from `kubectl apply` to their ends.

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use cloudop_simulator::{Cloud, Key, Scope};

use crate::{
    cast::{CAST, End, Operation, Role},
    scene::{Scene, split},
    screen::Screen,
    watch::Watch,
};

const PERIOD: Duration = Duration::from_millis(500);
/// How long the blocked operation is left alone before somebody comes and retries it.
const UNATTENDED: Duration = Duration::from_secs(6);
/// Well above what it takes on a busy machine.
const TOO_LONG: Duration = Duration::from_secs(180);

/// Applies the examples and follows them until all are over. Returns what was not as it should have been.
pub fn run(screen: &Screen, scene: &Scene) -> Result<Vec<String>, Box<dyn Error>> {
    screen.step("Five operations, followed until all are over")?;
    scene.kubectl(screen, &format!("apply {}", CAST.map(|role| format!("-f examples/{}", role.file)).join(" ")))?;
    screen.line(&format!(
        "\nMeanwhile, {} s after the upgrade is Blocked, somebody retries its failed task in Huawei Cloud's console and has it polled:",
        UNATTENDED.as_secs()
    ))?;
    screen.command(&scene.cluster.typed(&format!("cloudop poll {}", CAST[0].name)))?;
    screen.line("")?;
    let watch = format!("cloudop watch {}", CAST.map(|role| role.name).join(" "));
    screen.command(&scene.cluster.typed(&watch))?;
    let mut watch = Watch::start(&scene.cluster, &split(&watch))?;
    let began = Instant::now();
    let mut blocked_since = None;
    let mut is_retried = false;
    while !watch.is_over()? && began.elapsed() < TOO_LONG {
        let operations = operations(scene)?;
        if let Some(blocked) = operations.iter().find(|operation| operation.phase() == "Blocked") {
            let since = *blocked_since.get_or_insert_with(Instant::now);
            if !is_retried && since.elapsed() >= UNATTENDED {
                retry(scene, blocked)?;
                is_retried = true;
            }
        }
        if let Some(status) = scene.controller.try_wait()? {
            return Err(format!("the controller ended with {status}:\n{}", scene.controller.logs()).into());
        }
        thread::sleep(PERIOD);
    }
    drop(watch);
    Ok(surprises(&operations(scene)?, blocked_since.is_some()))
}

fn operations(scene: &Scene) -> Result<Vec<Operation>, Box<dyn Error>> {
    Ok(Operation::parse_list(&scene.cluster.kubectl_ok(&["get", "cloudop", "-o", "json"])?)?)
}

fn surprises(seen: &[Operation], was_blocked: bool) -> Vec<String> {
    let judge = |role: &Role| match seen.iter().find(|operation| operation.name() == role.name) {
        Some(operation) => operation.surprise(role, was_blocked && matches!(role.end, End::SucceedsOnceRetried)),
        None => Some(format!("{} is not there", role.name)),
    };
    CAST.iter().filter_map(judge).collect()
}

/// Plays the person who has the failed task retried in the cloud, and doesn't want to wait for the next poll.
fn retry(scene: &Scene, blocked: &Operation) -> Result<(), Box<dyn Error>> {
    let provider = "/spec/provider/huaweiCceUpgrade";
    let [project, cluster] = ["projectId", "clusterId"].map(|member| blocked.text(&format!("{provider}/{member}")));
    let key = Key {
        cloud: Cloud::HuaweiCceUpgrade,
        scope: Scope::cce(project, cluster),
        id: blocked.text("/spec/operationId").to_owned(),
    };
    if !scene.simulator.advance(&key) {
        return Err(format!("{}: the simulated cloud has nothing to retry", blocked.name()).into());
    }
    scene.cluster.kubectl_ok(&["cloudop", "poll", blocked.name()])?;
    Ok(())
}
