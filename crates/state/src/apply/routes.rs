//! Routes, and many objects in one entry.

use super::require_index;
use crate::state::State;
use quorate_model::{
    Became, Config, ConfigMode, DeclaredChange, Event, FeatureLevel, Former, KeyspaceConfig, LogIndex,
    RampSubject, Refusal, Reply, Route, RouteName, StoredRoute, limit, reply::Bounded,
};
use std::sync::Arc;

impl State {
    pub(super) fn put_route(
        &mut self,
        route: &Route,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let standing = self.routes.get(route.name().as_str());
        require_index(if_index, standing.map_or(LogIndex(0), |stored| stored.changed))?;
        self.set_route(route, None, events)
    }

    /// `earlier`: the record that comes back, with its age and with where its ramp stood; `None`: the age is that of the
    /// one that stands, or the youngest.
    pub(super) fn set_route(
        &mut self,
        route: &Route,
        earlier: Option<&StoredRoute>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let created = earlier.map(|stored| stored.created);
        let standing = self.routes.get(route.name().as_str());
        let is_so = |stored: &Arc<StoredRoute>| {
            stored.route == *route && created.is_none_or(|created| created == stored.created)
        };
        if standing.is_some_and(is_so) {
            return Ok(Reply::Unchanged);
        }
        if standing.is_none() && self.routes.len() >= limit::ROUTES_MAX {
            return Err(Refusal::Full { what: Bounded::Routes, max: limit::ROUTES_MAX as u64 });
        }
        // One that brings no more than it had is never refused: it may be what makes room.
        let (new, counted) =
            (route.pattern_count(), standing.map_or(0, |stored| stored.route.pattern_count()));
        if new > counted && self.routes.pattern_count() - counted + new > limit::PATTERNS_MAX {
            return Err(Refusal::Full { what: Bounded::RegexRoutes, max: limit::PATTERNS_MAX as u64 });
        }
        let created = created.or(standing.map(|stored| stored.created));
        let created = created.unwrap_or_else(|| self.routes.next_created(self.index));
        if self.routes.is_too_heavy(route) {
            return Err(Refusal::Full { what: Bounded::RouteBytes, max: limit::ROUTES_BYTES_MAX as u64 });
        }
        let ramp = self.ramp_of_route(route, standing.map(|stored| &**stored), earlier);
        // Never refused: a ramp and a state of it are there together.
        let stored = StoredRoute::new(route.clone(), (created, self.index), ramp);
        let stored =
            stored.map_err(|_| Refusal::NoRamp { subject: RampSubject::Route(route.name().clone()) })?;
        let was = self.routes.insert(Arc::new(stored));
        self.remember(Former::Route { name: route.name().clone(), was }, Became::Set);
        events.push(Event::RouteChanged { name: route.name().clone() });
        Ok(Reply::Done)
    }

    pub(super) fn delete_route(
        &mut self,
        name: &RouteName,
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let standing = self.routes.get(name.as_str());
        let standing = standing.ok_or_else(|| Refusal::UnknownRoute { name: name.clone() })?;
        require_index(if_index, standing.changed)?;
        let was = self.routes.remove(name);
        self.remember(Former::Route { name: name.clone(), was }, Became::Removed);
        events.push(Event::RouteChanged { name: name.clone() });
        Ok(Reply::Done)
    }

    /// All of a document, or nothing: what is refused half-way leaves no trace.
    pub(super) fn configure(
        &mut self,
        (config, mode): (&Config, ConfigMode),
        if_index: Option<LogIndex>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        require_index(if_index, self.config_changed)?;
        self.require_nameable((config, mode))?;
        let (mut next, mut caused) = (self.clone(), Vec::new());
        let changed = next.declare(config, mode, &mut caused)?;
        if !changed {
            return Ok(Reply::Unchanged);
        }
        *self = next;
        events.append(&mut caused);
        Ok(Reply::Done)
    }

    /// A document is bounded. Where more stands than one can name, each that replaces it would take something away that
    /// it could not have named. Whoever proposed it has looked already; somebody else may have been faster since. Before
    /// the fifth level nobody looks here: nodes of the version before carry such a document out, and all must do the same.
    fn require_nameable(&self, (config, mode): (&Config, ConfigMode)) -> Result<(), Refusal> {
        if self.level < FeatureLevel::FIFTH {
            return Ok(());
        }
        let standing = match mode {
            ConfigMode::Merge => 0,
            ConfigMode::Replace => self.routes.len() + self.sandboxes.len() + self.policies,
        };
        if standing.max(config.len()) <= limit::CONFIG_OBJECTS_MAX {
            return Ok(());
        }
        Err(Refusal::Full { what: Bounded::ConfigObjects, max: limit::CONFIG_OBJECTS_MAX as u64 })
    }

    fn declare(
        &mut self,
        config: &Config,
        mode: ConfigMode,
        events: &mut Vec<Event>,
    ) -> Result<bool, Refusal> {
        // What goes makes room for what comes.
        let gone = match mode {
            ConfigMode::Merge => false,
            ConfigMode::Replace => self.drop_undeclared(config, events)?,
        };
        let mut changed = gone | self.drop_nulls(config, events)?;
        for route in config.routes.values().flatten() {
            changed |= self.put_route(route, None, events)? != Reply::Unchanged;
        }
        for (key, sandbox) in &config.sandboxes {
            let Some(sandbox) = sandbox else { continue };
            changed |= self.declare_sandbox(key, (sandbox, None), events)?;
        }
        for (name, policy) in &config.services {
            let Some(policy) = policy else { continue };
            changed |= self.put_service(name, policy, None, events)? != Reply::Unchanged;
        }
        for (name, keyspace) in &config.keyspaces {
            let KeyspaceConfig { partitions, source, hold } = *keyspace;
            let reply = self.put_keyspace(name, (partitions, source, hold), None, events)?;
            changed |= reply != Reply::Unchanged;
        }
        Ok(changed)
    }

    /// Takes away what the document names as gone.
    fn drop_nulls(&mut self, config: &Config, events: &mut Vec<Event>) -> Result<bool, Refusal> {
        let mut changed = false;
        for name in config.routes.iter().filter(|(_, route)| route.is_none()).map(|(name, _)| name) {
            if self.routes.get(name.as_str()).is_some() {
                self.delete_route(name, None, events)?;
                changed = true;
            }
        }
        for key in config.sandboxes.iter().filter(|(_, sandbox)| sandbox.is_none()).map(|(key, _)| key) {
            if self.sandboxes.get(key.as_str()).is_some() {
                self.delete_sandbox(key, None, events)?;
                changed = true;
            }
        }
        for name in config.services.iter().filter(|(_, policy)| policy.is_none()).map(|(name, _)| name) {
            if self.services.get(name).is_some_and(|service| service.stored_policy().is_some()) {
                self.delete_service(name, None, events)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    fn drop_undeclared(&mut self, config: &Config, events: &mut Vec<Event>) -> Result<bool, Refusal> {
        let routes = self.routes.iter().map(|stored| stored.route.name());
        let routes: Vec<_> = routes.filter(|name| !config.routes.contains_key(*name)).cloned().collect();
        let keys = self.sandboxes.iter().map(|stored| &stored.key);
        let keys: Vec<_> = keys.filter(|key| !config.sandboxes.contains_key(*key)).cloned().collect();
        let policies = self.stored_policies().into_iter().map(|stored| stored.service);
        let policies: Vec<_> = policies.filter(|name| !config.services.contains_key(name)).collect();
        for name in &routes {
            self.delete_route(name, None, events)?;
        }
        for key in &keys {
            self.delete_sandbox(key, None, events)?;
        }
        for name in &policies {
            self.delete_service(name, None, events)?;
        }
        Ok(!routes.is_empty() || !keys.is_empty() || !policies.is_empty())
    }

    /// Keeps what stood before a change of what operators declare.
    pub(super) fn remember(&mut self, former: Former, became: Became) {
        self.note_declared();
        let (index, at) = (self.index, self.now);
        if let Some(history) = &mut self.history {
            history.push(Arc::new(DeclaredChange { index, at, former, became }));
        }
    }

    /// Notes that what operators declare has changed. Before the fourth level nobody asks, and snapshots have no
    /// words for it: a node that has read one would know less than one that was there.
    pub(super) fn note_declared(&mut self) {
        if self.level >= FeatureLevel::FOURTH {
            self.config_changed = self.index;
        }
    }
}
