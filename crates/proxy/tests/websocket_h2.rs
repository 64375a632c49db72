//! WebSockets to workers that speak HTTP/2 (RFC 8441).

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use bytes::Bytes;
use h2::{Reason, ext::Protocol};
use http::{Request, Response};
use quorate_model::{Protocol as Spoken, ServicePolicy, policy::Breaker};
use quorate_proxy::Limits;
use quorate_rt::time::timeout;
use rig::{
    Client, PATIENCE, Rig, Worker, config, eventually,
    h2::{Call, Manner, serve},
    http2::Http2,
    service,
};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TUNNELS: &str = "quorate_proxy_tunnels_open";
/// RFC 6455, 1.3: a key, and what completes it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn handshake(path: &str) -> String {
    service::call(
        "GET",
        &format!("/api/service/s{path}"),
        &format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n"
        ),
    )
}

fn policy() -> ServicePolicy {
    ServicePolicy { protocol: Some(Spoken::H2c), ..ServicePolicy::default() }
}

/// By the client's end, or by a reset.
type End = Result<(), Option<Reason>>;

/// What a worker was asked for, how each tunnel ended.
#[derive(Clone, Default)]
struct Record {
    heads: Arc<Mutex<Vec<http::request::Parts>>>,
    ends: Arc<Mutex<Vec<End>>>,
}

/// Says `ok` to requests. In a tunnel: echoes in upper case, and says `bye` at its end.
async fn answer(mut call: Call, record: Record) {
    let (head, mut body) = call.request.into_parts();
    let (path, is_tunnel) = (head.uri.path().to_owned(), head.method == "CONNECT");
    record.heads.lock().unwrap().push(head);
    let reply = |status: u16| Response::builder().status(status);
    if !is_tunnel {
        let mut stream = call.respond.send_response(reply(200).body(()).unwrap(), false).unwrap();
        return stream.send_data(Bytes::from_static(b"ok"), true).unwrap();
    }
    if path == "/no" {
        let mut stream = call.respond.send_response(reply(403).body(()).unwrap(), false).unwrap();
        return stream.send_data(Bytes::from_static(b"no"), true).unwrap();
    }
    let yes = reply(200).header("sec-websocket-protocol", "chat").header("sec-websocket-accept", "stray");
    let mut stream = call.respond.send_response(yes.body(()).unwrap(), false).unwrap();
    stream.send_data(Bytes::from_static(b"early "), false).unwrap();
    let end = loop {
        match body.data().await {
            Some(Ok(piece)) => {
                body.flow_control().release_capacity(piece.len()).unwrap();
                if &*piece == b"reset" {
                    stream.send_reset(Reason::CANCEL);
                }
                if stream.send_data(piece.to_ascii_uppercase().into(), false).is_err() {
                    break Ok(());
                }
            }
            Some(Err(error)) => break Err(error.reason()),
            None => break Ok(()),
        }
    };
    if end.is_ok() {
        let _ = stream.send_data(Bytes::from_static(b"bye"), true);
    }
    record.ends.lock().unwrap().push(end);
}

/// Speaks HTTP/2, and HTTP/1.1 if `or` is given, which it does then with a connection.
async fn worker<F: Future<Output = ()> + Send + 'static>(
    manner: Manner,
    or: impl Fn(Client) -> F + Clone + Send + Sync + 'static,
) -> (Worker, Record) {
    let record = Record::default();
    let shared = record.clone();
    let worker = Worker::scripted(move |tcp, nth| {
        let (record, or) = (shared.clone(), or.clone());
        async move {
            if speaks_http2(&tcp).await {
                serve(tcp, nth, manner, move |call| answer(call, record.clone())).await;
            } else {
                or(Client::of(tcp)).await;
            }
        }
    })
    .await;
    (worker, record)
}

async fn speaks_http2(tcp: &TcpStream) -> bool {
    let mut first = [0; 3];
    tcp.peek(&mut first).await.is_ok_and(|n| n > 0)
        && first[0] == b'P'
        && first[1..].iter().all(|byte| matches!(byte, b'R' | b'I' | 0))
}

const WITH_TUNNELS: Manner = Manner { streams_max: None, leaves_after: None, tunnels: true };

/// A worker with tunnels, which hears no HTTP/1.1.
async fn with_tunnels() -> (Rig, Worker, Record) {
    let (worker, record) = worker(WITH_TUNNELS, |_| async { panic!("it is spoken to in HTTP/2 only") }).await;
    let rig = service::rig().await;
    rig.offer("w1", &worker.url(), &["s"]);
    rig.policy("s", policy());
    (rig, worker, record)
}

/// Has it opened, and has read what comes first.
async fn opened(rig: &Rig) -> Client {
    let mut client = rig.client().await;
    let answer = client.ask(&handshake("/chat?room=1")).await;
    assert_eq!(answer.status, 101, "{}", answer.body);
    assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(answer.header("sec-websocket-protocol"), Some("chat"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("connection"), Some("Upgrade"));
    assert_eq!(answer.header("x-quorate-node"), Some("n1"));
    heard(&mut client, b"early ").await;
    client
}

async fn heard(client: &mut Client, expected: &[u8]) {
    let got = timeout(PATIENCE, client.exactly(expected.len())).await.expect("in time").expect("no end");
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_client_of_http1_has_a_tunnel_on_the_connection_that_requests_share() {
    let (rig, worker, record) = with_tunnels().await;
    assert_eq!(rig.ask(&service::get("/api/service/s/x")).await.body, "ok");
    let mut client = opened(&rig).await;
    client.send(b"one").await.unwrap();
    heard(&mut client, b"ONE").await;
    rig.until_metric(TUNNELS, 1).await;
    assert_eq!(rig.in_flight("w1"), 1);
    assert_eq!(rig.ask(&service::get("/api/service/s/x")).await.body, "ok", "beside it");
    assert_eq!(worker.connections(), 1);
    // Half-closed: the worker hears the end and still has a word.
    client.tcp.shutdown().await.unwrap();
    heard(&mut client, b"bye").await;
    assert!(client.is_closed().await);
    rig.until_metric(TUNNELS, 0).await;
    eventually("its place is free", || rig.in_flight("w1") == 0).await;
    assert_eq!(*record.ends.lock().unwrap(), [Ok(())]);

    let heads = record.heads.lock().unwrap();
    let head = heads.iter().find(|head| head.method == "CONNECT").unwrap();
    assert_eq!(head.extensions.get::<Protocol>().map(Protocol::as_str), Some("websocket"));
    assert_eq!(head.uri, "http://r.example/chat?room=1");
    for (name, value) in [
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("x-forwarded-host", "r.example"),
    ] {
        assert_eq!(head.headers[name], value);
    }
    for gone in ["connection", "upgrade", "sec-websocket-key", "host"] {
        assert!(!head.headers.contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn a_client_of_http2_has_one_too() {
    let (rig, worker, record) = with_tunnels().await;
    let mut client = Http2::connect(rig.addr).await;
    let request = Request::builder()
        .method("CONNECT")
        .uri("http://r.example/api/service/s/chat")
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(())
        .unwrap();
    let (answer, mut send) = client.send.send_request(request, false).unwrap();
    let answer = timeout(PATIENCE, answer).await.expect("in time").unwrap();
    assert_eq!(answer.status(), 200);
    for gone in ["upgrade", "connection", "sec-websocket-accept"] {
        assert!(!answer.headers().contains_key(gone), "{gone}");
    }
    let mut body = answer.into_body();
    send.send_data(Bytes::from_static(b"two"), true).unwrap();
    let mut all = Vec::new();
    while let Some(piece) = timeout(PATIENCE, body.data()).await.expect("in time") {
        let piece = piece.expect("no reset");
        body.flow_control().release_capacity(piece.len()).unwrap();
        all.extend_from_slice(&piece);
    }
    assert_eq!(all, b"early TWObye");
    rig.until_metric(TUNNELS, 0).await;
    assert_eq!(worker.connections(), 1);
    assert!(!record.heads.lock().unwrap()[0].headers.contains_key("sec-websocket-key"));
}

/// More than all windows on the way hold, and both ways at once.
#[tokio::test]
async fn much_passes_both_ways_and_none_is_lost() {
    let (rig, _worker, _record) = with_tunnels().await;
    let client = opened(&rig).await;
    let sent: Vec<u8> = (0..1_500_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let expected = sent.to_ascii_uppercase();
    let (mut read, mut write) = client.tcp.into_split();
    let writing = quorate_rt::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    timeout(PATIENCE, read.read_to_end(&mut got)).await.expect("in time").unwrap();
    writing.await.unwrap();
    assert!(got.strip_suffix(b"bye").is_some_and(|got| got == expected), "{} bytes", got.len());
}

#[tokio::test]
async fn whoever_goes_away_is_told_to_the_other() {
    let (rig, worker, record) = with_tunnels().await;
    // The worker resets its stream.
    let mut client = opened(&rig).await;
    client.send(b"reset").await.unwrap();
    assert!(timeout(PATIENCE, client.is_closed()).await.expect("in time"));
    // The client resets its connection.
    let client = opened(&rig).await;
    rig.until_metric(TUNNELS, 1).await;
    client.tcp.set_zero_linger().unwrap();
    drop(client);
    let reset = Err(Some(Reason::CANCEL));
    eventually("the worker is told", || record.ends.lock().unwrap().contains(&reset)).await;
    rig.until_metric(TUNNELS, 0).await;
    eventually("nothing is left", || rig.in_flight("w1") == 0).await;
    assert_eq!(rig.ask(&service::get("/api/service/s/x")).await.body, "ok");
    assert_eq!(worker.connections(), 1, "the others on it noticed nothing");
}

#[tokio::test]
async fn a_worker_that_declines_is_heard() {
    let (rig, _worker, _record) = with_tunnels().await;
    let mut client = rig.client().await;
    let answer = client.ask(&handshake("/no")).await;
    assert_eq!((answer.status, answer.body.as_str()), (403, "no"));
    assert_eq!(client.ask(&service::get("/api/service/s/x")).await.body, "ok", "it is still HTTP");
    assert_eq!((rig.metric(TUNNELS), rig.in_flight("w1")), (0, 0));
}

#[tokio::test]
async fn a_drain_ends_tunnels_when_its_time_is_over() {
    let (worker, record) = worker(WITH_TUNNELS, |_| async {}).await;
    let mut config = config();
    config.drain = std::time::Duration::from_millis(300);
    let mut rig = Rig::start(config, Some(12)).await;
    rig.offer("w1", &worker.url(), &["s"]);
    rig.policy("s", policy());
    let mut client = opened(&rig).await;
    rig.until_metric(TUNNELS, 1).await;
    let proxy = rig.proxy.take().unwrap();
    timeout(PATIENCE, proxy.drain()).await.expect("drained in time");
    assert!(timeout(PATIENCE, client.is_closed()).await.expect("in time"));
    eventually("the worker is told", || record.ends.lock().unwrap().len() == 1).await;
}

/// Switches protocols in HTTP/1.1, and says that it did.
async fn switches(mut client: Client) {
    let Some(head) = client.head().await else { return };
    assert!(head.contains(KEY), "the client's own handshake: {head}");
    let yes = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\nby HTTP/1.1"
    );
    client.send(yes.as_bytes()).await.unwrap();
    client.head().await;
}

#[tokio::test]
async fn a_worker_without_them_is_asked_for_an_upgrade_in_http1() {
    let (worker, record) = worker(Manner::default(), switches).await;
    let rig = service::rig().await;
    rig.offer("w1", &worker.url(), &["s"]);
    rig.policy("s", policy());
    for _ in 0..2 {
        let mut client = rig.client().await;
        assert_eq!(client.ask(&handshake("/chat")).await.status, 101);
        heard(&mut client, b"by HTTP/1.1").await;
    }
    assert!(record.heads.lock().unwrap().is_empty(), "no CONNECT");
    assert_eq!(worker.connections(), 3, "what it has is asked for once");
}

/// It is not sick for that: its requests go on.
#[tokio::test]
async fn a_worker_that_has_none_at_all_is_named() {
    let (worker, _) = worker(Manner::default(), |mut client| async move {
        let _ = client.send(b"\0\0\x04\x04\0\0\0\0\0\0\0\0\0").await;
    })
    .await;
    let rig = service::rig().await;
    rig.offer("w1", &worker.url(), &["s"]);
    let breaker = Breaker { failures: 1, open_ms: 3_600_000, ..Breaker::default() };
    rig.policy("s", ServicePolicy { breaker: Some(breaker), ..policy() });
    for _ in 0..3 {
        let answer = rig.ask(&handshake("/chat")).await;
        assert_eq!(answer.status, 502, "{}", answer.body);
        assert!(answer.body.contains("it has no WebSockets in HTTP/2"), "{}", answer.body);
    }
    assert_eq!(rig.ask(&service::get("/api/service/s/x")).await.body, "ok");
}

/// Half of the places, and the rest is for requests.
#[tokio::test]
async fn tunnels_leave_room_for_requests() {
    let limits = Limits { worker_h2_connections_max: 1, worker_h2_streams_max: 2, ..Limits::default() };
    let (worker, record) = worker(WITH_TUNNELS, switches).await;
    let mut config = config();
    config.limits = limits;
    let rig = Rig::start(config, Some(12)).await;
    rig.offer("w1", &worker.url(), &["s"]);
    rig.policy("s", policy());
    let first = opened(&rig).await;
    let mut second = rig.client().await;
    assert_eq!(second.ask(&handshake("/chat")).await.status, 101);
    heard(&mut second, b"by HTTP/1.1").await;
    assert_eq!(rig.ask(&service::get("/api/service/s/x")).await.body, "ok");
    drop(first);
    eventually("it is over", || record.ends.lock().unwrap().len() == 1).await;
    rig.until_metric(TUNNELS, 1).await;
    // And the place is there for the next one.
    opened(&rig).await;
}

/// Without a key there is nothing to complete: the worker says what it thinks of it.
#[tokio::test]
async fn half_a_handshake_is_left_to_the_worker() {
    let (worker, record) = worker(WITH_TUNNELS, |mut client| async move {
        client.head().await;
        let no = "HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\nno key";
        client.send(no.as_bytes()).await.unwrap();
        client.head().await;
    })
    .await;
    let rig = service::rig().await;
    rig.offer("w1", &worker.url(), &["s"]);
    rig.policy("s", policy());
    let half = handshake("/chat").replace(KEY, "short");
    let answer = rig.ask(&half).await;
    assert_eq!((answer.status, answer.body.as_str()), (400, "no key"));
    assert!(record.heads.lock().unwrap().is_empty());
}
