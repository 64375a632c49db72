//! The dialect of the service coordinator that Quorate replaces, byte for byte.
//!
//! Its programs are in Python and JavaScript: bodies have their manners (unknown fields are passed over, null is
//! absent, a service may be an object or only its name, a port may be a number or text). A worker says more here
//! than a [`Registration`](quorate_model::Registration) has fields for; the rest is kept in labels that begin with
//! `coordinator/` and in capabilities, and given back as it came.
//!
//! | module | what |
//! |---|---|
//! | [`register`], `place` | `POST /api/worker/register`, and where a service is reached |
//! | [`heartbeat`] | `POST /api/worker/heartbeat`, and what it says about load |
//! | [`capabilities`] | capabilities of any shape, in and out |
//! | [`details`] | what the model has no field for |
//! | [`lists`] | `GET /api/admin/workers`, `/services`, `/stats` |

pub mod capabilities;
mod details;
pub mod heartbeat;
pub mod lists;
mod place;
pub mod register;

use crate::{
    Wrong,
    fields::{self, Fields, nested},
    timestamp,
};
use quorate_model::{Invalid, LogTime, Ttl};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;
use utoipa::ToSchema;

/// The lease of a worker of this dialect, where the node is not set otherwise: its clients call a worker offline
/// when it was silent for longer.
pub const TTL: Duration = Duration::from_secs(90);
/// The word for a worker or a service that can take requests.
pub const HEALTHY: &str = "healthy";

/// How often a worker with this lease is asked to send heartbeats, in seconds: two may be lost.
pub fn heartbeat_interval(ttl: Ttl) -> u64 {
    (ttl.as_duration().as_secs() / 3).max(1)
}

/// `GET /health`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorHealth)]
pub struct HealthBody {
    /// Always `healthy`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// Always true.
    pub edge: bool,
}

/// The process works.
pub const HEALTH: HealthBody = HealthBody { status: HEALTHY, edge: true };

/// `GET /api/admin/health`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorAdminHealth)]
pub struct AdminHealthBody {
    /// Always `healthy`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// Always `cloudflare-worker`: clients compare it.
    #[schema(value_type = String)]
    pub coordinator: &'static str,
    /// Now.
    #[schema(format = "date-time")]
    pub timestamp: String,
}

impl AdminHealthBody {
    /// At `now`.
    pub fn new(now: LogTime) -> Self {
        Self { status: HEALTHY, coordinator: "cloudflare-worker", timestamp: timestamp::millis(now) }
    }
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CoordinatorError)]
pub struct ErrorBody {
    /// What happened.
    pub error: String,
    /// Why; registrations have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// After how many seconds to ask again, where that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl ErrorBody {
    /// With one line.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), message: None, retry_after: None }
    }

    /// A path or a method that nobody serves.
    pub fn not_found() -> Self {
        Self::new("Not found")
    }

    /// The node can't take it now; others can.
    pub fn ending(retry_after: u64) -> Self {
        let error = "Service temporarily unavailable, retry recommended";
        Self { retry_after: Some(retry_after), ..Self::new(error) }
    }

    /// A registration that was not carried out.
    pub fn registration_failed(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new("Registration failed") }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = CoordinatorStatus)]
pub struct StatusBody {
    /// Always `ok`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// The same in words; a heartbeat's answer has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub message: Option<&'static str>,
}

/// After a heartbeat.
pub const HEARD: StatusBody = StatusBody { status: "ok", message: None };
/// After a goodbye.
pub const UNREGISTERED: StatusBody = StatusBody { status: "ok", message: Some("Worker unregistered") };
/// After a goodbye that could not be carried out: the contract knows no other answer, and the worker goes all the same.
pub const NOT_YET_UNREGISTERED: StatusBody =
    StatusBody { status: "ok", message: Some("The cluster can't be changed now: the lease ends by itself") };
/// After a goodbye of somebody unknown, which is as good as one.
pub const WAS_NOT_THERE: StatusBody = StatusBody { status: "ok", message: Some("Worker was not registered") };

/// The body, with only the fields that are known here.
fn known(body: &[u8], names: &[&str]) -> Result<Fields, Wrong> {
    let mut body = fields::object(body)
        .map_err(|e| vec![Invalid::new("body", format!("is no JSON object ({})", e.0), "a JSON object")])?;
    keep(&mut body, names);
    Ok(Fields::of_body(body))
}

/// The same of an object inside of it.
fn inner<T>(
    mut value: Value,
    names: &[&str],
    read: impl FnOnce(&mut Fields) -> Option<T>,
) -> Result<T, Wrong> {
    if let Value::Object(map) = &mut value {
        keep(map, names);
    }
    nested(value, read)
}

fn keep(map: &mut Map<String, Value>, names: &[&str]) {
    map.retain(|name, _| names.contains(&name.as_str()));
}

fn flag(value: Value) -> Result<bool, Wrong> {
    match value {
        Value::Bool(flag) => Ok(flag),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(vec![Invalid::new("", "is no boolean", "true or false")])
        }
    }
}

/// A text, or a number as text: versions and ports come as either.
fn text_or_number(value: Value) -> Result<String, Wrong> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(vec![Invalid::new("", "is neither text nor a number", "text or a number")])
        }
    }
}
