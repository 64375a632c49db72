use crate::{
    rig::{Client, PATIENCE, Table, gateway, until, user},
    settings::Settings,
};
use quorate_rt::time::{self, Duration};
use std::sync::Arc;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

#[tokio::test]
async fn a_goodbye_is_answered_with_its_own_code_and_takes_its_user_out() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    for code in [1000, 1001, 3000, 4999] {
        let mut client = Client::register(gateway.local_addr(), "alice").await;
        let frame = CloseFrame { code: CloseCode::from(code), reason: "done".into() };
        client.send(Message::Close(Some(frame))).await;
        assert_eq!(client.closed().await, Some((code, "done".into())));
        until("she is out of presence", || table.places(&user("alice")).is_empty()).await;
    }
    until("her places are free", || gateway.desk().hall.count() == 0).await;
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_is_taken_out() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    drop(Client::register(gateway.local_addr(), "alice").await);
    until("she is out of presence", || table.places(&user("alice")).is_empty()).await;
}

#[tokio::test]
async fn an_end_waits_for_nobody_longer_than_its_limit() {
    let table = Arc::new(Table::default());
    let settings = Settings {
        drain_spread: Duration::from_secs(3_600),
        drain_limit: Duration::from_millis(4_000),
        ..Settings::default()
    };
    let gateway = gateway(&table, "n1", settings).await;
    // It never answers a goodbye.
    let _deaf = Client::register(gateway.local_addr(), "deaf").await;
    time::timeout(PATIENCE, gateway.drain()).await.expect("an hour is more than the limit");
    assert_eq!(table.count(), 0);
}
