//! The objects of the sandbox API, and which routing keys they make rules for.
//!
//! A route group says which requests of a key go to which sandbox, and a sandbox which services it has a version of its
//! own of. Neither of them needs the other one to be there: rules are what both together come to, made anew for each
//! key that a change touches ([`ObjectTable::rules_of`]). A local workload says that one of a sandbox's services runs at
//! the end of a tunnel ([`locals`]): whoever is led to the sandbox is led there. They depend on nothing but the objects that stand, never on
//! the order in which those were put, so a node that has read a snapshot has the same as one that was there.
//!
//! What requests find is in the table of sandboxes ([`crate::sandboxes`]), behind the rules that a sandbox of the key
//! has of its own.

mod locals;

use imbl::{OrdMap, OrdSet};
use locals::Locals;
use quorate_model::{
    DnsLabel, Epoch, LogIndex, LogTime, ObjectEnd, ObjectId, Resource, RoutingKey, SandboxRule, ServiceName,
    StoredObject, limit,
    object::{GroupRoute, ObjectSpec},
};
use std::{collections::BTreeSet, ops::Bound, sync::Arc};

/// All objects. Cloning costs O(1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectTable {
    by_id: OrdMap<ObjectId, Arc<StoredObject>>,
    /// Route groups by the keys that they lead somewhere by, the oldest first. Derived.
    groups: OrdMap<RoutingKey, OrdSet<(Epoch, ObjectId)>>,
    /// The keys that lead to a sandbox, whether there is one or not, each with the group that says so, by namespace and
    /// name of the sandbox. Derived.
    leading: OrdMap<(DnsLabel, DnsLabel), OrdSet<(RoutingKey, DnsLabel)>>,
    /// Local workloads by their sandbox. Derived.
    locals: Locals,
    /// Those with an end, by it. Derived.
    ends: OrdSet<(LogTime, ObjectId)>,
    /// What they keep in memory, about. Derived.
    weight: usize,
}

/// What objects come to for one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// In the order in which they are asked.
    pub rules: Vec<SandboxRule>,
    /// When the oldest of those was made that have rules for the key.
    pub created: LogIndex,
}

impl ObjectTable {
    /// An object.
    pub fn get(&self, id: &ObjectId) -> Option<&Arc<StoredObject>> {
        self.by_id.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<StoredObject>> {
        self.by_id.values()
    }

    /// Those of one kind in a namespace with names after `cursor`, by name.
    pub fn in_namespace(
        &self,
        resource: Resource,
        namespace: DnsLabel,
        cursor: Option<DnsLabel>,
    ) -> impl Iterator<Item = &Arc<StoredObject>> {
        let place = |name| ObjectId { resource, namespace: namespace.clone(), name };
        let from = match cursor {
            Some(name) => Bound::Excluded(place(name)),
            None => Bound::Included(place(DnsLabel::first())),
        };
        let is_here = move |id: &ObjectId| id.resource == resource && id.namespace == namespace;
        let behind = self.by_id.range((from, Bound::Unbounded));
        behind.take_while(move |(id, _)| is_here(id)).map(|(_, stored)| stored)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What they keep in memory, about, in bytes.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Those whose time is over at `now`, the longest over first, at most as many as one command ends.
    pub fn over(&self, now: LogTime) -> Vec<ObjectEnd> {
        let over = self.ends.iter().take_while(|(ends, _)| *ends <= now).take(limit::OBJECT_ENDS_MAX);
        let stored = over.filter_map(|(_, id)| self.get(id));
        stored.map(|stored| ObjectEnd { id: stored.id().clone(), epoch: stored.epoch }).collect()
    }

    /// The sandbox that a route of a group of `namespace` leads to, if it is there.
    pub fn target(&self, namespace: &DnsLabel, route: &GroupRoute) -> Option<&Arc<StoredObject>> {
        let (namespace, name) = (namespace.clone(), route.target.clone());
        self.get(&ObjectId { resource: Resource::Sandboxes, namespace, name })
    }

    /// What the objects come to for requests of `key`: groups in the order in which they were made, their routes in the
    /// order in which they stand there, the services of the route's sandbox in the order in which they stand there. Behind
    /// them the local workloads of sandboxes that name the key themselves, the oldest sandbox first.
    pub fn rules_of(&self, key: &RoutingKey) -> KeyRules {
        let (groups, sandboxes) = (self.groups.get(key), self.locals.sandboxes_of(key));
        let oldest = |all: Option<&OrdSet<(Epoch, ObjectId)>>| all.and_then(OrdSet::get_min).map(|it| it.0);
        let created = oldest(groups).into_iter().chain(oldest(sandboxes)).min().map_or(0, |epoch| epoch.0);
        let rules = groups.into_iter().flatten().filter_map(|(_, id)| self.get(id)).flat_map(|group| {
            let routes = group.object.spec().as_group().into_iter().flat_map(|spec| spec.leading());
            let of_key = routes.filter(|route| route.key == *key);
            of_key.flat_map(|route| self.rules_of_route(&group.id().namespace, route))
        });
        let sandboxes = sandboxes.into_iter().flatten().filter_map(|(_, id)| self.get(id));
        let direct = sandboxes.flat_map(|sandbox| self.rules_of_locals(key, sandbox));
        KeyRules { rules: rules.chain(direct).collect(), created: LogIndex(created) }
    }

    /// None where the sandbox is not there, or has no service: its requests go where they would go without their key.
    fn rules_of_route(&self, namespace: &DnsLabel, route: &GroupRoute) -> Vec<SandboxRule> {
        let Some(target) = self.target(namespace, route) else { return Vec::new() };
        let Some(spec) = target.object.spec().as_sandbox() else { return Vec::new() };
        let said = target.status.as_ref().map_or(&[][..], |status| &status.endpoints);
        let is_only = spec.services.len() == 1;
        let locals = self.locals.of(namespace, &route.target);
        let rule = |service: &ServiceName| {
            let said = said.iter().find(|(name, _)| name == service).map(|(_, address)| address);
            let local = locals.iter().find(|local| local.service == *service);
            route.rule(service, is_only, local.map(|local| &local.address).or(said))
        };
        let others = locals.iter().filter(|local| !spec.services.contains(&local.service));
        let others = others.map(|local| local.rule(route, spec, locals.len()));
        // They are asked first: the rule of a sandbox's only service is for every request.
        others.chain(spec.services.iter().map(rule)).collect()
    }

    /// What the local workloads of a sandbox come to for a key that it names itself.
    fn rules_of_locals(&self, key: &RoutingKey, sandbox: &StoredObject) -> Vec<SandboxRule> {
        let Some(spec) = sandbox.object.spec().as_sandbox() else { return Vec::new() };
        let ObjectId { namespace, name, .. } = sandbox.id();
        let route = GroupRoute::of_all(key.clone(), name.clone());
        let locals = self.locals.of(namespace, name);
        locals.iter().map(|local| local.rule(&route, spec, locals.len())).collect()
    }

    /// The local workload that gets the requests for a service of a sandbox, if there is one.
    pub fn local_of(
        &self,
        namespace: &DnsLabel,
        sandbox: &DnsLabel,
        service: &ServiceName,
    ) -> Option<ObjectId> {
        self.locals.newest(namespace, sandbox, service)
    }

    /// By which key a sandbox is led to: the one that it names itself, else the first one that a group does.
    pub fn key_of(&self, namespace: &DnsLabel, sandbox: &DnsLabel) -> Option<&RoutingKey> {
        let (resource, namespace, name) = (Resource::Sandboxes, namespace.clone(), sandbox.clone());
        let own = self.get(&ObjectId { resource, namespace: namespace.clone(), name: name.clone() });
        let own = own.and_then(|stored| stored.object.spec().as_sandbox()?.routing_key.as_ref());
        let leading = || self.leading.get(&(namespace, name)).and_then(OrdSet::get_min).map(|(key, _)| key);
        own.or_else(leading)
    }

    /// All keys that objects may make rules for. One may be there twice.
    pub fn keys(&self) -> impl Iterator<Item = &RoutingKey> {
        self.groups.keys().chain(self.locals.keys())
    }

    /// How many local workloads a sandbox has.
    pub(crate) fn locals_of(&self, namespace: &DnsLabel, sandbox: &DnsLabel) -> usize {
        self.locals.count(namespace, sandbox)
    }

    /// How many keys of how many groups lead to a sandbox.
    pub(crate) fn keys_to(&self, namespace: &DnsLabel, sandbox: &DnsLabel) -> usize {
        self.leading.get(&(namespace.clone(), sandbox.clone())).map_or(0, OrdSet::len)
    }

    /// The keys whose rules depend on an object.
    pub(crate) fn touched_by(&self, stored: &StoredObject) -> BTreeSet<RoutingKey> {
        let id = stored.id();
        match stored.object.spec() {
            ObjectSpec::RouteGroup(group) => group.leading().map(|route| route.key.clone()).collect(),
            ObjectSpec::Sandbox(spec) => {
                let leading = self.leading_to(&id.namespace, &id.name);
                leading.chain(&spec.routing_key).cloned().collect()
            }
            ObjectSpec::LocalWorkload(workload) => {
                let (resource, namespace, name) =
                    (Resource::Sandboxes, id.namespace.clone(), workload.sandbox.clone());
                let sandbox = self.get(&ObjectId { resource, namespace, name });
                let own =
                    sandbox.and_then(|sandbox| sandbox.object.spec().as_sandbox()?.routing_key.as_ref());
                self.leading_to(&id.namespace, &workload.sandbox).chain(own).cloned().collect()
            }
        }
    }

    fn leading_to(&self, namespace: &DnsLabel, sandbox: &DnsLabel) -> impl Iterator<Item = &RoutingKey> {
        let leading = self.leading.get(&(namespace.clone(), sandbox.clone()));
        leading.into_iter().flatten().map(|(key, _)| key)
    }

    /// Puts an object in the place of the one of its id, which it returns.
    pub(crate) fn insert(&mut self, stored: Arc<StoredObject>) -> Option<Arc<StoredObject>> {
        let old = self.remove(&stored.id().clone());
        let id = stored.id();
        if let Some(ends) = stored.ends {
            self.ends.insert((ends, id.clone()));
        }
        self.weight += stored.weight();
        for route in stored.object.spec().as_group().into_iter().flat_map(|group| group.leading()) {
            self.groups.entry(route.key.clone()).or_default().insert((stored.epoch, id.clone()));
            let target = (id.namespace.clone(), route.target.clone());
            self.leading.entry(target).or_default().insert((route.key.clone(), id.name.clone()));
        }
        self.locals.insert(&stored);
        self.by_id.insert(id.clone(), stored);
        old
    }

    /// Takes an object out.
    pub(crate) fn remove(&mut self, id: &ObjectId) -> Option<Arc<StoredObject>> {
        let old = self.by_id.remove(id)?;
        if let Some(ends) = old.ends {
            self.ends.remove(&(ends, id.clone()));
        }
        self.weight -= old.weight();
        for route in old.object.spec().as_group().into_iter().flat_map(|group| group.leading()) {
            forget(&mut self.groups, &route.key, &(old.epoch, id.clone()));
            let target = (id.namespace.clone(), route.target.clone());
            forget(&mut self.leading, &target, &(route.key.clone(), id.name.clone()));
        }
        self.locals.remove(&old);
        Some(old)
    }

    /// What is derived otherwise than it should be; `None`: nothing.
    pub(crate) fn difference(&self) -> Option<String> {
        let mut wanted = Self::default();
        self.iter().for_each(|stored| drop(wanted.insert(stored.clone())));
        (*self != wanted).then(|| format!("{self:?}, wanted {wanted:?}"))
    }
}

/// Nothing is kept of who has nothing.
fn forget<K: Ord + Clone, V: Ord + Clone>(all: &mut OrdMap<K, OrdSet<V>>, key: &K, value: &V) {
    if let Some(of_key) = all.get_mut(key) {
        of_key.remove(value);
        if of_key.is_empty() {
            all.remove(key);
        }
    }
}

#[cfg(test)]
impl ObjectTable {
    /// An end of nobody.
    pub(crate) fn end_raw(&mut self, ends: LogTime) {
        let label = |text| DnsLabel::parse(text).expect("valid");
        let id = ObjectId { resource: Resource::Sandboxes, namespace: label("ns"), name: label("ghost") };
        self.ends.insert((ends, id));
    }
}
