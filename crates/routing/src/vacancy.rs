//! Whether a request that finds nobody may wait for the next owner.
//!
//! Between a worker that was drained or lost and the one that takes its place lie moments, and a client that is told
//! 503 in them has to know how to try again. Where an operator allows it, the request waits instead. It waits only
//! where somebody was there a moment ago: not for a service that never had a worker, and not for one whose
//! workers were all taken offline on purpose.

use quorate_model::{Duty, Hold, LogIndex, Worker};
use quorate_state::{KeyspaceView, ServiceView};

/// Nobody serves a partition or service, and requests may wait for the next one who does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// The log index at which the last one went. How long ago that was is the node's to know: the clocks of two
    /// machines are not compared.
    pub since: LogIndex,
    /// How long, and how many.
    pub hold: Hold,
}

/// Of a partition.
pub fn of_partition(keyspace: &KeyspaceView, partition: u32) -> Option<Vacancy> {
    let hold = keyspace.keyspace().hold?;
    let owner = keyspace.claimant(partition);
    if owner.is_some_and(|owner| owner.takes_requests() || is_offline(owner)) {
        return None;
    }
    keyspace.vacant_since(partition).map(|since| Vacancy { since, hold })
}

/// Of a service.
pub fn of_service(service: &ServiceView) -> Option<Vacancy> {
    let hold = service.stored_policy()?.policy.hold?;
    if service.serving_count() > 0 || service.was_taken_offline() {
        return None;
    }
    service.vacant_since().map(|since| Vacancy { since, hold })
}

fn is_offline(worker: &Worker) -> bool {
    worker.intent.duty == Duty::Offline
}
