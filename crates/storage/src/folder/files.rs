//! Files that are there whole or not at all.

use crate::snapshots::SnapshotFiles;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

const UNFINISHED: &str = ".tmp";

/// Makes additions to, and removals from, a folder durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file under another name, makes it durable, and gives it its name: after a crash there is the old
/// content or the new one.
pub fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{name}{UNFINISHED}"));
    let written = write_synced(&unfinished, bytes);
    if let Err(e) = written {
        // On a full disk it is in the way of the next try.
        let _ = fs::remove_file(&unfinished);
        return Err(e);
    }
    fs::rename(&unfinished, folder.join(name))?;
    sync_folder(folder)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The snapshot files of a node.
pub struct RealFiles {
    folder: PathBuf,
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
        Ok(Self { folder: folder.into() })
    }
}

impl SnapshotFiles for RealFiles {
    fn save(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        replace(&self.folder, name, bytes)
    }

    fn load(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.folder.join(name))
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
