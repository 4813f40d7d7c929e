//! From an API's reply to a gate: creates a CloudOperation and waits for it.

use std::io::Read;

use clap::Args;
use cloudop::api::{CloudOperation, CloudOperationSpec, OperationProfile};
use cloudop::document::{Document, Json};
use cloudop::profile::compile;
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cluster::{Cluster, trouble};
use crate::exit::{Error, Exit};
use crate::provider::{ParameterFlags, is_built_in, profile, provider};
use crate::screen;
use crate::wait::{Format, HowFlags, WaitFlags, render, wait};

/// What is followed.
#[derive(Args, Clone, Debug)]
pub struct FollowFlags {
    /// Provider, as in spec.provider (otcCceJob, …), or an OperationProfile's name
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// The operation's ID; - reads the reply that started it from standard input and takes the ID from there
    #[arg(value_name = "ID")]
    pub id: String,
    /// Secret with the credentials
    #[arg(long, value_name = "NAME")]
    pub secret: String,
    /// What stands beside the provider's name.
    #[command(flatten)]
    pub parameters: ParameterFlags,
    /// Name of the CloudOperation; by default it follows from provider and ID, so that a step that is run again finds it
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Delete the CloudOperation once it is over
    #[arg(long)]
    pub rm: bool,
    /// Wait until it is over
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub wait: bool,
    /// Only print what would be created
    #[arg(long)]
    pub dry_run: bool,
    /// How long, and what is printed in the end.
    #[command(flatten)]
    pub how: HowFlags,
}

/// Where each provider's reply that starts an operation has its ID: the pages of docs/providers have the sources.
const IDS: &[(&str, &[&str])] = &[
    ("numspotKubernetes", &["id"]),
    ("numspotCluster", &["id"]),
    ("huaweiCceUpgrade", &["metadata.uid"]),
    ("huaweiCceJob", &["status.jobID", "jobid", "jobId", "jobID"]),
    ("huaweiUcsFederation", &["metadata.uid", "uid"]),
    ("huaweiJob", &["job_id"]),
    ("otcCceJob", &["status.jobID", "jobid", "jobId", "jobID"]),
    ("otcJob", &["job_id"]),
    ("sbercloudOpenshiftTask", &["task.id", "id"]),
];

/// Follows as the flags say.
///
/// # Errors
/// What cannot be meant, and the cluster's trouble.
pub async fn follow(cluster: &Cluster, flags: &FollowFlags) -> Result<Exit, Error> {
    let id = match &*flags.id {
        "-" => {
            let mut reply = String::new();
            std::io::stdin()
                .read_to_string(&mut reply)
                .map_err(|error| Error::usage(format!("standard input: {error}")))?;
            let profile = match is_built_in(&flags.provider) {
                true => None,
                false => Some(profile(cluster, &flags.provider).await?),
            };
            find_id(&flags.provider, profile.as_ref(), &reply)?
        }
        id => id.to_owned(),
    };
    let operation = build(flags, &id)?;
    if flags.dry_run {
        let mut shown = json!(operation);
        if let Some(object) = shown.as_object_mut() {
            object.remove("status");
        }
        print!("{}", render(&shown, flags.how.output.unwrap_or(Format::Yaml))?);
        return Ok(Exit::Succeeded);
    }
    let name = operation.name_any();
    create(cluster, &operation).await?;
    if !flags.wait {
        println!("cloudoperation.cloudop.dev/{name}");
        return Ok(Exit::Succeeded);
    }
    let waited = WaitFlags { names: vec![name.clone()], selector: None, all: false, how: flags.how.clone() };
    let exit = wait(cluster, &waited).await?;
    if flags.rm && matches!(exit, Exit::Succeeded | Exit::Failed | Exit::Unknown) {
        let deleted = cluster.operations().delete(&name, &DeleteParams::default()).await;
        deleted.map_err(|error| trouble(&error, "delete", &format!("CloudOperation {name}")))?;
    }
    Ok(exit)
}

/// The ID in the reply that started an operation.
fn find_id(provider: &str, profile: Option<&OperationProfile>, reply: &str) -> Result<String, Error> {
    let unusable = |why: &str| Error::usage(format!("standard input: {why}; give the ID itself"));
    let document = Document::parse(reply.as_bytes()).map_err(|misread| unusable(&misread.to_string()))?;
    let root = document.root();
    let found = match profile {
        Some(profile) => compile(provider, &profile.spec).map_err(|why| unusable(&why))?.identify(root),
        None => {
            let paths = IDS.iter().find(|(name, _)| *name == provider).map(|(_, paths)| *paths).unwrap_or_default();
            paths.iter().find_map(|path| root.get(path).and_then(Json::scalar)).map(str::to_owned)
        }
    };
    found.ok_or_else(|| unusable("the reply holds no ID where this API has it"))
}

/// The CloudOperation that follows `id`.
fn build(flags: &FollowFlags, id: &str) -> Result<CloudOperation, Error> {
    let provider = provider(&flags.provider, &flags.parameters)?;
    let spec = json!({"provider": provider, "operationId": id, "credentialsRef": {"name": flags.secret}});
    let spec: CloudOperationSpec =
        serde_json::from_value(spec).map_err(|error| Error::usage(format!("{}: {error}", flags.provider)))?;
    let name = flags.name.clone().unwrap_or_else(|| name(&spec, id));
    Ok(CloudOperation::new(&name, spec))
}

/// A name that is the same for the same operation.
fn name(spec: &CloudOperationSpec, id: &str) -> String {
    let said = format!("{} {id}", json!(spec.provider));
    let digest = Sha256::digest(said.as_bytes());
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    let provider = spec.provider.name().chars().fold(String::new(), |mut name, c| {
        if c.is_ascii_uppercase() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
        name
    });
    format!("{provider}-{hex}")
}

/// Creates it, or attaches to what follows the same already.
async fn create(cluster: &Cluster, operation: &CloudOperation) -> Result<(), Error> {
    let name = operation.name_any();
    let api = cluster.operations();
    match api.create(&PostParams::default(), operation).await {
        Ok(_) => {
            screen::progress(&format!("{name}: created"));
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let known =
                api.get(&name).await.map_err(|error| trouble(&error, "get", &format!("CloudOperation {name}")))?;
            let is_same = (&known.spec.provider, &known.spec.operation_id)
                == (&operation.spec.provider, &operation.spec.operation_id);
            match is_same {
                true => {
                    screen::progress(&format!("{name}: is there already, and follows the same"));
                    Ok(())
                }
                false => Err(Error::usage(format!(
                    "CloudOperation {name} is there already, and follows another operation: give another --name"
                ))),
            }
        }
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => {
            Err(Error::usage(status.message.clone()))
        }
        Err(error) => Err(trouble(&error, "create", "CloudOperations")),
    }
}

#[cfg(test)]
mod tests {
    use cloudop::provider::Provider;

    use super::*;

    #[rstest::rstest]
    #[case("otcCceJob", r#"{"kind":"Cluster","status":{"phase":"Creating","jobID":"j-1"}}"#, "j-1")]
    #[case("otcCceJob", r#"{"jobid":"j-1"}"#, "j-1")]
    #[case("huaweiCceUpgrade", r#"{"kind":"WorkFlowTask","metadata":{"uid":"w"}}"#, "w")]
    #[case("numspotKubernetes", r#"{"id":"o","clusterId":"c"}"#, "o")]
    #[case("sbercloudOpenshiftTask", r#"{"task":{"id":"t"}}"#, "t")]
    #[case("huaweiJob", r#"{"job_id":"2c9e"}"#, "2c9e")]
    fn the_id_is_taken_from_where_the_api_puts_it(#[case] provider: &str, #[case] reply: &str, #[case] id: &str) {
        assert_eq!(find_id(provider, None, reply).unwrap(), id);
    }

    #[test]
    fn each_built_in_provider_says_where() {
        let said: Vec<&str> = IDS.iter().map(|(name, _)| *name).collect();
        for name in Provider::NAMES.iter().filter(|name| **name != "declared") {
            assert!(said.contains(name), "{name}");
        }
        assert!(find_id("otcCceJob", None, "{}").unwrap_err().message.contains("holds no ID"));
        assert!(find_id("otcCceJob", None, "<html>").unwrap_err().message.contains("HTML"));
    }

    #[test]
    fn the_same_operation_has_the_same_name_and_another_another() {
        let spec = |region: &str| -> CloudOperationSpec {
            let provider = json!({"otcCceJob": {"region": region, "projectId": "p"}});
            serde_json::from_value(json!({"provider": provider, "operationId": "i", "credentialsRef": {"name": "s"}}))
                .unwrap()
        };
        let first = name(&spec("eu-de"), "i");
        assert!(first.starts_with("otc-cce-job-"), "{first}");
        assert_eq!(first, name(&spec("eu-de"), "i"));
        assert_ne!(first, name(&spec("eu-nl"), "i"));
        assert_ne!(first, name(&spec("eu-de"), "j"));
    }
}
