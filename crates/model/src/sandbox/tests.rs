use super::*;
use crate::{
    name::ServiceName,
    route::{Destination, Target},
};
use std::time::Duration;

fn to(target: &str, weight: u32) -> Destination {
    Destination { target: Target::parse_versioned("target", target).expect("a target"), weight }
}

fn rule(prefixes: &[&str], exact: &[&str], headers: &[(&str, &str)]) -> SandboxRule {
    let paths = |paths: &[&str]| paths.iter().map(|path| Box::from(*path)).collect();
    let header =
        |(name, value): &(&str, &str)| SandboxRule::header("headers", name, value).expect("a header");
    SandboxRule {
        path_prefixes: paths(prefixes),
        paths_exact: paths(exact),
        headers: headers.iter().map(header).collect(),
        destinations: vec![to("upload", 100)],
        ..SandboxRule::default()
    }
}

fn of_service(service: &str, rule: SandboxRule) -> SandboxRule {
    SandboxRule { service: ServiceName::parse(service).ok(), ..rule }
}

/// The fields that are wrong.
fn check(rules: Vec<SandboxRule>, expected: &[&str]) {
    let wrong = SandboxParts { rules, ttl: None }.validate().err().unwrap_or_default();
    assert_eq!(wrong.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), expected, "{wrong:?}");
}

#[test]
fn a_sandbox_has_rules_and_each_leads_somewhere() {
    let with = |destinations| SandboxRule { destinations, ..SandboxRule::default() };
    check(vec![rule(&[], &[], &[])], &[]);
    check(vec![], &["rules"]);
    check(vec![rule(&[], &[], &[]); limit::RULES_PER_SANDBOX_MAX + 1], &["rules"]);
    check(vec![with(vec![])], &["rules[0].targets"]);
    check(vec![with(vec![to("a", 0), to("b", 0)])], &["rules[0].targets"]);
    let much = || to("a", limit::WEIGHT_MAX + 1);
    check(vec![rule(&[], &[], &[]), with(vec![to("b", 1), much()])], &["rules[1].targets[1].weight"]);
}

#[test]
fn all_mistakes_are_listed_at_once() {
    let many = vec!["/x"; limit::MATCH_VALUES_MAX + 1];
    let mut wrong = rule(&many, &[], &[("A", "1"), ("a", "2")]);
    wrong.destinations.clear();
    let expected = ["rules[1].path_prefixes", "rules[1].targets", "rules[1].headers.a"];
    check(vec![rule(&[], &[], &[]), wrong], &expected);
}

#[test]
fn a_key_is_what_every_header_can_carry() {
    for good in ["k", "dev-1/feature=x;y", &"x".repeat(256)] {
        assert!(RoutingKey::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "ä", "a\n", "a\u{7f}", &"x".repeat(257)] {
        let wrong = RoutingKey::parse(bad).expect_err(bad);
        assert_eq!(wrong.field, "key");
        assert!(wrong.allowed.contains("1 to 256 bytes of printable ASCII"), "{wrong}");
    }
}

#[test]
fn a_target_is_an_address_a_service_or_a_version_of_one() {
    let parse = |text| Target::parse_versioned("target", text);
    let service = |name: &str| ServiceName::parse(name).expect("a name");
    let version = |name, version: &str| Target::Version { service: service(name), version: version.into() };
    assert_eq!(parse("upload"), Ok(Target::Service(service("upload"))));
    assert_eq!(parse("upload@v2"), Ok(version("upload", "v2")));
    assert_eq!(parse("a@b@2"), Ok(version("a@b", "2")), "the last one");
    for (text, shown) in [
        ("10.0.0.8:80", "http://10.0.0.8:80"),
        ("[::1]:80", "http://[::1]:80"),
        ("https://h/base", "https://h/base"),
        ("tunnel:dev.web", "tunnel://dev.web"),
        ("tunnel://3000", "tunnel://3000"),
        ("tunnel:3000", "http://tunnel:3000"),
    ] {
        let Ok(Target::Url { address, protocol: None }) = parse(text) else { panic!("{text}") };
        assert_eq!(address.as_str(), shown);
    }
    for bad in [
        "",
        "upload@",
        "@v2",
        "h:80@v2",
        "h:x",
        "ftp://h",
        "http://u:secret@h",
        "a:",
        " a",
        "tunnel:A",
        "tunnel:",
    ] {
        let wrong = parse(bad).expect_err(bad);
        assert_eq!(wrong.field, "target");
        assert!(!wrong.to_string().contains("secret"), "{wrong}");
        // Whoever means a tunnel is told what one may be called.
        let of_tunnel = bad.starts_with("tunnel:");
        let told =
            if of_tunnel { "NAME has 1 to 128 of a-z, 0-9" } else { "host:port, the name of a service" };
        assert!(wrong.allowed.contains(told), "{bad}: {wrong}");
    }
}

/// It was taken for the name of a service that nobody offers, and every request fell back.
#[test]
fn an_ip_address_alone_is_no_target() {
    for (bad, allowed) in [
        ("10.0.0.8", "10.0.0.8:80, or a URL such as http://10.0.0.8"),
        ("10.0.0.8@v2", "10.0.0.8:80, or a URL such as http://10.0.0.8"),
        ("::1", "[::1]:80, or a URL such as http://[::1]"),
        ("[::1]", "[::1]:80, or a URL such as http://[::1]"),
    ] {
        let wrong = Target::parse_versioned("target", bad).expect_err(bad);
        assert_eq!((wrong.field.as_str(), wrong.allowed.as_str()), ("target", allowed), "{bad}");
    }
    assert!(Target::parse_versioned("target", "10.0.0").is_ok(), "a name");
}

/// Addresses are the longest that a rule can have: a few rules with many of them are not as light as a few words.
#[test]
fn the_texts_of_targets_have_their_weight() {
    let weight = |target: &str| {
        let rules = vec![SandboxRule { destinations: vec![to(target, 100)], ..SandboxRule::default() }];
        SandboxParts { rules, ttl: None }.validate().expect("valid").weight()
    };
    let long = format!("http://h/{}", "x".repeat(2_000));
    assert!(weight(&long) - weight("http://h/") >= 2_000, "the address is there");
    let version = format!("upload@{}", "v".repeat(200));
    assert!(weight(&version) - weight("upload@v") >= 2 * 199, "once in the rule, once in its route");
}

#[test]
fn a_ttl_is_five_minutes_to_seven_days() {
    let new = |seconds| SandboxTtl::new(Duration::from_secs(seconds));
    assert_eq!(new(300).map(SandboxTtl::as_ms), Ok(300_000));
    assert_eq!(new(604_800).map(|ttl| ttl.from(LogTime(1))), Ok(LogTime(604_800_001)));
    for bad in [0, 299, 604_801, u64::MAX] {
        assert_eq!(new(bad).expect_err("out of bounds").field, "ttl");
    }
    assert!(SandboxTtl::new(Duration::from_micros(299_999_999)).is_err(), "not rounded up");
}

/// A rule that no request comes to, by whose fault.
#[test]
fn a_rule_behind_a_wider_one_is_reported() {
    let any = || rule(&[], &[], &[]);
    let api = || rule(&["/api"], &[], &[]);
    let json = || rule(&[], &[], &[("content-type", "application/json")]);
    for (rules, expected) in [
        (vec![any(), api()], &[(1, 0)][..]),
        (vec![api(), any()], &[]),
        (vec![api(), rule(&["/api/v1"], &["/apis"], &[])], &[(1, 0)]),
        (vec![api(), rule(&["/api/v1"], &["/other"], &[])], &[]),
        (vec![rule(&[], &["/a", "/b"], &[]), rule(&[], &["/b"], &[])], &[(1, 0)]),
        (vec![rule(&[], &["/a"], &[]), rule(&["/a"], &[], &[])], &[]),
        // `/a%2` is for `/a%2x`, which is as it stands, and not for `/a/b`, which `/a%2Fb` is.
        (vec![rule(&["/a%2"], &[], &[]), rule(&["/a%2Fb"], &[], &[])], &[]),
        (vec![rule(&["/a%"], &[], &[]), rule(&["/a%62"], &["/a%"], &[])], &[]),
        (vec![rule(&["/a%"], &[], &[]), rule(&["/a%"], &[], &[])], &[(1, 0)]),
        (vec![rule(&["/a%2F"], &[], &[]), rule(&["/a%2Fb"], &[], &[])], &[(1, 0)]),
        (vec![json(), any()], &[]),
        (vec![any(), json(), json()], &[(1, 0), (2, 0)]),
        (vec![json(), rule(&[], &[], &[("Content-Type", "application/json"), ("a", "1")])], &[(1, 0)]),
        (vec![json(), rule(&[], &[], &[("content-type", "text/plain")])], &[]),
        (vec![of_service("a", any()), of_service("b", any()), any()], &[]),
        (vec![of_service("a", any()), of_service("a", api())], &[(1, 0)]),
        (vec![api(), of_service("a", api())], &[(1, 0)]),
    ] {
        let sandbox = SandboxParts { rules, ttl: None }.validate().expect("valid");
        let found: Vec<_> = sandbox.overlaps().into_iter().map(|one| (one.rule, one.by)).collect();
        assert_eq!(found, expected, "{sandbox:?}");
    }
}

#[test]
fn a_rule_becomes_a_route_that_no_operator_can_name() {
    let sandbox = SandboxParts { rules: vec![rule(&["/api"], &[], &[])], ttl: None };
    let sandbox = Arc::new(sandbox.validate().expect("valid"));
    let key = RoutingKey::parse("k").expect("a key");
    let (created, changed) = (LogIndex(3), LogIndex(5));
    let stored = StoredSandbox {
        key: key.clone(),
        sandbox,
        created,
        changed,
        ends: Some(LogTime(10)),
        ramps: BTreeMap::new(),
    };
    let route = stored.sandbox.rules[0].route((&key, 0), created, None);
    assert_eq!((route.created, route.changed), (created, created));
    let name = route.route.name().as_str();
    assert!(name.starts_with("sandbox k rule 0") && crate::RouteName::parse(name).is_err(), "{name:?}");
    assert!(!stored.is_over(LogTime(9)) && stored.is_over(LogTime(10)));
}
