//! The OpenAPI document says which fields a body may have; the reader of the body has its own list. Here the two
//! are held against each other.

use quorate_api::{
    Wrong,
    cluster::{self, TransferBody},
    delegate::{self, ReportDownBody},
    heartbeat::{self, HeartbeatBody, HeartbeatsBody},
    intent::{self, WeightBody},
    keyspace::{self, KeyspacePut},
    service::{self, ServicePut},
    worker::{self, RegisterBody},
};
use quorate_model::{Ttl, WorkerId};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, time::Duration};
use utoipa::{PartialSchema, openapi::RefOr};

fn documented<T: PartialSchema>() -> (BTreeSet<String>, BTreeSet<String>) {
    let RefOr::T(schema) = T::schema() else { panic!("a schema of its own") };
    let schema = serde_json::to_value(schema).expect("serialises");
    assert_eq!(schema["additionalProperties"], json!(false), "unknown fields are refused");
    let names = |value: &Value| {
        value.as_array().into_iter().flatten().map(|n| n.as_str().expect("text").into()).collect()
    };
    let all = schema["properties"].as_object().expect("properties").keys().cloned().collect();
    (all, names(&schema["required"]))
}

/// What the reader allows, and what it misses in an empty body.
fn read(read: impl Fn(Map<String, Value>) -> Option<Wrong>) -> (BTreeSet<String>, BTreeSet<String>) {
    let wrong = |body: Value| read(body.as_object().expect("an object").clone()).unwrap_or_default();
    let unknown = wrong(json!({"no_such_field": 1}));
    let unknown = unknown.iter().find(|w| w.field == "no_such_field").expect("refused by name");
    let missing = wrong(json!({})).into_iter().map(|w| w.field).collect();
    (unknown.allowed.split(", ").map(Into::into).collect(), missing)
}

fn id() -> WorkerId {
    WorkerId::parse("w1").expect("valid")
}

#[test]
fn the_document_shows_the_fields_that_are_read() {
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    assert_eq!(documented::<RegisterBody>(), read(|body| worker::registration(id(), body, ttl).err()));
    assert_eq!(documented::<HeartbeatBody>(), read(|body| heartbeat::heartbeat(id(), body).err()));
    assert_eq!(documented::<HeartbeatsBody>(), read(|body| heartbeat::heartbeats(body).err()));
    assert_eq!(documented::<TransferBody>(), read(|body| cluster::transfer(body).err()));
    assert_eq!(documented::<ServicePut>(), read(|body| service::policy(body).err()));
    assert_eq!(documented::<WeightBody>(), read(|body| intent::weight(body).err()));
    assert_eq!(documented::<ReportDownBody>(), read(|body| delegate::report_down(body).err()));
    // A count must be there only without Kafka, which the document says in words.
    let (fields, missing) = read(|body| keyspace::keyspace(body).err());
    assert_eq!(documented::<KeyspacePut>().0, fields);
    assert_eq!(missing, BTreeSet::from(["partitions".to_owned()]));
}
