//! Three real nodes: processes that are killed for real, on a real disk, on real sockets.
//!
//! Each file is a part of what a user is promised; each test says one sentence of it.
#![expect(
    clippy::disallowed_methods,
    reason = "tests outside of simulation: processes, threads and the clock are real"
)]

#[path = "cluster/agreement.rs"]
mod agreement;
#[path = "cluster/connect.rs"]
mod connect;
#[path = "cluster/connect_lost.rs"]
mod connect_lost;
#[path = "cluster/coordinator.rs"]
mod coordinator;
#[path = "cluster/dev.rs"]
mod dev;
#[path = "cluster/documents.rs"]
mod documents;
#[path = "cluster/drain_delay.rs"]
mod drain_delay;
#[path = "cluster/group.rs"]
mod group;
#[path = "cluster/health.rs"]
mod health;
#[path = "cluster/intents.rs"]
mod intents;
#[path = "cluster/key_trace.rs"]
mod key_trace;
#[path = "cluster/kills.rs"]
mod kills;
#[path = "cluster/leases.rs"]
mod leases;
#[path = "cluster/local_workloads.rs"]
mod local_workloads;
#[path = "cluster/membership.rs"]
mod membership;
#[path = "cluster/mistakes.rs"]
mod mistakes;
#[path = "cluster/observations.rs"]
mod observations;
#[path = "cluster/operators.rs"]
mod operators;
#[path = "cluster/partitions.rs"]
mod partitions;
#[path = "cluster/plain_status.rs"]
mod plain_status;
#[path = "cluster/quorum.rs"]
mod quorum;
#[path = "cluster/ramps.rs"]
mod ramps;
#[path = "cluster/recovery.rs"]
mod recovery;
#[path = "cluster/refusals.rs"]
mod refusals;
#[path = "cluster/sandbox_api.rs"]
mod sandbox_api;
#[path = "cluster/signals.rs"]
mod signals;
#[path = "cluster/snapshots.rs"]
mod snapshots;
#[path = "cluster/strangers.rs"]
mod strangers;
mod support;
#[path = "cluster/systemd.rs"]
mod systemd;
#[path = "cluster/tunnel_tokens.rs"]
mod tunnel_tokens;
#[path = "cluster/tunnels.rs"]
mod tunnels;
#[path = "cluster/watching.rs"]
mod watching;
