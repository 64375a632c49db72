//! The state and its reads.

use crate::{apply::restore::Restoring, keyspace::KeyspaceView, window::Window};
use imbl::{OrdMap, OrdSet};
use quorate_model::{
    BootId, ClusterId, Epoch, FeatureLevel, KeyspaceName, LogIndex, LogTime, NodeName, NodeRecord, Origin,
    Worker, WorkerId,
};
use std::{ops::Bound, sync::Arc};

/// The replicated state. Cloning costs O(1).
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) index: LogIndex,
    pub(crate) now: LogTime,
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) last_epoch: Epoch,
    pub(crate) level: FeatureLevel,
    pub(crate) workers: OrdMap<WorkerId, Arc<Worker>>,
    pub(crate) keyspaces: OrdMap<KeyspaceName, Arc<KeyspaceView>>,
    pub(crate) nodes: OrdMap<NodeName, Arc<NodeRecord>>,
    pub(crate) windows: OrdMap<BootId, Window>,
    /// A restore that is under way. Nobody sees it before its last step.
    pub(crate) restoring: Option<Arc<Restoring>>,
    /// Expired and departed workers by the log time at which they are forgotten. Derived from the records.
    pub(crate) retention: OrdSet<(LogTime, WorkerId)>,
    /// How many workers are routable. Derived.
    pub(crate) routable: usize,
}

impl State {
    /// The state before the first entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last entry that is in it.
    pub fn index(&self) -> LogIndex {
        self.index
    }

    /// Log time: the latest that any entry carried.
    pub fn now(&self) -> LogTime {
        self.now
    }

    /// The cluster's id, once formed.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// At which index a proposal was carried out, if its window still tells: the first time, whatever repeats
    /// followed.
    pub fn carried_out_at(&self, origin: Origin) -> Option<LogIndex> {
        self.windows.get(&origin.boot)?.replies.get(&origin.sequence).map(|(index, _)| *index)
    }

    /// What all members can do: commands of a later level are not proposed.
    pub fn feature_level(&self) -> FeatureLevel {
        self.level
    }

    /// The largest fencing token that was ever granted.
    pub fn last_epoch(&self) -> Epoch {
        self.last_epoch
    }

    /// A worker's record, whatever its lifecycle.
    pub fn worker(&self, id: &str) -> Option<&Arc<Worker>> {
        self.workers.get(id)
    }

    /// All worker records by id, whatever their lifecycle.
    pub fn workers(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.workers.values()
    }

    /// Worker records with ids after `cursor`, in order.
    pub fn workers_after(&self, cursor: &str) -> impl Iterator<Item = &Arc<Worker>> {
        self.workers.range::<_, str>((Bound::Excluded(cursor), Bound::Unbounded)).map(|(_, worker)| worker)
    }

    /// How many workers are routable (live or suspect).
    pub fn worker_count(&self) -> usize {
        self.routable
    }

    /// A keyspace.
    pub fn keyspace(&self, name: &str) -> Option<&KeyspaceView> {
        self.keyspaces.get(name).map(|k| &**k)
    }

    /// All keyspaces by name.
    pub fn keyspaces(&self) -> impl Iterator<Item = &KeyspaceView> {
        self.keyspaces.values().map(|k| &**k)
    }

    /// The keyspace that requests without another one use; `None` before the cluster is formed.
    pub fn default_keyspace(&self) -> Option<&KeyspaceView> {
        self.keyspace("default")
    }

    /// What each node said about itself, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<NodeRecord>> {
        self.nodes.values()
    }
}
