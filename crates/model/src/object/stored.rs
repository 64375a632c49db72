//! An object as the cluster holds it.

use super::{Object, ObjectId, ObjectStatus};
use crate::{
    number::{ClusterId, Epoch, LogIndex, LogTime},
    weight,
};
use std::sync::Arc;

/// An object, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// As it was put.
    pub object: Arc<Object>,
    /// How it is, as whoever looks after it said; `None`: nobody has.
    pub status: Option<Arc<ObjectStatus>>,
    /// No two objects ever have the same.
    pub uid: u128,
    /// The fencing token of its life. Of two objects the one with the smaller one was made first.
    pub epoch: Epoch,
    /// Counts what was put, from 1; its status is none of that.
    pub generation: u64,
    /// When it was made.
    pub created_at: LogTime,
    /// The log index of its last change, that of its status included.
    pub changed: LogIndex,
    /// When it ends; `None`: when it is taken away.
    pub ends: Option<LogTime>,
}

impl StoredObject {
    /// Which.
    pub fn id(&self) -> &ObjectId {
        self.object.id()
    }

    /// The uid of what is made with this fencing token: no two objects of a cluster have the same token, and no two
    /// clusters the same id. As RFC 9562 has it for what an application makes: version 8.
    pub fn uid_of(cluster: Option<ClusterId>, epoch: Epoch) -> u128 {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0b11 << 62;
        let random = cluster.map_or(0, |cluster| cluster.0) & !VERSION & !VARIANT;
        (random | 0x8 << 76 | 0b10 << 62) ^ u128::from(epoch.0 & (u64::MAX >> 2))
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: LogTime) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// About how many bytes it keeps in memory, for bounds.
    pub fn weight(&self) -> usize {
        weight::STORED_OBJECT
            + self.object.weight()
            + self.status.as_ref().map_or(0, |status| status.weight())
    }
}

/// One whose time is over, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEnd {
    /// Which.
    pub id: ObjectId,
    /// Which life of it; void if another one stands, or if it was given more time.
    pub epoch: Epoch,
}
