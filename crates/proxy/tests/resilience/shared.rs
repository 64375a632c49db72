//! Breakers that others have opened, and who is told of those that open here.

use super::*;
use quorate_model::{Epoch, NumberedOpening, Opening, Openings, ServiceName, WorkerId};
use std::time::Duration;

const OPENED: &str = "quorate_proxy_breaker_changes_total{change=\"opened\"}";
const HOUR_MS: u32 = 3_600_000;

/// One that does not open by itself in a test.
fn patient() -> Breaker {
    Breaker { failures: 10_000, open_ms: HOUR_MS, shared: true, ..Breaker::default() }
}

fn with(breaker: Breaker) -> ServicePolicy {
    ServicePolicy { breaker: Some(breaker), ..balanced(Balancing::RoundRobin) }
}

/// That other nodes leave these workers of the service `s` alone.
fn tell(rig: &rig::Rig, workers: &[(&str, u64)]) {
    let told = |(number, (worker, epoch)): (u64, &(&str, u64))| {
        let (service, worker) =
            (ServiceName::parse("s").expect("valid"), WorkerId::parse(worker).expect("valid"));
        let opening = Opening { service, worker, epoch: Epoch(*epoch), left_ms: HOUR_MS };
        NumberedOpening { number, opening }
    };
    rig.openings.store(Arc::new(Openings((1..).zip(workers).map(told).collect())));
}

#[tokio::test]
async fn an_opening_is_told_where_the_policy_says_so() {
    let rig = rig().await;
    let sick = status(500).await;
    rig.offer("sick", &sick.url(), &["s", "t"]);
    let breaker = Breaker { failures: 2, open_ms: 7_000, ..Breaker::default() };
    rig.policy("t", with(breaker));
    rig.policy("s", with(Breaker { shared: true, ..breaker }));
    for path in ["/api/service/t/x", "/api/service/t/x", "/api/service/s/x", "/api/service/s/x"] {
        assert_eq!(rig.ask(&get(path)).await.status, 500);
    }
    rig.until_metric(OPENED, 2).await;
    let told = quorate_rt::time::timeout(rig::PATIENCE, rig.opened()).await.expect("it is told");
    let epoch = rig.epoch("sick");
    let (service, worker) = (ServiceName::parse("s").unwrap(), WorkerId::parse("sick").unwrap());
    assert_eq!(told, Opening { service, worker, epoch: Epoch(epoch), left_ms: 7_000 });
    let more = quorate_rt::time::timeout(Duration::from_millis(50), rig.opened()).await;
    assert!(more.is_err(), "the other service's is nobody's affair: {more:?}");
}

#[tokio::test]
async fn a_core_that_asks_for_the_first_time_is_informed() {
    let rig = rig().await;
    let (sick, good) = (status(500).await, Worker::ok().await);
    rig.offer("sick", &sick.url(), &["s"]);
    rig.offer("good", &good.url(), &["s"]);
    rig.policy("s", with(patient()));
    tell(&rig, &[("sick", rig.epoch("sick"))]);
    // It takes a tick, and this core has not asked for the service before.
    rig.until_taken_up().await;
    for _ in 0..10 {
        assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 200);
    }
    assert_eq!((rig.metric(OPENED), sick.heard().len()), (1, 0));
}

/// Its own success counts for more, and an earlier life's opening for nothing.
#[tokio::test]
async fn who_has_just_done_well_is_not_left_alone_on_the_word_of_others() {
    let rig = rig().await;
    let (good, sick, anew) = (Worker::ok().await, status(500).await, status(500).await);
    for (id, worker) in [("good", &good), ("sick", &sick), ("anew", &anew), ("more", &anew)] {
        rig.offer(id, &worker.url(), &["s"]);
    }
    rig.policy("s", with(patient()));
    let mut client = rig.client().await;
    for _ in 0..4 {
        client.ask(&get("/api/service/s/x")).await;
    }
    let (good_before, sick_before, anew_before) =
        (good.heard().len(), sick.heard().len(), anew.heard().len());
    assert_eq!((good_before, sick_before, anew_before), (1, 1, 2));
    tell(&rig, &[("good", rig.epoch("good")), ("anew", rig.epoch("anew") - 1), ("sick", rig.epoch("sick"))]);
    rig.until_metric(OPENED, 1).await;
    for _ in 0..9 {
        client.ask(&get("/api/service/s/x")).await;
    }
    assert_eq!((good.heard().len() - 1, sick.heard().len() - 1, anew.heard().len() - 2), (3, 0, 6));
}

/// Whoever finds all of them bad may be cut off himself.
#[tokio::test]
async fn half_of_the_workers_are_left_alone_on_the_word_of_others_and_no_more() {
    let rig = rig().await;
    let sick = status(500).await;
    let ids = ["w1", "w2", "w3", "w4"];
    ids.iter().for_each(|id| rig.offer(id, &sick.url(), &["s"]));
    rig.policy("s", with(patient()));
    assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 500);
    tell(&rig, &ids.map(|id| (id, rig.epoch(id))));
    rig.until_metric(OPENED, 2).await;
    // The service's candidates are made anew: the same words again.
    rig.offer("w4", &sick.url(), &["s"]);
    assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 500, "somebody is asked");
    assert_eq!(rig.metric(OPENED), 2);
}
