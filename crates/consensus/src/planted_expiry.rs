//! A planted bug: a follower that expires leases by its own clock. It hears no heartbeats (they go to the leader), so
//! it takes every worker for silent. Exists in simulation only.

use crate::{liveness::Vessel, proposer::Proposer};
use quorate_model::{Command, LeaseChange, LeaseEvent};
use quorate_rt::time;
use std::{collections::BTreeMap, time::Duration};

/// Proposes, for ever, the end of each lease that has stood for its TTL.
pub(crate) async fn expire_by_own_clock(vessel: Vessel, proposer: Proposer) {
    let mut seen = BTreeMap::new();
    loop {
        time::sleep(Duration::from_millis(250)).await;
        let (view, now) = (vessel.applied.view().get(), time::Instant::now());
        let mut changes = Vec::new();
        for worker in view.workers().filter(|worker| worker.is_routable()) {
            let since = *seen.entry((worker.id().clone(), worker.epoch)).or_insert(now);
            if now - since > worker.registration.ttl.as_duration() {
                let (id, epoch) = (worker.id().clone(), worker.epoch);
                changes.push(LeaseChange { id, epoch, event: LeaseEvent::Expired });
            }
        }
        if !changes.is_empty() {
            // As careless as the rest of it.
            let _ = proposer.propose(Command::ChangeLeases(changes)).await;
        }
    }
}
