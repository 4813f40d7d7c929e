//! What the process makes of its own failures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::{Client, Config};
use serde_json::json;

use super::context::{Context, Followed};
use super::{Error, Guarded, RETRY, contain, look, pause_after, reference};
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

/// Plans the poll of `object` for `ago` seconds ago.
fn plan(context: &Context, object: &Guarded, ago: u64) {
    let now = Timestamp::now();
    context.plan(object.0.as_ref().unwrap(), now, now, Followed::default());
    context.postpone(object, Duration::ZERO);
    context.antedate(Duration::from_secs(ago));
}

#[tokio::test]
async fn a_poll_that_is_very_late_says_that_the_process_is_stuck() {
    let (context, object) = (context(), operation());
    plan(&context, &object, 1790);
    assert_eq!(context.stuck(), None);
    plan(&context, &object, 1810);
    assert!(context.stuck().unwrap().starts_with("a poll is 181"), "{:?}", context.stuck());
}

#[tokio::test]
async fn an_api_server_that_is_away_for_long_does_not() {
    let (context, object) = (Arc::new(context()), operation());
    plan(&context, &object, 1810);
    let began = Instant::now();
    let again = look(reference(&object), Some(Arc::new(object)), Arc::clone(&context)).await;
    assert_eq!(again, Some(RETRY), "the Secret cannot be read");
    assert_eq!(context.stuck(), None, "after {:?}", began.elapsed());
}

#[tokio::test]
async fn those_of_one_collection_come_back_together_after_a_restart() {
    let context = context();
    let share = |provider: serde_json::Value, uid: &str| {
        let mut operation = operation().0.unwrap();
        operation.spec.provider = serde_json::from_value(provider).unwrap();
        operation.metadata.uid = Some(uid.into());
        context.share(&operation)
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
    assert_eq!(pause_after(&Error::Panicked), Duration::from_secs(60));
}
