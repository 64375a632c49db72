//! Which requests a route is for.

use crate::{
    Wrong,
    fields::{Fields, any_text, list, named, nested, only_true, text},
};
use http::Method;
use quorate_model::{
    Invalid, limit,
    policy::KeySource,
    route::{HostMatch, PathMatch, Pattern, RouteMatch, ValueMatch},
};
use serde_json::Value;

/// Reads `match`.
pub(super) fn matches(value: Value) -> Result<RouteMatch, Wrong> {
    nested(value, |fields| {
        let host = fields.optional("host", text("a host name", HostMatch::declared));
        let path = path(fields);
        let methods =
            fields.optional("methods", list(limit::MATCH_VALUES_MAX, routed_method)).unwrap_or_default();
        let headers = fields.optional("headers", named(limit::MATCH_VALUES_MAX, header)).unwrap_or_default();
        let query = fields.optional("query", named(limit::MATCH_VALUES_MAX, parameter)).unwrap_or_default();
        twice(fields, "headers", &headers);
        Some(RouteMatch { host, path, methods: single(methods), headers, query })
    })
}

/// A path is named in one way; a gRPC method is one of a service.
fn path(fields: &mut Fields) -> PathMatch {
    fields.at_most_one_of(["path_exact", "path_prefix", "path_regex", "grpc_service"]);
    let exact = fields.optional("path_exact", text("a path", PathMatch::declared_exact));
    let prefix = fields.optional("path_prefix", text("a path", PathMatch::declared_prefix));
    let regex = fields.optional("path_regex", text("a regular expression", PathMatch::regex));
    let is_service = fields.has("grpc_service");
    let service = fields.optional("grpc_service", any_text);
    let method = fields.optional("grpc_method", any_text);
    if method.is_some() && !is_service {
        let allowed = "only with grpc_service";
        fields.add_inside([Invalid::new("grpc_method", "is there alone", allowed)]);
    }
    let grpc = service.and_then(|service| match PathMatch::grpc(&service, method.as_deref()) {
        Ok(grpc) => Some(grpc),
        Err(wrong) => {
            // The model speaks of the whole document; this is its `match`.
            let inside = |one: Invalid| {
                let field = one.field.trim_start_matches("match.").to_owned();
                one.renamed(field)
            };
            fields.add_inside(wrong.into_iter().map(inside).collect::<Vec<_>>());
            None
        }
    });
    exact.or(prefix).or(regex).or(grpc).unwrap_or_default()
}

/// A method, in any case.
pub(crate) fn method(value: Value) -> Result<Method, Wrong> {
    const ALLOWED: &str = "a method such as GET";
    text(ALLOWED, |text| {
        let method = Method::from_bytes(text.to_ascii_uppercase().as_bytes()).ok();
        let method = method.filter(|_| text.len() <= limit::LABEL_BYTES_MAX);
        method.ok_or_else(|| Invalid::new("", "is no method", ALLOWED))
    })(value)
}

/// One that routes are asked about.
fn routed_method(value: Value) -> Result<Method, Wrong> {
    RouteMatch::declared_method("", method(value)?).map_err(|wrong| vec![wrong])
}

/// Each once, in the order in which they are named first.
pub(super) fn single<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut single = Vec::with_capacity(items.len());
    for item in items {
        if !single.contains(&item) {
            single.push(item);
        }
    }
    single
}

fn header(name: &str, value: Value) -> Result<(Box<str>, ValueMatch), Wrong> {
    let name = RouteMatch::declared_header("", name).map_err(|wrong| vec![wrong]);
    crate::config::both(name, value_match(value, ValueMatch::declared_exact))
}

fn parameter(name: &str, value: Value) -> Result<(Box<str>, ValueMatch), Wrong> {
    KeySource::query(name).map_err(|wrong| vec![wrong.renamed("")])?;
    Ok((name.into(), value_match(value, ValueMatch::exact)?))
}

/// A text to be equal to, `{"regex": ...}` or `{"present": true}`.
fn value_match(
    value: Value,
    exact: impl FnOnce(&str, &str) -> Result<ValueMatch, Invalid>,
) -> Result<ValueMatch, Wrong> {
    match value {
        Value::String(text) => exact("", &text).map_err(|wrong| vec![wrong]),
        Value::Object(_) => nested(value, |fields| {
            fields.one_of(["regex", "present"]);
            let pattern = text("a regular expression", |text| Pattern::parse("", text));
            let regex = fields.optional("regex", pattern).map(ValueMatch::Regex);
            let present = fields.optional("present", only_true).map(|()| ValueMatch::Present);
            regex.or(present)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            let allowed = "a text, {\"regex\": \"...\"} or {\"present\": true}";
            Err(vec![Invalid::new("", "is neither a text nor an object", allowed)])
        }
    }
}

/// Names of headers are compared without case, keys of an object with it.
pub(super) fn twice<T>(fields: &mut Fields, field: &str, named: &[(Box<str>, T)]) {
    for (nth, (name, _)) in named.iter().enumerate() {
        if named[..nth].iter().any(|(other, _)| other == name) {
            let problem = format!("names {name} twice");
            fields.add_inside([Invalid::new(field, problem, "each header once, in whatever case")]);
        }
    }
}
