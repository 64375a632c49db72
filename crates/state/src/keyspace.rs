//! A keyspace with its derived table: partition → worker.

use imbl::{OrdMap, Vector};
use quorate_model::{Keyspace, LogIndex, Partition, PartitionCount, Worker, WorkerId};
use std::sync::Arc;

/// A keyspace and who holds its partitions. The claims are derived from the workers' records, the table from the
/// claims; both are kept up inside `apply`, so that a request finds its worker by one index.
#[derive(Clone, Debug)]
pub struct KeyspaceView {
    pub(crate) keyspace: Keyspace,
    /// Who holds which partition, also beyond the count.
    pub(crate) claims: OrdMap<Partition, WorkerId>,
    /// For each partition below the count, the record of its holder.
    pub(crate) table: Vector<Option<Arc<Worker>>>,
    /// For partitions whose holder took requests and does no more: since which log index.
    pub(crate) vacant: OrdMap<u32, LogIndex>,
}

impl KeyspaceView {
    pub(crate) fn new(keyspace: Keyspace) -> Self {
        let mut view = Self { keyspace, claims: OrdMap::new(), table: Vector::new(), vacant: OrdMap::new() };
        view.resize();
        view
    }

    /// Name, count, source.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// The partition count, if known.
    pub fn count(&self) -> Option<PartitionCount> {
        self.keyspace.partitions
    }

    /// Who holds `partition`, live or not; `None`: nobody, or there is no such partition.
    pub fn claimant(&self, partition: u32) -> Option<&Arc<Worker>> {
        self.table.get(partition as usize)?.as_ref()
    }

    /// The log index at which the partition's last holder that got requests stopped to; `None`: one gets them, or
    /// this node has not seen one stop. Not part of a snapshot: it matters for seconds only.
    pub fn vacant_since(&self, partition: u32) -> Option<LogIndex> {
        self.vacant.get(&partition).copied()
    }

    /// Whether `partition` lies below the count.
    pub fn contains(&self, partition: Partition) -> bool {
        self.slot(partition).is_some()
    }

    /// Where `partition` stands in the table; `None` if beyond the count or if the count is unknown.
    fn slot(&self, partition: Partition) -> Option<usize> {
        let slot = usize::try_from(partition.0).ok()?;
        (slot < self.table.len()).then_some(slot)
    }

    pub(crate) fn claim(&mut self, partition: Partition, worker: &Arc<Worker>, index: LogIndex) {
        self.claims.insert(partition, worker.id().clone());
        self.point(partition, Some(worker.clone()), index);
    }

    pub(crate) fn release(&mut self, partition: Partition, index: LogIndex) {
        self.claims.remove(&partition);
        self.point(partition, None, index);
    }

    /// Points the partitions of a changed record at its new version.
    pub(crate) fn refresh(&mut self, worker: &Arc<Worker>, index: LogIndex) {
        for partition in &worker.registration.partitions {
            self.point(*partition, Some(worker.clone()), index);
        }
    }

    fn point(&mut self, partition: Partition, to: Option<Arc<Worker>>, index: LogIndex) {
        let Some(slot) = self.slot(partition) else { return };
        let serves = |holder: &Option<Arc<Worker>>| holder.as_ref().is_some_and(|w| w.takes_requests());
        let (after, before) = (serves(&to), serves(&self.table.set(slot, to)));
        let number = slot as u32; // the count is one
        if after {
            self.vacant.remove(&number);
        } else if before {
            self.vacant.insert(number, index);
        }
    }

    /// Makes the table as long as the count says. The caller refreshes the new slots.
    pub(crate) fn resize(&mut self) {
        let count = self.keyspace.partitions.map_or(0, |c| c.get() as usize);
        if count < self.table.len() {
            self.table.truncate(count);
            self.vacant = self.vacant.range(..count as u32).map(|(p, i)| (*p, *i)).collect();
        }
        while self.table.len() < count {
            self.table.push_back(None);
        }
    }
}
