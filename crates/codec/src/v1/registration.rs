//! Registrations, as in log entries.

use quorate_model as model;
use quorate_model::{Invalid, RegistrationParts};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

#[derive(Serialize, Deserialize)]
pub(crate) struct Registration {
    id: String,
    address: String,
    keyspace: String,
    partitions: Vec<i32>,
    services: Vec<ServiceOffer>,
    labels: BTreeMap<Box<str>, Box<str>>,
    capabilities: BTreeMap<Box<str>, Capability>,
    ttl_ms: u64,
    weight: u32,
}

#[derive(Serialize, Deserialize)]
struct ServiceOffer {
    name: String,
    version: Box<str>,
    url: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum Capability {
    Flag(bool),
    Number(Box<str>),
    Text(Box<str>),
}

impl From<&model::Registration> for Registration {
    fn from(r: &model::Registration) -> Self {
        let RegistrationParts {
            id,
            address,
            keyspace,
            partitions,
            services,
            labels,
            capabilities,
            ttl,
            weight,
            extras: _, // beside it, where there are any
        } = &**r;
        Self {
            id: id.to_string(),
            address: address.to_string(),
            keyspace: keyspace.to_string(),
            partitions: partitions.iter().map(|p| p.0).collect(),
            services: services.iter().map(ServiceOffer::from).collect(),
            labels: BTreeMap::clone(labels),
            capabilities: capabilities.iter().map(|(k, v)| (k.clone(), Capability::from(v))).collect(),
            ttl_ms: ttl.as_ms(),
            weight: *weight,
        }
    }
}

impl TryFrom<Registration> for model::Registration {
    type Error = Invalid;

    fn try_from(r: Registration) -> Result<Self, Invalid> {
        let parts = RegistrationParts {
            id: model::WorkerId::parse(&r.id)?,
            address: model::Address::parse(&r.address)?,
            keyspace: model::KeyspaceName::parse(&r.keyspace)?,
            partitions: r.partitions.into_iter().map(model::Partition).collect(),
            services: super::all(r.services)?,
            labels: r.labels.into(),
            capabilities: r.capabilities.into_iter().map(|(k, v)| (k, v.into())).collect(),
            ttl: model::Ttl::new(Duration::from_millis(r.ttl_ms))?,
            weight: r.weight,
            extras: None,
        };
        parts.validate().map_err(first)
    }
}

/// One of the problems is enough: a stored registration was valid when it was stored.
pub(crate) fn first(problems: Vec<Invalid>) -> Invalid {
    problems.into_iter().next().unwrap_or_else(|| Invalid::new("registration", "is not valid", "a valid one"))
}

impl From<&model::ServiceOffer> for ServiceOffer {
    fn from(offer: &model::ServiceOffer) -> Self {
        let model::ServiceOffer { name, version, url } = offer;
        Self { name: name.to_string(), version: version.clone(), url: url.as_ref().map(ToString::to_string) }
    }
}

impl TryFrom<ServiceOffer> for model::ServiceOffer {
    type Error = Invalid;

    fn try_from(offer: ServiceOffer) -> Result<Self, Invalid> {
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
