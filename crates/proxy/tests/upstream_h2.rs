//! Workers that speak HTTP/2: few connections, many requests.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use h2::Reason;
use quorate_model::{Protocol, ServicePolicy};
use quorate_proxy::Limits;
use quorate_rt::time::timeout;
use rig::{
    Client, PATIENCE, Worker,
    authority::Authority,
    eventually, get,
    h2::{Call, Gate, Manner, Pair, ask_at_once, at_gate, by_tls, post, serve, statuses},
    ok, service,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

#[tokio::test]
async fn many_requests_share_one_connection() {
    let gate = Gate::new();
    let pair = Pair::serving(Limits::default(), Manner::default(), at_gate(&gate)).await;
    let asked = ask_at_once(&pair.rig, 60, &get("/x", ""));
    // All of them are at the worker at once, though none was there when the first came.
    eventually("all are asked", || gate.came() == 60).await;
    gate.open();
    assert_eq!(statuses(asked).await, [200; 60]);
    assert_eq!(pair.worker.connections(), 1);
    pair.rig.until_metric("quorate_proxy_upstream_connections_total{use=\"opened\"}", 1).await;
}

#[tokio::test]
async fn the_worker_s_own_limit_is_kept_by_another_connection() {
    let gate = Gate::new();
    let manner = Manner { streams_max: Some(4), ..Manner::default() };
    let pair = Pair::serving(Limits::default(), manner, at_gate(&gate)).await;
    let asked = ask_at_once(&pair.rig, 10, &get("/x", ""));
    eventually("all are asked", || gate.came() == 10).await;
    gate.open();
    assert_eq!(statuses(asked).await, [200; 10]);
    assert_eq!(pair.worker.connections(), 3, "4 + 4 + 2; a worker that is asked for more refuses");
}

#[tokio::test]
async fn what_has_no_place_waits_and_beyond_that_is_refused() {
    let gate = Gate::new();
    let limits = Limits {
        worker_h2_connections_max: 1,
        worker_h2_streams_max: 2,
        worker_waiting_max: 1,
        worker_waiting_timeout: PATIENCE * 2,
        ..Limits::default()
    };
    let pair = Pair::serving(limits, Manner::default(), at_gate(&gate)).await;
    let (mut asked, addr) = (JoinSet::new(), pair.rig.addr);
    for (nth, reaches) in [(1, 1), (2, 2), (3, 2), (4, 2)] {
        asked.spawn(async move { Client::connect(addr).await.ask(&get("/x", "")).await });
        eventually(&format!("{nth} asked"), || gate.came() == reaches).await;
    }
    // One of the two waits, the other one is answered, though the gate is closed.
    let full = asked.join_next().await.unwrap().unwrap();
    assert_eq!(full.status, 503);
    assert!(full.body.contains("1 requests wait already"), "{}", full.body);
    assert_eq!(gate.came(), 2);
    gate.open();
    assert_eq!(statuses(asked).await, [200; 3]);
    assert_eq!((gate.came(), pair.worker.connections()), (3, 1));
}

#[tokio::test]
async fn nobody_waits_for_a_place_longer_than_allowed() {
    let gate = Gate::new();
    let limits = Limits {
        worker_h2_connections_max: 1,
        worker_h2_streams_max: 1,
        worker_waiting_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let pair = Pair::serving(limits, Manner::default(), at_gate(&gate)).await;
    let first = ask_at_once(&pair.rig, 1, &get("/x", ""));
    eventually("the place is taken", || gate.came() == 1).await;
    let late = pair.rig.ask(&get("/x", "")).await;
    assert_eq!(late.status, 503);
    assert!(late.body.contains("no room on its connections within 100ms"), "{}", late.body);
    gate.open();
    assert_eq!(statuses(first).await, [200]);
}

/// A client that goes away while somebody dials for him takes neither the dial nor those who wait with him.
#[tokio::test]
async fn who_waits_does_not_depend_on_who_came_first() {
    let gate = Gate::new();
    let authority = Authority::new();
    let accepted = gate.clone();
    let worker = by_tls(&authority, &["h2"], move |io, nth| {
        let accepted = accepted.clone();
        async move {
            accepted.pass().await;
            serve(io, nth, Manner::default(), |mut call| async move { call.answer("ok") }).await;
        }
    })
    .await;
    let pair = Pair::of(worker, &authority, Limits::default()).await;
    let mut first = pair.rig.client().await;
    first.send(get("/x", "").as_bytes()).await.unwrap();
    eventually("it is dialled", || gate.came() == 1).await;
    let others = ask_at_once(&pair.rig, 3, &get("/x", ""));
    drop(first);
    pair.rig.until_metric("quorate_proxy_requests_total{outcome=\"abandoned\"}", 1).await;
    gate.open();
    assert_eq!(statuses(others).await, [200; 3]);
    assert_eq!(pair.worker.connections(), 1);
}

#[tokio::test]
async fn a_worker_that_leaves_again_and_again_loses_no_request() {
    let manner = Manner { leaves_after: Some(7), ..Manner::default() };
    let pair = Pair::serving(Limits::default(), manner, |mut call: Call| async move {
        let (body, _) = call.body().await;
        call.answer(body);
    })
    .await;
    let mut clients = JoinSet::new();
    for client in 0..6 {
        let addr = pair.rig.addr;
        clients.spawn(async move {
            let mut asking = Client::connect(addr).await;
            for nth in 0..50 {
                let text = format!("{client}/{nth}");
                let answer = asking.ask(&post(&text)).await;
                assert_eq!((answer.status, answer.body), (200, text));
            }
        });
    }
    clients.join_all().await;
    assert!(pair.worker.connections() >= 300 / 20, "{}", pair.worker.connections());
}

/// Reads HTTP/2's frames by hand, and answers the first HEADERS by a GOAWAY that says that no request was looked at.
#[tokio::test]
async fn what_a_goodbye_says_was_not_looked_at_is_sent_again() {
    let pair = Pair::scripted(Limits::default(), |mut io, nth| async move {
        if nth > 0 {
            let echo = |mut call: Call| async move {
                let (body, _) = call.body().await;
                call.answer(body);
            };
            return serve(io, nth, Manner::default(), echo).await;
        }
        io.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        io.flush().await.unwrap();
        io.read_exact(&mut [0; 24]).await.unwrap();
        loop {
            let mut head = [0; 9];
            io.read_exact(&mut head).await.unwrap();
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            io.read_exact(&mut vec![0; length]).await.unwrap();
            if head[3] == 1 {
                break;
            }
        }
        io.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
        io.flush().await.unwrap();
        // It stays, so that it is the GOAWAY that is understood, not the end.
        std::future::pending().await
    })
    .await;
    let answer = pair.rig.ask(&post("not idempotent")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "not idempotent"));
    assert_eq!(pair.worker.connections(), 2);
}

#[tokio::test]
async fn a_refused_request_is_sent_again_whatever_its_method() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let pair = Pair::serving(Limits::default(), Manner::default(), move |mut call: Call| {
        let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let (body, _) = call.body().await;
            if is_first {
                call.respond.send_reset(Reason::REFUSED_STREAM);
            } else {
                call.answer(body);
            }
        }
    })
    .await;
    let answer = pair.rig.ask(&post("not idempotent")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "not idempotent"));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// Answers nothing on its first connection: ends it with the first request in its hands.
async fn dying() -> Pair {
    Pair::scripted(Limits::default(), |io, nth| async move {
        if nth > 0 {
            return serve(io, nth, Manner::default(), |mut call| async move { call.answer("ok") }).await;
        }
        let mut connection = h2::server::handshake(io).await.unwrap();
        connection.accept().await.unwrap().unwrap();
    })
    .await
}

#[tokio::test]
async fn what_may_have_arrived_is_sent_again_only_if_idempotent() {
    let pair = dying().await;
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200);
    assert_eq!(pair.worker.connections(), 2);
    let pair = dying().await;
    assert_eq!(pair.rig.ask(&post("once")).await.status, 503);
    assert_eq!(pair.worker.connections(), 1, "it could have been done twice");
}

/// A machine that is gone says nothing: only the PING without an answer tells.
#[tokio::test]
async fn a_connection_without_a_sign_of_life_is_given_up() {
    let limits = Limits {
        worker_ping_interval: Duration::from_millis(300),
        worker_ping_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let pair = Pair::scripted(limits, |io, nth| async move {
        if nth > 0 {
            return serve(io, nth, Manner::default(), |mut call| async move { call.answer("ok") }).await;
        }
        let mut connection = h2::server::handshake(io).await.unwrap();
        let held = connection.accept().await.unwrap().unwrap();
        // Nobody reads or writes any more.
        std::future::pending::<()>().await;
        drop(held);
    })
    .await;
    // The request's own time would be longer than the test waits.
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200);
    assert_eq!(pair.worker.connections(), 2);
}

#[tokio::test]
async fn a_slow_answer_is_no_death() {
    let limits = Limits {
        worker_ping_interval: Duration::from_millis(100),
        worker_ping_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let pair = Pair::serving(limits, Manner::default(), |mut call: Call| async move {
        quorate_rt::time::sleep(Duration::from_secs(4)).await;
        call.answer("at last");
    })
    .await;
    assert_eq!(pair.rig.ask(&post("x")).await.body, "at last");
    assert_eq!(pair.worker.connections(), 1);
}

#[tokio::test]
async fn an_unused_connection_is_closed() {
    let limits = Limits { pool_idle: Duration::from_millis(500), ..Limits::default() };
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let pair = Pair::scripted(limits, move |io, nth| {
        let count = count.clone();
        async move {
            serve(io, nth, Manner::default(), |mut call| async move { call.answer("ok") }).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200);
    eventually("it is closed", || ended.load(Ordering::SeqCst) == 1).await;
    assert_eq!(pair.rig.ask(&get("/x", "")).await.status, 200, "and dialled anew");
}

#[tokio::test]
async fn a_worker_that_can_not_be_reached_is_told_to_all_who_wait() {
    let authority = Authority::new();
    let worker = by_tls(&authority, &["h2"], |_, _| async {}).await;
    let pair = Pair::of(worker, &authority, Limits::default()).await;
    // It accepts, shakes hands and closes: whoever waits is told, and not one after the other.
    let refused = statuses(ask_at_once(&pair.rig, 20, &get("/x", ""))).await;
    assert_eq!(refused, [503; 20]);
    pair.worker.die().await;
    assert_eq!(statuses(ask_at_once(&pair.rig, 20, &get("/x", ""))).await, [503; 20]);
}

/// The worker chooses HTTP/1.1 in the handshake: then it is spoken to in that, and its connections are kept.
#[tokio::test]
async fn a_worker_that_chooses_http1_gets_it() {
    let authority = Authority::new();
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    let worker = by_tls(&authority, &["http/1.1"], move |mut io, _| {
        let count = count.clone();
        async move {
            let mut request = Vec::new();
            while let Ok(1..) = io.read_buf(&mut request).await {
                if request.ends_with(b"\r\n\r\n") {
                    request.clear();
                    count.fetch_add(1, Ordering::SeqCst);
                    io.write_all(ok("ok").as_bytes()).await.unwrap();
                    io.flush().await.unwrap();
                }
            }
        }
    })
    .await;
    let pair = Pair::of(worker, &authority, Limits::default()).await;
    assert_eq!(statuses(ask_at_once(&pair.rig, 10, &get("/x", ""))).await, [200; 10]);
    let opened = pair.worker.connections();
    let mut client = pair.rig.client().await;
    for _ in 0..10 {
        assert_eq!(client.ask(&get("/x", "")).await.body, "ok");
    }
    assert_eq!((heard.load(Ordering::SeqCst), pair.worker.connections()), (20, opened));
}

/// A worker's service is spoken to as its policy says, from one request to the next.
#[tokio::test]
async fn a_policy_says_what_is_spoken_in_the_clear() {
    let gate = Gate::new();
    let handle = at_gate(&gate);
    let worker = Worker::scripted(move |tcp, nth| serve(tcp, nth, Manner::default(), handle.clone())).await;
    let rig = service::rig().await;
    rig.offer("w1", &worker.url(), &["s"]);
    // It does not speak HTTP/1.1, and nobody said otherwise.
    assert_eq!(rig.ask(&service::get("/api/service/s/x")).await.status, 502);
    let before = worker.connections();
    rig.policy("s", ServicePolicy { protocol: Some(Protocol::H2c), ..ServicePolicy::default() });
    let asked = ask_at_once(&rig, 30, &service::get("/api/service/s/x"));
    eventually("all are asked", || gate.came() == 30).await;
    gate.open();
    assert_eq!(statuses(asked).await, [200; 30]);
    assert_eq!(worker.connections(), before + 1);
}

/// There are no upgrades in what is spoken otherwise.
#[tokio::test]
async fn an_upgrade_goes_by_http1() {
    let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let record = heads.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let record = record.clone();
        async move {
            let mut client = Client::of(tcp);
            let head = client.head().await.unwrap();
            record.lock().unwrap().push(head);
            let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello";
            client.send(answer.as_bytes()).await.unwrap();
            client.head().await;
        }
    })
    .await;
    let rig = service::rig().await;
    rig.offer("w1", &worker.url(), &["s"]);
    rig.policy("s", ServicePolicy { protocol: Some(Protocol::H2c), ..ServicePolicy::default() });
    let mut client = rig.client().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: x\r\n";
    let answer = client.ask(&service::call("GET", "/api/service/s/x", upgrade)).await;
    assert_eq!(answer.status, 101);
    assert_eq!(timeout(PATIENCE, client.exactly(5)).await.unwrap().unwrap(), b"hello");
    assert!(heads.lock().unwrap()[0].starts_with("GET /x HTTP/1.1\r\n"), "{heads:?}");
}
