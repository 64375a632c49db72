//! A node in a fleet of original gateways, at a real Redis.
#![expect(clippy::disallowed_methods, reason = "a test outside of simulation: tokio and the clock are real")]

#[path = "redis/presence.rs"]
mod presence;
#[path = "support/server.rs"]
mod server;
mod support;

use futures_util::StreamExt;
use quorate_backplane::redis::{Server, TTL_S, detour, detour_refreshing};
use quorate_gateway::{
    backplane::{BackplaneError, Message, Recipient, Taken, Ways},
    cluster::Hold,
    delivery::Outcome,
};
use quorate_model::{ConnectionId, SecondLogin};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use server::RedisServer;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use support::{Cluster, Gate, Logged, at, message, node, until, user};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A gateway, and a client to look at Redis with.
struct Stage {
    ways: Ways,
    cluster: Arc<Cluster>,
    client: MultiplexedConnection,
    server: RedisServer,
}

async fn stage() -> Option<Stage> {
    stage_refreshing(Duration::from_secs(30)).await
}

async fn stage_refreshing(every: Duration) -> Option<Stage> {
    let server = RedisServer::start(None)?;
    let (ways, cluster) = gateway(&server.address(), "n1", &["n2"], every).await;
    let client = server.client().get_multiplexed_async_connection().await.expect("it listens");
    Some(Stage { ways, cluster, client, server })
}

async fn gateway(address: &str, me: &str, others: &[&str], every: Duration) -> (Ways, Arc<Cluster>) {
    let cluster = Arc::new(Cluster::default());
    let server = Server { address: address.into(), password: None };
    let ways = detour_refreshing(server, every)(cluster.ways(me, others));
    ways.backplane.start(cluster.clone()).await.expect("Redis is there");
    (ways, cluster)
}

type Hash = BTreeMap<String, String>;

impl Stage {
    async fn hash(&mut self, name: &str) -> Hash {
        self.client.hgetall(format!("presence:{name}")).await.expect("it answers")
    }

    /// What an original gateway writes.
    async fn log_in_elsewhere(&mut self, name: &str, gateway: &str, connection: &str) {
        let fields = [("gwId", gateway), ("connId", connection), ("ts", "1700000000")];
        let _: () = self.client.hset_multiple(format!("presence:{name}"), &fields).await.expect("it answers");
    }

    async fn open(&self, name: &str, number: u128) -> Box<dyn Hold> {
        let id = ConnectionId::from_random(number);
        self.ways.presence.open(user(name), id, SecondLogin::Replace).await.expect("there is room")
    }
}

#[tokio::test]
async fn our_users_are_found_by_original_gateways_and_leave_nothing_behind() {
    let Some(mut stage) = stage().await else { return };
    let id = ConnectionId::from_random(1).to_string();
    let hold = stage.open("bob", 1).await;
    let hash = stage.hash("bob").await;
    assert_eq!((hash["gwId"].as_str(), &hash["connId"]), ("n1", &id));
    let ts: u64 = hash["ts"].parse().expect("seconds");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(now.abs_diff(ts) < 60, "{ts} is not in seconds, or not now: {now}");
    let ttl: u64 = stage.client.ttl("presence:bob").await.expect("it answers");
    assert!((TTL_S - 30..=TTL_S).contains(&ttl), "{ttl}");
    hold.close().await;
    assert_eq!(stage.hash("bob").await, Hash::new());

    // Without a word.
    drop(stage.open("bob", 2).await);
    until("what was dropped is gone", async || stage.hash("bob").await.is_empty()).await;
    assert!(!stage.cluster.stands("bob"));
}

/// The original's cleanup is an unconditional DEL: a late one takes the newer login with it.
#[tokio::test]
async fn defect_1_a_late_cleanup_leaves_the_newer_login_of_another_gateway() {
    let Some(mut stage) = stage().await else { return };
    let hold = stage.open("bob", 1).await;
    stage.log_in_elsewhere("bob", "gateway-02", "their-connection").await;
    hold.close().await;
    assert_eq!(stage.hash("bob").await["gwId"], "gateway-02");
}

#[tokio::test]
async fn original_gateways_are_sent_to_by_their_channel_and_heard_by_ours() {
    let Some(mut stage) = stage().await else { return };
    let mut theirs = stage.server.client().get_async_pubsub().await.expect("it listens");
    theirs.subscribe("gateway:gateway-02").await.expect("it answers");
    stage.log_in_elsewhere("bob", "gateway-02", "their-connection").await;
    let sent = stage.ways.backplane.send_outside(message("bob", "hi")).await;
    assert_eq!(sent, Ok(Taken::Published));
    let heard: String =
        theirs.on_message().next().await.expect("it was published").get_payload().expect("text");
    let expected = r#"{"from":"alice","to":"bob","content":"hi","type":"direct","gateway":"n1"}"#;
    assert_eq!(heard, expected);

    stage.cluster.arrive("carol");
    let answer = r#"{"from":"bob","to":"carol","content":"hello","type":"direct"}"#;
    let listeners: u64 = stage.client.publish("gateway:n1", answer).await.expect("it answers");
    assert_eq!(listeners, 1);
    let all = r#"{"from":"bob","to":"","content":"all","type":"broadcast"}"#;
    let _: u64 = stage.client.publish("gateway:broadcast", all).await.expect("it answers");
    let _: u64 = stage.client.publish("gateway:n1", "no message").await.expect("it answers");
    until("both are taken", async || stage.cluster.taken() == ["bob>carol hello", "bob>All all"]).await;
}

#[tokio::test]
async fn two_of_our_gateways_send_to_each_other_and_nobody_hears_itself() {
    let Some(stage) = stage().await else { return };
    let (other, others) = gateway(&stage.server.address(), "n2", &["n1"], Duration::from_secs(30)).await;
    others.arrive("bob");
    let sent: Vec<_> = (0..1_000)
        .map(|number| stage.ways.backplane.send(at("n2"), message("bob", &number.to_string())))
        .collect();
    for sent in sent {
        assert_eq!(sent.await, Ok(Taken::Published));
    }
    let all = Arc::new(Message { to: Recipient::All, ..Message::clone(&message("bob", "all")) });
    stage.ways.backplane.broadcast(all).await.expect("Redis is there");
    let expected: Vec<_> =
        (0..1_000).map(|number| format!("alice>bob {number}")).chain(["alice>All all".into()]).collect();
    until("all have come", async || others.taken().len() == expected.len()).await;
    assert_eq!(others.taken(), expected, "in their order");
    assert!(stage.cluster.taken().is_empty());
    assert_eq!(
        stage.ways.backplane.ask(node("n2"), vec![1], Duration::from_secs(9)).await,
        Ok(vec![1]),
        "the cluster's own way"
    );
    other.backplane.stop().await;
}

/// One was sent for each session, and given to all sessions of the user there.
#[tokio::test]
async fn each_of_a_users_many_sessions_gets_a_message_once() {
    let Some(server) = RedisServer::start(None) else { return };
    let cluster = Arc::new(Cluster::default());
    let ways = |me: &str, others: &[&str]| {
        let server = Server { address: server.address(), password: None };
        detour(server)(cluster.ways(me, others))
    };
    let one = Gate::start(ways("n1", &["n2"])).await;
    let two = Gate::start(ways("n2", &["n1"])).await;
    let sessions = [one.enter("bob", 1).await, two.enter("bob", 2).await, two.enter("bob", 3).await];
    let mut sent = Vec::new();
    for (gate, content) in [(&one, "1"), (&two, "2"), (&one, "3"), (&two, "4")] {
        assert_eq!(gate.courier.deliver(message("bob", content)).await, Outcome::Delivered);
        sent.push(content);
    }
    // An original gateway knows one of them, and sends one to its gateway.
    let theirs = r#"{"from":"ann","to":"bob","content":"5","type":"direct"}"#;
    let mut client = server.client().get_multiplexed_async_connection().await.expect("it listens");
    let _: u64 = client.publish("gateway:n2", theirs).await.expect("it answers");
    // What is published after all of these has come after all of these.
    let all = Arc::new(Message { to: Recipient::All, ..Message::clone(&message("bob", "last")) });
    let _: u64 = client
        .publish("gateway:broadcast", quorate_backplane::envelope::encode(&all, &node("n9")))
        .await
        .expect("it answers");
    for (nth, session) in sessions.iter().enumerate() {
        until("the last has come", async || session.heard().iter().any(|content| content == "last")).await;
        let mut heard = session.heard();
        assert_eq!(heard.pop().as_deref(), Some("last"));
        heard.sort_unstable();
        let expected = if nth == 0 { &["1", "2", "3", "4"][..] } else { &["1", "2", "3", "4", "5"][..] };
        assert_eq!(heard, expected, "session {nth}");
    }
}

/// One who is just registering held up everybody's messages.
#[tokio::test]
async fn who_is_registering_holds_up_nobody_else_and_loses_nothing() {
    let Some(server) = RedisServer::start(None) else { return };
    let cluster = Arc::new(Cluster::default());
    let at = Server { address: server.address(), password: None };
    let gate = Gate::start(detour(at)(cluster.ways("n1", &[]))).await;
    let carol = gate.enter("carol", 1).await;
    let mut bob = gate.expect("bob");
    let mut client = server.client().get_multiplexed_async_connection().await.expect("it listens");
    for (to, content) in [("bob", "1"), ("carol", "a"), ("bob", "2"), ("carol", "b")] {
        let json = format!(r#"{{"from":"ann","to":"{to}","content":"{content}","type":"direct"}}"#);
        let _: u64 = client.publish("gateway:n1", json).await.expect("it answers");
    }
    until("hers have come", async || carol.heard() == ["a", "b"]).await;
    assert!(bob.heard().is_empty());
    bob.arrive(&gate, 2).await;
    assert_eq!(bob.heard(), ["1", "2"]);
}

/// The original publishes to a channel that nobody reads, and reports the message as sent.
#[tokio::test]
async fn defect_6_what_nobody_listens_for_has_failed() {
    let Some(mut stage) = stage().await else { return };
    stage.log_in_elsewhere("bob", "gateway-02", "their-connection").await;
    let nobody = Ok(Taken::NotHere { index: 0 });
    assert_eq!(stage.ways.backplane.send_outside(message("bob", "hi")).await, nobody);
    assert_eq!(stage.ways.backplane.send(at("n2"), message("bob", "hi")).await, nobody);
    assert_eq!(stage.ways.backplane.send_outside(message("nobody", "hi")).await, nobody);
    // A refresh of the original's that came too late leaves half an entry: no gateway has an empty name.
    let _: () = stage.client.hset("presence:half", "ts", "1700000000").await.expect("it answers");
    let _: () = stage.client.set("presence:odd", "a string").await.expect("it answers");
    for name in ["half", "odd"] {
        assert_eq!(stage.ways.backplane.send_outside(message(name, "hi")).await, nobody);
    }
    // Whom our own gateways hold, the log knows: what Redis says of them is old.
    for gateway in ["n1", "n2"] {
        stage.log_in_elsewhere("ghost", gateway, "of-long-ago").await;
        assert_eq!(stage.ways.backplane.send_outside(message("ghost", "hi")).await, nobody);
    }
}

/// Passes connections on to a server that can be exchanged, so that one address can change its mind.
async fn relay(to: Arc<Mutex<String>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let to = to.lock().expect("no panics inside").clone();
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(to).await else { return };
                // Whoever hangs up ends the connection for both.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_redis_that_is_gone_fails_messages_and_is_found_again() {
    let Some(server) = RedisServer::start(None) else { return };
    let to = Arc::new(Mutex::new(server.address()));
    let address = relay(to.clone()).await.to_string();
    // Nothing is refreshed meanwhile but what was missed.
    let (ways, cluster) = gateway(&address, "n1", &["n2"], Duration::from_secs(3_600)).await;
    drop(server);
    let failed = ways.backplane.send_outside(message("bob", "hi"));
    let failed = tokio::time::timeout(Duration::from_secs(20), failed).await.expect("it is not waited for");
    assert!(
        matches!(failed, Err(BackplaneError::NotSent(..) | BackplaneError::Unreachable(..))),
        "{failed:?}"
    );
    // Logins go on: the log decides them.
    let hold = ways.presence.open(user("bob"), ConnectionId::from_random(1), SecondLogin::Replace).await;
    assert!(hold.is_ok() && cluster.stands("bob"));

    let server = RedisServer::start(None).expect("there was one before");
    *to.lock().expect("no panics inside") = server.address();
    let mut client = server.client().get_multiplexed_async_connection().await.expect("it listens");
    cluster.arrive("bob");
    let published = r#"{"from":"alice","to":"bob","content":"back","type":"direct"}"#;
    until("it listens again", async || {
        let listeners: u64 = client.publish("gateway:n1", published).await.expect("it answers");
        listeners == 1
    })
    .await;
    until("it is heard", async || cluster.taken() == ["alice>bob back"]).await;
    until("it sends again", async || {
        ways.backplane.send(at("n2"), message("bob", "hi")).await == Ok(Taken::NotHere { index: 0 })
    })
    .await;
    until("the login that was missed is written", async || {
        let gateway: Option<String> = client.hget("presence:bob", "gwId").await.expect("it answers");
        gateway.as_deref() == Some("n1")
    })
    .await;
}

#[tokio::test]
async fn a_password_is_given_and_a_wrong_one_is_told_without_it() {
    let Some(server) = RedisServer::start(Some("open-sesame")) else { return };
    let with = |password: &str| {
        let options = Server { address: server.address(), password: Some(password.into()) };
        assert!(!format!("{options:?}").contains(password));
        let cluster = Arc::new(Cluster::default());
        (detour(options)(cluster.ways("n1", &[])), cluster)
    };
    let (right, cluster) = with("open-sesame");
    right.backplane.start(cluster).await.expect("the password is right");
    assert_eq!(right.backplane.send(at("n2"), message("bob", "hi")).await, Ok(Taken::NotHere { index: 0 }));
    let (wrong, cluster) = with("barley");
    wrong.backplane.start(cluster).await.expect("its node has other things to do too");
    let error =
        wrong.backplane.send(at("n2"), message("bob", "hi")).await.expect_err("the password is wrong");
    assert!(matches!(error, BackplaneError::NotSent(..)), "{error:?}");
    assert!(!error.to_string().contains("barley"), "{error}");
}

/// A Redis that confirms each subscription and hangs up; when each came.
async fn fickle() -> (SocketAddr, Arc<Mutex<Vec<Instant>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let came = Arc::new(Mutex::new(Vec::new()));
    let dials = came.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            dials.lock().expect("no panics inside").push(Instant::now());
            let mut asked = Vec::new();
            while !String::from_utf8_lossy(&asked).contains("gateway:broadcast\r\n")
                && client.read_buf(&mut asked).await.is_ok_and(|bytes| bytes > 0)
            {}
            let confirmed = "*3\r\n$9\r\nsubscribe\r\n$10\r\ngateway:n1\r\n:1\r\n\
                             *3\r\n$9\r\nsubscribe\r\n$17\r\ngateway:broadcast\r\n:2\r\n";
            let _ = client.write_all(confirmed.as_bytes()).await;
            let _ = client.shutdown().await;
            // What was written is lost if this side goes first.
            let _ = client.read_to_end(&mut asked).await;
        }
    });
    (address, came)
}

/// It was dialled at once after each drop, and each time was told twice.
#[tokio::test]
async fn a_redis_that_hangs_up_at_once_is_dialled_ever_more_rarely_and_told_of_once() {
    let (logged, logging) = Logged::begin(tracing_subscriber::filter::LevelFilter::INFO);
    let (address, came) = fickle().await;
    let (_ways, _cluster) = gateway(&address.to_string(), "n1", &["n2"], Duration::from_secs(30)).await;
    until("it came often", async || came.lock().expect("no panics inside").len() > 5).await;
    drop(logging);
    let came = came.lock().expect("no panics inside").clone();
    // Half of 100 ms, 200 ms, and so on.
    assert!(came[5] - came[0] >= Duration::from_millis(1_550), "{:?}", came[5] - came[0]);
    let logged = logged.text();
    for line in ["listening to other gateways", "the connection to Redis is gone"] {
        assert_eq!(logged.matches(line).count(), 1, "{logged}");
    }
}

#[tokio::test]
async fn no_password_is_in_a_log_or_in_what_is_shown() {
    let Some(server) = RedisServer::start(Some("open-sesame")) else { return };
    let (logged, logging) = Logged::begin(tracing_subscriber::filter::LevelFilter::TRACE);
    let with = |password: &str| Server { address: server.address(), password: Some(password.into()) };
    let mut shown = Vec::new();
    for password in ["open-sesame", "barley"] {
        let settings = quorate_backplane::kafka::Settings {
            brokers: vec!["kafka:9092".into()],
            offsets: "offsets.json".into(),
            presence: Some(with(password)),
        };
        shown.push(format!("{settings:?}"));
        let cluster = Arc::new(Cluster::default());
        let ways = detour(with(password))(cluster.ways("n1", &[]));
        ways.backplane.start(cluster.clone()).await.expect("its node has other things to do too");
        let hold = ways.presence.open(user("bob"), ConnectionId::from_random(1), SecondLogin::Replace).await;
        hold.expect("the log decides").close().await;
        shown.push(format!("{:?}", ways.backplane.send(at("n2"), message("bob", "hi")).await));
        ways.backplane.stop().await;
    }
    drop(logging);
    let logged = logged.text();
    assert!(logged.contains("listening to other gateways"), "{logged}");
    assert!(logged.contains("other gateways can't be heard"), "{logged}");
    for text in shown.iter().chain([&logged]) {
        assert!(!text.contains("open-sesame") && !text.contains("barley"), "{text}");
    }
}
