//! How all CloudOperations get here: as a stream where the API server has that, and never twice at a time.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use kube::api::WatchParams;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{Error, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// The client for watches has no time limit of its own.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the API server sends a list as a stream (`sendInitialEvents`: Kubernetes 1.34 and later, if not switched
/// off). It then need not hold the whole list at once, nor do we. Whoever does not know yet, as after the CRD was
/// installed, is asked again; then any error counts as no, and the watch that follows says what is wrong.
pub(super) async fn is_streamed<K>(api: &Api<K>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    // Of no object, so that nothing but the answer is sent.
    let question = WatchParams::default().initial_events().fields("metadata.name=.").timeout(1);
    for _ in 0..TRIES {
        match tokio::time::timeout(LONGEST_ANSWER, api.watch(&question, "")).await {
            Ok(Ok(_)) => return true,
            Ok(Err(kube::Error::Api(refusal))) if refusal.code == 429 || refusal.code >= 500 => {
                tokio::time::sleep(PAUSE).await;
            }
            Ok(Err(_)) | Err(_) => return false,
        }
    }
    false
}

/// Turns each list after the first into the changes it brings to what is `known`: a store that is filled again holds
/// every object twice until the list is complete.
pub(super) fn as_changes<K>(
    events: impl Stream<Item = Result<Event<K>, Error>>,
    known: Store<K>,
) -> impl Stream<Item = Result<Event<K>, Error>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
    ObjectRef<K>: Eq + Hash,
{
    let mut list = List::First;
    events.flat_map(move |event| {
        let changes = match event {
            Ok(event) => list.take(event, &known).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(changes)
    })
}

enum List<K: Resource<DynamicType = ()>> {
    /// It fills the store, and may begin again until it is complete.
    First,
    /// There is none under way.
    Complete,
    /// Another, of which these have come.
    Again(HashSet<ObjectRef<K>>),
}

impl<K> List<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
    ObjectRef<K>: Eq + Hash,
{
    fn take(&mut self, event: Event<K>, known: &Store<K>) -> Vec<Event<K>> {
        match (&mut *self, event) {
            (Self::First, Event::InitDone) => {
                *self = Self::Complete;
                vec![Event::InitDone]
            }
            (Self::First, event) => vec![event],
            (_, Event::Init) => {
                *self = Self::Again(HashSet::new());
                Vec::new()
            }
            (Self::Again(seen), Event::InitApply(object)) => {
                seen.insert(ObjectRef::from_obj(&object));
                vec![Event::Apply(object)]
            }
            (Self::Again(seen), Event::InitDone) => {
                let gone = known.state().into_iter().filter(|object| !seen.contains(&ObjectRef::from_obj(&**object)));
                let gone = gone.map(|object| Event::Delete(K::clone(&object))).collect();
                *self = Self::Complete;
                gone
            }
            (_, event) => vec![event],
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt;
    use kube::runtime::{WatchStreamExt, reflector};

    use super::*;

    fn object(name: &str, version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        object.metadata.resource_version = Some(version.to_owned());
        object
    }

    /// What the store holds after `events`, and what was passed on of them.
    async fn after(events: Vec<Event<ConfigMap>>) -> (Vec<String>, Vec<String>) {
        let (reader, writer) = reflector::store();
        let changes = as_changes(stream::iter(events.into_iter().map(Ok)), reader.clone());
        let passed = changes.reflect(writer).map(|event| match event.unwrap() {
            Event::Init => "init".to_owned(),
            Event::InitDone => "done".to_owned(),
            Event::InitApply(object) => format!("first {}", object.name_any()),
            Event::Apply(object) => format!("apply {}", object.name_any()),
            Event::Delete(object) => format!("delete {}", object.name_any()),
        });
        let passed = passed.collect().await;
        let mut held: Vec<String> = reader
            .state()
            .iter()
            .map(|object| format!("{} {}", object.name_any(), object.resource_version().unwrap()))
            .collect();
        held.sort();
        (held, passed)
    }

    #[tokio::test]
    async fn the_first_list_fills_the_store_also_when_it_is_begun_twice() {
        let events = vec![
            Event::Init,
            Event::InitApply(object("a", "1")),
            Event::Init,
            Event::InitApply(object("b", "2")),
            Event::InitDone,
        ];
        let (held, passed) = after(events).await;
        assert_eq!(held, ["b 2"]);
        assert_eq!(passed, ["init", "first a", "init", "first b", "done"]);
    }

    #[tokio::test]
    async fn a_later_list_is_passed_on_as_what_it_changes() {
        let events = vec![
            Event::Init,
            Event::InitApply(object("a", "1")),
            Event::InitApply(object("b", "1")),
            Event::InitDone,
            Event::Apply(object("c", "2")),
            Event::Init,
            Event::InitApply(object("a", "3")),
            // Broken off, and begun again.
            Event::Init,
            Event::InitApply(object("c", "2")),
            Event::InitApply(object("d", "4")),
            Event::InitDone,
            Event::Delete(object("c", "5")),
        ];
        let (held, mut passed) = after(events).await;
        assert_eq!(held, ["d 4"]);
        passed[8..10].sort();
        let expected = ["init", "first a", "first b", "done", "apply c", "apply a", "apply c", "apply d"];
        assert_eq!(passed[..8], expected);
        assert_eq!(passed[8..], ["delete a", "delete b", "delete c"]);
    }
}
