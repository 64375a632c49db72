//! Leadership changes hands because somebody wants it so: an operator, or a node that goes.

use crate::{
    consensus::{Consensus, Shared},
    forward::{Leader, Tried, Unavailable},
    liveness,
    membership::{self, Picture},
    options::ANSWER_WITHIN,
    peer::{client::CallError, path, wire},
};
use futures_util::future::join_all;
use http::StatusCode;
use openraft::async_runtime::WatchReceiver;
use quorate_model::{LogIndex, NodeId};
use quorate_rt::time;
use quorate_storage::Member;
use std::time::Duration;

const HANDED_OVER_WITHIN: Duration = Duration::from_secs(2);
const ROOM_ASKED_WITHIN: Duration = Duration::from_millis(500);

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

    /// Hands leadership to the best of the voters that answer and have room on their disks to lead. Where all disks
    /// are full, it stays: it would only go round and round.
    pub async fn hand_over_to_one_with_room(&self) {
        let able = candidates(self.shared()).await.into_iter().filter(|candidate| candidate.has_room);
        if let Some(best) = able.max() {
            self.hand_over_in_time(Some(NodeId(best.id))).await;
        }
    }

    /// Hands leadership over, if this node has it and there is somebody to take it, so that the others need no
    /// election when it goes.
    pub async fn hand_over_leadership(&self) {
        if self.shared().is_leader() && self.shared().voters() >= 2 {
            self.hand_over_in_time(None).await;
        }
    }

    async fn hand_over_in_time(&self, to: Option<NodeId>) {
        let handed = time::timeout(HANDED_OVER_WITHIN, self.transfer_leader(to)).await;
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
    let target = match to {
        Some(id) => id.0,
        None => match candidates(shared).await.into_iter().max() {
            Some(candidate) => candidate.id,
            None => return Tried::NotLeader,
        },
    };
    liveness::hand_over(&shared.vessel, &shared.proposer).await;
    match shared.raft.trigger().transfer_leader(target).await {
        Ok(()) => Tried::Done(LogIndex(target)),
        Err(_) => Tried::Unsure,
    }
}

/// Somebody who could take over; the best one is the greatest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    has_room: bool,
    matched: Option<u64>,
    id: u64,
}

/// Only somebody who answers can take over; a dead one may have as much log.
async fn candidates(shared: &Shared) -> Vec<Candidate> {
    let picture = Picture::of(shared);
    let metrics = shared.raft.metrics();
    let matched = metrics.borrow_watched().replication.clone().unwrap_or_default();
    let may =
        |id: &u64| *id != shared.me.id.0 && picture.voters.contains(id) && picture.answering.contains(id);
    let asked = picture.members.iter().filter(|(id, _)| may(id)).map(|(id, member)| {
        let matched = matched.get(id).and_then(|at| at.as_ref().map(|log| log.index));
        async move { Candidate { has_room: has_room(shared, NodeId(*id), member).await, matched, id: *id } }
    });
    join_all(asked).await
}

async fn has_room(shared: &Shared, id: NodeId, member: &Member) -> bool {
    let forwarder = &shared.forwarder;
    let address = forwarder.directory.learn(id, &member.name, &member.peer);
    let asked = (path::ROOM, Vec::new());
    match forwarder.links.call(Some(id), &address, asked, ROOM_ASKED_WITHIN).await {
        Ok(answer) => wire::decode_has_room(&answer).unwrap_or(false),
        // It knows no such question. Should it be full as well, it hands over in its turn.
        Err(CallError::Refused { status, .. }) => status == StatusCode::NOT_FOUND,
        Err(_) => false,
    }
}
