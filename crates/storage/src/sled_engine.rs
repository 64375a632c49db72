//! sled as an [`Engine`]: fast, ordered, atomic batches, prefix-of-history recovery, and no fsync.
//!
//! sled 0.34 on Linux "flushes" with `sync_file_range`, which neither waits for the disk's cache nor writes the
//! file's length (spacejam/sled#1452: 17,104 calls against one fsync, counted). So the file is synced here, after
//! sled has written it, on a thread that may wait. What follows from that:
//!
//! - **Before sled opens**, its file is synced. Recovery writes (and syncs) a table of what it found; if the power
//!   then failed, that table would speak of bytes that were only in the page cache.
//! - **Its settings too**: sled writes `conf` once, never syncs it, and refuses everything if it is not whole.
//! - **Values stay small** ([`VALUE_BYTES_MAX`]) and segments large: sled puts values beyond a part of a segment
//!   into files of their own under `blobs/`, which nobody syncs. A blob is refused at the next start.
//! - **One tree**, since a batch is atomic only within one.
//! - **A failed flush or sync is final** ([`Engine`] says why).

use crate::{
    engine::{Batch, Engine, Op, Pair, check_sizes},
    folder::files::sync_folder,
};
use futures_util::future::BoxFuture;
use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// sled's unit of allocation, in bytes. Its file is never smaller than a few of them.
pub const SEGMENT_BYTES: usize = 4 << 20;
const CACHE_BYTES: u64 = 64 << 20;
const TREE: &[u8] = b"node";
/// How often, and after which pause, it is looked whether an engine on the same folder has closed.
const CLOSING_TRIES: u32 = 100;
const CLOSING_PAUSE: Duration = Duration::from_millis(10);

const _: () =
    assert!(crate::engine::VALUE_BYTES_MAX * 64 < SEGMENT_BYTES, "no value is large enough to become a blob");

/// What makes bytes durable. A trait, so that a test can count the syncs: `kill -9` can't show that one is
/// missing, since the page cache outlives the process.
pub trait Sync: Send + std::marker::Sync + 'static {
    /// Returns once the file's bytes are on the disk.
    fn sync_data(&self, file: &File) -> io::Result<()>;
}

/// The real one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fsync;

impl Sync for Fsync {
    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// sled in a folder of its own.
pub struct SledEngine {
    db: sled::Db,
    tree: sled::Tree,
    file: Arc<File>,
    sync: Arc<dyn Sync>,
    failed: Arc<AtomicBool>,
    syncs: Arc<AtomicU64>,
    /// Last, so that it is let go after sled has closed its files.
    lock: Option<Arc<File>>,
}

fn io_error(error: sled::Error) -> io::Error {
    match error {
        sled::Error::Io(e) => e,
        e @ sled::Error::Corruption { .. } => io::Error::new(io::ErrorKind::InvalidData, e),
        e @ (sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)) => io::Error::other(e),
    }
}

/// sled panics on some damaged files; a damaged file is an error.
fn guarded<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::InvalidData, "sled can't read its own file")))
}

impl SledEngine {
    /// Opens (or makes) the engine in `path`. Blocks.
    pub fn open(path: &Path, sync: Arc<dyn Sync>) -> io::Result<Self> {
        guarded(|| Self::open_unguarded(path, sync))
    }

    fn open_unguarded(path: &Path, sync: Arc<dyn Sync>) -> io::Result<Self> {
        let [file, settings] = ["db", "conf"].map(|name| path.join(name));
        for file in [&file, &settings] {
            if file.exists() {
                File::open(file)?.sync_all()?;
            }
        }
        refuse_blobs(path)?;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None);
        let db = open_once_it_is_closed(&config)?;
        let tree = db.open_tree(TREE).map_err(io_error)?;
        db.flush().map_err(io_error)?;
        let file = File::open(file)?;
        file.sync_all()?;
        File::open(settings)?.sync_all()?;
        sync_folder(path)?;
        let failed = Arc::default();
        Ok(Self { db, tree, file: Arc::new(file), sync, failed, syncs: Arc::default(), lock: None })
    }

    /// Keeps a lock file open for as long as anybody uses the engine.
    #[must_use]
    pub fn holding(mut self, lock: Arc<File>) -> Self {
        self.lock = Some(lock);
        self
    }

    /// Bytes on the disk.
    pub fn size_on_disk(&self) -> io::Result<u64> {
        self.db.size_on_disk().map_err(io_error)
    }

    /// Bytes of all keys and values. Reads everything.
    pub fn live_bytes(&self) -> io::Result<u64> {
        guarded(|| {
            self.tree.iter().try_fold(0, |sum, pair| {
                let (key, value) = pair.map_err(io_error)?;
                Ok(sum + (key.len() + value.len()) as u64)
            })
        })
    }

    /// How often the file was synced since the start.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Copies everything into `other` and makes it durable there. Blocks.
    pub fn copy_into(&self, other: &Self) -> io::Result<()> {
        guarded(|| {
            for pair in &self.tree {
                let (key, value) = pair.map_err(io_error)?;
                other.tree.insert(key, value).map_err(io_error)?;
            }
            other.flush_now()
        })
    }

    /// All pairs from `from` (inclusive) to `to` (exclusive), by key.
    pub fn pairs(&self, from: &[u8], to: &[u8]) -> io::Result<impl Iterator<Item = io::Result<Pair>>> {
        self.check()?;
        let mut pairs = self.tree.range(from..to);
        Ok(std::iter::from_fn(move || {
            guarded(|| pairs.next().map(|p| p.map(pair).map_err(io_error)).transpose()).transpose()
        }))
    }

    fn check(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier flush failed: what is on the disk is not known"));
        }
        Ok(())
    }

    /// Returns once everything that was written is on the disk. Blocks.
    pub fn flush_now(&self) -> io::Result<()> {
        self.check()?;
        let flushed = guarded(|| {
            self.db.flush().map_err(io_error)?;
            self.sync.sync_data(&self.file)
        });
        match flushed {
            Ok(()) => {
                self.syncs.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(e) => {
                self.failed.store(true, Ordering::Release);
                Err(e)
            }
        }
    }

    fn handle(&self) -> Self {
        Self {
            db: self.db.clone(),
            tree: self.tree.clone(),
            file: self.file.clone(),
            sync: self.sync.clone(),
            failed: self.failed.clone(),
            syncs: self.syncs.clone(),
            lock: self.lock.clone(),
        }
    }
}

/// sled lets its lock go a moment after its last handle, on a thread of its own. Other processes are kept out by the
/// data folder's own lock before it comes to this.
fn open_once_it_is_closed(config: &sled::Config) -> io::Result<sled::Db> {
    let mut tries = 0;
    loop {
        match config.open() {
            Err(sled::Error::Io(e)) if tries < CLOSING_TRIES && e.to_string().contains("acquire lock") => {
                tries += 1;
                std::thread::sleep(CLOSING_PAUSE);
            }
            opened => return opened.map_err(io_error),
        }
    }
}

/// There are none unless a value was larger than it may be; then its bytes were never synced.
fn refuse_blobs(path: &Path) -> io::Result<()> {
    let blobs = path.join("blobs");
    if blobs.exists() && std::fs::read_dir(&blobs)?.next().is_some() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "there are values in files that were never synced",
        ));
    }
    Ok(())
}

fn pair((key, value): (sled::IVec, sled::IVec)) -> Pair {
    (key.to_vec(), value.to_vec())
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.check()?;
        guarded(|| Ok(self.tree.get(key).map_err(io_error)?.map(|value| value.to_vec())))
    }

    fn range(&self, from: &[u8], to: &[u8], pairs_max: usize) -> io::Result<Vec<Pair>> {
        self.check()?;
        if from >= to {
            return Ok(Vec::new());
        }
        guarded(|| self.tree.range(from..to).take(pairs_max).map(|p| p.map(pair).map_err(io_error)).collect())
    }

    fn last_before(&self, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>> {
        self.check()?;
        if from >= to {
            return Ok(None);
        }
        guarded(|| self.tree.range(from..to).next_back().transpose().map(|p| p.map(pair)).map_err(io_error))
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.check()?;
        check_sizes(&batch)?;
        let mut ops = sled::Batch::default();
        for op in batch.ops {
            match op {
                Op::Put(key, value) => ops.insert(key, value),
                Op::Delete(key) => ops.remove(key),
            }
        }
        guarded(|| self.tree.apply_batch(ops).map_err(io_error)).inspect_err(|_| {
            // Perhaps half of it is in memory.
            self.failed.store(true, Ordering::Release);
        })
    }

    fn flush(&self) -> BoxFuture<'static, io::Result<()>> {
        let handle = self.handle();
        Box::pin(quorate_rt::blocking(move || handle.flush_now()))
    }
}
