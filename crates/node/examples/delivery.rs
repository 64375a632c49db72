//! How long a message takes from the gateway of one node to that of another, and how many go in a second:
//! `cargo run --release -p quorate-node --example delivery`.
//!
//! Two whole nodes in one process, each on a runtime of its own, over loopback. What is measured is the way between
//! gateways and back with the answer, without sockets of clients: one message after the other, then many at once.
#![cfg(not(madsim))]
#![expect(clippy::print_stdout, reason = "a program for people")]

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all, ready},
};
use quorate_gateway::{
    backplane::{Backplane, Inbox, Message, Recipient, Taken},
    cluster::Place,
};
use quorate_model::{ConnectionId, Epoch, NodeName, UserId};
use quorate_node::{
    Node, Platform,
    config::{Config, Sources},
    gateway::direct::Direct,
    readiness::Phase,
};
use quorate_rt::time;
use quorate_storage::SimDisk;
use std::{error::Error, io, sync::Arc, time::Duration};
use tokio::runtime::Runtime;

/// Not counted: the link is dialled, and code becomes warm.
const WARM: usize = 1_000;
const ONE_BY_ONE: usize = 20_000;
const AT_ONCE: usize = 200_000;
/// Of those, under way at a time.
const UNDER_WAY: usize = 1_000;

type Failure = Box<dyn Error + Send + Sync>;

/// Takes everything.
struct Everybody;

impl Inbox for Everybody {
    fn take(&self, _: Option<u64>, _: Arc<Message>) -> BoxFuture<'static, Taken> {
        ready(Taken::Delivered).boxed()
    }

    fn take_broadcast(&self, _: Arc<Message>) {}

    fn asked(&self, question: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        ready(question).boxed()
    }
}

fn main() -> Result<(), Failure> {
    let free = || std::net::TcpListener::bind("127.0.0.1:0")?.local_addr();
    let ports = [free()?, free()?];
    let peers = format!("n1={},n2={}", ports[0], ports[1]);
    let runtimes = [runtime()?, runtime()?];
    let mut nodes = Vec::new();
    for (nth, (runtime, port)) in runtimes.iter().zip(ports).enumerate() {
        nodes.push(runtime.block_on(node(format!("n{}", nth + 1), port.to_string(), &peers))?);
    }
    let [first, second] = &runtimes;
    first.block_on(async {
        while !nodes.iter().all(|node| node.readiness().phase() == Phase::Serving) {
            time::sleep(Duration::from_millis(10)).await;
        }
    });
    let (one, two) = (Direct::new(nodes[0].consensus()), Direct::new(nodes[1].consensus()));
    second.block_on(two.start(Arc::new(Everybody)))?;
    first.block_on(first.spawn(measure(one)))??;
    Ok(())
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

async fn node(name: String, peer: String, peers: &str) -> Result<Node, Failure> {
    let flags = [
        ("routing", "127.0.0.1:0"),
        ("management", "127.0.0.1:0"),
        ("gateway", "off"),
        ("peer", &peer),
        ("peers", peers),
        ("node-name", &name),
        ("threads", "1"),
    ];
    let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = Config::load(&Sources { flags: flags.into(), ..Sources::default() })?;
    let disk = Arc::new(SimDisk::new().open(&config.node_name)?);
    Ok(Node::start(config, Platform { disk, partition_source: None, secret: None, detour: None }).await?)
}

async fn measure(one: Direct) -> Result<(), Failure> {
    let node = NodeName::parse("n2")?;
    let place = Place { node, gateway: Epoch(1), epoch: Epoch(2), connection: ConnectionId::from_random(1) };
    let (from, to) = (UserId::parse("alice")?, Recipient::User(UserId::parse("bob")?));
    let message = Arc::new(Message { from, to, content: "hello, how are you?".into(), id: None, nth: 0 });
    let mut took = Vec::with_capacity(ONE_BY_ONE);
    for nth in 0..WARM + ONE_BY_ONE {
        let begun = time::Instant::now();
        one.send(place.clone(), message.clone()).await?;
        if nth >= WARM {
            took.push(begun.elapsed());
        }
    }
    took.sort_unstable();
    let at = |share: usize| took[took.len() * share / 100];
    println!("one by one: p50 {:?}, p99 {:?}", at(50), at(99));
    let begun = time::Instant::now();
    for _ in 0..AT_ONCE / UNDER_WAY {
        let sent = (0..UNDER_WAY).map(|_| one.send(place.clone(), message.clone()));
        for answer in join_all(sent).await {
            answer?;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{UNDER_WAY} at once: {:.0}/s", AT_ONCE as f64 / seconds);
    Ok(())
}
