//! What clients and workers asked, and what they were answered.

/// Which operation; each try is one of its own.
pub type OpId = u64;

/// What was asked of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A worker registers with these partitions of the default keyspace. `nonce` is a label of its own: a record
    /// that shows it came from this try.
    Register {
        /// Who.
        worker: String,
        /// Label `nonce`.
        nonce: String,
        /// In order.
        partitions: Vec<i32>,
        /// In milliseconds.
        ttl_ms: u64,
    },
    /// A worker leaves; with `lease`: only if it still holds that one.
    Unregister {
        /// Who.
        worker: String,
        /// The epoch of the registration that is given back.
        lease: Option<u64>,
    },
    /// A sign of life.
    Heartbeat {
        /// Who.
        worker: String,
        /// The epoch of the registration that it believes to hold.
        lease: u64,
        /// Its counter.
        sequence: u64,
    },
    /// A keyspace's partition count; each value is written by one operation only.
    PutKeyspace {
        /// Which.
        keyspace: String,
        /// The value.
        partitions: u64,
    },
    /// Reads a worker's record.
    ReadWorker {
        /// Who.
        worker: String,
        /// Linearizable or local.
        consistent: bool,
    },
    /// Reads a keyspace.
    ReadKeyspace {
        /// Which.
        keyspace: String,
        /// Linearizable or local.
        consistent: bool,
    },
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The registration stands, at this epoch.
    Registered {
        /// Its fencing token.
        epoch: u64,
        /// The log index.
        index: u64,
    },
    /// The change was carried out (or it was so before).
    Done {
        /// The log index.
        index: u64,
    },
    /// The heartbeat was accepted.
    Heard {
        /// The fencing token that stands.
        epoch: u64,
    },
    /// The record of a worker.
    Worker {
        /// `None`: there is none.
        seen: Option<WorkerSeen>,
        /// The View that was read.
        index: u64,
    },
    /// A keyspace.
    Keyspace {
        /// Its count; `None`: there is no such keyspace.
        partitions: Option<u64>,
        /// The View that was read.
        index: u64,
    },
    /// Nothing was done, and nothing will be: the node said so.
    Refused {
        /// HTTP status.
        status: u16,
        /// The problem's code.
        code: String,
    },
    /// It may or may not have been done, or may still be.
    Unknown,
}

/// A worker's record as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Its fencing token: of its registration, or of its last revival.
    pub epoch: u64,
    /// The epoch of its registration.
    pub lease: u64,
    /// Label `nonce` of the registration.
    pub nonce: String,
    /// `live`, `suspect`, `expired`.
    pub status: String,
    /// In order.
    pub partitions: Vec<i32>,
}
