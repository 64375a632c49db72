//! R4: clocks that jump and race, on the leader and on all nodes.
//!
//! libfaketime stands between a node and its clocks. Two clocks matter:
//!
//! - **The wall clock** may say anything. It is written into entries for people to read, and decides nothing.
//! - **The monotonic clock** measures leases and elections. Linux never sets it back, and the promise holds while
//!   it runs within five per cent of real time. Ten times too fast is far outside; then a lease ends early, and what
//!   is left is tested: no panic, no lease that outlives its time, and a worker that beats often enough stays.

use crate::{
    machine,
    support::{
        PATIENCE, cluster::Cluster, eventually, figure, http::Ask, machine_to_itself, node::Node, within,
    },
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// For the rounds of the tick, an election, and a busy machine.
const SLACK: Duration = Duration::from_secs(1);

/// Where Debian has it, and others.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

fn library() -> Option<&'static str> {
    LIBRARIES.into_iter().find(|path| Path::new(path).exists())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Faked {
    /// The wall clock alone.
    Wall,
    /// Both.
    Monotonic,
}

fn clock_of(node: &Node) -> PathBuf {
    node.data.with_extension("clock")
}

/// Sets a clock, as libfaketime spells it: `+3600`, `-3600`, `+0 x10`.
fn set(node: &Node, clock: &str) {
    // In one step: half a line would be another time.
    let new = node.data.with_extension("clock.new");
    fs::write(&new, clock).expect("written");
    fs::rename(new, clock_of(node)).expect("renamed");
}

fn started(library: &str, faked: Faked, flags: &[&str]) -> Cluster {
    let mut cluster = Cluster::planned_as(flags, |_, node| {
        set(node, "+0");
        let clock = clock_of(node).to_str().expect("UTF-8").to_owned();
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        node.environment = vec![
            set("LD_PRELOAD", library),
            set("FAKETIME_TIMESTAMP_FILE", &clock),
            set("FAKETIME_NO_CACHE", "1"),
        ];
        if faked == Faked::Wall {
            node.environment.push(set("FAKETIME_DONT_FAKE_MONOTONIC", "1"));
            node.environment.push(set("DONT_FAKE_MONOTONIC", "1"));
        }
    });
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.ready();
    cluster
}

/// A worker that sends heartbeats, to each node in turn.
struct Beating {
    stop: Arc<AtomicBool>,
    beats: Arc<AtomicU64>,
    thread: JoinHandle<()>,
    epoch: u64,
}

fn register(node: &Node, id: &str, ttl: Duration) -> u64 {
    let body = json!({"address": "http://127.0.0.1:1", "ttl": format!("{}s", ttl.as_secs())});
    // Clocks that race call elections: the first try may meet one.
    let target = format!("/v1/workers/{id}");
    eventually("it is registered", || {
        let answer = node.ask(&Ask::json("PUT", &target, &body));
        (answer.status == 200).then(|| answer.json()["lease"]["epoch"].as_u64().expect("a number"))
    })
}

impl Beating {
    fn start(cluster: &Cluster, ttl: Duration, every: Duration) -> Self {
        let epoch = register(&cluster.nodes[0], "beating", ttl);
        let (stop, beats) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let nodes = [0, 1, 2].map(|place| cluster.nodes[place].management);
        let (stopped, heard) = (stop.clone(), beats.clone());
        let thread = std::thread::spawn(move || {
            for node in nodes.into_iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let beat = Ask::new("POST", "/v1/workers/beating/heartbeat").send_within(node, every);
                heard.fetch_add(u64::from(beat.is_ok_and(|answer| answer.status == 200)), Ordering::Relaxed);
                std::thread::sleep(every);
            }
        });
        Self { stop, beats, thread, epoch }
    }

    /// It was never expired: that, and coming back, would have made a new epoch.
    fn is_alive(&self, cluster: &Cluster, when: &str) {
        for node in &cluster.nodes {
            let worker = node.get("/v1/workers/beating");
            assert!(
                worker["epoch"] == self.epoch && worker["status"] != "expired",
                "{when}, at {}: {worker}; its epoch was {}",
                node.name,
                self.epoch
            );
        }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic");
        assert!(self.beats.load(Ordering::Relaxed) > 10, "it was hardly heard");
    }
}

/// Registers a worker that says nothing more; after how long it is out on all nodes. In time, or at the second try:
/// a machine that did something else meanwhile is no fault of the cluster; twice in a row is.
fn silent(cluster: &Cluster, ttl: Duration) -> Duration {
    let first = expires(cluster, ttl);
    if first <= 2 * ttl + SLACK { first } else { expires(cluster, ttl) }
}

fn expires(cluster: &Cluster, ttl: Duration) -> Duration {
    register(&cluster.nodes[1], "silent", ttl);
    let start = Instant::now();
    let expired = |node: &Node| node.get("/v1/workers/silent")["status"] == "expired";
    let out = within(4 * ttl + PATIENCE, || cluster.nodes.iter().all(expired).then(|| start.elapsed()));
    out.expect("it does not expire at all")
}

fn no_panic(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        assert_eq!(node.has_ended(), None, "{} has ended", node.name);
        assert!(!node.log().contains("panicked"), "{} has panicked", node.name);
    }
}

#[test]
fn r4_wall_clocks_that_jump_or_race_decide_nothing() {
    const TTL: Duration = Duration::from_secs(2);
    let _alone = machine_to_itself();
    let Some(library) = library() else { return machine::skip("libfaketime is missing") };
    let mut cluster = started(library, Faked::Wall, &[]);
    let beating = Beating::start(&cluster, TTL, TTL / 8);
    let mut times = Vec::new();
    for clock in ["+3600", "-3600", "+0 x10"] {
        for all in [false, true] {
            let leader = cluster.leader();
            let nodes = cluster.nodes.iter().enumerate().filter(|(place, _)| all || *place == leader);
            nodes.for_each(|(_, node)| set(node, clock));
            let when = format!("{clock} on {}", if all { "all" } else { "the leader" });
            let out = silent(&cluster, TTL);
            assert!(out >= TTL, "{when}: it was out after {out:?}");
            assert!(out <= 2 * TTL + SLACK, "{when}: it was out after {out:?}");
            beating.is_alive(&cluster, &when);
            times.push(format!("{when}: {out:?}"));
        }
    }
    beating.end();
    no_panic(&mut cluster);
    figure(&format!("a silent worker with a TTL of {TTL:?} is out after: {}", times.join(", ")));
}

#[test]
fn r4_monotonic_clocks_ten_times_too_fast_end_leases_early_and_nothing_worse() {
    const TTL: Duration = Duration::from_secs(20);
    let _alone = machine_to_itself();
    let Some(library) = library() else { return machine::skip("libfaketime is missing") };
    // A call between nodes may take a tenth of its time only, so it gets more of it.
    let flags = ["--heartbeat-interval", "1s", "--election-timeout", "4s"];
    let mut cluster = started(library, Faked::Monotonic, &flags);
    // Ten times within the tenth of its time that is left.
    let beating = Beating::start(&cluster, TTL, TTL / 100);
    let mut times = Vec::new();
    for all in [false, true] {
        let leader = cluster.leader();
        let nodes = cluster.nodes.iter().enumerate().filter(|(place, _)| all || *place == leader);
        nodes.for_each(|(_, node)| set(node, "+0 x10"));
        let when = format!("x10 on {}", if all { "all" } else { "the leader" });
        let out = silent(&cluster, TTL);
        assert!(out <= 2 * TTL + SLACK, "{when}: it was out after {out:?}");
        beating.is_alive(&cluster, &when);
        times.push(format!("{when}: {out:?}"));
    }
    beating.end();
    no_panic(&mut cluster);
    figure(&format!("a silent worker with a TTL of {TTL:?} is out after: {}", times.join(", ")));
}
