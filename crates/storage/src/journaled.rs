//! The engine of a real disk: sled, with a [`journal`](crate::journal) in front of it.
//!
//! A write goes to a table in memory and to the journal's queue. A flush writes the queue to the journal and syncs
//! that: one `pwrite`, one `fdatasync`. When the journal is full, the table is written to sled as one batch, sled is
//! flushed and synced, and the journal begins anew. What was written and deleted in between never reaches sled.
//!
//! **Why the content is a prefix of the writes.** sled holds exactly what a checkpoint wrote: one batch, which is
//! there whole or not at all, and in it the number of the last write that it covers. The journal holds the writes
//! behind a checkpoint in their order and ends where its chain breaks. If the power fails between a checkpoint and
//! the journal's next run, the old run is still there; its numbers say that sled has all of it.

use crate::{
    engine::{AfterFlush, Batch, Engine, Op, Pair, check_sizes},
    journal::{self, Journal, Numbered, Pending},
    sled_engine::{SledEngine, Sync},
};
use futures_util::future::BoxFuture;
use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Under which key sled keeps the number of the last write that it holds. No key of the log store begins like it.
const NUMBER: &[u8] = b"#";

/// See the module.
#[derive(Clone)]
pub struct JournaledEngine {
    sled: Arc<SledEngine>,
    shared: Arc<Shared>,
}

struct Shared {
    recent: Mutex<Recent>,
    /// Held over a whole flush: two of them must not overtake each other on the way to the disk.
    journal: Mutex<Journal>,
    sync: Arc<dyn Sync>,
    failed: AtomicBool,
}

/// Writes that sled does not have yet.
#[derive(Default)]
struct Recent {
    /// Of the last write.
    number: u64,
    /// What each key holds now, `None` if it was deleted, and which write did that.
    table: BTreeMap<Vec<u8>, (Option<Vec<u8>>, u64)>,
    /// What the journal does not have yet, either.
    pending: Pending,
}

impl Recent {
    fn take_in(&mut self, batch: Batch) {
        self.number += 1;
        for op in batch.ops {
            match op {
                Op::Put(key, value) => self.table.insert(key, (Some(value), self.number)),
                Op::Delete(key) => self.table.insert(key, (None, self.number)),
            };
        }
    }

    /// All of it as one batch for sled.
    fn checkpoint(&self) -> Batch {
        let mut batch = Batch::default();
        for (key, (value, _)) in &self.table {
            match value {
                Some(value) => batch.put(key.as_slice(), value.as_slice()),
                None => batch.delete(key.as_slice()),
            }
        }
        batch.put(NUMBER, self.number.to_le_bytes());
        batch
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

impl JournaledEngine {
    /// Brings `sled` up to the end of the journal at `path`, which is made if there is none. Blocks.
    pub fn open(sled: SledEngine, path: &Path, sync: Arc<dyn Sync>) -> io::Result<Self> {
        let (journal, run) = Journal::open(path)?;
        let recent = Mutex::new(replay(&sled, run)?);
        let shared = Shared { recent, journal: Mutex::new(journal), sync, failed: AtomicBool::new(false) };
        let engine = Self { sled: Arc::new(sled), shared: Arc::new(shared) };
        // The next run overwrites this one.
        engine.checkpoint(&mut locked(&engine.shared.journal))?;
        Ok(engine)
    }

    /// Bytes on the disk, without the journal's, which do not change.
    pub fn size_on_disk(&self) -> io::Result<u64> {
        self.sled.size_on_disk()
    }

    /// Writes what is queued to the journal and syncs it. Blocks.
    fn flush_now(&self) -> io::Result<()> {
        let mut journal = locked(&self.shared.journal);
        self.check()?;
        let pending = std::mem::take(&mut locked(&self.shared.recent).pending);
        if pending.is_empty() {
            return Ok(());
        }
        let flushed = journal.append(&pending).and_then(|fits| {
            if fits { self.shared.sync.sync_data(journal.file()) } else { self.checkpoint(&mut journal) }
        });
        flushed.inspect_err(|_| self.shared.failed.store(true, Ordering::Release))
    }

    /// Makes sled hold everything, and begins the journal anew.
    fn checkpoint(&self, journal: &mut Journal) -> io::Result<()> {
        let (batch, upto) = {
            let mut recent = locked(&self.shared.recent);
            // What came since is in the table too, so the journal need not hear of it.
            recent.pending = Pending::default();
            (recent.checkpoint(), recent.number)
        };
        self.sled.write(batch)?;
        self.sled.flush_now()?;
        journal.restart();
        // Writes that came in the meantime stay.
        locked(&self.shared.recent).table.retain(|_, (_, number)| *number > upto);
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier flush failed: what is on the disk is not known"));
        }
        Ok(())
    }
}

/// The writes of `run` that sled does not have.
fn replay(sled: &SledEngine, run: Vec<Numbered>) -> io::Result<Recent> {
    let mut recent = Recent::default();
    if let Some(bytes) = sled.get(NUMBER)? {
        let number = bytes.try_into().map_err(|_| invalid("the engine's write number is damaged".into()))?;
        recent.number = u64::from_le_bytes(number);
    }
    for Numbered { sequence, batch } in run {
        if sequence <= recent.number {
            continue;
        }
        if sequence != recent.number + 1 {
            let problem =
                format!("the engine ends at write {}, its journal goes on at {sequence}", recent.number);
            return Err(invalid(problem));
        }
        recent.take_in(batch);
    }
    Ok(recent)
}

impl Engine for JournaledEngine {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.check()?;
        let recent = locked(&self.shared.recent);
        match recent.table.get(key) {
            Some((value, _)) => Ok(value.clone()),
            None => self.sled.get(key),
        }
    }

    fn range(&self, from: &[u8], to: &[u8], pairs_max: usize) -> io::Result<Vec<Pair>> {
        self.check()?;
        if from >= to {
            return Ok(Vec::new());
        }
        let recent = locked(&self.shared.recent);
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let mut newer = recent.table.range::<[u8], _>(bounds).peekable();
        let mut older = self.sled.pairs(from, to)?.peekable();
        let mut pairs = Vec::new();
        while pairs.len() < pairs_max {
            // A key that is in both: the newer value stands.
            let key_of = |older: &io::Result<Pair>| older.as_ref().ok().map(|(key, _)| key.clone());
            match (newer.peek(), older.peek().map(key_of)) {
                (None, None) => break,
                (Some((new, _)), Some(Some(old))) if old < **new => pairs.extend(older.next().transpose()?),
                (None, Some(_)) | (_, Some(None)) => pairs.extend(older.next().transpose()?),
                (Some((new, _)), old) => {
                    if old.flatten().as_ref() == Some(*new) {
                        older.next().transpose()?;
                    }
                    let Some((key, (value, _))) = newer.next() else { break };
                    pairs.extend(value.clone().map(|value| (key.clone(), value)));
                }
            }
        }
        Ok(pairs)
    }

    fn last_before(&self, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>> {
        self.check()?;
        let recent = locked(&self.shared.recent);
        let mut end = to.to_vec();
        while from < end.as_slice() {
            let bounds = (Bound::Included(from), Bound::Excluded(end.as_slice()));
            let newer = recent.table.range::<[u8], _>(bounds).next_back();
            let older = self.sled.last_before(from, &end)?;
            match (newer, older) {
                (Some((new, (value, _))), older) if older.as_ref().is_none_or(|(old, _)| old <= new) => {
                    match value {
                        Some(value) => return Ok(Some((new.clone(), value.clone()))),
                        None => end = new.clone(),
                    }
                }
                (_, older) => return Ok(older),
            }
        }
        Ok(None)
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.check()?;
        check_sizes(&batch)?;
        let ops = journal::encode(&batch);
        let mut recent = locked(&self.shared.recent);
        recent.take_in(batch);
        let number = recent.number;
        recent.pending.push(number, ops);
        Ok(())
    }

    fn flush(&self) -> BoxFuture<'static, io::Result<()>> {
        let engine = self.clone();
        Box::pin(quorate_rt::blocking(move || engine.flush_now()))
    }

    fn flush_then(&self, after: AfterFlush) -> BoxFuture<'static, io::Result<()>> {
        let engine = self.clone();
        Box::pin(quorate_rt::blocking(move || {
            engine.flush_now()?;
            after()
        }))
    }
}

/// A process that ends in order keeps all that it wrote, also what it need not have flushed: the last commit index.
impl Drop for Shared {
    fn drop(&mut self) {
        let pending = std::mem::take(&mut locked(&self.recent).pending);
        if pending.is_empty() || self.failed.load(Ordering::Acquire) {
            return;
        }
        // Not written: nobody was told that it would be.
        if let Err(error) = locked(&self.journal).append(&pending) {
            tracing::debug!(%error, "the last writes before the end were not kept");
        }
    }
}
