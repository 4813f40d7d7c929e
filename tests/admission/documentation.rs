//! What the API says of itself.

use std::time::Duration;

use cloudop_testbed::{Bed, eventually};
use serde_json::Value;

use crate::bed;

const KINDS: [&str; 2] = ["cloudoperation", "operationprofile"];

/// The schema of a kind that the API server holds.
fn schema(bed: &Bed, kind: &str) -> Value {
    let output = bed.kubectl(&["get", "crd", &format!("{kind}s.cloudop.dev"), "-o", "json"]);
    let mut definition: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
}

/// Every property below `schema` with its path, parents first.
fn properties<'a>(path: &str, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    let members = [&schema["properties"], &schema["items"]["properties"]];
    for (name, property) in members.into_iter().filter_map(Value::as_object).flatten() {
        let path = format!("{path}.{name}");
        found.push((path.clone(), property));
        properties(&path, property, found);
    }
}

#[test]
fn every_field_has_a_description_that_ends_as_a_sentence() {
    let bed = bed();
    let schemas = KINDS.map(|kind| (kind, schema(&bed, kind)));
    let mut found = Vec::new();
    for (kind, schema) in &schemas {
        found.push(((*kind).to_owned(), schema));
        properties(kind, schema, &mut found);
    }
    assert!(found.len() > 150, "{found:?}");
    for (path, property) in found {
        let text = property["description"].as_str().unwrap_or_default();
        assert!(text.ends_with('.') && text.len() > 7, "{path}: {text:?}");
        // Links and line breaks of the source are none of the reader's.
        assert!(!text.contains("[`") && !text.contains("::"), "{path}: {text:?}");
        assert!(text.split("\n\n").all(|paragraph| !paragraph.contains('\n')), "{path}: {text:?}");
    }
}

#[test]
fn kubectl_explains_every_level() {
    let bed = bed();
    let schemas = KINDS.map(|kind| (kind, schema(&bed, kind)));
    let mut found = Vec::new();
    for (kind, schema) in &schemas {
        found.push(((*kind).to_owned(), schema));
        properties(kind, schema, &mut found);
    }
    let has_members =
        |property: &Value| property["properties"].is_object() || property["items"]["properties"].is_object();
    for (path, property) in found.into_iter().filter(|(_, property)| has_members(property)) {
        // The API server publishes the documentation of a new definition a moment after its resources.
        let output = eventually(Duration::from_secs(30), &path, || {
            let output = bed.kubectl(&["explain", &path]);
            if output.success() { Ok(output) } else { Err(output.stderr) }
        });
        let text = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!text.contains("<empty>") && !text.contains("See ["), "{path}: {}", output.stdout);
        let description = property["description"].as_str().unwrap_or_default();
        let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&format!("DESCRIPTION: {description}")), "{path}: {}", output.stdout);
    }
}

#[test]
fn every_pattern_is_also_told_in_words() {
    let bed = bed();
    let schema = schema(&bed, "cloudoperation");
    let mut found = Vec::new();
    properties("", &schema, &mut found);
    found.retain(|(_, property)| !property["enum"].is_array());
    let strings = found.into_iter().flat_map(|(path, property)| [(path.clone(), property), (path, &property["items"])]);
    let mut patterns = 0;
    for (path, property) in strings.filter(|(path, property)| path.starts_with(".spec") && property["type"] == "string")
    {
        let pattern = property["pattern"].as_str().unwrap_or_default();
        assert!(!pattern.is_empty() && property["maxLength"].is_u64(), "{path} takes any text");
        let rule = &property["x-kubernetes-validations"][0];
        assert_eq!(rule["rule"], format!("self.matches(r'{pattern}')"), "{path}");
        assert!(rule["message"].as_str().is_some_and(|message| message.starts_with("must be ")), "{path}");
        patterns += 1;
    }
    assert!(patterns > 10);
}
