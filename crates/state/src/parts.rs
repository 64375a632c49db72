//! The state taken apart for a snapshot, and put together again. Derived structures are not among the parts:
//! they are rebuilt, and the invariants are checked before the state is used.

use crate::{apply::forgotten_at, invariant, keyspace::KeyspaceView, state::State, window::Window};
use quorate_model::{
    BootId, ClusterId, Epoch, FeatureLevel, Keyspace, LogIndex, LogTime, NodeRecord, Reply, Worker,
};
use std::sync::Arc;

/// Everything that is not derived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// The last entry that is in it.
    pub index: LogIndex,
    /// Log time.
    pub now: LogTime,
    /// The cluster's id, once formed.
    pub cluster: Option<ClusterId>,
    /// The largest fencing token that was ever granted.
    pub last_epoch: Epoch,
    /// What all members can do.
    pub level: FeatureLevel,
    /// By id.
    pub workers: Vec<Arc<Worker>>,
    /// By name.
    pub keyspaces: Vec<Keyspace>,
    /// By name.
    pub nodes: Vec<Arc<NodeRecord>>,
    /// By boot id.
    pub windows: Vec<WindowParts>,
}

/// The reply window of one boot id.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowParts {
    /// Whose.
    pub boot: BootId,
    /// When it was last used.
    pub used: LogIndex,
    /// Sequence, index, reply; by sequence.
    pub replies: Vec<(u64, LogIndex, Reply)>,
}

/// Parts that don't make a state: a snapshot that no Quorate wrote.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// A named invariant does not hold.
    #[error(transparent)]
    Violated(#[from] invariant::Violation),
    /// Two workers hold one partition.
    #[error(
        "worker {worker} holds partition {partition} of keyspace {keyspace}, which is held or does not exist"
    )]
    Claim {
        /// The second holder.
        worker: String,
        /// The partition.
        partition: i32,
        /// The keyspace.
        keyspace: String,
    },
}

impl State {
    /// Takes a copy apart. Costs O(state): call it on a clone, off the apply path.
    pub fn parts(&self) -> Parts {
        Parts {
            index: self.index,
            now: self.now,
            cluster: self.cluster,
            last_epoch: self.last_epoch,
            level: self.level,
            workers: self.workers.values().cloned().collect(),
            keyspaces: self.keyspaces.values().map(|k| k.keyspace().clone()).collect(),
            nodes: self.nodes.values().cloned().collect(),
            windows: self.windows.iter().map(|(boot, w)| window_parts(*boot, w)).collect(),
        }
    }

    /// Puts a state together, derived structures included.
    pub fn from_parts(parts: Parts) -> Result<Self, PartsError> {
        let mut state = Self {
            index: parts.index,
            now: parts.now,
            cluster: parts.cluster,
            last_epoch: parts.last_epoch,
            level: parts.level,
            keyspaces: parts
                .keyspaces
                .into_iter()
                .map(|k| (k.name.clone(), Arc::new(KeyspaceView::new(k))))
                .collect(),
            nodes: parts.nodes.into_iter().map(|n| (n.name.clone(), n)).collect(),
            windows: parts.windows.into_iter().map(window_from_parts).collect(),
            ..Self::default()
        };
        for worker in parts.workers {
            state.take_in(&worker)?;
        }
        invariant::check(&state)?;
        Ok(state)
    }

    fn take_in(&mut self, worker: &Arc<Worker>) -> Result<(), PartsError> {
        let registration = &worker.registration;
        let mut keyspace = self.keyspaces.get_mut(&registration.keyspace).map(Arc::make_mut);
        for partition in &registration.partitions {
            match keyspace.as_deref_mut().filter(|k| !k.claims.contains_key(partition)) {
                Some(keyspace) => keyspace.claim(*partition, worker),
                None => {
                    return Err(PartsError::Claim {
                        worker: worker.id().to_string(),
                        partition: partition.0,
                        keyspace: registration.keyspace.to_string(),
                    });
                }
            }
        }
        self.routable += usize::from(worker.is_routable());
        if let Some(at) = forgotten_at(worker) {
            self.retention.insert((at, worker.id().clone()));
        }
        self.workers.insert(worker.id().clone(), worker.clone());
        Ok(())
    }
}

fn window_parts(boot: BootId, window: &Window) -> WindowParts {
    let replies = window.replies.iter().map(|(s, (index, reply))| (*s, *index, reply.clone())).collect();
    WindowParts { boot, used: window.used, replies }
}

fn window_from_parts(parts: WindowParts) -> (BootId, Window) {
    let replies = parts.replies.into_iter().map(|(s, index, reply)| (s, (index, reply))).collect();
    (parts.boot, Window { used: parts.used, replies })
}
