//! The APIs whose replies are read, and by which words their pages call an end: written from the vendors' pages, and once more
//! from what a profile says, not from what reads them.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use cloudop::api::{OperationProfile, OperationProfileSpec};
use cloudop::profile::{Profile, judge};
use cloudop::provider::{CloudApi, Declared, Provider};
use serde_json::{Value, json};

/// An API, as it asks for one operation and as it asks for its list.
pub struct Api {
    pub name: String,
    single: Way,
    list: Option<Way>,
    pub ends: Ends,
}

enum Way {
    BuiltIn(Provider),
    Declared(Arc<Profile>, Declared),
}

/// Where a reply says that an operation is over.
pub enum Ends {
    BuiltIn {
        /// Where the word stands, the first that is there.
        paths: &'static [&'static str],
        succeeded: &'static [&'static str],
        failed: &'static [&'static str],
        cancelled: &'static [&'static str],
        /// Where an error may stand beside it.
        errors: &'static [&'static str],
        /// Whether an error with a code is an end by itself.
        error_ends: bool,
        /// What stands around an operation in its list.
        around: Option<(&'static str, &'static str)>,
    },
    Described(Box<OperationProfileSpec>),
}

impl Way {
    fn with<T>(&self, run: impl FnOnce(&dyn CloudApi) -> T) -> T {
        match self {
            Self::BuiltIn(provider) => match provider.built_in() {
                Ok(api) => run(api),
                Err(_) => unreachable!("none here is declared"),
            },
            Self::Declared(profile, declared) => run(&profile.for_reading(declared)),
        }
    }
}

impl Api {
    /// Runs it on the API as it asks for one operation.
    pub fn single<T>(&self, run: impl FnOnce(&dyn CloudApi) -> T) -> T {
        self.single.with(run)
    }

    /// The same as it asks for the list, where it has one.
    pub fn list<T>(&self, run: impl FnOnce(&dyn CloudApi) -> T) -> Option<T> {
        self.list.as_ref().map(|way| way.with(run))
    }

    /// As the spec of an object has it.
    pub fn provider(&self) -> Value {
        match &self.single {
            Way::BuiltIn(provider) => serde_json::to_value(provider).unwrap(),
            Way::Declared(_, declared) => json!({"declared": {"profile": declared.profile}}),
        }
    }

    /// The list that has this operation alone in it, where that is text around text.
    pub fn list_around(&self, operation: &str) -> Option<String> {
        match &self.ends {
            Ends::BuiltIn { around, .. } => around.map(|(before, behind)| format!("{before}{operation}{behind}")),
            Ends::Described(spec) => {
                // What a list has is read as a reply is but where the reply has more around it.
                let list = spec.list.as_ref().filter(|_| spec.request.item.is_none())?;
                let keys: Vec<&str> = list.items.split('.').filter(|key| !key.is_empty()).collect();
                if keys.iter().any(|key| !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')) {
                    return None;
                }
                let before: String = keys.iter().map(|key| format!("{{\"{key}\":")).collect();
                Some(format!("{before}[{operation}]{}", "}".repeat(keys.len())))
            }
        }
    }
}

const ANY: &str = "any";

/// All of them; the first line of an input names one.
pub static APIS: LazyLock<Vec<Api>> = LazyLock::new(|| built_in().into_iter().chain(described()).collect());

/// The API of that name, or the one that it falls on.
pub fn api(name: &str) -> &'static Api {
    let by_chance = || name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    APIS.iter().find(|api| api.name == name).unwrap_or_else(|| &APIS[by_chance() % APIS.len()])
}

fn read(provider: Value) -> Way {
    Way::BuiltIn(serde_json::from_value(provider).unwrap())
}

fn built_in() -> Vec<Api> {
    let job = |around| Ends::BuiltIn {
        paths: &["status.phase", "status.status"],
        succeeded: &["success"],
        failed: &["failed"],
        cancelled: &[],
        errors: &["error", "status.error", "errors"],
        error_ends: false,
        around,
    };
    let service_job = || Ends::BuiltIn {
        paths: &["status"],
        succeeded: &["success"],
        failed: &["fail"],
        cancelled: &[],
        errors: &["fail_reason", "error_code"],
        error_ends: false,
        around: None,
    };
    let task = || Ends::BuiltIn {
        paths: &["task.status", "status"],
        succeeded: &["done", "ok", "success", "successful", "succeeded", "complete", "completed", "finished"],
        failed: &["error", "fail", "failed", "failure"],
        cancelled: &["cancelled", "canceled", "aborted"],
        errors: &["task.error", "error"],
        error_ends: true,
        around: Some(("{\"tasks\":[", "]}")),
    };
    let api = |name: &str, single: Value, list: Option<Value>, ends| Api {
        name: name.to_owned(),
        single: read(single),
        list: list.map(read),
        ends,
    };
    let of_project = || json!({"region": "eu-de", "projectId": ANY});
    let numspot = json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": ANY}});
    let numspot_list = json!({"numspotKubernetes": {"region": "eu-west-2", "spaceId": ANY, "clusterId": ANY}});
    let upgrade = json!({"huaweiCceUpgrade": {"region": "eu-west-0", "projectId": ANY, "clusterId": ANY}});
    let otc = json!({"otcCceJob": of_project()});
    let openshift = json!({"sbercloudOpenshiftTask": {"serviceInstanceId": ANY}});
    vec![
        api(
            "numspotKubernetes",
            numspot,
            Some(numspot_list),
            Ends::BuiltIn {
                paths: &["status"],
                succeeded: &["done", "succeeded"],
                failed: &["failed"],
                cancelled: &["cancelled"],
                errors: &["error"],
                error_ends: false,
                around: Some(("{\"items\":[", "]}")),
            },
        ),
        api(
            "numspotCluster",
            json!({"numspotCluster": {"region": "eu-west-2", "spaceId": ANY}}),
            None,
            Ends::BuiltIn {
                paths: &["status.state"],
                succeeded: &["running"],
                failed: &["failed"],
                cancelled: &[],
                errors: &["error", "status.error"],
                error_ends: false,
                around: None,
            },
        ),
        api(
            "huaweiCceUpgrade",
            upgrade.clone(),
            Some(upgrade),
            Ends::BuiltIn {
                paths: &["status.phase"],
                succeeded: &["success"],
                failed: &[],
                cancelled: &["cancel"],
                errors: &["error", "status.error"],
                error_ends: false,
                around: Some(("{\"items\":[", "]}")),
            },
        ),
        api("huaweiCceJob", json!({"huaweiCceJob": of_project()}), None, job(None)),
        api("huaweiUcsFederation", json!({"huaweiUcsFederation": {}}), None, job(None)),
        api("otcCceJob", otc.clone(), Some(otc), job(Some(("[", "]")))),
        api(
            "huaweiJob",
            json!({"huaweiJob": {"service": "ecs", "region": "r-1", "projectId": ANY}}),
            None,
            service_job(),
        ),
        api("otcJob", json!({"otcJob": {"service": "evs", "region": "r-1", "projectId": ANY}}), None, service_job()),
        api("sbercloudOpenshiftTask", openshift.clone(), Some(openshift), task()),
    ]
}

/// The profiles that are shipped.
pub fn profiles() -> Vec<OperationProfile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let files = files.iter().filter(|file| file.extension().is_some_and(|e| e == "yaml"));
    files.map(|file| serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()).collect()
}

fn described() -> Vec<Api> {
    let api = |profile: OperationProfile| {
        let compiled = judge(&profile).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let name = profile.metadata.name.clone().unwrap();
        let declared = Declared { profile: name.as_str().into(), parameters: compiled.sample_parameters() };
        let way = || Way::Declared(Arc::clone(&compiled), declared.clone());
        let list = profile.spec.list.is_some().then(way);
        Api { name, single: way(), list, ends: Ends::Described(Box::new(profile.spec)) }
    };
    profiles().into_iter().map(api).collect()
}
