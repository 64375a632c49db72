//! What becomes of a request that a route is for.

use super::{
    headers::{Cors, HeaderEdits},
    ramp::Ramp,
    source::{Balancing, KeySource, Protocol, Retries},
};
use quorate_model as model;
use quorate_model::{Address, Invalid, KeyspaceName, Scheme, ServiceName};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Forward(Box<Forwarding>),
    Redirect(Redirect),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forwarding {
    destinations: Vec<Destination>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sticky: Option<KeySource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    balancing: Option<Balancing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash_on: Option<KeySource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_timeout_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per_try_timeout_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retries: Option<Retries>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cors: Option<Cors>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathRewrite>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    request_headers: HeaderEdits,
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    response_headers: HeaderEdits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mirror: Option<Mirror>,
    /// Since the sixth level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ramp: Option<Ramp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Destination {
    to: Target,
    weight: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Target {
    Service(String),
    Url {
        address: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<Protocol>,
    },
    Keyspace(String),
    /// Since the fifth level, in sandboxes; since the sixth, in routes.
    Version {
        service: String,
        version: Box<str>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PathRewrite {
    Prefix(String),
    Full(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redirect {
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheme: Option<RedirectScheme>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathRewrite>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RedirectScheme {
    Http,
    Https,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mirror {
    to: Target,
    per_million: u32,
}

impl From<&model::route::Action> for Action {
    fn from(action: &model::route::Action) -> Self {
        match action {
            model::route::Action::Forward(forwarding) => Self::Forward(Box::new((&**forwarding).into())),
            model::route::Action::Redirect(redirect) => Self::Redirect(redirect.into()),
        }
    }
}

impl TryFrom<Action> for model::route::Action {
    type Error = Invalid;

    fn try_from(action: Action) -> Result<Self, Invalid> {
        Ok(match action {
            Action::Forward(forwarding) => model::route::Forwarding::try_from(*forwarding)?.into(),
            Action::Redirect(redirect) => Self::Redirect(redirect.try_into()?),
        })
    }
}

impl From<&model::route::Forwarding> for Forwarding {
    fn from(forwarding: &model::route::Forwarding) -> Self {
        let model::route::Forwarding {
            destinations,
            ramp,
            sticky,
            balancing,
            hash_on,
            timeouts: model::route::Timeouts { total_ms, idle_ms, per_try_ms },
            retries,
            cors,
            rewrite: model::route::Rewrite { path, host },
            request_headers,
            response_headers,
            mirror,
        } = forwarding;
        Self {
            destinations: destinations.iter().map(Destination::from).collect(),
            sticky: sticky.as_ref().map(KeySource::from),
            balancing: balancing.map(Balancing::from),
            hash_on: hash_on.as_ref().map(KeySource::from),
            timeout_ms: *total_ms,
            idle_timeout_ms: *idle_ms,
            per_try_timeout_ms: *per_try_ms,
            retries: retries.as_ref().map(Retries::from),
            cors: cors.as_ref().map(Cors::from),
            path: path.as_ref().map(PathRewrite::from),
            host: host.clone(),
            request_headers: request_headers.into(),
            response_headers: response_headers.into(),
            mirror: mirror.as_ref().map(Mirror::from),
            ramp: ramp.as_ref().map(Ramp::from),
        }
    }
}

/// Its bounds are checked with the route that it is a part of.
impl TryFrom<Forwarding> for model::route::Forwarding {
    type Error = Invalid;

    fn try_from(forwarding: Forwarding) -> Result<Self, Invalid> {
        let path = |path: PathRewrite| path.read("rewrite.path_prefix", "rewrite.path");
        let host = |host: Box<str>| model::route::Rewrite::host(&host);
        Ok(Self {
            destinations: crate::v1::all(forwarding.destinations)?,
            ramp: forwarding.ramp.map(Into::into),
            sticky: forwarding.sticky.map(TryInto::try_into).transpose()?,
            balancing: forwarding.balancing.map(Into::into),
            hash_on: forwarding.hash_on.map(TryInto::try_into).transpose()?,
            timeouts: model::route::Timeouts {
                total_ms: forwarding.timeout_ms,
                idle_ms: forwarding.idle_timeout_ms,
                per_try_ms: forwarding.per_try_timeout_ms,
            },
            retries: forwarding.retries.map(Into::into),
            cors: forwarding.cors.map(TryInto::try_into).transpose()?,
            rewrite: model::route::Rewrite {
                path: forwarding.path.map(path).transpose()?,
                host: forwarding.host.map(host).transpose()?,
            },
            request_headers: forwarding.request_headers.read("request_headers")?,
            response_headers: forwarding.response_headers.read("response_headers")?,
            mirror: forwarding.mirror.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<&model::route::Destination> for Destination {
    fn from(destination: &model::route::Destination) -> Self {
        let model::route::Destination { target, weight } = destination;
        Self { to: target.into(), weight: *weight }
    }
}

impl TryFrom<Destination> for model::route::Destination {
    type Error = Invalid;

    fn try_from(destination: Destination) -> Result<Self, Invalid> {
        Ok(Self { target: destination.to.try_into()?, weight: destination.weight })
    }
}

impl From<&model::route::Target> for Target {
    fn from(target: &model::route::Target) -> Self {
        match target {
            model::route::Target::Service(name) => Self::Service(name.to_string()),
            model::route::Target::Url { address, protocol } => {
                Self::Url { address: address.to_string(), protocol: protocol.map(Protocol::from) }
            }
            model::route::Target::Keyspace(name) => Self::Keyspace(name.to_string()),
            model::route::Target::Version { service, version } => {
                Self::Version { service: service.to_string(), version: version.clone() }
            }
        }
    }
}

impl TryFrom<Target> for model::route::Target {
    type Error = Invalid;

    fn try_from(target: Target) -> Result<Self, Invalid> {
        Ok(match target {
            Target::Service(name) => Self::Service(ServiceName::parse(&name)?),
            Target::Url { address, protocol } => {
                Self::Url { address: Address::parse(&address)?, protocol: protocol.map(Into::into) }
            }
            Target::Keyspace(name) => Self::Keyspace(KeyspaceName::parse(&name)?),
            Target::Version { service, version } => {
                Self::Version { service: ServiceName::parse(&service)?, version }
            }
        })
    }
}

impl From<&model::route::PathRewrite> for PathRewrite {
    fn from(path: &model::route::PathRewrite) -> Self {
        match path {
            // The model keeps `/` as nothing.
            model::route::PathRewrite::Prefix(prefix) if prefix.is_empty() => Self::Prefix("/".to_owned()),
            model::route::PathRewrite::Prefix(prefix) => Self::Prefix(prefix.to_string()),
            model::route::PathRewrite::Full(path) => Self::Full(path.to_string()),
        }
    }
}

impl PathRewrite {
    fn read(self, prefix_field: &str, full_field: &str) -> Result<model::route::PathRewrite, Invalid> {
        match self {
            Self::Prefix(path) => model::route::PathRewrite::prefix(prefix_field, &path),
            Self::Full(path) => model::route::PathRewrite::full(full_field, &path),
        }
    }
}

impl From<&model::route::Redirect> for Redirect {
    fn from(redirect: &model::route::Redirect) -> Self {
        let model::route::Redirect { status, scheme, host, port, path } = redirect;
        Self {
            status: *status,
            scheme: scheme.map(|scheme| match scheme {
                Scheme::Http => RedirectScheme::Http,
                Scheme::Https => RedirectScheme::Https,
            }),
            host: host.clone(),
            port: *port,
            path: path.as_ref().map(PathRewrite::from),
        }
    }
}

impl TryFrom<Redirect> for model::route::Redirect {
    type Error = Invalid;

    fn try_from(redirect: Redirect) -> Result<Self, Invalid> {
        let path = |path: PathRewrite| path.read("redirect.path_prefix", "redirect.path");
        Ok(Self {
            status: redirect.status,
            scheme: redirect.scheme.map(|scheme| match scheme {
                RedirectScheme::Http => Scheme::Http,
                RedirectScheme::Https => Scheme::Https,
            }),
            host: redirect.host.map(|host| Self::host(&host)).transpose()?,
            port: redirect.port,
            path: redirect.path.map(path).transpose()?,
        })
    }
}

impl From<&model::route::Mirror> for Mirror {
    fn from(mirror: &model::route::Mirror) -> Self {
        let model::route::Mirror { target, per_million } = mirror;
        Self { to: target.into(), per_million: *per_million }
    }
}

impl TryFrom<Mirror> for model::route::Mirror {
    type Error = Invalid;

    fn try_from(mirror: Mirror) -> Result<Self, Invalid> {
        Self::new(mirror.to.try_into()?, mirror.per_million)
    }
}
