use crate::{
    rig::{Client, Table, gateway, until, user},
    settings::Settings,
};
use quorate_model::SecondLogin;
use std::sync::Arc;

fn settings(second_login: SecondLogin) -> Settings {
    Settings { second_login, ..Settings::default() }
}

#[tokio::test]
async fn the_newer_one_takes_the_place_and_the_older_is_told() {
    let table = Arc::new(Table::default());
    let (one, two) =
        (gateway(&table, "n1", Settings::default()).await, gateway(&table, "n2", Settings::default()).await);
    let mut older = Client::register(one.local_addr(), "alice").await;
    let mut newer = Client::register(two.local_addr(), "alice").await;
    assert_eq!(older.closed().await, Some((4001, "replaced".into())));
    newer.tell("alice", "x").await;
    assert_eq!(newer.hear().await, r#"{"type":"message","from":"alice","content":"x"}"#);
    assert_eq!(table.places(&user("alice")).len(), 1);
}

#[tokio::test]
async fn where_one_is_enough_the_second_is_refused_until_the_first_has_left() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", settings(SecondLogin::Reject)).await;
    let mut first = Client::register(gateway.local_addr(), "alice").await;
    let mut second = Client::connect(gateway.local_addr()).await;
    second.say(r#"{"type":"register","userId":"alice"}"#).await;
    assert_eq!(second.hear().await, r#"{"type":"error","error":"Failed to register"}"#);
    first.send(tokio_tungstenite::tungstenite::Message::Close(None)).await;
    assert_eq!(first.closed().await, None);
    until("the first has left", || table.count() == 0).await;
    second.say(r#"{"type":"register","userId":"alice"}"#).await;
    assert_eq!(second.hear().await, r#"{"type":"registered","content":"Successfully registered"}"#);
}

#[tokio::test]
async fn where_many_may_be_each_hears_what_is_said_to_the_user() {
    let table = Arc::new(Table::default());
    let (one, two) = (
        gateway(&table, "n1", settings(SecondLogin::Many)).await,
        gateway(&table, "n2", settings(SecondLogin::Many)).await,
    );
    let mut all = [
        Client::register(one.local_addr(), "alice").await,
        Client::register(one.local_addr(), "alice").await,
        Client::register(two.local_addr(), "alice").await,
    ];
    let mut bob = Client::register(two.local_addr(), "bob").await;
    bob.tell("alice", "x").await;
    for alice in &mut all {
        assert_eq!(alice.hear().await, r#"{"type":"message","from":"bob","content":"x"}"#);
    }
    assert_eq!(bob.settle().await.len(), 0);
}

#[tokio::test]
async fn a_node_that_was_cut_off_registers_its_clients_again_once_it_is_back() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let mut alice = Client::register(gateway.local_addr(), "alice").await;
    table.cut_off("n1");
    until("alice's session has lapsed", || table.places(&user("alice")).is_empty()).await;
    alice.tell("alice", "meanwhile").await;
    assert_eq!(alice.settle().await, [r#"{"type":"error","error":"Failed to send message"}"#]);
    table.come_back("n1");
    until("alice is back", || !table.places(&user("alice")).is_empty()).await;
    // The table knows it a moment before the session does.
    loop {
        alice.tell("alice", "again").await;
        match alice.settle().await.as_slice() {
            [told] if told.contains("Failed") => {}
            told => {
                assert_eq!(told, [r#"{"type":"message","from":"alice","content":"again"}"#]);
                return;
            }
        }
    }
}

#[tokio::test]
async fn an_older_socket_that_comes_back_does_not_take_the_place_of_a_newer_one() {
    let table = Arc::new(Table::default());
    let (one, two) =
        (gateway(&table, "n1", Settings::default()).await, gateway(&table, "n2", Settings::default()).await);
    let mut older = Client::register(one.local_addr(), "alice").await;
    table.cut_off("n1");
    until("her session has lapsed", || table.places(&user("alice")).is_empty()).await;
    let mut newer = Client::register(two.local_addr(), "alice").await;
    table.come_back("n1");
    assert_eq!(older.closed().await, Some((4001, "replaced".into())));
    newer.tell("alice", "x").await;
    assert_eq!(newer.hear().await, r#"{"type":"message","from":"alice","content":"x"}"#);
}
