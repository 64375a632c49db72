//! What is declared, as values, and pictures of all of it.

use quorate_model::{
    Hold, Keyspace, KeyspaceConfig, KeyspaceName, KeyspaceSource, LogIndex, PartitionCount, Refusal, Route,
    RouteName, RouteParts, RoutingKey, Sandbox, SandboxParts, SandboxRule, SandboxTtl, ServiceName,
    ServicePolicy, limit,
    route::{Action, Destination, Forwarding, Target},
};
use quorate_state::State;
use std::{collections::BTreeMap, time::Duration};

pub fn route_name(n: u8) -> RouteName {
    RouteName::parse(&format!("r{n}")).expect("a name")
}

pub fn key(n: u8) -> RoutingKey {
    RoutingKey::parse(&format!("k{n}")).expect("a key")
}

pub fn service(n: u8) -> ServiceName {
    ServiceName::parse(&format!("s{n}")).expect("a name")
}

pub fn keyspace(n: u8) -> KeyspaceName {
    if n == 0 { KeyspaceName::default() } else { KeyspaceName::parse(&format!("ks{n}")).expect("a name") }
}

pub fn to(n: u8) -> Destination {
    Destination { target: Target::Service(service(n)), weight: 1 }
}

pub fn route(name: u8, says: u8) -> Route {
    let forwarding = Forwarding { destinations: vec![to(says)], ..Forwarding::default() };
    let parts = RouteParts { action: Action::from(forwarding), ..RouteParts::default() };
    parts.validate(route_name(name)).expect("valid")
}

pub fn ttl() -> SandboxTtl {
    SandboxTtl::new(Duration::from_millis(limit::SANDBOX_TTL_MS_MIN)).expect("allowed")
}

pub fn sandbox(says: u8) -> Sandbox {
    let rules = vec![SandboxRule { destinations: vec![to(says)], ..SandboxRule::default() }];
    SandboxParts { rules, ttl: says.is_multiple_of(2).then(ttl) }.validate().expect("valid")
}

pub fn policy(says: u8) -> ServicePolicy {
    let hold = Hold::new(Duration::from_secs(1 + u64::from(says)), 1).expect("valid");
    ServicePolicy { hold: Some(hold), ..ServicePolicy::default() }
}

pub fn space(says: u8) -> KeyspaceConfig {
    let source = if says == 2 { KeyspaceSource::Kafka } else { KeyspaceSource::Static };
    KeyspaceConfig { partitions: PartitionCount::new(u32::from(says) + 1).ok(), source, hold: None }
}

/// All that is declared, routes with their ages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    pub routes: BTreeMap<RouteName, (Route, LogIndex)>,
    pub sandboxes: BTreeMap<RoutingKey, Sandbox>,
    pub services: BTreeMap<ServiceName, ServicePolicy>,
    pub keyspaces: BTreeMap<KeyspaceName, KeyspaceConfig>,
}

pub fn config_of(keyspace: &Keyspace) -> KeyspaceConfig {
    KeyspaceConfig { partitions: keyspace.partitions, source: keyspace.source, hold: keyspace.hold }
}

pub fn now(state: &State) -> Picture {
    let routes = state.routes().iter().map(|s| (s.route.name().clone(), (s.route.clone(), s.created)));
    let sandboxes = state.sandboxes().iter().map(|s| (s.key.clone(), (*s.sandbox).clone()));
    let policies = state.services().filter_map(|s| s.stored_policy());
    Picture {
        routes: routes.collect(),
        sandboxes: sandboxes.collect(),
        services: policies.map(|s| (s.service.clone(), s.policy.clone())).collect(),
        keyspaces: state.keyspaces().map(|k| (k.keyspace().name.clone(), config_of(k.keyspace()))).collect(),
    }
}

/// As it stood, made from what stands and what is remembered.
pub fn then(state: &State, at: LogIndex) -> Result<Picture, Refusal> {
    fn over<K: Ord + Clone, V>(all: &mut BTreeMap<K, V>, name: &K, was: Option<V>) {
        match was {
            Some(was) => drop(all.insert(name.clone(), was)),
            None => drop(all.remove(name)),
        }
    }
    let (earlier, mut picture) = (state.earlier(at)?, now(state));
    for (name, was) in &earlier.routes {
        over(&mut picture.routes, name, was.map(|stored| (stored.route.clone(), stored.created)));
    }
    for (key, was) in &earlier.sandboxes {
        over(&mut picture.sandboxes, key, was.map(|former| (*former.sandbox).clone()));
    }
    for (name, was) in &earlier.services {
        over(&mut picture.services, name, was.map(|policy| (**policy).clone()));
    }
    for (name, was) in &earlier.keyspaces {
        over(&mut picture.keyspaces, name, *was);
    }
    Ok(picture)
}
