//! Connections on both sides: kept, shared, replaced, bounded, closed.

mod rig;

use quorate_rt::time::{sleep, timeout};
use rig::{Client, PATIENCE, Rig, Worker, config, eventually, get, ok};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};

/// The original made a new transport, and so a new connection, for each request.
#[tokio::test]
async fn a_pool_is_shared_between_requests() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    for _ in 0..5 {
        let mut client = rig.client().await;
        for _ in 0..5 {
            assert_eq!(client.ask(&get("/", "")).await.body, "ok");
        }
    }
    assert_eq!((worker.heard().len(), worker.connections()), (25, 1));
    rig.until_metric("quorate_proxy_upstream_connections_total{use=\"opened\"}", 1).await;
    rig.until_metric("quorate_proxy_upstream_connections_total{use=\"reused\"}", 24).await;
    rig.until_metric("quorate_proxy_connections_total", 5).await;
    rig.until_metric("quorate_proxy_connections_open", 0).await;
}

#[tokio::test]
async fn requests_at_once_have_a_connection_each() {
    let (arrived, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, gate) = (arrived.clone(), go.clone());
    let worker = Worker::scripted(move |tcp, _| {
        let (count, gate) = (count.clone(), gate.clone());
        async move {
            let mut client = Client::of(tcp);
            while client.message().await.is_some() {
                let opened = gate.notified();
                count.fetch_add(1, Ordering::SeqCst);
                opened.await;
                let _ = client.send(ok("ok").as_bytes()).await;
            }
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = rig.client().await;
        client.send(get("/", "").as_bytes()).await.unwrap();
        clients.push(client);
    }
    eventually("all three arrive", || arrived.load(Ordering::SeqCst) == 3).await;
    go.notify_waiters();
    for mut client in clients {
        assert_eq!(client.answer("GET").await.status, 200);
    }
    assert_eq!(worker.connections(), 3);
}

#[tokio::test]
async fn several_cores_serve_one_port() {
    let worker = Worker::ok().await;
    let mut config = config();
    config.threads = 3;
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    for _ in 0..40 {
        assert_eq!(rig.ask(&get("/", "")).await.status, 200);
    }
    rig.until_metric("quorate_proxy_requests_total{outcome=\"forwarded\"}", 40).await;
    assert!((1..=3).contains(&worker.connections()), "one pool per core");
}

#[tokio::test]
async fn a_connection_that_the_worker_closes_is_not_used_again() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nKeep-Alive: timeout=1\r\n\r\nok".into()
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    for _ in 0..3 {
        let answer = client.ask(&get("/", "")).await;
        assert_eq!(
            (answer.status, answer.header("Connection"), answer.header("Keep-Alive")),
            (200, None, None)
        );
    }
    assert_eq!(worker.connections(), 3);
}

#[tokio::test]
async fn what_a_worker_says_after_its_answer_is_nobodys_answer() {
    let worker = Worker::answering(|heard| match heard.connection {
        0 => ok("one") + &ok("smuggled"),
        _ => ok("two"),
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    assert_eq!(client.ask(&get("/", "")).await.body, "one");
    for _ in 0..3 {
        assert_eq!(client.ask(&get("/", "")).await.body, "two");
    }
}

/// A worker that answers the first request of each connection and closes when it has heard the second: the pooled
/// connection dies before any byte of the answer, after the request went out.
async fn forgetful() -> Worker {
    Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        if client.message().await.is_some() {
            let _ = client.send(ok("ok").as_bytes()).await;
            client.message().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_dead_pooled_connection_is_replaced_within_the_request() {
    let worker = forgetful().await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    for _ in 0..4 {
        assert_eq!(client.ask(&get("/", "")).await.status, 200);
    }
    rig.until_metric("quorate_proxy_requests_total{outcome=\"worker_unavailable\"}", 0).await;
    assert!(rig.metric("quorate_proxy_retries_total") >= 1);
}

#[tokio::test]
async fn a_post_that_may_have_arrived_is_not_sent_again() {
    let worker = forgetful().await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let post = get("/", "Content-Length: 3\r\n").replace("GET", "POST") + "abc";
    assert_eq!(client.ask(&post).await.status, 200);
    let second = client.ask(&post).await;
    assert_eq!(second.status, 503);
    assert!(second.body.contains("Worker unavailable"), "{}", second.body);
    assert_eq!(worker.connections(), 1);
}

/// The end of the connection is found by the request that was to be sent on it: hyper ends it without looking at
/// the request that is queued, and only dropping the ended connection gives that back. Kept for the sake of
/// upgrades, it left the request waiting until its timeout.
#[tokio::test]
async fn a_connection_that_was_closed_while_pooled_costs_no_request() {
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        client.message().await;
        let _ = client.send(ok("ok").as_bytes()).await;
        // It must be in the pool by then.
        sleep(Duration::from_millis(30)).await;
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let post = get("/", "Content-Length: 3\r\n").replace("GET", "POST") + "abc";
    for n in 1..=3 {
        assert_eq!(client.ask(&post).await.status, 200);
        assert_eq!(worker.connections(), n);
        // Let the end of the connection arrive, but not the pool's next sweep.
        sleep(Duration::from_millis(150)).await;
    }
}

#[tokio::test]
async fn a_changed_view_decides_the_next_request() {
    let (old, new) = (Worker::answering(|_| ok("old")).await, Worker::answering(|_| ok("new")).await);
    let rig = Rig::with(&old).await;
    let mut client = rig.client().await;
    assert_eq!(client.ask(&get("/", "")).await.body, "old");
    rig.register("w2", &new.url(), 0..12);
    assert_eq!(client.ask(&get("/", "")).await.body, "new");
}

#[tokio::test]
async fn a_failed_dial_looks_for_the_partitions_new_owner() {
    // An https worker whose handshake hangs until told to fail, so that the View can change meanwhile.
    let (dialled, fail) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let (told, failing) = (dialled.clone(), fail.clone());
    let old = Worker::scripted(move |tcp, _| {
        let (told, failing) = (told.clone(), failing.clone());
        async move {
            told.store(true, Ordering::SeqCst);
            failing.notified().await;
            drop(tcp);
        }
    })
    .await;
    let new = Worker::ok().await;
    let rig = Rig::start(config(), Some(12)).await;
    rig.register("w1", &format!("https://localhost:{}", old.addr.port()), 0..12);
    let mut client = rig.client().await;
    let post = get("/", "Content-Length: 3\r\n").replace("GET", "POST") + "abc";
    client.send(post.as_bytes()).await.unwrap();
    eventually("the old owner is dialled", || dialled.load(Ordering::SeqCst)).await;
    rig.register("w2", &new.url(), 0..12);
    fail.notify_one();
    let answer = client.answer("POST").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    assert_eq!(answer.header("X-Quorate-Index"), Some("3"), "of the View that decided in the end");
    let heard = new.last();
    assert_eq!((heard.body.as_slice(), heard.header("X-Forwarded-For")), (&b"abc"[..], Some("127.0.0.1")));
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client() {
    let worker = Worker::scripted(|tcp, n| async move {
        let mut client = Client::of(tcp);
        while client.message().await.is_some() {
            if n == 0 {
                let _ = client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
                return;
            }
            let _ = client.send(ok("whole").as_bytes()).await;
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    client.send(get("/", "").as_bytes()).await.unwrap();
    let head = client.head().await.expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(timeout(PATIENCE, client.exactly(10)).await.expect("an end"), None);
    rig.until_metric("quorate_proxy_answers_cut_total", 1).await;
    for _ in 0..3 {
        assert_eq!(rig.ask(&get("/", "")).await.body, "whole");
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let gone = Arc::new(AtomicBool::new(false));
    let seen = gone.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let seen = seen.clone();
        async move {
            let mut client = Client::of(tcp);
            client.message().await;
            // No answer; the next thing to come is the end.
            client.message().await;
            seen.store(true, Ordering::SeqCst);
        }
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    client.send(get("/", "").as_bytes()).await.unwrap();
    eventually("the worker is asked", || worker.connections() == 1).await;
    drop(client);
    eventually("the worker is told", || gone.load(Ordering::SeqCst)).await;
    rig.until_metric("quorate_proxy_requests_total{outcome=\"abandoned\"}", 1).await;
}

#[tokio::test]
async fn a_drain_lets_open_requests_finish() {
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, gate) = (asked.clone(), go.clone());
    let worker = Worker::scripted(move |tcp, _| {
        let (told, gate) = (told.clone(), gate.clone());
        async move {
            let mut client = Client::of(tcp);
            while client.message().await.is_some() {
                told.notify_one();
                gate.notified().await;
                let _ = client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi").await;
                sleep(Duration::from_millis(200)).await;
                let _ = client.send(b"ne").await;
            }
        }
    })
    .await;
    let mut rig = Rig::with(&worker).await;
    let (mut busy, mut idle) = (rig.client().await, rig.client().await);
    busy.send(get("/", "").as_bytes()).await.unwrap();
    asked.notified().await;
    let proxy = rig.proxy.take().expect("not drained yet");
    let drained = Arc::new(Mutex::new(false));
    let done = drained.clone();
    let draining = quorate_rt::spawn(async move {
        proxy.drain().await;
        *done.lock().unwrap() = true;
    });
    assert!(idle.is_closed().await, "nothing is open there");
    eventually("the port is free", || std::net::TcpListener::bind(rig.addr).is_ok()).await;
    assert!(!*drained.lock().unwrap(), "a request is open");
    go.notify_one();
    let answer = busy.answer("GET").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "fine"));
    assert_eq!(answer.header("Connection"), Some("close"));
    assert!(busy.is_closed().await);
    timeout(PATIENCE, draining).await.expect("drained in time").expect("no panic");
}

#[tokio::test]
async fn who_is_asked_to_leave_is_answered_and_leaves_afterwards() {
    let worker = Worker::ok().await;
    let mut rig = Rig::with(&worker).await;
    let mut kept = rig.client().await;
    kept.send(get("/", "").as_bytes()).await.unwrap();
    assert_eq!(kept.answer("GET").await.header("Connection"), None);
    let proxy = rig.proxy.take().expect("not drained yet");
    proxy.ask_to_leave();
    timeout(PATIENCE, async {
        loop {
            let answer = rig.client().await.ask(&get("/", "")).await;
            assert_eq!(answer.status, 200, "new connections are served");
            if answer.header("Connection") == Some("close") {
                break;
            }
        }
    })
    .await
    .expect("new ones are told");
    kept.send(get("/", "").as_bytes()).await.unwrap();
    let answer = kept.answer("GET").await;
    assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")));
    assert!(kept.is_closed().await);
    timeout(PATIENCE, proxy.drain()).await.expect("drained in time");
}

#[tokio::test]
async fn a_drain_cuts_what_does_not_finish() {
    let worker = Worker::scripted(|tcp, _| async move {
        let _kept_open = tcp;
        std::future::pending::<()>().await;
    })
    .await;
    let mut config = config();
    config.drain = Duration::from_millis(300);
    let mut rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    client.send(get("/", "").as_bytes()).await.unwrap();
    eventually("the worker is asked", || worker.connections() == 1).await;
    let proxy = rig.proxy.take().expect("not drained yet");
    timeout(PATIENCE, proxy.drain()).await.expect("drained in time");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_taken_port_is_refused_by_name() {
    let rig = Rig::start(config(), None).await;
    let mut second = config();
    second.listen = rig.addr;
    let view = quorate_rt::published::Published::new(Arc::default());
    let started = quorate_proxy::Proxy::start(second, quorate_proxy::Feeds::new(view)).await;
    let error = started.err().expect("taken");
    assert!(error.to_string().starts_with(&format!("listen on {}", rig.addr)), "{error}");
}

#[tokio::test]
async fn a_half_closed_client_is_gone() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut tcp = TcpStream::connect(rig.addr).await.unwrap();
    tcp.shutdown().await.unwrap();
    assert!(Client::of(tcp).is_closed().await);
}
