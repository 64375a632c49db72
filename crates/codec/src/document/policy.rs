//! Policies of services.

use super::source::{Balancing, KeySource, Protocol, Retries};
use crate::v1::registration::first;
use quorate_model as model;
use quorate_model::Invalid;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A whole policy.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Traffic::is_empty")]
    traffic: Traffic,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    wait_ms: u32,
    waiting_max: u32,
}

/// What a policy says since the fourth level.
#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Traffic {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balancing: Option<Balancing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_on: Option<KeySource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<Retries>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<Breaker>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outlier: Option<Outlier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_start_ms: Option<u32>,
    #[serde(skip_serializing_if = "super::is_false")]
    prefer_zone: bool,
    /// Since the sixth level.
    #[serde(skip_serializing_if = "Option::is_none")]
    default_version: Option<Box<str>>,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct HealthCheck {
    probe: HealthProbe,
    interval_ms: u32,
    timeout_ms: u32,
    unhealthy: u8,
    healthy: u8,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum HealthProbe {
    Tcp,
    Http { path: Box<str> },
    Grpc { service: Box<str> },
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Breaker {
    failures: u32,
    open_ms: u32,
    successes: u32,
    trials: u32,
    #[serde(default, skip_serializing_if = "super::is_false")]
    shared: bool,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Outlier {
    failures: u32,
    ejection_ms: u32,
    ejection_ms_max: u32,
    ejected_percent_max: u8,
    panic_percent: u8,
}

impl From<&model::ServicePolicy> for Policy {
    fn from(policy: &model::ServicePolicy) -> Self {
        Self { hold: policy.hold.map(Hold::from), timeout_ms: policy.timeout_ms, traffic: policy.into() }
    }
}

impl TryFrom<Policy> for model::ServicePolicy {
    type Error = Invalid;

    fn try_from(policy: Policy) -> Result<Self, Invalid> {
        let hold = policy.hold.map(TryInto::try_into).transpose()?;
        let timeout = policy.timeout_ms.map(|ms| Duration::from_millis(ms.into()));
        policy.traffic.put_on(Self::new(hold, timeout)?)
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
        Self::new(wait, hold.waiting_max).map_err(first)
    }
}

impl From<&model::ServicePolicy> for Traffic {
    fn from(policy: &model::ServicePolicy) -> Self {
        let model::ServicePolicy {
            hold: _,
            timeout_ms: _, // beside it
            protocol,
            balancing,
            hash_on,
            health,
            retries,
            breaker,
            outlier,
            limits: model::policy::EndpointLimits { connections_max, pending_max, in_flight_max },
            slow_start_ms,
            prefer_zone,
            default_version,
        } = policy;
        Self {
            protocol: protocol.map(Protocol::from),
            balancing: balancing.map(Balancing::from),
            hash_on: hash_on.as_ref().map(KeySource::from),
            health: health.as_ref().map(HealthCheck::from),
            retries: retries.as_ref().map(Retries::from),
            breaker: breaker.map(Breaker::from),
            outlier: outlier.map(Outlier::from),
            connections_max: *connections_max,
            pending_max: *pending_max,
            in_flight_max: *in_flight_max,
            slow_start_ms: *slow_start_ms,
            prefer_zone: *prefer_zone,
            default_version: default_version.clone(),
        }
    }
}

impl Traffic {
    /// Whether it says nothing: then it is not written.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// `plain`, and what is said here; checked as a whole.
    pub(crate) fn put_on(self, plain: model::ServicePolicy) -> Result<model::ServicePolicy, Invalid> {
        let policy = model::ServicePolicy {
            hold: plain.hold,
            timeout_ms: plain.timeout_ms,
            protocol: self.protocol.map(Into::into),
            balancing: self.balancing.map(Into::into),
            hash_on: self.hash_on.map(TryInto::try_into).transpose()?,
            health: self.health.map(Into::into),
            retries: self.retries.map(Into::into),
            breaker: self.breaker.map(Into::into),
            outlier: self.outlier.map(Into::into),
            limits: model::policy::EndpointLimits {
                connections_max: self.connections_max,
                pending_max: self.pending_max,
                in_flight_max: self.in_flight_max,
            },
            slow_start_ms: self.slow_start_ms,
            prefer_zone: self.prefer_zone,
            default_version: self.default_version,
        };
        policy.validate().map_err(first)
    }
}

impl From<&model::policy::HealthCheck> for HealthCheck {
    fn from(check: &model::policy::HealthCheck) -> Self {
        use model::policy::HealthProbe as M;
        let model::policy::HealthCheck { probe, interval_ms, timeout_ms, unhealthy, healthy } = check;
        Self {
            probe: match probe {
                M::Tcp => HealthProbe::Tcp,
                M::Http { path } => HealthProbe::Http { path: path.clone() },
                M::Grpc { service } => HealthProbe::Grpc { service: service.clone() },
            },
            interval_ms: *interval_ms,
            timeout_ms: *timeout_ms,
            unhealthy: *unhealthy,
            healthy: *healthy,
        }
    }
}

impl From<HealthCheck> for model::policy::HealthCheck {
    fn from(check: HealthCheck) -> Self {
        let HealthCheck { probe, interval_ms, timeout_ms, unhealthy, healthy } = check;
        let probe = match probe {
            HealthProbe::Tcp => model::policy::HealthProbe::Tcp,
            HealthProbe::Http { path } => model::policy::HealthProbe::Http { path },
            HealthProbe::Grpc { service } => model::policy::HealthProbe::Grpc { service },
        };
        Self { probe, interval_ms, timeout_ms, unhealthy, healthy }
    }
}

impl From<model::policy::Breaker> for Breaker {
    fn from(breaker: model::policy::Breaker) -> Self {
        let model::policy::Breaker { failures, open_ms, successes, trials, shared } = breaker;
        Self { failures, open_ms, successes, trials, shared }
    }
}

impl From<Breaker> for model::policy::Breaker {
    fn from(breaker: Breaker) -> Self {
        let Breaker { failures, open_ms, successes, trials, shared } = breaker;
        Self { failures, open_ms, successes, trials, shared }
    }
}

impl From<model::policy::Outlier> for Outlier {
    fn from(outlier: model::policy::Outlier) -> Self {
        let model::policy::Outlier {
            failures,
            ejection_ms,
            ejection_ms_max,
            ejected_percent_max,
            panic_percent,
        } = outlier;
        Self { failures, ejection_ms, ejection_ms_max, ejected_percent_max, panic_percent }
    }
}

impl From<Outlier> for model::policy::Outlier {
    fn from(outlier: Outlier) -> Self {
        let Outlier { failures, ejection_ms, ejection_ms_max, ejected_percent_max, panic_percent } = outlier;
        Self { failures, ejection_ms, ejection_ms_max, ejected_percent_max, panic_percent }
    }
}
