//! Traces, where they are asked for: a collector on loopback gets a span for each poll, and nothing of what is secret or
//! of what the cloud said.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use cloudop_simulator::{Cloud, Fault, Matcher, Operation, Scope, Stage, Times};
use cloudop_testbed::{Bed, SECRET, TOKEN};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

const ID: &str = "354331b2-229a-11e8-9c75-0255ac100ceb";
const OTC: &str = "otcCceJob: {region: eu-de, projectId: p1}";
/// Stands in all that the cloud says.
const CANARY: &str = "c4nary";

fn bed() -> Bed {
    Bed::new(env!("CARGO_BIN_EXE_cloudop-controller"))
}

/// A collector; each batch comes as it was sent.
fn collector() -> (SocketAddr, Receiver<Bytes>) {
    let (send, received) = channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let take = post(move |batch: Bytes| async move { send.send(batch).unwrap() });
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, Router::new().route("/v1/traces", take)).await.unwrap();
        });
    });
    (address, received)
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let value = attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| attribute.value.as_ref());
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

/// The spans of a batch, which all come from this program.
fn spans(batch: &Bytes) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(&batch[..]).unwrap();
    for resource in &request.resource_spans {
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        assert_eq!(text(attributes, "service.name"), "cloudop");
        assert_eq!(text(attributes, "service.version"), env!("CARGO_PKG_VERSION"));
    }
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// A job that says the canary wherever it can, answers with a fault once, and then succeeds.
fn talkative_job(bed: &Bed) {
    let life =
        Operation::new(Cloud::OtcCceJob, Scope::otc("p1"), ID).stage(Stage::state("Running").error("c4nary", CANARY));
    let key = bed.simulator.put(life.stage(Stage::state("Success").progress(CANARY)));
    bed.secret(SECRET, &[("token", TOKEN)]);
    bed.apply(&Bed::operation("job-c4nary", OTC, ID, "pollIntervalSeconds: 1"));
    bed.until_reason("job-c4nary", "Succeeded", "Running");
    bed.simulator.fault(Fault::ServerError { status: 500 }, Matcher::any(), Times::Exactly(1));
    std::thread::sleep(Duration::from_secs(3));
    bed.simulator.advance(&key);
    bed.until_reason("job-c4nary", "Succeeded", "OperationSucceeded");
}

#[test]
fn each_poll_is_a_span_with_provider_and_outcome_and_nothing_else() {
    let bed = bed();
    let (address, received) = collector();
    let controller = bed.controller(&["--otlp-endpoint", &format!("http://{address}/"), "--log", "trace"]);
    talkative_job(&bed);
    // What is still in hand is sent before the end.
    assert!(controller.terminate().unwrap().success());
    let batches: Vec<Bytes> = received.try_iter().collect();
    let spans: Vec<Span> = batches.iter().flat_map(spans).collect();
    let (later, spans): (Vec<Span>, Vec<Span>) =
        spans.into_iter().partition(|span| text(&span.attributes, "outcome") == "Later");
    // Before the first poll it lets others come that may be in one list with it.
    assert!(later.len() <= 1, "{later:#?}");
    let asked = bed.simulator.requests().len();
    assert_eq!(spans.len(), asked, "{spans:#?}");
    let outcomes: Vec<&str> = spans.iter().map(|span| text(&span.attributes, "outcome")).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "ServerError").count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "PollSucceeded").count(), asked - 1, "{outcomes:?}");
    for span in &spans {
        assert_eq!((span.name.as_str(), text(&span.attributes, "provider")), ("poll", "otcCceJob"));
        assert!(span.end_time_unix_nano > span.start_time_unix_nano && span.events.is_empty(), "{span:#?}");
    }
    for batch in &batches {
        let sent = String::from_utf8_lossy(batch);
        for unwanted in [TOKEN, CANARY, ID, &bed.namespace, bed.simulator.url().as_str()] {
            assert!(!sent.contains(unwanted), "{unwanted} is in {sent:?}");
        }
    }
}

#[test]
fn a_collector_that_is_away_holds_up_neither_polls_nor_the_end() {
    let bed = bed();
    // Whoever connects is never answered.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", mute.local_addr().unwrap());
    let controller = bed.controller(&["--otlp-endpoint", &endpoint]);
    talkative_job(&bed);
    let told = std::time::Instant::now();
    assert!(controller.terminate().unwrap().success());
    assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
}
