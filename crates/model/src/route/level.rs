//! Since when members can read what a route says.

use super::{Action, Forwarding, Route, Target};
use crate::level::FeatureLevel;

impl Route {
    /// The lowest level at which every member can read it, but for the tunnels that it names.
    pub(crate) fn feature_level(&self) -> FeatureLevel {
        let is_newer = match &self.action {
            Action::Forward(forwarding) => forwarding.ramp.is_some() || forwarding.names_version(),
            Action::Redirect(_) => false,
        };
        if is_newer { FeatureLevel::SIXTH } else { FeatureLevel::FOURTH }
    }
}

impl Forwarding {
    /// Whether some of its requests, or copies of them, are for one version of a service.
    fn names_version(&self) -> bool {
        let mirrored = self.mirror.as_ref().map(|mirror| &mirror.target);
        let mut targets = self.destinations.iter().map(|one| &one.target).chain(mirrored);
        targets.any(|target| matches!(target, Target::Version { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Command, Config, ConfigMode, LogIndex, RestoreId, RestoreStep, RouteName, RouteParts, ServiceName,
        ServicePolicy, StoredPolicy, StoredRoute,
        route::{Destination, Mirror},
    };

    fn route(target: Target, mirror: Option<Target>) -> Route {
        let destinations = vec![Destination { target, weight: 1 }];
        let mirror = mirror.map(|target| Mirror::new(target, 1).expect("valid"));
        let forwarding = Forwarding { destinations, mirror, ..Forwarding::default() };
        let parts = RouteParts { action: forwarding.into(), ..RouteParts::default() };
        parts.validate(RouteName::parse("r").expect("a name")).expect("valid")
    }

    fn put(route: Route) -> Command {
        Command::PutRoute { route: Box::new(route), if_index: None }
    }

    /// A member of an older version takes a route with a version for a broken one, and stops.
    #[test]
    fn who_knows_no_versions_in_routes_and_policies_is_sent_none() {
        let name = || ServiceName::parse("web").expect("a name");
        let (all, one) = (Target::Service(name()), Target::Version { service: name(), version: "v2".into() });
        let routes = [route(one.clone(), None), route(all.clone(), Some(one))];
        assert_eq!(put(route(all, None)).feature_level(), FeatureLevel::FOURTH);
        let policy = |version: Option<&str>| ServicePolicy {
            default_version: version.map(Into::into),
            ..ServicePolicy::default()
        };
        let put_policy = |policy| Command::PutService { name: name(), policy, if_index: None };
        assert_eq!(put_policy(policy(None)).feature_level(), FeatureLevel::THIRD);
        let configure = |config: Config| {
            let mode = ConfigMode::Merge;
            Command::Configure { config: Box::new(config), mode, if_index: None }.feature_level()
        };
        let restore = |step| Command::Restore { id: RestoreId(1), step }.feature_level();
        let mut newer = vec![put_policy(policy(Some(""))).feature_level()];
        let services = [(name(), Some(policy(Some("v1"))))].into();
        newer.push(configure(Config { services, ..Config::default() }));
        let stored = StoredPolicy { service: name(), policy: policy(Some("v1")), changed: LogIndex(1) };
        newer.push(restore(RestoreStep::Begin {
            keyspaces: Vec::new(),
            policies: vec![stored],
            last_epoch: crate::Epoch(0),
        }));
        for route in routes {
            newer.push(put(route.clone()).feature_level());
            let named = [(route.name().clone(), Some(route.clone()))].into();
            newer.push(configure(Config { routes: named, ..Config::default() }));
            let stored = StoredRoute::new(route, (LogIndex(1), LogIndex(1)), None).expect("no ramp");
            newer.push(restore(RestoreStep::Routes { batch: 0, routes: vec![stored] }));
        }
        assert_eq!(newer, [FeatureLevel::SIXTH; 9]);
    }
}
