//! openraft's configuration for us. Its `serde` feature is off on purpose: every byte goes through `codec`.

use crate::snapshots::SnapshotData;
use openraft::alias;
use quorate_model::{Entry, LogIndex, Reply};
use std::fmt;

openraft::declare_raft_types!(
    /// Which types our Raft is made of.
    pub TypeConfig:
        D = LogEntry,
        R = RaftReply,
        NodeId = u64,
        Node = Member,
        // One vote a term, as Raft is written down: whoever leads a term is its only leader. openraft's own default
        // lets a greater node id take a vote of the same term, so that a term may have several.
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = quorate_rt::RaftRuntime,
);

/// What one log record carries for the replicated state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEntry(pub Entry);

impl fmt::Display for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} proposals at {}", self.0.proposals.len(), self.0.at)
    }
}

/// What became of a log record: one reply for each of its proposals, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftReply {
    /// Where it was applied.
    pub index: LogIndex,
    /// Empty for records that carry no proposals.
    pub replies: Vec<Reply>,
}

impl fmt::Display for RaftReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} replies at {}", self.replies.len(), self.index)
    }
}

/// A member of the cluster, as the membership knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its stable name.
    pub name: String,
    /// `host:port` of its peer listener, as others dial it; a DNS name rather than an address.
    pub peer: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.peer)
    }
}

pub(crate) type RaftEntry = alias::EntryOf<TypeConfig>;
pub(crate) type LeaderId = alias::LeaderIdOf<TypeConfig>;
pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
pub(crate) type Snapshot = alias::SnapshotOf<TypeConfig, SnapshotData>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type RaftMembership = openraft::Membership<u64, Member>;
