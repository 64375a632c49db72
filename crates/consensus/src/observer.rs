//! What happens after each apply: the View is published, the lease keeper follows, waiters wake.

use crate::lease_keeper::{LeaseKeeper, Millis};
use quorate_model::{Event, LogIndex};
use quorate_rt::{
    planted::{self, Bug},
    published::Published,
    time,
};
use quorate_state::{State, View};
use quorate_telemetry::{Control, events};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// The applied side of a node, shared by everything that reads.
pub struct Applied {
    view: Arc<Published<View>>,
    index: watch::Sender<LogIndex>,
    keeper: Mutex<Option<LeaseKeeper>>,
    started: time::Instant,
    control: Arc<Control>,
}

impl Applied {
    /// Starts from an empty state. `control` counts what each apply changed, and the commands and heartbeats that
    /// come in through this node.
    pub fn new(control: Arc<Control>) -> Arc<Self> {
        Arc::new(Self {
            view: Published::new(Arc::new(State::new())),
            index: watch::Sender::new(LogIndex(0)),
            keeper: Mutex::new(None),
            started: time::Instant::now(),
            control,
        })
    }

    /// The published View.
    pub fn view(&self) -> &Arc<Published<View>> {
        &self.view
    }

    /// The control plane's counters.
    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// This node's monotonic clock, for leases.
    pub fn now(&self) -> Millis {
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// Works with the lease keeper, if this node keeps leases now.
    pub fn with_keeper<T>(&self, work: impl FnOnce(&mut LeaseKeeper, Millis) -> T) -> Option<T> {
        let now = self.now();
        self.keeper().as_mut().map(|keeper| work(keeper, now))
    }

    /// Starts to keep leases, from what is applied now. Call only once everything of earlier terms is applied.
    pub fn start_keeping(&self) {
        let mut keeper = self.keeper();
        // Inside the lock: no apply can come between the picture and the first event that follows it.
        let now = self.now();
        let fresh = keeper.insert(LeaseKeeper::from_view(&self.view.get(), now));
        if planted::is(Bug::SuspectsStartOver) {
            fresh.start_suspects_over(now);
        }
    }

    /// Stops to keep leases.
    pub fn stop_keeping(&self) {
        *self.keeper() = None;
    }

    fn keeper(&self) -> MutexGuard<'_, Option<LeaseKeeper>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `index` is applied here; false: not within `limit`.
    pub async fn wait_for(&self, index: LogIndex, limit: Duration) -> bool {
        let mut applied = self.index.subscribe();
        let reached = applied.wait_for(|now| *now >= index);
        matches!(time::timeout(limit, reached).await, Ok(Ok(_)))
    }
}

impl quorate_storage::Observer for Applied {
    fn applied(&self, view: &State, changes: &[Event], _index: u64) {
        {
            let mut keeper = self.keeper();
            self.view.store(Arc::new(view.clone()));
            if let Some(keeper) = keeper.as_mut() {
                keeper.observe(view, changes, self.now());
            }
        }
        self.index.send_replace(view.index());
        events::applied(&self.control, view.index(), changes);
    }
}
