//! What each node makes of a service's endpoints, as operators are shown it.

use super::{Operator, PAGE, Told, named};
use crate::Error;
use serde::Deserialize;

/// `GET /v1/services/{name}/observations`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Observations {
    /// Each node.
    #[serde(default)]
    pub nodes: Vec<NodeObservation>,
    /// A page of the endpoints.
    #[serde(default)]
    pub endpoints: Vec<ObservedEndpoint>,
    /// There are more.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A node, and what it makes of the service as a whole.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct NodeObservation {
    /// Which.
    pub node: String,
    /// How many of its cores tell.
    #[serde(default)]
    pub cores: u32,
    /// How many of them have had requests for the service lately.
    #[serde(default)]
    pub cores_asked: u32,
    /// On how many of them ejections and checks do not count.
    #[serde(default)]
    pub cores_in_panic: u32,
    /// Why nothing is known of it.
    #[serde(default)]
    pub why: Option<String>,
}

/// An endpoint.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ObservedEndpoint {
    /// Who.
    pub worker: String,
    /// What the cluster has decided.
    #[serde(default)]
    pub status: String,
    /// What each node makes of it.
    #[serde(default)]
    pub nodes: Vec<EndpointAtNode>,
}

/// What one node makes of an endpoint.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct EndpointAtNode {
    /// Which.
    pub node: String,
    /// Requests and tunnels that the worker has from this node.
    #[serde(default)]
    pub in_flight: u64,
    /// Its circuit breaker.
    #[serde(default)]
    pub breaker: Option<BreakerAtNode>,
    /// That it is ejected.
    #[serde(default)]
    pub ejection: Option<EjectionAtNode>,
    /// How much of its weight counts.
    #[serde(default)]
    pub slow_start_percent: Option<u8>,
}

/// A node's circuit breaker of an endpoint.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct BreakerAtNode {
    /// closed, half_open or open.
    pub state: String,
    /// On how many cores.
    #[serde(default)]
    pub cores: u32,
    /// For how long it has been.
    #[serde(default)]
    pub since: String,
    /// For how much longer it lets nothing through.
    #[serde(default)]
    pub left: Option<String>,
    /// Who opened it: failures or told.
    #[serde(default)]
    pub by: Option<String>,
}

/// A node's ejection of an endpoint.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct EjectionAtNode {
    /// By which rule.
    pub by: String,
    /// On how many cores.
    #[serde(default)]
    pub cores: u32,
    /// For how long it has been.
    #[serde(default)]
    pub since: String,
    /// For how much longer.
    #[serde(default)]
    pub left: String,
}

impl Operator {
    /// `GET /v1/services/{name}/observations`: of the first 1,000 endpoints.
    pub async fn observations(&self, name: &str) -> Result<Told<Observations>, Error> {
        let path = ["v1", "services", named("service", name)?, "observations"];
        self.get(&path, &[("limit", PAGE)]).await
    }
}
