//! What happens after each apply: the View is published, the lease keeper follows, waiters wake.

use crate::{
    holdings::Holdings,
    lease::Millis,
    lease_keeper::{LeaseKeeper, Reign},
    silence::Silences,
};
use quorate_model::{Event, LogIndex};
use quorate_rt::{
    planted::{self, Bug},
    published::Published,
    time,
};
use quorate_state::{History, State, View};
use quorate_storage::News;
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
    leases: Mutex<Leases>,
    history: Mutex<History>,
    /// What this node holds as a gateway.
    holdings: Arc<Holdings>,
    started: time::Instant,
    control: Arc<Control>,
}

/// What this node knows of liveness.
#[derive(Default)]
struct Leases {
    /// While it leads.
    keeper: Option<LeaseKeeper>,
    /// Always, for when it will.
    silences: Silences,
}

impl Applied {
    /// Starts from an empty state. `control` counts what each apply changed, and the commands and heartbeats that
    /// come in through this node.
    pub fn new(control: Arc<Control>) -> Arc<Self> {
        Arc::new(Self {
            view: Published::new(Arc::new(State::new())),
            index: watch::Sender::new(LogIndex(0)),
            leases: Mutex::default(),
            history: Mutex::default(),
            holdings: Arc::default(),
            started: time::Instant::now(),
            control,
        })
    }

    /// The published View.
    pub fn view(&self) -> &Arc<Published<View>> {
        &self.view
    }

    /// What this node holds as a gateway.
    pub(crate) fn holdings(&self) -> &Arc<Holdings> {
        &self.holdings
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
        self.leases().keeper.as_mut().map(|keeper| work(keeper, now))
    }

    /// Starts to keep leases as the leader of `term`, from what is applied now. Call only once everything of
    /// earlier terms is applied. Nobody expires before `grace` is over.
    pub fn start_keeping(&self, term: u64, grace: Duration) {
        let mut leases = self.leases();
        let grace = Millis::try_from(grace.as_millis()).unwrap_or(Millis::MAX / 2);
        let reign = Reign { term, from: self.now(), grace };
        // Inside the lock: no apply can come between the picture and the first event that follows it.
        let Leases { keeper, silences } = &mut *leases;
        let fresh = keeper.insert(LeaseKeeper::from_view(&self.view.get(), silences, reign));
        if planted::is(Bug::SuspectsStartOver) {
            fresh.start_suspects_over(reign.from);
        }
    }

    /// Stops to keep leases; answers with what was kept.
    pub fn stop_keeping(&self) -> Option<LeaseKeeper> {
        self.leases().keeper.take()
    }

    /// The last changes. Held for a look only: applying waits for it.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `index` is applied here; false: not within `limit`.
    pub async fn wait_for(&self, index: LogIndex, limit: Duration) -> bool {
        let mut applied = self.index.subscribe();
        let reached = applied.wait_for(|now| *now >= index);
        matches!(time::timeout(limit, reached).await, Ok(Ok(_)))
    }
}

impl quorate_storage::Observer for Applied {
    fn told(&self, news: News) {
        match news {
            News::Changed { changes, reached } => self.history().push(changes, reached),
            News::Replaced { at } => {
                self.history().replace(at);
                self.holdings.replaced();
            }
        }
    }

    fn applied(&self, view: &State, changes: &[Event], _index: u64) {
        {
            let mut leases = self.leases();
            self.view.store(Arc::new(view.clone()));
            let now = self.now();
            leases.silences.observe(view, changes, now);
            if let Some(keeper) = leases.keeper.as_mut() {
                keeper.observe(view, changes, now);
            }
        }
        // Before anybody is answered that waits for the index.
        self.holdings.observe(view, changes);
        self.index.send_replace(view.index());
        events::applied(&self.control, view.index(), changes);
    }
}
