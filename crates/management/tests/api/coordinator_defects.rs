//! The defects of the service coordinator that Quorate replaces, each by its number in the contract. Here are those
//! that one node can show; lost updates (2) and failover (4) need several, and are tested with real processes.

use crate::{
    ask::Ask,
    coordinator::{agent, formed, get, named, post, register},
    fake::{Fake, worker},
    settings::EPOCH_MS,
};
use quorate_api::coordinator::register as reader;
use quorate_model::{Command, LeaseEvent, PartitionRange, Ttl, WorkerId};
use serde_json::{Value, json};
use std::time::Duration;

/// A heartbeat was written every five minutes, and whoever read the record called its worker offline 90 s after that.
/// Here the record is months old, since nothing about the worker changed; the leader heard it a moment ago.
#[tokio::test]
async fn defect_1_a_healthy_worker_is_not_offline_between_two_writes() {
    let fake = formed();
    let id = register(&fake, &agent("10.0.0.7", &[("upload", 8103)])).await;
    let written = fake.proposals();
    for _ in 0..20 {
        assert_eq!(post(&fake, "/api/worker/heartbeat", &json!({"worker_id": id})).await.status, 200);
        let shown = get(&fake, "/api/admin/workers").await;
        assert_eq!((&shown[0]["status"], &shown[0]["worker_id"]), (&json!("healthy"), &json!(id)));
        assert!(shown[0]["last_heartbeat"].as_str() > shown[0]["registered_at"].as_str(), "{shown}");
        assert_eq!(get(&fake, "/api/admin/services").await["services"]["upload"]["healthy_workers"], 1);
        assert_eq!(get(&fake, "/api/admin/stats").await["offline_workers"], 0);
    }
    assert_eq!(fake.proposals(), written, "and no heartbeat was written");
    let registered = fake.state().worker(&id).expect("registered").registered_at;
    assert!(registered.0 < EPOCH_MS + 10_000, "the record is as old as it seems");
}

/// The contract: `offline` after 90 s without a heartbeat. The end of the lease is agreed upon some time after that, or
/// held back where many fall silent at once; until then the pages called such a worker healthy.
#[tokio::test]
async fn a_worker_that_was_not_heard_for_longer_than_its_lease_is_offline_at_once() {
    let fake = formed();
    for id in ["w1", "w2"] {
        register(&fake, &named(id, agent("10.0.0.7", &[(id, 8103)]))).await;
    }
    fake.fall_silent(worker("w2"));
    let (list, stats) = (get(&fake, "/api/admin/workers").await, get(&fake, "/api/admin/stats").await);
    assert_eq!((&list[0]["status"], &list[1]["status"]), (&json!("healthy"), &json!("offline")));
    assert_eq!((&stats["healthy_workers"], &stats["offline_workers"]), (&json!(1), &json!(1)));
}

/// A worker that was away for longer than its lease was taken out of the service's list, and nothing ever put it back:
/// healthy, and never routed to.
#[tokio::test]
async fn defect_3_a_worker_that_comes_back_offers_its_services_again() {
    let fake = formed();
    let id = register(&fake, &agent("10.0.0.7", &[("upload", 8103), ("rag", 8102)])).await;
    fake.lease(&id, LeaseEvent::Suspected);
    fake.lease(&id, LeaseEvent::Expired);
    let away = get(&fake, "/api/admin/services").await;
    assert_eq!(
        away["services"]["upload"],
        json!({"total_workers": 1, "healthy_workers": 0, "status": "unavailable"})
    );
    let shown = get(&fake, "/api/admin/workers").await;
    assert_eq!(shown[0]["status"], "offline");
    let heard = post(&fake, "/api/worker/heartbeat", &json!({"worker_id": id})).await;
    assert_eq!(heard.exactly(), (200, r#"{"status":"ok"}"#), "it need not register");
    // The leader's keeper does so where the heartbeat is heard.
    fake.lease(&id, LeaseEvent::Revived);
    let back = get(&fake, "/api/admin/services").await;
    for service in ["upload", "rag"] {
        let counted = json!({"total_workers": 1, "healthy_workers": 1, "status": "available"});
        assert_eq!(back["services"][service], counted, "{service}");
    }
    assert_eq!(get(&fake, "/api/admin/workers").await[0]["status"], "healthy");
}

async fn ids(fake: &std::sync::Arc<Fake>) -> Vec<Value> {
    let workers = get(fake, "/api/admin/workers").await;
    workers.as_array().expect("an array").iter().map(|worker| worker["worker_id"].clone()).collect()
}

/// Each registration made a new id, so each restart of an agent left a ghost.
#[tokio::test]
async fn defect_5_a_worker_that_registers_again_leaves_no_ghost() {
    let fake = formed();
    let body = agent("10.0.0.7", &[("upload", 8103), ("rag", 8102)]);
    let id = register(&fake, &body).await;
    let other = register(&fake, &agent("10.0.0.8", &[("upload", 8103)])).await;
    assert_eq!(register(&fake, &body).await, id);
    fake.lease(&id, LeaseEvent::Expired);
    assert_eq!(register(&fake, &body).await, id, "also after it was away");
    let fewer = agent("10.0.0.7", &[("rag", 8102), ("notes", 8100)]);
    assert_eq!(register(&fake, &fewer).await, id, "also where it found other services this time");
    let idle = agent("10.0.0.7", &[]);
    let without = register(&fake, &idle).await;
    assert_eq!(register(&fake, &idle).await, without, "also without any");
    let mut tunnelled = agent("10.0.0.7", &[("upload", 8103)]);
    tunnelled["tunnel_url"] = json!("https://t1.example");
    let first = register(&fake, &tunnelled).await;
    assert_eq!(register(&fake, &tunnelled).await, first);
    tunnelled["tunnel_url"] = json!("https://t2.example");
    assert_ne!(register(&fake, &tunnelled).await, first, "another tunnel leads to another worker");
    assert_eq!(ids(&fake).await.len(), 5);
    assert!(ids(&fake).await.contains(&json!(other)));
}

/// An agent that hears no answer asks again, at another node that has not applied the first registration yet. The two
/// meet in the log, and the elder one stays.
#[tokio::test]
async fn defect_5_a_registration_that_is_sent_twice_at_once_leaves_no_ghost() {
    let fake = formed();
    let body = agent("10.0.0.7", &[("upload", 8103)]);
    let ttl = Ttl::new(Duration::from_secs(90)).expect("a TTL");
    let first = reader::read(body.to_string().as_bytes(), ttl).expect("valid");
    let elder = WorkerId::parse("worker-1733155200000-abc123def").expect("an id");
    fake.overtake_once(Command::RegisterWorker {
        registration: first.named(elder.clone()),
        range: PartitionRange::Lenient,
        if_index: None,
    });
    assert_eq!(register(&fake, &body).await, elder.as_str());
    assert_eq!(ids(&fake).await, [json!(elder.as_str())]);
}

/// An id is made of where a worker is. One that kept its id and went elsewhere is not overwritten by who comes after it.
#[tokio::test]
async fn nobody_is_given_the_id_of_a_worker_that_is_elsewhere_now() {
    let fake = formed();
    let body = agent("10.0.0.7", &[("upload", 8103)]);
    let first = register(&fake, &body).await;
    let mut moved = agent("10.0.0.9", &[("rag", 8102)]);
    moved["worker_id"] = json!(first);
    assert_eq!(register(&fake, &moved).await, first);
    let before = fake.state().worker(&first).expect("registered").clone();
    let second = register(&fake, &body).await;
    assert_ne!(second, first);
    assert_eq!(fake.state().worker(&first), Some(&before), "the other one's record is untouched");
    assert_eq!(register(&fake, &body).await, second, "and it is known by its own id from now on");
}

/// An id that a worker chose is its own: nobody is taken for it because of an address.
#[tokio::test]
async fn nobody_is_given_an_id_that_another_worker_chose() {
    let fake = formed();
    let body = agent("10.0.0.7", &[("upload", 8103)]);
    let mut named = body.clone();
    named["worker_id"] = json!("worker-1");
    assert_eq!(register(&fake, &named).await, "worker-1");
    assert_ne!(register(&fake, &body).await, "worker-1");
    assert!(fake.state().worker(worker("worker-1").as_str()).is_some());
    let gone = fake.ask(Ask::new("DELETE", "/api/worker/unregister/worker-1")).await;
    assert_eq!(gone.status, 200);
    assert_eq!(register(&fake, &named).await, "worker-1");
}

/// The same at the same time: neither node knows of the other's registration, and both make the same id.
#[tokio::test]
async fn defect_5_two_nodes_that_know_nothing_of_each_other_give_one_id() {
    let (one, other) = (formed(), formed());
    let mut again = agent("10.0.0.7", &[("upload", 8103), ("rag", 8102)]);
    let mut ids = [register(&one, &again).await, String::new()];
    again["services"].as_array_mut().expect("an array").reverse();
    ids[1] = register(&other, &again).await;
    let hour = |id: &String| id.split('-').nth(1).map(str::to_owned);
    // An hour may have begun between the two.
    if hour(&ids[0]) == hour(&ids[1]) {
        assert_eq!(ids[0], ids[1]);
    }
}
