//! Whatever a cloud sends: what the way out makes of it, and what it costs the cloud.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloudop::auth::Connection;
use cloudop::auth::methods::ReadyToken;
use cloudop::metrics::Metrics;
use cloudop::observation::{FailureKind, Observation, PollFailure, State};
use cloudop::provider::Provider;
use cloudop::upstream::{Answer, Asked, Later, Options, Question, Upstream};
use cloudop_simulator::{
    Account, Cloud, Fault, Listener, Matcher, NumspotApi, Operation, RecordedRequest, Scope, Simulator, Stage, Times,
};
use serde_json::json;

const TOKEN: &str = "let-me-in";
const JOB: &str = "354331b2-229a-11e8-9c75-0255ac100ceb";
/// Long enough for a loaded machine, short enough to wait for.
const TIMEOUT: Duration = Duration::from_secs(6);
/// Until the simulator does no more on a connection.
const FROZEN: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A simulated cloud with one running OTC job, and a way out to it.
struct Bed {
    simulator: Simulator,
    upstream: Upstream,
    connection: Connection,
    provider: Provider,
    operation_id: String,
    metrics: Arc<Metrics>,
}

fn options() -> Options {
    Options {
        allow_hosts: vec!["localhost:*".into(), "127.0.0.1:*".into()],
        allow_private_addresses: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        requests_per_second: 1000.0,
        burst: 1000,
        requests_under_way: 8000,
        connect_timeout: CONNECT_TIMEOUT,
        timeout: TIMEOUT,
        ..Options::default()
    }
}

impl Bed {
    async fn new() -> Self {
        Self::with(options()).await
    }

    async fn with(options: Options) -> Self {
        Self::at(Simulator::start().await.unwrap(), options).await
    }

    /// Where the cloud also speaks HTTP/2, if `http2`.
    async fn over(http2: bool) -> Self {
        let clouds = cloudop_simulator::Options { http2, ..cloudop_simulator::Options::default() };
        Self::at(Simulator::start_with(clouds).await.unwrap(), options()).await
    }

    async fn at(simulator: Simulator, options: Options) -> Self {
        simulator.put(job(JOB).stage(Stage::state("Running")));
        let connection = Connection {
            endpoint: simulator.url(),
            iam_endpoint: None,
            ca: Some(simulator.ca_pem().into()),
            credential: ReadyToken(TOKEN.into()).into(),
        };
        let metrics = Arc::clone(&options.metrics);
        let upstream = Upstream::new(options).unwrap();
        Self { simulator, upstream, connection, provider: otc(), operation_id: JOB.into(), metrics }
    }

    async fn ask(&self, asker: &str, max_age: Duration) -> Asked {
        self.ask_for(&self.operation_id, asker, 2 * max_age).await
    }

    async fn ask_for(&self, operation_id: &str, asker: &str, interval: Duration) -> Asked {
        self.ask_as(self.connection.clone(), operation_id, asker, interval).await
    }

    async fn ask_as(&self, connection: Connection, operation_id: &str, asker: &str, interval: Duration) -> Asked {
        let account = connection.into();
        let since = Instant::now();
        let question = Question {
            provider: self.provider.built_in().unwrap(),
            operation_id,
            uid: asker,
            namespace: "default",
            is_first: false,
            interval,
            since,
            not_before: interval.is_zero().then_some(since),
        };
        loop {
            match self.upstream.observe(question, &account).await {
                Asked::Later(Later::WhenOver(under_way)) => _ = under_way.landing.await,
                Asked::Later(Later::AfterTheOthers) => tokio::task::yield_now().await,
                asked => return asked,
            }
        }
    }

    /// Polls the operation `id`, as someone who does so every minute.
    async fn follow(&self, id: &str) -> Result<Observation, PollFailure> {
        match self.ask_for(id, id, Duration::from_secs(60)).await {
            Asked::Answered(Answer { result, .. }) => result,
            Asked::Later(_) => panic!("over budget"),
        }
    }

    async fn poll(&self) -> Result<Observation, PollFailure> {
        match self.ask("uid", Duration::ZERO).await {
            Asked::Answered(Answer { result, .. }) => result,
            Asked::Later(_) => panic!("over budget"),
        }
    }

    async fn failure(&self) -> PollFailure {
        let failure = self.poll().await.unwrap_err();
        let port = self.simulator.port().to_string();
        assert!(!failure.message.contains(&port), "a port is another each time: {failure}");
        assert!(!failure.message.contains(TOKEN), "{failure}");
        assert!(failure.message.len() < 2048, "{failure}");
        // Another each time.
        PollFailure { request_id: None, ..failure }
    }

    /// Points the connection at an extra listener.
    async fn listen(&mut self, listener: Listener) -> u16 {
        let port = self.simulator.listener(listener).await.unwrap();
        self.connection.endpoint = format!("https://localhost:{port}");
        port
    }

    fn requests(&self) -> Vec<RecordedRequest> {
        self.simulator.requests()
    }
}

fn otc() -> Provider {
    provider(json!({"otcCceJob": {"region": "eu-de", "projectId": "p"}}))
}

fn provider(spec: serde_json::Value) -> Provider {
    serde_json::from_value(spec).unwrap()
}

fn job(id: &str) -> Operation {
    Operation::new(Cloud::OtcCceJob, Scope::otc("p"), id).kind("CreateCluster")
}

fn status(code: u16, headers: &[(&str, &str)], body: &str) -> Fault {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Fault::Status { code, headers, body: body.to_owned() }
}

fn throttled(status: u16, retry_after: &str, twice: bool) -> Fault {
    Fault::Throttled { status, retry_after: Some(retry_after.to_owned()), twice }
}

use FailureKind::*;

#[rstest::rstest]
#[case::empty(Fault::EmptyBody, InvalidResponse, "the reply is empty")]
#[case::truncated(Fault::TruncatedJson, InvalidResponse, "the reply is not valid JSON")]
#[case::cut(Fault::CutInBody, InvalidResponse, "was cut off")]
#[case::html(Fault::Html, InvalidResponse, "the reply is a page of HTML or XML, not JSON")]
#[case::two_documents(Fault::ExtraJson("{}".into()), InvalidResponse, "the reply is not valid JSON")]
#[case::trailing_comma(Fault::TrailingComma, InvalidResponse, "the reply is not valid JSON")]
#[case::comments(Fault::Comments, InvalidResponse, "the reply is not valid JSON")]
#[case::not_utf8(Fault::InvalidUtf8, InvalidResponse, "the reply is not UTF-8")]
#[case::utf16(Fault::Utf16, InvalidResponse, "the reply is not UTF-8")]
#[case::array(Fault::JsonArray, InvalidResponse, "gave no usable answer")]
#[case::text(Fault::JsonString, InvalidResponse, "the reply is neither a JSON object nor an array")]
#[case::duplicate_keys(Fault::DuplicateKeys, InvalidResponse, "the reply has a key twice in one object")]
#[case::huge(Fault::HugeBody(50 << 20), InvalidResponse, "is larger than 1 MiB")]
#[case::drip(Fault::EndlessDrip, Unreachable, "localhost gave no complete answer within 6 s")]
#[case::gzip_bomb(Fault::GzipBomb, InvalidResponse, "is compressed")]
#[case::wrong_id(Fault::WrongId, InvalidResponse, "gave no usable answer")]
#[case::echo(Fault::EchoToken, Forbidden, "[redacted]")]
#[case::not_found(Fault::NotFound, NotFound, "answered 404 (CCE.")]
#[case::no_such_path(
    Fault::NoSuchPath,
    EndpointRefused,
    "the gateway at localhost does not know this path: check the Secret's key endpoint and the region"
)]
#[case::gone(status(410, &[], r#"{"errorCode":"CCE.01410001","errorMessage":"Gone"}"#), NotFound, "answered 410 (CCE.01410001 Gone)")]
#[case::unauthorized(Fault::Unauthorized, Unauthorized, "the credential is not accepted")]
#[case::forbidden(Fault::Forbidden, Forbidden, "the credential may not read this operation")]
#[case::created(status(201, &[], "{}"), InvalidResponse, "answered 201")]
#[case::no_content(status(204, &[], ""), InvalidResponse, "answered 204")]
#[case::partial(status(206, &[], "{}"), InvalidResponse, "answered 206")]
#[case::not_modified(status(304, &[], ""), InvalidResponse, "answered 304")]
#[case::bad_request(status(400, &[], r#"{"errorCode":"CCE.01400001","errorMessage":"Invalid"}"#), InvalidResponse, "answered 400 (CCE.01400001 Invalid)")]
#[case::teapot(status(418, &[], "<h1>teapot</h1>"), InvalidResponse, "answered 418: ")]
#[case::server_error(Fault::ServerError { status: 500 }, ServerError, "answered 500")]
#[case::bad_gateway(status(502, &[], "<html>nginx</html>"), ServerError, "answered 502: it has trouble of its own")]
#[case::no_hint(Fault::ServerError { status: 503 }, ServerError, "answered 503")]
#[case::server_error_599(status(599, &[], ""), ServerError, "answered 599: ")]
#[case::moved(Fault::Redirect { code: 301, to: "https://evil.example/?x=let-me-in".into() }, RedirectRefused, "a redirect to https://evil.example, which was not followed")]
#[case::to_http(Fault::Redirect { code: 302, to: "http://localhost/".into() }, RedirectRefused, "a redirect to http://localhost, ")]
#[case::to_metadata(Fault::Redirect { code: 307, to: "http://169.254.169.254/latest".into() }, RedirectRefused, "a redirect to http://169.254.169.254, ")]
#[case::to_another_path(Fault::Redirect { code: 308, to: "/elsewhere".into() }, RedirectRefused, "a redirect to another path, ")]
#[case::no_answer(Fault::NoAnswer, Unreachable, "localhost gave no complete answer within 6 s")]
#[tokio::test]
async fn a_fault_is_named_repeated_in_equal_words_and_over_with_the_next_poll(
    #[case] fault: Fault,
    #[case] kind: FailureKind,
    #[case] words: &str,
    #[values(false, true)] http2: bool,
) {
    suffer(fault, kind, words, http2).await;
}

#[rstest::rstest]
#[case::reset(Fault::Reset, "localhost reset the connection")]
#[case::many_headers(Fault::ManyHeaders(10_000), "the headers of localhost's reply are too large")]
#[case::huge_header(Fault::HugeHeader(1 << 20), "the headers of localhost's reply are too large")]
#[case::not_http(Fault::RawReply(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), "the reply of localhost breaks HTTP")]
#[case::http_0_9(Fault::RawReply(b"{\"status\":{}}".to_vec()), "localhost")]
#[case::nothing(Fault::RawReply(Vec::new()), "localhost closed the connection before it had answered")]
#[case::half_a_head(Fault::RawReply(b"HTTP/1.1 200 OK\r\nContent-".to_vec()), "localhost closed the connection before it had answered")]
#[case::two_lengths(Fault::RawReply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}{".to_vec()), "the reply of localhost breaks HTTP")]
#[tokio::test]
async fn a_fault_of_http_1_is_so_too(#[case] fault: Fault, #[case] words: &str) {
    suffer(fault, Unreachable, words, false).await;
}

#[rstest::rstest]
#[case::reset(Fault::Reset, "localhost reset the connection")]
#[case::many_headers(Fault::ManyHeaders(10_000), "the reply of localhost breaks HTTP")]
#[case::huge_header(Fault::HugeHeader(1 << 20), "the reply of localhost breaks HTTP")]
#[case::broken_off(Fault::RawReply(Vec::new()), "localhost broke off its answer (HTTP/2 PROTOCOL_ERROR)")]
#[tokio::test]
async fn a_fault_of_http_2_is_so_too(#[case] fault: Fault, #[case] words: &str) {
    suffer(fault, Unreachable, words, true).await;
}

#[tokio::test]
async fn a_connection_of_http_2_whose_other_end_has_vanished_is_not_used_again() {
    let bed = Bed::over(true).await;
    bed.simulator.fault(Fault::Freeze, Matcher::any(), 1);
    assert!(bed.poll().await.is_ok());
    tokio::time::sleep(FROZEN).await;
    let began = Instant::now();
    let failure = bed.failure().await;
    assert_eq!(failure.kind, Unreachable);
    assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
    assert_eq!(bed.poll().await.unwrap().state, State::Running, "by another connection");
    assert_eq!((bed.simulator.connections(), bed.requests().len()), (2, 2));
}

/// Polls twice into the `fault`, and once after it.
async fn suffer(fault: Fault, kind: FailureKind, words: &str, http2: bool) {
    let bed = Bed::over(http2).await;
    bed.simulator.fault(fault, Matcher::any(), 2);
    let began = Instant::now();
    let failure = bed.failure().await;
    assert!(began.elapsed() < TIMEOUT + Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(words), "{failure}");
    assert!(failure.message.starts_with("Open Telekom Cloud"), "{failure}");
    assert_eq!(bed.failure().await, failure);
    assert_eq!(bed.poll().await.unwrap().state, State::Running);
    assert_eq!(bed.requests().len(), 3, "one request a poll, whatever happens");
}

#[rstest::rstest]
#[case::bom(Fault::Bom)]
#[case::ten_thousand_levels(Fault::DeepNesting(10_000))]
#[case::nearly_a_mebibyte(Fault::HugeBody((1 << 20) - 1000))]
#[case::control_characters(Fault::ControlCharacters)]
#[case::lone_surrogate(Fault::LoneSurrogate)]
#[case::ninety_headers(Fault::ManyHeaders(90))]
#[case::long_header(Fault::HugeHeader(16 << 10))]
#[tokio::test]
async fn what_is_only_odd_is_read(#[case] fault: Fault, #[values(false, true)] http2: bool) {
    let bed = Bed::over(http2).await;
    bed.simulator.fault(fault, Matcher::any(), 1);
    assert_eq!(bed.poll().await.unwrap().state, State::Running);
}

#[rstest::rstest]
#[case::out_of_range(r#""n":1e999"#)]
#[case::too_long(r#""n":123456789012345678901234567890"#)]
#[case::not_a_number(r#""n":NaN,"m":-Infinity"#)]
#[tokio::test]
async fn a_number_nobody_reads_spoils_nothing(#[case] members: &str) {
    let bed = Bed::new().await;
    let reply = format!(r#"{{"kind":"Job","metadata":{{"uid":"{JOB}"}},"status":{{"phase":"Success"}},{members}}}"#);
    bed.simulator.put(job(JOB).stage(Stage::raw(reply)));
    assert_eq!(bed.poll().await.unwrap().state, State::Succeeded);
}

#[tokio::test]
async fn a_token_in_a_good_reply_does_not_get_out() {
    let bed = Bed::new().await;
    let reply = format!(
        r#"{{"kind":"Job","metadata":{{"uid":"{JOB}"}},"spec":{{"type":"{TOKEN}","subJobs":[{{"metadata":{{"uid":"{TOKEN}"}},"spec":{{"type":"x"}},"status":{{"phase":"Failed","reason":"token {TOKEN}"}}}}]}},"status":{{"phase":"Failed","reason":"bad {TOKEN}"}}}}"#
    );
    bed.simulator.put(job(JOB).stage(Stage::raw(reply)));
    let observation = format!("{:?}", bed.poll().await.unwrap());
    assert!(observation.contains("bad [redacted]") && !observation.contains(TOKEN), "{observation}");
}

#[rstest::rstest]
#[case::expired(Listener::ExpiredCertificate, "the certificate of localhost has expired")]
#[case::wrong_host(Listener::WrongHost, "the certificate of localhost is for another host")]
#[case::self_signed(Listener::SelfSigned, "put the authority's certificate into the Secret's key ca.crt")]
#[case::reset(Listener::ResetAfterAccept, "localhost reset the connection")]
#[case::plain_http(Listener::PlainHttp, "localhost does not speak TLS")]
#[case::silent(Listener::Silent, "no connection to localhost within 2 s")]
#[case::go_away(Listener::GoAway, "localhost reset the connection")]
#[tokio::test]
async fn a_broken_transport_is_explained_in_equal_words(#[case] listener: Listener, #[case] words: &str) {
    let mut bed = Bed::new().await;
    let port = bed.listen(listener).await;
    let failure = bed.failure().await;
    assert_eq!(failure.kind, Unreachable, "{failure}");
    assert!(failure.message.starts_with("Open Telekom Cloud CCE cannot be reached: "), "{failure}");
    assert!(failure.message.contains(words), "{failure}");
    assert!(!failure.message.contains(&port.to_string()), "{failure}");
    assert_eq!(bed.failure().await, failure);
    assert_eq!(bed.simulator.connections_to(port), 2, "each poll tries once");
    assert!(bed.requests().is_empty(), "no credential is sent");
}

/// A server whose own certificate says that it is an authority's, put into `ca.crt` as it is.
#[rstest::rstest]
#[case::as_it_is(Listener::SelfSignedCa, None)]
#[case::expired(Listener::ExpiredSelfSignedCa, Some("the certificate of localhost has expired"))]
#[case::for_another_host(Listener::WrongHostSelfSignedCa, Some("the certificate of localhost is for another host"))]
#[tokio::test]
async fn a_servers_own_certificate_is_trusted_for_its_names_and_its_time(
    #[case] listener: Listener,
    #[case] words: Option<&str>,
) {
    let mut bed = Bed::new().await;
    let port = bed.listen(listener).await;
    assert_eq!(bed.failure().await.kind, Unreachable, "the authority is another");
    let own = bed.simulator.certificate(port).unwrap();
    bed.connection.ca = Some(format!("{}{own}", bed.simulator.ca_pem()).as_str().into());
    let result = bed.poll().await;
    match words {
        None => assert_eq!(result.unwrap().state, State::Running),
        Some(words) => assert!(result.unwrap_err().message.contains(words)),
    }
    let other = bed.listen(Listener::SelfSigned).await;
    bed.connection.ca = Some(bed.simulator.certificate(other).unwrap().as_str().into());
    bed.connection.endpoint = format!("https://localhost:{port}");
    assert_eq!(bed.failure().await.kind, Unreachable, "another server's certificate is not this one's");
}

#[tokio::test]
async fn a_closed_port_refuses_the_connection() {
    let mut bed = Bed::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bed.connection.endpoint = format!("https://127.0.0.1:{}", free.port());
    let failure = bed.failure().await;
    assert_eq!(failure.kind, Unreachable);
    assert_eq!(failure.message, "Open Telekom Cloud CCE cannot be reached: 127.0.0.1 refuses the connection");
}

#[rstest::rstest]
#[case::no_further_authority(None, Unreachable, "the Secret's key ca.crt")]
#[case::not_pem(Some("garbage"), CredentialsIncomplete, "the Secret's key ca.crt holds no certificate")]
#[tokio::test]
async fn without_the_authority_nothing_is_sent(
    #[case] ca: Option<&str>,
    #[case] kind: FailureKind,
    #[case] words: &str,
) {
    let mut bed = Bed::new().await;
    bed.connection.ca = ca.map(Into::into);
    let failure = bed.failure().await;
    assert_eq!(failure.kind, kind);
    assert!(failure.message.contains(words), "{failure}");
    assert!(bed.requests().is_empty());
}

#[rstest::rstest]
#[case::name("localhost", "the name of a loopback address")]
#[case::address("127.0.0.1", "127.0.0.1 is a loopback address")]
#[case::other_spelling("0x7f.1", "127.0.0.1 is a loopback address")]
#[case::not_allowed(
    "127.0.0.2",
    " is not an allowed host of Open Telekom Cloud CCE (api, bms, cce, ecs, evs, iam, iam-pub, ims, ucs below otc.t-systems.com)"
)]
#[tokio::test]
async fn an_internal_address_is_refused_before_a_connection(#[case] host: &str, #[case] words: &str) {
    let mut bed = Bed::with(Options { allow_private_addresses: Vec::new(), ..options() }).await;
    bed.connection.endpoint = format!("https://{host}:{}", bed.simulator.port());
    let failure = bed.poll().await.unwrap_err();
    assert_eq!(failure.kind, EndpointRefused, "{failure}");
    assert!(failure.message.contains(words), "{failure}");
    assert!(failure.message.contains("the Secret's key endpoint"), "{failure}");
    assert_eq!(bed.simulator.connections(), 0);
}

#[rstest::rstest]
#[case::numspot(json!({"numspotKubernetes": {"region": "r", "spaceId": "s"}}), "NumSpot", "urn:numspot:errors#resource_not_found")]
#[case::cce(json!({"huaweiCceUpgrade": {"region": "r", "projectId": "p", "clusterId": "c"}}), "Huawei Cloud CCE", "CCE.")]
#[case::ucs(json!({"huaweiUcsFederation": {}}), "Huawei Cloud UCS", "UCS.")]
#[case::otc(json!({"otcCceJob": {"region": "r", "projectId": "p"}}), "Open Telekom Cloud CCE", "CCE.")]
#[case::sbercloud(json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "i"}}), "SberCloud", "5 ")]
#[tokio::test]
async fn each_clouds_own_words_for_an_unknown_id_a_wrong_path_and_a_wrong_token_are_told_apart(
    #[case] spec: serde_json::Value,
    #[case] cloud: &str,
    #[case] code: &str,
) {
    let mut bed = Bed::new().await;
    bed.provider = provider(spec);
    bed.operation_id = "unknown".to_owned();
    let unknown = bed.failure().await;
    assert_eq!(unknown.kind, NotFound, "{unknown}");
    assert!(unknown.message.contains(&format!("answered 404 ({code}")), "{unknown}");
    bed.simulator.fault(Fault::NoSuchPath, Matcher::any(), 1);
    let nowhere = bed.failure().await;
    assert_eq!(nowhere.kind, EndpointRefused, "{nowhere}");
    bed.simulator.fault(throttled(503, "1", false), Matcher::any(), 1);
    let mut throttled = bed.failure().await;
    assert_eq!(throttled.kind, Throttled, "{throttled}");
    bed.connection.credential = ReadyToken("expired".into()).into();
    throttled = bed.failure().await;
    assert_eq!(throttled.kind, Unauthorized, "{throttled}");
    for failure in [unknown, nowhere, throttled] {
        assert!(failure.message.starts_with(cloud), "{failure}");
    }
}

#[tokio::test]
async fn the_right_of_an_account_is_forbidden_not_unauthorized() {
    let mut bed = Bed::new().await;
    bed.simulator.account(Account::new("guest").token("guest-token").may_see("other"));
    bed.connection.credential = ReadyToken("guest-token".into()).into();
    assert_eq!(bed.failure().await.kind, Forbidden);
}

#[rstest::rstest]
#[case::seconds(429, "7", 7..=7)]
#[case::unavailable(503, "7", 7..=7)]
#[case::zero(429, "0", 1..=10)]
#[case::negative(429, "-1", 1..=10)]
#[case::garbage(429, "soon", 1..=10)]
#[case::garbage_with_503(503, "soon", 1..=10)]
#[case::far(429, "1000000000", 900..=900)]
#[case::past(429, "Sun, 06 Nov 1994 08:49:37 GMT", 1..=10)]
#[case::far_date(503, "Fri, 01 Jan 2100 00:00:00 GMT", 900..=900)]
#[tokio::test]
async fn a_throttled_account_pauses_as_a_whole(
    #[case] status: u16,
    #[case] retry_after: &str,
    #[case] seconds: std::ops::RangeInclusive<u64>,
    #[values(false, true)] twice: bool,
) {
    let mut bed = Bed::new().await;
    let other = "f6f1f3a5-229a-11e8-9c75-0255ac100ceb";
    bed.simulator.put(job(other).stage(Stage::state("Running")));
    bed.simulator.fault(throttled(status, retry_after, twice), Matcher::any(), 1);
    let asked = Instant::now();
    assert_eq!(bed.failure().await.kind, Throttled);
    let refused = Instant::now();
    bed.operation_id = other.to_owned();
    for asker in ["a", "b", "c"] {
        let Asked::Later(Later::At(at)) = bed.ask(asker, Duration::ZERO).await else {
            panic!("the account does not pause")
        };
        let (longest, shortest) = ((at - asked).as_secs_f64(), (at - refused).as_secs_f64());
        assert!(longest >= *seconds.start() as f64, "{longest}");
        assert!(shortest <= *seconds.end() as f64 + 2.0, "{shortest}");
    }
    assert_eq!(bed.requests().len(), 1);
    bed.simulator.grant_token("another-account");
    bed.connection.credential = ReadyToken("another-account".into()).into();
    assert!(bed.poll().await.is_ok(), "another account does not pause");
}

#[tokio::test]
async fn a_request_looks_like_the_vendors_own() {
    let bed = Bed::new().await;
    bed.poll().await.unwrap();
    let requests = bed.requests();
    let header = |name| requests[0].header(name);
    assert_eq!(requests[0].method, "GET");
    assert_eq!(requests[0].path_and_query, format!("/api/v3/projects/p/jobs/{JOB}"));
    assert_eq!(header("x-auth-token"), Some(TOKEN));
    assert_eq!(header("authorization"), None);
    assert_eq!(header("accept"), Some("application/json"));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("accept-encoding"), Some("identity"));
    assert!(header("user-agent").is_some_and(|agent| agent.starts_with("cloudop/")));
}

/// Six accounts ask at the same moment, the first with a token of this many bytes. What they learn.
async fn six_accounts(bed: &Bed, token: usize) -> Vec<Result<Observation, PollFailure>> {
    let tokens = (0..6).map(|n| if n == 0 { "x".repeat(token) } else { format!("token-{n}") });
    let asked = tokens.map(|token| async move {
        bed.simulator.grant_token(&token);
        let connection = Connection { credential: ReadyToken(token.clone().into()).into(), ..bed.connection.clone() };
        match bed.ask_as(connection, JOB, &token, Duration::ZERO).await {
            Asked::Answered(Answer { result, .. }) => result,
            Asked::Later(later) => panic!("{later:?}"),
        }
    });
    futures::future::join_all(asked).await
}

#[tokio::test]
async fn an_account_with_large_headers_ends_nobodys_connection_but_its_own() {
    let bed = Bed::over(true).await;
    bed.simulator.longest_headers(Some(8 << 10));
    bed.simulator.latency(Duration::from_millis(200));
    for _ in 0..2 {
        let results = six_accounts(&bed, 20_000).await;
        assert!(results[0].is_err(), "the cloud takes no such headers");
        assert!(results[1..].iter().all(Result::is_ok), "{results:?}");
    }
}

#[tokio::test]
async fn an_account_whose_connection_was_ended_has_its_own_from_then_on() {
    let bed = Bed::over(true).await;
    bed.simulator.longest_headers(Some(2 << 10));
    bed.poll().await.unwrap();
    bed.simulator.latency(Duration::from_millis(200));
    let first = six_accounts(&bed, 3_000).await;
    assert!(first.iter().filter(|result| result.is_err()).count() > 1, "they shared a connection: {first:?}");
    let second = six_accounts(&bed, 3_000).await;
    assert!(second[0].is_err(), "the cloud takes no such headers");
    assert!(second[1..].iter().all(Result::is_ok), "{second:?}");
}

#[rstest::rstest]
#[tokio::test]
async fn a_hundred_polls_share_one_connection(#[values(false, true)] http2: bool) {
    let bed = Bed::over(http2).await;
    for _ in 0..100 {
        bed.poll().await.unwrap();
    }
    assert_eq!((bed.requests().len(), bed.simulator.connections()), (100, 1));
}

#[tokio::test]
async fn equal_questions_at_once_are_one_request_and_so_is_one_soon_after() {
    let bed = Bed::new().await;
    bed.simulator.latency(Duration::from_millis(200));
    let askers: Vec<String> = (0..16).map(|n| n.to_string()).collect();
    let outcomes = futures::future::join_all(askers.iter().map(|asker| bed.ask(asker, Duration::from_secs(10)))).await;
    let mut arrivals = Vec::new();
    for outcome in outcomes {
        let Asked::Answered(Answer { result, at, shared }) = outcome else { panic!("over budget") };
        assert_eq!(result.unwrap().state, State::Running);
        arrivals.push((at, shared));
    }
    assert_eq!(arrivals.iter().filter(|(_, shared)| !shared).count(), 1);
    assert!(arrivals.iter().all(|(at, _)| *at == arrivals[0].0));
    let Asked::Answered(Answer { at, shared, .. }) = bed.ask("late", Duration::from_secs(10)).await else {
        panic!("over budget")
    };
    assert_eq!((at, shared), (arrivals[0].0, true));
    assert_eq!(bed.requests().len(), 1);
    bed.poll().await.unwrap();
    assert_eq!(bed.requests().len(), 2, "who wants news gets news");
}

#[tokio::test]
async fn another_token_never_gets_anothers_answer() {
    let mut bed = Bed::new().await;
    let hour = Duration::from_secs(3600);
    assert!(matches!(bed.ask("a", hour).await, Asked::Answered(Answer { result: Ok(_), .. })));
    bed.connection.credential = ReadyToken("guessed".into()).into();
    let Asked::Answered(Answer { result, shared, .. }) = bed.ask("b", hour).await else { panic!("over budget") };
    assert_eq!((result.unwrap_err().kind, shared), (Unauthorized, false));
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited_and_by_no_one_later() {
    let bed = Bed::new().await;
    bed.simulator.latency(Duration::from_millis(200));
    bed.simulator.fault(Fault::ServerError { status: 500 }, Matcher::any(), 1);
    let hour = Duration::from_secs(3600);
    let (first, second) = futures::join!(bed.ask("a", hour), bed.ask("b", hour));
    for outcome in [first, second] {
        let Asked::Answered(Answer { result, .. }) = outcome else { panic!("over budget") };
        assert_eq!(result.unwrap_err().kind, ServerError);
    }
    assert!(bed.poll().await.is_ok());
    assert_eq!(bed.requests().len(), 2);
}

#[tokio::test]
async fn an_account_over_budget_waits_its_turn() {
    // Of one project they would share a list.
    let project = |n: u32| provider(json!({"otcCceJob": {"region": "eu-de", "projectId": format!("p{n}")}}));
    let mut bed = Bed::with(Options { requests_per_second: 2.0, burst: 3, ..options() }).await;
    let (mut answered, mut waiting) = (0, Vec::new());
    for n in 0..8 {
        bed.provider = project(n);
        match bed.ask(&n.to_string(), Duration::ZERO).await {
            Asked::Answered(_) => answered += 1,
            Asked::Later(Later::At(at)) => waiting.push((n, at)),
            Asked::Later(later) => panic!("{later:?}"),
        }
    }
    assert_eq!(bed.requests().len(), answered);
    assert!((3..=5).contains(&answered), "{answered} at once");
    for (n, at) in waiting {
        bed.provider = project(n);
        tokio::time::sleep_until(at.into()).await;
        let outcome = bed.ask(&n.to_string(), Duration::ZERO).await;
        assert!(matches!(outcome, Asked::Answered(_)), "the ticket holds");
    }
    assert_eq!(bed.requests().len(), 8);
}

fn numspot(bed: &mut Bed, operations: usize) {
    bed.simulator.numspot(NumspotApi::V1ListOnly);
    bed.provider = provider(json!({"numspotKubernetes": {"region": "r", "spaceId": "s", "clusterId": "c"}}));
    for n in 0..operations {
        let id = format!("op-{n:04}");
        let stage = Stage::state("RUNNING");
        bed.simulator.put(Operation::new(Cloud::NumspotKubernetes, Scope::numspot("s", "c"), id).stage(stage));
    }
}

#[rstest::rstest]
#[case::first_page(49, 1)]
#[case::second_page(50, 2)]
#[case::last_page(119, 3)]
#[tokio::test]
async fn a_list_is_followed_to_the_page_with_the_operation(#[case] index: usize, #[case] pages: usize) {
    let mut bed = Bed::with(Options { burst: 2, requests_per_second: 0.1, ..options() }).await;
    numspot(&mut bed, 120);
    bed.operation_id = format!("op-{index:04}");
    assert_eq!(bed.poll().await.unwrap().state, State::Running);
    assert_eq!(bed.requests().len(), pages);
    let outcome = bed.ask("another", Duration::from_secs(60)).await;
    assert!(matches!(outcome, Asked::Answered(Answer { result: Ok(_), shared: true, .. })), "{outcome:?}");
    assert_eq!(bed.requests().len(), pages);
}

#[tokio::test]
async fn an_operation_on_no_page_is_not_found_and_an_endless_list_is_given_up() {
    let mut bed = Bed::new().await;
    numspot(&mut bed, 60);
    bed.operation_id = "unknown".to_owned();
    let failure = bed.failure().await;
    assert_eq!((failure.kind, failure.message.as_str()), (NotFound, "NumSpot lists no such operation"));
    bed.simulator.reset_counts();
    bed.simulator.fault(status(200, &[], r#"{"items":[],"nextPageToken":"again"}"#), Matcher::any(), Times::Forever);
    let failure = bed.failure().await;
    assert_eq!(failure.kind, InvalidResponse);
    assert!(failure.message.contains("40 pages"), "{failure}");
    assert!(bed.requests().len() <= 40);
}

/// A collection of `number` running operations in the cloud that `spec` is of, with IDs from op-0000 on.
async fn collection(spec: serde_json::Value, cloud: Cloud, scope: Scope, number: usize) -> Bed {
    let mut bed = Bed::new().await;
    bed.provider = provider(spec);
    for n in 0..number {
        let stage = Stage::state("Running");
        bed.simulator.put(Operation::new(cloud, scope.clone(), format!("op-{n:04}")).stage(stage));
    }
    bed
}

async fn tasks(number: usize) -> Bed {
    let spec = json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "i"}});
    collection(spec, Cloud::SbercloudOpenshiftTask, Scope::sbercloud("i"), number).await
}

fn paths(bed: &Bed) -> Vec<String> {
    bed.requests().iter().map(|request| request.path_and_query.clone()).collect()
}

#[rstest::rstest]
#[case::sbercloud(
    json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "i"}}),
    Cloud::SbercloudOpenshiftTask,
    Scope::sbercloud("i"),
    "/openshift/v1/i/tasks"
)]
#[case::otc(
    json!({"otcCceJob": {"region": "r", "projectId": "q"}}),
    Cloud::OtcCceJob,
    Scope::otc("q"),
    "/api/v2/projects/q/jobs"
)]
#[case::huawei(
    json!({"huaweiCceUpgrade": {"region": "r", "projectId": "q", "clusterId": "c"}}),
    Cloud::HuaweiCceUpgrade,
    Scope::cce("q", "c"),
    "/api/v3/projects/q/clusters/c/operation/upgradeworkflows"
)]
#[tokio::test]
async fn several_operations_of_one_collection_cost_one_list_request(
    #[case] spec: serde_json::Value,
    #[case] cloud: Cloud,
    #[case] scope: Scope,
    #[case] list: &str,
) {
    let bed = collection(spec, cloud, scope, 30).await;
    let alone = bed.follow("op-0000").await.unwrap();
    for n in 1..30 {
        assert_eq!(bed.follow(&format!("op-{n:04}")).await.unwrap().state, State::Running);
    }
    assert_eq!(paths(&bed), [format!("{}/op-0000", list.replace("/v2/", "/v3/")), list.to_owned()]);
    let listed = bed.follow("op-0000").await.unwrap();
    assert_eq!((listed.state, &listed.upstream_state), (alone.state, &alone.upstream_state));
    assert_eq!((listed.operation_type, listed.target.id), (alone.operation_type, alone.target.id));
    assert_eq!(bed.requests().len(), 2);
}

#[tokio::test]
async fn who_come_at_the_same_moment_are_served_by_one_list_from_the_first() {
    let spec = json!({"sbercloudOpenshiftTask": {"serviceInstanceId": "i"}});
    let bed = collection(spec, Cloud::SbercloudOpenshiftTask, Scope::sbercloud("i"), 10).await;
    let ids: Vec<String> = (0..10).map(|n| format!("op-{n:04}")).collect();
    for followed in futures::future::join_all(ids.iter().map(|id| bed.follow(id))).await {
        assert_eq!(followed.unwrap().state, State::Running);
    }
    assert_eq!(paths(&bed), ["/openshift/v1/i/tasks"]);
}

#[tokio::test]
async fn an_operation_that_a_list_lacks_is_asked_for_alone_before_it_counts_as_not_found() {
    let bed = tasks(3).await;
    for id in ["op-0000", "op-0001", "op-0002"] {
        bed.follow(id).await.unwrap();
    }
    bed.simulator.reset_counts();
    assert_eq!(bed.follow("unknown").await.unwrap_err().kind, NotFound);
    assert_eq!(paths(&bed), ["/openshift/v1/i/tasks/unknown"], "the list was fresh and lacks it");
    let _short = bed.simulator.fault(status(200, &[], r#"{"tasks":[]}"#), Matcher::lists(), Times::Forever);
    assert_eq!(bed.ask_for("op-0002", "op-0002", Duration::ZERO).await.state(), State::Running);
    bed.simulator.reset_counts();
    assert_eq!(bed.ask_for("op-0002", "op-0002", Duration::ZERO).await.state(), State::Running);
    assert_eq!(paths(&bed), ["/openshift/v1/i/tasks/op-0002"], "it is not looked for there again so soon");
}

#[rstest::rstest]
#[case::forbidden(status(403, &[], r#"{"code":7,"message":"no"}"#), "Forbidden")]
#[case::not_served(Fault::NoSuchPath, "EndpointRefused")]
#[case::broken(Fault::ServerError { status: 500 }, "ServerError")]
#[case::garbage(Fault::Html, "InvalidResponse")]
#[case::another_shape(status(200, &[], r#"{"items":[]}"#), "InvalidResponse")]
#[case::too_large(Fault::HugeBody(2 << 20), "InvalidResponse")]
#[tokio::test]
async fn a_list_that_cannot_be_used_is_no_fault_of_its_operations(#[case] fault: Fault, #[case] reason: &str) {
    let bed = tasks(3).await;
    let _fault = bed.simulator.fault(fault, Matcher::lists(), Times::Forever);
    for id in ["op-0000", "op-0001", "op-0002"] {
        assert_eq!(bed.follow(id).await.unwrap().state, State::Running);
    }
    let alone = |n| format!("/openshift/v1/i/tasks/op-000{n}");
    assert_eq!(paths(&bed), [alone(0), "/openshift/v1/i/tasks".to_owned(), alone(1), alone(2)]);
    let metrics = bed.metrics.encode([]).unwrap();
    let line = format!("cloudop_list_fallbacks_total{{provider=\"sbercloudOpenshiftTask\",reason=\"{reason}\"}} 1");
    assert!(metrics.contains(&line), "{metrics}");
}

#[tokio::test]
async fn a_network_fault_is_not_multiplied_by_asking_one_by_one() {
    let bed = tasks(3).await;
    for id in ["op-0000", "op-0001"] {
        bed.follow(id).await.unwrap();
    }
    bed.simulator.reset_counts();
    let _fault = bed.simulator.fault(Fault::Reset, Matcher::any(), Times::Forever);
    assert_eq!(bed.ask_for("op-0001", "op-0001", Duration::ZERO).await.failure().kind, Unreachable);
    assert_eq!(paths(&bed), ["/openshift/v1/i/tasks"]);
}

/// What an outcome holds that must be an answer.
trait Outcome {
    fn state(self) -> State;
    fn failure(self) -> PollFailure;
}

impl Outcome for Asked {
    fn state(self) -> State {
        match self {
            Asked::Answered(Answer { result, .. }) => result.unwrap().state,
            Asked::Later(_) => panic!("over budget"),
        }
    }

    fn failure(self) -> PollFailure {
        match self {
            Asked::Answered(Answer { result, .. }) => result.unwrap_err(),
            Asked::Later(_) => panic!("over budget"),
        }
    }
}

#[rstest::rstest]
#[case(Options { allow_hosts: vec!["https://x.example".into()], ..Options::default() }, "--allow-host")]
#[case(Options { requests_per_second: 0.0, ..Options::default() }, "rate")]
#[case(Options { requests_per_second: f64::NAN, ..Options::default() }, "rate")]
#[case(Options { burst: 0, ..Options::default() }, "burst")]
fn an_unusable_option_is_refused_at_the_start(#[case] options: Options, #[case] words: &str) {
    assert!(Upstream::new(options).unwrap_err().to_string().contains(words));
}
