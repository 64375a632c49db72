//! Messages between the gateways of three nodes, over the network.
#![cfg(not(madsim))]

mod support;

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all, ready},
};
use quorate_consensus::SessionHold;
use quorate_gateway::{
    backplane::{ASK_BYTES_MAX, Backplane, BackplaneError, Inbox, Message, MessageId, Recipient, Taken},
    cluster::Place,
};
use quorate_model::{ConnectionId, Epoch, NodeName, SecondLogin, UserId};
use quorate_node::{Node, gateway::direct::Direct};
use quorate_rt::time;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use support::{cluster, cluster_on, until};

/// Holds `bob`, whose queue is full for a message that says so.
#[derive(Default)]
struct Box {
    taken: Mutex<Vec<String>>,
    /// Whatever comes for all has its thread stand still, for as long as this is so.
    stands_still: AtomicBool,
}

impl Box {
    fn taken(&self) -> Vec<String> {
        self.taken.lock().expect("no panics inside").clone()
    }
}

/// Stands still until this is dropped.
struct Stopped(Arc<Box>);

impl Stopped {
    fn new(inbox: &Arc<Box>) -> Self {
        inbox.stands_still.store(true, Ordering::Release);
        Self(inbox.clone())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.stands_still.store(false, Ordering::Release);
    }
}

impl Inbox for Box {
    fn take(&self, epoch: Option<u64>, message: Arc<Message>) -> BoxFuture<'static, Taken> {
        let taken = match (&message.to, &*message.content) {
            (Recipient::User(user), _) if user.as_str() != "bob" => Taken::NotHere { index: 77 },
            (_, "full") => Taken::Full,
            _ => {
                self.taken.lock().expect("no panics inside").push(format!("{epoch:?} {}", message.content));
                Taken::Delivered
            }
        };
        // Not at once, and not in the order of the calls.
        let late = Duration::from_millis(message.content.len() as u64 % 3);
        async move {
            time::sleep(late).await;
            taken
        }
        .boxed()
    }

    fn take_broadcast(&self, message: Arc<Message>) {
        while self.stands_still.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.taken.lock().expect("no panics inside").push(format!("{:?} {}", message.to, message.content));
    }

    fn asked(&self, mut question: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        question.reverse();
        ready(question).boxed()
    }
}

async fn gateway(node: &Node) -> (Direct, Arc<Box>) {
    let (direct, inbox) = (Direct::new(node.consensus()), Arc::new(Box::default()));
    direct.start(inbox.clone()).await.expect("starts");
    (direct, inbox)
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("valid")
}

fn to(recipient: &str, content: &str) -> Arc<Message> {
    let to = Recipient::User(user(recipient));
    Arc::new(Message { from: user("alice"), to, content: content.into(), id: None, nth: 0 })
}

fn at(node: &str) -> Place {
    let node = NodeName::parse(node).expect("valid");
    Place { node, gateway: Epoch(3), epoch: Epoch(9), connection: ConnectionId::from_random(1) }
}

#[tokio::test]
async fn messages_arrive_in_the_order_of_the_calls_and_each_is_answered() {
    let nodes = cluster().await;
    let (one, _) = gateway(&nodes[0]).await;
    let (_two, inbox) = gateway(&nodes[1]).await;
    let contents: Vec<_> = (0..2_000).map(|number| number.to_string()).collect();
    let sent = contents.iter().map(|content| one.send(at("n2"), to("bob", content)));
    let answers = join_all(sent).await;
    let failed = answers.iter().find(|answer| **answer != Ok(Taken::Delivered));
    assert_eq!(failed, None);
    let expected: Vec<_> = contents.iter().map(|content| format!("Some(9) {content}")).collect();
    assert_eq!(inbox.taken(), expected);
    assert_eq!(one.send(at("n2"), to("carol", "hi")).await, Ok(Taken::NotHere { index: 77 }));
    assert_eq!(one.send(at("n2"), to("bob", "full")).await, Ok(Taken::Full));
    let large = "x".repeat(1 << 20);
    assert_eq!(one.send(at("n2"), to("bob", &large)).await, Ok(Taken::Delivered));
}

#[tokio::test]
async fn all_other_gateways_get_what_is_for_all_and_answer_questions() {
    let nodes = cluster().await;
    let (one, mine) = gateway(&nodes[0]).await;
    let ((_two, second), (_three, third)) = (gateway(&nodes[1]).await, gateway(&nodes[2]).await);
    let message = |to| Arc::new(Message { from: user("alice"), to, content: "hi".into(), id: None, nth: 0 });
    one.broadcast(message(Recipient::All)).await.expect("there is nobody");
    assert!(second.taken().is_empty() && third.taken().is_empty(), "a node without a lease has no users");
    let _users = users_on_all(&nodes).await;
    one.broadcast(message(Recipient::All)).await.expect("they can be reached");
    one.broadcast(message(Recipient::Room("lobby".into()))).await.expect("they can be reached");
    let expected = ["All hi", "Room(\"lobby\") hi"];
    until("both have both", || [&second, &third].iter().all(|inbox| inbox.taken() == expected)).await;
    assert!(mine.taken().is_empty());

    let ask = |question| one.ask(at("n2").node, question, Duration::from_secs(20));
    assert_eq!(ask(vec![1, 2, 3]).await, Ok(vec![3, 2, 1]));
    let longest = vec![7; ASK_BYTES_MAX];
    assert_eq!(ask(longest.clone()).await.map(|answer| answer == longest), Ok(true));
    assert!(matches!(ask(vec![7; ASK_BYTES_MAX + 1]).await, Err(BackplaneError::NotSent(..))));
}

/// Each node has a user, and so a lease, and the first one knows.
async fn users_on_all(nodes: &[Node]) -> Vec<SessionHold> {
    let mut holds = Vec::new();
    for (node, nth) in nodes.iter().zip(1..) {
        let (who, connection) = (user(&format!("user{nth}")), ConnectionId::from_random(nth));
        let opened = node.consensus().open_session(who, connection, SecondLogin::Many).await;
        holds.push(opened.expect("there is a majority"));
    }
    until("all have leases", || nodes[0].consensus().other_gateways().len() == nodes.len() - 1).await;
    holds
}

/// Who spoke in a room waited for it with each message, and the room with them.
#[tokio::test]
async fn a_gateway_that_stands_still_costs_the_others_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let nodes = cluster_on(runtime.handle()).await;
    let (one, _) = gateway(&nodes[0]).await;
    let ((_two, second), (_three, third)) = (gateway(&nodes[1]).await, gateway(&nodes[2]).await);
    let _users = users_on_all(&nodes).await;
    let say = |content: &str| {
        let to = Recipient::Room("lobby".into());
        one.broadcast(Arc::new(Message {
            from: user("alice"),
            to,
            content: content.into(),
            id: None,
            nth: 0,
        }))
    };
    say("0").await.expect("all hear it");
    until("both have it", || [&second, &third].iter().all(|inbox| inbox.taken().len() == 1)).await;
    let stopped = Stopped::new(&second);
    let begun = time::Instant::now();
    say("1").await.expect("the others hear it");
    until("the other one has it", || third.taken().len() == 2).await;
    for nth in 2..=20 {
        say(&nth.to_string()).await.expect("the others hear it");
    }
    let took = begun.elapsed();
    assert_eq!(second.taken().len(), 1, "it stands still");
    // The first one waits for 2 s. Each waited for 5 s, until the link was given up after 10 s.
    assert!(took < Duration::from_secs(9), "{took:?}");
    let expected: Vec<_> = (0..=20).map(|nth| format!("Room(\"lobby\") {nth}")).collect();
    until("the others hear all of it in its order", || third.taken() == expected).await;
    drop(stopped);
    runtime.shutdown_background();
}

#[tokio::test]
async fn a_message_with_a_name_that_comes_again_is_taken_once() {
    let nodes = cluster().await;
    let (one, _) = gateway(&nodes[0]).await;
    let (_two, inbox) = gateway(&nodes[1]).await;
    let named = |name: &str, content: &str| {
        let id = Some(MessageId { session: ConnectionId::from_random(5), name: name.into() });
        Arc::new(Message { id, ..Message::clone(&to("bob", content)) })
    };
    for _ in 0..2 {
        assert_eq!(one.send(at("n2"), named("m1", "hi")).await, Ok(Taken::Delivered));
        assert_eq!(one.send(at("n2"), named("m2", "full")).await, Ok(Taken::Full), "it may be tried again");
    }
    assert_eq!(inbox.taken(), ["Some(9) hi"]);
}

/// The original publishes for up to 90 s to a channel that nobody reads, and reports each message as sent.
#[tokio::test]
async fn defect_6_messages_to_a_dead_gateway_are_not_reported_as_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let nodes = cluster_on(runtime.handle()).await;
    let (one, _) = gateway(&nodes[0]).await;
    let (_two, _) = gateway(&nodes[1]).await;
    assert_eq!(one.send(at("n2"), to("bob", "hi")).await, Ok(Taken::Delivered));
    // As if it were killed: its sockets close, and nothing of it runs any more.
    runtime.shutdown_background();
    for _ in 0..3 {
        let answer = time::timeout(Duration::from_secs(20), one.send(at("n2"), to("bob", "hi"))).await;
        let answer = answer.expect("it is known soon");
        assert!(
            matches!(answer, Err(BackplaneError::NotSent(..) | BackplaneError::Unreachable(..))),
            "{answer:?}"
        );
    }
    let stranger = one.send(at("n9"), to("bob", "hi")).await;
    assert!(matches!(stranger, Err(BackplaneError::NotSent(..))), "{stranger:?}");
}

#[tokio::test]
async fn a_node_without_a_gateway_says_so_and_one_that_is_ending_holds_nobody() {
    let nodes = cluster().await;
    let (one, _) = gateway(&nodes[0]).await;
    let why = match one.send(at("n3"), to("bob", "hi")).await {
        Err(BackplaneError::NotSent(node, why)) => format!("{node}: {why}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(why, "n3: no gateway runs there, or its version has none");

    let (two, _) = gateway(&nodes[1]).await;
    assert_eq!(one.send(at("n2"), to("bob", "hi")).await, Ok(Taken::Delivered));
    two.stop().await;
    let answer = one.send(at("n2"), to("bob", "hi")).await;
    assert!(matches!(answer, Ok(Taken::NotHere { index }) if index > 0), "{answer:?}");
    assert!(matches!(two.send(at("n1"), to("bob", "hi")).await, Err(BackplaneError::NotSent(..))));
}
