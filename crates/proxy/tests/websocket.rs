//! WebSockets over HTTP/2, to workers that speak HTTP/1.1.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use bytes::Bytes;
use h2::ext::Protocol;
use http::Request;
use quorate_rt::time::timeout;
use rig::{
    Client, PATIENCE, Rig, Worker, accept, eventually,
    http2::{Http2, whole},
};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt;

/// What a worker does to a handshake.
#[derive(Clone, Copy)]
enum Says {
    Yes,
    /// With the answer to another key.
    Wrong,
    /// As if it were an ordinary request.
    Ordinary,
    No,
}

/// Switches protocols and echoes in upper case; says `bye` at the end.
async fn worker(says: Says) -> (Worker, Arc<Mutex<String>>) {
    let heard = Arc::new(Mutex::new(String::new()));
    let record = heard.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let record = record.clone();
        async move {
            let mut client = Client::of(tcp);
            let Some(head) = client.head().await else { return };
            record.lock().unwrap().clone_from(&head);
            let accept = match says {
                Says::Yes => accept(&head),
                Says::Wrong => "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(),
                Says::Ordinary => return drop(client.send(rig::ok("page").as_bytes()).await),
                Says::No => {
                    let no = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
                    return drop(client.send(no.as_bytes()).await);
                }
            };
            let yes = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\nearly "
            );
            let _ = client.send(yes.as_bytes()).await;
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

fn handshake(protocol: &'static str) -> Request<()> {
    Request::builder()
        .method("CONNECT")
        .uri("http://r.example/chat?room=1")
        .header("x-workspace-id", "w1")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .header("origin", "http://r.example")
        .extension(Protocol::from_static(protocol))
        .body(())
        .unwrap()
}

async fn exactly(body: &mut h2::RecvStream, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let data = timeout(PATIENCE, body.data()).await.expect("in time").expect("no end").unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    bytes
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_beside_other_streams() {
    let (worker, heard) = worker(Says::Yes).await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    eventually("it is offered", || client.send.is_extended_connect_protocol_enabled()).await;
    let (answer, mut send) = client.send.send_request(handshake("websocket"), false).unwrap();
    let answer = timeout(PATIENCE, answer).await.expect("in time").unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(answer.headers()["x-quorate-node"], "n1");
    for gone in ["upgrade", "connection", "sec-websocket-accept", "content-length"] {
        assert!(!answer.headers().contains_key(gone), "{gone}");
    }
    let mut body = answer.into_body();
    assert_eq!(exactly(&mut body, 6).await, b"early ");
    for word in ["one", "two"] {
        send.send_data(Bytes::from_static(word.as_bytes()), false).unwrap();
        assert_eq!(exactly(&mut body, 3).await, word.to_uppercase().as_bytes());
    }
    rig.until_metric("quorate_proxy_tunnels_open", 1).await;
    let head = heard.lock().unwrap().clone();
    assert_eq!(head.lines().next(), Some("GET /chat?room=1 HTTP/1.1"));
    let head = head.to_lowercase();
    for line in
        ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "origin: http://r.example"]
    {
        assert!(head.lines().any(|l| l == line), "{line} is not in\n{head}");
    }
    // Half-closed: the worker hears the end and still has a word.
    send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(exactly(&mut body, 3).await, b"bye");
    // The end may come with a piece that is empty, and not by a reset.
    while let Some(data) = timeout(PATIENCE, body.data()).await.expect("in time") {
        assert_eq!(data.expect("no reset"), "");
    }
    rig.until_metric("quorate_proxy_tunnels_open", 0).await;
    rig.until_metric("quorate_proxy_requests_total{outcome=\"upgraded\"}", 1).await;
    assert_eq!(rig.in_flight("w1"), 0);
}

#[tokio::test]
async fn a_reset_ends_the_tunnel_also_of_a_worker_that_does_not_close() {
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        let Some(head) = client.head().await else { return };
        let yes = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept(&head)
        );
        let _ = client.send(yes.as_bytes()).await;
        // Hears the end and does nothing about it.
        std::future::pending::<()>().await;
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    for _ in 0..2 {
        let (answer, mut send) = client.send.send_request(handshake("websocket"), false).unwrap();
        let answer = timeout(PATIENCE, answer).await.expect("in time").unwrap();
        rig.until_metric("quorate_proxy_tunnels_open", 1).await;
        send.send_reset(h2::Reason::CANCEL);
        drop(answer);
        rig.until_metric("quorate_proxy_tunnels_open", 0).await;
        assert_eq!((rig.in_flight("w1"), rig.metric("quorate_proxy_connections_open")), (0, 1));
    }
}

#[tokio::test]
async fn a_handshake_that_the_worker_did_not_understand_opens_nothing() {
    for (says, status, part) in [
        (Says::Wrong, 500, "Failed to route request"),
        (Says::Ordinary, 500, "Failed to route request"),
        (Says::No, 403, "no"),
    ] {
        let (worker, _) = worker(says).await;
        let rig = Rig::with(&worker).await;
        let mut client = Http2::connect(rig.addr).await;
        let (answer, _send) = client.send.send_request(handshake("websocket"), false).unwrap();
        let answer = whole(answer).await.unwrap();
        assert_eq!(answer.status, status);
        assert!(answer.body.contains(part), "{}", answer.body);
        assert_eq!(rig.metric("quorate_proxy_tunnels_open"), 0);
    }
}

#[tokio::test]
async fn other_protocols_are_not_tunnelled() {
    let (worker, heard) = worker(Says::Yes).await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let (answer, _send) = client.send.send_request(handshake("connect-udp"), false).unwrap();
    assert_eq!(whole(answer).await.unwrap().status, 405);
    assert_eq!(*heard.lock().unwrap(), "");
}
