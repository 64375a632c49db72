//! Gauges that nobody sets by acting: how far, how stale, how many. Looked at four times a second.

use quorate_consensus::Consensus;
use quorate_model::{PartitionCount, Status};
use quorate_proxy::Freshness;
use quorate_rt::{shutdown::Shutdown, time};
use quorate_telemetry::{Metrics, control::RaftPicture, label::WorkerStatus};
use std::{sync::Arc, time::Duration};

const EVERY: Duration = Duration::from_millis(250);
/// Until a leader is heard for the first time: what is ready must not look stale for longer than this.
const EVERY_AT_FIRST: Duration = Duration::from_millis(10);
/// Counting workers costs O(workers): once in this many rounds.
const COUNT_EVERY: u32 = 20;
/// Without a leader for this long the View counts as stale; shorter silences are elections.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(2);

/// Sets the gauges until the shutdown.
pub(crate) async fn run(
    consensus: Consensus,
    freshness: Arc<Freshness>,
    metrics: Arc<Metrics>,
    mut shutdown: Shutdown,
) {
    for round in 0u32.. {
        picture(&consensus, &metrics);
        match stale(&consensus) {
            Some(since) => {
                freshness.set_stale(since.as_secs());
                metrics.control().set_stale_seconds(since.as_secs());
            }
            None => {
                freshness.set_fresh();
                metrics.control().set_stale_seconds(0);
            }
        }
        let view = consensus.view().get();
        let (gateways, tunnels) = (view.tunnels().gateway_count(), view.tunnels().len());
        metrics.control().set_presence(gateways as u64, tunnels as u64, view.sessions().len() as u64);
        if round % COUNT_EVERY == 0 {
            count(&consensus, &metrics);
        }
        let pause = if consensus.leader_heard().is_some() { EVERY } else { EVERY_AT_FIRST };
        if time::timeout(pause, shutdown.wait()).await.is_ok() {
            return;
        }
    }
}

/// How long this node has been without a leader, if that is long. Since its start it has been so from the beginning:
/// nobody knows how old the View on its disk is.
pub(crate) fn stale(consensus: &Consensus) -> Option<Duration> {
    match consensus.leader_heard() {
        Some(silent) => (silent >= STALE_AFTER).then_some(silent),
        None => Some(consensus.running_for()),
    }
}

fn picture(consensus: &Consensus, metrics: &Metrics) {
    let raft = consensus.metrics();
    metrics.control().set_raft(RaftPicture {
        applied_index: consensus.view().get().index().0,
        term: raft.current_term,
        is_leader: consensus.speaks_for_quorum(),
        members: consensus.members(),
        peers_reachable: consensus.peers_reachable(),
    });
}

fn count(consensus: &Consensus, metrics: &Metrics) {
    let view = consensus.view().get();
    let mut counts = [0u64; 3];
    for worker in view.workers() {
        match worker.status() {
            Status::Live => counts[0] += 1,
            Status::Suspect => counts[1] += 1,
            Status::Expired => counts[2] += 1,
            Status::Departed => {}
        }
    }
    let control = metrics.control();
    control.set_workers(WorkerStatus::Live, counts[0]);
    control.set_workers(WorkerStatus::Suspect, counts[1]);
    control.set_workers(WorkerStatus::Expired, counts[2]);
    let partitions = view.default_keyspace().and_then(quorate_state::KeyspaceView::count);
    control.set_partitions(partitions.map_or(0, PartitionCount::get).into());
}
