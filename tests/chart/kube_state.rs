//! What kube-state-metrics is told to read stands in the CustomResourceDefinitions: of a path that is nowhere it would make
//! no series, and say so nowhere either. kube-state-metrics itself is not run here.

use serde_json::Value;

use crate::{documents, read};

/// The schema of what `path` leads to, in kube-state-metrics' words for a path: names, and `[key=value]` for one of a list.
fn at<'a>(schema: &'a Value, path: &[Value]) -> &'a Value {
    path.iter()
        .map(|part| part.as_str().unwrap())
        .fold(schema, |schema, part| if part.starts_with('[') { &schema["items"] } else { &schema["properties"][part] })
}

/// The lists below `key` of `metric`; of a map, each of its values.
fn lists<'a>(metric: &'a Value, key: &str) -> Vec<&'a Vec<Value>> {
    match &metric[key] {
        Value::Null => vec![],
        Value::Array(path) => vec![path],
        Value::Object(paths) => paths.values().map(|path| path.as_array().unwrap()).collect(),
        other => panic!("{key}: {other}"),
    }
}

#[test]
fn kube_state_metrics_is_told_to_read_what_there_is() {
    let configuration = documents(&read("deploy/kube-state-metrics/custom-resource-state.yaml")).remove(0);
    let resources = configuration["spec"]["resources"].as_array().unwrap();
    assert_eq!(resources.len(), 2);
    for resource in resources {
        let named = &resource["groupVersionKind"];
        let kind = named["kind"].as_str().unwrap();
        let definition = documents(&read(&format!("crds/cloudop.dev_{}s.yaml", kind.to_lowercase()))).remove(0);
        assert_eq!(named["group"], definition["spec"]["group"]);
        let versions = definition["spec"]["versions"].as_array().unwrap();
        let version = versions.iter().find(|version| version["name"] == named["version"]).unwrap();
        let mut schema = version["schema"]["openAPIV3Schema"].clone();
        // Every object has these, and no definition tells of them.
        for name in ["name", "namespace", "creationTimestamp"] {
            schema["properties"]["metadata"]["properties"][name]["type"] = "string".into();
        }

        for path in lists(resource, "labelsFromPath") {
            assert!(at(&schema, path).is_object(), "{kind}: {path:?}");
        }
        for metric in resource["metrics"].as_array().unwrap() {
            let name = &metric["name"];
            let each = metric["each"].as_object().unwrap();
            let (_, each) = each.iter().find(|(key, _)| *key != "type").unwrap();
            let found = lists(each, "path").first().map_or(&schema, |path| at(&schema, path));
            assert!(found.is_object(), "{kind}, {name}: {}", each["path"]);
            // The others are paths from there; of a list, from each member.
            let from = found.get("items").unwrap_or(found);
            for path in ["valueFrom", "labelsFromPath"].into_iter().flat_map(|key| lists(each, key)) {
                assert!(at(from, path).is_object(), "{kind}, {name}: {path:?}");
            }
            if metric["each"]["type"] == "StateSet" {
                assert_eq!(each["list"], found["enum"], "{kind}, {name}");
            }
        }
    }
}
