//! How much was appended to the log: what was there at the start, and what came since. Entries differ in size by a
//! factor of thousands, so their count does not bound the log's size.

use crate::engine::{AfterFlush, Batch, Engine, Op, Pair};
use futures_util::future::BoxFuture;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes of the log as it was at the start, and all that were written to the engine since: log records almost alone.
/// Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LogGrowth(Arc<AtomicU64>);

impl LogGrowth {
    /// So many so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// An engine that counts what is written.
pub(crate) struct Counted {
    pub engine: Arc<dyn Engine>,
    pub growth: LogGrowth,
}

impl Engine for Counted {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.engine.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], pairs_max: usize) -> io::Result<Vec<Pair>> {
        self.engine.range(from, to, pairs_max)
    }

    fn last_before(&self, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>> {
        self.engine.last_before(from, to)
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        let bytes = |op: &Op| match op {
            Op::Put(key, value) => key.len() + value.len(),
            Op::Delete(_) => 0,
        };
        let written: usize = batch.ops.iter().map(bytes).sum();
        self.engine.write(batch)?;
        self.growth.add(written as u64);
        Ok(())
    }

    fn flush(&self) -> BoxFuture<'static, io::Result<()>> {
        self.engine.flush()
    }

    fn flush_then(&self, after: AfterFlush) -> BoxFuture<'static, io::Result<()>> {
        self.engine.flush_then(after)
    }
}
