//! The OpenAPI document says which fields a body may have; the reader of the body has its own list. Here the two
//! are held against each other.

use quorate_api::{
    Wrong,
    cluster::{self, TransferBody},
    config::{self, ConfigBody},
    delegate::{self, ReportDownBody},
    explain::{self, ExplainPut},
    heartbeat::{self, HeartbeatBody, HeartbeatsBody},
    intent::{self, WeightBody},
    keyspace::{self, KeyspacePut},
    policy::{
        BackoffBody, BreakerBody, BudgetBody, GrpcHealthBody, HealthBody, HttpHealthBody, KeyBody,
        LimitsBody, OutlierBody, RetriesBody,
    },
    route::{
        self, CorsBody, DestinationBody, EditsBody, MatchBody, MirrorBody, RedirectBody, RewriteBody,
        RoutePut,
    },
    sandbox::{self, ExtendBody, FallbackBody, RuleBody, SandboxPut, SandboxTargetBody},
    service::{self, ServicePut},
    worker::{self, RegisterBody},
};
use quorate_model::{ConfigMode, RouteName, Ttl, WorkerId};
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
    assert_eq!(documented::<ConfigBody>(), read(|body| config::config(body, ConfigMode::Replace).err()));
    assert_eq!(documented::<SandboxPut>(), read(|body| sandbox::sandbox(body).err()));
    assert_eq!(documented::<ExtendBody>(), read(|body| sandbox::extend(body).err()));
    assert_eq!(documented::<ExplainPut>(), read(|body| explain::asked(body).err()));
    // A route has destinations or a redirect, which the document says in words.
    let (fields, missing) = read(|body| route_of(body).err());
    assert_eq!(documented::<RoutePut>().0, fields);
    assert_eq!(missing, BTreeSet::from(["match".to_owned(), "destinations".to_owned()]));
    // A count must be there only without Kafka, which the document says in words.
    let (fields, missing) = read(|body| keyspace::keyspace(body).err());
    assert_eq!(documented::<KeyspacePut>().0, fields);
    assert_eq!(missing, BTreeSet::from(["partitions".to_owned()]));
}

fn route_of(body: Map<String, Value>) -> Result<quorate_model::Route, Wrong> {
    route::route(RouteName::parse("r").expect("valid"), body)
}

/// The fields that an object inside of a body may have, as the refusal of one that it may not have lists them.
fn inside(place: &[&str], body: impl Fn(Value) -> Option<Wrong>) -> BTreeSet<String> {
    let one = json!({"no_such_field": 1});
    let nested = place.iter().rev().fold(one, |inner, key| match *key {
        "[]" => json!([inner]),
        key => json!({key: inner}),
    });
    let wrong = body(nested).expect("refused");
    let unknown = wrong.iter().find(|w| w.field.ends_with(".no_such_field")).expect("refused by name");
    unknown.allowed.split(", ").map(Into::into).collect()
}

#[test]
fn the_document_shows_the_fields_of_the_parts() {
    let object = |value: Value| value.as_object().expect("an object").clone();
    let in_route = |place: &[&str]| inside(place, |body| route_of(object(body)).err());
    assert_eq!(documented::<MatchBody>().0, in_route(&["match"]));
    assert_eq!(documented::<DestinationBody>().0, in_route(&["destinations", "[]"]));
    assert_eq!(documented::<RedirectBody>().0, in_route(&["redirect"]));
    assert_eq!(documented::<RewriteBody>().0, in_route(&["rewrite"]));
    assert_eq!(documented::<CorsBody>().0, in_route(&["cors"]));
    assert_eq!(documented::<MirrorBody>().0, in_route(&["mirror"]));
    assert_eq!(documented::<EditsBody>().0, in_route(&["request_headers"]));
    assert_eq!(documented::<EditsBody>().0, in_route(&["response_headers"]));
    assert_eq!(documented::<KeyBody>().0, in_route(&["sticky"]));
    assert_eq!(documented::<KeyBody>().0, in_route(&["hash_on"]));
    let in_sandbox = |place: &[&str]| inside(place, |body| sandbox::sandbox(object(body)).err());
    assert_eq!(documented::<RuleBody>().0, in_sandbox(&["rules", "[]"]));
    assert_eq!(documented::<SandboxTargetBody>().0, in_sandbox(&["rules", "[]", "targets", "[]"]));
    assert_eq!(documented::<FallbackBody>().0, in_sandbox(&["rules", "[]", "fallback"]));
    assert_eq!(documented::<KeyBody>().0, in_sandbox(&["rules", "[]", "sticky"]));
    let in_policy = |place: &[&str]| inside(place, |body| service::policy(object(body)).err());
    assert_eq!(documented::<RetriesBody>().0, in_policy(&["retries"]));
    assert_eq!(documented::<BackoffBody>().0, in_policy(&["retries", "backoff"]));
    assert_eq!(documented::<BudgetBody>().0, in_policy(&["retries", "budget"]));
    assert_eq!(documented::<HealthBody>().0, in_policy(&["health"]));
    assert_eq!(documented::<HttpHealthBody>().0, in_policy(&["health", "http"]));
    assert_eq!(documented::<GrpcHealthBody>().0, in_policy(&["health", "grpc"]));
    assert_eq!(documented::<BreakerBody>().0, in_policy(&["breaker"]));
    assert_eq!(documented::<OutlierBody>().0, in_policy(&["outlier"]));
    assert_eq!(documented::<LimitsBody>().0, in_policy(&["limits"]));
    assert_eq!(documented::<KeyBody>().0, in_policy(&["hash_on"]));
}
