//! A keyspace with its derived table: partition → worker.

use imbl::{OrdMap, Vector};
use quorate_model::{Keyspace, Partition, PartitionCount, Worker, WorkerId};
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
}

impl KeyspaceView {
    pub(crate) fn new(keyspace: Keyspace) -> Self {
        let mut view = Self { keyspace, claims: OrdMap::new(), table: Vector::new() };
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

    /// Whether `partition` lies below the count.
    pub fn contains(&self, partition: Partition) -> bool {
        self.slot(partition).is_some()
    }

    /// Where `partition` stands in the table; `None` if beyond the count or if the count is unknown.
    fn slot(&self, partition: Partition) -> Option<usize> {
        let slot = usize::try_from(partition.0).ok()?;
        (slot < self.table.len()).then_some(slot)
    }

    pub(crate) fn claim(&mut self, partition: Partition, worker: &Arc<Worker>) {
        self.claims.insert(partition, worker.id().clone());
        self.point(partition, Some(worker.clone()));
    }

    pub(crate) fn release(&mut self, partition: Partition) {
        self.claims.remove(&partition);
        self.point(partition, None);
    }

    /// Points the partitions of a changed record at its new version.
    pub(crate) fn refresh(&mut self, worker: &Arc<Worker>) {
        for partition in &worker.registration.partitions {
            self.point(*partition, Some(worker.clone()));
        }
    }

    fn point(&mut self, partition: Partition, to: Option<Arc<Worker>>) {
        if let Some(slot) = self.slot(partition) {
            self.table.set(slot, to);
        }
    }

    /// Makes the table as long as the count says. The caller refreshes the new slots.
    pub(crate) fn resize(&mut self) {
        let count = self.keyspace.partitions.map_or(0, |c| c.get() as usize);
        if count < self.table.len() {
            self.table.truncate(count);
        }
        while self.table.len() < count {
            self.table.push_back(None);
        }
    }
}
