//! The named fields of a worker's record; the same rules as for the other sections.

use super::{
    WHAT,
    json_services::{Extras, Intent, is_default},
    known::{Field, Known, parse_text},
};
use crate::error::DecodeError;
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
    services: Field<'a, Vec<ServiceOffer<'a>>>,
    #[serde(borrow)]
    labels: Field<'a, &'a Labels>,
    #[serde(borrow)]
    capabilities: Field<'a, Capabilities>,
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

type Labels = BTreeMap<Box<str>, Box<str>>;
type Capabilities = BTreeMap<Box<str>, Capability>;

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
            services: Field::Value(services.iter().map(ServiceOffer::from).collect()),
            labels: Field::Value(labels),
            capabilities: Field::Value(capabilities.iter().map(|(k, v)| (k.clone(), v.into())).collect()),
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

impl Worker<'_> {
    /// The record, sharing with others what they state alike.
    pub(super) fn into_model(self, known: &mut Known) -> Result<model::Worker, DecodeError> {
        let services = known.services.get(self.services.text(), services)?;
        let labels =
            known.labels.get(self.labels.text(), |text| parse_text::<Labels>(text).map(Into::into))?;
        let capabilities = known.capabilities.get(self.capabilities.text(), capabilities)?;
        let record = || {
            let parts = model::RegistrationParts {
                id: model::WorkerId::parse(&self.id)?,
                address: model::Address::parse(&self.address)?,
                keyspace: known.keyspaces.get(&self.keyspace, KeyspaceName::parse)?,
                partitions: exactly(&self.partitions),
                services,
                labels,
                capabilities,
                ttl: model::Ttl::new(Duration::from_millis(self.ttl_ms))?,
                weight: self.weight,
                extras: model::Extras::try_from(self.extras)?.boxed(),
            };
            Ok(model::Worker {
                registration: Arc::new(parts.validate().map_err(crate::v1::registration::first)?),
                lost: exactly(&self.lost),
                epoch: Epoch(self.epoch),
                incarnation: Epoch(self.incarnation),
                registered_at: LogTime(self.registered_at_ms),
                lifecycle: self.lifecycle.into(),
                intent: self.intent.try_into()?,
                changed: LogIndex(self.changed),
            })
        };
        record().map_err(DecodeError::invalid(WHAT))
    }
}

/// Without room for more: what a JSON list was read into has room for four at least.
fn exactly(numbers: &[i32]) -> Vec<model::Partition> {
    numbers.iter().copied().map(model::Partition).collect()
}

fn services(text: &str) -> Result<Vec<model::ServiceOffer>, DecodeError> {
    let read = parse_text::<Vec<ServiceOffer<'_>>>(text)?;
    let mut services: Vec<_> = crate::v1::all(read).map_err(DecodeError::invalid(WHAT))?;
    services.shrink_to_fit();
    Ok(services)
}

fn capabilities(text: &str) -> Result<model::Facts<model::Capability>, DecodeError> {
    Ok(parse_text::<Capabilities>(text)?.into_iter().map(|(k, v)| (k, v.into())).collect())
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
