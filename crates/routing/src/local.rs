//! What one node was told besides what the cluster knows: rules of its own, and where requests go that nothing is for.
//!
//! It is the lowest layer. A sandbox that the cluster has stands before this node's rules of the same key, and in a
//! gateway everything that the cluster knows stands before the default target. A sidecar stands in front of one
//! application: what comes in is for that one, unless a rule of its key says otherwise, and the cluster's routes,
//! services and workspaces are somebody else's.
//!
//! A node's own rules are a table of the same kind as the cluster's, made as a whole and swapped as a whole: no request
//! ever meets half of an old one and half of a new one. What stays the same in a new table is the same in memory, so
//! that requests under way notice nothing.

use crate::{
    decide::{self, Decision, RequestHead},
    route::{self, AmbiguousPath, path},
    sandbox::{self, Sandboxed},
    workspace,
};
use quorate_model::{
    LogIndex, Route, RoutingKey, Sandbox, StoredRoute, StoredSandbox, route::Target, sandbox::Fallback,
};
use quorate_state::{CompiledSandbox, SandboxTable, View};
use std::{collections::BTreeMap, sync::Arc};

/// What stands in front of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Of all applications: everything that the cluster knows decides.
    #[default]
    Gateway,
    /// Of one application, the default target.
    Sidecar,
}

/// What one node was told.
#[derive(Clone, Debug, Default)]
pub struct Local {
    mode: Mode,
    sandboxes: SandboxTable,
    default: Option<Arc<StoredRoute>>,
}

/// Rules by key.
pub type Rules = BTreeMap<RoutingKey, Arc<Sandbox>>;

/// What a decision may look at: the cluster's state, and this node's own layer.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'v> {
    /// What the cluster knows.
    pub view: &'v View,
    /// What this node was told, if it was told anything.
    pub local: Option<&'v Local>,
}

impl Local {
    /// What takes the place of this one. What stays the same is not made anew.
    pub fn replaced(&self, mode: Mode, default: Option<&Target>, rules: &Rules) -> Self {
        let mut sandboxes = self.sandboxes.clone();
        let gone: Vec<_> = sandboxes
            .iter()
            .map(|stored| &stored.key)
            .filter(|key| !rules.contains_key(*key))
            .cloned()
            .collect();
        for key in gone {
            sandboxes.remove(&key);
        }
        for (key, sandbox) in rules {
            let is_same = |known: &Arc<CompiledSandbox>| known.stored().sandbox == *sandbox;
            if !sandboxes.get(key.as_str()).is_some_and(is_same) {
                sandboxes.insert(Arc::new(stored(key, sandbox)));
            }
        }
        Self { mode, sandboxes, default: default.map(|target| self.default_of(target)) }
    }

    fn default_of(&self, target: &Target) -> Arc<StoredRoute> {
        let is_same = |known: &&Arc<StoredRoute>| {
            known
                .route
                .forwarding()
                .is_some_and(|known| known.destinations.iter().all(|one| one.target == *target))
        };
        let make = || {
            let route = Route::of_default_target(target.clone());
            Arc::new(StoredRoute { route, created: LogIndex(0), changed: LogIndex(0), ramp: None })
        };
        self.default.as_ref().filter(is_same).cloned().unwrap_or_else(make)
    }

    /// Its own rules.
    pub fn sandboxes(&self) -> &SandboxTable {
        &self.sandboxes
    }
}

/// No entry of the log has made it.
fn stored(key: &RoutingKey, sandbox: &Arc<Sandbox>) -> StoredSandbox {
    let (created, changed) = (LogIndex(0), LogIndex(0));
    StoredSandbox {
        key: key.clone(),
        sandbox: sandbox.clone(),
        created,
        changed,
        ends: None,
        ramps: BTreeMap::new(),
    }
}

impl<'v> Sight<'v> {
    /// Of a node that was told nothing.
    pub fn of(view: &'v View) -> Self {
        Self { view, local: None }
    }

    /// Whether the node stands in front of one application.
    pub fn is_sidecar(self) -> bool {
        self.local.is_some_and(|local| local.mode == Mode::Sidecar)
    }

    /// The sandbox of a key: the cluster's, else this node's.
    pub fn sandbox(self, key: &str) -> Option<&'v CompiledSandbox> {
        let known = self.view.sandboxes().of_requests(key);
        known.or_else(|| self.local?.sandboxes.get(key)).map(|known| &**known)
    }

    /// Decides.
    pub fn decide<'h>(self, head: &RequestHead<'h>) -> Decision<'v, 'h> {
        match head.key {
            Some(key) => sandbox::decide(self, head, key),
            None => self.base(head),
        }
    }

    /// Decides as if the request had no key.
    pub fn base<'h>(self, head: &RequestHead<'h>) -> Decision<'v, 'h> {
        let Some(local) = self.local else { return decide::base(self.view, head) };
        if local.mode == Mode::Sidecar
            && let Some(decision) = self.by_default(head)
        {
            return decision;
        }
        self.or_default(decide::base(self.view, head), head)
    }

    /// Decides without the routes: for a request that none of them is for.
    pub fn by_path<'h>(self, head: &RequestHead<'h>) -> Decision<'v, 'h> {
        self.or_default(decide::by_path(self.view, head), head)
    }

    /// What nothing is for goes to the default target. So does what browsers ask before a request of that kind: it is
    /// for the application to answer.
    fn or_default<'h>(self, decision: Decision<'v, 'h>, head: &RequestHead<'h>) -> Decision<'v, 'h> {
        let is_nobodys = match &decision {
            Decision::NoWorkspace => true,
            Decision::Preflight => workspace::find(head.headers, head.path).is_none(),
            _ => false,
        };
        let default = if is_nobodys { self.by_default(head) } else { None };
        default.unwrap_or(decision)
    }

    fn by_default<'h>(self, head: &RequestHead<'h>) -> Option<Decision<'v, 'h>> {
        let route = self.local?.default.as_ref()?;
        let forwarding = route.route.forwarding()?;
        let sent = route::sent(self.view, (route, forwarding), head);
        // What is put before the path, of an address, is not to be left.
        let has_base = |target: &Target| matches!(target, Target::Url { address, .. } if !address.path_prefix().is_empty());
        if forwarding.destinations.iter().any(|one| has_base(&one.target)) && path::leads_out(head.path) {
            return Some(Decision::AmbiguousPath(AmbiguousPath));
        }
        Some(Decision::Default(Sandboxed { nth: 0, fallback: Fallback::NEVER, route, sent }))
    }
}
