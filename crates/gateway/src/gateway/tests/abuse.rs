use crate::{
    rig::{Client, Table, gateway, until, user},
    settings::{Flood, QueueLimits, Rate, Settings, SlowConsumer},
};
use quorate_telemetry::gateway::Closed;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

/// A masked frame; the mask is zeros, so that nothing has to be masked.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    let mut bytes = vec![head, 0x80 | length, 0, 0, 0, 0];
    bytes.extend(payload);
    bytes
}

/// Bytes in one direction, until the other side has enough.
async fn pour(client: &mut Client, bytes: &[u8]) {
    let _ = client.tcp().write_all(bytes).await;
}

#[tokio::test]
async fn messages_and_frames_are_bounded() {
    let table = Arc::new(Table::default());
    let settings = Settings { frame_bytes_max: 1_000, message_bytes_max: 2_000, ..Settings::default() };
    let gateway = gateway(&table, "n1", settings).await;
    let mut client = Client::register(gateway.local_addr(), "alice").await;
    client.say(&" ".repeat(1_000)).await;
    assert_eq!(client.hear().await, r#"{"type":"error","error":"Invalid message format"}"#);
    client.say(&" ".repeat(1_001)).await;
    assert_eq!(client.closed().await, Some((1009, "message too big".into())));
    let mut client = Client::connect(gateway.local_addr()).await;
    let part = frame(0x01, &[b' '; 100]);
    pour(&mut client, &part).await;
    for _ in 0..20 {
        pour(&mut client, &frame(0x00, &[b' '; 100])).await;
    }
    assert_eq!(client.closed().await, Some((1009, "message too big".into())), "in parts too");
    until("it is out of presence", || table.places(&user("alice")).is_empty()).await;
}

#[tokio::test]
async fn a_message_of_many_empty_parts_ends() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings { fragments_max: 50, ..Settings::default() }).await;
    let mut client = Client::connect(gateway.local_addr()).await;
    let mut bytes = frame(0x01, b"");
    (0..100_000).for_each(|_| bytes.extend(frame(0x00, b"")));
    pour(&mut client, &bytes).await;
    assert_eq!(client.closed().await, Some((1008, "too many fragments".into())));
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_all_of_it_answered() {
    let table = Arc::new(Table::default());
    let settings = Settings { frames: Rate { per_second: 200, burst: 10 }, ..Settings::default() };
    let gateway = gateway(&table, "n1", settings).await;
    let mut client = Client::connect(gateway.local_addr()).await;
    let before = quorate_rt::time::Instant::now();
    for _ in 0..210 {
        client.say(r#"{"type":"ping"}"#).await;
    }
    for _ in 0..210 {
        assert_eq!(client.hear().await, r#"{"type":"pong"}"#);
    }
    // 200 of them wait for their second. What is read at once is let pass at once: less than a third of them.
    assert!(before.elapsed() >= quorate_rt::time::Duration::from_millis(300), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_flood_of_pings_is_sent_away_where_the_operator_wants_that() {
    let table = Arc::new(Table::default());
    let frames = Rate { per_second: 10, burst: 20 };
    let gateway =
        gateway(&table, "n1", Settings { frames, flood: Flood::Close, ..Settings::default() }).await;
    let mut client = Client::connect(gateway.local_addr()).await;
    let pings: Vec<u8> = (0..1_000).flat_map(|_| frame(0x89, b"x")).collect();
    pour(&mut client, &pings).await;
    assert_eq!(client.closed().await, Some((1008, "too many frames".into())));
    until("it is counted", || gateway.desk().counters.closed_for(Closed::Flood) == 1).await;
}

fn register(name: &str) -> Message {
    Message::text(format!(r#"{{"type":"register","userId":"{name}"}}"#))
}

/// Scenario: one client registers as ever other users, each of which is an entry in the log of all nodes. Cause: it was
/// held to nothing but the rate of frames, a thousand a second.
#[tokio::test]
async fn a_flood_of_registrations_is_slowed_down_and_all_of_it_answered() {
    let table = Arc::new(Table::default());
    let settings = Settings { registers: Rate { per_second: 20, burst: 5 }, ..Settings::default() };
    let gateway = gateway(&table, "n1", settings).await;
    let mut client = Client::connect(gateway.local_addr()).await;
    let before = quorate_rt::time::Instant::now();
    for nth in 0..25 {
        client.send(register(&format!("u{nth}"))).await;
        // Said again, it changes nothing, and costs nothing.
        client.send(register(&format!("u{nth}"))).await;
    }
    for _ in 0..50 {
        assert_eq!(client.hear().await, r#"{"type":"registered","content":"Successfully registered"}"#);
    }
    // The first six go at once, and the next one after each twentieth of a second.
    assert!(before.elapsed() >= quorate_rt::time::Duration::from_millis(900), "{:?}", before.elapsed());
    assert!(table.places(&user("u23")).is_empty() && !table.places(&user("u24")).is_empty());
}

#[tokio::test]
async fn a_flood_of_registrations_is_sent_away_where_the_operator_wants_that() {
    let table = Arc::new(Table::default());
    let registers = Rate { per_second: 1, burst: 5 };
    let settings = Settings {
        registers,
        flood: Flood::Close,
        second_login: quorate_model::SecondLogin::Reject,
        ..Settings::default()
    };
    let gateway = gateway(&table, "n1", settings).await;
    let _alice = Client::register(gateway.local_addr(), "alice").await;
    // In either dialect, also where it is turned away each time.
    for line in ["", "Sec-WebSocket-Protocol: quorate.v1\r\n"] {
        let connected = Client::connect_with(gateway.local_addr(), "/ws", line).await;
        let mut client = connected.expect("hands are shaken");
        for _ in 0..100 {
            if client.try_send(register("alice")).await.is_err() {
                break;
            }
        }
        assert_eq!(client.closed().await, Some((1008, "too many frames".into())), "{line:?}");
    }
    until("both are counted", || gateway.desk().counters.closed_for(Closed::Flood) == 2).await;
    assert!(!table.places(&user("alice")).is_empty());
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_sent_away_and_whoever_writes_to_it_is_told() {
    let table = Arc::new(Table::default());
    let queue = QueueLimits { messages_max: 10, bytes_max: 1 << 20 };
    let gateway = gateway(&table, "n1", Settings { queue, ..Settings::default() }).await;
    let _slow = Client::register(gateway.local_addr(), "slow").await;
    let mut alice = Client::register(gateway.local_addr(), "alice").await;
    let mut bob = Client::register(gateway.local_addr(), "bob").await;
    let large = "x".repeat(100_000);
    let mut failed = 0;
    for _ in 0..2_000 {
        alice.tell("slow", &large).await;
        failed += alice.settle().await.len();
        if failed > 0 {
            break;
        }
    }
    assert!(failed > 0, "the kernel's buffers and the queue are bounded");
    until("the slow one is out of presence", || table.places(&user("slow")).is_empty()).await;
    until("it is counted", || gateway.desk().counters.closed_for(Closed::Slow) == 1).await;
    bob.tell("alice", "others go on").await;
    assert_eq!(alice.hear().await, r#"{"type":"message","from":"bob","content":"others go on"}"#);
}

#[tokio::test]
async fn a_client_that_takes_nothing_may_stay_where_the_operator_wants_that() {
    let table = Arc::new(Table::default());
    let queue = QueueLimits { messages_max: 10, bytes_max: 1 << 20 };
    let gateway =
        gateway(&table, "n1", Settings { queue, slow: SlowConsumer::Refuse, ..Settings::default() }).await;
    let mut slow = Client::register(gateway.local_addr(), "slow").await;
    let mut alice = Client::register(gateway.local_addr(), "alice").await;
    let large = "x".repeat(100_000);
    let mut taken = 0;
    while alice.settle().await.is_empty() {
        alice.tell("slow", &large).await;
        taken += 1;
    }
    // All that was not refused arrives, and then it is as good as any.
    for _ in 1..taken {
        assert!(slow.hear().await.len() > 100_000);
    }
    alice.tell("slow", "now").await;
    assert_eq!(slow.hear().await, r#"{"type":"message","from":"alice","content":"now"}"#);
}

#[tokio::test]
async fn text_that_is_none_and_broken_rules_end_one_connection_only() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    for (bytes, code) in [
        (frame(0x81, b"\xff"), 1007),
        (frame(0xc1, b"x"), 1002),
        (frame(0x83, b"x"), 1002),
        (frame(0x09, b"x"), 1002),
        (frame(0x80, b"x"), 1002),
        (frame(0x88, b"x"), 1002),
        (vec![0x81, 1, b'x'], 1002),
    ] {
        let mut client = Client::connect(gateway.local_addr()).await;
        pour(&mut client, &bytes).await;
        assert_eq!(client.closed().await.map(|(code, _)| code), Some(code), "{bytes:x?}");
    }
    let mut client = Client::connect(gateway.local_addr()).await;
    client.send(Message::Ping(vec![7; 125].into())).await;
    assert!(matches!(client.next().await, Some(Ok(Message::Pong(pong))) if pong.len() == 125));
}
