//! One client's way to the nodes: asks, tells the oracle, goes elsewhere when a node does not help.

use super::Workload;
use crate::{
    check::{Answer, Ask, OP_LABEL, OpId, Reading},
    planted::{Planted, planted},
    trace,
    world::worker::address,
    world::{
        client::{Got, manage_raw},
        now_ms,
    },
};
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep, timeout},
};
use serde_json::{Value, json};

/// Tries of one operation, as a patient client makes them.
const TRIES: u32 = 3;

/// A client that prefers the node that helped last.
pub struct Caller<'a> {
    load: &'a Workload<'a>,
    node: usize,
}

impl<'a> Caller<'a> {
    /// Begins with any node.
    pub fn new(load: &'a Workload<'a>) -> Self {
        Self { load, node: load.world.any() }
    }

    /// Begins with node `node`.
    pub fn at(load: &'a Workload<'a>, node: usize) -> Self {
        Self { load, node }
    }

    /// Asks until somebody answers or patience is over. Each try is an operation of its own.
    pub async fn persist(&mut self, ask: &Ask) -> Answer {
        let (mut answer, phase) = (Answer::Unknown, self.load.phase());
        for _ in 0..TRIES {
            if thread_rng().gen_bool(0.2) {
                self.node = self.load.world.anywhere();
            }
            answer = self.ask(ask.clone()).await;
            if !matches!(answer, Answer::Unknown | Answer::Refused) || self.load.phase() != phase {
                break;
            }
            self.node = self.load.world.anywhere();
            let pause = thread_rng().gen_range(20..300);
            sleep(Duration::from_millis(pause)).await;
        }
        answer
    }

    /// One try.
    pub async fn ask(&mut self, ask: Ask) -> Answer {
        let (op, node) = (self.load.next_operation(), self.node);
        let (method, path, body) = request(op, &ask, self.load);
        self.load.world.oracle.borrow_mut().asked(op, now_ms(), ask.clone());
        let answer = manage_raw(self.load.world, node, method, path, body);
        // Who gives up early does not take back what was asked: it may still be carried out.
        let got = timeout(patience(), answer).await.unwrap_or(Got::NoAnswer);
        let answer = understood(&ask, &got);
        if matches!((&ask, &answer), (Ask::Register { .. }, Answer::Unknown)) {
            self.load.is_in_doubt();
        }
        trace::event(|| format!("{} {ask:?} at n{}: {} {answer:?}", op.0, node + 1, got.status()));
        self.load.world.oracle.borrow_mut().answered(op, now_ms(), answer.clone());
        answer
    }
}

/// Most clients wait as long as a node may take, some do not.
fn patience() -> Duration {
    match thread_rng().gen_range(0..10) {
        0 => Duration::from_millis(thread_rng().gen_range(10..100)),
        1 | 2 => Duration::from_millis(thread_rng().gen_range(100..1_000)),
        _ => Duration::from_secs(10),
    }
}

fn query(reading: Reading) -> &'static str {
    match reading {
        Reading::Consistent => match planted() {
            Planted::StaleReads => "",
            _ => "?consistent=true",
        },
        Reading::Local => "",
    }
}

fn request(op: OpId, ask: &Ask, load: &Workload<'_>) -> (&'static str, String, Value) {
    match ask {
        Ask::Register { worker, partitions } => {
            let number: usize = worker[1..].parse().unwrap_or(1);
            let body = json!({
                "address": format!("http://{}", address(number)),
                "partitions": partitions,
                "ttl": format!("{}ms", load.ttls[number - 1]),
                "labels": { OP_LABEL: op.0.to_string(), "group": format!("g{}", number % 2) },
                "services": [{"name": "upload"}],
                "wants_delegate": number % 3 != 0,
            });
            ("PUT", format!("/v1/workers/{worker}"), body)
        }
        Ask::Unregister { worker, incarnation } => {
            let lease = incarnation.map(|lease| format!("?lease={lease}")).unwrap_or_default();
            ("DELETE", format!("/v1/workers/{worker}{lease}"), Value::Null)
        }
        Ask::Heartbeat { worker, incarnation } => {
            // Operations are numbered in order, so the number is a sequence.
            let body = json!({ "lease": incarnation, "sequence": op.0 });
            ("POST", format!("/v1/workers/{worker}/heartbeat"), body)
        }
        Ask::SetKeyspace { name, partitions } => {
            let body = json!({ "partitions": partitions, "source": "static" });
            ("PUT", format!("/v1/keyspaces/{name}"), body)
        }
        Ask::ReadWorker { worker, reading } => {
            ("GET", format!("/v1/workers/{worker}{}", query(*reading)), Value::Null)
        }
        Ask::ReadKeyspace { name, reading } => {
            ("GET", format!("/v1/keyspaces/{name}{}", query(*reading)), Value::Null)
        }
    }
}

/// What an HTTP answer says about the operation.
fn understood(ask: &Ask, got: &Got) -> Answer {
    let Got::Answer { status, index, body, .. } = got else {
        return if matches!(got, Got::NotReached) { Answer::Refused } else { Answer::Unknown };
    };
    let code = body["code"].as_str().unwrap_or_default();
    let index = body["index"].as_u64().unwrap_or(*index);
    match (ask, status) {
        (Ask::Register { .. }, 200) => match body["lease"]["id"].as_u64() {
            Some(incarnation) => Answer::Registered { incarnation, index },
            None => Answer::Unknown,
        },
        (Ask::Unregister { .. } | Ask::SetKeyspace { .. }, 200) => Answer::Done { index },
        (Ask::Unregister { .. }, 404) => Answer::Missing,
        (Ask::Unregister { .. }, 409) => Answer::Superseded,
        (Ask::Heartbeat { .. }, 200) => Answer::Alive,
        (Ask::Heartbeat { .. }, 404 | 409) => Answer::NotAlive,
        (Ask::ReadWorker { .. }, 200) => {
            let written_by = body["labels"][OP_LABEL].as_str().and_then(|n| n.parse().ok()).map(OpId);
            Answer::Worker { written_by, index: got.index() }
        }
        (Ask::ReadWorker { .. }, 404) => Answer::Worker { written_by: None, index: got.index() },
        (Ask::ReadKeyspace { .. }, 200) => {
            Answer::Keyspace { partitions: body["partitions"].as_u64(), index: got.index() }
        }
        (Ask::ReadKeyspace { .. }, 404) => Answer::Keyspace { partitions: None, index: got.index() },
        // "Nothing was done" is a promise, too.
        (_, 503) if code != "outcome_unknown" => Answer::Refused,
        (_, 400..=499) => Answer::Refused,
        _ => Answer::Unknown,
    }
}
