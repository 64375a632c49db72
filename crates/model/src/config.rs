//! All that operators declare, as one document: it is changed in one log entry, as a whole or not at all.

use crate::{
    keyspace::{KeyspaceSource, PartitionCount},
    level::FeatureLevel,
    name::{KeyspaceName, RouteName, RoutingKey, ServiceName},
    route::Route,
    sandbox::Sandbox,
    service::{Hold, ServicePolicy},
};
use std::collections::BTreeMap;

/// What a document says about each object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Routes; `None`: it is to go.
    pub routes: BTreeMap<RouteName, Option<Route>>,
    /// Sandboxes; `None`: it is to go.
    pub sandboxes: BTreeMap<RoutingKey, Option<Sandbox>>,
    /// Policies of services; `None`: it is to go.
    pub services: BTreeMap<ServiceName, Option<ServicePolicy>>,
    /// Keyspaces. They are never taken away: workers' claims hang on them.
    pub keyspaces: BTreeMap<KeyspaceName, KeyspaceConfig>,
}

impl Config {
    /// How many objects it names.
    pub fn len(&self) -> usize {
        self.routes.len() + self.sandboxes.len() + self.services.len() + self.keyspaces.len()
    }

    /// The lowest level at which every member can read it, but for the tunnels that it names.
    pub(crate) fn feature_level(&self) -> FeatureLevel {
        let routes = self.routes.values().flatten().map(Route::feature_level);
        let policies = self.services.values().flatten().map(ServicePolicy::feature_level);
        let sandboxes = self.sandboxes.values().map(|sandbox| match sandbox {
            Some(sandbox) if sandbox.has_ramp() => FeatureLevel::SIXTH,
            Some(_) | None => FeatureLevel::FIFTH,
        });
        routes.chain(policies).chain(sandboxes).fold(FeatureLevel::FOURTH, FeatureLevel::max)
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a document says about a keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyspaceConfig {
    /// Its count; `None` keeps the last known one.
    pub partitions: Option<PartitionCount>,
    /// Who decides it from now on.
    pub source: KeyspaceSource,
    /// How long requests wait for the next owner of a partition.
    pub hold: Option<Hold>,
}

/// What becomes of the objects that a document does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigMode {
    /// They stay.
    Merge,
    /// Routes, sandboxes and policies go. Keyspaces stay.
    Replace,
}
