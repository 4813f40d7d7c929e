//! What of cloudop is installed in a cluster, as far as this user may look.

use std::fmt;

use cloudop::api::{crd, profile_crd};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::cluster::{Cluster, trouble};
use crate::exit::Error;
use crate::screen::{Finding, Mark};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the chart and the manifests label every Deployment of a controller with, whatever its name.
const CONTROLLERS: &str = "app.kubernetes.io/part-of=cloudop";

/// A Deployment of controllers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controller {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version, where a label or the image's tag says it.
    pub version: Option<String>,
    /// Its image.
    pub image: String,
    /// The arguments of the controller.
    pub args: Vec<String>,
    /// How many Pods it is to have.
    pub wanted: i32,
    /// How many of them are ready.
    pub ready: i32,
    /// The namespaces it watches; none where it watches all.
    pub namespaces: Vec<String>,
    /// The labels of the CloudOperations it watches, where it does not watch all.
    pub selector: Option<String>,
    /// Namespace and name of the Lease by which one of its Pods leads.
    pub lease: Option<(String, String)>,
    /// What its Pods are selected by.
    pub pods: String,
}

impl Controller {
    /// Its namespace and name.
    pub fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether it watches `namespace`.
    pub fn watches(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|watched| watched == namespace)
    }
}

impl From<&Deployment> for Controller {
    fn from(deployment: &Deployment) -> Self {
        let (namespace, name) = (deployment.namespace().unwrap_or_default(), deployment.name_any());
        let spec = deployment.spec.as_ref();
        let containers = spec.and_then(|spec| spec.template.spec.as_ref()).map(|pod| pod.containers.as_slice());
        let containers = containers.unwrap_or_default();
        let container = containers.iter().find(|container| container.name == "controller").or(containers.first());
        let args = container.and_then(|container| container.args.clone()).unwrap_or_default();
        let flag = |flag: &str| {
            let variable = format!("CLOUDOP_{}", flag.to_uppercase().replace('-', "_"));
            let variables = container.and_then(|container| container.env.as_deref()).unwrap_or_default();
            let value = variables.iter().find(|known| known.name == variable).and_then(|known| known.value.clone());
            self::flag(&args, flag).or(value)
        };
        let image = container.and_then(|container| container.image.clone()).unwrap_or_default();
        let labelled = deployment.labels().get("app.kubernetes.io/version").cloned();
        let lease = flag("leader-election").filter(|is_on| is_on != "false").map(|_| {
            let place = flag("leader-election-namespace").unwrap_or_else(|| "default".to_owned());
            let id = flag("leader-election-id").unwrap_or_else(|| "cloudop-controller".to_owned());
            (place.replace("$(POD_NAMESPACE)", &namespace), id)
        });
        let labels = spec.and_then(|spec| spec.selector.match_labels.as_ref());
        let pods: Vec<String> = labels.into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
        let namespaces = flag("watch-namespaces").unwrap_or_default();
        Self {
            version: labelled.or_else(|| tag(&image)),
            wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            ready: deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default(),
            namespaces: namespaces.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            selector: flag("watch-label-selector").filter(|selector| !selector.is_empty()),
            lease,
            pods: pods.join(","),
            namespace,
            name,
            image,
            args,
        }
    }
}

/// The value of a flag in the forms that the controller takes; empty where it has none.
fn flag(args: &[String], name: &str) -> Option<String> {
    let mut args = args.iter().peekable();
    let mut values = Vec::new();
    while let Some(arg) = args.next() {
        let Some(rest) = arg.strip_prefix("--").and_then(|arg| arg.strip_prefix(name)) else { continue };
        match rest.strip_prefix('=') {
            Some(value) => values.push(value.to_owned()),
            None if rest.is_empty() => {
                values.push(args.next_if(|next| !next.starts_with("--")).cloned().unwrap_or_default());
            }
            None => {}
        }
    }
    (!values.is_empty()).then(|| values.join(","))
}

/// The tag of an image; a port of its registry is none.
fn tag(image: &str) -> Option<String> {
    let image = image.split('@').next()?;
    let name = image.rsplit('/').next()?;
    name.split_once(':').map(|(_, tag)| tag.to_owned())
}

/// The Deployments of controllers that this user can see.
#[derive(Clone, Debug, Default)]
pub struct Controllers {
    /// Those.
    pub seen: Vec<Controller>,
    /// The right that is missing to see all.
    pub hidden: Option<String>,
}

/// Looks for the Deployments of controllers: everywhere, or where that is not allowed in the one namespace.
///
/// # Errors
/// The cluster's trouble.
pub async fn controllers(cluster: &Cluster) -> Result<Controllers, Error> {
    let list = ListParams::default().labels(CONTROLLERS);
    let read = |deployments: kube::api::ObjectList<Deployment>| deployments.iter().map(Controller::from).collect();
    let right = "list deployments in all namespaces";
    Ok(match allowed(Api::<Deployment>::all(cluster.client.clone()).list(&list).await, right)? {
        Ok(all) => Controllers { seen: read(all), hidden: None },
        Err(hidden) => {
            let here = Api::<Deployment>::namespaced(cluster.client.clone(), &cluster.namespace).list(&list).await;
            let seen = allowed(here, right)?.map(read).unwrap_or_default();
            Controllers { seen, hidden: Some(hidden) }
        }
    })
}

/// What a call gave, or the `right` that it takes where this user has it not.
///
/// # Errors
/// The cluster's trouble.
pub fn allowed<T>(result: kube::Result<T>, right: &str) -> Result<Result<T, String>, Error> {
    match result {
        Ok(found) => Ok(Ok(found)),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Err(right.to_owned())),
        Err(error) => {
            let (verb, what) = right.split_once(' ').unwrap_or((right, ""));
            Err(trouble(&error, verb, what))
        }
    }
}

/// How versions compare where a minor one may change what both agree on.
pub fn is_of_this_minor(version: &str) -> bool {
    let minor = |version: &str| version.trim_start_matches('v').split('.').take(2).collect::<Vec<_>>().join(".");
    minor(version) == minor(VERSION)
}

/// Whether the CRDs are those of this version, one finding each.
///
/// # Errors
/// The cluster's trouble.
pub async fn definitions(cluster: &Cluster) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for ours in [crd(), profile_crd()] {
        findings.push(definition(cluster, &ours).await?);
    }
    Ok(findings)
}

async fn definition(cluster: &Cluster, ours: &CustomResourceDefinition) -> Result<Finding, Error> {
    let name = ours.name_any();
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let right = "get customresourcedefinitions";
    let apply =
        format!("kubectl apply --server-side --force-conflicts -f crds/cloudop.dev_{}.yaml", ours.spec.names.plural);
    let missing = || Finding {
        mark: Mark::Bad,
        line: format!("CRD {name}: is not installed; install cloudop, or the CRD alone: {apply}"),
    };
    let theirs = match allowed(api.get_opt(&name).await, right)? {
        Ok(Some(theirs)) => theirs,
        Ok(None) => return Ok(missing()),
        Err(right) if is_served(cluster, &ours.spec.names.plural).await? => {
            let line = format!("CRD {name}: served; whether it is this version's takes the right to {right}");
            return Ok(Finding { mark: Mark::Unknown, line });
        }
        Err(_) => return Ok(missing()),
    };
    let conditions = theirs.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if !conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
        let line = format!("CRD {name}: is not served yet; its conditions say why: kubectl describe crd {name}");
        return Ok(Finding { mark: Mark::Bad, line });
    }
    let Some(difference) = difference(&essence(ours), &essence(&theirs), "") else {
        let line = format!("CRD {name}: served, and that of version {VERSION}");
        return Ok(Finding { mark: Mark::Good, line });
    };
    let labelled = theirs.labels().get("app.kubernetes.io/version").filter(|version| *version != VERSION);
    let of = labelled.map(|version| format!(" (it is of {version})")).unwrap_or_default();
    let is_newer = labelled.and_then(|version| numbers(version)) > numbers(VERSION);
    // An older one in its place would drop fields of every object.
    let step = if is_newer || matches!(difference, Difference::More(_)) {
        "it is newer: use kubectl cloudop of its version".to_owned()
    } else {
        let annotation = |name: &str| theirs.annotations().get(name);
        let fix = match (annotation("meta.helm.sh/release-name"), annotation("meta.helm.sh/release-namespace")) {
            (Some(release), Some(namespace)) => {
                format!("helm upgrade {release} charts/cloudop --namespace {namespace} --reset-then-reuse-values")
            }
            _ => apply,
        };
        format!("from the files of {VERSION}: {fix}")
    };
    let line = format!("CRD {name}: differs from that of version {VERSION}{of}: {difference}; {step}");
    Ok(Finding { mark: Mark::Bad, line })
}

/// The numbers of a version.
fn numbers(version: &str) -> Option<Vec<u64>> {
    version.trim_start_matches('v').split('.').map(|number| number.parse().ok()).collect()
}

/// Everybody who is signed in may ask what is served.
async fn is_served(cluster: &Cluster, plural: &str) -> Result<bool, Error> {
    match cluster.client.list_api_group_resources("cloudop.dev/v1alpha1").await {
        Ok(served) => Ok(served.resources.iter().any(|resource| resource.name == plural)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        // Nothing is known, so nothing is said against it.
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(true),
        Err(error) => Err(trouble(&error, "list", "what is served")),
    }
}

/// What of a CRD decides which objects it takes and how they are shown.
fn essence(crd: &CustomResourceDefinition) -> Value {
    json!({"scope": crd.spec.scope, "names": {"kind": crd.spec.names.kind, "plural": crd.spec.names.plural}, "versions": crd.spec.versions})
}

/// How the other of two CRDs differs from ours, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Difference {
    Less(String),
    More(String),
    Other(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Less(path) => write!(f, "it lacks {path}"),
            Self::More(path) => write!(f, "it has {path} beside"),
            Self::Other(path) => write!(f, "{path} is another"),
        }
    }
}

/// Where two CRDs first differ. Descriptions do not count: nothing depends on them.
fn difference(ours: &Value, theirs: &Value, path: &str) -> Option<Difference> {
    /// What stands between a field and its member in a schema.
    const BETWEEN: &[&str] = &["versions", "schema", "openAPIV3Schema", "properties", "items"];
    let below = |key: &str| match (BETWEEN.contains(&key), path) {
        (true, _) => path.to_owned(),
        (false, "") => key.to_owned(),
        (false, _) => format!("{path}.{key}"),
    };
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let is_text = |(key, value): &(&String, &Value)| *key == "description" && value.is_string();
            for (key, value) in ours.iter().filter(|member| !is_text(member)) {
                let Some(other) = theirs.get(key) else { return Some(Difference::Less(below(key))) };
                if let Some(found) = difference(value, other, &below(key)) {
                    return Some(found);
                }
            }
            let mut more = theirs.iter().filter(|member| !is_text(member) && !ours.contains_key(member.0));
            more.next().map(|(key, _)| Difference::More(below(key)))
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).find_map(|(ours, theirs)| difference(ours, theirs, path))
        }
        (ours, theirs) => (ours != theirs).then(|| Difference::Other(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(&["--watch-namespaces=a,b"], Some("a,b"))]
    #[case(&["--watch-namespaces", "a", "--watch-namespaces=b"], Some("a,b"))]
    #[case(&["--watch-namespaces-more=a"], None)]
    #[case(&["--watch-namespaces"], Some(""))]
    #[case(&["--watch-namespaces", "--burst=1"], Some(""))]
    fn a_flag_is_read_as_the_controller_does(#[case] args: &[&str], #[case] value: Option<&str>) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        assert_eq!(flag(&args, "watch-namespaces").as_deref(), value);
    }

    #[rstest::rstest]
    #[case("registry.example:5000/cloudop:0.2.0", Some("0.2.0"))]
    #[case("registry.example:5000/cloudop", None)]
    #[case("cloudop:1@sha256:00", Some("1"))]
    #[case("", None)]
    fn an_images_tag_is_a_version(#[case] image: &str, #[case] version: Option<&str>) {
        assert_eq!(tag(image).as_deref(), version);
    }

    #[rstest::rstest]
    #[case(&json!({"spec": {"properties": {"a": {"type": "string"}}}}), Some("it lacks spec.b"))]
    #[case(&json!({"spec": {"properties": {"a": {"type": "integer"}, "b": {}}}}), Some("spec.a.type is another"))]
    #[case(&json!({"spec": {"properties": {"a": {"type": "string"}, "b": {}, "c": {}}}}), Some("it has spec.c beside"))]
    #[case(&json!({"spec": {"description": "o", "properties": {"a": {"type": "string"}, "b": {}}}}), None)]
    #[case(&json!({"spec": {"properties": {"a": {"type": "string"}, "b": {}, "description": {}}}}), Some("it has spec.description beside"))]
    fn the_first_difference_is_named(#[case] theirs: &Value, #[case] said: Option<&str>) {
        let ours = json!({"spec": {"description": "x", "properties": {"a": {"type": "string"}, "b": {}}}});
        assert_eq!(difference(&ours, theirs, "").map(|found| found.to_string()).as_deref(), said);
    }

    #[test]
    fn the_minor_version_counts() {
        let mut parts = VERSION.split('.');
        let (major, minor) = (parts.next().unwrap(), parts.next().unwrap());
        assert!(is_of_this_minor(&format!("v{major}.{minor}.99")));
        assert!(!is_of_this_minor(&format!("{major}.{minor}9.0")));
        assert!(!is_of_this_minor("latest"));
    }
}
