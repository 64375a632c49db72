//! Sandboxes, and their ends.
//!
//! A sandbox with a TTL is a lease that the leader watches: it proposes the end, and the end stands where its entry
//! stands, at one index on every node. A proposal that comes late ends nothing that was given more time or was made
//! anew meanwhile: it names the epoch, and the time must be over by the entry's own clock.

use super::require_index;
use crate::state::State;
use quorate_model::{
    Became, Event, Former, FormerSandbox, LogIndex, RampState, Refusal, Reply, RoutingKey, Sandbox,
    SandboxEnd, SandboxTtl, StoredSandbox, limit, reply::Bounded,
};
use std::{collections::BTreeMap, sync::Arc};

/// Where the ramps of rules stand, by the rule's place.
type RuleRamps = BTreeMap<u16, RampState>;

impl State {
    pub(super) fn put_sandbox(
        &mut self,
        key: &RoutingKey,
        sandbox: &Sandbox,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let standing = self.standing_sandbox(key);
        require_index(if_index, standing.map_or(LogIndex(0), |stored| stored.changed))?;
        self.set_sandbox(key, (sandbox, None), events)
    }

    /// `earlier`: where the ramps stood of what comes back.
    fn set_sandbox(
        &mut self,
        key: &RoutingKey,
        (sandbox, earlier): (&Sandbox, Option<&RuleRamps>),
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let standing = self.standing_sandbox(key).cloned();
        let ends = sandbox.ttl.map(|ttl| ttl.from(self.now));
        let same = standing.as_ref().filter(|stored| *stored.sandbox == *sandbox);
        if same.is_some_and(|stored| stored.ends == ends) {
            return Ok(Reply::Unchanged);
        }
        if standing.is_none() && self.sandboxes.len() >= limit::SANDBOXES_MAX {
            return Err(Refusal::Full { what: Bounded::Sandboxes, max: limit::SANDBOXES_MAX as u64 });
        }
        if self.sandboxes.is_too_heavy(key.as_str(), sandbox) {
            return Err(Refusal::Full {
                what: Bounded::SandboxBytes,
                max: limit::SANDBOXES_BYTES_MAX as u64,
            });
        }
        let ramps = self.ramps_of_sandbox(sandbox, standing.as_deref(), earlier);
        let is_declared_anew = same.is_none();
        let was = standing.as_deref().map(FormerSandbox::of);
        self.store_sandbox(
            StoredSandbox {
                key: key.clone(),
                sandbox: same.map_or_else(|| Arc::new(sandbox.clone()), |stored| stored.sandbox.clone()),
                created: standing.as_ref().map_or(self.index, |stored| stored.created),
                changed: self.index,
                ends,
                ramps,
            },
            events,
        );
        if is_declared_anew {
            self.remember(Former::Sandbox { key: key.clone(), was }, Became::Set);
        }
        Ok(Reply::Done)
    }

    /// As a document says it: what stands already stays as it is, its time too. Else whoever sends the same document
    /// every hour would keep alive what nobody uses. `earlier`: where the ramps stood of what comes back.
    pub(super) fn declare_sandbox(
        &mut self,
        key: &RoutingKey,
        (sandbox, earlier): (&Sandbox, Option<&RuleRamps>),
        events: &mut Vec<Event>,
    ) -> Result<bool, Refusal> {
        if self.standing_sandbox(key).is_some_and(|stored| *stored.sandbox == *sandbox) {
            return Ok(false);
        }
        Ok(self.set_sandbox(key, (sandbox, earlier), events)? != Reply::Unchanged)
    }

    pub(super) fn delete_sandbox(
        &mut self,
        key: &RoutingKey,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let was = Some(FormerSandbox::of(self.known_sandbox(key, if_index)?));
        self.sandboxes.remove(key);
        self.remember(Former::Sandbox { key: key.clone(), was }, Became::Removed);
        events.push(Event::SandboxChanged { key: key.clone() });
        Ok(Reply::Done)
    }

    pub(super) fn extend_sandbox(
        &mut self,
        (key, ttl): (&RoutingKey, SandboxTtl),
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let standing = self.known_sandbox(key, if_index)?;
        let ends = Some(ttl.from(self.now));
        if standing.ends == ends {
            return Ok(Reply::Unchanged);
        }
        let extended = StoredSandbox { ends, changed: self.index, ..(**standing).clone() };
        self.store_sandbox(extended, events);
        Ok(Reply::Done)
    }

    pub(super) fn end_sandboxes(&mut self, ended: &[SandboxEnd], events: &mut Vec<Event>) -> Reply {
        let count = ended.iter().filter(|end| self.end_sandbox(end, events)).count();
        if count == 0 { Reply::Unchanged } else { Reply::Done }
    }

    fn end_sandbox(&mut self, end: &SandboxEnd, events: &mut Vec<Event>) -> bool {
        let standing = self.standing_sandbox(&end.key);
        let over = standing.filter(|it| it.created == end.created && it.is_over(self.now));
        let Some(over) = over.cloned() else { return false };
        self.sandboxes.remove(&end.key);
        let was = Some(FormerSandbox::of(&over));
        self.remember(Former::Sandbox { key: end.key.clone(), was }, Became::Ended);
        events.push(Event::SandboxEnded { key: end.key.clone() });
        true
    }

    fn store_sandbox(&mut self, stored: StoredSandbox, events: &mut Vec<Event>) {
        events.push(Event::SandboxChanged { key: stored.key.clone() });
        self.sandboxes.insert(Arc::new(stored));
    }

    /// The one of a key, if there is one, and it is the one that the caller has seen.
    fn known_sandbox(
        &self,
        key: &RoutingKey,
        if_index: Option<LogIndex>,
    ) -> Result<&Arc<StoredSandbox>, Refusal> {
        let standing = self.standing_sandbox(key);
        let standing = standing.ok_or_else(|| Refusal::UnknownSandbox { key: key.clone() })?;
        require_index(if_index, standing.changed)?;
        Ok(standing)
    }

    fn standing_sandbox(&self, key: &RoutingKey) -> Option<&Arc<StoredSandbox>> {
        self.sandboxes.get(key.as_str()).map(|compiled| compiled.stored())
    }
}
