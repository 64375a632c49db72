//! The partition count, read over Kafka's real protocol from librdkafka's mock cluster.
#![expect(clippy::disallowed_methods, reason = "a test outside of simulation: tokio and the clock are real")]

#[path = "../src/kafka.rs"]
mod kafka;
#[path = "support/ports.rs"]
mod ports;

use kafka::KafkaTopic;
use quorate_node::partition_source::{PartitionSource as _, PartitionSourceError, READ_LIMIT};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::net::{TcpListener, TcpStream};

const TOPIC: &str = "workspace-events";

type Mock = MockCluster<'static, DefaultProducerContext>;

fn cluster(brokers: i32, partitions: i32) -> Mock {
    let mock = MockCluster::new(brokers).expect("a mock cluster");
    mock.create_topic(TOPIC, partitions, 1).expect("a topic");
    mock
}

fn brokers(mock: &Mock) -> Vec<String> {
    mock.bootstrap_servers().split(',').map(str::to_owned).collect()
}

fn topic(brokers: Vec<String>) -> KafkaTopic {
    KafkaTopic::new(brokers, TOPIC.into())
}

/// Passes connections on to a broker that can be exchanged, so that one address can change its mind.
async fn relay(to: Arc<Mutex<String>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let to = to.lock().expect("no panics inside").clone();
            tokio::spawn(async move {
                let Ok(mut broker) = TcpStream::connect(to).await else { return };
                // Whoever hangs up ends the connection for both.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut broker).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn the_count_is_the_topics() {
    let mock = cluster(3, 12);
    assert_eq!(topic(brokers(&mock)).partitions().await, Ok(12));
}

#[tokio::test]
async fn p8_with_one_of_three_brokers_down_another_answers_within_two_seconds() {
    let mock = cluster(3, 6);
    let topic = topic(brokers(&mock));
    assert_eq!(topic.partitions().await, Ok(6));
    for down in 1..=3 {
        mock.broker_down(down).expect("goes down");
        let start = Instant::now();
        assert_eq!(topic.partitions().await, Ok(6), "without broker {down}");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?} without broker {down}", start.elapsed());
        mock.broker_up(down).expect("comes up");
    }
}

#[tokio::test]
async fn p8_a_broker_that_accepts_and_says_nothing_costs_less_than_two_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mock = cluster(1, 6);
    let mut all = vec![silent.local_addr().expect("bound").to_string()];
    all.extend(brokers(&mock));
    let start = Instant::now();
    assert_eq!(topic(all).partitions().await, Ok(6));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn p8_an_unknown_topic_is_an_error_of_its_own_and_not_zero() {
    let mock = cluster(1, 6);
    let other = KafkaTopic::new(brokers(&mock), "no-such-topic".into());
    for _ in 0..2 {
        let expected = PartitionSourceError::UnknownTopic { topic: "no-such-topic".into() };
        assert_eq!(other.partitions().await, Err(expected), "and asking does not create it");
    }
}

#[tokio::test]
async fn p8_a_count_that_grows_is_seen_at_the_next_read() {
    let (before, after) = (cluster(1, 4), cluster(1, 8));
    let to = Arc::new(Mutex::new(before.bootstrap_servers()));
    let topic = topic(vec![relay(to.clone()).await.to_string()]);
    assert_eq!(topic.partitions().await, Ok(4));
    *to.lock().expect("no panics inside") = after.bootstrap_servers();
    assert_eq!(topic.partitions().await, Ok(8));
}

#[tokio::test]
async fn without_any_broker_all_that_were_tried_are_named() {
    let mock = cluster(2, 6);
    let all = brokers(&mock);
    mock.broker_down(-1).expect("all go down");
    let error = topic(all.clone()).partitions().await.expect_err("nobody answers");
    assert!(
        matches!(&error, PartitionSourceError::Unreachable { brokers, .. } if *brokers == all),
        "{error}"
    );
    mock.broker_up(-1).expect("all come up");
    assert_eq!(topic(all).partitions().await, Ok(6));
}

#[tokio::test]
async fn silence_is_given_up_after_five_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let start = Instant::now();
    let error = topic(vec![silent.local_addr().expect("bound").to_string()]).partitions().await;
    assert_eq!(error, Err(PartitionSourceError::Timeout { limit: READ_LIMIT }));
    assert!(start.elapsed() < READ_LIMIT + Duration::from_secs(1));
}

/// A node, ended with the test.
struct Node(tokio::process::Child);

async fn count_on(management: SocketAddr) -> Option<u32> {
    let urls = quorate_client::routers(&format!("http://{management}")).expect("a URL");
    let told = quorate_client::Operator::new(urls, None).expect("valid").keyspace("default").await.ok()?;
    assert_eq!(told.value.source, "kafka");
    told.value.partitions
}

async fn counts(node: &mut Node, management: SocketAddr, expected: u32, limit: Duration) {
    let start = Instant::now();
    while count_on(management).await != Some(expected) {
        assert!(node.0.try_wait().expect("ours").is_none(), "the node has ended");
        assert!(start.elapsed() < limit, "not {expected} partitions within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn p8_a_node_takes_a_grown_count_within_the_refresh_time_and_keeps_it_without_kafka() {
    let (before, after) = (cluster(1, 4), cluster(1, 8));
    let to = Arc::new(Mutex::new(before.bootstrap_servers()));
    let broker = relay(to.clone()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let management = ports::free_address();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_quorate"));
    command
        .env_clear()
        .env("KAFKA_BROKERS", broker.to_string())
        .arg("serve")
        .arg("--data-dir")
        .arg(folder.path());
    command.args(["--node-name", "n1", "--kafka-refresh", "1s", "--threads", "1"]);
    command.args([
        "--routing",
        "127.0.0.1:0",
        "--peer",
        "127.0.0.1:0",
        "--management",
        &management.to_string(),
    ]);
    command.stderr(std::process::Stdio::null()).kill_on_drop(true);
    let mut node = Node(command.spawn().expect("it starts"));

    // Reads happen each second; what is allowed on top is for a machine that is busy with other tests.
    counts(&mut node, management, 4, Duration::from_secs(20)).await;
    *to.lock().expect("no panics inside") = after.bootstrap_servers();
    counts(&mut node, management, 8, Duration::from_secs(5)).await;
    after.broker_down(-1).expect("all go down");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(count_on(management).await, Some(8), "the last known count stays");
}
