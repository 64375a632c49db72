//! A restore from a backup. It does not fit one log entry, and nobody may see the half of it: so its steps gather a
//! state beside the one that stands, and the last step puts the one in the place of the other.

use crate::{
    keyspace::Keyspace, level::FeatureLevel, number::Epoch, object::StoredObject, route::StoredRoute,
    sandbox::StoredSandbox, service::StoredPolicy, worker::Worker,
};
use std::sync::Arc;

/// One step of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreStep {
    /// The first one. Void if the cluster is not empty. Takes the place of any other restore that is under way.
    Begin {
        /// All of the backup's.
        keyspaces: Vec<Keyspace>,
        /// All of the backup's.
        policies: Vec<StoredPolicy>,
        /// The largest fencing token that was granted before the backup was made.
        last_epoch: Epoch,
    },
    /// Some of the backup's routes.
    Routes {
        /// Counts from 0, workers' batches included; void unless it is the next one.
        batch: u32,
        /// By name.
        routes: Vec<StoredRoute>,
    },
    /// Some of the backup's sandboxes.
    Sandboxes {
        /// Counts from 0, workers' batches included; void unless it is the next one.
        batch: u32,
        /// By key.
        sandboxes: Vec<Arc<StoredSandbox>>,
    },
    /// Some of the backup's workers.
    Workers {
        /// Counts from 0; void unless it is the next one.
        batch: u32,
        /// Of any lifecycle.
        workers: Vec<Arc<Worker>>,
    },
    /// The last one: from here on the restored state stands. Void unless everything arrived and the cluster is
    /// still empty.
    Finish {
        /// How many batches there were.
        batches: u32,
        /// How many workers were in them.
        workers: u64,
    },
    /// Instead of the last one: what was gathered is thrown away.
    Abandon,
    /// Some of the backup's objects of the sandbox API.
    Objects {
        /// Counts from 0, workers' batches included; void unless it is the next one.
        batch: u32,
        /// By id.
        objects: Vec<Arc<StoredObject>>,
    },
}

impl RestoreStep {
    /// The lowest level at which every member can read it.
    pub fn feature_level(&self) -> FeatureLevel {
        match self {
            Self::Sandboxes { sandboxes, .. } if sandboxes.iter().any(|stored| !stored.ramps.is_empty()) => {
                FeatureLevel::SIXTH
            }
            Self::Objects { .. } => FeatureLevel::SIXTH,
            Self::Sandboxes { .. } => FeatureLevel::FIFTH,
            Self::Routes { routes, .. } => {
                let levels = routes.iter().map(|stored| stored.route.feature_level());
                levels.fold(FeatureLevel::FOURTH, FeatureLevel::max)
            }
            Self::Begin { keyspaces, policies, .. } => {
                let holds = keyspaces.iter().any(|keyspace| keyspace.hold.is_some());
                let least = if holds { FeatureLevel::THIRD } else { FeatureLevel::FIRST };
                policies.iter().map(|stored| stored.policy.feature_level()).fold(least, FeatureLevel::max)
            }
            Self::Workers { workers, .. } if workers.iter().any(|w| w.has_more()) => FeatureLevel::THIRD,
            Self::Workers { .. } | Self::Finish { .. } | Self::Abandon => FeatureLevel::FIRST,
        }
    }
}
