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
        // Prometheus adds these to every series that it scrapes, or whoever gathers those of several clusters.
        labels.extend(["cluster", "namespace", "job", "pod"].map(str::to_owned));
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
    series.extend(of_others());
    series
}

/// The series that others make and the dashboard shows: kube-state-metrics of our objects, the kubelet of the Pods.
fn of_others() -> BTreeMap<String, BTreeSet<String>> {
    let configuration = documents(&read("deploy/kube-state-metrics/custom-resource-state.yaml")).remove(0);
    let operations = &configuration["spec"]["resources"][0];
    let names = |labels: &Value| labels.as_object().map(|labels| labels.keys().cloned().collect()).unwrap_or_default();
    let mut series = BTreeMap::new();
    for metric in operations["metrics"].as_array().unwrap() {
        let kind = metric["each"]["type"].as_str().unwrap();
        let each = &metric["each"][kind.to_lowercase()];
        let mut labels: BTreeSet<String> = names(&operations["labelsFromPath"]);
        labels.extend(names(&each["labelsFromPath"]));
        labels.insert("cluster".to_owned());
        let prefix = operations["metricNamePrefix"].as_str().unwrap();
        series.insert(format!("{prefix}_{}", metric["name"].as_str().unwrap()), labels);
    }
    for name in ["container_cpu_usage_seconds_total", "container_memory_working_set_bytes"] {
        series.insert(name.to_owned(), ["cluster", "namespace", "pod", "container"].map(str::to_owned).into());
    }
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
    let is_metric = |name: &String| ["cloudop_", "container_", "kube_"].iter().any(|prefix| name.starts_with(prefix));
    let used: Vec<String> = names(expression).into_iter().filter(is_metric).collect();
    assert!(!used.is_empty(), "{place}: no metric in {expression}");
    for name in &used {
        assert!(series.contains_key(name), "{place}: {name} is not in docs/metrics.md");
    }
    let within = |open, close| names_within(expression, open, close);
    let matched = ["by (", "on (", "group_left ("].map(|open| within(open, ')')).into_iter().flatten();
    for label in within("{", '}').into_iter().chain(matched) {
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
            // Prometheus' own, for its alerts, with their labels.
            if target["expr"].as_str().unwrap().starts_with("ALERTS{") {
                continue;
            }
            check(target["expr"].as_str().unwrap(), panel["title"].as_str().unwrap());
        }
    }
    let shown: String = panels.iter().map(|panel| panel["targets"].to_string()).collect();
    let ours = |name: &&String| name.starts_with("cloudop_") && !name.ends_with("_sum") && !name.ends_with("_count");
    for name in series().keys().filter(ours) {
        assert!(shown.contains(name.as_str()), "no panel shows {name}");
    }
}

#[test]
fn every_runbook_that_the_dashboard_links_is_there_and_where_all_is_well_it_says_so() {
    let dashboard: Value = serde_json::from_str(&read("charts/cloudop/files/dashboard.json")).unwrap();
    let page = read("docs/operations.md");
    let anchor = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    let anchors: BTreeSet<String> = page.lines().filter(|line| line.starts_with("##")).map(anchor).collect();
    let text = dashboard.to_string();
    let links: BTreeSet<&str> =
        text.split("cloudop.dev/docs/operations#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        assert!(anchors.contains(link), "{link} is no heading of docs/operations.md");
    }
    for panel in dashboard["panels"].as_array().unwrap() {
        let shows_zero = panel["targets"][0]["expr"].as_str().unwrap().ends_with("or vector(0)");
        let says_so = panel["fieldConfig"]["defaults"]["noValue"].is_string();
        assert!(shows_zero || says_so, "{} would show \"No data\"", panel["title"]);
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
