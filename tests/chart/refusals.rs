//! Values that the schema refuses, naming the value.

use rstest::rstest;

use crate::template;

#[rstest]
#[case::unknown("replica: 2", "'replica' not allowed")]
#[case::unknown_inside("image: {name: x}", "at '/image': additional properties 'name' not allowed")]
#[case::words_for_a_number("replicas: two", "at '/replicas': got string, want integer")]
#[case::text_for_a_number("polling: {burst: '10'}", "at '/polling/burst'")]
#[case::a_fraction_of_a_pod("replicas: 1.5", "at '/replicas'")]
#[case::negative("replicas: -1", "at '/replicas'")]
#[case::no_rate("polling: {requestsPerSecond: 0}", "at '/polling/requestsPerSecond'")]
#[case::no_burst("polling: {burst: 0}", "at '/polling/burst'")]
#[case::too_concurrent("polling: {concurrency: 65536}", "at '/polling/concurrency'")]
#[case::text_for_a_switch("crds: {install: 'yes'}", "at '/crds/install': got string, want boolean")]
#[case::other_format("log: {format: xml}", "at '/log/format'")]
#[case::no_url_of_a_collector("traces: {endpoint: 'collector:4318'}", "at '/traces/endpoint'")]
#[case::other_pull_policy("image: {pullPolicy: Sometimes}", "at '/image/pullPolicy'")]
#[case::url_of_a_registry("image: {registry: 'https://mirror.example.com'}", "at '/image/registry'")]
#[case::tag_in_the_repository("image: {repository: 'a:v1'}", "at '/image/repository'")]
#[case::tag_of_a_number("image: {tag: 1.0}", "at '/image/tag': got number, want string")]
#[case::half_a_digest("image: {digest: 'sha256:12'}", "at '/image/digest'")]
#[case::one_namespace_as_text("watch: {namespaces: team-a}", "at '/watch/namespaces': got string, want array")]
#[case::no_name_of_a_namespace("watch: {namespaces: [Team_A]}", "at '/watch/namespaces/0'")]
#[case::one_namespace_twice("watch: {namespaces: [a, a]}", "at '/watch/namespaces'")]
#[case::hosts_in_one_text("egress: {allowHosts: ['a.example.com,b.example.com']}", "at '/egress/allowHosts/0'")]
#[case::url_for_a_host("egress: {allowHosts: ['https://a.example.com']}", "at '/egress/allowHosts/0'")]
#[case::two_ports("egress: {allowHosts: ['a.example.com:1:2']}", "at '/egress/allowHosts/0'")]
#[case::name_of_a_port("egress: {allowHosts: ['a.example.com:https']}", "at '/egress/allowHosts/0'")]
#[case::port_alone("egress: {allowHosts: [':443']}", "at '/egress/allowHosts/0'")]
#[case::no_port_behind_the_colon("egress: {allowHosts: ['a.example.com:']}", "at '/egress/allowHosts/0'")]
#[case::star_within("egress: {allowHosts: ['a.*.example.com']}", "at '/egress/allowHosts/0'")]
#[case::switch_for_ranges("egress: {allowPrivateAddresses: true}", "at '/egress/allowPrivateAddresses'")]
#[case::no_range("egress: {allowPrivateAddresses: [everything]}", "at '/egress/allowPrivateAddresses/0'")]
#[case::password_of_a_proxy("egress: {proxy: {url: 'http://me:word@proxy:3128'}}", "at '/egress/proxy/url'")]
#[case::port_zero("networkPolicy: {cloudPorts: [0]}", "at '/networkPolicy/cloudPorts/0'")]
#[case::no_ports("networkPolicy: {apiServerPorts: []}", "at '/networkPolicy/apiServerPorts'")]
#[case::privileged_port("metrics: {port: 80}", "at '/metrics/port'")]
#[case::bare_ipv6("metrics: {bindAddress: '::'}", "at '/metrics/bindAddress'")]
#[case::unit_missing("metrics: {serviceMonitor: {interval: '30'}}", "at '/metrics/serviceMonitor/interval'")]
#[case::no_such_alert("metrics: {prometheusRule: {disabled: [CloudopX]}}", "at '/metrics/prometheusRule/disabled/0'")]
#[case::label_of_a_switch("podLabels: {a: true}", "at '/podLabels/a': got boolean, want string")]
#[case::list_for_a_map("nodeSelector: [a]", "at '/nodeSelector': got array, want object")]
#[case::less_security("containerSecurityContext: {privileged: true}", "'containerSecurityContext' not allowed")]
#[case::quantity("resources: {limits: {memory: lots}}", "at '/resources/limits/memory'")]
#[case::resource_kind(
    "resources: {limit: {memory: 1Gi}}",
    "at '/resources': additional properties 'limit' not allowed"
)]
#[case::share("podDisruptionBudget: {maxUnavailable: half}", "at '/podDisruptionBudget/maxUnavailable'")]
#[case::variable_without_name("extraEnv: [{value: x}]", "at '/extraEnv/0': missing property 'name'")]
#[case::variable_of_a_number("extraEnv: [{name: A, value: 1}]", "at '/extraEnv/0/value'")]
#[case::mount_without_path("extraVolumeMounts: [{name: a}]", "at '/extraVolumeMounts/0': missing property 'mountPath'")]
#[case::toleration("tolerations: [{operator: Sometimes}]", "at '/tolerations/0/operator'")]
#[case::probe_of_something_else(
    "livenessProbe: {httpGet: {path: /}}",
    "at '/livenessProbe': additional properties 'httpGet' not allowed"
)]
#[case::no_strategy("strategy: {type: Canary}", "at '/strategy/type'")]
#[case::alias_without_an_address("hostAliases: [{hostnames: [a]}]", "at '/hostAliases/0': missing property 'ip'")]
#[case::option_of_a_number("dnsConfig: {options: [{name: ndots, value: 1}]}", "at '/dnsConfig/options/0/value'")]
#[case::no_name_of_the_namespace("namespaceOverride: Other", "at '/namespaceOverride'")]
#[case::url_of_a_global_registry("global: {imageRegistry: 'https://mirror.example.com'}", "at '/global/imageRegistry'")]
#[case::no_name_of_a_global_secret("global: {imagePullSecrets: [{secret: a}]}", "at '/global/imagePullSecrets/0'")]
#[case::replicas_of_other_charts("replicaCount: 3", "replicaCount: set replicas,")]
#[case::crds_of_other_charts("crds: {enabled: true}", "crds.enabled: set crds.install,")]
#[case::crds_of_older_charts("installCRDs: true", "installCRDs: set crds.install,")]
#[case::secrets_of_other_charts("image: {pullSecrets: [a]}", "image.pullSecrets: set imagePullSecrets,")]
#[case::monitor_of_other_charts("serviceMonitor: {enabled: true}", "serviceMonitor: set metrics.serviceMonitor,")]
#[case::arguments("extraArgs: [--log=debug]", "extraArgs: every flag has a value of its own")]
#[case::scraped_twice(
    "metrics: {podMonitor: {enabled: true}}",
    "metrics.podMonitor.enabled: set metrics.serviceMonitor.enabled=false too"
)]
#[case::spread(
    "topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]",
    "at '/topologySpreadConstraints/0/maxSkew'"
)]
fn is_refused(#[case] values: &str, #[case] why: &str) {
    let output = template("cloudop", "n", values, &[]);
    assert!(!output.success(), "rendered {values}");
    assert!(output.stderr.contains(why), "{}", output.stderr);
}

#[test]
fn somebody_elses_service_account_needs_a_name() {
    let output = template("cloudop", "n", "serviceAccount: {create: false}", &[]);
    assert!(!output.success());
    assert!(output.stderr.contains("serviceAccount.name: say which"), "{}", output.stderr);
}
