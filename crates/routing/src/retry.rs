//! What next when a worker could not be reached, or answered that it can't.
//!
//! Two things can be wrong, and each is worth one more attempt. A pooled connection may have died while it was
//! idle, which says nothing about the worker: dial it anew. Or the worker itself is gone, and then its partition
//! may have a new owner by now, and a service has others: look once more. Beyond that the cluster does not know better
//! either, and the client is told.
//!
//! A request is sent a second time only if no byte of it can have had an effect, or if its method promises that
//! twice is as good as once (RFC 9110, 9.2.2) and all of it is still at hand. A [`Policy`] may say that its service's
//! other methods may be repeated too.
//!
//! No worker is tried twice. To dial one anew is no retry: its idle connection had died, and what was sent into it is
//! sent again, to where it should have gone.
//!
//! Going on to another worker costs a token of the service's [`crate::budget`]: when all fail, requests must not
//! become three times as many. Where the first worker refused the connection the next one is asked at once and for
//! nothing, as nobody was burdened; after anything else the request waits a little ([`Policy::wait_ms`]).

use crate::{
    backoff,
    budget::{self, Budget},
};
use std::time::Duration;

/// How many workers of a service one request is given to, at most.
pub const ENDPOINTS_MAX: usize = 3;

/// How an attempt failed before the first byte of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection: refused, unreachable, or not in time.
    Refused,
    /// There was a connection, but it was found dead before anything was written to it.
    Unsent,
    /// It died after something may have been written.
    Died,
    /// No head of an answer in the request's time. The worker may still be at it.
    TimedOut,
    /// No head of an answer in the attempt's time. The worker may still be at it, and the request has time left.
    TryTimedOut,
    /// An answer whose status the policy lists. It is passed on if nobody is left to ask, and also if another worker is
    /// asked and gives none: the last answer that a worker gave is what the client gets.
    BadAnswer,
}

impl Failure {
    /// Whether a worker may have worked for it. What was not even sent to one is no more work for the others than if that
    /// one had not been there, so it costs nothing of the budget: a worker that is gone loses no request.
    pub fn is_burden(self) -> bool {
        match self {
            Self::Refused | Self::Unsent => false,
            Self::Died | Self::TimedOut | Self::TryTimedOut | Self::BadAnswer => true,
        }
    }
}

/// An operator's rules of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many times a request goes on to another worker, at most.
    pub max: u32,
    /// Statuses that are worth another attempt, in ascending order.
    pub on: Box<[u16]>,
    /// Which methods may be repeated.
    pub repeat: Repeat,
    /// How long one attempt may take, to the head of its answer.
    pub per_try_ms: Option<u32>,
    /// How long to wait before another attempt.
    pub backoff: backoff::Settings,
    /// How much of all may be repeated.
    pub budget: budget::Settings,
}

impl Default for Policy {
    /// Of a service of which nobody has said anything.
    fn default() -> Self {
        Self {
            max: ENDPOINTS_MAX as u32 - 1,
            on: Box::default(),
            repeat: Repeat::Idempotent,
            per_try_ms: None,
            backoff: backoff::Settings::default(),
            budget: budget::Settings::default(),
        }
    }
}

impl Policy {
    /// Whether an answer is worth another attempt.
    pub fn lists(&self, status: u16) -> bool {
        self.on.binary_search(&status).is_ok()
    }

    /// Whether a method may be repeated.
    pub fn repeats(&self, method: &http::Method) -> bool {
        match self.repeat {
            Repeat::Idempotent => is_idempotent(method),
            Repeat::All => true,
        }
    }

    /// How long a request that has failed waits, before it goes on to its `nth` other worker, counted from 0.
    pub fn wait_ms(&self, failure: Failure, nth: u32, entropy: u64) -> u32 {
        if failure.is_burden() { backoff::wait_ms(&self.backoff, nth, entropy) } else { 0 }
    }
}

/// Which methods may be repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// Those that promise that twice is as good as once.
    #[default]
    Idempotent,
    /// All: the operator promises it for the others (`retry_non_idempotent`).
    All,
}

/// Where the connection of the failed attempt came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// From the pool.
    Pooled,
    /// Dialled for this attempt.
    Fresh,
}

/// Whether the request may be sent again after some of it may have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Idempotent, and a copy is at hand.
    Safe,
    /// Not so.
    Unsafe,
}

/// Whether the owner was looked up again within this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It may be looked up once more.
    Once,
    /// As often as one request may: twice for a partition, [`ENDPOINTS_MAX`] times for a service.
    Again,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same worker on another connection.
    Reconnect,
    /// Ask the View who owns the partition now; try that worker, unless it is the one that failed. Of a service: the
    /// next best of its workers that has not been tried.
    LookAgain,
    /// Tell the client: the worker's own answer, if there is one.
    GiveUp(Why),
}

/// Why there is no other attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It may have had an effect, and must not have two.
    Unrepeatable,
    /// The request's time is over.
    Overdue,
    /// It was tried as often as it may be.
    Tried,
    /// The service's budget is spent.
    BudgetSpent,
}

impl Why {
    /// As in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unrepeatable => "unrepeatable",
            Self::Overdue => "overdue",
            Self::Tried => "tried",
            Self::BudgetSpent => "budget_spent",
        }
    }
}

/// A failure, and what decides what is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What happened.
    pub failure: Failure,
    /// On what.
    pub connection: Connection,
    /// Whether it may be sent again.
    pub replay: Replay,
    /// Whether another worker may be looked for.
    pub lookup: Lookup,
    /// Whether the service's budget allows it. A partition has no budget: it has one owner.
    pub budget: Budget,
}

/// What next after a failure.
pub fn next(case: Case) -> Next {
    let Case { failure, connection, replay, lookup, budget } = case;
    let (is_repeatable, may_reconnect) = match failure {
        Failure::Refused | Failure::Unsent => (true, true),
        Failure::Died => (replay == Replay::Safe, true),
        // The connection lives; the worker is slow, or says no.
        Failure::TryTimedOut | Failure::BadAnswer => (replay == Replay::Safe, false),
        Failure::TimedOut => return Next::GiveUp(Why::Overdue),
    };
    match (connection, lookup, budget) {
        _ if !is_repeatable => Next::GiveUp(Why::Unrepeatable),
        (Connection::Pooled, ..) if may_reconnect => Next::Reconnect,
        (_, Lookup::Again, _) => Next::GiveUp(Why::Tried),
        (_, Lookup::Once, Budget::Spent) if failure.is_burden() => Next::GiveUp(Why::BudgetSpent),
        (_, Lookup::Once, Budget::Left | Budget::Spent) => Next::LookAgain,
    }
}

/// When a client should try again whose request one worker of a service failed: in whole seconds.
///
/// With another live worker the next try most likely meets that one: 2 seconds, as the contract has it. With none
/// but suspect ones it depends on their leases: within a third of its TTL each of them has either been heard again
/// or is out. Never longer than the failed one's lease can last.
pub fn retry_after(ttl: Duration, others: Others) -> u64 {
    let verdict = ttl.div_f64(3.0).as_secs_f64().ceil();
    let wait = match others {
        Others::Live => verdict.min(2.0),
        Others::SuspectOnly => verdict,
    };
    (wait as u64).clamp(1, ttl.as_secs().max(1))
}

/// Who is left when a worker of a service has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// At least one whose heartbeats arrive.
    Live,
    /// Some, all of them late.
    SuspectOnly,
}

/// Whether a method promises that sending it twice is as good as once.
pub fn is_idempotent(method: &http::Method) -> bool {
    use http::Method;
    [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}

#[cfg(test)]
mod tests;
