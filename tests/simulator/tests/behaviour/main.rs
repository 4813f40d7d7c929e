//! The simulator as its clients see it: over real TLS.

mod clouds;
mod faults;
mod program;
mod refusals;
mod sign_in;
mod transport;

use std::time::Duration;

use cloudop_simulator::{Account, Cloud, Operation, Scope, Simulator, Stage};
use reqwest::{RequestBuilder, Response, header::HeaderMap};
use serde_json::Value;

pub const BEARER: (&str, &str) = ("Authorization", "Bearer let-me-in");
pub const TOKEN: (&str, &str) = ("X-Auth-Token", "let-me-in");

/// For each cloud the path of an operation that [`start`] puts there, and the header that opens it.
pub const PATHS: [(Cloud, &str, (&str, &str)); 5] = [
    (Cloud::NumspotKubernetes, "/kubernetes/spaces/space/operations/op-1", BEARER),
    (Cloud::HuaweiCceUpgrade, "/api/v3/projects/project/clusters/cluster/operation/upgradeworkflows/op-1", TOKEN),
    (Cloud::HuaweiUcsFederation, "/v1/clustergroups/op-1/federations/progress", TOKEN),
    (Cloud::OtcCceJob, "/api/v3/projects/project/jobs/op-1", TOKEN),
    (Cloud::SbercloudOpenshiftTask, "/openshift/v1/instance/tasks/op-1", BEARER),
];

/// An operation where [`PATHS`] finds it.
pub fn operation(cloud: Cloud) -> Operation {
    operation_named(cloud, "op-1")
}

/// One beside it.
pub fn operation_named(cloud: Cloud, id: &str) -> Operation {
    let scope = match cloud {
        Cloud::NumspotKubernetes => Scope::numspot("space", "cluster"),
        Cloud::HuaweiCceUpgrade => Scope::cce("project", "cluster"),
        Cloud::HuaweiUcsFederation => Scope::ucs(),
        Cloud::OtcCceJob => Scope::otc("project"),
        Cloud::SbercloudOpenshiftTask => Scope::sbercloud("instance"),
        Cloud::HuaweiJob => Scope::project("project"),
        Cloud::NumspotCluster => Scope::numspot("space", ""),
    };
    Operation::new(cloud, scope, id).kind("CreateCluster").target("target-id", "target-name")
}

/// A simulator with a running operation on each cloud.
pub async fn start() -> Simulator {
    let sim = Simulator::start().await.unwrap();
    for (cloud, ..) in PATHS {
        sim.put(operation(cloud).stage(Stage::state("Running").progress("half way")));
    }
    sim
}

pub fn client(sim: &Simulator) -> reqwest::Client {
    let ca = reqwest::Certificate::from_pem(sim.ca_pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// Null where the body is no JSON.
    pub body: Value,
}

pub async fn send(request: RequestBuilder) -> Answer {
    let reply: Response = request.send().await.unwrap();
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    let bytes = reply.bytes().await.unwrap();
    Answer {
        status,
        headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

pub async fn ask(sim: &Simulator, path: &str, header: (&str, &str)) -> Answer {
    let request = client(sim).get(format!("{}{path}", sim.url()));
    send(request.header(header.0, header.1)).await
}

/// An account that signs in as `id` with `secret`, in the domain `domain`.
pub fn signing_account() -> Account {
    Account::new("signing").credential("id", "secret", "domain")
}
