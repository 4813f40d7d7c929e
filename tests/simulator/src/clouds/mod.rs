//! The clouds' APIs: a file for each, and the table that joins them.
//!
//! To add one, write its file (the struct `Api` in it, and a constructor of [`Scope`] where no other fits), name it
//! below and add its row to the table. Nothing else names a cloud. What clouds of one vendor share is a module named for
//! what it is, as `gateway` is.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    http::{Reply, Request},
    life::{Key, Scope},
    world::{Reach, World},
};

mod cce;
mod gateway;
mod numspot;
mod numspot_cluster;
mod otc;
mod place;
mod route;
mod sbercloud;
mod service_job;
mod sign_in;
mod ucs;

pub use numspot::NumspotApi;
pub(crate) use place::{Place, answer};
pub use route::Route;
pub use sign_in::BasicHeader;

macro_rules! clouds {
    ($($(#[$doc:meta])+ $cloud:ident $name:literal $module:ident,)+) => {
        /// One simulated API. Their paths do not collide, so one server speaks them all.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        pub enum Cloud {
            $($(#[$doc])+ #[serde(rename = $name)] $cloud,)+
        }

        impl Cloud {
            pub(crate) const ALL: &[Self] = &[$(Self::$cloud),+];

            fn name(self) -> &'static str {
                match self { $(Self::$cloud => $name,)+ }
            }

            pub(crate) fn api(self) -> &'static dyn CloudApi {
                match self { $(Self::$cloud => &$module::Api,)+ }
            }
        }
    };
}

// Of two that claim a path, the upper one has it.
clouds! {
    /// <https://docs.numspot.com/docs/managed-services/kubernetes/actions/get-operation>
    NumspotKubernetes "numspotKubernetes" numspot,
    /// <https://support.huaweicloud.com/api-cce/ShowUpgradeWorkFlow.html>
    HuaweiCceUpgrade "huaweiCceUpgrade" cce,
    /// <https://support.huaweicloud.com/api-ucs/ShowFederationProgress.html>
    HuaweiUcsFederation "huaweiUcsFederation" ucs,
    /// <https://docs.otc.t-systems.com/cloud-container-engine/api-ref/apis/cluster_management/reading_job_progress.html>
    OtcCceJob "otcCceJob" otc,
    /// <https://docs.sbercloud.ru/managed-openshift/ug/topics/api/api-ref_task.html>
    SbercloudOpenshiftTask "sbercloudOpenshiftTask" sbercloud,
    /// <https://support.huaweicloud.com/intl/en-us/api-ecs/ecs_02_0901.html>
    HuaweiJob "huaweiJob" service_job,
    /// Made from the definition in terraform-provider-numspot, v1.7.3.
    NumspotCluster "numspotCluster" numspot_cluster,
}

/// Whose gateway answers for a path that no cloud claims.
const UNCLAIMED: Cloud = Cloud::HuaweiCceUpgrade;

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The facts of one API.
pub(crate) trait CloudApi: Sync {
    /// What the path, split at its slashes and decoded, names; `None` where it is no path of this API.
    fn locate(&self, segments: &[&str]) -> Option<Location>;

    /// The first segment that makes a path this cloud's, even one that it does not have. `None`: it stands behind
    /// Huawei's gateway, which answers for every path that nobody claims.
    fn root(&self) -> Option<&'static str> {
        None
    }

    /// What a scope of it consists of.
    fn scope(&self) -> ScopeShape;

    /// What stands before it.
    fn front(&self) -> Front;

    /// What an account must be allowed to see: the space, project or service instance, unless it is another thing.
    fn owner<'a>(&self, target: &'a Target) -> &'a str {
        &target.scope.owner
    }

    /// Whether the path is there at all now.
    fn has(&self, _world: &World, _target: &Target) -> bool {
        true
    }

    /// How it refuses, in its own words.
    fn refuse(&self, refusal: &Refusal, request_id: &str) -> Reply;

    /// What it answers to an account that may ask.
    ///
    /// # Errors
    /// Where it knows no such operation, or refuses a part of the request.
    fn reply(&self, world: &mut World, target: &Target, request: &Request, now: Timestamp) -> Result<Reply, Refusal>;

    /// What it says of an operation that nobody scripted.
    fn words(&self) -> Words;

    /// How the bytes scripted as the whole reply about one operation stand in a list.
    fn listed(&self, raw: &str) -> String {
        raw.to_owned()
    }
}

/// The words of an API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    pub(crate) pending: &'static str,
    pub(crate) running: &'static str,
    /// Where it waits for somebody; empty where the API has none.
    pub(crate) parked: &'static str,
    pub(crate) succeeded: &'static str,
    pub(crate) failed: &'static str,
    /// The parts of an operation; none where the API shows none.
    pub(crate) tasks: &'static [&'static str],
    pub(crate) task_running: &'static str,
    pub(crate) task_succeeded: &'static str,
    pub(crate) task_failed: &'static str,
}

impl Words {
    /// Those of an API whose operations have no parts, in this order: pending, running, succeeded, failed.
    const fn plain([pending, running, succeeded, failed]: [&'static str; 4]) -> Self {
        Self {
            pending,
            running,
            parked: "",
            succeeded,
            failed,
            tasks: &[],
            task_running: running,
            task_succeeded: succeeded,
            task_failed: failed,
        }
    }
}

/// What a path of an API names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Location {
    pub(crate) scope: Scope,
    /// `None`: the list of the scope's operations.
    pub(crate) id: Option<String>,
    /// The API's version that the path belongs to, where its shape differs; else 0.
    pub(crate) version: u8,
}

impl Location {
    fn new(scope: Scope, id: Option<&str>) -> Self {
        Self { scope, id: id.map(str::to_owned), version: 0 }
    }
}

/// A location in a cloud.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) cloud: Cloud,
    pub(crate) scope: Scope,
    pub(crate) id: Option<String>,
    pub(crate) version: u8,
}

impl Target {
    pub(crate) fn owner(&self) -> &str {
        self.cloud.api().owner(self)
    }

    fn key(&self, id: &str) -> Key {
        Key { cloud: self.cloud, scope: self.scope.clone(), id: id.to_owned() }
    }
}

/// Which parts a cloud's scopes have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScopeShape {
    /// The cloud's word for what owns an operation, if anything does.
    pub(crate) owner: Option<&'static str>,
    pub(crate) cluster: bool,
}

/// What stands before a cloud's service: whom it lets in, and what it adds to every reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front {
    /// Takes a token in `X-Auth-Token`, and looks there first.
    pub(crate) auth_token: bool,
    /// Takes a token in `Authorization: Bearer` (RFC 6750).
    pub(crate) bearer: bool,
    /// Takes requests signed with an access key.
    pub(crate) signed: bool,
    /// What a token from a sign-in, or a signature, may be limited to.
    pub(crate) takes: Takes,
    /// Its replies carry `X-Request-Id`.
    pub(crate) numbers_replies: bool,
}

/// Which limited tokens open a cloud.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Takes {
    /// None: this cloud's tokens have no limits.
    Unlimited,
    /// Those for the project asked for.
    Project,
    /// Those for a whole domain.
    Domain,
}

impl Front {
    /// A cloud whose tokens are Bearer tokens.
    pub(crate) const BEARER: Self =
        Self { auth_token: false, bearer: true, signed: false, takes: Takes::Unlimited, numbers_replies: false };

    pub(crate) fn token<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let auth_token = self.auth_token.then(|| request.header("x-auth-token")).flatten();
        auth_token.or_else(|| self.bearer.then(|| request.bearer()).flatten())
    }

    pub(crate) fn opens(&self, reach: &Reach, owner: &str) -> bool {
        match (reach, self.takes) {
            (Reach::Everything, _) | (Reach::Domain, Takes::Domain) => true,
            (Reach::Project(project), Takes::Project) => project == owner,
            _ => false,
        }
    }
}

/// Why a cloud does not answer with an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The gateway knows no such path.
    NoSuchPath,
    NoSuchMethod,
    BadRequest(&'static str),
    Unauthenticated,
    /// A signed request's date is more than 15 minutes off.
    ClockSkew,
    Forbidden,
    /// 403 that repeats what was sent.
    Echo(String),
    /// The service knows no such ID.
    Unknown,
    Throttled {
        status: u16,
        retry_after: Vec<String>,
    },
    Broken {
        status: u16,
    },
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// The code of a file of `src/`, without its tests.
    fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), code.to_owned()));
        }
    }

    #[test]
    fn a_cloud_is_named_in_the_table_only() {
        let mut found = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.len() > 20, "only {} files found", found.len());
        for cloud in Cloud::ALL {
            let name = format!("{cloud:?}");
            let files: Vec<_> = found.iter().filter(|(_, code)| code.contains(&name)).map(|(file, _)| file).collect();
            assert_eq!(files, ["mod.rs"], "{name}");
        }
    }

    #[test]
    fn a_name_is_read_as_it_is_printed() {
        for cloud in Cloud::ALL {
            assert_eq!(serde_json::from_str::<Cloud>(&format!("\"{cloud}\"")).unwrap(), *cloud);
        }
    }
}
