//! Liveness. Heartbeats go to the leader and never enter the log; only what follows from their absence does.

use crate::{
    name::WorkerId,
    number::{Epoch, Ttl},
    worker::Status,
};
use std::time::Duration;

/// One sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who.
    pub id: WorkerId,
    /// Which of its lives, where the worker says so (native API).
    pub incarnation: Option<Epoch>,
    /// A counter of this life, where the worker says so: a repeated or reordered one is refused.
    pub sequence: Option<u64>,
}

/// What the leader makes of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatOutcome {
    /// The lease goes on (or the worker is about to be revived).
    Ok {
        /// The fencing token that stands.
        epoch: Epoch,
    },
    /// Not registered: register first.
    Unknown,
    /// Newer registrations took all its partitions. Known only to those who ask natively.
    Displaced,
    /// The heartbeat names another life of the worker than the one that stands.
    Superseded {
        /// The incarnation that stands.
        current: Epoch,
    },
    /// The sequence did not grow: a replay.
    Replayed {
        /// The last one heard.
        last: u64,
    },
}

/// A lease as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseInfo {
    /// The holder.
    pub id: WorkerId,
    /// The fencing token.
    pub epoch: Epoch,
    /// The lease's id.
    pub incarnation: Epoch,
    /// How long it lasts after a heartbeat.
    pub ttl: Ttl,
    /// Live or suspect.
    pub status: Status,
    /// Until it expires.
    pub remaining: Duration,
}
