//! Clients that write all the while, and know what was acknowledged.
//!
//! Each writes one record again and again, each time a larger number. After a write of unknown outcome, which may
//! still happen later, it goes on with another record. So a record must hold at least the last number that was
//! acknowledged, and none that was never written.

use crate::support::{
    cluster::Cluster,
    eventually,
    http::{Ask, Connection},
    node::Node,
};
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// After no answer, so that a node that is down is not asked a thousand times.
const PAUSE: Duration = Duration::from_millis(20);

/// As long as a label may be.
const FILLER: &str = match std::str::from_utf8(&[b'x'; 256]) {
    Ok(text) => text,
    Err(_) => panic!("it is ASCII"),
};

/// What is known about a record.
struct Record {
    id: String,
    acknowledged: u64,
    tried: u64,
}

/// Writers at work.
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Record>>>,
}

struct Shared {
    tag: String,
    /// This many labels of [`FILLER`] make the record as large as a test wants it.
    fillers: usize,
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    refusals: Mutex<Vec<String>>,
}

/// What they had been promised.
pub struct Promised {
    records: Vec<Record>,
    /// How many writes were acknowledged.
    pub count: usize,
    /// What was said instead of 200, each once.
    pub refusals: Vec<String>,
}

impl Writers {
    /// `at_each` writers for each of these nodes, of records with `fillers` times 256 bytes.
    pub fn start<'a>(
        nodes: impl IntoIterator<Item = &'a Node>,
        tag: &str,
        at_each: usize,
        fillers: usize,
    ) -> Self {
        let shared = Arc::new(Shared {
            tag: tag.into(),
            fillers,
            stop: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
            refusals: Mutex::default(),
        });
        let addresses = nodes.into_iter().flat_map(|node| std::iter::repeat_n(node.management, at_each));
        let start = |(nth, address)| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.run(nth, address))
        };
        Self { threads: addresses.enumerate().map(start).collect(), shared }
    }

    /// Writes that were acknowledged so far.
    pub fn count(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Lets them finish.
    pub fn end(self) -> Promised {
        self.shared.stop.store(true, Ordering::Relaxed);
        let records =
            self.threads.into_iter().flat_map(|thread| thread.join().expect("no writer panics")).collect();
        let refusals = std::mem::take(&mut *self.shared.refusals.lock().expect("no writer panics"));
        Promised { records, count: self.shared.acknowledged.load(Ordering::Relaxed), refusals }
    }
}

impl Shared {
    fn run(&self, nth: usize, address: SocketAddr) -> Vec<Record> {
        let record = |n: usize| Record { id: format!("{}-{nth}-{n}", self.tag), acknowledged: 0, tried: 0 };
        let mut records = vec![record(0)];
        let mut connection = None;
        while !self.stop.load(Ordering::Relaxed) {
            let last = records.last_mut().expect("never empty");
            last.tried += 1;
            if self.write(last, address, &mut connection) {
                last.acknowledged = last.tried;
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            connection = None;
            std::thread::sleep(PAUSE);
            if last.acknowledged > 0 {
                records.push(record(records.len()));
            }
        }
        records
    }

    fn write(&self, record: &Record, address: SocketAddr, connection: &mut Option<Connection>) -> bool {
        let mut labels = json!({"value": record.tried.to_string()});
        for nth in 0..self.fillers {
            labels[format!("filler{nth}")] = FILLER.into();
        }
        let body = json!({"address": "http://127.0.0.1:1", "ttl": "24h", "labels": labels});
        let ask = Ask::json("PUT", &format!("/v1/workers/{}", record.id), &body);
        if connection.is_none() {
            *connection = Connection::open(address).ok();
        }
        let Some(Ok(answer)) = connection.as_mut().map(|connection| connection.exchange(&ask)) else {
            return false;
        };
        if answer.status != 200 {
            assert!(answer.status >= 500, "{}", answer.text());
            let refusal = format!("{} {}", answer.status, answer.json()["code"]);
            let mut refusals = self.refusals.lock().expect("no writer panics");
            if !refusals.contains(&refusal) {
                refusals.push(refusal);
            }
        }
        answer.status == 200
    }
}

/// What a record holds; 0 if it is not there.
fn value_at(node: &Node, id: &str) -> u64 {
    let ask = Ask::get(&format!("/v1/workers/{id}?consistent=true"));
    // An election may be under way.
    let answer =
        eventually("a consistent read", || Some(node.ask(&ask)).filter(|answer| answer.status != 503));
    match answer.status {
        404 => 0,
        _ => answer.ok().json()["labels"]["value"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("a value"),
    }
}

impl Promised {
    /// What the node does not have although it was acknowledged, or has although nobody wrote it.
    pub fn broken_at(&self, node: &Node) -> Vec<String> {
        let mut broken = Vec::new();
        for Record { id, acknowledged, tried } in &self.records {
            let value = value_at(node, id);
            if !(*acknowledged..=*tried).contains(&value) {
                broken.push(format!(
                    "{id} is {value} at {}: {acknowledged} was acknowledged, {tried} tried",
                    node.name
                ));
            }
        }
        broken
    }

    /// Nothing is lost at any running node.
    pub fn is_kept(&self, cluster: &Cluster) {
        assert!(self.count > 0, "nothing was ever acknowledged: {:?}", self.refusals);
        for node in cluster.running() {
            assert_eq!(self.broken_at(node), [""; 0]);
        }
    }
}
