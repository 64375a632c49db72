//! The WebSocket gateway of three real nodes, and clients that are not ours.
//!
//! What the original breaks has a test here that says so. `QUORATE_GATEWAY=require` makes it a failure where a test has
//! to be skipped.
#![expect(
    clippy::disallowed_methods,
    reason = "tests outside of simulation: processes, threads and the clock are real"
)]

#[path = "sockets/driver.rs"]
mod driver;
#[path = "sockets/flow.rs"]
mod flow;
#[expect(dead_code, reason = "shared with the other tests of real clusters, which use the rest")]
mod support;
#[path = "gateway/tools.rs"]
mod tools;
