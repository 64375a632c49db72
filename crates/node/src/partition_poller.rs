//! The leader reads the partition count of a Kafka topic and proposes it, so that all nodes change at one index. A
//! failed read changes nothing: the last known count stays.

use crate::partition_source::{PartitionSource, PartitionSourceError};
use quorate_consensus::Consensus;
use quorate_model::{Command, KeyspaceName, KeyspaceSource, PartitionCount};
use quorate_rt::{shutdown::Shutdown, time};
use std::{sync::Arc, time::Duration};

/// After a failed read, and until the count is known for the first time.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How often it is looked whether this node leads.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Polls while this node leads, each `refresh`.
pub(crate) async fn poll(
    consensus: Consensus,
    source: Arc<dyn PartitionSource>,
    refresh: Duration,
    mut shutdown: Shutdown,
) {
    let mut next = time::Instant::now();
    loop {
        tokio::select! {
            biased;
            () = shutdown.wait() => return,
            () = time::sleep(LOOK_EVERY) => {}
        }
        if !consensus.speaks_for_quorum() || !wants_count(&consensus) {
            // Whoever leads next asks at once.
            next = time::Instant::now();
            continue;
        }
        if time::Instant::now() < next {
            continue;
        }
        let wait = match observe(&consensus, &*source).await {
            Ok(Count::Settled) => refresh,
            Ok(Count::Open) => RETRY_AFTER.min(refresh),
            Err(error) => {
                tracing::warn!(%error, "the partition count could not be read; the last known one stays");
                RETRY_AFTER.min(refresh)
            }
        };
        next = time::Instant::now() + wait;
    }
}

fn wants_count(consensus: &Consensus) -> bool {
    let view = consensus.view().get();
    view.default_keyspace().is_some_and(|k| k.keyspace().source == KeyspaceSource::Kafka)
}

/// Whether what was read is what the cluster knows now.
enum Count {
    Settled,
    Open,
}

async fn observe(consensus: &Consensus, source: &dyn PartitionSource) -> Result<Count, PartitionSourceError> {
    let invalid = |problem: String| PartitionSourceError::Invalid { topic: String::new(), problem };
    let count = PartitionCount::new(source.partitions().await?).map_err(|e| invalid(e.to_string()))?;
    let known = consensus.view().get().default_keyspace().and_then(quorate_state::KeyspaceView::count);
    if known != Some(count) {
        let command = Command::ObservePartitions { keyspace: KeyspaceName::default(), partitions: count };
        if let Err(error) = consensus.propose(command).await {
            tracing::warn!(%error, count = count.get(), "the new partition count was not committed; trying again");
            return Ok(Count::Open);
        }
    }
    Ok(Count::Settled)
}
