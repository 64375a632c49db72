//! What becomes of a request that a route is for.

use super::{
    matching::methods,
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
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Destination {
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

#[derive(Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct HeaderEdits {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set: Vec<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    add: Vec<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remove: Vec<Box<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: Box<str>,
    value: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mirror {
    to: Target,
    per_million: u32,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Cors {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_headers: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exposed_headers: Vec<Box<str>>,
    #[serde(skip_serializing_if = "super::is_false")]
    allow_credentials: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u32>,
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
            Action::Forward(forwarding) => Self::Forward(Box::new((*forwarding).try_into()?)),
            Action::Redirect(redirect) => Self::Redirect(redirect.try_into()?),
        })
    }
}

impl From<&model::route::Forwarding> for Forwarding {
    fn from(forwarding: &model::route::Forwarding) -> Self {
        let model::route::Forwarding {
            destinations,
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

impl HeaderEdits {
    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    fn read(self, field: &str) -> Result<model::route::HeaderEdits, Invalid> {
        use model::route::HeaderEdits as M;
        let header = |header: Header| Ok((M::name(field, &header.name)?, M::value(field, &header.value)?));
        let headers = |list: Vec<Header>| list.into_iter().map(header).collect::<Result<Vec<_>, Invalid>>();
        let remove = self.remove.iter().map(|name| M::name(field, name));
        Ok(M { set: headers(self.set)?, add: headers(self.add)?, remove: remove.collect::<Result<_, _>>()? })
    }
}

impl From<&model::route::HeaderEdits> for HeaderEdits {
    fn from(edits: &model::route::HeaderEdits) -> Self {
        let model::route::HeaderEdits { set, add, remove } = edits;
        // The model makes them of text, so nothing is lost.
        let header = |(name, value): &(Box<str>, http::HeaderValue)| Header {
            name: name.clone(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        Self {
            set: set.iter().map(header).collect(),
            add: add.iter().map(header).collect(),
            remove: remove.clone(),
        }
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

impl From<&model::route::Cors> for Cors {
    fn from(cors: &model::route::Cors) -> Self {
        let model::route::Cors {
            allowed_origins,
            allowed_methods,
            allowed_headers,
            exposed_headers,
            allow_credentials,
            max_age_seconds,
        } = cors;
        Self {
            allowed_origins: allowed_origins.iter().map(ToString::to_string).collect(),
            allowed_methods: allowed_methods.iter().map(ToString::to_string).collect(),
            allowed_headers: allowed_headers.clone(),
            exposed_headers: exposed_headers.clone(),
            allow_credentials: *allow_credentials,
            max_age_seconds: *max_age_seconds,
        }
    }
}

impl TryFrom<Cors> for model::route::Cors {
    type Error = Invalid;

    fn try_from(cors: Cors) -> Result<Self, Invalid> {
        let origin = |text: &String| model::route::OriginMatch::parse("cors.allowed_origins", text);
        for (field, names) in
            [("cors.allowed_headers", &cors.allowed_headers), ("cors.exposed_headers", &cors.exposed_headers)]
        {
            // Checked, and kept in the case that they have.
            names.iter().try_for_each(|name| model::route::RouteMatch::header_name(field, name).map(drop))?;
        }
        Ok(Self {
            allowed_origins: cors.allowed_origins.iter().map(origin).collect::<Result<_, Invalid>>()?,
            allowed_methods: methods("cors.allowed_methods", &cors.allowed_methods)?,
            allowed_headers: cors.allowed_headers,
            exposed_headers: cors.exposed_headers,
            allow_credentials: cors.allow_credentials,
            max_age_seconds: cors.max_age_seconds,
        })
    }
}
