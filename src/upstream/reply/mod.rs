//! What came back, and what it means: for polls and for sign-ins alike. Pure.

use http::HeaderMap;
use jiff::Timestamp;

use crate::observation::PollFailure;

pub mod api_error;
pub mod classify;
pub mod transport_error;

/// An HTTP reply.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it came.
    pub body: Body,
    /// When it began to arrive.
    pub received: Timestamp,
}

/// What came of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// It was too large to be read to its end.
    TooLarge,
    /// The connection ended before it did.
    Cut,
    /// The time was up before it ended.
    Late(PollFailure),
}
