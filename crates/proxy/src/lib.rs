//! The data plane: every request on the routing listener, from its first byte to the last of its answer.
//!
//! The life of a request, by file:
//!
//! | file | what happens there |
//! |---|---|
//! | [`start`] | one runtime per core, each with a listener of its own on one port; drain |
//! | `listen` | a connection is accepted, within the bounds |
//! | `http1` | the bytes: HTTP/1.1 on both sides. Nothing else knows what carries them |
//! | `serve` | one request, from head to answer |
//! | `admit` | what is malformed or ambiguous is refused before anything is decided on it |
//! | `decide` | the core's View: which worker, by `quorate_routing::decide` |
//! | `headers` | what is dropped and added on the way in and on the way out |
//! | `forward` | attempts: a pooled connection, a fresh one, the partition's new owner |
//! | `pool`, `dial` | connections to workers |
//! | `answer` | the answers that are made here, byte for byte |
//! | `upgrade` | a 101 from the worker turns the connection into a tunnel |
//! | `deadline` | one coarse sweep per core instead of a timer per request |
//!
//! Cores share nothing but the View: sockets, pools, deadlines and counters belong to the core that accepted the
//! connection. Their locks are never contended; they are there because futures must be `Send` (in simulation all
//! nodes share one thread, so thread-locals would leak from node to node).

mod admit;
mod answer;
mod client;
pub mod config;
mod core;
mod deadline;
mod decide;
mod dial;
mod forward;
mod freshness;
mod headers;
mod http1;
mod listen;
mod pool;
mod serve;
pub mod start;
mod upgrade;

pub use config::{Config, Limits};
pub use freshness::Freshness;
pub use start::{Proxy, StartError};
