//! The way to a cloud, and what runs there, as the command line sees it: on the real API server, with simulated clouds
//! over TLS.

mod place;

use std::net::TcpListener;
use std::path::Path;

use cloudop_cli::cloud::{CloudFlags, ReachFlags, check};
use cloudop_cli::cluster::{Cluster, ClusterFlags};
use cloudop_cli::provider::ParameterFlags;
use cloudop_simulator::{
    Account, Cloud, Fault, Listener, Matcher, NumspotApi, Operation, Route, Scope, Simulator, Stage, Times,
};
use place::{Place, Seen, running};
use rstest::rstest;
use serde_json::{Value, json};

const TOKEN: &str = "c4nary-of-the-token";
const PASSWORD: &str = "c4nary-of-the-password";
const REACH: [&str; 4] = ["--allow-host", "localhost:*", "--allow-private-addresses", "127.0.0.0/8,::1/128"];

/// A namespace, and clouds that know the one token.
struct Bed {
    place: Place,
    simulator: Simulator,
}

impl Bed {
    fn new() -> Self {
        let simulator = futures::executor::block_on(Simulator::start()).unwrap();
        simulator.set_accounts(vec![Account::new("a").token(TOKEN).credential("user", PASSWORD, "d")]);
        let bed = Self { place: Place::new(), simulator };
        bed.secret(&[("token", TOKEN)]);
        bed
    }

    /// The Secret `cloud`, which leads to the simulator and trusts it, but for an empty value in `data`.
    fn secret(&self, data: &[(&str, &str)]) {
        let url = self.simulator.url();
        let mut all = json!({"endpoint": url, "ca.crt": self.simulator.ca_pem()});
        for (key, value) in data {
            all[*key] = json!(value);
        }
        all.as_object_mut().unwrap().retain(|_, value| value != "");
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud"}, "stringData": all});
        let _ = self.place.cluster.kubectl(&["delete", "secret", "cloud", "--namespace", &self.place.namespace]);
        self.place.kubectl(&["create", "-f", "-"], &secret.to_string());
    }

    fn discover(&self, arguments: &[&str]) -> Seen {
        let seen = self.place.run(&[&["discover"], arguments, &["--secret", "cloud"], &REACH].concat());
        assert!(!format!("{}{}", seen.stdout, seen.stderr).contains("c4nary"), "{}{}", seen.stdout, seen.stderr);
        seen
    }

    /// What `check` finds, with a line for each.
    fn check(&self, change: impl FnOnce(&mut CloudFlags)) -> Vec<String> {
        let mut flags = CloudFlags {
            secret: Some("cloud".into()),
            provider: Some("otcCceJob".into()),
            parameters: ParameterFlags { parameters: vec!["projectId=p".into()], region: Some("eu-de".into()) },
            operation_id: Some("job-1".into()),
            reach: ReachFlags {
                allow_host: vec!["localhost:*".into()],
                allow_private_addresses: vec!["127.0.0.0/8".into(), "::1".into()],
            },
        };
        change(&mut flags);
        let cluster = ClusterFlags {
            kubeconfig: Some(self.place.cluster.kubeconfig().to_owned()),
            namespace: Some(self.place.namespace.clone()),
            ..ClusterFlags::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let findings = runtime.block_on(async { check(&Cluster::find(&cluster).await.unwrap(), &flags).await });
        let lines = findings.iter().map(|finding| format!("{:?} {}", finding.mark, finding.line));
        let lines: Vec<String> = lines.collect();
        assert!(!lines.concat().contains("c4nary"), "{lines:#?}");
        lines
    }
}

/// What each line is about, with its mark.
fn steps(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split(':').next().unwrap()).collect()
}

fn job(id: &str) -> Operation {
    Operation::new(Cloud::OtcCceJob, Scope::otc("p"), id).kind("CreateCluster").stage(Stage::state("Running"))
}

const OTC: [&str; 5] = ["otcCceJob", "--region", "eu-de", "-p", "projectId=p"];

#[rstest]
#[case::otc(Cloud::OtcCceJob, Scope::otc("p"), "Running", &OTC)]
#[case::sbercloud(
    Cloud::SbercloudOpenshiftTask, Scope::sbercloud("i"), "running", &["sbercloudOpenshiftTask", "-p", "serviceInstanceId=i"]
)]
#[case::huawei(
    Cloud::HuaweiCceUpgrade,
    Scope::cce("p", "c"),
    "Running",
    &["huaweiCceUpgrade", "--region", "ap-southeast-3", "-p", "projectId=p", "-p", "clusterId=c"]
)]
#[case::numspot(
    Cloud::NumspotKubernetes,
    Scope::numspot("s", "c"),
    "RUNNING",
    &["numspotKubernetes", "--region", "eu-west-2", "-p", "spaceId=s", "-p", "clusterId=c"]
)]
fn what_runs_at_a_cloud_is_found_and_can_be_followed(
    #[case] cloud: Cloud,
    #[case] scope: Scope,
    #[case] word: &str,
    #[case] provider: &[&str],
) {
    let bed = Bed::new();
    bed.simulator.put(Operation::new(cloud, scope, "op-1").kind("Create").stage(Stage::state(word)));
    let seen = bed.discover(provider);
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    let lines: Vec<&str> = seen.stdout.lines().collect();
    assert!(lines[0].starts_with("ID "), "{}", seen.stdout);
    assert!(lines[1].starts_with("op-1 ") && lines[1].contains(" Running "), "{}", seen.stdout);

    // The line that it gives follows the operation.
    let line = lines.last().unwrap().trim();
    let namespace = format!(" -n {}", bed.place.namespace);
    let words = shlex::split(line.strip_suffix(&namespace).unwrap()).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(words[..2], ["kubectl", "cloudop"], "{line}");
    let follow = bed.place.run(&[&words[2..], &["--wait=false", "--name", "own"]].concat());
    assert_eq!(follow.code, Some(0), "{line}{}", follow.stderr);
    let followed = bed.discover(&[provider, &["-o", "json"]].concat());
    let found: Value = serde_json::from_str(&followed.stdout).unwrap();
    assert_eq!(found["isWhole"], true);
    let item = &found["items"][0];
    assert_eq!((&item["id"], &item["state"]), (&json!("op-1"), &json!("Running")), "{item:#}");
    assert_eq!(item["followedBy"], json!(["own"]));
    assert_eq!(bed.discover(&[provider, &["-o", "name"]].concat()).stdout, "op-1\n");
}

#[test]
fn who_follows_an_operation_is_told_in_all_namespaces_if_asked_for() {
    let bed = Bed::new();
    for id in ["job-1", "job-2"] {
        bed.simulator.put(job(id));
    }
    bed.place.operation("mine", &running());
    let seen = bed.discover(&OTC);
    assert!(seen.stdout.lines().any(|line| line.starts_with("job-1 ") && line.ends_with(" mine")), "{}", seen.stdout);
    let (_, follow) = seen.stdout.split_once("Nobody follows these:").unwrap();
    assert!(follow.contains("job-2") && !follow.contains("job-1"), "{follow}");
    let other = Place::new();
    other.operation("theirs", &running());
    let yaml = bed.discover(&[&OTC[..], &["-A", "-o", "yaml"]].concat()).stdout;
    for name in [format!("{}/mine", bed.place.namespace), format!("{}/theirs", other.namespace)] {
        assert!(yaml.contains(&name), "{yaml}");
    }
}

#[test]
fn pages_are_read_up_to_a_bound() {
    let bed = Bed::new();
    bed.simulator.numspot(NumspotApi::V1);
    let put = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let id = format!("op-{number}");
            let operation = Operation::new(Cloud::NumspotKubernetes, Scope::numspot("s", "c"), id);
            bed.simulator.put(operation.stage(Stage::state("RUNNING")));
        }
    };
    let provider = ["numspotKubernetes", "--region", "eu-west-2", "-p", "spaceId=s", "-p", "clusterId=c", "-o", "name"];
    put(0..120);
    let all = bed.discover(&provider);
    assert_eq!((all.stdout.lines().count(), all.stderr.as_str()), (120, ""));
    put(120..320);
    bed.simulator.reset_counts();
    let most = bed.discover(&provider);
    assert_eq!(most.stdout.lines().count(), 200);
    assert_eq!(most.stderr, "NumSpot has more operations than these 200.\n");
    assert_eq!(bed.simulator.count(Matcher::lists()), 4);
}

#[test]
fn one_that_cannot_be_read_is_listed_all_the_same() {
    let bed = Bed::new();
    for id in ["job-1", "job-2"] {
        bed.simulator.put(job(id));
    }
    bed.simulator.fault(Fault::OddMember, Matcher::lists(), Times::Forever);
    let seen = bed.discover(&OTC);
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    let rows: Vec<&str> = seen.stdout.lines().take(3).collect();
    assert!(rows.iter().any(|row| row.contains("? (the reply has no usable status")), "{}", seen.stdout);
    assert!(rows.iter().any(|row| row.contains(" Running ")), "{}", seen.stdout);
}

/// A shipped profile, as the simulator can be it.
fn profile(bed: &Bed, name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../profiles/{name}.yaml"));
    let mut profile: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let name = format!("{name}-{}", bed.place.namespace);
    profile["metadata"]["name"] = json!(name);
    profile["spec"].as_object_mut().unwrap().remove("endpoint");
    profile["spec"]["hosts"] = json!(["localhost:*"]);
    bed.place.kubectl(&["apply", "-f", "-"], &profile.to_string());
    name
}

#[test]
fn the_list_of_a_profile_is_read_too_the_newest_first() {
    let bed = Bed::new();
    let gke = profile(&bed, "gke");
    let reply = json!({"operations": [
        {"name": "operation-1", "operationType": "UPGRADE_MASTER", "status": "DONE", "startTime": "2026-11-26T19:40:00.5Z"},
        {"name": "operation-2", "operationType": "\u{1b}[31mUPGRADE", "status": "RUNNING", "startTime": "2026-11-26T19:50:00Z"},
        {"name": "operation-3", "status": "HOVERING"},
    ]});
    let path = "/v1/projects/p/locations/l/operations";
    bed.simulator.route(Route::new(path).answer(200, reply.to_string()));
    let seen = bed.discover(&[&gke, "-p", "project=p", "-p", "location=l"]);
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    let rows: Vec<String> =
        seen.stdout.lines().take(4).map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        rows,
        [
            "ID TYPE TARGET STATE STARTED FOLLOWED BY",
            "operation-2 UPGRADE Running 2026-11-26T19:50:00Z",
            "operation-1 UPGRADE_MASTER Succeeded (DONE) 2026-11-26T19:40:00Z",
            "operation-3 ? (HOVERING)",
        ],
        "{}",
        seen.stdout
    );
    let missing = bed.discover(&[&gke, "-p", "project=p"]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("parameters.location: is missing"), "{}", missing.stderr);
}

#[test]
fn an_api_without_a_list_says_what_to_do() {
    let bed = Bed::new();
    let hetzner = profile(&bed, "hetzner");
    for provider in [&[&*hetzner][..], &["numspotKubernetes", "--region", "eu-west-2", "-p", "spaceId=s"]] {
        let seen = bed.discover(provider);
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""));
        assert!(seen.stderr.contains(" has no list of operations"), "{}", seen.stderr);
        assert!(seen.stderr.contains(&format!("kubectl cloudop follow {} ID", provider[0])), "{}", seen.stderr);
    }
}

#[rstest]
#[case::no_secret(&[], &["--secret", "other"], 5, "there is no Secret other in namespace")]
#[case::no_key(&[("token", "")], &[], 5, "Secret cloud: ")]
#[case::wrong_token(&[("token", "c4nary-but-another")], &[], 5, "answered 401")]
#[case::no_right(&[], &["--as", "nobody"], 6, "you may not get Secret cloud")]
#[case::no_range(&[], &["--allow-private-addresses", "10/8"], 2, "--allow-private-addresses: \"10/8\" is no range")]
#[case::no_host(&[], &["--allow-host", "a b"], 2, "--allow-host: \"a b\" is neither")]
fn what_is_wrong_has_its_exit_code(
    #[case] secret: &[(&str, &str)],
    #[case] more: &[&str],
    #[case] code: i32,
    #[case] why: &str,
) {
    let bed = Bed::new();
    bed.secret(&[&[("token", TOKEN)], secret].concat());
    let secret: &[&str] = if more.first() == Some(&"--secret") { &[] } else { &["--secret", "cloud"] };
    let seen = bed.place.run(&[&["discover"], &OTC[..], secret, &REACH, more].concat());
    assert_eq!(seen.code, Some(code), "{}", seen.stderr);
    assert!(seen.stderr.contains(why) && !seen.stderr.contains("c4nary"), "{}", seen.stderr);
}

#[test]
fn a_cloud_in_trouble_is_a_failure() {
    let bed = Bed::new();
    bed.simulator.fault(Fault::ServerError { status: 500 }, Matcher::any(), Times::Forever);
    let seen = bed.discover(&OTC);
    assert_eq!(seen.code, Some(1));
    assert!(seen.stderr.starts_with("error: Open Telekom Cloud CCE answered 500"), "{}", seen.stderr);
}

#[test]
fn a_way_that_is_right_is_so_to_its_end() {
    let bed = Bed::new();
    bed.simulator.put(job("job-1"));
    let lines = bed.check(|_| {});
    let port = bed.simulator.port();
    assert_eq!(
        lines[..2],
        [
            "Good Secret: cloud says how Open Telekom Cloud CCE is asked, with key token".to_owned(),
            format!(
                "Good endpoint: localhost, port {port}, may be sent the credential, where the controller has these flags too"
            ),
        ]
    );
    assert!(lines[2].starts_with("Good DNS: from this machine, which may see other than where"), "{lines:#?}");
    assert!(lines[2].contains("127.0.0.1"), "{lines:#?}");
    assert_eq!(lines[3], format!("Good connection: 127.0.0.1:{port} takes connections"));
    assert_eq!(
        lines[4..],
        [
            "Good TLS: the certificate of localhost is trusted, by the system or the Secret's key ca.crt",
            "Good sign-in: Open Telekom Cloud CCE accepts the Secret's key token",
            "Good read: operation job-1 is Running",
        ]
    );
    assert_eq!(lines.concat().matches("this machine").count(), 1);
    let of_all = bed.check(|flags| flags.operation_id = None);
    assert_eq!(of_all.last().unwrap(), "Good read: operations in the list: 1");
    let unknown = bed.check(|flags| flags.operation_id = Some("job-0".into()));
    assert_eq!(steps(&unknown).last(), Some(&"Good read"), "{unknown:#?}");
    assert!(unknown.last().unwrap().contains("it does not know this operation"), "{unknown:#?}");
    let no_objects = bed.place.kubectl(&["get", "cloudop", "-o", "name"], "");
    assert_eq!(no_objects, "", "nothing is created");
}

#[test]
fn a_sign_in_is_looked_at_by_itself() {
    let bed = Bed::new();
    bed.simulator.put(job("job-1"));
    let url = bed.simulator.url();
    let with = |password: &str| {
        let keys = [("iamEndpoint", url.as_str()), ("username", "user"), ("password", password), ("domainName", "d")];
        bed.secret(&keys);
        bed.check(|_| {})
    };
    let good = with(PASSWORD);
    assert_eq!(good.last().unwrap(), "Good read: operation job-1 is Running", "{good:#?}");
    let bad = with("c4nary-but-another");
    let last = bad.last().unwrap();
    assert_eq!(steps(&bad).last(), Some(&"Bad sign-in"), "{bad:#?}");
    assert!(last.contains("signing in to Open Telekom Cloud CCE") && last.contains("password"), "{last}");
}

#[test]
fn without_a_list_a_read_needs_an_operation() {
    let bed = Bed::new();
    let lines = bed.check(|flags| {
        flags.provider = Some("huaweiUcsFederation".into());
        flags.parameters = ParameterFlags::default();
        flags.operation_id = None;
    });
    let last = lines.last().unwrap();
    assert!(last.starts_with("Unknown read: ") && last.contains("give --operation-id"), "{lines:#?}");
}

#[rstest]
#[case::no_key(&[("token", "")], None, &["Bad Secret"], "has no credentials for Open Telekom Cloud CCE")]
#[case::host(
    &[("endpoint", "https://cloud.example")], None, &["Good Secret", "Bad endpoint"], "cloud.example is not an allowed host"
)]
#[case::name(
    &[("endpoint", "https://cloud.invalid")],
    Some("cloud.invalid"),
    &["Good Secret", "Good endpoint", "Bad DNS"],
    "cloud.invalid"
)]
#[case::token(
    &[("token", "c4nary-but-another")],
    None,
    &["Good Secret", "Good endpoint", "Good DNS", "Good connection", "Good TLS", "Bad sign-in"],
    "the credential is not accepted: put a valid one into the Secret (key token)"
)]
#[case::certificate(
    &[("ca.crt", "")],
    None,
    &["Good Secret", "Good endpoint", "Good DNS", "Good connection", "Bad TLS"],
    "is from no trusted authority; if it should be trusted, put the authority's certificate into the Secret's key ca.crt"
)]
#[case::bundle(
    &[("ca.crt", "-----BEGIN")],
    None,
    &["Good Secret", "Good endpoint", "Good DNS", "Good connection", "Bad TLS"],
    "the Secret's key ca.crt"
)]
fn a_fault_on_the_way_ends_the_look(
    #[case] secret: &[(&str, &str)],
    #[case] allowed: Option<&str>,
    #[case] expected: &[&str],
    #[case] why: &str,
) {
    let bed = Bed::new();
    bed.secret(&[&[("token", TOKEN)], secret].concat());
    let lines = bed.check(|flags| flags.reach.allow_host.extend(allowed.map(str::to_owned)));
    assert_eq!(steps(&lines), expected, "{lines:#?}");
    assert!(lines.last().unwrap().contains(why), "{lines:#?}");
}

#[test]
fn a_port_that_nobody_listens_on_and_a_broken_transport_are_told_apart() {
    let bed = Bed::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = |port: u16| {
        bed.secret(&[("token", TOKEN), ("endpoint", &format!("https://localhost:{port}"))]);
        bed.check(|_| {})
    };
    let refused = at(free);
    assert_eq!(steps(&refused).last(), Some(&"Bad connection"), "{refused:#?}");
    assert!(refused.last().unwrap().contains("Connection refused"), "{refused:#?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (listener, why) in [
        (Listener::ExpiredCertificate, "has expired"),
        (Listener::WrongHost, "is for another host"),
        (Listener::PlainHttp, "does not speak TLS"),
    ] {
        let port = runtime.block_on(bed.simulator.listener(listener)).unwrap();
        let lines = at(port);
        assert_eq!(steps(&lines).last(), Some(&"Bad TLS"), "{lines:#?}");
        assert!(lines.last().unwrap().contains(why), "{lines:#?}");
    }
}

#[test]
fn what_the_flags_lack_is_a_finding() {
    let bed = Bed::new();
    let one = bed.check(|flags| flags.provider = None);
    assert_eq!(one, ["Bad cloud: --provider is missing: --secret and --provider belong together"]);
    let other = bed.check(|flags| flags.provider = Some("gkes".into()));
    assert!(other[0].starts_with("Bad provider: gkes is neither a built-in provider"), "{other:#?}");
}
