//! What operators declared before: the former documents of the objects that changed, so that the configuration as it
//! stood at an earlier index can be told, and brought back.
//!
//! A change keeps what stood *before* it. What stands now is in the state, so walking back from there gives each
//! earlier configuration, and no document is kept twice.

use crate::{
    config::KeyspaceConfig,
    limit,
    name::{KeyspaceName, RouteName, RoutingKey, ServiceName},
    number::{LogIndex, LogTime},
    ramp::RampState,
    route::StoredRoute,
    sandbox::{Sandbox, StoredSandbox},
    service::ServicePolicy,
    weight,
};
use std::{collections::BTreeMap, sync::Arc};

/// One object that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredChange {
    /// The entry that changed it.
    pub index: LogIndex,
    /// Log time.
    pub at: LogTime,
    /// Which object, and what stood before.
    pub former: Former,
    /// What became of it.
    pub became: Became,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It says something else, or was not there before.
    Set,
    /// Somebody took it away.
    Removed,
    /// Its time was over.
    Ended,
}

impl Became {
    /// Whether it stands after the change.
    pub fn stands(self) -> bool {
        matches!(self, Self::Set)
    }
}

/// An object with the document that stood before a change; `None`: there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Former {
    /// A route.
    Route {
        /// Its name.
        name: RouteName,
        /// With its age, which comes back with it.
        was: Option<Arc<StoredRoute>>,
    },
    /// A sandbox.
    Sandbox {
        /// Its key.
        key: RoutingKey,
        /// Without its end: that does not come back.
        was: Option<FormerSandbox>,
    },
    /// The policy of a service.
    Service {
        /// The service.
        name: ServiceName,
        /// Its policy.
        was: Option<Arc<ServicePolicy>>,
    },
    /// A keyspace.
    Keyspace {
        /// Its name.
        name: KeyspaceName,
        /// What was decided about it.
        was: Option<KeyspaceConfig>,
    },
}

/// A sandbox as it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerSandbox {
    /// What it said.
    pub sandbox: Arc<Sandbox>,
    /// Where the ramps of its rules stood, by the rule's place: they come back with it.
    pub ramps: BTreeMap<u16, RampState>,
}

impl FormerSandbox {
    /// As it stands now.
    pub fn of(stored: &StoredSandbox) -> Self {
        Self { sandbox: stored.sandbox.clone(), ramps: stored.ramps.clone() }
    }
}

impl Former {
    /// The object's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Route { name, .. } => name.as_str(),
            Self::Sandbox { key, .. } => key.as_str(),
            Self::Service { name, .. } => name.as_str(),
            Self::Keyspace { name, .. } => name.as_str(),
        }
    }

    /// Whether it stood before the change.
    pub fn stood(&self) -> bool {
        match self {
            Self::Route { was, .. } => was.is_some(),
            Self::Sandbox { was, .. } => was.is_some(),
            Self::Service { was, .. } => was.is_some(),
            Self::Keyspace { was, .. } => was.is_some(),
        }
    }
}

impl DeclaredChange {
    /// About how many bytes it keeps in memory: more than the truth, which is what makes it a bound.
    pub fn weight(&self) -> usize {
        /// The change itself, with its name and its places in lists.
        const EACH: usize = 256;
        /// The texts of a policy: names of keys, the path of a health check, and a version.
        const POLICY: usize = weight::SERVICE_POLICY
            + limit::PATH_BYTES_MAX
            + 4 * limit::NAME_BYTES_MAX
            + limit::LABEL_BYTES_MAX;
        EACH + match &self.former {
            Former::Route { was, .. } => was.as_ref().map_or(0, |stored| stored.route.weight()),
            Former::Sandbox { was, .. } => was.as_ref().map_or(0, |former| former.sandbox.weight()),
            Former::Service { was, .. } => was.as_ref().map_or(0, |_| POLICY),
            Former::Keyspace { .. } => 0,
        }
    }
}
