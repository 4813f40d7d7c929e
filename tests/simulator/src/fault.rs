//! What can go wrong between a client and a cloud, a name for each.

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
    /// A member is added with an array nested this deep.
    DeepNesting(usize),
    /// A member is added that brings the document to this many bytes.
    HugeBody(usize),
    /// 200, then a space every 50 ms until the client gives up.
    EndlessDrip,
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
    Silence,
    /// The last one of its connection, which stays open.
    Last(Reply),
    Reset,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Reply(reply) | Self::Cut(reply) | Self::Drip(reply) | Self::Last(reply) => reply.status,
            Self::Bytes(_) | Self::Silence | Self::Reset => 0,
        }
    }
}

impl Fault {
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
            Self::Reset => return Answer::Reset,
            Self::Unauthorized => return refuse(Refusal::Unauthenticated),
            Self::Forbidden => return refuse(Refusal::Forbidden),
            Self::NotFound => return refuse(Refusal::Unknown),
            Self::NoSuchPath => return refuse(Refusal::NoSuchPath),
            Self::ServerError { status } => return refuse(Refusal::Broken { status }),
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
            Self::Status { code, headers, body } => Reply { status: code, headers, body: body.into_bytes() },
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
