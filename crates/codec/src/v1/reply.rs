//! Replies and refusals.

use super::object::ObjectRefusal;
use super::ramp::Subject;
use super::session::SessionOutcome;
use quorate_model as model;
use quorate_model::{
    Epoch, Invalid, KeyspaceName, LogIndex, Partition, RouteName, RoutingKey, ServiceName, WorkerId,
    reply::Bounded as ModelBounded,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Unchanged,
    Registered { epoch: u64 },
    Refused(Refusal),
    Sessions(Vec<SessionOutcome>),
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Refusal {
    UnknownWorker { id: String },
    StaleEpoch { id: String, current: u64, got: u64 },
    UnknownKeyspace { name: String },
    PartitionOutOfRange { keyspace: String, partition: i32, count: u32 },
    PartitionCountUnknown { name: String },
    PreconditionFailed { current: u64, wanted: u64 },
    Full { what: Bounded, max: u64 },
    AlreadyFormed,
    Forgotten,
    NotEmpty { workers: u64, keyspaces: u64 },
    RestoreVoid,
    RestoreUnsound { why: Box<str> },
    UnknownService { name: String },
    HasPolicies { policies: u64 },
    UnknownRoute { name: String },
    HasRoutes { routes: u64 },
    UnknownSandbox { key: String },
    HasSandboxes { sandboxes: u64 },
    NotInHistory { wanted: u64, from: u64, until: u64 },
    GatewayEnded { epoch: u64 },
    NoRamp { subject: Subject },
    RampOver { subject: Subject },
    Object(ObjectRefusal),
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Bounded {
    Workers,
    Keyspaces,
    ServicePolicies,
    Routes,
    RegexRoutes,
    RouteBytes,
    ConfigObjects,
    Sandboxes,
    SandboxBytes,
    Gateways,
    Tunnels,
}

impl From<&model::Reply> for Reply {
    fn from(reply: &model::Reply) -> Self {
        match reply {
            model::Reply::Done => Self::Done,
            model::Reply::Unchanged => Self::Unchanged,
            model::Reply::Registered { epoch } => Self::Registered { epoch: epoch.0 },
            model::Reply::Refused(refusal) => Self::Refused(refusal.into()),
            model::Reply::Sessions(outcomes) => {
                Self::Sessions(outcomes.iter().map(|outcome| (*outcome).into()).collect())
            }
        }
    }
}

impl TryFrom<Reply> for model::Reply {
    type Error = Invalid;

    fn try_from(reply: Reply) -> Result<Self, Invalid> {
        Ok(match reply {
            Reply::Done => Self::Done,
            Reply::Unchanged => Self::Unchanged,
            Reply::Registered { epoch } => Self::Registered { epoch: Epoch(epoch) },
            Reply::Refused(refusal) => Self::Refused(refusal.try_into()?),
            Reply::Sessions(outcomes) => Self::Sessions(outcomes.into_iter().map(Into::into).collect()),
        })
    }
}

impl From<&model::Refusal> for Refusal {
    fn from(refusal: &model::Refusal) -> Self {
        use model::Refusal as M;
        match refusal {
            M::UnknownWorker { id } => Self::UnknownWorker { id: id.to_string() },
            M::StaleEpoch { id, current, got } => {
                Self::StaleEpoch { id: id.to_string(), current: current.0, got: got.0 }
            }
            M::UnknownKeyspace { name } => Self::UnknownKeyspace { name: name.to_string() },
            M::PartitionOutOfRange { keyspace, partition, count } => Self::PartitionOutOfRange {
                keyspace: keyspace.to_string(),
                partition: partition.0,
                count: *count,
            },
            M::PartitionCountUnknown { name } => Self::PartitionCountUnknown { name: name.to_string() },
            M::PreconditionFailed { current, wanted } => {
                Self::PreconditionFailed { current: current.0, wanted: wanted.0 }
            }
            M::Full { what, max } => Self::Full {
                what: match what {
                    ModelBounded::Workers => Bounded::Workers,
                    ModelBounded::Keyspaces => Bounded::Keyspaces,
                    ModelBounded::ServicePolicies => Bounded::ServicePolicies,
                    ModelBounded::Routes => Bounded::Routes,
                    ModelBounded::RegexRoutes => Bounded::RegexRoutes,
                    ModelBounded::RouteBytes => Bounded::RouteBytes,
                    ModelBounded::ConfigObjects => Bounded::ConfigObjects,
                    ModelBounded::Sandboxes => Bounded::Sandboxes,
                    ModelBounded::SandboxBytes => Bounded::SandboxBytes,
                    ModelBounded::Gateways => Bounded::Gateways,
                    ModelBounded::Tunnels => Bounded::Tunnels,
                },
                max: *max,
            },
            M::AlreadyFormed => Self::AlreadyFormed,
            M::Forgotten => Self::Forgotten,
            M::NotEmpty { workers, keyspaces } => Self::NotEmpty { workers: *workers, keyspaces: *keyspaces },
            M::RestoreVoid => Self::RestoreVoid,
            M::RestoreUnsound { why } => Self::RestoreUnsound { why: why.clone() },
            M::UnknownService { name } => Self::UnknownService { name: name.to_string() },
            M::HasPolicies { policies } => Self::HasPolicies { policies: *policies },
            M::HasRoutes { routes } => Self::HasRoutes { routes: *routes },
            M::UnknownSandbox { key } => Self::UnknownSandbox { key: key.to_string() },
            M::HasSandboxes { sandboxes } => Self::HasSandboxes { sandboxes: *sandboxes },
            M::NotInHistory { wanted, from, until } => {
                Self::NotInHistory { wanted: wanted.0, from: from.0, until: until.0 }
            }
            M::UnknownRoute { name } => Self::UnknownRoute { name: name.to_string() },
            M::GatewayEnded { epoch } => Self::GatewayEnded { epoch: epoch.0 },
            M::NoRamp { subject } => Self::NoRamp { subject: subject.into() },
            M::RampOver { subject } => Self::RampOver { subject: subject.into() },
            M::Object(refusal) => Self::Object(refusal.into()),
        }
    }
}

impl TryFrom<Refusal> for model::Refusal {
    type Error = Invalid;

    fn try_from(refusal: Refusal) -> Result<Self, Invalid> {
        Ok(match refusal {
            Refusal::UnknownWorker { id } => Self::UnknownWorker { id: WorkerId::parse(&id)? },
            Refusal::StaleEpoch { id, current, got } => {
                Self::StaleEpoch { id: WorkerId::parse(&id)?, current: Epoch(current), got: Epoch(got) }
            }
            Refusal::UnknownKeyspace { name } => Self::UnknownKeyspace { name: KeyspaceName::parse(&name)? },
            Refusal::PartitionOutOfRange { keyspace, partition, count } => Self::PartitionOutOfRange {
                keyspace: KeyspaceName::parse(&keyspace)?,
                partition: Partition(partition),
                count,
            },
            Refusal::PartitionCountUnknown { name } => {
                Self::PartitionCountUnknown { name: KeyspaceName::parse(&name)? }
            }
            Refusal::PreconditionFailed { current, wanted } => {
                Self::PreconditionFailed { current: LogIndex(current), wanted: LogIndex(wanted) }
            }
            Refusal::Full { what, max } => Self::Full {
                what: match what {
                    Bounded::Workers => ModelBounded::Workers,
                    Bounded::Keyspaces => ModelBounded::Keyspaces,
                    Bounded::ServicePolicies => ModelBounded::ServicePolicies,
                    Bounded::Routes => ModelBounded::Routes,
                    Bounded::RegexRoutes => ModelBounded::RegexRoutes,
                    Bounded::RouteBytes => ModelBounded::RouteBytes,
                    Bounded::ConfigObjects => ModelBounded::ConfigObjects,
                    Bounded::Sandboxes => ModelBounded::Sandboxes,
                    Bounded::SandboxBytes => ModelBounded::SandboxBytes,
                    Bounded::Gateways => ModelBounded::Gateways,
                    Bounded::Tunnels => ModelBounded::Tunnels,
                },
                max,
            },
            Refusal::AlreadyFormed => Self::AlreadyFormed,
            Refusal::Forgotten => Self::Forgotten,
            Refusal::NotEmpty { workers, keyspaces } => Self::NotEmpty { workers, keyspaces },
            Refusal::RestoreVoid => Self::RestoreVoid,
            Refusal::RestoreUnsound { why } => Self::RestoreUnsound { why },
            Refusal::UnknownService { name } => Self::UnknownService { name: ServiceName::parse(&name)? },
            Refusal::HasPolicies { policies } => Self::HasPolicies { policies },
            Refusal::HasRoutes { routes } => Self::HasRoutes { routes },
            Refusal::UnknownSandbox { key } => Self::UnknownSandbox { key: RoutingKey::parse(&key)? },
            Refusal::HasSandboxes { sandboxes } => Self::HasSandboxes { sandboxes },
            Refusal::NotInHistory { wanted, from, until } => {
                Self::NotInHistory { wanted: LogIndex(wanted), from: LogIndex(from), until: LogIndex(until) }
            }
            Refusal::UnknownRoute { name } => Self::UnknownRoute { name: RouteName::parse(&name)? },
            Refusal::GatewayEnded { epoch } => Self::GatewayEnded { epoch: Epoch(epoch) },
            Refusal::NoRamp { subject } => Self::NoRamp { subject: subject.try_into()? },
            Refusal::RampOver { subject } => Self::RampOver { subject: subject.try_into()? },
            Refusal::Object(refusal) => Self::Object(refusal.try_into()?),
        })
    }
}
