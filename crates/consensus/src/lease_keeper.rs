//! Liveness, as the leader sees it. Pure: time is an argument.
//!
//! Heartbeats stay here, in the leader's memory. Only what follows from their absence (or return) becomes a
//! proposal: once a tick, all exceptions in one command. A healthy worker costs no log entry.
//!
//! The keeper follows the replicated state ([`LeaseKeeper::observe`]); it never decides by itself that a lease
//! has ended. An expiry that it proposes names the epoch that it is about, so a worker that registers anew while
//! the proposal is under way is not touched by it.
//!
//! A heartbeat counts as accepted ([`LeaseKeeper::accepts`]) once the record says live and nothing else is under way:
//! only then may the worker be told so. Otherwise the next leader, who knows the record but not the heartbeat, could
//! expire a worker that was told a moment ago that it lives.

use crate::{
    lease::{Lease, Millis, Phase, part_of, suspect_after},
    lease_guard::{self, Census, Ways},
    silence::Silences,
};
use quorate_model::{
    Epoch, Event, Heartbeat, HeartbeatOutcome, LeaseChange, LeaseEvent, LeaseInfo, Lifecycle, NodeId,
    Silence, Status, Worker, WorkerId,
};
use quorate_state::View;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Most changes that one tick proposes; the rest follows in the next one.
pub const CHANGES_PER_TICK_MAX: usize = 1_000;

/// Who was silent for longer than this part of its TTL is named when a leader hands over: a healthy worker of ours
/// beats each third of it, give or take a tenth.
const NAMED_AFTER: (i64, i64) = (2, 5);
/// An expiry that is held back is looked at again after this long.
const LOOK_AGAIN_MS: Millis = 1_000;

/// A leader's time; its workers have to find it first.
#[derive(Clone, Copy, Debug)]
pub struct Reign {
    /// Its term.
    pub term: u64,
    /// When it began.
    pub from: Millis,
    /// No lease ends before, in milliseconds since then.
    pub grace: Millis,
}

/// What one tick found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// To be proposed now. What is not applied until the next tick is proposed again.
    pub changes: Vec<LeaseChange>,
    /// Whether most leases are silent at once: before an expiry is proposed, the leader proves that it is heard.
    pub mass: bool,
    /// Expiries that are held back.
    pub held: usize,
}

/// What an expiry waits for.
enum Wait {
    Nothing,
    /// A new leader's workers have to find it first.
    Grace,
    /// A proof that its way is open, at most until then.
    Held {
        until: Millis,
    },
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
    pending: BTreeSet<WorkerId>,
    /// Whose expiry the guard holds back.
    held: BTreeSet<WorkerId>,
    census: Census,
    ways: Ways,
    /// Nothing expires before.
    expires_from: Millis,
}

impl LeaseKeeper {
    /// A new leader's. What is known of silences goes on ([`Silences`]); everybody else starts at the full TTL.
    pub fn from_view(view: &View, silences: &mut Silences, reign: Reign) -> Self {
        let mut keeper = Self { expires_from: reign.from + reign.grace, ..Self::default() };
        for worker in view.workers() {
            let heard = silences.heard(worker, reign.term, reign.from);
            keeper.take_in(worker, heard);
        }
        silences.begin();
        keeper
    }

    fn take_in(&mut self, worker: &Worker, heard: Millis) {
        let phase = match worker.lifecycle {
            Lifecycle::Live => Phase::Live,
            Lifecycle::Suspect { .. } => Phase::Suspect,
            Lifecycle::Expired { .. } => Phase::Expired,
            Lifecycle::Displaced { .. } | Lifecycle::Unregistered { .. } => return self.remove(worker.id()),
        };
        self.remove(worker.id());
        let lease = Lease {
            epoch: worker.epoch,
            incarnation: worker.incarnation,
            ttl: worker.registration.ttl,
            phase,
            heard,
            via: None,
            pending: false,
            sequence: None,
            queued: None,
        };
        self.count(phase, 1);
        self.leases.insert(worker.id().clone(), lease);
        self.enqueue(worker.id());
    }

    fn remove(&mut self, id: &WorkerId) {
        if let Some(lease) = self.leases.remove(id) {
            self.count(lease.phase, -1);
            if let Some(at) = lease.queued {
                self.due.remove(&(at, id.clone()));
            }
        }
        self.returned.remove(id);
        self.pending.remove(id);
        self.held.remove(id);
    }

    fn count(&mut self, phase: Phase, by: isize) {
        let census = &mut self.census;
        match phase {
            Phase::Live => census.live = census.live.saturating_add_signed(by),
            Phase::Suspect => census.suspect = census.suspect.saturating_add_signed(by),
            Phase::Expired => {}
        }
    }

    /// Puts a lease where its deadline says.
    fn enqueue(&mut self, id: &WorkerId) {
        let at = self.leases.get(id).and_then(Lease::deadline).map(|(at, _)| at);
        self.enqueue_at(id, at);
    }

    fn enqueue_at(&mut self, id: &WorkerId, at: Option<Millis>) {
        let Some(lease) = self.leases.get_mut(id) else { return };
        if let Some(old) = std::mem::replace(&mut lease.queued, at) {
            self.due.remove(&(old, id.clone()));
        }
        if let Some(at) = at {
            self.due.insert((at, id.clone()));
        }
    }

    /// Hears a worker by way of the node `via`. It may be told so once [`LeaseKeeper::accepts`] it.
    pub fn heartbeat(&mut self, beat: &Heartbeat, via: NodeId, now: Millis) -> HeartbeatOutcome {
        self.ways.heard(via, now);
        let Some(lease) = self.leases.get_mut(&beat.id) else { return HeartbeatOutcome::Unknown };
        if beat.incarnation.is_some_and(|named| named != lease.incarnation) {
            return HeartbeatOutcome::Superseded { current: lease.incarnation };
        }
        if let (Some(last), Some(got)) = (lease.sequence, beat.sequence)
            && got <= last
        {
            // Its own node asks again, since the first time could not be accepted yet.
            let asked_again = got == last && self.returned.contains(&beat.id);
            let replayed = HeartbeatOutcome::Replayed { last };
            return if asked_again { HeartbeatOutcome::Ok { epoch: lease.epoch } } else { replayed };
        }
        lease.sequence = beat.sequence.or(lease.sequence);
        (lease.heard, lease.via) = (now, Some(via));
        if lease.comeback().is_some() {
            self.returned.insert(beat.id.clone());
        }
        HeartbeatOutcome::Ok { epoch: lease.epoch }
    }

    /// The fencing token of a worker whose heartbeat counts: every later leader will know that it lives. `None`: not
    /// yet, or no longer known.
    pub fn accepts(&self, id: &WorkerId) -> Option<Epoch> {
        self.leases
            .get(id)
            .filter(|lease| lease.phase == Phase::Live && !lease.pending)
            .map(|lease| lease.epoch)
    }

    /// Whether a heartbeat still waits to be accepted.
    pub fn awaits(&self, id: &WorkerId) -> bool {
        self.returned.contains(id)
    }

    /// What is to be proposed now.
    pub fn tick(&mut self, now: Millis) -> Tick {
        let mut tick = Tick { mass: self.census.is_mass(), ..Tick::default() };
        self.returned.retain(|id| self.leases.get(id).is_some_and(|lease| lease.comeback().is_some()));
        for id in self.returned.iter().take(CHANGES_PER_TICK_MAX) {
            let Some((lease, event)) = self.leases.get(id).and_then(|l| Some((l, l.comeback()?))) else {
                continue;
            };
            tick.changes.push(LeaseChange { id: id.clone(), epoch: lease.epoch, event });
        }
        let due: Vec<_> = self
            .due
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(CHANGES_PER_TICK_MAX)
            .map(|(_, id)| id.clone())
            .collect();
        for id in due {
            self.judge(id, &mut tick, now);
        }
        tick.held = self.held.len();
        for change in &tick.changes {
            if let Some(lease) = self.leases.get_mut(&change.id) {
                lease.pending = true;
                self.pending.insert(change.id.clone());
            }
        }
        tick
    }

    /// One lease whose turn has come.
    fn judge(&mut self, id: WorkerId, tick: &mut Tick, now: Millis) {
        let Some(lease) = self.leases.get(&id) else { return };
        let Some((at, event)) = lease.deadline().filter(|(at, _)| *at <= now) else {
            // Heard since: its turn comes again.
            self.held.remove(&id);
            return self.enqueue(&id);
        };
        if self.returned.contains(&id) {
            // Its return is in this very command; each worker is in it at most once.
            return self.enqueue_at(&id, Some(now + LOOK_AGAIN_MS));
        }
        match (event, self.wait_of(lease, at, now)) {
            (LeaseEvent::Expired, Wait::Grace) => return self.enqueue_at(&id, Some(self.expires_from)),
            (LeaseEvent::Expired, Wait::Held { until }) => {
                self.held.insert(id.clone());
                return self.enqueue_at(&id, Some(until.min(now + LOOK_AGAIN_MS)));
            }
            (_, _) => {}
        }
        self.held.remove(&id);
        if tick.changes.len() < CHANGES_PER_TICK_MAX {
            tick.changes.push(LeaseChange { id, epoch: lease.epoch, event });
        }
    }

    /// What an expiry that was due `at` waits for.
    fn wait_of(&self, lease: &Lease, at: Millis, now: Millis) -> Wait {
        if now < self.expires_from {
            return Wait::Grace;
        }
        let until = at + lease_guard::held_max(lease.ttl);
        let unproven = self.census.is_mass() && !self.ways.is_open(lease.via, lease.ttl, now);
        if unproven && now < until { Wait::Held { until } } else { Wait::Nothing }
    }

    /// All that this leader proposed before has been applied or never will be.
    pub fn settle(&mut self) {
        for id in std::mem::take(&mut self.pending) {
            if let Some(lease) = self.leases.get_mut(&id) {
                lease.pending = false;
                if lease.comeback().is_none() {
                    self.returned.remove(&id);
                }
            }
        }
    }

    /// A planted bug: every suspect lease starts at its full TTL.
    pub(crate) fn start_suspects_over(&mut self, now: Millis) {
        let suspects = self.leases.iter().filter(|(_, lease)| lease.phase == Phase::Suspect);
        for id in suspects.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            if let Some(lease) = self.leases.get_mut(&id) {
                lease.heard = now;
            }
            self.enqueue(&id);
        }
    }

    /// All records are others. Nobody can know how long each was silent: all start in full.
    fn begin_anew(&mut self, view: &View, now: Millis) {
        let ways = std::mem::take(&mut self.ways);
        *self = Self { ways, expires_from: self.expires_from, ..Self::default() };
        view.workers().for_each(|worker| self.take_in(worker, now));
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
                Event::WorkerForgotten { id, .. } => self.remove(id),
                Event::PartitionsTaken { .. }
                | Event::KeyspaceChanged { .. }
                | Event::NodeDescribed { .. }
                | Event::LevelRaised { .. }
                | Event::IntentChanged { .. }
                | Event::ServiceChanged { .. }
                | Event::RouteChanged { .. }
                | Event::SandboxChanged { .. }
                | Event::ObjectChanged { .. }
                | Event::ObjectEnded { .. }
                | Event::SandboxEnded { .. }
                | Event::HealthChanged { .. }
                | Event::DelegateChanged { .. }
                | Event::Presence(_)
                | Event::RampFailed { .. }
                | Event::LeasesHandedOver { .. } => {}
                Event::Restored { .. } => self.begin_anew(view, now),
            }
        }
    }

    fn change(&mut self, id: &WorkerId, epoch: Epoch, to: Status, now: Millis) {
        self.held.remove(id);
        let Some(lease) = self.leases.get_mut(id) else { return };
        let phase = match to {
            Status::Live => Phase::Live,
            Status::Suspect => Phase::Suspect,
            Status::Expired => Phase::Expired,
            Status::Departed => return self.remove(id),
        };
        lease.epoch = epoch;
        let before = std::mem::replace(&mut lease.phase, phase);
        // A heartbeat that arrived while the change was under way.
        let heard_since = match phase {
            Phase::Live => false,
            Phase::Suspect => now - lease.heard < suspect_after(lease.ttl),
            Phase::Expired => now - lease.heard < lease.ttl_ms(),
        };
        match (phase, heard_since) {
            (Phase::Live, _) => drop(self.returned.remove(id)),
            (Phase::Suspect | Phase::Expired, true) => drop(self.returned.insert(id.clone())),
            (Phase::Suspect | Phase::Expired, false) => {}
        }
        self.count(before, -1);
        self.count(phase, 1);
        self.enqueue(id);
    }

    /// Whom a leader that goes names to its successor: live ones that are late. Those that are suspect are known.
    pub fn silences(&self, now: Millis) -> Vec<Silence> {
        let late =
            |lease: &Lease| lease.phase == Phase::Live && now - lease.heard > part_of(lease.ttl, NAMED_AFTER);
        let soonest = self.due.iter().filter_map(|(_, id)| Some((id, self.leases.get(id)?)));
        let named = soonest.filter(|(_, lease)| late(lease)).take(CHANGES_PER_TICK_MAX);
        named
            .map(|(id, lease)| Silence {
                id: id.clone(),
                epoch: lease.epoch,
                silent_ms: u64::try_from(now - lease.heard).unwrap_or(0),
            })
            .collect()
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

#[path = "lease_early.rs"]
mod early;
pub use early::Early;

#[cfg(test)]
#[path = "lease_keeper_tests.rs"]
mod tests;
