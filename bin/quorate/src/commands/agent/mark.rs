//! What tells the agent's own drain from an operator's, when the agent was killed before it could take it back.
//!
//! A file beside the state file, there from before the drain is asked for until it does not stand any more. Without a
//! state file there is no mark, and a drain that was left behind stays until somebody ends it: the agent must not end
//! an operator's.

use super::identity::sync_folder_of;
use quorate_client::OwnDrain;
use quorate_model::WorkerId;
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

#[derive(Clone, Debug)]
pub struct Mark {
    path: PathBuf,
    id: WorkerId,
}

impl Mark {
    pub fn beside(state_file: &Path, id: &WorkerId) -> Self {
        let mut path = state_file.to_owned().into_os_string();
        path.push(".draining");
        Self { path: path.into(), id: id.clone() }
    }

    /// Whether this worker was left drained by the agent itself.
    pub fn stands(&self) -> bool {
        match fs::read_to_string(&self.path) {
            Ok(text) => text.trim() == self.id.as_str(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read whether a drain was left behind");
                false
            }
        }
    }

    /// An end without a mark is better than none, so what fails is only said.
    pub fn keep(&self, drain: OwnDrain) {
        let kept = match drain {
            OwnDrain::Begins => self.write(),
            OwnDrain::IsOver => self.remove(),
        };
        if let Err(error) = kept {
            tracing::warn!(path = %self.path.display(), %error, "cannot keep the mark of the drain");
        }
    }

    fn write(&self) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        writeln!(file, "{}", self.id)?;
        file.sync_all()?;
        sync_folder_of(&self.path)
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => sync_folder_of(&self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_one_worker_and_stands_until_the_drain_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let state_file = folder.path().join("id");
        let mark = |id: &str| Mark::beside(&state_file, &WorkerId::parse(id).expect("an id"));
        assert!(!mark("w1").stands());
        mark("w1").keep(OwnDrain::Begins);
        assert!(mark("w1").stands() && !mark("w2").stands());
        assert!(folder.path().join("id.draining").exists());
        for _ in 0..2 {
            mark("w1").keep(OwnDrain::IsOver);
            assert!(!mark("w1").stands());
        }
    }
}
