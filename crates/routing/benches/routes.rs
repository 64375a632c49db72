//! Which route a request is for, among 10, 1,000 and 100,000: the last at most twice the first.

#![expect(clippy::unwrap_used, reason = "a benchmark that can not be set up has to stop")]

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use quorate_model::{
    LogIndex, RouteName, ServiceName, StoredRoute,
    route::{
        Action, Destination, Forwarding, HostMatch, PathMatch, RouteMatch, RouteParts, Target, ValueMatch,
    },
};
use quorate_routing::{
    Decision, RequestHead, decide,
    pick::next_random,
    route::{Found, find},
};
use quorate_state::{RouteTable, State};
use std::sync::Arc;

const REQUESTS: usize = 4_096;
const COUNTS: [u64; 3] = [10, 1_000, 100_000];

fn main() {
    divan::main();
}

fn stored(nth: u64, matches: RouteMatch) -> Arc<StoredRoute> {
    let target = Target::Service(ServiceName::parse(&format!("service-{nth}")).unwrap());
    let destinations = vec![Destination { target, weight: 100 }];
    let action = Action::from(Forwarding { destinations, ..Forwarding::default() });
    let name = RouteName::parse(&format!("route-{nth}")).unwrap();
    let route = RouteParts { matches, action, priority: 0 }.validate(name).unwrap();
    Arc::new(StoredRoute { route, created: LogIndex(nth + 1), changed: LogIndex(nth + 1) })
}

fn table(count: u64, matches: impl Fn(u64) -> RouteMatch) -> RouteTable {
    let mut table = RouteTable::default();
    for nth in 0..count {
        table.insert(stored(nth, matches(nth)));
    }
    table
}

/// Random ones of `count`.
fn drawn(count: u64) -> Vec<u64> {
    let mut random = 1;
    (0..REQUESTS).map(|_| next_random(&mut random) % count).collect()
}

fn run(bencher: Bencher<'_, '_>, table: &RouteTable, asked: &[(String, String)]) {
    let (method, headers) = (Method::GET, HeaderMap::new());
    bencher.counter(REQUESTS).bench_local(|| {
        asked
            .iter()
            .filter(|(host, path)| {
                let head = RequestHead { host, ..RequestHead::of(&method, path, &headers) };
                matches!(find(black_box(table), black_box(&head)), Found::Route(_))
            })
            .count()
    });
}

/// Each route has a prefix of its own. Figures are per 4,096; the item rate is per request.
#[divan::bench(args = COUNTS)]
fn by_prefix(bencher: Bencher<'_, '_>, count: u64) {
    let prefix = |nth| PathMatch::prefix(&format!("/api/service-{nth}")).unwrap();
    let table = table(count, |nth| RouteMatch { path: prefix(nth), ..RouteMatch::default() });
    let asked = |nth| ("r.example:8080".to_owned(), format!("/api/service-{nth}/files/17"));
    run(bencher, &table, &drawn(count).into_iter().map(asked).collect::<Vec<_>>());
}

/// Each route has a path of its own, and there is one for all others.
#[divan::bench(args = COUNTS)]
fn by_exact_path(bencher: Bencher<'_, '_>, count: u64) {
    let exact = |nth: u64| PathMatch::exact(&format!("/v1/{}/item-{nth}", nth % 100)).unwrap();
    let table = table(count, |nth| match nth {
        0 => RouteMatch::default(),
        nth => RouteMatch { path: exact(nth), ..RouteMatch::default() },
    });
    let asked = |nth: u64| ("r.example:8080".to_owned(), format!("/v1/{}/item-{nth}", nth % 100));
    run(bencher, &table, &drawn(count).into_iter().map(asked).collect::<Vec<_>>());
}

/// Each route has a host of its own.
#[divan::bench(args = COUNTS)]
fn by_host(bencher: Bencher<'_, '_>, count: u64) {
    let host = |nth| Some(HostMatch::parse(&format!("tenant-{nth}.example.com")).unwrap());
    let table = table(count, |nth| RouteMatch { host: host(nth), ..RouteMatch::default() });
    let asked = |nth| (format!("tenant-{nth}.example.com:8080"), "/v1/jobs/17".to_owned());
    run(bencher, &table, &drawn(count).into_iter().map(asked).collect::<Vec<_>>());
}

/// All routes have the same path, and each asks for a header of a value of its own.
#[divan::bench(args = COUNTS)]
fn by_header(bencher: Bencher<'_, '_>, count: u64) {
    let headers = |nth| vec![("x-route-key".into(), ValueMatch::exact("f", &format!("key-{nth}")).unwrap())];
    let table = table(count, |nth| RouteMatch { headers: headers(nth), ..RouteMatch::default() });
    let asked: Vec<HeaderMap> = drawn(count)
        .into_iter()
        .map(|nth| {
            let value = HeaderValue::from_str(&format!("key-{nth}")).unwrap();
            [(HeaderName::from_static("x-route-key"), value)].into_iter().collect()
        })
        .collect();
    let method = Method::GET;
    bencher.counter(REQUESTS).bench_local(|| {
        asked
            .iter()
            .filter(|headers| {
                let head = RequestHead::of(&method, "/v1/jobs/17", headers);
                matches!(find(black_box(&table), black_box(&head)), Found::Route(_))
            })
            .count()
    });
}

/// What a node without routes pays: nothing is looked up.
#[divan::bench]
fn without_routes(bencher: Bencher<'_, '_>) {
    let (view, method, headers) = (State::new(), Method::GET, HeaderMap::new());
    bencher.counter(REQUESTS).bench_local(|| {
        (0..REQUESTS)
            .filter(|_| {
                let head = RequestHead::of(&method, "/v1/jobs", &headers);
                matches!(decide(black_box(&view), black_box(&head)), Decision::NoWorkspace)
            })
            .count()
    });
}

/// One more route in a table of this size, and away again.
#[divan::bench(args = COUNTS)]
fn change(bencher: Bencher<'_, '_>, count: u64) {
    let prefix = |nth| RouteMatch {
        path: PathMatch::prefix(&format!("/api/service-{nth}")).unwrap(),
        ..RouteMatch::default()
    };
    let table = table(count, prefix);
    let one = stored(count, prefix(count));
    bencher.bench_local(|| {
        // As in `apply`: the published View holds the old version.
        let mut changed = table.clone();
        changed.insert(one.clone());
        changed.remove(one.route.name());
        changed
    });
}
