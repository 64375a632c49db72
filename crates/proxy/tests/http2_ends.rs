//! How HTTP/2 streams and connections end.

mod rig;

use quorate_rt::time::{sleep, timeout};
use rig::{
    Client, PATIENCE, Rig, Worker, config, eventually,
    http2::{Http2, get2, whole},
    ok,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_stream_and_not_the_connection() {
    let worker = Worker::answering(|heard| {
        if heard.line().contains("large") { ok(&"x".repeat(4 << 20)) } else { ok("small") }
    })
    .await;
    let mut config = config();
    config.limits.client_stall = Duration::from_millis(300);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = Http2::connect(rig.addr).await;
    let large = client.start(get2("/large")).await;
    let mut large = timeout(PATIENCE, large).await.unwrap().unwrap().into_body();
    // Takes what the window lets through, and allows for no more.
    let error = timeout(PATIENCE, async {
        loop {
            match large.data().await.expect("no end") {
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    })
    .await
    .expect("the stream is reset in time");
    assert!(error.is_reset() && error.is_remote(), "{error}");
    assert_eq!(client.ask(get2("/small")).await.body, "small");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_requests_with_it() {
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.head().await.is_some() {}
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let answers = [client.start(get2("/1")).await, client.start(get2("/2")).await];
    eventually("both are at the worker", || rig.in_flight("w1") == 2).await;
    client.connection.abort();
    eventually("nobody asks any more", || rig.in_flight("w1") == 0).await;
    rig.until_metric("quorate_proxy_connections_open", 0).await;
    drop(answers);
}

#[tokio::test]
async fn a_timeout_is_answered_on_its_stream() {
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while let Some(head) = client.head().await {
            if head.contains("/quick") {
                let _ = client.send(ok("quick").as_bytes()).await;
            }
        }
    })
    .await;
    let mut config = config();
    config.request_timeout = Duration::from_millis(300);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = Http2::connect(rig.addr).await;
    let slow = client.start(get2("/slow")).await;
    assert_eq!(client.ask(get2("/quick")).await.body, "quick");
    let answer = whole(slow).await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("no answer within 300ms"), "{}", answer.body);
    assert_eq!(client.ask(get2("/quick")).await.body, "quick");
}

#[tokio::test]
async fn an_idle_connection_is_ended_in_an_orderly_way() {
    let worker = Worker::ok().await;
    let mut config = config();
    config.limits.client_idle = Duration::from_millis(300);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = Http2::connect(rig.addr).await;
    assert_eq!(client.ask(get2("/")).await.body, "ok");
    let Http2 { send, connection } = client;
    // Held, as a client does that wants to use it again.
    let ended = timeout(PATIENCE, connection).await.expect("it ends in time").unwrap();
    assert!(ended.is_ok(), "{ended:?}");
    drop(send);
    rig.until_metric("quorate_proxy_connections_open", 0).await;
}

#[tokio::test]
async fn a_drain_lets_streams_finish_and_takes_no_new_ones() {
    let go = Arc::new(Notify::new());
    let gate = go.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let gate = gate.clone();
        async move {
            let mut client = Client::of(tcp);
            while client.head().await.is_some() {
                gate.notified().await;
                let _ = client.send(ok("late").as_bytes()).await;
            }
        }
    })
    .await;
    let mut rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let answer = client.start(get2("/")).await;
    eventually("it is at the worker", || rig.in_flight("w1") == 1).await;
    let proxy = rig.proxy.take().unwrap();
    let drained = quorate_rt::spawn(proxy.drain());
    // GOAWAY: the client sees that it must go elsewhere with what comes next.
    timeout(PATIENCE, async {
        while client.send.clone().ready().await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("told in time");
    go.notify_one();
    assert_eq!(whole(answer).await.unwrap().body, "late");
    assert!(client.ended().await.is_ok(), "an orderly end");
    timeout(PATIENCE, drained).await.expect("drained in time").unwrap();
}

#[tokio::test]
async fn a_node_that_leaves_asks_clients_to_go_after_their_request() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut old = Http2::connect(rig.addr).await;
    assert_eq!(old.ask(get2("/")).await.body, "ok");
    rig.proxy.as_ref().unwrap().ask_to_leave();
    let Http2 { send, connection } = old;
    assert!(timeout(PATIENCE, connection).await.expect("asked in time").unwrap().is_ok());
    drop(send);
    // Those who come now are served, once.
    let mut new = Http2::connect(rig.addr).await;
    assert_eq!(new.ask(get2("/")).await.body, "ok");
    assert!(timeout(PATIENCE, new.connection).await.expect("asked in time").unwrap().is_ok());
}
