//! How many may wait at a node at once. Whoever waits costs a task and a connection, and comes of its own accord.

use crate::answer::Fault;
use quorate_api::Code;
use quorate_rt::shutdown::Shutdown;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Watchers of a node. When full: 503, and other nodes may have places.
pub(crate) const WATCHERS_MAX: usize = 256;
/// Blocking queries and writes that wait for other nodes. When full: 503.
pub(crate) const WAITING_MAX: usize = 1_024;
/// Places come free when somebody goes, which nobody can foresee.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The places of a node, and the end of all waiting.
pub(crate) struct Places {
    watchers: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    ending: Shutdown,
}

/// A place that is taken until this is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

impl Places {
    /// All free. Nobody waits on once `ending` is given.
    pub fn new(ending: Shutdown) -> Self {
        let all = |max| Arc::new(Semaphore::new(max));
        Self { watchers: all(WATCHERS_MAX), waiting: all(WAITING_MAX), ending }
    }

    /// For a watcher.
    pub fn watcher(&self) -> Result<Place, Fault> {
        taken(&self.watchers, "watchers")
    }

    /// For a request that waits.
    pub fn waiting(&self) -> Result<Place, Fault> {
        taken(&self.waiting, "requests")
    }

    /// Fires when the node is about to end.
    pub fn ending(&self) -> Shutdown {
        self.ending.clone()
    }

    /// What `future` comes to; `None`: the node is about to end.
    pub async fn unless_ending<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut ending = self.ending();
        tokio::select! {
            biased;
            () = ending.wait() => None,
            value = future => Some(value),
        }
    }
}

fn taken(places: &Arc<Semaphore>, who: &str) -> Result<Place, Fault> {
    let busy = || Fault::new(Code::Busy, format!("too many {who} wait on this node")).after(RETRY_AFTER);
    places.clone().try_acquire_owned().map_err(|_| busy())
}
