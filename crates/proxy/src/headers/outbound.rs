//! An answer's headers on their way to the client: the worker's, or our own.

use super::hop::{is_hop_by_hop, strip};
use crate::Freshness;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use quorate_model::NodeName;

const INDEX: HeaderName = HeaderName::from_static("x-quorate-index");
const NODE: HeaderName = HeaderName::from_static("x-quorate-node");
const STALE: HeaderName = HeaderName::from_static("x-quorate-stale");

/// Whose contract an answer follows: that of the system which the request's path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The workspace router's.
    Router,
    /// The service coordinator's.
    Coordinator,
    /// A route's: what browsers are told is for it to say, or for its destination.
    Route,
}

impl Dialect {
    /// Of a path.
    pub fn of(path: &str) -> Self {
        if quorate_routing::service::is_service(path) { Self::Coordinator } else { Self::Router }
    }

    fn cors(self) -> &'static [(HeaderName, HeaderValue)] {
        match self {
            Self::Router => &CORS,
            Self::Coordinator => &COORDINATOR_CORS,
            Self::Route => &[],
        }
    }
}

/// As the coordinator says it, on every answer; a worker's own say is replaced.
static COORDINATOR_CORS: [(HeaderName, HeaderValue); 3] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE, OPTIONS")),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type")),
];

/// As the original says it, on every answer; a worker's own say is replaced.
static CORS: [(HeaderName, HeaderValue); 4] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, accept, origin, \
             Cache-Control, X-Requested-With",
        ),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, OPTIONS, GET, PUT, DELETE, PATCH"),
    ),
];
/// What we add to an answer: room for it is made once.
const ADDED: usize = 4 + 3;

/// What every answer of this node carries.
pub(crate) struct Stamp {
    node: HeaderValue,
}

/// What an answer carries beside that.
pub(crate) struct Stamped<'a> {
    /// The log index of the View that decided.
    pub index: HeaderValue,
    /// Whose contract it follows.
    pub dialect: Dialect,
    pub freshness: &'a Freshness,
}

impl Stamp {
    pub fn new(node: &NodeName) -> Self {
        // Names have no control characters, which is all that a header value forbids.
        let node = HeaderValue::from_bytes(node.as_str().as_bytes())
            .unwrap_or_else(|_| HeaderValue::from_static("unnamed"));
        Self { node }
    }

    /// Drops from a worker's answer what was for us only, or is ours to say.
    pub fn strip(headers: &mut HeaderMap) {
        if headers.contains_key(header::TRANSFER_ENCODING) {
            // It was read as chunked; a length beside it is a lie that the client might believe (RFC 9112, 6.3).
            headers.remove(header::CONTENT_LENGTH);
        }
        strip(headers, |_| false, |name| is_hop_by_hop(name) || name.starts_with("x-quorate-"));
    }

    /// Adds what every answer carries.
    pub fn put(&self, headers: &mut HeaderMap, stamped: Stamped<'_>) {
        headers.reserve(ADDED);
        for (name, value) in stamped.dialect.cors() {
            headers.insert(name, value.clone());
        }
        headers.insert(INDEX, stamped.index);
        headers.insert(NODE, self.node.clone());
        if let Some(seconds) = stamped.freshness.stale_seconds() {
            headers.insert(STALE, seconds.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_say_on_cors_and_on_our_names_is_replaced() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("access-control-allow-origin", "https://a"),
            ("access-control-allow-origin", "https://b"),
            ("access-control-expose-headers", "x-total"),
            ("x-quorate-index", "1"),
            ("x-quorate-stale", "9"),
            ("connection", "keep-alive, x-once"),
            ("x-once", "1"),
            ("keep-alive", "timeout=5"),
            ("server", "w"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let stamp = Stamp::new(&NodeName::parse("n1").unwrap());
        let freshness = Freshness::new();
        Stamp::strip(&mut headers);
        let dialect = Dialect::Router;
        stamp.put(&mut headers, Stamped { index: 57.into(), dialect, freshness: &freshness });
        let mut lines: Vec<_> =
            headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        lines.sort_unstable();
        let expected = [
            "access-control-allow-credentials: true",
            "access-control-allow-headers: Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, \
             Authorization, accept, origin, Cache-Control, X-Requested-With",
            "access-control-allow-methods: POST, OPTIONS, GET, PUT, DELETE, PATCH",
            "access-control-allow-origin: *",
            "access-control-expose-headers: x-total",
            "server: w",
            "x-quorate-index: 57",
            "x-quorate-node: n1",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_stale_view_is_told() {
        let (mut headers, freshness) = (HeaderMap::new(), Freshness::new());
        freshness.set_stale(0);
        let stamp = Stamp::new(&NodeName::parse("日本").unwrap());
        let dialect = Dialect::Coordinator;
        stamp.put(&mut headers, Stamped { index: 1.into(), dialect, freshness: &freshness });
        assert_eq!(headers["access-control-allow-headers"], "Content-Type");
        assert_eq!(headers["x-quorate-stale"], "0");
        assert_eq!(headers["x-quorate-node"].as_bytes(), "日本".as_bytes());
        freshness.set_fresh();
        assert_eq!(freshness.stale_seconds(), None);
    }
}
