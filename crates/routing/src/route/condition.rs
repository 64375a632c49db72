//! What a route asks of a request besides its place in the index, one condition at a time: matching goes on while they
//! hold, and `explain` tells of each that does not.

use super::key::parameters;
use http::{HeaderMap, Method, header};
use quorate_model::{
    Route,
    route::{HostMatch, PathMatch, Pattern, RouteMatch, ValueMatch},
};
use std::fmt;

/// What of a request is compared.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The method: of a preflight that which it asks about.
    pub method: &'a Method,
    /// The path, in the form that is compared.
    pub path: &'a str,
    /// The host, in lower case, without port; empty: none.
    pub host: &'a str,
    /// The query without its `?`.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
}

/// One thing that a route asks for.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'r> {
    /// The path matches an expression.
    Regex(&'r Pattern),
    /// The request is of gRPC.
    Grpc,
    /// The method is one of these.
    Methods(&'r [Method]),
    /// A header.
    Header(&'r str, &'r ValueMatch),
    /// A query parameter.
    Query(&'r str, &'r ValueMatch),
}

/// Everything that a route asks for besides path and host, the cheap first.
pub fn conditions(matches: &RouteMatch) -> impl Iterator<Item = Condition<'_>> {
    let methods = (!matches.methods.is_empty()).then_some(Condition::Methods(&matches.methods));
    let path = match &matches.path {
        PathMatch::Regex(pattern) => Some(Condition::Regex(pattern)),
        PathMatch::Grpc { .. } => Some(Condition::Grpc),
        PathMatch::Any | PathMatch::Exact(_) | PathMatch::Prefix(_) => None,
    };
    let headers = matches.headers.iter().map(|(name, value)| Condition::Header(name, value));
    let query = matches.query.iter().map(|(name, value)| Condition::Query(name, value));
    methods.into_iter().chain(headers).chain(query).chain(path)
}

impl Condition<'_> {
    /// Whether it holds.
    pub fn holds(self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Regex(pattern) => pattern.is_match(facts.path),
            Self::Grpc => is_grpc(facts.headers),
            Self::Methods(methods) => methods.contains(facts.method),
            Self::Header(name, wanted) => facts.headers.get_all(name).iter().any(|value| match wanted {
                ValueMatch::Present => true,
                ValueMatch::Exact(_) | ValueMatch::Regex(_) => {
                    std::str::from_utf8(value.as_bytes()).is_ok_and(|value| wanted.is_match(value))
                }
            }),
            Self::Query(name, wanted) => {
                parameters(facts.query).any(|(known, value)| known == name && wanted.is_match(&value))
            }
        }
    }

    /// Whether it is about a header: a preflight has none of the request's.
    pub fn is_of_header(self) -> bool {
        matches!(self, Self::Header(..) | Self::Grpc)
    }

    /// Which field of the document says it.
    pub fn field(self) -> String {
        match self {
            Self::Regex(_) => "match.path_regex".into(),
            Self::Grpc => "match.grpc_service".into(),
            Self::Methods(_) => "match.methods".into(),
            Self::Header(name, _) => format!("match.headers.{name}"),
            Self::Query(name, _) => format!("match.query.{name}"),
        }
    }

    /// What the request has there.
    pub fn found(self, facts: &Facts<'_>) -> String {
        let list = |values: Vec<String>| if values.is_empty() { "nothing".into() } else { values.join(", ") };
        match self {
            Self::Regex(_) => facts.path.to_owned(),
            Self::Grpc => {
                let types = facts.headers.get_all(header::CONTENT_TYPE).iter();
                list(
                    types
                        .map(|value| format!("content-type {}", String::from_utf8_lossy(value.as_bytes())))
                        .collect(),
                )
            }
            Self::Methods(_) => facts.method.to_string(),
            // Its value may be a secret.
            Self::Header(name, _) if !facts.headers.contains_key(name) => "nothing".into(),
            Self::Header(..) => "another value".into(),
            Self::Query(name, _) if !parameters(facts.query).any(|(known, _)| known == name) => {
                "nothing".into()
            }
            Self::Query(..) => "another value".into(),
        }
    }
}

impl fmt::Display for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regex(pattern) => write!(f, "{pattern:?}"),
            Self::Grpc => f.write_str("content-type application/grpc"),
            Self::Methods(methods) => {
                let names: Vec<_> = methods.iter().map(Method::as_str).collect();
                f.write_str(&names.join(" or "))
            }
            Self::Header(_, wanted) | Self::Query(_, wanted) => match wanted {
                ValueMatch::Exact(value) => f.write_str(value),
                ValueMatch::Regex(pattern) => write!(f, "{pattern:?}"),
                ValueMatch::Present => f.write_str("any value"),
            },
        }
    }
}

/// `application/grpc`, alone or with `+proto`, `-web` and the like behind it.
fn is_grpc(headers: &HeaderMap) -> bool {
    let is = |value: &[u8]| {
        let (kind, rest) = value.split_at_checked(b"application/grpc".len()).unwrap_or((value, b""));
        kind.eq_ignore_ascii_case(b"application/grpc")
            && matches!(rest.first(), None | Some(b'+' | b'-' | b';' | b' '))
    };
    headers.get(header::CONTENT_TYPE).is_some_and(|value| is(value.as_bytes()))
}

/// Whether a path, in the form that is compared, is the one that a route asks for; its expression and that it is of
/// gRPC are conditions of their own. The index answers this for all routes at once; `explain` asks for one.
pub fn is_path(matches: &PathMatch, path: &str) -> bool {
    use quorate_state::routes::path::canonical;
    let is_below =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match matches {
        PathMatch::Any | PathMatch::Regex(_) => true,
        PathMatch::Exact(exact) => canonical(exact) == path,
        PathMatch::Prefix(prefix) => is_below(&canonical(prefix)),
        PathMatch::Grpc { service, method: None } => is_below(&format!("/{service}")),
        PathMatch::Grpc { service, method: Some(method) } => path == format!("/{service}/{method}"),
    }
}

/// Whether a host is the one that a route asks for.
pub fn is_host(route: &Route, host: &str) -> bool {
    match &route.matches.host {
        None => true,
        Some(HostMatch::Exact(exact)) => **exact == *host,
        Some(HostMatch::Below(below)) => {
            let labels = host.strip_suffix(&**below).and_then(|labels| labels.strip_suffix('.'));
            labels.is_some_and(|labels| labels.split('.').next_back().is_some_and(|label| !label.is_empty()))
        }
    }
}
