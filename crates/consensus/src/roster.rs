//! What the peers said of themselves last.

use quorate_model::{LogIndex, NodeId, NodeName};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// One peer's last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: NodeId,
    /// Whether it had a log.
    pub initialized: bool,
    /// How far it had applied.
    pub applied: LogIndex,
    /// Whether it answered when it was asked last.
    pub reachable: bool,
}

/// By name.
#[derive(Debug, Default)]
pub struct Roster(Mutex<BTreeMap<NodeName, Seen>>);

impl Roster {
    pub(crate) fn saw(&self, name: NodeName, seen: Seen) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, seen);
    }

    pub(crate) fn missed(&self, name: &str) {
        if let Some(seen) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(name) {
            seen.reachable = false;
        }
    }

    /// A peer's last word; `None`: it has not answered since this node started.
    pub fn get(&self, name: &str) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
