//! A log that nobody runs on: read as a whole, or begun at a given place.

use super::{
    open,
    shared::{READ_BYTES_MAX, Shared, key},
};
use crate::{
    convert::{log_id_of, vote_of},
    engine::{Batch, Engine},
    error::OpenError,
    record,
    types::{LogId, RaftEntry, Vote},
    watermark::MarkFile,
};
use quorate_codec::log::{Watermark, encode_log_id, encode_vote, encode_watermark};
use std::{io, sync::Arc};

/// A log that was checked like at a start, and is only read.
pub(crate) struct Offline(Shared);

impl Offline {
    /// Refuses what a start would refuse.
    pub fn open(engine: Arc<dyn Engine>, mark: Arc<dyn MarkFile>) -> Result<Self, OpenError> {
        open::open(engine, mark).map(Self)
    }

    /// The last purged record's index.
    pub fn purged(&self) -> Option<u64> {
        self.0.tail().purged.map(|id| id.index)
    }

    /// The last vote.
    pub fn vote(&self) -> Option<Vote> {
        self.0.tail().vote
    }

    /// Some of the records from `from` to the end: at least one, if there is one.
    pub fn read(&self, from: u64) -> io::Result<Vec<RaftEntry>> {
        self.0.read(from, u64::MAX, READ_BYTES_MAX)
    }
}

/// Begins an empty log behind `last`, which a snapshot holds, with a vote in it. Durable on return.
pub(crate) async fn begin(
    engine: &dyn Engine,
    mark: &dyn MarkFile,
    last: LogId,
    vote: Vote,
) -> io::Result<()> {
    let last = encode_log_id(&log_id_of(&last));
    let mut batch = Batch::default();
    record::put(&mut batch, key::PURGED, &last)?;
    record::put(&mut batch, key::COMMITTED, &last)?;
    record::put(&mut batch, key::VOTE, &encode_vote(&vote_of(&vote)))?;
    engine.write(batch)?;
    engine.flush().await?;
    mark.write_durably(&encode_watermark(&Watermark { log: None, vote: Some(vote_of(&vote)) }))
}
