//! What came with services, at the third level: fields that are left out where they say nothing, and sections of
//! their own. A node of an earlier level never reads them: it refuses the snapshot by its level.

use crate::document::Traffic;
use quorate_model as model;
use quorate_model::{Address, Epoch, Invalid, LogIndex, LogTime, ServiceName, WorkerId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whether a field says nothing.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(default)]
pub(super) struct Extras {
    #[serde(skip_serializing_if = "is_default")]
    wants_delegate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unhealthy: Vec<String>,
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Duty {
    #[default]
    InService,
    Draining,
    Offline,
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(default)]
pub(super) struct Intent {
    duty: Duty,
    since_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Hold {
    wait_ms: u32,
    waiting_max: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredPolicy {
    service: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u32>,
    /// Since the fourth level.
    #[serde(default, skip_serializing_if = "Traffic::is_empty")]
    traffic: Traffic,
    changed: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Delegate {
    group: String,
    worker: String,
    incarnation: u64,
    epoch: u64,
    since_ms: u64,
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
        let duty = match duty {
            model::Duty::InService => Duty::InService,
            model::Duty::Draining => Duty::Draining,
            model::Duty::Offline => Duty::Offline,
        };
        Self { duty, since_ms: since.0, weight: *weight }
    }
}

impl TryFrom<Intent> for model::Intent {
    type Error = Invalid;

    fn try_from(intent: Intent) -> Result<Self, Invalid> {
        let duty = match intent.duty {
            Duty::InService => model::Duty::InService,
            Duty::Draining => model::Duty::Draining,
            Duty::Offline => model::Duty::Offline,
        };
        let weight = intent.weight.map(model::worker::check_weight).transpose()?;
        Ok(Self { duty, since: LogTime(intent.since_ms), weight })
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
        Self::new(wait, hold.waiting_max).map_err(crate::v1::registration::first)
    }
}

impl From<&model::StoredPolicy> for StoredPolicy {
    fn from(stored: &model::StoredPolicy) -> Self {
        let model::StoredPolicy { service, policy, changed } = stored;
        Self {
            service: service.to_string(),
            hold: policy.hold.map(Hold::from),
            timeout_ms: policy.timeout_ms,
            traffic: policy.into(),
            changed: changed.0,
        }
    }
}

impl TryFrom<StoredPolicy> for model::StoredPolicy {
    type Error = Invalid;

    fn try_from(stored: StoredPolicy) -> Result<Self, Invalid> {
        let hold = stored.hold.map(TryInto::try_into).transpose()?;
        let timeout = stored.timeout_ms.map(|ms| Duration::from_millis(ms.into()));
        Ok(Self {
            service: ServiceName::parse(&stored.service)?,
            policy: stored.traffic.put_on(model::ServicePolicy::new(hold, timeout)?)?,
            changed: LogIndex(stored.changed),
        })
    }
}

impl From<&model::Delegate> for Delegate {
    fn from(delegate: &model::Delegate) -> Self {
        let model::Delegate { group, worker, incarnation, epoch, since } = delegate;
        Self {
            group: group.to_string(),
            worker: worker.to_string(),
            incarnation: incarnation.0,
            epoch: epoch.0,
            since_ms: since.0,
        }
    }
}

impl TryFrom<Delegate> for model::Delegate {
    type Error = Invalid;

    fn try_from(delegate: Delegate) -> Result<Self, Invalid> {
        Ok(Self {
            group: delegate.group.into(),
            worker: WorkerId::parse(&delegate.worker)?,
            incarnation: Epoch(delegate.incarnation),
            epoch: Epoch(delegate.epoch),
            since: LogTime(delegate.since_ms),
        })
    }
}
