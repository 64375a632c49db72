//! A service's policy on a real listener: who is left alone, and what is tried again.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

#[path = "resilience/last_answer.rs"]
mod last_answer;
#[path = "resilience/observed.rs"]
mod observed;
mod rig;
#[path = "resilience/shared.rs"]
mod shared;

use quorate_model::{
    Protocol, ServicePolicy,
    policy::{Backoff, Balancing, Breaker, EndpointLimits, Outlier, Retries, RetryBudget},
};
use quorate_proxy::{Config, Limits};
use rig::{
    Client, PATIENCE, Rig, Worker, config, eventually,
    h2::{Gate, Manner, at_gate, serve, statuses},
    ok,
    service::{Dead, balanced, call, fatal, get, named, put, rig},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::watch, task::JoinSet};

/// They wait no time that a test would notice.
fn retries() -> Retries {
    Retries { backoff: Backoff { initial_ms: 1, max_ms: 1 }, ..Retries::default() }
}

async fn status(status: u16) -> Worker {
    Worker::answering(move |_| format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\nbad")).await
}

/// Answers `slow` once it is told to go on.
async fn slow() -> (Worker, watch::Sender<bool>) {
    let (go, _) = watch::channel(false);
    let told = go.subscribe();
    let worker = Worker::scripted(move |tcp, _| {
        let mut told = told.clone();
        async move {
            let mut client = Client::of(tcp);
            while client.message().await.is_some() {
                told.wait_for(|go| *go).await.unwrap();
                client.send(ok("slow").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (worker, go)
}

#[tokio::test]
async fn an_answer_that_is_listed_is_tried_again_on_another_worker() {
    let rig = rig().await;
    let (bad, good) = (status(503).await, Worker::ok().await);
    rig.offer("bad", &bad.url(), &["s"]);
    rig.offer("good", &good.url(), &["s"]);
    rig.policy("s", ServicePolicy { retries: Some(retries()), ..balanced(Balancing::RoundRobin) });
    let mut client = rig.client().await;
    for _ in 0..6 {
        let answer = client.ask(&put("/api/service/s/x", "the whole body")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
        assert_eq!(good.last().body, b"the whole body");
    }
    // Whose turn it is when: a request that goes on takes a turn too.
    let failed = bad.heard().len();
    assert!((3..=6).contains(&failed) && good.heard().len() == 6, "{failed}");
    assert!(bad.heard().iter().all(|heard| heard.header("X-Quorate-Attempt") == Some("1")));
    let second = good.heard().iter().filter(|heard| heard.header("X-Quorate-Attempt") == Some("2")).count();
    assert_eq!(second, failed);
    rig.until_metric("quorate_proxy_failovers_total", failed as u64).await;
}

#[tokio::test]
async fn the_last_answer_is_passed_on() {
    let rig = rig().await;
    let bad = [status(503).await, status(502).await, status(504).await, status(503).await];
    for (nth, worker) in bad.iter().enumerate() {
        rig.offer(&format!("w{nth}"), &worker.url(), &["s"]);
    }
    let heard = || bad.iter().map(|worker| worker.heard().len()).collect::<Vec<_>>();
    rig.policy(
        "s",
        ServicePolicy { retries: Some(Retries { max: 2, ..retries() }), ..ServicePolicy::default() },
    );
    let answer = rig.ask(&get("/api/service/s/x")).await;
    assert_eq!(answer.body, "bad", "a worker's own answer, {}", answer.status);
    assert_eq!(heard().iter().sum::<usize>(), 3, "the first one and two more");
    assert!(heard().iter().all(|times| *times <= 1), "nobody twice: {:?}", heard());
    rig.until_metric("quorate_proxy_retries_refused_total{reason=\"tried\"}", 1).await;
    // One that is not listed is nobody's business.
    rig.policy(
        "s",
        ServicePolicy { retries: Some(Retries { on: vec![500], ..retries() }), ..ServicePolicy::default() },
    );
    assert_eq!(rig.ask(&get("/api/service/s/x")).await.body, "bad");
    assert_eq!(heard().iter().sum::<usize>(), 4);
}

#[tokio::test]
async fn a_post_is_tried_again_only_where_the_operator_says_so() {
    let rig = rig().await;
    let bad = [status(503).await, status(503).await];
    bad.iter().zip(["w1", "w2"]).for_each(|(worker, id)| rig.offer(id, &worker.url(), &["s"]));
    let heard = || bad.iter().map(|worker| worker.heard().len()).sum::<usize>();
    let post = call("POST", "/api/service/s/x", "Content-Length: 2\r\n") + "hi";
    rig.policy("s", ServicePolicy { retries: Some(retries()), ..ServicePolicy::default() });
    assert_eq!(rig.ask(&post).await.status, 503);
    assert_eq!(heard(), 1);
    rig.until_metric("quorate_proxy_retries_refused_total{reason=\"unrepeatable\"}", 1).await;
    rig.policy(
        "s",
        ServicePolicy {
            retries: Some(Retries { non_idempotent: true, ..retries() }),
            ..ServicePolicy::default()
        },
    );
    assert_eq!(rig.ask(&post).await.status, 503);
    assert_eq!(heard(), 3);
    assert!(bad.iter().all(|worker| worker.last().body == b"hi"), "each gets all of it");
    // Also where the first one dies with it.
    let dying = fatal().await;
    rig.offer("w1", &dying.url(), &["s"]);
    rig.offer("w2", &Worker::ok().await.url(), &["s"]);
    for _ in 0..4 {
        rig.ask(&post).await;
    }
}

/// When everything fails, retries must not make it worse.
#[tokio::test]
async fn the_budget_bounds_what_is_tried_again() {
    let rig = rig().await;
    let bad = [status(503).await, status(503).await];
    bad.iter().zip(["w1", "w2"]).for_each(|(worker, id)| rig.offer(id, &worker.url(), &["s"]));
    let budget = RetryBudget { percent: 20, min_per_second: 0 };
    rig.policy(
        "s",
        ServicePolicy { retries: Some(Retries { budget, ..retries() }), ..ServicePolicy::default() },
    );
    let mut client = rig.client().await;
    for _ in 0..50 {
        assert_eq!(client.ask(&get("/api/service/s/x")).await.status, 503);
    }
    let heard = bad.iter().map(|worker| worker.heard().len()).sum::<usize>();
    // A fifth, if all came within ten seconds; whatever the machine did meanwhile, no more.
    assert!((51..=60).contains(&heard), "{heard}");
    assert!(rig.metric("quorate_proxy_retries_refused_total{reason=\"budget_spent\"}") >= 40);
}

#[tokio::test]
async fn a_breaker_leaves_a_failing_worker_alone_and_tries_it_again() {
    let rig = rig().await;
    let is_well = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let well = is_well.clone();
    let sick = Worker::answering(move |_| match well.load(std::sync::atomic::Ordering::SeqCst) {
        true => ok("well"),
        false => "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n".into(),
    })
    .await;
    let other = Worker::ok().await;
    rig.offer("sick", &sick.url(), &["s"]);
    rig.offer("other", &other.url(), &["s"]);
    let breaker = Breaker { failures: 3, open_ms: 300, successes: 1, trials: 1, shared: false };
    rig.policy("s", ServicePolicy { breaker: Some(breaker), ..balanced(Balancing::RoundRobin) });
    let mut failed = 0;
    for _ in 0..6 {
        failed += u32::from(rig.ask(&get("/api/service/s/x")).await.status == 500);
    }
    assert_eq!((failed, sick.heard().len()), (3, 3));
    rig.until_metric("quorate_proxy_breaker_changes_total{change=\"opened\"}", 1).await;
    is_well.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut client = rig.client().await;
    let mut found = false;
    rig::eventually_async("it is asked again, and well", async || {
        found |= client.ask(&get("/api/service/s/x")).await.body == "well";
        found
    })
    .await;
    rig.until_metric("quorate_proxy_breaker_changes_total{change=\"closed\"}", 1).await;
}

#[tokio::test]
async fn a_call_that_gave_too_little_time_is_no_failure_of_the_worker() {
    let rig = rig().await;
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while let Some(head) = client.head().await {
            if !head.contains("/slow") {
                client.send(ok("well").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    rig.offer("only", &worker.url(), &["s"]);
    let breaker = Breaker { failures: 1, open_ms: 600_000, successes: 1, trials: 1, shared: false };
    rig.policy("s", ServicePolicy { breaker: Some(breaker), ..balanced(Balancing::RoundRobin) });
    let more = "Content-Type: application/grpc\r\nGrpc-Timeout: 100m\r\n";
    let late = rig.ask(&call("GET", "/api/service/s/slow", more)).await;
    assert_eq!(late.header("grpc-status"), Some("4"));
    assert_eq!(rig.ask(&get("/api/service/s/x")).await.body, "well");
}

/// All breakers are open: the request is refused here, at once.
#[tokio::test]
async fn where_all_breakers_are_open_nobody_is_asked() {
    let rig = rig().await;
    let sick = status(500).await;
    rig.offer("sick", &sick.url(), &["s"]);
    let breaker = Breaker { failures: 1, open_ms: 3_600_000, ..Breaker::default() };
    rig.policy("s", ServicePolicy { breaker: Some(breaker), ..ServicePolicy::default() });
    assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 500);
    let answer = rig.ask(&get("/api/service/s/x")).await;
    // As long as a client may be told to wait.
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("60")), "{}", answer.head);
    assert!(answer.body.contains("retry recommended"), "{}", answer.body);
    assert_eq!(sick.heard().len(), 1);
    // Another life of it begins with a clean record.
    rig.offer("sick", &sick.url(), &["s"]);
    assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 500);
}

/// A worker that refuses connections costs the first request an attempt, and the others none.
#[tokio::test]
async fn a_worker_that_is_gone_is_ejected_at_once_and_the_last_one_never() {
    let rig = rig().await;
    let (dead, good) = (Dead::new(), Worker::ok().await);
    rig.offer("dead", &dead.url, &["s"]);
    rig.offer("good", &good.url(), &["s"]);
    let outlier = Outlier { ejection_ms: 3_600_000, ejection_ms_max: 3_600_000, ..Outlier::default() };
    for policy in [balanced(Balancing::RoundRobin), ServicePolicy::default()] {
        rig.policy("s", ServicePolicy { outlier: Some(outlier), ..policy });
        for _ in 0..8 {
            assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 200);
        }
    }
    assert_eq!(rig.metric("quorate_proxy_failovers_total"), 1);
    assert_eq!(rig.metric("quorate_proxy_ejections_total{cause=\"connect_failures\"}"), 1);
    // The other one dies too: nobody is left to take over, so it stays.
    good.die().await;
    assert_ne!(rig.ask(&get("/api/service/s/x")).await.status, 200);
    assert_eq!(rig.metric("quorate_proxy_ejections_total{cause=\"connect_failures\"}"), 1);
}

#[tokio::test]
async fn a_worker_has_no_more_requests_than_it_may_have() {
    let rig = rig().await;
    let hanging = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        client.message().await;
        std::future::pending::<()>().await;
    })
    .await;
    rig.offer("w1", &hanging.url(), &["s"]);
    let limits = EndpointLimits { in_flight_max: Some(1), ..EndpointLimits::default() };
    rig.policy("s", ServicePolicy { limits, ..ServicePolicy::default() });
    let mut first = rig.client().await;
    first.send(get("/api/service/s/x").as_bytes()).await.unwrap();
    eventually("it has one", || rig.in_flight("w1") == 1).await;
    let answer = rig.ask(&get("/api/service/s/x")).await;
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")), "{}", answer.head);
    let other = Worker::ok().await;
    rig.offer("w2", &other.url(), &["s"]);
    for _ in 0..3 {
        assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 200, "another one has room");
    }
}

/// Scenario: three workers under load, and one is killed. What may be repeated must not notice.
#[tokio::test]
async fn a_worker_that_is_killed_under_load_costs_no_idempotent_request() {
    let rig = Arc::new(rig().await);
    let workers = named(&rig, &["w1", "w2", "w3"]).await;
    let (retries, outlier) = (Some(retries()), Some(Outlier::default()));
    rig.policy("s", ServicePolicy { retries, outlier, ..balanced(Balancing::RoundRobin) });
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let rig = rig.clone();
            quorate_rt::spawn(async move {
                let mut client = rig.client().await;
                let mut statuses = BTreeMap::<u16, u32>::new();
                for _ in 0..100 {
                    *statuses.entry(client.ask(&get("/api/service/s/x")).await.status).or_default() += 1;
                }
                statuses
            })
        })
        .collect();
    eventually("they are at it", || workers[0].heard().len() > 20).await;
    workers[0].die().await;
    for client in clients {
        assert_eq!(client.await.unwrap(), [(200, 100)].into());
    }
}

/// One connection to a worker, and one request that may wait for it.
#[tokio::test]
async fn requests_wait_for_a_connection_and_no_more_than_may() {
    let (rig, (slow, go)) = (rig().await, slow().await);
    rig.offer("w1", &slow.url(), &["s"]);
    let limits =
        EndpointLimits { connections_max: Some(1), pending_max: Some(1), ..EndpointLimits::default() };
    rig.policy("s", ServicePolicy { limits, ..ServicePolicy::default() });
    let (mut first, mut second) = (rig.client().await, rig.client().await);
    first.send(get("/api/service/s/x").as_bytes()).await.unwrap();
    eventually("it has one", || slow.connections() == 1).await;
    second.send(get("/api/service/s/x").as_bytes()).await.unwrap();
    eventually("and the next waits", || rig.in_flight("w1") == 2).await;
    let answer = rig.ask(&get("/api/service/s/x")).await;
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")), "{}", answer.body);
    go.send_replace(true);
    for client in [&mut first, &mut second] {
        let answer = client.answer("GET").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "slow"));
    }
    assert_eq!(slow.connections(), 1);
}

/// The same where connections are shared: there may be one, and it takes two requests at once.
#[tokio::test]
async fn requests_wait_for_a_place_on_a_shared_connection_and_no_more_than_may() {
    // Whoever is not refused at once waits for longer than a test does.
    let limits = Limits { worker_waiting_timeout: PATIENCE * 2, ..Limits::default() };
    let (rig, gate) = (Rig::start(Config { limits, ..config() }, Some(12)).await, Gate::new());
    let (manner, handle) = (Manner { streams_max: Some(2), ..Manner::default() }, at_gate(&gate));
    let worker = Worker::scripted(move |tcp, nth| serve(tcp, nth, manner, handle.clone())).await;
    rig.offer("w1", &worker.url(), &["s"]);
    let policy = |connections_max, pending_max| ServicePolicy {
        protocol: Some(Protocol::H2c),
        limits: EndpointLimits { connections_max, pending_max, ..EndpointLimits::default() },
        ..ServicePolicy::default()
    };
    rig.policy("s", policy(Some(1), Some(1)));
    let one = || {
        let addr = rig.addr;
        async move { Client::connect(addr).await.ask(&get("/api/service/s/x")).await }
    };
    let mut asked = JoinSet::new();
    for nth in 1..=3 {
        asked.spawn(one());
        eventually("it is there", || rig.in_flight("w1") == nth && gate.came() as u64 == nth.min(2)).await;
    }
    let full = one().await;
    assert_eq!((full.status, full.header("Retry-After")), (503, Some("1")), "{}", full.body);
    assert_eq!((gate.came(), worker.connections()), (2, 1));
    // There may be another one: whoever comes has it opened, and whoever waits gets a place on it too.
    rig.policy("s", policy(Some(2), Some(1)));
    asked.spawn(one());
    eventually("all are asked", || gate.came() == 4).await;
    gate.open();
    assert_eq!(statuses(asked).await, [200; 4]);
    assert_eq!(worker.connections(), 2);
}
