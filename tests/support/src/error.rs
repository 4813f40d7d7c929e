use std::{io, time::Duration};

/// Why the testbed could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action}: {source}")]
    Io { action: String, source: io::Error },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// etcd, kube-apiserver, kubectl or helm could neither be found nor built.
    #[error("no control plane to run: tests/control-plane/build failed (its messages are above)")]
    Programs,
    /// A command ended with another exit code than 0; `code` is `None` after a signal.
    #[error("`{command}` ended with {}: {stderr}", code.map_or("a signal".to_owned(), |code| format!("exit code {code}")))]
    Command { command: String, code: Option<i32>, stderr: String },
    /// A process ended while something was still expected of it.
    #[error("{name} ended early ({status}); the end of its log:\n{log}")]
    Ended { name: String, status: String, log: String },
    /// Something did not happen in time.
    #[error("{what}: not within {} s; the last that was seen:\n{last}", within.as_secs_f32())]
    Timeout { what: String, within: Duration, last: String },
}

impl Error {
    /// Turns an I/O error into one that says what was attempted.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
