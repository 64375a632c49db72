//! Who are you; and what only the leader can do.

use crate::{
    error::DecodeError,
    v1::{self, VERSION, peer as frozen},
    wire,
};
use quorate_model::{
    BootId, ClusterId, FeatureLevel, Heartbeat, HeartbeatOutcome, Invalid, LeaseInfo, LogIndex, NodeId,
    NodeLevels, NodeName, Reply,
};

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its cluster, once it belongs to one.
    pub cluster: Option<ClusterId>,
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Its process.
    pub boot: BootId,
    /// Whether it has a log.
    pub initialized: bool,
    /// The initial members that it was started with.
    pub members: Vec<NodeName>,
    /// How far it has applied.
    pub applied: LogIndex,
}

/// The answer to something that only the leader can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarded<T> {
    /// Done.
    Done(T),
    /// Ask another node; nothing was done.
    NotLeader,
    /// Full; nothing was done.
    Busy,
    /// Perhaps done.
    Unsure,
    /// The leader's disk is nearly full; nothing was done.
    DiskFull,
}

impl<T> Forwarded<T> {
    pub(super) fn freeze<'a, U>(&'a self, f: impl FnOnce(&'a T) -> U) -> frozen::Forwarded<U> {
        match self {
            Self::Done(value) => frozen::Forwarded::Done(f(value)),
            Self::NotLeader => frozen::Forwarded::NotLeader,
            Self::Busy => frozen::Forwarded::Busy,
            Self::Unsure => frozen::Forwarded::Unsure,
            Self::DiskFull => frozen::Forwarded::DiskFull,
        }
    }

    pub(super) fn thaw<U, E>(
        frozen: frozen::Forwarded<U>,
        f: impl FnOnce(U) -> Result<T, E>,
    ) -> Result<Self, E> {
        Ok(match frozen {
            frozen::Forwarded::Done(value) => Self::Done(f(value)?),
            frozen::Forwarded::NotLeader => Self::NotLeader,
            frozen::Forwarded::Busy => Self::Busy,
            frozen::Forwarded::Unsure => Self::Unsure,
            frozen::Forwarded::DiskFull => Self::DiskFull,
        })
    }
}

fn invalid(what: &'static str) -> impl Fn(Invalid) -> DecodeError {
    DecodeError::invalid(what)
}

/// Bytes of a hello.
pub fn encode_hello(hello: &Hello) -> Vec<u8> {
    let Hello { cluster, id, name, boot, initialized, members, applied } = hello;
    wire::encode(
        VERSION,
        &frozen::Hello {
            cluster: cluster.map(|c| c.0),
            id: id.0,
            name: name.to_string(),
            boot: boot.0,
            initialized: *initialized,
            members: members.iter().map(ToString::to_string).collect(),
            applied: applied.0,
        },
    )
}

/// See [`encode_hello`].
pub fn decode_hello(bytes: &[u8]) -> Result<Hello, DecodeError> {
    let what = "a peer's hello";
    let hello: frozen::Hello = wire::decode(what, VERSION, bytes)?;
    let members: Result<_, _> = hello.members.iter().map(|name| NodeName::parse(name)).collect();
    Ok(Hello {
        cluster: hello.cluster.map(ClusterId),
        id: NodeId(hello.id),
        name: NodeName::parse(&hello.name).map_err(invalid(what))?,
        boot: BootId(hello.boot),
        initialized: hello.initialized,
        members: members.map_err(invalid(what))?,
        applied: LogIndex(hello.applied),
    })
}

/// Bytes of what a node says about levels.
pub fn encode_levels(levels: &NodeLevels) -> Vec<u8> {
    wire::encode(VERSION, &frozen::NodeLevels { max: levels.max.get(), cluster: levels.cluster.get() })
}

/// See [`encode_levels`].
pub fn decode_levels(bytes: &[u8]) -> Result<NodeLevels, DecodeError> {
    let what = "a peer's feature levels";
    let frozen::NodeLevels { max, cluster } = wire::decode(what, VERSION, bytes)?;
    let level = |level| FeatureLevel::new(level).map_err(invalid(what));
    Ok(NodeLevels { max: level(max)?, cluster: level(cluster)? })
}

/// Bytes of whether a node has room to lead.
pub fn encode_has_room(has_room: bool) -> Vec<u8> {
    wire::encode(VERSION, &has_room)
}

/// See [`encode_has_room`].
pub fn decode_has_room(bytes: &[u8]) -> Result<bool, DecodeError> {
    wire::decode("whether a node has room", VERSION, bytes)
}

/// Bytes of the answer to proposals: where they were applied, and a reply for each.
pub fn encode_proposed(answer: &Forwarded<(LogIndex, Vec<Reply>)>) -> Vec<u8> {
    wire::encode(
        VERSION,
        &answer.freeze(|(index, replies)| frozen::Proposed {
            index: index.0,
            replies: replies.iter().map(v1::Reply::from).collect(),
        }),
    )
}

/// See [`encode_proposed`].
pub fn decode_proposed(bytes: &[u8]) -> Result<Forwarded<(LogIndex, Vec<Reply>)>, DecodeError> {
    let what = "an answer to proposals";
    let answer: frozen::Forwarded<frozen::Proposed> = wire::decode(what, VERSION, bytes)?;
    Forwarded::thaw(answer, |p| Ok((LogIndex(p.index), v1::all(p.replies)?))).map_err(invalid(what))
}

/// Bytes of a log index, or of why there is none.
pub fn encode_index(answer: &Forwarded<LogIndex>) -> Vec<u8> {
    wire::encode(VERSION, &answer.freeze(|index| index.0))
}

/// See [`encode_index`].
pub fn decode_index(bytes: &[u8]) -> Result<Forwarded<LogIndex>, DecodeError> {
    let answer: frozen::Forwarded<u64> = wire::decode("an index", VERSION, bytes)?;
    Forwarded::thaw(answer, |index| Ok(LogIndex(index)))
}

/// Bytes of heartbeats.
pub fn encode_heartbeats(beats: &[Heartbeat]) -> Vec<u8> {
    let beats: frozen::Heartbeats = beats.iter().map(Into::into).collect();
    wire::encode(VERSION, &beats)
}

/// See [`encode_heartbeats`].
pub fn decode_heartbeats(bytes: &[u8]) -> Result<Vec<Heartbeat>, DecodeError> {
    let what = "a list of heartbeats";
    v1::all(wire::decode::<frozen::Heartbeats>(what, VERSION, bytes)?).map_err(invalid(what))
}

/// Bytes of what became of heartbeats.
pub fn encode_outcomes(answer: &Forwarded<Vec<HeartbeatOutcome>>) -> Vec<u8> {
    let frozen: frozen::Outcomes = answer.freeze(|outcomes| outcomes.iter().map(Into::into).collect());
    wire::encode(VERSION, &frozen)
}

/// See [`encode_outcomes`].
pub fn decode_outcomes(bytes: &[u8]) -> Result<Forwarded<Vec<HeartbeatOutcome>>, DecodeError> {
    let answer: frozen::Outcomes = wire::decode("outcomes of heartbeats", VERSION, bytes)?;
    Forwarded::thaw(answer, |outcomes| Ok(outcomes.into_iter().map(Into::into).collect()))
}

/// Bytes of leases.
pub fn encode_leases(answer: &Forwarded<Vec<LeaseInfo>>) -> Vec<u8> {
    let frozen: frozen::Leases = answer.freeze(|leases| leases.iter().map(Into::into).collect());
    wire::encode(VERSION, &frozen)
}

/// See [`encode_leases`].
pub fn decode_leases(bytes: &[u8]) -> Result<Forwarded<Vec<LeaseInfo>>, DecodeError> {
    let what = "a list of leases";
    let answer: frozen::Leases = wire::decode(what, VERSION, bytes)?;
    Forwarded::thaw(answer, v1::all).map_err(invalid(what))
}

/// Bytes of the node that is to lead; `None`: the leader chooses.
pub fn encode_hand_over(to: Option<NodeId>) -> Vec<u8> {
    wire::encode(VERSION, &to.map(|id| id.0))
}

/// See [`encode_hand_over`].
pub fn decode_hand_over(bytes: &[u8]) -> Result<Option<NodeId>, DecodeError> {
    Ok(wire::decode::<Option<u64>>("a hand-over", VERSION, bytes)?.map(NodeId))
}
