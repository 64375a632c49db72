//! Services: what operators decide about them and about the workers that offer them.

use crate::{
    address::Address,
    level::FeatureLevel,
    limit,
    name::{Invalid, ServiceName, WorkerId},
    number::{Epoch, LogIndex, LogTime},
    policy::{
        Balancing, Breaker, EndpointLimits, HealthCheck, KeySource, Outlier, Protocol, Retries, span_ms,
    },
    route::Target,
};
use std::{collections::BTreeSet, time::Duration};

/// Whether an operator lets a worker have requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// It gets requests.
    #[default]
    InService,
    /// It gets no new ones and finishes those that it has: another one is about to take its place.
    Draining,
    /// It gets none, and nobody waits for its return.
    Offline,
}

impl Duty {
    /// As in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InService => "in_service",
            Self::Draining => "draining",
            Self::Offline => "offline",
        }
    }
}

/// What an operator decided about a worker. It belongs to the id, not to one registration: a worker that
/// registers anew, comes back to life or says goodbye is still the one that an operator took out of service. It is
/// forgotten with the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// Whether it gets requests.
    pub duty: Duty,
    /// Since when; zero where nobody has decided anything.
    pub since: LogTime,
    /// Its share of the traffic instead of the registered one.
    pub weight: Option<u32>,
}

/// What only some registrations say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// It would send heartbeats for its whole group.
    pub wants_delegate: bool,
    /// Where it is reached from outside of its own network, if it said so.
    pub tunnel: Option<Address>,
    /// Which of its services it said were not well when it registered: known, and not chosen.
    pub unhealthy: BTreeSet<ServiceName>,
}

/// None of it.
pub static NO_EXTRAS: Extras = Extras { wants_delegate: false, tunnel: None, unhealthy: BTreeSet::new() };

impl Extras {
    /// As a registration holds it: there may be a million of them, and few that say anything here.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != NO_EXTRAS).then(|| Box::new(self))
    }
}

/// How long, and how many, requests wait for the next owner instead of failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    wait_ms: u32,
    waiting_max: u32,
}

impl Hold {
    /// Most requests that wait on one node where nobody says otherwise.
    pub const WAITING_DEFAULT: u32 = 1_000;

    /// Checks both bounds and lists each that is wrong, as fields `hold` and `hold_waiting_max`.
    pub fn new(wait: Duration, waiting_max: u32) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        if !(limit::HOLD_MS_MIN..=limit::HOLD_MS_MAX).contains(&wait_ms) {
            wrong.push(Invalid::new("hold", format!("is {wait_ms} ms"), "1s to 10s"));
        }
        if !(1..=limit::HOLD_WAITING_MAX).contains(&waiting_max) {
            let allowed = format!("1 to {}", limit::HOLD_WAITING_MAX);
            wrong.push(Invalid::new("hold_waiting_max", format!("is {waiting_max}"), allowed));
        }
        if wrong.is_empty() { Ok(Self { wait_ms, waiting_max }) } else { Err(wrong) }
    }

    /// How long a request waits at most, and how long after the last owner left one may begin to wait.
    pub fn wait(self) -> Duration {
        Duration::from_millis(self.wait_ms.into())
    }

    /// How many requests may wait on one node; the next one is told at once that nobody serves it.
    pub fn waiting_max(self) -> u32 {
        self.waiting_max
    }
}

/// What an operator decided about a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePolicy {
    /// Off: a request that finds nobody fails at once.
    pub hold: Option<Hold>,
    /// Until the head of an answer, in milliseconds; `None`: as the node is set.
    pub timeout_ms: Option<u32>,
    /// What its endpoints speak; `None`: HTTP/1.1, over TLS what ALPN says.
    pub protocol: Option<Protocol>,
    /// Which endpoint gets a request; `None`: by score, see `routing::pick`.
    pub balancing: Option<Balancing>,
    /// For [`Balancing::ConsistentHash`].
    pub hash_on: Option<KeySource>,
    /// `None`: only heartbeats say who is well.
    pub health: Option<HealthCheck>,
    /// `None`: what may be repeated goes to two more endpoints when one can't be reached.
    pub retries: Option<Retries>,
    /// `None`: off.
    pub breaker: Option<Breaker>,
    /// `None`: off.
    pub outlier: Option<Outlier>,
    /// What one node gives to one endpoint at once.
    pub limits: EndpointLimits,
    /// How long an endpoint that came in takes to get its full share, in milliseconds.
    pub slow_start_ms: Option<u32>,
    /// Whether endpoints are preferred whose label `zone` is that of the node.
    pub prefer_zone: bool,
    /// The version whose endpoints get the requests that name none; empty: those without one. `None`: all of them do.
    pub default_version: Option<Box<str>>,
}

impl ServicePolicy {
    /// Checks the bounds of `timeout`; [`Hold::new`] has checked the rest.
    pub fn new(hold: Option<Hold>, timeout: Option<Duration>) -> Result<Self, Invalid> {
        let ms = |timeout: Duration| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let timeout_ms = timeout.map(ms);
        match timeout_ms.filter(|ms| !(limit::TIMEOUT_MS_MIN..=limit::TIMEOUT_MS_MAX).contains(ms)) {
            None => Ok(Self { hold, timeout_ms, ..Self::default() }),
            Some(ms) => Err(Invalid::new("timeout", format!("is {ms} ms"), "10ms to 1h")),
        }
    }

    /// Checks what [`Self::new`] does not see, by the names of the public fields.
    pub fn validate(self) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let needs_key = self.balancing == Some(Balancing::ConsistentHash);
        if self.hash_on.is_some() != needs_key {
            let problem = if needs_key { "is not there" } else { "is there" };
            wrong.push(Invalid::new("hash_on", problem, "together with `balancing: consistent-hash`"));
        }
        let mut under = |field: &str, mistakes: Option<Vec<Invalid>>| {
            wrong.extend(mistakes.into_iter().flatten().map(|one| {
                let field = format!("{field}.{}", one.field);
                one.renamed(field)
            }));
        };
        under("health", self.health.clone().and_then(|health| health.validate().err()));
        under("retries", self.retries.clone().and_then(|retries| retries.validate().err()));
        under("breaker", self.breaker.and_then(|breaker| breaker.validate().err()));
        under("outlier", self.outlier.and_then(|outlier| outlier.validate().err()));
        under("limits", self.limits.validate().err());
        if let Some(ms) = self.slow_start_ms {
            let span = Duration::from_millis(ms.into());
            wrong.extend(span_ms("slow_start", span, 1, limit::SLOW_START_MS_MAX).err());
        }
        wrong.extend(self.default_version.as_deref().and_then(|text| default_version(text).err()));
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }

    /// The lowest level at which every member can read it.
    pub(crate) fn feature_level(&self) -> FeatureLevel {
        match self {
            Self { default_version: Some(_), .. } => FeatureLevel::SIXTH,
            policy if !policy.is_plain() => FeatureLevel::FOURTH,
            _ => FeatureLevel::THIRD,
        }
    }

    /// Whether it says only what the third feature level has words for.
    pub fn is_plain(&self) -> bool {
        let plain = Self { hold: self.hold, timeout_ms: self.timeout_ms, ..Self::default() };
        *self == plain
    }

    /// Until the head of an answer.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(|ms| Duration::from_millis(ms.into()))
    }
}

/// What a worker can register as a service's version, which may be nothing.
fn default_version(text: &str) -> Result<Box<str>, Invalid> {
    if text.is_empty() {
        return Ok(text.into());
    }
    let read = Target::version("default_version", text);
    read.map_err(|wrong| {
        let allowed = format!("{}, or nothing for the workers without a version", wrong.allowed);
        wrong.allowing(&allowed)
    })
}

/// A policy as the cluster holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPolicy {
    /// Of which service.
    pub service: ServiceName,
    /// What was decided.
    pub policy: ServicePolicy,
    /// The log index of the last change, for `If-Match`.
    pub changed: LogIndex,
}

/// The group of a worker that has no label `group`.
pub const DEFAULT_GROUP: &str = "default";

/// The worker that may send heartbeats for all of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegate {
    /// Of which group.
    pub group: Box<str>,
    /// Who.
    pub worker: WorkerId,
    /// By which of its registrations: the role ends with it.
    pub incarnation: Epoch,
    /// The role's fencing token: each holder has a larger one than the one before.
    pub epoch: Epoch,
    /// Since when.
    pub since: LogTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_bounded_and_names_each_wrong_field() {
        assert!(Hold::new(Duration::from_secs(1), 1).is_ok());
        assert!(Hold::new(Duration::from_secs(10), limit::HOLD_WAITING_MAX).is_ok());
        let wrong = Hold::new(Duration::from_millis(999), 0).expect_err("both are wrong");
        assert_eq!(wrong.iter().map(|w| w.field.as_str()).collect::<Vec<_>>(), ["hold", "hold_waiting_max"]);
        assert!(Hold::new(Duration::from_millis(10_001), 1).is_err());
        assert!(Hold::new(Duration::from_secs(1), limit::HOLD_WAITING_MAX + 1).is_err());
        assert!(Hold::new(Duration::MAX, 1).is_err(), "does not wrap");
    }

    #[test]
    fn each_wrong_part_of_a_policy_is_named() {
        let policy = ServicePolicy {
            balancing: Some(Balancing::ConsistentHash),
            breaker: Some(Breaker { failures: 0, ..Breaker::default() }),
            slow_start_ms: Some(0),
            default_version: Some("v\n1".into()),
            ..ServicePolicy::default()
        };
        assert!(!policy.is_plain() && ServicePolicy::default().is_plain());
        let wrong = policy.validate().expect_err("four are wrong");
        let fields: Vec<_> = wrong.iter().map(|w| w.field.as_str()).collect();
        assert_eq!(fields, ["hash_on", "breaker.failures", "slow_start", "default_version"]);
        for right in ["", "v1", "a b"] {
            let default_version = Some(right.into());
            assert!(ServicePolicy { default_version, ..ServicePolicy::default() }.validate().is_ok());
        }
    }

    #[test]
    fn a_timeout_is_bounded() {
        assert!(ServicePolicy::new(None, Some(Duration::from_millis(9))).is_err());
        assert!(ServicePolicy::new(None, Some(Duration::MAX)).is_err());
        let policy = ServicePolicy::new(None, Some(Duration::from_secs(3))).expect("allowed");
        assert_eq!(policy.timeout(), Some(Duration::from_secs(3)));
    }
}
