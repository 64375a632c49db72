//! The fake's membership: what joining, leaving and handing over come to.

use quorate_management::{LeaderHint, MemberError, Mode, TransferError};
use quorate_model::{Join, LogIndex, MemberChange, MemberRefusal, NodeId, NodeName};

/// When the fake's membership last changed.
pub const MEMBERS_CHANGED: LogIndex = LogIndex(7);

pub(super) fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("a name")
}

pub(super) fn hint() -> LeaderHint {
    LeaderHint { name: node("n2"), management: "10.0.0.2:9090".into() }
}

/// Knows n4, which waits at n4:7070, and n2, which can't be spared.
pub(super) fn join(join: &Join) -> Result<MemberChange, MemberError> {
    let (name, peer) = (join.name.clone(), join.peer.clone());
    match (join.name.as_str(), join.peer.as_str()) {
        _ if join.if_index.is_some_and(|index| index != MEMBERS_CHANGED) => {
            Err(MemberRefusal::PreconditionFailed { current: MEMBERS_CHANGED }.into())
        }
        ("n4", "n4:7070") if join.dry_run => {
            Ok(MemberChange { index: MEMBERS_CHANGED, id: NodeId(4), voter: false })
        }
        ("n4", "n4:7070") => Ok(MemberChange { index: LogIndex(21), id: NodeId(4), voter: false }),
        ("n2", "n2:7070") => Ok(MemberChange { index: MEMBERS_CHANGED, id: NodeId(2), voter: true }),
        (_, "n4:7070") => Err(MemberRefusal::OtherName { peer, wanted: name, got: node("n4") }.into()),
        ("n2", _) => Err(MemberRefusal::NameTaken { name, id: NodeId(2), peer: "n2:7070".into() }.into()),
        _ => Err(MemberRefusal::NotReachable { peer, why: "refused".into() }.into()),
    }
}

/// The same membership, when somebody is to leave it.
pub(super) fn leave(
    name: NodeName,
    if_index: Option<LogIndex>,
    mode: Mode,
) -> Result<MemberChange, MemberError> {
    match name.as_str() {
        "n1" | "n2" | "n3" if if_index.is_some_and(|index| index != MEMBERS_CHANGED) => {
            Err(MemberRefusal::PreconditionFailed { current: MEMBERS_CHANGED }.into())
        }
        "n2" => Err(MemberRefusal::NoMajority { voters: 1, reachable: 0 }.into()),
        "n1" | "n3" => {
            let index = if mode == Mode::Validate { MEMBERS_CHANGED } else { LogIndex(22) };
            Ok(MemberChange { index, id: NodeId(3), voter: false })
        }
        _ => Err(MemberRefusal::Unknown { name }.into()),
    }
}

/// n3 is a learner.
pub(super) fn transfer(to: Option<NodeName>) -> Result<NodeName, TransferError> {
    match to {
        None => Ok(node("n1")),
        Some(name) if name.as_str() == "n3" => {
            Err(TransferError::NotEligible { name, why: "it is a learner".into() })
        }
        Some(name) if ["n1", "n2"].contains(&name.as_str()) => Ok(name),
        Some(name) => Err(TransferError::UnknownNode { name }),
    }
}
