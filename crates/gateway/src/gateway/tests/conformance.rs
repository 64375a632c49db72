//! RFC 6455 by raw bytes, case by case as the Autobahn suite has them (its sections 1 to 7), through the listener.
//!
//! Frames are made and read here, by nobody's library: what the server's library and a client of the same hand agree about
//! could be wrong on both sides. What a case does to the server is known by what comes back: a `ping` of the dialect is
//! answered by a `pong`, anything else that is whole by an error.

use crate::{
    rig::{PATIENCE, Table, gateway},
    settings::Settings,
};
use quorate_rt::{
    net::TcpStream,
    time::{self, Duration},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PING: &[u8] = br#"{"type":"ping"}"#;

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Back {
    /// The dialect's pong.
    Pong,
    /// Any error of the dialect: the message was whole.
    Error,
    /// A pong of the protocol, with this payload.
    Control(Vec<u8>),
    /// A close frame, with this code.
    Close(u16),
    /// A close frame without one.
    CloseEmpty,
    /// The end of the connection.
    End,
}

use Back::{Close, CloseEmpty, Control, End, Error, Pong};

/// A frame as a client sends it, masked.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![head];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).expect("short")),
        length @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).expect("short").to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn text(payload: &[u8]) -> Vec<u8> {
    frame(0x81, payload)
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason].concat())
}

async fn connect(at: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(at).await.expect("it listens");
    tcp.set_nodelay(true).expect("it is open");
    let request = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tcp.write_all(request.as_bytes()).await.expect("it reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    tcp
}

async fn read(tcp: &mut TcpStream) -> Back {
    let Ok(head) = tcp.read_u8().await else { return End };
    let length = tcp.read_u8().await.expect("a whole head");
    assert_eq!(length & 0x80, 0, "a server masks nothing");
    assert_eq!(head & 0xf0, 0x80, "whole, and no bits of extensions");
    let length = match length {
        126 => usize::from(tcp.read_u16().await.expect("a whole head")),
        127 => usize::try_from(tcp.read_u64().await.expect("a whole head")).expect("short"),
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    tcp.read_exact(&mut payload).await.expect("a whole frame");
    match head & 0x0f {
        0x1 if payload == br#"{"type":"pong"}"# => Pong,
        0x1 => {
            let said = String::from_utf8(payload).expect("text is UTF-8");
            assert!(said.starts_with(r#"{"type":"error","#), "{said}");
            Error
        }
        0x8 if payload.is_empty() => CloseEmpty,
        0x8 => {
            std::str::from_utf8(&payload[2..]).expect("a reason is UTF-8");
            Close(u16::from_be_bytes([payload[0], payload[1]]))
        }
        0xa => Control(payload),
        other => panic!("nobody has asked for a frame of kind {other}"),
    }
}

/// Each case by itself, and each also with its bytes one by one.
async fn check(cases: Vec<(&str, Vec<u8>, Vec<Back>)>) {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    for (name, bytes, expected) in &cases {
        let step = if bytes.len() > 4_096 { bytes.len() / 7 } else { 1 };
        for step in [bytes.len(), step] {
            let mut tcp = connect(gateway.local_addr()).await;
            for piece in bytes.chunks(step) {
                // Those that end early take no more.
                if tcp.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let mut back = Vec::new();
            for _ in expected {
                back.push(
                    time::timeout(PATIENCE, read(&mut tcp))
                        .await
                        .unwrap_or_else(|_| panic!("{name}: silence after {back:?}")),
                );
            }
            assert_eq!(&back, expected, "{name}, in steps of {step}");
        }
    }
}

#[tokio::test]
async fn section_1_messages_of_any_length() {
    let mut cases = Vec::new();
    for length in [0, 125, 126, 127, 128, 65_535, 65_536, 1 << 20] {
        cases.push(("text", [text(&vec![b'*'; length]), text(PING)].concat(), vec![Error, Pong]));
        cases.push(("binary", [frame(0x82, &vec![0xfe; length]), text(PING)].concat(), vec![Error, Pong]));
    }
    check(cases).await;
}

#[tokio::test]
async fn section_2_pings_and_pongs() {
    let ten: Vec<u8> = (0..10u8).flat_map(|nth| frame(0x89, &[nth])).collect();
    // One pong may answer several pings (RFC 6455, 5.5.3): the last one is what counts.
    check(vec![
        ("an empty ping", frame(0x89, b""), vec![Control(vec![])]),
        ("a ping with bytes", frame(0x89, &[0, 0xff, 0xfe]), vec![Control(vec![0, 0xff, 0xfe])]),
        ("a ping of 125 bytes", frame(0x89, &[7; 125]), vec![Control(vec![7; 125])]),
        ("a ping of 126 bytes", frame(0x89, &[7; 126]), vec![Close(1002), End]),
        ("a pong that nobody asked for", [frame(0x8a, b"x"), text(PING)].concat(), vec![Pong]),
        (
            "a pong, then a ping",
            [frame(0x8a, b"x"), frame(0x89, b"y")].concat(),
            vec![Control(b"y".to_vec())],
        ),
    ])
    .await;
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let mut tcp = connect(gateway.local_addr()).await;
    tcp.write_all(&[ten, text(PING)].concat()).await.expect("it reads");
    let mut last = None;
    loop {
        match time::timeout(PATIENCE, read(&mut tcp)).await.expect("in time") {
            Control(payload) => last = Some(payload),
            Pong => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last, Some(vec![9]), "the last ping is answered, before what comes after it");
}

#[tokio::test]
async fn section_3_reserved_bits() {
    let mut cases = Vec::new();
    for head in [0x91, 0xa1, 0xb1, 0xc1, 0xd1, 0xe1, 0xf1, 0x99, 0xe8, 0xda] {
        cases.push(("a reserved bit", frame(head, b""), vec![Close(1002), End]));
        cases.push((
            "after a message",
            [text(PING), frame(head, b"")].concat(),
            vec![Pong, Close(1002), End],
        ));
    }
    check(cases).await;
}

#[tokio::test]
async fn section_4_reserved_kinds_of_frames() {
    let kinds = (0x83..=0x87).chain(0x8b..=0x8f);
    let cases = kinds.map(|head| {
        (
            "a reserved kind",
            [text(PING), frame(head, b"x"), text(PING)].concat(),
            vec![Pong, Close(1002), End],
        )
    });
    check(cases.collect()).await;
}

#[tokio::test]
async fn section_5_fragmentation() {
    let (first, second) = PING.split_at(5);
    let (begin, middle, last) =
        (|p: &[u8]| frame(0x01, p), |p: &[u8]| frame(0x00, p), |p: &[u8]| frame(0x80, p));
    let each: Vec<u8> = PING[1..14].iter().flat_map(|byte| middle(&[*byte])).collect();
    check(vec![
        ("a ping in two parts", [frame(0x09, b"a"), frame(0x80, b"b")].concat(), vec![Close(1002), End]),
        ("a pong in two parts", [frame(0x0a, b"a"), frame(0x80, b"b")].concat(), vec![Close(1002), End]),
        ("a goodbye in two parts", [frame(0x08, b""), frame(0x80, b"")].concat(), vec![Close(1002), End]),
        ("two parts", [begin(first), last(second)].concat(), vec![Pong]),
        ("byte by byte", [begin(&PING[..1]), each, last(&PING[14..])].concat(), vec![Pong]),
        ("empty parts", [begin(b""), middle(b""), middle(PING), last(b"")].concat(), vec![Pong]),
        (
            "nothing in three parts",
            [begin(b""), middle(b""), last(b""), text(PING)].concat(),
            vec![Error, Pong],
        ),
        (
            "a ping between two parts",
            [begin(first), frame(0x89, b"between"), last(second)].concat(),
            vec![Control(b"between".to_vec()), Pong],
        ),
        (
            "pings and pongs between parts",
            [begin(first), frame(0x89, b"1"), frame(0x8a, b"2"), middle(b""), last(second)].concat(),
            vec![Control(b"1".to_vec()), Pong],
        ),
        ("the end of nothing", [last(b"x"), text(PING)].concat(), vec![Close(1002), End]),
        ("the middle of nothing", middle(b"x"), vec![Close(1002), End]),
        (
            "the end of what has ended",
            [begin(first), last(second), last(b"x")].concat(),
            vec![Pong, Close(1002), End],
        ),
        ("a message within another one", [begin(first), text(PING)].concat(), vec![Close(1002), End]),
        ("a beginning within another one", [begin(first), begin(second)].concat(), vec![Close(1002), End]),
        ("bytes within text", [begin(first), frame(0x82, second)].concat(), vec![Close(1002), End]),
        ("bytes in two parts", [frame(0x02, first), last(second)].concat(), vec![Pong]),
        ("a goodbye between two parts", [begin(first), close(1000, b"")].concat(), vec![Close(1000), End]),
    ])
    .await;
}

#[tokio::test]
async fn section_6_text_is_utf_8() {
    let whole = "\"κόσμε 😀 \u{10ffff} \u{0}\"".as_bytes();
    let mut cases = vec![
        ("all lengths of letters", [text(whole), text(PING)].concat(), vec![Error, Pong]),
        ("in bytes anything goes", [frame(0x82, b"\xff\xc0"), text(PING)].concat(), vec![Error, Pong]),
    ];
    // Wherever text is cut, also within a letter.
    for at in 0..=whole.len() {
        let (first, second) = whole.split_at(at);
        let parts = [frame(0x01, first), frame(0x00, b""), frame(0x80, second), text(PING)];
        cases.push(("a letter in two parts", parts.concat(), vec![Error, Pong]));
    }
    let not: [&[u8]; 18] = [
        b"\x80",
        b"\xbf",
        b"\xfe",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x88\x80\x80\x80",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xce",
        b"\xce\xba\xe1\xbd",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    ];
    for bytes in not {
        cases.push(("no letter", text(bytes), vec![Close(1007), End]));
        let (first, second) = bytes.split_at(bytes.len() / 2);
        cases.push((
            "no letter, in parts",
            [frame(0x01, first), frame(0x80, second)].concat(),
            vec![Close(1007), End],
        ));
    }
    // Without waiting for the rest of the message.
    cases.push(("no letter in the first part", frame(0x01, b"\xf4\x90\x80\x80"), vec![Close(1007), End]));
    check(cases).await;
}

#[tokio::test]
async fn section_7_goodbyes() {
    let mut cases = vec![
        ("without a code", frame(0x88, b""), vec![CloseEmpty, End]),
        ("of one byte", frame(0x88, b"x"), vec![Close(1002), End]),
        ("with a reason", close(1000, b"Hello World!"), vec![Close(1000), End]),
        ("with a long reason", close(1000, &[b'*'; 123]), vec![Close(1000), End]),
        ("with one that is too long", close(1000, &[b'*'; 124]), vec![Close(1002), End]),
        (
            "with one that is no text",
            close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"),
            vec![Close(1007), End],
        ),
        ("after a message", [text(PING), close(1000, b"")].concat(), vec![Pong, Close(1000), End]),
        ("twice", [close(1000, b""), close(1000, b"")].concat(), vec![Close(1000), End]),
        ("before a ping", [close(1000, b""), frame(0x89, b"x")].concat(), vec![Close(1000), End]),
        ("before a message", [close(1000, b""), text(PING)].concat(), vec![Close(1000), End]),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(("with a code", close(code, b""), vec![Close(code), End]));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(("with a code that nobody may send", close(code, b""), vec![Close(1002), End]));
    }
    check(cases).await;
}

#[tokio::test]
async fn what_a_client_does_not_mask_is_refused() {
    check(vec![
        ("text", [&[0x81, 15], PING].concat(), vec![Close(1002), End]),
        ("a ping", vec![0x89, 0], vec![Close(1002), End]),
        ("a goodbye", vec![0x88, 0], vec![Close(1002), End]),
    ])
    .await;
}

#[tokio::test]
async fn a_length_that_nobody_could_send_is_refused_by_its_head() {
    let head = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    check(vec![
        ("one byte too many", head((1 << 20) + 1), vec![Close(1009), End]),
        ("all there are", head(u64::MAX), vec![Close(1009), End]),
        ("with the first bit set", head(1 << 63), vec![Close(1009), End]),
    ])
    .await;
}

#[tokio::test]
async fn a_connection_that_ends_without_a_goodbye_ends() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let mut tcp = connect(gateway.local_addr()).await;
    tcp.write_all(&frame(0x01, b"half a mess")).await.expect("it reads");
    tcp.shutdown().await.expect("it is open");
    assert_eq!(time::timeout(Duration::from_secs(60), read(&mut tcp)).await.expect("in time"), End);
}
