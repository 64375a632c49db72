//! Raft's log, vote and commit index over any [`Engine`].
//!
//! | key | record |
//! |---|---|
//! | `l` + index | a log record |
//! | `mvote` | the last vote |
//! | `mcommitted` | the commit index, flushed with the next append or soon by itself: it may fall back, which costs a replay |
//! | `mpurged` | the last purged record |
//!
//! What must be on the disk, and when: an append before it is acknowledged (many share one flush, see
//! [`flusher`]); a vote before `save_vote` returns; the purge marker before the first record is deleted; a truncation
//! before it returns.

mod flusher;
#[cfg(not(madsim))]
pub(crate) mod offline;
mod open;
mod reader;
mod shared;

pub use shared::READ_BYTES_MAX;

use crate::{
    convert::{log_id_of, record_of, vote_of},
    engine::{Batch, Engine},
    error::OpenError,
    record,
    types::{LogId, RaftEntry, TypeConfig, Vote},
    watermark::MarkFile,
};
use flusher::Flusher;
use openraft::{
    LogState, OptionalSend,
    storage::{IOFlushed, RaftLogStorage},
};
use quorate_codec::{
    log::{encode_log, encode_log_id, encode_vote},
    wire,
};
use quorate_rt::planted::{self, Bug};
use quorate_telemetry::Control;
use shared::{LOG, LOG_END, Shared, key, log_key};
use std::{io, sync::Arc};

/// Raft's log. Clones read the same log; openraft writes through one of them, one call after the other.
#[derive(Clone)]
pub struct LogStore {
    shared: Arc<Shared>,
    flusher: Flusher,
}

impl LogStore {
    /// Checks every record and starts the flusher. Call inside a runtime. Refuses a log that lost or damaged
    /// anything that this node has promised. `control` counts the flushes of appends.
    pub fn open(
        engine: Arc<dyn Engine>,
        mark: Arc<dyn MarkFile>,
        control: Arc<Control>,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(open::open(engine, mark)?);
        let flusher = Flusher::start(shared.clone(), control);
        Ok(Self { shared, flusher })
    }

    /// The last purged record's index: a snapshot is needed that reaches at least this far.
    pub fn purged(&self) -> Option<u64> {
        self.shared.tail().purged.map(|id| id.index)
    }

    /// Bytes of the records that were there at the start.
    pub(crate) fn found_bytes(&self) -> u64 {
        self.shared.found_bytes
    }

    /// The last record's index, purged or not.
    pub fn last(&self) -> Option<u64> {
        self.shared.tail().last.map(|id| id.index)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let tail = self.shared.tail();
        Ok(LogState { last_purged_log_id: tail.purged, last_log_id: tail.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        if planted::is(Bug::VoteNotSaved) {
            return Ok(());
        }
        let mut batch = self.shared.batch_with_commit()?;
        record::put(&mut batch, key::VOTE, &encode_vote(&vote_of(vote)))?;
        self.shared.engine.write(batch)?;
        let (shared, vote) = (self.shared.clone(), *vote);
        let mark = move || {
            shared.tail().vote = Some(vote);
            shared.mark_vote()
        };
        self.shared.engine.flush_then(Box::new(mark)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.shared.commit(committed);
        self.flusher.flush_soon();
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let Some(id) = self.shared.committed()? else { return Ok(None) };
        // A snapshot that was being installed may have moved the commit index beyond our log before the crash.
        // What lies at the end of our log instead was perhaps never committed, so the whole value is void.
        let known = id.index <= self.shared.tail().purged.map_or(0, |p| p.index)
            || self.shared.read(id.index, id.index + 1, 1)?.first().is_some_and(|e| e.log_id == id);
        Ok(known.then_some(id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = self.shared.batch_with_commit()?;
        let mut last = self.shared.tail().last;
        for entry in entries {
            let id = entry.log_id;
            if last.is_some_and(|last| last.index + 1 != id.index) {
                return Err(shared::invalid(format!("record {id} does not follow {last:?}")));
            }
            let bytes = encode_log(&record_of(entry));
            if bytes.len() > wire::BYTES_MAX {
                // It could never be read back, here or elsewhere: better this leader stops than every node.
                return Err(shared::invalid(format!("record {id} has {} bytes", bytes.len())));
            }
            record::put(&mut batch, &log_key(id.index), &bytes)?;
            last = Some(id);
        }
        self.shared.engine.write(batch)?;
        self.shared.tail().last = last;
        self.flusher.acknowledge_after_flush(callback).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let shared = self.shared.clone();
        // It syncs the watermark.
        quorate_rt::blocking(move || shared.truncate_after(last)).await?;
        // A snapshot that is installed next is durable at once. If the records that it contradicts came back after
        // a crash, log and snapshot would not fit each other any more.
        self.shared.engine.flush().await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let mut batch = Batch::default();
        record::put(&mut batch, key::PURGED, &encode_log_id(&log_id_of(&upto)))?;
        self.shared.engine.write(batch)?;
        self.shared.engine.flush().await?;
        {
            let mut tail = self.shared.tail();
            tail.purged = Some(upto);
            tail.last = tail.last.filter(|last| last.index >= upto.index).or(Some(upto));
        }
        let shared = self.shared.clone();
        let end = upto.index.checked_add(1).map_or(vec![LOG_END], log_key);
        quorate_rt::blocking(move || record::delete_up(&*shared.engine, &[LOG], &end)).await
    }
}
