//! Forming the cluster; keyspaces and their partition counts. All nodes change a count at one log index.

use super::require_index;
use crate::{keyspace::KeyspaceView, state::State};
use quorate_model::{
    Became, ClusterId, Event, Former, Hold, Keyspace, KeyspaceConfig, KeyspaceName, KeyspaceSource, LogIndex,
    PartitionCount, Refusal, Reply, limit, reply::Bounded,
};
use std::sync::Arc;

impl State {
    pub(super) fn form_cluster(
        &mut self,
        cluster: ClusterId,
        partitions: Option<PartitionCount>,
        source: KeyspaceSource,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        if self.cluster.is_some() {
            return Err(Refusal::AlreadyFormed);
        }
        // First what can be refused: a refusal leaves the cluster unformed.
        self.put_keyspace(&KeyspaceName::default(), (partitions, source, None), None, events)?;
        self.cluster = Some(cluster);
        Ok(Reply::Done)
    }

    pub(super) fn put_keyspace(
        &mut self,
        name: &KeyspaceName,
        (partitions, source, hold): (Option<PartitionCount>, KeyspaceSource, Option<Hold>),
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let standing = self.keyspaces.get(name).map(|k| k.keyspace().clone());
        require_index(if_index, standing.as_ref().map_or(LogIndex(0), |k| k.changed))?;
        if standing.is_none() && self.keyspaces.len() >= limit::KEYSPACES_MAX {
            return Err(Refusal::Full { what: Bounded::Keyspaces, max: limit::KEYSPACES_MAX as u64 });
        }
        let partitions = partitions.or(standing.as_ref().and_then(|k| k.partitions));
        if standing.is_some_and(|k| (k.partitions, k.source, k.hold) == (partitions, source, hold)) {
            return Ok(Reply::Unchanged);
        }
        let changed = self.index;
        self.set_keyspace(Keyspace { name: name.clone(), partitions, source, hold, changed }, events);
        Ok(Reply::Done)
    }

    pub(super) fn observe_partitions(
        &mut self,
        name: &KeyspaceName,
        partitions: PartitionCount,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let keyspace =
            self.keyspaces.get(name).ok_or_else(|| Refusal::UnknownKeyspace { name: name.clone() })?;
        match keyspace.keyspace().source {
            // An operator took over while the observation was under way.
            KeyspaceSource::Static => Ok(Reply::Unchanged),
            KeyspaceSource::Kafka => {
                let hold = keyspace.keyspace().hold;
                self.put_keyspace(name, (Some(partitions), KeyspaceSource::Kafka, hold), None, events)
            }
        }
    }

    fn set_keyspace(&mut self, keyspace: Keyspace, events: &mut Vec<Event>) {
        events.push(Event::KeyspaceChanged {
            name: keyspace.name.clone(),
            partitions: keyspace.partitions.map(PartitionCount::get),
        });
        let name = keyspace.name.clone();
        let standing = self.keyspaces.get(&name).map(|standing| standing.keyspace());
        let was =
            standing.map(|k| KeyspaceConfig { partitions: k.partitions, source: k.source, hold: k.hold });
        let mut view = match self.keyspaces.get(&name) {
            Some(standing) => KeyspaceView { keyspace, ..(**standing).clone() },
            None => KeyspaceView::new(keyspace),
        };
        view.resize();
        // Slots that appeared belong to whoever claimed them before they existed.
        let holders: Vec<_> = view.claims.iter().map(|(p, id)| (*p, id.clone())).collect();
        for (partition, id) in holders {
            if let Some(worker) = self.workers.get(&id) {
                view.claim(partition, worker, self.index);
            }
        }
        self.keyspaces.insert(name.clone(), Arc::new(view));
        self.remember(Former::Keyspace { name, was }, Became::Set);
    }
}
