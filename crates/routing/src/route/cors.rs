//! What browsers are told of a route that has pages of other origins to serve (the Fetch standard's CORS protocol).
//!
//! Such a route's say replaces both the dialect's, which allows everybody everything, and the destination's: two
//! answers to one question are none. Whose origin is not allowed is told nothing, and the browser stops it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use quorate_model::route::{Cors, OriginMatch, RouteMatch};

/// The method that a preflight asks about; `None`: it is none, but an `OPTIONS` like any other.
pub fn asked_method(headers: &HeaderMap) -> Option<Method> {
    if !headers.contains_key(header::ORIGIN) {
        return None;
    }
    Method::from_bytes(headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// What a page is told that may read the answer: its origin, or everybody's. `None`: nothing.
pub fn allowed_origin(cors: &Cors, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return None };
    let text = std::str::from_utf8(origin.as_bytes()).ok()?;
    let by = cors.allowed_origins.iter().find(|one| one.is_match(text))?;
    Some(if *by == OriginMatch::Any { HeaderValue::from_static("*") } else { origin.clone() })
}

/// The headers of the answer to a preflight.
pub fn preflight(matches: &RouteMatch, cors: &Cors, asked: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    );
    let Some(origin) = allowed_origin(cors, asked) else { return headers };
    let methods = if cors.allowed_methods.is_empty() { &matches.methods } else { &cors.allowed_methods };
    let is_allowed = |method: &Method| {
        let is_of_route = matches.methods.is_empty() || matches.methods.contains(method);
        is_of_route && (methods.is_empty() || methods.contains(method))
    };
    if !asked_method(asked).is_some_and(|method| is_allowed(&method)) {
        return headers;
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let methods = match methods.as_slice() {
        [] => asked.get(header::ACCESS_CONTROL_REQUEST_METHOD).cloned(),
        some => list(some.iter().map(Method::as_str)),
    };
    let names = match cors.allowed_headers.as_slice() {
        [] => asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
        some => list(some.iter().map(|name| &**name)),
    };
    let said =
        [(header::ACCESS_CONTROL_ALLOW_METHODS, methods), (header::ACCESS_CONTROL_ALLOW_HEADERS, names)];
    headers.extend(said.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if cors.allow_credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Some(seconds) = cors.max_age_seconds {
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, seconds.into());
    }
    headers
}

/// Puts into an answer what the page of `origin`, as [`allowed_origin`] has it, may know, and takes out what the
/// destination said of that.
pub fn answer(cors: &Cors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    for name in OURS {
        headers.remove(name);
    }
    if cors.allowed_origins != [OriginMatch::Any] {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = origin else { return };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if cors.allow_credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Some(names) =
        list(cors.exposed_headers.iter().map(|name| &**name)).filter(|names| !names.is_empty())
    {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
}

const OURS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    // Methods and names of headers are tokens.
    HeaderValue::from_str(&names.collect::<Vec<_>>().join(", ")).ok()
}
