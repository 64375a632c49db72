//! The named fields of a worker's record; the same rules as for the other sections.

use super::json_services::{Extras, Intent, is_default};
use quorate_model as model;
use quorate_model::{Epoch, Invalid, KeyspaceName, LogIndex, LogTime};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

/// Borrows from what it is read from: there may be a million of them, and the model makes its own copies.
#[derive(Serialize, Deserialize)]
pub(super) struct Worker<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    keyspace: Cow<'a, str>,
    partitions: Vec<i32>,
    #[serde(borrow)]
    services: Vec<ServiceOffer<'a>>,
    labels: BTreeMap<Box<str>, Box<str>>,
    capabilities: BTreeMap<Box<str>, Capability>,
    ttl_ms: u64,
    weight: u32,
    lost: Vec<i32>,
    epoch: u64,
    incarnation: u64,
    registered_at_ms: u64,
    lifecycle: Lifecycle,
    changed: u64,
    /// This and what follows: since the third level, and only where it says something.
    #[serde(default, skip_serializing_if = "is_default")]
    extras: Extras,
    #[serde(default, skip_serializing_if = "is_default")]
    intent: Intent,
}

#[derive(Serialize, Deserialize)]
struct ServiceOffer<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    version: Box<str>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Capability {
    Flag(bool),
    Number(Box<str>),
    Text(Box<str>),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Lifecycle {
    Live,
    Suspect { since_ms: u64 },
    Expired { at_ms: u64 },
    Displaced { at_ms: u64 },
    Unregistered { at_ms: u64 },
}

impl<'a> From<&'a model::Worker> for Worker<'a> {
    fn from(worker: &'a model::Worker) -> Self {
        let model::Worker {
            registration,
            lost,
            epoch,
            incarnation,
            registered_at,
            lifecycle,
            intent,
            changed,
        } = worker;
        let model::RegistrationParts {
            id,
            address,
            keyspace,
            partitions,
            services,
            labels,
            capabilities,
            ttl,
            weight,
            extras,
        } = &***registration;
        Self {
            id: id.as_str().into(),
            address: address.as_str().into(),
            keyspace: keyspace.as_str().into(),
            partitions: partitions.iter().map(|p| p.0).collect(),
            services: services.iter().map(ServiceOffer::from).collect(),
            labels: labels.clone(),
            capabilities: capabilities.iter().map(|(k, v)| (k.clone(), v.into())).collect(),
            ttl_ms: ttl.as_ms(),
            weight: *weight,
            lost: lost.iter().map(|p| p.0).collect(),
            epoch: epoch.0,
            incarnation: incarnation.0,
            registered_at_ms: registered_at.0,
            lifecycle: lifecycle.into(),
            changed: changed.0,
            extras: extras.as_deref().unwrap_or(&model::service::NO_EXTRAS).into(),
            intent: intent.into(),
        }
    }
}

impl TryFrom<Worker<'_>> for model::Worker {
    type Error = Invalid;

    fn try_from(w: Worker<'_>) -> Result<Self, Invalid> {
        let parts = model::RegistrationParts {
            id: model::WorkerId::parse(&w.id)?,
            address: model::Address::parse(&w.address)?,
            keyspace: KeyspaceName::parse(&w.keyspace)?,
            partitions: w.partitions.into_iter().map(model::Partition).collect(),
            services: crate::v1::all(w.services)?,
            labels: w.labels,
            capabilities: w.capabilities.into_iter().map(|(k, v)| (k, v.into())).collect(),
            ttl: model::Ttl::new(Duration::from_millis(w.ttl_ms))?,
            weight: w.weight,
            extras: model::Extras::try_from(w.extras)?.boxed(),
        };
        Ok(Self {
            registration: Arc::new(parts.validate().map_err(crate::v1::registration::first)?),
            lost: w.lost.into_iter().map(model::Partition).collect(),
            epoch: Epoch(w.epoch),
            incarnation: Epoch(w.incarnation),
            registered_at: LogTime(w.registered_at_ms),
            lifecycle: w.lifecycle.into(),
            intent: w.intent.try_into()?,
            changed: LogIndex(w.changed),
        })
    }
}

impl<'a> From<&'a model::ServiceOffer> for ServiceOffer<'a> {
    fn from(offer: &'a model::ServiceOffer) -> Self {
        let model::ServiceOffer { name, version, url } = offer;
        Self {
            name: name.as_str().into(),
            version: version.clone(),
            url: url.as_ref().map(|url| url.as_str().into()),
        }
    }
}

impl TryFrom<ServiceOffer<'_>> for model::ServiceOffer {
    type Error = Invalid;

    fn try_from(offer: ServiceOffer<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            name: model::ServiceName::parse(&offer.name)?,
            version: offer.version,
            url: offer.url.map(|url| model::Address::parse(&url)).transpose()?,
        })
    }
}

impl From<&model::Capability> for Capability {
    fn from(capability: &model::Capability) -> Self {
        match capability {
            model::Capability::Flag(flag) => Self::Flag(*flag),
            model::Capability::Number(text) => Self::Number(text.clone()),
            model::Capability::Text(text) => Self::Text(text.clone()),
        }
    }
}

impl From<Capability> for model::Capability {
    fn from(capability: Capability) -> Self {
        match capability {
            Capability::Flag(flag) => Self::Flag(flag),
            Capability::Number(text) => Self::Number(text),
            Capability::Text(text) => Self::Text(text),
        }
    }
}

impl From<&model::Lifecycle> for Lifecycle {
    fn from(lifecycle: &model::Lifecycle) -> Self {
        match lifecycle {
            model::Lifecycle::Live => Self::Live,
            model::Lifecycle::Suspect { since } => Self::Suspect { since_ms: since.0 },
            model::Lifecycle::Expired { at } => Self::Expired { at_ms: at.0 },
            model::Lifecycle::Displaced { at } => Self::Displaced { at_ms: at.0 },
            model::Lifecycle::Unregistered { at } => Self::Unregistered { at_ms: at.0 },
        }
    }
}

impl From<Lifecycle> for model::Lifecycle {
    fn from(lifecycle: Lifecycle) -> Self {
        match lifecycle {
            Lifecycle::Live => Self::Live,
            Lifecycle::Suspect { since_ms } => Self::Suspect { since: LogTime(since_ms) },
            Lifecycle::Expired { at_ms } => Self::Expired { at: LogTime(at_ms) },
            Lifecycle::Displaced { at_ms } => Self::Displaced { at: LogTime(at_ms) },
            Lifecycle::Unregistered { at_ms } => Self::Unregistered { at: LogTime(at_ms) },
        }
    }
}
