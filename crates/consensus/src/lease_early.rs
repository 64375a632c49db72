//! Leases that end before their time, since nodes looked for the worker and found nobody.

use super::LeaseKeeper;
use crate::lease::{Millis, Phase};
use quorate_model::{Epoch, WorkerId};

/// What came of the word that a worker is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// Its lease ends.
    Ended,
    /// It was heard since, or that life of it is over.
    Heard,
    /// It had expired before.
    Expired,
}

impl LeaseKeeper {
    /// Nodes that looked for a worker since `looked` milliseconds got no connection: from now on its lease is as old as
    /// its TTL. What follows goes the way of every silence, the guard against a mass expiry included, and a heartbeat
    /// that is heard in time undoes it.
    pub fn end_early(&mut self, id: &WorkerId, epoch: Epoch, looked: Millis, now: Millis) -> Early {
        let returned = self.returned.contains(id);
        let Some(lease) = self.leases.get_mut(id) else { return Early::Heard };
        if lease.epoch != epoch || returned || now - lease.heard < looked {
            return if lease.phase == Phase::Expired && !returned { Early::Expired } else { Early::Heard };
        }
        if lease.phase == Phase::Expired {
            return Early::Expired;
        }
        lease.heard = lease.heard.min(now - lease.ttl_ms());
        self.enqueue(id);
        Early::Ended
    }
}
