//! What is known of an HTTP/2 connection: its streams, and whether it is about to end.

use super::calm::Purse;
use crate::{client::Client, core::Spans};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
};

/// How long a connection that was told to end waits for its client to close it, in ticks. Closed sooner, what the
/// client still sends would have the kernel throw away what we said last.
const LINGER: u32 = 10;

/// How long a client that was told to open no more streams has for those that it has just opened.
fn grace(spans: &Spans) -> u32 {
    (spans.idle / 4).max(1).min(spans.header)
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Life {
    /// Takes streams.
    Open,
    /// The client was told to open no more.
    Leaving,
    /// All is said; the client's end is awaited.
    Lingering,
}

/// What a connection is to do when its deadline is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Say that it ends.
    Leave,
    /// End.
    Cut,
}

/// An HTTP/2 connection.
pub(crate) struct Session {
    /// As a conversation: its place, its client, its deadline while it has no streams.
    pub connection: Arc<Client>,
    open: AtomicU32,
    /// Whether there has been a stream.
    used: AtomicBool,
    life: AtomicU8,
    /// A stream's head has begun and not ended.
    in_head: AtomicBool,
    purse: Mutex<Purse>,
    /// The stream whose task is about to be spawned.
    next: Mutex<Option<Arc<Client>>>,
}

impl Session {
    pub fn new(connection: Arc<Client>) -> Arc<Self> {
        connection.watch.arm(connection.core.spans.idle - grace(&connection.core.spans));
        let purse = Mutex::new(Purse::new(connection.core.deadlines.now()));
        Arc::new(Self {
            connection,
            open: AtomicU32::new(0),
            used: AtomicBool::new(false),
            life: AtomicU8::new(Life::Open as u8),
            in_head: AtomicBool::new(false),
            purse,
            next: Mutex::new(None),
        })
    }

    /// A new stream. `None`: the core has as many as it takes.
    pub fn open(self: &Arc<Self>) -> Option<Arc<Client>> {
        let core = &self.connection.core;
        if !core.stream_opened() {
            return None;
        }
        // There is a watch for each place.
        let Some(watch) = core.deadlines.watch() else {
            core.stream_closed();
            return None;
        };
        self.used.store(true, Ordering::Relaxed);
        // The time of the next one's head may run already.
        if self.open.fetch_add(1, Ordering::Relaxed) == 0 && !self.in_head() {
            self.connection.watch.disarm();
        }
        let stream = Client::stream(self, watch);
        *self.next() = Some(stream.clone());
        Some(stream)
    }

    /// The stream whose task is about to be spawned.
    pub fn take_next(&self) -> Option<Arc<Client>> {
        self.next().take()
    }

    /// A stream's conversation is over.
    pub fn stream_ended(&self) {
        self.connection.core.stream_closed();
        if self.open.fetch_sub(1, Ordering::Relaxed) == 1 && !self.in_head() {
            self.idle();
        }
    }

    /// There are no streams. A client is told before its idle time is over: what it sends meanwhile is still answered.
    fn idle(&self) {
        let spans = &self.connection.core.spans;
        match (self.is(Life::Open), self.is(Life::Lingering)) {
            (true, _) => self.connection.watch.arm(spans.idle - grace(spans)),
            (false, false) => self.connection.watch.arm(grace(spans)),
            (false, true) => {}
        }
    }

    /// A stream's head has begun, or ended. Nothing else can come on the connection in between, so it is the connection
    /// that has the time of a head for it.
    pub fn head_is_under_way(&self, is_under_way: bool) {
        self.in_head.store(is_under_way, Ordering::Relaxed);
        if self.is(Life::Lingering) {
            return;
        }
        let watch = &self.connection.watch;
        match (is_under_way, self.open.load(Ordering::Relaxed)) {
            (true, _) if self.is(Life::Leaving) && watch.is_armed() => {}
            (true, _) => watch.arm(self.connection.core.spans.header),
            (false, 0) if self.is(Life::Leaving) => {}
            (false, 0) => self.idle(),
            (false, _) => watch.disarm(),
        }
    }

    fn in_head(&self) -> bool {
        self.in_head.load(Ordering::Relaxed)
    }

    /// Whether a client that is asked to go elsewhere has had what it came for.
    pub fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// `true`, once: the client is to be told to open no more streams.
    pub fn leave(&self) -> bool {
        let was_open = self.is(Life::Open);
        if was_open {
            self.enter(Life::Leaving);
            if self.open.load(Ordering::Relaxed) == 0 && !self.in_head() {
                self.connection.watch.arm(grace(&self.connection.core.spans));
            }
        }
        was_open
    }

    /// All is said.
    pub fn linger(&self) {
        if !self.is(Life::Lingering) {
            self.enter(Life::Lingering);
            self.connection.watch.arm(LINGER);
        }
    }

    /// Looks at the deadline.
    pub fn overdue(&self) -> Option<Overdue> {
        if !self.connection.watch.is_due() {
            return None;
        }
        // Who is in the middle of a head can't be waited for once more.
        let leaves = !self.in_head() && self.leave();
        Some(if leaves { Overdue::Leave } else { Overdue::Cut })
    }

    /// Pays for what the client sent. `false`: it can't.
    pub fn pay(&self, cost: u32) -> bool {
        self.purse().spend(cost, self.connection.core.deadlines.now())
    }

    /// An answer was finished.
    pub fn answered(&self) {
        self.purse().earn();
    }

    fn is(&self, life: Life) -> bool {
        self.life.load(Ordering::Relaxed) == life as u8
    }

    fn enter(&self, life: Life) {
        self.life.fetch_max(life as u8, Ordering::Relaxed);
    }

    fn purse(&self) -> MutexGuard<'_, Purse> {
        self.purse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> MutexGuard<'_, Option<Arc<Client>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
