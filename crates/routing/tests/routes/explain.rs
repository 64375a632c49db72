//! What is told of a decision.

use crate::{
    asked,
    outcome::{apply, cluster, forwarding, put, to},
    route,
};
use expect_test::{Expect, expect};
use quorate_model::{
    Address, Command, Duty, HealthChange, Load, Outlier, PartitionRange, ServiceName, ServiceOffer,
    ServicePolicy, Ttl, Verdict, WorkerId,
    policy::KeySource,
    route::{Cors, OriginMatch, RouteParts},
    worker::RegistrationParts,
};
use quorate_routing::{
    explain::{NEAR_MAX, OTHERS_LOOKED_AT, OTHERS_MAX, explain},
    sandbox::key::KeyForms,
};
use quorate_state::{Loads, State};
use std::{fmt::Write as _, sync::Arc, time::Duration};

pub fn check(state: &State, request: &str, expected: &Expect) {
    check_with(state, &Loads::default(), request, expected);
}

pub(crate) fn check_with(state: &State, loads: &Loads, request: &str, expected: &Expect) {
    let told = explain(state, &asked(request).head(), (loads, &KeyForms::default()));
    let mut text = String::new();
    if let Some((key, form)) = &told.key {
        writeln!(text, "key {key} by {form}").unwrap();
    }
    for tried in &told.tried {
        let verdict = if tried.decides { "decides" } else { "no" };
        writeln!(text, "{} {}: {verdict}", tried.kind, tried.name.as_deref().unwrap_or("-")).unwrap();
        for reason in &tried.reasons {
            writeln!(text, "  {} wants {}, found {}", reason.field, reason.wanted, reason.found).unwrap();
        }
    }
    let result = &told.result;
    if let Some(fallback) = &result.fallback {
        writeln!(text, "   fallback: {fallback}").unwrap();
    }
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

pub fn state() -> State {
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
    let told = explain(&state(), &asked("GET r/x/../b").head(), (&Loads::default(), &KeyForms::default()));
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
    let told = explain(&state, &asked("GET r/a/y").head(), (&Loads::default(), &KeyForms::default()));
    let last = told.tried.last().unwrap();
    assert_eq!((last.name.as_deref(), last.decides), (Some("a"), true));
    assert_eq!(told.left_out, 300 + 3 - OTHERS_MAX);
    assert_eq!(told.tried.len(), OTHERS_MAX + 1, "the exact ones go before it");
}

/// Of more than can be told, too: whichever decides is.
#[test]
fn of_very_many_the_one_that_decides_is_told_and_the_rest_counted() {
    let mut state = cluster();
    for nth in 0..=OTHERS_LOOKED_AT {
        put(&mut state, &format!("z{nth}"), route("z", "prefix=/z h:x=1"));
    }
    put(&mut state, "last", route("last", "prefix=/"));
    let all = OTHERS_LOOKED_AT + 2;
    let told = explain(&state, &asked("GET r/a").head(), (&Loads::default(), &KeyForms::default()));
    assert_eq!((told.tried.len(), told.left_out), (1, all - 1), "nobody looks at all the others");
    let told = explain(&state, &asked("GET r/z").head(), (&Loads::default(), &KeyForms::default()));
    assert_eq!((told.tried.len(), told.left_out), (NEAR_MAX + 1, all - NEAR_MAX - 1));
    assert!(told.tried.last().is_some_and(|last| last.decides));
}

#[test]
fn what_is_behind_the_one_that_decides_is_left_out() {
    let told = explain(&state(), &asked("PUT r/a/x").head(), (&Loads::default(), &KeyForms::default()));
    assert_eq!((told.tried.len(), told.left_out), (1, 3));
}

fn with_cors(mut parts: RouteParts) -> RouteParts {
    let cors = Cors { allowed_origins: vec![OriginMatch::Any], ..Cors::default() };
    forwarding(&mut parts).cors = Some(cors);
    parts
}

const PREFLIGHT: &str = "origin:http://p access-control-request-method:PUT";

#[test]
fn a_preflight_is_told_of_as_it_is_compared() {
    let mut state = cluster();
    put(&mut state, "get", with_cors(route("get", "prefix=/a/b/c method=GET")));
    put(&mut state, "mute", route("mute", "prefix=/a/b method=PUT h:x=1"));
    put(&mut state, "says", with_cors(route("says", "prefix=/a method=PUT h:x-tenant=7")));
    check(
        &state,
        &format!("OPTIONS r/a/b/c {PREFLIGHT}"),
        &expect![[r#"
        route get: no
          match.methods wants GET, found PUT, which the preflight asks about
        route mute: no
          cors wants cors, or it answers no preflight, found nothing
          match.headers.x wants 1, found a preflight, which has no headers of the request: not looked at
        route says: decides
        => answer: the route says answers what browsers ask before a request; its conditions on headers are not looked at
           status 204
    "#]],
    );
    put(&mut state, "stops", route("stops", "prefix=/a/b method=PUT"));
    check(
        &state,
        &format!("OPTIONS r/a/b {PREFLIGHT}"),
        &expect![[r#"
        route get: no
          match.path_prefix wants /a/b/c/*, found /a/b
          match.methods wants GET, found PUT, which the preflight asks about
        route mute: no
          cors wants cors, or it answers no preflight, found nothing
          match.headers.x wants 1, found a preflight, which has no headers of the request: not looked at
        route stops: no
          cors wants cors, or it answers no preflight, found nothing
        route says: no
          cors wants to be the first route that is for the request, found another route that is for it goes before, without cors
        service -: no
          path wants /api/service/{name}/..., found /a/b
        workspace -: decides
        => answer: OPTIONS is answered here
           status 204
    "#]],
    );
    check(
        &state,
        "OPTIONS r/a/b",
        &expect![[r#"
        route get: no
          match.path_prefix wants /a/b/c/*, found /a/b
          match.methods wants GET, found OPTIONS, which is no preflight
        route mute: no
          match.headers.x wants 1, found nothing
          match.methods wants PUT, found OPTIONS, which is no preflight
        route stops: no
          match.methods wants PUT, found OPTIONS, which is no preflight
        route says: no
          match.headers.x-tenant wants 7, found nothing
          match.methods wants PUT, found OPTIONS, which is no preflight
        service -: no
          path wants /api/service/{name}/..., found /a/b
        workspace -: decides
        => answer: OPTIONS is answered here
           status 204
    "#]],
    );
}

#[test]
fn of_several_readings_each_is_told_of() {
    let mut state = cluster();
    put(&mut state, "admin", route("admin", "prefix=/admin"));
    put(&mut state, "put", route("put", "prefix=/admin method=PUT"));
    put(&mut state, "all", route("all", "prefix=/"));
    check(
        &state,
        "GET r/x/../admin",
        &expect![[r#"
            route admin: no
              path wants a path that everybody reads as one for the same route, found /x/../admin, of which one reading is /admin
            route put: no
              match.methods wants PUT, found GET (the path read as /admin)
            route all: no
              path wants a path that everybody reads as one for the same route, found /x/../admin, of which one reading is /x/../admin
            => answer: the path can be read in more than one way: it must not have `.` or `..` as a segment, empty segments, parameters (`;`), encoded slashes or control characters where routes would treat the readings differently
               status 400
        "#]],
    );
    check(
        &state,
        "GET r//admin",
        &expect![[r#"
            route admin: no
              path wants a path that everybody reads as one for the same route, found //admin, of which one reading is /admin
            route put: no
              match.methods wants PUT, found GET (the path read as /admin)
            route all: no
              path wants a path that everybody reads as one for the same route, found //admin, of which one reading is //admin
            => answer: the path can be read in more than one way: it must not have `.` or `..` as a segment, empty segments, parameters (`;`), encoded slashes or control characters where routes would treat the readings differently
               status 400
        "#]],
    );
    check(
        &state,
        "GET r/admin//x",
        &expect![[r#"
        route admin: decides
        => answer: no worker offers the service admin
           status 503
           destination 0: service admin, 100 of 100, by chance
    "#]],
    );
}

/// `count` workers of the service `s`.
fn offering(count: usize, policy: ServicePolicy) -> State {
    let mut state = cluster();
    for nth in 0..count {
        let mut parts = RegistrationParts::new(
            WorkerId::parse(&format!("s{nth}")).unwrap(),
            Address::parse(&format!("http://s{nth}:80")).unwrap(),
            Ttl::new(Duration::from_secs(30)).unwrap(),
        );
        let name = ServiceName::parse("s").unwrap();
        parts.services = vec![ServiceOffer { name, version: "1".into(), url: None }];
        let registration = parts.validate().unwrap();
        apply(
            &mut state,
            Command::RegisterWorker { registration, range: PartitionRange::Lenient, if_index: None },
        );
    }
    let name = ServiceName::parse("s").unwrap();
    let policy = ServicePolicy { health: Some(quorate_model::policy::HealthCheck::default()), ..policy };
    apply(&mut state, Command::PutService { name, policy, if_index: None });
    state
}

fn eject(state: &mut State, id: &str) {
    let worker = WorkerId::parse(id).unwrap();
    let incarnation = state.worker(id).unwrap().incarnation;
    let (service, verdict) = (ServiceName::parse("s").unwrap(), Verdict::Unhealthy);
    apply(state, Command::ChangeHealth(vec![HealthChange { service, worker, incarnation, verdict }]));
}

/// Who gets nothing says why: by checks, by its own word or by an operator's.
#[test]
fn workers_that_get_nothing_are_told_apart() {
    let mut state = offering(5, ServicePolicy::default());
    eject(&mut state, "s0");
    for (id, duty) in [("s2", Duty::Draining), ("s3", Duty::Offline)] {
        apply(&mut state, Command::SetDuty { id: WorkerId::parse(id).unwrap(), duty, if_index: None });
    }
    let mut loads = Loads::default();
    let ill = Load { unwell: Some("degraded".into()), ..Load::default() };
    loads.insert(WorkerId::parse("s1").unwrap(), Arc::new(ill));
    check_with(
        &state,
        &loads,
        "GET r/api/service/s/x",
        &expect![[r#"
        service s: decides
        => forward: it goes to one of the workers of the service s
           endpoint s4 at http://s4:80: Some(Live), live
           endpoint s0 at http://s0:80: None, ejected
           endpoint s1 at http://s1:80: None, unhealthy
           endpoint s2 at http://s2:80: None, draining
           endpoint s3 at http://s3:80: None, offline
    "#]],
    );
}

#[test]
fn where_all_are_ejected_the_policy_decides() {
    let calm = ServicePolicy {
        outlier: Some(Outlier { panic_percent: 0, ..Outlier::default() }),
        ..ServicePolicy::default()
    };
    for (policy, expected) in [
        (
            calm,
            expect![[r#"
        service s: decides
        => answer: health checks find no worker of the service s well, and nothing says to ask them nevertheless
           status 503
           endpoint s0 at http://s0:80: None, ejected
           endpoint s1 at http://s1:80: None, ejected
    "#]],
        ),
        (
            ServicePolicy::default(),
            expect![[r#"
        service s: decides
        => forward: it goes to one of the workers of the service s, also of those that health checks have ejected: too many are for that to be believed
           endpoint s0 at http://s0:80: Some(Live), ejected
           endpoint s1 at http://s1:80: Some(Live), ejected
    "#]],
        ),
    ] {
        let mut state = offering(2, policy);
        eject(&mut state, "s0");
        eject(&mut state, "s1");
        check(&state, "GET r/api/service/s/x", &expected);
    }
}
