//! Whether this node may be sent requests.
//!
//! Ready once it can route from a caught-up View: it has heard from a leader and applied what that leader had
//! committed; or, with a View on disk and no leader within [`PATIENCE`], it serves that View. It stays ready
//! without a quorum: only changes are down then, and taking the data plane away would make it worse.
//!
//! While a leader is heard there is something to catch up with, and until that is done the View is the cluster as it
//! was long ago: clients that were sent here would be told that nobody has their partition. A leader that has lost its
//! quorum may still be heard and can't be caught up with for certain, so that ends too, after [`LONG_PATIENCE`]. A node
//! that joins waits for longer than either before its first entries arrive: with an empty disk at its start, nothing
//! but having caught up counts.

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
/// The same where a leader is heard. A snapshot of a million workers takes half of it.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

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
    /// Whether a View that is not caught up may be served, after so long without that, and without a leader.
    fn may_serve(self, waited: Duration, silence: Duration) -> bool {
        self == Self::Member && (waited >= LONG_PATIENCE || waited.min(silence) >= PATIENCE)
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
        let waited = started.elapsed();
        let silence = consensus.leader_heard().unwrap_or(waited);
        if formed && (caught_up || past.may_serve(waited, silence)) {
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
    fn only_a_member_of_old_serves_what_it_knew_and_only_while_no_leader_is_heard() {
        let (moment, hour) = (Duration::from_millis(50), Duration::from_secs(3_600));
        for (past, waited, silence, serves) in [
            (Past::Member, PATIENCE, PATIENCE, true),
            (Past::Member, PATIENCE - moment, PATIENCE - moment, false),
            // It catches up with a leader that it hears.
            (Past::Member, LONG_PATIENCE - moment, moment, false),
            // That has taken too long: perhaps the leader has lost its quorum.
            (Past::Member, LONG_PATIENCE, moment, true),
            // It waited for an hour to be let in, and has the first entries of many.
            (Past::Empty, hour, moment, false),
            (Past::Empty, hour, hour, false),
        ] {
            assert_eq!(past.may_serve(waited, silence), serves, "{past:?} {waited:?} {silence:?}");
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
