//! Messages by Kafka's real protocol, with librdkafka's mock cluster as the brokers.
#![expect(clippy::disallowed_methods, reason = "a test outside of simulation: tokio and the clock are real")]

#[path = "support/server.rs"]
mod server;
mod support;

use quorate_backplane::{
    kafka::{Settings, detour},
    redis::Server,
};
use quorate_gateway::{
    backplane::{BackplaneError, Message, MessageId, Recipient, Taken, Ways},
    delivery::Outcome,
};
use quorate_model::{ConnectionId, SecondLogin};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use redis::AsyncCommands;
use rskafka::{
    chrono::DateTime,
    client::{
        ClientBuilder,
        partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use server::RedisServer;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use support::{Cluster, Gate, Logged, at, message, node, to_all, until, user};

type Mock = MockCluster<'static, DefaultProducerContext>;

fn brokers() -> Mock {
    let mock = MockCluster::new(1).expect("a mock cluster");
    for gateway in ["n1", "n2", "n3", "gateway-02", "broadcast"] {
        mock.create_topic(&format!("gateway-{gateway}"), 3, 1).expect("a topic");
    }
    mock
}

fn addresses(mock: &Mock) -> Vec<String> {
    mock.bootstrap_servers().split(',').map(str::to_owned).collect()
}

fn settings(mock: &Mock, folder: &Path) -> Settings {
    Settings { brokers: addresses(mock), offsets: folder.join("offsets.json"), presence: None }
}

async fn gateway(settings: Settings, me: &str, others: &[&str]) -> (Ways, Arc<Cluster>) {
    let cluster = Arc::new(Cluster::default());
    let ways = start(settings, &cluster, me, others).await;
    (ways, cluster)
}

async fn start(settings: Settings, cluster: &Arc<Cluster>, me: &str, others: &[&str]) -> Ways {
    let ways = detour(settings)(cluster.ways(me, others));
    ways.backplane.start(cluster.clone()).await.expect("Kafka is there");
    ways
}

async fn partitions(mock: &Mock, topic: &str) -> Vec<PartitionClient> {
    let client = ClientBuilder::new(addresses(mock)).build().await.expect("Kafka is there");
    let mut all = Vec::new();
    for number in 0..3 {
        all.push(client.partition_client(topic, number, UnknownTopicHandling::Retry).await.expect("a topic"));
    }
    all
}

/// Everything in a topic, as the original's consumers get it.
async fn published(mock: &Mock, topic: &str) -> Vec<(i32, Record)> {
    let mut all = Vec::new();
    for partition in partitions(mock, topic).await {
        let latest = partition.get_offset(OffsetAt::Latest).await.expect("it answers");
        let mut next = partition.get_offset(OffsetAt::Earliest).await.expect("it answers");
        while next < latest {
            let (records, _) = partition.fetch_records(next, 1..1_000_000, 1_000).await.expect("it answers");
            for record in records {
                next = record.offset + 1;
                all.push((partition.partition(), record.record));
            }
        }
    }
    all
}

/// What an original gateway publishes, into one partition.
async fn publish(mock: &Mock, topic: &str, json: &str, from_gateway: &str) {
    publish_all(mock, topic, &[json.to_owned()], from_gateway).await;
}

async fn publish_all(mock: &Mock, topic: &str, json: &[String], from_gateway: &str) {
    let headers = [("from_gateway", from_gateway), ("timestamp", "1763809200")];
    let headers: BTreeMap<_, _> =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let timestamp = DateTime::from_timestamp_millis(now.as_millis() as i64).expect("before 262143");
    let record = |json: &String| Record {
        key: Some(b"bob".to_vec()),
        value: Some(json.clone().into()),
        headers: headers.clone(),
        timestamp,
    };
    let partitions = partitions(mock, topic).await;
    let records = json.iter().map(record).collect();
    partitions[1].produce(records, Compression::NoCompression).await.expect("it is written");
}

#[tokio::test]
async fn messages_are_published_as_the_original_does_and_arrive_in_order() {
    let (mock, folders) =
        (brokers(), [tempfile::tempdir(), tempfile::tempdir()].map(|f| f.expect("a folder")));
    let (one, mine) = gateway(settings(&mock, folders[0].path()), "n1", &["n2"]).await;
    let (two, theirs) = gateway(settings(&mock, folders[1].path()), "n2", &["n1"]).await;
    theirs.arrive("bob");
    let sent: Vec<_> =
        (0..500).map(|number| one.backplane.send(at("n2"), message("bob", &number.to_string()))).collect();
    for sent in sent {
        assert_eq!(sent.await, Ok(Taken::Published));
    }
    let expected: Vec<_> = (0..500).map(|number| format!("alice>bob {number}")).collect();
    until("all have come", async || theirs.taken().len() >= expected.len()).await;
    assert_eq!(theirs.taken(), expected);
    let published = published(&mock, "gateway-n2").await;
    assert!(published.iter().all(|(partition, _)| *partition == published[0].0), "a key has one partition");
    let (_, first) = &published[0];
    assert_eq!(first.key.as_deref(), Some(&b"bob"[..]));
    let json = br#"{"from":"alice","to":"bob","content":"0","type":"direct","gateway":"n1"}"#;
    assert_eq!(first.value.as_deref(), Some(&json[..]));
    assert_eq!(first.headers["from_gateway"], b"n1");
    let timestamp = std::str::from_utf8(&first.headers["timestamp"]).expect("text");
    assert!(timestamp.parse::<u64>().is_ok_and(|seconds| seconds > 1_700_000_000), "{timestamp}");

    one.backplane.broadcast(to_all("all")).await.expect("Kafka is there");
    until("it has come", async || theirs.taken().len() > expected.len()).await;
    assert_eq!(theirs.taken().last().map(String::as_str), Some("alice>All all"));
    // What is read after it shows that its own was passed over.
    two.backplane.broadcast(to_all("back")).await.expect("Kafka is there");
    until("the answer has come", async || !mine.taken().is_empty()).await;
    assert_eq!(mine.taken(), ["alice>All back"]);
}

/// The original's loop guard passes over a header instead of the message.
#[tokio::test]
async fn defect_7_a_gateway_takes_nothing_that_it_published_itself() {
    let (mock, folder) = (brokers(), tempfile::tempdir().expect("a folder"));
    let (_one, cluster) = gateway(settings(&mock, folder.path()), "n1", &[]).await;
    cluster.arrive("bob");
    // One that does not say in its text who wrote it.
    let json =
        |content: &str| format!(r#"{{"from":"ann","to":"bob","content":"{content}","type":"direct"}}"#);
    publish(&mock, "gateway-n1", &json("own"), "n1").await;
    publish(&mock, "gateway-n1", &json("theirs"), "gateway-02").await;
    until("the second one has come", async || !cluster.taken().is_empty()).await;
    assert_eq!(cluster.taken(), ["ann>bob theirs"]);
}

/// The original begins at the newest message, and loses what queued while it was away.
#[tokio::test]
async fn defect_7_what_queued_while_a_gateway_was_away_is_not_lost() {
    let (mock, folder) = (brokers(), tempfile::tempdir().expect("a folder"));
    let json =
        |content: &str| format!(r#"{{"from":"ann","to":"bob","content":"{content}","type":"direct"}}"#);
    publish(&mock, "gateway-n1", &json("of an earlier age"), "gateway-02").await;
    let (one, cluster) = gateway(settings(&mock, folder.path()), "n1", &[]).await;
    cluster.arrive("bob");
    publish(&mock, "gateway-n1", &json("1"), "gateway-02").await;
    until("the first has come", async || !cluster.taken().is_empty()).await;
    one.backplane.stop().await;
    drop(one);
    for content in ["2", "3"] {
        publish(&mock, "gateway-n1", &json(content), "gateway-02").await;
    }
    // Its user comes back only after it.
    let (_again, cluster) = gateway(settings(&mock, folder.path()), "n1", &[]).await;
    publish(&mock, "gateway-n1", &json("4"), "gateway-02").await;
    until("one was brought in vain", async || !cluster.missed().is_empty()).await;
    cluster.arrive("bob");
    until("all have come", async || cluster.taken().len() >= 3).await;
    assert_eq!(cluster.taken(), ["ann>bob 2", "ann>bob 3", "ann>bob 4"], "each once, in their order");
}

#[tokio::test]
async fn who_has_moved_gets_messages_passed_on() {
    let (mock, folders) =
        (brokers(), [tempfile::tempdir(), tempfile::tempdir()].map(|f| f.expect("a folder")));
    let (one, first) = gateway(settings(&mock, folders[0].path()), "n1", &["n2"]).await;
    let (_two, second) = gateway(settings(&mock, folders[1].path()), "n2", &["n1"]).await;
    second.arrive("bob");
    first.lives_at("bob", "n2");
    let json = r#"{"from":"ann","to":"bob","content":"hi","type":"direct"}"#;
    publish(&mock, "gateway-n1", json, "gateway-02").await;
    until("it has come", async || !second.taken().is_empty()).await;
    assert_eq!((second.taken(), first.taken()), (vec!["ann>bob hi".into()], Vec::new()));
    one.backplane.stop().await;
}

/// What Kafka had not acknowledged yet was passed on once more by the next life.
#[tokio::test]
async fn a_gateway_that_ends_while_it_passes_a_message_on_passes_it_on_once() {
    let (mock, folder) = (brokers(), tempfile::tempdir().expect("a folder"));
    let (one, cluster) = gateway(settings(&mock, folder.path()), "n1", &["n2"]).await;
    // The way there is known from now on.
    assert_eq!(one.backplane.send(at("n2"), message("ann", "before")).await, Ok(Taken::Published));
    cluster.lives_at("bob", "n2");
    mock.broker_round_trip_time(-1, Duration::from_millis(200)).expect("it is slow");
    let json = |to: &str| format!(r#"{{"from":"ann","to":"{to}","content":"hi","type":"direct"}}"#);
    publish(&mock, "gateway-n1", &json("bob"), "gateway-02").await;
    until("it is passed on", async || !cluster.missed().is_empty()).await;
    one.backplane.stop().await;
    mock.broker_round_trip_time(-1, Duration::ZERO).expect("it is quick");
    let _again = start(settings(&mock, folder.path()), &cluster, "n1", &["n2"]).await;
    cluster.arrive("carol");
    publish(&mock, "gateway-n1", &json("carol"), "gateway-02").await;
    until("what is behind it was read", async || !cluster.taken().is_empty()).await;
    assert_eq!(cluster.missed().len(), 1);
    assert_eq!(published(&mock, "gateway-n2").await.len(), 2, "one for ann, one for bob");
}

/// One who is just registering held up everybody whose messages come by the same partition.
#[tokio::test]
async fn who_is_registering_holds_up_nobody_else_and_loses_nothing() {
    let (mock, folder) = (brokers(), tempfile::tempdir().expect("a folder"));
    let cluster = Arc::new(Cluster::default());
    let gate = Gate::start(detour(settings(&mock, folder.path()))(cluster.ways("n1", &[]))).await;
    let carol = gate.enter("carol", 1).await;
    let mut bob = gate.expect("bob");
    let json = |to: &str, content: &str| {
        format!(r#"{{"from":"ann","to":"{to}","content":"{content}","type":"direct"}}"#)
    };
    for (to, content) in [("bob", "1"), ("carol", "a"), ("bob", "2"), ("carol", "b")] {
        publish(&mock, "gateway-n1", &json(to, content), "gateway-02").await;
    }
    until("hers have come", async || carol.heard() == ["a", "b"]).await;
    assert!(bob.heard().is_empty());
    bob.arrive(&gate, 2).await;
    until("his have come", async || bob.heard().len() >= 2).await;
    assert_eq!(bob.heard(), ["1", "2"]);

    // Whose gateway ends while he registers has them in its next life.
    let dave = gate.expect("dave");
    for (to, content) in [("dave", "x"), ("carol", "c")] {
        publish(&mock, "gateway-n1", &json(to, content), "gateway-02").await;
    }
    until("hers has come", async || carol.heard().len() == 3).await;
    gate.ways.backplane.stop().await;
    drop((dave, carol, bob, gate));
    let gate = Gate::start(detour(settings(&mock, folder.path()))(cluster.ways("n1", &[]))).await;
    let dave = gate.enter("dave", 3).await;
    until("it has come", async || dave.heard() == ["x"]).await;
}

/// It was counted as given up and might arrive, and a repeat of it never did.
#[tokio::test]
async fn what_was_taken_while_too_much_waits_is_given_up_only_once_it_is_lost() {
    let (mock, folder) = (brokers(), tempfile::tempdir().expect("a folder"));
    let cluster = Arc::new(Cluster::default());
    let gate = Gate::start(detour(settings(&mock, folder.path()))(cluster.ways("n1", &[]))).await;
    let carol = gate.enter("carol", 1).await;
    let absent: Vec<_> = (0..4_096)
        .map(|number| format!(r#"{{"from":"ann","to":"u{number}","content":"x","type":"direct"}}"#))
        .collect();
    let start = Instant::now();
    publish_all(&mock, "gateway-n1", &absent, "gateway-02").await;
    let message = |to: &str, name: &str| {
        let to = Recipient::User(user(to));
        let id = Some(MessageId { session: ConnectionId::from_random(9), name: name.into() });
        let message = Message { from: user("ann"), to, content: name.into(), id, nth: 0 };
        let bytes = quorate_backplane::envelope::encode(&message, &node("n9"));
        String::from_utf8(bytes).expect("JSON")
    };
    // Whoever is registering has one that is under way, and goes: it was not taken.
    let bob = gate.expect("bob");
    publish_all(&mock, "gateway-n1", &[message("bob", "m1"), message("carol", "m2")], "n9").await;
    until("hers has come", async || carol.heard() == ["m2"]).await;
    let is_early = start.elapsed() < Duration::from_secs(25);
    assert!(gate.given_up() == 0 || !is_early, "nothing is lost before the 30 s of the absent are over");
    drop(bob);
    let bob = gate.enter("bob", 2).await;
    publish_all(&mock, "gateway-n1", &[message("bob", "m1")], "n9").await;
    until("the repeat has come", async || bob.heard() == ["m1"]).await;
    assert!(gate.given_up() > 0, "the first one");
}

/// Presence was read a second time for the trail: by then it may say something else than what the message was sent by.
#[tokio::test]
async fn a_trail_names_those_that_were_given_the_message_whatever_presence_says_by_then() {
    let (mock, folder) = (brokers(), tempfile::tempdir().expect("a folder"));
    let (one, cluster) = gateway(settings(&mock, folder.path()), "n1", &["n2", "n3"]).await;
    let all = ["n2", "n3"].map(node);
    cluster.lives_at("bob", "n3");
    for name in ["n2", "n3"] {
        let sent = one.backplane.send_among(at(name), &all, message("bob", "hi")).await;
        assert_eq!(sent, Ok(Taken::Published));
        let published = published(&mock, &format!("gateway-{name}")).await;
        assert_eq!(published[0].1.headers["quorate_gateways"], b"n2,n3");
    }
}

/// One was sent for each session, and given to all sessions of the user there.
#[tokio::test]
async fn each_of_a_users_many_sessions_gets_a_message_once() {
    let mock = brokers();
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let cluster = Arc::new(Cluster::default());
    let ways = |nth: usize, me: &str, others: &[&str]| {
        detour(settings(&mock, folders[nth].path()))(cluster.ways(me, others))
    };
    let one = Gate::start(ways(0, "n1", &["n2", "n3"])).await;
    let two = Gate::start(ways(1, "n2", &["n1", "n3"])).await;
    let three = Gate::start(ways(2, "n3", &["n1", "n2"])).await;
    let sessions = [two.enter("bob", 1).await, two.enter("bob", 2).await, three.enter("bob", 3).await];
    for content in ["1", "2", "3"] {
        assert_eq!(one.courier.deliver(message("bob", content)).await, Outcome::Published);
    }
    for session in &sessions {
        until("the last has come", async || session.heard().iter().any(|content| content == "3")).await;
    }
    for topic in ["gateway-n2", "gateway-n3"] {
        let published = published(&mock, topic).await;
        assert_eq!(published.len(), 3, "one for each message in {topic}");
        assert_eq!(published[0].1.headers["quorate_gateways"], b"n2,n3");
    }
    for session in &sessions {
        assert_eq!(session.heard(), ["1", "2", "3"]);
    }
}

#[tokio::test]
async fn a_message_with_a_name_is_taken_once() {
    let (mock, folders) =
        (brokers(), [tempfile::tempdir(), tempfile::tempdir()].map(|f| f.expect("a folder")));
    let (one, _) = gateway(settings(&mock, folders[0].path()), "n1", &["n2"]).await;
    let (_two, theirs) = gateway(settings(&mock, folders[1].path()), "n2", &["n1"]).await;
    theirs.arrive("bob");
    let id = Some(MessageId { session: ConnectionId::from_random(1), name: "m1".into() });
    let named = Arc::new(Message { id, ..Message::clone(&message("bob", "once")) });
    for message in [named.clone(), named, message("bob", "last")] {
        assert_eq!(one.backplane.send(at("n2"), message).await, Ok(Taken::Published));
    }
    until("the last has come", async || theirs.taken().iter().any(|taken| taken.ends_with("last"))).await;
    assert_eq!(theirs.taken(), ["alice>bob once", "alice>bob last"]);
}

#[tokio::test]
async fn users_of_original_gateways_are_found_in_redis() {
    let Some(redis) = RedisServer::start(None) else { return };
    let (mock, folder) = (brokers(), tempfile::tempdir().expect("a folder"));
    let presence = Some(Server { address: redis.address(), password: None });
    let (one, _) = gateway(Settings { presence, ..settings(&mock, folder.path()) }, "n1", &["n2"]).await;
    let mut client = redis.client().get_multiplexed_async_connection().await.expect("it listens");
    let fields = [("gwId", "gateway-02"), ("connId", "theirs"), ("ts", "1700000000")];
    let _: () = client.hset_multiple("presence:bob", &fields).await.expect("it answers");
    assert_eq!(one.backplane.send_outside(message("bob", "hi")).await, Ok(Taken::Published));
    assert_eq!(published(&mock, "gateway-gateway-02").await.len(), 1);
    let nobody = one.backplane.send_outside(message("nobody", "hi")).await;
    assert_eq!(nobody, Ok(Taken::NotHere { index: 0 }));
    let id = ConnectionId::from_random(1);
    let hold = one.presence.open(user("ann"), id, SecondLogin::Replace).await.expect("there is room");
    let gateway: String = client.hget("presence:ann", "gwId").await.expect("it answers");
    assert_eq!(gateway, "n1");
    hold.close().await;
}

#[tokio::test]
async fn without_brokers_and_without_a_topic_messages_fail() {
    let (mock, folder) = (brokers(), tempfile::tempdir().expect("a folder"));
    let (one, cluster) = gateway(settings(&mock, folder.path()), "n1", &["n2"]).await;
    let nobody = one.backplane.send(at("n9"), message("bob", "hi")).await;
    assert!(
        matches!(&nobody, Err(BackplaneError::NotSent(_, why)) if why.contains("gateway-n9")),
        "{nobody:?}"
    );
    let (logged, _logging) = Logged::begin(tracing_subscriber::filter::LevelFilter::INFO);
    mock.broker_down(-1).expect("it goes down");
    let failed = one.backplane.send(at("n2"), message("bob", "hi"));
    let failed = tokio::time::timeout(Duration::from_secs(30), failed).await.expect("in time");
    assert!(
        matches!(failed, Err(BackplaneError::NotSent(..) | BackplaneError::Unreachable(..))),
        "{failed:?}"
    );
    let gone = "what other gateways publish can't be read any more";
    until("it is told that nothing is read", async || logged.text().contains(gone)).await;
    mock.broker_up(-1).expect("it comes up");
    until("it sends again", async || {
        one.backplane.send(at("n2"), message("bob", "hi")).await == Ok(Taken::Published)
    })
    .await;
    cluster.arrive("bob");
    let json = r#"{"from":"ann","to":"bob","content":"back","type":"direct"}"#;
    publish(&mock, "gateway-n1", json, "gateway-02").await;
    until("it reads again", async || cluster.taken() == ["ann>bob back"]).await;
    let back = "what other gateways publish is read again";
    until("that is told, too", async || logged.text().contains(back)).await;
}
