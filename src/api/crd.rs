//! The CustomResourceDefinition, with what the derive cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::CloudOperation;
use crate::provider::Provider;

/// The CRD that `crds/` holds and clusters get.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = CloudOperation::crd();
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) else { continue };
        visit(root, &mut tidy);
        root.description = Some(
            "A long-running operation of a cloud, followed to its end. Only observed: nothing is ever written to the \
             cloud, and deleting the object leaves the operation alone."
                .into(),
        );
        if let Some(spec) = property(root, "spec") {
            spec.description = Some("Which operation to follow, and how.".into());
            if let Some(provider) = property(spec, "provider") {
                require_one_member(provider);
            }
            visit(spec, &mut word_pattern);
        }
        if let Some(status) = property(root, "status") {
            status.default = Some(JSON(unseen()));
        }
    }
    crd
}

fn property<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}

/// A rule with words of its own in place of `oneOf`, whose refusal names no field and asks for a member nobody meant.
fn require_one_member(provider: &mut JSONSchemaProps) {
    provider.one_of = None;
    let members: Vec<_> = Provider::NAMES.iter().map(|name| format!("has(self.{name})")).collect();
    provider.x_kubernetes_validations = Some(vec![ValidationRule {
        rule: format!("[{}].filter(set, set).size() == 1", members.join(", ")),
        message: Some(format!("set exactly one of {}", Provider::NAMES.join(", "))),
        ..ValidationRule::default()
    }]);
}

/// What each pattern of the spec asks for; a refusal by a pattern alone shows no more than the pattern.
const FORMS: &[(&str, &str)] = &[
    (
        "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$",
        "must be an ID as the cloud gave it: letters, digits, '.', '_' and '-', with at least one letter or digit",
    ),
    (
        "^[a-z0-9]+(-[a-z0-9]+)+$",
        "must be a region as the cloud writes it: lower-case letters and digits, with '-' between them",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "must be the name of a Secret in this namespace: lower-case letters and digits, with '-' and '.' between them",
    ),
    (r"^\S(.*\S)?$", "must be a word of the cloud's, with no spaces around it"),
];

/// Gives a pattern a rule beside it that says the same in words.
fn word_pattern(schema: &mut JSONSchemaProps) {
    if let Some((pattern, form)) = FORMS.iter().find(|(pattern, _)| schema.pattern.as_deref() == Some(pattern)) {
        schema.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
            rule: format!("self.matches(r'{pattern}')"),
            message: Some((*form).into()),
            ..ValidationRule::default()
        });
    }
}

/// The status of an object no controller has seen: every gate is shut from the first moment.
fn unseen() -> serde_json::Value {
    let condition = |name| {
        json!({"type": name, "status": "Unknown", "reason": "Pending", "message": "waiting for the controller",
               "lastTransitionTime": "1970-01-01T00:00:00Z"})
    };
    json!({"observedGeneration": -1, "phase": "Pending",
           "conditions": [condition("Succeeded"), condition("Finished"), condition("Ready")]})
}

/// A doc comment's line breaks are the source file's, not the reader's. And null is no value: the API server then drops
/// it, so that it equals a member left out.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(description) = &mut schema.description {
        *description = description.split("\n\n").map(|p| p.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
}

/// Calls `change` with `schema` and everything below it.
fn visit(schema: &mut JSONSchemaProps, change: &mut impl FnMut(&mut JSONSchemaProps)) {
    change(schema);
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        visit(property, change);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        visit(items, change);
    }
}
