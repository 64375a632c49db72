//! Raft's own nouns, as plain values without openraft: pure crates don't know it, and its `serde` feature is off
//! on purpose, so that an update of it can't change a byte of ours.

use quorate_model::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// The identity of a log record. It has no order here: Raft's is by term and index, whatever stands in `leader`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId {
    /// The leader's term.
    pub term: u64,
    /// Reserved: 0 is written, and what is read is ignored. The term alone says who led.
    pub leader: u64,
    /// Its place in the log.
    pub index: u64,
}

/// What a node promised to whom. It has no order here: Raft's is partial, and votes of one term for two candidates
/// are not comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// The term.
    pub term: u64,
    /// The node that was voted for.
    pub node: u64,
    /// Whether a quorum granted it, which makes that node the term's leader.
    pub committed: bool,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The term of the leader that made it.
    pub term: u64,
    /// Reserved, as in a [`LogId`].
    pub leader: u64,
    /// Its place in the log.
    pub index: u64,
    /// What it carries.
    pub payload: Payload,
}

/// What a log record carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a new leader's first record.
    Blank,
    /// Commands for the replicated state.
    Normal(Entry),
    /// A change of the cluster's members.
    Membership(Membership),
}

/// Who belongs to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The voters; two sets while a change is under way.
    pub configs: Vec<BTreeSet<u64>>,
    /// Voters and learners by node id.
    pub nodes: BTreeMap<u64, MemberNode>,
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberNode {
    /// Its stable name.
    pub name: String,
    /// `host:port` of its peer listener, as others dial it.
    pub peer: String,
}

/// What a node has certainly promised to others: a lower bound, kept beside the log so that a log that lost its
/// end is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// The last record that was acknowledged: with its term, since a log may also fall back to older records.
    pub log: Option<LogId>,
    /// The last vote that was given.
    pub vote: Option<Vote>,
}
