//! The five operations, what is read of them, and how each has to end.

use serde_json::Value;

/// One of the operations in `examples/`.
pub struct Role {
    /// Its file there.
    pub file: &'static str,
    pub name: &'static str,
    /// The Secret that its example refers to.
    pub secret: &'static str,
    pub end: End,
}

/// How an operation has to end.
pub enum End {
    Succeeds,
    /// After its task failed once and was retried.
    SucceedsOnceRetried,
    /// With an error that says all of this. A job of this cloud has no member for the code: it stands in the text.
    Fails(&'static [&'static str]),
}

/// In the order of kubectl's list.
pub const CAST: [Role; 5] = [
    Role {
        file: "huawei-cce-upgrade.yaml",
        name: "huawei-cce-upgrade",
        secret: "huawei-cce",
        end: End::SucceedsOnceRetried,
    },
    Role {
        file: "huawei-ucs-federation.yaml",
        name: "huawei-ucs-federation",
        secret: "huawei-ucs",
        end: End::Succeeds,
    },
    Role { file: "numspot-kubernetes.yaml", name: "numspot-create-cluster", secret: "numspot", end: End::Succeeds },
    Role {
        file: "otc-cce-job.yaml",
        name: "otc-create-cluster",
        secret: "otc",
        end: End::Fails(&["CCE_CM.0303", "the quota of ECS vCPUs is exceeded: 16 needed, 8 left"]),
    },
    Role {
        file: "sbercloud-openshift-task.yaml",
        name: "sbercloud-create-cluster",
        secret: "sbercloud",
        end: End::Succeeds,
    },
];

/// What the API server holds of one operation.
#[derive(Clone)]
pub struct Operation(Value);

impl Operation {
    /// The operations of a List in JSON.
    pub fn parse_list(json: &str) -> Result<Vec<Self>, serde_json::Error> {
        let mut list: Value = serde_json::from_str(json)?;
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        Ok(items.into_iter().map(Self).collect())
    }

    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub fn phase(&self) -> &str {
        self.text("/status/phase")
    }

    /// What the condition `Succeeded` says.
    pub fn message(&self) -> &str {
        let verdict = cloudop_testbed::condition(&self.0["status"], "Succeeded");
        verdict.and_then(|verdict| verdict["message"].as_str()).unwrap_or_default()
    }

    /// What differs from how `role` has to end; `was_blocked` is whether it has been Blocked on the way.
    pub fn surprise(&self, role: &Role, was_blocked: bool) -> Option<String> {
        let phase = match role.end {
            End::Fails(_) => "Failed",
            End::Succeeds | End::SucceedsOnceRetried => "Succeeded",
        };
        if self.phase() != phase {
            return Some(format!("{} is {} ({}), not {phase}", role.name, self.phase(), self.message()));
        }
        match role.end {
            End::Succeeds => None,
            End::SucceedsOnceRetried if was_blocked => None,
            End::SucceedsOnceRetried => Some(format!("{} was never Blocked", role.name)),
            End::Fails(words) => {
                let message = self.text("/status/error/message");
                let is_told = words.iter().all(|words| message.contains(words));
                (!is_told).then(|| format!("{} failed with {message:?}", role.name))
            }
        }
    }

    /// Text at a JSON pointer; empty where there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(phase: &str, error: Value) -> Operation {
        Operation(json!({"status": {"phase": phase, "error": error}}))
    }

    #[test]
    fn an_end_that_was_not_planned_is_told() {
        let [upgrade, _, numspot, otc, _] = &CAST;
        assert_eq!(operation("Succeeded", json!({})).surprise(numspot, false), None);
        assert!(operation("Failed", json!({})).surprise(numspot, false).is_some());
        assert!(operation("Running", json!({})).surprise(numspot, false).is_some());
        assert_eq!(operation("Succeeded", json!({})).surprise(upgrade, true), None);
        assert!(operation("Succeeded", json!({})).surprise(upgrade, false).is_some());
        let error =
            |code: &str| json!({"message": format!("{code}: the quota of ECS vCPUs is exceeded: 16 needed, 8 left")});
        assert_eq!(operation("Failed", error("CCE_CM.0303")).surprise(otc, false), None);
        assert!(operation("Failed", error("CCE_CM.0001")).surprise(otc, false).is_some());
        assert!(operation("Failed", json!({"message": "CCE_CM.0303"})).surprise(otc, false).is_some());
        assert!(operation("Succeeded", json!({})).surprise(otc, false).is_some());
    }
}
