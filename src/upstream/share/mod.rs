//! Who asks for whom, and how often: several operations of one list ([`list_policy`]), equal requests
//! ([`single_flight`]), and the budget of an account ([`rate_limiter`]). Pure: the time is an argument.

pub mod list_policy;
pub mod rate_limiter;
pub mod single_flight;
