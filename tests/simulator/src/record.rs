//! What was asked of the simulator.

use std::time::Instant;

use serde::Deserialize;

use crate::clouds::Cloud;

/// A request as it arrived, and the status it was answered with.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    pub at: Instant,
    pub method: String,
    pub path_and_query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// 0 where no HTTP status was sent: no answer, a reset, raw bytes.
    pub status: u16,
    /// Equal for requests that shared a connection, and for no others.
    pub connection: u64,
    /// The API whose path it was, if any; sign-ins have none.
    pub cloud: Option<Cloud>,
    /// The operation asked for; `None` for a list.
    pub id: Option<String>,
}

impl RecordedRequest {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Picks requests: all that is set must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    #[serde(default)]
    cloud: Option<Cloud>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    lists: bool,
}

impl Matcher {
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests for that API's operations; never sign-ins.
    pub fn cloud(cloud: Cloud) -> Self {
        Self::any().and_cloud(cloud)
    }

    /// Requests whose path and query contain `part`.
    pub fn path(part: impl Into<String>) -> Self {
        Self::any().and_path(part)
    }

    /// Requests for this one operation; never lists.
    pub fn id(id: impl Into<String>) -> Self {
        Self::any().and_id(id)
    }

    /// Requests for lists; never those for one operation.
    pub fn lists() -> Self {
        Self { lists: true, ..Self::default() }
    }

    pub fn and_cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = Some(cloud);
        self
    }

    pub fn and_path(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    pub fn and_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    pub(crate) fn matches(&self, path_and_query: &str, cloud: Option<Cloud>, id: Option<&str>) -> bool {
        self.cloud.is_none_or(|wanted| cloud == Some(wanted))
            && self.id.as_deref().is_none_or(|wanted| id == Some(wanted))
            && (!self.lists || (cloud.is_some() && id.is_none()))
            && self.path.as_deref().is_none_or(|part| path_and_query.contains(part))
    }
}
