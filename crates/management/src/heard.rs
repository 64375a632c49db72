//! When the leader heard whom, for the dialects that show it.

use crate::cluster::Cluster;
use quorate_model::{LogTime, WorkerId};
use quorate_rt::time;
use std::{collections::BTreeMap, time::Duration};

/// A list of workers waits this long for the leader to say when it heard whom.
const LEASES_WITHIN: Duration = Duration::from_millis(500);

/// When the leader heard whom; empty if it does not say so soon.
pub(crate) async fn last_heard(cluster: &dyn Cluster) -> BTreeMap<WorkerId, LogTime> {
    let Ok(Ok(leases)) = time::timeout(LEASES_WITHIN, cluster.leases()).await else { return BTreeMap::new() };
    let now = time::wall_ms();
    let heard = |ttl: Duration, remaining: Duration| {
        let ago = u64::try_from(ttl.saturating_sub(remaining).as_millis()).unwrap_or(u64::MAX);
        LogTime(now.saturating_sub(ago))
    };
    leases.into_iter().map(|lease| (lease.id, heard(lease.ttl.as_duration(), lease.remaining))).collect()
}
