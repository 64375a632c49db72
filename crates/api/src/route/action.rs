//! What becomes of a request.

use super::matching::{method, single};
use crate::{
    Wrong,
    fields::{Fields, any_text, count, flag, list, named, nested, span, text},
    policy,
};
use http::HeaderValue;
use quorate_model::{
    Address, Invalid, KeyspaceName, Protocol, Scheme, ServiceName, limit,
    route::{Cors, Destination, HeaderEdits, Mirror, OriginMatch, PathRewrite, Redirect, Rewrite, Target},
};
use serde_json::Value;

/// Of how many of a million requests one percent is.
pub(crate) const PER_PERCENT: u32 = 10_000;
/// A browser need not remember for longer.
const MAX_AGE_SECONDS_MAX: u64 = 86_400 * 365;

/// Reads `destinations`; how many there may be, and what they weigh together, is the model's to say.
pub(super) fn destinations(value: Value) -> Result<Vec<Destination>, Wrong> {
    list(limit::DESTINATIONS_MAX, destination)(value)
}

fn destination(value: Value) -> Result<Destination, Wrong> {
    nested(value, |fields| {
        fields.one_of(["service", "url", "keyspace"]);
        let weight =
            fields.optional("weight", count(limit::WEIGHT_MAX)).unwrap_or(Destination::WEIGHT_DEFAULT);
        let keyspace = fields.optional("keyspace", text("the name of a keyspace", KeyspaceName::parse));
        let target = service_or_url(fields).or(keyspace.map(Target::Keyspace));
        Some(Destination { target: target?, weight })
    })
}

fn service_or_url(fields: &mut Fields) -> Option<Target> {
    // Which fields are there is known only until they are read.
    let version = version(fields);
    let service = fields.optional("service", text("the name of a service", ServiceName::parse_offered));
    let url = fields.optional("url", text("a URL", |text| Target::parse("url", text)));
    let protocol = fields.optional("protocol", policy::protocol);
    let of_service = |service| match version {
        Some(version) => Target::Version { service, version },
        None => Target::Service(service),
    };
    let target = service.map(of_service).or(url);
    match (target, protocol) {
        (target, None) => target,
        (Some(Target::Url { address, .. }), Some(protocol)) => {
            if let Some(scheme) = needed(protocol, &address) {
                let problem = format!("is {} for {address}", protocol.as_str());
                fields.add_inside([Invalid::new("protocol", problem, format!("only with {scheme}"))]);
            }
            Some(Target::Url { address, protocol: Some(protocol) })
        }
        (target, Some(_)) => {
            let allowed = "only with url; the policy of a service says what its endpoints speak";
            fields.add_inside([Invalid::new("protocol", "is there without url", allowed)]);
            target
        }
    }
}

/// Which of the service's workers. A name may have an `@` in it, so what is behind one is no version here.
fn version(fields: &mut Fields) -> Option<Box<str>> {
    let (is_there, is_of_service) = (fields.has("version"), fields.has("service"));
    if is_there && !is_of_service {
        fields.add_inside([Invalid::new("version", "is there without service", "only with service")]);
    }
    fields.optional("version", text("the version of a service", |text| Target::version("", text)))
}

/// The scheme that a protocol needs and an address does not have.
fn needed(protocol: Protocol, address: &Address) -> Option<&'static str> {
    match (protocol, address.scheme()) {
        (Protocol::H2, Scheme::Http) => Some("an https URL; h2c is HTTP/2 in the clear"),
        (Protocol::H2c, Scheme::Https) => Some("an http URL; h2 is HTTP/2 over TLS"),
        (Protocol::Http1, _) | (Protocol::H2, Scheme::Https) | (Protocol::H2c, Scheme::Http) => None,
    }
}

/// Reads `redirect`.
pub(super) fn redirect(value: Value) -> Result<Redirect, Wrong> {
    nested(value, |fields| {
        let scheme = |text: &str| match text {
            "http" => Ok(Scheme::Http),
            "https" => Ok(Scheme::Https),
            _ => Err(Invalid::new("", "is no such scheme", "http or https")),
        };
        Some(Redirect {
            status: fields.optional("status", count(999u16)).unwrap_or(302),
            scheme: fields.optional("scheme", text("http or https", scheme)),
            host: fields.optional("host", text("a host name", Redirect::host)),
            port: fields.optional("port", count(u16::MAX)),
            path: path(fields),
        })
    })
}

/// Reads `rewrite`; an empty one changes nothing.
pub(super) fn rewrite(value: Value) -> Result<Rewrite, Wrong> {
    nested(value, |fields| {
        let host = fields.optional("host", text("a host name", Rewrite::host));
        Some(Rewrite { path: path(fields), host })
    })
}

fn path(fields: &mut Fields) -> Option<PathRewrite> {
    fields.at_most_one_of(["path", "path_prefix"]);
    let full = fields.optional("path", text("a path", |text| PathRewrite::full("", text)));
    let prefix = fields.optional("path_prefix", text("a path", |text| PathRewrite::prefix("", text)));
    full.or(prefix)
}

/// Reads `mirror`; an empty one is none.
pub(super) fn mirror(value: Value) -> Result<Option<Mirror>, Wrong> {
    nested(value, |fields| {
        if fields.is_empty() {
            return Some(None);
        }
        fields.one_of(["service", "url"]);
        let per_million = fields.optional("percent", percent).unwrap_or(100 * PER_PERCENT);
        // Both are within what the model allows.
        Mirror::new(service_or_url(fields)?, per_million).ok().map(Some)
    })
}

/// A part of a hundred, as fine as a part of a million.
pub(crate) fn percent(value: Value) -> Result<u32, Wrong> {
    let number = value.as_f64().filter(|number| (0.0..=100.0).contains(number));
    // At most a million: it fits.
    let per_million = |number: f64| (number * f64::from(PER_PERCENT)).round() as u32;
    number.map(per_million).ok_or_else(|| vec![Invalid::new("", "is no such number", "a number, 0 to 100")])
}

/// Reads `cors`; an empty one is none: nothing is answered for the destinations.
pub(super) fn cors(value: Value) -> Result<Option<Cors>, Wrong> {
    nested(value, |fields| {
        if fields.is_empty() {
            return Some(None);
        }
        let max = limit::MATCH_VALUES_MAX;
        let origin = |value| text("an origin", |text| OriginMatch::parse("", text))(value);
        let allowed = "at least one origin, or *";
        let origins = fields.required("allowed_origins", allowed, list(max, origin));
        if origins.as_ref().is_some_and(Vec::is_empty) {
            fields.add_inside([Invalid::new("allowed_origins", "is empty", allowed)]);
        }
        let methods = fields.optional("allowed_methods", unless_any(list(max, method)));
        let headers = fields.optional("allowed_headers", unless_any(list(max, header)));
        let exposed = fields.optional("exposed_headers", list(max, header)).unwrap_or_default();
        let seconds = fields.optional("max_age", span).map(|span| span.as_secs().min(MAX_AGE_SECONDS_MAX));
        Some(Some(Cors {
            allowed_origins: single(origins.unwrap_or_default()),
            allowed_methods: single(methods.unwrap_or_default()),
            allowed_headers: single(headers.unwrap_or_default()),
            exposed_headers: single(exposed),
            allow_credentials: fields.optional("allow_credentials", flag).unwrap_or_default(),
            max_age_seconds: seconds.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
        }))
    })
}

/// `["*"]` is as good as nothing: all that a browser asks for.
fn unless_any<T>(
    read: impl FnOnce(Value) -> Result<Vec<T>, Wrong>,
) -> impl FnOnce(Value) -> Result<Vec<T>, Wrong> {
    |value| match &value {
        Value::Array(items) if items.iter().any(|item| item == "*") => Ok(Vec::new()),
        _ => read(value),
    }
}

fn header(value: Value) -> Result<Box<str>, Wrong> {
    text("the name of a header", |text| quorate_model::route::RouteMatch::header_name("", text))(value)
}

/// Reads `request_headers` and `response_headers`.
pub(super) fn edits(value: Value) -> Result<HeaderEdits, Wrong> {
    nested(value, |fields| {
        let max = limit::MATCH_VALUES_MAX;
        let set = fields.optional("set", named(max, header_and_value)).unwrap_or_default();
        super::matching::twice(fields, "set", &set);
        let add = fields.optional("add", named(max, header_and_values)).unwrap_or_default();
        let name = |value| text("the name of a header", |text| HeaderEdits::name("", text))(value);
        let remove = fields.optional("remove", list(max, name)).unwrap_or_default();
        let add = add.into_iter().flatten().collect();
        Some(HeaderEdits { set, add, remove: single(remove) })
    })
}

fn header_and_value(name: &str, value: Value) -> Result<(Box<str>, HeaderValue), Wrong> {
    let name = HeaderEdits::name("", name).map_err(|wrong| vec![wrong]);
    crate::config::both(name, header_value(value))
}

/// A header may be added several times.
fn header_and_values(name: &str, value: Value) -> Result<Vec<(Box<str>, HeaderValue)>, Wrong> {
    let name = HeaderEdits::name("", name).map_err(|wrong| vec![wrong])?;
    let values = match value {
        Value::Array(_) => list(limit::MATCH_VALUES_MAX, header_value)(value)?,
        one => vec![header_value(one)?],
    };
    Ok(values.into_iter().map(|value| (name.clone(), value)).collect())
}

fn header_value(value: Value) -> Result<HeaderValue, Wrong> {
    let text = any_text(value)?;
    HeaderEdits::value("", &text).map_err(|wrong| vec![wrong])
}
