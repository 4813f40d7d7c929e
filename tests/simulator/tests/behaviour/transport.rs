//! Connections: which certificate is shown, what is kept alive, and listeners whose transport is broken.

use std::{net::SocketAddr, time::Duration};

use cloudop_simulator::{Fault, Listener, Matcher, Options, Simulator};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{PATHS, client, start};

#[tokio::test]
async fn requests_of_one_client_share_a_connection() {
    let sim = start().await;
    let client = client(&sim);
    for host in ["localhost", "127.0.0.1"] {
        for _ in 0..3 {
            let url = format!("https://{host}:{}{}", sim.port(), PATHS[0].1);
            let reply = client.get(url).send().await.unwrap();
            assert_eq!(reply.status(), 401);
            reply.bytes().await.unwrap();
        }
    }
    assert_eq!(sim.connections(), 2);
    let numbers: Vec<u64> = sim.requests().iter().map(|request| request.connection).collect();
    assert!(numbers[0] == numbers[2] && numbers[3] == numbers[5] && numbers[0] != numbers[3]);
}

#[tokio::test]
async fn a_client_that_does_not_know_the_authority_is_not_served() {
    let sim = start().await;
    let stranger = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    stranger.get(sim.url()).send().await.unwrap_err();
    assert_eq!((sim.connections(), sim.count(Matcher::any())), (1, 0));
}

#[tokio::test]
async fn broken_listeners_break_and_count() {
    let sim = start().await;
    for (listener, cause) in [
        (Listener::ExpiredCertificate, "Expired"),
        (Listener::WrongHost, "NotValidForName"),
        (Listener::SelfSigned, "UnknownIssuer"),
        (Listener::SelfSignedCa, "CaUsedAsEndEntity"),
        (Listener::ResetAfterAccept, "ConnectionReset"),
        (Listener::GoAway, "SendRequest"),
        (Listener::PlainHttp, "InvalidContentType"),
        (Listener::Silent, "TimedOut"),
    ] {
        let port = sim.listener(listener).await.unwrap();
        let request = client(&sim).get(format!("https://localhost:{port}{}", PATHS[0].1));
        let error = request.timeout(Duration::from_millis(500)).send().await.unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains(cause), "{listener:?}: {text}");
        assert!(sim.connections_to(port) >= 1, "{listener:?}");
    }
    assert_eq!((sim.connections(), sim.count(Matcher::any())), (0, 0));
    sim.reset_counts();
}

#[tokio::test]
async fn plain_http_is_answered_with_400() {
    let sim = start().await;
    let port = sim.listener(Listener::PlainHttp).await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut reply = vec![0; 1024];
    let length = stream.read(&mut reply).await.unwrap();
    assert!(reply[..length].starts_with(b"HTTP/1.1 400 "));
}

#[tokio::test]
async fn nothing_listens_after_the_drop() {
    let sim = start().await;
    let address = SocketAddr::from(([127, 0, 0, 1], sim.port()));
    let extra = SocketAddr::from(([127, 0, 0, 1], sim.listener(Listener::Silent).await.unwrap()));
    let mut open = TcpStream::connect(extra).await.unwrap();
    drop(sim);
    let closed = tokio::time::timeout(Duration::from_secs(5), open.read(&mut [0; 1])).await.unwrap();
    assert!(!matches!(closed, Ok(1..)));
    for _ in 0..100 {
        if TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still listening");
}

#[tokio::test]
async fn it_keeps_to_loopback() {
    for options in [
        Options { listen: "0.0.0.0:0".parse().unwrap(), ..Options::default() },
        Options { speed: 0.0, ..Options::default() },
    ] {
        assert!(Simulator::start_with(options).await.is_err());
    }
}

/// Makes a client that trusts `pem` alone.
fn trusting(pem: &str) -> reqwest::Client {
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().unwrap()
}

#[tokio::test]
async fn a_self_signed_certificate_as_openssl_makes_it_says_that_it_is_an_authority() {
    let sim = start().await;
    let port = sim.listener(Listener::SelfSignedCa).await.unwrap();
    let pem = sim.certificate(port).unwrap();
    assert_ne!(pem, sim.ca_pem());
    let error = trusting(&pem).get(format!("https://localhost:{port}/")).send().await.unwrap_err();
    assert!(format!("{error:?}").contains("CaUsedAsEndEntity"), "{error:?}");
    // One without CA:TRUE is an end entity of its own, which is trusted as it is.
    let port = sim.listener(Listener::SelfSigned).await.unwrap();
    let client = trusting(&sim.certificate(port).unwrap());
    assert_eq!(client.get(format!("https://localhost:{port}/")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn headers_that_are_too_long_end_a_shared_connection() {
    let options = Options { http2: true, ..Options::default() };
    let sim = Simulator::start_with(options).await.unwrap();
    sim.longest_headers(Some(8192));
    let client = client(&sim);
    let get = |token: &str| client.get(format!("{}{}", sim.url(), PATHS[3].1)).header("X-Auth-Token", token).send();
    assert_eq!(get(&"t".repeat(7000)).await.unwrap().status(), 401);

    sim.fault(Fault::NoAnswer, Matcher::any(), 1);
    let bystander = tokio::spawn(get("let-me-in"));
    while sim.count(Matcher::any()) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    get(&"t".repeat(20_000)).await.unwrap_err();
    bystander.await.unwrap().unwrap_err();
    assert_eq!(sim.connections(), 1);
    assert_eq!(get("let-me-in").await.unwrap().status(), 404);
    assert_eq!(sim.connections(), 2);
    let statuses: Vec<u16> = sim.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [401, 0, 0, 404]);
}

#[tokio::test]
async fn headers_that_are_too_long_are_400_over_http_1() {
    let sim = start().await;
    sim.longest_headers(Some(8192));
    let client = client(&sim);
    let get = |token: &str| client.get(format!("{}{}", sim.url(), PATHS[3].1)).header("X-Auth-Token", token).send();
    let refused = get(&"t".repeat(20_000)).await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("Request Header Or Cookie Too Large"));
    assert_eq!(get("let-me-in").await.unwrap().status(), 200);
    assert_eq!(sim.connections(), 2);
}
