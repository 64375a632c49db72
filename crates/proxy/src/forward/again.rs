//! Whether a request is sent again, when, and to whom.

use super::{Arrived, Error, Failed, Forwarding, held::Held};
use crate::{
    client::Upload,
    decide::{By, Destination, Patience, Terms, Verdict},
};
use http::StatusCode;
use quorate_routing::{
    RequestHead,
    budget::Budget,
    retry::{self, Case, Connection, Failure, Lookup, Next, Replay, Why},
};
use quorate_rt::{
    planted::{self, Bug},
    rng::random_u64,
    time::{sleep, timeout},
};
use quorate_telemetry::{events::FailedOver, label::RetryRefusal};
use std::{
    fmt, mem,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

/// An answer that is worth another attempt.
#[derive(Debug, thiserror::Error)]
#[error("it answered {0}")]
struct Answered(StatusCode);

/// What is next after an attempt.
pub(super) enum Then {
    /// The same worker on another connection.
    Reconnect,
    /// Another worker, which [`Forwarding::to`] names now. This is the one that it was; boxed, since it is rare.
    GoOn(Box<Destination>),
    /// The client is told.
    GiveUp,
}

impl Forwarding<'_> {
    /// One attempt, within its own time if it has one.
    pub(super) async fn attempt_in_time(&mut self, source: super::Source) -> Result<Arrived, Failed> {
        let own = match &self.to.by {
            By::Route(plan) => plan.per_try(),
            By::Workspace | By::Service { .. } => None,
        };
        let policys = || self.to.care.as_ref().and_then(|care| care.again.policy.per_try_ms);
        let per_try = own.or_else(|| policys().map(|ms| Duration::from_millis(ms.into())));
        let Some(after) = per_try else { return self.attempt(source).await };
        // Boxed: its state would be part of each connection's.
        match Box::pin(timeout(after, self.attempt(source))).await {
            Ok(ended) => ended,
            Err(_) => {
                let authority = self.to.endpoint.authority.clone();
                let error = Error::TimedOut { authority, after };
                Err(Failed { failure: Failure::TryTimedOut, connection: Connection::Fresh, error })
            }
        }
    }

    /// What becomes of an answer: it is passed on, or it makes room for another attempt.
    pub(super) async fn judge(&mut self, arrived: Arrived) -> Option<Arrived> {
        let (tick, status) = (self.client.core.deadlines.now(), arrived.status());
        self.count_answer(&arrived);
        let Some(care) = &mut self.to.care else { return Some(arrived) };
        care.answered(status.as_u16(), tick);
        if self.upgrade.is_some() || !care.again.policy.lists(status.as_u16()) {
            return Some(arrived);
        }
        let index = self.index.clone();
        match Box::pin(self.then((Failure::BadAnswer, Connection::Fresh), &Answered(status))).await {
            Then::GoOn(from) => {
                let held = Held::of(arrived, (*from, index), self.client);
                *self.held.get_mut().unwrap_or_else(PoisonError::into_inner) = held;
                None
            }
            Then::Reconnect | Then::GiveUp => Some(arrived),
        }
    }

    /// The same of a failure.
    pub(super) async fn after(&mut self, failed: &Failed) -> Then {
        let is_late = matches!(failed.failure, Failure::TimedOut | Failure::TryTimedOut);
        let was_in_line = self.in_line.swap(false, Ordering::Relaxed);
        let is_theirs = !failed.error.is_ours() && !(is_late && (was_in_line || self.client.is_to_blame()));
        // A connection that had died in the pool says nothing.
        let is_told = !matches!(
            (failed.failure, failed.connection),
            (Failure::Unsent, _) | (Failure::Died, Connection::Pooled)
        );
        if is_theirs && is_told {
            self.count(true);
        }
        if let Some(care) = &mut self.to.care
            && is_theirs
        {
            care.failed((failed.failure, failed.connection), self.client.core.deadlines.now());
        }
        self.then((failed.failure, failed.connection), &failed.error).await
    }

    async fn then(
        &mut self,
        (failure, connection): (Failure, Connection),
        error: &(dyn fmt::Display + Sync),
    ) -> Then {
        let core = &self.client.core;
        let budget = self.to.care.as_ref().map_or(Budget::Left, |care| care.budget(core.deadlines.now()));
        let replay = if self.is_still_sent(failure) { Replay::Unsafe } else { self.outbound.replay() };
        let case = Case { failure, connection, replay, lookup: self.lookup, budget };
        let refusal = match retry::next(case) {
            Next::Reconnect => return Then::Reconnect,
            Next::LookAgain => match self.look_again(failure, error).await {
                Some(from) => return Then::GoOn(from),
                None => RetryRefusal::NobodyElse,
            },
            Next::GiveUp(Why::Unrepeatable) => RetryRefusal::Unrepeatable,
            Next::GiveUp(Why::Overdue) => RetryRefusal::Overdue,
            Next::GiveUp(Why::Tried) => RetryRefusal::Tried,
            Next::GiveUp(Why::BudgetSpent) => RetryRefusal::BudgetSpent,
        };
        self.client.core.counters.retry_refused(refusal);
        Then::GiveUp
    }

    /// Whether its body may still be read for the worker that is given up: on a shared connection another task sends
    /// it, and two can't read one body.
    pub(super) fn is_still_sent(&self, failure: Failure) -> bool {
        matches!(failure, Failure::BadAnswer | Failure::TryTimedOut)
            && self.to.endpoint.links().is_some()
            && self.client.upload_is(Upload::Running)
    }

    /// Asks the newest View who owns the partition now, or who of the service's workers comes next; tells who it was
    /// before. `None`: the worker that failed, or nobody.
    async fn look_again(
        &mut self,
        failure: Failure,
        error: &(dyn fmt::Display + Sync),
    ) -> Option<Box<Destination>> {
        if planted::is(Bug::NoFailover) && !matches!(self.to.by, By::Workspace) {
            return None;
        }
        let core = &self.client.core;
        self.tried.push(self.to.ticket.of().clone());
        self.lookup = Lookup::Again;
        if let Some(care) = &self.to.care {
            let policy = &care.again.policy;
            if self.tried.len() < policy.max as usize {
                self.lookup = Lookup::Once;
            }
            let (path, now) = (self.outbound.target.path(), core.deadlines.now());
            // Nobody waits, and no token is spent, for nobody.
            let left = match &self.to.by {
                By::Route(plan) => core.desk.left(plan, &self.tried, now),
                By::Workspace | By::Service { .. } => core.desk.after_failure(path, &self.tried, now).left,
            };
            left.as_ref()?;
            if failure.is_burden() {
                care.goes_on(now);
            }
            let ms = policy.wait_ms(failure, self.tried.len() as u32 - 1, random_u64());
            let wait = sleep(Duration::from_millis(ms.into()));
            if ms > 0 {
                self.client.watch.bound(wait).await?;
            }
        }
        self.move_on(error)
    }

    fn move_on(&mut self, error: &dyn fmt::Display) -> Option<Box<Destination>> {
        let core = &self.client.core;
        let path = self.outbound.target.path();
        let head = RequestHead {
            query: self.outbound.target.query().unwrap_or_default(),
            source: self.client.address.to_str().unwrap_or_default(),
            ..RequestHead::of(&self.outbound.method, path, &self.outbound.headers)
        };
        let tried: &[_] = if planted::is(Bug::ForgetsWhoWasTried) { &[] } else { &self.tried };
        let terms = Terms { tried, patience: Patience::Over };
        let now = core.deadlines.now();
        let decided = match &self.to.by {
            By::Route(plan) => core.desk.another(plan, &head, (now, terms))?,
            By::Workspace | By::Service { .. } => core.desk.decide(head, now, terms),
        };
        let next = match decided.verdict {
            Verdict::Forward(to) => to,
            Verdict::Answer(_) | Verdict::Hold(_) => return None,
        };
        match &next.by {
            By::Workspace if next.endpoint.address == self.to.endpoint.address => return None,
            By::Workspace => {}
            By::Service { .. } | By::Route(_) => {
                FailedOver { worker: self.to.endpoint.address.as_str(), error }.emit(&core.counters);
            }
        }
        self.past = 0;
        self.index = decided.index;
        Some(Box::new(mem::replace(&mut self.to, next)))
    }
}

impl Arrived {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Own(response, _) => response.status(),
            Self::Shared(response) => response.status(),
            Self::Tunnel(response) => response.status(),
        }
    }
}
