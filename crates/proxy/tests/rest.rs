//! Connections at rest: hyper is taken away, the socket stays.

mod rig;

use quorate_proxy::{Config, Limits};
use quorate_rt::time::{sleep, timeout};
use rig::{Client, PATIENCE, Rig, Worker, config, get};
use std::time::Duration;

/// A connection rests with the first sweep after its answer.
fn restless() -> Config {
    let limits = Limits { client_rest: Duration::ZERO, ..Limits::default() };
    Config { limits, ..config() }
}

/// Long enough to be at rest. Whether it is can't be seen from outside, which is the point of these tests.
async fn rest() {
    sleep(Duration::from_millis(600)).await;
}

async fn rested() -> (Rig, Worker, Client) {
    let worker = Worker::ok().await;
    let rig = Rig::start(restless(), Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    assert_eq!(client.ask(&get("/", "")).await.body, "ok");
    rest().await;
    (rig, worker, client)
}

#[tokio::test]
async fn whoever_comes_back_is_answered_on_the_same_connection() {
    let (rig, worker, mut client) = rested().await;
    for _ in 0..2 {
        assert_eq!(client.ask(&get("/", "")).await.body, "ok");
        rest().await;
    }
    assert_eq!(worker.heard().len(), 3);
    rig.until_metric("quorate_proxy_connections_total", 1).await;
}

#[tokio::test]
async fn a_head_in_pieces_and_requests_in_a_row_are_whole() {
    let (_rig, worker, mut client) = rested().await;
    let request = get("/", "");
    let (first, second) = request.split_at(7);
    client.send(first.as_bytes()).await.expect("open");
    sleep(Duration::from_millis(300)).await;
    client.send(second.as_bytes()).await.expect("open");
    assert_eq!(client.answer("GET").await.body, "ok");
    rest().await;
    client.send(format!("{request}{request}{request}").as_bytes()).await.expect("open");
    for _ in 0..3 {
        assert_eq!(client.answer("GET").await.body, "ok");
    }
    assert_eq!(worker.heard().len(), 5);
}

#[tokio::test]
async fn a_drain_closes_what_rests_and_does_not_wait_for_it() {
    let (mut rig, _worker, mut client) = rested().await;
    let proxy = rig.proxy.take().expect("not drained yet");
    timeout(PATIENCE, proxy.drain()).await.expect("drained in time");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn whoever_says_nothing_more_is_closed_when_the_idle_time_is_over() {
    let worker = Worker::ok().await;
    let limits =
        Limits { client_rest: Duration::ZERO, client_idle: Duration::from_millis(800), ..Limits::default() };
    let rig = Rig::start(Config { limits, ..config() }, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    assert_eq!(client.ask(&get("/", "")).await.body, "ok");
    assert!(timeout(PATIENCE, client.is_closed()).await.expect("closed in time"));
}
