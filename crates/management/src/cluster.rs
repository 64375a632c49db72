//! What management needs of the cluster. The node implements it over consensus, the tests over a bare state.

use crate::tunnel::TunnelDoor;
use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use quorate_api::query::Mode;
use quorate_model::{
    ClusterId, Command, Epoch, ErrorsSeen, FeatureLevel, Heartbeat, HeartbeatOutcome, Join, Kind, LeaseInfo,
    Load, LogIndex, MemberChange, MemberRefusal, NodeId, NodeName, Observation, Position, RampSubject,
    Refusal, Reply, RoutingKey, ServiceName, WorkerId, key_trace::KeyTrace,
};
use quorate_state::{Forgotten, Loads, Since, View};
use std::{io, sync::Arc, time::Duration};

/// The cluster, as one node reaches it. Every future ends by itself within five seconds ([`Cluster::wait_for`]:
/// within its timeout; [`Cluster::restore`]: see there); management adds no deadlines of its own.
pub trait Cluster: Send + Sync + 'static {
    /// This node's own published state.
    fn view(&self) -> Arc<View>;
    /// Carries out a command; answers after it is applied on this node.
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Committed, Unavailable>>;
    /// Brings heartbeats to the leader; one outcome for each, in order.
    fn heartbeat(&self, beats: Vec<Heartbeat>) -> BoxFuture<'_, Result<Vec<HeartbeatOutcome>, Unavailable>>;
    /// Keeps what a worker said about its load, and tells the other nodes soon. Soft state: never in the log.
    fn hear_load(&self, id: &WorkerId, load: Load);
    /// What workers said about their load, as far as this node knows.
    fn loads(&self) -> Loads;
    /// What all nodes together have counted of the step of a ramp that stands, as far as this node was told. Soft state.
    fn ramp_seen(&self, subject: &RampSubject) -> Vec<ErrorsSeen>;
    /// The leases as the leader sees them.
    fn leases(&self) -> BoxFuture<'_, Result<Vec<LeaseInfo>, Unavailable>>;
    /// After this, [`Cluster::view`] is at least as new as any write that was acknowledged before the call.
    fn read_barrier(&self) -> BoxFuture<'_, Result<LogIndex, Unavailable>>;
    /// Waits until the View has reached `index`; false: not within `timeout`.
    fn wait_for(&self, index: LogIndex, timeout: Duration) -> BoxFuture<'_, bool>;
    /// What came after `position`, at most `max` changes of it, for somebody who wants to hear of these kinds only; `None`:
    /// of all. Others may be among them. Whoever waits for an index finds its changes here.
    fn changes_about(
        &self,
        kinds: Option<&[Kind]>,
        position: Position,
        max: usize,
    ) -> Result<Since, Forgotten>;
    /// The log index at which one of `kinds` changed last, or may have.
    fn changed(&self, kinds: &[Kind]) -> LogIndex;
    /// Of each member whether it has applied `index`, and why not, as far as it is known. Each has `within` to get
    /// there.
    fn applied_on(&self, index: LogIndex, within: Duration)
    -> BoxFuture<'_, Vec<(NodeName, Option<String>)>>;
    /// How much is under way at `worker` by way of each member, counted once the member has applied `index`.
    fn in_flight(&self, worker: WorkerId, index: LogIndex) -> BoxFuture<'_, Vec<InFlightAt>>;
    /// What each member makes of `workers` of a service, or why that is not known.
    fn observations(
        &self,
        service: ServiceName,
        workers: Vec<WorkerId>,
    ) -> BoxFuture<'_, Vec<(NodeName, Result<Observation, String>)>>;
    /// Has each member note requests with a routing key for so many milliseconds.
    fn follow_key(&self, key: RoutingKey, ms: u64) -> BoxFuture<'_, Vec<KeyTraceAt>>;
    /// What each member has seen of a routing key.
    fn key_traces(&self, key: RoutingKey) -> BoxFuture<'_, Vec<KeyTraceAt>>;
    /// Somebody says that `worker` is down in its life `epoch`. It is looked at from here and from a second node, and
    /// only if neither gets a connection its lease ends before its time.
    fn look_at(&self, worker: WorkerId, epoch: Epoch) -> BoxFuture<'_, Result<Look, Unavailable>>;
    /// Where this node stands.
    fn standing(&self) -> Standing;
    /// `view` as a backup, piece by piece.
    fn export(&self, view: Arc<View>) -> Pieces;
    /// Restores a backup. May take as long as its bytes take to arrive, and to be applied: there is a deadline for each
    /// piece and for each step.
    fn restore(&self, backup: Pieces) -> BoxFuture<'_, Result<Restored, RestoreError>>;
    /// Hands leadership to `to`, or to any other voter; answers with the new leader.
    fn transfer_leader(&self, to: Option<NodeName>) -> BoxFuture<'_, Result<NodeName, TransferError>>;
    /// Who takes tunnels; `None`: nobody.
    fn tunnels(&self) -> Option<Arc<dyn TunnelDoor>> {
        None
    }
    /// Lets a node join as a learner.
    fn join(&self, join: Join) -> BoxFuture<'_, Result<MemberChange, MemberError>>;
    /// Takes a node's membership away. `if_index`: only if the membership last changed there.
    fn leave(
        &self,
        name: NodeName,
        if_index: Option<LogIndex>,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MemberChange, MemberError>>;
}

/// What a member has seen of a routing key, or why that is not known.
pub type KeyTraceAt = (NodeName, Result<KeyTrace, String>);

/// The pieces of a backup.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// A backup that was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where in the log.
    pub index: LogIndex,
    /// Worker records.
    pub workers: u64,
    /// Keyspaces.
    pub keyspaces: u64,
}

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The bytes are no backup, or not a whole one. Nothing was changed.
    #[error("{problem}")]
    Unsound {
        /// What is wrong with them.
        problem: String,
    },
    /// They did not arrive, or this node could not keep them. Nothing was changed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The cluster refuses: it is not empty, or another restore took over.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The cluster can't be changed now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A command that was applied on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Where in the log.
    pub index: LogIndex,
    /// With what result.
    pub reply: Reply,
}

/// What is under way at a worker by way of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlightAt {
    /// Which member.
    pub node: NodeName,
    /// How far it had applied the log, if it answered.
    pub applied: Option<LogIndex>,
    /// How many requests and tunnels; or why that is not known.
    pub in_flight: Result<u64, String>,
}

/// What a look at a worker came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// In a word.
    pub verdict: Verdict,
    /// What each node found, this one first.
    pub probes: Vec<ProbedBy>,
}

/// Whether a worker is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is, as two nodes see it (or the only one): its lease ends.
    Down,
    /// A node gets a connection.
    Up,
    /// No second node could look.
    Unconfirmed,
    /// It was heard, or registered anew, meanwhile.
    Heard,
    /// It had expired before.
    Expired,
}

/// What one node found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedBy {
    /// Which node.
    pub node: NodeName,
    /// Whether it got a connection; `None`: it could not look.
    pub connected: Option<bool>,
    /// In words.
    pub detail: String,
}

/// Where the leader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderHint {
    /// Its node name.
    pub name: NodeName,
    /// `host:port` of its management listener, as others dial it.
    pub management: Box<str>,
}

/// Nothing can be said or changed now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// Why.
    pub reason: Reason,
    /// The leader, as this node knows it.
    pub leader: Option<LeaderHint>,
}

/// Why nothing can be said or changed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No leader with a quorum was found in time; nothing was done.
    #[error("no leader with a quorum was found in time")]
    NoQuorum,
    /// Too much waits already; nothing was done.
    #[error("too many commands are waiting")]
    Busy {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The worker is looked at already, or was a moment ago; nothing was done.
    #[error("the worker is being looked at already, or was a moment ago")]
    LookedAt {
        /// When to ask again.
        retry_after: Duration,
    },
    /// So many workers are looked at already; nothing was done.
    #[error("too many workers are being looked at")]
    TooManyLooks {
        /// When to ask again.
        retry_after: Duration,
    },
    /// Some member can't read such a command yet; nothing was done.
    #[error(
        "the change needs feature level {needs}, the cluster is at {stands}: some node runs an older version"
    )]
    FeatureLevel {
        /// The change's.
        needs: FeatureLevel,
        /// The cluster's.
        stands: FeatureLevel,
    },
    /// The change takes more than one log entry may have; nothing was done.
    #[error("the change takes {bytes} bytes of the log; at most {max} at once")]
    TooLarge {
        /// As the log has it.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The leader's disk is nearly full, and nobody else can lead; nothing was done.
    #[error("the leader's disk is nearly full, and no other node can lead")]
    DiskFull,
    /// This node is about to end; nothing was done.
    #[error("this node is shutting down")]
    ShuttingDown,
    /// A leader was asked and did not answer in time: it may or may not have been done.
    #[error("no answer came in time: it may or may not have been carried out")]
    OutcomeUnknown,
}

/// Why leadership was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// No member has this name.
    #[error("the cluster has no node {name}")]
    UnknownNode {
        /// The name.
        name: NodeName,
    },
    /// It can't lead.
    #[error("node {name} can't lead: {why}")]
    NotEligible {
        /// Which.
        name: NodeName,
        /// Such as "it is a learner".
        why: String,
    },
    /// Nobody could be asked, or nobody took over in time.
    #[error("{0}")]
    Unavailable(#[from] Unavailable),
}

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// The leader said no.
    #[error(transparent)]
    Refused(#[from] MemberRefusal),
    /// Nobody could be asked, or no answer came in time.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A node's part in Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Decides the log's order.
    Leader,
    /// Votes.
    Follower,
    /// Copies the log without a vote.
    Learner,
}

/// A member of the cluster, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Stable.
    pub name: NodeName,
    /// Made when its disk was empty.
    pub id: NodeId,
    /// Its part in Raft.
    pub role: Role,
    /// `host:port` of its peer listener.
    pub peer: Box<str>,
    /// `host:port` of its management listener; empty while it is not known.
    pub management: Box<str>,
    /// How far it has applied the log, if known here.
    pub applied_index: Option<LogIndex>,
    /// Whether it answered this node when asked last.
    pub reachable: bool,
    /// The highest feature level that it can, if it has said so.
    pub feature_level_max: Option<FeatureLevel>,
}

/// Whether this node may be sent requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet: its View may be older than what was acknowledged before it started.
    Starting {
        /// What it waits for.
        why: String,
    },
    /// It is.
    Ready,
    /// It routes by its last View, but nothing can be changed.
    Degraded {
        /// What is missing.
        why: String,
        /// Since it heard from a leader; `None`: never since its start.
        since_leader: Option<Duration>,
    },
    /// It is no member of the cluster any more. It routes by its last View, which only gets older.
    Removed,
    /// No longer.
    Draining,
}

impl Readiness {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::Ready => "ready",
            Self::Degraded { .. } => "degraded",
            Self::Removed => "removed",
            Self::Draining => "draining",
        }
    }

    /// Why it is not simply ready.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ready => None,
            Self::Starting { why } | Self::Degraded { why, .. } => Some(why),
            Self::Removed => Some(
                "removed: this node is no member of the cluster any more, it routes by what it knew last",
            ),
            Self::Draining => Some("the node is about to end"),
        }
    }
}

/// Where this node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub node: NodeName,
    /// Its id.
    pub node_id: NodeId,
    /// The cluster's id, once formed.
    pub cluster: Option<ClusterId>,
    /// The leader, as this node knows it.
    pub leader: Option<LeaderHint>,
    /// Raft's term.
    pub term: u64,
    /// How far this node has applied the log.
    pub applied_index: LogIndex,
    /// What all members can do.
    pub feature_level: FeatureLevel,
    /// The log index at which the membership last changed.
    pub changed_index: LogIndex,
    /// All members, this node included, by name.
    pub members: Vec<MemberInfo>,
    /// Whether it may be sent requests.
    pub readiness: Readiness,
    /// How long it has heard from no leader; `None` while it hears one.
    pub stale: Option<Duration>,
}
