//! Signs of life.

use crate::{
    Wrong,
    delegate::{HeartbeatDelegate, Spokesman},
    fields::{Fields, flag, list, number, text},
};
use quorate_model::{Epoch, Heartbeat, Invalid, WorkerId};
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
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Heard {
    /// Always `ok`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// The fencing token that stands; a new one after a revival.
    pub epoch: u64,
    /// Who sends heartbeats for its group; null: nobody. Only for a worker that asked for the role or has a label
    /// `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HeartbeatDelegate>)]
    pub heartbeat_delegate: Option<Option<HeartbeatDelegate>>,
}

impl Heard {
    /// The lease with this fencing token goes on.
    pub fn new(epoch: Epoch, heartbeat_delegate: Option<Option<HeartbeatDelegate>>) -> Self {
        Self { status: "ok", epoch: epoch.0, heartbeat_delegate }
    }
}

/// `POST /v1/heartbeats`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatsBody {
    /// Ids of workers.
    #[schema(max_items = 10_000)]
    pub workers: Vec<String>,
    /// Whether a delegate speaks for its group; then `worker` and `epoch` must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf: Option<bool>,
    /// The delegate. Only with `on_behalf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 253)]
    pub worker: Option<String>,
    /// The fencing token of its role. Only with `on_behalf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// Many heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beats {
    /// In the body's order.
    pub beats: Vec<Heartbeat>,
    /// The delegate that sends them for its group; `None`: an agent that speaks for its own workers.
    pub on_behalf: Option<Spokesman>,
}

/// Reads the body of many heartbeats.
pub fn heartbeats(body: Map<String, Value>) -> Result<Beats, Wrong> {
    let mut fields = Fields::of_body(body);
    let id = |value| text("a worker's id", WorkerId::parse)(value);
    let ids = fields.required("workers", "an array of worker ids", list(BATCH_MAX, id));
    let on_behalf = on_behalf(&mut fields);
    let wrong = fields.finish();
    let beat = |id| Heartbeat { id, incarnation: None, sequence: None };
    match ids {
        Some(ids) if wrong.is_empty() => Ok(Beats { beats: ids.into_iter().map(beat).collect(), on_behalf }),
        Some(_) | None => Err(wrong),
    }
}

/// The three fields of a delegate: all of them, or none. A role that is half claimed is a mistake, not an agent's own
/// heartbeat.
fn on_behalf(fields: &mut Fields) -> Option<Spokesman> {
    let speaks = fields.optional("on_behalf", flag).unwrap_or(false);
    let worker = fields.optional("worker", text("a worker's id", WorkerId::parse));
    let epoch = fields.optional("epoch", number(u64::MAX)).map(Epoch);
    match (speaks, worker, epoch) {
        (true, Some(worker), Some(epoch)) => return Some(Spokesman { worker, epoch }),
        (false, None, None) => {}
        (true, worker, epoch) => {
            let missing = [("worker", worker.is_none()), ("epoch", epoch.is_none())];
            let named = missing.into_iter().filter(|(_, missing)| *missing);
            fields.add(named.map(|(field, _)| {
                Invalid::new(field, "is missing or wrong", "the delegate's own, with on_behalf")
            }));
        }
        (false, _, _) => {
            fields.add([Invalid::new("on_behalf", "is not true", "true where worker and epoch are named")]);
        }
    }
    None
}

/// Checks what somebody says is a worker's id, as [`heartbeats`] does with each: for those who pass them on.
pub fn check_id(text: &str) -> Result<(), Invalid> {
    WorkerId::parse(text).map(drop)
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
    /// With `on_behalf`: those that are not of the delegate's group. They were not heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Vec<String>>,
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

    #[test]
    fn a_delegate_names_itself_and_its_epoch_or_nothing() {
        let read = |body: Value| heartbeats(body.as_object().expect("an object").clone());
        let spoken =
            read(json!({"workers": ["w1"], "on_behalf": true, "worker": "d", "epoch": 9})).expect("valid");
        assert_eq!(spoken.on_behalf.map(|s| (s.worker.to_string(), s.epoch)), Some(("d".into(), Epoch(9))));
        assert_eq!(read(json!({"workers": [], "on_behalf": false})).expect("valid").on_behalf, None);
        for (body, fields) in [
            (json!({"workers": [], "on_behalf": true}), vec!["worker", "epoch"]),
            (json!({"workers": [], "on_behalf": true, "worker": "d"}), vec!["epoch"]),
            (json!({"workers": [], "worker": "d", "epoch": 9}), vec!["on_behalf"]),
            (json!({"workers": [], "epoch": 9}), vec!["on_behalf"]),
            (json!({"workers": [], "on_behalf": "yes"}), vec!["on_behalf"]),
        ] {
            let wrong = read(body.clone()).expect_err("half of a role");
            assert_eq!(wrong.iter().map(|w| w.field.as_str()).collect::<Vec<_>>(), fields, "{body}");
        }
    }
}
