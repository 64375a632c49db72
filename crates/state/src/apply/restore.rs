//! Restoring a backup into an empty cluster.
//!
//! Its workers come in many entries, which gather a state beside the one that stands; the last entry puts it in the
//! place of the empty one, on all nodes at one index. Nobody ever sees half of it: a restore that breaks off leaves
//! nothing but what was gathered, which is thrown away by the next restore or after a while.
//!
//! What a cluster is stays its own: its id, its nodes, its reply windows. What it holds comes from the backup. Fencing
//! tokens go on *above* the backup's by a wide gap, since the cluster that it was made from may have granted more
//! after it was made: a worker that still holds one of those must not find that another one holds the same.

use crate::{
    config_history::ConfigHistory,
    keyspace::KeyspaceView,
    parts::{PartsError, RestoringParts},
    state::State,
};
use quorate_model::{
    Epoch, Event, Keyspace, KeyspaceName, Lifecycle, LogIndex, LogTime, Refusal, Reply, RestoreId,
    RestoreStep, Status, StoredObject, StoredPolicy, StoredRoute, StoredSandbox, Worker, limit,
    object::ObjectRefusal, reply::Bounded,
};
use std::sync::Arc;

/// A restore that is under way. Cloning costs O(1).
#[derive(Clone, Debug)]
pub struct Restoring {
    id: RestoreId,
    /// When its last step was.
    touched: LogTime,
    batches: u32,
    last_epoch: Epoch,
    /// What was gathered: keyspaces, workers and what is derived from them.
    pub(crate) state: State,
}

impl Restoring {
    pub(crate) fn from_head(head: &RestoringParts) -> Self {
        let RestoringParts {
            id,
            touched,
            batches,
            last_epoch,
            keyspaces,
            policies,
            routes,
            sandboxes,
            objects,
            workers: _,
        } = head;
        let mut state = State::default();
        state.set_keyspaces(keyspaces);
        policies.iter().for_each(|policy| state.store_policy(policy.clone()));
        routes.iter().for_each(|route| drop(state.routes.insert(route.clone())));
        sandboxes.iter().for_each(|sandbox| drop(state.sandboxes.insert(sandbox.clone())));
        state.take_objects(objects);
        Self { id: *id, touched: *touched, batches: *batches, last_epoch: *last_epoch, state }
    }

    pub(crate) fn head(&self) -> RestoringParts {
        RestoringParts {
            id: self.id,
            touched: self.touched,
            batches: self.batches,
            last_epoch: self.last_epoch,
            keyspaces: self.state.keyspaces.values().map(|k| k.keyspace().clone()).collect(),
            policies: self.state.stored_policies(),
            routes: self.state.routes.iter().cloned().collect(),
            sandboxes: self.state.sandboxes.iter().cloned().collect(),
            objects: self.state.objects.iter().cloned().collect(),
            workers: Vec::new(),
        }
    }

    fn gather_routes(&mut self, routes: &[StoredRoute], index: LogIndex) -> Result<(), Refusal> {
        for stored in routes {
            if self.state.routes.len() >= limit::ROUTES_MAX {
                return Err(Refusal::Full { what: Bounded::Routes, max: limit::ROUTES_MAX as u64 });
            }
            if self.state.routes.pattern_count() + stored.route.pattern_count() > limit::PATTERNS_MAX {
                return Err(Refusal::Full { what: Bounded::RegexRoutes, max: limit::PATTERNS_MAX as u64 });
            }
            if self.state.routes.is_too_heavy(&stored.route) {
                return Err(Refusal::Full { what: Bounded::RouteBytes, max: limit::ROUTES_BYTES_MAX as u64 });
            }
            let name = stored.route.name();
            // Its age stays: which of two routes is the older one decides where requests go.
            let here = Arc::new(route_here(stored, index, self.touched)?);
            if self.state.routes.insert(here).is_some() {
                return Err(Refusal::RestoreUnsound { why: format!("route {name} is there twice").into() });
            }
        }
        Ok(())
    }

    fn gather_sandboxes(&mut self, sandboxes: &[Arc<StoredSandbox>], index: LogIndex) -> Result<(), Refusal> {
        for stored in sandboxes {
            if self.state.sandboxes.len() >= limit::SANDBOXES_MAX {
                return Err(Refusal::Full { what: Bounded::Sandboxes, max: limit::SANDBOXES_MAX as u64 });
            }
            if self.state.sandboxes.is_too_heavy(stored.key.as_str(), &stored.sandbox) {
                let max = limit::SANDBOXES_BYTES_MAX as u64;
                return Err(Refusal::Full { what: Bounded::SandboxBytes, max });
            }
            // Its end stays: it was promised by the clock, not by the cluster.
            let ramps = stored.ramps.iter();
            let ramps = ramps.map(|(rule, state)| (*rule, state.restored(index, self.touched))).collect();
            let here = Arc::new(StoredSandbox { changed: index, ramps, ..(**stored).clone() });
            if self.state.sandboxes.insert(here).is_some() {
                let why = format!("sandbox {} is there twice", stored.key);
                return Err(Refusal::RestoreUnsound { why: why.into() });
            }
        }
        Ok(())
    }

    fn gather_objects(&mut self, objects: &[Arc<StoredObject>], index: LogIndex) -> Result<(), Refusal> {
        for stored in objects {
            let id = stored.id();
            if stored.epoch > self.last_epoch {
                let why = format!("object {id} is at epoch {}", stored.epoch);
                return Err(Refusal::RestoreUnsound { why: why.into() });
            }
            if self.state.objects.get(id).is_some() {
                let why = format!("object {id} is there twice");
                return Err(Refusal::RestoreUnsound { why: why.into() });
            }
            // Its end stays, as a sandbox's does.
            let here = Arc::new(StoredObject { changed: index, ..(**stored).clone() });
            self.state.store_object(here).map_err(Refusal::Object)?;
        }
        Ok(())
    }

    fn gather(&mut self, workers: &[Arc<Worker>], index: LogIndex) -> Result<(), Refusal> {
        for worker in workers {
            if self.state.workers.len() >= limit::WORKERS_MAX {
                return Err(Refusal::Full { what: Bounded::Workers, max: limit::WORKERS_MAX as u64 });
            }
            if worker.epoch > self.last_epoch {
                let why = format!("worker {} is at epoch {}", worker.id(), worker.epoch);
                return Err(Refusal::RestoreUnsound { why: why.into() });
            }
            self.state.take_in(Arc::new(anew(worker, index))).map_err(unsound)?;
        }
        Ok(())
    }
}

/// A route as it begins its life here, its ramp with it.
fn route_here(stored: &StoredRoute, index: LogIndex, now: LogTime) -> Result<StoredRoute, Refusal> {
    let state = stored.ramp_state().map(|state| state.restored(index, now));
    let here = StoredRoute::new(stored.route.clone(), (stored.created, index), state);
    here.map_err(|error| Refusal::RestoreUnsound { why: error.to_string().into() })
}

fn unsound(error: PartsError) -> Refusal {
    Refusal::RestoreUnsound { why: error.to_string().into() }
}

/// A record as it begins its life here. Nobody can know how long a lease has been silent, so each starts in full,
/// as after an election. The index of its last change is one of this log: an index of another one could come again
/// here, and `If-Match` would take the one for the other.
fn anew(worker: &Worker, index: LogIndex) -> Worker {
    let lifecycle = match &worker.lifecycle {
        Lifecycle::Live | Lifecycle::Suspect { .. } => Lifecycle::Live,
        gone @ (Lifecycle::Expired { .. } | Lifecycle::Displaced { .. } | Lifecycle::Unregistered { .. }) => {
            gone.clone()
        }
    };
    Worker { lifecycle, changed: index, ..worker.clone() }
}

impl State {
    pub(super) fn restore(
        &mut self,
        id: RestoreId,
        step: &RestoreStep,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        match step {
            RestoreStep::Begin { keyspaces, policies, last_epoch } => {
                self.begin_restore(id, (keyspaces, policies), *last_epoch)
            }
            RestoreStep::Routes { batch, routes } => {
                self.gather(id, *batch, |restoring, index| restoring.gather_routes(routes, index))
            }
            RestoreStep::Sandboxes { batch, sandboxes } => {
                self.gather(id, *batch, |restoring, index| restoring.gather_sandboxes(sandboxes, index))
            }
            RestoreStep::Objects { batch, objects } => {
                self.gather(id, *batch, |restoring, index| restoring.gather_objects(objects, index))
            }
            RestoreStep::Workers { batch, workers } => {
                self.gather(id, *batch, |restoring, index| restoring.gather(workers, index))
            }
            RestoreStep::Finish { batches, workers } => self.finish_restore(id, *batches, *workers, events),
            RestoreStep::Abandon => {
                self.take_restoring(id)?;
                Ok(Reply::Done)
            }
        }
    }

    /// Throws a restore away whose next step did not come.
    pub(super) fn forget_restore(&mut self) {
        let over = |r: &Arc<Restoring>| r.touched.0.saturating_add(limit::RESTORE_RESTS_MS) <= self.now.0;
        if self.restoring.as_ref().is_some_and(over) {
            self.restoring = None;
        }
    }

    fn begin_restore(
        &mut self,
        id: RestoreId,
        (keyspaces, policies): (&[Keyspace], &[StoredPolicy]),
        last_epoch: Epoch,
    ) -> Result<Reply, Refusal> {
        self.require_empty()?;
        if keyspaces.len() > limit::KEYSPACES_MAX {
            return Err(Refusal::Full { what: Bounded::Keyspaces, max: limit::KEYSPACES_MAX as u64 });
        }
        if policies.len() > limit::SERVICE_POLICIES_MAX {
            let max = limit::SERVICE_POLICIES_MAX as u64;
            return Err(Refusal::Full { what: Bounded::ServicePolicies, max });
        }
        if last_epoch.0 > limit::RESTORE_EPOCH_MAX {
            let why = format!("its last epoch is {last_epoch}; at most {}", limit::RESTORE_EPOCH_MAX);
            return Err(Refusal::RestoreUnsound { why: why.into() });
        }
        if !keyspaces.iter().any(|k| k.name == KeyspaceName::default()) {
            return Err(Refusal::RestoreUnsound { why: "it has no keyspace `default`".into() });
        }
        let head = RestoringParts {
            id,
            touched: self.now,
            batches: 0,
            last_epoch,
            keyspaces: keyspaces.to_vec(),
            policies: policies.to_vec(),
            routes: Vec::new(),
            sandboxes: Vec::new(),
            objects: Vec::new(),
            workers: Vec::new(),
        };
        self.restoring = Some(Arc::new(Restoring::from_head(&head)));
        Ok(Reply::Done)
    }

    fn gather(
        &mut self,
        id: RestoreId,
        batch: u32,
        take: impl FnOnce(&mut Restoring, LogIndex) -> Result<(), Refusal>,
    ) -> Result<Reply, Refusal> {
        let (now, index) = (self.now, self.index);
        let restoring = self.restoring.as_mut().filter(|r| r.id == id && r.batches == batch);
        let restoring = Arc::make_mut(restoring.ok_or(Refusal::RestoreVoid)?);
        restoring.batches += 1;
        restoring.touched = now;
        if let Err(refusal) = take(restoring, index) {
            // Half of a batch is in it: nothing can come of it any more.
            self.restoring = None;
            return Err(refusal);
        }
        Ok(Reply::Done)
    }

    fn finish_restore(
        &mut self,
        id: RestoreId,
        batches: u32,
        workers: u64,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        // Somebody may have registered meanwhile.
        self.require_empty()?;
        let restoring = self.take_restoring(id)?;
        if restoring.batches != batches || restoring.state.workers.len() as u64 != workers {
            return Err(Refusal::RestoreVoid);
        }
        let index = self.index;
        let Restoring { state: mut restored, last_epoch, .. } = Arc::unwrap_or_clone(restoring);
        for stored in restored.stored_policies() {
            restored.store_policy(StoredPolicy { changed: index, ..stored });
        }
        let State {
            workers,
            keyspaces,
            retention,
            routable,
            services,
            policies,
            candidates,
            routes,
            sandboxes,
            objects,
            ..
        } = restored;
        events.push(Event::Restored { workers: workers.len() as u64 });
        (self.workers, self.retention, self.routable) = (workers, retention, routable);
        (self.services, self.policies) = (services, policies);
        (self.routes, self.sandboxes, self.objects) = (routes, sandboxes, objects);
        self.note_declared();
        // What was declared before belongs to another cluster, or to none.
        self.history = self.history.is_some().then(|| ConfigHistory::beginning(index));
        // Nobody of the backup holds a role here: the epochs of the old cluster's delegates are void.
        self.unsettled = candidates.keys().chain(self.delegates.keys()).cloned().collect();
        self.candidates = candidates;
        self.delegates.clear();
        let here = |(name, mut keyspace): (KeyspaceName, Arc<KeyspaceView>)| {
            Arc::make_mut(&mut keyspace).keyspace.changed = index;
            (name, keyspace)
        };
        self.keyspaces = keyspaces.into_iter().map(here).collect();
        let highest = self.last_epoch.max(last_epoch).0;
        self.last_epoch = Epoch(highest + limit::RESTORE_EPOCH_GAP);
        Ok(Reply::Done)
    }

    fn take_restoring(&mut self, id: RestoreId) -> Result<Arc<Restoring>, Refusal> {
        match self.restoring.take() {
            Some(restoring) if restoring.id == id => Ok(restoring),
            other => {
                self.restoring = other;
                Err(Refusal::RestoreVoid)
            }
        }
    }

    /// Whether a backup may be restored. Records of workers that said goodbye are no loss: what is remembered of them guards against late heartbeats
    /// only, and the epochs of a restored cluster are above theirs.
    pub fn require_empty(&self) -> Result<(), Refusal> {
        let workers = self.workers.values().filter(|w| w.status() != Status::Departed).count() as u64;
        let others = self.keyspaces.keys().filter(|name| **name != KeyspaceName::default()).count() as u64;
        if workers > 0 || others > 0 {
            return Err(Refusal::NotEmpty { workers, keyspaces: others });
        }
        if self.policies > 0 {
            return Err(Refusal::HasPolicies { policies: self.policies as u64 });
        }
        if !self.routes.is_empty() {
            return Err(Refusal::HasRoutes { routes: self.routes.len() as u64 });
        }
        if !self.sandboxes.is_empty() {
            return Err(Refusal::HasSandboxes { sandboxes: self.sandboxes.len() as u64 });
        }
        if !self.objects.is_empty() {
            let objects = self.objects.len() as u64;
            return Err(Refusal::Object(ObjectRefusal::NotEmpty { objects }));
        }
        Ok(())
    }
}
