//! What charts/generate writes is current, and installs the same objects either way.

use std::process::Command;

use cloudop_testbed::ControlPlane;
use serde_json::Value;

use crate::{cluster, documents, read, repository};

#[test]
fn generated_files_are_current() {
    let helm = cluster().bin("helm").unwrap();
    let check = Command::new(repository().join("charts/generate")).arg("--check").env("HELM", helm).output().unwrap();
    let said = [check.stdout, check.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(check.status.success(), "{said}");
}

#[test]
fn every_value_is_in_the_schema_and_in_the_table() {
    fn paths(value: &Value, schema: &Value, whole: &Value, path: &str, found: &mut Vec<String>) {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        let schema = pointer.and_then(|pointer| whole.pointer(pointer)).unwrap_or(schema);
        // Where the schema has names of its own there are values below; elsewhere the value is the user's as a whole.
        let Some(properties) = schema["properties"].as_object() else { return found.push(path.to_owned()) };
        if path == "resources" || path.ends_with("Probe") {
            return found.push(path.to_owned());
        }
        let Some(members) = value.as_object().filter(|members| !members.is_empty()) else {
            return found.push(path.to_owned());
        };
        for (name, value) in members {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            assert!(properties.contains_key(name), "{path} is not in values.schema.json");
            paths(value, &properties[name], whole, &path, found);
        }
    }
    let values = documents(&read("charts/cloudop/values.yaml")).remove(0);
    let schema: Value = serde_json::from_str(&read("charts/cloudop/values.schema.json")).unwrap();
    let mut expected = Vec::new();
    paths(&values, &schema, &schema, "", &mut expected);
    assert!(expected.len() > 50, "{expected:?}");
    let readme = read("charts/cloudop/README.md");
    let mut listed: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    expected.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, expected);
}

#[test]
fn the_plain_manifest_and_the_kustomize_base_install_the_same() {
    let cluster = ControlPlane::start().unwrap();
    let file = repository().join("deploy/install.yaml").display().to_string();
    let base = repository().join("deploy/kustomize").display().to_string();
    let applied = cluster.kubectl_ok(&["apply", "--server-side", "-f", &file]).unwrap();
    assert_eq!(applied.lines().count(), 16, "{applied}");
    let difference = cluster.kubectl(&["diff", "--server-side", "-k", &base]).unwrap();
    assert_eq!((difference.code, difference.stdout.as_str()), (Some(0), ""), "{}", difference.stderr);
    let again = cluster.kubectl_ok(&["apply", "--server-side", "-k", &base]).unwrap();
    assert_eq!(again.lines().count(), 16, "{again}");
    cluster.wait_until_established("cloudoperations.cloudop.dev").unwrap();
    cluster.kubectl_ok(&["get", "deployment/cloudop", "--namespace=cloudop-system"]).unwrap();
}
