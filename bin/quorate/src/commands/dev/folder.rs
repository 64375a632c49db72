//! The temporary folder of a play cluster, and what is left of earlier ones.
//!
//! A play cluster that is killed with -9 can't remove its folder. The next one does: only folders that are ours, carry
//! our mark, and whose mark nobody holds locked any more.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};
use tempfile::TempDir;

const PREFIX: &str = "quorate-dev-";
/// Locked by the process that plays.
const MARK: &str = "quorate-dev.lock";

/// A folder of this process.
pub struct Folder {
    folder: TempDir,
    /// Held as long as the folder is used; the system lets go of it however this process ends.
    _mark: File,
}

impl Folder {
    /// A new one in `parent`; those that nobody uses any more are removed.
    pub fn make(parent: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let mark = marked(folder.path())?;
        let owner = fs::symlink_metadata(folder.path())?.uid();
        for left in fs::read_dir(parent)?.flatten().filter(|e| e.path() != folder.path()) {
            if left.file_name().to_string_lossy().starts_with(PREFIX) && is_left(&left.path(), owner) {
                // One that can't be removed is no reason not to play.
                let _ = fs::remove_dir_all(left.path());
            }
        }
        Ok(Self { folder, _mark: mark })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The mark appears under its name only once it is locked, or another process could take it for a leftover.
fn marked(folder: &Path) -> io::Result<File> {
    let unnamed = folder.join("mark");
    let mark = File::create(&unnamed)?;
    mark.lock()?;
    fs::rename(unnamed, folder.join(MARK))?;
    Ok(mark)
}

fn is_left(folder: &Path, owner: u32) -> bool {
    let ours = fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir() && meta.uid() == owner);
    let mark = folder.join(MARK);
    let marked = fs::symlink_metadata(&mark).is_ok_and(|meta| meta.is_file() && meta.uid() == owner);
    ours && marked && File::open(mark).is_ok_and(|mark| mark.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_folders_that_nobody_uses_are_removed() {
        let parent = tempfile::tempdir().expect("a folder");
        let at = |name: &str| parent.path().join(name);
        let used = Folder::make(parent.path()).expect("made");
        for name in ["quorate-dev-left", "quorate-dev-unmarked", "somebody-else"] {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("data"), "x").expect("written");
        }
        drop(marked(&at("quorate-dev-left")).expect("marked, and let go of, as by kill -9"));
        fs::write(at("somebody-else").join(MARK), "").expect("written");
        std::os::unix::fs::symlink(at("somebody-else"), at("quorate-dev-link")).expect("linked");
        let next = Folder::make(parent.path()).expect("made");
        assert!(!at("quorate-dev-left").exists());
        assert!(at("quorate-dev-unmarked").exists() && at("somebody-else/data").exists());
        assert!(used.path().exists() && next.path().exists());
        let path = used.path().to_owned();
        drop(used);
        assert!(!path.exists(), "and its own one at its end");
    }
}
