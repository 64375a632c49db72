//! What is counted of the WebSocket gateway. Written a few times for each frame, by all of its threads.

use crate::{label::Label, proxy::add, sheet::Sheet};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use crate::label::gateway::{Closed, Delivered, MessageOutcome, Registered, Resumed, TurnedAway};

/// The gateway's numbers.
#[derive(Debug, Default)]
pub struct GatewayCounters {
    connections: AtomicU64,
    sessions: AtomicU64,
    opened: AtomicU64,
    turned_away: [AtomicU64; TurnedAway::COUNT],
    closed: [AtomicU64; Closed::COUNT],
    registered: [AtomicU64; Registered::COUNT],
    resumed: [AtomicU64; Resumed::COUNT],
    messages: [AtomicU64; MessageOutcome::COUNT],
    delivered: [AtomicU64; Delivered::COUNT],
    frames: AtomicU64,
    throttled: AtomicU64,
}

impl GatewayCounters {
    /// A socket was opened, of now `connections`.
    pub fn opened(&self, connections: usize) {
        add(&self.opened);
        self.connections.store(connections as u64, Ordering::Relaxed);
    }

    /// A socket is gone; there are now `connections`.
    pub fn closed(&self, why: Closed, connections: usize) {
        add(&self.closed[why.position()]);
        self.connections.store(connections as u64, Ordering::Relaxed);
    }

    /// Sets how many sessions there are.
    pub fn set_sessions(&self, sessions: usize) {
        self.sessions.store(sessions as u64, Ordering::Relaxed);
    }

    /// Somebody was not let in.
    pub fn turned_away(&self, why: TurnedAway) {
        add(&self.turned_away[why.position()]);
    }

    /// Somebody asked to be registered.
    pub fn count_registered(&self, how: Registered) {
        add(&self.registered[how.position()]);
    }

    /// A client came back for its session.
    pub fn count_resumed(&self, how: Resumed) {
        add(&self.resumed[how.position()]);
    }

    /// A client's message is decided.
    pub fn count_message(&self, outcome: MessageOutcome) {
        add(&self.messages[outcome.position()]);
    }

    /// Somebody brought a message for a client of this node.
    pub fn count_delivered(&self, how: Delivered) {
        add(&self.delivered[how.position()]);
    }

    /// So many frames came.
    pub fn count_frames(&self, count: u32) {
        self.frames.fetch_add(count.into(), Ordering::Relaxed);
    }

    /// A client has sent more frames than it may.
    pub fn count_throttled(&self) {
        add(&self.throttled);
    }

    /// How often messages had an outcome, for tests.
    pub fn messages(&self, outcome: MessageOutcome) -> u64 {
        self.messages[outcome.position()].load(Ordering::Relaxed)
    }

    /// How often clients came back with an outcome, for tests.
    pub fn resumed(&self, how: Resumed) -> u64 {
        self.resumed[how.position()].load(Ordering::Relaxed)
    }

    /// How many were not let in for a reason, for tests.
    pub fn turned_away_for(&self, why: TurnedAway) -> u64 {
        self.turned_away[why.position()].load(Ordering::Relaxed)
    }

    /// How many sockets were closed for a reason, for tests.
    pub fn closed_for(&self, why: Closed) -> u64 {
        self.closed[why.position()].load(Ordering::Relaxed)
    }
}

/// Lets the registry and the gateway share them.
#[derive(Debug)]
pub(crate) struct Shared(pub Arc<GatewayCounters>);

impl Collector for Shared {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let c = &self.0;
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let mut sheet = Sheet(encoder);
        sheet.gauge("quorate_gateway_connections", "Open WebSockets of this node", get(&c.connections))?;
        sheet.gauge("quorate_gateway_sessions", "Users registered on this node", get(&c.sessions))?;
        sheet.counter("quorate_gateway_opened", "WebSockets that were opened", get(&c.opened))?;
        sheet.counters::<TurnedAway>(
            "quorate_gateway_turned_away",
            "Clients that were not let in, by why",
            |l| get(&c.turned_away[l.position()]),
        )?;
        sheet.counters::<Closed>("quorate_gateway_closed", "WebSockets that ended, by why", |l| {
            get(&c.closed[l.position()])
        })?;
        sheet.counters::<Registered>(
            "quorate_gateway_registrations",
            "Clients that asked to be registered, by what the cluster said",
            |l| get(&c.registered[l.position()]),
        )?;
        sheet.counters::<Resumed>(
            "quorate_gateway_resumes",
            "Clients that came back for a session, by how that ended",
            |l| get(&c.resumed[l.position()]),
        )?;
        sheet.counters::<MessageOutcome>(
            "quorate_gateway_messages",
            "Messages of this node's clients, by how they ended",
            |l| get(&c.messages[l.position()]),
        )?;
        sheet.counters::<Delivered>(
            "quorate_gateway_deliveries",
            "Messages for this node's clients, by what became of them here",
            |l| get(&c.delivered[l.position()]),
        )?;
        sheet.counter("quorate_gateway_frames", "Frames of clients", get(&c.frames))?;
        sheet.counter(
            "quorate_gateway_throttled",
            "Times that a client had sent more frames than it may",
            get(&c.throttled),
        )
    }
}
