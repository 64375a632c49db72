//! Switches for those who wait and watch.

use super::Fake;
use quorate_model::{Command, LogIndex};
use quorate_state::{History, history::Bounds};

/// How many changes the fake's history has, of presence and of all else each.
const HISTORY: usize = 300;

pub(super) fn history() -> History {
    let bounds = Bounds { changes: HISTORY, bytes: usize::MAX };
    History::new(bounds, bounds)
}

impl Fake {
    /// From now on each wait is over at once.
    pub fn run_out_of_patience(&self) {
        self.inner.lock().expect("no panic").impatient = true;
    }

    /// From now on other nodes are never heard.
    pub fn deafen(&self) {
        self.inner.lock().expect("no panic").deaf = true;
    }

    /// The node is about to end.
    pub fn end(&self) {
        self.ending.fire();
    }

    /// A snapshot took the place of the state, which is the same: nobody knows what it did.
    pub fn install_snapshot(&self) {
        let mut inner = self.inner.lock().expect("no panic");
        let index = inner.state.index();
        inner.history.replace(index);
    }

    /// Several commands in one entry.
    pub fn apply_together(&self, commands: Vec<Command>) -> LogIndex {
        let mut inner = self.inner.lock().expect("no panic");
        let index = inner.apply_entry(commands).0;
        self.changed.send_replace(index.0);
        index
    }
}
