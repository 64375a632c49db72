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

/// Its presence must not outlive a machine that is gone without a word, and pings that do not come say so too late.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_looks_whether_a_silent_client_is_there_still() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let mut client = Client::register(gateway.local_addr(), "alice").await;
    let theirs = client.tcp().local_addr().expect("it is connected").port();
    let ours = gateway.local_addr().port();
    // Half of the time that is promised; the probes need the other half.
    let half = Duration::from_secs(30);
    until("it looks in time", || probed_in(ours, theirs).is_some_and(|left| left <= half)).await;
}

/// When the system probes a connection, as it says itself (`man 5 proc_net`); `None`: it does not, or not next.
#[cfg(target_os = "linux")]
fn probed_in(ours: u16, theirs: u16) -> Option<Duration> {
    const PROBES: &str = "02";
    const TICK: Duration = Duration::from_millis(10);
    let connections = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let ends_with = |field: &str, port: u16| field.ends_with(&format!(":{port:04X}"));
    let mut lines = connections.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| ends_with(line[1], ours) && ends_with(line[2], theirs))?;
    let (timer, left) = line[5].split_once(':').expect("a timer and when it is over");
    let ticks = u32::from_str_radix(left, 16).expect("a number");
    (timer == PROBES).then(|| TICK * ticks)
}
