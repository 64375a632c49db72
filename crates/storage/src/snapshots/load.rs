//! From a snapshot to a state, piece by piece.

use crate::{convert::meta_from, types::SnapshotMeta};
use quorate_codec::{
    DecodeError,
    snapshot::{Batch, Opener, Place, ReadError, Reader, Sealed},
};
use quorate_rt::conveyor::{self, Conveyor};
use quorate_state::{Builder, PartsError, State};
use std::{
    io::{self, Read},
    marker::PhantomData,
    ops::ControlFlow,
};

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

/// Reads and checks a whole snapshot. Costs O(state), and memory for the state and a few sections: they are understood
/// on all cores, and put together here in their order. Blocks.
pub fn load(input: impl Read + Send) -> Result<Loaded, SnapshotError> {
    let reader = Reader::begin(input)?;
    let (meta, mut builder) = (meta_from(reader.meta().clone()), Builder::new(reader.head()));
    let mut outcome = Ok(());
    conveyor::carry(&Sections(PhantomData), reader, |batch| {
        outcome = batch.and_then(|batch| take_in(&mut builder, batch));
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    outcome?;
    Ok(Loaded { meta, state: builder.finish()? })
}

fn take_in(builder: &mut Builder, batch: Option<Batch>) -> Result<(), SnapshotError> {
    let Some(Batch { place, workers }) = batch else { return Ok(()) };
    for worker in workers {
        match place {
            Place::Standing => builder.worker(worker)?,
            Place::Restoring => builder.restoring_worker(worker)?,
        }
    }
    Ok(())
}

/// The sections of a snapshot that is read from an `R`, opened.
struct Sections<R>(PhantomData<fn(R)>);

/// A section, and what came of reading it.
struct Bench {
    sealed: Sealed,
    read: Result<(), ReadError>,
    opener: Opener,
}

impl Default for Bench {
    fn default() -> Self {
        Self { sealed: Sealed::default(), read: Ok(()), opener: Opener::default() }
    }
}

impl<R: Read + Send> Conveyor for Sections<R> {
    type Source = Reader<R>;
    type Bench = Bench;
    type Done = Result<Option<Batch>, SnapshotError>;

    fn next(&self, reader: &mut Reader<R>, bench: &mut Bench) -> bool {
        match reader.next_sealed(&mut bench.sealed) {
            Ok(more) => more,
            // An item as well: what is wrong before it is told first.
            Err(error) => {
                bench.read = Err(error);
                true
            }
        }
    }

    fn work(&self, bench: &mut Bench) -> Self::Done {
        std::mem::replace(&mut bench.read, Ok(()))?;
        Ok(bench.opener.open(&bench.sealed)?)
    }
}
