//! The state and its reads.

use crate::{
    apply::restore::Restoring,
    config_history::ConfigHistory,
    keyspace::KeyspaceView,
    objects::ObjectTable,
    presence::{PresenceTable, SessionTable},
    routes::RouteTable,
    sandboxes::SandboxTable,
    service::ServiceView,
    window::Window,
};
use imbl::{OrdMap, OrdSet};
use quorate_model::{
    BootId, ClusterId, Delegate, Epoch, FeatureLevel, KeyspaceName, LogIndex, LogTime, NodeName, NodeRecord,
    Origin, ServiceName, Worker, WorkerId,
};
use std::{ops::Bound, sync::Arc};

/// The replicated state. Cloning costs O(1).
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) index: LogIndex,
    pub(crate) now: LogTime,
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) last_epoch: Epoch,
    pub(crate) level: FeatureLevel,
    pub(crate) workers: OrdMap<WorkerId, Arc<Worker>>,
    pub(crate) keyspaces: OrdMap<KeyspaceName, Arc<KeyspaceView>>,
    pub(crate) nodes: OrdMap<NodeName, Arc<NodeRecord>>,
    pub(crate) windows: OrdMap<BootId, Window>,
    /// Who may send heartbeats for a whole group, by group.
    pub(crate) delegates: OrdMap<Box<str>, Arc<Delegate>>,
    /// A restore that is under way. Nobody sees it before its last step.
    pub(crate) restoring: Option<Arc<Restoring>>,
    /// Expired and departed workers by the log time at which they are forgotten. Derived from the records.
    pub(crate) retention: OrdSet<(LogTime, WorkerId)>,
    /// How many workers are routable. Derived.
    pub(crate) routable: usize,
    /// Who offers what, with the operators' policies. Derived, the policies excepted.
    pub(crate) services: OrdMap<ServiceName, Arc<ServiceView>>,
    /// How many of them have a policy. Derived.
    pub(crate) policies: usize,
    /// Which requests go where.
    pub(crate) routes: RouteTable,
    /// Where requests with a routing key go instead.
    pub(crate) sandboxes: SandboxTable,
    /// Which gateway holds which connection.
    pub(crate) presence: PresenceTable,
    /// The objects of the sandbox API.
    pub(crate) objects: ObjectTable,
    /// Where what operators declare changed last; zero before the fourth level.
    pub(crate) config_changed: LogIndex,
    /// What operators declared before; `None` before the sixth level.
    pub(crate) history: Option<ConfigHistory>,
    /// Who would be delegate, by group, the oldest registration first. Derived.
    pub(crate) candidates: OrdMap<Box<str>, OrdSet<(Epoch, WorkerId)>>,
    /// Groups whose candidates changed within the command that is being applied. Empty between entries.
    pub(crate) unsettled: Vec<Box<str>>,
}

impl State {
    /// The state before the first entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last entry that is in it.
    pub fn index(&self) -> LogIndex {
        self.index
    }

    /// Log time: the latest that any entry carried.
    pub fn now(&self) -> LogTime {
        self.now
    }

    /// The cluster's id, once formed.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// At which index a proposal was carried out, if its window still tells: the first time, whatever repeats
    /// followed.
    pub fn carried_out_at(&self, origin: Origin) -> Option<LogIndex> {
        self.windows.get(&origin.boot)?.replies.get(&origin.sequence).map(|(index, _)| *index)
    }

    /// What all members can do: commands of a later level are not proposed.
    pub fn feature_level(&self) -> FeatureLevel {
        self.level
    }

    /// The largest fencing token that was ever granted.
    pub fn last_epoch(&self) -> Epoch {
        self.last_epoch
    }

    /// A worker's record, whatever its lifecycle.
    pub fn worker(&self, id: &str) -> Option<&Arc<Worker>> {
        self.workers.get(id)
    }

    /// All worker records by id, whatever their lifecycle.
    pub fn workers(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.workers.values()
    }

    /// Worker records with ids after `cursor`, in order.
    pub fn workers_after(&self, cursor: &str) -> impl Iterator<Item = &Arc<Worker>> {
        self.workers.range::<_, str>((Bound::Excluded(cursor), Bound::Unbounded)).map(|(_, worker)| worker)
    }

    /// How many workers are routable (live or suspect).
    pub fn worker_count(&self) -> usize {
        self.routable
    }

    /// A keyspace.
    pub fn keyspace(&self, name: &str) -> Option<&KeyspaceView> {
        self.keyspaces.get(name).map(|k| &**k)
    }

    /// All keyspaces by name.
    pub fn keyspaces(&self) -> impl Iterator<Item = &KeyspaceView> {
        self.keyspaces.values().map(|k| &**k)
    }

    /// The keyspace that requests without another one use; `None` before the cluster is formed.
    pub fn default_keyspace(&self) -> Option<&KeyspaceView> {
        self.keyspace("default")
    }

    /// A service: while a record of a worker offers it, or a policy is stored.
    pub fn service(&self, name: &str) -> Option<&Arc<ServiceView>> {
        self.services.get(name)
    }

    /// All services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<ServiceView>> {
        self.services.values()
    }

    /// Services with names after `cursor`, in order.
    pub fn services_after(&self, cursor: &str) -> impl Iterator<Item = &Arc<ServiceView>> {
        self.services.range::<_, str>((Bound::Excluded(cursor), Bound::Unbounded)).map(|(_, service)| service)
    }

    /// How many services have a policy.
    pub fn policy_count(&self) -> usize {
        self.policies
    }

    /// All routes.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// All sandboxes.
    pub fn sandboxes(&self) -> &SandboxTable {
        &self.sandboxes
    }

    /// All tunnels, and the gateways that they hang on.
    pub fn tunnels(&self) -> &PresenceTable {
        &self.presence
    }

    /// The users of the WebSocket gateway, and where they are connected.
    pub fn sessions(&self) -> &SessionTable {
        self.presence.sessions()
    }

    /// All objects of the sandbox API.
    pub fn objects(&self) -> &ObjectTable {
        &self.objects
    }

    /// The log index at which what operators declare (routes, sandboxes, policies, keyspaces) changed last, for `If-Match`.
    pub fn config_changed(&self) -> LogIndex {
        self.config_changed
    }

    /// Who may send heartbeats for all of `group`.
    pub fn delegate(&self, group: &str) -> Option<&Arc<Delegate>> {
        self.delegates.get(group)
    }

    /// All delegates, by group.
    pub fn delegates(&self) -> impl Iterator<Item = &Arc<Delegate>> {
        self.delegates.values()
    }

    /// What each node said about itself, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<NodeRecord>> {
        self.nodes.values()
    }
}
