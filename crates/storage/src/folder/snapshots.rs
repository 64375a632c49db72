//! The folder of snapshot files.

use super::files::{UNFINISHED, sync_folder};
use crate::snapshots::{Draft, SnapshotFile, SnapshotFiles};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A draft is synced each time that it has grown by so many bytes. One sync of hundreds of megabytes at its end
/// would stand before those of the log, and every write of the cluster would wait for it.
const SYNC_EVERY_BYTES: usize = 8 << 20;

/// The snapshot files of a node.
pub struct RealFiles {
    folder: Arc<Path>,
    drafts: AtomicU64,
}

impl RealFiles {
    /// Makes the folder if there is none, and removes what a crash left half written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        sync_folder(folder)?;
        Ok(Self { folder: folder.into(), drafts: AtomicU64::new(0) })
    }
}

impl SnapshotFiles for RealFiles {
    fn begin(&self) -> io::Result<Box<dyn Draft>> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{number}{UNFINISHED}"));
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path)?;
        Ok(Box::new(RealDraft { folder: self.folder.clone(), path, file, unsynced: 0, kept: false }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn SnapshotFile>> {
        opened(File::open(self.folder.join(name))?)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names =
            fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.retain(|name| !name.ends_with(UNFINISHED));
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }
}

struct RealDraft {
    folder: Arc<Path>,
    path: PathBuf,
    file: File,
    unsynced: usize,
    kept: bool,
}

impl Write for RealDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for RealDraft {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        self.unsynced = 0;
        Ok(())
    }

    fn read(&self) -> io::Result<Arc<dyn SnapshotFile>> {
        opened(self.file.try_clone()?)
    }

    fn keep(mut self: Box<Self>, name: &str) -> io::Result<()> {
        self.sync()?;
        fs::rename(&self.path, self.folder.join(name))?;
        self.kept = true;
        sync_folder(&self.folder)
    }
}

impl Drop for RealDraft {
    fn drop(&mut self) {
        if !self.kept {
            // On a full disk it is in the way of the next try. If it can't be removed, the next start does.
            let _ = fs::remove_file(&self.path);
        }
    }
}

struct RealFile {
    file: File,
    bytes: u64,
}

fn opened(file: File) -> io::Result<Arc<dyn SnapshotFile>> {
    let bytes = file.metadata()?.len();
    Ok(Arc::new(RealFile { file, bytes }))
}

impl SnapshotFile for RealFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.file.read_at(&mut into[read..], at + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(read)
    }
}
