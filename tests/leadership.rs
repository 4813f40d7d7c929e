//! Several controller processes at once: one leads, and another takes over however the first one stops.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cloudop_simulator::{Cloud, Key, Operation, Scope, Stage};
use cloudop_testbed::{Bed, ControlPlane, Process, eventually};

const ID: &str = "354331b2-229a-11e8-9c75-0255ac100ceb";

struct Replicas {
    bed: Bed,
}

/// One of several processes that contend for one lease, as a user of its own so that the audit log tells them apart.
struct Replica {
    process: Process,
    user: String,
    address: SocketAddr,
}

impl Replicas {
    fn new() -> Self {
        let bed = Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"));
        let everything = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: follow}\nrules:\n\
            - {apiGroups: [cloudop.dev], resources: [cloudoperations, cloudoperations/status], verbs: ['*']}\n\
            - {apiGroups: [''], resources: [secrets], verbs: [get]}\n\
            - {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}\n\
            - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}\n";
        bed.apply(everything);
        Self { bed }
    }

    fn start(&self, name: &str, server: Option<SocketAddr>) -> Replica {
        self.start_on(name, name, server)
    }

    /// On the host of that name.
    fn start_on(&self, name: &str, host: &str, server: Option<SocketAddr>) -> Replica {
        let cluster = ControlPlane::shared();
        let user = format!("{}-{name}", self.bed.namespace);
        let binding = ["create", "rolebinding", &user, "--role=follow", &format!("--user={user}")];
        assert!(self.bed.kubectl(&binding).success());
        let mut kubeconfig = cluster.kubeconfig_for_user(&user).unwrap();
        if let Some(server) = server {
            let text = std::fs::read_to_string(&kubeconfig).unwrap();
            let proxied = kubeconfig.with_extension("proxied");
            let mut config: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            config["clusters"][0]["cluster"]["server"] = format!("https://{server}").into();
            std::fs::write(&proxied, config.to_string()).unwrap();
            kubeconfig = proxied;
        }
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudop-controller"));
        command
            .env("KUBECONFIG", kubeconfig)
            .env("HOSTNAME", host)
            .args(["--watch-namespaces", &self.bed.namespace, "--allow-host", "localhost:*"])
            .args(["--allow-private-addresses", "127.0.0.0/8,::1/128"])
            .args(["--leader-election", "--leader-election-namespace", &self.bed.namespace])
            .args(["--metrics-address", &address.to_string()]);
        Replica { process: Process::spawn(name, command).unwrap(), user, address }
    }

    fn follow(&self, name: &str, project: &str) -> Key {
        let life = Operation::new(Cloud::OtcCceJob, Scope::otc(project), ID)
            .stage(Stage::state("Running").progress("10"))
            .stage(Stage::state("Initializing"))
            .stage(Stage::state("Success"));
        let key = self.bed.simulator.put(life);
        let provider = format!("otcCceJob: {{region: eu-de, projectId: {project}}}");
        self.bed.apply(&Bed::operation(name, &provider, ID, "pollIntervalSeconds: 1"));
        key
    }

    /// The users who wrote statuses, in the order in which they did.
    fn writers(&self) -> Vec<String> {
        let log = ControlPlane::shared().audit().unwrap();
        let writes = log.namespace(&self.bed.namespace).resource("cloudoperations").subresource("status");
        writes.verb("update").iter().map(|event| event.user.clone()).collect()
    }
}

impl Replica {
    fn get(&self, path: &str) -> Result<(u16, String), String> {
        let mut stream = TcpStream::connect(self.address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(|error| error.to_string())?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").map_err(|e| e.to_string())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).map_err(|error| error.to_string())?;
        let status = reply.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
        Ok((status, reply))
    }

    fn until_leading(&self) {
        let led = self.process.wait_for_log("leading", Duration::from_secs(60));
        assert!(led.is_ok(), "{}", self.process.logs());
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A way to the API server that can be cut.
fn cuttable_way() -> (SocketAddr, Arc<AtomicBool>) {
    let kubeconfig = std::fs::read_to_string(ControlPlane::shared().kubeconfig()).unwrap();
    let server = kubeconfig.lines().find_map(|line| line.split_once("https://")).unwrap().1;
    let server: SocketAddr = server.trim().trim_matches('"').replace("localhost", "127.0.0.1").parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let cut = Arc::new(AtomicBool::new(false));
    let is_cut = Arc::clone(&cut);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(onward) = TcpStream::connect(server) else { continue };
            for (from, to) in [(&stream, &onward), (&onward, &stream)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let is_cut = Arc::clone(&is_cut);
                std::thread::spawn(move || carry(from, to, &is_cut));
            }
        }
    });
    (address, cut)
}

/// Copies until the way is cut; what comes then is swallowed, as a broken network does.
fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            let _ = to.shutdown(std::net::Shutdown::Write);
            return;
        }
        if !is_cut.load(Ordering::Relaxed) && to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// Two replicas, the first leading and following an operation; `stop` stops the first, and the second finishes.
fn take_over(way: Option<SocketAddr>, stop: impl FnOnce(&Replica), at_most: Duration) -> (Replicas, Replica, Replica) {
    let replicas = Replicas::new();
    let first = replicas.start("first", way);
    first.until_leading();
    let second = replicas.start("second", None);
    let key = replicas.follow("job", "p1");
    replicas.bed.until_reason("job", "Succeeded", "Running");
    second.process.wait_for_log("waiting to lead", Duration::from_secs(30)).unwrap();
    // Who is stopped between a status and its Event leaves it untold, unless it is that of an end.
    announced(&replicas, &["Tracking"]);
    stop(&first);
    let stopped = Instant::now();
    second.until_leading();
    let took = stopped.elapsed();
    // Past what the test harness holds back of a test that passes.
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "{test}: another leads after {:.1} s", took.as_secs_f64());
    assert!(took < at_most, "{took:?}");
    replicas.bed.simulator.advance(&key);
    replicas.bed.simulator.advance(&key);
    replicas.bed.until_reason("job", "Succeeded", "OperationSucceeded");
    announced(&replicas, &["Tracking", "Succeeded"]);
    (replicas, first, second)
}

/// Waits until these are the Events about the job.
#[track_caller]
fn announced(replicas: &Replicas, expected: &[&str]) {
    eventually(Duration::from_secs(30), &format!("{expected:?} announced"), || {
        let events = replicas.bed.events("job");
        if events == expected { Ok(()) } else { Err(format!("{events:?}")) }
    });
}

fn never_alternated(replicas: &Replicas, first: &Replica, second: &Replica) {
    let mut writers = replicas.writers();
    writers.dedup();
    assert_eq!(writers, [first.user.clone(), second.user.clone()]);
}

#[test]
fn a_killed_leader_is_followed_by_another_within_a_lease() {
    let (replicas, first, second) = take_over(None, |first| drop(first.process.kill()), Duration::from_secs(25));
    never_alternated(&replicas, &first, &second);
}

#[test]
fn a_leader_told_to_stop_hands_over_at_once() {
    let stop = |first: &Replica| assert!(first.process.terminate().unwrap().success());
    let (replicas, first, second) = take_over(None, stop, Duration::from_secs(8));
    never_alternated(&replicas, &first, &second);
    assert!(first.process.logs().contains("stopped"));
}

#[test]
fn a_leader_that_was_frozen_past_its_lease_writes_nothing_more() {
    let (replicas, first, second) = take_over(None, |first| first.process.pause().unwrap(), Duration::from_secs(25));
    first.process.resume().unwrap();
    let status = first.process.wait(Duration::from_secs(30)).unwrap();
    assert!(!status.success(), "it must not go on as if it led: {status}");
    assert!(first.process.logs().contains("the lease was lost"), "{}", first.process.logs());
    never_alternated(&replicas, &first, &second);
}

#[test]
fn a_leader_that_lost_its_network_steps_down_before_another_starts() {
    let (way, cut) = cuttable_way();
    let cut_it = |_: &Replica| cut.store(true, Ordering::Relaxed);
    let (replicas, first, second) = take_over(Some(way), cut_it, Duration::from_secs(30));
    let status = first.process.wait(Duration::from_secs(30)).unwrap();
    assert!(!status.success() && first.process.logs().contains("the lease was lost"), "{}", first.process.logs());
    never_alternated(&replicas, &first, &second);
}

#[test]
fn probes_and_metrics_tell_the_leader_from_the_one_that_waits() {
    let replicas = Replicas::new();
    let first = replicas.start("first", None);
    first.until_leading();
    let second = replicas.start("second", None);
    second.process.wait_for_log("waiting to lead", Duration::from_secs(30)).unwrap();
    let key = replicas.follow("job", "p1");
    replicas.bed.until_reason("job", "Succeeded", "Running");
    for replica in [&first, &second] {
        assert_eq!(replica.get("/readyz").unwrap().0, 200);
        assert_eq!(replica.get("/livez").unwrap().0, 200);
        assert_eq!(replica.get("/nothing").unwrap().0, 404);
    }
    let metrics = first.get("/metrics").unwrap().1;
    for line in [
        "cloudop_operations{provider=\"otcCceJob\",phase=\"Running\"} 1",
        "cloudop_upstream_requests_total{provider=\"otcCceJob\",code=\"200\"}",
        "cloudop_status_writes_total{result=\"written\"} 1",
        "cloudop_build_info{version=",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!second.get("/metrics").unwrap().1.contains("cloudop_upstream_requests_total{"));
    replicas.bed.simulator.advance(&key);
    replicas.bed.simulator.advance(&key);
    replicas.bed.until_reason("job", "Succeeded", "OperationSucceeded");
    let ended = "cloudop_operation_duration_seconds_count{provider=\"otcCceJob\",result=\"OperationSucceeded\"} 1";
    eventually(Duration::from_secs(10), "the end is counted", || {
        let metrics = first.get("/metrics").map_err(|error| error.to_string())?.1;
        if metrics.contains(ended) { Ok(()) } else { Err(metrics) }
    });
}

#[test]
fn two_shards_follow_what_their_labels_say_and_no_more() {
    let bed = Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"));
    for (shard, project) in [("one", "p1"), ("two", "p2")] {
        bed.simulator.put(Operation::new(Cloud::OtcCceJob, Scope::otc(project), ID).stage(Stage::state("Success")));
        let provider = format!("otcCceJob: {{region: eu-de, projectId: {project}}}");
        let manifest = Bed::operation(shard, &provider, ID, "");
        bed.apply(
            &manifest.replace(&format!("{{name: {shard}}}"), &format!("{{name: {shard}, labels: {{shard: {shard}}}}}")),
        );
    }
    let one = bed.controller(&["--watch-label-selector", "shard=one"]);
    bed.until_reason("one", "Succeeded", "OperationSucceeded");
    let two = bed.get("two").unwrap();
    assert_eq!(two["status"]["observedGeneration"], -1);
    let other = bed.controller(&["--watch-label-selector", "shard=two"]);
    bed.until_reason("two", "Succeeded", "OperationSucceeded");
    assert!(!one.logs().contains("two") && !other.logs().contains("name=\"one\""));
}

#[test]
fn two_processes_of_one_host_name_do_not_both_lead() {
    let replicas = Replicas::new();
    let first = replicas.start_on("one", "host", None);
    first.process.wait_for_log("leading", Duration::from_secs(30)).unwrap();
    let second = replicas.start_on("two", "host", None);
    second.process.wait_for_log("waiting to lead", Duration::from_secs(30)).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    let leads = |replica: &Replica| replica.process.logs().lines().any(|line| line.contains(" leading"));
    assert_eq!((leads(&first), leads(&second)), (true, false), "{}", second.process.logs());
}
