//! One entry → replies and events.

mod health;
mod keyspaces;
pub mod leases;
mod level;
mod nodes;
mod objects;
mod presence;
mod ramps;
pub(crate) mod restore;
mod roll_back;
mod routes;
mod sandboxes;
mod services;
mod sessions;
mod workers;

use crate::{state::State, window::Lookup};
use quorate_model::{
    Command, Entry, Epoch, Event, Lifecycle, LogIndex, LogTime, Proposal, Refusal, Reply, Worker, WorkerId,
    limit,
};
use std::sync::Arc;

/// What one entry did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// One for each proposal, in order.
    pub replies: Vec<Reply>,
    /// What changed, for logs, metrics and watchers.
    pub events: Vec<Event>,
}

impl State {
    /// Applies the entry at `index`. Total: a command that does not fit is answered by a refusal.
    pub fn apply(&mut self, index: LogIndex, entry: &Entry) -> Applied {
        self.skip(index);
        // Log time never runs backwards, even when a new leader's clock does.
        self.now = self.now.max(entry.at);
        let mut events = Vec::new();
        self.forget_departed(&mut events);
        self.forget_restore();
        self.presence.clear_up();
        let replies = entry.proposals.iter().map(|proposal| self.once(proposal, &mut events)).collect();
        Applied { replies, events }
    }

    /// Passes an entry that carries nothing for the state (a blank one or a membership change).
    pub fn skip(&mut self, index: LogIndex) {
        self.index = index;
    }

    fn once(&mut self, proposal: &Proposal, events: &mut Vec<Event>) -> Reply {
        let origin = proposal.origin;
        match self.windows.get(&origin.boot).map_or(Lookup::New, |w| w.look_up(origin.sequence)) {
            Lookup::Repeat(reply) => return reply,
            Lookup::Forgotten => return Reply::Refused(Refusal::Forgotten),
            Lookup::New => {}
        }
        let reply = self.execute(&proposal.command, events).unwrap_or_else(Reply::Refused);
        self.settle_delegates(events);
        self.make_room_for_window(origin.boot);
        let index = self.index;
        self.windows.entry(origin.boot).or_default().remember(origin.sequence, index, reply.clone());
        reply
    }

    fn make_room_for_window(&mut self, boot: quorate_model::BootId) {
        if self.windows.len() < limit::REPLY_WINDOWS_MAX || self.windows.contains_key(&boot) {
            return;
        }
        if let Some(silent) =
            self.windows.iter().min_by_key(|(boot, w)| (w.used, **boot)).map(|(boot, _)| *boot)
        {
            self.windows.remove(&silent);
        }
    }

    fn execute(&mut self, command: &Command, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        match command {
            Command::FormCluster { cluster, partitions, source } => {
                self.form_cluster(*cluster, *partitions, *source, events)
            }
            Command::RegisterWorker { registration, range, if_index } => {
                self.register_worker(registration, *range, *if_index, events)
            }
            Command::AdoptWorker { registration } => self.adopt_worker(registration, events),
            Command::UnregisterWorker { id, epoch, if_index } => {
                self.unregister_worker(id, *epoch, *if_index, events)
            }
            Command::ChangeLeases(changes) => Ok(self.change_leases(changes, events)),
            Command::PutKeyspace { name, partitions, source, hold, if_index } => {
                self.put_keyspace(name, (*partitions, *source, *hold), *if_index, events)
            }
            Command::ObservePartitions { keyspace, partitions } => {
                self.observe_partitions(keyspace, *partitions, events)
            }
            Command::DescribeNode(node) => Ok(self.describe_node(node, events)),
            Command::RaiseLevel { to } => Ok(self.raise_level(*to, events)),
            Command::HandOverLeases { term, silences } => {
                events.push(Event::LeasesHandedOver { term: *term, silences: silences.clone() });
                Ok(Reply::Done)
            }
            Command::SetDuty { id, duty, if_index } => self.set_duty(id, *duty, *if_index, events),
            Command::SetWeight { id, weight, if_index } => self.set_weight(id, *weight, *if_index, events),
            Command::PutService { name, policy, if_index } => {
                self.put_service(name, policy, *if_index, events)
            }
            Command::DeleteService { name, if_index } => self.delete_service(name, *if_index, events),
            Command::PutRoute { route, if_index } => self.put_route(route, *if_index, events),
            Command::DeleteRoute { name, if_index } => self.delete_route(name, *if_index, events),
            Command::PutSandbox { key, sandbox, if_index } => {
                self.put_sandbox(key, sandbox, *if_index, events)
            }
            Command::DeleteSandbox { key, if_index } => self.delete_sandbox(key, *if_index, events),
            Command::ExtendSandbox { key, ttl, if_index } => {
                self.extend_sandbox((key, *ttl), *if_index, events)
            }
            Command::EndSandboxes(ended) => Ok(self.end_sandboxes(ended, events)),
            Command::Configure { config, mode, if_index } => {
                self.configure((config, *mode), *if_index, events)
            }
            Command::ChangeHealth(changes) => Ok(self.change_health(changes, events)),
            Command::Restore { id, step } => self.restore(*id, step, events),
            Command::RollBack { to, if_index } => self.roll_back(*to, *if_index, events),
            Command::Presence(command) => self.change_presence(command, events),
            Command::Ramp(command) => self.change_ramp(command, events),
            Command::Object(command) => self.change_object(command, events).map_err(Refusal::Object),
        }
    }

    /// The next fencing token: the log index, moved up where this entry has granted before.
    fn next_epoch(&mut self) -> Epoch {
        self.last_epoch = Epoch(self.index.0.max(self.last_epoch.0 + 1));
        self.last_epoch
    }

    /// Replaces a worker's record and everything that is derived from it, claims excepted.
    fn store_worker(&mut self, worker: Worker) -> Arc<Worker> {
        let worker = Arc::new(worker);
        let old = self.workers.insert(worker.id().clone(), worker.clone());
        if let Some(old) = &old {
            self.routable -= usize::from(old.is_routable());
            if let Some(at) = forgotten_at(old) {
                self.retention.remove(&(at, old.id().clone()));
            }
        }
        self.follow_offers(old.as_deref(), Some(&worker));
        self.follow_candidates(old.as_deref(), Some(&worker));
        self.routable += usize::from(worker.is_routable());
        if let Some(at) = forgotten_at(&worker) {
            self.retention.insert((at, worker.id().clone()));
        }
        if let Some(keyspace) = self.keyspaces.get_mut(&worker.registration.keyspace) {
            Arc::make_mut(keyspace).refresh(&worker, self.index);
        }
        worker
    }

    /// Forgets records whose time is over. Each entry does at most a bounded part, so that a day's worth of
    /// departures never stops an apply.
    fn forget_departed(&mut self, events: &mut Vec<Event>) {
        const AT_ONCE: usize = 1_000;
        for _ in 0..AT_ONCE {
            let Some((at, id)) = self.retention.get_min().cloned() else { return };
            if at > self.now {
                return;
            }
            let Some(worker) = self.remove_worker(&id) else { continue };
            events.push(Event::WorkerForgotten { id, was: worker.status() });
        }
    }

    fn remove_worker(&mut self, id: &WorkerId) -> Option<Arc<Worker>> {
        let worker = self.workers.remove(id)?;
        self.routable -= usize::from(worker.is_routable());
        if let Some(at) = forgotten_at(&worker) {
            self.retention.remove(&(at, id.clone()));
        }
        self.follow_offers(Some(&worker), None);
        self.follow_candidates(Some(&worker), None);
        self.release_all(&worker);
        Some(worker)
    }

    fn release_all(&mut self, worker: &Worker) {
        if worker.registration.partitions.is_empty() {
            return;
        }
        if let Some(keyspace) = self.keyspaces.get_mut(&worker.registration.keyspace) {
            let keyspace = Arc::make_mut(keyspace);
            let index = self.index;
            worker.registration.partitions.iter().for_each(|p| keyspace.release(*p, index));
        }
    }
}

/// When a record is to be forgotten; `None`: as long as the worker lives.
pub(crate) fn forgotten_at(worker: &Worker) -> Option<LogTime> {
    match worker.lifecycle {
        Lifecycle::Live | Lifecycle::Suspect { .. } => None,
        Lifecycle::Expired { at } | Lifecycle::Displaced { at } => {
            Some(LogTime(at.0.saturating_add(limit::EXPIRED_KEPT_MS)))
        }
        Lifecycle::Unregistered { at } => Some(LogTime(at.0.saturating_add(limit::DEPARTED_KEPT_MS))),
    }
}

/// `If-Match`: the record must have changed last where the caller thinks; index 0 stands for "does not exist".
fn require_index(wanted: Option<LogIndex>, current: LogIndex) -> Result<(), Refusal> {
    match wanted {
        Some(wanted) if wanted != current => Err(Refusal::PreconditionFailed { current, wanted }),
        Some(_) | None => Ok(()),
    }
}
