//! What the API server was asked, from its audit log:
//! <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    path::Path,
};

use jiff::Timestamp;
use serde::Deserialize;

use crate::requests::read_lines;

/// The members that are needed of an event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<Object>,
    response_status: Option<Response>,
    stage_timestamp: Timestamp,
}

#[derive(Debug, Deserialize)]
struct User {
    username: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Response {
    #[serde(default)]
    code: u16,
}

/// An audit log that grows while it is read, and what it has said so far.
pub struct Audit {
    file: File,
    rest: String,
    user: String,
    created: HashMap<String, Timestamp>,
    first: HashMap<String, Timestamp>,
    verbs: BTreeMap<String, u64>,
}

impl Audit {
    /// `user` is the one whose requests count.
    ///
    /// # Errors
    /// When the log can't be opened.
    pub fn open(path: &Path, user: &str) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            rest: String::new(),
            user: user.to_owned(),
            created: HashMap::new(),
            first: HashMap::new(),
            verbs: BTreeMap::new(),
        })
    }

    /// Reads on.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn read(&mut self) -> io::Result<()> {
        let text = read_lines(&mut self.file, &mut self.rest)?;
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).for_each(|event| self.take(event));
        Ok(())
    }

    fn take(&mut self, event: Event) {
        let object = event.object_ref.unwrap_or_default();
        let succeeded = event.response_status.is_some_and(|response| (200..300).contains(&response.code));
        let followed = object.resource == "cloudoperations" && succeeded && event.stage == "ResponseComplete";
        if followed && event.verb == "create" {
            self.created.insert(object.name, event.stage_timestamp);
            return;
        }
        if event.user.username != self.user {
            return;
        }
        // A watch is logged when it begins, and once more at its end.
        if event.stage == if event.verb == "watch" { "ResponseStarted" } else { "ResponseComplete" } {
            *self.verbs.entry(event.verb.clone()).or_default() += 1;
        }
        if followed && object.subresource == "status" && matches!(&*event.verb, "update" | "patch" | "apply") {
            self.first.entry(object.name).or_insert(event.stage_timestamp);
        }
    }

    /// How many objects have a status that the subject wrote.
    pub fn with_status(&self) -> usize {
        self.first.len()
    }

    /// Seconds from the end of each object's creation to the end of the first write of its status.
    pub fn first_status(&self) -> Vec<f64> {
        let seconds =
            |(name, first): (&String, &Timestamp)| Some(first.duration_since(*self.created.get(name)?).as_secs_f64());
        self.first.iter().filter_map(seconds).collect()
    }

    /// Requests of the subject by verb, since the last call.
    pub fn take_verbs(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.verbs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: &str, verb: &str, stage: &str, subresource: &str, second: u32) -> Event {
        let json = serde_json::json!({
            "stage": stage, "verb": verb, "user": {"username": user},
            "objectRef": {"resource": "cloudoperations", "subresource": subresource, "name": "a"},
            "responseStatus": {"code": 200}, "stageTimestamp": format!("2030-01-01T00:00:{second:02}.500000Z"),
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn only_the_subject_counts_and_the_first_status_stays() {
        let mut audit = Audit::open(Path::new("/dev/null"), "subject").unwrap();
        audit.take(event("admin", "create", "ResponseComplete", "", 1));
        audit.take(event("subject", "watch", "ResponseStarted", "", 1));
        audit.take(event("admin", "update", "ResponseComplete", "status", 2));
        audit.take(event("subject", "update", "ResponseComplete", "status", 3));
        audit.take(event("subject", "update", "ResponseComplete", "status", 9));
        audit.take(event("subject", "watch", "ResponseComplete", "", 9));
        assert_eq!(audit.first_status(), [2.0]);
        let verbs: Vec<(String, u64)> = audit.take_verbs().into_iter().collect();
        assert_eq!(verbs, [("update".to_owned(), 2), ("watch".to_owned(), 1)]);
        assert!(audit.take_verbs().is_empty());
    }
}
