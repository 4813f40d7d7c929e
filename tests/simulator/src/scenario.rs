//! A scenario file: accounts, operations and faults as YAML.

use std::{error, fmt};

use jiff::SignedDuration;
use serde::Deserialize;

use crate::{
    account::Account,
    clouds::{BasicHeader, NumspotApi, ScopeShape},
    fault::{Fault, Times},
    life::Operation,
    record::Matcher,
    simulator::Simulator,
};

/// What a simulator can be loaded with. The simulator's README documents the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    #[serde(default)]
    accounts: Vec<Account>,
    #[serde(default)]
    numspot: NumspotApi,
    #[serde(default)]
    basic_header: BasicHeader,
    #[serde(default)]
    clock_ahead_seconds: i64,
    #[serde(default)]
    longest_headers: Option<usize>,
    #[serde(default)]
    operations: Vec<Operation>,
    #[serde(default)]
    faults: Vec<PlannedFault>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlannedFault {
    fault: Fault,
    #[serde(default, rename = "match")]
    matcher: Matcher,
    /// Without it: for ever.
    times: Option<usize>,
}

/// Why a scenario can't be played.
#[derive(Clone, Debug)]
pub struct InvalidScenario(String);

impl fmt::Display for InvalidScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for InvalidScenario {}

impl Scenario {
    /// # Errors
    /// When the text is no YAML, has an unknown or missing member, or an operation lacks a stage or a part of its scope.
    pub fn parse(yaml: &str) -> Result<Self, InvalidScenario> {
        let scenario: Self = serde_saphyr::from_str(yaml).map_err(|error| InvalidScenario(error.to_string()))?;
        for operation in &scenario.operations {
            check(operation)?;
        }
        Ok(scenario)
    }

    /// Plays it on a simulator. Its accounts, if it has any, replace those that are there.
    pub fn load(self, simulator: &Simulator) {
        if !self.accounts.is_empty() {
            simulator.set_accounts(self.accounts);
        }
        simulator.numspot(self.numspot);
        simulator.basic_header(self.basic_header);
        simulator.clock_ahead(SignedDuration::from_secs(self.clock_ahead_seconds));
        simulator.longest_headers(self.longest_headers);
        for operation in self.operations {
            simulator.put(operation);
        }
        for planned in self.faults {
            let times = planned.times.map_or(Times::Forever, Times::Exactly);
            simulator.fault(planned.fault, planned.matcher, times);
        }
    }
}

fn check(operation: &Operation) -> Result<(), InvalidScenario> {
    let ScopeShape { owner, cluster } = operation.cloud.api().scope();
    let scope = &operation.scope;
    let invalid = |what: &str| {
        let Operation { cloud, id, .. } = operation;
        Err(InvalidScenario(format!("operation {id:?} of {cloud}: {what}")))
    };
    match owner {
        Some(name) if scope.owner.is_empty() => {
            return invalid(&format!("scope.{name} is missing"));
        }
        None if !scope.owner.is_empty() => {
            return invalid("its scope is empty: the ID is the fleet's");
        }
        _ => {}
    }
    if cluster && scope.cluster.is_empty() {
        return invalid("scope.cluster is missing");
    }
    if !cluster && !scope.cluster.is_empty() {
        return invalid("its scope has no cluster");
    }
    if operation.stages.is_empty() {
        return invalid("it has no stage");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_can_be_played() {
        let scenario = Scenario::parse(include_str!("../scenarios/demo.yaml")).unwrap();
        let mut clouds: Vec<_> = scenario.operations.iter().map(|o| o.cloud).collect();
        clouds.sort_unstable();
        clouds.dedup();
        assert_eq!(clouds.len(), 5);
        for operation in &scenario.operations {
            let seconds: f64 =
                operation.stages.iter().filter_map(|stage| stage.lasting).map(|duration| duration.as_secs_f64()).sum();
            assert!(seconds <= 40.0, "{}: {seconds} s", operation.cloud);
        }
    }

    #[test]
    fn what_the_readme_shows_can_be_played() {
        let readme = include_str!("../README.md");
        let (_, rest) = readme.split_once("```yaml\n").unwrap();
        let (yaml, _) = rest.split_once("```").unwrap();
        let scenario = Scenario::parse(yaml).unwrap();
        assert_eq!((scenario.accounts.len(), scenario.operations.len(), scenario.faults.len()), (1, 1, 2));
    }

    #[test]
    fn each_trouble_of_the_readme_can_be_written() {
        let readme = include_str!("../README.md");
        let (_, rest) = readme.split_once("| trouble | lines |\n|---|---|\n").unwrap();
        let lines = rest.split('`').filter(|line| line.starts_with("fault: "));
        let yaml = lines.fold("faults:\n".to_owned(), |yaml, line| format!("{yaml}- {line}\n"));
        let faults = Scenario::parse(&yaml).unwrap().faults;
        assert_eq!(faults.len(), 10, "{yaml}");
    }

    #[test]
    fn every_kind_of_fault_can_be_written() {
        let scenario = Scenario::parse(
            "faults:
- {fault: unauthorized, times: 1}
- {fault: {throttled: {status: 429, retryAfter: '3'}}, match: {cloud: otcCceJob}}
- {fault: {serverError: {status: 503}}, match: {path: /tasks}, times: 2}
- {fault: {deepNesting: 10000}, match: {id: a}}
- {fault: {extraJson: '{}'}}
",
        )
        .unwrap();
        assert_eq!(scenario.faults.len(), 5);
        assert!(matches!(
            &scenario.faults[1].fault,
            Fault::Throttled { status: 429, retry_after: Some(seconds), twice: false } if seconds == "3"
        ));
    }

    #[test]
    fn a_mistake_is_named() {
        for (yaml, named) in [
            ("operation: []", "operation"),
            ("operations: [{cloud: otcCceJob, id: j, stages: [{state: Running}]}]", "scope.project"),
            ("operations: [{cloud: otcCceJob, scope: {project: p}, id: j, stages: []}]", "no stage"),
            (
                "operations: [{cloud: huaweiCceUpgrade, scope: {project: p}, id: w, stages: [{state: Init}]}]",
                "scope.cluster",
            ),
            (
                "operations: [{cloud: otcCceJob, scope: {project: p}, id: j, stages: [{state: R, seconds: -1}]}]",
                "negative",
            ),
            ("operations: [{cloud: aws, id: j, stages: []}]", "aws"),
            ("operations: [{cloud: otcCceJob, scope: {region: r}, id: j, stages: []}]", "region"),
            ("operations: [{cloud: otcCceJob, scope: {project: p, space: s}, id: j, stages: []}]", "one owner"),
        ] {
            let error = Scenario::parse(yaml).unwrap_err().to_string();
            assert!(error.contains(named), "{yaml}: {error}");
        }
    }
}
