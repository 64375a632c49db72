//! What the original gets wrong, each by its number on the contract's page.

use crate::{
    rig::{Client, PATIENCE, Table, gateway, until, user},
    settings::Settings,
};
use quorate_rt::time::{self, Duration, Instant};
use std::{collections::BTreeMap, sync::Arc};

/// A user logs in a second time on one gateway, and the old socket's end removes the *new* one from the table of users:
/// the user is there and nothing reaches them. It took one table by user name that both sockets wrote.
#[tokio::test]
async fn defect_4_the_close_of_an_old_socket_leaves_the_users_new_one_alone() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let mut bob = Client::register(gateway.local_addr(), "bob").await;
    let mut older = Client::register(gateway.local_addr(), "alice").await;
    for nth in 0..20 {
        let mut newer = Client::register(gateway.local_addr(), "alice").await;
        // To its very end, which is when the original forgets the new one.
        assert_eq!(older.closed().await, Some((4001, "replaced".into())));
        until("the old one is gone", || gateway.desk().hall.count() == 2).await;
        bob.tell("alice", &nth.to_string()).await;
        assert_eq!(newer.hear().await, format!(r#"{{"type":"message","from":"bob","content":"{nth}"}}"#));
        older = newer;
    }
    assert_eq!(bob.settle().await.len(), 0);
}

/// On SIGTERM the sockets are closed and the process ends without waiting for their handlers: each deploy leaves ghosts
/// for 90 seconds.
#[tokio::test]
async fn defect_5_a_gateway_that_ends_has_taken_its_users_out_of_presence() {
    let table = Arc::new(Table::default());
    let settings = Settings { drain_spread: Duration::from_millis(300), ..Settings::default() };
    let gateway = gateway(&table, "n1", settings).await;
    let mut clients = Vec::new();
    for nth in 0..30 {
        clients.push(Client::register(gateway.local_addr(), &format!("u{nth}")).await);
    }
    let reading = quorate_rt::spawn(async move {
        for client in &mut clients {
            assert_eq!(client.closed().await.expect("a close frame").0, 1012);
        }
    });
    assert_eq!(table.count(), 30);
    gateway.drain().await;
    assert_eq!(table.count(), 0, "when it has ended, not some time later");
    reading.await.expect("each was told");
}

/// Several goroutines write to one connection, which panics. Here many senders on two gateways write to one client, which
/// is answered at the same time.
#[tokio::test]
async fn defect_8_many_who_write_to_one_client_at_once_garble_nothing() {
    const SENDERS: usize = 20;
    const EACH: usize = 50;
    let table = Arc::new(Table::default());
    let (one, two) =
        (gateway(&table, "n1", Settings::default()).await, gateway(&table, "n2", Settings::default()).await);
    let mut bob = Client::register(one.local_addr(), "bob").await;
    let mut sending = Vec::new();
    for nth in 0..SENDERS {
        let address = if nth % 2 == 0 { one.local_addr() } else { two.local_addr() };
        sending.push(quorate_rt::spawn(async move {
            let mut client = Client::register(address, &format!("s{nth}")).await;
            for message in 0..EACH {
                client.tell("bob", &message.to_string()).await;
            }
            assert_eq!(client.settle().await.len(), 0);
        }));
    }
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    let mut pongs = 0;
    for nth in 0..SENDERS * EACH {
        if nth % 50 == 0 {
            bob.say(r#"{"type":"ping"}"#).await;
        }
        let told = loop {
            let told = bob.hear().await;
            if told != r#"{"type":"pong"}"# {
                break told;
            }
            pongs += 1;
        };
        let parts: Vec<_> = told.split('"').collect();
        let (from, content) = (parts[7].to_owned(), parts[11].parse::<usize>().expect("a number"));
        let expected = next.entry(from).or_default();
        assert_eq!(content, *expected, "{told}");
        *expected += 1;
    }
    while pongs < SENDERS * EACH / 50 {
        assert_eq!(bob.hear().await, r#"{"type":"pong"}"#);
        pongs += 1;
    }
    for sending in sending {
        sending.await.expect("each has sent all");
    }
}

/// There is no drain: what was acknowledged and waits is lost, all clients are cut at once and come back at once.
#[tokio::test]
async fn defect_9_a_gateway_drains() {
    let table = Arc::new(Table::default());
    let settings = Settings { drain_spread: Duration::from_secs(2), ..Settings::default() };
    let gateway = gateway(&table, "n1", settings).await;
    let address = gateway.local_addr();
    let mut clients = Vec::new();
    for nth in 0..40 {
        clients.push(Client::register(address, &format!("u{nth}")).await);
    }
    // Waits for those who have not read yet when the end begins.
    let mut sender = clients.pop().expect("many");
    for nth in 0..39 {
        sender.tell(&format!("u{nth}"), "before the end").await;
    }
    assert_eq!(sender.settle().await.len(), 0, "all of it is acknowledged");
    clients.push(sender);
    let reading: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(nth, mut client)| {
            quorate_rt::spawn(async move {
                if nth < 39 {
                    assert_eq!(
                        client.hear().await,
                        r#"{"type":"message","from":"u39","content":"before the end"}"#
                    );
                }
                let (code, reason) = client.closed().await.expect("a close frame");
                (Instant::now(), code, reason)
            })
        })
        .collect();
    time::timeout(PATIENCE, gateway.drain()).await.expect("within its limit");
    let mut moments = Vec::new();
    let mut hints = std::collections::BTreeSet::new();
    for reading in reading {
        let (at, code, reason) = reading.await.expect("no panic");
        assert_eq!(code, 1012);
        let hint = reason.strip_prefix("reconnect in ").and_then(|rest| rest.strip_suffix(" ms"));
        hints.insert(hint.expect("a hint").parse::<u64>().expect("a number"));
        moments.push(at);
    }
    let (first, last) = (*moments.iter().min().expect("some"), *moments.iter().max().expect("some"));
    // 40 moments at random within 2 s never lie so close together.
    assert!(last - first > Duration::from_millis(200), "not all at once: {:?}", last - first);
    assert!(hints.len() > 5, "nor do they come back at once: {hints:?}");
    assert_eq!(table.places(&user("u1")), []);
    assert!(quorate_rt::net::TcpStream::connect(address).await.is_err(), "nobody is let in any more");
}
