//! What came with versions of services in routes and policies, at the sixth level.

use super::{traffic::route_name, *};
use quorate_model::{
    RouteParts, ServicePolicy, StoredPolicy, StoredRoute,
    route::{Action, Destination, Forwarding, Mirror, Target},
};

fn chat(version: &str) -> Target {
    Target::Version { service: services::service("chat"), version: version.into() }
}

fn stored_route() -> StoredRoute {
    let destinations = vec![Destination { target: chat("v2"), weight: 5 }];
    let mirror = Mirror::new(chat("v@3"), 10_000).ok();
    let action = Action::from(Forwarding { destinations, mirror, ..Forwarding::default() });
    let route = RouteParts { action, ..RouteParts::default() }.validate(route_name("chat")).expect("valid");
    StoredRoute { route, created: LogIndex(33), changed: LogIndex(40), ramp: None }
}

fn policy(default_version: &str) -> ServicePolicy {
    ServicePolicy { default_version: Some(default_version.into()), ..ServicePolicy::default() }
}

pub fn commands() -> Vec<(&'static str, Command)> {
    let put = |version| Command::PutService {
        name: services::service("chat"),
        policy: policy(version),
        if_index: None,
    };
    let route = Box::new(stored_route().route);
    vec![
        ("put-route-version", Command::PutRoute { route, if_index: Some(LogIndex(40)) }),
        ("put-service-default-version", put("v1")),
        ("put-service-no-version", put("")),
    ]
}

pub fn snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::snapshot();
    let stored =
        StoredPolicy { service: services::service("chat"), policy: policy("v1"), changed: LogIndex(39) };
    let parts = Parts {
        level: FeatureLevel::SIXTH,
        config_changed: LogIndex(40),
        routes: vec![Arc::new(stored_route())],
        policies: vec![stored],
        workers: Vec::new(),
        windows: Vec::new(),
        ..parts
    };
    (meta, parts)
}
