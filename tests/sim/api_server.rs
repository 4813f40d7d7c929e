//! A model of the API server, under a real client: objects with versions, watches that lag, break and forget, requests and
//! answers that are lost.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service};

use crate::promises::Witness;
use crate::story::ServerFault;

pub const NAMESPACE: &str = "n";

/// What is sent back.
type Sent = UnsyncBoxBody<Bytes, BoxError>;

/// Where processes are told to die.
pub type Crashes = mpsc::UnboundedSender<u64>;

/// All that it knows.
pub struct Store {
    version: u64,
    uids: u64,
    pub objects: BTreeMap<String, Value>,
    /// What happened to CloudOperations: the version, what, and the object.
    history: Vec<(u64, &'static str, Value)>,
    /// What is older is forgotten.
    oldest: u64,
    /// Of the watches; one of an earlier number ends.
    generation: u64,
    pub events: BTreeMap<String, Value>,
    pub secrets: BTreeMap<String, Value>,
    pub calls: usize,
    faults: Vec<(usize, ServerFault)>,
    pub down_until: Option<Instant>,
    streams: bool,
    lag: Duration,
    news: watch::Sender<()>,
    pub witness: Witness,
}

/// It, as one process reaches it.
#[derive(Clone)]
pub struct ApiServer {
    store: Arc<Mutex<Store>>,
    process: u64,
    crashes: Crashes,
}

impl Store {
    pub fn new(streams: bool, lag: u64, faults: Vec<(usize, ServerFault)>, witness: Witness) -> Self {
        Self {
            version: 1,
            uids: 0,
            objects: BTreeMap::new(),
            history: Vec::new(),
            oldest: 0,
            generation: 0,
            events: BTreeMap::new(),
            secrets: BTreeMap::new(),
            calls: 0,
            faults,
            down_until: None,
            streams,
            lag: Duration::from_millis(lag),
            news: watch::Sender::new(()),
            witness,
        }
    }

    /// Creates a CloudOperation, as the API server would complete it.
    pub fn create(&mut self, name: &str, spec: Value, now: jiff::Timestamp) {
        self.uids += 1;
        let unseen = |kind: &str| {
            json!({"type": kind, "status": "Unknown", "reason": "Pending", "message": "waiting for the controller",
                   "lastTransitionTime": "1970-01-01T00:00:00Z"})
        };
        let conditions = ["Succeeded", "Finished", "Ready"].map(unseen);
        let created = jiff::Timestamp::from_second(now.as_second()).unwrap();
        let object = json!({
            "apiVersion": "cloudop.dev/v1alpha1", "kind": "CloudOperation",
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": format!("uid-{}", self.uids), "generation": 1,
                         "creationTimestamp": created},
            "spec": spec,
            "status": {"observedGeneration": -1, "phase": "Pending",
                       "conditions": conditions},
        });
        self.put("ADDED", name, object);
    }

    /// Changes one, if it is there, as its user does.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let Some(mut object) = self.objects.get(name).cloned() else { return };
        let spec = object["spec"].clone();
        change(&mut object);
        if object["spec"] != spec {
            object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
        }
        if self.objects.get(name) != Some(&object) {
            self.put("MODIFIED", name, object);
        }
    }

    pub fn delete(&mut self, name: &str) {
        if let Some(mut object) = self.objects.remove(name) {
            self.version += 1;
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.history.push((self.version, "DELETED", object));
            self.news.send_replace(());
        }
    }

    pub fn break_watches(&mut self, gone: bool) {
        self.generation += 1;
        if gone {
            self.oldest = self.version;
            self.history.clear();
        }
        self.news.send_replace(());
    }

    pub fn set_secret(&mut self, name: &str, data: Option<Value>) {
        self.version += 1;
        match data {
            None => _ = self.secrets.remove(name),
            Some(data) => {
                let metadata =
                    json!({"name": name, "namespace": NAMESPACE, "resourceVersion": self.version.to_string()});
                let secret =
                    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data});
                self.secrets.insert(name.to_owned(), secret);
            }
        }
    }

    fn put(&mut self, what: &'static str, name: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push((self.version, what, object.clone()));
        self.objects.insert(name.to_owned(), object);
        self.news.send_replace(());
    }

    /// Carries out what is no watch.
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method, parts.as_slice()) {
            ("GET", ["apis", "cloudop.dev", "v1alpha1", kind]) => {
                let items: Vec<&Value> =
                    if *kind == "cloudoperations" { self.objects.values().collect() } else { Vec::new() };
                let list = if *kind == "cloudoperations" { "CloudOperationList" } else { "OperationProfileList" };
                (
                    200,
                    json!({"apiVersion": "cloudop.dev/v1alpha1", "kind": list, "items": items,
                           "metadata": {"resourceVersion": self.version.to_string()}}),
                )
            }
            ("GET", ["api", "v1", "namespaces", _, "secrets", name]) => match self.secrets.get(*name) {
                Some(secret) => (200, secret.clone()),
                None => refuse(404, "NotFound"),
            },
            ("POST", ["apis", "events.k8s.io", "v1", "namespaces", _, "events"]) => {
                let name = sent["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                if self.events.contains_key(&name) {
                    return refuse(409, "AlreadyExists");
                }
                self.witness.see_event(&sent);
                self.events.insert(name, sent.clone());
                (201, sent)
            }
            ("PUT", [.., "cloudoperations", name, "status"]) => self.replace_status(name, &sent),
            ("DELETE", [.., "cloudoperations", name]) => {
                let Some(object) = self.objects.get(*name) else { return refuse(404, "NotFound") };
                let holds = |key: &str| {
                    let wanted = &sent["preconditions"][key];
                    wanted.is_null() || *wanted == object["metadata"][key]
                };
                if !holds("uid") || !holds("resourceVersion") {
                    return refuse(409, "Conflict");
                }
                self.witness.see_deletion(object);
                self.delete(name);
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            _ => panic!("the model knows no {method} {path}"),
        }
    }

    fn replace_status(&mut self, name: &str, sent: &Value) -> (u16, Value) {
        let Some(mut object) = self.objects.get(name).cloned() else { return refuse(404, "NotFound") };
        let meta = |key: &str| object["metadata"][key] == sent["metadata"][key];
        if !meta("uid") || !meta("resourceVersion") {
            return refuse(409, "Conflict");
        }
        self.witness.see_status(&object, &sent["status"]);
        if object["status"] != sent["status"] {
            object["status"] = sent["status"].clone();
            self.put("MODIFIED", name, object);
        }
        (200, self.objects[name].clone())
    }
}

fn refuse(code: u16, reason: &str) -> (u16, Value) {
    let message = format!("{reason}, says the model");
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": message}),
    )
}

impl ApiServer {
    pub fn new(store: Arc<Mutex<Store>>, process: u64, crashes: Crashes) -> Self {
        Self { store, process, crashes }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    async fn crash(&self) -> ! {
        let _ = self.crashes.send(self.process);
        pending().await
    }

    async fn serve(self, request: Request<Body>) -> Result<Response<Sent>, BoxError> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let (fault, down) = {
            let mut store = self.store();
            let number = store.calls;
            store.calls += 1;
            let fault = store.faults.iter().find(|(nth, _)| *nth == number).map(|(_, fault)| *fault);
            (fault, store.down_until.is_some_and(|until| Instant::now() < until))
        };
        if down {
            return Err("the model is down".into());
        }
        match fault {
            Some(ServerFault::CrashBefore) => self.crash().await,
            Some(ServerFault::RequestLost) => return Err("the connection was cut".into()),
            // To a POST it would say that there is such an object.
            Some(ServerFault::Refused(409)) if head.method == http::Method::POST => {
                return reply(refuse(500, "InternalError"));
            }
            Some(ServerFault::Refused(code)) => return reply(refuse(code, "InternalError")),
            Some(ServerFault::Slow(seconds)) => sleep(Duration::from_secs(seconds)).await,
            _ => {}
        }
        let query = head.uri.query().unwrap_or_default();
        let answer = if query.contains("watch=true") {
            self.watch(head.uri.path(), query)
        } else {
            let answer = self.store().answer(head.method.as_str(), head.uri.path(), &body);
            reply(answer)
        };
        match fault {
            Some(ServerFault::CrashAfter) => self.crash().await,
            Some(ServerFault::AnswerLost) => Err("the connection was cut".into()),
            _ => answer,
        }
    }

    fn watch(&self, path: &str, query: &str) -> Result<Response<Sent>, BoxError> {
        let is_streamed = query.contains("sendInitialEvents=true");
        let from: u64 =
            query.split('&').find_map(|part| part.strip_prefix("resourceVersion=")?.parse().ok()).unwrap_or_default();
        let store = self.store();
        if is_streamed && !store.streams {
            return reply(refuse(422, "Invalid"));
        }
        let is_about_nothing = query.contains("fieldSelector") || path.ends_with("/operationprofiles");
        let mut first = Vec::new();
        let mut position = from;
        if is_streamed {
            let kind = if path.ends_with("/operationprofiles") { "OperationProfile" } else { "CloudOperation" };
            if !is_about_nothing {
                first.extend(store.objects.values().map(|object| line("ADDED", object)));
            }
            let end = json!({"apiVersion": "cloudop.dev/v1alpha1", "kind": kind, "metadata": {
                "resourceVersion": store.version.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}}});
            first.push(line("BOOKMARK", &end));
            position = store.version;
        } else if from < store.oldest {
            first.push(line("ERROR", &refuse(410, "Expired").1));
        }
        let (generation, lag, news) = (store.generation, store.lag, store.news.subscribe());
        drop(store);
        let following = Following { store: Arc::clone(&self.store), position, generation, lag, news, is_about_nothing };
        let later = stream::unfold(following, Following::next);
        let frames = stream::iter(first).chain(later).map(|line| Ok::<_, BoxError>(Frame::data(Bytes::from(line))));
        Ok(Response::new(StreamBody::new(frames).boxed_unsync()))
    }
}

/// A watch that goes on.
struct Following {
    store: Arc<Mutex<Store>>,
    position: u64,
    generation: u64,
    lag: Duration,
    news: watch::Receiver<()>,
    is_about_nothing: bool,
}

impl Following {
    async fn next(mut self) -> Option<(Vec<u8>, Self)> {
        loop {
            let (is_over, entry) = {
                let store = self.store.lock().unwrap();
                let entry = store.history.iter().find(|(version, ..)| *version > self.position).cloned();
                (store.generation != self.generation, entry)
            };
            if is_over {
                return None;
            }
            match entry.filter(|_| !self.is_about_nothing) {
                Some((version, what, object)) => {
                    sleep(self.lag).await;
                    self.position = version;
                    return Some((line(what, &object), self));
                }
                None => self.news.changed().await.ok()?,
            }
        }
    }
}

fn line(what: &str, object: &Value) -> Vec<u8> {
    format!("{}\n", json!({"type": what, "object": object})).into_bytes()
}

fn reply((code, body): (u16, Value)) -> Result<Response<Sent>, BoxError> {
    Ok(Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()).map_err(Into::into).boxed_unsync())?)
}

impl Service<Request<Body>> for ApiServer {
    type Response = Response<Sent>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Sent>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().serve(request))
    }
}
