//! What is followed: the operations, their accounts, and how they lie in their clouds. Pure.

use std::{collections::HashMap, fmt};

use clap::ValueEnum;
use serde_json::{Value, json};

/// Each is a Secret with a token of its own.
pub const ACCOUNTS: usize = 100;
/// Operations that share a collection where they do.
const COLLECTION: usize = 20;
/// The name of [`profile`].
const PROFILE: &str = "job";
/// Polls a second at most.
const RATE: usize = 200;

/// How the operations lie in their clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Five providers in equal parts; each operation alone in its project, cluster, space or instance, so that every
    /// poll is a request of its own for everybody.
    Single,
    /// As single, and the clouds speak HTTP/1.1 only.
    Http1,
    /// The four providers that can list, in equal parts; twenty operations of one account in each collection.
    Listed,
    /// Jobs of one built-in provider, each alone.
    Job,
    /// The same jobs, by a profile that describes their API.
    Declared,
}

impl Scenario {
    /// Whether it is only there to compare cloudop with itself.
    pub fn is_of_cloudop(self) -> bool {
        matches!(self, Self::Job | Self::Declared)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::Http1 => "http1",
            Self::Listed => "listed",
            Self::Job => "job",
            Self::Declared => "declared",
        })
    }
}

/// The operations of one run.
pub struct Plan {
    pub scenario: Scenario,
    pub operations: Vec<Operation>,
    /// `spec.pollIntervalSeconds`.
    pub interval: u64,
}

/// One operation, as its cloud and as its CloudOperation.
pub struct Operation {
    pub name: String,
    /// The number of its account.
    pub account: usize,
    /// The request of a poll that asks for this one alone.
    pub path: String,
    /// Whether the token goes into `Authorization`, else into `X-Auth-Token`.
    pub bearer: bool,
    cloud: &'static str,
    scope: Value,
    provider: Value,
    state: &'static str,
    /// The paths that list it among others.
    lists: Vec<String>,
}

/// What a request path asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// The numbers of the operations that its reply shows.
    pub shows: Vec<usize>,
    /// How many operations are asked for by it where each is asked for alone.
    pub alone: usize,
}

#[derive(Clone, Copy)]
enum Api {
    Numspot,
    Upgrade,
    Fleet,
    Job,
    Sbercloud,
}

impl Plan {
    pub fn new(scenario: Scenario, size: usize) -> Self {
        let interval = u64::try_from(size.div_ceil(RATE)).unwrap_or(u64::MAX).max(1);
        let operations = (0..size)
            .map(|number| match scenario {
                Scenario::Single | Scenario::Http1 => {
                    let apis = [Api::Numspot, Api::Upgrade, Api::Fleet, Api::Job, Api::Sbercloud];
                    // Shifted every time around, so that each account has every provider.
                    let api = apis[(number + number / ACCOUNTS) % apis.len()];
                    Operation::new(api, number, number % ACCOUNTS, number, false)
                }
                Scenario::Listed => {
                    let apis = [Api::Numspot, Api::Upgrade, Api::Job, Api::Sbercloud];
                    let collection = number / COLLECTION;
                    let api = apis[(collection + collection / ACCOUNTS) % apis.len()];
                    Operation::new(api, number, collection % ACCOUNTS, collection, true)
                }
                Scenario::Job => Operation::new(Api::Job, number, number % ACCOUNTS, number, false),
                Scenario::Declared => Operation::new(Api::Job, number, number % ACCOUNTS, number, false).declared(),
            })
            .collect();
        Self { scenario, operations, interval }
    }

    /// What each path asks for.
    pub fn paths(&self) -> HashMap<&str, Asked> {
        let mut paths: HashMap<&str, Asked> = HashMap::new();
        for (number, operation) in self.operations.iter().enumerate() {
            for list in &operation.lists {
                paths.entry(list).or_default().shows.push(number);
            }
            let asked = paths.entry(&operation.path).or_default();
            asked.alone += 1;
            if asked.shows.last() != Some(&number) {
                asked.shows.push(number);
            }
        }
        paths
    }

    /// The simulator's scenario file; JSON is YAML.
    pub fn scenario_file(&self) -> String {
        let accounts: Vec<Value> = (0..ACCOUNTS)
            .map(|account| json!({"name": format!("account-{account}"), "tokens": [token(account)]}))
            .collect();
        let operations: Vec<Value> = self.operations.iter().map(Operation::in_the_cloud).collect();
        json!({"accounts": accounts, "operations": operations}).to_string()
    }

    /// The manifests of the CloudOperations.
    pub fn manifests(&self) -> impl Iterator<Item = Value> {
        self.operations.iter().map(|operation| operation.manifest(self.interval))
    }
}

/// The token of an account.
pub fn token(account: usize) -> String {
    format!("token-of-account-{account}")
}

/// The name of an account's Secret.
pub fn secret(account: usize) -> String {
    format!("account-{account}")
}

impl Operation {
    fn new(api: Api, number: usize, account: usize, place: usize, listed: bool) -> Self {
        let id = identifier(0, number);
        let (owner, cluster) = (identifier(1, place), identifier(2, place));
        let (cloud, scope, provider, path, lists) = match api {
            Api::Numspot => {
                let list = format!("/kubernetes/spaces/{owner}/clusters/{cluster}/operations");
                let mut provider = json!({"region": "eu-west-2", "spaceId": owner});
                let path = if listed {
                    provider["clusterId"] = json!(cluster);
                    list.clone()
                } else {
                    format!("/kubernetes/spaces/{owner}/operations/{id}")
                };
                ("numspotKubernetes", json!({"space": owner, "cluster": cluster}), provider, path, vec![list])
            }
            Api::Upgrade => {
                let list = format!("/api/v3/projects/{owner}/clusters/{cluster}/operation/upgradeworkflows");
                let provider = json!({"region": "ap-southeast-3", "projectId": owner, "clusterId": cluster});
                let scope = json!({"project": owner, "cluster": cluster});
                ("huaweiCceUpgrade", scope, provider, format!("{list}/{id}"), vec![list])
            }
            Api::Fleet => {
                let path = format!("/v1/clustergroups/{id}/federations/progress");
                ("huaweiUcsFederation", json!({}), json!({}), path, vec![])
            }
            Api::Job => {
                let path = format!("/api/v3/projects/{owner}/jobs/{id}");
                let list = format!("/api/v2/projects/{owner}/jobs");
                let provider = json!({"region": "eu-de", "projectId": owner});
                ("otcCceJob", json!({"project": owner}), provider, path, vec![list])
            }
            Api::Sbercloud => {
                let list = format!("/openshift/v1/{owner}/tasks");
                let provider = json!({"serviceInstanceId": owner});
                ("sbercloudOpenshiftTask", json!({"instance": owner}), provider, format!("{list}/{id}"), vec![list])
            }
        };
        Self {
            name: format!("operation-{number}"),
            account,
            path,
            bearer: matches!(api, Api::Numspot | Api::Sbercloud),
            cloud,
            scope,
            provider: json!({cloud: provider}),
            state: if matches!(api, Api::Numspot) { "RUNNING" } else { "Running" },
            lists,
        }
    }

    /// The same by [`profile`].
    fn declared(mut self) -> Self {
        let project = self.scope["project"].take();
        self.scope = json!({"project": project});
        self.provider = json!({"declared": {"profile": PROFILE, "parameters": {"project": project}}});
        self
    }

    fn id(&self) -> String {
        let number = self.name.rsplit('-').next().and_then(|number| number.parse().ok());
        identifier(0, number.unwrap_or_default())
    }

    fn in_the_cloud(&self) -> Value {
        json!({
            "cloud": self.cloud,
            "scope": self.scope,
            "id": self.id(),
            "kind": "CreateCluster",
            "target": {"id": identifier(3, self.account), "name": "demo"},
            "stages": [{"state": self.state}],
        })
    }

    fn manifest(&self, interval: u64) -> Value {
        json!({
            "apiVersion": "cloudop.dev/v1alpha1",
            "kind": "CloudOperation",
            "metadata": {"name": self.name},
            "spec": {
                "provider": self.provider,
                "operationId": self.id(),
                "credentialsRef": {"name": secret(self.account)},
                "pollIntervalSeconds": interval,
            },
        })
    }
}

/// A profile that reads of the jobs all that the built-in provider does.
pub fn profile() -> Value {
    let job = |phase: &str| json!({"metadata": {"uid": "j"}, "status": {"phase": phase}});
    let example = |phase: &str, expected: &str| json!({"name": phase, "operationId": "j", "reply": job(phase), "expect": {"phase": expected}});
    json!({
        "apiVersion": "cloudop.dev/v1alpha1",
        "kind": "OperationProfile",
        "metadata": {"name": PROFILE},
        "spec": {
            "cloud": "Open Telekom Cloud CCE",
            "auth": {"header": {"name": "X-Auth-Token"}},
            "parameters": {"project": {}},
            "request": {"path": "/api/v3/projects/{project}/jobs/{operationId}"},
            "read": {
                "identity": {"path": "metadata.uid"},
                "state": [{
                    "path": "status.phase|status.status",
                    "words": {"Pending": ["Initializing"], "Running": ["Running"], "Succeeded": ["Success"], "Failed": ["Failed"]},
                }],
                "error": {"path": "error"},
                "message": "status.reason|status.message",
                "operationType": "spec.type",
                "target": {"id": "spec.resourceID|spec.clusterUID", "name": "spec.resourceName"},
                "startTime": "status.startTime|metadata.creationTimestamp",
                "completionTime": "status.completionTime|metadata.updateTimestamp",
                "subJobs": {
                    "items": "spec.subJobs", "children": "spec.subJobs", "id": "metadata.uid", "name": "spec.type",
                    "message": "status.reason", "startTime": "status.startTime|metadata.creationTimestamp",
                },
                "notFound": {"codes": ["CCE.*"]},
            },
            "examples": [example("Success", "Succeeded"), example("Failed", "Failed")],
        },
    })
}

/// An ID with the length that the clouds' own have.
fn identifier(kind: usize, number: usize) -> String {
    format!("{number:08x}-{kind:04x}-4d3d-8fa8-2a36329c68d1")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn alone_every_operation_has_a_path_that_shows_nothing_else() {
        let plan = Plan::new(Scenario::Single, 1000);
        let paths = plan.paths();
        assert!(plan.operations.iter().all(|o| paths[&*o.path].shows.len() == 1 && paths[&*o.path].alone == 1));
        let each = |cloud| plan.operations.iter().filter(|o| o.cloud == cloud).count();
        assert_eq!(["huaweiUcsFederation", "otcCceJob"].map(each), [200, 200]);
        let of_one: HashSet<_> = plan.operations.iter().filter(|o| o.account == 7).map(|o| o.cloud).collect();
        assert_eq!(of_one.len(), 5);
    }

    #[test]
    fn listed_twenty_of_one_account_share_a_collection() {
        let plan = Plan::new(Scenario::Listed, 10_000);
        let paths = plan.paths();
        let lists: Vec<&Asked> = paths.values().filter(|asked| asked.shows.len() > 1).collect();
        assert_eq!((lists.len(), lists[0].shows.len(), plan.interval), (500, 20, 50));
        // NumSpot's operations are all asked for by the list of their cluster.
        assert_eq!(lists.iter().filter(|asked| asked.alone == 20).count(), 125);
        let accounts: HashSet<_> = plan.operations.iter().map(|o| (&o.lists, o.account)).collect();
        assert_eq!(accounts.len(), 500);
    }
}
