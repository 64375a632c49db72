//! When this core saw which log index, for the last moments.
//!
//! The View says at which index the last owner of something went; how long ago that was, an index does not say, and
//! log time is another machine's clock. So each core notes, ten times a second, which index it is at, by its own
//! clock.

use quorate_model::LogIndex;
use std::collections::VecDeque;

/// How many notes are kept: 12 s of them, and nobody waits for more than 10 s.
const NOTES_MAX: usize = 128;

/// Log indexes, and the tick by which they had been seen.
#[derive(Debug, Default)]
pub(crate) struct Timeline(VecDeque<(LogIndex, u32)>);

impl Timeline {
    /// At `now` the View is at `index`.
    pub fn note(&mut self, index: LogIndex, now: u32) {
        if self.0.back().is_some_and(|(last, _)| *last == index) {
            return;
        }
        if self.0.len() == NOTES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((index, now));
    }

    /// For how many ticks `index` has been seen. `None`: longer than the timeline reaches back, such as before the
    /// node started.
    pub fn age(&self, index: LogIndex, now: u32) -> Option<u32> {
        let after = self.0.partition_point(|(noted, _)| *noted < index);
        match self.0.get(after) {
            // It came after the last note.
            None => Some(0),
            Some(_) if after == 0 => None,
            Some((_, seen)) => Some(now.saturating_sub(*seen)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_an_age_by_the_own_clock() {
        let mut timeline = Timeline::default();
        for (index, now) in [(10, 1), (10, 2), (15, 3), (15, 4), (20, 7)] {
            timeline.note(LogIndex(index), now);
        }
        let age = |index| timeline.age(LogIndex(index), 9);
        assert_eq!((age(5), age(10)), (None, None), "before the first note: who knows");
        assert_eq!((age(11), age(15), age(16), age(20)), (Some(6), Some(6), Some(2), Some(2)));
        assert_eq!(age(21), Some(0), "newer than the last note");
    }

    #[test]
    fn it_is_bounded() {
        let mut timeline = Timeline::default();
        for nth in 0..1_000 {
            timeline.note(LogIndex(nth), nth as u32);
        }
        assert_eq!(timeline.0.len(), NOTES_MAX);
        assert_eq!(timeline.age(LogIndex(999), 1_000), Some(1));
        assert_eq!(timeline.age(LogIndex(900), 1_000), Some(100));
        assert_eq!(timeline.age(LogIndex(500), 1_000), None);
    }
}
