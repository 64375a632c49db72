//! Doing something at the leader, wherever it is, within a deadline.
//!
//! The same loop serves proposals, heartbeats, reads and lease lists: try here if this node leads, else ask the
//! leader, else wait a moment for one. It retries through leader changes; what is retried must bear a repeat.

use crate::{
    options::{RETRY_AFTER, TRY_WITHIN},
    peer::{
        client::{CallError, Links},
        directory::Directory,
        wire::{Forwarded, WireError},
    },
    room::Gauge,
    types::Raft,
};
use openraft::async_runtime::WatchReceiver;
use quorate_model::{FeatureLevel, NodeId, NodeName};
use quorate_rt::time;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A leader without room that finds somebody with room has handed over by then.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(1);

/// Why nothing was done, or why it is not known whether it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No leader was found in time; nothing was done.
    #[error("no leader with a quorum was found in time")]
    NoLeader,
    /// A leader was asked, but no answer came in time: it may or may not have been done.
    #[error("no answer came in time: it may or may not have been carried out")]
    Unknown,
    /// Too much waits already; nothing was done.
    #[error("too many commands are waiting")]
    Busy,
    /// Some member can't read such a command yet; nothing was done.
    #[error(
        "the command needs feature level {needs}, the cluster is at {stands}: some node runs an older version"
    )]
    FeatureLevel {
        /// The command's.
        needs: FeatureLevel,
        /// The cluster's.
        stands: FeatureLevel,
    },
    /// The command takes more than a log entry may have; nothing was done.
    #[error("the command takes {bytes} bytes of the log; at most {max}")]
    TooLarge {
        /// As encoded.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The leader's disk is nearly full, and nobody else takes over; nothing was done.
    #[error("the disk is nearly full")]
    DiskFull,
    /// This node is shutting down; nothing was done.
    #[error("this node is shutting down")]
    ShuttingDown,
}

/// Where the leader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Where its peer listener is dialled.
    pub address: String,
}

/// What it takes to reach the leader.
#[derive(Clone)]
pub struct Forwarder {
    pub(crate) raft: Raft,
    pub(crate) links: Links,
    pub(crate) directory: Directory,
    pub(crate) id: NodeId,
    /// Whether this node had a log when it started. Then it is a member, as far as it knows.
    pub(crate) had_log: bool,
    pub(crate) room: Gauge,
    /// Set while this node is no member any more: no leader will ever speak to it.
    pub(crate) removed: Arc<AtomicBool>,
}

/// What one try came to.
pub enum Tried<T> {
    /// Done.
    Done(T),
    /// This node does not lead.
    NotLeader,
    /// Perhaps done; try again.
    Unsure,
    /// Too much waits; nothing was done.
    Busy,
    /// This node leads, but has no room on its disk; nothing was done.
    DiskFull,
}

impl<T> Tried<T> {
    /// The same with another value.
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Tried<U> {
        match self {
            Self::Done(value) => Tried::Done(f(value)),
            Self::NotLeader => Tried::NotLeader,
            Self::Unsure => Tried::Unsure,
            Self::DiskFull => Tried::DiskFull,
            Self::Busy => Tried::Busy,
        }
    }
}

impl Forwarder {
    /// Whether this node belongs to no cluster: not yet, or not any more. No leader will speak to it soon.
    fn is_outside(&self) -> bool {
        let metrics = self.raft.metrics();
        let nobody_votes = || metrics.borrow_watched().membership_config.voter_ids().next().is_none();
        self.removed.load(Ordering::Relaxed) || (!self.had_log && nobody_votes())
    }

    /// The leader as this node knows it. One that was removed while it stood still takes itself for the leader, and
    /// nobody tells it better.
    pub fn leader(&self) -> Option<Leader> {
        if self.removed.load(Ordering::Relaxed) {
            return None;
        }
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let id = metrics.current_leader?;
        let member = metrics.membership_config.membership().get_node(&id)?;
        let address = self.directory.learn(NodeId(id), &member.name, &member.peer);
        Some(Leader { id: NodeId(id), name: NodeName::parse(&member.name).ok()?, address })
    }

    /// Tries `here` while this node leads, else sends `message` to the leader, until `deadline`.
    pub async fn at_leader<T, H, F>(
        &self,
        deadline: time::Instant,
        here: H,
        (path, message): (&'static str, &[u8]),
        decode: fn(&[u8]) -> Result<Forwarded<T>, WireError>,
    ) -> Result<T, Unavailable>
    where
        H: Fn(Duration) -> F,
        F: Future<Output = Tried<T>>,
    {
        let begun = time::Instant::now();
        let mut unsure = false;
        loop {
            let left = deadline.saturating_duration_since(time::Instant::now());
            if left.is_zero() || self.is_outside() {
                return Err(if unsure { Unavailable::Unknown } else { Unavailable::NoLeader });
            }
            let tried = match self.leader() {
                Some(leader) if leader.id == self.id => here(left).await,
                Some(leader) => self.ask(&leader, (path, message), left.min(TRY_WITHIN), decode).await,
                None => Tried::NotLeader,
            };
            match tried {
                Tried::Done(value) => return Ok(value),
                Tried::Busy => return Err(Unavailable::Busy),
                Tried::NotLeader => {}
                Tried::Unsure => unsure = true,
                // Somebody else may be about to take over; where nobody does, a client need not wait for it.
                Tried::DiskFull if begun.elapsed() >= TAKEN_OVER_WITHIN => {
                    return Err(if unsure { Unavailable::Unknown } else { Unavailable::DiskFull });
                }
                Tried::DiskFull => {}
            }
            time::sleep(RETRY_AFTER.min(deadline.saturating_duration_since(time::Instant::now()))).await;
        }
    }

    async fn ask<T>(
        &self,
        leader: &Leader,
        (path, message): (&'static str, &[u8]),
        limit: Duration,
        decode: fn(&[u8]) -> Result<Forwarded<T>, WireError>,
    ) -> Tried<T> {
        let answer = self.links.call(Some(leader.id), &leader.address, (path, message.to_vec()), limit).await;
        if matches!(
            answer,
            Err(CallError::Refused { .. } | CallError::Unproven { .. } | CallError::Unreachable { .. })
        ) {
            self.directory.failed(leader.id, &leader.address);
        }
        match answer.map(|bytes| decode(&bytes)) {
            Ok(Ok(Forwarded::Done(value))) => Tried::Done(value),
            Ok(Ok(Forwarded::NotLeader))
            | Err(CallError::Refused { .. } | CallError::Unproven { .. } | CallError::Unreachable { .. }) => {
                Tried::NotLeader
            }
            Ok(Ok(Forwarded::Busy)) => Tried::Busy,
            Ok(Ok(Forwarded::DiskFull)) => Tried::DiskFull,
            Ok(Ok(Forwarded::Unsure))
            | Ok(Err(_))
            | Err(CallError::Broken { .. } | CallError::Timeout { .. }) => Tried::Unsure,
        }
    }
}
