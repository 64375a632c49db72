//! Node to node: HTTP/2 over our sockets, bodies by `codec`, a deadline on every call.
//!
//! Where the cluster has a secret, [`proof`] comes first on every connection, and [`gate`] hears nothing else before.
//!
//! Each request names the cluster, the sender and the node that it is meant for. A node answers only what is
//! meant for it: an address that now belongs to another node (or to another cluster) changes nothing there, not
//! even a term.

pub mod address_book;
pub mod client;
pub mod complaints;
pub mod directory;
pub mod gate;
pub mod proof;
pub mod raft_network;
pub mod server;
pub mod snapshots;
mod under_way;
pub mod wire;

/// Every path of the peer protocol, version 1.
pub mod path {
    /// Who are you? The only path that needs no recipient id.
    pub const HELLO: &str = "/peer/v1/hello";
    /// An introduction; the first of the two paths that need no proof, and no recipient.
    pub const CHALLENGE: &str = "/peer/v1/challenge";
    /// The proof itself.
    pub const PROOF: &str = "/peer/v1/proof";
    /// What can you, and where does the cluster stand? Needs no recipient id, but heeds one.
    pub const FEATURE_LEVEL: &str = "/peer/v1/feature-level";
    /// Append entries, a stream of frames both ways.
    pub const APPEND: &str = "/raft/v1/append";
    /// A vote.
    pub const VOTE: &str = "/raft/v1/vote";
    /// Would you vote for me?
    pub const PRE_VOTE: &str = "/raft/v1/pre-vote";
    /// Take over.
    pub const TRANSFER: &str = "/raft/v1/transfer";
    /// A whole snapshot.
    pub const SNAPSHOT: &str = "/raft/v1/snapshot";
    /// Commands for the leader.
    pub const PROPOSE: &str = "/peer/v1/propose";
    /// Up to where must a linearizable read wait?
    pub const READ_INDEX: &str = "/peer/v1/read-index";
    /// Heartbeats for the leader.
    pub const HEARTBEATS: &str = "/peer/v1/heartbeats";
    /// Start a transfer of leadership.
    pub const HAND_OVER: &str = "/peer/v1/hand-over";
    /// Has your disk room to lead?
    pub const ROOM: &str = "/peer/v1/room";
    /// A node shall join.
    pub const JOIN: &str = "/peer/v1/join";
    /// A node shall leave.
    pub const LEAVE: &str = "/peer/v1/leave";
    /// Who belongs to the cluster?
    pub const MEMBERS: &str = "/peer/v1/members";
    /// How far have you applied? Waits until it is far enough.
    pub const APPLIED: &str = "/peer/v1/applied";
    /// The leader's view of the leases.
    pub const LEASES: &str = "/peer/v1/leases";
    /// How much do you have under way at a worker?
    pub const IN_FLIGHT: &str = "/peer/v1/in-flight";
    /// What do you make of a service's workers?
    pub const OBSERVATION: &str = "/peer/v1/observation";
    /// Follow a routing key, and what have you seen of it?
    pub const KEY_TRACE: &str = "/peer/v1/key-trace";
    /// Do you get a connection to a worker?
    pub const LOOK: &str = "/peer/v1/look";
    /// A worker is down: for the leader.
    pub const DOWN: &str = "/peer/v1/down";
    /// Do you find an endpoint well?
    pub const PROBE: &str = "/peer/v1/probe";
    /// What workers said about their load.
    pub const LOADS: &str = "/peer/v1/loads";
    /// Which breakers opened.
    pub const OPENINGS: &str = "/peer/v1/openings";
    /// How the requests fare that ramps lead somewhere.
    pub const RAMPS: &str = "/peer/v1/ramps";
    /// Does a gateway run there?
    pub const GATEWAY: &str = "/peer/v1/gateway";
    /// Messages of users for that gateway, a stream of frames both ways.
    pub const DELIVERY: &str = "/peer/v1/gateway/delivery";
    /// A gateway's question to that one.
    pub const GATEWAY_ASK: &str = "/peer/v1/gateway/ask";
}

/// The headers that each request carries.
pub mod header {
    /// The sender's cluster id, once it has one.
    pub const CLUSTER: &str = "x-quorate-cluster";
    /// The sender's node id.
    pub const FROM: &str = "x-quorate-from";
    /// The recipient's node id.
    pub const TO: &str = "x-quorate-to";
    /// Of a `CONNECT`, which names a tunnel: the tunnel's epoch.
    pub const TUNNEL_EPOCH: &str = "x-quorate-tunnel-epoch";
}

/// Largest message other than a snapshot, in bytes; larger ones are refused unread.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Largest message of a proof, in bytes: what a stranger may make us read.
pub const PROOF_BYTES_MAX: usize = 1 << 10;
/// Largest snapshot, in bytes; a larger one is refused. A worker takes a few hundred bytes of it.
pub const SNAPSHOT_BYTES_MAX: u64 = 8 << 30;
