//! What all members can do.

use crate::{config_history::ConfigHistory, state::State};
use quorate_model::{Event, FeatureLevel, Reply};

impl State {
    /// A level never falls: what was written at it stays in the log and in snapshots.
    pub(super) fn raise_level(&mut self, to: FeatureLevel, events: &mut Vec<Event>) -> Reply {
        if to <= self.level {
            return Reply::Unchanged;
        }
        self.level = to;
        if self.history.is_none() {
            // From here on it is asked for; on each node it begins at the same index.
            self.note_declared();
            if to >= FeatureLevel::SIXTH {
                self.history = Some(ConfigHistory::beginning(self.index));
            }
        }
        events.push(Event::LevelRaised { to });
        Reply::Done
    }
}
