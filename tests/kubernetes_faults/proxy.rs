//! A proxy before the API server that refuses a request, or passes it on and loses the answer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cloudop_testbed::ControlPlane;
use futures::stream;
use kube::config::Kubeconfig;
use kube::{Client, Config};
use serde_json::json;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    /// It is done, and the connection ends before the answer.
    LoseAnswer,
    /// It is answered with this status, and not passed on.
    Refuse(u16),
}

/// Decides by method, path and body.
pub type Decide = dyn Fn(&str, &str, &str) -> Fate + Send + Sync;

/// A running proxy; it lives as long as the test.
pub struct Proxy {
    pub kubeconfig: PathBuf,
    /// Method, path and fate of all that was not passed.
    pub log: Arc<Mutex<Vec<(String, String, Fate)>>>,
}

#[derive(Clone)]
struct Shared {
    client: Client,
    decide: Arc<Decide>,
    log: Arc<Mutex<Vec<(String, String, Fate)>>>,
}

impl Proxy {
    pub fn start(
        cluster: &ControlPlane,
        name: &str,
        decide: impl Fn(&str, &str, &str) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let (port, address) = std::sync::mpsc::channel();
        let (source, decide, shared_log) = (cluster.kubeconfig().to_owned(), Arc::new(decide), Arc::clone(&log));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let shared = Shared { client: client(&source).await, decide, log: shared_log };
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                port.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, Router::new().fallback(answer).with_state(shared)).await.unwrap();
            });
        });
        let kubeconfig = cluster.folder().join(format!("{name}.proxied"));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxied",
            "clusters": [{"name": "proxied", "cluster": {"server": format!("http://{}", address.recv().unwrap())}}],
            "users": [{"name": "proxied", "user": {}}],
            "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "proxied"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        Self { kubeconfig, log }
    }

    /// How many requests had another fate than to pass.
    pub fn count(&self) -> usize {
        self.log.lock().unwrap().len()
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 4 << 20).await.unwrap();
    let (method, path) = (parts.method.to_string(), parts.uri.to_string());
    let fate = (shared.decide)(&method, &path, &String::from_utf8_lossy(&body));
    if fate != Fate::Pass {
        shared.log.lock().unwrap().push((method, path, fate));
    }
    if let Fate::Refuse(status) = fate {
        let said = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "refused by the test",
                          "reason": "Test", "code": status});
        return (StatusCode::from_u16(status).unwrap(), said.to_string()).into_response();
    }
    // The client knows the way.
    parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
    parts.headers.remove("host");
    let request = axum::http::Request::from_parts(parts, kube::client::Body::from(body));
    match shared.client.send(request).await {
        Ok(_) if fate == Fate::LoseAnswer => {
            let end = stream::iter([Err::<&str, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))]);
            Response::builder().header("content-length", "1000").body(Body::from_stream(end)).unwrap()
        }
        Ok(response) => response.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
