use std::{collections::HashSet, ops::Deref};

use serde_json::Value;

/// One request that the API server answered or, for a watch, has begun to answer.
///
/// Empty strings stand for what a request doesn't have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    pub user: String,
    pub user_agent: String,
    /// The Kubernetes verb, such as `get`, `list`, `watch`, `create` or `patch`.
    pub verb: String,
    /// The path and query.
    pub uri: String,
    pub api_group: String,
    /// The plural name, such as `pods`.
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// The HTTP status.
    pub code: u16,
    /// When the request came in: RFC 3339 with microseconds, so that text order is time order.
    pub received: String,
}

/// The requests that a control plane has answered, oldest answer first. Each filter keeps those
/// that are equal to its argument.
///
/// ```no_run
/// # fn main() -> Result<(), cloudop_testbed::Error> {
/// # let control_plane = cloudop_testbed::ControlPlane::start()?;
/// let writes = control_plane.audit()?.resource("cloudoperations").subresource("status").verb("patch");
/// assert_eq!(writes.len(), 2);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditLog(Vec<AuditEvent>);

impl AuditLog {
    /// Reads the API server's log, one event in JSON a line.
    ///
    /// A long-running request is logged when it starts to answer and again at its end: the first
    /// counts, so that a watch that is still open is seen too.
    pub(crate) fn parse(log: &str) -> Self {
        let mut seen = HashSet::new();
        let mut events = Vec::new();
        for line in log.lines() {
            // The last line may be half written.
            let Ok(event) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            if event["stage"] != "RequestReceived" && seen.insert(text(&event["auditID"])) {
                events.push(AuditEvent::from_json(&event));
            }
        }
        Self(events)
    }

    /// Requests of this user, such as `system:serviceaccount:cloudop:cloudop`.
    pub fn by_user(self, user: &str) -> Self {
        self.keep(|event| event.user == user)
    }

    /// Requests with this verb.
    pub fn verb(self, verb: &str) -> Self {
        self.keep(|event| event.verb == verb)
    }

    /// Requests for this resource, its subresources included.
    pub fn resource(self, resource: &str) -> Self {
        self.keep(|event| event.resource == resource)
    }

    /// Requests for this subresource; for the resource itself with `""`.
    pub fn subresource(self, subresource: &str) -> Self {
        self.keep(|event| event.subresource == subresource)
    }

    /// Requests for this namespace, or for none with `""`.
    pub fn namespace(self, namespace: &str) -> Self {
        self.keep(|event| event.namespace == namespace)
    }

    /// Requests for the object of this name, or for collections with `""`.
    pub fn name(self, name: &str) -> Self {
        self.keep(|event| event.name == name)
    }

    /// Requests that `predicate` holds for.
    pub fn keep(self, predicate: impl FnMut(&AuditEvent) -> bool) -> Self {
        Self(self.0.into_iter().filter(predicate).collect())
    }
}

impl Deref for AuditLog {
    type Target = [AuditEvent];

    fn deref(&self) -> &[AuditEvent] {
        &self.0
    }
}

impl AuditEvent {
    /// <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>
    fn from_json(event: &Value) -> Self {
        let object = &event["objectRef"];
        Self {
            user: text(&event["user"]["username"]),
            user_agent: text(&event["userAgent"]),
            verb: text(&event["verb"]),
            uri: text(&event["requestURI"]),
            api_group: text(&object["apiGroup"]),
            resource: text(&object["resource"]),
            subresource: text(&object["subresource"]),
            namespace: text(&object["namespace"]),
            name: text(&object["name"]),
            code: event["responseStatus"]["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or_default(),
            received: text(&event["requestReceivedTimestamp"]),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = concat!(
        r#"{"auditID":"1","stage":"RequestReceived","verb":"watch"}"#,
        "\n",
        r#"{"auditID":"1","stage":"ResponseStarted","verb":"watch","user":{"username":"ann"},"objectRef":{"resource":"pods"},"responseStatus":{"code":200}}"#,
        "\n",
        r#"{"auditID":"2","stage":"ResponseComplete","verb":"patch","user":{"username":"bob"},"requestURI":"/x?y","userAgent":"kubectl","requestReceivedTimestamp":"2030-01-01T00:00:00.000000Z","objectRef":{"apiGroup":"apps","resource":"deployments","subresource":"status","namespace":"n","name":"d"},"responseStatus":{"code":409}}"#,
        "\n",
        r#"{"auditID":"1","stage":"ResponseComplete","verb":"watch","user":{"username":"ann"},"objectRef":{"resource":"pods"}}"#,
        "\n",
        r#"{"auditID":"3","stage":"Resp"#,
    );

    #[test]
    fn each_request_is_read_once() {
        let log = AuditLog::parse(LOG);
        let verbs: Vec<&str> = log.iter().map(|event| event.verb.as_str()).collect();
        assert_eq!(verbs, ["watch", "patch"]);
        assert_eq!(
            log[1],
            AuditEvent {
                user: "bob".into(),
                user_agent: "kubectl".into(),
                verb: "patch".into(),
                uri: "/x?y".into(),
                api_group: "apps".into(),
                resource: "deployments".into(),
                subresource: "status".into(),
                namespace: "n".into(),
                name: "d".into(),
                code: 409,
                received: "2030-01-01T00:00:00.000000Z".into(),
            }
        );
    }

    #[test]
    fn filters_keep_what_is_equal() {
        let log = AuditLog::parse(LOG);
        let names = |log: AuditLog| -> Vec<String> { log.iter().map(|event| event.user.clone()).collect() };
        assert_eq!(names(log.clone().by_user("ann")), ["ann"]);
        assert_eq!(names(log.clone().verb("patch")), ["bob"]);
        assert_eq!(names(log.clone().resource("pods")), ["ann"]);
        assert_eq!(names(log.clone().subresource("")), ["ann"]);
        assert_eq!(names(log.clone().namespace("n")), ["bob"]);
        assert_eq!(names(log.clone().name("d")), ["bob"]);
        assert_eq!(names(log.keep(|event| event.code == 409)), ["bob"]);
    }
}
