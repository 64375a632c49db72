//! Many objects at once.

use super::{Hold, Policy, Route, Sandbox};
use quorate_model as model;
use quorate_model::{Invalid, KeyspaceName, PartitionCount, RouteName, RoutingKey, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Objects by name; `null`: it is to go.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    routes: BTreeMap<String, Option<Route>>,
    /// Since the fifth level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sandboxes: BTreeMap<String, Option<Sandbox>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    services: BTreeMap<String, Option<Policy>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    keyspaces: BTreeMap<String, Keyspace>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keyspace {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partitions: Option<u32>,
    source: KeyspaceSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeyspaceSource {
    Static,
    Kafka,
}

impl From<&model::Config> for Config {
    fn from(config: &model::Config) -> Self {
        let model::Config { routes, sandboxes, services, keyspaces } = config;
        let route = |(name, route): (&RouteName, &Option<model::Route>)| {
            (name.to_string(), route.as_ref().map(Route::from))
        };
        let policy = |(name, policy): (&ServiceName, &Option<model::ServicePolicy>)| {
            (name.to_string(), policy.as_ref().map(Policy::from))
        };
        let sandbox = |(key, sandbox): (&RoutingKey, &Option<model::Sandbox>)| {
            (key.to_string(), sandbox.as_ref().map(Sandbox::from))
        };
        Self {
            routes: routes.iter().map(route).collect(),
            sandboxes: sandboxes.iter().map(sandbox).collect(),
            services: services.iter().map(policy).collect(),
            keyspaces: keyspaces.iter().map(|(name, k)| (name.to_string(), k.into())).collect(),
        }
    }
}

impl TryFrom<Config> for model::Config {
    type Error = Invalid;

    fn try_from(config: Config) -> Result<Self, Invalid> {
        let route = |(name, route): (String, Option<Route>)| {
            let route = route.map(|route| route.named(&name)).transpose()?;
            Ok((RouteName::parse(&name)?, route))
        };
        let policy = |(name, policy): (String, Option<Policy>)| {
            Ok((ServiceName::parse(&name)?, policy.map(TryInto::try_into).transpose()?))
        };
        let keyspace = |(name, k): (String, Keyspace)| Ok((KeyspaceName::parse(&name)?, k.try_into()?));
        let sandbox = |(key, sandbox): (String, Option<Sandbox>)| {
            Ok((RoutingKey::parse(&key)?, sandbox.map(TryInto::try_into).transpose()?))
        };
        Ok(Self {
            routes: config.routes.into_iter().map(route).collect::<Result<_, Invalid>>()?,
            sandboxes: config.sandboxes.into_iter().map(sandbox).collect::<Result<_, Invalid>>()?,
            services: config.services.into_iter().map(policy).collect::<Result<_, Invalid>>()?,
            keyspaces: config.keyspaces.into_iter().map(keyspace).collect::<Result<_, Invalid>>()?,
        })
    }
}

impl From<&model::KeyspaceConfig> for Keyspace {
    fn from(keyspace: &model::KeyspaceConfig) -> Self {
        let model::KeyspaceConfig { partitions, source, hold } = keyspace;
        Self {
            partitions: partitions.map(PartitionCount::get),
            source: match source {
                model::KeyspaceSource::Static => KeyspaceSource::Static,
                model::KeyspaceSource::Kafka => KeyspaceSource::Kafka,
            },
            hold: hold.map(Hold::from),
        }
    }
}

impl TryFrom<Keyspace> for model::KeyspaceConfig {
    type Error = Invalid;

    fn try_from(keyspace: Keyspace) -> Result<Self, Invalid> {
        Ok(Self {
            partitions: keyspace.partitions.map(PartitionCount::new).transpose()?,
            source: match keyspace.source {
                KeyspaceSource::Static => model::KeyspaceSource::Static,
                KeyspaceSource::Kafka => model::KeyspaceSource::Kafka,
            },
            hold: keyspace.hold.map(TryInto::try_into).transpose()?,
        })
    }
}
