//! The dialects' contract, line by line: exact bodies and codes.

use crate::{
    ask::Ask,
    fake::Fake,
    looks::{held_by, lease_of},
    settings::EPOCH_MS,
};
use quorate_model::{LeaseEvent, Status};
use serde_json::{Value, json};
use std::sync::Arc;

pub fn register_body(id: &str, partitions: &[i32]) -> Value {
    json!({"workerId": id, "httpAddress": format!("http://{id}:8081"), "partitions": partitions})
}

pub async fn post(fake: &Arc<Fake>, path: &str, body: Value) -> (u16, String) {
    // As Go's client sends it.
    let answer = fake.ask(Ask::json("POST", path, body)).await;
    (answer.status, answer.text)
}

pub async fn register(fake: &Arc<Fake>, id: &str, partitions: &[i32]) {
    let (status, text) = post(fake, "/register", register_body(id, partitions)).await;
    assert_eq!(status, 200, "{text}");
}

fn both(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

const REGISTERED: &str = r#"{"status":"registered","message":"Worker successfully registered"}"#;
const UNREGISTERED: &str = r#"{"status":"unregistered","message":"Worker successfully unregistered"}"#;
const HEARD: &str = r#"{"status":"ok"}"#;
const REGISTER_FIRST: &str = r#"{"error":"Worker not found. Please register first."}"#;
const NOT_FOUND: &str = r#"{"error":"Worker not found"}"#;

#[tokio::test]
async fn a_worker_registers_beats_and_says_goodbye_under_both_prefixes() {
    for prefix in ["", "/api"] {
        let fake = Fake::formed();
        let path = |name: &str| format!("{prefix}/{name}");
        let id = json!({"workerId": "w1"});
        assert_eq!(post(&fake, &path("heartbeat"), id.clone()).await, both(404, REGISTER_FIRST));
        assert_eq!(post(&fake, &path("unregister"), id.clone()).await, both(404, NOT_FOUND));
        assert_eq!(post(&fake, &path("register"), register_body("w1", &[0, 1])).await, both(200, REGISTERED));
        assert_eq!(held_by(&fake, "w1"), [0, 1]);
        assert_eq!(post(&fake, &path("heartbeat"), id.clone()).await, both(200, HEARD));
        assert_eq!(post(&fake, &path("unregister"), id.clone()).await, both(200, UNREGISTERED));
        assert_eq!(post(&fake, &path("heartbeat"), id.clone()).await, both(404, REGISTER_FIRST));
        assert_eq!(post(&fake, &path("unregister"), id).await, both(404, NOT_FOUND));
    }
}

#[tokio::test]
async fn no_content_type_is_asked_for() {
    let fake = Fake::formed();
    let ask = Ask::new("POST", "/register").header("content-type", "text/plain");
    let answer = fake.ask(ask.body(register_body("w1", &[]).to_string())).await;
    assert_eq!(answer.exactly(), (200, REGISTERED));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn an_empty_list_registers_and_null_does_not() {
    let fake = Fake::formed();
    assert_eq!(post(&fake, "/register", register_body("w1", &[])).await, both(200, REGISTERED));
    let null = json!({"workerId": "w2", "httpAddress": "http://h:1", "partitions": null});
    let (status, text) = post(&fake, "/register", null).await;
    assert_eq!(status, 400);
    assert!(text.starts_with(r#"{"error":"Invalid request: partitions: is missing"#), "{text}");
}

#[tokio::test]
async fn each_malformed_body_is_a_400_that_names_its_field_and_changes_nothing() {
    let fake = Fake::formed();
    let before = fake.state().index();
    for (path, body, field) in [
        ("/register", "", "body"),
        ("/register", "not json", "body"),
        ("/register", "[1]", "body"),
        ("/register", r#"{"workerId":"w1"}"#, "httpAddress"),
        ("/register", r#"{"workerId":"w1","httpAddress":"10.0.0.1:80","partitions":[]}"#, "httpAddress"),
        ("/register", r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":["a"]}"#, "partitions[0]"),
        (
            "/register",
            r#"{"workerId":"w1","httpAddress":"http://h:1","partitions":[9999999999]}"#,
            "partitions[0]",
        ),
        ("/register", r#"{"workerId":"a\nb","httpAddress":"http://h:1","partitions":[]}"#, "workerId"),
        ("/heartbeat", "{}", "workerId"),
        ("/heartbeat", r#"{"workerId":5}"#, "workerId"),
        ("/heartbeat", r#"{"workerId":"w1","httpAddress":"x","partitions":[]}"#, "httpAddress"),
        ("/unregister", r#"{"workerId":""}"#, "workerId"),
        ("/unregister", r#"{"worker":"w1"}"#, "workerId"),
    ] {
        let answer = fake.ask(Ask::new("POST", path).body(body)).await;
        assert_eq!(answer.status, 400, "{path} {body}");
        let error = answer.json()["error"].as_str().expect("an error").to_owned();
        assert!(error.contains(&format!("{field}: ")), "{path} {body}: {error}");
        assert!(error.starts_with("Invalid request: "), "{error}");
    }
    assert_eq!(fake.state().index(), before);
}

#[tokio::test]
async fn the_worker_list_is_healthy_only_with_go_names_and_times() {
    let fake = Fake::formed();
    for (id, partitions) in [("w3", &[2][..]), ("w1", &[0, 1]), ("w2", &[]), ("w4", &[3])] {
        register(&fake, id, partitions).await;
    }
    fake.lease("w3", LeaseEvent::Suspected);
    fake.lease("w4", LeaseEvent::Expired);
    let body = fake.ask(Ask::get("/workers")).await.json();
    assert_eq!(body["count"], 3);
    let ids: Vec<_> =
        body["workers"].as_array().expect("a list").iter().map(|w| w["WorkerID"].clone()).collect();
    assert_eq!(ids, ["w1", "w2", "w3"], "suspect ones are healthy, expired ones are not");
    let first = &body["workers"][0];
    let keys: Vec<_> = first.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["HTTPAddress", "LastHeartbeat", "Partitions", "RegisteredAt", "WorkerID"]);
    assert_eq!((&first["HTTPAddress"], &first["Partitions"]), (&json!("http://w1:8081"), &json!([0, 1])));
    assert_eq!(body["workers"][1]["Partitions"], json!([]), "never null");
    // w1's registration was the third entry.
    assert_eq!(first["RegisteredAt"], "2026-01-01T00:00:03.000000000Z");
    let heard = first["LastHeartbeat"].as_str().expect("a time");
    assert!(heard.len() == 30 && heard.ends_with("000000Z") && heard > "2026-01-01T00:00:03", "{heard}");
    assert_eq!(EPOCH_MS, 1_767_225_600_000);
}

#[tokio::test]
async fn the_worker_list_needs_no_leader() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    fake.break_down(quorate_management::Reason::NoQuorum);
    let body = fake.ask(Ask::get("/api/workers")).await.json();
    assert_eq!(body["count"], 1);
    assert_eq!(body["workers"][0]["LastHeartbeat"], body["workers"][0]["RegisteredAt"]);
}

#[tokio::test]
async fn an_empty_worker_list_is_a_list() {
    assert_eq!(
        Fake::formed().ask(Ask::get("/workers")).await.exactly(),
        (200, r#"{"workers":[],"count":0}"#)
    );
}

#[tokio::test]
async fn healthz_counts_workers_and_partitions() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    let expected = r#"{"status":"ok","service":"workspace-engine-router","workers":1,"partition_count":12}"#;
    for path in ["/healthz", "/api/healthz"] {
        assert_eq!(fake.ask(Ask::get(path)).await.exactly(), (200, expected));
    }
}

#[tokio::test]
async fn healthz_is_500_while_the_partition_count_is_unknown() {
    for (fake, why) in [
        (Fake::unformed(), "the cluster is not formed yet"),
        (Fake::with_count(None), "the partition count is not known yet"),
    ] {
        let answer = fake.ask(Ask::get("/healthz")).await;
        assert_eq!(answer.status, 500);
        assert_eq!(answer.json(), json!({"status": "unhealthy", "error": why}));
    }
}

/// Its client only logs a 404 and never registers again, so an expired worker must be known.
#[tokio::test]
async fn a_v1_heartbeat_of_an_expired_worker_is_200() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    fake.lease("w1", LeaseEvent::Expired);
    assert_eq!(post(&fake, "/heartbeat", json!({"workerId": "w1"})).await, both(200, HEARD));
}

#[tokio::test]
async fn a_v1_heartbeat_of_a_displaced_worker_is_404() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    register(&fake, "w2", &[0]).await;
    assert_eq!(lease_of(&fake, "w1").0, Status::Departed);
    assert_eq!(post(&fake, "/heartbeat", json!({"workerId": "w1"})).await, both(404, REGISTER_FIRST));
}

#[tokio::test]
async fn an_expired_worker_can_say_goodbye() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    fake.lease("w1", LeaseEvent::Expired);
    assert_eq!(post(&fake, "/unregister", json!({"workerId": "w1"})).await, both(200, UNREGISTERED));
}

#[tokio::test]
async fn partitions_beyond_the_count_are_accepted() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0, 12, -1]).await;
    assert_eq!(held_by(&fake, "w1"), [-1, 0, 12]);
    let listed = fake.ask(Ask::get("/workers")).await.json();
    assert_eq!(listed["workers"][0]["Partitions"], json!([-1, 0, 12]));
    let native = fake.ask(Ask::get("/v1/workers/w1")).await.json();
    assert_eq!(native["partitions_out_of_range"], json!([-1, 12]));
}
