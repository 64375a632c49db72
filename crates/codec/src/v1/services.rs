//! What came with services, at the third level. Structs of the first level are frozen, so what a registration,
//! a keyspace or a record has more stands beside them.

use super::{
    command::{Command, KeyspaceSource, PartitionRange},
    registration::Registration,
    restore::{Keyspace, Worker},
};
use quorate_model as model;
use quorate_model::{
    Address, Invalid, KeyspaceName, LogIndex, LogTime, PartitionCount, ServiceName, WorkerId,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// What can be asked since the third level, and what can be asked with more than before.
#[derive(Serialize, Deserialize)]
pub(crate) enum ServiceCommand {
    RegisterWorkerWith {
        registration: RegistrationWith,
        range: PartitionRange,
        if_index: Option<u64>,
    },
    AdoptWorkerWith {
        registration: RegistrationWith,
    },
    PutKeyspaceWith {
        name: String,
        partitions: Option<u32>,
        source: KeyspaceSource,
        hold: Option<Hold>,
        if_index: Option<u64>,
    },
    SetDuty {
        id: String,
        duty: Duty,
        if_index: Option<u64>,
    },
    SetWeight {
        id: String,
        weight: Option<u32>,
        if_index: Option<u64>,
    },
    PutService {
        name: String,
        policy: ServicePolicy,
        if_index: Option<u64>,
    },
    DeleteService {
        name: String,
        if_index: Option<u64>,
    },
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Duty {
    InService,
    Draining,
    Offline,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Extras {
    wants_delegate: bool,
    tunnel: Option<String>,
    unhealthy: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Intent {
    duty: Duty,
    since_ms: u64,
    weight: Option<u32>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Hold {
    wait_ms: u32,
    waiting_max: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ServicePolicy {
    hold: Option<Hold>,
    timeout_ms: Option<u32>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StoredPolicy {
    service: String,
    policy: ServicePolicy,
    changed: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct KeyspaceWith {
    keyspace: Keyspace,
    hold: Option<Hold>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct WorkerWith {
    worker: Worker,
    extras: Extras,
    intent: Intent,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RegistrationWith {
    registration: Registration,
    extras: Extras,
}

pub(super) fn register(
    registration: &model::Registration,
    range: model::PartitionRange,
    if_index: Option<LogIndex>,
) -> Command {
    let registration = registration.into();
    let if_index = if_index.map(|i| i.0);
    Command::Services(ServiceCommand::RegisterWorkerWith { registration, range: range.into(), if_index })
}

pub(super) fn adopt(registration: &model::Registration) -> Command {
    Command::Services(ServiceCommand::AdoptWorkerWith { registration: registration.into() })
}

pub(super) fn put_keyspace(
    name: &KeyspaceName,
    (partitions, source, hold): (Option<PartitionCount>, model::KeyspaceSource, Option<model::Hold>),
    if_index: Option<LogIndex>,
) -> Command {
    Command::Services(ServiceCommand::PutKeyspaceWith {
        name: name.to_string(),
        partitions: partitions.map(PartitionCount::get),
        source: source.into(),
        hold: hold.map(Hold::from),
        if_index: if_index.map(|i| i.0),
    })
}

pub(super) fn set_duty(id: &WorkerId, duty: model::Duty, if_index: Option<LogIndex>) -> Command {
    let (id, if_index) = (id.to_string(), if_index.map(|i| i.0));
    Command::Services(ServiceCommand::SetDuty { id, duty: duty.into(), if_index })
}

pub(super) fn set_weight(id: &WorkerId, weight: Option<u32>, if_index: Option<LogIndex>) -> Command {
    let (id, if_index) = (id.to_string(), if_index.map(|i| i.0));
    Command::Services(ServiceCommand::SetWeight { id, weight, if_index })
}

pub(super) fn put_service(
    name: &ServiceName,
    policy: &model::ServicePolicy,
    if_index: Option<LogIndex>,
) -> Command {
    let (name, if_index) = (name.to_string(), if_index.map(|i| i.0));
    Command::Services(ServiceCommand::PutService { name, policy: policy.into(), if_index })
}

pub(super) fn delete_service(name: &ServiceName, if_index: Option<LogIndex>) -> Command {
    let (name, if_index) = (name.to_string(), if_index.map(|i| i.0));
    Command::Services(ServiceCommand::DeleteService { name, if_index })
}

impl TryFrom<ServiceCommand> for model::Command {
    type Error = Invalid;

    fn try_from(command: ServiceCommand) -> Result<Self, Invalid> {
        Ok(match command {
            ServiceCommand::RegisterWorkerWith { registration, range, if_index } => Self::RegisterWorker {
                registration: registration.try_into()?,
                range: range.into(),
                if_index: if_index.map(LogIndex),
            },
            ServiceCommand::AdoptWorkerWith { registration } => {
                Self::AdoptWorker { registration: registration.try_into()? }
            }
            ServiceCommand::PutKeyspaceWith { name, partitions, source, hold, if_index } => {
                Self::PutKeyspace {
                    name: KeyspaceName::parse(&name)?,
                    partitions: partitions.map(PartitionCount::new).transpose()?,
                    source: source.into(),
                    hold: self::hold(hold)?,
                    if_index: if_index.map(LogIndex),
                }
            }
            ServiceCommand::SetDuty { id, duty, if_index } => Self::SetDuty {
                id: WorkerId::parse(&id)?,
                duty: duty.into(),
                if_index: if_index.map(LogIndex),
            },
            ServiceCommand::SetWeight { id, weight, if_index } => Self::SetWeight {
                id: WorkerId::parse(&id)?,
                weight: weight.map(model::worker::check_weight).transpose()?,
                if_index: if_index.map(LogIndex),
            },
            ServiceCommand::PutService { name, policy, if_index } => Self::PutService {
                name: ServiceName::parse(&name)?,
                policy: policy.try_into()?,
                if_index: if_index.map(LogIndex),
            },
            ServiceCommand::DeleteService { name, if_index } => {
                Self::DeleteService { name: ServiceName::parse(&name)?, if_index: if_index.map(LogIndex) }
            }
        })
    }
}

/// Whether the first level has words for it.
pub(super) fn is_plain(registration: &model::Registration) -> bool {
    registration.extras.is_none()
}

impl From<model::Duty> for Duty {
    fn from(duty: model::Duty) -> Self {
        match duty {
            model::Duty::InService => Self::InService,
            model::Duty::Draining => Self::Draining,
            model::Duty::Offline => Self::Offline,
        }
    }
}

impl From<Duty> for model::Duty {
    fn from(duty: Duty) -> Self {
        match duty {
            Duty::InService => Self::InService,
            Duty::Draining => Self::Draining,
            Duty::Offline => Self::Offline,
        }
    }
}

impl From<&model::Extras> for Extras {
    fn from(extras: &model::Extras) -> Self {
        let model::Extras { wants_delegate, tunnel, unhealthy } = extras;
        Self {
            wants_delegate: *wants_delegate,
            tunnel: tunnel.as_ref().map(ToString::to_string),
            unhealthy: unhealthy.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<Extras> for model::Extras {
    type Error = Invalid;

    fn try_from(extras: Extras) -> Result<Self, Invalid> {
        let unhealthy = extras.unhealthy.iter().map(|name| ServiceName::parse(name));
        Ok(Self {
            wants_delegate: extras.wants_delegate,
            tunnel: extras.tunnel.map(|url| Address::parse(&url)).transpose()?,
            unhealthy: unhealthy.collect::<Result<_, _>>()?,
        })
    }
}

impl From<&model::Intent> for Intent {
    fn from(intent: &model::Intent) -> Self {
        let model::Intent { duty, since, weight } = intent;
        Self { duty: (*duty).into(), since_ms: since.0, weight: *weight }
    }
}

impl TryFrom<Intent> for model::Intent {
    type Error = Invalid;

    fn try_from(intent: Intent) -> Result<Self, Invalid> {
        let weight = intent.weight.map(model::worker::check_weight).transpose()?;
        Ok(Self { duty: intent.duty.into(), since: LogTime(intent.since_ms), weight })
    }
}

impl From<model::Hold> for Hold {
    fn from(hold: model::Hold) -> Self {
        // Made of whole milliseconds, at most ten thousand.
        Self { wait_ms: hold.wait().as_millis() as u32, waiting_max: hold.waiting_max() }
    }
}

impl TryFrom<Hold> for model::Hold {
    type Error = Invalid;

    fn try_from(hold: Hold) -> Result<Self, Invalid> {
        let wait = Duration::from_millis(hold.wait_ms.into());
        Self::new(wait, hold.waiting_max).map_err(super::registration::first)
    }
}

fn hold(hold: Option<Hold>) -> Result<Option<model::Hold>, Invalid> {
    hold.map(model::Hold::try_from).transpose()
}

impl From<&model::ServicePolicy> for ServicePolicy {
    fn from(policy: &model::ServicePolicy) -> Self {
        // What it has more is a document: see `traffic`.
        let model::ServicePolicy { hold, timeout_ms, .. } = policy;
        Self { hold: hold.map(Hold::from), timeout_ms: *timeout_ms }
    }
}

impl TryFrom<ServicePolicy> for model::ServicePolicy {
    type Error = Invalid;

    fn try_from(policy: ServicePolicy) -> Result<Self, Invalid> {
        let timeout = policy.timeout_ms.map(|ms| Duration::from_millis(ms.into()));
        Self::new(hold(policy.hold)?, timeout)
    }
}

impl From<&model::StoredPolicy> for StoredPolicy {
    fn from(stored: &model::StoredPolicy) -> Self {
        let model::StoredPolicy { service, policy, changed } = stored;
        Self { service: service.to_string(), policy: policy.into(), changed: changed.0 }
    }
}

impl TryFrom<StoredPolicy> for model::StoredPolicy {
    type Error = Invalid;

    fn try_from(stored: StoredPolicy) -> Result<Self, Invalid> {
        let service = ServiceName::parse(&stored.service)?;
        Ok(Self { service, policy: stored.policy.try_into()?, changed: LogIndex(stored.changed) })
    }
}

impl From<&model::Keyspace> for KeyspaceWith {
    fn from(keyspace: &model::Keyspace) -> Self {
        Self { keyspace: keyspace.into(), hold: keyspace.hold.map(Hold::from) }
    }
}

impl TryFrom<KeyspaceWith> for model::Keyspace {
    type Error = Invalid;

    fn try_from(with: KeyspaceWith) -> Result<Self, Invalid> {
        Ok(Self { hold: hold(with.hold)?, ..with.keyspace.try_into()? })
    }
}

impl From<&model::Registration> for RegistrationWith {
    fn from(registration: &model::Registration) -> Self {
        Self { extras: registration.extras().into(), registration: registration.into() }
    }
}

impl TryFrom<RegistrationWith> for model::Registration {
    type Error = Invalid;

    fn try_from(with: RegistrationWith) -> Result<Self, Invalid> {
        extended(with.registration.try_into()?, with.extras)
    }
}

fn extended(plain: model::Registration, extras: Extras) -> Result<model::Registration, Invalid> {
    let parts =
        model::RegistrationParts { extras: model::Extras::try_from(extras)?.boxed(), ..plain.into_parts() };
    parts.validate().map_err(super::registration::first)
}

impl From<&model::Worker> for WorkerWith {
    fn from(worker: &model::Worker) -> Self {
        Self {
            extras: worker.registration.extras().into(),
            intent: (&worker.intent).into(),
            worker: worker.into(),
        }
    }
}

impl TryFrom<WorkerWith> for model::Worker {
    type Error = Invalid;

    fn try_from(with: WorkerWith) -> Result<Self, Invalid> {
        let plain = model::Worker::try_from(with.worker)?;
        let registration = extended(Arc::unwrap_or_clone(plain.registration), with.extras)?;
        Ok(Self { registration: Arc::new(registration), intent: with.intent.try_into()?, ..plain })
    }
}
