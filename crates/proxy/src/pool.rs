//! Connections to workers that wait for their next request.
//!
//! Last in, first out: the connection that was used last is the least likely to have been closed by its worker,
//! and the surplus of a burst grows old at the other end, where the sweep finds it.

use crate::http1::{Upstream, upstream::Rested};
use quorate_model::Address;
use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// A worker's address, and this core's unused connections to it.
pub(crate) struct Endpoint {
    pub address: Address,
    /// `host:port`, ready to dial.
    pub authority: String,
    idle: Mutex<VecDeque<Idle>>,
    idle_max: usize,
    used: AtomicU32,
}

struct Idle {
    upstream: Upstream,
    since: u32,
}

impl Endpoint {
    pub fn new(address: Address, idle_max: usize) -> Self {
        let authority = address.authority();
        Self { address, authority, idle: Mutex::default(), idle_max, used: AtomicU32::new(0) }
    }

    /// The connection that was used last.
    pub fn take(&self) -> Option<Upstream> {
        self.idle().pop_back().map(|idle| idle.upstream)
    }

    /// Keeps a connection for the next request, if it is usable and there is room; else closes it.
    pub fn put(&self, mut upstream: Upstream, now: u32) {
        if upstream.rest() == Rested::Unusable {
            return;
        }
        self.used.store(now, Ordering::Relaxed);
        let mut idle = self.idle();
        if idle.len() < self.idle_max {
            idle.push_back(Idle { upstream, since: now });
        }
    }

    /// Closes what was unused for `ticks_max`, and what the worker closed.
    pub fn sweep(&self, now: u32, ticks_max: u32) {
        let fresh = |idle: &mut Idle| {
            now.saturating_sub(idle.since) < ticks_max && idle.upstream.rest() == Rested::Idle
        };
        self.idle().retain_mut(fresh);
    }

    /// Whether nobody has used it for `ticks_max`, and nothing is kept.
    pub fn is_forgotten(&self, now: u32, ticks_max: u32) -> bool {
        now.saturating_sub(self.used.load(Ordering::Relaxed)) >= ticks_max && self.idle().is_empty()
    }

    /// Notes that a request is about to use it.
    pub fn touch(&self, now: u32) {
        self.used.store(now, Ordering::Relaxed);
    }

    /// Closes all.
    pub fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
