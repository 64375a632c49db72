//! The parts of a route, as they are shown.

use super::action::PER_PERCENT;
use crate::{duration, policy::ProtocolBody};
use http::HeaderValue;
use quorate_model::{
    Scheme,
    route::{
        Cors, Destination, HeaderEdits, Mirror, PathMatch, PathRewrite, Redirect, Rewrite, RouteMatch,
        Target, ValueMatch,
    },
};
use serde::Serialize;
use serde_json::Number;
use std::{collections::BTreeMap, time::Duration};
use utoipa::ToSchema;

/// Which requests a route is for; all of it must hold. The path is named in one way, or not at all.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchBody {
    /// `api.example.com`, or `*.example.com` for every host below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// This path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_exact: Option<String>,
    /// This path and all below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// All of the path matches this regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// Any of these, in any case; all if not said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 32)]
    pub methods: Vec<String>,
    /// Headers, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub headers: BTreeMap<String, ValueBody>,
    /// Query parameters, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub query: BTreeMap<String, ValueBody>,
    /// A gRPC service with its package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_service: Option<String>,
    /// One of its methods; only with `grpc_service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_method: Option<String>,
}

impl From<&RouteMatch> for MatchBody {
    fn from(matches: &RouteMatch) -> Self {
        let values = |named: &[(Box<str>, ValueMatch)]| {
            named.iter().map(|(name, value)| (name.to_string(), value.into())).collect()
        };
        let rest = Self {
            host: matches.host.as_ref().map(ToString::to_string),
            methods: matches.methods.iter().map(ToString::to_string).collect(),
            headers: values(&matches.headers),
            query: values(&matches.query),
            ..Self::default()
        };
        match &matches.path {
            PathMatch::Any => rest,
            PathMatch::Exact(path) => Self { path_exact: Some(path.to_string()), ..rest },
            PathMatch::Prefix(path) => Self { path_prefix: Some(or_slash(path)), ..rest },
            PathMatch::Regex(pattern) => Self { path_regex: Some(pattern.as_str().into()), ..rest },
            PathMatch::Grpc { service, method } => Self {
                grpc_service: Some(service.to_string()),
                grpc_method: method.as_deref().map(Into::into),
                ..rest
            },
        }
    }
}

/// The model keeps prefixes without a slash at their end.
fn or_slash(prefix: &str) -> String {
    if prefix.is_empty() { "/".into() } else { prefix.into() }
}

/// What a header or a query parameter must be.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ValueBody {
    /// This text.
    Exact(String),
    /// All of it matches a regular expression.
    Regex {
        /// The expression.
        regex: String,
    },
    /// It is there, whatever it is.
    Present {
        /// Only `true`.
        present: bool,
    },
}

impl From<&ValueMatch> for ValueBody {
    fn from(value: &ValueMatch) -> Self {
        match value {
            ValueMatch::Exact(text) => Self::Exact(text.to_string()),
            ValueMatch::Regex(pattern) => Self::Regex { regex: pattern.as_str().into() },
            ValueMatch::Present => Self::Present { present: true },
        }
    }
}

/// Where a part of the requests goes: to one of `service`, `url` and `keyspace`.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationBody {
    /// To the workers that offer this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// With `service`: to those only that offer it in this version; if not said, to those that its policy names, else
    /// to all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("v2"), min_length = 1, max_length = 256)]
    pub version: Option<String>,
    /// To who answers there; without a scheme the name of a service, or `host:port` over http.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// To the owner of the partition that the request's workspace id is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyspace: Option<String>,
    /// With `url`: what is spoken there; http1 if not said, over TLS what ALPN says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolBody>,
    /// Its share, against the other destinations' weights; 100 if not said. Not all are 0.
    #[schema(minimum = 0, maximum = 1_000_000, required = false)]
    pub weight: u32,
}

impl From<&Destination> for DestinationBody {
    fn from(Destination { target, weight }: &Destination) -> Self {
        let rest = Self { weight: *weight, ..Self::default() };
        match target {
            Target::Service(name) => Self { service: Some(name.to_string()), ..rest },
            Target::Url { address, protocol } => {
                Self { url: Some(address.to_string()), protocol: protocol.map(Into::into), ..rest }
            }
            Target::Keyspace(name) => Self { keyspace: Some(name.to_string()), ..rest },
            Target::Version { service, version } => {
                Self { service: Some(service.to_string()), version: Some(version.to_string()), ..rest }
            }
        }
    }
}

/// Where the client is told to ask instead; what is not said stays as it asked.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedirectBody {
    /// 301, 302, 303, 307 or 308; 302 if not said.
    #[schema(required = false)]
    pub status: u16,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Without a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// A port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65_535)]
    pub port: Option<u16>,
    /// In the place of the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// In the place of the prefix that `match` names; either this or `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
}

/// The whole path, or the prefix.
fn paths(path: Option<&PathRewrite>) -> (Option<String>, Option<String>) {
    match path {
        None => (None, None),
        Some(PathRewrite::Full(path)) => (Some(path.to_string()), None),
        Some(PathRewrite::Prefix(prefix)) => (None, Some(or_slash(prefix))),
    }
}

impl From<&Redirect> for RedirectBody {
    fn from(redirect: &Redirect) -> Self {
        let (path, path_prefix) = paths(redirect.path.as_ref());
        let scheme = redirect.scheme.map(|scheme| match scheme {
            Scheme::Http => "http".to_owned(),
            Scheme::Https => "https".to_owned(),
        });
        let host = redirect.host.as_deref().map(Into::into);
        Self { status: redirect.status, scheme, host, port: redirect.port, path, path_prefix }
    }
}

/// What a destination sees instead; what is not said stays as it was asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RewriteBody {
    /// In the place of the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// In the place of the prefix that `match` names; either this or `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// In the place of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl RewriteBody {
    pub(super) fn of(rewrite: &Rewrite) -> Option<Self> {
        let (path, path_prefix) = paths(rewrite.path.as_ref());
        let host = rewrite.host.as_deref().map(Into::into);
        (*rewrite != Rewrite::default()).then_some(Self { path, path_prefix, host })
    }
}

/// Changes of headers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditsBody {
    /// In the place of all of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub set: BTreeMap<String, String>,
    /// Beside those of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub add: BTreeMap<String, ValuesBody>,
    /// All of that name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub remove: Vec<String>,
}

/// One value of a header, or several.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ValuesBody {
    /// One.
    One(String),
    /// Several, each in a line of its own.
    Several(Vec<String>),
}

impl EditsBody {
    pub(super) fn of(edits: &HeaderEdits) -> Option<Self> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut add = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in &edits.add {
            add.entry(name.to_string()).or_default().push(text(value));
        }
        let values = |mut values: Vec<String>| match values.pop() {
            Some(one) if values.is_empty() => ValuesBody::One(one),
            last => {
                values.extend(last);
                ValuesBody::Several(values)
            }
        };
        (!edits.is_empty()).then(|| Self {
            set: edits.set.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            add: add.into_iter().map(|(name, several)| (name, values(several))).collect(),
            remove: edits.remove.iter().map(ToString::to_string).collect(),
        })
    }
}

/// Who gets a copy of some requests: one of `service` and `url`.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorBody {
    /// The workers that offer this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// With `service`: those only that offer it in this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub version: Option<String>,
    /// Who answers there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// With `url`: what is spoken there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolBody>,
    /// Of how many of a hundred requests; 100 if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    pub percent: Option<Number>,
}

impl From<&Mirror> for MirrorBody {
    fn from(Mirror { target, per_million }: &Mirror) -> Self {
        let percent = if per_million % PER_PERCENT == 0 {
            Some((per_million / PER_PERCENT).into())
        } else {
            Number::from_f64(f64::from(*per_million) / f64::from(PER_PERCENT))
        };
        let rest = Self { percent, ..Self::default() };
        match target {
            Target::Service(name) => Self { service: Some(name.to_string()), ..rest },
            Target::Url { address, protocol } => {
                Self { url: Some(address.to_string()), protocol: protocol.map(Into::into), ..rest }
            }
            Target::Version { service, version } => {
                Self { service: Some(service.to_string()), version: Some(version.to_string()), ..rest }
            }
            // The model makes none of it.
            Target::Keyspace(_) => rest,
        }
    }
}

/// What browsers of other origins are allowed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorsBody {
    /// `*`, `https://app.example.com` or `https://*.example.com`.
    pub allowed_origins: Vec<String>,
    /// With which methods; the route's if not said, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub allowed_methods: Vec<String>,
    /// With which headers; those that are asked for if not said, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub allowed_headers: Vec<String>,
    /// Which of the answer's headers they may read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub exposed_headers: Vec<String>,
    /// Whether with cookies, never beside the origin `*`; false if not said.
    #[schema(required = false)]
    pub allow_credentials: bool,
    /// How long a browser remembers that, in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("10m"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
    pub max_age: Option<String>,
}

impl From<&Cors> for CorsBody {
    fn from(cors: &Cors) -> Self {
        let names = |names: &[Box<str>]| names.iter().map(ToString::to_string).collect();
        let age = |seconds: u32| duration::format(Duration::from_secs(seconds.into()));
        Self {
            allowed_origins: cors.allowed_origins.iter().map(ToString::to_string).collect(),
            allowed_methods: cors.allowed_methods.iter().map(ToString::to_string).collect(),
            allowed_headers: names(&cors.allowed_headers),
            exposed_headers: names(&cors.exposed_headers),
            allow_credentials: cors.allow_credentials,
            max_age: cors.max_age_seconds.map(age),
        }
    }
}
