//! How many requests a worker has from this node that are not done.
//!
//! Each core counts its own; here they are added up for whoever asks, which is rare. An operator who drains a worker
//! wants to know when it may be stopped: not before the last request that was sent to it has its answer.

use crate::core::Core;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The cores of a node, to be asked.
#[derive(Clone, Default)]
pub struct InFlight(Arc<Mutex<Vec<Weak<Core>>>>);

impl InFlight {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&self, core: &Arc<Core>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(core));
    }

    /// How many requests and tunnels `worker` has. Once the View that is published takes the worker out of service,
    /// this number only falls.
    pub fn of(&self, worker: &str) -> u64 {
        let cores = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cores.iter().filter_map(Weak::upgrade).map(|core| u64::from(core.desk.outstanding(worker))).sum()
    }
}
