//! What a node makes of a service's workers.

use quorate_model as model;
use quorate_model::{Invalid, WorkerId};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) service: String,
    pub(crate) workers: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Observation {
    cores: u32,
    cores_silent: u32,
    cores_asked: u32,
    cores_in_panic: u32,
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize, Deserialize)]
struct Endpoint {
    worker: String,
    in_flight: u64,
    breaker: Option<Breaker>,
    ejection: Option<Ejection>,
    slow_start_percent: Option<u8>,
}

#[derive(Serialize, Deserialize)]
struct Breaker {
    phase: Phase,
    cores: u32,
    since_ms: u64,
    left_ms: u64,
    cause: Opener,
}

#[derive(Serialize, Deserialize)]
enum Phase {
    Closed,
    HalfOpen,
    Open,
}

#[derive(Serialize, Deserialize)]
enum Opener {
    Failures,
    Told,
}

#[derive(Serialize, Deserialize)]
struct Ejection {
    cause: Cause,
    cores: u32,
    since_ms: u64,
    left_ms: u64,
}

#[derive(Serialize, Deserialize)]
enum Cause {
    Errors,
    GatewayErrors,
    ConnectFailures,
    SuccessRate,
}

impl From<&model::Observation> for Observation {
    fn from(observed: &model::Observation) -> Self {
        let model::Observation { cores, cores_silent, cores_asked, cores_in_panic, endpoints } = observed;
        Self {
            cores: *cores,
            cores_silent: *cores_silent,
            cores_asked: *cores_asked,
            cores_in_panic: *cores_in_panic,
            endpoints: endpoints.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<Observation> for model::Observation {
    type Error = Invalid;

    fn try_from(observed: Observation) -> Result<Self, Invalid> {
        let Observation { cores, cores_silent, cores_asked, cores_in_panic, endpoints } = observed;
        Ok(Self { cores, cores_silent, cores_asked, cores_in_panic, endpoints: super::all(endpoints)? })
    }
}

impl From<&model::EndpointObservation> for Endpoint {
    fn from(endpoint: &model::EndpointObservation) -> Self {
        let model::EndpointObservation { worker, in_flight, breaker, ejection, slow_start_percent } =
            endpoint;
        Self {
            worker: worker.to_string(),
            in_flight: *in_flight,
            breaker: breaker.map(Into::into),
            ejection: ejection.map(Into::into),
            slow_start_percent: *slow_start_percent,
        }
    }
}

impl TryFrom<Endpoint> for model::EndpointObservation {
    type Error = Invalid;

    fn try_from(endpoint: Endpoint) -> Result<Self, Invalid> {
        let Endpoint { worker, in_flight, breaker, ejection, slow_start_percent } = endpoint;
        Ok(Self {
            worker: WorkerId::parse(&worker)?,
            in_flight,
            breaker: breaker.map(Into::into),
            ejection: ejection.map(Into::into),
            slow_start_percent,
        })
    }
}

impl From<model::BreakerObservation> for Breaker {
    fn from(breaker: model::BreakerObservation) -> Self {
        let model::BreakerObservation { phase, cores, since_ms, left_ms, cause } = breaker;
        let phase = match phase {
            model::BreakerPhase::Closed => Phase::Closed,
            model::BreakerPhase::HalfOpen => Phase::HalfOpen,
            model::BreakerPhase::Open => Phase::Open,
        };
        let cause = match cause {
            model::OpeningCause::Failures => Opener::Failures,
            model::OpeningCause::Told => Opener::Told,
        };
        Self { phase, cores, since_ms, left_ms, cause }
    }
}

impl From<Breaker> for model::BreakerObservation {
    fn from(breaker: Breaker) -> Self {
        let Breaker { phase, cores, since_ms, left_ms, cause } = breaker;
        let phase = match phase {
            Phase::Closed => model::BreakerPhase::Closed,
            Phase::HalfOpen => model::BreakerPhase::HalfOpen,
            Phase::Open => model::BreakerPhase::Open,
        };
        let cause = match cause {
            Opener::Failures => model::OpeningCause::Failures,
            Opener::Told => model::OpeningCause::Told,
        };
        Self { phase, cores, since_ms, left_ms, cause }
    }
}

impl From<model::EjectionObservation> for Ejection {
    fn from(ejection: model::EjectionObservation) -> Self {
        let model::EjectionObservation { cause, cores, since_ms, left_ms } = ejection;
        let cause = match cause {
            model::EjectionCause::Errors => Cause::Errors,
            model::EjectionCause::GatewayErrors => Cause::GatewayErrors,
            model::EjectionCause::ConnectFailures => Cause::ConnectFailures,
            model::EjectionCause::SuccessRate => Cause::SuccessRate,
        };
        Self { cause, cores, since_ms, left_ms }
    }
}

impl From<Ejection> for model::EjectionObservation {
    fn from(ejection: Ejection) -> Self {
        let Ejection { cause, cores, since_ms, left_ms } = ejection;
        let cause = match cause {
            Cause::Errors => model::EjectionCause::Errors,
            Cause::GatewayErrors => model::EjectionCause::GatewayErrors,
            Cause::ConnectFailures => model::EjectionCause::ConnectFailures,
            Cause::SuccessRate => model::EjectionCause::SuccessRate,
        };
        Self { cause, cores, since_ms, left_ms }
    }
}
