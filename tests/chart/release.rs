//! helm install, upgrade, uninstall and install again, with CloudOperations that outlive it all.

use cloudop_testbed::ControlPlane;

use crate::{chart, repository, restricted_namespace};

const OPERATION: &str = "
apiVersion: cloudop.dev/v1alpha1
kind: CloudOperation
metadata: {name: kept}
spec:
  provider: {otcCceJob: {region: eu-de, projectId: p}}
  operationId: j
  credentialsRef: {name: otc}
";

#[test]
fn installs_upgrades_and_leaves_the_operations_alone() {
    let cluster = ControlPlane::start().unwrap();
    let namespace = restricted_namespace(&cluster);
    let helm = |arguments: &[&str]| cluster.helm_ok(&[arguments, &["--namespace", &namespace]].concat()).unwrap();
    let get = |object: &str, path: &str| {
        cluster.kubectl_ok(&["get", object, "--namespace", &namespace, "-o", &format!("jsonpath={{{path}}}")]).unwrap()
    };
    let older = older_chart(&cluster);
    let notes = helm(&["install", "cloudop", &older]);
    let last = notes.lines().rfind(|line| !line.trim().is_empty()).unwrap();
    let next = format!("  kubectl --namespace {namespace} rollout status deployment/cloudop --timeout=2m");
    assert_eq!(last, next);
    let crd = "crd/cloudoperations.cloudop.dev";
    cluster.wait_until_established("cloudoperations.cloudop.dev").unwrap();
    let short_names = ".spec.names.shortNames";
    assert_eq!(get(crd, short_names), "");
    let create = ["create", "--namespace", &namespace, "-f", "-"];
    let created = cluster.kubectl_stdin(&create, OPERATION).unwrap();
    assert!(created.success(), "{}", created.stderr);
    let uid = get("cloudoperation/kept", ".metadata.uid");

    helm(&["upgrade", "cloudop", &chart(), "--set", "replicas=3"]);
    assert_eq!(get("deployment/cloudop", ".spec.replicas"), "3");
    assert_eq!(get(crd, short_names), r#"["cloudop"]"#, "the CRD is upgraded with the release");

    helm(&["uninstall", "cloudop"]);
    let gone = cluster.kubectl(&["get", "deployment/cloudop", "--namespace", &namespace]).unwrap();
    assert!(gone.stderr.contains("NotFound"), "{}", gone.stderr);
    assert_eq!(get("cloudoperation/kept", ".metadata.uid"), uid);

    helm(&["install", "cloudop", &chart()]);
    assert_eq!(get("deployment/cloudop", ".spec.replicas"), "2");
    assert_eq!(get("cloudoperation/kept", ".metadata.uid"), uid);
}

/// The chart with a definition that lacks something the present one has.
fn older_chart(cluster: &ControlPlane) -> String {
    let older = cluster.folder().join("older");
    let copied =
        std::process::Command::new("cp").arg("-R").arg(repository().join("charts/cloudop")).arg(&older).status();
    assert!(copied.unwrap().success());
    let path = older.join("files/crds/cloudop.dev_cloudoperations.yaml");
    let definition = std::fs::read_to_string(&path).unwrap();
    let lacking = definition.replacen("    shortNames:\n    - cloudop\n", "", 1);
    assert_ne!(lacking, definition);
    std::fs::write(&path, lacking).unwrap();
    older.display().to_string()
}
