//! What a node finds when it starts: its identity, its engine, its files. Real or simulated.

use crate::{
    engine::Engine,
    error::OpenError,
    growth::{Counted, LogGrowth},
    log_store::LogStore,
    machine::{Machine, Observer},
    snapshots::SnapshotFiles,
    watermark::MarkFile,
};
use quorate_codec::Identity;
use quorate_model::{ClusterId, FeatureLevel, NodeId, NodeName};
use quorate_rt::time;
use quorate_telemetry::Control;
use std::{io, path::Path, sync::Arc};

/// Room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this node may still use.
    pub free: u64,
    /// All of it, used or not.
    pub total: u64,
}

/// Everything that a node keeps. Opened for one node and locked against others as long as it lives.
pub trait Disk: Send + Sync + 'static {
    /// Whose it is.
    fn identity(&self) -> Identity;

    /// Remembers the cluster for good; blocks on a sync. The same again does nothing, another one is refused
    /// (`InvalidInput`).
    fn set_cluster(&self, cluster: ClusterId) -> io::Result<()>;

    /// Remembers the cluster's level, so that a binary that can less is refused; blocks on a sync. A lower one, or
    /// the same again, does nothing.
    fn set_level(&self, level: FeatureLevel) -> io::Result<()>;

    /// For the log.
    fn engine(&self) -> Arc<dyn Engine>;

    /// For the log's watermark.
    fn mark(&self) -> Arc<dyn MarkFile>;

    /// For the snapshots.
    fn snapshots(&self) -> Arc<dyn SnapshotFiles>;

    /// How much room there is; `None`: always enough. Blocks.
    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }
}

/// Opens log and state; `control` counts their syncs and snapshots. Call inside a runtime.
pub async fn open(
    disk: &dyn Disk,
    observer: Arc<dyn Observer>,
    control: Arc<Control>,
) -> Result<(LogStore, Machine), OpenError> {
    let growth = LogGrowth::default();
    let engine = Arc::new(Counted { engine: disk.engine(), growth: growth.clone() });
    let begun = time::Instant::now();
    let log = LogStore::open(engine, disk.mark(), control.clone())?;
    let read = begun.elapsed();
    growth.add(log.found_bytes());
    let machine = Machine::open(disk.snapshots(), &log, observer, control).await?.counting(growth);
    let (snapshot, state) = (begun.elapsed() - read, machine.state());
    let (workers, index) = (state.worker_count(), state.index().0);
    tracing::info!(log_ms = ms(read), snapshot_ms = ms(snapshot), workers, index, "log and state are read");
    Ok((log, machine))
}

fn ms(elapsed: time::Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// A new node's identity.
pub(crate) fn new_identity(name: &NodeName) -> Identity {
    // 0 is the leader of the very first membership record in openraft, hence nobody's id.
    let id = NodeId(quorate_rt::rng::random_u64().max(1));
    Identity { name: name.clone(), id, cluster: None, level: FeatureLevel::FIRST }
}

/// Whether a node called `name` may use a disk of `identity`.
pub(crate) fn check_owner(identity: &Identity, name: &NodeName, folder: &Path) -> Result<(), OpenError> {
    if identity.name == *name {
        return Ok(());
    }
    let (ours, theirs) = (name.to_string(), identity.name.to_string());
    Err(OpenError::OtherNode { folder: folder.into(), ours, theirs })
}

/// The identity with a later level; `None` if it is not later.
pub(crate) fn with_level(identity: &Identity, level: FeatureLevel) -> Option<Identity> {
    (level > identity.level).then(|| Identity { level, ..identity.clone() })
}

/// The identity with its cluster; `None` if it has it already.
pub(crate) fn with_cluster(identity: &Identity, cluster: ClusterId) -> io::Result<Option<Identity>> {
    match identity.cluster {
        Some(known) if known == cluster => Ok(None),
        Some(known) => {
            let problem = format!("this node belongs to cluster {known}, not to {cluster}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
        }
        None => Ok(Some(Identity { cluster: Some(cluster), ..identity.clone() })),
    }
}
