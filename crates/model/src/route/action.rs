//! What becomes of a request that a route is for.

use super::matching::is_host;
use crate::{
    address::{Address, Scheme},
    limit,
    name::{Invalid, KeyspaceName, ServiceName, excerpt},
    policy::{Protocol, header_name, span_ms, target_path, within},
};
use http::{HeaderValue, Method};
use std::time::Duration;

/// Where a part of the requests goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// To whom.
    pub target: Target,
    /// Its share, against the other destinations' weights.
    pub weight: u32,
}

/// Who gets a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of the workers that offer a service.
    Service(ServiceName),
    /// Who answers at an address, registered or not.
    Url {
        /// The address; its path is put before the request's.
        address: Address,
        /// What it speaks; `None`: HTTP/1.1, over TLS what ALPN says.
        protocol: Option<Protocol>,
    },
    /// One of the workers that offer one version of a service. In routes since the sixth level.
    Version {
        /// The service.
        service: ServiceName,
        /// The version, as workers offer it.
        version: Box<str>,
    },
    /// The owner of the partition that the request's workspace id is in.
    Keyspace(KeyspaceName),
}

impl Target {
    /// How many bytes its text has.
    pub(crate) fn text_len(&self) -> usize {
        match self {
            Self::Service(name) => name.as_str().len(),
            Self::Url { address, .. } => address.as_str().len(),
            Self::Version { service, version } => service.as_str().len() + version.len(),
            Self::Keyspace(name) => name.as_str().len(),
        }
    }

    /// How many bytes the version has, if it names one: all else of its text counts as one value in routes.
    pub(super) fn version_len(&self) -> usize {
        match self {
            Self::Version { version, .. } => version.len(),
            Self::Service(_) | Self::Url { .. } | Self::Keyspace(_) => 0,
        }
    }
}

impl Destination {
    /// The share that it has where nothing is said.
    pub const WEIGHT_DEFAULT: u32 = 100;
}

/// How long a request may take, in milliseconds; `None`: as the service's policy, else the node says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the head of an answer, all attempts together.
    pub total_ms: Option<u32>,
    /// Between two pieces of a body.
    pub idle_ms: Option<u32>,
    /// Until the head of an answer, for one attempt.
    pub per_try_ms: Option<u32>,
}

impl Timeouts {
    pub(super) fn mistakes(&self) -> Vec<Invalid> {
        let check = |field, ms: Option<u32>| {
            let span = ms.map(|ms| Duration::from_millis(ms.into()))?;
            span_ms(field, span, limit::TIMEOUT_MS_MIN, limit::TIMEOUT_MS_MAX).err()
        };
        let checks = [
            check("timeout", self.total_ms),
            check("idle_timeout", self.idle_ms),
            check("per_try_timeout", self.per_try_ms),
        ];
        checks.into_iter().flatten().collect()
    }
}

/// What a destination sees instead of what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Instead of the path.
    pub path: Option<PathRewrite>,
    /// Instead of the host.
    pub host: Option<Box<str>>,
}

impl Rewrite {
    /// A host to name, with or without a port.
    pub fn host(text: &str) -> Result<Box<str>, Invalid> {
        host_and_port("rewrite.host", text)
    }
}

/// Another path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// In the place of the prefix that matched. Kept without a slash at its end.
    Prefix(Box<str>),
    /// In the place of the whole.
    Full(Box<str>),
}

impl PathRewrite {
    /// Another prefix; the error is about `field`.
    pub fn prefix(field: &str, path: &str) -> Result<Self, Invalid> {
        Ok(Self::Prefix(target_path(field, path)?.trim_end_matches('/').into()))
    }

    /// Another path; the error is about `field`.
    pub fn full(field: &str, path: &str) -> Result<Self, Invalid> {
        Ok(Self::Full(target_path(field, path)?))
    }
}

fn host_and_port(field: &str, text: &str) -> Result<Box<str>, Invalid> {
    let lower = text.to_ascii_lowercase();
    let (host, port) = match lower.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => (host, Some(port)),
        _ => (lower.as_str(), None),
    };
    if is_host(host) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Ok(lower.into());
    }
    Err(Invalid::new(
        field,
        format!("is {}", excerpt(text)),
        "a host name or IP address, with or without a port",
    ))
}

/// Where the client is told to ask instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// `None`: as it asked.
    pub scheme: Option<Scheme>,
    /// `None`: as it asked.
    pub host: Option<Box<str>>,
    /// `None`: as it asked, or the scheme's own where the scheme changes.
    pub port: Option<u16>,
    /// `None`: as it asked.
    pub path: Option<PathRewrite>,
}

impl Redirect {
    /// A host to name, without a port.
    pub fn host(text: &str) -> Result<Box<str>, Invalid> {
        let lower = text.to_ascii_lowercase();
        if is_host(&lower) {
            return Ok(lower.into());
        }
        Err(Invalid::new(
            "redirect.host",
            format!("is {}", excerpt(text)),
            "a host name or IP address without port",
        ))
    }

    pub(super) fn mistakes(&self) -> Vec<Invalid> {
        let mut wrong = Vec::new();
        if ![301, 302, 303, 307, 308].contains(&self.status) {
            let allowed = "301, 302, 303, 307 or 308";
            wrong.push(Invalid::new("redirect.status", format!("is {}", self.status), allowed));
        }
        if self.port == Some(0) {
            wrong.push(Invalid::new("redirect.port", "is 0", "1 to 65535"));
        }
        if self.scheme.is_none() && self.host.is_none() && self.port.is_none() && self.path.is_none() {
            let allowed = "at least one of scheme, host, port, path and path_prefix";
            wrong.push(Invalid::new("redirect", "leads where the request came from", allowed));
        }
        wrong
    }
}

/// Changes of headers: removed first, then set, then added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// In the place of all of that name.
    pub set: Vec<(Box<str>, HeaderValue)>,
    /// Beside those of that name.
    pub add: Vec<(Box<str>, HeaderValue)>,
    /// All of that name.
    pub remove: Vec<Box<str>>,
}

impl HeaderEdits {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    /// A header's name that a route may change, in lower case. Which are not: those that are about the connection or
    /// frame the message, and ours.
    pub fn name(field: &str, name: &str) -> Result<Box<str>, Invalid> {
        let name = header_name(field, name)?;
        let is_ours = name.starts_with("x-quorate-") || matches!(&*name, "x-routed-by" | "x-forwarded-for");
        if is_ours || FRAMING.contains(&&*name) {
            let allowed =
                "a header that is neither about the connection or the message's length nor the router's own";
            return Err(Invalid::new(field, format!("is `{name}`"), allowed));
        }
        Ok(name)
    }

    /// A header's value.
    pub fn value(field: &str, value: &str) -> Result<HeaderValue, Invalid> {
        let allowed = format!("at most {} bytes of printable text", limit::VALUE_BYTES_MAX);
        let parsed = HeaderValue::from_str(value).ok().filter(|_| value.len() <= limit::VALUE_BYTES_MAX);
        parsed.ok_or_else(|| Invalid::new(field, format!("is {}", excerpt(value)), allowed))
    }

    pub(super) fn mistakes(&self, field: &str) -> Option<Invalid> {
        let count = self.set.len() + self.add.len() + self.remove.len();
        let max = limit::MATCH_VALUES_MAX;
        (count > max).then(|| Invalid::new(field, format!("has {count}"), format!("at most {max} changes")))
    }
}

/// Headers that say where a message ends or what becomes of its connection.
const FRAMING: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "http2-settings",
];

/// Who gets a copy of some requests. Its answers are thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// To whom; never a keyspace.
    pub target: Target,
    /// Of how many of a million requests.
    pub per_million: u32,
}

impl Mirror {
    /// Checks it.
    pub fn new(target: Target, per_million: u32) -> Result<Self, Invalid> {
        within("mirror.percent", per_million, 0, 1_000_000)
            .map_err(|_| Invalid::new("mirror.percent", "is above 100", "0 to 100"))?;
        match target {
            Target::Keyspace(_) => Err(Invalid::new("mirror", "names a keyspace", "a service or a url")),
            target @ (Target::Service(_) | Target::Version { .. } | Target::Url { .. }) => {
                Ok(Self { target, per_million })
            }
        }
    }
}

/// What browsers of other origins are allowed (the Fetch standard's CORS protocol).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages may ask.
    pub allowed_origins: Vec<OriginMatch>,
    /// With which methods; empty: the route's.
    pub allowed_methods: Vec<Method>,
    /// With which headers, in lower case; empty: those that they ask for.
    pub allowed_headers: Vec<Box<str>>,
    /// Which of the answer's headers they may read.
    pub exposed_headers: Vec<Box<str>>,
    /// Whether with cookies.
    pub allow_credentials: bool,
    /// How long a browser remembers that.
    pub max_age_seconds: Option<u32>,
}

/// Whose pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginMatch {
    /// Everybody's.
    Any,
    /// Of this origin.
    Exact(Box<str>),
    /// Of every host below this one: scheme, and the host with its port.
    Below {
        /// With its separator: `https://`.
        scheme: Box<str>,
        /// What follows `*.`.
        host: Box<str>,
    },
}

impl OriginMatch {
    /// Reads `*`, `scheme://host[:port]` or `scheme://*.host[:port]`.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            let allowed = "*, an origin such as https://app.example.com, or https://*.example.com";
            Invalid::new(field, format!("is {}", excerpt(text)), allowed)
        };
        if text == "*" {
            return Ok(Self::Any);
        }
        let lower = text.to_ascii_lowercase();
        let (scheme, host) = lower.split_once("://").ok_or_else(wrong)?;
        let is_scheme =
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let bare = host.strip_prefix("*.").unwrap_or(host);
        if !is_scheme || host_and_port(field, bare).is_err() {
            return Err(wrong());
        }
        Ok(match host.strip_prefix("*.") {
            Some(host) => Self::Below { scheme: format!("{scheme}://").into(), host: host.into() },
            None => Self::Exact(lower.into()),
        })
    }

    /// Whether it is an origin's.
    pub fn is_match(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.eq_ignore_ascii_case(origin),
            Self::Below { scheme, host } => origin
                .to_ascii_lowercase()
                .strip_prefix(&**scheme)
                .and_then(|rest| rest.strip_suffix(&**host))
                .is_some_and(|label| label.len() > 1 && label.ends_with('.')),
        }
    }
}

impl std::fmt::Display for OriginMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Below { scheme, host } => write!(f, "{scheme}*.{host}"),
        }
    }
}

impl Cors {
    pub(super) fn mistake(&self) -> Option<Invalid> {
        let max = limit::MATCH_VALUES_MAX;
        let lists = [
            self.allowed_origins.len(),
            self.allowed_methods.len(),
            self.allowed_headers.len(),
            self.exposed_headers.len(),
        ];
        if lists.iter().any(|count| *count > max) {
            return Some(Invalid::new(
                "cors",
                "has a list that is too long",
                format!("lists of at most {max}"),
            ));
        }
        // Every page of the world would act with the user's cookies: no browser allows it either.
        (self.allow_credentials && self.allowed_origins.contains(&OriginMatch::Any)).then(|| {
            Invalid::new("cors.allow_credentials", "is true beside the origin `*`", "origins by name")
        })
    }
}
