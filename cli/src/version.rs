//! Whether this program, the controllers and the CRDs are of one version.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::exit::{Error, Exit};
use crate::installation::{Controllers, VERSION, controllers, definitions, is_of_this_minor};
use crate::screen::{Finding, Mark, Results};
use crate::wait::{Format, render};

/// How versions are shown.
#[derive(Args, Clone, Debug)]
pub struct VersionFlags {
    /// What to print instead of lines
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Structure>,
}

/// How values are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Structure {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Shows the versions. Exit code 1 where they do not go together.
///
/// # Errors
/// The cluster's trouble. The version of this program is printed all the same.
pub async fn version(cluster: Result<Cluster, Error>, flags: &VersionFlags) -> Result<Exit, Error> {
    if flags.output.is_none() {
        Results::Out.result(Mark::Good, &format!("this program: {VERSION}"));
    }
    let cluster = cluster?;
    let versions = versions(&cluster).await?;
    match flags.output {
        None => versions.findings.iter().for_each(|finding| Results::Out.result(finding.mark, &finding.line)),
        Some(Structure::Json) => print!("{}", render(&versions.value, Format::Json)?),
        Some(Structure::Yaml) => print!("{}", render(&versions.value, Format::Yaml)?),
    }
    Ok(if versions.go_together() { Exit::Succeeded } else { Exit::Failed })
}

/// The versions of what belongs together.
pub struct Versions {
    findings: Vec<Finding>,
    /// The same for machines.
    pub value: Value,
}

impl Versions {
    fn go_together(&self) -> bool {
        self.findings.iter().all(|finding| finding.mark != Mark::Bad)
    }
}

/// Looks at the versions.
///
/// # Errors
/// The cluster's trouble.
pub async fn versions(cluster: &Cluster) -> Result<Versions, Error> {
    let controllers = controllers(cluster).await?;
    let definitions = definitions(cluster).await?;
    let mut findings = of_controllers(&controllers);
    let seen = controllers.seen.iter().map(|controller| {
        json!({"namespace": controller.namespace, "name": controller.name, "version": controller.version,
               "image": controller.image})
    });
    let is_same = definitions.iter().map(|definition| match definition.mark {
        Mark::Good => json!({"matches": true, "says": definition.line}),
        Mark::Bad => json!({"matches": false, "says": definition.line}),
        Mark::Unknown => json!({"matches": null, "says": definition.line}),
    });
    let mut value = json!({"client": VERSION, "controllers": seen.collect::<Vec<_>>(),
                           "customResourceDefinitions": is_same.collect::<Vec<_>>(),
                           "missingRight": controllers.hidden});
    findings.extend(definitions);
    let mut versions = Versions { findings, value: Value::Null };
    let is_sure = versions.findings.iter().all(|finding| finding.mark != Mark::Unknown);
    value["goTogether"] = (is_sure || !versions.go_together()).then(|| versions.go_together()).into();
    versions.value = value;
    Ok(versions)
}

fn of_controllers(controllers: &Controllers) -> Vec<Finding> {
    let mut findings: Vec<Finding> = controllers
        .seen
        .iter()
        .map(|controller| {
            let place = controller.place();
            match &controller.version {
                Some(version) if is_of_this_minor(version) => {
                    Finding { mark: Mark::Good, line: format!("controller {place}: {version}") }
                }
                Some(version) => Finding {
                    mark: Mark::Bad,
                    line: format!("controller {place}: {version}; upgrade the older, this program or the controller"),
                },
                None => Finding {
                    mark: Mark::Unknown,
                    line: format!("controller {place}: neither a label nor the tag of its image says its version"),
                },
            }
        })
        .collect();
    let line = match &controllers.hidden {
        Some(right) => format!("controllers: to see all takes the right to {right}"),
        None if findings.is_empty() => "controllers: there is no Deployment of cloudop".to_owned(),
        None => return findings,
    };
    findings.push(Finding { mark: Mark::Unknown, line });
    findings
}
