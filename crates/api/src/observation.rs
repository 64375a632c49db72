//! What each node makes of a service's endpoints: `GET /v1/services/{name}/observations`.

use crate::{duration, service::EndpointStatus};
use quorate_model::{
    BreakerObservation, BreakerPhase, EjectionCause, EjectionObservation, EndpointObservation, Observation,
    OpeningCause,
};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// What each node makes of a page of a service's endpoints.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ObservationsBody {
    /// Each node.
    pub nodes: Vec<NodeObservation>,
    /// A page of the endpoints, by worker.
    pub endpoints: Vec<ObservedEndpoint>,
    /// For `cursor`, to get the next page; null: this is the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// The log index of the state that the page is of.
    pub index: u64,
}

/// A node, and what it makes of the service as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NodeObservation {
    /// Which.
    pub node: String,
    /// How many of its cores tell. Each has breakers and ejections of its own.
    pub cores: u32,
    /// How many cores did not tell in time.
    pub cores_silent: u32,
    /// How many of the cores that tell have had requests for the service lately. The others know nothing of it.
    pub cores_asked: u32,
    /// On how many of them so many endpoints are out that ejections and health checks do not count.
    pub cores_in_panic: u32,
    /// Why nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// An endpoint of the service.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ObservedEndpoint {
    /// Who.
    pub worker: String,
    /// What the cluster has decided, as in the service's list of endpoints: the same on all nodes.
    pub status: EndpointStatus,
    /// What each node that tells makes of it.
    pub nodes: Vec<EndpointAtNode>,
}

/// What one node makes of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EndpointAtNode {
    /// Which.
    pub node: String,
    /// Requests and tunnels that the worker has from this node, for this service or not.
    pub in_flight: u64,
    /// Its circuit breaker; null: the policy has none, or no core has sent it requests lately.
    #[schema(required)]
    pub breaker: Option<BreakerAtNode>,
    /// That it is ejected for what its answers were; null: it is not.
    #[schema(required)]
    pub ejection: Option<EjectionAtNode>,
    /// How many of a hundred of its weight count, while it has a slow start; null: all.
    #[schema(required)]
    pub slow_start_percent: Option<u8>,
}

/// A node's circuit breakers of an endpoint: where its cores differ, the worst.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BreakerAtNode {
    /// Where it is.
    pub state: BreakerState,
    /// On how many cores.
    pub cores: u32,
    /// For how long it has been; `0s` where it never changed. Of those cores the longest.
    #[schema(examples("12s"))]
    pub since: String,
    /// For how much longer it lets nothing through; null: it is not open. Of those cores the longest.
    #[schema(required, examples("48s"))]
    pub left: Option<String>,
    /// Who opened it; null: it is closed.
    #[schema(required)]
    pub by: Option<OpenedBy>,
}

/// Where a circuit breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// All requests go through.
    Closed,
    /// A few do, or the next one will, to see how the endpoint is.
    HalfOpen,
    /// None does.
    Open,
}

/// Who opened a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenedBy {
    /// Requests of the same core failed.
    Failures,
    /// Another core or node told of its own.
    Told,
}

/// A node's ejections of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EjectionAtNode {
    /// By which rule; where cores differ, that of the ejection that lasts longest.
    pub by: EjectedBy,
    /// On how many cores.
    pub cores: u32,
    /// For how long it has been. Of those cores the longest.
    #[schema(examples("2s"))]
    pub since: String,
    /// For how much longer. Of those cores the longest.
    #[schema(examples("3s"))]
    pub left: String,
}

/// Why an endpoint is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EjectedBy {
    /// Answers of 5xx in a row.
    Errors,
    /// Answers of 502, 503 or 504, or none, in a row.
    GatewayErrors,
    /// It could not be connected to.
    ConnectFailures,
    /// Far fewer good answers than the other endpoints give.
    SuccessRate,
}

fn span(ms: u64) -> String {
    duration::format(Duration::from_millis(ms))
}

impl NodeObservation {
    /// What `node` told, or why it did not.
    pub fn new(node: &str, told: Result<&Observation, &str>) -> Self {
        let none = Observation::default();
        let observed = told.unwrap_or(&none);
        Self {
            node: node.to_owned(),
            cores: observed.cores,
            cores_silent: observed.cores_silent,
            cores_asked: observed.cores_asked,
            cores_in_panic: observed.cores_in_panic,
            why: told.err().map(str::to_owned),
        }
    }
}

impl EndpointAtNode {
    /// What `node` makes of an endpoint.
    pub fn new(node: &str, observed: &EndpointObservation) -> Self {
        Self {
            node: node.to_owned(),
            in_flight: observed.in_flight,
            breaker: observed.breaker.map(Into::into),
            ejection: observed.ejection.map(Into::into),
            slow_start_percent: observed.slow_start_percent,
        }
    }
}

impl From<BreakerObservation> for BreakerAtNode {
    fn from(breaker: BreakerObservation) -> Self {
        let state = match breaker.phase {
            BreakerPhase::Closed => BreakerState::Closed,
            BreakerPhase::HalfOpen => BreakerState::HalfOpen,
            BreakerPhase::Open => BreakerState::Open,
        };
        let by = match breaker.cause {
            OpeningCause::Failures => OpenedBy::Failures,
            OpeningCause::Told => OpenedBy::Told,
        };
        Self {
            state,
            cores: breaker.cores,
            since: span(breaker.since_ms),
            left: (state == BreakerState::Open).then(|| span(breaker.left_ms)),
            by: (state != BreakerState::Closed).then_some(by),
        }
    }
}

impl From<EjectionObservation> for EjectionAtNode {
    fn from(ejection: EjectionObservation) -> Self {
        let by = match ejection.cause {
            EjectionCause::Errors => EjectedBy::Errors,
            EjectionCause::GatewayErrors => EjectedBy::GatewayErrors,
            EjectionCause::ConnectFailures => EjectedBy::ConnectFailures,
            EjectionCause::SuccessRate => EjectedBy::SuccessRate,
        };
        Self { by, cores: ejection.cores, since: span(ejection.since_ms), left: span(ejection.left_ms) }
    }
}
