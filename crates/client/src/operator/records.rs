//! What the native API tells, as far as operators are shown it. Unknown fields are passed over, missing ones are
//! empty: a tool must be able to read the answers of a router that is older or newer than itself.

use serde::Deserialize;

/// `GET /v1/cluster`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Cluster {
    /// Random id of the cluster; `None` before it is formed.
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// The node that answered.
    pub node: String,
    /// The leader's name, if the node knows one.
    #[serde(default)]
    pub leader: Option<String>,
    /// Raft's term.
    #[serde(default)]
    pub term: u64,
    /// What the answering node has applied.
    #[serde(default)]
    pub applied_index: u64,
    /// How the answering node is, as its `/readyz` says; `None` where it does not tell.
    #[serde(default)]
    pub status: Option<String>,
    /// Why it is not simply ready.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether most voters answer it; `None` where it does not tell.
    #[serde(default)]
    pub quorum: Option<Quorum>,
    /// Where clients connect to its WebSocket gateway; `None`: it has none, or does not tell.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Its members.
    #[serde(default)]
    pub nodes: Vec<Node>,
}

/// Whether anything can be changed through a node.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Quorum {
    /// Whether most of the voters answer it.
    pub held: bool,
    /// How many members have a vote.
    pub voters: u64,
    /// How many of them answer.
    pub reachable: u64,
}

/// A member of the cluster.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Node {
    /// Stable name.
    pub name: String,
    /// leader, follower or learner.
    #[serde(default)]
    pub role: String,
    /// `host:port` of its peer listener.
    #[serde(default)]
    pub peer: Option<String>,
    /// `host:port` of its management listener.
    #[serde(default)]
    pub management: Option<String>,
    /// What it has applied, as far as the answering node knows.
    #[serde(default)]
    pub applied_index: Option<u64>,
    /// Whether the answering node reaches it, as far as it knows.
    #[serde(default)]
    pub reachable: Option<bool>,
}

/// An item of `GET /v1/workers`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct WorkerRecord {
    /// Who.
    pub id: String,
    /// Where.
    #[serde(default)]
    pub address: String,
    /// live, suspect or expired.
    #[serde(default)]
    pub status: String,
    /// Its fencing token.
    #[serde(default)]
    pub epoch: u64,
    /// Whose partitions it serves.
    #[serde(default)]
    pub keyspace: Option<String>,
    /// Those it serves.
    #[serde(default)]
    pub partitions: Vec<i64>,
    /// `in_service`, `draining` or `offline`, as an operator decided; `None` where the node does not tell.
    #[serde(default)]
    pub duty: Option<String>,
    /// Its share of the traffic.
    #[serde(default)]
    pub weight: Option<u32>,
}

/// `GET /v1/keyspaces/{name}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Keyspace {
    /// Its name.
    pub name: String,
    /// How many partitions, if known.
    #[serde(default)]
    pub partitions: Option<u32>,
    /// static or kafka.
    #[serde(default)]
    pub source: String,
    /// How long requests wait for the next owner of a partition; `None`: they do not.
    #[serde(default)]
    pub hold: Option<String>,
    /// Most requests that wait on one node.
    #[serde(default)]
    pub hold_waiting_max: Option<u32>,
    /// The log index of its last change; `None` where the node does not tell.
    #[serde(default)]
    pub changed_index: Option<u64>,
}

/// An item of `GET /v1/keyspaces/{name}/partitions`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Partition {
    /// Which.
    pub partition: i64,
    /// The worker that owns it.
    #[serde(default)]
    pub owner: Option<String>,
    /// The owner's fencing token.
    #[serde(default)]
    pub epoch: Option<u64>,
    /// Of the owner.
    #[serde(default)]
    pub status: Option<String>,
}

/// An item of `GET /v1/leases`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The worker that holds it.
    pub holder: String,
    /// The fencing token.
    #[serde(default)]
    pub epoch: Option<u64>,
    /// How long it lasts after a heartbeat.
    #[serde(default)]
    pub ttl: String,
    /// live or suspect.
    #[serde(default)]
    pub status: String,
    /// Until it expires, as the leader sees it.
    #[serde(default)]
    pub remaining: String,
}
