//! What workers say about themselves between log entries, as a node knows it.
//!
//! Not part of the [`View`](crate::View): it is not replicated by the log, and two nodes may know different things.
//! It stands here since it is read beside a View, by the worker's id, and published like one: a clone costs O(1).

use imbl::OrdMap;
use quorate_model::{Load, WorkerId};
use std::sync::Arc;

/// The last word of each worker that said one.
#[derive(Clone, Debug, Default)]
pub struct Loads(OrdMap<WorkerId, Arc<Load>>);

impl Loads {
    /// Of one worker; `None`: it has not said anything, or not for long.
    pub fn of(&self, worker: &str) -> Option<&Arc<Load>> {
        self.0.get(worker)
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody has said anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A worker's newer word.
    pub fn insert(&mut self, worker: WorkerId, load: Arc<Load>) {
        self.0.insert(worker, load);
    }

    /// Forgets a worker's.
    pub fn remove(&mut self, worker: &str) {
        self.0.remove(worker);
    }
}
