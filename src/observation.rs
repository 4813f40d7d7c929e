//! What a cloud said about one operation, in words all clouds share, and why nothing could be learnt.
//!
//! Imports nothing of ours: providers fill an [`Observation`], the core judges it.

use std::time::Duration;

use jiff::Timestamp;

/// Where an operation or one of its sub-jobs stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted, not started.
    Pending,
    /// Being worked on.
    Running,
    /// Parked by the cloud until a person retries or cancels it there; not an end.
    Blocked,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended because someone cancelled it.
    Cancelled,
    /// The cloud used a word we do not know; the operation is taken to be going on.
    Unrecognized,
}

/// One answer of a cloud about one operation. Texts are as the cloud sent them: the core cleans and bounds them.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Where the operation stands.
    pub state: State,
    /// The cloud's own word for it.
    pub upstream_state: String,
    /// The cloud's own identity of this run, given only where the operation ID names something that outlives a run
    /// (a fleet): a change of it means another operation.
    pub uid: Option<String>,
    /// What the cloud calls this kind of operation.
    pub operation_type: Option<String>,
    /// The resource the operation works on.
    pub target: Target,
    /// Percentage done, 0 to 100, where the cloud gives one.
    pub percent: Option<f64>,
    /// How many parts are done, and how many there are in all, where the cloud counts them itself.
    pub counts: Option<(u64, u64)>,
    /// Progress in the cloud's own words.
    pub message: Option<String>,
    /// Every part of the operation, parents before children, in the cloud's order; not bounded here.
    pub sub_jobs: Vec<SubJob>,
    /// Why the operation failed or is parked.
    pub error: Option<OperationError>,
    /// When the operation started, where the cloud says so.
    pub start_time: Option<Timestamp>,
    /// When it ended, where the cloud says so; meaningless unless `state` is an end.
    pub completion_time: Option<Timestamp>,
    /// Where the state is that of a resource: for how long an end may be the state from before, unless the resource has
    /// been seen busy since.
    pub settle: Option<Duration>,
}

impl Observation {
    /// An observation with nothing but a state.
    pub fn new(state: State, upstream_state: impl Into<String>) -> Self {
        Self {
            state,
            upstream_state: upstream_state.into(),
            uid: None,
            operation_type: None,
            target: Target::default(),
            percent: None,
            counts: None,
            message: None,
            sub_jobs: Vec::new(),
            error: None,
            start_time: None,
            completion_time: None,
            settle: None,
        }
    }
}

impl Observation {
    /// Puts another text wherever `replace` gives one.
    pub fn replace_texts(&mut self, replace: &dyn Fn(&str) -> Option<String>) {
        let Self { uid, operation_type, target, message, sub_jobs, error, upstream_state, .. } = self;
        let error = error
            .iter_mut()
            .flat_map(|error| [&mut error.code, &mut error.message, &mut error.request_id, &mut error.sub_job]);
        let texts = [uid, operation_type, &mut target.id, &mut target.name, &mut target.url, message];
        let texts = texts.into_iter().chain(error).flatten().chain([upstream_state]);
        let of_parts = sub_jobs.iter_mut().flat_map(|part| {
            let texts = [&mut part.id, &mut part.name, &mut part.upstream_state];
            texts.into_iter().chain(part.parent_id.as_mut()).chain(part.message.as_mut())
        });
        for text in texts.chain(of_parts) {
            if let Some(other) = replace(text) {
                *text = other;
            }
        }
    }
}

/// The resource an operation works on, as far as the cloud names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Its ID.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its address.
    pub url: Option<String>,
}

/// One part of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubJob {
    /// The cloud's ID; where it has none, a name that is stable from poll to poll.
    pub id: String,
    /// The part it belongs to.
    pub parent_id: Option<String>,
    /// What it does, in the cloud's words.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// The cloud's own word, empty where it gave none.
    pub upstream_state: String,
    /// What the cloud says of it.
    pub message: Option<String>,
    /// When it started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub completion_time: Option<Timestamp>,
}

/// Why an operation failed, in the cloud's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationError {
    /// The cloud's code.
    pub code: Option<String>,
    /// The cloud's text.
    pub message: Option<String>,
    /// The cloud's ID of the request, for its support.
    pub request_id: Option<String>,
    /// The ID of the sub-job at fault.
    pub sub_job: Option<String>,
}

/// What one reply holds about the operation asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// The operation.
    Found(Box<Observation>),
    /// A page of a collection without it; the request gets the next page.
    NextPage(Request),
    /// The whole answer, and the operation is not in it.
    Absent,
    /// The operation is in the list, but cannot be read there; the other members may well be.
    Unreadable(Misread),
}

/// All operations on a page of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// In the cloud's order.
    pub members: Vec<Member>,
    /// What gets the next page, where there is one.
    pub next: Option<Request>,
}

/// One operation of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// By which it is followed, where it can be read.
    pub id: Option<String>,
    /// What the list says of it. One that cannot be read spoils only itself.
    pub reading: Result<Observation, Misread>,
}

/// A GET below a cloud's endpoint, as data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Percent-encoded path, from the first "/".
    pub path: String,
    /// Query parameters, not yet encoded.
    pub query: Vec<(String, String)>,
}

impl Request {
    /// A GET of the path made of `segments`, each percent-encoded: whatever an identifier holds, it stays one segment.
    pub fn get(segments: &[&str]) -> Self {
        let mut path = String::with_capacity(segments.iter().map(|segment| 1 + segment.len()).sum());
        for segment in segments {
            path.push('/');
            path.extend(encode_segment(segment));
        }
        Self { path, query: Vec::new() }
    }

    /// The same request with one more query parameter.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// An identifier as one segment of a path, percent-encoded: RFC 3986's unreserved characters stay, everything else, "/"
/// and "%" included, does not.
pub fn encode_segment(segment: &str) -> percent_encoding::PercentEncode<'_> {
    const SEGMENT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let segment = match segment {
        // A URL parser would resolve these away even when encoded.
        "." | ".." => "%2E",
        segment => segment,
    };
    percent_encoding::utf8_percent_encode(segment, &SEGMENT)
}

/// A reply that cannot be understood; the text says what is wrong with it, for the person who reads the status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misread(pub String);

impl Misread {
    /// The reply lacks `field`, or has something unusable there.
    pub fn field(field: &str) -> Self {
        Self(format!("the reply has no usable {field}"))
    }
}

/// What a cloud's error reply says, whichever of the many shapes it came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The cloud's or gateway's code.
    pub code: Option<String>,
    /// Its text.
    pub message: Option<String>,
    /// Its ID of the request.
    pub request_id: Option<String>,
}

/// Why a poll learnt nothing, named by what happens next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PollFailure {
    /// What kind of trouble.
    pub kind: FailureKind,
    /// What is wrong and what to do, for people; nothing secret.
    pub message: String,
    /// The cloud's code, where it answered with one.
    pub code: Option<String>,
    /// The cloud's ID of the request that it refused, for its support.
    pub request_id: Option<String>,
}

impl PollFailure {
    /// A failure of `kind` that `message` explains.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, request_id: None }
    }
}

/// The kinds of [`PollFailure`]; each but `NotFound` is a reason of the condition `UpstreamReachable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection, no TLS, no answer in time, or an answer that breaks HTTP.
    Unreachable,
    /// The cloud asks for fewer requests (429, 503 with Retry-After).
    Throttled,
    /// The cloud has trouble of its own (5xx).
    ServerError,
    /// The credential is not accepted (401).
    Unauthorized,
    /// The credential may not read this operation (403).
    Forbidden,
    /// The Secret, or the key that names an endpoint, is missing.
    CredentialsNotFound,
    /// The Secret holds none, half or two sets of credentials, or an unusable value.
    CredentialsIncomplete,
    /// The address may not be called, does not exist, or is not the cloud's API.
    EndpointRefused,
    /// The answer cannot be understood.
    InvalidResponse,
    /// The cloud pointed elsewhere; a credential is never sent after a redirect.
    RedirectRefused,
    /// There is no OperationProfile of the name that the spec gives.
    ProfileNotFound,
    /// The OperationProfile cannot be used, or not with these parameters.
    ProfileRefused,
    /// The cloud's API answered that it does not know the operation.
    NotFound,
}

impl FailureKind {
    /// The reason in conditions.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::Throttled => "Throttled",
            Self::ServerError => "ServerError",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::CredentialsNotFound => "CredentialsNotFound",
            Self::CredentialsIncomplete => "CredentialsIncomplete",
            Self::EndpointRefused => "EndpointRefused",
            Self::InvalidResponse => "InvalidResponse",
            Self::RedirectRefused => "RedirectRefused",
            Self::ProfileNotFound => "ProfileNotFound",
            Self::ProfileRefused => "ProfileRefused",
            Self::NotFound => "NotFound",
        }
    }

    /// Whether only the user can fix it, by the Secret or the rights behind it.
    pub fn is_configuration(self) -> bool {
        match self {
            Self::Unauthorized
            | Self::Forbidden
            | Self::CredentialsNotFound
            | Self::CredentialsIncomplete
            | Self::EndpointRefused
            | Self::ProfileNotFound
            | Self::ProfileRefused => true,
            Self::Unreachable
            | Self::Throttled
            | Self::ServerError
            | Self::InvalidResponse
            | Self::RedirectRefused
            | Self::NotFound => false,
        }
    }
}
