//! Listeners whose transport is broken, each in its own way.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    server::{self, Shared, drain, reset_on_close},
    tls::{Authority, Shown},
};

/// An extra port beside the simulator's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Listener {
    /// The clouds, behind a certificate of 2020.
    ExpiredCertificate,
    /// The clouds, behind a certificate for `elsewhere.example`.
    WrongHost,
    /// The clouds, behind a certificate that the simulator's CA did not sign.
    SelfSigned,
    /// The clouds, behind a self-signed certificate for localhost as `openssl req -x509` makes it: CA:TRUE.
    /// [`crate::Simulator::certificate`] has it, to be trusted.
    SelfSignedCa,
    /// As that, of 2020.
    ExpiredSelfSignedCa,
    /// As that, for `elsewhere.example`.
    WrongHostSelfSignedCa,
    /// TCP RST as soon as a connection is there.
    ResetAfterAccept,
    /// Agrees to HTTP/2 where that is offered; whatever is asked, sends SETTINGS and GOAWAY and closes.
    GoAway,
    /// HTTP without TLS: 400 to whatever comes.
    PlainHttp,
    /// Accepts and never says a byte.
    Silent,
}

/// An open extra listener.
#[derive(Debug)]
pub(crate) struct Extra {
    pub(crate) port: u16,
    pub(crate) connections: Arc<AtomicU64>,
    pub(crate) certificate: String,
}

// RFC 9113: an empty SETTINGS frame, then GOAWAY with last stream 0 and ENHANCE_YOUR_CALM.
const GO_AWAY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\x0b";

const NOT_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n";

impl Listener {
    fn certificate(self) -> Shown {
        match self {
            Self::ExpiredCertificate => Shown::Expired,
            Self::WrongHost => Shown::WrongHost,
            Self::SelfSigned => Shown::SelfSigned,
            Self::SelfSignedCa => Shown::SelfSignedCa,
            Self::ExpiredSelfSignedCa => Shown::ExpiredSelfSignedCa,
            Self::WrongHostSelfSignedCa => Shown::WrongHostSelfSignedCa,
            _ => Shown::Valid,
        }
    }

    /// Opens it on a free loopback port; it runs as a task of the current runtime.
    pub(crate) async fn open(self, authority: &Authority, shared: Arc<Shared>) -> io::Result<Extra> {
        let protocols: &[&str] = match self {
            Self::GoAway => &["h2", "http/1.1"],
            _ => &["http/1.1"],
        };
        let (acceptor, certificate) = authority.acceptor(self.certificate(), protocols)?;
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let port = socket.local_addr()?.port();
        let connections = Arc::new(AtomicU64::new(0));
        tokio::spawn(self.run(socket, acceptor, shared, Arc::clone(&connections)));
        Ok(Extra { port, connections, certificate })
    }

    async fn run(self, socket: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>, connections: Arc<AtomicU64>) {
        let mut tasks = JoinSet::new();
        while let Ok((stream, _)) = socket.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
            tasks.spawn(async move {
                // A client that leaves in the middle is what these listeners are for.
                let _ = self.serve(stream, acceptor, &shared).await;
            });
        }
    }

    async fn serve(self, mut stream: TcpStream, acceptor: TlsAcceptor, shared: &Arc<Shared>) -> io::Result<()> {
        match self {
            Self::ExpiredCertificate
            | Self::WrongHost
            | Self::SelfSigned
            | Self::SelfSignedCa
            | Self::ExpiredSelfSignedCa
            | Self::WrongHostSelfSignedCa => server::serve(stream, acceptor, shared).await,
            Self::ResetAfterAccept => reset_on_close(&stream),
            Self::GoAway => {
                let mut stream = acceptor.accept(stream).await?;
                stream.read_buf(&mut Vec::new()).await?;
                stream.write_all(GO_AWAY).await?;
                stream.shutdown().await
            }
            Self::PlainHttp => {
                stream.read_buf(&mut Vec::new()).await?;
                stream.write_all(NOT_TLS).await?;
                stream.shutdown().await?;
                drain(&mut stream).await
            }
            Self::Silent => drain(&mut stream).await,
        }
    }
}
