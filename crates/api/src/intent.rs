//! What operators decide about workers, and what is still under way at a worker that they drained.

use crate::{
    Wrong,
    answer::VisibleBody,
    fields::{Fields, number},
};
use quorate_model::{Duty, limit};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Whether an operator lets a worker have requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DutyBody {
    /// It gets requests.
    InService,
    /// It gets no new ones and finishes those that it has.
    Draining,
    /// It gets none, and nobody waits for its return.
    Offline,
}

impl From<Duty> for DutyBody {
    fn from(duty: Duty) -> Self {
        match duty {
            Duty::InService => Self::InService,
            Duty::Draining => Self::Draining,
            Duty::Offline => Self::Offline,
        }
    }
}

/// `PUT /v1/workers/{id}/weight`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightBody {
    /// Its share of the traffic; null: as it registered. Must be there.
    #[schema(required, maximum = 1_000_000)]
    pub weight: Option<u32>,
}

/// Reads the body of a weight. `null` says something here, so the field must be there.
pub fn weight(body: Map<String, Value>) -> Result<Option<u32>, Wrong> {
    let there = body.contains_key("weight");
    let mut fields = Fields::of_body(body);
    let weight = fields.optional("weight", number(limit::WEIGHT_MAX.into()));
    if !there {
        let allowed = format!("a number, 0 to {}, or null", limit::WEIGHT_MAX);
        fields.add([quorate_model::Invalid::new("weight", "is missing", allowed)]);
    }
    let wrong = fields.finish();
    let weight = weight.map(|weight| u32::try_from(weight).unwrap_or(u32::MAX));
    if wrong.is_empty() { Ok(weight) } else { Err(wrong) }
}

/// What `drain`, `resume`, `offline` and `weight` answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Decided {
    /// Whether it gets requests, from now on.
    pub duty: DutyBody,
    /// Its share of the traffic, from now on.
    pub weight: u32,
    /// The log index at which it was applied.
    pub index: u64,
    /// With `visible`: which nodes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<VisibleBody>,
}

/// What is under way at a worker, over all nodes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InFlightBody {
    /// Requests and tunnels that are not done; null: some node does not tell, so nobody knows.
    #[schema(required)]
    pub in_flight: Option<u64>,
    /// Each node.
    pub nodes: Vec<NodeInFlight>,
}

/// What is under way at a worker by way of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NodeInFlight {
    /// Which.
    pub node: String,
    /// Requests and tunnels that are not done; null: it does not tell.
    #[schema(required)]
    pub in_flight: Option<u64>,
    /// How far it had applied the log when it counted; null: it did not say.
    #[schema(required)]
    pub applied_index: Option<u64>,
    /// Why it does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl InFlightBody {
    /// The sum, if every node tells. Of no node at all nothing is known: that is no 0.
    pub fn new(nodes: Vec<NodeInFlight>) -> Self {
        let in_flight = if nodes.is_empty() { None } else { nodes.iter().map(|node| node.in_flight).sum() };
        Self { in_flight, nodes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<Option<u32>, Vec<String>> {
        weight(body.as_object().expect("an object").clone())
            .map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn null_is_a_weight_and_nothing_is_none() {
        assert_eq!(read(json!({"weight": 50})), Ok(Some(50)));
        assert_eq!(read(json!({"weight": null})), Ok(None));
        assert_eq!(
            read(json!({})),
            Err(vec!["weight: is missing; allowed: a number, 0 to 1000000, or null".into()])
        );
        assert!(read(json!({"weight": 1_000_001})).is_err());
        assert!(read(json!({"weight": 1, "share": 2})).is_err());
    }

    #[test]
    fn a_sum_is_known_only_if_every_node_tells() {
        let node = |in_flight| NodeInFlight { node: "n".into(), in_flight, applied_index: None, why: None };
        assert_eq!(InFlightBody::new(vec![node(Some(2)), node(Some(3))]).in_flight, Some(5));
        assert_eq!(InFlightBody::new(vec![node(Some(2)), node(None)]).in_flight, None);
        assert_eq!(InFlightBody::new(Vec::new()).in_flight, None, "nobody was asked");
    }
}
