//! The cluster and its nodes.

use crate::{
    Wrong,
    answer::Validated,
    fields::{Fields, text},
};
use quorate_model::{NodeName, PeerAddress};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// `GET /v1/cluster`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClusterBody {
    /// 32 hexadecimal digits; null until the cluster is formed.
    #[schema(required)]
    pub cluster_id: Option<String>,
    /// The node that answers.
    pub node: String,
    /// The leader's name, as this node knows it.
    #[schema(required)]
    pub leader: Option<String>,
    /// Raft's term.
    pub term: u64,
    /// How far the answering node has applied the log.
    pub applied_index: u64,
    /// What all members can do; rises once the last one runs a version that can more, and never falls.
    pub feature_level: u16,
    /// The log index at which the membership last changed, for `If-Match`.
    pub changed_index: u64,
    /// How the answering node is, as `/readyz` says it: `ready`, `degraded`, `starting`, `draining` or `removed`.
    pub status: String,
    /// Why it is not simply ready.
    #[schema(required)]
    pub reason: Option<String>,
    /// Whether most of the voters answer the answering node.
    pub quorum: QuorumBody,
    /// Where clients connect to the answering node's WebSocket gateway, such as `ws://n1:8082/ws`; null: it has none.
    #[schema(required)]
    pub gateway: Option<String>,
    /// Its members, by name.
    pub nodes: Vec<NodeBody>,
}

/// Whether anything can be changed through a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QuorumBody {
    /// Whether most of the voters answer it. Never for one that is no member any more.
    pub held: bool,
    /// How many members have a vote.
    pub voters: u64,
    /// How many of them answered when asked last, the answering node included.
    pub reachable: u64,
}

/// A member of the cluster.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NodeBody {
    /// Stable.
    pub name: String,
    /// Made when its disk was empty. Text, since it is larger than what JavaScript can count.
    pub id: String,
    /// Its part in Raft.
    pub role: RoleBody,
    /// `host:port` of its peer listener.
    pub peer: String,
    /// `host:port` of its management listener.
    pub management: String,
    /// How far it has applied the log, if known here.
    #[schema(required)]
    pub applied_index: Option<u64>,
    /// Whether it answered the answering node when asked last.
    pub reachable: bool,
    /// The highest feature level that its version can; null: it has not told the answering node.
    #[schema(required)]
    pub feature_level_max: Option<u16>,
}

/// A node's part in Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleBody {
    /// Decides the log's order.
    Leader,
    /// Votes.
    Follower,
    /// Copies the log without a vote.
    Learner,
}

/// `PUT /v1/cluster/nodes/{name}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinBody {
    /// `host:port` of the node's peer listener, as all nodes dial it. A DNS name is resolved at each dial.
    #[schema(example = "10.0.0.4:7070")]
    pub peer: String,
}

/// Reads the body of a join.
pub fn join(body: Map<String, Value>) -> Result<PeerAddress, Wrong> {
    let mut fields = Fields::of_body(body);
    let peer = fields.required("peer", PeerAddress::ALLOWED, text(PeerAddress::ALLOWED, PeerAddress::parse));
    match (peer, fields.finish()) {
        (Some(peer), wrong) if wrong.is_empty() => Ok(peer),
        (_, wrong) => Err(wrong),
    }
}

/// A node that is a member.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Joined {
    /// The log index at which the membership last changed.
    pub index: u64,
    /// The node's name.
    pub name: String,
    /// The node's id.
    pub id: String,
    /// `learner` at first; `follower` for a node that has its vote already.
    pub role: RoleBody,
    /// `host:port` of its peer listener.
    pub peer: String,
}

/// What a join answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum JoinAnswer {
    /// It is a member.
    Joined(Joined),
    /// With `dry_run`.
    Validated(Validated),
}

/// `POST /v1/cluster/transfer-leader`; the body may be left out.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferBody {
    /// The node that is to lead; any other than the current leader if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub to: Option<String>,
}

/// Reads the body of a transfer.
pub fn transfer(body: Map<String, Value>) -> Result<Option<NodeName>, Wrong> {
    let mut fields = Fields::of_body(body);
    let to = fields.optional("to", text("a node's name", NodeName::parse));
    let wrong = fields.finish();
    if wrong.is_empty() { Ok(to) } else { Err(wrong) }
}

/// A transfer that has happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Transferred {
    /// The new leader's name.
    pub leader: String,
}

/// What a transfer answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum TransferAnswer {
    /// It has happened.
    Transferred(Transferred),
    /// With `dry_run`.
    Validated(Validated),
}
