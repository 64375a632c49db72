//! What must hold in every run, whatever the faults.

pub mod agreement;
pub mod history;

use agreement::Agreement;
use history::{Event, Op, is_linearizable};
use quorate_state::State;
use std::collections::BTreeMap;

/// One request of a client. A retry is an operation of its own: it may be applied as well as the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// The label of a registration that carries its operation's number: by it a record tells who wrote it.
pub const OP_LABEL: &str = "op";

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `PUT /v1/workers/{id}`, with the operation's number as label [`OP_LABEL`].
    Register {
        /// Who.
        worker: String,
        /// Which.
        partitions: Vec<i32>,
    },
    /// `DELETE /v1/workers/{id}`.
    Unregister {
        /// Who.
        worker: String,
        /// Which of its lives, by lease id; `None`: whichever stands.
        incarnation: Option<u64>,
    },
    /// `POST /v1/workers/{id}/heartbeat` that names its lease.
    Heartbeat {
        /// Who.
        worker: String,
        /// Which of its lives.
        incarnation: u64,
    },
    /// `PUT /v1/keyspaces/{name}`; best a value that nobody wrote before.
    SetKeyspace {
        /// Which.
        name: String,
        /// The count.
        partitions: u64,
    },
    /// `GET /v1/workers/{id}`.
    ReadWorker {
        /// Who.
        worker: String,
        /// How.
        reading: Reading,
    },
    /// `GET /v1/keyspaces/{name}`.
    ReadKeyspace {
        /// Which.
        name: String,
        /// How.
        reading: Reading,
    },
}

/// What a reader asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// `?consistent=true`.
    Consistent,
    /// Whatever the node has.
    Local,
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a registration.
    Registered {
        /// `lease.id`.
        incarnation: u64,
        /// `index`.
        index: u64,
    },
    /// To any other write.
    Done {
        /// `index`.
        index: u64,
    },
    /// To an unregistration: 404, there is none.
    Missing,
    /// To an unregistration: another life of the worker stands.
    Superseded,
    /// To a heartbeat: heard.
    Alive,
    /// To a heartbeat: unknown, displaced, superseded or replayed.
    NotAlive,
    /// To a read of a worker.
    Worker {
        /// The registration that stands, by its label; `None`: 404.
        written_by: Option<OpId>,
        /// `X-Quorate-Index`.
        index: u64,
    },
    /// To a read of a keyspace.
    Keyspace {
        /// Its count; `None`: 404 or not known.
        partitions: Option<u64>,
        /// `X-Quorate-Index`.
        index: u64,
    },
    /// Nothing was done, and will not be: an error that says so, or no connection.
    Refused,
    /// No answer, or one that leaves it open: it may be done, now or later.
    Unknown,
}

/// One node at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Its name.
    pub node: &'a str,
    /// How often it was started.
    pub life: u32,
    /// What it routes by.
    pub view: &'a State,
    /// The term in which it takes itself for the leader.
    pub leads_in: Option<u64>,
    /// Whether it also heard a quorum within an election timeout.
    pub speaks_for_quorum: bool,
    /// Simulated time.
    pub at_ms: u128,
}

/// A routed request that a worker answered.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The worker that answered.
    pub worker: String,
    /// The node that routed.
    pub via: String,
    /// `X-Quorate-Index` of the answer.
    pub index: u64,
    /// Whether the node said (`X-Quorate-Stale`) that it is cut off.
    pub stale: bool,
    /// When the client sent the request: the node decided no earlier.
    pub sent_ms: u128,
}

/// All invariants of one run.
#[derive(Default)]
pub struct Oracle {
    agreement: Agreement,
    keyspaces: BTreeMap<String, BTreeMap<OpId, Event>>,
    asked: BTreeMap<OpId, (u128, Ask)>,
}

impl Oracle {
    /// An operation is about to be sent.
    pub fn asked(&mut self, op: OpId, at_ms: u128, ask: Ask) {
        if let Ask::SetKeyspace { name, partitions } = &ask {
            let event = Event { start: at_ms, end: None, op: Op::Write(*partitions) };
            self.keyspaces.entry(name.clone()).or_default().insert(op, event);
        }
        self.asked.insert(op, (at_ms, ask));
    }

    /// An operation has ended; one that never does stays of unknown outcome.
    pub fn answered(&mut self, op: OpId, at_ms: u128, answer: Answer) {
        let Some((start, ask)) = self.asked.remove(&op) else { return };
        match (ask, answer) {
            (Ask::SetKeyspace { name, .. }, Answer::Done { .. }) => {
                if let Some(event) = self.keyspaces.get_mut(&name).and_then(|k| k.get_mut(&op)) {
                    event.end = Some(at_ms);
                }
            }
            (Ask::SetKeyspace { name, .. }, Answer::Refused) => {
                self.keyspaces.entry(name).or_default().remove(&op);
            }
            (
                Ask::ReadKeyspace { name, reading: Reading::Consistent },
                Answer::Keyspace { partitions, .. },
            ) => {
                let event = Event { start, end: Some(at_ms), op: Op::Read(partitions) };
                self.keyspaces.entry(name).or_default().insert(op, event);
            }
            _ => {}
        }
    }

    /// A running node, after a step.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        self.agreement.look(look.node, look.life, look.view)
    }

    /// A worker answered a routed request.
    pub fn worker_reached(&mut self, _reached: &Reached) {}

    /// The run is over, the cluster has settled, and every node has been looked at since.
    pub fn finish(&mut self) -> Result<(), String> {
        for (name, events) in std::mem::take(&mut self.keyspaces) {
            let count = events.len();
            if !is_linearizable(events.into_values().collect()) {
                return Err(format!("keyspace {name}: {count} operations are not linearizable"));
            }
        }
        Ok(())
    }
}
