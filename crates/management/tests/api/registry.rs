//! The original's own rules for its registry, through the API.

use crate::{
    ask::Ask,
    fake::Fake,
    looks::{held_by, owner_of},
    original::{post, register},
};
use quorate_model::LeaseEvent;
use serde_json::json;

#[tokio::test]
async fn the_newest_registration_wins_and_the_losers_list_shrinks() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0, 1, 2]).await;
    register(&fake, "w2", &[1]).await;
    assert_eq!((held_by(&fake, "w1"), held_by(&fake, "w2")), (vec![0, 2], vec![1]));
    let listed = fake.ask(Ask::get("/workers")).await.json();
    assert_eq!(listed["workers"][0]["Partitions"], json!([0, 2]));
}

#[tokio::test]
async fn a_worker_left_with_no_partition_is_removed() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    register(&fake, "w2", &[0]).await;
    let listed = fake.ask(Ask::get("/workers")).await.json();
    assert_eq!((&listed["count"], &listed["workers"][0]["WorkerID"]), (&json!(1), &json!("w2")));
    assert_eq!(fake.ask(Ask::get("/v1/workers/w1")).await.problem(), "worker_unknown");
}

#[tokio::test]
async fn registering_anew_replaces_the_whole_list() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0, 1]).await;
    register(&fake, "w1", &[1, 2]).await;
    assert_eq!([0, 1, 2].map(|p| owner_of(&fake, p)), [None, Some("w1".into()), Some("w1".into())]);
}

#[tokio::test]
async fn after_twenty_successive_claimants_the_last_one_owns() {
    let fake = Fake::formed();
    for i in 0..20 {
        register(&fake, &format!("w{i}"), &[7]).await;
    }
    assert_eq!(owner_of(&fake, 7), Some("w19".into()));
    assert_eq!(fake.ask(Ask::get("/workers")).await.json()["count"], 1);
}

#[tokio::test]
async fn an_expired_worker_routes_nothing() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    fake.lease("w1", LeaseEvent::Expired);
    assert_eq!(owner_of(&fake, 0), None);
    let partitions = fake.ask(Ask::get("/v1/keyspaces/default/partitions?limit=1")).await.json();
    assert_eq!(partitions["items"][0]["status"], "expired");
}

/// Defect 2 of the original: a re-registration kept the old `RegisteredAt`, by which conflicts were decided, so
/// a partly evicted worker could never win a partition back.
#[tokio::test]
async fn defect_2_a_partly_evicted_worker_wins_back_by_registering_anew() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0, 1]).await;
    register(&fake, "w2", &[1]).await;
    let before = fake.ask(Ask::get("/workers")).await.json()["workers"][0]["RegisteredAt"].clone();
    register(&fake, "w1", &[0, 1]).await;
    assert_eq!(owner_of(&fake, 1), Some("w1".into()));
    let after = fake.ask(Ask::get("/workers")).await.json()["workers"][0]["RegisteredAt"].clone();
    assert!(after.as_str() > before.as_str(), "{after} after {before}");
}

/// Defect 4 of the original: each replica cached the partition count on its own.
#[tokio::test]
async fn defect_4_the_partition_count_changes_at_one_index() {
    let fake = Fake::formed();
    register(&fake, "w1", &[12]).await;
    assert_eq!(owner_of(&fake, 12), None);
    let put = fake.ask(Ask::json("PUT", "/v1/keyspaces/default", json!({"partitions": 24}))).await;
    let index = put.json()["index"].as_u64().expect("an index");
    assert_eq!(fake.state().index().0, index);
    assert_eq!(owner_of(&fake, 12), Some("w1".into()));
    assert_eq!(fake.ask(Ask::get("/healthz")).await.json()["partition_count"], 24);
}

/// R5, through the dialect: a heartbeat of an earlier life, recorded and played again.
#[tokio::test]
async fn a_replayed_v1_heartbeat_does_not_bring_back_who_said_goodbye() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    let beat = json!({"workerId": "w1"});
    assert_eq!(post(&fake, "/heartbeat", beat.clone()).await.0, 200);
    assert_eq!(post(&fake, "/unregister", beat.clone()).await.0, 200);
    assert_eq!(post(&fake, "/heartbeat", beat).await.0, 404);
    assert_eq!(fake.ask(Ask::get("/workers")).await.json()["count"], 0);
}
