//! The connections of the HTTPS server: TLS, one request after another, and the answers as they go out on the wire.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    clouds::{self, Place},
    fault::Answer,
    http::{self, Reply, Request},
    http2,
    record::RecordedRequest,
    world::World,
};

pub(crate) const DRIP_INTERVAL: Duration = Duration::from_millis(50);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    /// Connections accepted on the simulator's own port.
    pub(crate) connections: AtomicU64,
    /// The number of the newest connection on any port.
    newest: AtomicU64,
    /// Whether each request is printed in a line.
    log: bool,
}

impl Shared {
    pub(crate) fn new(world: World, log: bool) -> Self {
        Self { world: Mutex::new(world), connections: AtomicU64::new(0), newest: AtomicU64::new(0), log }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections until dropped; then all of them end.
pub(crate) async fn run(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                    connections.spawn(async move {
                        // A client may leave at any moment: that concerns nobody else.
                        let _ = serve(stream, acceptor, &shared).await;
                    });
                }
                // Out of descriptors, most likely: some connection must end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, from the TLS handshake to its end.
///
/// # Errors
/// Where the client leaves or the answer was to break the connection.
pub(crate) async fn serve(stream: TcpStream, acceptor: TlsAcceptor, shared: &Arc<Shared>) -> io::Result<()> {
    let connection = shared.newest.fetch_add(1, Ordering::SeqCst) + 1;
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        return http2::serve(stream, shared, connection).await;
    }
    let mut buffer = Vec::new();
    loop {
        let request = match http::read(&mut stream, &mut buffer).await {
            Ok(Some(request)) => request,
            Ok(None) => return stream.shutdown().await,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let reply = Reply::new(400, "text/plain", error.to_string()).header("Connection", "close");
                send(&mut stream, &reply).await?;
                return stream.shutdown().await;
            }
            Err(error) => return Err(error),
        };
        let (answer, latency) = decide(shared, &request, connection);
        // A timer would take up to a millisecond even for nothing.
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let goes_on = write(&mut stream, answer).await? && request.keep_alive;
        if !goes_on {
            return stream.shutdown().await;
        }
    }
}

pub(crate) fn decide(shared: &Shared, request: &Request, connection: u64) -> (Answer, Duration) {
    let mut world = shared.world();
    let now = world.now();
    let (mut answer, place) = clouds::answer(&mut world, request, now);
    if shared.log {
        print(request, &answer, &place, connection);
    }
    world.record(RecordedRequest {
        at: Instant::now(),
        method: request.method.clone(),
        path_and_query: request.path_and_query.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        status: answer.status(),
        connection,
        cloud: place.cloud(),
        id: place.id().map(str::to_owned),
    });
    let delay = answer.reply_mut().map(|reply| reply.delay).unwrap_or_default();
    (answer, world.latency + delay)
}

fn print(request: &Request, answer: &Answer, place: &Place, connection: u64) {
    let time = Timestamp::now().strftime("%H:%M:%S%.3f");
    let cloud = place.cloud().map_or_else(|| "-".to_owned(), |c| c.to_string());
    // A reader that has gone must not stop the clouds.
    let _ = io::Write::write_fmt(
        &mut io::stdout(),
        format_args!(
            "{time} #{connection} {} {} {} {cloud}\n",
            answer.status(),
            request.method,
            request.path_and_query
        ),
    );
}

/// Sends the answer. False when the connection can't go on after it.
async fn write(stream: &mut TlsStream<TcpStream>, answer: Answer) -> io::Result<bool> {
    match answer {
        Answer::Reply(reply) => send(stream, &reply).await.map(|()| !reply.closes()),
        Answer::Stall(reply) => {
            stream.write_all(&reply.head(Some(reply.body.len()))).await?;
            stream.write_all(&reply.body[..reply.body.len().saturating_sub(1)]).await?;
            stream.flush().await?;
            drain(stream).await.map(|()| false)
        }
        Answer::GoAway => Ok(false),
        Answer::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.flush().await.map(|()| false)
        }
        Answer::Cut(reply) => {
            stream.write_all(&reply.head(Some(reply.body.len()))).await?;
            stream.write_all(&reply.body[..reply.body.len() / 2]).await?;
            stream.flush().await?;
            // An error leaves out the close_notify that a proper end would send.
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        Answer::Drip(reply) => {
            let reply = reply.header("Transfer-Encoding", "chunked");
            stream.write_all(&reply.head(None)).await?;
            loop {
                stream.write_all(b"1\r\n \r\n").await?;
                stream.flush().await?;
                tokio::time::sleep(DRIP_INTERVAL).await;
            }
        }
        Answer::Last(reply) => {
            send(stream, &reply).await?;
            drain(stream).await.map(|()| false)
        }
        Answer::Silence => {
            // Returns when the client gives up.
            drain(stream).await.map(|()| false)
        }
        Answer::Reset => {
            reset_on_close(stream.get_ref().0)?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

async fn send(stream: &mut TlsStream<TcpStream>, reply: &Reply) -> io::Result<()> {
    let mut bytes = reply.head(Some(reply.body.len()));
    bytes.extend_from_slice(&reply.body);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Makes the close that follows a TCP RST.
pub(crate) fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// Reads until the client says nothing more.
pub(crate) async fn drain(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<()> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(|_| ())
}
