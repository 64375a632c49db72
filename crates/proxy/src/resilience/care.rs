//! One request's part in its service's resilience: whatever becomes of it, the worker's record gets to know. A request
//! that a route sends to an address of its own has none; what of those is tried again is in the route's own book.

use super::{Again, Book, Conduct, Rules, conduct::Result};
use crate::deadline::now_ms;
use quorate_routing::{
    admission::Limits,
    breaker::{Change, Pass},
    budget::Budget,
    outlier::Seen,
    retry::{Connection, Failure},
};
use quorate_rt::time::Instant;
use std::sync::Arc;

/// A request at one of a service's workers, or at an address that a route names.
pub(crate) struct Care {
    /// What is tried again: as the route says, else the service.
    pub again: Arc<Again>,
    /// `None`: no service's.
    rules: Option<Arc<Rules>>,
    book: Arc<Book>,
    visit: Option<Visit>,
}

/// An attempt at a worker whose conduct is of interest.
struct Visit {
    rules: Arc<Rules>,
    conduct: Arc<Conduct>,
    pass: Option<Pass>,
    began: Option<Instant>,
}

impl Care {
    /// Of a request that is about to be sent to a worker at `tick`.
    pub fn new(rules: &Arc<Rules>, book: &Arc<Book>, conduct: Option<&Arc<Conduct>>, tick: u32) -> Self {
        let visit = conduct.map(|conduct| {
            let (pass, change) = conduct.admit(rules, now_ms(tick));
            book.changed(change);
            Visit { rules: rules.clone(), conduct: conduct.clone(), pass, began: None }
        });
        Self { again: rules.again.clone(), rules: Some(rules.clone()), book: book.clone(), visit }
    }

    /// Of a request to an address that a route names.
    pub fn of_route(again: &Arc<Again>, book: &Arc<Book>) -> Self {
        Self { again: again.clone(), rules: None, book: book.clone(), visit: None }
    }

    /// With what a route says of retries, if it does.
    pub fn by(mut self, again: Option<&Arc<Again>>) -> Self {
        if let Some(again) = again {
            self.again = again.clone();
        }
        self
    }

    /// What the service's policy bounds.
    pub fn limits(&self) -> Limits {
        self.rules.as_ref().map_or_else(Limits::default, |rules| rules.limits)
    }

    /// There is a connection, and the request is about to be written to it. To get one says little about how long
    /// answers take, and a worker that is new would look slow for the first one.
    pub fn sent(&mut self) {
        if let Some(visit) = &mut self.visit {
            visit.began = visit.rules.watch_latency().then(Instant::now);
        }
    }

    /// The head of an answer came.
    pub fn answered(&mut self, status: u16, tick: u32) {
        self.ended(Seen::of_status(status), tick);
    }

    /// None came. A connection that had died in the pool says nothing about the worker.
    pub fn failed(&mut self, (failure, connection): (Failure, Connection), tick: u32) {
        match (failure, connection) {
            (Failure::Refused, _) => self.ended(Seen::NoConnection, tick),
            (Failure::Died, Connection::Fresh) | (Failure::TimedOut | Failure::TryTimedOut, _) => {
                self.ended(Seen::GatewayError, tick);
            }
            (Failure::Unsent, _) | (Failure::Died, Connection::Pooled) => {}
            // It was said when it came.
            (Failure::BadAnswer, _) => {}
        }
    }

    /// Whether the request may go on to another worker, as far as the budget goes.
    pub fn budget(&self, tick: u32) -> Budget {
        self.book.budget(&self.again.policy.budget, now_ms(tick))
    }

    /// It does.
    pub fn goes_on(&self, tick: u32) {
        self.book.retry(&self.again.policy.budget, now_ms(tick));
    }

    fn ended(&mut self, seen: Seen, tick: u32) {
        let Some(visit) = &mut self.visit else { return };
        // What was not even sent counts as a failure, whatever time that took.
        let elapsed = visit.began.map_or(0, |began| began.elapsed().as_micros());
        let took_us = visit.rules.watch_latency().then(|| u32::try_from(elapsed).unwrap_or(u32::MAX));
        let result = Result { seen, took_us };
        let (change, cause) = visit.conduct.ended(&visit.rules, (visit.pass.take(), result), now_ms(tick));
        self.book.changed(change);
        if change == Some(Change::Opened) {
            self.book.tell(&visit.rules, &visit.conduct);
        }
        if let (Some(cause), Some(settings)) = (cause, &visit.rules.outlier) {
            self.book.eject(settings, (&visit.conduct, cause), now_ms(tick));
        }
    }
}

/// A client that went away says nothing about the worker, but a trial must not be out for ever.
impl Drop for Care {
    fn drop(&mut self) {
        if let Some(visit) = &mut self.visit
            && let Some(pass) = visit.pass.take()
        {
            visit.conduct.abandoned(&visit.rules, pass);
        }
    }
}
