//! How objects are, as whoever looks after them says.

use super::spec::some_text;
use crate::{
    Wrong,
    fields::{Fields, list, nested, number, text},
};
use quorate_model::{Address, Invalid, Resource, ServiceName, limit};
use serde_json::Value;
use std::collections::BTreeSet;

/// What a sandbox can be in.
pub(super) const PHASES: [&str; 4] = ["Pending", "Running", "Terminating", "Failed"];
const CONDITIONS_MAX: usize = 32;
const NAME: &str = "the name of a service";
const ENDPOINT: &str = "a URL or host:port";

type Endpoints = Vec<(ServiceName, Address)>;

/// Reads a status, and where it says that services answer. `None`: it is wrong, and listed.
pub(super) fn read(resource: Resource, fields: &mut Fields) -> Option<Endpoints> {
    fields.optional("conditions", list(CONDITIONS_MAX, condition));
    fields.optional("observedGeneration", number(u64::MAX));
    match resource {
        Resource::Sandboxes => {
            fields.optional("phase", text("Pending, Running, Terminating or Failed", phase));
            fields.optional("expiresAt", some_text);
            Some(fields.optional("services", services).unwrap_or_default())
        }
        Resource::RouteGroups => Some(Vec::new()),
        Resource::LocalWorkloads => {
            fields.optional("phase", some_text);
            fields.optional("routingKey", some_text);
            fields.optional("message", some_text);
            fields.optional("connection", |value| {
                nested(value, |fields| {
                    for name in ["tunnelId", "connectedAt", "lastHeartbeat"] {
                        fields.optional(name, some_text);
                    }
                    Some(())
                })
            });
            Some(Vec::new())
        }
    }
}

/// What of a status is kept: the rest is the cluster's own to say.
pub(super) fn kept(resource: Resource, mut status: Value) -> Value {
    if let Some(map) = status.as_object_mut() {
        match resource {
            Resource::Sandboxes => drop(map.remove("expiresAt")),
            Resource::RouteGroups | Resource::LocalWorkloads => {
                if resource == Resource::RouteGroups {
                    map.remove("observedGeneration");
                }
                if let Some(conditions) = map.get_mut("conditions").and_then(Value::as_array_mut) {
                    conditions.retain(|condition| condition.get("type") != Some(&"Ready".into()));
                }
            }
        }
    }
    status
}

fn phase(text: &str) -> Result<(), Invalid> {
    if PHASES.contains(&text) { Ok(()) } else { Err(Invalid::new("", "is none", PHASES.join(", "))) }
}

fn condition(value: Value) -> Result<(), Wrong> {
    const STATUS: &str = "True, False or Unknown";
    nested(value, |fields| {
        fields.required("type", "such as Ready", some_text);
        let known = |text: &str| {
            let is_known = matches!(text, "True" | "False" | "Unknown");
            if is_known { Ok(()) } else { Err(Invalid::new("", "is none", STATUS)) }
        };
        fields.required("status", STATUS, text(STATUS, known));
        for name in ["reason", "message", "lastTransitionTime", "lastProbeTime", "lastUpdateTime"] {
            fields.optional(name, some_text);
        }
        fields.optional("observedGeneration", number(u64::MAX));
        Some(())
    })
}

fn services(value: Value) -> Result<Endpoints, Wrong> {
    let said = list(limit::SERVICES_PER_OBJECT_MAX, service)(value)?;
    let mut seen = BTreeSet::new();
    let twice = |(nth, (name, _)): (usize, &(ServiceName, Option<Address>))| {
        let is_twice = !seen.insert(name.clone());
        is_twice.then(|| Invalid::new(format!("[{nth}].name"), format!("{name} is there twice"), "each once"))
    };
    let wrong: Wrong = said.iter().enumerate().filter_map(twice).collect();
    if wrong.is_empty() {
        return Ok(said.into_iter().filter_map(|(name, endpoint)| Some((name, endpoint?))).collect());
    }
    Err(wrong)
}

fn service(value: Value) -> Result<(ServiceName, Option<Address>), Wrong> {
    nested(value, |fields| {
        let name = fields.required("name", NAME, text(NAME, ServiceName::parse_offered));
        fields.optional("status", some_text);
        let endpoint = fields.optional("endpoint", text(ENDPOINT, endpoint)).flatten();
        Some((name?, endpoint))
    })
}

/// It may lack scheme and port, as targets do. An empty one is none: that is how Go programs write it.
fn endpoint(text: &str) -> Result<Option<Address>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Address::parse(&url).map(Some)
}
