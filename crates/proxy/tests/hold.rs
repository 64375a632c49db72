//! Requests that wait for the next owner instead of failing.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use quorate_model::{
    Command, Duty, Epoch, Hold, KeyspaceName, KeyspaceSource, LeaseChange, LeaseEvent, PartitionCount,
    ServicePolicy, WorkerId,
    policy::{Backoff, Retries, RetryBudget},
};
use quorate_rt::time::{Instant, sleep, timeout};
use rig::{Client, PATIENCE, Rig, Worker, config, eventually, get};
use std::time::Duration;

const OPEN: &str = "quorate_proxy_holds_open";

fn ended(how: &str) -> String {
    format!("quorate_proxy_holds_total{{end=\"{how}\"}}")
}

fn hold(seconds: u64, waiting_max: u32) -> Hold {
    Hold::new(Duration::from_secs(seconds), waiting_max).unwrap()
}

fn hold_partitions(rig: &Rig, hold: Option<Hold>) {
    rig.apply(Command::PutKeyspace {
        name: KeyspaceName::default(),
        partitions: PartitionCount::new(12).ok(),
        source: KeyspaceSource::Static,
        hold,
        if_index: None,
    });
}

fn hold_service(rig: &Rig, hold: Hold) {
    rig.policy("s", ServicePolicy::new(Some(hold), None).unwrap());
}

const SERVICE: &str = "GET /api/service/s/x HTTP/1.1\r\nHost: r\r\n\r\n";

/// A client whose request waits.
async fn waiting(rig: &Rig, request: &str, others: u64) -> Client {
    let mut client = rig.client().await;
    client.send(request.as_bytes()).await.unwrap();
    eventually("it waits", || rig.metric(OPEN) == others + 1).await;
    client
}

async fn answer(client: &mut Client) -> rig::Answer {
    timeout(PATIENCE, client.answer("GET")).await.expect("an answer in time")
}

/// A rig with workers `w1` (owns all partitions) and `s1` (offers the service), and what replaces them.
async fn rig() -> (Rig, Worker) {
    let worker = Worker::ok().await;
    let rig = Rig::start(config(), Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    rig.offer("s1", &worker.url(), &["s"]);
    (rig, worker)
}

#[tokio::test]
async fn a_request_waits_for_the_next_owner_of_its_partition() {
    let (rig, worker) = rig().await;
    hold_partitions(&rig, Some(hold(10, 10)));
    rig.lease("w1", LeaseEvent::Expired);
    let mut a = waiting(&rig, &get("/a", ""), 0).await;
    // Its body stays where it is until there is somebody to send it to.
    let post = get("/b", "Content-Length: 6\r\n").replace("GET", "POST") + "abc";
    let mut b = waiting(&rig, &post, 1).await;
    // Another View without an owner changes nothing.
    rig.register("elsewhere", &worker.url(), 12..13);
    assert!(worker.heard().is_empty());
    rig.register("w2", &worker.url(), 0..12);
    assert_eq!(answer(&mut a).await.status, 200);
    b.send(b"def").await.unwrap();
    assert_eq!(answer(&mut b).await.status, 200);
    assert!(worker.heard().iter().any(|heard| heard.body == b"abcdef"));
    assert_eq!((rig.metric(OPEN), rig.metric(&ended("served"))), (0, 2));
    // The connection goes on as if nothing had been.
    assert_eq!(a.ask(&get("/a", "")).await.status, 200);
}

#[tokio::test]
async fn a_request_waits_for_the_next_worker_of_its_service() {
    let (rig, worker) = rig().await;
    hold_service(&rig, hold(10, 10));
    rig.duty("s1", Duty::Draining);
    let mut waits = waiting(&rig, SERVICE, 0).await;
    rig.duty("s1", Duty::InService);
    assert_eq!(answer(&mut waits).await.status, 200);
    rig.lease("s1", LeaseEvent::Expired);
    let mut waits = waiting(&rig, SERVICE, 0).await;
    rig.offer("s2", &worker.url(), &["s"]);
    assert_eq!(answer(&mut waits).await.status, 200);
    assert_eq!(rig.metric(&ended("served")), 2);
}

/// Loses the worker, and asks until the request has waited: on a machine that stands still for a moment the worker
/// may have gone too long ago by the time that the request arrives.
async fn in_vain(rig: &Rig, worker: &str, request: &str) -> rig::Answer {
    let before = rig.metric(&ended("in_vain"));
    for _ in 0..20 {
        rig.lease(worker, LeaseEvent::Expired);
        let began = Instant::now();
        let answer = rig.ask(request).await;
        if rig.metric(&ended("in_vain")) > before {
            // A core that was late with its clock when the wait began ends it that much sooner.
            assert!(began.elapsed() >= Duration::from_millis(250), "it waits: {:?}", began.elapsed());
            return answer;
        }
        rig.lease(worker, LeaseEvent::Revived);
    }
    panic!("no request has waited")
}

#[tokio::test]
async fn a_wait_in_vain_ends_with_the_answer_that_there_was() {
    let (rig, worker) = rig().await;
    hold_partitions(&rig, Some(hold(1, 10)));
    hold_service(&rig, hold(1, 10));
    let a = in_vain(&rig, "w1", &get("/a", "")).await;
    assert!(a.status == 503 && a.body.starts_with(r#"{"error":"No worker available""#), "{}", a.body);
    let b = in_vain(&rig, "s1", SERVICE).await;
    assert!(b.status == 503 && b.body.starts_with(r#"{"error":"No healthy workers"#), "{}", b.body);
    assert_eq!((rig.metric(OPEN), rig.metric(&ended("in_vain"))), (0, 2));
    // Then the owners went too long ago, and nobody begins to wait. Ages are counted in tenths of a second.
    sleep(Duration::from_millis(600)).await;
    assert_eq!((rig.ask(&get("/a", "")).await.status, rig.ask(SERVICE).await.status), (503, 503));
    assert_eq!(rig.metric(&ended("in_vain")), 2);
    assert!(worker.heard().is_empty());
}

#[tokio::test]
async fn beyond_the_bound_requests_fail_at_once() {
    let (rig, worker) = rig().await;
    hold_service(&rig, hold(10, 2));
    rig.lease("s1", LeaseEvent::Expired);
    let mut first = waiting(&rig, SERVICE, 0).await;
    let second = waiting(&rig, SERVICE, 1).await;
    assert_eq!(rig.ask(SERVICE).await.status, 503);
    assert_eq!(rig.metric(&ended("turned_away")), 1);
    // A client that leaves makes room.
    drop(second);
    rig.until_metric(&ended("abandoned"), 1).await;
    let mut third = waiting(&rig, SERVICE, 1).await;
    rig.offer("s2", &worker.url(), &["s"]);
    assert_eq!((answer(&mut first).await.status, answer(&mut third).await.status), (200, 200));
    assert_eq!(rig.metric(OPEN), 0);
}

#[tokio::test]
async fn nobody_waits_unless_told_to_and_for_nobody() {
    let (rig, _worker) = rig().await;
    rig.lease("w1", LeaseEvent::Expired);
    rig.lease("s1", LeaseEvent::Expired);
    assert_eq!((rig.ask(&get("/a", "")).await.status, rig.ask(SERVICE).await.status), (503, 503));
    // Who was taken offline is not waited for.
    hold_partitions(&rig, Some(hold(10, 10)));
    hold_service(&rig, hold(10, 10));
    rig.duty("w1", Duty::Offline);
    rig.duty("s1", Duty::Offline);
    assert_eq!((rig.ask(&get("/a", "")).await.status, rig.ask(SERVICE).await.status), (503, 503));
    // A service that never had a worker.
    rig.policy("new", ServicePolicy::new(Some(hold(10, 10)), None).unwrap());
    assert_eq!(rig.ask(&SERVICE.replace("/s/", "/new/")).await.status, 503);
    for how in ["served", "in_vain", "turned_away", "abandoned"] {
        assert_eq!(rig.metric(&ended(how)), 0, "{how}");
    }
}

/// An operator's new decision is for those who wait already, too.
#[tokio::test]
async fn who_waits_is_told_when_there_is_nothing_to_wait_for() {
    let (rig, _worker) = rig().await;
    hold_partitions(&rig, Some(hold(10, 10)));
    hold_service(&rig, hold(10, 10));
    rig.duty("w1", Duty::Draining);
    rig.duty("s1", Duty::Draining);
    let began = Instant::now();
    let (mut a, mut b) = (waiting(&rig, &get("/a", ""), 0).await, waiting(&rig, SERVICE, 1).await);
    hold_partitions(&rig, None);
    rig.duty("s1", Duty::Offline);
    assert_eq!((answer(&mut a).await.status, answer(&mut b).await.status), (503, 503));
    assert!(began.elapsed() < Duration::from_secs(9), "not after all of the wait: {:?}", began.elapsed());
    assert_eq!(rig.metric(&ended("in_vain")), 2);
}

/// Whoever waits is decided twice and is one request: half of two may be repeated, whether they waited or not.
#[tokio::test]
async fn a_request_that_waits_adds_to_the_budget_once() {
    let (rig, _) = rig().await;
    rig.lease("s1", LeaseEvent::Expired);
    let bad = Worker::answering(|_| "HTTP/1.1 503 X\r\nContent-Length: 3\r\n\r\nbad".into()).await;
    rig.offer("b1", &bad.url(), &["s"]);
    rig.offer("b2", &bad.url(), &["s"]);
    let retries = Retries {
        budget: RetryBudget { percent: 50, min_per_second: 0 },
        backoff: Backoff { initial_ms: 1, max_ms: 1 },
        ..Retries::default()
    };
    let held = ServicePolicy::new(Some(hold(10, 10)), None).unwrap();
    rig.policy("s", ServicePolicy { retries: Some(retries), ..held });
    let both = |event| {
        let change =
            |id| LeaseChange { id: WorkerId::parse(id).unwrap(), epoch: Epoch(rig.epoch(id)), event };
        Command::ChangeLeases(["b1", "b2"].map(change).into())
    };
    rig.apply(both(LeaseEvent::Expired));
    let mut clients = [waiting(&rig, SERVICE, 0).await, waiting(&rig, SERVICE, 1).await];
    rig.apply(both(LeaseEvent::Revived));
    for client in &mut clients {
        assert_eq!(answer(client).await.body, "bad");
    }
    assert_eq!(bad.heard().len(), 3, "two requests and one that was repeated");
    assert_eq!(rig.metric("quorate_proxy_retries_refused_total{reason=\"budget_spent\"}"), 2, "both end so");
}
