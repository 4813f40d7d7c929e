//! Prints `docs/metrics.md`: every metric as it is really served.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloudop::metrics::{Metrics, Standing};

const INTRODUCTION: &str = "\
# Metrics

<!-- Made by `make generate` from src/metrics.rs; do not edit. -->

Served at `/metrics` on `--metrics-address`, in the OpenMetrics text format. No label holds the name or ID of an object.
Only the process that leads follows operations; the others serve zeros.

| metric | type | labels | what it tells |
|---|---|---|---|
";

fn markdown() -> Result<String, std::fmt::Error> {
    let metrics = Metrics::default();
    let second = Duration::from_secs(1);
    // A family without a member is not served.
    metrics.count_request("p".into(), "200", second);
    metrics.count_pause("p".into(), &"a".into(), second);
    metrics.count_poll("p".into(), second);
    metrics.count_coalesced("p".into());
    metrics.count_list_fallback("p".into(), "r");
    metrics.count_end("p".into(), "r", Some(second));
    metrics.count_unrecognized("p".into());
    metrics.count_write("written");
    metrics.count_reconcile(second);
    let standing =
        Standing { phases: [("Running", 1)].into(), stalled: [("NoProgress", 1)].into(), oldest_start: Some(0) };
    let text = metrics.encode([("p".into(), standing)])?;
    let mut page = INTRODUCTION.to_owned();
    let mut helps: BTreeMap<&str, &str> = BTreeMap::new();
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            helps.insert(name, help.trim_end_matches('.'));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.push((name, kind));
        } else if let (Some((name, _)), Some((_, members))) = (kinds.last(), line.split_once('{')) {
            let members = members.split_once('}').map_or("", |(members, _)| members);
            let names = members.split(',').filter_map(|member| member.split_once('=')).map(|(name, _)| name);
            labels.entry(name).or_default().extend(names.filter(|name| *name != "le"));
        }
    }
    for (name, kind) in kinds {
        let served = match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        };
        let labels: Vec<_> = labels.get(name).into_iter().flatten().map(|label| format!("`{label}`")).collect();
        let help = helps.get(name).copied().unwrap_or_default();
        page.push_str(&format!("| `{served}` | {kind} | {} | {help} |\n", labels.join(", ")));
    }
    Ok(page)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", markdown()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_generated_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let held = std::fs::read_to_string(path).unwrap();
        assert!(held == super::markdown().unwrap(), "docs/metrics.md differs from src/metrics.rs: run `make generate`");
    }
}
