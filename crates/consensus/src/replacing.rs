//! A node that comes back with an empty disk under a known name.
//!
//! It has a new id, since its promises (votes, acknowledged records) are gone with its disk: counting it as the old
//! one could elect two leaders in one term. The leader replaces the old id by a membership change: the new one
//! joins as a learner, catches up, and takes the old one's place in one joint step. It does so only when the old id
//! no longer answers: at its name's address somebody else has answered, without a log, for [`ROUNDS`] in a row.
//! A learner that lost its disk before it got a vote is replaced in the same way, with less to do.

use crate::{
    consensus::Consensus, forward::Tried, joining::change_membership, levels, membership::Picture,
    roster::Seen,
};
use openraft::ChangeMembers;
use quorate_model::{NodeId, NodeName};
use quorate_rt::time;
use quorate_storage::Member;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How often in a row a stranger must be seen at a member's address before it takes its place.
const ROUNDS: u32 = 3;
/// A learner that has not caught up by then is tried again in a later round.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(30);
/// The membership change itself.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);

/// Who was seen in whose place, and how often.
#[derive(Default)]
pub(crate) struct Replacements {
    seen: BTreeMap<NodeName, (NodeId, u32)>,
}

/// A member whose disk is gone, and what stands at its address now.
struct Replacement {
    name: NodeName,
    old: u64,
    new: u64,
    member: Member,
}

impl Replacements {
    /// One round; does nothing unless this node leads with a quorum.
    pub(crate) async fn look(&mut self, consensus: &Consensus) {
        if !consensus.speaks_for_quorum() {
            self.seen.clear();
            return;
        }
        if finish_change(consensus).await || remove_leftover(consensus).await {
            return;
        }
        let candidates = candidates(consensus);
        self.seen.retain(|name, (id, _)| candidates.iter().any(|c| c.name == *name && c.new == id.0));
        for candidate in candidates {
            let (_, rounds) = self.seen.entry(candidate.name.clone()).or_insert((NodeId(candidate.new), 0));
            *rounds += 1;
            if *rounds >= ROUNDS {
                self.seen.remove(&candidate.name);
                replace(consensus, candidate).await;
                // One at a time: each change must be committed before the next is thought of.
                return;
            }
        }
    }
}

/// A change whose leader was lost half-way stays joint until somebody takes its second step; any leader may.
async fn finish_change(consensus: &Consensus) -> bool {
    if consensus.metrics().membership_config.membership().get_joint_config().len() < 2 {
        return false;
    }
    change(
        consensus,
        ChangeMembers::AddVoterIds(BTreeSet::new()),
        "a membership change is brought to its end",
    )
    .await;
    true
}

/// A learner under a voter's name that answers no longer: a node whose disk was lost again before it was promoted.
async fn remove_leftover(consensus: &Consensus) -> bool {
    let metrics = consensus.metrics();
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let taken = |name: &str| membership.nodes().any(|(id, m)| voters.contains(id) && m.name == name);
    let gone =
        |id: u64, name: &str| consensus.roster().get(name).is_some_and(|s| s.reachable && s.id.0 != id);
    let leftover =
        membership.nodes().find(|(id, m)| !voters.contains(id) && taken(&m.name) && gone(**id, &m.name));
    let Some((id, _)) = leftover else { return false };
    change(consensus, ChangeMembers::RemoveNodes(BTreeSet::from([*id])), "a learner that is gone is removed")
        .await;
    true
}

async fn change(consensus: &Consensus, members: ChangeMembers<u64, Member>, what: &str) {
    tracing::warn!(what, "the membership is repaired");
    let raft = &consensus.shared().raft;
    // Not done: the next round, or the next leader, sees the same.
    let _ = time::timeout(CHANGE_WITHIN, raft.change_membership(members, false)).await;
}

fn candidates(consensus: &Consensus) -> Vec<Replacement> {
    let metrics = consensus.metrics();
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let names: BTreeSet<&str> =
        voters.iter().filter_map(|id| membership.get_node(id)).map(|m| m.name.as_str()).collect();
    // A learner under a voter's name is on its way to take that one's place.
    let replaceable = |id: &u64, m: &Member| voters.contains(id) || !names.contains(m.name.as_str());
    let members =
        membership.nodes().filter(|(id, member)| replaceable(id, member) && **id != consensus.id().0);
    members
        .filter_map(|(old, member)| {
            let Seen { id, initialized, reachable, .. } = consensus.roster().get(&member.name)?;
            // A learner that is catching up already has a log.
            let fresh = !initialized || membership.get_node(&id.0).is_some();
            let stranger = reachable && id.0 != *old && fresh && !voters.contains(&id.0);
            let name = NodeName::parse(&member.name).ok()?;
            stranger.then(|| Replacement { name, old: *old, new: id.0, member: member.clone() })
        })
        .collect()
}

async fn replace(consensus: &Consensus, replacement: Replacement) {
    let Replacement { name, old, new, member } = replacement;
    let raft = &consensus.shared().raft;
    let address = consensus.shared().forwarder.directory.learn(NodeId(new), &member.name, &member.peer);
    if !levels::can_join(consensus.shared(), NodeId(new), &address).await {
        tracing::warn!(node = %name, new, "the node runs a version below the cluster's feature level: it can't join");
        return;
    }
    tracing::warn!(node = %name, old, new, "the node came back with an empty disk: it is replaced by itself");
    let joined = time::timeout(CATCH_UP_WITHIN, raft.add_learner(new, member, true)).await;
    if !matches!(joined, Ok(Ok(_))) {
        tracing::warn!(node = %name, new, "the new node has not caught up; it is tried again");
        return;
    }
    // Much may have happened while it caught up: decided anew, and bound to what it is decided on.
    let picture = Picture::of(consensus.shared());
    if !picture.settled || !picture.members.contains_key(&old) || !picture.members.contains_key(&new) {
        return;
    }
    let change = if picture.voters.contains(&old) {
        let others = picture.voters.iter().copied().filter(|id| *id != old);
        ChangeMembers::ReplaceAllVoters(others.chain([new]).collect())
    } else {
        ChangeMembers::RemoveNodes(BTreeSet::from([old]))
    };
    match change_membership(raft, change, picture.changed, CHANGE_WITHIN).await {
        Tried::Done(_) => tracing::info!(node = %name, old, new, "the node is a member again"),
        // Leadership may be gone, or a quorum: whoever leads next sees the same.
        Tried::NotLeader | Tried::Busy | Tried::Unsure | Tried::DiskFull => {
            tracing::warn!(node = %name, "it is not known whether the membership was changed");
        }
    }
}
