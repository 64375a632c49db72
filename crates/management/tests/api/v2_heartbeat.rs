//! Heartbeats of the second version, which carry a whole registration.

use crate::{
    ask::Ask,
    fake::{Fake, worker},
    looks::{held_by, lease_of, owner_of},
    original::{post, register, register_body},
};
use quorate_model::{Command, Epoch, LeaseEvent, Status};
use serde_json::json;
use std::sync::Arc;

async fn beat(fake: &Arc<Fake>, id: &str, partitions: &[i32]) -> u16 {
    post(fake, "/heartbeat", register_body(id, partitions)).await.0
}

#[tokio::test]
async fn an_unknown_worker_registers_by_its_heartbeat() {
    let fake = Fake::formed();
    assert_eq!(beat(&fake, "w1", &[0, 1]).await, 200);
    assert_eq!(held_by(&fake, "w1"), [0, 1]);
}

#[tokio::test]
async fn a_heartbeat_that_says_nothing_new_costs_no_log_entry() {
    let fake = Fake::formed();
    register(&fake, "w1", &[1, 0]).await;
    let before = fake.state().index();
    for _ in 0..3 {
        assert_eq!(beat(&fake, "w1", &[0, 1, 1]).await, 200);
    }
    assert_eq!((fake.state().index(), fake.proposals()), (before, 1));
}

/// Defect 3 of the original: a v2 heartbeat's partitions and address were ignored for a known worker.
#[tokio::test]
async fn defect_3_a_heartbeat_with_changed_partitions_counts() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0, 1]).await;
    assert_eq!(beat(&fake, "w1", &[1, 2]).await, 200);
    assert_eq!(held_by(&fake, "w1"), [1, 2]);
    assert_eq!(owner_of(&fake, 0), None);
}

#[tokio::test]
async fn defect_3_a_heartbeat_with_a_changed_address_counts() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    let moved = json!({"workerId": "w1", "httpAddress": "http://moved:1", "partitions": [0]});
    assert_eq!(post(&fake, "/heartbeat", moved).await.0, 200);
    let state = fake.state();
    assert_eq!(state.worker("w1").expect("known").registration.address.as_str(), "http://moved:1");
}

#[tokio::test]
async fn what_a_heartbeat_cannot_say_stays_as_it_was_registered() {
    let fake = Fake::formed();
    let body = json!({"address": "http://w1:8081", "partitions": [0], "ttl": "2m", "labels": {"zone": "a"}});
    assert_eq!(fake.ask(Ask::json("PUT", "/v1/workers/w1", body)).await.status, 200);
    assert_eq!(beat(&fake, "w1", &[3]).await, 200);
    let shown = fake.ask(Ask::get("/v1/workers/w1")).await.json();
    assert_eq!(
        (&shown["partitions"], &shown["ttl"], &shown["labels"]["zone"]),
        (&json!([3]), &json!("2m"), &json!("a"))
    );
}

#[tokio::test]
async fn newest_wins_even_if_the_older_ones_heartbeat_is_fresher() {
    let fake = Fake::formed();
    register(&fake, "old", &[0, 1]).await;
    register(&fake, "new", &[1]).await;
    let before = fake.state().index();
    for _ in 0..3 {
        assert_eq!(beat(&fake, "old", &[0, 1]).await, 200);
        assert_eq!(beat(&fake, "new", &[1]).await, 200);
    }
    assert_eq!((owner_of(&fake, 0), owner_of(&fake, 1)), (Some("old".into()), Some("new".into())));
    assert_eq!(fake.state().index(), before, "they don't take turns");
}

#[tokio::test]
async fn a_displaced_worker_does_not_win_back_by_a_heartbeat() {
    let fake = Fake::formed();
    register(&fake, "old", &[0]).await;
    register(&fake, "new", &[0]).await;
    assert_eq!(beat(&fake, "old", &[0]).await, 404);
    assert_eq!(owner_of(&fake, 0), Some("new".into()));
}

#[tokio::test]
async fn what_was_lost_comes_back_once_nobody_serves_it() {
    let fake = Fake::formed();
    register(&fake, "old", &[0, 1]).await;
    register(&fake, "new", &[1]).await;
    assert_eq!(post(&fake, "/unregister", json!({"workerId": "new"})).await.0, 200);
    assert_eq!(owner_of(&fake, 1), None);
    assert_eq!(beat(&fake, "old", &[0, 1]).await, 200);
    assert_eq!(owner_of(&fake, 1), Some("old".into()));

    register(&fake, "newer", &[1]).await;
    fake.lease("newer", LeaseEvent::Expired);
    assert_eq!(beat(&fake, "old", &[0, 1]).await, 200);
    assert_eq!(owner_of(&fake, 1), Some("old".into()));
}

#[tokio::test]
async fn what_was_lost_stays_lost_while_somebody_serves_a_part_of_it() {
    let fake = Fake::formed();
    register(&fake, "old", &[0, 1, 2]).await;
    register(&fake, "new-1", &[1]).await;
    register(&fake, "new-2", &[2]).await;
    fake.lease("new-1", LeaseEvent::Expired);
    let before = fake.state().index();
    assert_eq!(beat(&fake, "old", &[0, 1, 2]).await, 200);
    assert_eq!((owner_of(&fake, 2), fake.state().index()), (Some("new-2".into()), before));
}

#[tokio::test]
async fn partitions_that_nobody_can_serve_are_not_fought_over() {
    let fake = Fake::formed();
    register(&fake, "old", &[0, 99]).await;
    register(&fake, "new", &[1, 99]).await;
    let before = fake.state().index();
    for _ in 0..3 {
        assert_eq!(beat(&fake, "old", &[0, 99]).await, 200);
        assert_eq!(beat(&fake, "new", &[1, 99]).await, 200);
    }
    assert_eq!(fake.state().index(), before);
}

/// R5: said goodbye, then a delayed heartbeat arrives.
#[tokio::test]
async fn a_late_heartbeat_does_not_undo_a_goodbye() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    assert_eq!(post(&fake, "/unregister", json!({"workerId": "w1"})).await.0, 200);
    assert_eq!(beat(&fake, "w1", &[0]).await, 404);
    assert_eq!((lease_of(&fake, "w1").0, owner_of(&fake, 0)), (Status::Departed, None));
}

#[tokio::test]
async fn an_expired_worker_keeps_its_registration_by_a_heartbeat() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    fake.lease("w1", LeaseEvent::Expired);
    let before = fake.state().index();
    assert_eq!(beat(&fake, "w1", &[0]).await, 200);
    // The leader's lease keeper revives it; no registration is needed.
    assert_eq!(fake.state().index(), before);
}

#[tokio::test]
async fn a_partial_body_is_a_v1_heartbeat() {
    let fake = Fake::formed();
    let partial = json!({"workerId": "w1", "httpAddress": "http://w1:1"});
    assert_eq!(post(&fake, "/heartbeat", partial.clone()).await.0, 404);
    register(&fake, "w1", &[0]).await;
    assert_eq!(post(&fake, "/heartbeat", partial).await.0, 200);
    assert_eq!(held_by(&fake, "w1"), [0]);
}

#[tokio::test]
async fn a_node_that_lags_asks_before_it_takes_an_old_record_for_a_change() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    fake.lag();
    // Registered anew through another node; this one has not heard of it.
    let other = register_body("w1", &[5]);
    let registration = quorate_api::original::register(
        other.to_string().as_bytes(),
        quorate_model::Ttl::new(std::time::Duration::from_secs(30)).expect("a TTL"),
    );
    fake.apply(Command::RegisterWorker {
        registration: registration.expect("valid"),
        range: quorate_model::PartitionRange::Lenient,
        if_index: None,
    });
    let before = (fake.state().index(), lease_of(&fake, "w1"));
    assert_eq!(beat(&fake, "w1", &[5]).await, 200);
    assert_eq!((fake.state().index(), lease_of(&fake, "w1")), before);
}

#[tokio::test]
async fn a_goodbye_that_overtakes_a_changed_heartbeat_wins() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    fake.overtake_once(Command::UnregisterWorker { id: worker("w1"), epoch: None, if_index: None });
    assert_eq!(beat(&fake, "w1", &[1]).await, 404);
    assert_eq!((owner_of(&fake, 0), owner_of(&fake, 1)), (None, None));
}

#[tokio::test]
async fn a_change_of_the_lease_that_overtakes_a_changed_heartbeat_does_not_lose_it() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    let epoch = lease_of(&fake, "w1").1;
    fake.overtake_once(Command::ChangeLeases(vec![quorate_model::LeaseChange {
        id: worker("w1"),
        epoch,
        event: LeaseEvent::Suspected,
    }]));
    assert_eq!(beat(&fake, "w1", &[1]).await, 200);
    assert_eq!(held_by(&fake, "w1"), [1]);
    assert!(lease_of(&fake, "w1").1 > Epoch(epoch.0));
}

/// It may need five calls to the cluster, each with a limit of its own; its clients give up after 5 s.
#[tokio::test]
async fn a_heartbeat_is_answered_before_its_client_gives_up() {
    let fake = Fake::formed();
    fake.hang();
    let begun = quorate_rt::time::Instant::now();
    let answer = fake.ask(Ask::json("POST", "/heartbeat", register_body("w1", &[0]))).await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((answer.status, answer.json()), (500, json!({"error": "Failed to update heartbeat"})));
    assert_eq!(answer.header("retry-after"), Some("1"));
}
