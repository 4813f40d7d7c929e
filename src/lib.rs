//! cloudop follows a cloud's long-running operation to its end and tells Kubernetes how it stands.
//!
//! # The map
//!
//! | module | what it is |
//! |---|---|
//! | [`api`] | the resources: spec, status, conditions, defaults; no behaviour |
//! | [`controller`] | the shell: watches objects, asks clouds, writes statuses; reads the clock |
//! | [`decision`], [`schedule`] | the core: what a status becomes, and when to poll next; pure |
//! | [`history`] | how long operations take, learnt from those that ended; pure |
//! | [`observation`] | what a cloud said about an operation, in words all clouds share |
//! | [`provider`] | the clouds' APIs that are built in, one small file each; pure |
//! | [`profile`] | the APIs that are described: an OperationProfile made ready to use; pure |
//! | [`credentials`], [`auth`] | a Secret, and what its credential becomes on the wire |
//! | [`upstream`] | the one way out to a cloud |
//! | [`document`], [`time`], [`wording`], [`hosts`] | a reply's JSON, times, texts and names, made safe to use; pure |
//! | [`clock`] | the two clocks |
//! | [`metrics`], [`server`] | what is counted, and where it is served |
//! | [`traces`] | polls as spans, for a collector |
// Here rather than in Cargo.toml, whose lints would hold for tests too.
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::dbg_macro,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::todo,
        clippy::unimplemented,
        clippy::unwrap_used
    )
)]

pub mod api;
pub mod auth;
#[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
pub mod clock;
pub mod controller;
pub mod credentials;
pub mod decision;
pub mod document;
mod events;
pub mod history;
pub mod hosts;
pub mod metrics;
pub mod observation;
pub mod profile;
pub mod provider;
pub mod schedule;
pub mod server;
pub mod time;
pub mod traces;
pub mod upstream;
pub mod wording;
