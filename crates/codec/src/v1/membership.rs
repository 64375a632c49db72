//! Joining, leaving, and who belongs to a cluster.

use super::{peer::Forwarded, raft::LogId};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Join {
    pub(crate) name: String,
    pub(crate) peer: String,
    pub(crate) if_index: Option<u64>,
    pub(crate) dry_run: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Leave {
    pub(crate) name: String,
    pub(crate) ids: Vec<u64>,
    pub(crate) if_index: Option<u64>,
    pub(crate) dry_run: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) index: u64,
    pub(crate) id: u64,
    pub(crate) voter: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Refused {
    NameTaken { name: String, id: u64, peer: String },
    NotReachable { peer: String, why: String },
    OtherName { peer: String, wanted: String, got: String },
    OtherCluster { name: String, theirs: u128 },
    OwnLog { name: String },
    NotWaiting { name: String },
    Unknown { name: String },
    PreconditionFailed { current: u64 },
    NoMajority { voters: u64, reachable: u64 },
    Full { max: u64 },
}

pub(crate) type Outcome = Forwarded<Result<Changed, Refused>>;

#[derive(Serialize, Deserialize)]
pub(crate) struct Members {
    pub(crate) leader: Option<u64>,
    pub(crate) changed: LogId,
    pub(crate) members: Vec<Member>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) peer: String,
    pub(crate) voter: bool,
}
