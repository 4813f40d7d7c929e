//! Why no answer came, in words that stay the same from poll to poll. Pure.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

use crate::observation::{FailureKind, PollFailure};
use crate::upstream::guard::allow_list::explain_refusal;

/// The time limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the connection.
    pub connect: Duration,
    /// For the whole.
    pub whole: Duration,
}

/// Who was to answer.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The cloud, by name.
    pub cloud: &'a str,
    /// Its host.
    pub host: &'a str,
    /// The Secret's key that says so, or would.
    pub key: &'a str,
    /// The host of the proxy on the way, if there is one.
    pub proxy: Option<&'a str>,
}

/// Explains why `peer` gave no answer.
pub fn explain(error: &reqwest::Error, peer: Peer<'_>, limits: Limits) -> PollFailure {
    let Peer { cloud, host, key, proxy } = peer;
    let cause = match find::<PollFailure>(error) {
        Some(failure) if failure.kind == FailureKind::EndpointRefused => {
            return PollFailure::new(failure.kind, explain_refusal(key, &failure.message));
        }
        Some(failure) => failure.message.clone(),
        None => proxy.and_then(|proxy| proxy_cause(error, proxy, host)).unwrap_or_else(|| cause(error, host, limits)),
    };
    PollFailure::new(FailureKind::Unreachable, format!("{cloud} cannot be reached: {cause}"))
}

/// Whether a connection ended under the request. Over HTTP/2 those of others then end with it.
pub fn is_end_of_connection(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

/// What went wrong at the proxy, if it was there.
fn proxy_cause(error: &reqwest::Error, proxy: &str, host: &str) -> Option<String> {
    // The kind of this error has no public name.
    let tunnel = causes(error).find(|cause| cause.to_string().starts_with("tunnel error: "))?;
    Some(match tunnel.to_string().trim_start_matches("tunnel error: ") {
        "proxy authorization required" => {
            format!("the proxy {proxy} wants other credentials: check the file of --egress-proxy-credentials-file")
        }
        "failed to create underlying connection" => {
            let why = match find::<rustls::Error>(tunnel) {
                Some(error) => tls_cause(error, proxy).replace("the Secret's key ca.crt", "--egress-proxy-ca-file"),
                None => connection_cause(error, proxy),
            };
            format!("{why}; it is the proxy of --egress-proxy")
        }
        _ => format!("the proxy {proxy} makes no connection to {host}; its log may say why"),
    })
}

fn cause(error: &reqwest::Error, host: &str, limits: Limits) -> String {
    if error.is_timeout() {
        return match error.is_connect() {
            true => format!("no connection to {host} within {} s", limits.connect.as_secs_f64()),
            false => format!("{host} gave no complete answer within {} s", limits.whole.as_secs_f64()),
        };
    }
    if let Some(error) = find::<rustls::Error>(error) {
        return tls_cause(error, host);
    }
    connection_cause(error, host)
}

fn connection_cause(error: &reqwest::Error, host: &str) -> String {
    // Some layers wrap an io::Error in another that says nothing.
    let io = causes(error)
        .filter_map(|cause| cause.downcast_ref())
        .map(io::Error::kind)
        .find(|kind| *kind != io::ErrorKind::Other);
    let http2 = find::<h2::Error>(error);
    // It does not give its cause as others do.
    let io = io.or_else(|| http2.and_then(h2::Error::get_io).map(io::Error::kind));
    let hyper = find::<hyper::Error>(error);
    match io {
        Some(io::ErrorKind::ConnectionRefused) => format!("{host} refuses the connection"),
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted) => {
            format!("{host} reset the connection")
        }
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            format!("there is no route to {host}")
        }
        Some(io::ErrorKind::UnexpectedEof) => format!("{host} closed the connection"),
        _ if hyper.is_some_and(hyper::Error::is_parse_too_large) => {
            format!("the headers of {host}'s reply are too large")
        }
        _ if hyper.is_some_and(hyper::Error::is_parse) => {
            format!("the reply of {host} breaks HTTP")
        }
        _ if hyper.is_some_and(hyper::Error::is_incomplete_message) => {
            format!("{host} closed the connection before it had answered")
        }
        // Which of these it is depends on what is noticed first.
        _ if http2.is_some_and(|error| error.is_go_away() && error.is_remote())
            || hyper.is_some_and(|error| error.is_canceled() || error.is_closed())
            || (!error.is_connect() && find::<io::Error>(error).is_some()) =>
        {
            format!("{host} reset the connection")
        }
        _ if let Some(reason) = http2.and_then(h2::Error::reason) => match http2.is_some_and(h2::Error::is_remote) {
            true => format!("{host} broke off its answer (HTTP/2 {reason:?})"),
            false => format!("the reply of {host} breaks HTTP"),
        },
        _ if error.is_connect() => format!("no connection to {host}"),
        _ => format!("the connection to {host} failed"),
    }
}

fn tls_cause(error: &rustls::Error, host: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("the certificate of {host} has expired")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {host} is not valid yet")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the certificate of {host} is for another host")
            }
            CertificateError::Revoked => format!("the certificate of {host} is revoked"),
            CertificateError::UnknownIssuer | CertificateError::Other(_) => format!(
                "the certificate of {host} is from no trusted authority; if it should be trusted, put the authority's \
                 certificate into the Secret's key ca.crt"
            ),
            _ => format!("the certificate of {host} is not valid"),
        },
        rustls::Error::AlertReceived(_) => format!("{host} breaks off the TLS handshake"),
        rustls::Error::PeerIncompatible(_) => {
            format!("{host} speaks no version of TLS that is safe")
        }
        rustls::Error::InvalidMessage(_) => format!("{host} does not speak TLS"),
        _ => format!("the TLS handshake with {host} failed"),
    }
}

/// The first error of type `E` among the causes of `error`.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The error and all that caused it, in turn.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| next_cause(*error))
}

fn next_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // What an io::Error was made of is not its source but hidden inside.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inside) => Some(inside),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_cause_is_found_behind_others_and_inside_io_errors() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert!(find::<rustls::Error>(&error).is_some());
        assert!(find::<hyper::Error>(&error).is_none());
    }

    #[rstest::rstest]
    #[case(CertificateError::Expired, "has expired")]
    #[case(CertificateError::NotValidYet, "is not valid yet")]
    #[case(CertificateError::NotValidForName, "is for another host")]
    #[case(CertificateError::UnknownIssuer, "put the authority's certificate into the Secret's key ca.crt")]
    #[case(CertificateError::Revoked, "is revoked")]
    #[case(CertificateError::BadSignature, "is not valid")]
    #[case(CertificateError::Other(rustls::OtherError(Arc::new(io::Error::other("x")))), "ca.crt")]
    fn what_is_wrong_with_a_certificate_is_said(#[case] error: CertificateError, #[case] words: &str) {
        let cause = tls_cause(&rustls::Error::InvalidCertificate(error), "api.example");
        assert!(cause.contains("api.example") && cause.contains(words), "{cause}");
    }
}
