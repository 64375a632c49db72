//! Whether this node may be sent requests.
//!
//! Ready once it can route from a caught-up View: it has heard from a leader and applied what that leader had
//! committed; or, with a View on disk and no leader within [`PATIENCE`], it serves that View. It stays ready
//! without a quorum: only changes are down then, and taking the data plane away would make it worse.
//!
//! A node that joins has waited for longer than that when its first entries arrive. What it has then is the cluster
//! as it was long ago, and clients that were sent to it would be told that nobody has their partition: with an
//! empty disk at its start, nothing but having caught up counts.

use quorate_consensus::Consensus;
use quorate_rt::{JoinHandle, shutdown::Shutdown, time};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

/// How long a node with a View on disk waits for a leader before it serves that View.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not caught up yet.
    Starting = 0,
    /// Routes requests.
    Serving = 1,
    /// Shutting down.
    Draining = 2,
}

/// The phase, shared. It only goes forward.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// Now.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    /// Goes to `phase`, unless it is behind.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::AcqRel);
    }
}

/// What the disk held when the node started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Nothing of any cluster.
    Empty,
    /// Its View was served before.
    Member,
}

impl Past {
    /// Whether the View may be served: `caught_up`, or known of old to a node that has waited long enough.
    fn may_serve(self, caught_up: bool, waited: Duration) -> bool {
        caught_up || (self == Self::Member && waited >= PATIENCE)
    }
}

/// Waits until this node is caught up, or until there is no point in waiting; then until `remembered`, which is
/// quick once the cluster is known.
pub(crate) async fn watch(
    consensus: Consensus,
    readiness: Readiness,
    past: Past,
    remembered: JoinHandle<()>,
    mut shutdown: Shutdown,
) {
    let started = time::Instant::now();
    let caught_up = loop {
        // Cut off when patience ends: a read that waits for a leader waits nearly as long again.
        let left = PATIENCE.saturating_sub(started.elapsed());
        let limit = if left.is_zero() { PATIENCE } else { left };
        let read = tokio::select! {
            biased;
            () = shutdown.wait() => return,
            read = time::timeout(limit, consensus.read_barrier()) => read,
        };
        // A linearizable read is exactly the proof that is wanted: a leader answered, and all that it had committed
        // is applied here.
        let caught_up = matches!(read, Ok(Ok(_)));
        let formed = consensus.view().get().cluster().is_some();
        if formed && past.may_serve(caught_up, started.elapsed()) {
            break caught_up;
        }
        time::sleep(Duration::from_millis(20)).await;
    };
    // An error says that it had panicked, which is logged; serving goes on without it.
    let _ = remembered.await;
    readiness.advance(Phase::Serving);
    tracing::info!(index = %consensus.view().get().index(), caught_up, "serving");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_member_of_old_serves_what_it_knew_when_its_patience_ends() {
        for (past, caught_up, waited, serves) in [
            (Past::Member, false, PATIENCE, true),
            (Past::Member, false, PATIENCE - Duration::from_millis(1), false),
            (Past::Member, true, Duration::ZERO, true),
            // It waited for an hour to be let in, and has the first entries of many.
            (Past::Empty, false, Duration::from_secs(3_600), false),
            (Past::Empty, true, Duration::ZERO, true),
        ] {
            assert_eq!(past.may_serve(caught_up, waited), serves, "{past:?} {caught_up} {waited:?}");
        }
    }

    #[test]
    fn a_phase_only_goes_forward() {
        let readiness = Readiness::default();
        readiness.advance(Phase::Draining);
        readiness.advance(Phase::Serving);
        assert_eq!(readiness.phase(), Phase::Draining);
    }
}
