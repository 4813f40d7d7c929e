//! Probes and metrics over plain HTTP, for the kubelet and Prometheus. Whoever reaches the port can have no more than a
//! few connections, and not for long.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::clock;
use crate::controller::Context;

const LIMITS: Limits = Limits { connections: 64, head: Duration::from_secs(5), whole: Duration::from_secs(60) };
/// How long metrics are good once they are rendered: that goes through all objects.
const RENDERED: Duration = Duration::from_secs(1);

/// What callers may have.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at once; others wait.
    connections: usize,
    /// Time for the head of a request.
    head: Duration,
    /// Time for a connection, all its requests included.
    whole: Duration,
}

/// What the answers are made of.
struct Served {
    context: Arc<Context>,
    rendered: Mutex<Option<(Instant, Bytes)>>,
}

/// Serves `/livez`, `/readyz` and `/metrics` until the process ends.
///
/// # Errors
/// When `address` cannot be listened on.
pub async fn serve(address: SocketAddr, context: Arc<Context>) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving probes and metrics");
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(Served { context, rendered: Mutex::default() }));
    answer(&listener, routes, LIMITS).await;
    Ok(())
}

/// Answers whoever calls, within `limits`.
async fn answer(listener: &TcpListener, routes: Router, limits: Limits) {
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((connection, _)) = listener.accept().await else {
            // Out of file descriptors, most likely.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(routes.clone());
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(limits.head);
        let served = server.serve_connection(TokioIo::new(connection), service);
        tokio::spawn(async move {
            let _place = place;
            // Whoever breaks off has nothing to be told.
            let _ = tokio::time::timeout(limits.whole, served).await;
        });
    }
}

async fn livez(State(served): State<Arc<Served>>) -> impl IntoResponse {
    match served.context.stuck() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
    }
}

async fn readyz(State(served): State<Arc<Served>>) -> impl IntoResponse {
    match served.context.unready() {
        None => (StatusCode::OK, "ok\n"),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let mut rendered = served.rendered.lock().unwrap_or_else(PoisonError::into_inner);
    let now = clock::monotonic();
    let text = match rendered.as_ref().filter(|(at, _)| now < *at + RENDERED) {
        Some((_, text)) => text.clone(),
        None => match served.context.metrics.encode(served.context.standings()) {
            Ok(text) => rendered.insert((now, text.into())).1.clone(),
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        },
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const SHORT: Limits = Limits { connections: 2, head: Duration::from_millis(300), whole: Duration::from_secs(30) };

    async fn server(limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(|| async { "hello" }));
        tokio::spawn(async move { answer(&listener, routes, limits).await });
        address
    }

    /// What comes back until the other end closes the connection.
    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn a_request_is_answered_and_one_that_never_ends_is_given_up() {
        let address = server(SHORT).await;
        assert!(exchange(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ends_with("hello"));
        let before = Instant::now();
        let _ = exchange(address, "GET / HTTP/1.1\r\nhost:").await;
        let took = before.elapsed();
        assert!(SHORT.head <= took && took < SHORT.whole, "it had its time: {took:?}");
    }

    #[tokio::test]
    async fn half_sent_requests_take_no_more_than_their_places_and_others_get_on_after_them() {
        let address = server(SHORT).await;
        let mut stalled = Vec::new();
        for _ in 0..6 {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            stalled.push(connection);
        }
        let before = Instant::now();
        assert!(exchange(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ends_with("hello"));
        let took = before.elapsed();
        // Six, two at a time.
        assert!(SHORT.head * 5 / 2 <= took && took < SHORT.whole, "{took:?}");
    }

    #[tokio::test]
    async fn whoever_keeps_a_connection_loses_it() {
        let limits = Limits { whole: Duration::from_millis(900), ..SHORT };
        let mut connection = TcpStream::connect(server(limits).await).await.unwrap();
        let before = Instant::now();
        let mut buffer = [0; 1024];
        loop {
            let sent = connection.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
            if sent.is_err() || connection.read(&mut buffer).await.unwrap_or(0) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(before.elapsed() >= limits.whole);
    }
}
