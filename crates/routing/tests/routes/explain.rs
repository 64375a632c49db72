//! What is told of a decision.

use crate::{
    asked,
    outcome::{cluster, forwarding, put, to},
    route,
};
use expect_test::{Expect, expect};
use quorate_model::policy::KeySource;
use quorate_routing::explain::{OTHERS_MAX, explain};
use quorate_state::{Loads, State};
use std::fmt::Write as _;

fn check(state: &State, request: &str, expected: &Expect) {
    let told = explain(state, &asked(request).head(), &Loads::default());
    let mut text = String::new();
    for tried in &told.tried {
        let verdict = if tried.decides { "decides" } else { "no" };
        writeln!(text, "{} {}: {verdict}", tried.kind, tried.name.as_deref().unwrap_or("-")).unwrap();
        for reason in &tried.reasons {
            writeln!(text, "  {} wants {}, found {}", reason.field, reason.wanted, reason.found).unwrap();
        }
    }
    let result = &told.result;
    writeln!(text, "=> {}: {}", result.action, result.why).unwrap();
    if let Some(status) = result.status {
        writeln!(text, "   status {status}").unwrap();
    }
    if let Some(chosen) = &result.destination {
        let by = chosen.by.as_deref().unwrap_or("chance");
        writeln!(
            text,
            "   destination {}: {}, {} of {}, by {by}",
            chosen.nth, chosen.target, chosen.weight, chosen.total
        )
        .unwrap();
    }
    for endpoint in &result.endpoints {
        let who = endpoint.worker.as_deref().unwrap_or("-");
        writeln!(text, "   endpoint {who} at {}: {:?}, {}", endpoint.address, endpoint.rank, endpoint.status)
            .unwrap();
    }
    expected.assert_eq(&text);
}

fn state() -> State {
    let mut state = cluster();
    put(&mut state, "exact", route("exact", "exact=/a/x method=PUT"));
    put(&mut state, "headers", route("headers", "prefix=/a h:x-tenant=7 q:v=2 host=*.test"));
    let mut parts = route("a", "prefix=/a");
    let split = forwarding(&mut parts);
    split.destinations = vec![to("service upload", 90), to("url http://h:1", 10)];
    split.sticky = KeySource::header("x-user").ok();
    put(&mut state, "a", parts);
    put(&mut state, "b", route("b", "prefix=/b"));
    state
}

#[test]
fn every_rule_up_to_the_one_that_decides() {
    check(
        &state(),
        "GET r.test/a/x x-user:u1 x-tenant:secret",
        &expect![[r#"
            route exact: no
              match.methods wants PUT, found GET
            route headers: no
              match.headers.x-tenant wants 7, found another value
              match.query.v wants 2, found nothing
            route a: decides
            => forward: it goes to one of the workers of the service upload
               destination 0: service upload, 90 of 100, by header x-user
               endpoint w1 at http://w1:80: Some(Live), live
        "#]],
    );
}

#[test]
fn what_no_route_is_for_goes_on() {
    check(
        &state(),
        "GET other/c/workspaces/w",
        &expect![[r#"
            route exact: no
              match.path_exact wants /a/x, found /c/workspaces/w
              match.methods wants PUT, found GET
            route headers: no
              match.path_prefix wants /a/*, found /c/workspaces/w
              match.host wants *.test, found other
              match.headers.x-tenant wants 7, found nothing
              match.query.v wants 2, found nothing
            route a: no
              match.path_prefix wants /a/*, found /c/workspaces/w
            route b: no
              match.path_prefix wants /b/*, found /c/workspaces/w
            service -: no
              path wants /api/service/{name}/..., found /c/workspaces/w
            workspace w: decides
            => forward: partition 6 of the keyspace default is its worker's
               endpoint w1 at http://w1:80: Some(Live), live
        "#]],
    );
}

#[test]
fn nobody_and_ambiguous() {
    check(
        &state(),
        "GET r/b",
        &expect![[r#"
            route exact: no
              match.path_exact wants /a/x, found /b
              match.methods wants PUT, found GET
            route headers: no
              match.path_prefix wants /a/*, found /b
              match.host wants *.test, found r
              match.headers.x-tenant wants 7, found nothing
              match.query.v wants 2, found nothing
            route a: no
              match.path_prefix wants /a/*, found /b
            route b: decides
            => answer: no worker offers the service b
               status 503
               destination 0: service b, 100 of 100, by chance
        "#]],
    );
    let told = explain(&state(), &asked("GET r/x/../b").head(), &Loads::default());
    assert_eq!((told.result.action, told.result.status), ("answer", Some(400)));
    assert!(told.tried.iter().all(|tried| !tried.decides && !tried.reasons.is_empty()));
}

/// However many routes there are, those that path and host lead to are told of.
#[test]
fn the_near_ones_are_never_left_out() {
    let mut state = state();
    for nth in 0..300 {
        put(&mut state, &format!("z{nth}"), route("z", &format!("exact=/z/{nth}")));
    }
    let told = explain(&state, &asked("GET r/a/y").head(), &Loads::default());
    let last = told.tried.last().unwrap();
    assert_eq!((last.name.as_deref(), last.decides), (Some("a"), true));
    assert_eq!(told.left_out, 300 + 3 - OTHERS_MAX);
    assert_eq!(told.tried.len(), OTHERS_MAX + 1, "the exact ones go before it");
}
