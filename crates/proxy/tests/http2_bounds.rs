//! What an HTTP/2 client can make a node do and hold is bounded.

mod rig;

use h2::Reason;
use quorate_proxy::Limits;
use quorate_rt::time::timeout;
use rig::{
    Client, PATIENCE, Rig, Worker, config, eventually,
    http2::{Frames, Http2, frame, get_block, get2, request},
};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

async fn limited(limits: Limits, worker: &Worker) -> Rig {
    let mut config = config();
    config.limits = limits;
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    rig
}

/// Takes requests and answers none.
async fn silent() -> Worker {
    Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.head().await.is_some() {}
    })
    .await
}

fn get_frame(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &get_block())
}

/// Sends what it can, and reads why the connection was ended.
async fn flood(rig: &Rig, bytes: &[u8]) -> Option<Reason> {
    let mut client = Frames::connect(rig.addr).await;
    // The other side may close before it has all.
    let _ = timeout(PATIENCE, client.0.write_all(bytes)).await.expect("taken or refused");
    client.goaway().await
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once_end_the_connection() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut other = Http2::connect(rig.addr).await;
    let mut bytes = Vec::new();
    for nth in 0..5_000 {
        bytes.extend(get_frame(2 * nth + 1));
        bytes.extend(frame(RST_STREAM, 0, 2 * nth + 1, &[0, 0, 0, 8]));
    }
    assert_eq!(flood(&rig, &bytes).await, Some(Reason::ENHANCE_YOUR_CALM));
    assert!(worker.heard().len() < 50, "{} requests reached the worker", worker.heard().len());
    assert_eq!(other.ask(get2("/")).await.body, "ok");
    rig.until_metric("quorate_proxy_connections_open", 1).await;
}

#[tokio::test]
async fn streams_that_are_reset_when_the_worker_has_them_end_the_connection_too() {
    let worker = silent().await;
    let rig = Rig::with(&worker).await;
    let mut client = Frames::connect(rig.addr).await;
    let mut resets = 0;
    for nth in 0..1_000 {
        if client.0.write_all(&get_frame(2 * nth + 1)).await.is_err() {
            break;
        }
        // Until it has this one, or the connection is gone.
        let seen = usize::try_from(nth).unwrap();
        let arrived = || worker.connections() > seen;
        let mut waited = 0;
        while !arrived() && waited < 100 {
            quorate_rt::time::sleep(Duration::from_millis(5)).await;
            waited += 1;
        }
        if !arrived() || client.0.write_all(&frame(RST_STREAM, 0, 2 * nth + 1, &[0, 0, 0, 8])).await.is_err()
        {
            break;
        }
        resets += 1;
    }
    assert!((30..500).contains(&resets), "{resets} resets");
    assert_eq!(client.goaway().await, Some(Reason::ENHANCE_YOUR_CALM));
    eventually("nothing is left at the worker", || rig.in_flight("w1") == 0).await;
}

#[tokio::test]
async fn floods_of_frames_that_do_nothing_end_the_connection() {
    let worker = silent().await;
    let rig = Rig::with(&worker).await;
    let ping = frame(PING, 0, 0, &[7; 8]);
    let settings = frame(SETTINGS, 0, 0, &[]);
    let priority = frame(2, 0, 1, &[0, 0, 0, 3, 1]);
    let unknown = frame(0xbe, 0, 0, b"x");
    for (what, one) in [("ping", ping), ("settings", settings), ("priority", priority), ("unknown", unknown)]
    {
        assert_eq!(flood(&rig, &one.repeat(2_500)).await, Some(Reason::ENHANCE_YOUR_CALM), "{what}");
    }
    let open = frame(HEADERS, END_HEADERS, 1, &get_block());
    let empty = frame(DATA, 0, 1, &[]).repeat(2_500);
    assert_eq!(flood(&rig, &[open, empty].concat()).await, Some(Reason::ENHANCE_YOUR_CALM), "empty data");
    let window = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(2_500);
    assert_eq!(flood(&rig, &window).await, Some(Reason::ENHANCE_YOUR_CALM), "window");
    rig.until_metric("quorate_proxy_connections_open", 0).await;
}

#[tokio::test]
async fn streams_that_we_are_made_to_reset_end_the_connection() {
    let worker = silent().await;
    let rig = Rig::with(&worker).await;
    let mut bytes = Vec::new();
    for nth in 0..500 {
        bytes.extend(get_frame(2 * nth + 1));
        // More than a window can hold.
        bytes.extend(frame(WINDOW_UPDATE, 0, 2 * nth + 1, &[0x7f, 0xff, 0xff, 0xff]));
    }
    assert_eq!(flood(&rig, &bytes).await, Some(Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut bytes = frame(HEADERS, END_STREAM, 1, &get_block());
    // A field of 1 KiB in each.
    let field = [&b"\0\x01x\x7f\x81\x07"[..], &[b'y'; 1_024]].concat();
    bytes.extend(frame(CONTINUATION, 0, 1, &field).repeat(2_000));
    assert_eq!(flood(&rig, &bytes).await, Some(Reason::ENHANCE_YOUR_CALM));
    assert!(worker.heard().is_empty());
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut client = Frames::connect(rig.addr).await;
    // Five fields of 16,256 bytes are more than 64 KiB.
    let field = [&b"\0\x01x\x7f\x81\x7e"[..], &[b'y'; 16_256]].concat();
    let mut bytes = frame(HEADERS, END_STREAM, 1, &get_block());
    for nth in 0..5 {
        let flags = if nth == 4 { END_HEADERS } else { 0 };
        bytes.extend(frame(CONTINUATION, flags, 1, &field));
    }
    client.0.write_all(&bytes).await.unwrap();
    let (_, stream, block) = client.next(HEADERS).await.expect("an answer");
    // `:status` by a literal: 431 is not in the static table, as 200 is (0x88).
    assert_eq!((stream, block[0]), (1, 0x48), "{block:x?}");
    assert!(worker.heard().is_empty());
    client.0.write_all(&get_frame(3)).await.unwrap();
    let (_, stream, block) = client.next(HEADERS).await.expect("an answer");
    assert_eq!((stream, block[0]), (3, 0x88), "{block:x?}");
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let worker = silent().await;
    let limits = [
        Limits { http2_streams_max: 2, ..Limits::default() },
        Limits { http2_streams_of_core_max: 2, ..Limits::default() },
    ];
    for limits in limits {
        let rig = limited(limits, &worker).await;
        let mut client = Frames::connect(rig.addr).await;
        for stream in [1, 3, 5] {
            client.0.write_all(&get_frame(stream)).await.unwrap();
        }
        let (_, stream, payload) = client.next(RST_STREAM).await.expect("the third is refused");
        let reason = u32::from_be_bytes(payload[..].try_into().unwrap()).into();
        assert_eq!((stream, reason), (5, Reason::REFUSED_STREAM));
        eventually("the others are at the worker", || rig.in_flight("w1") == 2).await;
        // A place that is given back can be taken again.
        client.0.write_all(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await.unwrap();
        eventually("one is left", || rig.in_flight("w1") == 1).await;
        client.0.write_all(&get_frame(7)).await.unwrap();
        eventually("there are two again", || rig.in_flight("w1") == 2).await;
    }
}

#[tokio::test]
async fn fields_that_are_for_a_connection_are_refused() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut client = Frames::connect(rig.addr).await;
    let fields = [
        ("connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("keep-alive", "5"),
        ("te", "gzip"),
    ];
    for (nth, (name, value)) in fields.into_iter().enumerate() {
        let stream = 2 * u32::try_from(nth).unwrap() + 1;
        let mut block = get_block();
        for text in [name, value] {
            if text == name {
                block.push(0);
            }
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
        client.0.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)).await.unwrap();
        let (_, refused, payload) = client.next(RST_STREAM).await.unwrap_or_else(|| panic!("{name}"));
        assert_eq!((refused, payload), (stream, vec![0, 0, 0, 1]), "{name}: PROTOCOL_ERROR");
    }
    assert!(worker.heard().is_empty());
}

#[tokio::test]
async fn a_request_names_one_host_and_no_tunnel_elsewhere() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let two = request("GET", "/").header("host", "other.example").body(()).unwrap();
    let answer = client.ask(two).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("different hosts"), "{}", answer.body);
    assert_eq!(answer.header("connection"), None);
    let same = request("GET", "/").header("host", "r.example").body(()).unwrap();
    assert_eq!(client.ask(same).await.body, "ok");
    let connect = http::Request::builder().method("CONNECT").uri("r.example:443").body(()).unwrap();
    assert_eq!(client.ask(connect).await.status, 405);
    assert_eq!(worker.heard().len(), 1);
}

#[tokio::test]
async fn who_does_not_finish_the_preface_is_closed() {
    let worker = Worker::ok().await;
    let limits = Limits { header_timeout: Duration::from_millis(200), ..Limits::default() };
    let rig = limited(limits, &worker).await;
    let mut client = rig.client().await;
    client.send(b"PRI * HTTP/2.0\r\n").await.unwrap();
    assert!(client.is_closed().await);
    rig.until_metric("quorate_proxy_connections_open", 0).await;
}

#[tokio::test]
async fn who_does_not_finish_a_head_is_closed() {
    let worker = Worker::ok().await;
    let limits = Limits { header_timeout: Duration::from_millis(200), ..Limits::default() };
    let rig = limited(limits, &worker).await;
    let mut slow = Frames::connect(rig.addr).await;
    slow.0.write_all(&frame(HEADERS, END_STREAM, 1, &get_block())).await.unwrap();
    rig.until_metric("quorate_proxy_connections_open", 0).await;
}

#[tokio::test]
async fn who_does_not_answer_a_ping_is_closed() {
    let worker = silent().await;
    let limits = Limits {
        http2_ping_interval: Duration::from_millis(100),
        http2_ping_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let rig = limited(limits, &worker).await;
    let mut mute = Frames::connect(rig.addr).await;
    mute.0.write_all(&get_frame(1)).await.unwrap();
    eventually("it is at the worker", || rig.in_flight("w1") == 1).await;
    assert!(mute.next(PING).await.is_some(), "it is asked");
    rig.until_metric("quorate_proxy_connections_open", 0).await;
    assert_eq!(rig.in_flight("w1"), 0);
}
