//! A whole node as a library: the one place where everything is wired together. `bin/quorate` runs it on a real
//! disk and tokio, `sim-tests` on simulated ones; the code between is the same.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | what a node is told: flags over environment over file over defaults |
//! | [`node`] | start, wiring, shutdown |
//! | [`readiness`] | whether it may be sent requests |
//! | [`settings_file`] | what of the settings changes while the node runs |
//! | [`gateway`] | the WebSocket gateway, and what the cluster is to it |
//! | `health` | health checks of endpoints: which this node probes, and what becomes of it |
//! | [`partition_source`] | where a partition count is read from, if not from an operator |

mod certificates;
mod cluster;
pub mod config;
mod data_plane;
mod disk_room;
pub mod gateway;
mod health;
mod management;
mod measure;
pub mod node;
mod own_addresses;
mod partition_poller;
pub mod partition_source;
pub mod readiness;
pub mod settings_file;
pub mod tunnels;

pub use node::{Node, Platform, StartError, refuse_other_cluster};
pub use quorate_consensus::{
    TunnelHold,
    options::GATEWAY_TTL,
    {Consensus, SECRET_BYTES_MIN, Secret},
};
