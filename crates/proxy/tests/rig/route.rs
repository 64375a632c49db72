//! Routes.

use super::Rig;
use quorate_model::{
    Address, Command, RouteName, ServiceName,
    route::{Action, Destination, Forwarding, PathMatch, RouteMatch, RouteParts, Target},
};

pub fn to_url(url: &str, weight: u32) -> Destination {
    Destination { target: Target::Url { address: Address::parse(url).unwrap(), protocol: None }, weight }
}

pub fn to_service(name: &str) -> Destination {
    Destination { target: Target::Service(ServiceName::parse(name).unwrap()), weight: 100 }
}

pub fn by(prefix: &str, forwarding: Forwarding) -> RouteParts {
    let matches = RouteMatch { path: PathMatch::prefix(prefix).unwrap(), ..RouteMatch::default() };
    RouteParts { matches, action: Action::from(forwarding), priority: 0 }
}

pub fn forward(destinations: Vec<Destination>) -> Forwarding {
    Forwarding { destinations, ..Forwarding::default() }
}

pub fn put_route(rig: &Rig, name: &str, parts: RouteParts) {
    let route = parts.validate(RouteName::parse(name).unwrap()).unwrap();
    rig.apply(Command::PutRoute { route: Box::new(route), if_index: None });
}
