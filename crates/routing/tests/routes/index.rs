//! The index against a look at every route.

use crate::{route, stored};
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;
use quorate_model::{
    RouteName, StoredRoute,
    route::{HostMatch, PathMatch, RouteMatch},
};
use quorate_routing::{
    RequestHead,
    route::{Found, find},
};
use quorate_state::RouteTable;
use std::{cmp::Reverse, sync::Arc};

/// Where a route stands, told once more and otherwise than the index has it.
fn order(stored: &StoredRoute) -> impl Ord {
    let matches = &stored.route.matches;
    let literal = |text: &str| text.find(['[', '.', '(']).unwrap_or(text.len());
    let (is_exact, length, is_regex) = match &matches.path {
        PathMatch::Any => (false, 0, false),
        PathMatch::Exact(_) => (true, 0, false),
        PathMatch::Prefix(prefix) => (false, prefix.len(), false),
        PathMatch::Grpc { method: Some(_), .. } => (true, 0, false),
        PathMatch::Grpc { service, method: None } => (false, 1 + service.len(), false),
        PathMatch::Regex(pattern) => (false, literal(pattern.as_str()), true),
    };
    let host = match &matches.host {
        Some(HostMatch::Exact(_)) => usize::MAX,
        Some(HostMatch::Below(host)) => 1 + host.len(),
        None => 0,
    };
    let asked = matches.header_count() + usize::from(matches!(matches.path, PathMatch::Grpc { .. }));
    (
        Reverse(stored.route.priority),
        Reverse(is_exact),
        Reverse(length),
        is_regex,
        (Reverse(host), Reverse(asked), stored.created, stored.route.name().clone()),
    )
}

fn is_for(matches: &RouteMatch, head: &RequestHead<'_>) -> bool {
    let is_grpc = head.headers.get("content-type").is_some_and(|value| value == "application/grpc");
    let path = match &matches.path {
        PathMatch::Any => true,
        PathMatch::Exact(exact) => **exact == *head.path,
        PathMatch::Prefix(prefix) => format!("{}/", head.path).starts_with(&format!("{prefix}/")),
        PathMatch::Regex(pattern) => pattern.is_match(head.path),
        PathMatch::Grpc { service, method: None } => {
            is_grpc && format!("{}/", head.path).starts_with(&format!("/{service}/"))
        }
        PathMatch::Grpc { service, method: Some(method) } => {
            is_grpc && head.path == format!("/{service}/{method}")
        }
    };
    let host = match &matches.host {
        None => true,
        Some(HostMatch::Exact(host)) => **host == *head.host,
        Some(HostMatch::Below(host)) => head.host.ends_with(&format!(".{host}")),
    };
    let headers = matches.headers.iter().all(|(name, wanted)| {
        head.headers.get_all(&**name).iter().any(|value| wanted.is_match(value.to_str().unwrap()))
    });
    let query = matches.query.iter().all(|(name, wanted)| {
        let pairs = head.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().any(|(known, value)| *known == **name && wanted.is_match(value))
    });
    path && host && headers && query && (matches.methods.is_empty() || matches.methods.contains(head.method))
}

fn by_looking_at_all<'t>(table: &'t RouteTable, head: &RequestHead<'_>) -> Option<&'t RouteName> {
    let fitting = table.iter().filter(|stored| is_for(&stored.route.matches, head));
    fitting.min_by_key(|stored| order(stored)).map(|stored| stored.route.name())
}

fn by_index<'t>(table: &'t RouteTable, head: &RequestHead<'_>) -> Option<&'t RouteName> {
    match find(table, head) {
        Found::Route(stored) => Some(stored.route.name()),
        _ => None,
    }
}

/// Few segments and hosts, so that routes meet each other.
fn path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "ab", "p.S", "Get", "a-rather-long-segment-of-a-path"]);
    (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, slash)| {
        let path = format!("/{}", segments.join("/"));
        if slash && path.len() > 1 { path + "/" } else { path }
    })
}

fn host() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a.test", "b.a.test", "c.b.a.test", "test", "xa.test", "z"])
}

fn words() -> impl Strategy<Value = String> {
    let place = prop_oneof![
        2 => Just(String::new()),
        3 => path().prop_map(|path| format!("exact={path}")),
        5 => path().prop_map(|path| format!("prefix={path}")),
        1 => path().prop_map(|path| format!("regex={path}[ab]*")),
        1 => path().prop_map(|path| format!("regex={path}.*b")),
        1 => Just("grpc=p.S".to_owned()),
        1 => Just("grpc=p.S/Get".to_owned()),
    ];
    let on = prop_oneof![
        3 => Just(String::new()),
        2 => host().prop_map(|host| format!("host={host}")),
        2 => host().prop_map(|host| format!("host=*.{host}")),
    ];
    let rest = [
        "",
        "",
        "",
        "h:x=1",
        "h:x=1 h:y=1",
        "q:k=1",
        "method=GET",
        "method=PUT method=POST",
        "priority=3",
        "priority=-2",
    ];
    (place, on, prop::sample::subsequence(rest.to_vec(), 0..4))
        .prop_map(|(place, on, rest)| format!("{place} {on} {}", rest.join(" ")))
}

#[derive(Clone, Debug)]
enum Change {
    Put { name: u8, words: String, created: u64 },
    Remove { name: u8 },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        5 => (0..40_u8, words(), 0..5_u64).prop_map(|(name, words, created)| Change::Put { name, words, created }),
        1 => (0..40_u8).prop_map(|name| Change::Remove { name }),
    ]
}

fn request() -> impl Strategy<Value = (Method, String, &'static str, Vec<&'static str>)> {
    let method = prop::sample::select(vec![Method::GET, Method::PUT, Method::DELETE]);
    let headers = prop::sample::subsequence(vec!["x", "y", "grpc", "query"], 0..5);
    (method, path(), host(), headers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_index_finds_what_a_look_at_all_finds(
        changes in prop::collection::vec(change(), 1..80),
        requests in prop::collection::vec(request(), 1..40),
    ) {
        let mut table = RouteTable::default();
        for change in &changes {
            match change {
                Change::Put { name, words, created } => {
                    let name = format!("r{name}");
                    table.insert(stored(&name, route(&name, words), *created));
                }
                Change::Remove { name } => _ = table.remove(&RouteName::parse(&format!("r{name}")).unwrap()),
            }
        }
        // Whatever was before, the table is that of its routes.
        let mut anew = RouteTable::default();
        let all: Vec<Arc<StoredRoute>> = table.iter().cloned().collect();
        all.into_iter().rev().for_each(|stored| _ = anew.insert(stored));
        for (method, path, host, traits) in &requests {
            let mut headers = HeaderMap::new();
            for name in traits.iter().filter(|name| name.len() == 1) {
                headers.insert(*name, HeaderValue::from_static("1"));
            }
            if traits.contains(&"grpc") {
                headers.insert("content-type", HeaderValue::from_static("application/grpc"));
            }
            let query = if traits.contains(&"query") { "j=0&k=1" } else { "" };
            let head = RequestHead { query, host, ..RequestHead::of(method, path, &headers) };
            let expected = by_looking_at_all(&table, &head);
            prop_assert_eq!(by_index(&table, &head), expected, "{} {}{}", method, host, path);
            prop_assert_eq!(by_index(&anew, &head), expected, "made anew: {} {}{}", method, host, path);
        }
    }
}

/// Routes of one place, told apart by headers: more of these than are looked up by value.
fn words_of_headers() -> impl Strategy<Value = String> {
    let header = (0..12_u8, 0..4_u8).prop_map(|(name, value)| match value {
        0 => format!("h:n{}=*", name % 3),
        value => format!("h:n{name}={value}"),
    });
    let rest = vec!["", "", "", "method=GET", "priority=1", "q:k=1"];
    (prop::collection::vec(header, 0..3), prop::sample::select(rest))
        .prop_map(|(headers, rest)| format!("prefix=/a {} {rest}", headers.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn many_of_one_place_are_found_as_a_look_at_all_finds_them(
        changes in prop::collection::vec((0..60_u8, words_of_headers(), prop::bool::weighted(0.8)), 1..200),
        requests in prop::collection::vec(prop::collection::vec((0..12_u8, 1..4_u8), 0..4), 1..30),
        repeated in 0..3_usize,
    ) {
        let mut table = RouteTable::default();
        for (nth, (name, words, is_put)) in changes.iter().enumerate() {
            let name = format!("r{name}");
            if *is_put {
                // A name twice is refused.
                let mut parts = route(&name, words);
                parts.matches.headers.sort_by(|a, b| a.0.cmp(&b.0));
                parts.matches.headers.dedup_by(|a, b| a.0 == b.0);
                table.insert(stored(&name, parts, nth as u64 % 7));
            } else {
                table.remove(&RouteName::parse(&name).unwrap());
            }
        }
        for pairs in &requests {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                // Of several values one is enough; there may be more than are looked up one by one.
                for _ in 0..[1, 2, 20][repeated] {
                    let name: http::HeaderName = format!("n{name}").parse().unwrap();
                    headers.append(name, u16::from(*value).into());
                }
            }
            for method in [Method::GET, Method::PUT] {
                let head = RequestHead { query: "k=1", ..RequestHead::of(&method, "/a/x", &headers) };
                prop_assert_eq!(by_index(&table, &head), by_looking_at_all(&table, &head), "{:?}", headers);
            }
        }
    }
}

#[test]
fn many_that_differ_in_headers_only_are_all_found() {
    let mut table = RouteTable::default();
    for nth in 0..500_u64 {
        let name = format!("r{nth}");
        table.insert(stored(&name, route(&name, &format!("prefix=/a h:tenant={nth}")), nth));
    }
    for nth in 0..500_u64 {
        let mut headers = HeaderMap::new();
        headers.insert("tenant", nth.into());
        let head = RequestHead::of(&Method::GET, "/a/x", &headers);
        assert_eq!(by_index(&table, &head).unwrap().as_str(), format!("r{nth}"));
        if nth % 2 == 0 {
            table.remove(&RouteName::parse(&format!("r{nth}")).unwrap()).unwrap();
            assert_eq!(by_index(&table, &head), None);
        }
    }
    assert_eq!(table.len(), 250);
}
