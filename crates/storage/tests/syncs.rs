//! Nothing is acknowledged before the disk was synced, and many share one sync. `kill -9` can't show this: the page
//! cache outlives the process. So the syncs themselves are held back, counted, and made to fail.
#![cfg(not(madsim))]

mod support;

use openraft::{
    RaftLogReader,
    async_runtime::oneshot::Oneshot,
    storage::{IOFlushed, RaftLogStorage},
};
use quorate_rt::time;
use quorate_storage::{FolderDisk, LogStore, TypeConfig, disk::Disk, engine::Batch, sled_engine};
use quorate_telemetry::Metrics;
use std::{
    fs::File,
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use support::{append, blank, log_id, name, shown, vote};

/// Syncs that wait until they are let through.
#[derive(Default)]
struct Held {
    closed: Mutex<bool>,
    changed: Condvar,
    count: AtomicU64,
    fail: Mutex<bool>,
}

impl Held {
    fn close(&self, closed: bool) {
        *self.closed.lock().expect("no panic holds it") = closed;
        self.changed.notify_all();
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

impl sled_engine::Sync for Held {
    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.count.fetch_add(1, Ordering::SeqCst);
        let closed = self.closed.lock().expect("no panic holds it");
        drop(self.changed.wait_while(closed, |closed| *closed));
        if *self.fail.lock().expect("no panic holds it") {
            return Err(io::Error::other("as asked for"));
        }
        file.sync_data()
    }
}

struct World {
    _folder: tempfile::TempDir,
    disk: FolderDisk,
    held: Arc<Held>,
    metrics: Arc<Metrics>,
    log: LogStore,
}

fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let held = Arc::new(Held::default());
    let disk = FolderDisk::open_with(folder.path(), &name("n1"), held.clone()).expect("opens");
    let metrics = Metrics::new();
    let log = LogStore::open(disk.engine(), disk.mark(), metrics.control().clone()).expect("an empty log");
    World { _folder: folder, disk, held, metrics, log }
}

type Acknowledged = <openraft_oneshot::Of as Oneshot>::Receiver<io::Result<()>>;

/// The oneshot channels of our runtime.
mod openraft_oneshot {
    pub type Of = openraft::alias::OneshotOf<super::TypeConfig>;
}

async fn begin_append(log: &mut LogStore, index: u64) -> Acknowledged {
    let (tx, rx) = openraft_oneshot::Of::channel();
    log.append([blank(1, index)], IOFlushed::signal(tx)).await.expect("written");
    rx
}

const MOMENT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn an_append_is_acknowledged_only_after_a_sync() {
    let World { held, mut log, disk: _disk, _folder, .. } = world();
    held.close(true);
    let before = held.count();
    let mut acknowledged = begin_append(&mut log, 0).await;
    assert!(time::timeout(MOMENT, &mut acknowledged).await.is_err(), "not before the sync is through");
    assert_eq!(log.try_get_log_entries(0..9).await.expect("readable").len(), 1, "but it can be read");
    held.close(false);
    time::timeout(LONG, acknowledged).await.expect("soon").expect("answered").expect("durable");
    assert_eq!(held.count() - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_wait_for_a_sync_share_the_next_one() {
    let World { held, mut log, disk: _disk, _folder, .. } = world();
    held.close(true);
    let before = held.count();
    let mut waiting = Vec::new();
    for index in 0..200 {
        waiting.push(begin_append(&mut log, index).await);
    }
    held.close(false);
    for acknowledged in waiting {
        time::timeout(LONG, acknowledged).await.expect("soon").expect("answered").expect("durable");
    }
    let syncs = held.count() - before;
    assert!((1..=3).contains(&syncs), "{syncs} syncs for 200 appends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_of_the_log_is_counted_and_timed_once_it_is_through() {
    const COUNT: &str = "quorate_storage_log_sync_duration_seconds_count";
    const SUM: &str = "quorate_storage_log_sync_duration_seconds_sum";
    let World { held, metrics, mut log, disk: _disk, _folder } = world();
    held.close(true);
    let acknowledged = begin_append(&mut log, 0).await;
    time::sleep(MOMENT).await;
    assert_eq!(shown(&metrics, COUNT), 0.0, "it is still under way");
    held.close(false);
    time::timeout(LONG, acknowledged).await.expect("soon").expect("answered").expect("durable");
    assert_eq!(shown(&metrics, COUNT), 1.0);
    // A little less: the sync is begun by another task.
    assert!(shown(&metrics, SUM) > MOMENT.as_secs_f64() / 2.0, "{}", shown(&metrics, SUM));
    *held.fail.lock().expect("no panic holds it") = true;
    append(&mut log, vec![blank(1, 1)]).await.expect_err("the disk failed");
    assert_eq!(shown(&metrics, COUNT), 1.0, "what failed made nothing durable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_is_saved_only_after_a_sync() {
    let World { held, mut log, disk: _disk, _folder, .. } = world();
    held.close(true);
    let mut reader = log.clone();
    let given = vote(3, false);
    let mut saving = Box::pin(log.save_vote(&given));
    assert!(time::timeout(MOMENT, &mut saving).await.is_err());
    assert_eq!(reader.read_vote().await.expect("readable"), None, "nor is it told to anybody before");
    held.close(false);
    saving.await.expect("durable");
    assert_eq!(reader.read_vote().await.expect("readable"), Some(given));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_deletes_only_after_its_marker_is_synced() {
    let World { held, mut log, disk: _disk, _folder, .. } = world();
    append(&mut log, (0..10).map(|i| blank(1, i)).collect()).await.expect("durable");
    held.close(true);
    let mut reader = log.clone();
    let mut purging = Box::pin(log.purge(log_id(1, 4)));
    assert!(time::timeout(MOMENT, &mut purging).await.is_err());
    assert_eq!(reader.try_get_log_entries(0..10).await.expect("readable").len(), 10);
    held.close(false);
    purging.await.expect("purged");
    assert_eq!(reader.try_get_log_entries(0..10).await.expect("readable").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_final() {
    let World { held, mut log, disk, _folder, .. } = world();
    append(&mut log, vec![blank(1, 0)]).await.expect("durable");
    *held.fail.lock().expect("no panic holds it") = true;
    append(&mut log, vec![blank(1, 1)]).await.expect_err("the disk failed");
    *held.fail.lock().expect("no panic holds it") = false;
    // The disk is well again, but nobody knows what it dropped.
    append(&mut log, vec![blank(1, 2)]).await.expect_err("still");
    log.save_vote(&vote(9, true)).await.expect_err("still");
    log.try_get_log_entries(0..1).await.expect_err("still");
    let engine = disk.engine();
    engine.write(Batch::default()).expect_err("still");
    engine.flush().await.expect_err("still");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_becomes_a_file_of_its_own() {
    let World { mut log, disk: _disk, _folder, .. } = world();
    let large: Vec<_> = (0..20).map(|i| support::register(1, i, 12_000)).collect();
    append(&mut log, large).await.expect("durable");
    let mut entry = support::register(1, 20, 0);
    if let openraft::EntryPayload::Normal(quorate_storage::LogEntry(entry)) = &mut entry.payload {
        let one = entry.proposals[0].clone();
        entry.proposals = vec![one; 20_000];
    }
    append(&mut log, vec![entry.clone()]).await.expect("durable");
    assert_eq!(log.try_get_log_entries(20..21).await.expect("readable"), [entry]);
    let blobs = _folder.path().join("log/blobs");
    assert_eq!(std::fs::read_dir(blobs).map_or(0, Iterator::count), 0);
}
