//! Snapshot files: written whole, two are kept, each is checked before it is used.

use crate::{
    convert::meta_from,
    error::OpenError,
    types::{LogId, SnapshotData, SnapshotMeta},
};
use quorate_codec::{DecodeError, snapshot};
use quorate_state::State;
use std::{io, sync::Arc};

/// Files of a folder, each written atomically and durably. Names have no separators.
pub trait SnapshotFiles: Send + Sync + 'static {
    /// Writes a file. On return it is on the disk whole; after a crash it is there whole or not at all.
    fn save(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Reads a file; an error of kind `NotFound` if there is none.
    fn load(&self, name: &str) -> io::Result<Vec<u8>>;
    /// All names, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Removes a file. It may come back if the power fails.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// The newest and, in case it is damaged, the one before.
const KEPT: usize = 2;
const SUFFIX: &str = ".snapshot";

/// A snapshot that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bytes are not what was written.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The bytes make no state.
    #[error(transparent)]
    Parts(#[from] quorate_state::PartsError),
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Io(e) => e,
            e @ (SnapshotError::Decode(_) | SnapshotError::Parts(_)) => {
                Self::new(io::ErrorKind::InvalidData, e)
            }
        }
    }
}

/// A snapshot, taken apart.
pub(crate) struct Loaded {
    pub meta: SnapshotMeta,
    pub state: State,
}

/// Reads and checks a whole snapshot. Costs O(state).
pub(crate) fn decode(bytes: &[u8]) -> Result<Loaded, SnapshotError> {
    let (meta, parts) = snapshot::decode(bytes)?;
    Ok(Loaded { meta: meta_from(meta), state: State::from_parts(parts)? })
}

/// The snapshots of a node. All calls block.
#[derive(Clone)]
pub(crate) struct Snapshots {
    files: Arc<dyn SnapshotFiles>,
}

/// Sorts by how far the snapshot reaches; 0 is one that holds nothing.
fn name(last: Option<LogId>) -> String {
    format!("{:020}{SUFFIX}", last.map_or(0, |id| id.index.saturating_add(1)))
}

impl Snapshots {
    pub fn new(files: Arc<dyn SnapshotFiles>) -> Self {
        Self { files }
    }

    /// Newest first.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = self.files.list()?;
        names.retain(|name| name.ends_with(SUFFIX));
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }

    /// Saves one and removes what is not needed any more.
    pub fn save(&self, last: Option<LogId>, bytes: &[u8]) -> io::Result<()> {
        self.files.save(&name(last), bytes)?;
        for old in self.names()?.iter().skip(KEPT) {
            self.files.remove(old)?;
        }
        Ok(())
    }

    /// The newest one; its checksums are verified.
    pub fn newest(&self) -> Result<Option<(SnapshotMeta, SnapshotData)>, SnapshotError> {
        let Some(name) = self.names()?.into_iter().next() else { return Ok(None) };
        let bytes = self.files.load(&name)?;
        let meta = meta_from(snapshot::verify(&bytes)?);
        Ok(Some((meta, bytes)))
    }

    /// The newest one that can be used by a log that begins after record `purged`. A damaged one is passed over
    /// only if the log still reaches back to the one before it.
    pub fn open(&self, purged: Option<u64>) -> Result<Option<Loaded>, OpenError> {
        let mut problem = "there is none".to_owned();
        let mut passed_over = Vec::new();
        for name in self.names().map_err(OpenError::io("the snapshots"))? {
            match self.files.load(&name).map_err(SnapshotError::from).and_then(|bytes| decode(&bytes)) {
                Ok(loaded) if loaded.meta.last_log_id.map(|id| id.index) < purged => {
                    problem = format!("{name} ends before; {problem}");
                    break;
                }
                Ok(loaded) => {
                    self.forget(&passed_over);
                    return Ok(Some(loaded));
                }
                Err(SnapshotError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
                    return Err(OpenError::Io { what: format!("snapshot {name}"), source });
                }
                Err(error) => {
                    problem = format!("{name}: {error}");
                    passed_over.push(name);
                }
            }
        }
        match purged {
            Some(purged) => Err(OpenError::NoSnapshot { purged, problem }),
            None => {
                self.forget(&passed_over);
                Ok(None)
            }
        }
    }

    /// Removes damaged files that the log makes up for.
    fn forget(&self, names: &[String]) {
        for name in names {
            tracing::warn!(%name, "a damaged snapshot is passed over; the log makes up for it");
            if let Err(error) = self.files.remove(name) {
                tracing::warn!(%name, %error, "a damaged snapshot can't be removed");
            }
        }
    }
}
