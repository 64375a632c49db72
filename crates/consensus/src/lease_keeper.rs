//! Liveness, as the leader sees it. Pure: time is an argument.
//!
//! Heartbeats stay here, in the leader's memory. Only what follows from their absence (or return) becomes a
//! proposal: once a tick, all exceptions in one command. A healthy worker costs no log entry.
//!
//! The keeper follows the replicated state ([`LeaseKeeper::observe`]); it never decides by itself that a lease
//! has ended. An expiry that it proposes names the epoch that it is about, so a worker that registers anew while
//! the proposal is under way is not touched by it.

use quorate_model::{
    Epoch, Event, Heartbeat, HeartbeatOutcome, LeaseChange, LeaseEvent, LeaseInfo, Lifecycle, Status, Ttl,
    Worker, WorkerId,
};
use quorate_state::View;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Most changes that one tick proposes; the rest follows in the next one.
pub const CHANGES_PER_TICK_MAX: usize = 1_000;

/// Suspect after this part of the TTL. Not one half, as workers of the original systems beat every 15 s with a
/// TTL of 30 s: they would flap at each beat, and each flap is a log entry.
const SUSPECT_AFTER: (i64, i64) = (2, 3);

/// A moment of the leader's monotonic clock, in milliseconds from any origin.
pub type Millis = i64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Live,
    Suspect,
    Expired,
}

#[derive(Clone, Debug)]
struct Lease {
    epoch: Epoch,
    incarnation: Epoch,
    ttl: Ttl,
    phase: Phase,
    /// When it was last heard, or granted.
    heard: Millis,
    sequence: Option<u64>,
    /// Where it stands in `due`; `None` once expired.
    queued: Option<Millis>,
}

impl Lease {
    fn ttl_ms(&self) -> Millis {
        Millis::try_from(self.ttl.as_ms()).unwrap_or(Millis::MAX)
    }

    /// When its silence has a consequence, and which.
    fn deadline(&self) -> Option<(Millis, LeaseEvent)> {
        let ttl = self.ttl_ms();
        match self.phase {
            Phase::Live => {
                Some((self.heard + ttl * SUSPECT_AFTER.0 / SUSPECT_AFTER.1, LeaseEvent::Suspected))
            }
            Phase::Suspect => Some((self.heard + ttl, LeaseEvent::Expired)),
            Phase::Expired => None,
        }
    }
}

/// All leases, while this node leads.
#[derive(Debug, Default)]
pub struct LeaseKeeper {
    leases: BTreeMap<WorkerId, Lease>,
    /// When to look at a lease next. Heartbeats don't move it: a lease that was heard since is queued anew when
    /// its turn comes, so a heartbeat costs one look-up.
    due: BTreeSet<(Millis, WorkerId)>,
    /// Suspect and expired ones that were heard again.
    returned: BTreeSet<WorkerId>,
}

impl LeaseKeeper {
    /// A new leader's: every live lease starts at its full TTL and every suspect one at half of it, so that
    /// elections neither kill nor immortalise.
    pub fn from_view(view: &View, now: Millis) -> Self {
        let mut keeper = Self::default();
        for worker in view.workers() {
            keeper.take_in(worker, now);
        }
        keeper
    }

    fn take_in(&mut self, worker: &Worker, now: Millis) {
        let (phase, credit) = match worker.lifecycle {
            Lifecycle::Live => (Phase::Live, 0),
            Lifecycle::Suspect { .. } => (Phase::Suspect, 2),
            Lifecycle::Expired { .. } => (Phase::Expired, 0),
            Lifecycle::Displaced { .. } | Lifecycle::Unregistered { .. } => return self.remove(worker.id()),
        };
        let ttl = worker.registration.ttl;
        let ttl_ms = Millis::try_from(ttl.as_ms()).unwrap_or(Millis::MAX);
        let heard = if credit == 0 { now } else { now - ttl_ms / credit };
        let (epoch, incarnation) = (worker.epoch, worker.incarnation);
        self.put(worker.id(), Lease { epoch, incarnation, ttl, phase, heard, sequence: None, queued: None });
    }

    fn put(&mut self, id: &WorkerId, lease: Lease) {
        self.remove(id);
        self.leases.insert(id.clone(), lease);
        self.enqueue(id);
    }

    fn remove(&mut self, id: &WorkerId) {
        if let Some(at) = self.leases.remove(id).and_then(|lease| lease.queued) {
            self.due.remove(&(at, id.clone()));
        }
        self.returned.remove(id);
    }

    /// Puts a lease where its deadline says.
    fn enqueue(&mut self, id: &WorkerId) {
        let Some(lease) = self.leases.get_mut(id) else { return };
        if let Some(old) = lease.queued.take() {
            self.due.remove(&(old, id.clone()));
        }
        lease.queued = lease.deadline().map(|(at, _)| at);
        if let Some(at) = lease.queued {
            self.due.insert((at, id.clone()));
        }
    }

    /// Hears a worker.
    pub fn heartbeat(&mut self, beat: &Heartbeat, now: Millis) -> HeartbeatOutcome {
        let Some(lease) = self.leases.get_mut(&beat.id) else { return HeartbeatOutcome::Unknown };
        if beat.incarnation.is_some_and(|named| named != lease.incarnation) {
            return HeartbeatOutcome::Superseded { current: lease.incarnation };
        }
        if let (Some(last), Some(got)) = (lease.sequence, beat.sequence)
            && got <= last
        {
            return HeartbeatOutcome::Replayed { last };
        }
        lease.sequence = beat.sequence.or(lease.sequence);
        lease.heard = now;
        match lease.phase {
            Phase::Live => {}
            Phase::Suspect | Phase::Expired => {
                self.returned.insert(beat.id.clone());
            }
        }
        HeartbeatOutcome::Ok { epoch: lease.epoch }
    }

    /// What is to be proposed now. What is not applied until the next tick is proposed again.
    pub fn tick(&mut self, now: Millis) -> Vec<LeaseChange> {
        let mut changes = Vec::new();
        for id in &self.returned {
            let Some(lease) = self.leases.get(id) else { continue };
            let event = match lease.phase {
                Phase::Suspect => LeaseEvent::Recovered,
                Phase::Expired => LeaseEvent::Revived,
                Phase::Live => continue,
            };
            changes.push(LeaseChange { id: id.clone(), epoch: lease.epoch, event });
        }
        changes.truncate(CHANGES_PER_TICK_MAX);
        let due: Vec<_> = self
            .due
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(CHANGES_PER_TICK_MAX)
            .map(|(_, id)| id.clone())
            .collect();
        for id in due {
            let Some(lease) = self.leases.get(&id) else { continue };
            match lease.deadline() {
                Some((at, event)) if at <= now && changes.len() < CHANGES_PER_TICK_MAX => {
                    changes.push(LeaseChange { id, epoch: lease.epoch, event });
                }
                // Heard since, or no room left: its turn comes again.
                Some(_) | None => self.enqueue(&id),
            }
        }
        changes
    }

    /// Follows what an entry changed. `view` is the state after it.
    pub fn observe(&mut self, view: &View, events: &[Event], now: Millis) {
        for event in events {
            match event {
                Event::WorkerRegistered { id, .. } => match view.worker(id.as_str()) {
                    Some(worker) => self.take_in(worker, now),
                    None => self.remove(id),
                },
                Event::WorkerStatus { id, epoch, to, .. } => self.change(id, *epoch, *to, now),
                Event::WorkerForgotten { id } => self.remove(id),
                // Nobody can know how long each was silent: as after an election.
                Event::Restored { .. } => *self = Self::from_view(view, now),
                Event::PartitionsTaken { .. } | Event::KeyspaceChanged { .. } => {}
            }
        }
    }

    fn change(&mut self, id: &WorkerId, epoch: Epoch, to: Status, now: Millis) {
        let Some(lease) = self.leases.get_mut(id) else { return };
        lease.epoch = epoch;
        match to {
            Status::Live => {
                lease.phase = Phase::Live;
                self.returned.remove(id);
            }
            Status::Suspect => {
                lease.phase = Phase::Suspect;
                // A heartbeat that arrived while the suspicion was under way.
                if now - lease.heard < lease.ttl_ms() * SUSPECT_AFTER.0 / SUSPECT_AFTER.1 {
                    self.returned.insert(id.clone());
                }
            }
            Status::Expired => {
                lease.phase = Phase::Expired;
                // A heartbeat that arrived while the expiry was under way.
                if now - lease.heard < lease.ttl_ms() {
                    self.returned.insert(id.clone());
                }
            }
            Status::Departed => return self.remove(id),
        }
        self.enqueue(id);
    }

    /// Every lease that has not ended.
    pub fn leases(&self, now: Millis) -> Vec<LeaseInfo> {
        let running = self.leases.iter().filter_map(|(id, lease)| {
            let status = match lease.phase {
                Phase::Live => Status::Live,
                Phase::Suspect => Status::Suspect,
                Phase::Expired => return None,
            };
            let left = u64::try_from(lease.heard + lease.ttl_ms() - now).unwrap_or(0);
            let remaining = Duration::from_millis(left);
            Some(LeaseInfo {
                id: id.clone(),
                epoch: lease.epoch,
                incarnation: lease.incarnation,
                ttl: lease.ttl,
                status,
                remaining,
            })
        });
        running.collect()
    }
}

#[cfg(test)]
#[path = "lease_keeper_tests.rs"]
mod tests;
