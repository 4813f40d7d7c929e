//! The shell around the core: watches objects, asks clouds, writes statuses. The only place that knows both Kubernetes
//! and a cloud.
//!
//! [`watch`] feeds the [`queue`], which has each object looked at when its time has come: [`reconcile`] asks the core
//! what to do, [`poll`] asks the cloud, [`write`] carries out what the core decided. [`profiles`] knows the APIs that are
//! described rather than built in.

mod context;
mod error;
mod interning;
mod memory;
mod pace;
mod poll;
mod profiles;
mod queue;
mod reconcile;
mod relist;
mod standing;
#[cfg(test)]
mod tests;
mod unannounced;
mod watch;
mod watch_profiles;
mod write;

pub use context::{Context, Stage};
pub use error::Error;
pub use poll::POLLS;
pub use watch::{Watched, run};
pub use watch_profiles::watch_profiles;
