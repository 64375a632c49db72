//! Snapshot files: written piece by piece and then kept as a whole, two at a time, each checked before it is used.

mod files;
mod load;

pub use files::{Draft, Reader, SnapshotData, SnapshotFile, SnapshotFiles};
pub use load::{Loaded, SnapshotError, load};

use crate::{
    convert::{meta_from, meta_of},
    error::OpenError,
    types::{LogId, SnapshotMeta},
};
use quorate_codec::snapshot::{self, Written};
use quorate_state::State;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The newest and, in case it is damaged, the one before.
const KEPT: usize = 2;
const SUFFIX: &str = ".snapshot";

/// The snapshots of a node. All calls block.
#[derive(Clone)]
pub struct Snapshots {
    files: Arc<dyn SnapshotFiles>,
    /// Somebody to whom the newest one was sent found it damaged.
    doubted: Arc<AtomicBool>,
}

/// Sorts by how far the snapshot reaches; 0 is one that holds nothing.
fn name(last: Option<LogId>) -> String {
    format!("{:020}{SUFFIX}", last.map_or(0, |id| id.index.saturating_add(1)))
}

impl Snapshots {
    /// Those in `files`.
    pub fn new(files: Arc<dyn SnapshotFiles>) -> Self {
        Self { files, doubted: Arc::default() }
    }

    /// Begins a file for a snapshot that a peer or an operator sends.
    pub fn begin(&self) -> io::Result<Box<dyn Draft>> {
        self.files.begin()
    }

    /// Says that the newest one may be damaged: it is checked before it is used again.
    pub fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Newest first.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = self.files.list()?;
        names.retain(|name| name.ends_with(SUFFIX));
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }

    /// Writes a state down and keeps it.
    pub(crate) fn build(&self, meta: &SnapshotMeta, state: &State) -> io::Result<(SnapshotData, Written)> {
        let (draft, written) = snapshot::write(&meta_of(meta), state, self.files.begin()?)?;
        let file = draft.read()?;
        self.keep(draft, meta.last_log_id)?;
        Ok((SnapshotData::kept(file), written))
    }

    /// Keeps one that came from elsewhere.
    pub(crate) fn keep_received(&self, last: Option<LogId>, data: &SnapshotData) -> io::Result<()> {
        let draft = match data.take_draft() {
            Some(draft) => draft,
            None => {
                let mut copy = self.files.begin()?;
                io::copy(&mut data.reader(), &mut copy)?;
                copy
            }
        };
        self.keep(draft, last)
    }

    /// Keeps one and removes what is not needed any more.
    fn keep(&self, draft: Box<dyn Draft>, last: Option<LogId>) -> io::Result<()> {
        draft.keep(&name(last))?;
        self.doubted.store(false, Ordering::Relaxed);
        for old in self.names()?.iter().skip(KEPT) {
            self.files.remove(old)?;
        }
        Ok(())
    }

    /// The newest one. Its head is checked; the rest was, when it was written or when the node started, and whoever
    /// it is sent to checks all of it: while this runs, nothing is applied.
    pub(crate) fn newest(&self) -> Result<Option<(SnapshotMeta, SnapshotData)>, SnapshotError> {
        let Some(name) = self.names()?.into_iter().next() else { return Ok(None) };
        let data = SnapshotData::kept(self.files.open(&name)?);
        // Taken first: a doubt that is raised meanwhile stays.
        let meta = if self.doubted.swap(false, Ordering::Relaxed) {
            snapshot::verify(data.reader()).inspect_err(|_| self.doubted.store(true, Ordering::Relaxed))?
        } else {
            snapshot::Reader::begin(data.reader())?.meta().clone()
        };
        Ok(Some((meta_from(meta), data)))
    }

    /// The newest one that can be used by a log that begins after record `purged`. A damaged one is passed over
    /// only if the log still reaches back to the one before it.
    pub(crate) fn open(&self, purged: Option<u64>) -> Result<Option<Loaded>, OpenError> {
        let mut problem = "there is none".to_owned();
        let mut passed_over = Vec::new();
        for name in self.names().map_err(OpenError::io("the snapshots"))? {
            let opened = self.files.open(&name).map_err(SnapshotError::from);
            match opened.and_then(|file| load(files::reader(file))) {
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
