//! Sessions that did not move after all, or of which it was not known at once.

use super::*;
use crate::extension::{
    asked::{self, Cannot},
    token::{Secret, Token},
};
use quorate_model::{ConnectionId, NodeName, SecondLogin};
use tokio::task::yield_now;

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("a good name")
}

async fn is_at(table: &Table, name: &str, place: &str) {
    let names = || table.places(&user(name)).iter().map(|place| place.node.to_string()).collect::<Vec<_>>();
    until("presence names the node", || names() == [place]).await;
}

async fn comes_back(gateway: &Gateway, name: &str, token: &str) -> Client {
    let mut client = Guest::connect(gateway.local_addr()).await;
    client.say(&json!({"type": "resume", "userId": name, "token": token, "seq": 0}).to_string()).await;
    client
}

/// It was in nobody's presence for as long as its client stayed, which was told that it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_returns_in_the_middle_of_a_move_has_its_place_again() {
    let (table, one, other) = two(settings()).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    table.hold_up(Some("give"));
    let _left = comes_back(&other, "bob", &bob.token).await;
    is_at(&table, "bob", "n2").await;
    let told = bob.resume(&one, "bob", 0).await;
    assert_eq!(told["ok"], true, "{told}");
    is_at(&table, "bob", "n1").await;
    assert_eq!(alice.tell("1", "bob", "1").await, acked("1"));
    assert_eq!(bob.hear().await, message(1, "alice", "1"));
    assert_eq!(one.desk().extension.count(), 2);
}

fn connection(token: &str) -> ConnectionId {
    token.parse::<Token>().expect("a token").connection
}

/// Another node's opening of the same connection commits late: its promise is taken back already.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_was_taken_without_a_promise_is_taken_back() {
    let (table, one, _other) = two(settings()).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    let elsewhere = table.presence(&node("n2"));
    let late = elsewhere.open(user("bob"), connection(&bob.token), SecondLogin::Replace).await;
    let late = late.unwrap_or_else(|error| panic!("{error}"));
    is_at(&table, "bob", "n1").await;
    late.close().await;
    until("it knows", || table.places(&user("bob")).len() == 1).await;
    // Whether it knows that it is back, its own messages show.
    while bob.tell("1", "alice", "1").await["type"] != "ack" {}
    assert_eq!(alice.hear().await, message(1, "bob", "1"));
    assert_eq!(alice.tell("1", "bob", "2").await, acked("1"));
    assert_eq!(bob.hear().await, message(1, "alice", "2"));
}

/// The holder had lost its lease and came back behind the other one's entry, which is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_entry_is_over_is_given_nothing_by_it() {
    let (table, one, other) = two(settings()).await;
    let mut alice = Guest::register(&other, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    assert_eq!(alice.tell("1", "bob", "1").await, acked("1"));
    table.hold_up(Some("open"));
    let opened = table.asked("open");
    bob.client = comes_back(&other, "bob", &bob.token).await;
    until("it is promised", || table.asked("open") > opened).await;
    table.cut_off("n1");
    table.hold_up(Some("give"));
    is_at(&table, "bob", "n2").await;
    table.come_back("n1");
    is_at(&table, "bob", "n1").await;
    table.hold_up(None);
    let told = bob.hear().await;
    assert_eq!(told["ok"], true, "{told}");
    assert_eq!(bob.hear().await, message(1, "alice", "1"));
    assert_eq!((table.asked("prepare"), table.asked("give")), (2, 2), "it was asked from the beginning");
    is_at(&table, "bob", "n2").await;
    assert_eq!(alice.tell("2", "bob", "2").await, acked("2"));
    assert_eq!(bob.hear().await, message(2, "alice", "2"));
}

/// It was given up though it was in the other node's presence already.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_goes_on_asking_whoever_has_the_place_already() {
    let mut quick = settings();
    quick.drain_spread = Duration::ZERO;
    let (table, one, other) = two(quick).await;
    let mut alice = Guest::register(&other, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    assert_eq!(alice.tell("1", "bob", "1").await, acked("1"));
    table.hold_up(Some("give"));
    table.break_off("adopt");
    let ended = quorate_rt::spawn(one.drain());
    until("it is asked again", || table.asked("adopt") == 3).await;
    table.hold_up(None);
    ended.await.expect("it ends");
    is_at(&table, "bob", "n2").await;
    assert_eq!(bob.resume(&other, "bob", 0).await["ok"], true);
    assert_eq!(bob.hear().await, message(1, "alice", "1"));
}

/// The place of a session without a socket is not needed where the next socket is there already.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_ends_no_session_whose_client_is_back() {
    let mut full = settings();
    full.extension.detached_max = 0;
    let (table, one, other) = two(full).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    assert_eq!(alice.tell("1", "bob", "1").await, acked("1"));
    for gateway in [&one, &other, &one] {
        let token = bob.token.clone();
        let old = std::mem::replace(&mut bob.client, comes_back(gateway, "bob", &token).await);
        let told = bob.hear().await;
        assert_eq!(told["ok"], true, "{told}");
        assert_eq!(bob.hear().await, message(1, "alice", "1"));
        drop(old);
    }
    bob.break_off().await;
    until("there is no room for it", || table.places(&user("bob")).is_empty()).await;
}

/// Whoever named another one's connection with a wrong secret held it up for a second each.
#[tokio::test(start_paused = true)]
async fn a_wrong_secret_holds_up_nobody() {
    let (table, _one, other) = two(settings()).await;
    let connection = ConnectionId::from_bits(7);
    let opened = table.presence(&node("n1")).open(user("bob"), connection, SecondLogin::Replace).await;
    let _opened = opened.unwrap_or_else(|error| panic!("{error}"));
    let desk = other.desk().clone();
    let wrong = Token { connection, secret: Secret::from_random(1) };
    let thief = {
        let desk = desk.clone();
        quorate_rt::spawn(async move { asked::have(&desk, &user("bob"), &wrong).await.map(drop) })
    };
    // The clock stands while somebody has something to do.
    for _ in 0..1_000 {
        yield_now().await;
    }
    assert!(!thief.is_finished(), "it waits for presence");
    assert_eq!(table.asked("prepare"), 1);
    assert!(desk.extension.arrive(connection).is_some(), "whoever has the right one need not");
    assert_eq!(thief.await.expect("it is answered"), Err(Cannot::Unknown));
}
