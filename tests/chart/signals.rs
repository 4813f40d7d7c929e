//! Alerts and dashboard against the metrics that docs/metrics.md lists, and the runbooks in docs/operations.md.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{documents, read};

/// The labels of each series: docs/metrics.md, which is made from the code, with the names of a histogram's series.
fn series() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/metrics.md");
    let mut series = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `cloudop_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`');
        let mut labels: BTreeSet<String> =
            cells[3].split(',').map(|label| label.trim().trim_matches('`').to_owned()).collect();
        // Prometheus adds these two to every series that it scrapes.
        labels.extend(["namespace".to_owned(), "job".to_owned()]);
        if cells[2] == "histogram" {
            for suffix in ["_sum", "_count"] {
                series.insert(format!("{name}{suffix}"), labels.clone());
            }
            labels.insert("le".to_owned());
            series.insert(format!("{name}_bucket"), labels);
        } else {
            series.insert(name.to_owned(), labels);
        }
    }
    assert!(series.len() > 10, "{series:?}");
    series
}

/// The names in a PromQL expression, in order.
fn names(expression: &str) -> Vec<String> {
    let mut outside_quotes = String::new();
    for (index, part) in expression.split('"').enumerate() {
        outside_quotes.push_str(if index % 2 == 0 { part } else { "," });
    }
    outside_quotes
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// The names between `open` and `close`, wherever `open` stands.
fn names_within(expression: &str, open: &str, close: char) -> BTreeSet<String> {
    let after = expression.split(open).skip(1);
    after.flat_map(|rest| names(rest.split(close).next().unwrap_or_default())).collect()
}

fn check(expression: &str, place: &str) {
    let series = series();
    let used: Vec<String> = names(expression).into_iter().filter(|name| name.starts_with("cloudop_")).collect();
    assert!(!used.is_empty(), "{place}: no metric of ours in {expression}");
    for name in &used {
        assert!(series.contains_key(name), "{place}: {name} is not in docs/metrics.md");
    }
    let labels = &names_within(expression, "{", '}') | &names_within(expression, "by (", ')');
    for label in labels {
        assert!(
            used.iter().any(|name| series[name].contains(&label)),
            "{place}: none of {used:?} has the label {label}"
        );
    }
}

#[test]
fn every_alert_asks_for_metrics_that_exist() {
    for rule in documents(&read("charts/cloudop/files/alerts.yaml")).remove(0).as_array().unwrap() {
        check(rule["expr"].as_str().unwrap(), rule["alert"].as_str().unwrap());
    }
}

#[test]
fn every_panel_asks_for_metrics_that_exist() {
    let dashboard: Value = serde_json::from_str(&read("charts/cloudop/files/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            check(target["expr"].as_str().unwrap(), panel["title"].as_str().unwrap());
        }
    }
    let shown: String = panels.iter().map(|panel| panel["targets"].to_string()).collect();
    for name in series().keys().filter(|name| !name.ends_with("_sum") && !name.ends_with("_count")) {
        assert!(shown.contains(name.as_str()), "no panel shows {name}");
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let page = read("docs/operations.md");
    let headings: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("### ")).filter(|name| name.starts_with("Cloudop")).collect();
    let rules = documents(&read("charts/cloudop/files/alerts.yaml")).remove(0);
    let alerts: BTreeSet<&str> = rules.as_array().unwrap().iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert_eq!(headings, alerts);
}
