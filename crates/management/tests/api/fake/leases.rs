//! The fake's leases: what heartbeats come to.

use super::{Fake, Inner, worker};
use quorate_model::{
    Command, Heartbeat, HeartbeatOutcome, LeaseChange, LeaseEvent, LeaseInfo, Lifecycle, WorkerId,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What the leader knows of who was heard.
#[derive(Default)]
pub(super) struct Heard {
    pub sequences: BTreeMap<WorkerId, u64>,
    /// Whose leases are over, and stand nevertheless.
    silent: Vec<WorkerId>,
}

impl Fake {
    /// A change of the lease that stands.
    pub fn lease(&self, id: &str, event: LeaseEvent) {
        let epoch = self.state().worker(id).expect("registered").epoch;
        self.apply(Command::ChangeLeases(vec![LeaseChange { id: worker(id), epoch, event }]));
    }

    /// Its lease is over, and nobody has said so yet.
    pub fn fall_silent(&self, id: WorkerId) {
        self.inner.lock().expect("no panic").heard.silent.push(id);
    }
}

impl Inner {
    pub(super) fn hear(&mut self, beat: &Heartbeat) -> HeartbeatOutcome {
        let Some(record) = self.state.worker(beat.id.as_str()).cloned() else {
            return HeartbeatOutcome::Unknown;
        };
        match record.lifecycle {
            Lifecycle::Displaced { .. } => return HeartbeatOutcome::Displaced,
            Lifecycle::Unregistered { .. } => return HeartbeatOutcome::Unknown,
            Lifecycle::Live | Lifecycle::Suspect { .. } | Lifecycle::Expired { .. } => {}
        }
        if beat.incarnation.is_some_and(|named| named != record.incarnation) {
            return HeartbeatOutcome::Superseded { current: record.incarnation };
        }
        if let Some(sequence) = beat.sequence {
            let last = self.heard.sequences.entry(beat.id.clone()).or_default();
            if sequence <= *last {
                return HeartbeatOutcome::Replayed { last: *last };
            }
            *last = sequence;
        }
        HeartbeatOutcome::Ok { epoch: record.epoch }
    }

    pub(super) fn leases(&self) -> Vec<LeaseInfo> {
        let routable = self.state.workers().filter(|worker| worker.is_routable());
        let lease = |worker: &Arc<quorate_model::Worker>| LeaseInfo {
            id: worker.id().clone(),
            epoch: worker.epoch,
            incarnation: worker.incarnation,
            ttl: worker.registration.ttl,
            status: worker.status(),
            remaining: if self.heard.silent.contains(worker.id()) {
                Duration::ZERO
            } else {
                worker.registration.ttl.as_duration() / 2
            },
        };
        // Not in order: the API sorts.
        let mut leases: Vec<_> = routable.map(lease).collect();
        leases.reverse();
        leases
    }
}
