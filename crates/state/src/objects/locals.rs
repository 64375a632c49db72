//! Local workloads: services of sandboxes that run at the end of a tunnel, on a developer's machine.
//!
//! Of several for one service of a sandbox the one that was made last gets the requests, as of several tunnels of one
//! name. A sandbox that names a routing key leads requests with it to its local workloads, and only to those: whatever
//! else it has is led to by route groups.
//!
//! Sandboxes are found by the key that they name only while they have a local workload. Whoever puts very many of one
//! key without any makes no change dearer.

use super::forget;
use imbl::{OrdMap, OrdSet};
use quorate_model::{
    Address, DnsLabel, Epoch, ObjectId, Resource, RoutingKey, SandboxRule, ServiceName, StoredObject,
    object::{GroupRoute, ObjectSpec, SandboxSpec},
};
use std::ops::Bound;

/// A sandbox, by namespace and name.
type Place = (DnsLabel, DnsLabel);

/// All local workloads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Locals {
    /// By their sandbox, be it there or not, then by service, then the oldest first.
    of_sandbox: OrdMap<Place, OrdSet<(ServiceName, Epoch, DnsLabel)>>,
    /// The key that a sandbox names, and which life of it says so.
    named: OrdMap<Place, (RoutingKey, Epoch)>,
    /// Sandboxes that have both, by key, the oldest first.
    of_key: OrdMap<RoutingKey, OrdSet<(Epoch, ObjectId)>>,
}

/// One that gets requests.
pub(super) struct Local {
    pub service: ServiceName,
    /// Its tunnel.
    pub address: Address,
}

impl Local {
    /// Its rule, where `route` leads to its sandbox: for the requests that would go to its service without their key,
    /// or for all where the sandbox has nothing else, as for every service. `locals`: of how many services the sandbox
    /// has local workloads.
    pub fn rule(&self, route: &GroupRoute, spec: &SandboxSpec, locals: usize) -> SandboxRule {
        let is_only = match &spec.services[..] {
            [] => locals == 1,
            [only] => *only == self.service,
            _ => false,
        };
        route.rule(&self.service, is_only, Some(&self.address))
    }
}

impl Locals {
    /// Those of a sandbox that get requests, by service.
    pub fn of(&self, namespace: &DnsLabel, sandbox: &DnsLabel) -> Vec<Local> {
        let all = self.of_sandbox.get(&(namespace.clone(), sandbox.clone()));
        let mut newest: Vec<(&ServiceName, &DnsLabel)> = Vec::new();
        for (service, _, name) in all.into_iter().flatten() {
            match newest.last_mut() {
                Some(last) if last.0 == service => last.1 = name,
                Some(_) | None => newest.push((service, name)),
            }
        }
        let local = |(service, name): (&ServiceName, &DnsLabel)| {
            let id = id(Resource::LocalWorkloads, namespace, name);
            let address = Address::parse(&format!("tunnel://{}", id.tunnel())).expect("a tunnel's name");
            Local { service: service.clone(), address }
        };
        newest.into_iter().map(local).collect()
    }

    /// The one that gets the requests for a service of a sandbox.
    pub fn newest(
        &self,
        namespace: &DnsLabel,
        sandbox: &DnsLabel,
        service: &ServiceName,
    ) -> Option<ObjectId> {
        let all = self.of_sandbox.get(&(namespace.clone(), sandbox.clone()))?;
        let from = (service.clone(), Epoch(0), DnsLabel::first());
        let of_service = all.range((Bound::Included(from), Bound::Unbounded));
        let (_, _, name) = of_service.take_while(|(of, _, _)| of == service).last()?;
        Some(id(Resource::LocalWorkloads, namespace, name))
    }

    /// How many a sandbox has.
    pub fn count(&self, namespace: &DnsLabel, sandbox: &DnsLabel) -> usize {
        self.of_sandbox.get(&(namespace.clone(), sandbox.clone())).map_or(0, OrdSet::len)
    }

    /// Sandboxes that have some and name this key, the oldest first.
    pub fn sandboxes_of(&self, key: &RoutingKey) -> Option<&OrdSet<(Epoch, ObjectId)>> {
        self.of_key.get(key)
    }

    /// The keys of those.
    pub fn keys(&self) -> impl Iterator<Item = &RoutingKey> {
        self.of_key.keys()
    }

    /// Takes in what an object says.
    pub fn insert(&mut self, stored: &StoredObject) {
        self.change(stored, |all, place| match stored.object.spec() {
            ObjectSpec::Sandbox(SandboxSpec { routing_key: Some(key), .. }) => {
                all.named.insert(place.clone(), (key.clone(), stored.epoch));
            }
            ObjectSpec::Sandbox(_) | ObjectSpec::RouteGroup(_) => {}
            ObjectSpec::LocalWorkload(spec) => {
                let one = (spec.service.clone(), stored.epoch, stored.id().name.clone());
                all.of_sandbox.entry(place.clone()).or_default().insert(one);
            }
        });
    }

    /// Forgets what an object says.
    pub fn remove(&mut self, stored: &StoredObject) {
        self.change(stored, |all, place| match stored.object.spec() {
            ObjectSpec::Sandbox(_) => drop(all.named.remove(place)),
            ObjectSpec::RouteGroup(_) => {}
            ObjectSpec::LocalWorkload(spec) => {
                let one = (spec.service.clone(), stored.epoch, stored.id().name.clone());
                forget(&mut all.of_sandbox, place, &one);
            }
        });
    }

    /// Changes what is said of one sandbox, and finds it by its key as far as it is to be found afterwards.
    fn change(&mut self, stored: &StoredObject, change: impl FnOnce(&mut Self, &Place)) {
        let ObjectId { namespace, name, .. } = stored.id();
        let sandbox = match stored.object.spec() {
            ObjectSpec::Sandbox(_) => name,
            ObjectSpec::LocalWorkload(spec) => &spec.sandbox,
            ObjectSpec::RouteGroup(_) => return,
        };
        let place = (namespace.clone(), sandbox.clone());
        if let Some((key, found)) = self.found(&place) {
            forget(&mut self.of_key, &key, &found);
        }
        change(self, &place);
        if let Some((key, found)) = self.found(&place) {
            self.of_key.entry(key).or_default().insert(found);
        }
    }

    /// By which key a sandbox is found.
    fn found(&self, place: &Place) -> Option<(RoutingKey, (Epoch, ObjectId))> {
        let (key, epoch) = self.named.get(place).filter(|_| self.of_sandbox.contains_key(place))?;
        Some((key.clone(), (*epoch, id(Resource::Sandboxes, &place.0, &place.1))))
    }
}

fn id(resource: Resource, namespace: &DnsLabel, name: &DnsLabel) -> ObjectId {
    ObjectId { resource, namespace: namespace.clone(), name: name.clone() }
}
