//! The last changes, for those who watch.
//!
//! A watcher holds a [`Position`] and asks for what came after it; nothing is queued for anybody, so a slow
//! watcher costs nothing. The history is bounded: whoever asks for what is no longer there is told to read anew.
//! It is no part of the replicated state: each node keeps its own, from where its log begins. What two of them
//! both still have is the same.
//!
//! Users of the gateway come and go by tens of thousands in a second, where all else changes now and then. So they have
//! room of their own: a storm of logins pushes out what is older of the same, and nothing of what others watch.

use quorate_model::{Change, Kind, LogIndex, Position, limit};
use std::{
    collections::{VecDeque, vec_deque},
    sync::Arc,
};

/// What happened lately, oldest first.
#[derive(Debug)]
pub struct History {
    /// Of all kinds but presence.
    records: Shelf,
    presence: Shelf,
    /// Up to here everything that happened has been told.
    reached: LogIndex,
    /// Where each kind changed last, by its place in [`Kind::ALL`]; where that is not known, where it may have.
    changed: [LogIndex; Kind::ALL.len()],
}

/// A bounded list of changes, oldest first.
#[derive(Debug)]
struct Shelf {
    changes: VecDeque<Kept>,
    bytes: usize,
    bounds: Bounds,
    /// Everything after this is still here.
    floor: Position,
}

#[derive(Debug)]
struct Kept {
    change: Arc<Change>,
    /// What it counts for: to find that out, all of its records are read.
    bytes: usize,
}

/// How much is kept, of presence and of all else each.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Changes.
    pub changes: usize,
    /// Bytes of memory, about.
    pub bytes: usize,
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
        let bounds = |bytes| Bounds { changes: limit::HISTORY_CHANGES_MAX, bytes };
        Self::new(bounds(limit::HISTORY_BYTES_MAX), bounds(limit::HISTORY_PRESENCE_BYTES_MAX))
    }
}

impl History {
    /// Of a state to which nothing was applied.
    pub fn new(records: Bounds, presence: Bounds) -> Self {
        let start = Position::end_of(LogIndex(0));
        Self {
            records: Shelf::new(records, start),
            presence: Shelf::new(presence, start),
            reached: LogIndex(0),
            changed: [LogIndex(0); Kind::ALL.len()],
        }
    }

    /// The state was replaced by one at `index`: nobody knows what lies between.
    pub fn replace(&mut self, index: LogIndex) {
        let start = Position::end_of(index);
        self.records = Shelf::new(self.records.bounds, start);
        self.presence = Shelf::new(self.presence.bounds, start);
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
                    let shelf = if kind == Kind::Presence { &mut self.presence } else { &mut self.records };
                    shelf.push(change);
                }
            }
        }
        self.reached = self.reached.max(reached);
        self.records.make_room();
        self.presence.make_room();
    }

    /// What came after `position`, at most `max` changes of it.
    pub fn after(&self, position: Position, max: usize) -> Result<Since, Forgotten> {
        self.about(None, position, max)
    }

    /// The same for somebody who wants to hear of these kinds only; `None`: of all. Others may be among them all the same,
    /// but nobody is told to read anew for what was forgotten of kinds that were not asked for.
    pub fn about(&self, kinds: Option<&[Kind]>, position: Position, max: usize) -> Result<Since, Forgotten> {
        let is_presence = |kind: &Kind| *kind == Kind::Presence;
        let wants_presence = kinds.is_none_or(|kinds| kinds.iter().any(is_presence));
        let wants_records = kinds.is_none_or(|kinds| !kinds.iter().all(is_presence));
        let (records, presence) =
            (wants_records.then_some(&self.records), wants_presence.then_some(&self.presence));
        let floor = records.iter().chain(&presence).map(|shelf| shelf.floor).max();
        if let Some(floor) = floor.filter(|floor| position < *floor) {
            return Err(Forgotten { floor });
        }
        let mut records = records.map(|shelf| shelf.behind(position)).unwrap_or_default().peekable();
        let mut presence = presence.map(|shelf| shelf.behind(position)).unwrap_or_default().peekable();
        let mut changes = Vec::new();
        while changes.len() < max {
            let is_presence_next = match (records.peek(), presence.peek()) {
                (Some(record), Some(login)) => login.change.position < record.change.position,
                (None, _) => true,
                (Some(_), None) => false,
            };
            let next = if is_presence_next { presence.next() } else { records.next() };
            let Some(next) = next else { break };
            changes.push(next.change.clone());
        }
        let all = records.peek().is_none() && presence.peek().is_none();
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
}

impl Shelf {
    fn new(bounds: Bounds, floor: Position) -> Self {
        Self { changes: VecDeque::new(), bytes: 0, bounds, floor }
    }

    fn push(&mut self, change: Change) {
        let bytes = change.what.weight();
        self.bytes += bytes;
        self.changes.push_back(Kept { change: Arc::new(change), bytes });
    }

    fn behind(&self, position: Position) -> vec_deque::Iter<'_, Kept> {
        let from = self.changes.partition_point(|kept| kept.change.position <= position);
        self.changes.range(from..)
    }

    fn make_room(&mut self) {
        while self.changes.len() > self.bounds.changes || self.bytes > self.bounds.bytes {
            let Some(oldest) = self.changes.pop_front() else { return };
            self.bytes -= oldest.bytes;
            self.floor = oldest.change.position;
        }
    }
}

fn place(kind: Kind) -> usize {
    Kind::ALL.iter().position(|k| *k == kind).expect("all kinds are in the list")
}
