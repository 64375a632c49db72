//! Native heartbeats and leases.

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
};
use quorate_model::LeaseEvent;
use serde_json::{Value, json};
use std::sync::Arc;

async fn put(fake: &Arc<Fake>, id: &str, partitions: &[i32]) -> u64 {
    let body = json!({"address": "http://h:1", "partitions": partitions});
    let answer = fake.ask(Ask::json("PUT", &format!("/v1/workers/{id}"), body)).await;
    answer.json()["lease"]["id"].as_u64().expect("a lease")
}

async fn beat(fake: &Arc<Fake>, body: Value) -> Answer {
    fake.ask(Ask::json("POST", "/v1/workers/w1/heartbeat", body)).await
}

#[tokio::test]
async fn a_heartbeat_needs_no_body() {
    let fake = Fake::formed();
    let lease = put(&fake, "w1", &[0]).await;
    let answer = fake.ask(Ask::new("POST", "/v1/workers/w1/heartbeat")).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok", "epoch": lease})));
    assert_eq!(beat(&fake, json!({})).await.status, 200);
    assert_eq!(beat(&fake, json!(null)).await.status, 200);
    assert_eq!(beat(&fake, json!([])).await.problem(), "body_not_json");
}

#[tokio::test]
async fn a_heartbeat_is_told_exactly_why_it_was_refused() {
    let fake = Fake::formed();
    let unknown = beat(&fake, json!({})).await;
    assert_eq!((unknown.status, unknown.problem()), (404, "worker_unknown".into()));
    let old = put(&fake, "w1", &[0]).await;
    let lease = put(&fake, "w1", &[0]).await;
    let stale = beat(&fake, json!({"lease": old, "sequence": 1})).await;
    assert_eq!((stale.status, stale.problem()), (409, "lease_stale".into()));
    assert_eq!(beat(&fake, json!({"lease": lease, "sequence": 5})).await.status, 200);
    for sequence in [5, 4, 0] {
        let replayed = beat(&fake, json!({"lease": lease, "sequence": sequence})).await;
        assert_eq!((replayed.status, replayed.problem()), (409, "heartbeat_replayed".into()));
    }
    assert_eq!(beat(&fake, json!({"lease": lease, "sequence": 6})).await.status, 200);
    put(&fake, "w2", &[0]).await;
    let displaced = beat(&fake, json!({"lease": lease, "sequence": 7})).await;
    assert_eq!((displaced.status, displaced.problem()), (404, "worker_displaced".into()));
}

#[tokio::test]
async fn a_revived_worker_learns_its_new_fencing_token() {
    let fake = Fake::formed();
    let lease = put(&fake, "w1", &[0]).await;
    fake.lease("w1", LeaseEvent::Expired);
    fake.lease("w1", LeaseEvent::Revived);
    let answer = beat(&fake, json!({"lease": lease, "sequence": 1})).await;
    assert_eq!((answer.status, answer.json()["epoch"].as_u64()), (200, Some(4)));
}

#[tokio::test]
async fn a_wrong_heartbeat_names_its_fields() {
    let fake = Fake::formed();
    let answer = beat(&fake, json!({"lease": "x", "sequence": -1, "seq": 1})).await;
    assert_eq!(
        (answer.status, answer.wrong_fields()),
        (400, vec!["lease".into(), "sequence".into(), "seq".into()])
    );
}

#[tokio::test]
async fn many_heartbeats_at_once_are_sorted_into_ok_and_unknown() {
    let fake = Fake::formed();
    put(&fake, "w1", &[0]).await;
    put(&fake, "w2", &[1]).await;
    put(&fake, "w3", &[1]).await;
    let ask = Ask::json("POST", "/v1/heartbeats", json!({"workers": ["w3", "w1", "w2", "nobody"]}));
    let answer = fake.ask(ask).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"ok": ["w3", "w1"], "unknown": ["w2", "nobody"], "displaced": ["w2"]}))
    );
}

#[tokio::test]
async fn thousands_of_heartbeats_keep_their_order() {
    let fake = Fake::formed();
    put(&fake, "w2500", &[0]).await;
    let ids: Vec<_> = (0..5_000).map(|i| format!("w{i}")).collect();
    let answer = fake.ask(Ask::json("POST", "/v1/heartbeats", json!({"workers": ids}))).await.json();
    assert_eq!(answer["ok"], json!(["w2500"]));
    assert_eq!(answer["unknown"].as_array().expect("a list").len(), 4_999);
}

#[tokio::test]
async fn too_many_or_wrong_ids_are_refused() {
    let fake = Fake::formed();
    let ids: Vec<_> = (0..10_001).map(|i| format!("w{i}")).collect();
    let many = fake.ask(Ask::json("POST", "/v1/heartbeats", json!({"workers": ids}))).await;
    assert_eq!((many.status, many.wrong_fields()), (400, vec!["workers".into()]));
    let wrong = fake.ask(Ask::json("POST", "/v1/heartbeats", json!({"workers": ["w1", ""]}))).await;
    assert_eq!((wrong.status, wrong.wrong_fields()), (400, vec!["workers[1]".into()]));
    let none = fake.ask(Ask::json("POST", "/v1/heartbeats", json!({}))).await;
    assert_eq!(none.wrong_fields(), ["workers"]);
}

#[tokio::test]
async fn leases_are_listed_by_holder() {
    let fake = Fake::formed();
    for (i, id) in ["w2", "w1", "w3"].into_iter().enumerate() {
        put(&fake, id, &[i32::try_from(i).expect("small")]).await;
    }
    fake.lease("w3", LeaseEvent::Suspected);
    let page = fake.ask(Ask::get("/v1/leases?limit=2")).await.json();
    assert_eq!(
        page,
        json!({
            "items": [
                {"holder": "w1", "lease": 3, "epoch": 3, "ttl": "30s", "status": "live", "remaining": "15s"},
                {"holder": "w2", "lease": 2, "epoch": 2, "ttl": "30s", "status": "live", "remaining": "15s"},
            ],
            "next_cursor": "w2",
            "index": 5,
        })
    );
    let rest = fake.ask(Ask::get("/v1/leases?cursor=w2")).await.json();
    assert_eq!((&rest["items"][0]["holder"], &rest["items"][0]["status"]), (&json!("w3"), &json!("suspect")));
}
