//! Joining, leaving, and who belongs to a cluster.

use super::Forwarded;
use crate::{
    error::DecodeError,
    raft::LogId,
    v1::{VERSION, membership as frozen},
    wire,
};
use quorate_model::{
    ClusterId, Invalid, Join, Leave, LogIndex, MemberChange, MemberRefusal, NodeId, NodeName, PeerAddress,
};

/// What became of a join or a leave.
pub type MemberOutcome = Result<MemberChange, MemberRefusal>;

/// Who belongs to the cluster, as one member has it committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The leader that this member hears, if it does.
    pub leader: Option<NodeId>,
    /// The record that made the membership what it is.
    pub changed: LogId,
    /// Voters and learners.
    pub members: Vec<MemberSeen>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSeen {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// `host:port` of its peer listener.
    pub peer: String,
    /// Whether it has a vote.
    pub voter: bool,
}

/// Bytes of a wish to join.
pub fn encode_join(join: &Join) -> Vec<u8> {
    let Join { name, peer, if_index, dry_run } = join;
    let (name, peer, if_index) = (name.to_string(), peer.to_string(), if_index.map(|i| i.0));
    wire::encode(VERSION, &frozen::Join { name, peer, if_index, dry_run: *dry_run })
}

/// See [`encode_join`].
pub fn decode_join(bytes: &[u8]) -> Result<Join, DecodeError> {
    let what = "a wish to join";
    let join: frozen::Join = wire::decode(what, VERSION, bytes)?;
    Ok(Join {
        name: NodeName::parse(&join.name).map_err(DecodeError::invalid(what))?,
        peer: PeerAddress::parse(&join.peer).map_err(DecodeError::invalid(what))?,
        if_index: join.if_index.map(LogIndex),
        dry_run: join.dry_run,
    })
}

/// Bytes of a wish to leave.
pub fn encode_leave(leave: &Leave) -> Vec<u8> {
    let Leave { name, ids, if_index, dry_run } = leave;
    let (name, if_index) = (name.to_string(), if_index.map(|i| i.0));
    let ids = ids.iter().map(|id| id.0).collect();
    wire::encode(VERSION, &frozen::Leave { name, ids, if_index, dry_run: *dry_run })
}

/// See [`encode_leave`].
pub fn decode_leave(bytes: &[u8]) -> Result<Leave, DecodeError> {
    let what = "a wish to leave";
    let leave: frozen::Leave = wire::decode(what, VERSION, bytes)?;
    Ok(Leave {
        name: NodeName::parse(&leave.name).map_err(DecodeError::invalid(what))?,
        ids: leave.ids.into_iter().map(NodeId).collect(),
        if_index: leave.if_index.map(LogIndex),
        dry_run: leave.dry_run,
    })
}

/// Bytes of what became of a join or a leave.
pub fn encode_member_outcome(answer: &Forwarded<MemberOutcome>) -> Vec<u8> {
    let frozen: frozen::Outcome = answer.freeze(|outcome| match outcome {
        Ok(MemberChange { index, id, voter }) => {
            Ok(frozen::Changed { index: index.0, id: id.0, voter: *voter })
        }
        Err(refusal) => Err(freeze(refusal)),
    });
    wire::encode(VERSION, &frozen)
}

/// See [`encode_member_outcome`].
pub fn decode_member_outcome(bytes: &[u8]) -> Result<Forwarded<MemberOutcome>, DecodeError> {
    let what = "an answer to a join or a leave";
    let answer: frozen::Outcome = wire::decode(what, VERSION, bytes)?;
    let thawed = Forwarded::thaw(answer, |outcome| match outcome {
        Ok(frozen::Changed { index, id, voter }) => {
            Ok(Ok(MemberChange { index: LogIndex(index), id: NodeId(id), voter }))
        }
        Err(refused) => thaw(refused).map(Err),
    });
    thawed.map_err(DecodeError::invalid(what))
}

fn freeze(refusal: &MemberRefusal) -> frozen::Refused {
    use frozen::Refused as Frozen;
    match refusal {
        MemberRefusal::NameTaken { name, id, peer } => {
            Frozen::NameTaken { name: name.to_string(), id: id.0, peer: peer.clone() }
        }
        MemberRefusal::NotReachable { peer, why } => {
            Frozen::NotReachable { peer: peer.to_string(), why: why.clone() }
        }
        MemberRefusal::OtherName { peer, wanted, got } => {
            Frozen::OtherName { peer: peer.to_string(), wanted: wanted.to_string(), got: got.to_string() }
        }
        MemberRefusal::OtherCluster { name, theirs } => {
            Frozen::OtherCluster { name: name.to_string(), theirs: theirs.0 }
        }
        MemberRefusal::OwnLog { name } => Frozen::OwnLog { name: name.to_string() },
        MemberRefusal::NotWaiting { name } => Frozen::NotWaiting { name: name.to_string() },
        MemberRefusal::Unknown { name } => Frozen::Unknown { name: name.to_string() },
        MemberRefusal::PreconditionFailed { current } => Frozen::PreconditionFailed { current: current.0 },
        MemberRefusal::NoMajority { voters, reachable } => {
            Frozen::NoMajority { voters: *voters, reachable: *reachable }
        }
        MemberRefusal::Full { max } => Frozen::Full { max: *max },
    }
}

fn thaw(refused: frozen::Refused) -> Result<MemberRefusal, Invalid> {
    use frozen::Refused as Frozen;
    let name = |name: String| NodeName::parse(&name);
    let address = |peer: String| PeerAddress::parse(&peer);
    Ok(match refused {
        Frozen::NameTaken { name: taken, id, peer } => {
            MemberRefusal::NameTaken { name: name(taken)?, id: NodeId(id), peer }
        }
        Frozen::NotReachable { peer, why } => MemberRefusal::NotReachable { peer: address(peer)?, why },
        Frozen::OtherName { peer, wanted, got } => {
            MemberRefusal::OtherName { peer: address(peer)?, wanted: name(wanted)?, got: name(got)? }
        }
        Frozen::OtherCluster { name: of, theirs } => {
            MemberRefusal::OtherCluster { name: name(of)?, theirs: ClusterId(theirs) }
        }
        Frozen::OwnLog { name: of } => MemberRefusal::OwnLog { name: name(of)? },
        Frozen::NotWaiting { name: of } => MemberRefusal::NotWaiting { name: name(of)? },
        Frozen::Unknown { name: of } => MemberRefusal::Unknown { name: name(of)? },
        Frozen::PreconditionFailed { current } => {
            MemberRefusal::PreconditionFailed { current: LogIndex(current) }
        }
        Frozen::NoMajority { voters, reachable } => MemberRefusal::NoMajority { voters, reachable },
        Frozen::Full { max } => MemberRefusal::Full { max },
    })
}

/// Bytes of who belongs to the cluster; `None`: a change of that is under way, or the node does not know.
pub fn encode_members(members: Option<&Members>) -> Vec<u8> {
    let frozen = members.map(|Members { leader, changed, members }| frozen::Members {
        leader: leader.map(|id| id.0),
        changed: changed.into(),
        members: members
            .iter()
            .map(|MemberSeen { id, name, peer, voter }| frozen::Member {
                id: id.0,
                name: name.to_string(),
                peer: peer.clone(),
                voter: *voter,
            })
            .collect(),
    });
    wire::encode(VERSION, &frozen)
}

/// See [`encode_members`].
pub fn decode_members(bytes: &[u8]) -> Result<Option<Members>, DecodeError> {
    let what = "a list of members";
    let Some(members) = wire::decode::<Option<frozen::Members>>(what, VERSION, bytes)? else {
        return Ok(None);
    };
    let seen = |member: frozen::Member| {
        let name = NodeName::parse(&member.name)?;
        Ok(MemberSeen { id: NodeId(member.id), name, peer: member.peer, voter: member.voter })
    };
    let list: Result<_, Invalid> = members.members.into_iter().map(seen).collect();
    Ok(Some(Members {
        leader: members.leader.map(NodeId),
        changed: members.changed.into(),
        members: list.map_err(DecodeError::invalid(what))?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn name(text: &str) -> NodeName {
        NodeName::parse(text).expect("valid")
    }

    fn peer() -> PeerAddress {
        PeerAddress::parse("router-4.routers:7070").expect("valid")
    }

    fn join() -> Join {
        Join { name: name("n4"), peer: peer(), if_index: Some(LogIndex(57)), dry_run: false }
    }

    fn leave() -> Leave {
        Leave { name: name("n4"), ids: vec![NodeId(7), NodeId(8)], if_index: None, dry_run: true }
    }

    fn refusals() -> Vec<(&'static str, MemberRefusal)> {
        let (wanted, got) = (name("n4"), name("n5"));
        vec![
            ("name-taken", MemberRefusal::NameTaken { name: name("n4"), id: NodeId(7), peer: "a:1".into() }),
            ("not-reachable", MemberRefusal::NotReachable { peer: peer(), why: "refused".into() }),
            ("other-name", MemberRefusal::OtherName { peer: peer(), wanted, got }),
            ("other-cluster", MemberRefusal::OtherCluster { name: name("n4"), theirs: ClusterId(0xfeed) }),
            ("own-log", MemberRefusal::OwnLog { name: name("n4") }),
            ("not-waiting", MemberRefusal::NotWaiting { name: name("n4") }),
            ("unknown", MemberRefusal::Unknown { name: name("n4") }),
            ("precondition-failed", MemberRefusal::PreconditionFailed { current: LogIndex(57) }),
            ("no-majority", MemberRefusal::NoMajority { voters: 2, reachable: 1 }),
            ("full", MemberRefusal::Full { max: 15 }),
        ]
    }

    fn members() -> Members {
        let member = MemberSeen { id: NodeId(7), name: name("n4"), peer: "a:1".into(), voter: true };
        let changed = LogId { term: 2, leader: 7, index: 41 };
        Members { leader: Some(NodeId(7)), changed, members: vec![member] }
    }

    fn outcome(outcome: MemberOutcome) -> Forwarded<MemberOutcome> {
        Forwarded::Done(outcome)
    }

    const CHANGED: MemberChange = MemberChange { index: LogIndex(57), id: NodeId(7), voter: false };

    fn samples() -> Vec<(String, Vec<u8>)> {
        let mut samples = vec![
            ("join".into(), encode_join(&join())),
            ("leave".into(), encode_leave(&leave())),
            ("changed".into(), encode_member_outcome(&outcome(Ok(CHANGED)))),
            ("members".into(), encode_members(Some(&members()))),
        ];
        for (name, refusal) in refusals() {
            samples.push((format!("refused-{name}"), encode_member_outcome(&outcome(Err(refusal)))));
        }
        samples
    }

    #[test]
    fn the_bytes_of_version_1_are_frozen() {
        let mut text = String::new();
        for (name, bytes) in samples() {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(text, "{name} {hex}").expect("a string takes everything");
        }
        assert_eq!(text, include_str!("../../golden/v1/peer-membership.txt"));
    }

    #[test]
    fn every_message_reads_back() {
        assert_eq!(decode_join(&encode_join(&join())), Ok(join()));
        assert_eq!(decode_leave(&encode_leave(&leave())), Ok(leave()));
        assert_eq!(decode_members(&encode_members(Some(&members()))), Ok(Some(members())));
        assert_eq!(decode_members(&encode_members(None)), Ok(None));
        for said in refusals().into_iter().map(|(_, refusal)| outcome(Err(refusal))).chain([
            outcome(Ok(CHANGED)),
            Forwarded::NotLeader,
            Forwarded::Busy,
            Forwarded::Unsure,
        ]) {
            assert_eq!(decode_member_outcome(&encode_member_outcome(&said)), Ok(said));
        }
    }

    #[test]
    fn what_is_cut_short_or_holds_bad_values_is_refused() {
        for (name, bytes) in samples() {
            let cut = &bytes[..bytes.len() - 1];
            let refused = decode_join(cut).is_err()
                && decode_leave(cut).is_err()
                && decode_member_outcome(cut).is_err()
                && decode_members(cut).is_err();
            assert!(refused, "{name}");
        }
        let frozen =
            frozen::Join { name: "n4".into(), peer: "nowhere".into(), if_index: None, dry_run: false };
        assert!(decode_join(&wire::encode(VERSION, &frozen)).is_err(), "an address without a port");
    }
}
