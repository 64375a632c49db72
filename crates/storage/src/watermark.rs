//! What this node has certainly promised, beside the log.
//!
//! sled takes the first thing that it can't read for the end of its history: after a torn write that is right. A
//! bit that flipped in a tail that *was* acknowledged looks just the same, and then the node would forget, in
//! silence, what a quorum counted on. So the index of the last acknowledged record and the last vote stand in a
//! small file of their own. It is a *lower* bound: written after each flush but not synced, it may fall behind
//! when the power fails, never ahead. A log that ends before it, or a vote that is older, has lost something.
//!
//! Before the log is truncated the mark is lowered and synced. It is not a licence to cut: a damaged record above
//! the mark may have been acknowledged just as well, and a torn write never shows as one, since the engine recovers
//! a prefix of whole batches. So a damaged record is always refused.

use std::io;

/// A small value in a file of its own, replaced as a whole.
pub trait MarkFile: Send + Sync + 'static {
    /// The newest value that is readable; `None` if none ever was written (or none can be read).
    fn read(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the value. It outlives the process; if the power fails, an older one may be there.
    fn write(&self, value: &[u8]) -> io::Result<()>;

    /// Replaces the value for good: no older one is ever read again.
    fn write_durably(&self, value: &[u8]) -> io::Result<()>;
}
