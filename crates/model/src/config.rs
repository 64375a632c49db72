//! All that operators declare, as one document: it is changed in one log entry, as a whole or not at all.

use crate::{
    keyspace::{KeyspaceSource, PartitionCount},
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

    /// Whether some of it changes its shares by itself.
    pub(crate) fn has_ramp(&self) -> bool {
        self.routes.values().flatten().any(|route| route.ramp().is_some())
            || self.sandboxes.values().flatten().any(Sandbox::has_ramp)
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
