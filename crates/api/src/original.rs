//! The two dialects of the workspace router that Quorate replaces, byte for byte.
//!
//! Its programs are in Go: bodies have Go's manners (unknown fields are passed over, names are found in any case,
//! null is absent), the worker list has Go's field names and times. `v1` and `v2` are the original's versions.

use crate::{
    Wrong,
    fields::{self, Fields, list, partition, text},
    timestamp,
};
use quorate_model::{
    Address, Invalid, LogTime, Registration, RegistrationParts, Ttl, Worker, WorkerId, limit,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The `service` of `/healthz`.
pub const SERVICE: &str = "workspace-engine-router";

/// `POST /register`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OriginalRegister)]
pub struct RegisterBody {
    /// Who.
    #[schema(min_length = 1, max_length = 253)]
    pub worker_id: String,
    /// Where: an absolute http or https URL.
    #[schema(
        min_length = 8,
        max_length = 2048,
        pattern = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        examples("http://10.0.0.7:8081")
    )]
    pub http_address: String,
    /// Which partitions; may be empty.
    #[schema(max_items = 100_000)]
    pub partitions: Vec<i32>,
}

/// `POST /unregister`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OriginalWorker)]
pub struct WorkerBody {
    /// Who.
    #[schema(min_length = 1, max_length = 253)]
    pub worker_id: String,
}

/// `POST /heartbeat`: v1 sends the id only, v2 everything.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OriginalHeartbeat)]
pub struct HeartbeatBody {
    /// Who.
    #[schema(min_length = 1, max_length = 253)]
    pub worker_id: String,
    /// Where: an absolute http or https URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 8, max_length = 2048, pattern = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
    pub http_address: Option<String>,
    /// Which partitions; may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100_000)]
    pub partitions: Option<Vec<i32>>,
}

const ID: &str = "workerId";
const ADDRESS: &str = "httpAddress";
const PARTITIONS: &str = "partitions";

/// A heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// v1, or a part of v2: only who.
    Plain(WorkerId),
    /// v2: the whole registration.
    Full(Registration),
}

/// Reads a registration into the default keyspace.
pub fn register(body: &[u8], ttl: Ttl) -> Result<Registration, Wrong> {
    registration(object(body)?, ttl)
}

/// Reads a goodbye.
pub fn unregister(body: &[u8]) -> Result<WorkerId, Wrong> {
    worker_id(object(body)?)
}

/// Reads a heartbeat of either version.
pub fn heartbeat(body: &[u8], ttl: Ttl) -> Result<Heartbeat, Wrong> {
    let body = object(body)?;
    let is_there = |name| body.get(name).is_some_and(|value: &Value| !value.is_null());
    if is_there(ADDRESS) && is_there(PARTITIONS) {
        registration(body, ttl).map(Heartbeat::Full)
    } else {
        worker_id(body).map(Heartbeat::Plain)
    }
}

/// The fields that are known here, under their proper names. An exact name wins over one in another case.
fn object(body: &[u8]) -> Result<Map<String, Value>, Wrong> {
    let body = fields::object(body)
        .map_err(|e| vec![Invalid::new("body", format!("is no JSON object ({})", e.0), "a JSON object")])?;
    let mut known = Map::new();
    for (name, value) in body {
        if let Some(proper) = [ID, ADDRESS, PARTITIONS].into_iter().find(|k| k.eq_ignore_ascii_case(&name))
            && (name == proper || !known.contains_key(proper))
        {
            known.insert(proper.into(), value);
        }
    }
    Ok(known)
}

fn worker_id(mut body: Map<String, Value>) -> Result<WorkerId, Wrong> {
    body.retain(|name, _| name == ID);
    let mut fields = Fields::of_body(body);
    let id = fields.required(ID, "the worker's id, a string", text("a string", WorkerId::parse));
    id.ok_or_else(|| fields.finish())
}

fn registration(body: Map<String, Value>, ttl: Ttl) -> Result<Registration, Wrong> {
    let mut fields = Fields::of_body(body);
    let uri = "an absolute http or https URL";
    let id = fields.required(ID, "the worker's id, a string", text("a string", WorkerId::parse));
    let address = fields.required(ADDRESS, uri, text(uri, Address::parse));
    let partitions = list(limit::PARTITIONS_PER_WORKER_MAX, partition);
    let partitions = fields.required(PARTITIONS, "an array of whole numbers", partitions);
    let (Some(id), Some(address), Some(partitions)) = (id, address, partitions) else {
        return Err(fields.finish());
    };
    RegistrationParts { partitions, ..RegistrationParts::new(id, address, ttl) }.validate()
}

/// An error: all that a client is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OriginalError)]
pub struct ErrorBody {
    /// What happened.
    pub error: String,
}

impl ErrorBody {
    /// A body or a field of it is wrong.
    pub fn invalid(wrong: &[Invalid]) -> Self {
        Self { error: format!("Invalid request: {}", fields::in_one_line(wrong)) }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = OriginalStatus)]
pub struct StatusBody {
    /// `registered`, `unregistered` or `ok`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// The same in words; a heartbeat's answer has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub message: Option<&'static str>,
}

/// After `POST /register`.
pub const REGISTERED: StatusBody =
    StatusBody { status: "registered", message: Some("Worker successfully registered") };
/// After `POST /unregister`.
pub const UNREGISTERED: StatusBody =
    StatusBody { status: "unregistered", message: Some("Worker successfully unregistered") };
/// After `POST /heartbeat`.
pub const HEARD: StatusBody = StatusBody { status: "ok", message: None };

/// `GET /workers`: healthy ones only.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OriginalWorkers)]
pub struct WorkersBody {
    /// By id.
    pub workers: Vec<ListedWorker>,
    /// How many there are.
    pub count: usize,
}

/// A worker, with the names of the original's struct, which has no JSON tags.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(as = OriginalListedWorker)]
pub struct ListedWorker {
    /// Who.
    #[serde(rename = "WorkerID")]
    pub worker_id: String,
    /// Where.
    #[serde(rename = "HTTPAddress")]
    pub http_address: String,
    /// Which partitions.
    pub partitions: Vec<i32>,
    /// When it was heard last, as far as the leader could be asked; else when it registered.
    #[schema(format = "date-time")]
    pub last_heartbeat: String,
    /// When it registered.
    #[schema(format = "date-time")]
    pub registered_at: String,
}

impl ListedWorker {
    /// `heard`: when the leader heard it last.
    pub fn new(worker: &Worker, heard: Option<LogTime>) -> Self {
        // Whose clock runs behind must not show a worker that was heard before it came.
        let heard = heard.unwrap_or_default().max(worker.registered_at);
        Self {
            worker_id: worker.id().to_string(),
            http_address: worker.registration.address.to_string(),
            partitions: worker.registration.partitions.iter().map(|p| p.0).collect(),
            last_heartbeat: timestamp::nanos(heard),
            registered_at: timestamp::nanos(worker.registered_at),
        }
    }
}

/// `GET /healthz` of a healthy node.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = OriginalHealth)]
pub struct HealthBody {
    /// Always `ok`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// Always `workspace-engine-router`.
    #[schema(value_type = String)]
    pub service: &'static str,
    /// Healthy ones.
    pub workers: usize,
    /// Of the default keyspace.
    pub partition_count: u32,
}

impl HealthBody {
    /// A healthy node.
    pub fn new(workers: usize, partition_count: u32) -> Self {
        Self { status: "ok", service: SERVICE, workers, partition_count }
    }
}

/// `GET /healthz` of any other node.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OriginalUnhealthy)]
pub struct UnhealthyBody {
    /// Always `unhealthy`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// Why.
    pub error: String,
}

impl UnhealthyBody {
    /// A node that can't route.
    pub fn new(error: impl Into<String>) -> Self {
        Self { status: "unhealthy", error: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ttl() -> Ttl {
        Ttl::new(Duration::from_secs(30)).expect("valid")
    }

    fn refused(body: &str) -> String {
        ErrorBody::invalid(&register(body.as_bytes(), ttl()).expect_err(body)).error
    }

    #[test]
    fn a_registration_is_read_as_gin_reads_it() {
        let body = r#"{"workerid":"w1","HTTPADDRESS":"http://h:1","partitions":[3,1,3],"pod":"x"}"#;
        let r = register(body.as_bytes(), ttl()).expect("valid");
        assert_eq!((r.id.as_str(), r.address.as_str(), r.partitions.len()), ("w1", "http://h:1", 2));
        let both = r#"{"workerId":"exact","WORKERID":"other","httpAddress":"http://h:1","partitions":[]}"#;
        assert_eq!(register(both.as_bytes(), ttl()).expect("valid").id.as_str(), "exact");
    }

    #[test]
    fn each_malformed_registration_names_its_field() {
        for (body, field) in [
            ("", "body"),
            ("[]", "body"),
            ("{", "body"),
            (r#"{"httpAddress":"http://h:1","partitions":[]}"#, "workerId: is missing"),
            (r#"{"workerId":"","httpAddress":"http://h:1","partitions":[]}"#, "workerId: is empty"),
            (r#"{"workerId":7,"httpAddress":"http://h:1","partitions":[]}"#, "workerId: is a number"),
            (r#"{"workerId":"w1","partitions":[]}"#, "httpAddress: is missing"),
            (r#"{"workerId":"w1","httpAddress":"h:1","partitions":[]}"#, "httpAddress: `h:1` has no scheme"),
            (r#"{"workerId":"w1","httpAddress":"/x","partitions":[]}"#, "httpAddress: `/x` has no scheme"),
            (r#"{"workerId":"w1","httpAddress":"http://h:1"}"#, "partitions: is missing"),
            (r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":null}"#, "partitions: is missing"),
            (r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":3}"#, "partitions: is a number"),
            (
                r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":["1"]}"#,
                "partitions[0]: is a string",
            ),
            (
                r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":[1.5]}"#,
                "partitions[0]: is no whole",
            ),
            (
                r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":[2147483648]}"#,
                "partitions[0]: is out",
            ),
        ] {
            let error = refused(body);
            assert!(error.starts_with(&format!("Invalid request: {field}")), "{body}: {error}");
        }
        assert!(refused("{}").matches("is missing").count() == 3, "{}", refused("{}"));
    }

    #[test]
    fn no_partitions_are_valid_and_partitions_may_be_anything_of_32_bits() {
        let body = r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":[-2147483648,2147483647]}"#;
        assert_eq!(register(body.as_bytes(), ttl()).expect("valid").partitions.len(), 2);
        let body = r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":[]}"#;
        assert!(register(body.as_bytes(), ttl()).expect("valid").partitions.is_empty());
    }

    #[test]
    fn a_heartbeat_is_full_only_if_nothing_is_missing() {
        let read = |body: &str| heartbeat(body.as_bytes(), ttl());
        assert!(matches!(read(r#"{"workerId":"w1"}"#), Ok(Heartbeat::Plain(_))));
        assert!(matches!(read(r#"{"workerId":"w1","httpAddress":"http://h:1"}"#), Ok(Heartbeat::Plain(_))));
        assert!(matches!(
            read(r#"{"workerId":"w1","httpAddress":"x","partitions":null}"#),
            Ok(Heartbeat::Plain(_))
        ));
        let full = r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":[]}"#;
        assert!(matches!(read(full), Ok(Heartbeat::Full(_))));
        assert!(read(r#"{"workerId":"w1","httpAddress":"","partitions":[]}"#).is_err());
        assert!(read(r#"{}"#).is_err());
    }

    #[test]
    fn many_errors_are_cut_short() {
        let wrong: Vec<_> =
            (0..50).map(|i| Invalid::new(format!("partitions[{i}]"), "is null", "n")).collect();
        let error = ErrorBody::invalid(&wrong).error;
        assert!(error.ends_with("; and 40 more"), "{error}");
    }
}
