//! What a sign-in brings: a token, and for how long it may be used. Pure.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

use super::methods::{TokenReply, TokenRequest};
use crate::document::Document;

/// A token whose answer does not say how long it lives is taken to live this long.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// How long before its end a token is renewed; half of its life where that is shorter.
const MARGIN: Duration = Duration::from_secs(300);
/// The longest token that is taken, in bytes: no cloud takes longer headers.
const LONGEST_TOKEN: usize = 32 << 10;

/// A token fresh from the cloud.
#[derive(Debug)]
pub struct FreshToken {
    /// The token.
    pub token: SecretString,
    /// How long it may be used: less than it lives, by the cloud's clock.
    pub usable: Duration,
}

/// Reads the token out of a reply to `request`. `subject_token` is its header `X-Subject-Token`, `date` its `Date`.
///
/// # Errors
/// What the reply lacks; nothing of what it holds.
pub fn read_token(
    request: &TokenRequest,
    subject_token: Option<&str>,
    date: Option<Timestamp>,
    body: &[u8],
) -> Result<FreshToken, String> {
    let document = Document::parse(body).map_err(|misread| misread.to_string())?;
    let (token, lifetime) = (request.read)(&TokenReply { subject_token, body: document.root(), date })?;
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the reply's token cannot be sent in a header".into());
    }
    if token.len() > LONGEST_TOKEN {
        return Err(format!("the reply's token is longer than {} KiB", LONGEST_TOKEN >> 10));
    }
    let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME);
    Ok(FreshToken { token: token.into(), usable: lifetime.saturating_sub(MARGIN).max(lifetime / 2) })
}
