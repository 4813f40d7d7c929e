//! What `kubectl get` and `kubectl describe` show.

use std::collections::BTreeMap;

use cloudop_simulator::{Stage, Task};
use cloudop_testbed::{Bed, Process, eventually};

use crate::view::is_over;
use crate::{CCE, OTC, apply, bed, job, upgrade};

/// Four operations: one failed, one running, one blocked and one not looked at yet.
fn four() -> (Bed, Process) {
    let bed = bed();
    let controller = bed.controller(&[]);
    let task = |name, word| Task::new(name, name).state(word);
    let running = Stage::state("Running").task(task("Masters", "Success")).task(task("Workers", "Running"));
    bed.simulator.put(job("running").stage(running));
    bed.simulator.put(job("failed").stage(Stage::state("Failed").error("", "no quota")));
    bed.simulator.put(upgrade("blocked").stage(Stage::state("Pending").task(task("Cluster", "Failed"))));
    apply(&bed, OTC, "failed", "");
    apply(&bed, OTC, "running", "");
    apply(&bed, OTC, "suspended", "suspend: true");
    apply(&bed, CCE, "blocked", "");
    is_over(&bed, "failed", false);
    for (id, reason) in [("running", "Running"), ("suspended", "Suspended"), ("blocked", "Blocked")] {
        bed.until_reason(id, "Succeeded", reason);
    }
    (bed, controller)
}

/// A table of kubectl: its header, and each row by name with its cells by column.
fn read(table: &str) -> (Vec<&str>, BTreeMap<&str, BTreeMap<&str, &str>>) {
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let columns: Vec<&str> = header.split_whitespace().collect();
    // No column's name stands in another's.
    let starts: Vec<usize> = columns.iter().filter_map(|column| header.find(column)).collect();
    let cells = |line: &'_ str| -> Vec<(usize, usize)> {
        let ends = starts.iter().skip(1).copied().chain([line.len()]);
        starts.iter().copied().zip(ends).map(|(from, to)| (from.min(line.len()), to.min(line.len()))).collect()
    };
    let rows = lines.map(|line| {
        let row: BTreeMap<&str, &str> =
            columns.iter().copied().zip(cells(line).into_iter().map(|(from, to)| line[from..to].trim())).collect();
        (row["NAME"], row)
    });
    let rows = rows.collect();
    (columns, rows)
}

#[test]
fn the_columns_say_what_it_is_how_far_it_is_and_why() {
    let (bed, _controller) = four();
    let output = bed.kubectl(&["get", "cloudop"]);
    let (columns, rows) = read(&output.stdout);
    assert_eq!(columns, ["NAME", "PROVIDER", "PHASE", "PROGRESS", "REASON", "AGE"]);
    for (name, provider, phase, progress, reason) in [
        ("blocked", "huaweiCceUpgrade", "Blocked", "0/1", "Blocked"),
        ("failed", "otcCceJob", "Failed", "", "OperationFailed"),
        ("running", "otcCceJob", "Running", "1/2", "Running"),
        ("suspended", "otcCceJob", "Pending", "", "Suspended"),
    ] {
        let row = &rows[name];
        let seen = ["PROVIDER", "PHASE", "PROGRESS", "REASON"].map(|column| row[column]);
        assert_eq!(seen, [provider, phase, progress, reason], "{}", output.stdout);
        assert!(row["AGE"].ends_with(['s', 'm']), "{}", output.stdout);
    }

    let output = bed.kubectl(&["get", "cloudop", "-o", "wide"]);
    let (columns, rows) = read(&output.stdout);
    assert_eq!(columns[5..], ["AGE", "OPERATION", "UPSTREAM", "ETA", "STARTED", "FINISHED", "MESSAGE"]);
    for (name, upstream, has_started, has_finished, message) in [
        ("blocked", "Pending", true, false, "it waits for someone to act there"),
        ("failed", "Failed", true, true, "no quota"),
        ("running", "Running", true, false, "says Running (1/2)"),
        ("suspended", "", false, false, "spec.suspend is true"),
    ] {
        let row = &rows[name];
        assert_eq!((row["OPERATION"], row["UPSTREAM"]), (name, upstream), "{}", output.stdout);
        let times = ["STARTED", "FINISHED"].map(|column| row[column].ends_with(['s', 'm']));
        assert_eq!(times, [has_started, has_finished], "{}", output.stdout);
        assert!(row["MESSAGE"].contains(message), "{}", output.stdout);
    }
}

#[test]
fn operations_are_listed_by_each_of_their_names_and_selected_by_field() {
    let (bed, _controller) = four();
    let names = |arguments: &[&str]| {
        let output = bed.kubectl(&[&["get"], arguments].concat());
        assert!(output.success(), "{}", output.stderr);
        read(&output.stdout).1.into_keys().map(str::to_owned).collect::<Vec<_>>()
    };
    let selected = |selector: &str| names(&["cloudop", "--field-selector", selector]);
    for name in ["cloudop", "cloudops", "cloudoperation", "cloudoperations.cloudop.dev"] {
        assert_eq!(names(&[name]), ["blocked", "failed", "running", "suspended"]);
    }
    assert_eq!(selected("status.phase=Running"), ["running"]);
    assert_eq!(selected("status.phase!=Failed"), ["blocked", "running", "suspended"]);
    assert_eq!(selected("status.provider=otcCceJob,status.phase=Failed"), ["failed"]);
    assert_eq!(selected("spec.operationId=blocked"), ["blocked"]);
}

#[test]
fn describe_tells_the_failure_and_the_events() {
    let (bed, _controller) = four();
    eventually(std::time::Duration::from_secs(60), "describe", || {
        let text = bed.kubectl(&["describe", "cloudop", "failed"]).stdout;
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let missing: Vec<&&str> = [
            "Phase: Failed",
            "Message: no quota",
            "Upstream State: Failed",
            "Operation Type: CreateCluster",
            "cloudop.dev/controller OperationFailed: Open Telekom Cloud CCE says Failed: no quota",
            "cloudop.dev/controller following CreateCluster failed at Open Telekom Cloud CCE",
        ]
        .iter()
        .filter(|wanted| !lines.iter().any(|line| line.ends_with(**wanted)))
        .collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} in {text}")) }
    });
}
