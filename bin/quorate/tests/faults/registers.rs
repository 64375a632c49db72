//! Clients that write and read a few records through random nodes, and the history of what they saw.
//!
//! A record is a worker; its value is in a label. Each write writes a value of its own. A write that was refused or
//! not answered may still happen, at any later time: it counts as one of unknown outcome.

use crate::{
    history::{Event, Op, is_linearizable},
    support::{cluster::Cluster, http::Ask},
};
use serde_json::{Value, json};
use std::{
    hash::{BuildHasher as _, RandomState},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const KEYS: usize = 4;
const CLIENTS: u64 = 8;
/// A client asks somebody else after this long.
const CLIENT_PATIENCE: Duration = Duration::from_millis(300);
/// The checker's memory grows with the square of a record's history.
const OPERATIONS_MAX: u128 = 10_000;

/// How clients read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// As the cluster promises it: what was acknowledged before is seen.
    Consistent,
    /// Whatever the asked node has.
    Local,
}

struct Shared {
    nodes: [SocketAddr; 3],
    reads: Reads,
    start: Instant,
    pause: Duration,
    stop: AtomicBool,
    next_value: AtomicU64,
    history: Mutex<[Vec<Event>; KEYS]>,
}

/// Clients at work.
pub struct Registers {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// What they saw.
pub struct Seen {
    history: [Vec<Event>; KEYS],
}

impl Registers {
    /// Starts the clients, which are paced for a run of about `length`.
    pub fn start(cluster: &Cluster, reads: Reads, length: Duration) -> Self {
        let pause = length.as_micros() * u128::from(CLIENTS) / OPERATIONS_MAX;
        let shared = Arc::new(Shared {
            nodes: [0, 1, 2].map(|place| cluster.nodes[place].management),
            reads,
            start: Instant::now(),
            pause: Duration::from_micros(pause.try_into().expect("a test ends in this life")),
            stop: AtomicBool::new(false),
            next_value: AtomicU64::new(1),
            history: Mutex::default(),
        });
        let client = |_| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.run())
        };
        Self { clients: (0..CLIENTS).map(client).collect(), shared }
    }

    /// How many writes were acknowledged so far.
    pub fn written(&self) -> usize {
        let history = self.shared.history.lock().expect("no client panics");
        history.iter().flatten().filter(|event| is_write(event) && event.end.is_some()).count()
    }

    /// Lets the clients finish.
    pub fn end(self) -> Seen {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("no client panics"));
        Seen { history: std::mem::take(&mut self.shared.history.lock().expect("no client panics")) }
    }
}

fn is_write(event: &Event) -> bool {
    matches!(event.op, Op::Write(_))
}

impl Shared {
    fn run(&self) {
        let chance = RandomState::new();
        for nth in 0u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let random = chance.hash_one(nth);
            let [key, node] = [random % 4, random / 4 % 3].map(|n| usize::try_from(n).expect("small"));
            let start = self.start.elapsed().as_nanos();
            let event = if random / 12 % 2 == 0 {
                let value = self.next_value.fetch_add(1, Ordering::Relaxed);
                let end = self.write(node, key, value).then(|| self.start.elapsed().as_nanos());
                Some(Event { start, end, op: Op::Write(value) })
            } else {
                let read = self.read(node, key);
                let end = Some(self.start.elapsed().as_nanos());
                read.map(|value| Event { start, end, op: Op::Read(value) })
            };
            // A read without an answer has seen nothing.
            self.history.lock().expect("no client panics")[key].extend(event);
            std::thread::sleep(self.pause);
        }
    }

    fn write(&self, node: usize, key: usize, value: u64) -> bool {
        let body =
            json!({"address": "http://127.0.0.1:1", "ttl": "24h", "labels": {"value": value.to_string()}});
        let ask = Ask::json("PUT", &format!("/v1/workers/r{key}"), &body);
        let answer = ask.send_within(self.nodes[node], CLIENT_PATIENCE);
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// `None`: no answer. `Some(None)`: there is no record.
    fn read(&self, node: usize, key: usize) -> Option<Option<u64>> {
        let how = if self.reads == Reads::Consistent { "?consistent=true" } else { "" };
        let ask = Ask::get(&format!("/v1/workers/r{key}{how}"));
        let answer = ask.send_within(self.nodes[node], CLIENT_PATIENCE).ok()?;
        match answer.status {
            404 => Some(None),
            200 => Some(Some(value(&answer.json()))),
            _ => None,
        }
    }
}

fn value(worker: &Value) -> u64 {
    let text = worker["labels"]["value"].as_str().unwrap_or_else(|| panic!("no value: {worker}"));
    text.parse().expect("a number")
}

impl Seen {
    /// Whether some order of all operations explains what each client saw, record by record.
    pub fn is_linearizable(&self) -> bool {
        self.history.iter().all(|history| is_linearizable(history.clone()))
    }

    /// Operations that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.history.iter().flatten().filter(|event| event.end.is_some()).count()
    }

    /// The longest time without an acknowledged write.
    pub fn longest_gap(&self) -> Duration {
        let mut ends: Vec<_> = self
            .history
            .iter()
            .flatten()
            .filter(|event| is_write(event))
            .filter_map(|event| event.end)
            .collect();
        ends.sort_unstable();
        let gap = ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(u128::MAX);
        Duration::from_nanos(u64::try_from(gap).unwrap_or(u64::MAX))
    }
}
