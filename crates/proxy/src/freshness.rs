//! How old this node's View may be.
//!
//! Losing the quorum stops changes, not traffic: requests go on with the last View. But whoever gets an answer
//! that was decided on an old picture must be able to tell, so the node says here how long it has heard of no
//! leader, and answers carry it as `X-Quorate-Stale`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Told by the node about once a second, read by each request with one atomic load.
#[derive(Debug, Default)]
pub struct Freshness {
    /// 0: fresh; else the seconds plus one.
    seconds_plus_one: AtomicU64,
}

impl Freshness {
    /// Fresh.
    pub fn new() -> Self {
        Self::default()
    }

    /// A leader was heard.
    pub fn set_fresh(&self) {
        self.seconds_plus_one.store(0, Ordering::Relaxed);
    }

    /// No leader was heard for `seconds`.
    pub fn set_stale(&self, seconds: u64) {
        self.seconds_plus_one.store(seconds.saturating_add(1), Ordering::Relaxed);
    }

    /// The seconds since a leader was heard; `None` while one is.
    pub fn stale_seconds(&self) -> Option<u64> {
        self.seconds_plus_one.load(Ordering::Relaxed).checked_sub(1)
    }
}
