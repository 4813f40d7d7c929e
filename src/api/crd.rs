//! The CustomResourceDefinitions, with what the derive cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::{CloudOperation, OperationProfile};
use crate::provider::Provider;

/// The CloudOperation's CRD, which `crds/` holds and clusters get.
pub fn crd() -> CustomResourceDefinition {
    let about = "A long-running operation of a cloud, followed to its end. Only observed: nothing is ever written to the \
                 cloud, and deleting the object leaves the operation alone.";
    finish(CloudOperation::crd(), about, "Which operation to follow, and how.", &unseen(), |spec| {
        if let Some(provider) = property(spec, "provider") {
            require_one_member(provider);
        }
        spec.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
            rule: format!("has(self.provider.declared) || self.operationId.matches(r'{PLAIN_ID}')"),
            message: Some(
                "must be an ID as the cloud gave it: letters, digits, '.', '_' and '-', with at least one letter or digit"
                    .into(),
            ),
            field_path: Some(".operationId".into()),
            ..ValidationRule::default()
        });
    })
}

/// The OperationProfile's CRD.
pub fn profile_crd() -> CustomResourceDefinition {
    let about = "How the operations of one API are asked for and read, as data. CloudOperations name it in \
                 spec.provider.declared.";
    let unseen = json!({"observedGeneration": -1, "conditions": [unseen_condition("Ready")]});
    let mut crd = finish(OperationProfile::crd(), about, "The API, and how it is asked and read.", &unseen, |_| {});
    for root in roots(&mut crd) {
        root.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
            rule: "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63".into(),
            message: Some(
                "metadata.name must be up to 63 lower-case letters, digits and '-': it is a label of metrics, and stands \
                 in the Secrets that are for it"
                    .into(),
            ),
            ..ValidationRule::default()
        });
    }
    crd
}

/// Adds what the derive cannot say.
fn finish(
    mut crd: CustomResourceDefinition,
    about: &str,
    about_spec: &str,
    unseen: &serde_json::Value,
    change_spec: impl Fn(&mut JSONSchemaProps),
) -> CustomResourceDefinition {
    for root in roots(&mut crd) {
        visit(root, &mut tidy);
        visit(root, &mut take_any_value);
        root.description = Some(about.into());
        if let Some(spec) = property(root, "spec") {
            spec.description = Some(about_spec.into());
            change_spec(spec);
            visit(spec, &mut word_pattern);
        }
        if let Some(status) = property(root, "status") {
            status.default = Some(JSON(unseen.clone()));
        }
    }
    crd
}

fn roots(crd: &mut CustomResourceDefinition) -> impl Iterator<Item = &mut JSONSchemaProps> {
    let schemas = crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut())
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

/// An operation's ID where its profile says what it looks like.
const ANY_ID: &str = "^[!-~]*[A-Za-z0-9][!-~]*$";
/// An operation's ID where nothing says that it may be another.
const PLAIN_ID: &str = "^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$";

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
    (ANY_ID, "must be an ID as the cloud gave it: without spaces, and with at least one letter or digit"),
    (
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "must be the name of an OperationProfile: up to 63 lower-case letters, digits and '-'",
    ),
    ("^https://[^\\s?#@]+$", "must be an address that begins with https:// and has no user, query (?) or fragment (#)"),
    (
        "^/[^\\s?#]*$",
        "must be a path that begins with / and has no query (?): parameters of the query have a field of their own",
    ),
    ("^[A-Za-z0-9-]+$", "must be the name of a header: letters, digits and '-'"),
    ("^[ -~]+$", "must be ASCII"),
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
    let conditions = ["Succeeded", "Finished", "Ready"].map(unseen_condition);
    json!({"observedGeneration": -1, "phase": "Pending", "conditions": conditions})
}

fn unseen_condition(name: &str) -> serde_json::Value {
    json!({"type": name, "status": "Unknown", "reason": "Pending", "message": "waiting for the controller",
           "lastTransitionTime": "1970-01-01T00:00:00Z"})
}

/// A doc comment's line breaks are the source file's, not the reader's. And null is no value: the API server then drops
/// it, so that it equals a member left out.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(description) = &mut schema.description {
        *description = description.split("\n\n").map(|p| p.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
}

/// A cloud's reply may be a list as well as an object.
fn take_any_value(schema: &mut JSONSchemaProps) {
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        schema.type_ = None;
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
