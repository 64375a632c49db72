//! A follower stands soon after the leader fell silent.
//!
//! openraft's own timer waits for the leader's lease and then for a random time whose lower end is also the deadline of
//! a vote, so it can't be short: with the defaults nobody stands before two thirds of a second. Here a follower draws
//! its moment from the first third of an election timeout after the lease, so the first of two stands after about 0.6 s.
//! It asks for a pre-vote only, once for each silence: if two ask at once, or votes take longer than that, openraft's
//! timer goes on as if nothing had been.

use crate::consensus::{Consensus, Shared};
use openraft::async_runtime::WatchReceiver;
use quorate_rt::{rng, shutdown::Shutdown, time};
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

/// openraft notes a message of the leader a little later than we do, and refuses to stand while its lease lasts.
const NOTED_WITHIN: Duration = Duration::from_millis(5);

/// When a leader was heard last, by the node's own clock in milliseconds.
#[derive(Debug)]
pub(crate) struct Hearing(AtomicI64);

impl Default for Hearing {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Hearing {
    pub fn now(&self, now: i64) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// `None`: never since the start.
    pub fn last(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != i64::MIN)
    }

    /// How long ago.
    pub fn ago(&self, now: i64) -> Option<Duration> {
        let ago = u64::try_from(now.checked_sub(self.last()?)?).ok()?;
        Some(Duration::from_millis(ago))
    }
}

/// Runs until the shutdown.
pub(crate) async fn run(consensus: Consensus, mut shutdown: Shutdown) {
    let shared = consensus.shared();
    let mut stood_after = None;
    loop {
        let patience = shared.options.election + NOTED_WITHIN + drawn(shared.options.election / 3);
        tokio::select! {
            biased;
            () = shutdown.wait() => return,
            () = silence(shared, patience, stood_after) => {}
        }
        stood_after = shared.heard.last();
        if may_stand(shared) && shared.raft.trigger().elect(true).await.is_err() {
            return; // Raft has stopped
        }
    }
}

fn drawn(below: Duration) -> Duration {
    let micros = u64::try_from(below.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(rng::random_u64() % micros)
}

/// Resolves once no leader was heard for `patience`, in a silence that began after `before`.
async fn silence(shared: &Shared, patience: Duration, before: Option<i64>) {
    loop {
        let left = match shared.heard.ago(shared.applied.now()) {
            Some(ago) if shared.heard.last() != before => patience.saturating_sub(ago),
            Some(_) | None => shared.options.election,
        };
        if left.is_zero() {
            return;
        }
        time::sleep(left).await;
    }
}

/// Only in place of a leader that was heard, and not while somebody else stands already.
fn may_stand(shared: &Shared) -> bool {
    let follows = {
        let metrics = shared.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.vote.committed && metrics.current_leader != Some(shared.me.id.0)
    };
    follows && shared.forwarder.room.may_lead() && !shared.forwarder.removed.load(Ordering::Relaxed)
}
