//! What the replicated state answers to a command, and what happened inside.

use crate::{
    command::Silence,
    health::Verdict,
    level::FeatureLevel,
    name::{KeyspaceName, NodeName, RouteName, RoutingKey, ServiceName, WorkerId},
    number::{Epoch, LogIndex, Partition},
    object::{ObjectId, ObjectRefusal},
    presence::PresenceEvent,
    ramp::{ErrorsSeen, RampSubject},
    service::Duty,
    session::SessionOutcome,
    worker::Status,
};
use std::sync::Arc;

/// The answer to one command. Kept in the reply window, so it stays small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Applied.
    Done,
    /// Nothing was left to do.
    Unchanged,
    /// The worker, gateway or tunnel holds this lease now.
    Registered {
        /// Its fencing token.
        epoch: Epoch,
    },
    /// Not applied, and why.
    Refused(Refusal),
    /// What came of each change of a session, in order.
    Sessions(
        /// As many as there were changes.
        Arc<[SessionOutcome]>,
    ),
}

/// Why a command was not applied. The state is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such worker, or it said goodbye.
    #[error("worker {id} is not registered")]
    UnknownWorker {
        /// Who.
        id: WorkerId,
    },
    /// The command is about an earlier life of the worker.
    #[error("worker {id} is at epoch {current}; the command names {got}")]
    StaleEpoch {
        /// Who.
        id: WorkerId,
        /// The epoch that stands.
        current: Epoch,
        /// The epoch that was named.
        got: Epoch,
    },
    /// No such keyspace.
    #[error("there is no keyspace {name}")]
    UnknownKeyspace {
        /// The name.
        name: KeyspaceName,
    },
    /// The service has no policy.
    #[error("service {name} has no policy")]
    UnknownService {
        /// The name.
        name: ServiceName,
    },
    /// No such route.
    #[error("there is no route {name}")]
    UnknownRoute {
        /// The name.
        name: RouteName,
    },
    /// No such sandbox.
    #[error("there is no sandbox {key}")]
    UnknownSandbox {
        /// Its key.
        key: RoutingKey,
    },
    /// A partition that the keyspace does not have.
    #[error("partition {partition} is outside keyspace {keyspace}, which has {count} partitions")]
    PartitionOutOfRange {
        /// The keyspace.
        keyspace: KeyspaceName,
        /// The first offending partition.
        partition: Partition,
        /// The keyspace's count.
        count: u32,
    },
    /// The keyspace's count is not known yet, so strict registrations of partitions can't be checked.
    #[error("the partition count of keyspace {name} is not known yet")]
    PartitionCountUnknown {
        /// The keyspace.
        name: KeyspaceName,
    },
    /// `If-Match` named another index.
    #[error("the record last changed at index {current}, not at {wanted}")]
    PreconditionFailed {
        /// Where it last changed; 0: it does not exist.
        current: LogIndex,
        /// What the caller expected.
        wanted: LogIndex,
    },
    /// A bound of [`crate::limit`] is reached.
    #[error("there are already {max} {what}")]
    Full {
        /// What there is too much of.
        what: Bounded,
        /// The bound.
        max: u64,
    },
    /// The cluster was formed before.
    #[error("the cluster is already formed")]
    AlreadyFormed,
    /// The reply window no longer holds the answer to this repeat: it may or may not have been applied.
    #[error("this proposal is too old to tell whether it was applied")]
    Forgotten,
    /// A backup is restored only where there is nothing to lose.
    #[error("the cluster is not empty; workers: {workers}, keyspaces besides `default`: {keyspaces}")]
    NotEmpty {
        /// Workers that are registered or can be revived.
        workers: u64,
        /// Keyspaces other than the default one.
        keyspaces: u64,
    },
    /// A backup is restored only where there is nothing to lose: here are policies of services.
    #[error("the cluster is not empty; service policies: {policies}")]
    HasPolicies {
        /// How many.
        policies: u64,
    },
    /// A backup is restored only where there is nothing to lose: here are routes.
    #[error("the cluster is not empty; routes: {routes}")]
    HasRoutes {
        /// How many.
        routes: u64,
    },
    /// A backup is restored only where there is nothing to lose: here are sandboxes.
    #[error("the cluster is not empty; sandboxes: {sandboxes}")]
    HasSandboxes {
        /// How many.
        sandboxes: u64,
    },
    /// A step of a restore that is not the next one: another restore took its place, or it rested for too long.
    #[error("this restore is no longer under way: another one took its place, or it rested for too long")]
    RestoreVoid,
    /// The parts of a backup contradict each other.
    #[error("the backup contradicts itself: {why}")]
    RestoreUnsound {
        /// How.
        why: Box<str>,
    },
    /// What was declared at an index can't be told: it is to come, or too long ago.
    #[error("what was declared is known from index {from} to {until}, not at {wanted}")]
    NotInHistory {
        /// What was asked for.
        wanted: LogIndex,
        /// The earliest that is known.
        from: LogIndex,
        /// The latest.
        until: LogIndex,
    },
    /// A node's lease for the connections that it holds is over: another one has to be opened first.
    #[error("the gateway's lease {epoch} does not stand")]
    GatewayEnded {
        /// The one that was named.
        epoch: Epoch,
    },
    /// There is such a route or sandbox, and no such ramp.
    #[error("{subject} has no ramp")]
    NoRamp {
        /// Whose it would be.
        subject: RampSubject,
    },
    /// The ramp has ended: neither does it wait for anything, nor does it stand still.
    #[error("the ramp of {subject} is over")]
    RampOver {
        /// Whose it is.
        subject: RampSubject,
    },
    /// An object of the sandbox API is not changed.
    #[error(transparent)]
    Object(
        /// Why.
        ObjectRefusal,
    ),
}

/// A thing that [`Refusal::Full`] can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bounded {
    /// [`crate::limit::WORKERS_MAX`].
    Workers,
    /// [`crate::limit::KEYSPACES_MAX`].
    Keyspaces,
    /// [`crate::limit::SERVICE_POLICIES_MAX`].
    ServicePolicies,
    /// [`crate::limit::ROUTES_MAX`].
    Routes,
    /// [`crate::limit::PATTERNS_MAX`].
    RegexRoutes,
    /// [`crate::limit::ROUTES_BYTES_MAX`].
    RouteBytes,
    /// [`crate::limit::CONFIG_OBJECTS_MAX`].
    ConfigObjects,
    /// [`crate::limit::SANDBOXES_MAX`].
    Sandboxes,
    /// [`crate::limit::SANDBOXES_BYTES_MAX`].
    SandboxBytes,
    /// [`crate::limit::GATEWAYS_MAX`].
    Gateways,
    /// [`crate::limit::TUNNELS_MAX`].
    Tunnels,
}

impl std::fmt::Display for Bounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Workers => "workers",
            Self::Keyspaces => "keyspaces",
            Self::ServicePolicies => "service policies",
            Self::Routes => "routes",
            Self::RegexRoutes => "regular expressions in routes",
            Self::RouteBytes => "bytes of routes, with this one",
            Self::ConfigObjects => {
                "routes, sandboxes and policies of services, as many as a document can name: PATCH changes some"
            }
            Self::Sandboxes => "sandboxes",
            Self::SandboxBytes => "bytes of sandboxes, with this one",
            Self::Gateways => "leases of gateways",
            Self::Tunnels => "tunnels",
        })
    }
}

/// What an apply changed, for logs, metrics and watchers. Never read back by `apply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A worker has a new lease.
    WorkerRegistered {
        /// Who.
        id: WorkerId,
        /// Its fencing token.
        epoch: Epoch,
    },
    /// A worker's status changed.
    WorkerStatus {
        /// Who.
        id: WorkerId,
        /// Which life.
        epoch: Epoch,
        /// From.
        from: Status,
        /// To.
        to: Status,
    },
    /// A newer registration took partitions from a worker.
    PartitionsTaken {
        /// The loser.
        from: WorkerId,
        /// The winner.
        to: WorkerId,
        /// How many.
        count: usize,
    },
    /// A keyspace has a new partition count or source.
    KeyspaceChanged {
        /// Which.
        name: KeyspaceName,
        /// Its count.
        partitions: Option<u32>,
    },
    /// A node described itself anew: it has started, or moved.
    NodeDescribed {
        /// Which.
        name: NodeName,
    },
    /// An operator decided anew about a worker.
    IntentChanged {
        /// Who.
        id: WorkerId,
        /// What it is to do.
        duty: Duty,
        /// Its share of the traffic; `None`: as it registered.
        weight: Option<u32>,
    },
    /// An operator changed a service's policy, or took it away.
    ServiceChanged {
        /// Which.
        name: ServiceName,
    },
    /// An operator changed a route, or took it away.
    RouteChanged {
        /// Which.
        name: RouteName,
    },
    /// A sandbox was set, given more time, or taken away.
    SandboxChanged {
        /// Which.
        key: RoutingKey,
    },
    /// A sandbox's time was over.
    SandboxEnded {
        /// Which.
        key: RoutingKey,
    },
    /// Health checks have found an endpoint well, or not.
    HealthChanged {
        /// For which service.
        service: ServiceName,
        /// Who.
        worker: WorkerId,
        /// How it is.
        verdict: Verdict,
    },
    /// A group has another delegate, or none any more.
    DelegateChanged {
        /// Which group.
        group: Box<str>,
        /// Who, and its role's fencing token.
        to: Option<(WorkerId, Epoch)>,
    },
    /// A record was forgotten for good.
    WorkerForgotten {
        /// Who.
        id: WorkerId,
        /// What it was until then.
        was: Status,
    },
    /// The cluster can do more than before.
    LevelRaised {
        /// Its level from now on.
        to: FeatureLevel,
    },
    /// A leader handed over what it knew about silent workers.
    LeasesHandedOver {
        /// Its term.
        term: u64,
        /// Whom it has not heard for how long.
        silences: Vec<Silence>,
    },
    /// A backup took the place of the state: everything may be different.
    Restored {
        /// How many worker records it brought.
        workers: u64,
    },
    /// Somebody else holds a long-lived connection, or nobody any more.
    Presence(PresenceEvent),
    /// Too many of the requests that a ramp leads to failed.
    RampFailed {
        /// Whose ramp.
        subject: RampSubject,
        /// What was counted.
        seen: ErrorsSeen,
        /// Whether it ended with that; else it is paused.
        aborts: bool,
    },
    /// An object of the sandbox API was made, changed, or taken away.
    ObjectChanged {
        /// Which.
        id: ObjectId,
    },
    /// The time of an object of the sandbox API was over.
    ObjectEnded {
        /// Which.
        id: ObjectId,
    },
}
