//! Signs of life.

use crate::{
    Wrong,
    fields::{Fields, list, number, text},
};
use quorate_model::{Epoch, Heartbeat, WorkerId};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Most workers of one `POST /v1/heartbeats`. More: refused.
pub const BATCH_MAX: usize = 10_000;

/// `POST /v1/workers/{id}/heartbeat`; the body may be left out.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatBody {
    /// The id of the lease that the worker believes to hold; another one is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// A counter of this lease, larger with each heartbeat; a repeated or older one is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}

/// Reads the body of a heartbeat of `id`.
pub fn heartbeat(id: WorkerId, body: Map<String, Value>) -> Result<Heartbeat, Wrong> {
    let mut fields = Fields::of_body(body);
    let incarnation = fields.optional("lease", number(u64::MAX)).map(Epoch);
    let sequence = fields.optional("sequence", number(u64::MAX));
    let wrong = fields.finish();
    if wrong.is_empty() { Ok(Heartbeat { id, incarnation, sequence }) } else { Err(wrong) }
}

/// What a heartbeat that was accepted answers.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Heard {
    /// Always `ok`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// The fencing token that stands; a new one after a revival.
    pub epoch: u64,
}

impl Heard {
    /// The lease with this fencing token goes on.
    pub fn new(epoch: Epoch) -> Self {
        Self { status: "ok", epoch: epoch.0 }
    }
}

/// `POST /v1/heartbeats`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatsBody {
    /// Ids of workers.
    #[schema(max_items = 10_000)]
    pub workers: Vec<String>,
}

/// Reads the body of many heartbeats.
pub fn heartbeats(body: Map<String, Value>) -> Result<Vec<Heartbeat>, Wrong> {
    let mut fields = Fields::of_body(body);
    let id = |value| text("a worker's id", WorkerId::parse)(value);
    let ids = fields.required("workers", "an array of worker ids", list(BATCH_MAX, id));
    let wrong = fields.finish();
    let beat = |id| Heartbeat { id, incarnation: None, sequence: None };
    match ids {
        Some(ids) if wrong.is_empty() => Ok(ids.into_iter().map(beat).collect()),
        Some(_) | None => Err(wrong),
    }
}

/// What many heartbeats answer.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct HeardAll {
    /// Their leases go on.
    pub ok: Vec<String>,
    /// Register first.
    pub unknown: Vec<String>,
    /// Those of `unknown` whose partitions were all taken by newer registrations.
    pub displaced: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_checked_each() {
        let body = json!({"workers": ["w1", "", 5]});
        let wrong = heartbeats(body.as_object().expect("an object").clone()).expect_err("two are wrong");
        let fields: Vec<_> = wrong.iter().map(|w| w.field.as_str()).collect();
        assert_eq!(fields, ["workers[1]", "workers[2]"]);
    }

    #[test]
    fn an_empty_heartbeat_says_only_who() {
        let id = WorkerId::parse("w1").expect("valid");
        let beat = heartbeat(id.clone(), Map::new()).expect("valid");
        assert_eq!(beat, Heartbeat { id, incarnation: None, sequence: None });
    }
}
