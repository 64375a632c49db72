//! Leases, as the leader sees them.

use crate::{duration, worker::StatusBody};
use quorate_model::LeaseInfo;
use serde::Serialize;
use utoipa::ToSchema;

/// A lease, as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LeaseBody {
    /// The worker that holds it.
    pub holder: String,
    /// Its id: the life of the worker that it belongs to.
    pub lease: u64,
    /// The fencing token.
    pub epoch: u64,
    /// How long it lasts after a heartbeat.
    pub ttl: String,
    /// `live` or `suspect`.
    pub status: StatusBody,
    /// Until it expires.
    pub remaining: String,
}

impl From<&LeaseInfo> for LeaseBody {
    fn from(lease: &LeaseInfo) -> Self {
        Self {
            holder: lease.id.to_string(),
            lease: lease.incarnation.0,
            epoch: lease.epoch.0,
            ttl: duration::format(lease.ttl.as_duration()),
            status: lease.status.into(),
            remaining: duration::format(lease.remaining),
        }
    }
}
