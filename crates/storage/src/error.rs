//! Why what is on the disk is not used, and what to do about it.

use quorate_codec::DecodeError;
use std::{io, path::PathBuf};

/// A node that can't trust its disk does not start. Each message ends with the remedy; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("{what} can't be opened: {source}")]
    Io {
        /// What.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// This process may not use the folder. Another start changes nothing before somebody else does.
    #[error(
        "the data folder {folder} can't be used ({what}: {source}): give this process a folder that it may read and write, on a file system that is not read-only"
    )]
    NotUsable {
        /// The folder.
        folder: PathBuf,
        /// What was tried.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The folder was written by a newer version.
    #[error(
        "the data folder {folder} has format {got}, this version knows {known}: run the newer version again, or remove the folder and let the node rejoin"
    )]
    NewerFormat {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        got: u32,
        /// Ours.
        known: u32,
    },
    /// The folder belongs to another node.
    #[error(
        "the data folder {folder} belongs to node `{theirs}`, this node is `{ours}`: mount the right folder, or start it under its old name"
    )]
    OtherNode {
        /// The folder.
        folder: PathBuf,
        /// Our name.
        ours: String,
        /// Its node's name.
        theirs: String,
    },
    /// The folder holds something else.
    #[error(
        "{folder} is no data folder of Quorate, and it is not empty (there is `{found}`): name an empty folder"
    )]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// Something in it.
        found: String,
    },
    /// Another process uses the folder.
    #[error("the data folder {folder} is in use by another process: stop that one first")]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The identity can't be read.
    #[error("the identity of the data folder {folder} can't be read ({source}): {REJOIN}")]
    Identity {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: DecodeError,
    },
    /// Something in the log is not what was written.
    #[error("the log is damaged at {at} ({problem}): {REJOIN}")]
    DamagedLog {
        /// Where.
        at: String,
        /// How.
        problem: String,
    },
    /// A record between others is missing.
    #[error("the log has a gap: record {found} follows {after}: {REJOIN}")]
    Gap {
        /// The last record before the gap; `none` at the beginning.
        after: String,
        /// The first one behind it.
        found: u64,
    },
    /// Records are missing that this node has acknowledged.
    #[error("the log ends at {last}, but this node has acknowledged records up to {acknowledged}: {REJOIN}")]
    LostRecords {
        /// The last record; `none` for an empty log.
        last: String,
        /// The last one that was acknowledged.
        acknowledged: u64,
    },
    /// A vote is missing that this node has given: it could vote twice in one term.
    #[error(
        "the vote on disk ({stored}) does not follow from the last one that this node gave ({given}): {REJOIN}"
    )]
    LostVote {
        /// What is there; `none` if nothing is.
        stored: String,
        /// What was given.
        given: String,
    },
    /// No snapshot can be used, and the log no longer reaches back to the beginning.
    #[error("the log begins after record {purged}, and no snapshot reaches that far ({problem}): {REJOIN}")]
    NoSnapshot {
        /// The last record that was purged.
        purged: u64,
        /// What is wrong with the snapshots.
        problem: String,
    },
}

/// The remedy for what only peers can repair.
pub const REJOIN: &str = "while a majority of the other nodes runs, remove its data folder and start it again: it rejoins under its name and gets everything from them; without one, keep the folder";

impl OpenError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
