//! Linearizable reads: ask the leader up to where, wait until that is applied here, read the local View.

use crate::{
    forward::{Forwarder, Tried, Unavailable},
    observer::Applied,
    options::ANSWER_WITHIN,
    peer::{path, wire},
    types::Raft,
};
use openraft::{ReadPolicy, async_runtime::WatchReceiver};
use quorate_model::LogIndex;
use quorate_rt::{
    planted::{self, Bug},
    time,
};
use std::time::Duration;

/// After this, the local View is at least as new as any write that was acknowledged before the call.
pub(crate) async fn barrier(forwarder: &Forwarder, applied: &Applied) -> Result<LogIndex, Unavailable> {
    let deadline = time::Instant::now() + ANSWER_WITHIN;
    let here = |left| read_index(&forwarder.raft, left);
    let index = forwarder.at_leader(deadline, here, (path::READ_INDEX, &[]), wire::decode_index).await;
    // Nothing was changed, so there is nothing to be unsure about.
    let index = index.map_err(|e| if e == Unavailable::Unknown { Unavailable::NoLeader } else { e })?;
    let left = deadline.saturating_duration_since(time::Instant::now());
    if applied.wait_for(index, left).await { Ok(index) } else { Err(Unavailable::NoLeader) }
}

/// The leader's part: proves to itself that it still leads. Not by its lease: that would trust clock rates.
pub(crate) async fn read_index(raft: &Raft, limit: Duration) -> Tried<LogIndex> {
    if planted::is(Bug::ReadsWithoutQuorum) {
        let applied = raft.metrics().borrow_watched().last_applied.map_or(0, |id| id.index);
        return Tried::Done(LogIndex(applied));
    }
    match time::timeout(limit, raft.ensure_linearizable(ReadPolicy::ReadIndex)).await {
        Ok(Ok(read)) => Tried::Done(LogIndex(read.log_id().index)),
        Ok(Err(_)) | Err(_) => Tried::NotLeader,
    }
}
