//! What the tasks share that keep leases, and bring heartbeats to who keeps them.

use crate::{forward::Forwarder, observer::Applied};
use quorate_rt::time;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// What heartbeats need on their way.
#[derive(Clone)]
pub(crate) struct Vessel {
    pub(crate) forwarder: Forwarder,
    pub(crate) applied: Arc<Applied>,
    /// A leader that heard no quorum for this long does not speak for the cluster.
    pub(crate) election: Duration,
    /// A gateway that was not heard for this long has ended.
    pub(crate) gateway_ttl: Duration,
    /// Wakes the keeping task: somebody came back and waits to be told so.
    pub(crate) returned: Arc<Notify>,
    /// Counts the rounds of the keeping task: what it proposed is applied, or it keeps leases no longer.
    pub(crate) rounds: watch::Sender<u64>,
    /// The term in which this leader told its successor about silences, and when. While it stands, no heartbeat is
    /// heard: the successor would not know of it.
    pub(crate) handed_over: Arc<Mutex<Option<(u64, time::Instant)>>>,
}

impl Vessel {
    pub(crate) fn new(
        forwarder: Forwarder,
        applied: Arc<Applied>,
        (election, gateway_ttl): (Duration, Duration),
    ) -> Self {
        let (rounds, _) = watch::channel(0);
        Self {
            forwarder,
            applied,
            election,
            gateway_ttl,
            returned: Arc::default(),
            rounds,
            handed_over: Arc::default(),
        }
    }

    /// See the field.
    pub(crate) fn handed(&self) -> MutexGuard<'_, Option<(u64, time::Instant)>> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
