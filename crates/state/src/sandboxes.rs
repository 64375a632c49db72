//! Sandboxes by key, with what is derived from them: the routes that their rules are forwarded by, and who ends when.
//!
//! What a rule is made into is made when it is applied, not when a request comes: the request finds it by its key.
//!
//! They are kept twice: in the order of their keys, which lists and snapshots follow, and by a fixed hash of the key,
//! which requests follow. In order, a key among 100,000 is found by comparing it with seventeen others, each of them
//! somewhere else in memory; by its hash, with one.

mod compiled;

pub use compiled::{CompiledRule, CompiledSandbox};

use crate::{
    ramps::RampIndex,
    text::{Text, trie::Trie},
};
use imbl::{OrdMap, OrdSet};
use quorate_model::{LogTime, RoutingKey, Sandbox, SandboxEnd, StoredSandbox, limit};
use std::{ops::Bound, sync::Arc};

/// All sandboxes. Cloning costs O(1).
#[derive(Clone, Debug, Default)]
pub struct SandboxTable {
    by_key: OrdMap<RoutingKey, Arc<CompiledSandbox>>,
    /// The same for look-ups only: never walked through. Derived.
    index: Trie<Arc<CompiledSandbox>>,
    /// Those with an end, by it. Derived.
    ends: OrdSet<(LogTime, RoutingKey)>,
    /// Whose rules' ramps go on when. Derived.
    ramps: RampIndex,
    /// What they keep in memory, about. Derived.
    weight: usize,
}

impl SandboxTable {
    /// The sandbox of a key.
    pub fn get(&self, key: &str) -> Option<&Arc<CompiledSandbox>> {
        self.index.get(key.as_bytes())
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<StoredSandbox>> {
        self.by_key.values().map(|compiled| compiled.stored())
    }

    /// Those with keys after `cursor`, in order.
    pub fn after(&self, cursor: &str) -> impl Iterator<Item = &Arc<StoredSandbox>> {
        let range = self.by_key.range::<_, str>((Bound::Excluded(cursor), Bound::Unbounded));
        range.map(|(_, compiled)| compiled.stored())
    }

    /// The ramps of their rules.
    pub fn ramps(&self) -> &RampIndex {
        &self.ramps
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// What they keep in memory, about, in bytes: the sum of `Sandbox::weight`.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Those that end until `by`, the first to end first.
    pub fn ending(&self, by: LogTime) -> impl Iterator<Item = &Arc<StoredSandbox>> {
        self.ending_after(None, by)
    }

    /// The same, behind the one of this end and key.
    pub fn ending_after(
        &self,
        after: Option<(LogTime, RoutingKey)>,
        by: LogTime,
    ) -> impl Iterator<Item = &Arc<StoredSandbox>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let until = self.ends.range((from, Bound::Unbounded)).take_while(move |(ends, _)| *ends <= by);
        until.filter_map(|(_, key)| self.get(key.as_str())).map(|compiled| compiled.stored())
    }

    /// Those whose time is over at `now`, the longest over first, at most as many as one command ends.
    pub fn over(&self, now: LogTime) -> Vec<SandboxEnd> {
        let over = self.ending(now).take(limit::SANDBOX_ENDS_MAX);
        over.map(|stored| SandboxEnd { key: stored.key.clone(), created: stored.created }).collect()
    }

    /// Whether `sandbox`, in the place of the one of this key, takes more memory than there is for sandboxes. One that
    /// needs no more than before always has its place.
    pub(crate) fn is_too_heavy(&self, key: &str, sandbox: &Sandbox) -> bool {
        let before = self.get(key).map_or(0, |compiled| compiled.stored().sandbox.weight());
        let after = sandbox.weight();
        after > before && self.weight - before + after > limit::SANDBOXES_BYTES_MAX
    }

    /// What is derived otherwise than it should be; `None`: nothing.
    pub(crate) fn difference(&self) -> Option<String> {
        let mut wanted = Self::default();
        self.iter().for_each(|stored| drop(wanted.insert(stored.clone())));
        if self.ends != wanted.ends {
            return Some(format!("ends: {:?}, wanted {:?}", self.ends, wanted.ends));
        }
        if self.ramps != wanted.ramps {
            return Some(format!("ramps: {:?}, wanted {:?}", self.ramps, wanted.ramps));
        }
        if self.weight != wanted.weight {
            return Some(format!("{} bytes, wanted {}", self.weight, wanted.weight));
        }
        if self.index.len() != self.by_key.len() {
            return Some(format!("{} keys are found, of {}", self.index.len(), self.by_key.len()));
        }
        let is_other = |(key, compiled): &(&RoutingKey, &Arc<CompiledSandbox>)| {
            let is_found = self.get(key.as_str()).is_some_and(|found| Arc::ptr_eq(found, compiled));
            !is_found || wanted.get(key.as_str()) != Some(compiled)
        };
        self.by_key.iter().find(is_other).map(|(key, compiled)| format!("{key} is made into {compiled:?}"))
    }

    /// Puts a sandbox in the place of the one of its key, which it returns.
    pub fn insert(&mut self, stored: Arc<StoredSandbox>) -> Option<Arc<CompiledSandbox>> {
        let (key, ends, weight) = (stored.key.clone(), stored.ends, stored.sandbox.weight());
        let old = self.get(key.as_str()).cloned();
        let compiled = Arc::new(CompiledSandbox::new(stored, old.as_deref()));
        if let Some(old) = &old {
            self.forget(old);
        }
        if let Some(ends) = ends {
            self.ends.insert((ends, key.clone()));
        }
        compiled.ramps().for_each(|ramping| self.ramps.add(ramping));
        self.weight += weight;
        match self.index.get_mut(key.as_str().as_bytes()) {
            Some(found) => *found = compiled.clone(),
            None => self.index.add(Text::new(key.as_str()), compiled.clone()),
        }
        self.by_key.insert(key, compiled);
        old
    }

    /// Takes a sandbox out.
    pub fn remove(&mut self, key: &RoutingKey) -> Option<Arc<CompiledSandbox>> {
        let old = self.by_key.remove(key)?;
        self.index.remove(key.as_str().as_bytes());
        self.forget(&old);
        Some(old)
    }

    /// What is derived from one, but for the places where it is found.
    fn forget(&mut self, old: &CompiledSandbox) {
        let stored = old.stored();
        if let Some(ends) = stored.ends {
            self.ends.remove(&(ends, stored.key.clone()));
        }
        old.ramps().for_each(|ramping| self.ramps.forget(ramping));
        self.weight -= stored.sandbox.weight();
    }
}

#[cfg(test)]
impl SandboxTable {
    /// An end of nobody.
    pub(crate) fn end_raw(&mut self, ends: LogTime) {
        self.ends.insert((ends, RoutingKey::parse("ghost").expect("valid")));
    }
    /// One that no request finds.
    fn hide_raw(&mut self, key: &str) {
        self.index.remove(key.as_bytes());
    }

    /// One that requests find, and nobody else.
    fn find_raw(&mut self, key: &str, compiled: &Arc<CompiledSandbox>) {
        self.index.add(Text::new(key), compiled.clone());
    }
}

#[cfg(test)]
mod tests;
