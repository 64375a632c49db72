//! Between openraft's types and the plain ones of `codec`. `x_of` makes ours, `x_from` makes openraft's.
//!
//! A term has one leader, so openraft knows a record by its term and index alone. The frozen formats have room for
//! that leader's id beside them: [`NO_LEADER`] is written there, and whatever is read there is ignored.

use crate::{
    snapshots::SnapshotData,
    types::{
        LeaderId, LogEntry, LogId, Member, RaftEntry, RaftMembership, Snapshot, SnapshotMeta,
        StoredMembership, Vote,
    },
};
use openraft::{EntryPayload, entry::RaftEntry as _, vote::RaftLeaderId as _};
use quorate_codec::{
    log::{self, LogRecord, MemberNode, Membership, Payload},
    snapshot::{self, ReadError},
};

/// What stands for the leader in a log id: 0 is nobody's node id.
pub const NO_LEADER: u64 = 0;

/// Our log id.
pub fn log_id_of(id: &LogId) -> log::LogId {
    log::LogId { term: id.leader_id.term, leader: NO_LEADER, index: id.index }
}

/// openraft's log id. Who led is ignored.
pub fn log_id_from(id: log::LogId) -> LogId {
    LogId::new(id.term.into(), id.index)
}

/// Our vote.
pub fn vote_of(vote: &Vote) -> log::Vote {
    log::Vote { term: vote.leader_id.term, node: vote.leader_id.voted_for, committed: vote.committed }
}

/// openraft's vote.
pub fn vote_from(vote: log::Vote) -> Vote {
    Vote { leader_id: LeaderId::new(vote.term, vote.node), committed: vote.committed }
}

/// Our record of an entry.
pub fn record_of(entry: RaftEntry) -> LogRecord {
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Blank,
        EntryPayload::Normal(LogEntry(entry)) => Payload::Normal(entry),
        EntryPayload::Membership(membership) => Payload::Membership(membership_of(&membership)),
    };
    let log::LogId { term, leader, index } = log_id_of(&entry.log_id);
    LogRecord { term, leader, index, payload }
}

/// openraft's entry of a record.
pub fn entry_of(record: LogRecord) -> RaftEntry {
    let payload = match record.payload {
        Payload::Blank => EntryPayload::Blank,
        Payload::Normal(entry) => EntryPayload::Normal(LogEntry(entry)),
        Payload::Membership(membership) => EntryPayload::Membership(membership_from(membership)),
    };
    let id = log::LogId { term: record.term, leader: record.leader, index: record.index };
    RaftEntry::new(log_id_from(id), payload)
}

/// Our membership.
pub fn membership_of(membership: &RaftMembership) -> Membership {
    let node = |m: &Member| MemberNode { name: m.name.clone(), peer: m.peer.clone() };
    Membership {
        configs: membership.get_joint_config().clone(),
        nodes: membership.nodes().map(|(id, m)| (*id, node(m))).collect(),
    }
}

/// openraft's membership. A voter that no node describes gets an empty description: nobody can dial it, and
/// that is all.
pub fn membership_from(membership: Membership) -> RaftMembership {
    let Membership { configs, nodes } = membership;
    let ids: Vec<u64> = nodes.keys().copied().collect();
    let nodes: std::collections::BTreeMap<_, _> =
        nodes.into_iter().map(|(id, n)| (id, Member { name: n.name, peer: n.peer })).collect();
    RaftMembership::new(configs.clone(), nodes)
        .unwrap_or_else(|_| RaftMembership::new_with_defaults(configs, ids))
}

pub(crate) fn meta_of(meta: &SnapshotMeta) -> snapshot::SnapshotMeta {
    snapshot::SnapshotMeta {
        last_log_id: meta.last_log_id.as_ref().map(log_id_of),
        membership: membership_of(meta.last_membership.membership()),
        membership_log_id: meta.last_membership.log_id().as_ref().map(log_id_of),
    }
}

pub(crate) fn meta_from(meta: snapshot::SnapshotMeta) -> SnapshotMeta {
    let membership = membership_from(meta.membership);
    SnapshotMeta {
        last_log_id: meta.last_log_id.map(log_id_from),
        last_membership: StoredMembership::new(meta.membership_log_id.map(log_id_from), membership),
    }
}

/// A snapshot that came from a peer: every checksum is verified, and what it says about itself is read. Blocks.
pub fn snapshot_of(snapshot: SnapshotData) -> Result<Snapshot, ReadError> {
    let meta = meta_from(snapshot::verify(snapshot.reader())?);
    Ok(Snapshot { meta, snapshot })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_in_a_log_id_is_neither_written_nor_read() {
        let on_disk = |leader| log::LogId { term: 5, leader, index: 41 };
        assert_eq!(log_id_from(on_disk(7)), log_id_from(on_disk(NO_LEADER)));
        assert_eq!(log_id_of(&log_id_from(on_disk(7))), on_disk(NO_LEADER));
        let record = |leader| LogRecord { term: 5, leader, index: 41, payload: Payload::Blank };
        assert_eq!(entry_of(record(7)).log_id, entry_of(record(NO_LEADER)).log_id);
        assert_eq!(record_of(entry_of(record(7))), record(NO_LEADER));
    }

    #[test]
    fn a_vote_of_a_term_is_not_moved_to_another_candidate() {
        let vote = |term, node, committed| vote_from(log::Vote { term, node, committed });
        for other in [3, 9] {
            // What openraft asks before it grants a vote.
            assert!(vote(5, other, false).partial_cmp(&vote(5, 7, false)).is_none(), "{other}");
            assert!(vote(5, other, true) > vote(5, 7, false), "a quorum has decided for {other}");
            assert!(vote(6, other, false) > vote(5, 7, true), "a later term");
        }
    }

    #[test]
    fn votes_keep_whom_they_are_for() {
        for committed in [false, true] {
            let vote = log::Vote { term: 5, node: 7, committed };
            assert_eq!(vote_of(&vote_from(vote)), vote);
        }
    }
}
