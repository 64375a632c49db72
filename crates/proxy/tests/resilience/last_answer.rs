//! A bad answer was worth another attempt, and that one brings none: what the client gets.

use super::*;
use quorate_model::{Command, WorkerId, route::Forwarding};
use rig::route::{by, forward, put_route, to_url};
use std::{sync::atomic::AtomicBool, time::Duration};

/// Larger than what comes with the head.
const LARGE: usize = 1 << 20;

/// Says that it can't, at length, with a header of its own.
async fn sorry(body: String) -> Worker {
    Worker::answering(move |_| {
        format!("HTTP/1.1 503 X\r\nX-Why: full\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    })
    .await
}

fn in_turn() -> ServicePolicy {
    // Enough for all of a test's requests.
    let budget = RetryBudget { percent: 100, min_per_second: 100 };
    let retries = Some(Retries { budget, ..retries() });
    ServicePolicy { retries, ..balanced(Balancing::RoundRobin) }
}

/// Nearly always asked first.
fn prefer(rig: &rig::Rig, first: &str) {
    for id in ["bad", "other"] {
        let weight = Some(if id == first { 1_000_000 } else { 1 });
        rig.apply(Command::SetWeight { id: WorkerId::parse(id).expect("an id"), weight, if_index: None });
    }
}

/// Scenario: one worker answers 503 with its reason, the only other one refuses, dies or hangs. The client got our own
/// 502 or 503 in place of the reason, since the answer was given up for the attempt.
async fn check(other: &str, body: &str) {
    let rig = rig().await;
    let bad = sorry(body.to_owned()).await;
    rig.offer("bad", &bad.url(), &["s"]);
    rig.offer("other", other, &["s"]);
    rig.policy("s", in_turn());
    for first in ["bad", "other"] {
        prefer(&rig, first);
        for request in [get("/api/service/s/x"), put("/api/service/s/x", "all of it")] {
            for nth in 1..=2 {
                let answer = rig.ask(&request).await;
                let (said, why) = (answer.status, answer.header("X-Why"));
                assert_eq!((said, why), (503, Some("full")), "{first} first, {nth}: {}", answer.head);
                assert!(answer.body == body, "{} of {} bytes", answer.body.len(), body.len());
            }
        }
    }
    let heard = bad.heard();
    let was_first = |nth: usize| heard[nth].header("X-Quorate-Attempt") == Some("1");
    assert!((0..4).all(was_first), "it was asked first");
    // A turn or two are still what they were.
    assert!(!was_first(7), "and then second");
    assert_eq!(bad.heard().len(), 8, "each request once");
    rig::eventually("nothing of it is under way", || rig.in_flight("bad") == 0).await;
}

#[tokio::test]
async fn the_last_answer_stands_where_the_next_worker_refuses() {
    let dead = Dead::new();
    check(&dead.url, "busy").await;
    check(&dead.url, "").await;
    check(&dead.url, &"long ".repeat(LARGE / 5)).await;
}

#[tokio::test]
async fn the_last_answer_stands_where_the_next_worker_dies() {
    check(&fatal().await.url(), "busy").await;
}

#[tokio::test]
async fn the_last_answer_stands_where_the_next_worker_hangs() {
    let hanging = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        client.message().await;
        std::future::pending::<()>().await;
    })
    .await;
    // It takes all the time that the request has left.
    let rig = rig().await;
    let bad = sorry("busy".into()).await;
    put_route(&rig, "r", {
        let timeouts = quorate_model::route::Timeouts { total_ms: Some(3_000), ..Default::default() };
        let destinations = vec![to_url(&bad.url(), 999_999), to_url(&hanging.url(), 1)];
        by("/", Forwarding { retries: in_turn().retries, timeouts, ..forward(destinations) })
    });
    let answer = rig.ask(&get("/x")).await;
    assert_eq!((answer.status, answer.body.as_str(), hanging.connections()), (503, "busy", 1));
}

/// The same of a route's own addresses, with what the route says of answers.
#[tokio::test]
async fn the_last_answer_stands_where_a_routes_next_address_refuses() {
    let (rig, dead, bad) = (rig().await, Dead::new(), sorry("busy".into()).await);
    let destinations = vec![to_url(&bad.url(), 1), to_url(&dead.url, 1)];
    let mut forwarding = Forwarding { retries: in_turn().retries, ..forward(destinations) };
    forwarding.response_headers.remove = vec!["x-why".into()];
    put_route(&rig, "r", by("/", forwarding));
    for _ in 0..8 {
        let answer = rig.ask(&get("/x")).await;
        assert_eq!((answer.status, answer.body.as_str(), answer.header("X-Why")), (503, "busy", None));
    }
}

/// What is held costs no connection where it came whole, and none is left over where it did not.
#[tokio::test]
async fn a_better_answer_takes_the_place_of_the_held_one() {
    let rig = rig().await;
    let (small, good) = (sorry("busy".into()).await, Worker::ok().await);
    rig.offer("bad", &small.url(), &["s"]);
    rig.offer("good", &good.url(), &["s"]);
    rig.policy("s", in_turn());
    let mut client = rig.client().await;
    for _ in 0..8 {
        assert_eq!(client.ask(&get("/api/service/s/x")).await.body, "ok");
    }
    let (heard, opened) = (small.heard().len(), small.connections());
    assert!(heard >= 2 && opened < heard, "{opened} connections for {heard} requests");
    let large = sorry("long ".repeat(LARGE / 5)).await;
    rig.offer("bad", &large.url(), &["s"]);
    for _ in 0..8 {
        assert_eq!(client.ask(&get("/api/service/s/x")).await.body, "ok");
    }
    assert!(!large.heard().is_empty());
    eventually("its connections are given up", || rig.in_flight("bad") == 0).await;
}

/// Two requests, each with the connection that the other one waits for, would wait for nothing.
#[tokio::test]
async fn whoever_waits_in_line_keeps_no_other_workers_connection() {
    let (rig, (slow, go)) = (rig().await, slow().await);
    let let_go = Arc::new(AtomicBool::new(false));
    let noted = let_go.clone();
    // Begins a long answer, and sees its connection end.
    let bad = Worker::scripted(move |tcp, _| {
        let noted = noted.clone();
        async move {
            let mut client = Client::of(tcp);
            client.message().await;
            client.send(b"HTTP/1.1 503 X\r\nContent-Length: 1000000\r\n\r\nbusy").await.unwrap();
            assert!(client.message().await.is_none());
            noted.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    })
    .await;
    let limits = EndpointLimits { connections_max: Some(1), ..EndpointLimits::default() };
    rig.offer("slow", &slow.url(), &["s"]);
    rig.policy("s", ServicePolicy { limits, balancing: Some(Balancing::LeastConnections), ..in_turn() });
    let (mut first, mut second) = (rig.client().await, rig.client().await);
    first.send(get("/api/service/s/x").as_bytes()).await.unwrap();
    eventually("the only connection is taken", || slow.connections() == 1).await;
    rig.offer("bad", &bad.url(), &["s"]);
    second.send(get("/api/service/s/x").as_bytes()).await.unwrap();
    eventually("it is let go", || let_go.load(std::sync::atomic::Ordering::SeqCst)).await;
    assert_eq!(rig.in_flight("slow"), 2, "it waits there");
    go.send_replace(true);
    for client in [&mut first, &mut second] {
        let answer = quorate_rt::time::timeout(Duration::from_secs(30), client.answer("GET")).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "slow"));
    }
}
