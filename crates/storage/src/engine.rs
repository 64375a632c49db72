//! What the log store asks of whatever keeps its bytes.

use futures_util::future::BoxFuture;
use std::io;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Writes that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order.
    pub ops: Vec<Op>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key, if it is there.
    Delete(Vec<u8>),
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.ops.push(Op::Put(key.into(), value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.ops.push(Op::Delete(key.into()));
    }
}

/// Ordered keys and values on a disk.
///
/// 1. [`write`](Engine::write) is atomic and totally ordered; what it wrote is readable when it returns.
/// 2. After a crash the content is what a *prefix* of the history of writes made of it.
/// 3. That prefix contains every write that returned before a [`flush`](Engine::flush) was called that completed
///    without an error.
/// 4. A failed flush is final. The kernel may have dropped what it could not write and report success the next
///    time, so nothing after it may be believed: every later call fails.
///
/// The prefix is what makes the log store simple. A truncation is never lost while a later append survives, a
/// purge never without the marker that was written before it, and nothing needs a flush merely to stay in order.
pub trait Engine: Send + Sync + 'static {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>>;

    /// The first `pairs_max` pairs from `from` (inclusive) to `to` (exclusive), by key.
    fn range(&self, from: &[u8], to: &[u8], pairs_max: usize) -> io::Result<Vec<Pair>>;

    /// The last pair from `from` (inclusive) to `to` (exclusive).
    fn last_before(&self, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>>;

    /// See above. Values have at most [`VALUE_BYTES_MAX`] bytes; larger ones are refused.
    fn write(&self, batch: Batch) -> io::Result<()>;

    /// Completes once every write that returned before the call is on the disk.
    fn flush(&self) -> BoxFuture<'static, io::Result<()>>;

    /// [`Engine::flush`], then `after`, which may block, unless the flush failed. An engine whose flush blocks does
    /// both on one thread: each handover costs as much as a small write.
    fn flush_then(&self, after: AfterFlush) -> BoxFuture<'static, io::Result<()>> {
        let flushed = self.flush();
        Box::pin(async move {
            flushed.await?;
            quorate_rt::blocking(after).await
        })
    }
}

/// What follows a flush.
pub type AfterFlush = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// Largest value, in bytes. sled puts values beyond a part of its segment into files of their own, which nothing
/// ever syncs.
pub const VALUE_BYTES_MAX: usize = 32 << 10;

/// For implementations: a batch that breaks the rules writes nothing.
pub(crate) fn check_sizes(batch: &Batch) -> io::Result<()> {
    let too_large = |op: &&Op| matches!(op, Op::Put(_, value) if value.len() > VALUE_BYTES_MAX);
    match batch.ops.iter().find(too_large) {
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a value is larger than an engine takes")),
        None => Ok(()),
    }
}
