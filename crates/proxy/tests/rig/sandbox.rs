//! Sandboxes.

use super::{Heard, Rig};
use http::HeaderValue;
use quorate_model::{
    Address, Command, PartitionRange, RoutingKey, SandboxParts, SandboxRule, ServiceName, ServiceOffer, Ttl,
    WorkerId,
    route::{Destination, Target},
    sandbox::Fallback,
    worker::RegistrationParts,
};
use std::time::Duration;

/// Every form of the key that a worker is told of, by the names of the headers.
pub const FORMS: [&str; 5] =
    ["x-route-key", "x-routing-key", "baggage", "uberctx-route-key", "ot-baggage-route-key"];

pub fn rule(target: &str) -> SandboxRule {
    let target = Target::parse_versioned("target", target).unwrap();
    SandboxRule { destinations: vec![Destination { target, weight: 100 }], ..SandboxRule::default() }
}

pub fn never(rule: SandboxRule) -> SandboxRule {
    SandboxRule { fallback: Fallback::NEVER, ..rule }
}

pub fn on_5xx(rule: SandboxRule) -> SandboxRule {
    SandboxRule { fallback: Fallback { missing: true, on_5xx: true }, ..rule }
}

pub fn adding(name: &str, value: &'static str, rule: SandboxRule) -> SandboxRule {
    SandboxRule { add_headers: vec![(name.into(), HeaderValue::from_static(value))], ..rule }
}

pub fn put_sandbox(rig: &Rig, key: &str, rules: Vec<SandboxRule>) {
    let sandbox = SandboxParts { rules, ttl: None }.validate().unwrap();
    let key = RoutingKey::parse(key).unwrap();
    rig.apply(Command::PutSandbox { key, sandbox: Box::new(sandbox), if_index: None });
}

/// Registers a worker that offers one version of a service.
pub fn offer_version(rig: &Rig, id: &str, url: &str, (name, version): (&str, &str)) {
    let mut parts = RegistrationParts::new(
        WorkerId::parse(id).unwrap(),
        Address::parse(url).unwrap(),
        Ttl::new(Duration::from_secs(30)).unwrap(),
    );
    let name = ServiceName::parse(name).unwrap();
    parts.services = vec![ServiceOffer { name, version: version.into(), url: None }];
    let registration = parts.validate().unwrap();
    rig.apply(Command::RegisterWorker { registration, range: PartitionRange::Lenient, if_index: None });
}

/// What a worker was told of the key.
pub fn told(heard: &Heard) -> Vec<String> {
    FORMS.iter().map(|name| heard.all(name).join(" | ")).collect()
}

/// What a worker is told that gets a request with this key in one form only.
pub fn all_of(key: &str) -> Vec<String> {
    FORMS
        .iter()
        .map(|name| if *name == "baggage" { format!("route-key={key}") } else { key.into() })
        .collect()
}
