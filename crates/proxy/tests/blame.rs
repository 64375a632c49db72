//! Whose fault a failure was: what of a worker's doings counts against it, and what does not.

mod rig;

use h2::Reason;
use quorate_model::{
    Protocol, ServicePolicy,
    policy::{Backoff, Balancing, Breaker, Outlier, Retries},
};
use quorate_rt::time::timeout;
use rig::{
    PATIENCE, Rig, Worker, config,
    h2::{Call, Manner, serve},
    ok,
    service::{balanced, call, get, put},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const OPENED: &str = "quorate_proxy_breaker_changes_total{change=\"opened\"}";
const HOUR_MS: u32 = 3_600_000;

/// How a worker that speaks HTTP/2 fails a request.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// It resets its stream.
    Reset,
    /// It closes the connection.
    Closed,
    /// It says that it has not looked at it.
    Refused,
}

/// Fails each call. Counts them.
async fn failing(death: Death) -> (Worker, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let worker = Worker::scripted(move |tcp, nth| {
        let calls = counted.clone();
        async move {
            let reset = |reason| {
                let calls = calls.clone();
                move |mut call: Call| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    async move { call.respond.send_reset(reason) }
                }
            };
            match death {
                Death::Reset => serve(tcp, nth, Manner::default(), reset(Reason::INTERNAL_ERROR)).await,
                Death::Refused => serve(tcp, nth, Manner::default(), reset(Reason::REFUSED_STREAM)).await,
                Death::Closed => {
                    let Ok(mut connection) = h2::server::handshake(tcp).await else { return };
                    let held = connection.accept().await;
                    calls.fetch_add(usize::from(held.is_some()), Ordering::SeqCst);
                }
            }
        }
    })
    .await;
    (worker, calls)
}

async fn well() -> Worker {
    Worker::scripted(|tcp, nth| {
        serve(tcp, nth, Manner::default(), |mut call| async move { call.answer("ok") })
    })
    .await
}

/// A rig with a worker that fails so and one that does not, and how often the first was asked in the end.
async fn asked(death: Death, policy: ServicePolicy) -> (Rig, usize) {
    let rig = Rig::start(config(), Some(12)).await;
    let ((sick, calls), good) = (failing(death).await, well().await);
    rig.offer("sick", &sick.url(), &["s"]);
    rig.offer("good", &good.url(), &["s"]);
    let retries = Retries { backoff: Backoff { initial_ms: 1, max_ms: 1 }, ..Retries::default() };
    rig.policy(
        "s",
        ServicePolicy {
            protocol: Some(Protocol::H2c),
            retries: Some(retries),
            balancing: Some(Balancing::RoundRobin),
            ..policy
        },
    );
    let mut client = rig.client().await;
    for _ in 0..20 {
        let answer = client.ask(&get("/api/service/s/x")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{death:?}: the other one has it");
    }
    (rig, calls.load(Ordering::SeqCst))
}

#[tokio::test]
async fn the_breaker_hears_of_deaths_in_http2() {
    for death in [Death::Reset, Death::Closed] {
        let breaker = Breaker { failures: 3, open_ms: HOUR_MS, ..Breaker::default() };
        let policy = ServicePolicy { breaker: Some(breaker), ..ServicePolicy::default() };
        let (rig, calls) = asked(death, policy).await;
        assert_eq!((calls, rig.metric(OPENED)), (3, 1), "{death:?}");
    }
}

#[tokio::test]
async fn ejection_hears_of_deaths_in_http2() {
    for death in [Death::Reset, Death::Closed] {
        let outlier =
            Outlier { failures: 3, ejection_ms: HOUR_MS, ejection_ms_max: HOUR_MS, ..Outlier::default() };
        let policy = ServicePolicy { outlier: Some(outlier), ..ServicePolicy::default() };
        let (rig, calls) = asked(death, policy).await;
        assert_eq!(calls, 3, "{death:?}");
        let ejected =
            |cause: &str| rig.metric(&format!("quorate_proxy_ejections_total{{cause=\"{cause}\"}}"));
        assert_eq!(ejected("gateway_errors") + ejected("errors"), 1, "{death:?}");
    }
}

/// It has enough for now, and is well.
#[tokio::test]
async fn a_refused_stream_is_no_failure() {
    let breaker = Breaker { failures: 1, open_ms: HOUR_MS, ..Breaker::default() };
    let policy = ServicePolicy { breaker: Some(breaker), ..ServicePolicy::default() };
    let (rig, calls) = asked(Death::Refused, policy).await;
    assert!(calls >= 10, "{calls}");
    assert_eq!(rig.metric(OPENED), 0);
}

/// The request's time is over because the client sends nothing more of it: the worker has waited too.
#[tokio::test]
async fn an_upload_that_its_client_stalls_is_not_the_workers_fault() {
    let http1 =
        Worker::answering(|heard| ok(if heard.line().starts_with("PUT") { "whole" } else { "ok" })).await;
    let echo = |mut call: Call| async move {
        let (body, _) = call.body().await;
        call.answer(if body.is_empty() { "ok" } else { "whole" });
    };
    let http2 = Worker::scripted(move |tcp, nth| serve(tcp, nth, Manner::default(), echo)).await;
    for (worker, protocol) in [(http1, Protocol::Http1), (http2, Protocol::H2c)] {
        let mut config = config();
        config.request_timeout = Duration::from_millis(400);
        let rig = Rig::start(config, Some(12)).await;
        rig.offer("only", &worker.url(), &["s"]);
        let breaker = Breaker { failures: 1, open_ms: HOUR_MS, ..Breaker::default() };
        let policy = ServicePolicy { protocol: Some(protocol), ..balanced(Balancing::RoundRobin) };
        rig.policy("s", ServicePolicy { breaker: Some(breaker), ..policy });
        for method in ["PUT", "POST"] {
            let mut client = rig.client().await;
            let stalled = call(method, "/api/service/s/x", "Content-Length: 10\r\n") + "some";
            client.send(stalled.as_bytes()).await.unwrap();
            let answer = timeout(PATIENCE, client.answer(method)).await.expect("in time");
            assert!(answer.status >= 500, "{protocol:?} {method}: {}", answer.head);
        }
        assert_eq!(rig.metric("quorate_proxy_requests_total{outcome=\"timeout\"}"), 2, "{protocol:?}");
        assert_eq!(rig.metric(OPENED), 0, "{protocol:?}");
        let answer = rig.ask(&get("/api/service/s/x")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{protocol:?}");
        assert_eq!(rig.ask(&put("/api/service/s/x", "more")).await.body, "whole", "{protocol:?}");
    }
}
