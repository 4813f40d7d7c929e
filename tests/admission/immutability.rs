//! What may not be changed.

use cloudop_testbed::Bed;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{bed, manifest, otc, spec};

const IMMUTABLE: &str = "is immutable; to follow another operation create a new CloudOperation";

fn create(bed: &Bed, spec: &Value) {
    bed.apply(&manifest("op", spec).to_string());
}

#[rstest]
#[case::a_value(json!({"numspotKubernetes": {"spaceId": "other"}}))]
#[case::the_case_of_a_letter(json!({"numspotKubernetes": {"spaceId": "S"}}))]
#[case::an_optional_member_changed(json!({"numspotKubernetes": {"clusterId": "other"}}))]
#[case::an_optional_member_unset(json!({"numspotKubernetes": {"clusterId": null}}))]
#[case::the_member_swapped(json!({"numspotKubernetes": null, "otcCceJob": {"region": "eu-de", "projectId": "s"}}))]
#[case::a_second_member(json!({"otcCceJob": {"region": "eu-de", "projectId": "s"}}))]
fn no_part_of_the_provider_changes(#[case] change: Value) {
    let bed = bed();
    create(&bed, &spec(&json!({"numspotKubernetes": {"region": "eu-de", "spaceId": "s", "clusterId": "c"}})));
    is_refused(&bed, &json!({ "provider": change }), "spec.provider");
}

#[rstest]
#[case::an_optional_member_set(
    json!({"numspotKubernetes": {"region": "eu-de", "spaceId": "s"}}),
    json!({"numspotKubernetes": {"clusterId": "c"}})
)]
#[case::a_list_set(
    json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "s"}}),
    json!({"sbercloudOpenshiftTask": {"succeededStates": ["Fine"]}})
)]
#[case::a_list_in_another_order(
    json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "s", "failedStates": ["A", "B"]}}),
    json!({"sbercloudOpenshiftTask": {"failedStates": ["B", "A"]}})
)]
#[case::a_member_without_members_swapped(
    json!({"huaweiUcsFederation": {}}),
    json!({"huaweiUcsFederation": null, "otcCceJob": {"region": "eu-de", "projectId": "p"}})
)]
fn nor_does_what_was_left_out_or_stands_in_a_list(#[case] provider: Value, #[case] change: Value) {
    let bed = bed();
    create(&bed, &spec(&provider));
    is_refused(&bed, &json!({ "provider": change }), "spec.provider");
}

#[test]
fn the_operation_does_not_change_whichever_way_it_is_written() {
    let bed = bed();
    create(&bed, &otc());
    is_refused(&bed, &json!({"operationId": "another"}), "spec.operationId");
    let mut other = otc();
    other["operationId"] = json!("another");
    for verb in [&["apply"][..], &["replace"], &["apply", "--server-side", "--force-conflicts"]] {
        let output = bed.kubectl_stdin(&[verb, &["-f", "-"]].concat(), &manifest("op", &other).to_string());
        assert_eq!(output.code, Some(1), "{verb:?}: {}", output.stdout);
        assert!(output.stderr.contains("spec.operationId: ") && output.stderr.contains(IMMUTABLE), "{}", output.stderr);
    }
}

#[test]
fn the_secret_and_the_pace_may_change_and_change_the_generation() {
    let bed = bed();
    create(&bed, &otc());
    let changes = [
        json!({"credentialsRef": {"name": "renewed"}}),
        json!({"pollIntervalSeconds": 5, "activeDeadlineSeconds": 60, "progressDeadlineSeconds": 60}),
        json!({"pollIntervalSeconds": null, "notFoundGraceSeconds": 5, "ttlSecondsAfterFinished": 60, "suspend": true}),
    ];
    for (change, generation) in changes.iter().zip(2..) {
        let output = patch(&bed, change);
        assert!(output.success(), "{}", output.stderr);
        assert_eq!(bed.get("op").unwrap_or_default()["metadata"]["generation"], generation);
    }
}

fn patch(bed: &Bed, change: &Value) -> cloudop_testbed::Output {
    bed.kubectl(&["patch", "cloudop", "op", "--type=merge", "-p", &json!({ "spec": change }).to_string()])
}

#[track_caller]
fn is_refused(bed: &Bed, change: &Value, field: &str) {
    let before = bed.get("op").unwrap_or_default();
    let output = patch(bed, change);
    assert_eq!(output.code, Some(1), "{change}: {}", output.stdout);
    // Kubernetes 1.33 puts the kind of value in between.
    let said = output.stderr.replace("Invalid value: \"object\": ", "Invalid value: ");
    assert!(said.contains(&format!("{field}: Invalid value: {IMMUTABLE}")), "{said}");
    assert_eq!(bed.get("op").unwrap_or_default(), before);
}
