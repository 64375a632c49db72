//! Registrations. The newest one, by log order, wins a contested partition; the loser's list shrinks; a worker
//! that is left with nothing is removed (it is remembered as displaced for a while, and routes nothing).

use super::require_index;
use crate::{keyspace::KeyspaceView, state::State};
use quorate_model::{
    Epoch, Event, Lifecycle, LogIndex, Partition, PartitionRange, Refusal, Registration, Reply, Status,
    Worker, WorkerId, limit, reply::Bounded,
};
use std::{collections::BTreeMap, sync::Arc};

impl State {
    pub(super) fn register_worker(
        &mut self,
        registration: &Registration,
        range: PartitionRange,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let standing = self.workers.get(&registration.id);
        let current = standing.filter(|w| w.status() != Status::Departed).map_or(LogIndex(0), |w| w.changed);
        require_index(if_index, current)?;
        if standing.is_none() && self.workers.len() >= limit::WORKERS_MAX {
            return Err(Refusal::Full { what: Bounded::Workers, max: limit::WORKERS_MAX as u64 });
        }
        let keyspace = self
            .keyspaces
            .get(&registration.keyspace)
            .ok_or_else(|| Refusal::UnknownKeyspace { name: registration.keyspace.clone() })?;
        check_range(keyspace, registration, range)?;
        Ok(Reply::Registered { epoch: self.grant(registration, events) })
    }

    /// A heartbeat that carries a whole registration came from a worker that the leader did not know.
    pub(super) fn adopt_worker(
        &mut self,
        registration: &Registration,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        match self.workers.get(&registration.id).map(|w| (&w.lifecycle, w.epoch)) {
            // Known by now: the heartbeat was late, the registration that stands is newer.
            Some((Lifecycle::Live | Lifecycle::Suspect { .. } | Lifecycle::Expired { .. }, epoch)) => {
                Ok(Reply::Registered { epoch })
            }
            // It said goodbye a moment ago, or newer registrations took all that it had: a heartbeat, which may be
            // late or replayed, undoes neither.
            Some((Lifecycle::Unregistered { .. } | Lifecycle::Displaced { .. }, _)) => {
                Err(Refusal::UnknownWorker { id: registration.id.clone() })
            }
            None => self.register_worker(registration, PartitionRange::Lenient, None, events),
        }
    }

    pub(super) fn unregister_worker(
        &mut self,
        id: &WorkerId,
        epoch: Option<Epoch>,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let known = self.workers.get(id).filter(|w| w.status() != Status::Departed).cloned();
        let worker = known.ok_or_else(|| Refusal::UnknownWorker { id: id.clone() })?;
        if let Some(got) = epoch
            && got != worker.incarnation
        {
            return Err(Refusal::StaleEpoch { id: id.clone(), current: worker.incarnation, got });
        }
        require_index(if_index, worker.changed)?;
        self.release_all(&worker);
        self.depart(&worker, Lifecycle::Unregistered { at: self.now }, events);
        Ok(Reply::Done)
    }

    /// Gives a new lease to a registration that was found valid.
    fn grant(&mut self, registration: &Registration, events: &mut Vec<Event>) -> Epoch {
        let epoch = self.next_epoch();
        if let Some(old) = self.workers.get(&registration.id).cloned() {
            self.release_all(&old);
        }
        for (loser, lost) in self.losers(registration) {
            self.take_from(&loser, &lost, &registration.id, events);
        }
        let standing = self.workers.get(&registration.id);
        let from = standing.map(|w| w.status());
        // An operator's word is about the worker, not about one of its registrations.
        let intent = standing.map(|w| w.intent.clone()).unwrap_or_default();
        let worker = self.store_worker(Worker {
            registration: Arc::new(registration.clone()),
            lost: Vec::new(),
            epoch,
            incarnation: epoch,
            registered_at: self.now,
            lifecycle: Lifecycle::Live,
            intent,
            changed: self.index,
        });
        if let Some(keyspace) = self.keyspaces.get_mut(&registration.keyspace) {
            let keyspace = Arc::make_mut(keyspace);
            let index = self.index;
            registration.partitions.iter().for_each(|p| keyspace.claim(*p, &worker, index));
        }
        events.push(Event::WorkerRegistered { id: registration.id.clone(), epoch });
        if let Some(from) = from.filter(|from| *from != Status::Live) {
            events.push(Event::WorkerStatus { id: registration.id.clone(), epoch, from, to: Status::Live });
        }
        epoch
    }

    /// Who loses which partitions to `registration`.
    fn losers(&self, registration: &Registration) -> BTreeMap<WorkerId, Vec<Partition>> {
        let mut losers: BTreeMap<WorkerId, Vec<Partition>> = BTreeMap::new();
        let Some(keyspace) = self.keyspaces.get(&registration.keyspace) else { return losers };
        for partition in &registration.partitions {
            if let Some(holder) = keyspace.claims.get(partition) {
                // In order, as the registration's partitions are: binary search below relies on it.
                losers.entry(holder.clone()).or_default().push(*partition);
            }
        }
        losers
    }

    fn take_from(
        &mut self,
        loser: &WorkerId,
        lost: &[Partition],
        winner: &WorkerId,
        events: &mut Vec<Event>,
    ) {
        let Some(worker) = self.workers.get(loser).cloned() else { return };
        if let Some(keyspace) = self.keyspaces.get_mut(&worker.registration.keyspace) {
            let keyspace = Arc::make_mut(keyspace);
            let index = self.index;
            lost.iter().for_each(|p| keyspace.release(*p, index));
        }
        events.push(Event::PartitionsTaken { from: loser.clone(), to: winner.clone(), count: lost.len() });
        let shrunk = worker.registration.without(|p| lost.binary_search(&p).is_ok());
        let nothing_left = shrunk.partitions.is_empty() && shrunk.services.is_empty();
        let lost = [&worker.lost[..], lost].concat();
        let worker =
            Worker { registration: Arc::new(shrunk), lost, changed: self.index, ..(*worker).clone() };
        if nothing_left {
            self.depart(&worker, Lifecycle::Displaced { at: self.now }, events);
        } else {
            self.store_worker(worker);
        }
    }

    /// Turns a record into a memory. Its claims were released before; what it lost is forgotten with what it had.
    fn depart(&mut self, worker: &Worker, lifecycle: Lifecycle, events: &mut Vec<Event>) {
        let from = worker.status();
        let gone = worker.registration.without(|_| true);
        let departed = Worker {
            registration: Arc::new(gone),
            lost: Vec::new(),
            lifecycle,
            changed: self.index,
            ..worker.clone()
        };
        events.push(Event::WorkerStatus {
            id: worker.id().clone(),
            epoch: worker.epoch,
            from,
            to: Status::Departed,
        });
        self.store_worker(departed);
    }
}

fn check_range(
    keyspace: &KeyspaceView,
    registration: &Registration,
    range: PartitionRange,
) -> Result<(), Refusal> {
    match range {
        PartitionRange::Lenient => Ok(()),
        PartitionRange::Strict if registration.partitions.is_empty() => Ok(()),
        PartitionRange::Strict => {
            let name = &keyspace.keyspace().name;
            let count =
                keyspace.count().ok_or_else(|| Refusal::PartitionCountUnknown { name: name.clone() })?.get();
            match registration.partitions.iter().find(|p| !keyspace.contains(**p)) {
                None => Ok(()),
                Some(p) => Err(Refusal::PartitionOutOfRange { keyspace: name.clone(), partition: *p, count }),
            }
        }
    }
}
