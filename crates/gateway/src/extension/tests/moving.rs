//! Sessions on their way to another node: their clients come back there, or their own one ends.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_all_the_time_is_heard_once_in_order_through_moves() {
    talk_through_moves(300, 0).await;
}

/// With the first answer that gave it away the session was nowhere, and with it what it had kept.
#[tokio::test(flavor = "multi_thread")]
async fn also_where_the_answers_get_lost_that_give_the_session_away() {
    talk_through_moves(120, 1).await;
}

async fn talk_through_moves(count: u64, losses: usize) {
    let (table, one, other) = two(settings()).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&other, "bob").await;
    let talking = quorate_rt::spawn(async move {
        for n in 1..=count {
            // A message that meets the move may fail; it is said again under its name.
            while alice.tell(&n.to_string(), "bob", &n.to_string()).await["type"] != "ack" {}
        }
    });
    let mut seq = 0;
    while seq < count {
        for _ in 0..20.min(count - seq) {
            seq += 1;
            assert_eq!(bob.hear().await, message(seq, "alice", &seq.to_string()));
        }
        assert_eq!(table.losses(), 0, "each was asked for again");
        table.lose_answers("give", losses);
        let gateway = if seq % 40 == 0 { &other } else { &one };
        let told = bob.resume(gateway, "bob", seq).await;
        assert_eq!(told["ok"], true, "{told}");
    }
    talking.await.expect("all is said");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_is_given_again_as_it_was_and_forgotten_once_it_has_arrived() {
    let (table, one, other) = two(settings()).await;
    let mut alice = Guest::register(&other, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    alice.tell("1", "bob", "1").await;
    bob.break_off().await;
    table.lose_answers("give", 3);
    let told = bob.resume(&other, "bob", 0).await;
    assert_eq!((&told["ok"], &told["seq"]), (&json!(true), &json!(1)), "{told}");
    assert_eq!(bob.hear().await, message(1, "alice", "1"));
    assert_eq!(alice.tell("2", "bob", "2").await, acked("2"));
    assert_eq!(bob.hear().await, message(2, "alice", "2"));
    assert_eq!((table.losses(), table.asked("give")), (0, 4));
    until("it is told that it has arrived", || table.asked("forget") == 1).await;
    until("nothing is left", || one.desk().extension.count() == 0).await;
    assert_eq!(table.places(&user("bob")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_hands_its_sessions_over() {
    let mut quick = settings();
    quick.drain_spread = Duration::from_millis(10);
    let (table, one, other) = two(quick).await;
    let mut alice = Guest::register(&other, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    let mut carol = Guest::register(&one, "carol").await;
    carol.break_off().await;
    assert_eq!(alice.tell("1", "bob", "1").await, acked("1"));
    assert_eq!(alice.tell("2", "carol", "2").await, acked("2"));
    one.drain().await;
    let (code, reason) = bob.client.closed().await.expect("a goodbye");
    assert_eq!(code, 1012);
    assert!(reason.starts_with("reconnect in "), "{reason}");
    for name in ["bob", "carol"] {
        let places = table.places(&user(name));
        assert_eq!(places.iter().map(|place| place.node.as_str()).collect::<Vec<_>>(), ["n2"], "{name}");
    }
    assert_eq!(alice.tell("3", "bob", "3").await, acked("3"));
    assert_eq!(bob.resume(&other, "bob", 0).await["ok"], true);
    assert_eq!([bob.hear().await, bob.hear().await], [message(1, "alice", "1"), message(2, "alice", "3")]);
    assert_eq!(carol.resume(&other, "carol", 0).await["ok"], true);
    assert_eq!(carol.hear().await, message(1, "alice", "2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_hands_its_sessions_over_though_answers_get_lost() {
    let mut quick = settings();
    quick.drain_spread = Duration::ZERO;
    let (table, one, other) = two(quick).await;
    let mut alice = Guest::register(&other, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    assert_eq!(alice.tell("1", "bob", "1").await, acked("1"));
    for question in ["adopt", "prepare", "give"] {
        table.lose_answers(question, 1);
    }
    one.drain().await;
    assert_eq!(table.places(&user("bob")).first().map(|place| place.node.as_str()), Some("n2"));
    assert_eq!(bob.resume(&other, "bob", 0).await["ok"], true);
    assert_eq!(bob.hear().await, message(1, "alice", "1"));
}

/// The one to which the session was moving ends: the session was given to a task that was given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_on_its_way_to_a_node_that_ends_is_handed_on() {
    let mut quick = settings();
    quick.drain_spread = Duration::ZERO;
    let (table, one, other) = two(quick).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    alice.tell("1", "bob", "1").await;
    bob.break_off().await;
    let (end, bob) = ended_amid(&table, other, bob, "give").await;
    assert_eq!(end.map(|(code, _)| code), Some(1012));
    goes_on(&table, &one, alice, bob).await;
}

/// Presence named the other one already, so this one took the session for gone, and ended it.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_on_its_way_from_a_node_that_ends_arrives() {
    let mut quick = settings();
    quick.drain_spread = Duration::ZERO;
    let (table, one, other) = two(quick).await;
    let mut alice = Guest::register(&other, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    alice.tell("1", "bob", "1").await;
    bob.break_off().await;
    table.hold_up(Some("give"));
    bob.client = Guest::connect(other.local_addr()).await;
    bob.say(json!({"type": "resume", "userId": "bob", "token": bob.token, "seq": 0})).await;
    until("it asks", || table.asked("give") > 0).await;
    let extension = one.desk().extension.clone();
    let ended = quorate_rt::spawn(one.drain());
    until("its turn has come", || table.asked("adopt") > 0 || extension.count() == 0).await;
    table.hold_up(None);
    let told = bob.hear().await;
    assert_eq!((&told["ok"], &told["seq"]), (&json!(true), &json!(1)), "{told}");
    assert_eq!(bob.hear().await, message(1, "alice", "1"));
    ended.await.expect("it ends");
    assert_eq!(alice.tell("2", "bob", "2").await, acked("2"));
    assert_eq!(bob.hear().await, message(2, "alice", "2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_not_begun_to_move_to_a_node_that_ends_stays() {
    let mut quick = settings();
    quick.drain_spread = Duration::ZERO;
    let (table, one, other) = two(quick).await;
    let mut alice = Guest::register(&one, "alice").await;
    let mut bob = Guest::register(&one, "bob").await;
    alice.tell("1", "bob", "1").await;
    bob.break_off().await;
    let (end, bob) = ended_amid(&table, other, bob, "prepare").await;
    assert_eq!(end.map(|(code, _)| code), Some(1012));
    assert_eq!(table.asked("give"), 0);
    goes_on(&table, &one, alice, bob).await;
}

/// Bob comes back to a node that ends while such a question of it is on its way.
async fn ended_amid(
    table: &Table,
    ending: Gateway,
    mut bob: Guest,
    question: &'static str,
) -> (Option<(u16, String)>, Guest) {
    table.hold_up(Some(question));
    let asked = table.asked(question);
    let mut bystander = Client::register(ending.local_addr(), "bystander").await;
    bob.client = Guest::connect(ending.local_addr()).await;
    bob.say(json!({"type": "resume", "userId": "bob", "token": bob.token, "seq": 0})).await;
    until("it asks", || table.asked(question) > asked).await;
    let ended = quorate_rt::spawn(ending.drain());
    // The turns of all have come now.
    assert_eq!(bystander.closed().await.map(|(code, _)| code), Some(1012));
    table.hold_up(None);
    let end = bob.client.closed().await;
    ended.await.expect("it ends");
    (end, bob)
}

async fn goes_on(table: &Table, here: &Gateway, mut alice: Guest, mut bob: Guest) {
    assert_eq!(table.places(&user("bob")).first().map(|place| place.node.as_str()), Some("n1"));
    let told = bob.resume(here, "bob", 0).await;
    assert_eq!((&told["ok"], &told["seq"]), (&json!(true), &json!(1)), "{told}");
    assert_eq!(bob.hear().await, message(1, "alice", "1"));
    assert_eq!(alice.tell("2", "bob", "2").await, acked("2"));
    assert_eq!(bob.hear().await, message(2, "alice", "2"));
}
