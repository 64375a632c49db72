//! What a node says about itself: counters, histograms and log lines.
//!
//! The rule: whatever can be observed is declared once. An event is a struct whose `emit` writes the counter, the
//! histogram and the log line together, so that they never tell different stories. Labels are closed enums: a
//! stranger's path, host or user id can never become a series. There are no globals: a node makes one
//! [`Metrics`] at its start and hands it down, so several nodes can live in one process (in simulation they do).
//!
//! | module | what |
//! |---|---|
//! | [`metrics`] | all counters of a node, and their rendering |
//! | [`proxy`] | the data plane's counters: one set per core, summed when rendered |
//! | [`service`] | counters by service, of a bounded number of them |
//! | `paths` | answers by what decided the request, by the names of the sandbox proxy |
//! | [`calls`] | calls of gRPC, by method and code |
//! | [`control`] | the control plane's gauges and counters |
//! | [`events`] | one struct per observable event |
//! | [`gateway`] | the WebSocket gateway's gauges and counters |
//! | [`label`] | closed label sets |
//! | [`histogram`] | fixed buckets of atomics |
//! | [`log`] | where log lines go |

pub mod calls;
pub mod control;
pub mod events;
pub mod gateway;
pub mod histogram;
pub mod label;
pub mod log;
pub mod metrics;
mod paths;
pub mod proxy;
pub mod service;
mod sheet;

pub use calls::OpenCall;
pub use control::Control;
pub use metrics::Metrics;
pub use proxy::CoreCounters;
pub use service::ServiceCounters;
