//! Prints `docs/api.md`: every field of the CustomResourceDefinitions.

#![cfg_attr(not(test), deny(clippy::dbg_macro, clippy::expect_used, clippy::panic, clippy::todo, clippy::unwrap_used))]

use std::fmt::{Error, Write};

use cloudop::api::{crd, profile_crd};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

const INTRODUCTION: &str = "\
# API reference

<!-- Made by `make generate` from src/api; do not edit. -->

Every field of the resources, with what the API server refuses. `kubectl explain cloudop.spec` prints the same. What each
phase and condition means: [providers](providers/README.md#what-the-phases-mean); what may change: [stability](stability.md).
";

fn page() -> Result<String, Error> {
    let mut page = INTRODUCTION.to_owned();
    for crd in [crd(), profile_crd()] {
        resource(&mut page, &crd)?;
    }
    Ok(page)
}

fn resource(page: &mut String, crd: &CustomResourceDefinition) -> Result<(), Error> {
    let names = &crd.spec.names;
    for version in &crd.spec.versions {
        let Some(root) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()) else {
            continue;
        };
        writeln!(page, "\n## {}\n\n{}\n", names.kind, prose(root.description.as_deref().unwrap_or_default()))?;
        writeln!(page, "- `apiVersion: {}/{}`, `kind: {}`", crd.spec.group, version.name, names.kind)?;
        let short =
            names.short_names.iter().flatten().map(|name| format!(", `kubectl get {name}`")).collect::<String>();
        writeln!(page, "- {}; `kubectl get {}`{short}", crd.spec.scope, names.plural)?;
        let selectable = version.selectable_fields.iter().flatten();
        let selectable: Vec<_> =
            selectable.map(|field| format!("`{}`", field.json_path.trim_start_matches('.'))).collect();
        if !selectable.is_empty() {
            writeln!(page, "- `--field-selector` takes {}", selectable.join(", "))?;
        }
        rules(page, root)?;
        for (name, schema) in root.properties.iter().flatten() {
            object(page, &format!("{}.{name}", names.kind), schema)?;
        }
    }
    Ok(())
}

/// The members of an object, and below it those of the objects within it.
fn object(page: &mut String, path: &str, schema: &JSONSchemaProps) -> Result<(), Error> {
    writeln!(page, "\n### {path}\n\n{}", prose(schema.description.as_deref().unwrap_or_default()))?;
    rules(page, schema)?;
    writeln!(page, "\n| field | type | |\n|---|---|---|")?;
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, member) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        let wanted = if required.contains(name) { ", required" } else { "" };
        let about = [vec![prose(member.description.as_deref().unwrap_or_default())], limits(member)].concat().join(" ");
        writeln!(page, "| `{name}` | {}{wanted} | {about} |", kind(member, &path))?;
    }
    for (name, member) in schema.properties.iter().flatten() {
        let inner = item(member);
        if inner.properties.is_some() {
            object(page, &format!("{path}.{name}"), inner)?;
        }
    }
    Ok(())
}

/// What an object as a whole is held to.
fn rules(page: &mut String, schema: &JSONSchemaProps) -> Result<(), Error> {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        let place = rule.field_path.as_deref().map(|path| format!("`{}` ", path.trim_start_matches('.')));
        let message = rule.message.as_deref().unwrap_or(&rule.rule);
        write!(page, "\n- Rule: {}{}.", place.unwrap_or_default(), prose(message))?;
    }
    if schema.x_kubernetes_validations.is_some() {
        writeln!(page)?;
    }
    Ok(())
}

/// What a list or a map is of, else the schema itself.
fn item(schema: &JSONSchemaProps) -> &JSONSchemaProps {
    if let Some(JSONSchemaPropsOrArray::Schema(inner)) = &schema.items {
        return item(inner);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(inner)) = &schema.additional_properties {
        return item(inner);
    }
    schema
}

fn kind(schema: &JSONSchemaProps, path: &str) -> String {
    if let Some(JSONSchemaPropsOrArray::Schema(inner)) = &schema.items {
        return format!("list of {}", kind(inner, path));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(inner)) = &schema.additional_properties {
        return format!("map to {}", kind(inner, path));
    }
    match (schema.type_.as_deref(), schema.format.as_deref()) {
        (Some("object"), _) if schema.properties.is_some() => {
            format!("[object](#{})", path.replace('.', "").to_lowercase())
        }
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some(kind), _) => kind.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

/// What the value of a field is held to, a sentence each.
fn limits(schema: &JSONSchemaProps) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |text: String| said.push(text);
    if let Some(values) = &schema.enum_ {
        say(format!("One of {}.", values.iter().map(|value| format!("`{}`", value.0)).collect::<Vec<_>>().join(", ")));
    }
    if let Some(default) = &schema.default
        && schema.properties.is_none()
    {
        say(format!("Default `{}`.", default.0));
    }
    match (schema.minimum, schema.maximum) {
        (Some(least), Some(most)) => say(format!("{least} to {most}.")),
        (Some(least), None) => say(format!("At least {least}.")),
        (None, Some(most)) => say(format!("At most {most}.")),
        (None, None) => (),
    }
    for (bound, unit) in [
        (schema.max_length, "characters"),
        (item(schema).max_length.filter(|_| schema.max_length.is_none()), "characters each"),
        (schema.max_items, "items"),
        (schema.max_properties, "entries"),
    ] {
        if let Some(bound) = bound {
            say(format!("At most {bound} {unit}."));
        }
    }
    for held in [Some(schema), Some(item(schema)).filter(|inner| !std::ptr::eq(*inner, schema))].into_iter().flatten() {
        // An object's own rules stand in its own section.
        for rule in held.x_kubernetes_validations.iter().flatten().filter(|_| held.properties.is_none()) {
            let mut message = prose(rule.message.as_deref().unwrap_or(&rule.rule));
            if let Some(first) = message.get(..1).map(str::to_uppercase) {
                message.replace_range(..1, &first);
            }
            say(format!("{message}."));
        }
    }
    said
}

/// A description as Markdown that fits into a cell of a table.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for c in text.trim().replace("\n\n", " ").chars() {
        match c {
            '`' => is_code = !is_code,
            '*' | '_' | '<' | '[' if !is_code => prose.push('\\'),
            '|' => prose.push('\\'),
            _ => (),
        }
        prose.push(if c == '\n' { ' ' } else { c });
    }
    prose
}

fn main() -> Result<(), Error> {
    print!("{}", page()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_generated_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md");
        let held = std::fs::read_to_string(path).unwrap();
        assert!(held == super::page().unwrap(), "docs/api.md differs from src/api: run `make generate`");
    }
}
