//! Simulated clouds in one HTTPS server on loopback: their paths, sign-ins, replies and refusals, scripted
//! operations, and faults on demand. For tests, the demo, and rehearsals of a pipeline.
//!
//! | module | |
//! |---|---|
//! | `simulator` | what a test holds: start, put, advance, fault, count |
//! | `server`, `http`, `tls`, `listener` | connections and bytes |
//! | `clouds` | a file and a row for each API: paths, shapes, refusals |
//! | `world` | all that the clouds know; no I/O |
//! | `life`, `play` | scripted operations, and where they are at a moment |
//! | `account`, `signature` | who may ask |
//! | `fault`, `mangle` | what goes wrong |
//! | `record` | what was asked |
//! | `rehearsal` | lives for operations that nobody scripted |
//! | `offline` | the clouds without a server |
//! | `scenario` | all of it from a YAML file |
//!
//! It shares no type with the product: both would be wrong together.

mod account;
mod clouds;
mod fault;
mod http;
mod http2;
mod life;
mod listener;
mod mangle;
mod offline;
mod play;
mod record;
mod rehearsal;
mod scenario;
mod server;
mod signature;
mod simulator;
mod tls;
mod world;

pub use account::Account;
pub use clouds::{BasicHeader, Cloud, NumspotApi, Route};
pub use fault::{Fault, Times};
pub use life::{Key, Operation, Scope, Stage, Task};
pub use listener::Listener;
pub use offline::{Answered, Clouds};
pub use record::{Matcher, RecordedRequest};
pub use rehearsal::{Outcome, accounts as rehearsal_accounts};
pub use scenario::{InvalidScenario, Scenario};
pub use simulator::{FaultHandle, Options, Simulator};
