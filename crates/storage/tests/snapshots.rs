//! Snapshots at size, on a real folder: what is held at once, what goes on meanwhile, what happens without room. Counted,
//! not timed.
#![cfg(not(madsim))]

mod support;

use openraft::{RaftSnapshotBuilder, storage::RaftStateMachine};
use quorate_rt::time;
use quorate_storage::{
    Disk, LogStore, Machine,
    snapshots::{Draft, SnapshotFile, SnapshotFiles},
};
use quorate_telemetry::Metrics;
use std::{
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};
use support::{Silent, apply, bytes_of, form, register, reopen, shown};

/// More than any test writes.
const ENDLESS: u64 = u64::MAX;

/// A folder whose disk has so much room, whose writes may be held up, and that remembers the largest ones.
struct Watched {
    files: Arc<dyn SnapshotFiles>,
    seen: Arc<Seen>,
}

struct Seen {
    room: AtomicU64,
    write_max: AtomicUsize,
    read_max: AtomicUsize,
    /// The first write of a draft waits for word from here.
    gate: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Watched {
    fn over(files: Arc<dyn SnapshotFiles>) -> (Arc<Self>, Arc<Seen>) {
        let (write_max, read_max) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let seen = Seen { room: AtomicU64::new(ENDLESS), write_max, read_max, gate: Mutex::new(None) };
        let seen = Arc::new(seen);
        (Arc::new(Self { files, seen: seen.clone() }), seen)
    }
}

impl SnapshotFiles for Watched {
    fn begin(&self) -> io::Result<Box<dyn Draft>> {
        Ok(Box::new(WatchedDraft { draft: self.files.begin()?, seen: self.seen.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn SnapshotFile>> {
        Ok(Arc::new(WatchedFile { file: self.files.open(name)?, seen: self.seen.clone() }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }
}

struct WatchedDraft {
    draft: Box<dyn Draft>,
    seen: Arc<Seen>,
}

impl Write for WatchedDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(gate) = self.seen.gate.lock().expect("no panic holds it").take() {
            gate.recv().expect("the test gives word");
        }
        self.seen.write_max.fetch_max(bytes.len(), Ordering::Relaxed);
        let room = self.seen.room.load(Ordering::Relaxed);
        let left = room.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::StorageFull)?;
        if room != ENDLESS {
            self.seen.room.store(left, Ordering::Relaxed);
        }
        self.draft.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

impl Draft for WatchedDraft {
    fn sync(&mut self) -> io::Result<()> {
        self.draft.sync()
    }

    fn read(&self) -> io::Result<Arc<dyn SnapshotFile>> {
        self.draft.read()
    }

    fn keep(self: Box<Self>, name: &str) -> io::Result<()> {
        self.draft.keep(name)
    }
}

struct WatchedFile {
    file: Arc<dyn SnapshotFile>,
    seen: Arc<Seen>,
}

impl SnapshotFile for WatchedFile {
    fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.seen.read_max.fetch_max(into.len(), Ordering::Relaxed);
        self.file.read_at(at, into)
    }
}

/// Opens a node whose snapshots are watched; its log stays empty.
async fn open(folder: &Path) -> (Machine, Arc<Seen>, Arc<Metrics>, LogStore) {
    let disk = reopen(folder).await;
    let (files, seen) = Watched::over(disk.snapshots());
    let metrics = Metrics::new();
    let control = metrics.control().clone();
    let log = LogStore::open(disk.engine(), disk.mark(), control.clone()).expect("sound");
    let machine = Machine::open(files, &log, Arc::new(Silent), control).await.expect("sound");
    (machine, seen, metrics, log)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("snapshots")).expect("a folder");
    entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect()
}

/// A hundred thousand workers on request (`QUORATE_SNAPSHOT_WORKERS`); fewer by default, since the figure is a bound on
/// pieces, which does not depend on their number.
fn workers() -> u64 {
    std::env::var("QUORATE_SNAPSHOT_WORKERS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

async fn fill(machine: &mut Machine) {
    apply(machine, vec![form(1, 0)]).await.expect("applied");
    let all: Vec<_> = (1..=workers()).map(|index| register(1, index, 200)).collect();
    apply(machine, all).await.expect("applied");
}

/// The whole file is many times larger than anything that goes into it or comes out of it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_state_is_written_and_read_in_bounded_pieces() {
    const PIECE: usize = 300 << 10;
    let folder = tempfile::tempdir().expect("a folder");
    let (mut machine, seen, _metrics, log) = open(folder.path()).await;
    fill(&mut machine).await;
    let built = machine.get_snapshot_builder().await.build_snapshot().await.expect("built");
    let (bytes, largest) = (built.snapshot.bytes(), seen.write_max.load(Ordering::Relaxed));
    assert!(bytes > 10 * largest as u64 && largest <= PIECE, "{largest} bytes at once, of {bytes}");
    let before = machine.state().parts();
    drop((machine, log, built));
    let (machine, seen, _metrics, _log) = open(folder.path()).await;
    assert_eq!(machine.state().parts(), before);
    let largest = seen.read_max.load(Ordering::Relaxed);
    assert!(largest <= PIECE, "{largest} bytes at once, of {bytes}");
}

/// The build is stopped after its first byte, and does not go on before thousands of entries were applied: an apply that
/// waited for it would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_applied_while_a_snapshot_is_built() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut machine, seen, _metrics, _log) = open(folder.path()).await;
    apply(&mut machine, (0..500).map(|i| if i == 0 { form(1, 0) } else { register(1, i, 0) }).collect())
        .await
        .expect("applied");
    let then = machine.state().parts();
    let (go_on, gate) = mpsc::channel();
    *seen.gate.lock().expect("no panic holds it") = Some(gate);
    let mut builder = machine.get_snapshot_builder().await;
    let building = quorate_rt::spawn(async move { builder.build_snapshot().await });
    for index in 500..3_000 {
        apply(&mut machine, vec![register(1, index, 0)]).await.expect("applied");
    }
    assert!(!building.is_finished(), "it waits");
    go_on.send(()).expect("it listens");
    let built = building.await.expect("it runs").expect("built");
    let (_, parts) = quorate_codec::snapshot::decode(&bytes_of(&built.snapshot)).expect("whole");
    assert_eq!(parts, then, "the state as it was when it was asked for");
}

/// R8: no room in the middle of a snapshot. Nothing half written is kept, counted or left in the way; entries go on; and
/// it is there within ten seconds of room.
#[tokio::test(start_paused = true)]
async fn r8_no_room_for_a_snapshot_leaves_nothing_and_is_over_soon_after() {
    const BUILT: &str = "quorate_storage_snapshots_built_total";
    let folder = tempfile::tempdir().expect("a folder");
    let (mut machine, seen, metrics, log) = open(folder.path()).await;
    let entries = |range: std::ops::Range<u64>| range.map(|i| register(1, i, 2_000)).collect();
    apply(&mut machine, vec![form(1, 0)]).await.expect("applied");
    apply(&mut machine, entries(1..200)).await.expect("applied");
    let first = machine.get_snapshot_builder().await.build_snapshot().await.expect("there is room");
    apply(&mut machine, entries(200..1_000)).await.expect("applied");
    seen.room.store(first.snapshot.bytes() * 2, Ordering::Relaxed);
    let mut builder = machine.get_snapshot_builder().await;
    let building = quorate_rt::spawn(async move { builder.build_snapshot().await });
    time::sleep(Duration::from_secs(60)).await;
    assert!(!building.is_finished(), "it waits for room");
    assert_eq!(names(folder.path()), [format!("{:020}.snapshot", 200)], "the one before, and nothing else");
    assert_eq!(shown(&metrics, BUILT), 1.0);
    apply(&mut machine, entries(1_000..1_100)).await.expect("entries go on being applied");
    seen.room.store(ENDLESS, Ordering::Relaxed);
    let built = time::timeout(Duration::from_secs(10), building).await.expect("soon").expect("runs");
    assert_eq!(built.expect("built").meta.last_log_id.map(|id| id.index), Some(999));
    assert_eq!(shown(&metrics, BUILT), 2.0);
    let current = machine.get_current_snapshot().await.expect("readable").expect("there is one");
    assert_eq!(current.meta.last_log_id.map(|id| id.index), Some(999));
    drop((machine, log, current, first));
    let (machine, ..) = open(folder.path()).await;
    assert_eq!(machine.state().index().0, 999);
}

/// R8, on the receiving side: what can't be kept is refused, and gone.
#[tokio::test]
async fn r8_no_room_for_a_received_snapshot_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (machine, seen, _metrics, _log) = open(folder.path()).await;
    seen.room.store(1_000, Ordering::Relaxed);
    let mut draft = machine.snapshots().begin().expect("a file takes no room");
    draft.write_all(&[0; 900]).expect("there is room");
    assert_eq!(names(folder.path()).len(), 1, "the draft");
    assert_eq!(draft.write_all(&[0; 900]).expect_err("there is none").kind(), io::ErrorKind::StorageFull);
    drop(draft);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn a_draft_that_a_crash_left_is_gone_after_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()).await);
    std::fs::write(folder.path().join("snapshots/0.tmp"), b"half of one").expect("written");
    let (_machine, ..) = open(folder.path()).await;
    assert_eq!(names(folder.path()), [""; 0]);
}

/// Whoever it was sent to found the newest one damaged, beyond its head: it is checked, and built anew.
#[tokio::test]
async fn a_doubted_snapshot_is_checked_before_it_is_used_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut machine, ..) = open(folder.path()).await;
    apply(&mut machine, vec![form(1, 0)]).await.expect("applied");
    apply(&mut machine, (1..50).map(|i| register(1, i, 2_000)).collect()).await.expect("applied");
    let built = machine.get_snapshot_builder().await.build_snapshot().await.expect("built");
    let file = folder.path().join("snapshots").join(format!("{:020}.snapshot", 50));
    let mut bytes = bytes_of(&built.snapshot);
    let behind_the_head = bytes.len() - 1_000;
    bytes[behind_the_head] ^= 1;
    std::fs::write(&file, &bytes).expect("written");
    machine.snapshots().doubt();
    let current = machine.get_current_snapshot().await.expect("built anew").expect("there is one");
    quorate_codec::snapshot::decode(&bytes_of(&current.snapshot)).expect("whole");
}
