//! HTTP/2: many requests on one connection, and the same answers and faults as over HTTP/1.1 where it has them.

use std::{future::poll_fn, io, os::fd::AsFd, sync::Arc, time::Duration};

use h2::{
    Reason, RecvStream, SendStream,
    server::{self, SendResponse},
};
use tokio::{net::TcpStream, sync::watch};
use tokio_rustls::server::TlsStream;

use crate::{
    fault::Answer,
    http::{Reply, Request},
    server::{DRIP_INTERVAL, Shared, decide},
};

/// As many requests at once as common servers take.
const MOST_STREAMS: u32 = 128;
/// More than any client's token takes.
const LONGEST_HEADERS: u32 = 64 * 1024;
/// Headers of one hop only, which HTTP/2 refuses.
const OF_THE_CONNECTION: [&str; 3] = ["connection", "transfer-encoding", "keep-alive"];

/// Serves one connection after the TLS handshake.
///
/// # Errors
/// Where the client leaves or an answer was to break the connection.
pub(crate) async fn serve(stream: TlsStream<TcpStream>, shared: &Arc<Shared>, number: u64) -> io::Result<()> {
    let mut builder = server::Builder::new();
    builder.max_concurrent_streams(MOST_STREAMS).max_header_list_size(LONGEST_HEADERS);
    // The stream goes into hands that do not give it back.
    let socket = socket2::Socket::from(stream.get_ref().0.as_fd().try_clone_to_owned()?);
    let mut connection = builder.handshake(stream).await.map_err(io::Error::other)?;
    let (ending, mut ends) = watch::channel(None);
    loop {
        let (request, respond) = tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(accepted) => accepted.map_err(io::Error::other)?,
                None => return Ok(()),
            },
            Some(end) = async { ends.wait_for(Option::is_some).await.ok().and_then(|end| *end) } => {
                if end == End::Frozen {
                    std::future::pending::<()>().await;
                }
                if end == End::GoneAway {
                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    return poll_fn(|context| connection.poll_closed(context)).await.map_err(io::Error::other);
                }
                socket.set_linger(Some(Duration::ZERO))?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        };
        let (shared, ending) = (Arc::clone(shared), ending.clone());
        tokio::spawn(async move {
            // A client that gives up concerns no other request.
            if let Ok(Some((end, _respond))) = exchange(request, respond, &shared, number).await {
                ending.send_replace(Some(end));
                // Dropped, it would say goodbye.
                std::future::pending::<()>().await;
            }
        });
    }
}

/// What becomes of a whole connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Frozen,
    /// GOAWAY with ENHANCE_YOUR_CALM, and the end.
    GoneAway,
    Reset,
}

/// Answers one request; the connection ends with it, if so.
async fn exchange(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<bytes::Bytes>,
    shared: &Shared,
    number: u64,
) -> Result<Option<(End, SendResponse<bytes::Bytes>)>, h2::Error> {
    let (head, mut body) = request.into_parts();
    let mut read = Request {
        method: head.method.to_string(),
        path_and_query: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: head.uri.authority().map(|host| ("host".to_owned(), host.to_string())).into_iter().collect(),
        is_http2: true,
        ..Request::default()
    };
    for (name, value) in &head.headers {
        read.headers.push((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    }
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        read.body.extend_from_slice(&chunk);
    }
    let (answer, latency) = decide(shared, &read, number);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match answer {
        Answer::Reply(reply) => {
            let is_empty = reply.body.is_empty();
            let mut stream = respond.send_response(with_length(&reply), is_empty)?;
            if !is_empty {
                send(&mut stream, reply.body, true).await?;
            }
        }
        // Bytes that are no message have no place here: the nearest is an answer that breaks off before it begins.
        Answer::Bytes(_) => respond.send_reset(Reason::PROTOCOL_ERROR),
        Answer::Cut(reply) => {
            let mut stream = respond.send_response(with_length(&reply), false)?;
            send(&mut stream, reply.body[..reply.body.len() / 2].to_vec(), false).await?;
            // Not before it is on its way: a reset drops what waits.
            tokio::time::sleep(DRIP_INTERVAL).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Answer::Drip(reply) => {
            let mut stream = respond.send_response(head_of(&reply), false)?;
            loop {
                send(&mut stream, b" ".to_vec(), false).await?;
                tokio::time::sleep(DRIP_INTERVAL).await;
            }
        }
        Answer::Stall(reply) => {
            let mut stream = respond.send_response(with_length(&reply), false)?;
            let most = reply.body.len().saturating_sub(1);
            send(&mut stream, reply.body[..most].to_vec(), false).await?;
            poll_fn(|context| stream.poll_reset(context)).await?;
        }
        Answer::Silence => {
            poll_fn(|context| respond.poll_reset(context)).await?;
        }
        Answer::Last(reply) => {
            let mut stream = respond.send_response(with_length(&reply), false)?;
            send(&mut stream, reply.body, true).await?;
            // Not before it is on its way.
            tokio::time::sleep(DRIP_INTERVAL).await;
            return Ok(Some((End::Frozen, respond)));
        }
        Answer::GoAway => return Ok(Some((End::GoneAway, respond))),
        Answer::Reset => return Ok(Some((End::Reset, respond))),
    }
    Ok(None)
}

/// Sends `body` as fast as the client takes it.
async fn send(stream: &mut SendStream<bytes::Bytes>, body: Vec<u8>, is_end: bool) -> Result<(), h2::Error> {
    let mut body = bytes::Bytes::from(body);
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(capacity) = poll_fn(|context| stream.poll_capacity(context)).await.transpose()? else {
            return Ok(());
        };
        let part = body.split_to(capacity.min(body.len()));
        let is_last = is_end && body.is_empty();
        stream.send_data(part, is_last)?;
    }
    Ok(())
}

fn with_length(reply: &Reply) -> http::Response<()> {
    let mut head = head_of(reply);
    if !matches!(reply.status, 204 | 304) {
        head.headers_mut().insert(http::header::CONTENT_LENGTH, reply.body.len().into());
    }
    head
}

fn head_of(reply: &Reply) -> http::Response<()> {
    let mut head = http::Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(reply.status).unwrap_or_default();
    let date = ("Date".to_owned(), reply.date());
    for (name, value) in reply.headers.iter().chain([&date]) {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value))
            && !OF_THE_CONNECTION.contains(&name.as_str())
        {
            head.headers_mut().append(name, value);
        }
    }
    head
}
