//! The data folder on a real disk.
//!
//! ```text
//! lock          held as long as the node runs
//! identity      whose folder this is (JSON, checksummed)
//! watermark     what was certainly promised
//! log/          the engine; log.new, log.old: a rewrite of it under way
//! journal       what the engine has in memory only
//! snapshots/    snapshot files
//! recovered/, before-recovery/   see [`recovery`]
//! ```
//!
//! A folder of somebody else is left as it was, byte for byte: whoever named the wrong one loses nothing. A log
//! that is refused as damaged may have been changed by sled, which mends what it can when it opens; what is
//! missing is noticed by the watermark, at this start and at the next.

pub mod files;
mod mark;
pub mod recovery;
mod snapshots;
mod space;

pub use mark::RealMark;
pub use snapshots::RealFiles;

use crate::{
    disk::{Disk, Space, check_owner, new_identity, with_cluster, with_level},
    engine::Engine,
    error::OpenError,
    journaled::JournaledEngine,
    sled_engine::{Fsync, Sync},
    snapshots::SnapshotFiles,
    watermark::MarkFile,
};
use files::{replace, sync_folder};
use quorate_codec::{DecodeError, Identity, identity};
use quorate_model::{ClusterId, FeatureLevel, NodeName};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";
const JOURNAL: &str = "journal";
/// What may lie in a folder whose first start was cut short, or at the root of a file system.
const HARMLESS: [&str; 3] = [LOCK, "identity.tmp", "lost+found"];

/// The data folder of one node, locked until neither this value nor anything that was opened from it is left.
pub struct FolderDisk {
    path: PathBuf,
    identity: Mutex<Identity>,
    engine: Arc<JournaledEngine>,
    mark: Arc<RealMark>,
    snapshots: Arc<RealFiles>,
}

impl FolderDisk {
    /// Opens the folder of the node called `name`, or makes it. Blocks.
    pub fn open(path: &Path, name: &NodeName) -> Result<Self, OpenError> {
        Self::open_with(path, name, Arc::new(Fsync))
    }

    /// Whose the folder is, without opening or changing anything; `None`: it is free. Refuses what
    /// [`FolderDisk::open`] would refuse by the identity.
    pub fn peek(path: &Path, name: &NodeName) -> Result<Option<Identity>, OpenError> {
        look(path, name).map_err(|e| refused(e, path))
    }

    /// The same with another way to sync, for tests.
    pub fn open_with(path: &Path, name: &NodeName, sync: Arc<dyn Sync>) -> Result<Self, OpenError> {
        Self::opened(path, name, sync).map_err(|e| refused(e, path))
    }

    fn opened(path: &Path, name: &NodeName, sync: Arc<dyn Sync>) -> Result<Self, OpenError> {
        let at = |what: &str| OpenError::io(format!("{what} of the data folder {}", path.display()));
        // Looked at before anything is made, even the lock.
        look(path, name)?;
        fs::create_dir_all(path).map_err(at("the place"))?;
        let lock = Arc::new(lock(path)?);
        recovery::settle(path).map_err(at("the recovered part"))?;
        // Again, now that nobody else can change it.
        let identity = match look(path, name)? {
            Some(identity) => identity,
            None => make(path, name).map_err(at("the identity"))?,
        };
        // Whoever still writes after this value is gone keeps the folder locked.
        let engine = space::open_engine(path, sync.clone()).map(|engine| engine.holding(lock));
        let journal = path.join(JOURNAL);
        let engine = engine.and_then(|engine| JournaledEngine::open(engine, &journal, sync));
        let engine = engine.map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => {
                OpenError::DamagedLog { at: path.join("log").display().to_string(), problem: e.to_string() }
            }
            _ => at("the log")(e),
        })?;
        let snapshots = RealFiles::open(&path.join("snapshots")).map_err(at("the snapshots"))?;
        let mark = RealMark::open(&path.join("watermark")).map_err(at("the watermark"))?;
        sync_folder(path).map_err(at("the place"))?;
        Ok(Self {
            path: path.into(),
            identity: Mutex::new(identity),
            engine: Arc::new(engine),
            mark: Arc::new(mark),
            snapshots: Arc::new(snapshots),
        })
    }

    /// Bytes that the log takes on the disk.
    pub fn log_size_on_disk(&self) -> io::Result<u64> {
        self.engine.size_on_disk()
    }
}

/// Tells what is about who we are and what is mounted there from what is about the disk.
fn refused(error: OpenError, folder: &Path) -> OpenError {
    use io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    match error {
        OpenError::Io { what, source }
            if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem | NotADirectory) =>
        {
            OpenError::NotUsable { folder: folder.into(), what, source }
        }
        other => other,
    }
}

/// The identity, if the folder is this node's; `None` if the folder is free. Changes nothing.
fn look(path: &Path, name: &NodeName) -> Result<Option<Identity>, OpenError> {
    let bytes = match fs::read(recovery::identity_of(path)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return look_for_strangers(path).map(|()| None),
        Err(e) => return Err(OpenError::io(format!("{}", path.join(IDENTITY).display()))(e)),
    };
    let identity = identity::decode(&bytes).map_err(|source| match source {
        DecodeError::UnknownVersion { got, known, .. } => {
            OpenError::NewerFormat { folder: path.into(), got, known }
        }
        source => OpenError::Identity { folder: path.into(), source },
    })?;
    check_owner(&identity, name, path)?;
    Ok(Some(identity))
}

fn look_for_strangers(path: &Path) -> Result<(), OpenError> {
    let failed = |e| OpenError::io(path.display().to_string())(e);
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(e)),
    };
    for entry in entries {
        let found = entry.map_err(failed)?.file_name();
        if !HARMLESS.iter().any(|harmless| found == *harmless) {
            let found = found.to_string_lossy().into_owned();
            return Err(OpenError::NotOurs { folder: path.into(), found });
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let failed = |e| OpenError::io(format!("{}", path.join(LOCK).display()))(e);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { folder: path.into() }),
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

fn make(path: &Path, name: &NodeName) -> io::Result<Identity> {
    let identity = new_identity(name);
    replace(path, IDENTITY, &identity::encode(&identity))?;
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        sync_folder(parent)?;
    }
    Ok(identity)
}

impl Disk for FolderDisk {
    fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_cluster(&self, cluster: ClusterId) -> io::Result<()> {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = with_cluster(&identity, cluster)? {
            replace(&self.path, IDENTITY, &identity::encode(&changed))?;
            *identity = changed;
        }
        Ok(())
    }

    fn set_level(&self, level: FeatureLevel) -> io::Result<()> {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = with_level(&identity, level) {
            replace(&self.path, IDENTITY, &identity::encode(&changed))?;
            *identity = changed;
        }
        Ok(())
    }

    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    fn mark(&self) -> Arc<dyn MarkFile> {
        self.mark.clone()
    }

    fn snapshots(&self) -> Arc<dyn SnapshotFiles> {
        self.snapshots.clone()
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let stat = rustix::fs::statvfs(&self.path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        // What is left for everybody: some file systems keep a part back for root.
        Ok(Some(Space { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) }))
    }
}
