//! Looks at all that CloudOperations need of a cluster, and creates nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};

use crate::cloud::{self, CloudFlags};
use crate::cluster::{Cluster, chain};
use crate::exit::{Error, Exit};
use crate::frame::since;
use crate::installation::{Controllers, VERSION, allowed, controllers, definitions, is_of_this_minor};
use crate::screen::{Finding, Mark, Results, short};

/// The minor versions of Kubernetes that are tried.
const KUBERNETES: std::ops::RangeInclusive<u32> = 33..=37;
/// The names that Leases have where nobody chose others: the controller's own, and the chart's.
const USUAL_LEASES: [&str; 2] = ["cloudop-controller", "cloudop"];
/// In this time a leader renews its Lease, by whatever clock.
const RENEWAL: Duration = Duration::from_secs(5);

/// Says what is well and what is not; with a Secret and a provider, also of the way to that cloud.
///
/// # Errors
/// The cluster's trouble.
pub async fn doctor(cluster: &Cluster, flags: &CloudFlags) -> Result<Exit, Error> {
    println!("Seen from this machine with your rights, in namespace {}; nothing is created.", cluster.namespace);
    let kubernetes = match kubernetes(cluster).await {
        Ok(finding) => finding,
        Err(error) => {
            Results::Out.result(Mark::Bad, &error.message);
            return Ok(error.exit);
        }
    };
    let mut findings = vec![kubernetes];
    findings.extend(look(cluster).await?);
    if flags.secret.is_some() || flags.provider.is_some() {
        findings.extend(cloud::check(cluster, flags).await);
    }
    for finding in &findings {
        Results::Out.result(finding.mark, &finding.line);
    }
    let is_wrong = findings.iter().any(|finding| finding.mark == Mark::Bad);
    Ok(if is_wrong { Exit::NeedsPerson } else { Exit::Succeeded })
}

/// All that can be seen of the cluster.
///
/// # Errors
/// The cluster's trouble.
pub async fn findings(cluster: &Cluster) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![kubernetes(cluster).await?];
    findings.extend(look(cluster).await?);
    Ok(findings)
}

async fn look(cluster: &Cluster) -> Result<Vec<Finding>, Error> {
    let mut findings = definitions(cluster).await?;
    let controllers = controllers(cluster).await?;
    findings.extend(deployments(&controllers));
    findings.extend(watched(&controllers, &cluster.namespace));
    findings.extend(leases(cluster, &controllers).await?);
    findings.extend(rights(cluster).await?);
    Ok(findings)
}

fn good(line: String) -> Finding {
    Finding { mark: Mark::Good, line }
}

fn bad(line: String) -> Finding {
    Finding { mark: Mark::Bad, line }
}

fn unknown(line: String) -> Finding {
    Finding { mark: Mark::Unknown, line }
}

async fn kubernetes(cluster: &Cluster) -> Result<Finding, Error> {
    match cluster.client.apiserver_version().await {
        Ok(info) => Ok(judge(&info)),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Ok(unknown("API server: answers; its version takes the right to get /version".to_owned()))
        }
        Err(kube::Error::Api(status)) if status.code == 401 => Err(Error::cluster(
            "API server: answers, but does not know you: renew the credentials in your kubeconfig".to_owned(),
        )),
        Err(error) => Err(Error::cluster(format!(
            "API server: cannot be reached: {}; is it the right context, and is there a way to it from here?",
            chain(&error)
        ))),
    }
}

fn judge(info: &Info) -> Finding {
    let line = format!("API server: answers, Kubernetes {}", info.git_version);
    let (first, last) = (KUBERNETES.start(), KUBERNETES.end());
    let minor = info.minor.trim_end_matches('+').parse::<u32>().ok().filter(|_| info.major == "1");
    match minor {
        Some(minor) if KUBERNETES.contains(&minor) => good(line),
        Some(minor) if minor < *first => bad(format!("{line}, older than 1.{first}: upgrade the cluster")),
        _ => unknown(format!("{line}; cloudop {VERSION} is tried on 1.{first} to 1.{last}")),
    }
}

fn deployments(controllers: &Controllers) -> Vec<Finding> {
    let mut findings: Vec<Finding> = controllers.seen.iter().map(deployment).collect();
    match (&controllers.hidden, findings.is_empty()) {
        (Some(right), _) => findings.push(unknown(format!("controllers: to see all takes the right to {right}"))),
        (None, true) => findings.push(bad(
            "controllers: there is no Deployment of cloudop; helm install cloudop charts/cloudop --namespace cloudop-system --create-namespace"
                .to_owned(),
        )),
        (None, false) => {}
    }
    findings
}

fn deployment(controller: &crate::installation::Controller) -> Finding {
    let place = controller.place();
    let version = controller.version.as_deref().unwrap_or("unknown");
    let namespaces = match controller.namespaces.as_slice() {
        [] => "all namespaces".to_owned(),
        [one] => format!("namespace {one}"),
        several => format!("namespaces {}", several.join(", ")),
    };
    let labels = controller.selector.as_ref().map(|selector| format!(" for labels {selector}")).unwrap_or_default();
    let line = format!(
        "Deployment {place}: version {version}, {} of {} replicas ready, watches {namespaces}{labels}",
        controller.ready, controller.wanted
    );
    let describe = format!("kubectl describe deployment {} --namespace {}", controller.name, controller.namespace);
    if controller.version.as_deref().is_some_and(|version| !is_of_this_minor(version)) {
        return bad(format!("{line}; this program is of version {VERSION}: upgrade the older of them"));
    }
    match (controller.ready, controller.wanted) {
        (_, 0) => bad(format!(
            "{line}; kubectl scale deployment {} --namespace {} --replicas 2",
            controller.name, controller.namespace
        )),
        (0, _) => bad(format!("{line}; {describe}")),
        (ready, wanted) if ready < wanted => unknown(format!("{line}; if it stays so: {describe}")),
        _ => good(line),
    }
}

/// Whether somebody follows what is in the namespace.
fn watched(controllers: &Controllers, namespace: &str) -> Option<Finding> {
    let watching: Vec<_> = controllers.seen.iter().filter(|controller| controller.watches(namespace)).collect();
    let (first, is_hidden) = (controllers.seen.first(), controllers.hidden.is_some());
    let place = |controller: &&crate::installation::Controller| match &controller.selector {
        Some(selector) => format!("{} for labels {selector}", controller.place()),
        None => controller.place(),
    };
    Some(match (watching.as_slice(), first) {
        ([], None) if !is_hidden => return None,
        ([], _) if is_hidden => unknown(format!("namespace {namespace}: no controller that you can see watches it")),
        ([], first) => bad(format!(
            "namespace {namespace}: no controller watches it; add it to watch.namespaces of release {}",
            first.map(|controller| controller.place()).unwrap_or_default()
        )),
        (watching, _) => {
            let places: Vec<String> = watching.iter().map(place).collect();
            good(format!("namespace {namespace}: watched by {}", places.join(", ")))
        }
    })
}

/// Who leads. Where no Deployment can be seen, a controller may run all the same, under a usual name.
async fn leases(cluster: &Cluster, controllers: &Controllers) -> Result<Vec<Finding>, Error> {
    let mut found: BTreeMap<(String, String), Result<Option<Lease>, String>> = BTreeMap::new();
    for place in controllers.seen.iter().filter_map(|controller| controller.lease.as_ref()) {
        found.insert(place.clone(), lease(cluster, place).await?);
    }
    let mut findings = Vec::new();
    if controllers.seen.is_empty() {
        for name in USUAL_LEASES {
            let list = ListParams::default().fields(&format!("metadata.name={name}"));
            let leases = Api::<Lease>::all(cluster.client.clone()).list(&list).await;
            match allowed(leases, "list leases in all namespaces")? {
                Ok(leases) => found.extend(leases.into_iter().map(|lease| {
                    let place = (lease.namespace().unwrap_or_default(), lease.name_any());
                    (place, Ok(Some(lease)))
                })),
                Err(right) => {
                    findings.push(unknown(format!("who leads: takes the right to {right}")));
                    break;
                }
            }
        }
    }
    for (place, lease) in found {
        findings.push(leader(cluster, &place, lease).await?);
    }
    Ok(findings)
}

async fn lease(
    cluster: &Cluster,
    (namespace, name): &(String, String),
) -> Result<Result<Option<Lease>, String>, Error> {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    allowed(api.get_opt(name).await, &format!("get leases in namespace {namespace}"))
}

async fn leader(
    cluster: &Cluster,
    place: &(String, String),
    seen: Result<Option<Lease>, String>,
) -> Result<Finding, Error> {
    let line = format!("Lease {}/{}", place.0, place.1);
    let logs = format!("kubectl logs --namespace {} --selector app.kubernetes.io/part-of=cloudop --tail 50", place.0);
    let lease = match seen {
        Ok(Some(lease)) => lease,
        Ok(None) => return Ok(bad(format!("{line}: nobody has led yet; the log says why: {logs}"))),
        Err(right) => return Ok(unknown(format!("{line}: who leads takes the right to {right}"))),
    };
    let spec = lease.spec.unwrap_or_default();
    let now = Timestamp::now();
    let ago = |then: Timestamp| short(since(then, now));
    let Some(holder) = spec.holder_identity.filter(|holder| !holder.is_empty()) else {
        return Ok(bad(format!("{line}: nobody leads; the log says why: {logs}")));
    };
    let since = spec.acquire_time.map(|time| format!(" since {}", ago(time.0))).unwrap_or_default();
    let renewed = spec.renew_time.map(|time| time.0);
    let line = format!(
        "{line}: {holder} leads{since}, renewed {} ago",
        renewed.map_or_else(|| "an unknown time".to_owned(), ago)
    );
    let lasts = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or(15).into());
    if renewed.is_some_and(|renewed| now.duration_since(renewed).abs() <= lasts) {
        return Ok(good(line));
    }
    // The time in it is by the leader's clock, and now by that of this machine.
    tokio::time::sleep(RENEWAL).await;
    let again = self::lease(cluster, place).await?.ok().flatten().and_then(|lease| lease.spec);
    Ok(match again.and_then(|spec| spec.renew_time).map(|time| time.0) {
        again if again.is_some() && again != renewed => {
            good(format!("{line} by its clock, and again just now: the clocks of it and of this machine differ"))
        }
        _ => bad(format!("{line}: it leads no more, and nobody has taken over; the log says why: {logs}")),
    })
}

/// What this user may do.
async fn rights(cluster: &Cluster) -> Result<Vec<Finding>, Error> {
    let here = Some(cluster.namespace.as_str());
    let verbs = ["get", "list", "watch", "create", "delete"];
    let asked = verbs.map(|verb| may(cluster, verb, "cloudoperations", here));
    let answers = match allowed(try_join_all(asked).await, "create selfsubjectaccessreviews")? {
        Ok(answers) => answers,
        Err(right) => return Ok(vec![unknown(format!("your rights: to ask takes the right to {right}"))]),
    };
    let with = |is_allowed: bool| {
        let answers = verbs.iter().zip(&answers).filter(|(_, answer)| **answer == is_allowed);
        answers.map(|(verb, _)| *verb).collect::<Vec<_>>().join(", ")
    };
    let (granted, missing) = (with(true), with(false));
    let place = format!("cloudoperations in namespace {}", cluster.namespace);
    let mut findings = Vec::new();
    if !granted.is_empty() {
        findings.push(good(format!("your rights: you may {granted} {place}")));
    }
    if !missing.is_empty() {
        findings.push(unknown(format!(
            "your rights: you may not {missing} {place}; wait takes get, list and watch, follow create, and follow --rm delete"
        )));
    }
    let profiles = allowed(may(cluster, "get", "operationprofiles", None).await, "create selfsubjectaccessreviews")?;
    findings.push(match profiles {
        Ok(true) => good("your rights: you may get operationprofiles".to_owned()),
        _ => unknown(
            "your rights: you may not get operationprofiles; follow takes it for a provider that is not built in"
                .to_owned(),
        ),
    });
    Ok(findings)
}

async fn may(cluster: &Cluster, verb: &str, resource: &str, namespace: Option<&str>) -> kube::Result<bool> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some("cloudop.dev".to_owned()),
                resource: Some(resource.to_owned()),
                verb: Some(verb.to_owned()),
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(matches!(answer.status, Some(SubjectAccessReviewStatus { allowed: true, .. })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("1", "32", Mark::Bad)]
    #[case("1", "33", Mark::Good)]
    #[case("1", "37+", Mark::Good)]
    #[case("1", "38", Mark::Unknown)]
    #[case("2", "33", Mark::Unknown)]
    fn what_is_not_tried_is_said(#[case] major: &str, #[case] minor: &str, #[case] mark: Mark) {
        let info = Info { major: major.to_owned(), minor: minor.to_owned(), ..Info::default() };
        assert_eq!(judge(&info).mark, mark);
    }
}
