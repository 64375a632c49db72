//! What a v2 heartbeat, which carries a whole registration, changes.
//!
//! It is a sign of life first, and a registration only where it says something new. The rule: a heartbeat that
//! repeats the list which its worker registered never takes back what newer registrations took since; otherwise
//! two workers with overlapping lists would take turns with every heartbeat. A list or an address that did change
//! is a registration, the newest one (the original ignored it: its defect 3).

use quorate_model::{
    Command, HeartbeatOutcome, Partition, PartitionRange, Registration, RegistrationParts, Status, Worker,
    WorkerId,
};
use quorate_state::View;

/// What follows from a v2 heartbeat.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, for a moment, on the stack")]
pub(super) enum Next {
    /// The lease goes on, that is all.
    Nothing,
    /// It has to register first.
    NotFound,
    /// It registers.
    Propose(Command),
}

/// Whether this node's View is older than what the leader said.
pub(super) fn lags(view: &View, id: &WorkerId, outcome: HeartbeatOutcome) -> bool {
    match outcome {
        HeartbeatOutcome::Ok { epoch } => known(view, id).is_none_or(|worker| worker.epoch < epoch),
        HeartbeatOutcome::Unknown
        | HeartbeatOutcome::Displaced
        | HeartbeatOutcome::Superseded { .. }
        | HeartbeatOutcome::Replayed { .. } => false,
    }
}

fn known<'a>(view: &'a View, id: &WorkerId) -> Option<&'a Worker> {
    view.worker(id.as_str()).map(|worker| &**worker).filter(|worker| worker.status() != Status::Departed)
}

/// Decides by the leader's word and the View.
pub(super) fn next(view: &View, said: &Registration, outcome: HeartbeatOutcome) -> Next {
    match outcome {
        HeartbeatOutcome::Unknown => Next::Propose(Command::AdoptWorker { registration: said.clone() }),
        HeartbeatOutcome::Displaced => Next::NotFound,
        HeartbeatOutcome::Ok { .. }
        | HeartbeatOutcome::Superseded { .. }
        | HeartbeatOutcome::Replayed { .. } => {
            match known(view, &said.id) {
                // It said goodbye since the leader heard it.
                None => Next::NotFound,
                Some(worker) if says_nothing_new(worker, said) && !can_reclaim(view, worker) => Next::Nothing,
                Some(worker) => register(worker, said),
            }
        }
    }
}

fn says_nothing_new(worker: &Worker, said: &Registration) -> bool {
    worker.registration.address == said.address && worker.registered_exactly(&said.partitions)
}

/// Whether it lost partitions, and nobody who can serve holds any of them any more.
fn can_reclaim(view: &View, worker: &Worker) -> bool {
    let Some(keyspace) = view.keyspace(worker.registration.keyspace.as_str()) else { return false };
    let mut lost = worker.lost.iter().filter(|p| keyspace.contains(**p)).peekable();
    let is_free = |partition: &Partition| {
        let holder = u32::try_from(partition.0).ok().and_then(|p| keyspace.claimant(p));
        holder.is_none_or(|holder| !holder.is_routable())
    };
    lost.peek().is_some() && lost.all(is_free)
}

/// Registers the same worker with what it says now; what a heartbeat can't say stays as it was.
fn register(worker: &Worker, said: &Registration) -> Next {
    let standing = (*worker.registration).clone().into_parts();
    let parts =
        RegistrationParts { address: said.address.clone(), partitions: said.partitions.clone(), ..standing };
    match parts.validate() {
        Ok(registration) => Next::Propose(Command::RegisterWorker {
            registration,
            range: PartitionRange::Lenient,
            // Void if it registered, or said goodbye, meanwhile.
            if_index: Some(worker.changed),
        }),
        // Both halves were valid, and no bound is about the two together.
        Err(_) => Next::Nothing,
    }
}
