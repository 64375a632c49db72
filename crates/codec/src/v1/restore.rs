//! The steps of a restore, with whole worker records.

use super::{
    command::KeyspaceSource,
    ramp,
    registration::Registration,
    sandbox::SandboxDocument,
    services::{KeyspaceWith, StoredPolicy, WorkerWith},
    traffic::{PolicyDocument, RouteDocument},
};
use crate::document::{StoredObject, from_text, to_text};
use quorate_model as model;
use quorate_model::{Epoch, FeatureLevel, Invalid, KeyspaceName, LogIndex, LogTime, PartitionCount};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
pub(crate) enum RestoreStep {
    Begin {
        keyspaces: Vec<Keyspace>,
        last_epoch: u64,
    },
    Workers {
        batch: u32,
        workers: Vec<Worker>,
    },
    Finish {
        batches: u32,
        workers: u64,
    },
    Abandon,
    BeginWith {
        keyspaces: Vec<KeyspaceWith>,
        policies: Vec<StoredPolicy>,
        last_epoch: u64,
    },
    WorkersWith {
        batch: u32,
        workers: Vec<WorkerWith>,
    },
    BeginWithTraffic {
        keyspaces: Vec<KeyspaceWith>,
        policies: Vec<PolicyDocument>,
        last_epoch: u64,
    },
    Routes {
        batch: u32,
        routes: Vec<RouteDocument>,
    },
    Sandboxes {
        batch: u32,
        sandboxes: Vec<SandboxDocument>,
    },
    RoutesWhole {
        batch: u32,
        routes: Vec<String>,
    },
    SandboxesWhole {
        batch: u32,
        sandboxes: Vec<String>,
    },
    /// Each a document.
    Objects {
        batch: u32,
        objects: Vec<String>,
    },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Keyspace {
    name: String,
    partitions: Option<u32>,
    source: KeyspaceSource,
    changed: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Worker {
    registration: Registration,
    lost: Vec<i32>,
    epoch: u64,
    incarnation: u64,
    registered_at_ms: u64,
    lifecycle: Lifecycle,
    changed: u64,
}

#[derive(Serialize, Deserialize)]
enum Lifecycle {
    Live,
    Suspect { since_ms: u64 },
    Expired { at_ms: u64 },
    Displaced { at_ms: u64 },
    Unregistered { at_ms: u64 },
}

impl From<&model::RestoreStep> for RestoreStep {
    fn from(step: &model::RestoreStep) -> Self {
        use model::RestoreStep as M;
        let level = step.feature_level();
        match step {
            M::Begin { keyspaces, policies, last_epoch } if level >= FeatureLevel::FOURTH => {
                Self::BeginWithTraffic {
                    keyspaces: keyspaces.iter().map(KeyspaceWith::from).collect(),
                    policies: policies.iter().map(PolicyDocument::from).collect(),
                    last_epoch: last_epoch.0,
                }
            }
            M::Begin { keyspaces, policies, last_epoch } if level >= FeatureLevel::THIRD => Self::BeginWith {
                keyspaces: keyspaces.iter().map(KeyspaceWith::from).collect(),
                policies: policies.iter().map(StoredPolicy::from).collect(),
                last_epoch: last_epoch.0,
            },
            M::Begin { keyspaces, policies: _, last_epoch } => Self::Begin {
                keyspaces: keyspaces.iter().map(Keyspace::from).collect(),
                last_epoch: last_epoch.0,
            },
            M::Workers { batch, workers } if level >= FeatureLevel::THIRD => Self::WorkersWith {
                batch: *batch,
                workers: workers.iter().map(|w| WorkerWith::from(&**w)).collect(),
            },
            M::Workers { batch, workers } => {
                Self::Workers { batch: *batch, workers: workers.iter().map(|w| Worker::from(&**w)).collect() }
            }
            M::Routes { batch, routes } if level >= FeatureLevel::SIXTH => {
                Self::RoutesWhole { batch: *batch, routes: ramp::routes(routes) }
            }
            M::Sandboxes { batch, sandboxes } if level >= FeatureLevel::SIXTH => {
                Self::SandboxesWhole { batch: *batch, sandboxes: ramp::sandboxes(sandboxes) }
            }
            M::Routes { batch, routes } => {
                Self::Routes { batch: *batch, routes: routes.iter().map(RouteDocument::from).collect() }
            }
            M::Sandboxes { batch, sandboxes } => Self::Sandboxes {
                batch: *batch,
                sandboxes: sandboxes.iter().map(|stored| SandboxDocument::from(&**stored)).collect(),
            },
            M::Objects { batch, objects } => Self::Objects {
                batch: *batch,
                objects: objects.iter().map(|stored| to_text(&StoredObject::from(&**stored))).collect(),
            },
            M::Finish { batches, workers } => Self::Finish { batches: *batches, workers: *workers },
            M::Abandon => Self::Abandon,
        }
    }
}

impl TryFrom<RestoreStep> for model::RestoreStep {
    type Error = Invalid;

    fn try_from(step: RestoreStep) -> Result<Self, Invalid> {
        Ok(match step {
            RestoreStep::Begin { keyspaces, last_epoch } => {
                let (keyspaces, policies) = (super::all(keyspaces)?, Vec::new());
                Self::Begin { keyspaces, policies, last_epoch: Epoch(last_epoch) }
            }
            RestoreStep::BeginWith { keyspaces, policies, last_epoch } => {
                let (keyspaces, policies) = (super::all(keyspaces)?, super::all(policies)?);
                Self::Begin { keyspaces, policies, last_epoch: Epoch(last_epoch) }
            }
            RestoreStep::BeginWithTraffic { keyspaces, policies, last_epoch } => {
                let (keyspaces, policies) = (super::all(keyspaces)?, super::all(policies)?);
                Self::Begin { keyspaces, policies, last_epoch: Epoch(last_epoch) }
            }
            RestoreStep::Routes { batch, routes } => Self::Routes { batch, routes: super::all(routes)? },
            RestoreStep::Sandboxes { batch, sandboxes } => {
                let sandboxes = sandboxes.into_iter().map(|stored| stored.try_into().map(Arc::new));
                Self::Sandboxes { batch, sandboxes: sandboxes.collect::<Result<_, Invalid>>()? }
            }
            RestoreStep::RoutesWhole { batch, routes } => {
                Self::Routes { batch, routes: ramp::read_routes(&routes)? }
            }
            RestoreStep::SandboxesWhole { batch, sandboxes } => {
                Self::Sandboxes { batch, sandboxes: ramp::read_sandboxes(&sandboxes)? }
            }
            RestoreStep::Objects { batch, objects } => {
                let read =
                    |text: String| from_text::<StoredObject>("object", &text)?.try_into().map(Arc::new);
                let objects = objects.into_iter().map(read).collect::<Result<_, Invalid>>()?;
                Self::Objects { batch, objects }
            }
            RestoreStep::Workers { batch, workers } => {
                let workers = workers.into_iter().map(|w| w.try_into().map(Arc::new));
                Self::Workers { batch, workers: workers.collect::<Result<_, Invalid>>()? }
            }
            RestoreStep::WorkersWith { batch, workers } => {
                let workers = workers.into_iter().map(|w| w.try_into().map(Arc::new));
                Self::Workers { batch, workers: workers.collect::<Result<_, Invalid>>()? }
            }
            RestoreStep::Finish { batches, workers } => Self::Finish { batches, workers },
            RestoreStep::Abandon => Self::Abandon,
        })
    }
}

impl From<&model::Keyspace> for Keyspace {
    fn from(keyspace: &model::Keyspace) -> Self {
        // Its hold stands beside it, where there is one.
        let model::Keyspace { name, partitions, source, hold: _, changed } = keyspace;
        Self {
            name: name.to_string(),
            partitions: partitions.map(PartitionCount::get),
            source: (*source).into(),
            changed: changed.0,
        }
    }
}

impl TryFrom<Keyspace> for model::Keyspace {
    type Error = Invalid;

    fn try_from(keyspace: Keyspace) -> Result<Self, Invalid> {
        Ok(Self {
            name: KeyspaceName::parse(&keyspace.name)?,
            partitions: keyspace.partitions.map(PartitionCount::new).transpose()?,
            source: keyspace.source.into(),
            hold: None,
            changed: LogIndex(keyspace.changed),
        })
    }
}

impl From<&model::Worker> for Worker {
    fn from(worker: &model::Worker) -> Self {
        // What an operator decided stands beside it, where there is something.
        let model::Worker {
            registration,
            lost,
            epoch,
            incarnation,
            registered_at,
            lifecycle,
            intent: _,
            changed,
        } = worker;
        Self {
            registration: (&**registration).into(),
            lost: lost.iter().map(|p| p.0).collect(),
            epoch: epoch.0,
            incarnation: incarnation.0,
            registered_at_ms: registered_at.0,
            lifecycle: match lifecycle {
                model::Lifecycle::Live => Lifecycle::Live,
                model::Lifecycle::Suspect { since } => Lifecycle::Suspect { since_ms: since.0 },
                model::Lifecycle::Expired { at } => Lifecycle::Expired { at_ms: at.0 },
                model::Lifecycle::Displaced { at } => Lifecycle::Displaced { at_ms: at.0 },
                model::Lifecycle::Unregistered { at } => Lifecycle::Unregistered { at_ms: at.0 },
            },
            changed: changed.0,
        }
    }
}

impl TryFrom<Worker> for model::Worker {
    type Error = Invalid;

    fn try_from(worker: Worker) -> Result<Self, Invalid> {
        Ok(Self {
            registration: Arc::new(worker.registration.try_into()?),
            lost: worker.lost.into_iter().map(model::Partition).collect(),
            epoch: Epoch(worker.epoch),
            incarnation: Epoch(worker.incarnation),
            registered_at: LogTime(worker.registered_at_ms),
            lifecycle: match worker.lifecycle {
                Lifecycle::Live => model::Lifecycle::Live,
                Lifecycle::Suspect { since_ms } => model::Lifecycle::Suspect { since: LogTime(since_ms) },
                Lifecycle::Expired { at_ms } => model::Lifecycle::Expired { at: LogTime(at_ms) },
                Lifecycle::Displaced { at_ms } => model::Lifecycle::Displaced { at: LogTime(at_ms) },
                Lifecycle::Unregistered { at_ms } => model::Lifecycle::Unregistered { at: LogTime(at_ms) },
            },
            intent: model::Intent::default(),
            changed: LogIndex(worker.changed),
        })
    }
}
