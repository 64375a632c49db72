//! What the clones of a log store share.

use crate::{
    convert::{entry_of, log_id_from, log_id_of, vote_of},
    engine::{Batch, Engine},
    record::{self, Records},
    types::{LogId, RaftEntry, Vote},
    watermark::MarkFile,
};
use quorate_codec::log::{Watermark, decode_log, decode_log_id, encode_log_id, encode_watermark};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// First byte of the keys of log records.
pub(super) const LOG: u8 = b'l';
/// Behind all of them.
pub(super) const LOG_END: u8 = LOG + 1;

/// Keys of single records.
pub(super) mod key {
    pub const VOTE: &[u8] = b"mvote";
    pub const COMMITTED: &[u8] = b"mcommitted";
    pub const PURGED: &[u8] = b"mpurged";
}

/// Once a read has so many bytes of records it ends: an append message and a step of a replay have one record more at
/// most.
pub const READ_BYTES_MAX: usize = 4 << 20;

pub(super) fn log_key(index: u64) -> Vec<u8> {
    [&[LOG][..], &index.to_be_bytes()].concat()
}

pub(super) fn invalid(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

pub(super) struct Shared {
    pub engine: Arc<dyn Engine>,
    pub mark: Arc<dyn MarkFile>,
    /// Bytes of log records that were there at the start.
    pub found_bytes: u64,
    tail: Mutex<Tail>,
    /// A commit index that the engine does not have yet. It changes with every entry and is worth no write of its
    /// own: it goes with the next append.
    unwritten: Mutex<Option<Option<LogId>>>,
}

/// Where the log begins and ends, and what was promised.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    /// The last record, also if it was purged.
    pub last: Option<LogId>,
    pub purged: Option<LogId>,
    /// The last vote that is on the disk.
    pub vote: Option<Vote>,
    /// The last record that was acknowledged.
    pub acknowledged: Option<LogId>,
    /// How often the log was truncated since the start.
    pub truncations: u64,
}

fn index_of(id: Option<LogId>) -> Option<u64> {
    id.map(|id| id.index)
}

impl Tail {
    fn watermark(&self) -> Vec<u8> {
        let log = self.acknowledged.as_ref().map(log_id_of);
        encode_watermark(&Watermark { log, vote: self.vote.as_ref().map(vote_of) })
    }
}

impl Shared {
    pub fn new(engine: Arc<dyn Engine>, mark: Arc<dyn MarkFile>, tail: Tail, found_bytes: u64) -> Self {
        Self { engine, mark, found_bytes, tail: Mutex::new(tail), unwritten: Mutex::new(None) }
    }

    fn unwritten(&self) -> MutexGuard<'_, Option<Option<LogId>>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a commit index for the next batch.
    pub fn commit(&self, committed: Option<LogId>) {
        *self.unwritten() = Some(committed);
    }

    /// The commit index that was kept last.
    pub fn committed(&self) -> io::Result<Option<LogId>> {
        if let Some(committed) = *self.unwritten() {
            return Ok(committed);
        }
        let bytes = record::get(&*self.engine, key::COMMITTED)?;
        let id = bytes.map(|bytes| decode_log_id(&bytes)).transpose().map_err(invalid)?;
        Ok(id.map(log_id_from))
    }

    /// A batch to write, with the commit index in it if the engine does not have it yet.
    pub fn batch_with_commit(&self) -> io::Result<Batch> {
        let mut batch = Batch::default();
        match self.unwritten().take() {
            None => {}
            Some(Some(id)) => record::put(&mut batch, key::COMMITTED, &encode_log_id(&log_id_of(&id)))?,
            Some(None) => batch.delete(record::first_chunk(key::COMMITTED)),
        }
        Ok(batch)
    }

    /// Writes the commit index, if the engine does not have it yet.
    pub fn write_commit(&self) -> io::Result<()> {
        let batch = self.batch_with_commit()?;
        if batch.ops.is_empty() { Ok(()) } else { self.engine.write(batch) }
    }

    pub fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After the flush of a vote.
    pub fn mark_vote(&self) -> io::Result<()> {
        let tail = self.tail();
        self.mark.write(&tail.watermark())
    }

    /// After a flush that was begun when the tail was `then`. A truncation since has removed records that were
    /// flushed: they are nobody's promise any more.
    pub fn mark_log(&self, then: &Tail) -> io::Result<()> {
        let mut tail = self.tail();
        if tail.truncations != then.truncations {
            return Ok(());
        }
        if index_of(then.last) > index_of(tail.acknowledged) {
            tail.acknowledged = then.last;
        }
        self.mark.write(&tail.watermark())
    }

    /// Blocks on a sync. The lock is held throughout, so that no flush raises the mark in between.
    pub fn truncate_after(&self, last: Option<LogId>) -> io::Result<()> {
        let mut tail = self.tail();
        let left = index_of(last);
        if index_of(tail.last) <= left {
            return Ok(());
        }
        tail.truncations += 1;
        if index_of(tail.acknowledged) > left {
            tail.acknowledged = last;
            self.mark.write_durably(&tail.watermark())?;
        }
        let from = left.map_or(vec![LOG], |index| log_key(index.saturating_add(1)));
        record::delete_down(&*self.engine, &from, &[LOG_END])?;
        tail.last = last.max(tail.purged);
        Ok(())
    }

    /// Records from `from` (inclusive) to `to` (exclusive) as far as they are there: at most `bytes_max`, but at
    /// least one. A hole between them is an error.
    pub fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<RaftEntry>> {
        let mut records = Records::new(&*self.engine, log_key(from), log_key(to));
        let mut entries: Vec<RaftEntry> = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some((key, value)) = records.read_next()? else { break };
            let entry = entry_of(decode_log(&value).map_err(invalid)?);
            let index = entry.log_id.index;
            if key != log_key(index) || entries.last().is_some_and(|e| e.log_id.index + 1 != index) {
                return Err(invalid(format!("record {index} does not belong where it lies")));
            }
            bytes += value.len();
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// A node that ends in order keeps the last commit index, too.
impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.write_commit() {
            tracing::debug!(%error, "the last commit index was not kept; it is learnt anew");
        }
    }
}
