//! Sandboxes by key, with what is derived from them: the routes that their rules are forwarded by, and who ends when.
//!
//! What a rule is made into is made when it is applied, not when a request comes: the request finds it by its key.

use imbl::{OrdMap, OrdSet};
use quorate_model::{
    LogTime, RoutingKey, Sandbox, SandboxEnd, SandboxRule, StoredRoute, StoredSandbox, limit,
};
use std::{ops::Bound, sync::Arc};

/// All sandboxes. Cloning costs O(1).
#[derive(Clone, Debug, Default)]
pub struct SandboxTable {
    by_key: OrdMap<RoutingKey, Arc<CompiledSandbox>>,
    /// Those with an end, by it. Derived.
    ends: OrdSet<(LogTime, RoutingKey)>,
    /// What they keep in memory, about. Derived.
    weight: usize,
}

/// A sandbox, and what its rules are made into.
#[derive(Debug, PartialEq, Eq)]
pub struct CompiledSandbox {
    stored: Arc<StoredSandbox>,
    /// As many as there are rules.
    routes: Vec<Arc<StoredRoute>>,
}

/// A rule of a sandbox, and the route that it is forwarded by.
#[derive(Clone, Copy, Debug)]
pub struct CompiledRule<'s> {
    /// Which requests it is for, and when they go elsewhere.
    pub rule: &'s SandboxRule,
    /// Where they go. It matches everything: whether it is for a request says the rule.
    pub route: &'s Arc<StoredRoute>,
}

impl CompiledSandbox {
    /// What of `before` says the same stays the same, so that requests under way see no change.
    fn new(stored: Arc<StoredSandbox>, before: Option<&Self>) -> Self {
        let same = |nth: usize, rule: &SandboxRule| {
            let before = before.filter(|before| before.stored.created == stored.created)?;
            before
                .stored
                .sandbox
                .rules
                .get(nth)
                .filter(|old| *old == rule)
                .map(|_| before.routes[nth].clone())
        };
        let rules = stored.sandbox.rules.iter().enumerate();
        let routes = rules
            .map(|(nth, rule)| {
                same(nth, rule).unwrap_or_else(|| Arc::new(rule.route(&stored.key, nth, stored.created)))
            })
            .collect();
        Self { stored, routes }
    }

    /// As it was set.
    pub fn stored(&self) -> &Arc<StoredSandbox> {
        &self.stored
    }

    /// Its rules, in the order in which they are asked.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = CompiledRule<'_>> {
        let both = self.stored.sandbox.rules.iter().zip(&self.routes);
        both.map(|(rule, route)| CompiledRule { rule, route })
    }
}

impl SandboxTable {
    /// The sandbox of a key.
    pub fn get(&self, key: &str) -> Option<&Arc<CompiledSandbox>> {
        self.by_key.get(key)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<StoredSandbox>> {
        self.by_key.values().map(|compiled| &compiled.stored)
    }

    /// Those with keys after `cursor`, in order.
    pub fn after(&self, cursor: &str) -> impl Iterator<Item = &Arc<StoredSandbox>> {
        let range = self.by_key.range::<_, str>((Bound::Excluded(cursor), Bound::Unbounded));
        range.map(|(_, compiled)| &compiled.stored)
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
        until.filter_map(|(_, key)| self.get(key.as_str())).map(|compiled| &compiled.stored)
    }

    /// Those whose time is over at `now`, the longest over first, at most as many as one command ends.
    pub fn over(&self, now: LogTime) -> Vec<SandboxEnd> {
        let over = self.ending(now).take(limit::SANDBOX_ENDS_MAX);
        over.map(|stored| SandboxEnd { key: stored.key.clone(), created: stored.created }).collect()
    }

    /// Whether `sandbox`, in the place of the one of this key, takes more memory than there is for sandboxes. One that
    /// needs no more than before always has its place.
    pub(crate) fn is_too_heavy(&self, key: &str, sandbox: &Sandbox) -> bool {
        let before = self.get(key).map_or(0, |compiled| compiled.stored.sandbox.weight());
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
        if self.weight != wanted.weight {
            return Some(format!("{} bytes, wanted {}", self.weight, wanted.weight));
        }
        let is_other = |(key, compiled): &(&RoutingKey, &Arc<CompiledSandbox>)| {
            wanted.get(key.as_str()) != Some(compiled)
        };
        self.by_key.iter().find(is_other).map(|(key, compiled)| format!("{key} is made into {compiled:?}"))
    }

    /// Puts a sandbox in the place of the one of its key, which it returns.
    pub fn insert(&mut self, stored: Arc<StoredSandbox>) -> Option<Arc<CompiledSandbox>> {
        let old = self.remove(&stored.key);
        if let Some(ends) = stored.ends {
            self.ends.insert((ends, stored.key.clone()));
        }
        self.weight += stored.sandbox.weight();
        let key = stored.key.clone();
        self.by_key.insert(key, Arc::new(CompiledSandbox::new(stored, old.as_deref())));
        old
    }

    /// Takes a sandbox out.
    pub fn remove(&mut self, key: &RoutingKey) -> Option<Arc<CompiledSandbox>> {
        let old = self.by_key.remove(key)?;
        if let Some(ends) = old.stored.ends {
            self.ends.remove(&(ends, key.clone()));
        }
        self.weight -= old.stored.sandbox.weight();
        Some(old)
    }
}

#[cfg(test)]
impl SandboxTable {
    /// An end of nobody.
    pub(crate) fn end_raw(&mut self, ends: LogTime) {
        self.ends.insert((ends, RoutingKey::parse("ghost").expect("valid")));
    }
}
