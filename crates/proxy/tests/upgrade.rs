//! Upgrades: a tunnel only after the worker's 101, and then bytes both ways.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use quorate_rt::time::timeout;
use rig::{Client, PATIENCE, Rig, Worker, config, get};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ASK: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
const AGREE: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nX-Own: 1\r\n\r\n";

/// Agrees, says `first`, then echoes in upper case until the end, and then says `bye`.
async fn echo(first: &'static str) -> (Worker, Arc<Mutex<String>>) {
    let heard = Arc::new(Mutex::new(String::new()));
    let record = heard.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let record = record.clone();
        async move {
            let mut client = Client::of(tcp);
            *record.lock().unwrap() = client.head().await.expect("a request");
            let _ = client.send(format!("{AGREE}{first}").as_bytes()).await;
            let mut buffer = [0; 1_024];
            while let Ok(n) = client.tcp.read(&mut buffer).await {
                if n == 0 {
                    let _ = client.send(b"bye").await;
                    return;
                }
                buffer[..n].make_ascii_uppercase();
                let _ = client.send(&buffer[..n]).await;
            }
        }
    })
    .await;
    (worker, heard)
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_its_end() {
    let (worker, heard) = echo("hello ").await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    // The client does not wait for the 101 with its first bytes.
    client.send((get("/chat", ASK) + "early ").as_bytes()).await.unwrap();
    let answer = client.answer("GET").await;
    assert_eq!(
        (answer.status, answer.header("Upgrade"), answer.header("X-Own")),
        (101, Some("websocket"), Some("1"))
    );
    assert_eq!(answer.header("Connection").map(str::to_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(answer.header("X-Quorate-Node"), Some("n1"));
    assert_eq!(timeout(PATIENCE, client.exactly(12)).await.expect("in time").unwrap(), b"hello EARLY ");
    for word in ["one", "two"] {
        client.send(word.as_bytes()).await.unwrap();
        let back = timeout(PATIENCE, client.exactly(3)).await.expect("in time").unwrap();
        assert_eq!(back, word.to_uppercase().as_bytes());
    }
    rig.until_metric("quorate_proxy_tunnels_open", 1).await;
    // Half-closed: the worker hears the end and still has a word.
    client.tcp.shutdown().await.unwrap();
    assert_eq!(timeout(PATIENCE, client.exactly(3)).await.expect("in time").unwrap(), b"bye");
    assert!(client.is_closed().await);
    rig.until_metric("quorate_proxy_tunnels_open", 0).await;
    rig.until_metric("quorate_proxy_connections_open", 0).await;
    rig.until_metric("quorate_proxy_requests_total{outcome=\"upgraded\"}", 1).await;
    let head = heard.lock().unwrap().to_lowercase();
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "x-forwarded-for: 127.0.0.1",
    ] {
        assert!(head.lines().any(|l| l == line), "{line} is not in\n{head}");
    }
}

#[tokio::test]
async fn without_a_101_there_is_no_tunnel() {
    let worker = Worker::answering(|heard| match heard.line().contains("/chat") {
        true => "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno".into(),
        false => rig::ok("a request like any other"),
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    // What would be the tunnel's first bytes is a request of another workspace.
    client
        .send((get("/chat", ASK) + &get("/smuggled", "X-Forwarded-For: 6.6.6.6\r\n")).as_bytes())
        .await
        .unwrap();
    let refused = client.answer("GET").await;
    assert_eq!((refused.status, refused.body.as_str(), refused.header("Upgrade")), (426, "no", None));
    assert_eq!(client.answer("GET").await.body, "a request like any other");
    let heard = worker.last();
    assert_eq!(
        heard.header("X-Forwarded-For"),
        Some("6.6.6.6, 127.0.0.1"),
        "it was seen, and told who asked"
    );
    rig.until_metric("quorate_proxy_tunnels_total", 0).await;
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_not_passed_on() {
    let (worker, _) = echo("").await;
    let rig = Rig::with(&worker).await;
    for headers in
        ["", "Upgrade: websocket\r\n", "Connection: Upgrade\r\n", &ASK.replace("websocket", "other")]
    {
        let answer = rig.ask(&get("/chat", headers)).await;
        assert_eq!(answer.status, 500, "{headers:?}");
        assert_eq!(answer.body, r#"{"error":"Failed to route request"}"#);
    }
    rig.until_metric("quorate_proxy_tunnels_total", 0).await;
}

#[tokio::test]
async fn h2c_is_never_passed_on() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    for protocol in ["h2c", "H2C", "websocket, h2c"] {
        let ask = format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
        );
        let answer = rig.ask(&get("/", &ask)).await;
        assert_eq!(answer.status, 200);
        let heard = worker.last();
        for name in ["Upgrade", "HTTP2-Settings", "Connection"] {
            assert_eq!(heard.header(name), None, "{protocol}");
        }
    }
}

#[tokio::test]
async fn a_drain_waits_for_tunnels_and_then_cuts_them() {
    let (worker, _) = echo("").await;
    let mut config = config();
    config.drain = Duration::from_millis(400);
    let mut rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = rig.client().await;
    assert_eq!(client.ask(&get("/chat", ASK)).await.status, 101);
    rig.until_metric("quorate_proxy_tunnels_open", 1).await;
    let proxy = rig.proxy.take().expect("not drained yet");
    let draining = quorate_rt::spawn(proxy.drain());
    client.send(b"still here").await.unwrap();
    assert_eq!(timeout(PATIENCE, client.exactly(10)).await.expect("in time").unwrap(), b"STILL HERE");
    timeout(PATIENCE, draining).await.expect("drained in time").expect("no panic");
    assert!(client.is_closed().await);
}
