//! The data plane: every request on the routing listener, from its first byte to the last of its answer.
//!
//! The life of a request, by file:
//!
//! | file | what happens there |
//! |---|---|
//! | [`start`] | one runtime per core, each with a listener of its own on one port; drain |
//! | `listen` | a connection is accepted, within the bounds |
//! | `opening`, `transport` | TLS, where it is the other listener; and which HTTP a connection speaks |
//! | `http1` | the bytes: HTTP/1.1 on both sides, by hyper and by a codec of our own. Nothing else knows what carries them |
//! | `http2` | HTTP/2, beside it |
//! | `serve` | one request, from head to answer |
//! | `admit` | what is malformed or ambiguous is refused before anything is decided on it |
//! | `keys` | the routing key is taken, and given on |
//! | `decide` | the core's View: which worker, by `quorate_routing::decide` |
//! | `headers` | what is dropped and added on the way in and on the way out |
//! | `services` | the candidates of each service, ready for a choice by `quorate_routing::pick` |
//! | `routes` | what a route makes of a request and of its answer; `mirror`: who else gets a copy |
//! | `resilience` | a service's policy: balancing, breakers, ejections, bounds, what is retried |
//! | `hold`, `timeline` | a request that finds nobody waits for the next owner, where that is allowed |
//! | `forward` | attempts: a pooled connection, a fresh one, the partition's new owner, the service's next worker |
//! | `destination`, `pool`, `dial` | workers, what they have to do, and connections to them |
//! | `grpc` | what calls of gRPC say in their headers |
//! | `answer` | the answers that are made here, byte for byte |
//! | `upgrade`, `websocket` | a 101 from the worker turns the connection, or the stream, into a tunnel |
//! | [`inlet`] | requests that did not come in by the routing listener |
//! | [`in_flight`] | how many requests a worker still has |
//! | [`observations`] | what its cores make of workers: breakers, ejections |
//! | [`key_trace`] | what its cores note of routing keys that somebody follows |
//! | [`tunnel`] | workers that dial us |
//! | [`ramps`] | how the requests fare that ramps lead somewhere |
//! | [`probe`] | whether a worker is well |
//! | `deadline` | one coarse sweep per core instead of a timer per request |
//! | `seldom` | what happens to a thousand requests is logged once |
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
mod destination;
mod dial;
mod forward;
mod freshness;
mod headers;
mod hold;
mod http1;
mod http2;
pub mod in_flight;
pub mod inlet;
pub mod key_trace;
mod keys;
mod listen;
mod mirror;
pub mod observations;
mod opening;
mod pool;
pub mod probe;
pub mod ramps;
mod resilience;
mod routes;
mod seldom;
mod serve;
mod services;
pub mod start;
mod timeline;
mod transport;
pub mod tunnel;
mod upgrade;
mod websocket;

pub use config::{Config, Https, Limits};
pub use freshness::Freshness;
pub use http1::{AnswerBody, AnswerError, WireError};
pub use in_flight::InFlight;
pub use inlet::{Inlet, InletBody};
pub use key_trace::KeyTraces;
pub use observations::Observations;
pub use ramps::Ramps;
pub use resilience::Breakers;
pub use start::{Feeds, Proxy, StartError};
