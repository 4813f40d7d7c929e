//! APIs that are described rather than built in, from `kubectl apply` to `kubectl wait`, on the real API server.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use cloudop_simulator::{Account, Matcher, Route};
use cloudop_testbed::{Bed, Process, condition, eventually};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A shipped profile under a name that no other test has, and without the host and address that the simulator has none
/// of: the Secret's endpoint holds.
fn shipped(bed: &Bed, name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/{name}.yaml"));
    let mut profile: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    profile["metadata"]["name"] = json!(own(bed, name));
    let spec = profile["spec"].as_object_mut().unwrap();
    spec.remove("endpoint");
    spec.insert("hosts".into(), json!(["localhost:*"]));
    profile
}

/// A name of this test's own: profiles are the cluster's.
fn own(bed: &Bed, name: &str) -> String {
    format!("{name}-{}", bed.namespace)
}

fn example<'a>(profile: &'a Value, name: &str) -> &'a Value {
    let examples = profile["spec"]["examples"].as_array().unwrap();
    examples.iter().find(|example| example["name"] == name).unwrap_or_else(|| panic!("no example {name}"))
}

fn operation(name: &str, profile: &str, parameters: &Value, id: &str) -> String {
    let declared = json!({"profile": profile, "parameters": parameters});
    Bed::operation(name, &format!("\"declared\": {declared}"), id, "pollIntervalSeconds: 1")
}

#[track_caller]
fn wait(bed: &Bed, name: &str, condition: &str) {
    let output = bed.kubectl(&["wait", &format!("cloudop/{name}"), &format!("--for={condition}"), "--timeout=60s"]);
    assert!(output.success(), "{}{}", output.stderr, bed.kubectl(&["describe", "cloudop", name]).stdout);
}

#[track_caller]
fn until_ready(bed: &Bed, profile: &str, status: &str) -> Value {
    eventually(LIMIT, &format!("profile {profile}: Ready {status}"), || {
        let output = bed.kubectl(&["get", "operationprofile", profile, "-o", "json"]);
        let profile: Value = serde_json::from_str(&output.stdout).map_err(|_| output.stderr)?;
        match condition(&profile["status"], "Ready") {
            Some(ready)
                if ready["status"] == status && ready["observedGeneration"] == profile["metadata"]["generation"] =>
            {
                Ok(ready.clone())
            }
            other => Err(format!("{other:?}")),
        }
    })
}

/// A shipped profile, followed at the simulator on the API server.
struct Shipped {
    bed: Bed,
    profile: Value,
    name: String,
    _controller: Process,
}

impl Shipped {
    fn new(name: &str, change: impl FnOnce(&Bed, &mut Value)) -> Self {
        let bed = bed();
        let mut profile = shipped(&bed, name);
        change(&bed, &mut profile["spec"]);
        bed.apply(&profile.to_string());
        let (name, controller) = (own(&bed, name), bed.controller(&[]));
        until_ready(&bed, &name, "True");
        Self { _controller: controller, bed, profile, name }
    }

    /// The address of `path`, which answers with the replies of these examples one after another.
    fn route(&self, route: Route, examples: &[&str]) {
        let answer = |route: Route, name: &&str| route.answer(200, example(&self.profile, name)["reply"].to_string());
        self.bed.simulator.route(examples.iter().fold(route, answer));
    }

    /// Follows an operation from the example of that name to the next ones, as a pipeline does.
    fn follow(&self, case: &str, path: &str, parameters: &Value, first: &str, more: usize, succeeds: bool) -> Value {
        let id = example(&self.profile, first)["operationId"].as_str().unwrap();
        self.bed.apply(&operation(case, &self.name, parameters, id));
        self.bed.until(case, "it is seen", |status| status["upstreamState"].is_string());
        for _ in 0..more {
            let polls = requests(&self.bed, path);
            eventually(LIMIT, "another poll", || {
                if requests(&self.bed, path) > polls { Ok(()) } else { Err("none".to_owned()) }
            });
            assert!(self.bed.simulator.advance_route(path));
        }
        wait(&self.bed, case, "condition=Finished");
        wait(&self.bed, case, if succeeds { "condition=Succeeded" } else { "condition=Succeeded=False" });
        self.bed.get(case).unwrap()["status"].take()
    }
}

#[test]
fn gke_is_followed_to_success_and_to_failure() {
    let gke = Shipped::new("gke", |_, _| {});
    for (case, end) in [("good", "done"), ("bad", "failed")] {
        let id = example(&gke.profile, end)["operationId"].as_str().unwrap();
        let path = format!("/v1/projects/{case}/locations/europe-west1/operations/{id}");
        gke.route(Route::new(&path), &["running", end]);
        let parameters = json!({"project": case, "location": "europe-west1"});
        let status = gke.follow(case, &path, &parameters, "running", 1, end == "done");
        assert_eq!(status["provider"], *gke.name);
        if case == "bad" {
            assert_eq!(status["error"]["code"], "8", "{status:#}");
        }
    }
    let list = "/v1/projects/good/locations/europe-west1/operations";
    assert!(gke.bed.simulator.requests().iter().all(|request| request.path_and_query != list), "one asks alone");
}

/// Its client signs in by the form, once for all who use it.
#[test]
fn aks_is_followed_to_success_and_to_failure() {
    let aks = Shipped::new("aks", |bed, spec| {
        let url = format!("{}/{{tenantId}}/oauth2/v2.0/token", bed.simulator.url());
        spec["auth"]["oauth2"]["tokenUrl"] = json!(url);
        bed.simulator.account(Account::new("azure").credential("client", "s3cret/+", ""));
    });
    aks.bed.secret("cloud", &[("clientId", "client"), ("clientSecret", "s3cret/+"), ("provider", &aks.name)]);
    // A Secret that was made with a token before has both.
    let _ = aks.bed.kubectl(&[
        "patch",
        "secret",
        "cloud",
        "--type=json",
        "-p",
        r#"[{"op":"remove","path":"/data/token"}]"#,
    ]);
    for (case, end) in [("good", "good"), ("bad", "bad")] {
        let path = format!(
            "/subscriptions/s/resourceGroups/{case}/providers/Microsoft.ContainerService/managedClusters/c/operations/\
             00000000-0000-0000-0000-000000000001?api-version=2026-08-02-preview"
        );
        aks.route(Route::new(&path), &["going on", end]);
        let parameters = json!({"tenantId": "t", "subscriptionId": "s", "resourceGroup": case, "cluster": "c"});
        let status = aks.follow(case, &path, &parameters, end, 1, case == "good");
        if case == "bad" {
            assert_eq!(status["error"]["code"], "QuotaExceeded", "{status:#}");
        }
    }
    let signed_in = aks.bed.simulator.requests().into_iter().filter(|request| request.method == "POST");
    let signed_in: Vec<_> = signed_in.collect();
    let [request] = signed_in.as_slice() else { panic!("{} sign-ins", signed_in.len()) };
    assert_eq!(request.path_and_query, "/t/oauth2/v2.0/token");
    assert!(String::from_utf8_lossy(&request.body).contains("scope=https%3A%2F%2Fmanagement.azure.com%2F.default"));
}

#[test]
fn hetzner_is_followed_to_success_and_to_failure() {
    for (case, end) in [("good", "good"), ("bad", "bad")] {
        let hetzner = Shipped::new("hetzner", |_, _| {});
        hetzner.route(Route::new("/v1/actions/42"), &["going on", end]);
        let status = hetzner.follow(case, "/v1/actions/42", &json!({}), end, 1, case == "good");
        assert_eq!(status["target"]["id"], if case == "good" { "4711" } else { "42" }, "{status:#}");
    }
}

/// The state of a resource: what it says at first is from before.
#[test]
fn magnum_is_followed_to_success_and_to_failure() {
    for (case, end) in [("good", "good"), ("bad", "bad")] {
        let magnum = Shipped::new("magnum", |bed, _| {
            bed.simulator.account(Account::new("openstack").credential("user", "s3cret", "d"));
        });
        let url = magnum.bed.simulator.url();
        let keys = [("iamEndpoint", url.as_str()), ("username", "user"), ("password", "s3cret"), ("domainName", "d")];
        magnum.bed.secret("cloud", &keys);
        let _ = magnum.bed.kubectl(&[
            "patch",
            "secret",
            "cloud",
            "--type=json",
            "-p",
            r#"[{"op":"remove","path":"/data/token"}]"#,
        ]);
        let path = "/v1/clusters/746e779a-751a-456b-a3e9-c883d734946f";
        let route = Route::new(path).token_in("x-auth-token", "");
        magnum
            .route(route.requires("openstack-api-version", "container-infra latest"), &["good", "being created", end]);
        let status = magnum.follow(case, path, &json!({"projectId": "p"}), end, 2, case == "good");
        assert_eq!(status["upstreamState"], if case == "good" { "CREATE_COMPLETE" } else { "UPDATE_FAILED" });
    }
}

#[test]
fn a_github_run_is_followed_to_success_and_to_failure() {
    let github = Shipped::new("github-run", |_, _| {});
    for (case, end) in [("good", "good"), ("bad", "bad")] {
        let path = format!("/repos/octo-org/{case}/actions/runs/30433642");
        let route = Route::new(&path).requires("accept", "application/vnd.github+json");
        github.route(
            route.requires("x-github-api-version", "2022-11-28"),
            &["queued", "going on", "waits for an approval", end],
        );
        let parameters = json!({"owner": "octo-org", "repository": case});
        let status = github.follow(case, &path, &parameters, end, 3, case == "good");
        assert_eq!(status["upstreamState"], if case == "good" { "success" } else { "failure" });
    }
}

/// What makes a profile wrong.
type Change = Box<dyn FnOnce(&mut Value)>;

/// A profile of an API that nobody has, under a name of this test's own.
fn example_profile(bed: &Bed, change: impl FnOnce(&mut Value)) -> (String, Value) {
    let name = own(bed, "example");
    let reply = |status: &str| json!({"id": "op-1", "status": status});
    let mut spec = json!({
        "cloud": "Example Cloud",
        "hosts": ["localhost:*"],
        "auth": {"bearer": {}},
        "parameters": {"project": {}},
        "request": {"path": "/example/{project}/operations/{operationId}"},
        "read": {
            "identity": {"path": "id"},
            "state": [{"path": "status", "words": {"Running": ["busy"], "Succeeded": ["done"], "Failed": ["bad"]}}],
            "notFound": {"codes": ["no_such_operation"]},
        },
        "examples": [
            {"name": "good", "operationId": "op-1", "reply": reply("done"), "expect": {"phase": "Succeeded"}},
            {"name": "bad", "operationId": "op-1", "reply": reply("bad"), "expect": {"phase": "Failed"}},
        ],
    });
    change(&mut spec);
    let metadata = json!({"name": name});
    (
        name,
        json!({"apiVersion": "cloudop.dev/v1alpha1", "kind": "OperationProfile", "metadata": metadata, "spec": spec}),
    )
}

/// An address of that API, which says `words` one after another.
fn address(bed: &Bed, project: &str, words: &[&str]) -> String {
    let path = format!("/example/{project}/operations/op-1");
    let answer = |route: Route, word: &&str| route.answer(200, json!({"id": "op-1", "status": word}).to_string());
    bed.simulator.route(words.iter().fold(Route::new(&path), answer));
    path
}

fn requests(bed: &Bed, path: &str) -> usize {
    bed.simulator.count(Matcher::path(path))
}

/// An address of this machine that nobody listens on.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The values of the label provider that the metrics have.
fn providers(address: SocketAddr) -> Vec<String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let values = text.split("provider=\"").skip(1).filter_map(|rest| rest.split('"').next());
    values.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn a_profile_may_come_late_be_edited_be_deleted_and_come_again() {
    let bed = bed();
    let metrics = free_address();
    let controller = bed.controller(&["--metrics-address", &metrics.to_string()]);
    let (name, profile) = example_profile(&bed, |_| {});
    let path = address(&bed, "p", &["waiting", "done"]);
    bed.apply(&operation("job", &name, &json!({"project": "p"}), "op-1"));
    let status = bed.until_reason("job", "UpstreamReachable", "ProfileNotFound");
    let message = condition(&status, "Succeeded").unwrap()["message"].as_str().unwrap().to_owned();
    assert_eq!(message, format!("spec.provider.declared: there is no OperationProfile {name}; create it"));
    assert_eq!(condition(&status, "Succeeded").unwrap()["reason"], "ProfileInvalid");
    assert_eq!(condition(&status, "Ready").unwrap()["status"], "Unknown", "within its grace");
    assert_eq!(requests(&bed, &path), 0);
    // What users call a profile that does not exist is no label.
    assert_eq!(providers(metrics), ["declared"]);

    // It heals by itself; the cloud says a word that the profile does not know.
    bed.apply(&profile.to_string());
    until_ready(&bed, &name, "True");
    bed.until_reason("job", "Succeeded", "UnrecognizedState");
    eventually(LIMIT, "its label", || match providers(metrics) {
        providers if providers.contains(&name) => Ok(()),
        providers => Err(format!("{providers:?}")),
    });

    // What is read may change mid-run.
    let (_, knows_the_word) = example_profile(&bed, |spec| {
        spec["read"]["state"][0]["words"]["Blocked"] = json!(["waiting"]);
    });
    bed.apply(&knows_the_word.to_string());
    bed.until_reason("job", "Succeeded", "Blocked");

    // Where credentials go, and what is asked with them, may not.
    for (field, value) in [
        ("hosts", json!(["*.example.com"])),
        ("auth", json!({"basic": {}})),
        ("request", json!({"path": "/other/{project}/{operationId}"})),
        ("endpoint", json!("https://localhost:1")),
    ] {
        let (_, changed) = example_profile(&bed, |spec| spec[field] = value);
        let output = bed.kubectl_stdin(&["apply", "-f", "-"], &changed.to_string());
        let said = format!("spec.{field}: Invalid value");
        assert!(output.stderr.contains(&said) && output.stderr.contains("is immutable"), "{field}: {}", output.stderr);
    }

    // A wrong one refuses, in words, and the operation goes on being unfinished.
    let (_, wrong) =
        example_profile(&bed, |spec| spec["examples"][0]["expect"] = json!({"phase": "Succeeded", "percent": 7}));
    bed.apply(&wrong.to_string());
    let ready = until_ready(&bed, &name, "False");
    assert_eq!(ready["reason"], "ExampleFailed");
    assert_eq!(ready["message"], "example \"good\": percent should be 7 and was read as absent");
    let status = bed.until_reason("job", "UpstreamReachable", "ProfileRefused");
    assert_eq!(status["phase"], "Blocked", "the last that was known");
    let message = condition(&status, "Succeeded").unwrap()["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("OperationProfile {name} is not ready (ExampleFailed): example \"good\"")),
        "{message}"
    );

    // Deleted, it is missing; created again, with another request, all goes on.
    assert!(bed.kubectl(&["delete", "operationprofile", &name]).success());
    bed.until_reason("job", "UpstreamReachable", "ProfileNotFound");
    bed.apply(&knows_the_word.to_string());
    bed.until_reason("job", "Succeeded", "Blocked");
    bed.simulator.advance_route(&path);
    wait(&bed, "job", "condition=Succeeded");
    // Refused and deleted in one go is one time.
    assert_eq!(bed.events("job").iter().filter(|event| *event == "ProfileInvalid").count(), 2);

    // What is settled is settled.
    assert!(bed.kubectl(&["delete", "operationprofile", &name]).success());
    let settled = bed.get("job").unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(bed.get("job").unwrap(), settled);
    assert!(controller.logs().contains("may not serve"));
}

/// What the API server refuses, each with the field at fault.
#[test]
fn a_wrong_profile_is_refused_at_apply_where_the_schema_can_tell() {
    let bed = bed();
    let mut refused = Vec::new();
    let words: Vec<String> = (0..1000).map(|n| format!("w{n}")).collect();
    let cases: Vec<(&str, Change)> = vec![
        ("spec.auth: Invalid value: set at least one of", Box::new(|s| s["auth"] = json!({}))),
        ("set basic or keystone, not both", Box::new(|s| s["auth"] = json!({"basic": {}, "keystone": {}}))),
        ("unknown field \"spec.auth.apiKey\"", Box::new(|s| s["auth"] = json!({"apiKey": {}}))),
        ("spec.examples: Invalid value: must hold", Box::new(|s| _ = s["examples"].as_array_mut().unwrap().pop())),
        ("spec.examples", Box::new(|s| s["examples"][1]["expect"]["phase"] = json!("Succeeded"))),
        (
            "spec.examples[0].expect: Invalid value: set phase, reason or both",
            Box::new(|s| s["examples"][0]["expect"] = json!({})),
        ),
        ("unknown field \"spec.read.stat\"", Box::new(|s| s["read"]["stat"] = json!("x"))),
        (
            "spec.read.state[0].words.Running: Too many: 1000",
            Box::new(move |s| s["read"]["state"][0]["words"]["Running"] = json!(words)),
        ),
        ("spec.endpoint: Invalid value", Box::new(|s| s["endpoint"] = json!("http://localhost"))),
        ("spec.request.path: Invalid value", Box::new(|s| s["request"]["path"] = json!("/x?y"))),
        (
            "spec.read.state[0].absent: Unsupported value: \"Succeeded\"",
            Box::new(|s| s["read"]["state"][0]["absent"] = json!("Succeeded")),
        ),
        (
            "spec.hosts: Required value: is missing",
            Box::new(|s| {
                s["endpoint"] = json!("https://localhost");
                s.as_object_mut().unwrap().remove("hosts");
            }),
        ),
        ("spec.read.identity: Required value", Box::new(|s| _ = s["read"].as_object_mut().unwrap().remove("identity"))),
    ];
    for (why, change) in cases {
        let (_, profile) = example_profile(&bed, change);
        let output = bed.kubectl_stdin(&["apply", "-f", "-"], &profile.to_string());
        if output.success() || !output.stderr.contains(why) {
            refused.push(format!("{why}: {}", output.stderr));
        }
    }
    for name in ["Capital", "with.dot", &"x".repeat(64)] {
        let (_, mut profile) = example_profile(&bed, |_| {});
        profile["metadata"]["name"] = json!(name);
        let output = bed.kubectl_stdin(&["apply", "-f", "-"], &profile.to_string());
        if output.success() {
            refused.push(format!("the name {name} is taken"));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// What only the controller can tell, by the condition Ready; and what it never does with a credential.
#[test]
fn a_hostile_profile_sends_a_credential_nowhere() {
    let bed = bed();
    let _controller = bed.controller(&[]);
    let outside = address(&bed, "p", &["busy"]);
    let mut wrong = Vec::new();
    let deep = "a.".repeat(100) + "a";
    let cases: Vec<(&str, Change)> = vec![
        (
            "spec.endpoint: its host is none of spec.hosts",
            Box::new(|s| s["endpoint"] = json!("https://evil.example.com")),
        ),
        (
            "spec.auth.oauth2.tokenUrl: its host is none of spec.hosts",
            Box::new(|s| s["auth"] = json!({"oauth2": {"tokenUrl": "https://evil.example.com/t"}})),
        ),
        (
            "spec.request.headers.authorization: this header may not be set",
            Box::new(|s| s["request"]["headers"] = json!({"authorization": "x"})),
        ),
        (
            "spec.request.headers.Host: this header may not be set",
            Box::new(|s| s["request"]["headers"] = json!({"Host": "x"})),
        ),
        ("spec.read.message: ", Box::new(move |s| s["read"]["message"] = json!(deep))),
        ("spec.request.path: ", Box::new(|s| s["request"]["path"] = json!("/a/../{project}/{operationId}"))),
        (
            "spec.parameters.project.pattern: ",
            Box::new(|s| s["parameters"]["project"]["pattern"] = json!("(a{999}){999}")),
        ),
    ];
    for (why, change) in cases {
        let (name, profile) = example_profile(&bed, change);
        bed.apply(&profile.to_string());
        let ready = until_ready(&bed, &name, "False");
        if ready["reason"] != "SpecInvalid" || !ready["message"].as_str().unwrap().contains(why) {
            wrong.push(format!("{why}: {ready}"));
        }
        assert!(bed.kubectl(&["delete", "operationprofile", &name]).success());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The Secret's endpoint is the simulator, and the profile's hosts are another.
    let (name, profile) = example_profile(&bed, |spec| spec["hosts"] = json!(["api.example.com"]));
    bed.apply(&profile.to_string());
    until_ready(&bed, &name, "True");
    bed.apply(&operation("elsewhere", &name, &json!({"project": "p"}), "op-1"));
    let status = bed.until_reason("elsewhere", "UpstreamReachable", "EndpointRefused");
    let message = condition(&status, "UpstreamReachable").unwrap()["message"].to_string();
    assert!(message.contains("localhost is none of the hosts of OperationProfile"), "{message}");

    // A Secret that is for another provider, and one that names none.
    let for_another = operation("another", &name, &json!({"project": "p"}), "op-1");
    bed.secret("another", &[("token", "let-me-in"), ("provider", "otcCceJob")]);
    bed.apply(&for_another.replace("credentialsRef: {name: cloud}", "credentialsRef: {name: another}"));
    let status = bed.until_reason("another", "UpstreamReachable", "CredentialsIncomplete");
    let message = condition(&status, "UpstreamReachable").unwrap()["message"].to_string();
    assert!(message.contains(&format!("key provider does not name {name}")), "{message}");

    // Parameters that the profile does not know, or that lead elsewhere.
    bed.apply(&operation("unknown", &name, &json!({"project": "p", "zone": "z"}), "op-1"));
    let status = bed.until_reason("unknown", "UpstreamReachable", "ProfileRefused");
    let message = condition(&status, "UpstreamReachable").unwrap()["message"].to_string();
    assert!(message.contains("spec.provider.declared.parameters.zone: profile"), "{message}");
    assert_eq!(requests(&bed, &outside), 0);
}

/// Several operations of one account, and a list in two pages.
#[test]
fn operations_of_one_list_cost_its_requests_and_no_others() {
    let bed = bed();
    let (name, profile) = example_profile(&bed, |spec| {
        let next = json!({"path": "next", "query": "cursor"});
        spec["list"] = json!({"path": "/example/{project}/operations", "query": {"limit": "2"}, "items": "operations", "next": next});
    });
    bed.apply(&profile.to_string());
    let operation_of = |id: &str| json!({"id": id, "status": "busy"});
    let first = json!({"operations": [operation_of("op-1"), operation_of("op-2")], "next": "c 2"});
    let second = json!({"operations": [operation_of("op-3")], "next": null});
    let (list, next) = ("/example/p/operations?limit=2", "/example/p/operations?limit=2&cursor=c+2");
    bed.simulator.route(Route::new(list).answer(200, first.to_string()));
    bed.simulator.route(Route::new(next).answer(200, second.to_string()));
    for id in ["op-1", "op-2", "op-3"] {
        let path = format!("/example/p/operations/{id}");
        bed.simulator.route(Route::new(&path).answer(200, operation_of(id).to_string()));
        bed.apply(&operation(id, &name, &json!({"project": "p"}), id));
    }
    let _controller = bed.controller(&[]);
    for id in ["op-1", "op-2", "op-3"] {
        bed.until_reason(id, "Succeeded", "Running");
    }
    bed.simulator.reset_counts();
    eventually(LIMIT, "ten rounds", || match requests(&bed, "?limit=2") {
        count if count >= 20 => Ok(()),
        count => Err(count.to_string()),
    });
    let alone = bed.simulator.requests().iter().filter(|request| request.path_and_query.contains("/op-")).count();
    assert_eq!(alone, 0, "{:?}", bed.simulator.requests().iter().map(|r| &r.path_and_query).collect::<Vec<_>>());
}
