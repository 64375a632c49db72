//! A service's policy, in the terms of `quorate_routing`, and what a route says instead.

use super::manner::{Manner, Way};
use crate::pool::Protocol;
use quorate_model::{
    Address, ServiceOffer, ServicePolicy,
    policy::{self, Balancing, KeySource},
};
use quorate_routing::{
    admission::Limits,
    backoff::{self, Jitter},
    balance::{Options, Strategy},
    breaker, budget, outlier,
    retry::{self, Repeat},
};
use std::sync::Arc;

/// Where the rules are applied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Here {
    /// The hash of the node's zone.
    pub zone: Option<u64>,
    /// Which of the node's cores this is, and how many there are: a bound of the node is divided among them.
    pub core: (u32, u32),
}

/// What is tried again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Again {
    pub policy: retry::Policy,
    /// Whether workers are told with the first attempt already which one it is.
    pub counts_attempts: bool,
}

impl Again {
    /// `None`: nobody has said anything.
    pub fn of(said: Option<&policy::Retries>) -> Self {
        said.map_or_else(Self::default, |said| Self { policy: retries(said), counts_attempts: true })
    }
}

/// What a policy says, ready to be asked for each request.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub again: Arc<Again>,
    pub breaker: Option<breaker::Settings>,
    /// Whether others are told when it opens, and heeded.
    pub shares_breaker: bool,
    pub outlier: Option<outlier::Settings>,
    pub limits: Limits,
    /// `None`: by score.
    pub balancing: Option<Options>,
    pub hash_on: Option<KeySource>,
    pub panic_percent: u8,
    /// Only workers that offer this version are chosen.
    version: Option<Box<str>>,
    protocol: Option<policy::Protocol>,
}

impl Rules {
    pub fn of(policy: Option<&ServicePolicy>, manner: Manner<'_>, here: &Here) -> Self {
        let none = ServicePolicy::default();
        let policy = policy.unwrap_or(&none);
        let limits = Limits {
            connections: policy.limits.connections_max,
            pending: policy.limits.pending_max,
            in_flight: policy.limits.in_flight_max,
        };
        // What the checks find, a second node has confirmed: without ejections there is no doubt of it.
        let panic_percent = policy.outlier.map_or(0, |outlier| outlier.panic_percent);
        Self {
            again: Arc::new(Again::of(policy.retries.as_ref())),
            breaker: policy.breaker.map(breaker),
            shares_breaker: policy.breaker.is_some_and(|breaker| breaker.shared),
            outlier: policy.outlier.map(outlier),
            limits: limits.of_core(here.core.0, here.core.1),
            balancing: balancing((policy, manner), here, panic_percent),
            hash_on: match manner.way {
                Way::Own(_, key) => key.cloned(),
                Way::ByPath | Way::ByRoute => policy.hash_on.clone(),
            },
            panic_percent,
            version: manner.version.or(policy.default_version.as_deref()).map(Into::into),
            protocol: policy.protocol,
        }
    }

    /// What a worker at an address is spoken to in.
    pub fn protocol(&self, address: &Address) -> Protocol {
        match self.protocol {
            None => Protocol::of(address),
            Some(policy::Protocol::Http1) => Protocol::Http1,
            Some(policy::Protocol::H2c) => Protocol::H2c,
            Some(policy::Protocol::H2) => Protocol::H2,
        }
    }

    /// Whether workers with this offer are chosen.
    pub fn wants(&self, offer: &ServiceOffer) -> bool {
        self.version.as_ref().is_none_or(|version| *version == offer.version)
    }

    /// Whether what becomes of a worker's requests is of any interest.
    pub fn watch_workers(&self) -> bool {
        self.breaker.is_some()
            || self.outlier.is_some()
            || self.balancing.is_some()
            || self.limits != Limits::default()
    }

    /// Whether it matters how long answers take.
    pub fn watch_latency(&self) -> bool {
        self.balancing.is_some_and(|options| options.strategy == Strategy::PeakEwma)
    }
}

/// Slow start and zones are no matter of the score: who wants one of them gets the default of routes.
fn balancing(
    (policy, manner): (&ServicePolicy, Manner<'_>),
    here: &Here,
    panic_percent: u8,
) -> Option<Options> {
    let is_wanted =
        policy.slow_start_ms.is_some() || policy.prefer_zone || matches!(manner.way, Way::ByRoute);
    let balancing = match manner.way {
        Way::Own(balancing, _) => balancing,
        Way::ByPath | Way::ByRoute => policy.balancing.or(is_wanted.then_some(Balancing::P2c))?,
    };
    let strategy = match balancing {
        Balancing::RoundRobin => Strategy::RoundRobin,
        Balancing::LeastConnections => Strategy::LeastConnections,
        Balancing::SourceIp => Strategy::SourceIp,
        Balancing::ConsistentHash => Strategy::ConsistentHash,
        Balancing::P2c => Strategy::PeakEwma,
    };
    Some(Options {
        strategy,
        zone: here.zone.filter(|_| policy.prefer_zone),
        slow_start_ms: policy.slow_start_ms.unwrap_or(0),
        panic_percent,
    })
}

fn retries(retries: &policy::Retries) -> retry::Policy {
    retry::Policy {
        max: retries.max.into(),
        on: retries.on.as_slice().into(),
        repeat: if retries.non_idempotent { Repeat::All } else { Repeat::Idempotent },
        per_try_ms: None,
        backoff: backoff::Settings {
            initial_ms: retries.backoff.initial_ms,
            max_ms: retries.backoff.max_ms,
            jitter: Jitter::Full,
        },
        budget: budget::Settings {
            percent: retries.budget.percent.into(),
            per_second_min: retries.budget.min_per_second,
        },
    }
}

fn breaker(breaker: policy::Breaker) -> breaker::Settings {
    breaker::Settings {
        failures: breaker.failures,
        open_ms: breaker.open_ms.into(),
        successes: breaker.successes,
        trials: breaker.trials,
    }
}

/// One refused connection is enough whatever the number of failures: nobody listens.
fn outlier(outlier: policy::Outlier) -> outlier::Settings {
    outlier::Settings {
        errors: outlier.failures,
        gateway_errors: outlier.failures,
        base_ms: outlier.ejection_ms.into(),
        longest_ms: outlier.ejection_ms_max.into(),
        percent_max: outlier.ejected_percent_max.into(),
        ..outlier::Settings::default()
    }
}
