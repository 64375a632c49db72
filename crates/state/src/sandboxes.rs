//! Sandboxes by key, with what is derived from them: the routes that their rules are forwarded by, and who ends when.
//!
//! What a rule is made into is made when it is applied, not when a request comes: the request finds it by its key.
//!
//! They are kept twice: in the order of their keys, which lists and snapshots follow, and by a fixed hash of the key,
//! which requests follow. In order, a key among 100,000 is found by comparing it with seventeen others, each of them
//! somewhere else in memory; by its hash, with one.
//!
//! Objects of the sandbox API make rules too ([`crate::objects`]). A key may have both; requests then meet the rules that
//! were set for the key first, and those of the objects behind them. Lists, limits and ends are about what was set.

mod compiled;

pub use compiled::{CompiledRule, CompiledSandbox};

use crate::{
    objects::KeyRules,
    ramps::RampIndex,
    text::{Text, trie::Trie},
};
use imbl::{OrdMap, OrdSet};
use quorate_model::{LogTime, RoutingKey, Sandbox, SandboxEnd, StoredSandbox, limit};
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

/// All sandboxes. Cloning costs O(1).
#[derive(Clone, Debug, Default)]
pub struct SandboxTable {
    by_key: OrdMap<RoutingKey, Arc<CompiledSandbox>>,
    /// What objects make rules for, as sandboxes that nobody set. Derived from the objects.
    made: OrdMap<RoutingKey, Arc<StoredSandbox>>,
    /// What these keep in memory, about. Derived.
    made_weight: usize,
    /// What requests find: both together. Never walked through. Derived.
    index: Trie<Arc<CompiledSandbox>>,
    /// Those with an end, by it. Derived.
    ends: OrdSet<(LogTime, RoutingKey)>,
    /// Whose rules' ramps go on when. Derived.
    ramps: RampIndex,
    /// What they keep in memory, about. Derived.
    weight: usize,
    /// What keys that have both kinds of rules keep once more, about: what requests find of them is a copy. Derived.
    copies_weight: usize,
}

impl SandboxTable {
    /// The sandbox that was set for a key.
    pub fn get(&self, key: &str) -> Option<&Arc<CompiledSandbox>> {
        self.by_key.get(key)
    }

    /// What requests of a key find: the rules of its sandbox, and behind them those that objects make.
    pub fn of_requests(&self, key: &str) -> Option<&Arc<CompiledSandbox>> {
        self.index.get(key.as_bytes())
    }

    /// The rules that objects make for a key, as a sandbox that nobody set.
    pub fn made(&self, key: &str) -> Option<&Arc<StoredSandbox>> {
        self.made.get(key)
    }

    /// What all rules that objects make keep in memory, about, in bytes.
    pub fn made_weight(&self) -> usize {
        self.made_weight
    }

    /// What keys that have both kinds of rules keep in memory once more, about, in bytes.
    pub fn copies_weight(&self) -> usize {
        self.copies_weight
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
        let standing = self.get(key).map_or(0, |compiled| compiled.stored().sandbox.weight());
        let copied = self.of_requests(key).map_or(0, |found| found.copied());
        let made = self.made(key).map(|made| made.sandbox.weight());
        let before = standing + copied;
        let after = sandbox.weight() + made.map_or(0, |made| made + sandbox.weight());
        after > before && self.weight + self.copies_weight - before + after > limit::SANDBOXES_BYTES_MAX
    }

    /// What is derived otherwise than it should be; `None`: nothing.
    pub(crate) fn difference(&self) -> Option<String> {
        let mut wanted = Self::default();
        self.iter().for_each(|stored| drop(wanted.insert(stored.clone())));
        for (key, made) in &self.made {
            wanted.make(key, KeyRules { rules: made.sandbox.rules.clone(), created: made.created });
        }
        if self.ends != wanted.ends {
            return Some(format!("ends: {:?}, wanted {:?}", self.ends, wanted.ends));
        }
        if self.ramps != wanted.ramps {
            return Some(format!("ramps: {:?}, wanted {:?}", self.ramps, wanted.ramps));
        }
        let weights = |table: &Self| (table.weight, table.copies_weight);
        if weights(self) != weights(&wanted) {
            return Some(format!("{:?} bytes, wanted {:?}", weights(self), weights(&wanted)));
        }
        if self.made != wanted.made || self.made_weight != wanted.made_weight {
            return Some(format!("objects make {:?}, wanted {:?}", self.made, wanted.made));
        }
        let is_only_made = |key: &&RoutingKey| !self.by_key.contains_key(*key);
        let count = self.by_key.len() + self.made.keys().filter(is_only_made).count();
        if self.index.len() != count {
            return Some(format!("{} keys are found, of {count}", self.index.len()));
        }
        let is_other = |(key, compiled): &(&RoutingKey, &Arc<CompiledSandbox>)| {
            let found = self.of_requests(key.as_str());
            let is_found = self.made.contains_key(*key) || found.is_some_and(|it| Arc::ptr_eq(it, compiled));
            !is_found || wanted.get(key.as_str()) != Some(compiled)
        };
        let other = self.by_key.iter().find(is_other);
        let is_lost = |key: &&RoutingKey| {
            let found = self.of_requests(key.as_str());
            found.is_none() || found != wanted.of_requests(key.as_str())
        };
        let lost = || self.made.keys().find(is_lost).map(|key| format!("{key} is not what objects make"));
        other.map(|(key, compiled)| format!("{key} is made into {compiled:?}")).or_else(lost)
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
        self.by_key.insert(key.clone(), compiled);
        self.find(&key);
        old
    }

    /// What objects make for `key`, from now on.
    pub(crate) fn make(&mut self, key: &RoutingKey, KeyRules { rules, created }: KeyRules) {
        let is_so = |old: &Arc<StoredSandbox>| old.sandbox.rules == rules && old.created == created;
        if self.made.get(key).map_or(rules.is_empty(), is_so) {
            return;
        }
        if let Some(old) = self.made.remove(key) {
            self.made_weight -= old.sandbox.weight();
        }
        if !rules.is_empty() {
            let sandbox = Arc::new(Sandbox::of_rules(rules));
            self.made_weight += sandbox.weight();
            let (key, ramps) = (key.clone(), BTreeMap::new());
            let made =
                StoredSandbox { key: key.clone(), sandbox, created, changed: created, ends: None, ramps };
            self.made.insert(key, Arc::new(made));
        }
        self.find(key);
    }

    /// The keys that objects make rules for.
    pub(crate) fn made_keys(&self) -> impl Iterator<Item = &RoutingKey> {
        self.made.keys()
    }

    /// Lets requests of `key` find what there is.
    fn find(&mut self, key: &RoutingKey) {
        let before = self.of_requests(key.as_str()).cloned();
        self.copies_weight -= before.as_ref().map_or(0, |before| before.copied());
        let made = self.made.get(key).cloned();
        let found = match (self.by_key.get(key), made) {
            (None, None) => {
                self.index.remove(key.as_str().as_bytes());
                return;
            }
            (Some(set), None) => set.clone(),
            (None, Some(made)) => Arc::new(CompiledSandbox::new(made, before.as_deref())),
            (Some(set), Some(made)) => {
                let (both, weight) = behind(set.stored(), &made);
                Arc::new(CompiledSandbox::new(Arc::new(both), before.as_deref()).copying(weight))
            }
        };
        self.copies_weight += found.copied();
        match self.index.get_mut(key.as_str().as_bytes()) {
            Some(place) => *place = found,
            None => self.index.add(Text::new(key.as_str()), found),
        }
    }

    /// Takes a sandbox out.
    pub fn remove(&mut self, key: &RoutingKey) -> Option<Arc<CompiledSandbox>> {
        let old = self.by_key.remove(key)?;
        self.forget(&old);
        self.find(key);
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

/// The rules of `set`, and those of `made` behind them; and what that keeps in memory, which is no more than both.
fn behind(set: &StoredSandbox, made: &StoredSandbox) -> (StoredSandbox, usize) {
    let rules = set.sandbox.rules.iter().chain(&made.sandbox.rules).cloned().collect();
    let both = StoredSandbox { sandbox: Arc::new(Sandbox::of_rules(rules)), ..set.clone() };
    (both, set.sandbox.weight() + made.sandbox.weight())
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
