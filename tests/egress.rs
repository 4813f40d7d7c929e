//! Where a credential must not go: no connection is made there, and the refusal names the Secret's key.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cloudop::auth::methods::{KeystonePassword, ReadyToken};
use cloudop::auth::{Connection, Credential};
use cloudop::observation::{FailureKind, PollFailure};
use cloudop::provider::Provider;
use cloudop::upstream::{Answer, Asked, Later, Options, Proxy, Question, Upstream};
use cloudop_simulator::{Fault, Matcher, Simulator, Times};
use ipnet::IpNet;
use serde_json::json;

const GUARDED: &str = "https://cce.eu-de.otc.t-systems.com";

/// Counts every connection to one port of the loopback interface, by all of its addresses that a test can reach.
struct Trap {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Trap {
    fn new() -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let others = [IpAddr::from([127, 0, 0, 2]), Ipv6Addr::LOCALHOST.into()];
        let others = others.into_iter().filter_map(|address| TcpListener::bind(SocketAddr::new(address, port)).ok());
        for listener in others.chain([first]) {
            let connections = Arc::clone(&connections);
            thread::spawn(move || {
                for _ in listener.incoming() {
                    connections.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Puts the port into an endpoint that says where.
    fn aim(&self, endpoint: &str) -> String {
        endpoint.replace("{port}", &self.port.to_string())
    }
}

/// Everything allowed by name that can be, and nothing internal: what is refused then is refused for its address.
fn options(allows_private_addresses: bool) -> Options {
    let hosts = [
        "localhost",
        "127.0.0.1",
        "127.0.0.2",
        "[::1]",
        "[::]",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "10.0.0.1",
        "100.100.100.200",
        "192.168.0.1",
        "172.16.0.1",
        "*.localhost",
    ];
    Options {
        allow_hosts: hosts.map(|host| format!("{host}:*")).into(),
        allow_private_addresses: if allows_private_addresses { all_addresses() } else { Vec::new() },
        requests_per_second: 1000.0,
        burst: 1000,
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_secs(3),
        ..Options::default()
    }
}

fn all_addresses() -> Vec<IpNet> {
    ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap()).into()
}

fn provider() -> Provider {
    serde_json::from_value(json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}})).unwrap()
}

fn token() -> Credential {
    ReadyToken("s3cret-token".into()).into()
}

fn password() -> Credential {
    KeystonePassword { username: "u".into(), password: "s3cret-word".into(), domain_name: "d".into() }.into()
}

fn connection(endpoint: &str, iam_endpoint: Option<&str>, ca: Option<&str>, credential: Credential) -> Connection {
    Connection {
        endpoint: endpoint.to_owned(),
        iam_endpoint: iam_endpoint.map(Into::into),
        ca: ca.map(Into::into),
        credential,
    }
}

async fn poll(upstream: &Upstream, connection: &Connection) -> PollFailure {
    let provider = provider();
    let question = Question {
        provider: provider.built_in().unwrap(),
        operation_id: "job",
        uid: "uid",
        namespace: "default",
        is_first: true,
        interval: Duration::ZERO,
        since: Instant::now(),
        not_before: None,
    };
    loop {
        match upstream.observe(question, &connection.clone().into()).await {
            Asked::Answered(Answer { result, .. }) => return result.unwrap_err(),
            Asked::Later(Later::AfterTheOthers) => {}
            Asked::Later(later) => panic!("{later:?}"),
        }
    }
}

fn check(failure: &PollFailure, key: &str, endpoint: &str) {
    assert_eq!(failure.kind, FailureKind::EndpointRefused, "{endpoint}: {failure}");
    assert!(failure.message.starts_with(&format!("the Secret's key {key} cannot be used: ")), "{endpoint}: {failure}");
    assert!(!failure.message.contains("s3cret"), "{endpoint}: {failure}");
}

/// Each would lead to the trap if it were followed, or is for a host that nobody allowed.
const REFUSED: &[&str] = &[
    // Schemes.
    "http://127.0.0.1:{port}",
    "http://localhost:{port}",
    "http://cce.eu-de.otc.t-systems.com:{port}",
    "ftp://127.0.0.1:{port}",
    "file://127.0.0.1:{port}/etc/passwd",
    "ws://127.0.0.1:{port}",
    "javascript://127.0.0.1:{port}",
    "//127.0.0.1:{port}",
    "127.0.0.1:{port}",
    "localhost:{port}",
    "https:",
    "https://",
    "https:///",
    "",
    // The port.
    "https://127.0.0.1:65536",
    "https://127.0.0.1:-1",
    "https://127.0.0.1:{port}x",
    // Users, and hosts that pass for users.
    "https://me@127.0.0.1:{port}",
    "https://me:s3cret@127.0.0.1:{port}",
    "https://@127.0.0.1:{port}",
    "https://cce.eu-de.otc.t-systems.com@127.0.0.1:{port}",
    "https://cce.eu-de.otc.t-systems.com:443@127.0.0.1:{port}",
    "https://cce.eu-de.otc.t-systems.com%40127.0.0.1:{port}",
    "https://127.0.0.1:{port}\\@cce.eu-de.otc.t-systems.com",
    "https://127.0.0.1:{port}#@cce.eu-de.otc.t-systems.com",
    "https://127.0.0.1:{port}?@cce.eu-de.otc.t-systems.com",
    // Parts that do not belong there, and characters that parsers drop.
    "https://127.0.0.1:{port}?x=1",
    "https://127.0.0.1:{port}#x",
    "https://127.0.0.1:{port}\\x",
    " https://127.0.0.1:{port}",
    "https://127.0.0.1:{port}/\r\nHost: x",
    "https://127.0.\t0.1:{port}",
    // IPv4 in other spellings.
    "https://127.0.0.1:{port}",
    "https://127.0.0.2:{port}",
    "https://127.0.0.1.:{port}",
    "https://127.1:{port}",
    "https://127.0.1:{port}",
    "https://2130706433:{port}",
    "https://0x7f000001:{port}",
    "https://0x7f.0.0.1:{port}",
    "https://0x7f.1:{port}",
    "https://0177.0.0.1:{port}",
    "https://017700000001:{port}",
    "https://127.0.0.01:{port}",
    "https://127。0。0。1:{port}",
    "https://127.0.0.①:{port}",
    "https://%31%32%37.0.0.1:{port}",
    "https://0:{port}",
    "https://0.0.0.0:{port}",
    "https://256.0.0.1:{port}",
    // IPv6 forms, and IPv4 within them.
    "https://[::1]:{port}",
    "https://[0:0:0:0:0:0:0:1]:{port}",
    "https://[::0001]:{port}",
    "https://[::]:{port}",
    "https://[::ffff:127.0.0.1]:{port}",
    "https://[::ffff:7f00:1]:{port}",
    "https://[0:0:0:0:0:ffff:7f00:0001]:{port}",
    "https://[::127.0.0.1]:{port}",
    "https://[64:ff9b::127.0.0.1]:{port}",
    "https://[2002:7f00:1::]:{port}",
    "https://[::1%25lo]:{port}",
    "https://[fe80::1]:{port}",
    "https://[fe80::1%25lo]:{port}",
    // Metadata services and private networks.
    "https://169.254.169.254",
    "https://[fd00:ec2::254]",
    "https://100.100.100.200",
    "https://10.0.0.1",
    "https://172.16.0.1",
    "https://192.168.0.1",
    "https://0xa9fea9fe",
    // Names of internal addresses.
    "https://localhost:{port}",
    "https://LOCALHOST:{port}",
    "https://localhost.:{port}",
    "https://ｌｏｃａｌｈｏｓｔ:{port}",
    // Names that look like a vendor's.
    "https://otc.t-systems.com.evil.example:{port}",
    "https://evilotc.t-systems.com:{port}",
    "https://evil-otc.t-systems.com:{port}",
    "https://t-systems.com:{port}",
    "https://com:{port}",
    "https://.otc.t-systems.com:{port}",
    "https://otc.t-systems.com..:{port}",
    "https://cce.eu-de.otc.t-systems.com,evil.example:{port}",
    "https://cce.eu-de.оtc.t-systems.com:{port}",
    "https://xn--cce-eu-de-tc-vji.t-systems.com:{port}",
    "https://cce.eu-de.otc.t-systems.com%2eevil.example:{port}",
    "https://cce.eu-de.otc.t-systems.com%00.evil.example:{port}",
    "https://api.eu-west-2.numspot.com:{port}",
];

#[tokio::test]
async fn no_endpoint_that_is_refused_gets_a_connection() {
    let (trap, upstream) = (Trap::new(), Upstream::new(options(false)).unwrap());
    for endpoint in REFUSED {
        let failure = poll(&upstream, &connection(&trap.aim(endpoint), None, None, token())).await;
        check(&failure, "endpoint", endpoint);
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn no_identity_endpoint_that_is_refused_gets_a_connection() {
    let (trap, upstream) = (Trap::new(), Upstream::new(options(false)).unwrap());
    for endpoint in REFUSED {
        for suffix in ["", "/v3"] {
            let iam = format!("{}{suffix}", trap.aim(endpoint));
            let failure = poll(&upstream, &connection(GUARDED, Some(&iam), None, password())).await;
            check(&failure, "iamEndpoint", &iam);
        }
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn leave_for_private_addresses_is_no_leave_for_other_hosts() {
    let trap = Trap::new();
    let options = |allow_hosts: &[&str]| Options {
        allow_hosts: allow_hosts.iter().map(|host| format!("{host}:*")).collect(),
        ..options(true)
    };
    for (allowed, endpoint) in [
        (&[][..], "https://127.0.0.1:{port}"),
        (&[], "https://localhost:{port}"),
        (&["127.0.0.2"], "https://127.0.0.1:{port}"),
        (&["127.0.0.1"], "https://[::ffff:127.0.0.1]:{port}"),
        (&["127.0.0.1"], "https://localhost:{port}"),
        (&["localhost"], "https://127.0.0.1:{port}"),
        (&["*.localhost"], "https://localhost:{port}"),
        (&["localhost"], "http://localhost:{port}"),
        (&["localhost"], "https://me@localhost:{port}"),
    ] {
        let (endpoint, upstream) = (trap.aim(endpoint), Upstream::new(options(allowed)).unwrap());
        let failure = poll(&upstream, &connection(&endpoint, None, None, token())).await;
        check(&failure, "endpoint", &endpoint);
        let failure = poll(&upstream, &connection(GUARDED, Some(&endpoint), None, password())).await;
        check(&failure, "iamEndpoint", &endpoint);
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn with_leave_the_same_addresses_are_called() {
    let (trap, upstream) = (Trap::new(), Upstream::new(options(true)).unwrap());
    for (index, endpoint) in
        ["https://127.0.0.1:{port}", "https://localhost:{port}", "https://0x7f.1:{port}"].iter().enumerate()
    {
        let failure = poll(&upstream, &connection(&trap.aim(endpoint), None, None, token())).await;
        assert_eq!(failure.kind, FailureKind::Unreachable, "{endpoint}: {failure}");
        assert_eq!(trap.connections(), index + 1, "{endpoint}");
    }
}

#[tokio::test]
async fn no_redirect_leads_to_a_connection() {
    let (trap, upstream) = (Trap::new(), Upstream::new(options(true)).unwrap());
    let simulator = Simulator::start().await.unwrap();
    let (url, ca) = (simulator.url(), Some(simulator.ca_pem()));
    let reached = ["https://127.0.0.1:{port}/", "https://localhost:{port}", "http://localhost:{port}/x"];
    for target in reached.iter().chain(REFUSED) {
        // What is no header has no redirect.
        if target.contains(['\r', '\n']) {
            continue;
        }
        for (code, key) in [(307, "endpoint"), (302, "iamEndpoint")] {
            let (path, credential) =
                if key == "endpoint" { ("/jobs/", token()) } else { ("/v3/auth/tokens", password()) };
            let to = format!("{}?token=s3cret-token", trap.aim(target));
            let fault = simulator.fault(Fault::Redirect { code, to }, Matcher::path(path), Times::Forever);
            let failure = poll(&upstream, &connection(&url, Some(&url), ca, credential)).await;
            assert_eq!(failure.kind, FailureKind::RedirectRefused, "{target}: {failure}");
            assert!(failure.message.contains(&format!("the Secret's key {key}")), "{target}: {failure}");
            assert!(!failure.message.contains("s3cret"), "{target}: {failure}");
            fault.clear();
        }
    }
    assert_eq!(trap.connections(), 0);
    assert!(simulator.requests().iter().all(|request| (300..400).contains(&request.status)));
}

/// A proxy that makes a tunnel to whatever it is asked for, or says `refusal`. Gives its address and what it was asked.
fn tunnels(refusal: Option<&'static str>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, seen) = (client.unwrap(), Arc::clone(&seen));
            thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split_whitespace().nth(1).unwrap().to_owned();
                seen.lock().unwrap().push(head);
                if let Some(refusal) = refusal {
                    return client
                        .write_all(format!("HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n").as_bytes())
                        .unwrap();
                }
                let mut server = TcpStream::connect(target).unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut back, &mut forth));
                let _ = std::io::copy(&mut client, &mut server);
            });
        }
    });
    (address, asked)
}

fn by_proxy(proxy: &str, credentials: Option<&str>) -> Upstream {
    let proxy = Proxy::new(proxy, credentials, None).unwrap();
    Upstream::new(Options { egress_proxy: Some(proxy), ..options(false) }).unwrap()
}

#[tokio::test]
async fn a_proxy_makes_the_connection_and_looks_the_name_up() {
    let simulator = Simulator::start().await.unwrap();
    let (address, asked) = tunnels(None);
    let upstream = by_proxy(&format!("http://{address}"), Some("me:it is secret"));
    let url = format!("https://localhost:{}", simulator.port());
    let failure = poll(&upstream, &connection(&url, None, Some(simulator.ca_pem()), token())).await;
    assert_eq!(failure.kind, FailureKind::Unauthorized, "the cloud was asked: {failure}");
    assert_eq!(simulator.requests().len(), 1);
    let asked = asked.lock().unwrap().concat();
    assert!(asked.starts_with(&format!("CONNECT localhost:{} ", simulator.port())), "{asked}");
    assert!(asked.to_lowercase().contains("proxy-authorization: basic bwu6axqgaxmgc2vjcmv0"), "{asked}");
    assert!(!asked.contains("s3cret-token"), "what is for the cloud is not for the proxy: {asked}");
}

#[tokio::test]
async fn a_proxy_is_no_way_to_another_host_or_an_internal_address() {
    let (address, asked) = tunnels(None);
    let upstream = by_proxy(&format!("http://{address}"), None);
    for endpoint in ["https://evil.example", "https://127.0.0.1:443", "https://[::1]", "https://169.254.169.254"] {
        let failure = poll(&upstream, &connection(endpoint, None, None, token())).await;
        check(&failure, "endpoint", endpoint);
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[rstest::rstest]
#[case::credentials(
    Some("407 Proxy Authentication Required"),
    "wants other credentials: check the file of --egress-proxy-credentials-file"
)]
#[case::forbidden(Some("403 Forbidden"), "makes no connection to localhost; its log may say why")]
#[case::bad_gateway(Some("502 Bad Gateway"), "makes no connection to localhost; its log may say why")]
#[case::not_there(None, "127.0.0.1 refuses the connection; it is the proxy of --egress-proxy")]
#[tokio::test]
async fn a_fault_of_the_proxy_is_told_from_one_of_the_cloud(
    #[case] refusal: Option<&'static str>,
    #[case] words: &str,
) {
    let address = match refusal {
        Some(_) => tunnels(refusal).0,
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap(),
    };
    let upstream = by_proxy(&format!("http://{address}"), None);
    let failure = poll(&upstream, &connection("https://localhost:8443", None, None, token())).await;
    assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
    assert!(failure.message.contains(words), "{failure}");
}
