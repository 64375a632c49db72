//! What Raft itself stores and sends: log ids, votes, memberships, log records.

use super::command::Entry;
use crate::raft;
use quorate_model::Invalid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Serialize, Deserialize)]
pub(crate) struct LogId {
    term: u64,
    leader: u64,
    index: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Vote {
    term: u64,
    node: u64,
    committed: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LogRecord {
    id: LogId,
    payload: Payload,
}

#[derive(Serialize, Deserialize)]
enum Payload {
    Blank,
    Normal(Entry),
    Membership(Membership),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Membership {
    configs: Vec<BTreeSet<u64>>,
    nodes: BTreeMap<u64, MemberNode>,
}

#[derive(Serialize, Deserialize)]
struct MemberNode {
    name: String,
    peer: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Watermark {
    log: Option<LogId>,
    vote: Option<Vote>,
}

impl From<&raft::LogId> for LogId {
    fn from(id: &raft::LogId) -> Self {
        let raft::LogId { term, leader, index } = *id;
        Self { term, leader, index }
    }
}

impl From<LogId> for raft::LogId {
    fn from(id: LogId) -> Self {
        Self { term: id.term, leader: id.leader, index: id.index }
    }
}

impl From<&raft::Vote> for Vote {
    fn from(vote: &raft::Vote) -> Self {
        let raft::Vote { term, node, committed } = *vote;
        Self { term, node, committed }
    }
}

impl From<Vote> for raft::Vote {
    fn from(vote: Vote) -> Self {
        Self { term: vote.term, node: vote.node, committed: vote.committed }
    }
}

impl From<&raft::LogRecord> for LogRecord {
    fn from(record: &raft::LogRecord) -> Self {
        let raft::LogRecord { term, leader, index, payload } = record;
        let payload = match payload {
            raft::Payload::Blank => Payload::Blank,
            raft::Payload::Normal(entry) => Payload::Normal(entry.into()),
            raft::Payload::Membership(membership) => Payload::Membership(membership.into()),
        };
        Self { id: LogId { term: *term, leader: *leader, index: *index }, payload }
    }
}

impl TryFrom<LogRecord> for raft::LogRecord {
    type Error = Invalid;

    fn try_from(record: LogRecord) -> Result<Self, Invalid> {
        let payload = match record.payload {
            Payload::Blank => raft::Payload::Blank,
            Payload::Normal(entry) => raft::Payload::Normal(entry.try_into()?),
            Payload::Membership(membership) => raft::Payload::Membership(membership.into()),
        };
        let LogId { term, leader, index } = record.id;
        Ok(Self { term, leader, index, payload })
    }
}

impl From<&raft::Membership> for Membership {
    fn from(membership: &raft::Membership) -> Self {
        let raft::Membership { configs, nodes } = membership;
        let node = |n: &raft::MemberNode| MemberNode { name: n.name.clone(), peer: n.peer.clone() };
        Self { configs: configs.clone(), nodes: nodes.iter().map(|(id, n)| (*id, node(n))).collect() }
    }
}

impl From<Membership> for raft::Membership {
    fn from(membership: Membership) -> Self {
        let node = |n: MemberNode| raft::MemberNode { name: n.name, peer: n.peer };
        let nodes = membership.nodes.into_iter().map(|(id, n)| (id, node(n))).collect();
        Self { configs: membership.configs, nodes }
    }
}

impl From<&raft::Watermark> for Watermark {
    fn from(mark: &raft::Watermark) -> Self {
        let raft::Watermark { log, vote } = mark;
        Self { log: log.as_ref().map(LogId::from), vote: vote.as_ref().map(Vote::from) }
    }
}

impl From<Watermark> for raft::Watermark {
    fn from(mark: Watermark) -> Self {
        Self { log: mark.log.map(raft::LogId::from), vote: mark.vote.map(raft::Vote::from) }
    }
}
