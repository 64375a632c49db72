//! `quorate agent`, and workers in other languages, as processes beside real nodes.
//!
//! Each file is a part of what a user is promised; each test says one sentence of it.
#![expect(
    clippy::disallowed_methods,
    reason = "tests outside of simulation: processes, threads and the clock are real"
)]

#[path = "agent/coordinator.rs"]
mod coordinator;
#[path = "agent/delegates.rs"]
mod delegates;
#[path = "agent/ending.rs"]
mod ending;
#[path = "support/fences.rs"]
mod fences;
#[path = "agent/finding.rs"]
mod finding;
#[path = "agent/process.rs"]
mod process;
#[path = "agent/python.rs"]
mod python;
#[path = "agent/routers.rs"]
mod routers;
#[path = "agent/service.rs"]
mod service;
#[path = "agent/settings.rs"]
mod settings;
#[expect(dead_code, reason = "shared with the other tests of real clusters, which use the rest")]
mod support;
#[path = "agent/tunnels.rs"]
mod tunnels;
#[path = "agent/unit.rs"]
mod unit;
