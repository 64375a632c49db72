//! The guard against mass expiry. Pure.
//!
//! If a load balancer or a network in front of the nodes fails, heartbeats stop although the workers serve, and all
//! of them would be taken out at their TTL: a fault of ours would become an outage. So where most leases are silent
//! at once, an expiry needs a proof that the way by which its worker was heard is open: that somebody else was heard
//! on it lately. Without it the expiry is held back, for a bounded time: workers that are really dead go too.

use crate::lease::Millis;
use quorate_model::{NodeId, Ttl};
use std::collections::BTreeMap;

/// Fewer leases than this are no mass: two of three workers may well die together.
pub const LEASES_MIN: usize = 10;
/// Longest time for which an expiry is held back.
pub const HELD_MS_MAX: Millis = 10_000;

/// How long an expiry under `ttl` may be held back.
pub fn held_max(ttl: Ttl) -> Millis {
    (Millis::try_from(ttl.as_ms()).unwrap_or(Millis::MAX) / 3).min(HELD_MS_MAX)
}

/// How many leases run, and how many of them are silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub live: usize,
    pub suspect: usize,
}

impl Census {
    /// Whether most leases are silent at once.
    pub fn is_mass(self) -> bool {
        let running = self.live + self.suspect;
        running >= LEASES_MIN && self.suspect * 2 > running
    }
}

/// The ways by which heartbeats arrive: each node is one.
#[derive(Debug, Default)]
pub(crate) struct Ways(BTreeMap<NodeId, Millis>);

impl Ways {
    pub fn heard(&mut self, via: NodeId, now: Millis) {
        self.0.insert(via, now);
    }

    /// Whether anybody was heard by way of `via` (`None`: by any way) within half of `ttl`.
    pub fn is_open(&self, via: Option<NodeId>, ttl: Ttl, now: Millis) -> bool {
        let lately = now - Millis::try_from(ttl.as_ms()).unwrap_or(Millis::MAX) / 2;
        match via {
            Some(via) => self.0.get(&via).is_some_and(|heard| *heard >= lately),
            None => self.0.values().any(|heard| *heard >= lately),
        }
    }
}
