//! What the process makes of its own failures.

use std::sync::Arc;
use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::{Client, Config};
use serde_json::json;

use super::context::Context;
use super::error::Error;
use super::memory::Guarded;
use super::queue::Requeue;
use super::reconcile::{contain, reconcile};
use super::watch::reference;
use crate::upstream::{Options, Upstream};

/// A process whose API server is not there.
fn context() -> Context {
    let server = "http://127.0.0.1:1".parse().unwrap();
    let mut config = Config::new(server);
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    Context::new(client, Upstream::new(Options::default()).unwrap(), "test".into(), Arc::default())
}

fn operation() -> Guarded {
    let operation = json!({
        "apiVersion": "cloudop.dev/v1alpha1",
        "kind": "CloudOperation",
        "metadata": {"name": "job", "namespace": "default", "uid": "1", "generation": 1},
        "spec": {
            "provider": {"huaweiUcsFederation": {}},
            "operationId": "a",
            "credentialsRef": {"name": "cloud"},
        },
    });
    DeserializeGuard(Ok(serde_json::from_value(operation).unwrap()))
}

#[tokio::test]
async fn a_process_that_begins_nothing_though_polls_are_due_is_stuck() {
    let context = context();
    context.turns.antedate(Duration::from_secs(1790));
    assert_eq!(context.stuck(), None);
    context.turns.antedate(Duration::from_secs(20));
    assert!(context.stuck().unwrap().contains("none has begun or ended for 181"), "{:?}", context.stuck());
}

#[tokio::test]
async fn an_api_server_that_is_away_is_asked_ever_more_seldom() {
    let (context, object) = (Arc::new(context()), operation());
    let object = Arc::new(object);
    for seconds in [2, 4, 8] {
        let name = Arc::new(reference(&object));
        let requeue = reconcile(name, Some(Arc::clone(&object)), Arc::clone(&context)).await;
        let Requeue::After(pause) = requeue else { panic!("{requeue:?}") };
        assert_eq!(pause.as_secs(), seconds, "the Secret cannot be read");
    }
}

#[tokio::test]
async fn those_of_one_collection_come_back_together_after_a_restart() {
    let context = context();
    let share = |provider: serde_json::Value, uid: &str| {
        let mut operation = operation().0.unwrap();
        operation.spec.provider = serde_json::from_value(provider).unwrap();
        operation.metadata.uid = Some(uid.into());
        context.memory.spread(&operation)
    };
    let job = |project| json!({"otcCceJob": {"region": "eu-de", "projectId": project}});
    let first = share(job("p"), "a");
    assert_ne!(share(job("q"), "b"), first);
    assert_eq!(share(job("p"), "c"), first);
    let fleet = json!({"huaweiUcsFederation": {}});
    assert_ne!(share(fleet.clone(), "d"), share(fleet, "e"), "there is no list of them");
}

#[tokio::test]
async fn a_panic_in_one_reconcile_is_an_error_of_that_one_and_tried_again_later() {
    let result: Result<(), Error> = contain(async { panic!("a defect") }).await;
    assert!(matches!(result, Err(Error::Panicked)), "{result:?}");
    assert_eq!(Error::Panicked.backoff(1), Duration::from_secs(60));
}
