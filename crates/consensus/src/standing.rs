//! Where this node stands, as it knows it now. Nothing here waits or changes anything.

use crate::{
    consensus::Consensus, forward::Leader, liveness, membership::Picture, roster::Roster, types::Metrics,
};
use openraft::async_runtime::WatchReceiver;
use quorate_model::{FeatureLevel, LogIndex, NodeId};
use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

impl Consensus {
    /// What all members can do, as this node sees it.
    pub fn feature_level(&self) -> FeatureLevel {
        self.view().get().feature_level()
    }

    /// The highest level that the member can; `None`: it has not said so since this node started.
    pub fn feature_level_max(&self, member: NodeId) -> Option<FeatureLevel> {
        if member == self.id() {
            Some(self.shared().options.levels.max)
        } else {
            self.shared().levels.max_of(member)
        }
    }

    /// The leader as this node knows it.
    pub fn leader(&self) -> Option<Leader> {
        self.shared().forwarder.leader()
    }

    /// Whether this node takes itself for the leader. A leader that is cut off does so for a while.
    pub fn is_leader(&self) -> bool {
        self.shared().is_leader()
    }

    /// Whether this node leads and has heard a quorum within an election timeout.
    pub fn speaks_for_quorum(&self) -> bool {
        liveness::speaks_for_quorum(&self.shared().raft, self.shared().options.election)
    }

    /// What the peers said of themselves last.
    pub fn roster(&self) -> &Roster {
        &self.shared().roster
    }

    /// Raft's metrics now.
    pub fn metrics(&self) -> Metrics {
        self.shared().raft.metrics().borrow_watched().clone()
    }

    /// How long ago this node heard from a leader; `None`: never since its start. A leader hears itself while a
    /// quorum answers.
    pub fn leader_heard(&self) -> Option<Duration> {
        if self.speaks_for_quorum() {
            self.shared().heard_leader();
        }
        self.shared().heard.ago(self.shared().applied.now())
    }

    /// How long ago this consensus was started.
    pub fn running_for(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.shared().applied.now()).unwrap_or(0))
    }

    /// Whether no leader was heard for `long`.
    pub fn is_silent(&self, long: Duration) -> bool {
        // Also hears itself, where it leads.
        self.leader_heard().is_none_or(|ago| ago >= long)
    }

    /// Whether this node was a member and is none any more, as the members say.
    pub fn is_removed(&self) -> bool {
        self.shared().forwarder.removed.load(Ordering::Relaxed)
    }

    /// What a node waits for that is in no cluster, while others are; `None`: nothing, or for all to form one.
    pub fn waits_for(&self) -> Option<String> {
        self.shared().outside.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The log index at which the membership last changed, as this node knows it.
    pub fn membership_index(&self) -> LogIndex {
        Picture::of(self.shared()).index()
    }

    /// How many members the cluster has as this node knows it: voters and learners, itself included.
    pub fn members(&self) -> u64 {
        Picture::of(self.shared()).members.len() as u64
    }

    /// How many other members answered when they were asked last.
    pub fn peers_reachable(&self) -> u64 {
        let picture = Picture::of(self.shared());
        let seen = |id: &u64, name: &str| {
            self.shared().roster.get(name).is_some_and(|seen| seen.reachable && seen.id.0 == *id)
        };
        let others = picture.members.iter().filter(|(id, _)| **id != self.shared().me.id.0);
        others.filter(|(id, member)| seen(id, &member.name)).count() as u64
    }
}
