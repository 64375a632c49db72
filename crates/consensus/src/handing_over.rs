//! Leadership changes hands because somebody wants it so: an operator, or a node that goes.

use crate::{
    consensus::{Consensus, Shared},
    forward::{Leader, Tried, Unavailable},
    liveness,
    membership::{self, Picture},
    options::ANSWER_WITHIN,
    peer::{path, wire},
};
use openraft::async_runtime::WatchReceiver;
use quorate_model::{LogIndex, NodeId};
use quorate_rt::time;
use std::time::Duration;

impl Consensus {
    /// Hands leadership to `to`, or to the most advanced other voter. Answers with the new leader.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<Leader, Unavailable> {
        let deadline = time::Instant::now() + ANSWER_WITHIN;
        let here = |_| hand_over(self.shared(), to);
        let message = wire::encode_hand_over(to);
        let to = self
            .shared()
            .forwarder
            .at_leader(deadline, here, (path::HAND_OVER, &message), wire::decode_index)
            .await?;
        while time::Instant::now() < deadline {
            if let Some(leader) = self.leader().filter(|leader| leader.id.0 == to.0) {
                return Ok(leader);
            }
            time::sleep(Duration::from_millis(20)).await;
        }
        Err(Unavailable::Unknown)
    }

    /// Hands leadership over, if this node has it and there is somebody to take it, so that the others need no
    /// election when it goes.
    pub async fn hand_over_leadership(&self) {
        if !self.shared().is_leader() || self.shared().voters() < 2 {
            return;
        }
        let handed = time::timeout(Duration::from_secs(2), self.transfer_leader(None)).await;
        if !matches!(handed, Ok(Ok(_))) {
            tracing::warn!("leadership was not handed over; the others will elect");
        }
    }
}

/// The leader's part of a transfer: starts it and says to whom.
pub(crate) async fn hand_over(shared: &Shared, to: Option<NodeId>) -> Tried<LogIndex> {
    if !shared.is_leader() {
        return Tried::NotLeader;
    }
    // A try before this one did it, and only its answer was lost. openraft would hand over to nobody.
    if to == Some(shared.me.id) {
        return Tried::Done(LogIndex(shared.me.id.0));
    }
    if to.is_some_and(|id| !membership::may_lead(shared, id.0)) {
        return Tried::NotLeader;
    }
    let Some(target) = to.map(|id| id.0).or_else(|| most_advanced(shared)) else { return Tried::NotLeader };
    liveness::hand_over(&shared.vessel, &shared.proposer).await;
    match shared.raft.trigger().transfer_leader(target).await {
        Ok(()) => Tried::Done(LogIndex(target)),
        Err(_) => Tried::Unsure,
    }
}

/// Only somebody who answers can take over; a dead one may have as much log.
fn most_advanced(shared: &Shared) -> Option<u64> {
    let answering = Picture::of(shared).answering;
    let metrics = shared.raft.metrics();
    let metrics = metrics.borrow_watched();
    let matched = metrics.replication.as_ref()?;
    let others = metrics.membership_config.voter_ids().filter(|id| *id != shared.me.id.0);
    others
        .filter(|id| answering.contains(id))
        .max_by_key(|id| (matched.get(id).and_then(|m| m.as_ref().map(|log| log.index)), *id))
}
