//! Kubernetes Events, each under a name that follows from what it tells: one that is sent twice stands once.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, Resource, ResourceExt};
use sha2::{Digest, Sha256};

use crate::api::CloudOperation;
use crate::decision::{Notice, Severity};
use crate::wording::sanitize;

const REPORTING_CONTROLLER: &str = "cloudop.dev/controller";
/// Bytes that fit a note whatever their encoding; the API server takes 1024.
const LONGEST_NOTE: usize = 255;

/// Publishes Events on behalf of one controller process.
#[derive(Clone)]
pub struct Announcer {
    client: Client,
    instance: String,
}

impl Announcer {
    /// Publishes through `client`, naming the process `instance`.
    pub fn new(client: Client, instance: String) -> Self {
        Self { client, instance }
    }

    /// Publishes `notice` about `operation`. One that the API server refuses for what it is, such as in a namespace that
    /// is being deleted, is given up, with a line in the log.
    ///
    /// # Errors
    /// The API server did not take it now.
    pub async fn announce(
        &self,
        operation: &CloudOperation,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let namespace = operation.namespace().unwrap_or_default();
        let event = self.event(operation, notice, now);
        match Api::namespaced(self.client.clone(), &namespace).create(&PostParams::default(), &event).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(kube::Error::Api(status))
                if (400..500).contains(&status.code) && ![401, 408, 429].contains(&status.code) =>
            {
                tracing::warn!(%namespace, name = operation.name_any(), reason = notice.reason, error = %status, "an Event was refused");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn event(&self, operation: &CloudOperation, notice: &Notice, now: Timestamp) -> Event {
        let uid = operation.uid().unwrap_or_default();
        let mut digest = Sha256::new_with_prefix(&uid).chain_update(notice.reason);
        if !notice.is_final {
            digest.update(now.as_second().to_be_bytes());
        }
        let digest = digest.finalize().iter().take(8).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let name: String = operation.name_any().chars().take(230).collect();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{digest}", name.trim_end_matches(['.', '-']))),
                namespace: operation.namespace(),
                ..ObjectMeta::default()
            },
            action: Some("Poll".into()),
            event_time: Some(MicroTime(now)),
            note: Some(sanitize(&notice.note, LONGEST_NOTE)),
            reason: Some(notice.reason.into()),
            regarding: Some(ObjectReference { resource_version: None, ..operation.object_ref(&()) }),
            reporting_controller: Some(REPORTING_CONTROLLER.into()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(
                match notice.severity {
                    Severity::Normal => "Normal",
                    Severity::Warning => "Warning",
                }
                .into(),
            ),
            ..Event::default()
        }
    }
}
