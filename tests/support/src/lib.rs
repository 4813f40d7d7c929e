//! A real control plane for tests and the demo: etcd and kube-apiserver on loopback, kubectl and
//! helm against them, and child processes whose logs can be read while they run.
//!
//! Everything blocks, so that a plain `#[test]` can use it. From tokio, use the multi-threaded
//! runtime, or the code under test stands still while a call here waits.
//!
//! Nothing outlives the process that uses this crate, however it ends: children die with it, and
//! its temporary folder is removed.

mod audit;
mod authority;
mod bed;
mod child;
mod command;
mod control_plane;
mod dice;
mod error;
mod polling;
mod process;
mod programs;
mod scratch;
mod servers;

pub use audit::{AuditEvent, AuditLog};
pub use bed::{Bed, Cluster, SECRET, TOKEN, condition, define};
pub use command::Output;
pub use control_plane::ControlPlane;
pub use dice::Dice;
pub use error::Error;
pub use polling::eventually;
pub use process::Process;
