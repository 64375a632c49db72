//! `POST /api/worker/heartbeat`.

use super::{HEALTHY, flag, known};
use crate::{
    Wrong,
    fields::{any_text, entries, list, text},
};
use quorate_model::{Invalid, Load, Milli, ServiceName, WorkerId, limit};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A sign of life, and how busy the worker is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorHeartbeat)]
pub struct HeartbeatBody {
    /// Who.
    #[schema(min_length = 1, max_length = 253)]
    pub worker_id: String,
    /// `healthy`, or whatever keeps requests away from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub status: Option<String>,
    /// How busy it is, 0 to 1; more counts as 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_load: Option<f64>,
    /// Free memory, such as `12.3GB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub available_memory: Option<String>,
    /// Models that it has in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 64)]
    pub loaded_models: Option<Vec<String>>,
    /// Requests that it is working on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_requests: Option<u32>,
    /// How busy its GPU is, 0 to 1; more counts as 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_utilization: Option<f64>,
    /// Service to `healthy`, or to whatever keeps requests away from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services_status: Option<BTreeMap<String, String>>,
    /// What it is best at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub specialization: Option<String>,
}

const FIELDS: &[&str] = &[
    "worker_id",
    "status",
    "current_load",
    "available_memory",
    "loaded_models",
    "active_requests",
    "gpu_utilization",
    "services_status",
    "specialization",
];

/// A heartbeat. What it does not mention is as it was, but the status, which is healthy where nothing else is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Who.
    pub id: WorkerId,
    unwell: Option<Box<str>>,
    load: Option<f64>,
    memory: Option<Box<str>>,
    models: Option<Vec<Box<str>>>,
    active: Option<u32>,
    gpu: Option<f64>,
    /// Each service that it speaks of, and whether that is healthy.
    services: Option<BTreeMap<ServiceName, bool>>,
    specialization: Option<Box<str>>,
}

/// Reads a heartbeat.
pub fn read(body: &[u8]) -> Result<Heartbeat, Wrong> {
    let mut fields = known(body, FIELDS)?;
    let id = "the worker's id, a string";
    let id = fields.required("worker_id", id, text("a string", WorkerId::parse));
    let status = fields.optional("status", any_text);
    let beat = |id| Heartbeat {
        id,
        unwell: status.filter(|status| !is_healthy(status)).map(Into::into),
        load: fields.optional("current_load", share),
        memory: fields.optional("available_memory", super::text_or_number).map(Into::into),
        models: fields
            .optional("loaded_models", list(limit::MODELS_PER_WORKER_MAX, any_text))
            .map(|models| models.into_iter().map(Into::into).collect()),
        active: fields.optional("active_requests", count),
        gpu: fields.optional("gpu_utilization", share),
        services: fields.optional("services_status", services),
        specialization: fields.optional("specialization", any_text).map(Into::into),
    };
    // Read whether or not there is an id, so that one answer tells all.
    let placeholder = || WorkerId::parse("nobody").expect("a name");
    let (is_named, beat) = (id.is_some(), beat(id.unwrap_or_else(placeholder)));
    let mut wrong = fields.finish();
    if let Err(found) = beat.load(None) {
        wrong.extend(found);
    }
    if is_named && wrong.is_empty() { Ok(beat) } else { Err(wrong) }
}

impl Heartbeat {
    /// What is known about the worker with this; `before`: what was known until now.
    pub fn load(&self, before: Option<&Load>) -> Result<Load, Wrong> {
        let before = before.cloned().unwrap_or_default();
        let said = self.clone();
        Load {
            load: said.load.map_or(before.load, Milli::of),
            active: said.active.unwrap_or(before.active),
            gpu: said.gpu.map_or(before.gpu, Milli::of),
            models: said.models.unwrap_or(before.models),
            specialization: said.specialization.or(before.specialization),
            memory: said.memory.or(before.memory),
            unwell: said.unwell,
            unhealthy: said.services.map_or(before.unhealthy, |services| {
                services.into_iter().filter(|(_, healthy)| !healthy).map(|(name, _)| name).collect()
            }),
        }
        .validate()
    }
}

impl Heartbeat {
    /// Whether it says that one of its services is healthy.
    pub fn calls_healthy(&self, service: &ServiceName) -> bool {
        self.services.as_ref().and_then(|services| services.get(service)).is_some_and(|healthy| *healthy)
    }
}

pub(super) fn is_healthy(word: &str) -> bool {
    word.is_empty() || word.eq_ignore_ascii_case(HEALTHY)
}

/// A share of something. Beyond 0 to 1 it is no mistake that should cost a worker its lease.
fn share(value: Value) -> Result<f64, Wrong> {
    value.as_f64().ok_or_else(|| vec![Invalid::new("", "is no number", "a number, 0 to 1")])
}

fn count(value: Value) -> Result<u32, Wrong> {
    match value.as_u64() {
        Some(count) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        None => Err(vec![Invalid::new("", "is no whole number", "a whole number from 0")]),
    }
}

/// A status may also be a flag, as in `{"rag": true}`.
fn services(value: Value) -> Result<BTreeMap<ServiceName, bool>, Wrong> {
    let status = |value| match value {
        Value::Bool(_) => flag(value),
        other => any_text(other).map(|word| is_healthy(&word)),
    };
    let named = |(name, healthy): (String, bool)| match ServiceName::parse(&name) {
        Ok(name) => Ok((name, healthy)),
        Err(e) => Err(vec![e.renamed("")]),
    };
    entries(status)(value)?.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(body: &Value) -> String {
        crate::fields::in_one_line(&read(body.to_string().as_bytes()).expect_err("wrong"))
    }

    fn load(body: &Value, before: Option<&Load>) -> Load {
        read(body.to_string().as_bytes()).expect("valid").load(before).expect("valid")
    }

    #[test]
    fn a_heartbeat_of_either_age_is_read() {
        let old = json!({"worker_id": "w1", "status": "healthy", "current_load": 0.3, "available_memory": "12.3GB"});
        let said = load(&old, None);
        assert_eq!((said.load, said.memory.as_deref()), (Milli::new(300), Some("12.3GB")));
        let later = json!({
            "worker_id": "w1", "loaded_models": ["m2", "m1"], "active_requests": 3, "gpu_utilization": 0.5,
            "services_status": {"rag": "unhealthy", "upload": "healthy", "ner": false}, "specialization": "ocr",
            "something_new": [1],
        });
        let said = load(&later, None);
        assert_eq!((said.active, said.gpu, said.models.len()), (3, Milli::new(500), 2));
        assert!(said.takes("upload") && !said.takes("rag") && !said.takes("ner") && said.has_model("m1"));
    }

    #[test]
    fn what_is_not_mentioned_stays_but_a_status_does_not() {
        let first = json!({
            "worker_id": "w1", "status": "degraded", "current_load": 0.9, "services_status": {"rag": "down"}
        });
        let before = load(&first, None);
        assert_eq!(before.unwell.as_deref(), Some("degraded"));
        let after = load(&json!({"worker_id": "w1"}), Some(&before));
        assert_eq!((after.unwell.as_deref(), after.load), (None, Milli::new(900)));
        assert!(!after.takes("rag"));
        let well = load(&json!({"worker_id": "w1", "services_status": {"rag": "Healthy"}}), Some(&after));
        assert!(well.takes("rag"));
    }

    #[test]
    fn a_number_beyond_its_range_costs_nobody_its_lease() {
        let said = load(&json!({"worker_id": "w1", "current_load": 3.7, "gpu_utilization": -1}), None);
        assert_eq!((said.load, said.gpu), (Milli::ONE, Milli::new(0)));
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (body, expected) in [
            (json!({}), "worker_id: is missing; allowed: the worker's id, a string"),
            (json!({"worker_id": 7}), "worker_id: is a number; allowed: a string"),
            (
                json!({"worker_id": "w", "current_load": "high"}),
                "current_load: is no number; allowed: a number, 0 to 1",
            ),
            (
                json!({"worker_id": "w", "active_requests": -1}),
                "active_requests: is no whole number; allowed: a whole number from 0",
            ),
            (
                json!({"worker_id": "w", "loaded_models": "m"}),
                "loaded_models: is a string; allowed: an array",
            ),
            (
                json!({"worker_id": "w", "services_status": []}),
                "services_status: is an array; allowed: an object",
            ),
            (json!({"worker_id": "w", "status": 1}), "status: is a number; allowed: a string"),
        ] {
            assert_eq!(refused(&body), expected, "{body}");
        }
        let both = refused(&json!({"current_load": true, "specialization": "x".repeat(300)}));
        assert_eq!(both.matches("allowed").count(), 3, "{both}");
        assert!(read(b"[]").is_err() && read(b"{").is_err());
    }
}
