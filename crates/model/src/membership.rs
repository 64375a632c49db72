//! Joining and leaving the cluster: what is asked, what became of it, and why it was refused.
//!
//! The membership belongs to Raft and not to the replicated state, so these are no commands. Both are safe to
//! repeat: a node that is a member at that address already has joined, one that is no member has left.

use crate::{
    name::NodeName,
    number::{ClusterId, LogIndex, NodeId},
    peer_address::PeerAddress,
};

/// A node shall become a member: first a learner, a voter once it has caught up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The name that it must answer under.
    pub name: NodeName,
    /// Where it must answer.
    pub peer: PeerAddress,
    /// `If-Match`: only if the membership last changed at this index (0: if there is no node of this name).
    pub if_index: Option<LogIndex>,
    /// Check only, change nothing.
    pub dry_run: bool,
}

/// A node shall be a member no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Its name.
    pub name: NodeName,
    /// The ids that the name stood for when this was asked: a repeat that comes late must not remove a node that
    /// has joined under the name since.
    pub ids: Vec<NodeId>,
    /// `If-Match`: only if the membership last changed at this index.
    pub if_index: Option<LogIndex>,
    /// Check only, change nothing.
    pub dry_run: bool,
}

/// A change of the membership that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// The log index at which the membership last changed.
    pub index: LogIndex,
    /// The node that it is about.
    pub id: NodeId,
    /// Whether the node has a vote now.
    pub voter: bool,
}

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberRefusal {
    /// Another node is a member under this name.
    #[error(
        "{name} is the name of another node, {id} at {peer}; remove that one first, or start the new one under another name"
    )]
    NameTaken {
        /// The name.
        name: NodeName,
        /// The member's id.
        id: NodeId,
        /// Its address.
        peer: String,
    },
    /// Nobody answers at the address, or nobody who has our secret.
    #[error("no node that belongs to us answers at {peer}: {why}")]
    NotReachable {
        /// The address.
        peer: PeerAddress,
        /// In words.
        why: String,
    },
    /// Another node answers at the address.
    #[error("the node at {peer} is {got}, not {wanted}")]
    OtherName {
        /// The address.
        peer: PeerAddress,
        /// The name that was asked for.
        wanted: NodeName,
        /// The name that it gave.
        got: NodeName,
    },
    /// The node holds data of another cluster.
    #[error(
        "the data folder of {name} belongs to cluster {theirs}; start it with an empty one, and name a member in --peers"
    )]
    OtherCluster {
        /// Which node.
        name: NodeName,
        /// Its cluster.
        theirs: ClusterId,
    },
    /// The node holds a log of its own.
    #[error("{name} has a log of its own; start it with an empty data folder, and name a member in --peers")]
    OwnLog {
        /// Which node.
        name: NodeName,
    },
    /// The node does not wait for us: it could form a cluster of its own at any moment.
    #[error(
        "{name} was started without a member of this cluster in its --peers; start it with itself and the members"
    )]
    NotWaiting {
        /// Which node.
        name: NodeName,
    },
    /// No member has this name.
    #[error("the cluster has no node {name}")]
    Unknown {
        /// The name.
        name: NodeName,
    },
    /// The membership has changed since.
    #[error("the membership last changed at index {current}, not at the one that If-Match names")]
    PreconditionFailed {
        /// When it last changed.
        current: LogIndex,
    },
    /// Of the voters that would be left, not even a majority can be reached.
    #[error(
        "of the {voters} voters that would be left, {reachable} can be reached: nothing could be changed any more"
    )]
    NoMajority {
        /// How many voters would be left.
        voters: u64,
        /// How many of them answer.
        reachable: u64,
    },
    /// There are as many nodes as there can be.
    #[error("the cluster has {max} nodes, and can't have more")]
    Full {
        /// The bound.
        max: u64,
    },
}
