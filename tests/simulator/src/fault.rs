//! What can go wrong between a client and a cloud, a name for each.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::{
    clouds::{Place, Refusal},
    http::{Reply, Request},
    mangle,
};

/// Goes wrong in place of, or to, the reply that the cloud would have given.
///
/// Faults that need no true reply don't count as a poll of the operation and check no sign-in; the others spoil the
/// reply that the request would have got, whatever that is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// Any status, headers and body.
    Status {
        code: u16,
        #[serde(default)]
        headers: Vec<(String, String)>,
        #[serde(default)]
        body: String,
    },
    /// These bytes instead of an HTTP message; then the connection is closed.
    #[serde(skip)]
    RawReply(Vec<u8>),
    /// The true reply; a place in [`Self::InTurn`].
    Truth,
    /// These faults one after the other, a request each, then the first again.
    InTurn(Vec<Fault>),
    /// The true reply this many milliseconds later.
    Late(u64),
    /// The true reply under another status: a sign-in's 201 as a 200.
    OtherStatus(u16),
    /// 200 with `Content-Length: 0`.
    EmptyBody,
    /// The first half of the document, as a complete HTTP message.
    TruncatedJson,
    /// The whole length is promised, half of it sent, and the connection closed without a TLS close_notify.
    CutInBody,
    /// 200 with a sign-in page.
    Html,
    /// The document, a space and this text: `{}` makes two documents.
    ExtraJson(String),
    TrailingComma,
    Comments,
    /// A member is added whose value is no UTF-8.
    InvalidUtf8,
    /// The document in UTF-16, little endian, with its byte order mark.
    Utf16,
    /// A UTF-8 byte order mark before the document.
    Bom,
    /// The document as the only element of an array.
    JsonArray,
    /// The document as a JSON string.
    JsonString,
    /// A top-level member (the state's where there is one) stands there twice.
    DuplicateKeys,
    /// In a list, `null` takes the place of its operations; what else stands beside them stays.
    NullList,
    /// In a list, the first operation has no `status`.
    OddMember,
    /// A member is added with an array nested this deep.
    DeepNesting(usize),
    /// A member is added that brings the document to this many bytes.
    HugeBody(usize),
    /// 200, then a space every 50 ms until the client gives up.
    EndlessDrip,
    /// The document brought to this many bytes as by [`Self::HugeBody`], of which the last never comes; the connection
    /// stays open.
    StalledBody(usize),
    /// `Content-Encoding: gzip`; about 1 MiB that unpacks to 1 GiB.
    GzipBomb,
    /// The request is read and never answered; the connection stays open.
    NoAnswer,
    /// The true reply, after which the connection is silent but stays open: over HTTP/2 for all who share it.
    Freeze,
    /// TCP RST.
    Reset,
    Redirect {
        code: u16,
        to: String,
    },
    /// This many extra headers.
    ManyHeaders(usize),
    /// One header with a value of this many bytes.
    HugeHeader(usize),
    /// 403 whose message repeats the token, the signature or the body sent.
    EchoToken,
    /// ANSI escapes, NUL, line breaks and a right-to-left override after each text shown to people.
    ControlCharacters,
    /// A lone surrogate (`\ud800`) after each text shown to people.
    LoneSurrogate,
    /// The document with every mention of the requested ID replaced. A fleet's ID is in no UCS document.
    WrongId,
    /// The vendor's 401.
    Unauthorized,
    /// The vendor's 403.
    Forbidden,
    /// The service's 404 for an unknown ID.
    NotFound,
    /// The gateway's 404 for an unknown path.
    NoSuchPath,
    /// The vendor's body for 429 or 503, with `Retry-After` as given, once or in two equal lines.
    Throttled {
        status: u16,
        #[serde(default)]
        retry_after: Option<String>,
        #[serde(default)]
        twice: bool,
    },
    /// The vendor's body for a failure of the service.
    ServerError {
        status: u16,
    },
    /// The same, with a text that is another one in each reply.
    DifferingError {
        status: u16,
    },
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug)]
pub enum Times {
    Exactly(usize),
    Forever,
}

impl From<usize> for Times {
    fn from(times: usize) -> Self {
        Self::Exactly(times)
    }
}

/// What goes out on the connection.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Reply),
    Bytes(Vec<u8>),
    Cut(Reply),
    Drip(Reply),
    /// All but the last byte of the body.
    Stall(Reply),
    /// The connection ends, and with it all that is under way on it.
    GoAway,
    Silence,
    /// The last one of its connection, which stays open.
    Last(Reply),
    Reset,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Reply(reply) | Self::Cut(reply) | Self::Drip(reply) | Self::Stall(reply) | Self::Last(reply) => {
                reply.status
            }
            Self::Bytes(_) | Self::GoAway | Self::Silence | Self::Reset => 0,
        }
    }

    /// What is sent of HTTP, if anything is.
    pub(crate) fn reply_mut(&mut self) -> Option<&mut Reply> {
        match self {
            Self::Reply(reply) | Self::Cut(reply) | Self::Drip(reply) | Self::Stall(reply) | Self::Last(reply) => {
                Some(reply)
            }
            Self::Bytes(_) | Self::GoAway | Self::Silence | Self::Reset => None,
        }
    }
}

impl Fault {
    /// What strikes when this has struck `before` times already.
    pub(crate) fn turn(&self, before: usize) -> Self {
        match self {
            Self::InTurn(faults) if faults.is_empty() => Self::Truth,
            Self::InTurn(faults) => faults[before % faults.len()].turn(before / faults.len()),
            other => other.clone(),
        }
    }

    /// The answer to `request`. `truth` is what the cloud would have said.
    pub(crate) fn answer(
        self,
        place: &Place,
        request: &Request,
        request_id: &str,
        truth: impl FnOnce() -> Reply,
    ) -> Answer {
        let refuse = |refusal: Refusal| Answer::Reply(place.refuse(&refusal, request_id));
        Answer::Reply(match self {
            Self::RawReply(bytes) => return Answer::Bytes(bytes),
            Self::CutInBody => return Answer::Cut(truth()),
            Self::EndlessDrip => return Answer::Drip(Reply::json(200, &json!({}))),
            Self::NoAnswer => return Answer::Silence,
            Self::Freeze => return Answer::Last(truth()),
            Self::StalledBody(bytes) => {
                let mut reply = truth();
                reply.body = Self::HugeBody(bytes).spoil(reply.body, place);
                return Answer::Stall(reply);
            }
            Self::Reset => return Answer::Reset,
            Self::Unauthorized => return refuse(Refusal::Unauthenticated),
            Self::Forbidden => return refuse(Refusal::Forbidden),
            Self::NotFound => return refuse(Refusal::Unknown),
            Self::NoSuchPath => return refuse(Refusal::NoSuchPath),
            Self::ServerError { status } => return refuse(Refusal::Broken { status }),
            Self::DifferingError { status } => {
                let mut reply = place.refuse(&Refusal::Broken { status }, request_id);
                reply.body = mangle::append_to_errors(reply.body, &format!(" (trace {request_id})"));
                reply
            }
            Self::EchoToken => return refuse(Refusal::Echo(secrets_sent(request))),
            Self::Throttled { status, retry_after, twice } => {
                return refuse(Refusal::Throttled {
                    status,
                    retry_after: retry_after
                        .into_iter()
                        .flat_map(|value| vec![value; 1 + usize::from(twice)])
                        .collect(),
                });
            }
            Self::Status { code, headers, body } => {
                Reply { status: code, headers, body: body.into_bytes(), ..Reply::default() }
            }
            Self::Late(milliseconds) => Reply { delay: Duration::from_millis(milliseconds), ..truth() },
            Self::OtherStatus(status) => Reply { status, ..truth() },
            Self::Redirect { code, to } => Reply::new(code, "text/plain", "").header("Location", to),
            Self::EmptyBody => Reply::new(200, "application/json", ""),
            Self::Html => Reply::new(200, "text/html; charset=utf-8", SIGN_IN_PAGE),
            Self::GzipBomb => {
                Reply::new(200, "application/json", mangle::gzip_bomb()).header("Content-Encoding", "gzip")
            }
            Self::ManyHeaders(count) => {
                (0..count).fold(truth(), |reply, n| reply.header(&format!("X-Filler-{n}"), "filler"))
            }
            Self::HugeHeader(bytes) => truth().header("X-Filler", "f".repeat(bytes)),
            spoiling => {
                let mut reply = truth();
                reply.body = spoiling.spoil(reply.body, place);
                reply
            }
        })
    }

    fn spoil(self, body: Vec<u8>, place: &Place) -> Vec<u8> {
        match self {
            Self::TruncatedJson => body[..body.len() / 2].to_vec(),
            Self::ExtraJson(text) => [&body, b" ".as_slice(), text.as_bytes()].concat(),
            Self::TrailingComma => mangle::append(body, b","),
            Self::Comments => mangle::append(body, b" /* not JSON */ // either\n"),
            Self::InvalidUtf8 => mangle::append(body, b",\"note\":\"\xff\xfe\xc3\x28\""),
            Self::Utf16 => mangle::utf16(&body),
            Self::Bom => [b"\xef\xbb\xbf".as_slice(), &body].concat(),
            Self::JsonArray => [b"[".as_slice(), &body, b"]"].concat(),
            Self::JsonString => json!(String::from_utf8_lossy(&body)).to_string().into_bytes(),
            Self::DuplicateKeys => mangle::duplicate_key(body),
            Self::NullList => mangle::null_list(body),
            Self::OddMember => mangle::odd_member(body),
            Self::DeepNesting(depth) => {
                mangle::append(body, format!(",\"deep\":{}{}", "[".repeat(depth), "]".repeat(depth)).as_bytes())
            }
            Self::HugeBody(bytes) => {
                let filler = "x".repeat(bytes.saturating_sub(body.len() + 12));
                mangle::append(body, format!(",\"filler\":\"{filler}\"").as_bytes())
            }
            Self::ControlCharacters => {
                mangle::append_to_texts(body, "\\u001b[31mred\\u0000\\r\\nline\\u202etfel\\u0007")
            }
            Self::LoneSurrogate => mangle::append_to_texts(body, "\\ud800"),
            Self::WrongId => mangle::replace_id(body, place.id()),
            _ => body,
        }
    }
}

fn secrets_sent(request: &Request) -> String {
    let body = String::from_utf8_lossy(&request.body);
    let headers = ["x-auth-token", "authorization"].map(|name| request.header(name));
    let sent = headers.into_iter().flatten().chain([body.as_ref()]);
    sent.collect::<Vec<_>>().join(" ").trim().to_owned()
}

const SIGN_IN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n\
    <body><form method=\"post\"><input name=\"password\" type=\"password\"></form></body></html>\n";
