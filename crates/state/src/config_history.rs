//! What operators declared before.
//!
//! Replicated, so that each node tells the same of the past, and bounded, so that it costs little: the oldest entry
//! goes first, as a whole. A change keeps what stood before it, which the tables no longer hold; nothing is copied for
//! it.

use crate::{parts::HistoryParts, state::State};
use imbl::Vector;
use quorate_model::{
    DeclaredChange, Former, FormerSandbox, KeyspaceConfig, KeyspaceName, LogIndex, Refusal, RouteName,
    RoutingKey, ServiceName, ServicePolicy, StoredRoute, limit,
};
use std::{collections::BTreeMap, sync::Arc};

/// The last changes of what operators declare. Cloning costs O(1).
#[derive(Clone, Debug)]
pub struct ConfigHistory {
    /// What was declared after this entry, and after each later one, can be told.
    begins: LogIndex,
    /// The oldest first.
    changes: Vector<Arc<DeclaredChange>>,
    /// How many entries they are from. Derived.
    entries: usize,
    /// What they keep in memory, about. Derived.
    weight: usize,
}

/// How the objects that have changed since an entry stood after it; `None`: there was no such object. All others stood
/// as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier<'a> {
    /// By name.
    pub routes: BTreeMap<&'a RouteName, Option<&'a Arc<StoredRoute>>>,
    /// By key.
    pub sandboxes: BTreeMap<&'a RoutingKey, Option<&'a FormerSandbox>>,
    /// By service.
    pub services: BTreeMap<&'a ServiceName, Option<&'a Arc<ServicePolicy>>>,
    /// By name.
    pub keyspaces: BTreeMap<&'a KeyspaceName, Option<KeyspaceConfig>>,
}

impl ConfigHistory {
    /// One that knows what stands after the entry at `index`, and nothing before.
    pub(crate) fn beginning(index: LogIndex) -> Self {
        Self { begins: index, changes: Vector::new(), entries: 0, weight: 0 }
    }

    pub(crate) fn from_parts(parts: &HistoryParts) -> Self {
        let mut history = Self::beginning(parts.begins);
        parts.changes.iter().for_each(|change| history.count_in(change.clone()));
        history
    }

    pub(crate) fn parts(&self) -> HistoryParts {
        HistoryParts { begins: self.begins, changes: self.changes.iter().cloned().collect() }
    }

    /// The earliest entry after which it is known what was declared.
    pub fn begins(&self) -> LogIndex {
        self.begins
    }

    /// The changes of entries before `before`, the newest entry first; those of one entry in their order.
    pub fn entries_before(&self, before: LogIndex) -> Entries<'_> {
        Entries {
            changes: &self.changes,
            end: self.changes.iter().rposition(|c| c.index < before).map_or(0, |n| n + 1),
        }
    }

    /// One more change of the newest entry.
    pub(crate) fn push(&mut self, change: Arc<DeclaredChange>) {
        if change.index <= self.begins {
            // Its entry is the one that all begins after: what stands at its end is what counts.
            return;
        }
        self.count_in(change);
        while self.entries > limit::CONFIG_HISTORY_ENTRIES_MAX
            || self.weight > limit::CONFIG_HISTORY_BYTES_MAX
        {
            self.forget_oldest();
        }
    }

    fn count_in(&mut self, change: Arc<DeclaredChange>) {
        self.entries += usize::from(self.changes.last().is_none_or(|last| last.index != change.index));
        self.weight += change.weight();
        self.changes.push_back(change);
    }

    /// The whole entry: half of one would be a configuration that never stood.
    fn forget_oldest(&mut self) {
        let Some(oldest) = self.changes.front().map(|change| change.index) else { return };
        while self.changes.front().is_some_and(|change| change.index == oldest) {
            self.weight -= self.changes.pop_front().map_or(0, |change| change.weight());
        }
        self.entries -= 1;
        self.begins = oldest;
    }

    /// Where what is declared changed last, as far as is known here.
    fn ends(&self) -> LogIndex {
        self.changes.last().map_or(self.begins, |change| change.index)
    }

    /// What does not fit to itself or to `state`; `None`: nothing.
    pub(crate) fn difference(&self, state: &State) -> Option<String> {
        let anew = Self::from_parts(&self.parts());
        if (anew.entries, anew.weight) != (self.entries, self.weight) {
            return Some(format!("{} entries of {} bytes are counted", self.entries, self.weight));
        }
        if self.entries > limit::CONFIG_HISTORY_ENTRIES_MAX || self.weight > limit::CONFIG_HISTORY_BYTES_MAX {
            return Some(format!("{} entries of {} bytes are too many", self.entries, self.weight));
        }
        let indexes: Vec<_> = self.changes.iter().map(|change| change.index).collect();
        if !indexes.is_sorted() || indexes.first().is_some_and(|first| *first <= self.begins) {
            return Some(format!("it begins after {}, with changes at {indexes:?}", self.begins));
        }
        if self.ends() != state.config_changed {
            return Some(format!(
                "it ends at {}, the last change was at {}",
                self.ends(),
                state.config_changed
            ));
        }
        self.broken_chain(state)
    }

    fn broken_chain(&self, state: &State) -> Option<String> {
        let mut stands = BTreeMap::new();
        for change in &self.changes {
            let key = (kind(&change.former), change.former.name());
            let before = stands.insert(key, change.became);
            if before.is_some_and(|before| before.stands() != change.former.stood()) {
                return Some(format!("{key:?} became {before:?} before {change:?}"));
            }
        }
        let last =
            stands.into_iter().find(|((kind, name), became)| state.declares(*kind, name) != became.stands());
        last.map(|(key, became)| format!("{key:?} became {became:?}"))
    }
}

/// The kinds of objects, for what concerns them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Declared {
    Route,
    Sandbox,
    Service,
    Keyspace,
}

fn kind(former: &Former) -> Declared {
    match former {
        Former::Route { .. } => Declared::Route,
        Former::Sandbox { .. } => Declared::Sandbox,
        Former::Service { .. } => Declared::Service,
        Former::Keyspace { .. } => Declared::Keyspace,
    }
}

/// Entries with their changes, the newest entry first.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    changes: &'a Vector<Arc<DeclaredChange>>,
    /// Behind the last change of the next entry.
    end: usize,
}

impl<'a> Iterator for Entries<'a> {
    /// Never empty.
    type Item = Vec<&'a Arc<DeclaredChange>>;

    fn next(&mut self) -> Option<Self::Item> {
        let newest = self.changes.get(self.end.checked_sub(1)?)?.index;
        let start = (0..self.end).rev().take_while(|nth| self.changes[*nth].index == newest).last()?;
        let entry = self.changes.focus().narrow(start..self.end).into_iter().collect();
        self.end = start;
        Some(entry)
    }
}

impl State {
    /// What operators declared before; `None` before the sixth level.
    pub fn config_history(&self) -> Option<&ConfigHistory> {
        self.history.as_ref()
    }

    /// What was declared otherwise after the entry at `wanted`.
    pub fn earlier(&self, wanted: LogIndex) -> Result<Earlier<'_>, Refusal> {
        let until = self.index;
        let from = self.history.as_ref().map_or(until, ConfigHistory::begins);
        let known = self.history.as_ref().filter(|_| (from..=until).contains(&wanted));
        let history = known.ok_or(Refusal::NotInHistory { wanted, from, until })?;
        let mut earlier = Earlier::default();
        for change in history.changes.iter().rev().take_while(|change| change.index > wanted) {
            earlier.walk_back(&change.former);
        }
        Ok(earlier)
    }

    fn declares(&self, kind: Declared, name: &str) -> bool {
        match kind {
            Declared::Route => self.routes.get(name).is_some(),
            Declared::Sandbox => self.sandboxes.get(name).is_some(),
            Declared::Service => self.service(name).is_some_and(|service| service.stored_policy().is_some()),
            Declared::Keyspace => self.keyspace(name).is_some(),
        }
    }
}

impl<'a> Earlier<'a> {
    fn walk_back(&mut self, former: &'a Former) {
        match former {
            Former::Route { name, was } => drop(self.routes.insert(name, was.as_ref())),
            Former::Sandbox { key, was } => drop(self.sandboxes.insert(key, was.as_ref())),
            Former::Service { name, was } => drop(self.services.insert(name, was.as_ref())),
            Former::Keyspace { name, was } => drop(self.keyspaces.insert(name, *was)),
        }
    }
}
