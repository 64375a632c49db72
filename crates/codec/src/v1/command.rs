//! Commands, proposals, entries.

use super::{
    object::{self, ObjectCommand},
    presence::PresenceCommand,
    ramp::{self, RampCommand},
    registration::Registration,
    restore::RestoreStep,
    sandbox::{self, SandboxCommand},
    services::{self, ServiceCommand, is_plain},
    traffic::{self, TrafficCommand},
};
use quorate_model as model;
use quorate_model::{
    BootId, ClusterId, Epoch, FeatureLevel, Invalid, KeyspaceName, LogIndex, LogTime, NodeName,
    PartitionCount, WorkerId,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    at_ms: u64,
    proposals: Vec<Proposal>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Proposal {
    boot: u64,
    sequence: u64,
    command: Command,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Command {
    FormCluster { cluster: u128, partitions: Option<u32>, source: KeyspaceSource },
    RegisterWorker { registration: Registration, range: PartitionRange, if_index: Option<u64> },
    AdoptWorker { registration: Registration },
    UnregisterWorker { id: String, epoch: Option<u64>, if_index: Option<u64> },
    ChangeLeases(Vec<LeaseChange>),
    PutKeyspace { name: String, partitions: Option<u32>, source: KeyspaceSource, if_index: Option<u64> },
    ObservePartitions { keyspace: String, partitions: u32 },
    DescribeNode(NodeRecord),
    RaiseLevel { to: u16 },
    HandOverLeases { term: u64, silences: Vec<Silence> },
    Restore { id: u64, step: RestoreStep },
    Services(ServiceCommand),
    Traffic(TrafficCommand),
    Sandboxes(SandboxCommand),
    RollBack { to: u64, if_index: Option<u64> },
    Presence(PresenceCommand),
    Ramp(RampCommand),
    Objects(ObjectCommand),
}

#[derive(Serialize, Deserialize)]
pub(crate) enum KeyspaceSource {
    Static,
    Kafka,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum PartitionRange {
    Strict,
    Lenient,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LeaseChange {
    id: String,
    epoch: u64,
    event: LeaseEvent,
}

#[derive(Serialize, Deserialize)]
enum LeaseEvent {
    Suspected,
    Recovered,
    Expired,
    Revived,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Silence {
    id: String,
    epoch: u64,
    silent_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    id: u64,
    name: String,
    boot: u64,
    peer: Box<str>,
    management: Box<str>,
    version: Box<str>,
}

impl From<&model::Entry> for Entry {
    fn from(entry: &model::Entry) -> Self {
        let model::Entry { at, proposals } = entry;
        Self { at_ms: at.0, proposals: proposals.iter().map(Proposal::from).collect() }
    }
}

impl TryFrom<Entry> for model::Entry {
    type Error = Invalid;

    fn try_from(entry: Entry) -> Result<Self, Invalid> {
        Ok(Self { at: LogTime(entry.at_ms), proposals: super::all(entry.proposals)? })
    }
}

impl From<&model::Proposal> for Proposal {
    fn from(proposal: &model::Proposal) -> Self {
        let model::Proposal { origin: model::Origin { boot, sequence }, command } = proposal;
        Self { boot: boot.0, sequence: *sequence, command: command.into() }
    }
}

impl TryFrom<Proposal> for model::Proposal {
    type Error = Invalid;

    fn try_from(proposal: Proposal) -> Result<Self, Invalid> {
        let origin = model::Origin { boot: BootId(proposal.boot), sequence: proposal.sequence };
        Ok(Self { origin, command: proposal.command.try_into()? })
    }
}

impl From<&model::Command> for Command {
    fn from(command: &model::Command) -> Self {
        use model::Command as M;
        match command {
            M::FormCluster { cluster, partitions, source } => Self::FormCluster {
                cluster: cluster.0,
                partitions: partitions.map(PartitionCount::get),
                source: (*source).into(),
            },
            M::RegisterWorker { registration, range, if_index } if is_plain(registration) => {
                Self::RegisterWorker {
                    registration: registration.into(),
                    range: (*range).into(),
                    if_index: if_index.map(|i| i.0),
                }
            }
            M::RegisterWorker { registration, range, if_index } => {
                services::register(registration, *range, *if_index)
            }
            M::AdoptWorker { registration } if is_plain(registration) => {
                Self::AdoptWorker { registration: registration.into() }
            }
            M::AdoptWorker { registration } => services::adopt(registration),
            M::UnregisterWorker { id, epoch, if_index } => Self::UnregisterWorker {
                id: id.to_string(),
                epoch: epoch.map(|e| e.0),
                if_index: if_index.map(|i| i.0),
            },
            M::ChangeLeases(changes) => Self::ChangeLeases(changes.iter().map(LeaseChange::from).collect()),
            M::PutKeyspace { name, partitions, source, hold: None, if_index } => Self::PutKeyspace {
                name: name.to_string(),
                partitions: partitions.map(PartitionCount::get),
                source: (*source).into(),
                if_index: if_index.map(|i| i.0),
            },
            M::PutKeyspace { name, partitions, source, hold, if_index } => {
                services::put_keyspace(name, (*partitions, *source, *hold), *if_index)
            }
            M::SetDuty { id, duty, if_index } => services::set_duty(id, *duty, *if_index),
            M::SetWeight { id, weight, if_index } => services::set_weight(id, *weight, *if_index),
            M::PutService { name, policy, if_index } if policy.is_plain() => {
                services::put_service(name, policy, *if_index)
            }
            M::PutService { name, policy, if_index } => traffic::put_policy(name, policy, *if_index),
            M::DeleteService { name, if_index } => services::delete_service(name, *if_index),
            M::PutRoute { route, if_index } => traffic::put_route(route, *if_index),
            M::DeleteRoute { name, if_index } => traffic::delete_route(name, *if_index),
            M::PutSandbox { key, sandbox, if_index } => sandbox::put(key, sandbox, *if_index),
            M::DeleteSandbox { key, if_index } => sandbox::delete(key, *if_index),
            M::ExtendSandbox { key, ttl, if_index } => sandbox::extend(key, *ttl, *if_index),
            M::EndSandboxes(ended) => sandbox::end(ended),
            M::Configure { config, mode, if_index } => traffic::configure(config, *mode, *if_index),
            M::ChangeHealth(changes) => traffic::change_health(changes),
            M::ObservePartitions { keyspace, partitions } => {
                Self::ObservePartitions { keyspace: keyspace.to_string(), partitions: partitions.get() }
            }
            M::DescribeNode(record) => Self::DescribeNode(record.into()),
            M::RaiseLevel { to } => Self::RaiseLevel { to: to.get() },
            M::HandOverLeases { term, silences } => {
                Self::HandOverLeases { term: *term, silences: silences.iter().map(Silence::from).collect() }
            }
            M::Object(command) => object::command(command),
            M::Restore { id, step } => Self::Restore { id: id.0, step: step.into() },
            M::RollBack { to, if_index } => Self::RollBack { to: to.0, if_index: if_index.map(|i| i.0) },
            M::Presence(command) => Self::Presence(command.into()),
            M::Ramp(command) => ramp::command(command),
        }
    }
}

impl TryFrom<Command> for model::Command {
    type Error = Invalid;

    fn try_from(command: Command) -> Result<Self, Invalid> {
        let count = |n: Option<u32>| n.map(PartitionCount::new).transpose();
        Ok(match command {
            Command::FormCluster { cluster, partitions, source } => Self::FormCluster {
                cluster: ClusterId(cluster),
                partitions: count(partitions)?,
                source: source.into(),
            },
            Command::RegisterWorker { registration, range, if_index } => Self::RegisterWorker {
                registration: registration.try_into()?,
                range: range.into(),
                if_index: if_index.map(LogIndex),
            },
            Command::AdoptWorker { registration } => {
                Self::AdoptWorker { registration: registration.try_into()? }
            }
            Command::Services(later) => later.try_into()?,
            Command::Traffic(later) => later.try_into()?,
            Command::Sandboxes(later) => later.try_into()?,
            Command::Presence(later) => Self::Presence(later.try_into()?),
            Command::Ramp(later) => later.try_into()?,
            Command::Objects(later) => later.try_into()?,
            Command::UnregisterWorker { id, epoch, if_index } => Self::UnregisterWorker {
                id: WorkerId::parse(&id)?,
                epoch: epoch.map(Epoch),
                if_index: if_index.map(LogIndex),
            },
            Command::ChangeLeases(changes) => Self::ChangeLeases(super::all(changes)?),
            Command::PutKeyspace { name, partitions, source, if_index } => Self::PutKeyspace {
                name: KeyspaceName::parse(&name)?,
                partitions: count(partitions)?,
                source: source.into(),
                hold: None,
                if_index: if_index.map(LogIndex),
            },
            Command::ObservePartitions { keyspace, partitions } => Self::ObservePartitions {
                keyspace: KeyspaceName::parse(&keyspace)?,
                partitions: PartitionCount::new(partitions)?,
            },
            Command::DescribeNode(record) => Self::DescribeNode(record.try_into()?),
            Command::RaiseLevel { to } => Self::RaiseLevel { to: FeatureLevel::new(to)? },
            Command::HandOverLeases { term, silences } => {
                Self::HandOverLeases { term, silences: super::all(silences)? }
            }
            Command::Restore { id, step } => {
                Self::Restore { id: model::RestoreId(id), step: step.try_into()? }
            }
            Command::RollBack { to, if_index } => {
                Self::RollBack { to: LogIndex(to), if_index: if_index.map(LogIndex) }
            }
        })
    }
}

impl From<model::KeyspaceSource> for KeyspaceSource {
    fn from(source: model::KeyspaceSource) -> Self {
        match source {
            model::KeyspaceSource::Static => Self::Static,
            model::KeyspaceSource::Kafka => Self::Kafka,
        }
    }
}

impl From<KeyspaceSource> for model::KeyspaceSource {
    fn from(source: KeyspaceSource) -> Self {
        match source {
            KeyspaceSource::Static => Self::Static,
            KeyspaceSource::Kafka => Self::Kafka,
        }
    }
}

impl From<model::PartitionRange> for PartitionRange {
    fn from(range: model::PartitionRange) -> Self {
        match range {
            model::PartitionRange::Strict => Self::Strict,
            model::PartitionRange::Lenient => Self::Lenient,
        }
    }
}

impl From<PartitionRange> for model::PartitionRange {
    fn from(range: PartitionRange) -> Self {
        match range {
            PartitionRange::Strict => Self::Strict,
            PartitionRange::Lenient => Self::Lenient,
        }
    }
}

impl From<&model::LeaseChange> for LeaseChange {
    fn from(change: &model::LeaseChange) -> Self {
        let model::LeaseChange { id, epoch, event } = change;
        let event = match event {
            model::LeaseEvent::Suspected => LeaseEvent::Suspected,
            model::LeaseEvent::Recovered => LeaseEvent::Recovered,
            model::LeaseEvent::Expired => LeaseEvent::Expired,
            model::LeaseEvent::Revived => LeaseEvent::Revived,
        };
        Self { id: id.to_string(), epoch: epoch.0, event }
    }
}

impl TryFrom<LeaseChange> for model::LeaseChange {
    type Error = Invalid;

    fn try_from(change: LeaseChange) -> Result<Self, Invalid> {
        let event = match change.event {
            LeaseEvent::Suspected => model::LeaseEvent::Suspected,
            LeaseEvent::Recovered => model::LeaseEvent::Recovered,
            LeaseEvent::Expired => model::LeaseEvent::Expired,
            LeaseEvent::Revived => model::LeaseEvent::Revived,
        };
        Ok(Self { id: WorkerId::parse(&change.id)?, epoch: Epoch(change.epoch), event })
    }
}

impl From<&model::Silence> for Silence {
    fn from(silence: &model::Silence) -> Self {
        let model::Silence { id, epoch, silent_ms } = silence;
        Self { id: id.to_string(), epoch: epoch.0, silent_ms: *silent_ms }
    }
}

impl TryFrom<Silence> for model::Silence {
    type Error = Invalid;

    fn try_from(silence: Silence) -> Result<Self, Invalid> {
        let id = WorkerId::parse(&silence.id)?;
        Ok(Self { id, epoch: Epoch(silence.epoch), silent_ms: silence.silent_ms })
    }
}

impl From<&model::NodeRecord> for NodeRecord {
    fn from(record: &model::NodeRecord) -> Self {
        let model::NodeRecord { id, name, boot, peer, management, version } = record;
        Self {
            id: id.0,
            name: name.to_string(),
            boot: boot.0,
            peer: peer.clone(),
            management: management.clone(),
            version: version.clone(),
        }
    }
}

impl TryFrom<NodeRecord> for model::NodeRecord {
    type Error = Invalid;

    fn try_from(record: NodeRecord) -> Result<Self, Invalid> {
        Ok(Self {
            id: model::NodeId(record.id),
            name: NodeName::parse(&record.name)?,
            boot: BootId(record.boot),
            peer: record.peer,
            management: record.management,
            version: record.version,
        })
    }
}
