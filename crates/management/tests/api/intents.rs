//! `drain`, `resume`, `offline`, `weight`, `in-flight`.

use crate::{ask::Ask, fake::Fake};
use quorate_model::LeaseEvent;
use serde_json::{Value, json};
use std::sync::Arc;

async fn register(fake: &Arc<Fake>, id: &str) {
    let body = json!({"address": "http://h:1", "partitions": [0], "weight": 80});
    assert_eq!(fake.ask(Ask::json("PUT", &format!("/v1/workers/{id}"), body)).await.status, 200);
}

async fn decide(fake: &Arc<Fake>, path: &str) -> Value {
    let answer = fake.ask(Ask::new("POST", path)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn shown(fake: &Arc<Fake>) -> Value {
    fake.ask(Ask::get("/v1/workers/w1")).await.json()
}

#[tokio::test]
async fn a_decision_outlives_the_workers_own_registrations() {
    let fake = Fake::formed();
    register(&fake, "w1").await;
    assert_eq!(
        (&shown(&fake).await["duty"], &shown(&fake).await["duty_since"]),
        (&json!("in_service"), &Value::Null)
    );
    let drained = decide(&fake, "/v1/workers/w1/drain").await;
    assert_eq!((&drained["duty"], &drained["weight"]), (&json!("draining"), &json!(80)));
    assert!(drained["index"].as_u64() > Some(0));
    register(&fake, "w1").await;
    let after = shown(&fake).await;
    assert_eq!((&after["duty"], &after["status"]), (&json!("draining"), &json!("live")));
    assert!(after["duty_since"].is_string(), "{after}");
    fake.lease("w1", LeaseEvent::Suspected);
    fake.lease("w1", LeaseEvent::Expired);
    fake.lease("w1", LeaseEvent::Revived);
    assert_eq!(shown(&fake).await["duty"], "draining");
    assert_eq!(decide(&fake, "/v1/workers/w1/offline").await["duty"], "offline");
    assert_eq!(decide(&fake, "/v1/workers/w1/resume").await["duty"], "in_service");
    assert_eq!(shown(&fake).await["duty"], "in_service");
}

/// A worker that is drained, says goodbye and comes back would wait for an operator for ever: whoever drained it must
/// be able to take that back while it is away.
#[tokio::test]
async fn a_decision_about_a_worker_that_said_goodbye_can_be_taken_back() {
    let fake = Fake::formed();
    register(&fake, "w1").await;
    decide(&fake, "/v1/workers/w1/drain").await;
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/workers/w1")).await.status, 200);
    assert_eq!(fake.ask(Ask::get("/v1/workers/w1")).await.problem(), "worker_unknown");
    assert_eq!(decide(&fake, "/v1/workers/w1/resume").await["duty"], "in_service");
    let nothing_left = fake.ask(Ask::new("POST", "/v1/workers/w1/drain")).await;
    assert_eq!(nothing_left.problem(), "worker_unknown", "and nobody is drained before it is there");
    register(&fake, "w1").await;
    assert_eq!(shown(&fake).await["duty"], "in_service");
}

#[tokio::test]
async fn a_drained_owner_is_shown_as_such() {
    let fake = Fake::formed();
    register(&fake, "w1").await;
    let status = async || {
        let page = fake.ask(Ask::get("/v1/keyspaces/default/partitions?limit=1")).await.json();
        page["items"][0]["status"].as_str().expect("text").to_owned()
    };
    assert_eq!(status().await, "live");
    decide(&fake, "/v1/workers/w1/drain").await;
    assert_eq!(status().await, "draining");
    decide(&fake, "/v1/workers/w1/offline").await;
    assert_eq!(status().await, "offline");
}

#[tokio::test]
async fn a_weight_is_an_operators_until_it_is_taken_back() {
    let fake = Fake::formed();
    register(&fake, "w1").await;
    let weigh = |weight: Value| Ask::json("PUT", "/v1/workers/w1/weight", json!({"weight": weight}));
    assert_eq!(fake.ask(weigh(json!(5))).await.json()["weight"], 5);
    register(&fake, "w1").await;
    let body = shown(&fake).await;
    assert_eq!((&body["weight"], &body["registered_weight"]), (&json!(5), &json!(80)));
    assert_eq!(fake.ask(weigh(Value::Null)).await.json()["weight"], 80);
    for wrong in [json!(1_000_001), json!(-1), json!("5")] {
        assert_eq!(fake.ask(weigh(wrong)).await.wrong_fields(), ["weight"]);
    }
    let missing = fake.ask(Ask::json("PUT", "/v1/workers/w1/weight", json!({}))).await;
    assert_eq!(missing.wrong_fields(), ["weight"], "nothing is not null");
}

#[tokio::test]
async fn decisions_are_checked_and_conditional() {
    let fake = Fake::formed();
    let post = |path: &str| Ask::new("POST", path);
    for verb in ["drain", "resume", "offline"] {
        let path = format!("/v1/workers/w1/{verb}");
        assert_eq!(fake.ask(post(&path)).await.problem(), "worker_unknown", "{verb}");
        let body = fake.ask(Ask::json("POST", &path, json!({"force": true}))).await;
        assert_eq!(body.wrong_fields(), ["force"], "{verb}");
    }
    register(&fake, "w1").await;
    let index = shown(&fake).await["changed_index"].as_u64().expect("a number");
    let before = fake.proposals();
    assert_eq!(fake.ask(post("/v1/workers/w1/drain?dry_run=true")).await.json()["dry_run"], true);
    assert_eq!(fake.proposals(), before);
    let stale = post("/v1/workers/w1/drain").header("if-match", (index - 1).to_string());
    assert_eq!(fake.ask(stale).await.problem(), "precondition_failed");
    let drained = fake.ask(post("/v1/workers/w1/drain").header("if-match", index.to_string())).await;
    assert_eq!((drained.status, drained.header("etag").is_some()), (200, true));
    let again = fake.ask(post("/v1/workers/w1/drain")).await;
    assert_eq!((again.status, again.header("etag")), (200, None), "nothing changed");
    assert_eq!(again.json()["duty"], "draining");
}

#[tokio::test]
async fn what_is_in_flight_is_told_by_node_and_unknown_where_one_is_silent() {
    let fake = Fake::formed();
    let answer = fake.ask(Ask::get("/v1/workers/busy/in-flight?index=9")).await;
    assert_eq!(
        answer.json(),
        json!({"in_flight": null, "nodes": [
            {"node": "n1", "in_flight": 3, "applied_index": 9},
            {"node": "n2", "in_flight": 0, "applied_index": 9},
            {"node": "n3", "in_flight": null, "applied_index": null, "why": "it does not answer"},
        ]})
    );
    let here = fake.ask(Ask::get("/v1/workers/busy/in-flight")).await.json();
    assert_eq!(here["nodes"][0]["applied_index"], json!(fake.state().index().0));
    assert_eq!(fake.ask(Ask::get("/v1/workers/w/in-flight?index=x")).await.wrong_fields(), ["query.index"]);
    let beyond = format!("/v1/workers/w/in-flight?index={}", u64::MAX);
    assert_eq!(fake.ask(Ask::get(&beyond)).await.wrong_fields(), ["query.index"], "no drain answered that");
}

/// Scenario: `in-flight` of a misspelt id answered 0, as if its drain were done. Whoever waits for a worker that has
/// gone is not turned away before its requests have ended.
#[tokio::test]
async fn an_unknown_worker_has_no_count_and_one_that_said_goodbye_has() {
    let fake = Fake::formed();
    let ask = |id: &str| Ask::get(&format!("/v1/workers/{id}/in-flight"));
    let unknown = fake.ask(ask("w1")).await;
    assert_eq!((unknown.status, unknown.problem()), (404, "worker_unknown".into()));
    assert_eq!(fake.ask(ask("busy")).await.status, 200, "somebody has requests there");
    let unsure = fake.ask(ask("unsure")).await;
    assert_eq!((unsure.status, &unsure.json()["in_flight"]), (200, &Value::Null), "n3 may have some");
    register(&fake, "w1").await;
    assert_eq!(fake.ask(ask("w1")).await.json()["in_flight"], 0);
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/workers/w1")).await.status, 200);
    assert_eq!(fake.ask(ask("w1")).await.json()["in_flight"], 0, "it said goodbye a moment ago");
}
