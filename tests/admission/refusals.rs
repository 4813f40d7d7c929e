//! What may not be created.

use std::{collections::HashSet, fs, path::Path};

use cloudop::provider::Provider;
use serde_json::{Value, json};

use crate::{bed, is_refused, is_taken, otc, spec};

const STRICT: &[&str] = &[];
const LENIENT: &[&str] = &["--validate=false"];

#[test]
fn an_id_that_could_lead_elsewhere_is_refused_whichever_member_it_stands_in() {
    let bed = bed();
    let long = "a".repeat(2048);
    let letters = "must be an ID as the cloud gave it: letters, digits, '.', '_' and '-'";
    let ids = ["../x", "a/b", "a?b", "a#b", "%2e%2e", "a b", " a", "a\n", "ключ", "a\u{202e}b", ".", "..", &long];
    for id in ids {
        for (provider, members) in [
            (
                json!({"numspotKubernetes": {"region": "eu-de", "spaceId": id, "clusterId": id}}),
                &["spaceId", "clusterId"][..],
            ),
            (
                json!({"huaweiCceUpgrade": {"region": "eu-de", "projectId": id, "clusterId": id}}),
                &["projectId", "clusterId"],
            ),
            (json!({"otcCceJob": {"region": "eu-de", "projectId": id}}), &["projectId"]),
            (json!({"huaweiCceJob": {"region": "eu-de", "projectId": id}}), &["projectId"]),
            (json!({"huaweiJob": {"service": "ecs", "region": "eu-de", "projectId": id}}), &["projectId"]),
            (json!({"otcJob": {"service": "ims", "region": "eu-de", "projectId": id}}), &["projectId"]),
            (json!({"numspotCluster": {"region": "eu-de", "spaceId": id}}), &["spaceId"]),
            (json!({"sbercloudOpenshiftTask": {"serviceInstanceId": id}}), &["serviceInstanceId"]),
        ] {
            let mut refused = spec(&provider);
            refused["operationId"] = json!(id);
            let member = provider.as_object().and_then(|provider| provider.keys().next()).cloned().unwrap_or_default();
            let fields: Vec<String> = members.iter().map(|name| format!("spec.provider.{member}.{name}: ")).collect();
            let is_long = id.len() == 2048;
            let form = if is_long { "Too long: may not be more than 64 bytes" } else { letters };
            let mut words: Vec<(&str, &str)> = fields.iter().map(|field| (field.as_str(), form)).collect();
            words.push((
                "spec.operationId: ",
                if is_long { "Too long: may not be more than 253 bytes" } else { letters },
            ));
            is_refused(&bed, &refused, LENIENT, &words);
        }
    }
}

#[test]
fn an_empty_id_and_a_region_that_is_more_than_a_region_are_refused() {
    let bed = bed();
    let mut empty = otc();
    empty["operationId"] = json!("");
    is_refused(&bed, &empty, LENIENT, &[("spec.operationId: ", "at least 1 chars long")]);
    for region in ["", "eu de", "EU-DE", "eu.de", "eu-de.evil.example/", "eu-de#", "-", "eu-", "obs", "obs.eu-de"] {
        for member in [
            "numspotKubernetes",
            "numspotCluster",
            "huaweiCceUpgrade",
            "huaweiCceJob",
            "huaweiJob",
            "otcCceJob",
            "otcJob",
        ] {
            let region = json!({member: {"region": region, "projectId": "p", "clusterId": "c", "spaceId": "s",
                                         "service": "ecs"}});
            let field = format!("spec.provider.{member}.region: ");
            let form = "must be a region as the cloud writes it: lower-case letters and digits, with '-' between them";
            is_refused(&bed, &spec(&region), LENIENT, &[(&field, form)]);
        }
    }
}

#[test]
fn the_longest_and_oddest_ids_of_clouds_are_taken() {
    let bed = bed();
    for id in ["a".repeat(253), "7".into(), "A.b_c-9".into(), "-a".into(), "_.x".into()] {
        let mut taken = otc();
        taken["operationId"] = json!(id);
        assert_eq!(is_taken(&bed, &taken, STRICT)["spec"]["operationId"], id);
    }
}

#[test]
fn exactly_one_provider_is_asked_for_by_name() {
    let bed = bed();
    let (ucs, otc) = (json!({}), json!({"region": "eu-de", "projectId": "p"}));
    let choice = format!("set exactly one of {}", Provider::NAMES.join(", "));
    for provider in [
        json!({}),
        json!({"otcCceJob": otc, "huaweiUcsFederation": ucs}),
        json!({"otcCceJob": null}),
        // A member of a later version, or misspelt, sent by a client that does not ask for strictness.
        json!({"otcCceJobs": otc}),
    ] {
        is_refused(&bed, &spec(&provider), LENIENT, &[("spec.provider: ", &choice)]);
    }
    let unknown = spec(&json!({"otcCceJobs": otc}));
    is_refused(&bed, &unknown, STRICT, &[("spec.provider.otcCceJobs", "unknown field")]);
    is_refused(
        &bed,
        &json!({"operationId": "x", "credentialsRef": {"name": "c"}}),
        STRICT,
        &[("spec.provider: ", "Required value")],
    );
}

#[test]
fn a_member_that_is_null_is_a_member_left_out() {
    let bed = bed();
    let provider =
        json!({"numspotKubernetes": {"region": "eu-de", "spaceId": "s", "clusterId": null}, "otcCceJob": null});
    let mut sparse = spec(&provider);
    sparse["pollIntervalSeconds"] = Value::Null;
    sparse["notFoundGraceSeconds"] = Value::Null;
    let kept = is_taken(&bed, &sparse, STRICT)["spec"].take();
    assert_eq!(kept["provider"], json!({"numspotKubernetes": {"region": "eu-de", "spaceId": "s"}}));
    assert_eq!(kept.get("pollIntervalSeconds"), None);
    assert_eq!(kept["notFoundGraceSeconds"], 120);
}

#[test]
fn every_required_member_is_missed_by_name() {
    let bed = bed();
    for (provider, missing) in [
        (json!({"numspotKubernetes": {}}), &["region", "spaceId"][..]),
        (json!({"huaweiCceUpgrade": {}}), &["region", "projectId", "clusterId"]),
        (json!({"otcCceJob": {}}), &["region", "projectId"]),
        (json!({"sbercloudOpenshiftTask": {}}), &["serviceInstanceId"]),
    ] {
        let member = provider.as_object().and_then(|provider| provider.keys().next()).cloned().unwrap_or_default();
        let fields: Vec<String> = missing.iter().map(|name| format!("spec.provider.{member}.{name}: ")).collect();
        let words: Vec<(&str, &str)> = fields.iter().map(|field| (field.as_str(), "Required value")).collect();
        is_refused(&bed, &spec(&provider), STRICT, &words);
    }
    for missing in ["operationId", "credentialsRef"] {
        let mut incomplete = otc();
        incomplete[missing].take();
        is_refused(&bed, &incomplete, STRICT, &[(&format!("spec.{missing}: "), "Required value")]);
    }
    let mut nameless = otc();
    nameless["credentialsRef"] = json!({});
    is_refused(&bed, &nameless, STRICT, &[("spec.credentialsRef.name: ", "Required value")]);
}

#[test]
fn a_number_out_of_range_is_refused_with_the_range() {
    let bed = bed();
    for (field, value, range) in [
        ("pollIntervalSeconds", 0, "greater than or equal to 1"),
        ("pollIntervalSeconds", -5, "greater than or equal to 1"),
        ("pollIntervalSeconds", 3601, "less than or equal to 3600"),
        ("activeDeadlineSeconds", 0, "greater than or equal to 1"),
        ("progressDeadlineSeconds", -1, "greater than or equal to 1"),
        ("notFoundGraceSeconds", -1, "greater than or equal to 0"),
        ("ttlSecondsAfterFinished", 59, "greater than or equal to 60"),
        ("ttlSecondsAfterFinished", 0, "greater than or equal to 60"),
    ] {
        let mut refused = otc();
        refused[field] = json!(value);
        is_refused(&bed, &refused, STRICT, &[(&format!("spec.{field}: Invalid value: {value}"), range)]);
    }
    let limits = json!({"pollIntervalSeconds": 3600, "activeDeadlineSeconds": 1, "progressDeadlineSeconds": i64::MAX,
                        "notFoundGraceSeconds": 0, "ttlSecondsAfterFinished": 60});
    let mut taken = otc();
    for (field, value) in limits.as_object().into_iter().flatten() {
        taken[field] = value.clone();
    }
    let kept = is_taken(&bed, &taken, STRICT);
    for (field, value) in limits.as_object().into_iter().flatten() {
        assert_eq!(&kept["spec"][field], value, "{field}");
    }
}

#[test]
fn a_value_of_another_type_is_refused_with_the_type() {
    let bed = bed();
    let task = |states: Value| json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "s", "succeededStates": states}});
    for (field, value, form) in [
        ("operationId", json!(12), "must be of type string"),
        ("pollIntervalSeconds", json!("15"), "must be of type integer"),
        ("pollIntervalSeconds", json!(1.5), "must be of type int"),
        ("activeDeadlineSeconds", json!("4h"), "must be of type integer"),
        ("suspend", json!("yes"), "must be of type boolean"),
        ("credentialsRef", json!("cloud"), "must be of type object"),
        ("provider", json!("otcCceJob"), "must be of type object"),
        ("provider", json!({"huaweiUcsFederation": []}), "must be of type object"),
        ("provider", task(json!("done")), "must be of type array"),
        ("provider", task(json!([" done"])), "must be a word of the cloud's, with no spaces around it"),
        ("provider", task(json!(vec!["done"; 17])), "must have at most 16 items"),
    ] {
        let mut refused = otc();
        refused[field] = value;
        is_refused(&bed, &refused, STRICT, &[(&format!("spec.{field}"), form)]);
    }
}

#[test]
fn what_the_schema_does_not_know_is_refused_or_dropped_and_never_kept() {
    let bed = bed();
    for (place, field) in [
        ("", "spec.retries"),
        ("/credentialsRef", "spec.credentialsRef.retries"),
        ("/provider/otcCceJob", "spec.provider.otcCceJob.retries"),
    ] {
        let mut unknown = otc();
        if let Some(object) = unknown.pointer_mut(place) {
            object["retries"] = json!(3);
        }
        is_refused(&bed, &unknown, STRICT, &[(field, "unknown field")]);
        let kept = is_taken(&bed, &unknown, LENIENT);
        assert_eq!(kept["spec"].pointer(place).and_then(|object| object.get("retries")), None);
    }
}

#[test]
fn a_secret_of_another_namespace_cannot_be_named() {
    let bed = bed();
    let mut elsewhere = otc();
    elsewhere["credentialsRef"] = json!({"name": "cloud", "namespace": "kube-system"});
    is_refused(&bed, &elsewhere, STRICT, &[("spec.credentialsRef.namespace", "unknown field")]);
    assert_eq!(is_taken(&bed, &elsewhere, LENIENT)["spec"]["credentialsRef"], json!({"name": "cloud"}));
    let form = "must be the name of a Secret in this namespace: lower-case letters and digits";
    for name in ["kube-system/cloud", "../cloud", "Cloud", "cloud ", "cloud\n", "-cloud", "cloud?x"] {
        elsewhere["credentialsRef"] = json!({ "name": name });
        is_refused(&bed, &elsewhere, STRICT, &[("spec.credentialsRef.name: ", form)]);
    }
}

#[test]
fn there_is_a_valid_example_of_each_provider() {
    let bed = bed();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let output = bed.kubectl(&["apply", "--dry-run=server", "-o", "json", "-f", &folder.to_string_lossy()]);
    assert!(output.success(), "{}", output.stderr);
    let list: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    let members = |item: &Value| item["spec"]["provider"].as_object().map(|p| p.keys().cloned().collect::<Vec<_>>());
    let mut shown: Vec<String> = list["items"].as_array().into_iter().flatten().filter_map(members).flatten().collect();
    shown.sort();
    let mut known = Provider::NAMES.to_vec();
    known.sort_unstable();
    assert_eq!(shown, known);
    // Applied together, one would be a change of the other.
    let names = list["items"].as_array().into_iter().flatten().filter_map(|item| item["metadata"]["name"].as_str());
    assert_eq!(names.collect::<HashSet<_>>().len(), known.len());
    let is_yaml = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "yaml");
    assert_eq!(fs::read_dir(folder).unwrap().flatten().filter(is_yaml).count(), known.len());
}

#[test]
fn a_service_that_is_none_and_a_profile_by_no_name_are_refused() {
    let bed = bed();
    for member in ["huaweiJob", "otcJob"] {
        let provider = json!({member: {"service": "obs", "region": "eu-de", "projectId": "p"}});
        let field = format!("spec.provider.{member}.service: ");
        is_refused(&bed, &spec(&provider), LENIENT, &[(&field, "Unsupported value: \"obs\"")]);
    }
    for name in ["GKE", "a.b", "-a", "a/b", ""] {
        let provider = json!({"declared": {"profile": name}});
        is_refused(&bed, &spec(&provider), LENIENT, &[("spec.provider.declared.profile: ", "")]);
    }
    let long = json!({"declared": {"profile": "a", "parameters": {"p": "x".repeat(254)}}});
    is_refused(&bed, &spec(&long), LENIENT, &[("spec.provider.declared.parameters.p: ", "may not be more than 253")]);
}

/// Elsewhere they hold what a path, an address or a name of Proxmox is made of.
#[test]
fn an_id_of_a_declared_provider_is_any_line_without_spaces() {
    let bed = bed();
    let mut declared = spec(&json!({"declared": {"profile": "any"}}));
    for id in ["UPID:pve1:0003E8A1:root@pam!cloudop:", "projects/p/operations/o", "a+b/c==", "crn:v1:x::", "%2e%2e"] {
        declared["operationId"] = json!(id);
        assert_eq!(is_taken(&bed, &declared, STRICT)["spec"]["operationId"], id);
    }
    let form = "must be an ID as the cloud gave it: without spaces";
    for id in ["a b", " a", "a\n", "..", "/", "\u{202e}a", "\u{fc}"] {
        declared["operationId"] = json!(id);
        is_refused(&bed, &declared, LENIENT, &[("spec.operationId: ", form)]);
    }
}
