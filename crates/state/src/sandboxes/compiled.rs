//! A sandbox as requests find it.
//!
//! Among very many sandboxes a decision costs what it waits for memory that no cache has. A rule as it was set is
//! scattered: each of its lists is somewhere else, and so is each text of each list; with the rules that a request does
//! not meet, that were more than twenty waits, one after the other. So what the rules ask for is written down once more,
//! one text behind the other, with where they lead, in one piece of memory where they are as few and as short as most
//! are; and requests do not read the rules as they were set.

use quorate_model::{
    Ramping, SandboxRule, StoredRoute, StoredSandbox, limit,
    route::{Destination, Forwarding},
    sandbox::Fallback,
};
use smallvec::SmallVec;
use std::{iter, ops::Range, str, sync::Arc};

/// A sandbox, and what its rules are made into.
#[derive(Debug, PartialEq, Eq)]
pub struct CompiledSandbox {
    /// What all rules ask for: of each its prefixes, its exact paths, the names of its headers, each with its value
    /// behind it, and its service.
    texts: SmallVec<[u8; 64]>,
    /// Where in there each text ends.
    ends: SmallVec<[u32; 8]>,
    /// As many as there are rules.
    places: SmallVec<[Place; 3]>,
    stored: Arc<StoredSandbox>,
    /// What it keeps in memory that nothing else counts, about: it is a copy of other ones.
    copied: usize,
}

const _: () =
    assert!(limit::SANDBOXES_BYTES_MAX < u32::MAX as usize, "all texts of all sandboxes can be counted");
const _: () = assert!(limit::MATCH_VALUES_MAX < u8::MAX as usize, "so can the values of a rule");

/// Where the texts of a rule are.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// What the rule's requests are forwarded by.
    route: Arc<StoredRoute>,
    /// What that says.
    forwarding: Arc<Forwarding>,
    /// Its destination, if it has one only.
    only: Option<Destination>,
    /// The number of the first text.
    first: u32,
    prefixes: u8,
    exact: u8,
    headers: u8,
    services: u8,
    fallback: Fallback,
}

/// A rule of a sandbox, with the route that it is forwarded by.
#[derive(Clone, Copy, Debug)]
pub struct CompiledRule<'s> {
    sandbox: &'s CompiledSandbox,
    place: &'s Place,
    nth: usize,
}

impl CompiledSandbox {
    /// What of `before` says the same stays the same, so that requests under way see no change.
    pub(super) fn new(stored: Arc<StoredSandbox>, before: Option<&Self>) -> Self {
        let same = |nth: usize, rule: &SandboxRule| {
            let before = before.filter(|before| before.stored.created == stored.created)?;
            let state = |of: &StoredSandbox| of.ramps.get(&(nth as u16)).copied();
            let is_same =
                before.stored.sandbox.rules.get(nth) == Some(rule) && state(&before.stored) == state(&stored);
            before.places.get(nth).filter(|_| is_same).map(|place| place.route.clone())
        };
        let (mut texts, mut ends, mut places) = (SmallVec::new(), SmallVec::new(), SmallVec::new());
        for (nth, rule) in stored.sandbox.rules.iter().enumerate() {
            let first = ends.len() as u32;
            for text in asked(rule) {
                texts.extend_from_slice(text.as_bytes());
                ends.push(texts.len() as u32);
            }
            let route = same(nth, rule).unwrap_or_else(|| {
                let state = stored.ramps.get(&(nth as u16)).copied();
                Arc::new(rule.route((&stored.key, nth), stored.created, state))
            });
            let (prefixes, exact) = (rule.path_prefixes.len() as u8, rule.paths_exact.len() as u8);
            let (headers, services) = (rule.headers.len() as u8, u8::from(rule.service.is_some()));
            // Rules are made into nothing that redirects.
            let forwarding = route.route.forwarding().cloned().unwrap_or_default();
            let only = match &*forwarding.destinations {
                [only] if route.ramp.is_none() => Some(only.clone()),
                _ => None,
            };
            let fallback = rule.fallback;
            places.push(Place {
                route,
                forwarding,
                only,
                first,
                prefixes,
                exact,
                headers,
                services,
                fallback,
            });
        }
        // What is longer than there is room for is no larger than it must be.
        texts.shrink_to_fit();
        ends.shrink_to_fit();
        places.shrink_to_fit();
        Self { texts, ends, places, stored, copied: 0 }
    }

    /// The same, as a copy of others that keeps so much in memory.
    pub(super) fn copying(self, copied: usize) -> Self {
        Self { copied, ..self }
    }

    /// What it keeps in memory that nothing else counts, about.
    pub(super) fn copied(&self) -> usize {
        self.copied
    }

    /// As it was set.
    pub fn stored(&self) -> &Arc<StoredSandbox> {
        &self.stored
    }

    /// The ramps of its rules.
    pub(super) fn ramps(&self) -> impl Iterator<Item = &Arc<Ramping>> {
        self.places.iter().filter_map(|place| place.route.ramp.as_ref())
    }

    /// Its rules, in the order in which they are asked.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = CompiledRule<'_>> {
        let places = self.places.iter().enumerate();
        places.map(|(nth, place)| CompiledRule { sandbox: self, place, nth })
    }

    fn text(&self, nth: usize) -> &str {
        let end = |nth: usize| self.ends.get(nth).map_or(0, |end| *end as usize);
        let start = nth.checked_sub(1).map_or(0, end);
        let text = self.texts.get(start..end(nth)).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

/// All that a rule asks for.
fn asked(rule: &SandboxRule) -> impl Iterator<Item = &str> {
    let paths = rule.path_prefixes.iter().chain(&rule.paths_exact).map(|path| &**path);
    let headers = rule.headers.iter().flat_map(|(name, value)| iter::once(&**name).chain([&**value]));
    paths.chain(headers).chain(rule.service.as_ref().map(|service| service.as_str()))
}

impl<'s> CompiledRule<'s> {
    /// As it was set.
    pub fn rule(self) -> &'s SandboxRule {
        &self.sandbox.stored.sandbox.rules[self.nth]
    }

    /// Where its requests go. It matches everything: whether it is for a request says the rule.
    pub fn route(self) -> &'s Arc<StoredRoute> {
        &self.place.route
    }

    /// What its route says.
    pub fn forwarding(self) -> &'s Forwarding {
        &self.place.forwarding
    }

    /// Its destination, if it has one only.
    pub fn only(self) -> Option<&'s Destination> {
        self.place.only.as_ref()
    }

    /// When they go where they would go without the key.
    pub fn fallback(self) -> Fallback {
        self.place.fallback
    }

    /// What a path may begin with.
    pub fn path_prefixes(self) -> impl ExactSizeIterator<Item = &'s str> {
        self.texts(0..usize::from(self.place.prefixes))
    }

    /// What a path may be as a whole.
    pub fn paths_exact(self) -> impl ExactSizeIterator<Item = &'s str> {
        let from = usize::from(self.place.prefixes);
        self.texts(from..from + usize::from(self.place.exact))
    }

    /// What headers must be.
    pub fn headers(self) -> impl ExactSizeIterator<Item = (&'s str, &'s str)> {
        let from =
            self.place.first as usize + usize::from(self.place.prefixes) + usize::from(self.place.exact);
        let sandbox = self.sandbox;
        (0..usize::from(self.place.headers))
            .map(move |nth| (sandbox.text(from + 2 * nth), sandbox.text(from + 2 * nth + 1)))
    }

    /// The service that a request must be for without the key.
    pub fn service(self) -> Option<&'s str> {
        let Place { prefixes, exact, headers, .. } = *self.place;
        let from = usize::from(prefixes) + usize::from(exact) + 2 * usize::from(headers);
        self.texts(from..from + usize::from(self.place.services)).next()
    }

    fn texts(self, range: Range<usize>) -> impl ExactSizeIterator<Item = &'s str> {
        let (first, sandbox) = (self.place.first as usize, self.sandbox);
        range.map(move |nth| sandbox.text(first + nth))
    }
}
