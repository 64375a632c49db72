//! What can be asked of the replicated state. Each command that is about an earlier fact names its epoch, so
//! that a late one never undoes a newer fact.

use crate::{
    config::{Config, ConfigMode},
    health::HealthChange,
    keyspace::{KeyspaceSource, PartitionCount},
    level::FeatureLevel,
    name::{KeyspaceName, RouteName, RoutingKey, ServiceName, WorkerId},
    node::NodeRecord,
    number::{BootId, ClusterId, Epoch, LogIndex, LogTime, RestoreId},
    object::{ObjectCommand, ObjectId},
    presence::PresenceCommand,
    ramp::{RampCommand, RampSubject},
    restore::RestoreStep,
    route::Route,
    sandbox::{Sandbox, SandboxEnd, SandboxTtl},
    service::{Duty, Hold, ServicePolicy},
    worker::Registration,
};

/// One change of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The first command of a cluster; later ones are refused.
    FormCluster {
        /// The new cluster's id.
        cluster: ClusterId,
        /// The default keyspace's count, if known.
        partitions: Option<PartitionCount>,
        /// Who decides it.
        source: KeyspaceSource,
    },
    /// A worker registers, or registers anew with its whole list.
    RegisterWorker {
        /// What it offers.
        registration: Registration,
        /// Whether partitions beyond the count are refused.
        range: PartitionRange,
        /// `If-Match`: apply only if the worker's record last changed at this index (0: if there is none).
        if_index: Option<LogIndex>,
    },
    /// A v2 heartbeat with a full body arrived for a worker that the cluster does not know. Registers it like
    /// [`Command::RegisterWorker`], unless it is known by now, was displaced, or said goodbye a moment ago: a
    /// heartbeat never undoes what is newer than the registration that it speaks for.
    AdoptWorker {
        /// What it offers.
        registration: Registration,
    },
    /// A worker, or an operator on its behalf, says goodbye.
    UnregisterWorker {
        /// Who.
        id: WorkerId,
        /// Which of its lives, by incarnation; `None`: the one that stands when this is applied.
        epoch: Option<Epoch>,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// The exceptions of one tick of the leader's lease keeper.
    ChangeLeases(
        /// In no particular order; each worker at most once.
        Vec<LeaseChange>,
    ),
    /// An operator sets a keyspace.
    PutKeyspace {
        /// Which.
        name: KeyspaceName,
        /// Its count; `None` keeps the last known one.
        partitions: Option<PartitionCount>,
        /// Who decides it from now on.
        source: KeyspaceSource,
        /// How long requests wait for the next owner of a partition.
        hold: Option<Hold>,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// The leader read the partition count of a Kafka topic. Void where the keyspace's source is not Kafka.
    ObservePartitions {
        /// Which.
        keyspace: KeyspaceName,
        /// The topic's count.
        partitions: PartitionCount,
    },
    /// A node describes itself.
    DescribeNode(
        /// The description.
        NodeRecord,
    ),
    /// All members can do more: the cluster's level rises, and never falls.
    RaiseLevel {
        /// To which.
        to: FeatureLevel,
    },
    /// A leader that hands over says who has been silent for how long, so that its successor need not begin with
    /// them anew. The replicated state is not changed: each node keeps it in memory.
    HandOverLeases {
        /// Of the leader that says so. Counts only for the leader of the very next term: one in between may have
        /// heard them.
        term: u64,
        /// Live ones that have been silent for longer than a heartbeat's interval.
        silences: Vec<Silence>,
    },
    /// An operator lets a worker have requests, or not.
    SetDuty {
        /// Who.
        id: WorkerId,
        /// What it is to do from now on.
        duty: Duty,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// An operator sets a worker's share of the traffic.
    SetWeight {
        /// Who.
        id: WorkerId,
        /// Its share; `None`: as it registered.
        weight: Option<u32>,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// An operator sets a service's policy.
    PutService {
        /// Which.
        name: ServiceName,
        /// Its policy as a whole.
        policy: ServicePolicy,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// An operator takes a service's policy away. Its endpoints are the workers' own.
    DeleteService {
        /// Which.
        name: ServiceName,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// An operator sets a route.
    PutRoute {
        /// The route as a whole.
        route: Box<Route>,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// An operator takes a route away.
    DeleteRoute {
        /// Which.
        name: RouteName,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// A sandbox is set. Its time begins anew.
    PutSandbox {
        /// What requests carry.
        key: RoutingKey,
        /// The sandbox as a whole.
        sandbox: Box<Sandbox>,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// A sandbox is taken away.
    DeleteSandbox {
        /// Which.
        key: RoutingKey,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// A sandbox stands for this long from now on, whatever was left.
    ExtendSandbox {
        /// Which.
        key: RoutingKey,
        /// For how long, from the entry's time on.
        ttl: SandboxTtl,
        /// `If-Match`.
        if_index: Option<LogIndex>,
    },
    /// The time of sandboxes is over, as the leader sees it.
    EndSandboxes(
        /// In no particular order, at most [`crate::limit::SANDBOX_ENDS_MAX`].
        Vec<SandboxEnd>,
    ),
    /// An operator sets many objects at once: all of it, or nothing.
    Configure {
        /// The document.
        config: Box<Config>,
        /// What becomes of the objects that it does not name.
        mode: ConfigMode,
        /// `If-Match`: apply only if what operators declare last changed at this index (0: never).
        if_index: Option<LogIndex>,
    },
    /// Nodes have found that endpoints are well, or not.
    ChangeHealth(
        /// In no particular order.
        Vec<HealthChange>,
    ),
    /// A step of a restore from a backup.
    Restore {
        /// Which restore.
        id: RestoreId,
        /// Its step.
        step: RestoreStep,
    },
    /// An operator brings back what was declared at an earlier index: all of it, or nothing.
    RollBack {
        /// After which entry it stood.
        to: LogIndex,
        /// `If-Match`: apply only if what operators declare last changed at this index (0: never).
        if_index: Option<LogIndex>,
    },
    /// Who holds which long-lived connection.
    Presence(PresenceCommand),
    /// A ramp goes on, or stops.
    Ramp(RampCommand),
    /// Of an object of the sandbox API.
    Object(
        /// What becomes of it.
        ObjectCommand,
    ),
}

/// The record that a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject<'a> {
    /// A worker.
    Worker(&'a str),
    /// A keyspace.
    Keyspace(&'a str),
    /// A service.
    Service(&'a str),
    /// A route.
    Route(&'a str),
    /// A sandbox.
    Sandbox(&'a str),
    /// An object of the sandbox API.
    Object(&'a ObjectId),
}

impl Command {
    /// The record that it is about; `None`: none, or many.
    pub fn subject(&self) -> Option<Subject<'_>> {
        match self {
            Self::RegisterWorker { registration, .. } | Self::AdoptWorker { registration } => {
                Some(Subject::Worker(registration.id.as_str()))
            }
            Self::UnregisterWorker { id, .. } | Self::SetDuty { id, .. } | Self::SetWeight { id, .. } => {
                Some(Subject::Worker(id.as_str()))
            }
            Self::PutKeyspace { name, .. } | Self::ObservePartitions { keyspace: name, .. } => {
                Some(Subject::Keyspace(name.as_str()))
            }
            Self::PutService { name, .. } | Self::DeleteService { name, .. } => {
                Some(Subject::Service(name.as_str()))
            }
            Self::PutRoute { route, .. } => Some(Subject::Route(route.name().as_str())),
            Self::DeleteRoute { name, .. } => Some(Subject::Route(name.as_str())),
            Self::PutSandbox { key, .. }
            | Self::DeleteSandbox { key, .. }
            | Self::ExtendSandbox { key, .. } => Some(Subject::Sandbox(key.as_str())),
            Self::Ramp(RampCommand::Order { subject, .. }) => Some(match subject {
                RampSubject::Route(name) => Subject::Route(name.as_str()),
                RampSubject::Rule { key, .. } => Subject::Sandbox(key.as_str()),
            }),
            Self::Object(command) => command.subject().map(Subject::Object),
            Self::FormCluster { .. }
            | Self::Ramp(RampCommand::Advance(_) | RampCommand::Errors(_))
            | Self::ChangeLeases(_)
            | Self::Configure { .. }
            | Self::EndSandboxes(_)
            | Self::ChangeHealth(_)
            | Self::DescribeNode(_)
            | Self::RaiseLevel { .. }
            | Self::HandOverLeases { .. }
            | Self::Restore { .. }
            | Self::RollBack { .. }
            | Self::Presence(_) => None,
        }
    }
}

/// What to do with partitions beyond the keyspace's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartitionRange {
    /// Refuse the registration (native API).
    Strict,
    /// Keep them: they route nothing until the count grows (the original dialects).
    Lenient,
}

/// What happened to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseEvent {
    /// Two thirds of its TTL without a heartbeat.
    Suspected,
    /// A suspect one was heard again.
    Recovered,
    /// Its TTL ran out.
    Expired,
    /// An expired one was heard again.
    Revived,
}

/// One exception of the lease keeper, about one life of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseChange {
    /// Who.
    pub id: WorkerId,
    /// Which of its lives; void if a newer one stands.
    pub epoch: Epoch,
    /// What happened.
    pub event: LeaseEvent,
}

/// How long a worker has been silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Who.
    pub id: WorkerId,
    /// Which of its lives.
    pub epoch: Epoch,
    /// For how long when the command was made, in milliseconds of the leader's monotonic clock.
    pub silent_ms: u64,
}

/// Who proposed a command, and which of its proposals it was: the key by which a repeat is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The proposing process.
    pub boot: BootId,
    /// Its counter, from 1.
    pub sequence: u64,
}

/// A command and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Who proposed it.
    pub origin: Origin,
    /// What.
    pub command: Command,
}

/// One log entry: a batch of proposals, each with a reply of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The leader's clock when it made the entry.
    pub at: LogTime,
    /// At most [`crate::limit::PROPOSALS_PER_ENTRY_MAX`].
    pub proposals: Vec<Proposal>,
}
