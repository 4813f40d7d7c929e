//! Probes and metrics over plain HTTP, for the kubelet and Prometheus.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::controller::Context;

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
        .with_state(context);
    axum::serve(listener, routes).await
}

async fn livez(State(context): State<Arc<Context>>) -> impl IntoResponse {
    match context.stuck() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
    }
}

async fn readyz(State(context): State<Arc<Context>>) -> impl IntoResponse {
    match context.unready() {
        None => (StatusCode::OK, "ok\n"),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

async fn metrics(State(context): State<Arc<Context>>) -> impl IntoResponse {
    let mut operations: HashMap<(String, String), i64> = HashMap::new();
    context.each_operation(|operation| {
        let phase = operation.status.as_ref().map(|status| status.phase).unwrap_or_default();
        let key = (operation.spec.provider.name().to_owned(), format!("{phase:?}"));
        *operations.entry(key).or_default() += 1;
    });
    match context.metrics.encode(operations) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text)
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], format!("{error}\n")),
    }
}
