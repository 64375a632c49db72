//! Messages between nodes.

use super::{
    LogRecord, Reply, Vote,
    heartbeat::{Heartbeat, HeartbeatOutcome, LeaseInfo},
    load::LoadReport,
    opening::Opening,
    raft::LogId,
    ramp,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) cluster: Option<u128>,
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) boot: u64,
    pub(crate) initialized: bool,
    pub(crate) members: Vec<String>,
    pub(crate) applied: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct NodeLevels {
    pub(crate) max: u16,
    pub(crate) cluster: u16,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Forwarded<T> {
    Done(T),
    NotLeader,
    Busy,
    Unsure,
    DiskFull,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Proposed {
    pub(crate) index: u64,
    pub(crate) replies: Vec<Reply>,
}

pub(crate) type Heartbeats = Vec<Heartbeat>;
pub(crate) type Loads = Vec<LoadReport>;
pub(crate) type Ramps = Vec<ramp::Counted>;

#[derive(Serialize, Deserialize)]
pub(crate) struct OpeningsTold {
    pub(crate) asks: bool,
    pub(crate) openings: Vec<Opening>,
}

pub(crate) type Outcomes = Forwarded<Vec<HeartbeatOutcome>>;
pub(crate) type Leases = Forwarded<Vec<LeaseInfo>>;

#[derive(Serialize, Deserialize)]
pub(crate) struct Append {
    pub(crate) vote: Vote,
    pub(crate) previous: Option<LogId>,
    pub(crate) records: Vec<LogRecord>,
    pub(crate) committed: Option<LogId>,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Appended {
    Matched(Option<LogId>),
    Conflict(LogId),
    HigherVote(Vote),
    Failed(String),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct VoteAsked {
    pub(crate) vote: Vote,
    pub(crate) last: Option<LogId>,
    pub(crate) transfer: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct VoteGiven {
    pub(crate) vote: Vote,
    pub(crate) granted: bool,
    pub(crate) last: Option<LogId>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) from: Vote,
    pub(crate) to: u64,
    pub(crate) last: Option<LogId>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Introduction {
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
    pub(crate) cluster: Option<u128>,
    pub(crate) nonce: [u8; 32],
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) id: u64,
    pub(crate) cluster: Option<u128>,
    pub(crate) nonce: [u8; 32],
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Proof {
    pub(crate) mac: [u8; 32],
}

#[derive(Serialize, Deserialize)]
pub(crate) struct AppliedAsked {
    pub(crate) index: u64,
    pub(crate) within_ms: u64,
}
