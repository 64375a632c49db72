//! What is bounded, and what happens at each bound.

mod rig;

use quorate_proxy::Limits;
use quorate_rt::time::{sleep, timeout};
use rig::{Client, PATIENCE, Rig, Worker, config, eventually, get, ok};
use std::time::Duration;

fn limited(limits: Limits) -> quorate_proxy::Config {
    let mut config = config();
    config.limits = limits;
    config
}

#[tokio::test]
async fn a_client_that_dribbles_its_head_is_closed() {
    let worker = Worker::ok().await;
    let limits = Limits { header_timeout: Duration::from_millis(300), ..Limits::default() };
    let rig = Rig::start(limited(limits), Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut silent = rig.client().await;
    let mut dribbling = rig.client().await;
    let answered = dribbling.ask(&get("/", "")).await;
    assert_eq!(answered.status, 200);
    // Alone, waiting for the next head is no offence.
    sleep(Duration::from_millis(700)).await;
    let closed = timeout(PATIENCE, async {
        for byte in get("/", "").bytes() {
            if dribbling.send(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("it could say all of it");
    });
    closed.await.expect("in time");
    assert!(silent.is_closed().await, "a connection without a first request has as long for it");
    assert_eq!(worker.heard().len(), 1);
}

#[tokio::test]
async fn an_idle_client_is_closed() {
    let worker = Worker::ok().await;
    let limits = Limits { client_idle: Duration::from_millis(300), ..Limits::default() };
    let rig = Rig::start(limited(limits), Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    assert_eq!(client.ask(&get("/", "")).await.status, 200);
    assert!(client.is_closed().await);
    rig.until_metric("quorate_proxy_connections_open", 0).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed() {
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        client.message().await;
        let _ = client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n").await;
        while client.send(&[b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    let limits = Limits { client_stall: Duration::from_millis(400), ..Limits::default() };
    let rig = Rig::start(limited(limits), Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    client.send(get("/", "").as_bytes()).await.unwrap();
    rig.until_metric("quorate_proxy_connections_open", 1).await;
    rig.until_metric("quorate_proxy_connections_open", 0).await;
}

#[tokio::test]
async fn beyond_the_bound_clients_wait() {
    let worker = Worker::ok().await;
    let rig = Rig::start(limited(Limits { connections_max: 2, ..Limits::default() }), Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let (mut a, mut b) = (rig.client().await, rig.client().await);
    assert_eq!(a.ask(&get("/", "")).await.status, 200);
    assert_eq!(b.ask(&get("/", "")).await.status, 200);
    let mut c = rig.client().await;
    c.send(get("/", "").as_bytes()).await.unwrap();
    assert!(timeout(Duration::from_millis(300), c.head()).await.is_err(), "no place");
    assert_eq!(a.ask(&get("/", "")).await.status, 200, "those inside go on");
    drop(a);
    assert_eq!(c.answer("GET").await.status, 200);
}

#[tokio::test]
async fn an_unused_connection_grows_old() {
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.message().await.is_some() {
            let _ = client.send(ok("ok").as_bytes()).await;
        }
    })
    .await;
    let limits = Limits { pool_idle: Duration::from_millis(500), ..Limits::default() };
    let rig = Rig::start(limited(limits), Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    assert_eq!(client.ask(&get("/", "")).await.status, 200);
    assert_eq!(client.ask(&get("/", "")).await.status, 200);
    assert_eq!(worker.connections(), 1);
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(client.ask(&get("/", "")).await.status, 200);
    assert_eq!(worker.connections(), 2);
}

#[tokio::test]
async fn the_pool_is_bounded() {
    let worker = Worker::answering(|_| {
        // Long enough that two requests surely meet.
        std::thread::sleep(Duration::from_millis(50));
        ok("ok")
    })
    .await;
    let limits = Limits { pool_idle_per_endpoint_max: 0, ..Limits::default() };
    let rig = Rig::start(limited(limits), Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    for n in 1..=3 {
        assert_eq!(client.ask(&get("/", "")).await.status, 200);
        assert_eq!(worker.connections(), n);
    }
}

#[tokio::test]
async fn a_worker_has_no_more_connections_than_allowed() {
    let gate = rig::h2::Gate::new();
    let held = gate.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let held = held.clone();
        async move {
            let mut client = Client::of(tcp);
            while client.message().await.is_some() {
                held.pass().await;
                client.send(ok("ok").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let rig = Rig::start(limited(Limits { worker_connections_max: 2, ..Limits::default() }), Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut clients = [rig.client().await, rig.client().await];
    for client in &mut clients {
        client.send(get("/x", "").as_bytes()).await.unwrap();
    }
    eventually("both are asked", || gate.came() == 2).await;
    let full = rig.ask(&get("/x", "")).await;
    assert_eq!(full.status, 503);
    assert!(full.body.contains("all 2 connections are in use"), "{}", full.body);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer("GET").await.status, 200);
    }
    timeout(PATIENCE, async { while rig.ask(&get("/x", "")).await.status != 200 {} })
        .await
        .expect("free again");
    assert_eq!(worker.connections(), 2);
}
