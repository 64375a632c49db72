//! Files that are there whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

pub(super) const UNFINISHED: &str = ".tmp";

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
