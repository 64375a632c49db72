//! What must hold in every run, whatever the faults.
//!
//! The world tells one [`Oracle`] what it sees: each node after each step, each operation of a client, each routed
//! request. The oracle hands that to the invariants, one file each, and answers with the first that does not hold.
//! It is pure: times are arguments, nothing here knows the simulator, and each file has a test that makes it fail.
//!
//! | file | the promise |
//! |---|---|
//! | [`acknowledged`] | no acknowledged write is lost |
//! | [`agreement`] | equal index, equal state bytes; the state's own invariants |
//! | [`exactly_once`] | a command is applied at most once |
//! | [`expiry`] | no live worker is expired |
//! | [`fencing`] | a late message undoes nothing newer |
//! | [`leadership`] | a term has at most one leader, ever |
//! | [`linearizable`] | some order of the operations explains what clients saw |
//! | [`ownership`] | one owner per partition and epoch; epochs grow |
//! | [`served_index`] | the index that a node serves never falls |
//! | [`told`] | all nodes tell watchers the same, nothing twice, nothing left out |
//! | [`silence`] | a silent worker is out in time, and gets no requests after that |

mod acknowledged;
mod agreement;
#[cfg(test)]
mod cross_check;
mod exactly_once;
mod expiry;
mod fencing;
pub mod history;
mod leadership;
mod linearizable;
mod lives;
#[cfg(test)]
mod oracle_tests;
mod ownership;
mod served_index;
mod silence;
#[cfg(test)]
mod tests;
mod told;

use lives::Lives;
use quorate_model::Position;
use quorate_state::{Forgotten, Since, State};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Its id in Raft, new with each new disk.
    pub raft_id: u64,
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

/// An operation with what is known of its end.
#[derive(Clone, Debug)]
struct Operation {
    asked_ms: u128,
    ask: Ask,
    answered: Option<(u128, Answer)>,
}

/// All invariants of one run.
#[derive(Debug, Default)]
pub struct Oracle {
    operations: BTreeMap<OpId, Operation>,
    lives: Lives,
    acknowledged: acknowledged::Acknowledged,
    agreement: agreement::Agreement,
    exactly_once: exactly_once::ExactlyOnce,
    expiry: expiry::Expiry,
    leadership: leadership::Leadership,
    ownership: ownership::Ownership,
    served_index: served_index::ServedIndex,
    silence: silence::Silence,
    told: told::ToldChanges,
    /// The first violation that was seen where nobody could be told.
    found: Option<String>,
}

impl Oracle {
    /// An operation is about to be sent.
    pub fn asked(&mut self, op: OpId, at_ms: u128, ask: Ask) {
        self.lives.asked(op, at_ms, &ask);
        self.operations.insert(op, Operation { asked_ms: at_ms, ask, answered: None });
    }

    /// An operation has ended; one that never does stays of unknown outcome.
    pub fn answered(&mut self, op: OpId, at_ms: u128, answer: Answer) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        operation.answered = Some((at_ms, answer));
        let operation = operation.clone();
        self.lives.answered(op, &operation);
        let wrong = named("exactly_once", self.exactly_once.answered(op, &operation))
            .and_then(|()| named("acknowledged", self.acknowledged.answered(&operation)));
        self.remember(wrong);
    }

    /// A running node, after a step.
    pub fn looked(&mut self, look: &Look<'_>) -> Result<(), String> {
        if let Some(found) = &self.found {
            return Err(found.clone());
        }
        named("leadership", self.leadership.looked(look))?;
        named("served_index", self.served_index.looked(look))?;
        self.silence.led(look);
        let news = named("agreement", self.agreement.looked(look))?;
        if news {
            // A state that nobody has shown before.
            self.lives.looked(look);
            named("ownership", self.ownership.looked(look))?;
            named("exactly_once", self.exactly_once.looked(look))?;
            named("fencing", fencing::looked(look, &self.operations))?;
            named("expiry", self.expiry.looked(look, &self.lives))?;
        }
        // Each node by itself: one that comes late to a state must hold what was acknowledged, too.
        named("acknowledged", self.acknowledged.looked(look, &self.operations))?;
        named("silence", self.silence.looked(look, &self.lives))
    }

    /// After what this life of a node is to be asked what it tells watchers.
    pub fn told_upto(&self, node: &str, life: u32) -> Position {
        self.told.upto(node, life)
    }

    /// What it tells them.
    pub fn told(&mut self, node: &str, life: u32, told: Result<Since, Forgotten>) -> Result<(), String> {
        named("told", self.told.told(node, life, told))
    }

    /// A worker answered a routed request.
    pub fn worker_reached(&mut self, reached: &Reached) {
        let wrong = named("silence", self.silence.reached(reached, &self.lives));
        self.remember(wrong);
    }

    /// The run is over, the cluster has settled, and each of these members has been looked at since.
    pub fn finish(&mut self, members: &BTreeSet<String>) -> Result<(), String> {
        if let Some(found) = &self.found {
            return Err(found.clone());
        }
        named("acknowledged", self.acknowledged.finish(members))?;
        named("linearizable", linearizable::check(&self.operations))
    }

    fn remember(&mut self, wrong: Result<(), String>) {
        if let (Err(wrong), None) = (wrong, &self.found) {
            self.found = Some(wrong);
        }
    }
}

fn named<T>(invariant: &str, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|why| format!("{invariant}: {why}"))
}
