//! `quorate.v1` through real listeners, over a cluster that is a table.

use crate::{
    gateway::Gateway,
    rig::{Client, Table, gateway, until, user},
    settings::{Bounds, Broadcasts, QueueLimits, Settings, SlowConsumer},
};
use quorate_rt::time::Duration;
use quorate_telemetry::{
    gateway::{GatewayCounters, Resumed},
    label::Label,
};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};

/// Longer than any test takes, also on a machine that is busy.
const LONG: Duration = Duration::from_secs(600);

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.extension.window = LONG;
    settings
}

/// A client of `quorate.v1` that remembers how to come back.
struct Guest {
    client: Client,
    token: String,
}

impl Guest {
    async fn connect(gateway: SocketAddr) -> Client {
        let line = "Sec-WebSocket-Protocol: quorate.v1\r\n";
        let client = Client::connect_with(gateway, "/ws", line).await.expect("hands are shaken");
        assert!(
            client.head.to_lowercase().contains("sec-websocket-protocol: quorate.v1\r\n"),
            "{}",
            client.head
        );
        client
    }

    async fn register(gateway: &Gateway, name: &str) -> Self {
        let mut client = Self::connect(gateway.local_addr()).await;
        client.say(&json!({"type": "register", "userId": name}).to_string()).await;
        let told = heard(&mut client).await;
        assert_eq!((&told["type"], &told["windowMs"]), (&json!("registered"), &json!(600_000)), "{told}");
        Self { client, token: told["token"].as_str().expect("a token").into() }
    }

    /// On another socket; what it is told of that.
    async fn resume(&mut self, gateway: &Gateway, name: &str, seq: u64) -> Value {
        self.client = Self::connect(gateway.local_addr()).await;
        let frame = json!({"type": "resume", "userId": name, "token": self.token, "seq": seq});
        self.say(frame).await;
        self.hear().await
    }

    async fn say(&mut self, frame: Value) {
        self.client.say(&frame.to_string()).await;
    }

    async fn hear(&mut self) -> Value {
        heard(&mut self.client).await
    }

    async fn tell(&mut self, id: &str, to: &str, content: &str) -> Value {
        self.say(json!({"type": "message", "id": id, "to": to, "content": content})).await;
        self.hear().await
    }

    /// The socket breaks without a word.
    async fn break_off(&mut self) {
        use tokio::io::AsyncWriteExt;
        self.client.tcp().shutdown().await.expect("it was open");
    }
}

async fn heard(client: &mut Client) -> Value {
    serde_json::from_str(&client.hear().await).expect("JSON")
}

fn acked(id: &str) -> Value {
    json!({"type": "ack", "id": id})
}

fn message(seq: u64, from: &str, content: &str) -> Value {
    json!({"type": "message", "seq": seq, "from": from, "content": content})
}

async fn two(settings: Settings) -> (Arc<Table>, Gateway, Gateway) {
    let table = Arc::new(Table::default());
    let one = gateway(&table, "n1", settings.clone()).await;
    let other = gateway(&table, "n2", settings).await;
    (table, one, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_acknowledged_and_numbered_and_done_once() {
    let (_table, one, other) = two(settings()).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&other, "bob").await;
    assert_eq!(alice.tell("a", "bob", "1").await, acked("a"));
    assert_eq!(alice.tell("a", "bob", "1").await, acked("a"), "said again, done once");
    assert_eq!(alice.tell("b", "bob", "2").await, acked("b"));
    assert_eq!(alice.tell("c", "nobody", "x").await["code"], "not_delivered");
    assert_eq!(bob.hear().await, message(1, "alice", "1"));
    assert_eq!(bob.hear().await, message(2, "alice", "2"));
    bob.say(json!({"type": "ping"})).await;
    assert_eq!(bob.hear().await, json!({"type": "pong"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_arrives_once_in_order_on_the_same_node_and_on_another() {
    let (table, one, other) = two(settings()).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&other, "bob").await;
    alice.tell("1", "bob", "1").await;
    alice.tell("2", "bob", "2").await;
    assert_eq!(bob.hear().await, message(1, "alice", "1"));
    bob.say(json!({"type": "ack", "seq": 1})).await;
    // 2 is on its way, and lost with the socket.
    let (epoch, connection) = {
        let place = &table.places(&user("bob"))[0];
        (place.epoch, place.connection.to_string())
    };
    bob.break_off().await;
    assert_eq!(alice.tell("3", "bob", "3").await, acked("3"), "nobody notices");
    let told = bob.resume(&other, "bob", 1).await;
    assert_eq!((&told["type"], &told["ok"]), (&json!("resumed"), &json!(true)), "{told}");
    assert_eq!((&told["epoch"], &told["connection"]), (&json!(epoch.0), &json!(connection)), "{told}");
    assert_eq!(bob.hear().await, message(2, "alice", "2"));
    assert_eq!(bob.hear().await, message(3, "alice", "3"));
    assert_eq!(table.places(&user("bob"))[0].epoch, epoch, "the session is the same");

    // Now elsewhere, with the old socket still open; and back.
    alice.tell("4", "bob", "4").await;
    for (gateway, seq, content) in [(&one, 5, "5"), (&other, 6, "6"), (&one, 7, "7")] {
        let told = bob.resume(gateway, "bob", seq - 2).await;
        assert_eq!(told["ok"], true, "{told}");
        let epoch = table.places(&user("bob"))[0].epoch;
        assert_eq!((&told["epoch"], &told["connection"]), (&json!(epoch.0), &json!(connection)), "{told}");
        assert_eq!(bob.hear().await, message(seq - 1, "alice", &(seq - 1).to_string()));
        assert_eq!(alice.tell(content, "bob", content).await, acked(content));
    }
    assert_eq!(bob.hear().await, message(7, "alice", "7"));
    let places = table.places(&user("bob"));
    assert_eq!(places.len(), 1);
    assert_eq!(places[0].node.as_str(), "n1");
    assert!(bob.token.starts_with(&places[0].connection.to_string()), "the connection's id stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_window_is_over_is_gone_and_the_client_is_told() {
    let mut short = settings();
    short.extension.window = Duration::from_millis(600_000);
    let (table, one, other) = two(short).await;
    let mut bob = Guest::register(&one, "bob").await;
    bob.say(json!({"type": "bye"})).await;
    assert_eq!(bob.client.closed().await, Some((1000, "bye".into())));
    assert!(table.places(&user("bob")).is_empty(), "whoever hears it is gone already");
    let token = bob.token.clone();
    assert_eq!(
        bob.resume(&other, "bob", 0).await,
        json!({"type": "resumed", "ok": false, "reason": "unknown"})
    );
    let new = bob.hear().await;
    assert_eq!(new["type"], "registered");
    assert_ne!(new["token"], token.as_str(), "it is a new session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_ends() {
    let mut short = Settings::default();
    short.extension.window = Duration::from_millis(50);
    let table = Arc::new(Table::default());
    let one = gateway(&table, "n1", short).await;
    let mut client = Guest::connect(one.local_addr()).await;
    client.say(r#"{"type":"register","userId":"bob"}"#).await;
    let told = heard(&mut client).await;
    let mut bob = Guest { client, token: told["token"].as_str().expect("a token").into() };
    bob.break_off().await;
    until("bob is gone", || table.places(&user("bob")).is_empty()).await;
    assert_eq!(bob.resume(&one, "bob", 0).await["reason"], "unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_session_that_was_replaced_is_void() {
    let (table, one, other) = two(settings()).await;
    let mut bob = Guest::register(&one, "bob").await;
    let mut newer = Guest::register(&other, "bob").await;
    assert_eq!(bob.hear().await, json!({"type": "replaced"}));
    assert_eq!(bob.client.closed().await, Some((4001, "replaced".into())));
    let newest = table.places(&user("bob"));
    // Without a register behind it: whoever comes with a void token is a new login, as the page says.
    let told = bob.resume(&other, "bob", 0).await;
    assert_eq!(told["reason"], "unknown", "{told}");
    assert_eq!(bob.hear().await["type"], "registered");
    assert_ne!(table.places(&user("bob")), newest);
    assert_eq!(newer.hear().await, json!({"type": "replaced"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_ones_token_opens_nothing() {
    let (table, one, other) = two(settings()).await;
    let bob = Guest::register(&one, "bob").await;
    let before = table.places(&user("bob"));
    let guessed =
        format!("{}{}", &bob.token[..bob.token.len() - 1], if bob.token.ends_with('0') { 1 } else { 0 });
    for gateway in [&one, &other] {
        let mut thief = Guest { client: Guest::connect(gateway.local_addr()).await, token: guessed.clone() };
        assert_eq!(thief.resume(gateway, "mallory", 0).await["reason"], "unknown");
        // The right secret, but another user.
        thief.token.clone_from(&bob.token);
        assert_eq!(thief.resume(gateway, "mallory", 0).await["reason"], "unknown");
    }
    assert_eq!(table.places(&user("bob")), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_buffer_is_told_to_both_sides_and_loses_nothing_that_was_acknowledged() {
    let mut small = settings();
    small.extension.replay = Bounds { messages: 2, bytes: 1 << 20 };
    small.queue = QueueLimits { messages_max: 2, bytes_max: 1 << 20 };
    small.slow = SlowConsumer::Refuse;
    let (_table, one, other) = two(small).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&other, "bob").await;
    bob.break_off().await;
    let (mut sent, mut refused) = (0, 0);
    // What waits in the queue moves on to the buffer, in its own time.
    while sent < 4 || refused < 3 {
        let told = alice.tell(&format!("{sent}.{refused}"), "bob", &sent.to_string()).await;
        match told["type"].as_str() {
            Some("ack") => sent += 1,
            _ => refused += 1,
        }
        assert!(sent <= 4, "two in the buffer, two in the queue");
    }
    let told = bob.resume(&one, "bob", 0).await;
    assert_eq!((&told["ok"], &told["refused"]), (&json!(true), &json!(refused)), "{told}");
    for n in 0..4 {
        let heard = bob.hear().await;
        assert_eq!(heard, message(n + 1, "alice", &n.to_string()));
        bob.say(json!({"type": "ack", "seq": n + 1})).await;
    }
    assert_eq!(bob.hear().await["code"], "replay_full", "it was full when he came back");
    assert_eq!(alice.tell("again", "bob", "4").await, acked("again"));
    assert_eq!(bob.hear().await, message(5, "alice", "4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_goes_is_told_once_also_behind_a_move() {
    let (_table, one, other) = two(settings()).await;
    let mut alice = Guest::register(&one, "alice").await;
    let bob = Guest::register(&other, "bob").await;
    alice.say(json!({"type": "subscribe", "id": "s", "users": ["bob", "carol"]})).await;
    let told = alice.hear().await;
    assert_eq!((&told["online"], &told["offline"]), (&json!(["bob"]), &json!(["carol"])), "{told}");
    let mut carol = Guest::register(&one, "carol").await;
    let joined = alice.hear().await;
    assert_eq!(
        (&joined["type"], &joined["user"], &joined["seq"]),
        (&json!("joined"), &json!("carol"), &json!(1))
    );
    let told = alice.resume(&other, "alice", 1).await;
    assert_eq!(told["ok"], true);
    carol.say(json!({"type": "bye"})).await;
    let left = alice.hear().await;
    assert_eq!((&left["type"], &left["user"], &left["seq"]), (&json!("left"), &json!("carol"), &json!(2)));
    assert!(left["index"].as_u64() > joined["index"].as_u64());
    drop(bob);
    alice.say(json!({"type": "ping"})).await;
    assert_eq!(alice.hear().await, json!({"type": "pong"}), "bob has a window, and is online for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_in_a_room_hear_it_on_every_node_and_behind_a_move() {
    let (_table, one, other) = two(settings()).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&other, "bob").await;
    let mut carol = Guest::register(&other, "carol").await;
    for guest in [&mut alice, &mut bob] {
        guest.say(json!({"type": "join", "id": "j", "room": "lobby"})).await;
        assert_eq!(guest.hear().await, acked("j"));
    }
    let said = |seq: u64, content: &str| json!({"type": "room_message", "seq": seq, "room": "lobby", "from": "alice", "content": content});
    alice.say(json!({"type": "room_message", "room": "lobby", "content": "1"})).await;
    assert_eq!(alice.hear().await, said(1, "1"), "also who said it");
    assert_eq!(bob.hear().await, said(1, "1"));
    assert_eq!(bob.resume(&one, "bob", 1).await["ok"], true);
    alice.say(json!({"type": "room_message", "id": "r", "room": "lobby", "content": "2"})).await;
    let told = [alice.hear().await, alice.hear().await];
    assert!(told.contains(&acked("r")) && told.contains(&said(2, "2")), "{told:?}");
    assert_eq!(bob.hear().await, said(2, "2"), "once");
    bob.say(json!({"type": "leave", "id": "l", "room": "lobby"})).await;
    assert_eq!(bob.hear().await, acked("l"));
    alice.say(json!({"type": "room_message", "room": "lobby", "content": "3"})).await;
    assert_eq!(alice.hear().await, said(3, "3"));
    for guest in [&mut bob, &mut carol] {
        guest.say(json!({"type": "ping"})).await;
        assert_eq!(guest.hear().await, json!({"type": "pong"}), "who is not in it hears nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_the_original_see_none_of_it() {
    let mut open = settings();
    open.extension.broadcasts = Broadcasts::Everybody;
    let (_table, one, other) = two(open).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut old = Client::register(other.local_addr(), "old").await;
    assert_eq!(alice.tell("1", "old", "hi").await, acked("1"));
    assert_eq!(old.hear().await, r#"{"type":"message","from":"alice","content":"hi"}"#);
    alice.say(json!({"type": "broadcast", "id": "b", "content": "all"})).await;
    let told = [alice.hear().await, alice.hear().await];
    assert!(told.contains(&acked("b")), "{told:?}");
    assert_eq!(old.hear().await, r#"{"type":"message","from":"alice","content":"all"}"#);
    for kind in ["join", "subscribe", "ack", "resume", "broadcast"] {
        old.say(&json!({"type": kind, "id": "x", "room": "r"}).to_string()).await;
        assert_eq!(old.hear().await, r#"{"type":"error","error":"Unknown message type"}"#);
    }
    old.tell("alice", "ho").await;
    assert_eq!(alice.hear().await["content"], "ho");
    let newer = Client::register(one.local_addr(), "old").await;
    assert_eq!(old.closed().await.map(|(code, _)| code), Some(4001), "no word before the close");
    drop(newer);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_counted_by_how_that_ended() {
    let (table, one, other) = two(settings()).await;
    let counters = |gateway: &Gateway| gateway.desk().counters.clone();
    let (at_one, at_other) = (counters(&one), counters(&other));
    let mut bob = Guest::register(&one, "bob").await;
    assert_eq!(bob.resume(&one, "bob", 0).await["ok"], true);
    assert_eq!(bob.resume(&other, "bob", 0).await["ok"], true);
    assert_eq!(bob.resume(&other, "bob", 9).await["reason"], "seq");
    assert_eq!(bob.resume(&other, "bob", 0).await["reason"], "unknown");
    let mut carol = Guest::register(&one, "carol").await;
    table.silence("n1");
    assert_eq!(carol.resume(&other, "carol", 0).await["reason"], "unreachable");
    let counted =
        |counters: &GatewayCounters| Resumed::ALL.iter().map(|how| counters.resumed(*how)).collect();
    let (one, other): (Vec<_>, Vec<_>) = (counted(&at_one), counted(&at_other));
    // Here, moved, unknown, seq, unreachable, refused, drain.
    assert_eq!(one, [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(other, [0, 1, 1, 1, 1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_answer_is_told_as_the_reason() {
    let (table, one, other) = two(settings()).await;
    let mut bob = Guest::register(&one, "bob").await;
    table.silence("n1");
    assert_eq!(bob.resume(&other, "bob", 0).await["reason"], "unreachable");
    assert_eq!(bob.hear().await["type"], "registered");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_whether_to_try_again() {
    let mut one_each = settings();
    one_each.second_login = quorate_model::SecondLogin::Reject;
    let (table, one, _other) = two(one_each).await;
    let mut client = Guest::connect(one.local_addr()).await;
    let register = json!({"type": "register", "userId": "alice"}).to_string();
    table.cut_off("n1");
    client.say(&register).await;
    assert_eq!(heard(&mut client).await["code"], "unavailable");
    table.come_back("n1");
    client.say(&register).await;
    assert_eq!(heard(&mut client).await["type"], "registered", "on the same socket");
    let mut second = Guest::connect(one.local_addr()).await;
    second.say(&register).await;
    assert_eq!(heard(&mut second).await["code"], "register_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_leaves_nothing_behind() {
    let (_table, one, _other) = two(settings()).await;
    let mut alice = Guest::register(&one, "alice").await;
    alice.say(json!({"type": "join", "id": "j", "room": "r"})).await;
    alice.hear().await;
    alice.say(json!({"type": "subscribe", "users": ["bob"]})).await;
    alice.hear().await;
    let desk = one.desk().clone();
    assert_eq!((desk.hall.rooms().count(), desk.extension.watched_count()), (1, 1));
    alice.say(json!({"type": "bye"})).await;
    alice.client.closed().await;
    until("nothing is left", || desk.hall.rooms().count() + desk.extension.watched_count() == 0).await;
}

mod moving;
mod staying;
