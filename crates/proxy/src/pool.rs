//! Connections to workers that wait for their next request.
//!
//! Last in, first out: the connection that was used last is the least likely to have been closed by its worker,
//! and the surplus of a burst grows old at the other end, where the sweep finds it.

use crate::{
    config::Limits,
    deadline::ticks,
    http1::{Upstream, upstream::Rested},
    http2::upstream::{Links, link::Bounds},
    seldom::Seldom,
};
use quorate_model::{Address, Scheme};
use quorate_routing::admission::Usage;
use quorate_telemetry::events::WorkerFull;
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Unused connections by way of a tunnel are closed after this time: each is a stream that a node waits for when it is
/// about to end, and another one costs no more than a dial.
const TUNNEL_IDLE: Duration = Duration::from_secs(5);

/// What a worker is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without asking first (RFC 9113, 3.3).
    H2c,
    /// HTTP/2 by TLS, and nothing else.
    H2,
    /// What the worker chooses in the TLS handshake.
    ByAlpn,
}

impl Protocol {
    /// As a route or policy says it.
    pub fn named(spoken: quorate_model::policy::Protocol, address: &Address) -> Self {
        use quorate_model::policy::Protocol as Spoken;
        match spoken {
            Spoken::Http1 => Self::Http1,
            Spoken::H2c => Self::H2c,
            // Without TLS there is nothing to speak it in.
            Spoken::H2 if address.scheme() == Scheme::Http => Self::H2c,
            Spoken::H2 => Self::H2,
        }
    }

    /// Where nobody says anything.
    pub fn of(address: &Address) -> Self {
        match address.scheme() {
            Scheme::Http => Self::Http1,
            Scheme::Https => Self::ByAlpn,
        }
    }
}

/// A worker's address, and this core's connections to it.
pub(crate) struct Endpoint {
    pub address: Address,
    pub protocol: Protocol,
    /// `host:port`, ready to dial.
    pub authority: String,
    idle: Mutex<VecDeque<Idle>>,
    /// Those of HTTP/2, if it may speak that.
    links: Option<Arc<Links>>,
    counts: Arc<Counts>,
    idle_max: usize,
    used: AtomicU32,
    /// Requests that found no room.
    refused: Seldom,
}

/// How many connections of one core a worker has.
#[derive(Default)]
pub(crate) struct Counts {
    open: AtomicU32,
    dialling: AtomicU32,
    /// How many requests wait for one.
    waiting: AtomicU32,
    queue: Mutex<VecDeque<Arc<Notify>>>,
    /// Of a tunnel: the epoch of the one that is dialled.
    era: AtomicU64,
}

impl Counts {
    /// One is free, or may be opened: the first one who waits is to look. Whoever looks in vain keeps his place.
    fn tell(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0
            && let Some(first) = self.queue().front()
        {
            first.notify_one();
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for a connection.
pub(crate) struct Queued<'a> {
    counts: &'a Counts,
    told: Arc<Notify>,
}

impl Queued<'_> {
    /// It is the first one, and there may be one.
    pub async fn told(&self) {
        self.told.notified().await;
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
        self.counts.queue().retain(|other| !Arc::ptr_eq(other, &self.told));
        // There may be one for the next, too; or this one was told as it left.
        self.counts.tell();
    }
}

/// One of them, for as long as it lives.
pub(crate) struct Counted(Arc<Counts>, u64);

impl Counted {
    /// Of a tunnel: the epoch of the one that it was opened by.
    pub fn era(&self) -> u64 {
        self.1
    }

    /// Whether that one still stands.
    pub fn is_current(&self) -> bool {
        self.0.era.load(Ordering::Relaxed) == self.1
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.tell();
    }
}

/// One that is being dialled.
pub(crate) struct Dialling(Arc<Counts>, u64);

impl Dialling {
    /// It is open.
    pub fn opened(self) -> Counted {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Counted(self.0.clone(), self.1)
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.dialling.fetch_sub(1, Ordering::Relaxed);
        self.0.tell();
    }
}

/// What a core may hold of one worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolBounds {
    /// Unused connections of HTTP/1.1.
    pub idle_max: usize,
    /// Of HTTP/2.
    pub links: Bounds,
}

struct Idle {
    upstream: Upstream,
    since: u32,
}

impl PoolBounds {
    pub fn of(limits: &Limits) -> Self {
        Self { idle_max: limits.pool_idle_per_endpoint_max, links: Bounds::of(limits) }
    }
}

impl Endpoint {
    pub fn new(address: Address, protocol: Protocol, bounds: PoolBounds) -> Self {
        let links = match (protocol, address.scheme()) {
            // Without TLS nobody is asked.
            (Protocol::Http1, _) | (Protocol::ByAlpn, Scheme::Http) => None,
            (Protocol::H2c | Protocol::H2, _) | (Protocol::ByAlpn, Scheme::Https) => {
                Some(Links::new(bounds.links))
            }
        };
        Self {
            authority: address.authority(),
            address,
            protocol,
            idle: Mutex::default(),
            links,
            counts: Arc::default(),
            idle_max: bounds.idle_max,
            used: AtomicU32::new(0),
            refused: Seldom::default(),
        }
    }

    /// A request found no room at it, nor elsewhere. A crowd is told of once in a while.
    pub fn refused(&self, error: &dyn fmt::Display, now: u32) {
        if let Some(refused) = self.refused.note(now) {
            WorkerFull { worker: self.address.as_str(), refused, error }.emit();
        }
    }

    /// Its shared connections, if it may speak HTTP/2.
    pub fn links(&self) -> Option<&Arc<Links>> {
        self.links.as_ref()
    }

    /// One more connection is being dialled; `None`: there are `max` already.
    pub fn dialling(&self, max: usize) -> Option<Dialling> {
        if self.open() + self.being_dialled() >= max {
            return None;
        }
        self.counts.dialling.fetch_add(1, Ordering::Relaxed);
        Some(Dialling(self.counts.clone(), self.era()))
    }

    /// A place among those who wait for a connection.
    pub fn queue(&self) -> Queued<'_> {
        let told = Arc::new(Notify::new());
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        self.counts.queue().push_back(told.clone());
        Queued { counts: &self.counts, told }
    }

    /// Tells the first one who waits to look again.
    pub fn nudge(&self) {
        self.counts.tell();
    }

    /// What there is of connections.
    pub fn usage(&self) -> Usage {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Usage {
            connections: number(self.open() + self.being_dialled()),
            idle: number(self.idle().len()),
            pending: self.counts.waiting.load(Ordering::Relaxed),
        }
    }

    /// How many connections this core has open, used and unused ones.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed) as usize
    }

    /// How many it is opening.
    pub fn being_dialled(&self) -> usize {
        self.counts.dialling.load(Ordering::Relaxed) as usize
    }

    /// It is a tunnel, and this is the epoch of the one that stands. What was opened by another one is not used again:
    /// it may lead to somebody else, or keeps a node waiting that is about to end.
    pub fn enter(&self, era: u64) {
        if self.counts.era.swap(era, Ordering::Relaxed) != era {
            self.clear();
        }
    }

    fn era(&self) -> u64 {
        self.counts.era.load(Ordering::Relaxed)
    }

    /// The connection that was used last.
    pub fn take(&self) -> Option<Upstream> {
        self.idle().pop_back().map(|idle| idle.upstream)
    }

    /// Keeps a connection for the next request, if it is usable and there is room; else closes it.
    pub fn put(&self, mut upstream: Upstream, now: u32) {
        if upstream.era() != self.era() || upstream.rest() == Rested::Unusable {
            return;
        }
        self.used.store(now, Ordering::Relaxed);
        let mut idle = self.idle();
        if idle.len() < self.idle_max {
            idle.push_back(Idle { upstream, since: now });
            self.counts.tell();
        }
    }

    /// Closes what was unused for `ticks_max`, and what the worker closed.
    pub fn sweep(&self, now: u32, ticks_max: u32) {
        let ticks_max =
            if self.address.tunnel().is_some() { ticks_max.min(ticks(TUNNEL_IDLE)) } else { ticks_max };
        let fresh = |idle: &mut Idle| {
            now.saturating_sub(idle.since) < ticks_max && idle.upstream.rest() == Rested::Idle
        };
        self.idle().retain_mut(fresh);
        if let Some(links) = &self.links {
            links.sweep(now, ticks_max);
        }
    }

    /// Whether nobody has used it for `ticks_max`, and nothing is kept.
    pub fn is_forgotten(&self, now: u32, ticks_max: u32) -> bool {
        now.saturating_sub(self.used.load(Ordering::Relaxed)) >= ticks_max
            && self.idle().is_empty()
            && self.links.as_ref().is_none_or(|links| links.is_empty())
    }

    /// Notes that a request is about to use it.
    pub fn touch(&self, now: u32) {
        self.used.store(now, Ordering::Relaxed);
    }

    /// Closes all.
    pub fn clear(&self) {
        self.idle().clear();
        if let Some(links) = &self.links {
            links.clear();
        }
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
