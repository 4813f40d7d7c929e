//! The operations from `kubectl apply` to their ends.

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use cloudop_simulator::{Cloud, Key, Scope};

use crate::{
    cast::{CAST, End, Operation, Role},
    scene::Scene,
    screen::{Screen, paint},
};

const PERIOD: Duration = Duration::from_millis(500);
/// How long the blocked operation is left alone before somebody comes and retries it.
const UNATTENDED: Duration = Duration::from_secs(6);
/// Well above what it takes on a busy machine.
const TOO_LONG: Duration = Duration::from_secs(180);

/// Applies the examples and follows them until all are over. Returns what was not as it should have been.
pub fn run(screen: &Screen, scene: &Scene) -> Result<Vec<String>, Box<dyn Error>> {
    screen.step("Five operations, followed until all are over")?;
    scene.kubectl(screen, "apply -f examples/")?;
    screen.command("kubectl get cloudop --watch")?;
    let began = Instant::now();
    let mut seen: Vec<Operation> = Vec::new();
    let mut blocked_since = None;
    let mut is_retried = false;
    loop {
        let operations = Operation::parse_list(&scene.cluster.kubectl_ok(&["get", "cloudop", "-o", "json"])?)?;
        for operation in &operations {
            let before = seen.iter().find(|before| before.name() == operation.name());
            if !operation.word().is_empty() && before.is_none_or(|before| facts(before) != facts(operation)) {
                screen.line(&change(operation, began.elapsed()))?;
            }
        }
        screen.table(&table(&operations, began.elapsed()))?;
        if let Some(blocked) = operations.iter().find(|operation| operation.phase() == "Blocked") {
            let since = *blocked_since.get_or_insert_with(Instant::now);
            if !is_retried && since.elapsed() >= UNATTENDED {
                retry(screen, scene, blocked)?;
                is_retried = true;
            }
        }
        seen = operations;
        if seen.len() == CAST.len() && seen.iter().all(Operation::is_over) {
            break;
        }
        if let Some(status) = scene.controller.try_wait()? {
            return Err(format!("the controller ended with {status}:\n{}", scene.controller.logs()).into());
        }
        if began.elapsed() > TOO_LONG {
            break;
        }
        thread::sleep(PERIOD);
    }
    screen.table(&[])?;
    Ok(surprises(&seen, blocked_since.is_some()))
}

fn surprises(seen: &[Operation], was_blocked: bool) -> Vec<String> {
    let judge = |role: &Role| match seen.iter().find(|operation| operation.name() == role.name) {
        Some(operation) => operation.surprise(role, was_blocked && matches!(role.end, End::SucceedsOnceRetried)),
        None => Some(format!("{} is not there", role.name)),
    };
    CAST.iter().filter_map(judge).collect()
}

/// Plays the person who has the failed task retried in the cloud, and doesn't want to wait for the next poll.
fn retry(screen: &Screen, scene: &Scene, blocked: &Operation) -> Result<(), Box<dyn Error>> {
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
    screen.line("\nSomebody retries the failed task in Huawei Cloud's console, and asks for a poll now:")?;
    let annotation = format!("annotate cloudop {} cloudop.dev/requested-at=retried", blocked.name());
    scene.kubectl(screen, &annotation)?;
    Ok(screen.line("")?)
}

fn facts(operation: &Operation) -> [&str; 3] {
    [operation.phase(), operation.word(), operation.progress()]
}

/// A line for the new state of an operation.
fn change(operation: &Operation, elapsed: Duration) -> String {
    let phase = paint(operation.phase(), &format!("{:<9}", operation.phase()));
    format!("{:>4} s  {:<24}  {phase}  {}", elapsed.as_secs(), operation.name(), operation.message())
}

fn table(operations: &[Operation], elapsed: Duration) -> Vec<String> {
    let row = |name: &str, phase: &str, word: &str, progress: &str| {
        format!("{name:<24}  {}  {word:<12}  {progress}", paint(phase, &format!("{phase:<9}")))
    };
    let mut lines = vec![String::new(), row("NAME", "PHASE", "THE CLOUD", "PROGRESS")];
    lines.extend(operations.iter().map(|o| row(o.name(), o.phase(), o.word(), o.progress())));
    let over = operations.iter().filter(|operation| operation.is_over()).count();
    lines.push(format!("{over} of {} over after {} s; Ctrl-C ends everything", operations.len(), elapsed.as_secs()));
    lines
}
