//! The last changes, for those who watch.
//!
//! A watcher holds a [`Position`] and asks for what came after it; nothing is queued for anybody, so a slow
//! watcher costs nothing. The history is bounded: whoever asks for what is no longer there is told to read anew.
//! It is no part of the replicated state: each node keeps its own, from where its log begins. What two of them
//! both still have is the same.

use quorate_model::{Change, Kind, LogIndex, Position, limit};
use std::{collections::VecDeque, sync::Arc};

/// A bounded list of changes, oldest first.
#[derive(Debug)]
pub struct History {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    bounds: Bounds,
    /// Everything after this is still here.
    floor: Position,
    /// Up to here everything that happened has been told.
    reached: LogIndex,
    /// Where each kind changed last, by its place in [`Kind::ALL`]; where that is not known, where it may have.
    changed: [LogIndex; Kind::ALL.len()],
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Changes.
    pub changes: usize,
    /// Bytes of memory, about.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { changes: limit::HISTORY_CHANGES_MAX, bytes: limit::HISTORY_BYTES_MAX }
    }
}

/// What came after a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// In order.
    pub changes: Vec<Arc<Change>>,
    /// Everything up to here is in `changes`, or was before the position that was asked about.
    pub upto: Position,
}

/// What came right after the position is not known any more: read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history begins after {floor}")]
pub struct Forgotten {
    /// What is known begins after this.
    pub floor: Position,
}

impl Default for History {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl History {
    /// Of a state to which nothing was applied.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            changes: VecDeque::new(),
            bytes: 0,
            bounds,
            floor: Position::end_of(LogIndex(0)),
            reached: LogIndex(0),
            changed: [LogIndex(0); Kind::ALL.len()],
        }
    }

    /// The state was replaced by one at `index`: nobody knows what lies between.
    pub fn replace(&mut self, index: LogIndex) {
        *self = Self::new(self.bounds);
        self.floor = Position::end_of(index);
        self.reached = index;
        self.changed = [index; Kind::ALL.len()];
    }

    /// All entries up to `reached` were applied, and did this. In order, after all before.
    pub fn push(&mut self, changes: Vec<Change>, reached: LogIndex) {
        for change in changes {
            match change.what.kind() {
                None => self.replace(change.position.index),
                Some(kind) => {
                    self.changed[place(kind)] = change.position.index;
                    self.bytes += change.what.weight();
                    self.changes.push_back(Arc::new(change));
                }
            }
        }
        self.reached = self.reached.max(reached);
        self.make_room();
    }

    /// What came after `position`, at most `max` changes of it.
    pub fn after(&self, position: Position, max: usize) -> Result<Since, Forgotten> {
        if position < self.floor {
            return Err(Forgotten { floor: self.floor });
        }
        let from = self.changes.partition_point(|change| change.position <= position);
        let changes: Vec<_> = self.changes.range(from..).take(max).cloned().collect();
        let all = from + changes.len() == self.changes.len();
        let upto = match changes.last() {
            _ if all => position.max(Position::end_of(self.reached)),
            Some(last) => last.position,
            None => position,
        };
        Ok(Since { changes, upto })
    }

    /// Where one of `kinds` changed last, or may have.
    pub fn changed(&self, kinds: &[Kind]) -> LogIndex {
        kinds.iter().map(|kind| self.changed[place(*kind)]).max().unwrap_or_default()
    }

    fn make_room(&mut self) {
        while self.changes.len() > self.bounds.changes || self.bytes > self.bounds.bytes {
            let Some(oldest) = self.changes.pop_front() else { return };
            self.bytes -= oldest.what.weight();
            self.floor = oldest.position;
        }
    }
}

fn place(kind: Kind) -> usize {
    Kind::ALL.iter().position(|k| *k == kind).expect("all kinds are in the list")
}
