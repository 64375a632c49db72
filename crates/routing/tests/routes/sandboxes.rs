//! Where a routing key leads, and what is told of it, on Views made by applying log entries.

use crate::{
    asked,
    explain::check_with,
    outcome::{apply, cluster, put, register},
    route,
};
use expect_test::{Expect, expect};
use quorate_model::{
    Command, RoutingKey, SandboxParts, SandboxRule, ServiceName,
    policy::KeySource,
    route::{Destination, Target},
    sandbox::Fallback,
};
use quorate_routing::{Decision, RequestHead, decide, explain::explain, route::Aim, sandbox::key::KeyForms};
use quorate_state::{Loads, State};

/// A rule to a target. Each word asks for something: `prefix=`, `exact=`, `h:name=`, `service=`, `never`, `5xx`,
/// `or=` another target.
pub fn rule(target: &str, words: &str) -> SandboxRule {
    let to = |text: &str| Destination { target: Target::parse_versioned("target", text).unwrap(), weight: 1 };
    let mut rule = SandboxRule { destinations: vec![to(target)], ..SandboxRule::default() };
    for word in words.split_whitespace() {
        let (what, value) = word.split_once('=').unwrap_or((word, ""));
        match what.split_once(':') {
            Some((_, name)) => rule.headers.push((name.into(), value.into())),
            None => match what {
                "prefix" => rule.path_prefixes.push(value.into()),
                "exact" => rule.paths_exact.push(value.into()),
                "service" => rule.service = ServiceName::parse(value).ok(),
                "never" => rule.fallback = Fallback::NEVER,
                "5xx" => rule.fallback.on_5xx = true,
                "or" => rule.destinations.push(to(value)),
                other => panic!("{other}"),
            },
        }
    }
    rule
}

pub fn sandbox(state: &mut State, key: &str, rules: &[(&str, &str)]) {
    let rules = rules.iter().map(|(target, words)| rule(target, words)).collect();
    let sandbox = SandboxParts { rules, ttl: None }.validate().unwrap();
    let key = RoutingKey::parse(key).unwrap();
    apply(state, Command::PutSandbox { key, sandbox: Box::new(sandbox), if_index: None });
}

/// `w1` offers `upload` in version 1 and `w2` in version 2; `/x` is routed to `upload`.
pub fn state() -> State {
    let mut state = cluster();
    register(&mut state, "w2", &[("upload", "2")]);
    put(&mut state, "to-upload", {
        let mut parts = route("upload", "prefix=/x");
        parts.priority = 1;
        parts
    });
    state
}

/// Where a request goes, with its key in `x-route-key`.
fn decided(state: &State, request: &str) -> String {
    let (asked, forms) = (asked(request), KeyForms::default());
    let head = asked.head();
    let found = forms.find(head.headers, head.query);
    let head = RequestHead { key: found.key.as_ref().map(|key| &*key.text), ..head };
    match decide(state, &head) {
        Decision::Sandbox(met) => match &met.sent.aim {
            Aim::Url(address, _) => format!("rule {}: {address}", met.nth),
            Aim::Service(name, found) => format!("rule {}: {name}, {}", met.nth, found.is_some()),
            Aim::Version(name, version, found) => {
                format!("rule {}: {name}@{version}, {}", met.nth, found.is_some())
            }
            other => panic!("{other:?}"),
        },
        Decision::Route(routed) => format!("route {}", routed.route.route.name()),
        Decision::Service(path, _) => format!("service {}", path.name),
        Decision::NoService(path) => format!("no service {}", path.name),
        Decision::Forward(_) => "workspace".into(),
        Decision::NoWorkspace => "no workspace".into(),
        Decision::Preflight => "answered here".into(),
        Decision::AmbiguousPath(_) => "refused".into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_path_leads_out_of_what_a_target_puts_before_it() {
    let mut state = state();
    sandbox(&mut state, "k1", &[("http://10.0.0.8:80/base", "prefix=/api")]);
    let check = |path: &str, expected: &str| {
        assert_eq!(decided(&state, &format!("GET r{path} x-route-key:k1")), expected, "{path}");
    };
    for path in ["/api/../x", "/api/%2e%2e/x", "/api/..%2fx", "/api/./x", "/api/..;a/x", "/api/x%00"] {
        check(path, "refused");
    }
    for path in ["/api/x", "/api//x", "/api/a%2Fb", "/api/x;y", "/api/..x"] {
        check(path, "rule 0: http://10.0.0.8:80/base");
    }
}

#[test]
fn a_key_leads_to_its_sandbox_before_anything_else() {
    let mut state = state();
    sandbox(&mut state, "k1", &[("http://10.0.0.8:80", "")]);
    let check = |request: &str, expected: &str| assert_eq!(decided(&state, request), expected, "{request}");
    check("GET r/x/1", "route to-upload");
    check("GET r/x/1 x-route-key:k1", "rule 0: http://10.0.0.8:80");
    check("GET r/api/service/upload/1 x-routing-key:k1", "rule 0: http://10.0.0.8:80");
    check("GET r/workspaces/w/1 baggage:route-key=k1", "rule 0: http://10.0.0.8:80");
    check("OPTIONS r/x tracestate:route-key=k1", "rule 0: http://10.0.0.8:80");
    check("GET r/x/1 x-route-key:k2", "route to-upload");
    check("GET r/x/1 x-route-key:K1", "route to-upload");
    check("GET r/api/service/upload/1 x-route-key:k2", "service upload");
    check("GET r/workspaces/w/1 x-route-key:k2", "workspace");
    check("GET r/ x-route-key:k2", "no workspace");
}

#[test]
fn the_first_rule_that_a_request_meets_decides() {
    let mut state = state();
    let rules = [
        ("http://exact", "exact=/a/b exact=/c%20d prefix=/e"),
        ("http://json", "prefix=/a h:content-type=application/json h:x-tenant=7"),
        ("http://prefix", "prefix=/a"),
        ("http://last", "prefix=/b"),
    ];
    sandbox(&mut state, "k1", &rules);
    let check = |request: &str, expected: &str| {
        assert_eq!(decided(&state, &format!("{request} x-route-key:k1")), expected, "{request}");
    };
    check("GET r/a/b", "rule 0: http://exact");
    check("GET r/c%20d", "rule 0: http://exact");
    check("GET r/c%20d/", "no workspace");
    check("GET r/e/f", "rule 0: http://exact");
    check("GET r/a/c", "rule 2: http://prefix");
    check("GET r/apple", "rule 2: http://prefix");
    check("GET r/%61/c", "rule 2: http://prefix");
    check("GET r/A", "no workspace");
    check("GET r/a/c content-type:application/json", "rule 2: http://prefix");
    check("GET r/a/c content-type:application/json x-tenant:7", "rule 1: http://json");
    check("GET r/a/c content-type:application/JSON x-tenant:7", "rule 2: http://prefix");
    check("GET r/x/1", "route to-upload");
}

/// One key for many services: each rule holds for the requests that would go to its own.
#[test]
fn a_rule_of_a_service_holds_for_its_requests_only() {
    let mut state = state();
    let rules = [
        ("upload@2", "service=upload"),
        ("http://notes", "service=notes"),
        ("http://gone", "service=gone prefix=/api"),
    ];
    sandbox(&mut state, "k1", &rules);
    let check = |request: &str, expected: &str| {
        assert_eq!(decided(&state, &format!("{request} x-route-key:k1")), expected, "{request}");
    };
    check("GET r/x/1", "rule 0: upload@2, true");
    check("GET r/api/service/upload/1", "rule 0: upload@2, true");
    // It need not be there: the sandbox may have the only one.
    check("GET r/api/service/gone/1", "rule 2: http://gone");
    check("GET r/api/service/notes/1", "rule 1: http://notes");
    check("GET r/api/service/other/1", "no service other");
    check("GET r/workspaces/w/1", "workspace");
    check("OPTIONS r/x/1", "answered here");
}

#[test]
fn destinations_are_drawn_by_weight_and_kept_by_what_is_sticky() {
    let mut state = state();
    let mut rule = rule("upload@1", "or=upload@2 or=http://10.0.0.8:80");
    rule.sticky = Some(KeySource::Header("x-user".into()));
    let sandbox = SandboxParts { rules: vec![rule], ttl: None }.validate().unwrap();
    let key = RoutingKey::parse("k1").unwrap();
    apply(&mut state, Command::PutSandbox { key, sandbox: Box::new(sandbox), if_index: None });
    let of = |user: u32| decided(&state, &format!("GET r/ x-route-key:k1 x-user:{user}"));
    let drawn: std::collections::BTreeSet<_> = (0..100).map(of).collect();
    assert_eq!(drawn.len(), 3, "versions of one service are different destinations: {drawn:?}");
    assert!((0..100).all(|user| of(user) == of(user)));
}

fn check(state: &State, request: &str, expected: &Expect) {
    check_with(state, &Loads::default(), request, expected);
}

#[test]
fn every_rule_that_was_tried_is_told_of() {
    let mut state = state();
    let rules = [
        ("http://a", "prefix=/a exact=/b"),
        ("http://b", "h:x-tenant=7 h:x-none=1 service=notes"),
        ("upload@2", "service=upload 5xx"),
        ("http://c", ""),
    ];
    sandbox(&mut state, "k1", &rules);
    check(
        &state,
        "GET r/x/1 baggage:route-key=k1 x-tenant:8",
        &expect![[r#"
            key k1 by baggage member route-key
            sandbox k1 rule 0: no
              path_prefixes, paths_exact wants /a* or /b, found /x/1
            sandbox k1 rule 1: no
              headers.x-tenant wants 7, found another value
              headers.x-none wants 1, found nothing
              service wants notes, found a request that would go to the service upload without its key
            sandbox k1 rule 2: decides
               fallback: should it answer with 500 or above, the request goes where it would go without its key, if it may be repeated
            => forward: it goes to one of the workers of the service upload@2
               destination 0: service upload@2, 1 of 1, by chance
               endpoint w2 at http://w2:80: Some(Live), live
        "#]],
    );
    check(
        &state,
        "GET r/y x-route-key:k2",
        &expect![[r#"
            key k2 by header x-route-key
            sandbox k2: no
              key wants the key of a sandbox, found k2, which no sandbox has
            route to-upload: no
              match.path_prefix wants /x/*, found /y
            service -: no
              path wants /api/service/{name}/..., found /y
            workspace -: no
              workspace wants X-Workspace-ID, or /workspaces/{id} in the path, found nothing
            => answer: the request names no workspace
               status 400
        "#]],
    );
    check(
        &state,
        "GET r/y x-route-key:\u{fc}",
        &expect![[r#"
            sandbox -: no
              key wants 1 to 256 bytes of printable ASCII without spaces, found something else in 1 of the places that may have one
            route to-upload: no
              match.path_prefix wants /x/*, found /y
            service -: no
              path wants /api/service/{name}/..., found /y
            workspace -: no
              workspace wants X-Workspace-ID, or /workspaces/{id} in the path, found nothing
            => answer: the request names no workspace
               status 400
        "#]],
    );
}

/// All that the rule asks for holds, and still nothing is sent there: the path could lead out of what goes before it.
#[test]
fn a_rule_that_is_met_by_a_path_that_leads_out_of_it_says_so() {
    let mut state = state();
    sandbox(&mut state, "k1", &[("http://a", "prefix=/a"), ("http://c", "")]);
    check(
        &state,
        "GET r/a/../x x-route-key:k1",
        &expect![[r#"
            key k1 by header x-route-key
            sandbox k1 rule 0: no
              path wants a path without `.` or `..` as a segment and without an encoded control character, found /a/../x
            route to-upload: no
              path wants a path that everybody reads as one for the same route, found /a/../x, of which one reading is /x
            => answer: the path can be read in more than one way: it must not have `.` or `..` as a segment, empty segments, parameters (`;`), encoded slashes or control characters where routes would treat the readings differently
               status 400
        "#]],
    );
}

#[test]
fn a_fallback_is_told_of() {
    let mut state = state();
    let rules = [("upload@3", "prefix=/x"), ("gone", "prefix=/y never"), ("upload@3", "prefix=/z never")];
    sandbox(&mut state, "k1", &rules);
    check(
        &state,
        "GET r/x/1 x-route-key:k1",
        &expect![[r#"
            key k1 by header x-route-key
            sandbox k1 rule 0: no
              target wants somebody who gets requests, found nobody: it goes where it would go without its key, as fallback.missing has it
            route to-upload: decides
               fallback: nobody gets requests for service upload@3: it goes where it would go without its key
            => forward: it goes to one of the workers of the service upload
               destination 0: service upload, 100 of 100, by chance
               endpoint w1 at http://w1:80: Some(Live), live
               endpoint w2 at http://w2:80: Some(Live), live
        "#]],
    );
    check(
        &state,
        "GET r/y x-route-key:k1",
        &expect![[r#"
            key k1 by header x-route-key
            sandbox k1 rule 0: no
              path_prefixes wants /x*, found /y
            sandbox k1 rule 1: decides
            => answer: no worker offers the service gone
               status 502
               destination 0: service gone, 1 of 1, by chance
        "#]],
    );
    check(
        &state,
        "GET r/z x-route-key:k1",
        &expect![[r#"
            key k1 by header x-route-key
            sandbox k1 rule 0: no
              path_prefixes wants /x*, found /z
            sandbox k1 rule 1: no
              path_prefixes wants /y*, found /z
            sandbox k1 rule 2: decides
            => answer: no worker takes requests for the service upload@3
               status 502
               destination 0: service upload@3, 1 of 1, by chance
        "#]],
    );
}

/// What is told and what is done come from the same code; that they agree is asked of many requests nevertheless.
#[test]
fn what_is_told_is_what_is_done() {
    let mut state = state();
    let rules = [("upload@2", "service=upload h:a=1"), ("http://a", "prefix=/x/a"), ("gone", "exact=/x/b")];
    sandbox(&mut state, "k1", &rules);
    for path in ["/x", "/x/a", "/x/ab", "/x/b", "/y", "/api/service/upload/1", "/workspaces/w"] {
        for header in ["", " a:1", " a:2"] {
            let request = format!("GET r{path}{header} x-route-key:k1");
            let told = explain(&state, &asked(&request).head(), (&Loads::default(), &KeyForms::default()));
            let decided = decided(&state, &request);
            let deciding = told.tried.iter().find(|tried| tried.decides);
            match decided.strip_prefix("rule ").and_then(|rest| rest.split_once(':')) {
                // Nobody is there, and it falls back.
                Some(("2", _)) => assert!(told.result.fallback.is_some(), "{request}"),
                Some((nth, _)) => {
                    let name = deciding.and_then(|tried| tried.name.clone());
                    assert_eq!(name, Some(format!("k1 rule {nth}")), "{request}");
                }
                None => assert!(deciding.is_none_or(|tried| tried.kind != "sandbox"), "{request}: {decided}"),
            }
        }
    }
}
