//! Which API is meant, as the command line names it.

use std::collections::BTreeMap;

use clap::Args;
use cloudop::api::OperationProfile;
use cloudop::provider::Provider;
use kube::Api;
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, trouble};
use crate::exit::Error;

/// What stands beside the provider's name.
#[derive(Args, Clone, Debug, Default)]
pub struct ParameterFlags {
    /// A member of the provider, or a parameter of the profile, as name=value; may be given several times
    #[arg(short, long = "parameter", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// The same as --parameter region=…
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

impl ParameterFlags {
    /// The values by their names.
    fn read(&self) -> Result<BTreeMap<&str, &str>, Error> {
        let mut parameters: BTreeMap<&str, &str> = BTreeMap::new();
        for parameter in &self.parameters {
            let (name, value) = parameter
                .split_once('=')
                .ok_or_else(|| Error::usage(format!("--parameter {parameter}: is not NAME=VALUE")))?;
            parameters.insert(name, value);
        }
        parameters.extend(self.region.as_deref().map(|region| ("region", region)));
        Ok(parameters)
    }
}

/// Whether a provider of that name is built in.
pub fn is_built_in(name: &str) -> bool {
    Provider::NAMES.contains(&name) && name != "declared"
}

/// The provider of that name, built in or a profile, with its parameters.
///
/// # Errors
/// A parameter that cannot be meant, or one that is missing.
pub fn provider(name: &str, flags: &ParameterFlags) -> Result<Provider, Error> {
    let parameters = flags.read()?;
    let provider = match is_built_in(name) {
        true => json!({ name: parameters }),
        false => {
            let mut declared = Map::from_iter([("profile".to_owned(), Value::from(name))]);
            if !parameters.is_empty() {
                declared.insert("parameters".to_owned(), json!(parameters));
            }
            json!({ "declared": declared })
        }
    };
    serde_json::from_value(provider)
        .map_err(|error| Error::usage(format!("{name}: {error}; give it by --parameter NAME=VALUE")))
}

/// The cluster's OperationProfile of that name.
///
/// # Errors
/// There is none, or the cluster's trouble.
pub async fn profile(cluster: &Cluster, name: &str) -> Result<OperationProfile, Error> {
    let profiles: Api<OperationProfile> = Api::all(cluster.client.clone());
    match profiles.get_opt(name).await {
        Ok(Some(profile)) => Ok(profile),
        Ok(None) => {
            let known =
                Provider::NAMES.iter().filter(|name| **name != "declared").copied().collect::<Vec<_>>().join(", ");
            Err(Error::usage(format!(
                "{name} is neither a built-in provider ({known}) nor an OperationProfile of the cluster"
            )))
        }
        Err(error) => Err(trouble(&error, "get", &format!("OperationProfile {name}"))),
    }
}
