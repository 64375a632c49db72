//! The state taken apart for a snapshot, and put together again. Derived structures are not among the parts:
//! they are rebuilt, and the invariants that the parts could break are checked before the state is used.

use crate::{
    apply::{forgotten_at, restore::Restoring},
    config_history::ConfigHistory,
    invariant,
    keyspace::KeyspaceView,
    presence::{PresenceParts, PresenceTable},
    state::State,
    window::Window,
};
use quorate_model::{
    Ailment, BootId, ClusterId, DeclaredChange, Delegate, Epoch, FeatureLevel, Keyspace, LogIndex, LogTime,
    NodeRecord, Reply, RestoreId, Status, StoredObject, StoredPolicy, StoredRoute, StoredSandbox, Worker,
    limit,
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
    /// By service.
    pub policies: Vec<StoredPolicy>,
    /// By group.
    pub delegates: Vec<Arc<Delegate>>,
    /// By name.
    pub routes: Vec<Arc<StoredRoute>>,
    /// By key.
    pub sandboxes: Vec<Arc<StoredSandbox>>,
    /// By id.
    pub objects: Vec<Arc<StoredObject>>,
    /// By service and worker.
    pub ailments: Vec<Ailment>,
    /// Where what operators declare changed last.
    pub config_changed: LogIndex,
    /// A restore that is under way.
    pub restoring: Option<RestoringParts>,
    /// What operators declared before; `None` before the sixth level.
    pub history: Option<HistoryParts>,
    /// Gateways and what they hold.
    pub presence: PresenceParts,
}

/// What operators declared before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryParts {
    /// After which entry it begins.
    pub begins: LogIndex,
    /// The oldest first.
    pub changes: Vec<Arc<DeclaredChange>>,
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

/// What a restore has gathered so far.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoringParts {
    /// Which restore.
    pub id: RestoreId,
    /// When its last step was.
    pub touched: LogTime,
    /// Batches of workers so far.
    pub batches: u32,
    /// The backup's largest fencing token.
    pub last_epoch: Epoch,
    /// By name.
    pub keyspaces: Vec<Keyspace>,
    /// By service.
    pub policies: Vec<StoredPolicy>,
    /// By name.
    pub routes: Vec<Arc<StoredRoute>>,
    /// By key.
    pub sandboxes: Vec<Arc<StoredSandbox>>,
    /// By id.
    pub objects: Vec<Arc<StoredObject>>,
    /// By id.
    pub workers: Vec<Arc<Worker>>,
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
    /// A worker is there twice.
    #[error("worker {worker} is there twice")]
    Twice {
        /// Which.
        worker: String,
    },
}

impl State {
    /// Takes a copy apart. Costs O(state): call it on a clone, off the apply path.
    pub fn parts(&self) -> Parts {
        let mut parts = self.head();
        parts.workers = self.workers.values().cloned().collect();
        if let Some(restoring) = &mut parts.restoring {
            restoring.workers = self.restoring_workers().cloned().collect();
        }
        parts
    }

    /// Everything but the workers. It stays small, however many there are.
    pub fn head(&self) -> Parts {
        Parts {
            index: self.index,
            now: self.now,
            cluster: self.cluster,
            last_epoch: self.last_epoch,
            level: self.level,
            workers: Vec::new(),
            keyspaces: self.keyspaces.values().map(|k| k.keyspace().clone()).collect(),
            nodes: self.nodes.values().cloned().collect(),
            windows: self.windows.iter().map(|(boot, w)| window_parts(*boot, w)).collect(),
            policies: self.stored_policies(),
            delegates: self.delegates.values().cloned().collect(),
            routes: self.routes.iter().cloned().collect(),
            sandboxes: self.sandboxes.iter().cloned().collect(),
            objects: self.objects.iter().cloned().collect(),
            ailments: self.ailments().collect(),
            config_changed: self.config_changed,
            restoring: self.restoring.as_ref().map(|r| r.head()),
            history: self.history.as_ref().map(ConfigHistory::parts),
            presence: self.presence.parts(),
        }
    }

    /// What operators decided about services, by name.
    pub(crate) fn stored_policies(&self) -> Vec<StoredPolicy> {
        self.services.values().filter_map(|service| service.stored_policy().cloned()).collect()
    }

    /// The workers that a restore has gathered so far, by id.
    pub fn restoring_workers(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.restoring.iter().flat_map(|restoring| restoring.state.workers.values())
    }

    /// Puts a state together, derived structures included.
    pub fn from_parts(parts: Parts) -> Result<Self, PartsError> {
        let mut builder = Builder::new(&parts);
        parts.workers.into_iter().try_for_each(|worker| builder.worker(worker))?;
        let staged = parts.restoring.into_iter().flat_map(|r| r.workers);
        staged.into_iter().try_for_each(|worker| builder.restoring_worker(worker))?;
        builder.finish()
    }

    /// Takes in a worker with everything that is derived from it.
    pub(crate) fn take_in(&mut self, worker: Arc<Worker>) -> Result<(), PartsError> {
        let registration = &worker.registration;
        if !registration.partitions.is_empty() {
            let mut keyspace = self.keyspaces.get_mut(&registration.keyspace).map(Arc::make_mut);
            for partition in &registration.partitions {
                match keyspace.as_deref_mut().filter(|k| !k.claims.contains_key(partition)) {
                    Some(keyspace) => keyspace.claim(*partition, &worker, self.index),
                    None => {
                        return Err(PartsError::Claim {
                            worker: worker.id().to_string(),
                            partition: partition.0,
                            keyspace: registration.keyspace.to_string(),
                        });
                    }
                }
            }
        }
        self.routable += usize::from(worker.is_routable());
        if let Some(at) = forgotten_at(&worker) {
            self.retention.insert((at, worker.id().clone()));
        }
        self.follow_offers(None, Some(&worker));
        self.follow_candidates(None, Some(&worker));
        // Whoever wrote the parts had settled who is delegate; a restore settles it at its end.
        self.unsettled.clear();
        match self.workers.insert(worker.id().clone(), worker) {
            None => Ok(()),
            Some(other) => Err(PartsError::Twice { worker: other.id().to_string() }),
        }
    }
}

/// A state that is put together worker by worker, so that a large one is never in memory twice.
///
/// It checks each invariant that parts can break. The others hold by the way it builds what is derived; debug
/// builds check them all the same.
pub struct Builder {
    state: State,
    epochs: Vec<Epoch>,
    /// They wait for their workers.
    ailments: Vec<Ailment>,
}

impl Builder {
    /// Begins with everything in `head` but its workers.
    pub fn new(head: &Parts) -> Self {
        let mut state = State {
            index: head.index,
            now: head.now,
            cluster: head.cluster,
            last_epoch: head.last_epoch,
            level: head.level,
            nodes: head.nodes.iter().map(|n| (n.name.clone(), n.clone())).collect(),
            windows: head.windows.iter().map(window_from_parts).collect(),
            restoring: head.restoring.as_ref().map(|r| Arc::new(Restoring::from_head(r))),
            delegates: head.delegates.iter().map(|d| (d.group.clone(), d.clone())).collect(),
            config_changed: head.config_changed,
            history: head.history.as_ref().map(ConfigHistory::from_parts),
            presence: PresenceTable::from_parts(&head.presence),
            ..State::default()
        };
        state.set_keyspaces(&head.keyspaces);
        head.policies.iter().for_each(|policy| state.store_policy(policy.clone()));
        head.routes.iter().for_each(|route| drop(state.routes.insert(route.clone())));
        head.sandboxes.iter().for_each(|sandbox| drop(state.sandboxes.insert(sandbox.clone())));
        state.take_objects(&head.objects);
        Self { state, epochs: Vec::new(), ailments: head.ailments.clone() }
    }

    /// One worker more.
    pub fn worker(&mut self, worker: Arc<Worker>) -> Result<(), PartsError> {
        if worker.epoch > self.state.last_epoch {
            let last = self.state.last_epoch;
            return Err(
                self.violation(EPOCHS, format!("{} is at {}, the last is {last}", worker.id(), worker.epoch))
            );
        }
        if worker.status() == Status::Departed && !worker.registration.partitions.is_empty() {
            let held = &worker.registration.partitions;
            return Err(
                self.violation("a departed worker holds nothing", format!("{} holds {held:?}", worker.id()))
            );
        }
        self.epochs.push(worker.epoch);
        self.state.take_in(worker)
    }

    /// One worker more of the restore that is under way.
    pub fn restoring_worker(&mut self, worker: Arc<Worker>) -> Result<(), PartsError> {
        match self.state.restoring.as_mut() {
            Some(restoring) => Arc::make_mut(restoring).state.take_in(worker),
            None => Err(self.violation("a restore has a beginning", format!("{} has none", worker.id()))),
        }
    }

    /// The state, if it may be used.
    pub fn finish(mut self) -> Result<State, PartsError> {
        let ailments = std::mem::take(&mut self.ailments);
        ailments.iter().for_each(|ailment| self.state.take_ailment(ailment));
        invariant::delegates_are_candidates(&self.state)
            .map_err(|detail| self.violation(invariant::DELEGATES, detail))?;
        self.epochs.sort_unstable();
        if let Some([epoch, _]) = self.epochs.array_windows().find(|[a, b]| a == b) {
            return Err(self.violation(EPOCHS, format!("two workers are at {epoch}")));
        }
        invariant::history_leads_to_what_stands(&self.state)
            .map_err(|detail| self.violation(invariant::HISTORY, detail))?;
        invariant::objects_have_epochs(&self.state)
            .map_err(|detail| self.violation(invariant::OBJECTS, detail))?;
        invariant::windows_are_bounded(&self.state)
            .map_err(|detail| self.violation("windows are bounded", detail))?;
        invariant::presence_is_consistent(&self.state)
            .map_err(|detail| self.violation(invariant::PRESENCE, detail))?;
        if cfg!(debug_assertions) {
            invariant::check(&self.state)?;
        }
        Ok(self.state)
    }

    fn violation(&self, name: &'static str, detail: String) -> PartsError {
        invariant::Violation { name, index: self.state.index.0, detail }.into()
    }
}

const EPOCHS: &str = "no epoch is larger than the last one granted, and none is granted twice";

impl State {
    pub(crate) fn set_keyspaces(&mut self, keyspaces: &[Keyspace]) {
        let view = |k: &Keyspace| (k.name.clone(), Arc::new(KeyspaceView::new(k.clone())));
        self.keyspaces = keyspaces.iter().take(limit::KEYSPACES_MAX).map(view).collect();
    }
}

fn window_parts(boot: BootId, window: &Window) -> WindowParts {
    let replies = window.replies.iter().map(|(s, (index, reply))| (*s, *index, reply.clone())).collect();
    WindowParts { boot, used: window.used, replies }
}

fn window_from_parts(parts: &WindowParts) -> (BootId, Window) {
    let replies = parts.replies.iter().map(|(s, index, reply)| (*s, (*index, reply.clone()))).collect();
    (parts.boot, Window::new(parts.used, replies))
}
