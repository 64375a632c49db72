//! What the membership needs without anybody saying so, and what a node that is out of it does.
//!
//! All of it is derived from what is there (the membership, the replicated descriptions of the nodes, who answers),
//! never remembered, so any leader goes on where another one stopped:
//!
//! - a learner that has caught up gets its vote;
//! - a member that describes itself with another peer address is moved there.
//!
//! A node that leaves is not told: Raft stops talking to it the moment that the change is written. Without this it
//! would ask for votes for ever (which changes nothing: pre-votes are refused while a leader is heard) and serve a
//! picture that gets old. So a node that hears no leader asks the members who belongs to the cluster, and learns
//! that it was removed, or, where it only moved, tells the leader its new address.

use crate::{
    consensus::{Consensus, Shared},
    forming,
    forward::Tried,
    joining::change_membership,
    peer::{
        path,
        wire::{self, MemberSeen, Members},
    },
    types::LogId,
};
use futures_util::future::join_all;
use openraft::{ChangeMembers, async_runtime::WatchReceiver};
use quorate_model::{Join, LogIndex, NodeId, NodeName, PeerAddress};
use quorate_storage::{
    Member,
    convert::{log_id_from, log_id_of},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Log entries that a learner may be behind when it gets its vote: less than a second of a busy cluster.
const CAUGHT_UP: u64 = 500;
/// The membership change itself.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);
/// A member that has acknowledged nothing for this long, and for four election timeouts, can't be counted on.
const HEARD_LATELY: Duration = Duration::from_secs(2);
/// One question to a peer.
const ASK_WITHIN: Duration = Duration::from_millis(500);
/// Without a leader for this long a node asks whether it still belongs here. Elections are shorter.
const SILENT_AFTER: Duration = Duration::from_secs(2);

/// The membership as this node's Raft has it, perhaps not committed yet.
pub(crate) struct Picture {
    pub voters: BTreeSet<u64>,
    pub members: BTreeMap<u64, Member>,
    /// The record that made it so.
    pub changed: Option<LogId>,
    /// Whether it is committed and no change is under way.
    pub settled: bool,
    /// Of a leader: itself, and who has acknowledged something to it lately.
    pub answering: BTreeSet<u64>,
}

impl Picture {
    pub(crate) fn of(shared: &Shared) -> Self {
        let metrics = shared.raft.metrics();
        let metrics = metrics.borrow_watched();
        let lately = HEARD_LATELY.max(shared.options.election * 4);
        let acked = metrics.heartbeat.iter().flatten();
        let answering = acked
            .filter(|(_, at)| at.as_ref().is_some_and(|at| openraft::Instant::elapsed(&**at) < lately))
            .map(|(id, _)| *id)
            .chain([shared.me.id.0])
            .collect();
        let (changed, membership) =
            (*metrics.membership_config.log_id(), metrics.membership_config.membership());
        Self {
            voters: membership.voter_ids().collect(),
            members: membership.nodes().map(|(id, member)| (*id, member.clone())).collect(),
            changed,
            answering,
            settled: membership.get_joint_config().len() == 1 && changed <= metrics.last_applied,
        }
    }

    /// When it last changed.
    pub(crate) fn index(&self) -> LogIndex {
        LogIndex(self.changed.map_or(0, |id| id.index))
    }

    /// The members of this name, voters first: two while one takes the place of the other.
    pub(crate) fn ids(&self, name: &str) -> Vec<NodeId> {
        let named = self.members.iter().filter(|(_, member)| member.name == name).map(|(id, _)| *id);
        let (voters, learners): (Vec<_>, Vec<_>) = named.partition(|id| self.voters.contains(id));
        voters.into_iter().chain(learners).map(NodeId).collect()
    }
}

/// Whether a node is a voter, as this node knows the membership.
pub(crate) fn may_lead(shared: &Shared, id: u64) -> bool {
    shared.raft.metrics().borrow_watched().membership_config.voter_ids().any(|voter| voter == id)
}

/// One round of the leader: at most one change.
pub(crate) async fn tend(consensus: &Consensus) {
    if !consensus.speaks_for_quorum() {
        return;
    }
    let shared = consensus.shared();
    let picture = Picture::of(shared);
    if !picture.settled {
        return;
    }
    let (change, why) = if let Some(id) = caught_up(shared, &picture) {
        (ChangeMembers::AddVoterIds(BTreeSet::from([id])), "a learner has caught up and gets its vote")
    } else if let Some((id, member)) = moved(consensus, &picture) {
        // What a node says of its own address may be wrong. It is not believed before the node answers there.
        let there = forming::hello(&shared.forwarder.links.anonymous(), &member.peer).await;
        if !there.is_ok_and(|hello| hello.id.0 == id) {
            return;
        }
        (ChangeMembers::SetNodes(BTreeMap::from([(id, member)])), "a node has another address")
    } else {
        return;
    };
    tracing::info!(?change, why, "the membership is changed");
    // Not done: the next round, or the next leader, sees the same.
    if let Tried::Unsure = change_membership(&shared.raft, change, picture.changed, CHANGE_WITHIN).await {
        tracing::warn!(why, "it is not known whether the membership was changed");
    }
}

/// A learner that may vote: it answers, and has nearly everything. Not one under a voter's name: that one takes the
/// voter's place, which is another change (see `replacing`).
fn caught_up(shared: &Shared, picture: &Picture) -> Option<u64> {
    let metrics = shared.raft.metrics();
    let metrics = metrics.borrow_watched();
    let (last, matched) = (metrics.last_log_index?, metrics.replication.as_ref()?);
    let near = |id: &u64| {
        let at = matched.get(id).and_then(|at| at.as_ref().map(|at| at.index));
        at.is_some_and(|at| at + CAUGHT_UP >= last)
    };
    let names: BTreeSet<&str> =
        picture.voters.iter().filter_map(|id| picture.members.get(id)).map(|m| m.name.as_str()).collect();
    let mut learners = picture.members.iter().filter(|(id, _)| !picture.voters.contains(id));
    let ready = learners.find(|(id, member)| {
        !names.contains(member.name.as_str()) && near(id) && picture.answering.contains(id)
    });
    ready.map(|(id, _)| *id)
}

/// A member that describes itself with another address than the membership has.
fn moved(consensus: &Consensus, picture: &Picture) -> Option<(u64, Member)> {
    let view = consensus.view().get();
    view.nodes().find_map(|node| {
        let member = picture.members.get(&node.id.0)?;
        let elsewhere = member.name == node.name.as_str() && *member.peer != *node.peer;
        elsewhere.then(|| (node.id.0, Member { name: member.name.clone(), peer: node.peer.to_string() }))
    })
}

/// What this node tells a peer about the membership: only what is committed, and only a leader that it hears.
pub(crate) fn members_here(shared: &Shared) -> Option<Members> {
    let picture = Picture::of(shared);
    let changed = log_id_of(&picture.changed.filter(|_| picture.settled)?);
    let leader = shared.raft.metrics().borrow_watched().current_leader.map(NodeId);
    let leader = leader.filter(|id| *id == shared.me.id || !shared.silent_for(SILENT_AFTER));
    let seen = |(id, member): (&u64, &Member)| {
        let name = NodeName::parse(&member.name).ok()?;
        Some(MemberSeen {
            id: NodeId(*id),
            name,
            peer: member.peer.clone(),
            voter: picture.voters.contains(id),
        })
    };
    let members: Option<Vec<_>> = picture.members.iter().map(seen).collect();
    Some(Members { leader, changed, members: members? })
}

/// One round of a node that may be out of it.
pub(crate) async fn look_for_ourselves(consensus: &Consensus) {
    let shared = consensus.shared();
    let picture = Picture::of(shared);
    if !consensus.is_silent(SILENT_AFTER) || picture.changed.is_none() {
        shared.set_removed(false);
        return;
    }
    let others = picture.members.iter().filter(|(id, _)| **id != shared.me.id.0);
    let answers = join_all(others.map(|(id, member)| ask(shared, NodeId(*id), member))).await;
    // The newest word counts. One that is older than ours says nothing new, whatever it says.
    let newest = answers.into_iter().flatten().max_by_key(|members| log_id_from(members.changed));
    let Some(newest) = newest else { return };
    match newest.members.iter().find(|member| member.id == shared.me.id) {
        // The same word that we have: a node may get the record that removes it, without hearing that it is committed.
        None if Some(log_id_from(newest.changed)) >= picture.changed => shared.set_removed(true),
        Some(known) if *known.peer != *shared.options.record.peer => move_in(shared, &newest).await,
        None | Some(_) => {}
    }
}

async fn ask(shared: &Shared, id: NodeId, member: &Member) -> Option<Members> {
    let directory = &shared.forwarder.directory;
    let address = directory.learn(id, &member.name, &member.peer);
    let asked =
        shared.forwarder.links.call(Some(id), &address, (path::MEMBERS, Vec::new()), ASK_WITHIN).await;
    match asked {
        Ok(answer) => wire::decode_members(&answer).ok().flatten(),
        Err(_) => {
            directory.failed(id, &address);
            None
        }
    }
}

/// The leader looks for us where we were. It is told like by an operator, and looks itself before it believes.
async fn move_in(shared: &Shared, newest: &Members) {
    let leader = newest.members.iter().find(|member| Some(member.id) == newest.leader);
    let (Some(leader), Ok(peer)) = (leader, PeerAddress::parse(&shared.options.record.peer)) else { return };
    tracing::info!(leader = %leader.name, %peer, "this node has another address now: the leader is told");
    let join = Join { name: shared.me.name.clone(), peer, if_index: None, dry_run: false };
    let address = shared.forwarder.directory.learn(leader.id, leader.name.as_str(), &leader.peer);
    let message = wire::encode_join(&join);
    // Not done: the next round tells it again.
    let _ =
        shared.forwarder.links.call(Some(leader.id), &address, (path::JOIN, message), CHANGE_WITHIN).await;
}
