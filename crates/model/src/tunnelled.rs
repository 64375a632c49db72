//! Which commands name tunnels: a member of an older version can read no address that is none.

use crate::{
    address::Address,
    command::Command,
    config::Config,
    restore::RestoreStep,
    route::{Action, Forwarding, Route, Target},
    sandbox::Sandbox,
    worker::Registration,
};

impl Target {
    /// The tunnel that leads there, if one does.
    pub fn tunnel(&self) -> Option<&str> {
        match self {
            Self::Url { address, .. } => address.tunnel(),
            Self::Service(_) | Self::Version { .. } | Self::Keyspace(_) => None,
        }
    }
}

impl Command {
    /// Whether an address in it is a tunnel's name.
    pub(crate) fn names_tunnel(&self) -> bool {
        match self {
            Self::RegisterWorker { registration, .. } | Self::AdoptWorker { registration } => {
                of_worker(registration)
            }
            Self::PutRoute { route, .. } => of_route(route),
            Self::PutSandbox { sandbox, .. } => of_sandbox(sandbox),
            Self::Configure { config, .. } => of_config(config),
            Self::Restore { step, .. } => of_step(step),
            // Of objects and of what comes back from the history: every member that knows them knows tunnels.
            Self::Object(_) | Self::RollBack { .. } | Self::Presence(_) | Self::Ramp(_) => false,
            Self::FormCluster { .. }
            | Self::UnregisterWorker { .. }
            | Self::ChangeLeases(_)
            | Self::PutKeyspace { .. }
            | Self::ObservePartitions { .. }
            | Self::DescribeNode(_)
            | Self::RaiseLevel { .. }
            | Self::HandOverLeases { .. }
            | Self::SetDuty { .. }
            | Self::SetWeight { .. }
            | Self::PutService { .. }
            | Self::DeleteService { .. }
            | Self::DeleteRoute { .. }
            | Self::DeleteSandbox { .. }
            | Self::ExtendSandbox { .. }
            | Self::EndSandboxes(_)
            | Self::ChangeHealth(_) => false,
        }
    }
}

fn of_worker(registration: &Registration) -> bool {
    let is = |address: &Address| address.tunnel().is_some();
    let urls = registration.services.iter().filter_map(|offer| offer.url.as_ref());
    is(&registration.address)
        || urls.into_iter().any(is)
        || registration.extras().tunnel.as_ref().is_some_and(is)
}

fn of_route(route: &Route) -> bool {
    match &route.action {
        Action::Forward(forwarding) => of_forwarding(forwarding),
        Action::Redirect(_) => false,
    }
}

fn of_forwarding(forwarding: &Forwarding) -> bool {
    let targets = forwarding.destinations.iter().map(|one| &one.target);
    targets.chain(forwarding.mirror.as_ref().map(|mirror| &mirror.target)).any(|one| one.tunnel().is_some())
}

fn of_sandbox(sandbox: &Sandbox) -> bool {
    sandbox.rules.iter().flat_map(|rule| &rule.destinations).any(|one| one.target.tunnel().is_some())
}

fn of_config(config: &Config) -> bool {
    config.routes.values().flatten().any(of_route) || config.sandboxes.values().flatten().any(of_sandbox)
}

fn of_step(step: &RestoreStep) -> bool {
    match step {
        RestoreStep::Routes { routes, .. } => routes.iter().any(|stored| of_route(&stored.route)),
        RestoreStep::Sandboxes { sandboxes, .. } => {
            sandboxes.iter().any(|stored| of_sandbox(&stored.sandbox))
        }
        RestoreStep::Workers { workers, .. } => workers.iter().any(|worker| of_worker(&worker.registration)),
        RestoreStep::Begin { .. }
        | RestoreStep::Objects { .. }
        | RestoreStep::Finish { .. }
        | RestoreStep::Abandon => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Command, FeatureLevel,
        address::Address,
        command::PartitionRange,
        name::{RoutingKey, WorkerId},
        number::Ttl,
        route::{Destination, Target},
        sandbox::{SandboxParts, SandboxRule},
        worker::{RegistrationParts, ServiceOffer},
    };
    use std::time::Duration;

    fn check(level: FeatureLevel, command: &Command) {
        assert_eq!(command.feature_level(), level, "{command:?}");
    }

    #[test]
    fn who_can_read_no_tunnel_is_sent_none() {
        let address = |text: &str| Address::parse(text).expect("an address");
        let register = |at: &str, url: Option<&str>| {
            let ttl = Ttl::new(Duration::from_secs(30)).expect("a lease");
            let id = WorkerId::parse("w1").expect("an id");
            let mut parts = RegistrationParts::new(id, address(at), ttl);
            let name = crate::name::ServiceName::parse("s").expect("a name");
            parts.services = vec![ServiceOffer { name, version: "".into(), url: url.map(address) }];
            let registration = parts.validate().expect("valid");
            Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None }
        };
        check(FeatureLevel::FIRST, &register("http://h", None));
        check(FeatureLevel::SIXTH, &register("tunnel://a", None));
        check(FeatureLevel::SIXTH, &register("http://h", Some("tunnel://a")));
        let sandbox = |target| {
            let target = Target::parse_versioned("target", target).expect("a target");
            let rule = SandboxRule {
                destinations: vec![Destination { target, weight: 100 }],
                ..SandboxRule::default()
            };
            let sandbox = SandboxParts { rules: vec![rule], ttl: None }.validate().expect("valid");
            let key = RoutingKey::parse("k").expect("a key");
            Command::PutSandbox { key, sandbox: Box::new(sandbox), if_index: None }
        };
        check(FeatureLevel::FIFTH, &sandbox("h:80"));
        check(FeatureLevel::SIXTH, &sandbox("tunnel:a"));
    }
}
