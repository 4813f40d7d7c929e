//! A matrix of values, rendered and given to the API server in a namespace with Pod Security "restricted".

use rstest::rstest;
use serde_json::{Value, json};

use crate::{MONITORING, chart, cluster, documents, kinds, of_kind, rendered, restricted_namespace};

const EVERYTHING: &str = r#"
global: {imageRegistry: "", imagePullSecrets: [], theirs: {of: others}}
commonLabels: {team: platform}
replicas: 3
strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 50%}}
image: {registry: mirror.example.com:5000/a, repository: b, tag: v9, pullPolicy: Always}
imagePullSecrets: [{name: mirror}]
watch: {labelSelector: "shard notin (a,b),tier"}
egress:
  allowHosts: [api.example.com, "*.example.org:*"]
  allowPrivateAddresses: [10.0.0.0/8, "fd00::/8"]
  proxy: {url: "http://proxy.example.com:3128", credentialsSecret: proxy, caConfigMap: proxy-ca}
polling: {requestsPerSecond: 0.5, burst: 1000000, concurrency: 128}
traces: {endpoint: "http://collector:4318"}
log: {format: text, filter: "info,cloudop=debug"}
serviceAccount: {name: follower, annotations: {a: b}}
podAnnotations: {c: d}
podLabels: {e: f}
resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 2Gi}}
livenessProbe: {initialDelaySeconds: 5, timeoutSeconds: 10}
readinessProbe: {periodSeconds: 30}
hostAliases: [{ip: 10.0.0.5, hostnames: [api.cloud.example.com]}]
dnsConfig: {nameservers: [10.0.0.10], searches: [example.com], options: [{name: ndots, value: "1"}, {name: edns0}]}
priorityClassName: system-cluster-critical
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Exists, effect: NoSchedule}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: g, operator: Exists}]}]}}}
podDisruptionBudget: {maxUnavailable: 50%}
networkPolicy:
  egress: true
  apiServerPorts: [443, 16443]
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  extraEgress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 8443}]}]
metrics:
  port: 9090
  bindAddress: "[::]"
  service: {annotations: {prometheus.io/scrape: "true"}}
  serviceMonitor:
    labels: {release: prometheus}
    interval: 30s
    scrapeTimeout: 10s
    relabelings: [{sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node}]
    metricRelabelings: [{sourceLabels: [__name__], regex: go_.*, action: drop}]
  prometheusRule: {labels: {release: prometheus}, alertLabels: {team: platform}, disabled: [CloudopOperationFailed], runbookUrl: https://wiki.example.com/cloudop}
  dashboard: {enabled: true, annotations: {folder: clouds}}
extraEnv: [{name: HTTPS_PROXY, value: ""}, {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
extraVolumes: [{name: ca, configMap: {name: ca}}]
extraVolumeMounts: [{name: ca, mountPath: /etc/ca, readOnly: true}]
extraObjects:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: "{{ .Release.Name }}-extra", namespace: "{{ .Release.Namespace }}"}}
  - |
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: {{ include "cloudop.fullname" . }}-text
      namespace: {{ .Release.Namespace }}
"#;

/// Renders `values` for a release in a namespace of its own.
fn objects(release: &str, namespace: &str, values: &str) -> Vec<Value> {
    documents(&rendered(release, namespace, values, &["--api-versions", MONITORING]))
}

fn container(objects: &[Value]) -> &Value {
    &of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
}

fn arguments(objects: &[Value]) -> Vec<&str> {
    container(objects)["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect()
}

#[rstest]
#[case::defaults("cloudop", "", &[
    "ClusterRole*4", "ClusterRoleBinding*2", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule",
    "Role", "RoleBinding", "Service", "ServiceAccount", "ServiceMonitor",
])]
#[case::everything("cloudop", EVERYTHING, &[
    "ClusterRole*4", "ClusterRoleBinding*2", "ConfigMap*3", "Deployment", "NetworkPolicy", "PodDisruptionBudget",
    "PrometheusRule", "Role", "RoleBinding", "Service", "ServiceAccount", "ServiceMonitor",
])]
#[case::namespaces("cloudop", "{watch: {namespaces: [team-a, team-b]}, rbac: {aggregate: false, profiles: false}}", &[
    "Deployment", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule", "Role*3", "RoleBinding*3", "Service", "ServiceAccount",
    "ServiceMonitor",
])]
#[case::others_permissions(
    "cloudop",
    "{serviceAccount: {create: false, name: mine}, rbac: {create: false, aggregate: false}}",
    &["Deployment", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule", "Service", "ServiceMonitor"],
)]
#[case::one_of_two_shards(
    "cloudop-b",
    "{watch: {labelSelector: shard=b}, rbac: {aggregate: false}, metrics: {prometheusRule: {enabled: false}}}",
    &["ClusterRole*2", "ClusterRoleBinding*2", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Role", "RoleBinding", "Service",
      "ServiceAccount", "ServiceMonitor"],
)]
#[case::small(
    "x",
    "{replicas: 1, podDisruptionBudget: {enabled: false}, topologySpreadConstraints: [], networkPolicy: {ingress: false}, resources: {requests: null, \
     limits: null}, rbac: {aggregate: false}, metrics: {serviceMonitor: {enabled: false}, prometheusRule: {enabled: false}}}",
    &["ClusterRole*2", "ClusterRoleBinding*2", "Deployment", "Role", "RoleBinding", "Service", "ServiceAccount"],
)]
#[case::longest_names(
    "a123456789-123456789-123456789-123456789-123456789-xy",
    "{nameOverride: b123456789-123456789-123456789-123456789-123456789-123456789-xy, rbac: {aggregate: false}}",
    &["ClusterRole*2", "ClusterRoleBinding*2", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule", "Role",
      "RoleBinding", "Service", "ServiceAccount", "ServiceMonitor"],
)]
#[case::by_pod("cloudop", "{metrics: {serviceMonitor: {enabled: false}, podMonitor: {enabled: true, interval: 30s}}}", &[
    "ClusterRole*4", "ClusterRoleBinding*2", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "PrometheusRule",
    "Role", "RoleBinding", "Service", "ServiceAccount",
])]
#[case::digest("cloudop", "{image: {registry: '', digest: 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'}}", &[
    "ClusterRole*4", "ClusterRoleBinding*2", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule",
    "Role", "RoleBinding", "Service", "ServiceAccount", "ServiceMonitor",
])]
fn the_api_server_takes_what_is_rendered(#[case] release: &str, #[case] values: &str, #[case] expected: &[&str]) {
    let cluster = cluster();
    let namespace = restricted_namespace(cluster);
    let flags = ["--api-versions", MONITORING, "--set", "crds.install=false"];
    let manifest = rendered(release, &namespace, values, &flags);
    let objects = documents(&manifest);
    assert_eq!(kinds(&objects), expected);

    let apply = ["apply", "--dry-run=server", "-f", "-"];
    let output = cluster.kubectl_stdin(&apply, &manifest).unwrap();
    assert!(output.success(), "{}", output.stderr);
    assert!(!output.stderr.contains("Warning"), "{}", output.stderr);
    assert_eq!(output.stdout.lines().count(), objects.len(), "{}", output.stdout);

    // The API server enforces Pod Security on Pods only; nothing makes any of a Deployment here.
    let pod = pod(&objects, &namespace);
    let output = cluster.kubectl_stdin(&apply, &pod.to_string()).unwrap();
    assert!(output.success(), "{}", output.stderr);
    let deployment = &of_kind(&objects, "Deployment")["spec"];
    let (selector, labels) = (&deployment["selector"]["matchLabels"], &deployment["template"]["metadata"]["labels"]);
    for (name, value) in selector.as_object().unwrap() {
        assert_eq!(labels[name], *value);
    }
    assert_eq!(of_kind(&objects, "Service")["spec"]["selector"], *selector);
}

fn pod(objects: &[Value], namespace: &str) -> Value {
    let template = &of_kind(objects, "Deployment")["spec"]["template"];
    let metadata = json!({"name": "one", "namespace": namespace});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

#[test]
fn the_namespace_refuses_a_pod_with_less_security() {
    let cluster = cluster();
    let namespace = restricted_namespace(cluster);
    for lacking in ["allowPrivilegeEscalation", "capabilities"] {
        let mut pod = pod(&objects("cloudop", &namespace, ""), &namespace);
        let context = &mut pod["spec"]["containers"][0]["securityContext"];
        assert!(context.as_object_mut().unwrap().remove(lacking).is_some());
        let apply = ["apply", "--dry-run=server", "-f", "-"];
        let output = cluster.kubectl_stdin(&apply, &pod.to_string()).unwrap();
        assert!(!output.success());
        assert!(output.stderr.contains("violates PodSecurity \"restricted"), "{}", output.stderr);
    }
}

#[test]
fn lint_finds_nothing() {
    let output = cluster().helm(&["lint", "--strict", &chart()]).unwrap();
    assert!(output.success(), "{}{}", output.stdout, output.stderr);
    assert!(!output.stdout.contains("[WARNING]") && !output.stdout.contains("[ERROR]"), "{}", output.stdout);
}

#[test]
fn values_become_flags() {
    let fixed = |id: &str, address: &str| {
        vec![
            "--leader-election".to_owned(),
            "--leader-election-namespace=$(POD_NAMESPACE)".to_owned(),
            format!("--leader-election-id={id}"),
            format!("--metrics-address={address}"),
        ]
    };
    let defaults = ["--requests-per-second=5", "--burst=10", "--concurrency=256", "--log-format=json"];
    let expected = [fixed("cloudop", "0.0.0.0:8080"), defaults.map(str::to_owned).to_vec()].concat();
    assert_eq!(arguments(&objects("cloudop", "n", "")), expected);

    let all = [
        "--watch-label-selector=shard notin (a,b),tier",
        "--allow-host=api.example.com,*.example.org:*",
        "--allow-private-addresses=10.0.0.0/8,fd00::/8",
        "--egress-proxy=http://proxy.example.com:3128",
        "--egress-proxy-credentials-file=/etc/cloudop/proxy-credentials/credentials",
        "--egress-proxy-ca-file=/etc/cloudop/proxy-ca/ca.crt",
        "--requests-per-second=0.5",
        "--burst=1000000",
        "--concurrency=128",
        "--log-format=text",
        "--log=info,cloudop=debug",
        "--otlp-endpoint=http://collector:4318",
    ];
    let expected = [fixed("shard-cloudop", "[::]:9090"), all.map(str::to_owned).to_vec()].concat();
    assert_eq!(arguments(&objects("shard", "n", EVERYTHING)), expected);
    let namespaces = objects("cloudop", "n", "{watch: {namespaces: [team-a, team-b]}}");
    assert!(arguments(&namespaces).contains(&"--watch-namespaces=team-a,team-b"));
}

#[test]
fn the_files_of_a_proxy_are_mounted_where_the_flags_say() {
    let objects = objects("cloudop", "n", EVERYTHING);
    let mounts = &container(&objects)["volumeMounts"];
    let path = |name: &str| {
        mounts.as_array().unwrap().iter().find(|mount| mount["name"] == name).unwrap()["mountPath"].clone()
    };
    assert_eq!(path("proxy-credentials"), "/etc/cloudop/proxy-credentials");
    assert_eq!(path("proxy-ca"), "/etc/cloudop/proxy-ca");
    assert_eq!(path("ca"), "/etc/ca", "the user's own stay");
    let volumes = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[0]["secret"]["secretName"], "proxy");
    assert_eq!(volumes[1]["configMap"]["name"], "proxy-ca");
}

#[test]
fn only_what_goes_to_the_metrics_is_let_in_and_on_request_only_what_is_needed_out() {
    let types = |values: &str| -> Option<Value> {
        let objects = objects("cloudop", "n", values);
        let policy = objects.iter().find(|object| object["kind"] == "NetworkPolicy")?;
        let spec = &policy["spec"];
        assert_eq!(spec["egress"].is_array(), spec["policyTypes"].to_string().contains("Egress"));
        Some(spec["policyTypes"].clone())
    };
    assert_eq!(types(""), Some(json!(["Ingress"])));
    assert_eq!(types("networkPolicy: {egress: true}"), Some(json!(["Ingress", "Egress"])));
    assert_eq!(types("networkPolicy: {ingress: false, egress: true}"), Some(json!(["Egress"])));
    assert_eq!(types("networkPolicy: {ingress: false}"), None);
}

#[test]
fn the_right_to_read_secrets_can_be_left_to_others() {
    let rules = |values: &str, kind: &str| of_kind(&objects("cloudop", "n", values), kind)["rules"].to_string();
    for (watch, kind) in [("", "ClusterRole"), (", watch: {namespaces: [team-a]}", "Role")] {
        assert!(rules(&format!("{{rbac: {{aggregate: false}}{watch}}}"), kind).contains("secrets"));
        assert!(!rules(&format!("{{rbac: {{aggregate: false, secrets: false}}{watch}}}"), kind).contains("secrets"));
    }
}

#[test]
fn a_chart_around_it_gives_the_registry_and_the_secrets_to_pull_with() {
    let objects = objects(
        "cloudop",
        "n",
        "{global: {imageRegistry: 'mirror.example.com/all', imagePullSecrets: [one, {name: two}]}, imagePullSecrets: [{name: two}, \
         {name: three}]}",
    );
    let expected = concat!("mirror.example.com/all/cloudop-controller:", env!("CARGO_PKG_VERSION"));
    assert_eq!(container(&objects)["image"], expected);
    let secrets = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"]["imagePullSecrets"];
    assert_eq!(*secrets, json!([{"name": "one"}, {"name": "two"}, {"name": "three"}]));
}

#[test]
fn what_shapes_the_pods_reaches_them_and_the_probes_keep_what_they_ask() {
    let objects = objects("cloudop", "n", &format!("{EVERYTHING}runtimeClassName: gvisor\n"));
    let deployment = &of_kind(&objects, "Deployment")["spec"];
    let pod = &deployment["template"]["spec"];
    assert_eq!(deployment["strategy"]["rollingUpdate"], json!({"maxSurge": 0, "maxUnavailable": "50%"}));
    assert_eq!(pod["runtimeClassName"], "gvisor");
    assert_eq!(pod["hostAliases"][0]["ip"], "10.0.0.5");
    assert_eq!(pod["dnsConfig"]["options"][0], json!({"name": "ndots", "value": "1"}));
    let liveness = json!({
        "httpGet": {"path": "/livez", "port": "metrics"},
        "initialDelaySeconds": 5, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 3,
    });
    assert_eq!(container(&objects)["livenessProbe"], liveness);
    assert_eq!(container(&objects)["readinessProbe"]["periodSeconds"], 30);
}

#[test]
fn everything_is_in_the_namespace_that_takes_the_place_of_the_releases() {
    let objects = objects("cloudop", "n", "{namespaceOverride: other, metrics: {dashboard: {enabled: true}}}");
    for object in &objects {
        let namespace = &object["metadata"]["namespace"];
        assert!(namespace.is_null() || namespace == "other", "{object}");
    }
    assert_eq!(of_kind(&objects, "ClusterRoleBinding")["subjects"][0]["namespace"], "other");
    assert_eq!(of_kind(&objects, "ClusterRoleBinding")["metadata"]["name"], "other:cloudop");
}

/// What an alert takes for the release's own series.
fn alerts_of(values: &str) -> String {
    let objects = objects("cloudop", "n", values);
    let rules = &of_kind(&objects, "PrometheusRule")["spec"]["groups"][0]["rules"];
    rules.as_array().unwrap().iter().find(|rule| rule["alert"] == "CloudopAbsent").unwrap()["expr"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_release_is_scraped_one_way_and_its_alerts_are_of_what_is_scraped_so() {
    let scraped = |values: &str| {
        let objects = objects("cloudop", "n", values);
        kinds(&objects).into_iter().filter(|kind| kind.ends_with("Monitor")).collect::<Vec<_>>()
    };
    let by_pod = "{metrics: {serviceMonitor: {enabled: false}, podMonitor: {enabled: true, labels: {release: p}, interval: 30s}}}";
    let by_nobody = "{metrics: {serviceMonitor: {enabled: false}}}";
    assert_eq!(scraped(""), ["ServiceMonitor"]);
    assert_eq!(scraped(by_pod), ["PodMonitor"]);
    assert_eq!(scraped(by_nobody), [""; 0]);
    let objects = objects("cloudop", "n", by_pod);
    let monitor = of_kind(&objects, "PodMonitor");
    assert_eq!(
        monitor["spec"]["podMetricsEndpoints"],
        json!([{"port": "metrics", "path": "/metrics", "interval": "30s"}])
    );
    assert_eq!(monitor["metadata"]["labels"]["release"], "p");
    // What the Prometheus Operator makes the label job: the name of the Service, or of the namespace and the PodMonitor.
    assert_eq!(alerts_of(""), r#"absent(cloudop_build_info{namespace="n",job="cloudop"})"#);
    assert_eq!(alerts_of(by_pod), r#"absent(cloudop_build_info{namespace="n",job="n/cloudop"})"#);
    assert_eq!(alerts_of(by_nobody), r#"absent(cloudop_build_info{job=~".+"})"#);
}

#[test]
fn an_image_has_a_tag_or_a_digest() {
    let image = |values: &str| container(&objects("cloudop", "n", values))["image"].as_str().unwrap().to_owned();
    assert_eq!(image(""), concat!("registry.cloudop.dev/cloudop-controller:", env!("CARGO_PKG_VERSION")));
    assert_eq!(image(EVERYTHING), "mirror.example.com:5000/a/b:v9");
    let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let values = format!("{{image: {{registry: '', repository: a, tag: v9, digest: '{digest}'}}}}");
    assert_eq!(image(&values), format!("a@{digest}"));
}

#[test]
fn two_releases_share_no_name() {
    let names = |release, namespace| -> Vec<String> {
        let objects = objects(release, namespace, "{crds: {install: false}, watch: {namespaces: [team-a]}}");
        let name = |o: &Value| format!("{}/{}/{}", o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]);
        objects.iter().map(name).collect()
    };
    let first = names("cloudop", "one");
    for other in [names("cloudop", "two"), names("cloudop-b", "one")] {
        let shared: Vec<&String> = other.iter().filter(|name| first.contains(name)).collect();
        assert!(shared.is_empty(), "{shared:?}");
    }
}

#[test]
fn without_the_prometheus_operator_there_is_nothing_for_it() {
    let objects = documents(&rendered("cloudop", "n", EVERYTHING, &[]));
    let kinds = kinds(&objects);
    assert!(kinds.contains(&"Deployment".to_owned()));
    assert!(
        !kinds.contains(&"ServiceMonitor".to_owned()) && !kinds.contains(&"PrometheusRule".to_owned()),
        "{kinds:?}"
    );
}

#[test]
fn the_crds_are_those_in_crds() {
    let crds = |values| -> Vec<Value> {
        let is_crd = |object: &Value| object["kind"] == "CustomResourceDefinition";
        objects("cloudop", "n", values).into_iter().filter(is_crd).collect()
    };
    let rendered = crds("");
    assert_eq!(rendered.len(), 2);
    for crd in rendered {
        let plural = crd["spec"]["names"]["plural"].as_str().unwrap();
        let original = documents(&crate::read(&format!("crds/cloudop.dev_{plural}.yaml"))).remove(0);
        assert_eq!(with_floats(&crd["spec"]), with_floats(&original["spec"]));
        assert_eq!(crd["metadata"]["name"], original["metadata"]["name"]);
        assert_eq!(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
    for disposable in crds("{crds: {keep: false}}") {
        assert_eq!(disposable["metadata"]["annotations"], Value::Null);
    }
}

/// The same with 1 and 1.0 as one number, as JSON has it.
fn with_floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(with_floats).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), with_floats(value))).collect(),
        _ => value.clone(),
    }
}

#[test]
fn alerts_are_labelled_linked_and_left_out_as_asked() {
    let objects = objects("cloudop", "n", EVERYTHING);
    let rule = of_kind(&objects, "PrometheusRule");
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    let rules = rule["spec"]["groups"][0]["rules"].as_array().unwrap();
    let source = documents(&crate::read("charts/cloudop/files/alerts.yaml")).remove(0);
    assert_eq!(rules.len(), source.as_array().unwrap().len() - 1);
    for rule in rules {
        let alert = rule["alert"].as_str().unwrap();
        assert_ne!(alert, "CloudopOperationFailed");
        assert_eq!(rule["labels"]["team"], "platform");
        let link = format!("https://wiki.example.com/cloudop#{}", alert.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], link);
    }
}
