//! What happens to a thousand requests alike is worth one line in the log, not a thousand.

use crate::deadline::TICK;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// At most one line in so many ticks: a minute.
const EVERY: u32 = (Duration::from_secs(60).as_millis() / TICK.as_millis()) as u32;

/// Counts, and says when to tell. One core's: its loads and stores are not one step together, and need not be.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    /// The tick from which on it is told again.
    next: AtomicU32,
    /// How many were not told of.
    untold: AtomicU32,
}

impl Seldom {
    /// It happened at tick `now`. `Some`: tell of so many.
    pub fn note(&self, now: u32) -> Option<u32> {
        let all = self.untold.load(Ordering::Relaxed).saturating_add(1);
        let is_due = now >= self.next.load(Ordering::Relaxed);
        self.untold.store(if is_due { 0 } else { all }, Ordering::Relaxed);
        if is_due {
            self.next.store(now.saturating_add(EVERY), Ordering::Relaxed);
        }
        is_due.then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_the_others_together() {
        let seldom = Seldom::default();
        assert_eq!(seldom.note(7), Some(1), "at once");
        for now in [7, 8, 606] {
            assert_eq!(seldom.note(now), None, "{now}");
        }
        assert_eq!(seldom.note(607), Some(4), "a minute later");
        assert_eq!(seldom.note(608), None);
        assert_eq!(seldom.note(5_000), Some(2));
    }
}
