//! What Chart.yaml tells Artifact Hub, against the chart itself and the API server.

use cloudop::api::OperationProfile;
use cloudop_testbed::ControlPlane;
use serde_json::Value;

use crate::{documents, of_kind, read, rendered, repository};

/// What the annotation of that name holds, as YAML.
fn annotation(name: &str) -> Value {
    let chart = documents(&read("charts/cloudop/Chart.yaml")).remove(0);
    let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap_or_else(|| panic!("no {name}"));
    documents(text).remove(0)
}

#[test]
fn the_image_and_the_kinds_are_those_of_the_chart() {
    let objects = documents(&rendered("cloudop", "n", "", &[]));
    let container = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(annotation("images")[0]["image"], container["image"]);
    let kinds = |of: &dyn Fn(&Value) -> Option<[String; 3]>, from: &[Value]| -> Vec<[String; 3]> {
        from.iter().filter_map(of).collect()
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let installed = kinds(
        &|object| {
            (object["kind"] == "CustomResourceDefinition").then(|| {
                let spec = &object["spec"];
                [&spec["names"]["kind"], &spec["versions"][0]["name"], &object["metadata"]["name"]].map(text)
            })
        },
        &objects,
    );
    let told = kinds(
        &|crd| Some([&crd["kind"], &crd["version"], &crd["name"]].map(text)),
        annotation("crds").as_array().unwrap(),
    );
    assert_eq!(told, installed);
}

#[test]
fn the_changes_and_the_category_are_of_the_kinds_that_there_are() {
    for change in annotation("changes").as_array().unwrap() {
        let kind = change["kind"].as_str().unwrap();
        assert!(["added", "changed", "deprecated", "removed", "fixed", "security"].contains(&kind), "{change}");
        assert!(!change["description"].as_str().unwrap().is_empty());
    }
    assert_eq!(annotation("category"), "integration-delivery");
}

#[test]
fn the_api_server_takes_the_examples_and_the_profile_serves() {
    let cluster = ControlPlane::start().unwrap();
    cluster.kubectl_ok(&["apply", "-f", &repository().join("crds").display().to_string()]).unwrap();
    for name in ["cloudoperations", "operationprofiles"] {
        cluster.wait_until_established(&format!("{name}.cloudop.dev")).unwrap();
    }
    let examples = annotation("crdsExamples");
    let examples = examples.as_array().unwrap();
    let kinds: Vec<&Value> = examples.iter().map(|example| &example["kind"]).collect();
    assert_eq!(kinds, ["CloudOperation", "OperationProfile"]);
    for example in examples {
        let create = ["create", "--dry-run=server", "--namespace=default", "-f", "-"];
        let output = cluster.kubectl_stdin(&create, &example.to_string()).unwrap();
        assert!(output.success(), "{}", output.stderr);
    }
    let profile: OperationProfile = serde_json::from_value(examples[1].clone()).unwrap();
    if let Err(refusal) = cloudop::profile::judge(&profile) {
        panic!("{}: {}", refusal.reason, refusal.message);
    }
}
