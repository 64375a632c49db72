//! What snapshots are kept in: a folder of files, real or simulated. A state may be larger than anybody wants to hold
//! in memory twice, so nothing here takes or gives a whole file.

use std::{
    fmt,
    io::{self, Read, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// Files of a folder. Names have no separators. All calls block.
pub trait SnapshotFiles: Send + Sync + 'static {
    /// Begins a file that nobody lists or opens. Dropped before it is kept, it is gone; what a crash leaves of it is
    /// gone after the next start.
    fn begin(&self) -> io::Result<Box<dyn Draft>>;
    /// Opens a file; an error of kind `NotFound` if there is none. It stays readable when it is removed.
    fn open(&self, name: &str) -> io::Result<Arc<dyn SnapshotFile>>;
    /// All names, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Removes a file. It may come back if the power fails.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A file that is being written.
pub trait Draft: Write + Send {
    /// What was written so far is on the disk when this returns: after it, [`Draft::keep`] needs no room any more.
    fn sync(&mut self) -> io::Result<()>;
    /// What was written so far. It stays readable, whatever becomes of the draft.
    fn read(&self) -> io::Result<Arc<dyn SnapshotFile>>;
    /// Gives it its name. On return it is on the disk whole; after a crash it is there whole or not at all.
    fn keep(self: Box<Self>, name: &str) -> io::Result<()>;
}

/// A file that is open.
pub trait SnapshotFile: Send + Sync + 'static {
    /// Its size, in bytes.
    fn bytes(&self) -> u64;
    /// Reads from `at` into `into`; fewer bytes only at the end of the file.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// A draft that the first to install it takes.
type SharedDraft = Mutex<Option<Box<dyn Draft>>>;

/// A snapshot as Raft hands it around: not its bytes, but where they lie.
#[derive(Clone)]
pub struct SnapshotData {
    file: Arc<dyn SnapshotFile>,
    /// Of a snapshot that a peer sent and that is not installed yet.
    draft: Option<Arc<SharedDraft>>,
}

impl SnapshotData {
    /// One that is kept.
    pub(crate) fn kept(file: Arc<dyn SnapshotFile>) -> Self {
        Self { file, draft: None }
    }

    /// One that was received. Its bytes are on the disk when this returns. Blocks.
    pub fn received(mut draft: Box<dyn Draft>) -> io::Result<Self> {
        draft.sync()?;
        Ok(Self { file: draft.read()?, draft: Some(Arc::new(Mutex::new(Some(draft)))) })
    }

    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// At most `bytes_max` bytes from `at`; empty at its end. Blocks.
    pub fn piece(&self, at: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.bytes().saturating_sub(at)).unwrap_or(usize::MAX);
        let mut piece = vec![0; left.min(bytes_max)];
        let read = self.file.read_at(at, &mut piece)?;
        piece.truncate(read);
        Ok(piece)
    }

    /// Reads it from the beginning. Blocks.
    pub fn reader(&self) -> Reader {
        reader(self.file.clone())
    }

    /// The file that it was received into; `None`: it was not received, or is installed already.
    pub(crate) fn take_draft(&self) -> Option<Box<dyn Draft>> {
        self.draft.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotData").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// So much is read from a file at once, in bytes.
const READ_BYTES: usize = 256 << 10;

/// Reads an open file from its beginning.
pub type Reader = io::BufReader<Cursor>;

pub(crate) fn reader(file: Arc<dyn SnapshotFile>) -> Reader {
    io::BufReader::with_capacity(READ_BYTES, Cursor { file, at: 0 })
}

/// Where a reader stands in a file.
pub struct Cursor {
    file: Arc<dyn SnapshotFile>,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.at, into)?;
        self.at += read as u64;
        Ok(read)
    }
}
