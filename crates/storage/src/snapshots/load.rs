//! From a snapshot to a state, piece by piece.

use crate::{convert::meta_from, types::SnapshotMeta};
use quorate_codec::{
    DecodeError,
    snapshot::{Place, ReadError, Reader},
};
use quorate_state::{Builder, PartsError, State};
use std::io::{self, Read};

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
    Parts(#[from] PartsError),
}

impl From<ReadError> for SnapshotError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(e) => Self::Io(e),
            ReadError::Decode(e) => Self::Decode(e),
        }
    }
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

/// A snapshot and the state that it holds.
pub struct Loaded {
    /// What it says about itself.
    pub meta: SnapshotMeta,
    /// The state.
    pub state: State,
}

/// Reads and checks a whole snapshot. Costs O(state), and memory for the state and one section.
pub fn load(input: impl Read) -> Result<Loaded, SnapshotError> {
    let mut reader = Reader::begin(input)?;
    let mut builder = Builder::new(reader.head());
    while let Some(batch) = reader.next_batch()? {
        for worker in batch.workers {
            match batch.place {
                Place::Standing => builder.worker(worker)?,
                Place::Restoring => builder.restoring_worker(worker)?,
            }
        }
    }
    Ok(Loaded { meta: meta_from(reader.meta().clone()), state: builder.finish()? })
}
