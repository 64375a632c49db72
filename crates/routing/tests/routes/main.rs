//! Routes on real Views and tables: which one a request is for, and what becomes of it.

#![expect(clippy::unwrap_used, reason = "fixtures: a test that can not be set up has to stop")]

mod explain;
mod explain_odd;
mod index;
mod local;
mod order;
mod outcome;
mod paths;
mod sandboxes;
mod versions;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use quorate_model::{
    LogIndex, RouteName, ServiceName, StoredRoute,
    route::{
        Action, Destination, Forwarding, HostMatch, PathMatch, RouteMatch, RouteParts, Target, ValueMatch,
    },
};
use quorate_routing::{
    RequestHead,
    route::{Found, find},
};
use quorate_state::RouteTable;
use std::sync::Arc;

/// A route to a service of its own name. Each word asks for something: `host=`, `exact=`, `prefix=`, `regex=`,
/// `grpc=`, `method=`, `h:name=`, `q:name=`, `priority=`.
fn route(name: &str, words: &str) -> RouteParts {
    let target = Target::Service(ServiceName::parse(name).unwrap());
    let destinations = vec![Destination { target, weight: 100 }];
    let action = Action::from(Forwarding { destinations, ..Forwarding::default() });
    let mut parts = RouteParts { matches: RouteMatch::default(), action, priority: 0 };
    for word in words.split_whitespace() {
        let (what, value) = word.split_once('=').unwrap();
        let matches = &mut parts.matches;
        let pattern = || match value {
            "*" => ValueMatch::Present,
            value => ValueMatch::exact("f", value).unwrap(),
        };
        match what.split_once(':') {
            Some(("h", name)) => matches.headers.push((name.into(), pattern())),
            Some(("q", name)) => matches.query.push((name.into(), pattern())),
            _ => match what {
                "host" => matches.host = Some(HostMatch::parse(value).unwrap()),
                "exact" => matches.path = PathMatch::exact(value).unwrap(),
                "prefix" => matches.path = PathMatch::prefix(value).unwrap(),
                "regex" => matches.path = PathMatch::regex(value).unwrap(),
                "grpc" => {
                    let (service, method) =
                        value.split_once('/').map_or((value, None), |(s, m)| (s, Some(m)));
                    matches.path = PathMatch::grpc(service, method).unwrap();
                }
                "method" => matches.methods.push(value.parse().unwrap()),
                "priority" => parts.priority = value.parse().unwrap(),
                other => panic!("{other}"),
            },
        }
    }
    parts
}

fn stored(name: &str, parts: RouteParts, created: u64) -> Arc<StoredRoute> {
    let route = parts.validate(RouteName::parse(name).unwrap()).unwrap();
    Arc::new(StoredRoute { route, created: LogIndex(created), changed: LogIndex(created), ramp: None })
}

/// A table of routes, each `name: words`, the oldest first.
fn table(routes: &[&str]) -> RouteTable {
    let mut table = RouteTable::default();
    for (nth, line) in routes.iter().enumerate() {
        let (name, words) = line.split_once(':').unwrap();
        table.insert(stored(name, route(name, words), nth as u64 + 1));
    }
    table
}

/// A request, `METHOD host/path?query name:value ...`.
struct Asked {
    method: Method,
    host: String,
    path: String,
    query: String,
    headers: HeaderMap,
}

fn asked(text: &str) -> Asked {
    let mut words = text.split(' ');
    let method = words.next().unwrap().parse().unwrap();
    let target = words.next().unwrap();
    let (host, rest) = target.split_at(target.find('/').unwrap());
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut headers = HeaderMap::new();
    for word in words {
        let (name, value) = word.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    Asked { method, host: host.into(), path: path.into(), query: query.into(), headers }
}

impl Asked {
    fn head(&self) -> RequestHead<'_> {
        let head = RequestHead::of(&self.method, &self.path, &self.headers);
        RequestHead { query: &self.query, host: &self.host, source: "10.0.0.9", ..head }
    }
}

fn found(table: &RouteTable, request: &str) -> String {
    match find(table, &asked(request).head()) {
        Found::None => "none".into(),
        Found::Route(route) => route.route.name().to_string(),
        Found::Preflight(route) => format!("preflight of {}", route.route.name()),
        Found::Ambiguous => "ambiguous".into(),
    }
}

fn check(table: &RouteTable, request: &str, expected: &str) {
    assert_eq!(found(table, request), expected, "{request}");
}
