//! Who asks for whom, and how often: several operations of one list ([`list_policy`]), equal requests
//! ([`single_flight`]), and the budget of an account ([`rate_limiter`]). Pure: the time is an argument.

pub mod list_policy;
pub mod rate_limiter;
pub mod single_flight;

use futures::channel::oneshot;
use futures::future::Shared;

/// Resolves when it is worth asking again: a request of somebody else is over, whatever came of it.
pub type Landing = Shared<oneshot::Receiver<()>>;
