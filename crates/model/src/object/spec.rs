//! What the cluster acts on of an object.

use super::Resource;
use crate::{
    address::Address,
    name::{DnsLabel, Invalid, RoutingKey, ServiceName},
    policy::header_name,
    route::{Destination, Target},
    sandbox::{SandboxRule, SandboxTtl},
};
use http::HeaderValue;

/// By kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectSpec {
    /// Of a sandbox.
    Sandbox(SandboxSpec),
    /// Of a route group.
    RouteGroup(RouteGroupSpec),
    /// Of a local workload.
    LocalWorkload(LocalWorkloadSpec),
}

impl ObjectSpec {
    /// Whose it is.
    pub fn resource(&self) -> Resource {
        match self {
            Self::Sandbox(_) => Resource::Sandboxes,
            Self::RouteGroup(_) => Resource::RouteGroups,
            Self::LocalWorkload(_) => Resource::LocalWorkloads,
        }
    }

    /// Of a sandbox.
    pub fn as_sandbox(&self) -> Option<&SandboxSpec> {
        match self {
            Self::Sandbox(spec) => Some(spec),
            Self::RouteGroup(_) | Self::LocalWorkload(_) => None,
        }
    }

    /// Of a route group.
    pub fn as_group(&self) -> Option<&RouteGroupSpec> {
        match self {
            Self::RouteGroup(spec) => Some(spec),
            Self::Sandbox(_) | Self::LocalWorkload(_) => None,
        }
    }

    /// Of a local workload.
    pub fn as_local(&self) -> Option<&LocalWorkloadSpec> {
        match self {
            Self::LocalWorkload(spec) => Some(spec),
            Self::Sandbox(_) | Self::RouteGroup(_) => None,
        }
    }

    /// How long it stands; `None`: until it is taken away.
    pub fn ttl(&self) -> Option<SandboxTtl> {
        self.as_sandbox().and_then(|spec| spec.ttl)
    }

    pub(super) fn weight(&self) -> usize {
        /// What a text takes besides its letters, twice: in what was put, and where it is found by.
        const TEXT: usize = 2 * 48;
        match self {
            Self::Sandbox(spec) => {
                spec.services.iter().map(|name| TEXT + 2 * name.as_str().len()).sum::<usize>() + TEXT
            }
            Self::RouteGroup(spec) => spec.routes.iter().map(GroupRoute::weight).sum::<usize>() + 2 * TEXT,
            // Its names are where it is found, too.
            Self::LocalWorkload(spec) => 4 * TEXT + 2 * spec.service.as_str().len(),
        }
    }
}

/// What requests of a routing key are sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxSpec {
    /// How long it stands.
    pub ttl: Option<SandboxTtl>,
    /// A key that its local workloads are reached by, whether a route group leads there or not.
    pub routing_key: Option<RoutingKey>,
    /// What it has a version of its own of.
    pub services: Vec<ServiceName>,
}

/// Which requests are sent to which sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteGroupSpec {
    /// Requests with this key go where they would go without one.
    pub default_key: Option<RoutingKey>,
    /// The header, in lower case, that whoever put it expects keys in.
    pub header: Option<Box<str>>,
    /// The first one that a request of its key meets decides.
    pub routes: Vec<GroupRoute>,
}

impl RouteGroupSpec {
    /// What [`Self::default_key`] is where nothing is said.
    pub const DEFAULT_KEY: &'static str = "production";

    /// The name of a header, in lower case; the error is about `field`.
    pub fn header(field: &str, name: &str) -> Result<Box<str>, Invalid> {
        header_name(field, name)
    }

    /// The key whose requests go where they would go without one.
    pub fn default_key(&self) -> &str {
        self.default_key.as_ref().map_or(Self::DEFAULT_KEY, RoutingKey::as_str)
    }

    /// Those of its routes that lead somewhere.
    pub fn leading(&self) -> impl Iterator<Item = &GroupRoute> {
        self.routes.iter().filter(|route| route.key.as_str() != self.default_key())
    }
}

/// One route of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRoute {
    /// Whose requests.
    pub key: RoutingKey,
    /// To which sandbox of the same namespace.
    pub target: DnsLabel,
    /// What a path may begin with, letter by letter.
    pub path_prefixes: Vec<Box<str>>,
    /// What a path may be as a whole.
    pub paths_exact: Vec<Box<str>>,
    /// Set on the request.
    pub add_headers: Vec<(Box<str>, HeaderValue)>,
}

impl GroupRoute {
    /// The one of all requests of a key.
    pub fn of_all(key: RoutingKey, target: DnsLabel) -> Self {
        let (path_prefixes, paths_exact, add_headers) = (Vec::new(), Vec::new(), Vec::new());
        Self { key, target, path_prefixes, paths_exact, add_headers }
    }

    /// What it is made into for `service` of its sandbox: the rule holds for requests that would go there without their
    /// key, and for all if it is the sandbox's only one. `endpoint` is where it answers, if that was said; else it is the
    /// workers that register the service in the version that the sandbox is called by.
    pub fn rule(&self, service: &ServiceName, is_only: bool, endpoint: Option<&Address>) -> SandboxRule {
        let version = || Target::Version { service: service.clone(), version: self.target.as_str().into() };
        let address = |address: &Address| Target::Url { address: address.clone(), protocol: None };
        let target = endpoint.map_or_else(version, address);
        SandboxRule {
            path_prefixes: self.path_prefixes.clone(),
            paths_exact: self.paths_exact.clone(),
            service: (!is_only).then(|| service.clone()),
            destinations: vec![Destination { target, weight: Destination::WEIGHT_DEFAULT }],
            add_headers: self.add_headers.clone(),
            ..SandboxRule::default()
        }
    }

    fn weight(&self) -> usize {
        /// What a text takes besides its letters.
        const TEXT: usize = 48;
        /// Where its key and its target are found.
        const FOUND: usize = 512;
        let paths = self.path_prefixes.iter().chain(&self.paths_exact).map(|path| TEXT + path.len());
        let added = self.add_headers.iter().map(|(name, value)| 2 * TEXT + name.len() + value.len());
        FOUND + 3 * self.key.as_str().len() + paths.chain(added).sum::<usize>()
    }
}

/// A service of a sandbox that runs on a developer's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalWorkloadSpec {
    /// Which sandbox of the same namespace.
    pub sandbox: DnsLabel,
    /// What it is.
    pub service: ServiceName,
}
