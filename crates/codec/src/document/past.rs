//! What operators declared before.

use super::{
    Policy, Sandbox, StoredRoute,
    config::Keyspace,
    ramp::{self, RuleRamp},
};
use quorate_model as model;
use quorate_model::{Invalid, KeyspaceName, LogIndex, LogTime, RouteName, RoutingKey, ServiceName};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One object that changed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredChange {
    index: u64,
    at_ms: u64,
    became: Became,
    former: Former,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Became {
    Set,
    Removed,
    Ended,
}

/// What stood before; left out: nothing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Former {
    Route {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<StoredRoute>,
    },
    Sandbox {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<Sandbox>,
        /// Where the ramps of its rules stood.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ramps: Vec<RuleRamp>,
    },
    Service {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<Policy>,
    },
    Keyspace {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<Keyspace>,
    },
}

impl From<&model::DeclaredChange> for DeclaredChange {
    fn from(change: &model::DeclaredChange) -> Self {
        let model::DeclaredChange { index, at, former, became } = change;
        let became = match became {
            model::Became::Set => Became::Set,
            model::Became::Removed => Became::Removed,
            model::Became::Ended => Became::Ended,
        };
        Self { index: index.0, at_ms: at.0, became, former: former.into() }
    }
}

impl TryFrom<DeclaredChange> for model::DeclaredChange {
    type Error = Invalid;

    fn try_from(change: DeclaredChange) -> Result<Self, Invalid> {
        let became = match change.became {
            Became::Set => model::Became::Set,
            Became::Removed => model::Became::Removed,
            Became::Ended => model::Became::Ended,
        };
        let (index, at) = (LogIndex(change.index), LogTime(change.at_ms));
        Ok(Self { index, at, former: change.former.try_into()?, became })
    }
}

impl From<&model::Former> for Former {
    fn from(former: &model::Former) -> Self {
        use model::Former as M;
        match former {
            M::Route { name, was } => {
                Self::Route { name: name.to_string(), was: was.as_deref().map(StoredRoute::from) }
            }
            M::Sandbox { key, was } => Self::Sandbox {
                key: key.to_string(),
                was: was.as_ref().map(|former| Sandbox::from(&*former.sandbox)),
                ramps: was.as_ref().map(|former| ramp::of_rules(&former.ramps)).unwrap_or_default(),
            },
            M::Service { name, was } => {
                Self::Service { name: name.to_string(), was: was.as_deref().map(Policy::from) }
            }
            M::Keyspace { name, was } => {
                Self::Keyspace { name: name.to_string(), was: was.as_ref().map(Keyspace::from) }
            }
        }
    }
}

impl TryFrom<Former> for model::Former {
    type Error = Invalid;

    fn try_from(former: Former) -> Result<Self, Invalid> {
        Ok(match former {
            Former::Route { name, was } => Self::Route {
                name: RouteName::parse(&name)?,
                was: was.map(TryInto::try_into).transpose()?.map(Arc::new),
            },
            Former::Sandbox { key, was, ramps } => Self::Sandbox {
                key: RoutingKey::parse(&key)?,
                was: was.map(|was| former_sandbox(was, ramps)).transpose()?,
            },
            Former::Service { name, was } => Self::Service {
                name: ServiceName::parse(&name)?,
                was: was.map(TryInto::try_into).transpose()?.map(Arc::new),
            },
            Former::Keyspace { name, was } => Self::Keyspace {
                name: KeyspaceName::parse(&name)?,
                was: was.map(TryInto::try_into).transpose()?,
            },
        })
    }
}

fn former_sandbox(was: Sandbox, ramps: Vec<RuleRamp>) -> Result<model::FormerSandbox, Invalid> {
    let sandbox: model::Sandbox = was.try_into()?;
    let ramps = ramp::with_rules(&sandbox, ramps)?;
    Ok(model::FormerSandbox { sandbox: Arc::new(sandbox), ramps })
}
