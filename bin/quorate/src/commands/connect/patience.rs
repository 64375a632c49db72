//! How long a lost connection is dialled again: for ever while somebody may still have something to say, for a while
//! where only what was said is waited for, not at all for somebody who wants to go.

use std::time::Duration;
use tokio::time::Instant;

/// Nobody waits longer for a gateway once there is nothing more to come.
pub const TRIED_FOR: Duration = Duration::from_secs(10);
/// A gateway that is back by then was not away for anybody to notice.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// Between two words that it is still dialled.
const EVERY: Duration = Duration::from_secs(30);

/// What whoever connects is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Going {
    /// Stay.
    #[default]
    Not,
    /// Go once everything is answered.
    Answered,
    /// Go, by a signal or `/quit`: without a gateway at once.
    Now,
}

/// What is known of a connection that may be lost.
#[derive(Debug, Default)]
pub struct Patience {
    going: Going,
    /// Since when it is about to go.
    leaving: Option<Instant>,
    /// Since when it is lost, and when to say so next.
    lost: Option<(Instant, Instant)>,
    /// Since when something waits to be taken.
    waiting: Option<Instant>,
}

impl Patience {
    /// The connection is lost, or there again.
    pub fn set_lost(&mut self, is_lost: bool, now: Instant) {
        self.lost = is_lost.then(|| (now, now + FIRST_WORD));
    }

    /// Something waits to be taken, or nothing does.
    pub fn set_waiting(&mut self, is_waiting: bool, now: Instant) {
        self.waiting = if is_waiting { self.waiting.or(Some(now)) } else { None };
    }

    /// What it is about to do.
    pub fn going(&self) -> Going {
        self.going
    }

    /// Whether there is no connection.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// It goes, and not later than it would have gone.
    pub fn go(&mut self, going: Going, now: Instant) {
        self.going = going;
        self.leaving.get_or_insert(now);
    }

    /// When to give up; `None`: not yet.
    pub fn end(&self) -> Option<Instant> {
        let (since, _) = self.lost?;
        if self.going == Going::Now {
            return Some(since);
        }
        // What has no end yet is waited for by nobody.
        let until = [self.leaving, self.waiting].into_iter().flatten().min()?;
        Some(since.max(until) + TRIED_FOR)
    }

    /// It was dialled in vain: for how long it has been lost, where it is time to say so.
    pub fn dialled_in_vain(&mut self, now: Instant) -> Option<Duration> {
        let (since, next) = self.lost.as_mut()?;
        if now < *next {
            return None;
        }
        *next = now + EVERY;
        Some(now - *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn whoever_stays_is_dialled_for_for_ever_and_whoever_goes_is_not() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.go(Going::Now, start);
        assert_eq!(patience.end(), None, "while it is connected everything is answered first");
        let mut patience = Patience::default();
        patience.set_lost(true, start);
        assert_eq!(patience.end(), None);
        patience.go(Going::Answered, start + SECOND);
        patience.set_waiting(false, start + SECOND);
        assert_eq!(patience.end(), Some(start + SECOND + TRIED_FOR));
        patience.go(Going::Now, start + 2 * SECOND);
        assert_eq!(patience.end(), Some(start));
        patience.set_lost(false, start);
        assert_eq!(patience.end(), None);
    }

    #[test]
    fn an_input_that_is_not_taken_is_waited_for_as_long_as_one_that_has_ended() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.set_waiting(true, start);
        patience.set_waiting(true, start + SECOND);
        patience.set_lost(true, start);
        assert_eq!(patience.end(), Some(start + TRIED_FOR));
        patience.set_waiting(false, start);
        assert_eq!(patience.end(), None);
    }

    #[test]
    fn that_it_is_still_dialled_is_said_from_time_to_time() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.set_lost(true, start);
        let said = (0..80).filter_map(|at| patience.dialled_in_vain(start + SECOND * at));
        let said: Vec<_> = said.map(|since| since.as_secs()).collect();
        assert_eq!(said, [5, 35, 65]);
    }
}
