//! The one seam to the outside: time, tasks, randomness, sockets.
//!
//! Everything below `bin/` takes them from here, so that the whole node runs unchanged on tokio and inside the
//! deterministic simulator (`--cfg madsim`). Whoever reaches past this crate breaks replay: a stray
//! `tokio::spawn` never runs in simulation, a stray `Instant::now` makes two runs of one seed differ.
//! `clippy.toml` bans the usual ways around.
//!
//! | module | what |
//! |---|---|
//! | [`time`] | instants, sleeping, deadlines, the wall clock |
//! | [`net`] | TCP listeners and streams |
//! | [`rng`] | randomness |
//! | [`certificate`] | a certificate that is renewed while it is shown |
//! | [`conveyor`] | blocking work on every core at once, handed over in order |
//! | [`cores`] | one single-threaded runtime per core, for the data plane |
//! | [`http`] | hyper over our sockets: serving with bounds and drain, HTTP/2 clients |
//! | [`planted`] | bugs put in on purpose, in simulation only |
//! | [`published`] | a cell that one task writes and each request reads with one atomic load |
//! | [`rest`] | how long to wait after a failure |
//! | [`shutdown`] | one signal that ends many tasks |
//! | [`tls`] | TLS towards workers and clients |

pub mod certificate;
pub mod conveyor;
pub mod cores;
pub mod duplex;
pub mod http;
pub mod planted;
pub mod published;
pub mod rest;
pub mod shutdown;
pub mod tls;

#[cfg(madsim)]
#[path = "sim.rs"]
mod imp;
#[cfg(not(madsim))]
#[path = "real.rs"]
mod imp;

#[cfg(madsim)]
pub use imp::clock_skew;
pub use imp::{JoinHandle, RaftRuntime, blocking, net, rng, spawn, time};
