//! Operations that had ended before anybody followed them: all times are the cloud's.

use cloudop_simulator::{Cloud, Operation, Scope, Stage};

use crate::story::Story;

macro_rules! reply {
    ($case:literal) => {
        include_str!(concat!("../fixtures/", $case, ".json"))
    };
}

#[rstest::rstest]
#[case::numspot(
    "numspot_kubernetes",
    Operation::new(Cloud::NumspotKubernetes, Scope::numspot("s", "c"), "9d3f9c1a-7f0c-4d57-9a69-1c7be3d8a001"),
    reply!("numspot_kubernetes/done"),
    "numspotKubernetes: {region: eu-west-2, spaceId: s}"
)]
#[case::cce(
    "huawei_cce_upgrade",
    Operation::new(Cloud::HuaweiCceUpgrade, Scope::cce("p", "c"), "c271e39e-1a6e-4d3d-8fa8-2a36329c68d1"),
    reply!("huawei_cce_upgrade/succeeded"),
    "huaweiCceUpgrade: {region: ap-southeast-3, projectId: p, clusterId: c}"
)]
#[case::ucs(
    "huawei_ucs_federation",
    Operation::new(Cloud::HuaweiUcsFederation, Scope::ucs(), "4f9c8a12-2fa3-11ee-ad1d-0255ac1001c4"),
    reply!("huawei_ucs_federation/vendor-example"),
    "huaweiUcsFederation: {}"
)]
#[case::otc(
    "otc_cce_job",
    Operation::new(Cloud::OtcCceJob, Scope::otc("p"), "0a9f2a4e-58a7-11ee-9bd5-0255ac1001b4"),
    reply!("otc_cce_job/lower-case-spelling"),
    "otcCceJob: {region: eu-de, projectId: p}"
)]
#[case::sbercloud(
    "sbercloud_openshift_task",
    Operation::new(Cloud::SbercloudOpenshiftTask, Scope::sbercloud("i"), "e2a7d4f0-4f5c-4b93-8a55-7f1c9d2b3a02"),
    reply!("sbercloud_openshift_task/succeeded"),
    "sbercloudOpenshiftTask: {serviceInstanceId: i}"
)]
fn an_operation_that_ended_before_it_was_followed_succeeds_at_once_with_the_clouds_times(
    #[case] folder: &str,
    #[case] operation: Operation,
    #[case] reply: &str,
    #[case] provider: &str,
) {
    let mut story = Story::new(&format!("{folder}/ended-before"), operation.stage(Stage::raw(reply)));
    story.apply(provider, "");
    let status = story.end("ended", true);
    // Not that of the first look.
    let completed: jiff::Timestamp = status["completionTime"].as_str().unwrap().parse().unwrap();
    let tracked: jiff::Timestamp = status["trackingStartTime"].as_str().unwrap().parse().unwrap();
    assert!(completed < tracked, "{completed} {tracked}");
    story.close();
}
