//! What the cluster knows about an endpoint's health beside its heartbeats.
//!
//! Only a change of the verdict is told to the cluster, and only after a second node has seen the same. A verdict is
//! about one life of a worker: who registers anew is well until it is found otherwise.

use crate::{
    name::{ServiceName, WorkerId},
    number::{Epoch, LogTime},
};

/// A change of an endpoint's health, as two nodes have found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// For which of its services.
    pub service: ServiceName,
    /// Who.
    pub worker: WorkerId,
    /// In which of its lives, by incarnation; void if a newer one stands.
    pub incarnation: Epoch,
    /// How it is.
    pub verdict: Verdict,
}

/// How an endpoint is by its health checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It gets requests.
    Healthy,
    /// It gets none.
    Unhealthy,
}

impl Verdict {
    /// As in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// An endpoint that is not well. Those that are have no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ailment {
    /// For which of its services.
    pub service: ServiceName,
    /// Who.
    pub worker: WorkerId,
    /// In which of its lives.
    pub incarnation: Epoch,
    /// Since when.
    pub since: LogTime,
}
