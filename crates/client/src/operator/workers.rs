//! What operators decide about workers, and what is still under way at one.

use super::{Operator, Told, named};
use crate::Error;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

/// `GET /v1/workers/{id}/in-flight`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct InFlight {
    /// Requests and tunnels that are not done, on all nodes; `None`: some node does not tell.
    #[serde(default)]
    pub in_flight: Option<u64>,
    /// Each node.
    #[serde(default)]
    pub nodes: Vec<NodeInFlight>,
}

/// What is under way by way of one node.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct NodeInFlight {
    /// Which.
    pub node: String,
    /// Requests and tunnels that are not done; `None`: it does not tell.
    #[serde(default)]
    pub in_flight: Option<u64>,
    /// Why it does not tell.
    #[serde(default)]
    pub why: Option<String>,
}

impl Operator {
    /// `POST /v1/workers/{id}/drain`: no new requests.
    pub async fn drain_worker(&self, id: &str) -> Result<Value, Error> {
        self.decide(id, "drain").await
    }

    /// `POST /v1/workers/{id}/resume`: requests again.
    pub async fn resume_worker(&self, id: &str) -> Result<Value, Error> {
        self.decide(id, "resume").await
    }

    /// `POST /v1/workers/{id}/offline`: out of service.
    pub async fn take_worker_offline(&self, id: &str) -> Result<Value, Error> {
        self.decide(id, "offline").await
    }

    async fn decide(&self, id: &str, verb: &str) -> Result<Value, Error> {
        self.raw(Method::POST, &["v1", "workers", named("worker", id)?, verb], None).await
    }

    /// `PUT /v1/workers/{id}/weight`; `None`: as it registered.
    pub async fn weigh_worker(&self, id: &str, weight: Option<u32>) -> Result<Value, Error> {
        let path = ["v1", "workers", named("worker", id)?, "weight"];
        self.raw(Method::PUT, &path, Some(&json!({"weight": weight}))).await
    }

    /// `GET /v1/workers/{id}/in-flight`, counted by each node once it has applied `index`.
    pub async fn in_flight(&self, id: &str, index: u64) -> Result<Told<InFlight>, Error> {
        let path = ["v1", "workers", named("worker", id)?, "in-flight"];
        self.get(&path, &[("index", &index.to_string())]).await
    }
}
