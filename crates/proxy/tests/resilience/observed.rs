//! What the cores make of workers, as operators are shown it.

use super::*;
use quorate_model::{
    BreakerPhase, EjectionCause, EndpointObservation, Observation, OpeningCause, ServiceName, WorkerId,
};

async fn observed(rig: &rig::Rig, workers: &[&str]) -> Observation {
    observed_of(rig, "s", workers).await
}

async fn observed_of(rig: &rig::Rig, service: &str, workers: &[&str]) -> Observation {
    let ids = workers.iter().map(|id| WorkerId::parse(id).expect("valid")).collect();
    let proxy = rig.proxy.as_ref().expect("it runs");
    proxy.observations().of(ServiceName::parse(service).expect("valid"), ids).await
}

/// Asks until the cores make something of the first of `workers` that `is_it`.
async fn until(
    rig: &rig::Rig,
    (service, workers): (&str, &[&str]),
    is_it: impl Fn(&EndpointObservation) -> bool,
) -> Observation {
    let mut last = Observation::default();
    rig::eventually_async("the cores make something else of it", async || {
        last = observed_of(rig, service, workers).await;
        last.endpoints.first().is_some_and(&is_it)
    })
    .await;
    last
}

#[tokio::test]
async fn an_open_breaker_is_shown_until_it_closes() {
    let rig = rig().await;
    let sick = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_sick = sick.clone();
    let worker = Worker::answering(move |_| {
        if is_sick.load(std::sync::atomic::Ordering::Relaxed) {
            "HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\nbad".to_owned()
        } else {
            ok("well")
        }
    })
    .await;
    rig.offer("w1", &worker.url(), &["s", "t"]);
    let breaker = Breaker { failures: 2, open_ms: 3_600_000, successes: 1, ..Breaker::default() };
    let policy = |breaker| ServicePolicy { breaker: Some(breaker), ..balanced(Balancing::RoundRobin) };
    rig.policy("s", policy(breaker));
    rig.policy("t", policy(Breaker { open_ms: 100, ..breaker }));
    let before = observed(&rig, &["w1"]).await;
    assert_eq!((before.cores_asked, before.endpoints[0].breaker), (0, None), "nobody has asked for it");
    assert!(before.cores >= 1 && before.cores_silent == 0, "{before:?}");
    for path in ["/api/service/s/x", "/api/service/t/x"].repeat(2) {
        assert_eq!(rig.ask(&get(path)).await.status, 500);
    }
    let phase = |phase| move |at: &EndpointObservation| at.breaker.is_some_and(|b| b.phase == phase);
    let open = until(&rig, ("s", &["w1"]), phase(BreakerPhase::Open)).await;
    let shown = open.endpoints[0].breaker.unwrap();
    assert_eq!((shown.cores, shown.cause), (1, OpeningCause::Failures));
    assert_eq!(shown.since_ms + shown.left_ms, 3_600_000, "{shown:?}");
    assert_eq!((open.cores_asked, open.endpoints[0].ejection), (1, None), "the policy ejects nobody");
    // Of the other service's the time is over soon, and it waits for a request.
    let trial = until(&rig, ("t", &["w1"]), phase(BreakerPhase::HalfOpen)).await;
    assert_eq!(trial.endpoints[0].breaker.unwrap().left_ms, 0);
    sick.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(rig.ask(&get("/api/service/t/x")).await.status, 200);
    until(&rig, ("t", &["w1"]), phase(BreakerPhase::Closed)).await;
}

#[tokio::test]
async fn an_ejection_is_shown_with_its_rule_and_its_end_and_so_is_panic() {
    let rig = rig().await;
    let (dead, good) = (Dead::new(), Worker::ok().await);
    rig.offer("w1", &dead.url, &["s"]);
    rig.offer("w2", &good.url(), &["s"]);
    let outlier = Outlier { ejection_ms: 300_000, panic_percent: 0, ..Outlier::default() };
    let policy = |outlier| ServicePolicy { outlier: Some(outlier), ..balanced(Balancing::RoundRobin) };
    rig.policy("s", policy(outlier));
    // One is enough, but the first turn may be the other one's.
    for _ in 0..2 {
        assert_eq!(rig.ask(&put("/api/service/s/x", "it")).await.status, 200);
    }
    let told = until(&rig, ("s", &["w1", "w2"]), |at| at.ejection.is_some()).await;
    let shown = told.endpoints[0].ejection.unwrap();
    assert_eq!((shown.cause, shown.cores), (EjectionCause::ConnectFailures, 1));
    assert!(shown.since_ms + shown.left_ms == 300_000, "{shown:?}");
    assert_eq!((told.endpoints[1].ejection, told.cores_in_panic), (None, 0));
    rig.policy("s", policy(Outlier { panic_percent: 60, ..outlier }));
    // A core heeds a policy with the next request.
    rig.ask(&put("/api/service/s/x", "it")).await;
    assert_eq!(observed(&rig, &["w1"]).await.cores_in_panic, 1, "one of two is less than 60 %");
}

#[tokio::test]
async fn what_is_in_flight_and_a_slow_start_are_shown() {
    let rig = rig().await;
    let first = Worker::ok().await;
    let slow = Worker::scripted(|tcp, _| async move {
        let _open = tcp;
        std::future::pending().await
    })
    .await;
    rig.offer("w1", &first.url(), &["s"]);
    let slow_start = Some(3_600_000);
    let policy = ServicePolicy { slow_start_ms: slow_start, ..balanced(Balancing::LeastConnections) };
    rig.policy("s", policy);
    rig.ask(&get("/api/service/s/x")).await;
    let old = observed(&rig, &["w1"]).await;
    assert_eq!(old.endpoints[0].slow_start_percent, None, "it was there before");
    rig.offer("w2", &slow.url(), &["s"]);
    rig.lease("w1", quorate_model::LeaseEvent::Suspected);
    let mut client = rig.client().await;
    client.send(get("/api/service/s/x").as_bytes()).await.unwrap();
    let told = until(&rig, ("s", &["w2"]), |at| at.in_flight == 1).await;
    // An hour is long: it still has hardly more than the tenth that it began with.
    assert!((10..20).contains(&told.endpoints[0].slow_start_percent.unwrap()), "{told:?}");
}
