//! The controller run as the chart runs it: with the Deployment's flags and the token of its ServiceAccount, on a
//! cluster that has nothing but the chart. What it asks of the API server is all that its Roles grant, and no more.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use cloudop_simulator::{Account, Cloud, Operation, Scope, Simulator, Stage};
use cloudop_testbed::{AuditEvent, ControlPlane, Process, eventually};
use serde_json::{Value, json};

use crate::{chart, values_file};

const ID: &str = "354331b2-229a-11e8-9c75-0255ac100ceb";
const TOKEN: &str = "let-me-in";
const LONG_AGO: &str = "2020-01-01 00:00:00.000000 +0000 UTC";

/// A verb on a resource, such as `update cloudop.dev/cloudoperations/status`.
type Permission = String;

struct Installed {
    cluster: ControlPlane,
    simulator: Simulator,
    /// Where the chart is; `team` is where the operations are.
    namespace: String,
    team: String,
    port: u16,
}

impl Installed {
    fn new(watch: impl Fn(&str) -> String) -> Self {
        let cluster = ControlPlane::start().unwrap();
        let namespace = crate::restricted_namespace(&cluster);
        let team = cluster.namespace("team").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let values = json!({
            "egress": {"allowHosts": ["localhost:*"], "allowPrivateAddresses": ["127.0.0.0/8", "::1/128"]},
            "metrics": {"port": port, "bindAddress": "127.0.0.1"},
            "watch": {"namespaces": serde_json::from_str::<Value>(&watch(&team)).unwrap()},
        });
        let values = values_file(&cluster, &values.to_string()).display().to_string();
        cluster.helm_ok(&["install", "cloudop", &chart(), "--namespace", &namespace, "--values", &values]).unwrap();
        cluster.wait_until_established("cloudoperations.cloudop.dev").unwrap();
        let simulator = futures::executor::block_on(Simulator::start()).unwrap();
        simulator.set_accounts(vec![Account::new("account").token(TOKEN)]);
        Self { cluster, simulator, namespace, team, port }
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:{}:cloudop", self.namespace)
    }

    /// Starts what the Deployment would.
    fn start_controller(&self) -> Process {
        let deployment = self.get("deployment/cloudop", &self.namespace);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
        let kubeconfig = self.cluster.kubeconfig_for_service_account(&self.namespace, "cloudop").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudop-controller"));
        command
            .env("KUBECONFIG", kubeconfig)
            .env("HOSTNAME", "cloudop-0")
            .args(arguments.map(|argument| argument.replace("$(POD_NAMESPACE)", &self.namespace)));
        Process::spawn("controller", command).unwrap()
    }

    fn apply(&self, object: &Value) {
        let apply = ["apply", "--namespace", &self.team, "-f", "-"];
        let output = self.cluster.kubectl_stdin(&apply, &object.to_string()).unwrap();
        assert!(output.success(), "{}", output.stderr);
    }

    fn get(&self, object: &str, namespace: &str) -> Value {
        let text = self.cluster.kubectl_ok(&["get", object, "--namespace", namespace, "-o", "json"]).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Has a profile judged.
    fn judge_one(&self) {
        let reply = |status: &str| json!({"id": "i", "status": status});
        let example =
            |phase: &str| json!({"name": phase, "operationId": "i", "reply": reply(phase), "expect": {"phase": phase}});
        self.apply(&json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "OperationProfile", "metadata": {"name": "any"},
            "spec": {
                "cloud": "Any", "auth": {"bearer": {}}, "request": {"path": "/{operationId}"},
                "read": {
                    "identity": {"path": "id"},
                    "state": [{"path": "status", "words": {"Succeeded": ["Succeeded"], "Failed": ["Failed"]}}],
                },
                "examples": [example("Succeeded"), example("Failed")],
            },
        }));
        eventually(Duration::from_secs(60), "the profile is ready", || {
            let profile = self.get("operationprofile/any", &self.team);
            let ready = &profile["status"]["conditions"][0];
            if ready["status"] == "True" { Ok(()) } else { Err(ready.to_string()) }
        });
    }

    /// Has an operation followed to its end, announced, and deleted after its TTL, which has long been over.
    fn follow_one(&self) {
        let job = |phase: &str, end: &str| {
            let job = json!({
                "kind": "Job", "apiVersion": "v3",
                "metadata": {"uid": ID, "creationTimestamp": LONG_AGO, "updateTimestamp": LONG_AGO},
                "spec": {"type": "CreateCluster", "clusterUID": "c", "resourceID": "c", "resourceName": "c", "subJobs": []},
                "status": {"phase": phase, "reason": ""},
            });
            let mut job = job;
            if !end.is_empty() {
                job["metadata"]["updateTimestamp"] = end.into();
            }
            Stage::raw(job.to_string())
        };
        let life = Operation::new(Cloud::OtcCceJob, Scope::otc("p"), ID);
        let key = self.simulator.put(life.stage(job("Running", "")).stage(job("Success", LONG_AGO)));
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud"},
            "stringData": {"endpoint": self.simulator.url(), "ca.crt": self.simulator.ca_pem(), "token": TOKEN},
        }));
        self.apply(&json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation", "metadata": {"name": "one"},
            "spec": {
                "provider": {"otcCceJob": {"region": "eu-de", "projectId": "p"}}, "operationId": ID,
                "credentialsRef": {"name": "cloud"}, "pollIntervalSeconds": 1, "ttlSecondsAfterFinished": 60,
            },
        }));
        eventually(Duration::from_secs(60), "one runs", || {
            let operation = self.get("cloudoperation/one", &self.team);
            if operation["status"]["phase"] == "Running" { Ok(()) } else { Err(operation["status"].to_string()) }
        });
        self.simulator.advance(&key);
        eventually(Duration::from_secs(120), "one is deleted", || {
            let output = self.cluster.kubectl(&["get", "cloudoperation/one", "--namespace", &self.team, "-o", "yaml"]);
            let output = output.map_err(|error| error.to_string())?;
            if output.stderr.contains("NotFound") { Ok(()) } else { Err(output.stdout) }
        });
        let events = self.cluster.kubectl_ok(&["get", "events.events.k8s.io", "--namespace", &self.team]).unwrap();
        assert!(events.contains("Succeeded"), "{events}");
    }

    /// What the Roles of `namespace` or, with `""`, the ClusterRoles grant by bindings to the controller.
    fn granted(&self, namespace: &str) -> BTreeSet<Permission> {
        let kinds =
            if namespace.is_empty() { ("clusterrolebindings", "clusterrole") } else { ("rolebindings", "role") };
        let bindings = self.get(kinds.0, namespace);
        let ours = bindings["items"].as_array().unwrap().iter().filter(|binding| {
            let subject = &binding["subjects"][0];
            subject["kind"] == "ServiceAccount"
                && subject["namespace"] == *self.namespace
                && subject["name"] == "cloudop"
        });
        let mut granted = BTreeSet::new();
        for binding in ours {
            let role = self.get(&format!("{}/{}", kinds.1, binding["roleRef"]["name"].as_str().unwrap()), namespace);
            for rule in role["rules"].as_array().unwrap() {
                let list = |key: &str| -> Vec<String> {
                    rule[key].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
                };
                for (group, resource) in
                    list("apiGroups").iter().flat_map(|g| list("resources").into_iter().map(move |r| (g.clone(), r)))
                {
                    granted.extend(list("verbs").iter().map(|verb| format!("{verb} {group}/{resource}")));
                }
            }
        }
        granted
    }

    /// What the controller has been answered, in `namespace` or, with `""`, in all; and lists of CloudOperations, which
    /// it needs only where the API server does not send them as a stream.
    fn used(&self, namespace: &str) -> BTreeSet<Permission> {
        let log = self.cluster.audit().unwrap().by_user(&self.user());
        let denied = log.clone().keep(|event| event.code == 403);
        assert!(denied.is_empty(), "{denied:?}");
        let used =
            log.keep(|event| !event.resource.is_empty() && (namespace.is_empty() || event.namespace == namespace));
        let resource =
            |resource: &str, sub: &str| if sub.is_empty() { resource.to_owned() } else { format!("{resource}/{sub}") };
        let permission =
            |e: &AuditEvent| format!("{} {}/{}", e.verb, e.api_group, resource(&e.resource, &e.subresource));
        let mut used: BTreeSet<Permission> = used.iter().map(permission).collect();
        if used.contains("watch cloudop.dev/cloudoperations") {
            used.insert("list cloudop.dev/cloudoperations".to_owned());
        }
        used
    }

    fn check_probes(&self) {
        let deployment = self.get("deployment/cloudop", &self.namespace);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        for probe in ["livenessProbe", "readinessProbe"] {
            let path = container[probe]["httpGet"]["path"].as_str().unwrap();
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).unwrap();
            assert!(reply.starts_with("HTTP/1.1 200 "), "{path}: {reply}");
        }
    }
}

#[test]
fn everything_granted_is_used_and_everything_used_is_granted() {
    let installed = Installed::new(|_| "[]".to_owned());
    let controller = installed.start_controller();
    installed.judge_one();
    installed.follow_one();
    installed.check_probes();
    let granted = &installed.granted("") | &installed.granted(&installed.namespace);
    assert_eq!(installed.used(""), granted, "{}", controller.logs());
}

#[test]
fn with_a_list_of_namespaces_nothing_is_granted_elsewhere() {
    let installed = Installed::new(|team| format!("[{team:?}]"));
    let controller = installed.start_controller();
    installed.judge_one();
    installed.follow_one();
    let profiles = ["list", "watch"].map(|verb| format!("{verb} cloudop.dev/operationprofiles"));
    let of_cluster: BTreeSet<Permission> =
        profiles.into_iter().chain(["update cloudop.dev/operationprofiles/status".to_owned()]).collect();
    assert_eq!(installed.granted(""), of_cluster);
    assert_eq!(installed.used(&installed.team), installed.granted(&installed.team), "{}", controller.logs());
    assert_eq!(installed.used(&installed.namespace), installed.granted(&installed.namespace));
    let elsewhere = installed.cluster.audit().unwrap().by_user(&installed.user()).keep(|event| {
        !["", "operationprofiles"].contains(&&*event.resource)
            && ![&installed.team, &installed.namespace].contains(&&event.namespace)
    });
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn those_who_may_view_or_edit_a_namespace_may_do_so_with_its_operations() {
    let installed = Installed::new(|_| "[]".to_owned());
    for (user, role) in [("viewer", "view"), ("editor", "edit")] {
        let role = format!("--clusterrole={}:cloudop-{role}", installed.namespace);
        let bind = ["create", "rolebinding", user, &role, &format!("--user={user}"), "--namespace", &installed.team];
        installed.cluster.kubectl_ok(&bind).unwrap();
    }
    for (user, verb, resource, expected) in [
        ("viewer", "list", "cloudoperations", "yes"),
        ("viewer", "create", "cloudoperations", "no"),
        ("editor", "patch", "cloudoperations", "yes"),
        ("editor", "update", "cloudoperations/status", "no"),
    ] {
        let ask =
            ["auth", "can-i", verb, &format!("{resource}.cloudop.dev"), "--as", user, "--namespace", &installed.team];
        let resource = resource.split_once('/').map(|(_, sub)| format!("--subresource={sub}"));
        let plain = [&ask[..3], &["cloudoperations.cloudop.dev"], &ask[4..]].concat();
        let ask: Vec<&str> = plain.into_iter().chain(resource.as_deref()).collect();
        let answer = installed.cluster.kubectl(&ask).unwrap();
        assert_eq!(answer.stdout.trim(), expected, "{ask:?}: {}", answer.stderr);
    }
    let roles = installed.get("clusterroles", "");
    let labels = |name: &str| -> BTreeSet<String> {
        let name = format!("{}:cloudop-{name}", installed.namespace);
        let role = roles["items"].as_array().unwrap().iter().find(|role| role["metadata"]["name"] == *name).unwrap();
        let labels = role["metadata"]["labels"].as_object().unwrap().keys();
        labels
            .filter_map(|label| label.strip_prefix("rbac.authorization.k8s.io/aggregate-to-"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(labels("view"), ["admin", "edit", "view"].map(str::to_owned).into());
    assert_eq!(labels("edit"), ["admin", "edit"].map(str::to_owned).into());
}
