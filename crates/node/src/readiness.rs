//! Whether this node may be sent requests.
//!
//! Ready once it can route from a caught-up View: it has heard from a leader and applied what that leader had
//! committed; or, with a View on disk and no leader within [`PATIENCE`], it serves that View. It stays ready
//! without a quorum: only changes are down then, and taking the data plane away would make it worse.

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

/// Waits until this node is caught up, or until there is no point in waiting; then until `remembered`, which is
/// quick once the cluster is known.
pub(crate) async fn watch(
    consensus: Consensus,
    readiness: Readiness,
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
        if formed && (caught_up || started.elapsed() >= PATIENCE) {
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
    fn a_phase_only_goes_forward() {
        let readiness = Readiness::default();
        readiness.advance(Phase::Draining);
        readiness.advance(Phase::Serving);
        assert_eq!(readiness.phase(), Phase::Draining);
    }
}
