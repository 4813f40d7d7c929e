//! HTTP/1.1 on a raw stream: reads requests, writes replies. By hand, so that faults control every byte.

use std::{io, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest head accepted; Huawei's tokens alone may have 16 384 characters.
const HEAD_LIMIT: usize = 64 * 1024;
/// Huawei's gateway takes no longer body either.
const BODY_LIMIT: usize = 12 * 1024 * 1024;

#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path_and_query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) keep_alive: bool,
    pub(crate) is_http2: bool,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    pub(crate) fn path(&self) -> &str {
        self.path_and_query.split_once('?').map_or(self.path_and_query.as_str(), |(path, _)| path)
    }

    pub(crate) fn query(&self) -> Vec<(String, String)> {
        let query = self.path_and_query.split_once('?').map_or("", |(_, q)| q);
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What its `Date` says; without it the time at which it is sent.
    pub(crate) date: Option<Timestamp>,
    /// How long it is held back.
    pub(crate) delay: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), ..Self::default() }
    }

    pub(crate) fn date(&self) -> String {
        http_date(self.date.unwrap_or_else(Timestamp::now))
    }

    /// Whether it is the last one of its connection.
    pub(crate) fn closes(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close"))
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Status line and headers. `length` is what `Content-Length` claims; `None` leaves it out.
    pub(crate) fn head(&self, length: Option<usize>) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Date: {}\r\n", self.date()));
        // RFC 9110: these statuses have no content, hence no length either.
        if let Some(length) = length.filter(|_| !matches!(self.status, 204 | 304)) {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        // RFC 9112 allows an empty reason.
        _ => "",
    }
}

/// The next request of a connection; `None` when the client has closed it. `buffer` keeps what was read past the end.
///
/// # Errors
/// `InvalidData` for what is not HTTP/1.x or too long, else what the stream says.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let (mut request, start, length) = loop {
        if let Some(head) = parse_head(buffer)? {
            break head;
        }
        if buffer.len() > HEAD_LIMIT {
            return Err(invalid("the head is too long"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    while buffer.len() < start + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    request.body = buffer[start..start + length].to_vec();
    buffer.drain(..start + length);
    Ok(Some(request))
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Request::new(&mut headers);
    let start = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(invalid(&error.to_string())),
    };
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path_and_query: parsed.path.unwrap_or_default().to_owned(),
        ..Request::default()
    };
    for header in parsed.headers.iter() {
        request.headers.push((header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()));
    }
    request.keep_alive = parsed.version == Some(1)
        && !request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    if request.header("transfer-encoding").is_some() {
        return Err(invalid("a body needs a Content-Length here"));
    }
    let length = match request.header("content-length") {
        None => 0,
        Some(text) => text.parse().map_err(|_| invalid("bad Content-Length"))?,
    };
    if length > BODY_LIMIT {
        return Err(invalid("the body is too long"));
    }
    Ok(Some((request, start, length)))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(mut input: &[u8]) -> io::Result<Vec<Request>> {
        let mut buffer = Vec::new();
        let mut requests = Vec::new();
        while let Some(request) = read(&mut input, &mut buffer).await? {
            requests.push(request);
        }
        Ok(requests)
    }

    #[tokio::test]
    async fn two_requests_on_one_connection_are_told_apart() {
        let input = b"POST /a?x=%20y HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.0\r\n\r\n";
        let requests = read_all(input).await.unwrap();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].body, b"abc");
        assert_eq!(requests[0].path(), "/a");
        assert_eq!(requests[0].query(), [("x".to_owned(), " y".to_owned())]);
        assert!(requests[0].keep_alive);
        assert_eq!(requests[1].path(), "/b");
        assert!(!requests[1].keep_alive);
    }

    #[tokio::test]
    async fn what_is_not_http_is_refused() {
        for input in [
            &b"\x16\x03\x01 not http\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            let error = read_all(input).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_reply_without_content_claims_no_length() {
        let head = |status| String::from_utf8(Reply::new(status, "a/b", "").head(Some(0))).unwrap();
        assert!(head(200).contains("\r\nContent-Length: 0\r\n"));
        assert!(!head(204).contains("Content-Length"));
        assert!(head(599).starts_with("HTTP/1.1 599 \r\n"));
    }
}
