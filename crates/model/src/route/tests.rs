use super::*;
use crate::{address::Address, name::ServiceName};
use http::Method;

fn to(service: &str, weight: u32) -> Destination {
    let service = ServiceName::parse(service).expect("a name");
    Destination { target: Target::Service(service), weight }
}

fn forwarding(destinations: Vec<Destination>) -> Forwarding {
    Forwarding { destinations, ..Forwarding::default() }
}

fn parts(forwarding: Forwarding) -> RouteParts {
    RouteParts { action: Action::from(forwarding), ..RouteParts::default() }
}

/// The fields that are wrong.
fn check(parts: RouteParts, expected: &[&str]) {
    let name = RouteName::parse("r").expect("a name");
    let wrong = parts.validate(name).err().unwrap_or_default();
    assert_eq!(wrong.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), expected, "{wrong:?}");
}

#[test]
fn a_route_leads_somewhere() {
    check(parts(forwarding(vec![to("a", 100)])), &[]);
    check(parts(forwarding(vec![to("a", 0), to("b", 1)])), &[]);
    check(RouteParts::default(), &["destinations"]);
    check(parts(forwarding(vec![to("a", 0), to("b", 0)])), &["destinations"]);
    check(parts(forwarding(vec![to("a", 1_000_001)])), &["destinations[0].weight"]);
    check(parts(forwarding(vec![to("a", 1); limit::DESTINATIONS_MAX + 1])), &["destinations"]);
}

/// A retry on a method that may not be repeated is refused, unless the document says that it may.
#[test]
fn a_repeated_post_must_be_wanted_twice() {
    for (methods, non_idempotent, expected) in [
        (vec![], false, &[][..]),
        (vec![Method::GET, Method::PUT], false, &[]),
        (vec![Method::GET, Method::POST], false, &["retries"]),
        (vec![Method::POST], true, &[]),
    ] {
        let retries = Some(Retries { non_idempotent, ..Retries::default() });
        let mut route = parts(Forwarding { retries, ..forwarding(vec![to("a", 1)]) });
        route.matches.methods = methods;
        check(route, expected);
    }
}

#[test]
fn a_hash_has_a_key_and_a_key_a_hash() {
    let with = |balancing, hash_on| Forwarding { balancing, hash_on, ..forwarding(vec![to("a", 1)]) };
    let key = || KeySource::header("x-user").ok();
    check(parts(with(Some(Balancing::ConsistentHash), key())), &[]);
    check(parts(with(Some(Balancing::ConsistentHash), None)), &["hash_on"]);
    check(parts(with(Some(Balancing::P2c), key())), &["hash_on"]);
}

#[test]
fn all_mistakes_are_listed_at_once() {
    let mut wrong = forwarding(vec![to("a", 2_000_000)]);
    wrong.timeouts.total_ms = Some(1);
    wrong.retries = Some(Retries { max: 99, on: vec![200], ..Retries::default() });
    let any = vec![OriginMatch::Any];
    wrong.cors = Some(Cors { allowed_origins: any, allow_credentials: true, ..Cors::default() });
    wrong.rewrite.path = PathRewrite::prefix("rewrite.path_prefix", "/v2").ok();
    check(
        parts(wrong),
        &[
            "destinations[0].weight",
            "timeout",
            "retries.max",
            "retries.on[0]",
            "cors.allow_credentials",
            "rewrite.path_prefix",
        ],
    );
}

#[test]
fn a_redirect_leads_elsewhere() {
    let redirect = |status, host: Option<&str>| RouteParts {
        action: Action::Redirect(Redirect {
            status,
            scheme: None,
            host: host.and_then(|host| Redirect::host(host).ok()),
            port: None,
            path: None,
        }),
        ..RouteParts::default()
    };
    check(redirect(308, Some("example.com")), &[]);
    check(redirect(308, None), &["redirect"]);
    check(redirect(304, Some("example.com")), &["redirect.status"]);
}

#[test]
fn a_path_begins_with_a_slash() {
    assert_eq!(PathMatch::exact("/x"), Ok(PathMatch::Exact("/x".into())));
    for prefix in ["/x", "/x/", "/x/*"] {
        assert_eq!(PathMatch::prefix(prefix), Ok(PathMatch::Prefix("/x".into())), "{prefix}");
    }
    for prefix in ["/", "/*"] {
        assert_eq!(PathMatch::prefix(prefix), Ok(PathMatch::Prefix("".into())), "{prefix}");
    }
    for bad in ["", "x", "x/y", "/a?b", "/a b", "/a#b", "/a\n"] {
        assert!(PathMatch::exact(bad).is_err(), "{bad}");
        assert_eq!(PathMatch::prefix(bad).expect_err(bad).field, "match.path_prefix");
    }
}

#[test]
fn an_expression_is_for_the_whole_value() {
    let pattern = Pattern::parse("f", "/v[0-9]+/x|/y").expect("compiles");
    assert!(pattern.is_match("/v12/x") && pattern.is_match("/y"));
    assert!(!pattern.is_match("/v12/x/z") && !pattern.is_match("a/y"));
    for bad in ["(", "a)(b", "[z-a]", "(?<x", &"a".repeat(2_000), "(a{1000}){1000}"] {
        let wrong = Pattern::parse("match.path_regex", bad).expect_err(bad);
        assert_eq!(wrong.field, "match.path_regex");
        assert!(!wrong.to_string().contains('\n'), "{wrong}");
    }
}

#[test]
fn a_host_is_a_name_without_a_port() {
    assert_eq!(HostMatch::parse("API.Example.com"), Ok(HostMatch::Exact("api.example.com".into())));
    assert_eq!(HostMatch::parse("*.example.com"), Ok(HostMatch::Below("example.com".into())));
    assert_eq!(HostMatch::parse("[::1]"), Ok(HostMatch::Exact("[::1]".into())));
    for bad in ["", "*", "*.", "a.*.b", "a:80", "a/b", "http://a", "a..b", ".a"] {
        assert!(HostMatch::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_origin_below_a_host_is_not_one_that_ends_like_it() {
    let below = OriginMatch::parse("f", "https://*.example.com").expect("valid");
    assert!(below.is_match("https://a.example.com") && below.is_match("https://A.B.example.com"));
    for other in
        ["https://example.com", "https://evilexample.com", "http://a.example.com", "https://.example.com"]
    {
        assert!(!below.is_match(other), "{other}");
    }
    assert!(
        OriginMatch::parse("f", "https://a.example.com:8443")
            .is_ok_and(|o| o.is_match("https://a.example.com:8443"))
    );
    for bad in ["", "example.com", "https://", "https://*", "https://a/b", "null "] {
        assert!(OriginMatch::parse("f", bad).is_err(), "{bad}");
    }
}

#[test]
fn what_frames_a_message_is_no_routes_to_change() {
    for bad in ["Content-Length", "host", "Connection", "x-quorate-hops", "a b", ""] {
        assert!(HeaderEdits::name("request_headers.set", bad).is_err(), "{bad}");
    }
    assert_eq!(HeaderEdits::name("f", "X-Env").as_deref(), Ok("x-env"));
    assert!(HeaderEdits::value("f", "a\r\nb").is_err());
}

#[test]
fn a_mirror_is_a_service_or_an_address() {
    let url = || Target::Url { address: Address::parse("http://h:1").expect("valid"), protocol: None };
    assert!(Mirror::new(url(), 1_000_000).is_ok());
    assert_eq!(Mirror::new(url(), 1_000_001).expect_err("too much").field, "mirror.percent");
    let keyspace = Target::Keyspace(crate::name::KeyspaceName::default_name());
    assert_eq!(Mirror::new(keyspace, 1).expect_err("a keyspace").field, "mirror");
}
