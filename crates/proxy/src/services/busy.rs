//! Why nobody was picked of those who are there, and when it is worth another try.

use super::{Choice, Entrant, is_tried};
use crate::{deadline::now_ms, destination::Outstanding};
use quorate_telemetry::{events::ServiceFull, label::Outcome};
use std::sync::Arc;

/// Why nobody of those who are there is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// They have as many requests as they may have.
    Full,
    /// Their breakers are open, the first one for so long.
    Shut { for_ms: u64 },
}

impl Busy {
    /// When it is worth another try, in whole seconds.
    pub fn retry_after(self) -> u64 {
        match self {
            Self::Full => 1,
            Self::Shut { for_ms } => for_ms.div_ceil(1_000).clamp(1, RETRY_AFTER_MAX),
        }
    }

    /// As the request is counted.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Full => Outcome::Overloaded,
            Self::Shut { .. } => Outcome::NoWorker,
        }
    }
}

/// A client that is told of more comes back when nobody remembers what for: another worker may register meanwhile.
const RETRY_AFTER_MAX: u64 = 60;

/// How many of a service's workers are asked why nobody was picked.
const ASKED_MAX: usize = 64;

impl Choice {
    /// Why nobody was picked, where somebody is there: a reason other than that nobody is.
    pub fn busy(&self, tried: &[Arc<Outstanding>], now: u32) -> Option<Busy> {
        let now_ms = now_ms(now);
        let entrants = self.candidates.iter().map(|candidate| &candidate.who);
        let untried = entrants.filter(|entrant| !is_tried(&entrant.seat, tried)).take(ASKED_MAX);
        let busy = untried.filter_map(|entrant| self.busy_one(entrant, now_ms));
        let busy = busy.min_by_key(|busy| busy.retry_after());
        if busy == Some(Busy::Full)
            && tried.is_empty()
            && let Some(refused) = self.book.full.note(now)
        {
            ServiceFull { service: self.service.name().as_str(), refused }.emit();
        }
        busy
    }

    fn busy_one(&self, entrant: &Entrant, now_ms: u64) -> Option<Busy> {
        let shut = entrant.conduct.as_ref().and_then(|conduct| conduct.shut_until(&self.rules, now_ms));
        let is_full =
            || self.rules.limits.in_flight.is_some_and(|max| entrant.seat.outstanding.count() >= max);
        match shut {
            Some(until_ms) => Some(Busy::Shut { for_ms: until_ms.saturating_sub(now_ms) }),
            None => is_full().then_some(Busy::Full),
        }
    }
}
