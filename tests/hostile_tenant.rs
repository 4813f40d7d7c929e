//! One tenant does all that it can against the others, at once: clouds that never answer, that send megabytes and stop,
//! that change their mind at each poll; objects and Secrets of the largest size; headers that make a server end the
//! connection that others share; half-sent requests to the metrics. Whoever shares the controller with it must not
//! notice.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use cloudop::api::CloudOperation;
use cloudop_simulator::{Cloud, Fault, Key, Matcher, Operation, Scope, Simulator, Stage, Times};
use cloudop_testbed::{Bed, Process, SECRET, TOKEN, eventually};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

/// What the chart's Pods may have.
const MEMORY: u64 = 256 << 20;
/// Objects of others that are at rest.
const AT_REST: usize = 10_000;
const VICTIMS: usize = 100;
/// How often each of them is polled.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long the victims are watched.
const WATCHED: Duration = Duration::from_secs(45);
/// The longest headers that the victims' cloud takes, as nginx by default.
const LONGEST_HEADERS: usize = 8 << 10;

async fn client(bed: &Bed) -> Client {
    let kubeconfig = Kubeconfig::read_from(bed.cluster.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn operation(name: &str, project: &str, id: &str, secret: &str, more: &Value) -> CloudOperation {
    let mut spec = json!({
        "provider": {"otcCceJob": {"region": "eu-de", "projectId": project}},
        "operationId": id,
        "credentialsRef": {"name": secret},
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    CloudOperation::new(name, serde_json::from_value(spec).unwrap())
}

async fn create(client: &Client, namespace: &str, operations: impl IntoIterator<Item = CloudOperation>) {
    let api: Api<CloudOperation> = Api::namespaced(client.clone(), namespace);
    let create = |operation| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), &operation).await.map(|_| ()).unwrap() }
    };
    stream::iter(operations).for_each_concurrent(16, create).await;
}

async fn secret(client: &Client, namespace: &str, name: &str, cloud: &Simulator, more: &[(&str, String)]) {
    let mut data = json!({"endpoint": cloud.url(), "ca.crt": cloud.ca_pem(), "token": TOKEN});
    for (key, value) in more {
        data[*key] = json!(value);
    }
    let secret = json!({"metadata": {"name": name}, "stringData": data});
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
}

/// Twenty by themselves and eighty in one list.
fn victim(bed: &Bed, n: usize) -> (CloudOperation, Key) {
    let project = if n < 20 { format!("alone-{n}") } else { "together".to_owned() };
    let id = format!("victim-{n:03}");
    let job = Operation::new(Cloud::OtcCceJob, Scope::otc(&project), &id).kind("CreateCluster");
    let key = bed.simulator.put(job.stage(Stage::state("Running")).stage(Stage::state("Success")));
    let every = json!({"pollIntervalSeconds": INTERVAL.as_secs()});
    (operation(&format!("victim-{n:03}"), &project, &id, SECRET, &every), key)
}

/// A namespace of the hostile tenant, and the cloud that is called from there.
#[derive(Clone, Copy)]
struct Front<'a> {
    namespace: &'a str,
    cloud: &'a Simulator,
}

/// What the hostile tenant creates: on one front what hangs, which uses up the share of its namespace and its host, and on
/// the other what is answered.
async fn attack(client: &Client, hanging: Front<'_>, answered: Front<'_>, victims: &Simulator) {
    let Front { namespace, cloud: own } = hanging;
    let every_second = json!({"pollIntervalSeconds": 1});
    let project = |kind: &str, n: usize| format!("{kind}-{n}");
    // Clouds that never answer, by many accounts.
    own.fault(Fault::NoAnswer, Matcher::path("/silent-"), Times::Forever);
    // Megabytes whose last byte never comes.
    own.fault(Fault::StalledBody((1 << 20) - 1), Matcher::path("/stalled-"), Times::Forever);
    // As large as a reply may be.
    own.fault(Fault::HugeBody((1 << 20) - 1), Matcher::path("/huge-"), Times::Forever);
    for (kind, number) in [("silent", 200), ("stalled", 100), ("huge", 40), ("flips", 40)] {
        let Front { namespace, cloud: own } = if kind == "flips" { answered } else { hanging };
        for n in 0..8 {
            let token = format!("token-{kind}-{n}");
            own.grant_token(&token);
            secret(client, namespace, &format!("{kind}-{n}"), own, &[("token", token)]).await;
        }
        let objects = (0..number).map(|n| {
            let (project, id) = (project(kind, n), format!("{kind}-{n:03}"));
            let job = Operation::new(Cloud::OtcCceJob, Scope::otc(&project), &id).kind("CreateCluster");
            own.put(job.stage(Stage::state("Running")));
            if kind == "flips" {
                let says = |word: &str| Fault::Status {
                    code: 200,
                    headers: Vec::new(),
                    body: json!({"kind": "Job", "metadata": {"uid": id}, "status": {"phase": word}}).to_string(),
                };
                own.fault(
                    Fault::InTurn(vec![says("Running"), says("Dancing")]),
                    Matcher::path(format!("/{project}/")),
                    Times::Forever,
                );
            }
            operation(&id, &project, &id, &format!("{kind}-{}", n % 8), &every_second)
        });
        create(client, namespace, objects.collect::<Vec<_>>()).await;
    }
    // The largest Secrets and annotations.
    let padding = "x".repeat(900_000);
    for n in 0..20 {
        secret(client, namespace, &format!("large-{n}"), own, &[("padding", padding.clone())]).await;
        let id = format!("large-{n}");
        create(client, namespace, [operation(&id, &project("silent-large", n), &id, &id, &every_second)]).await;
    }
    let large = |n: usize| {
        let id = format!("annotated-{n}");
        let mut object = operation(&id, "p", &id, "silent-0", &json!({"suspend": true}));
        object.metadata.annotations = Some([("padding".to_owned(), "x".repeat(200_000))].into());
        object
    };
    create(client, namespace, (0..200).map(large)).await;
    // Headers of 20 kB to the cloud of the victims.
    secret(client, answered.namespace, "headers", victims, &[("token", "x".repeat(20_000))]).await;
    let headers = |n: usize| operation(&format!("headers-{n}"), &format!("headers-{n}"), "x", "headers", &every_second);
    create(client, answered.namespace, (0..5).map(headers)).await;
}

/// The most memory that the process ever had, in bytes.
fn peak(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

/// How long the victims' cloud was not asked for what its path has `part`, within the time since `start`.
fn longest_gap(bed: &Bed, part: &str, start: Instant) -> Duration {
    let requests = bed.simulator.requests();
    let asked = requests.iter().filter(|r| r.status == 200 && r.path_and_query.contains(part) && r.at >= start);
    let times: Vec<Instant> = [start].into_iter().chain(asked.map(|r| r.at)).chain([Instant::now()]).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_tenant_harms_nobody_but_itself() {
    let bed = tokio::task::spawn_blocking(|| Bed::alone(env!("CARGO_BIN_EXE_cloudop-controller")));
    let mut bed = bed.await.unwrap();
    // All of a host's accounts share a connection of HTTP/2.
    let http2 = cloudop_simulator::Options { http2: true, ..cloudop_simulator::Options::default() };
    bed.simulator = Simulator::start_with(http2).await.unwrap();
    bed.simulator.grant_token(TOKEN);
    bed.secret(SECRET, &[("token", TOKEN)]);
    let [hostile, answered, resting] =
        ["hostile", "hostile-answered", "resting"].map(|name| bed.cluster.namespace(name).unwrap());
    let [own, flipping] = [Simulator::start().await.unwrap(), Simulator::start().await.unwrap()];
    bed.simulator.longest_headers(Some(LONGEST_HEADERS));
    let client = client(&bed).await;
    let at_rest = (0..AT_REST).map(|n| operation(&format!("r{n}"), "p", "x", "none", &json!({"suspend": true})));
    create(&client, &resting, at_rest).await;

    let metrics: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudop-controller"));
    command
        .env("KUBECONFIG", bed.cluster.kubeconfig())
        .args(["--watch-namespaces", &format!("{},{hostile},{answered},{resting}", bed.namespace)])
        .args(["--allow-host", "localhost:*", "--allow-private-addresses", "127.0.0.0/8,::1/128"])
        .args(["--metrics-address", &metrics.to_string()]);
    let controller = Process::spawn("controller", command).unwrap();
    let (victims, keys): (Vec<_>, Vec<_>) = (0..VICTIMS).map(|n| victim(&bed, n)).unzip();
    create(&client, &bed.namespace, victims).await;
    let hanging = Front { namespace: &hostile, cloud: &own };
    let attacked = Instant::now();
    attack(&client, hanging, Front { namespace: &answered, cloud: &flipping }, &bed.simulator).await;
    let half_sent: Vec<TcpStream> = (0..500)
        .filter_map(|_| {
            let mut connection = TcpStream::connect(metrics).ok()?;
            connection.write_all(b"GET /metrics HTTP/1.1\r\n").ok()?;
            Some(connection)
        })
        .collect();
    assert!(half_sent.len() > 64, "only {} connections", half_sent.len());

    // The attack has to have begun.
    tokio::time::sleep(2 * INTERVAL).await;
    let start = Instant::now();
    tokio::time::sleep(WATCHED).await;
    for part in (0..20).map(|n| format!("alone-{n}/")).chain(["together".to_owned()]) {
        let gap = longest_gap(&bed, &part, start);
        println!("{part} was asked for every {gap:?} at least");
        assert!(gap <= 2 * INTERVAL, "{part} was not asked for {gap:?}");
    }
    for kind in ["silent", "stalled", "huge", "flips"] {
        let asked =
            [&own, &flipping].map(|cloud| cloud.count(Matcher::path(format!("/{kind}-")))).iter().sum::<usize>();
        println!("{kind} was asked for {asked} times");
        assert!(asked >= 8, "the attack took place: {kind} was asked for {asked} times");
    }
    let headers =
        ["get", "cloudoperation", "headers-0", "--namespace", &answered, "-o", "jsonpath={.status.conditions}"];
    let headers = bed.cluster.kubectl_ok(&headers).unwrap();
    assert!(headers.contains("reset the connection"), "the attack took place: {headers}");
    keys.iter().for_each(|key| assert!(bed.simulator.advance(key)));
    let limit = 3 * INTERVAL;
    eventually(limit, "all victims have ended well", || {
        let finished = bed.kubectl(&["get", "cloudoperations", "-o", "jsonpath={.items[*].status.phase}"]);
        let number = finished.stdout.matches("Succeeded").count();
        if number == VICTIMS { Ok(()) } else { Err(format!("{number} of {VICTIMS}")) }
    });
    assert!(controller.try_wait().unwrap().is_none(), "it runs:\n{}", controller.logs());
    let peak = peak(&controller);
    println!("at most {} MiB", peak >> 20);
    assert!(peak <= MEMORY, "{} MiB", peak >> 20);
    // A write of the status for each change of mind would be 40 a second.
    let writes = bed.cluster.audit().unwrap().namespace(&answered).subresource("status");
    let flips = writes.keep(|event| event.name.starts_with("flips-"));
    let paced = 40 * 12 + 40 * attacked.elapsed().as_secs() as usize / 10;
    println!("{} writes for the changes of mind, {paced} at most", flips.len());
    assert!(flips.len() > 80 && flips.len() <= paced, "{} writes, {paced} at most", flips.len());
}
