//! A rehearsal: every built-in API plays each way that an operation can go, as the Secret's token says.

use cloudop_simulator::{Options, Simulator, rehearsal_accounts};
use cloudop_testbed::Bed;
use serde_json::Value;

const PROVIDERS: [&str; 9] = [
    "numspotKubernetes: {region: eu-west-2, spaceId: space}",
    "numspotCluster: {region: eu-west-2, spaceId: space}",
    "huaweiCceUpgrade: {region: cn-north-4, projectId: project, clusterId: cluster}",
    "huaweiCceJob: {region: cn-north-4, projectId: project}",
    "huaweiUcsFederation: {}",
    "huaweiJob: {service: ecs, region: cn-north-4, projectId: project}",
    "otcCceJob: {region: eu-de, projectId: other-project}",
    "otcJob: {service: ecs, region: eu-de, projectId: other-project}",
    "sbercloudOpenshiftTask: {serviceInstanceId: instance}",
];

/// The end of each, by its token; what is parked ends nowhere, and not the same way at every cloud.
const ENDS: [(&str, &str); 4] =
    [("success", "Succeeded"), ("failure", "Failed"), ("flapping", "Succeeded"), ("parked", "")];

#[test]
fn every_api_plays_every_outcome() {
    let mut bed = Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"));
    let options = Options { accounts: rehearsal_accounts(), speed: 4.0, ..Options::default() };
    bed.simulator = futures::executor::block_on(Simulator::start_with(options)).unwrap();
    let _controller = bed.controller(&["--requests-per-second", "50"]);
    let (mut manifests, mut expected) = (Vec::new(), Vec::new());
    for (kind, (token, end)) in ENDS.iter().enumerate() {
        bed.secret(token, &[("token", token)]);
        for (number, provider) in PROVIDERS.iter().enumerate() {
            // While its cloud is down, a cluster may come to be as it was before: then it settles for two minutes.
            if *token == "flapping" && provider.starts_with("numspotCluster") {
                continue;
            }
            let (name, id) =
                (format!("{token}-{number}"), format!("{kind:04x}{number:04x}-0000-4000-8000-000000000000"));
            let manifest = Bed::operation(&name, provider, &id, "pollIntervalSeconds: 1")
                .replace("credentialsRef: {name: cloud}", &format!("credentialsRef: {{name: {token}}}"));
            manifests.push(manifest);
            expected.push((name, *provider, *end));
        }
    }
    bed.apply(&manifests.join("---\n"));
    for (name, provider, end) in &expected {
        let end = match (*end, provider.starts_with("huaweiCceUpgrade")) {
            ("", true) => "Blocked",
            ("", false) => "Running",
            (end, _) => end,
        };
        let status = bed.until(name, end, |status| status["phase"] == end);
        // An upgrade workflow that is given up is cancelled, and has no place for a cause.
        if end == "Failed" && !provider.starts_with("huaweiCceUpgrade") {
            assert!(
                status["error"]["message"].as_str().is_some_and(|text| text.contains("quota")),
                "{name}: {status:#}"
            );
        }
    }
    // What is parked stays so, after all others have ended.
    for (name, ..) in expected.iter().filter(|(_, _, end)| end.is_empty()) {
        let phase = bed.get(name).unwrap()["status"]["phase"].take();
        assert!([Value::from("Blocked"), Value::from("Running")].contains(&phase), "{name}");
    }
}
