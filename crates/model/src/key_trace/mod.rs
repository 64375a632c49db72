//! Where a routing key was on its way: the hops that nodes saw while somebody wanted to know.
//!
//! A router sees requests, not what becomes of them inside of an application. So it notes each request that carries the
//! key, and each other one that has a trace id: if the same trace was seen with the key, somebody has passed on the trace
//! and not the key. Which of both it is may be told only once all nodes are heard, so what has no key is kept as a
//! candidate for a while. All of it is soft state, bounded in time and number, and in no log.

mod join;

pub use join::{Joined, KeyAt, Trail, join};

use crate::{
    name::{Invalid, RoutingKey},
    number::LogTime,
};
use std::time::Duration;

/// How long keys may be followed.
pub const FOLLOWED_FOR: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// Most keys that are followed at once. More: the core says that it follows others.
pub const KEYS_MAX: usize = 8;
/// Most hops that a core keeps of a key. When full: the oldest goes.
pub const HOPS_MAX: usize = 500;
/// Most hops without the key that a core keeps in case that their trace had it. When full: the oldest goes, and is counted.
pub const CANDIDATES_MAX: usize = 2_000;
/// Most traces of a key that a core knows. When full: the oldest goes.
pub const TRACES_MAX: usize = 2_000;
/// Most hops that a node tells: the newest.
pub const HOPS_OF_NODE_MAX: usize = 1_000;
/// Most bytes of a trace id. Longer ones are none.
pub const TRACE_ID_BYTES_MAX: usize = 64;

/// What nodes are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceAsked {
    /// Which key.
    pub key: RoutingKey,
    /// To follow it from now on for so long, if it is to be followed anew.
    pub follow_ms: Option<u64>,
    /// Traces that other nodes have seen with the key.
    pub traces: Vec<Box<str>>,
}

/// A request that passed a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// When it came, by the node's clock.
    pub at: LogTime,
    /// Until the head of the answer.
    pub elapsed_us: u64,
    /// What joins it with others: the trace id of `traceparent`, and `X-Trace-ID` where that says something else.
    pub traces: Vec<Box<str>>,
    /// The span that it was made by, as `traceparent` says.
    pub parent: Option<Box<str>>,
    /// Its method.
    pub method: Box<str>,
    /// The host that was asked for.
    pub host: Box<str>,
    /// What was asked for, without its query, and with `{}` where something stands that looks like an id.
    pub path: Box<str>,
    /// In what it had the key; none: it did not have it.
    pub forms: Vec<Box<str>>,
    /// It had another key.
    pub has_other_key: bool,
    /// Who decided where it went, such as `sandbox` or `route web`.
    pub decided_by: Box<str>,
    /// The service that it went to, if it was one.
    pub service: Option<Box<str>>,
    /// The address that it went to.
    pub address: Option<Box<str>>,
    /// What was answered; `None`: the client went away.
    pub status: Option<u16>,
    /// Where it had been sent first, and by what, where that failed and it went elsewhere.
    pub failed_over: Option<Box<str>>,
}

/// What a node has seen of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTrace {
    /// The node's clock when it told.
    pub clock: LogTime,
    /// How many of its cores tell.
    pub cores: u32,
    /// How many did not in time.
    pub cores_silent: u32,
    /// How many follow so many other keys that they do not follow this one.
    pub cores_full: u32,
    /// For how much longer it is followed; `None`: it is not.
    pub left_ms: Option<u64>,
    /// Requests without the key that could not be kept until it was known whether their trace had it.
    pub passed_over: u64,
    /// What was seen, the oldest first.
    pub hops: Vec<Hop>,
}

impl KeyTrace {
    /// Adds what another core tells. [`Self::settle`] once all have.
    pub fn add(&mut self, core: Self) {
        let Self { cores, cores_silent, cores_full, left_ms, passed_over, hops, clock: _ } = core;
        self.cores += cores;
        self.cores_silent += cores_silent;
        self.cores_full += cores_full;
        self.left_ms = self.left_ms.max(left_ms);
        self.passed_over += passed_over;
        self.hops.extend(hops);
    }

    /// Puts the hops of all cores in order and keeps the newest.
    pub fn settle(&mut self) {
        self.hops.sort_by_key(|hop| hop.at);
        let surplus = self.hops.len().saturating_sub(HOPS_OF_NODE_MAX);
        self.hops.drain(..surplus);
    }

    /// The traces that it has seen with the key.
    pub fn traces(&self) -> impl Iterator<Item = &str> {
        self.hops.iter().filter(|hop| !hop.forms.is_empty()).flat_map(|hop| hop.traces.iter().map(|id| &**id))
    }
}

/// How long a key is followed, in milliseconds.
pub fn follow_ms(span: Duration) -> Result<u64, Invalid> {
    let (min, max) = FOLLOWED_FOR;
    if !(min..=max).contains(&span) {
        let problem = if span < min { "is too short" } else { "is too long" };
        return Err(Invalid::new("for", problem, "a duration such as 60s, 1s to 10m"));
    }
    Ok(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
