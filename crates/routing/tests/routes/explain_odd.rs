//! What is told of a request that no rule is asked about, and of a rule that is passed over.

use crate::{
    asked,
    explain::{check, state},
    outcome::{cluster, put},
    route,
};
use expect_test::expect;
use quorate_model::route::{Action, Redirect};
use quorate_routing::{explain::explain, sandbox::key::KeyForms};
use quorate_state::Loads;

/// Scenario: http to https for everybody, and a request that came by https (here: to where the redirect leads). The
/// reason told was "a path that a route may have".
#[test]
fn a_redirect_that_is_passed_over_says_so() {
    let mut state = cluster();
    let mut parts = route("up", "prefix=/a host=r.test");
    let redirect = Redirect { status: 308, scheme: None, host: None, port: None, path: None };
    let host = Redirect::host("r.test").unwrap();
    parts.action = Action::Redirect(Redirect { host: Some(host), ..redirect });
    put(&mut state, "up", parts);
    put(&mut state, "b", route("upload", "prefix=/a"));
    check(
        &state,
        "GET r.test/a/x",
        &expect![[r#"
            route up: no
              redirect wants to lead elsewhere than the request came from, found http://r.test/a/x, where it came from: the redirect is passed over
            route b: decides
            => forward: it goes to one of the workers of the service upload
               destination 0: service upload, 100 of 100, by chance
               endpoint w1 at http://w1:80: Some(Live), live
        "#]],
    );
    // What else it asks for and does not get is told as ever.
    let told = explain(&state, &asked("GET other/a/x").head(), (&Loads::default(), &KeyForms::default()));
    assert_eq!(told.tried[0].reasons[0].field, "match.host");
}

/// It is refused before any rule is asked.
#[test]
fn nothing_is_decided_on_what_is_malformed() {
    for (request, status, why) in [
        ("CONNECT r/a/x", 405, "CONNECT is not routed"),
        ("TRACE r/a/x", 405, "TRACE is not routed"),
        ("GET r/a/x host:a host:b", 400, "More than one Host header"),
        ("GET r/a/x host:a,b", 400, "The Host header must be"),
        ("GET r/a/x x-quorate-hops:8", 508, "went through routers 8 times"),
        ("GET r/a/x content-type:application/grpc grpc-timeout:1", 400, "grpc-timeout must be"),
    ] {
        let told = explain(&state(), &asked(request).head(), (&Loads::default(), &KeyForms::default()));
        assert_eq!((told.result.action, told.result.status), ("answer", Some(status)), "{request}");
        assert!(told.result.why.contains(why), "{request}: {}", told.result.why);
        assert_eq!((told.tried.len(), told.left_out), (0, 4), "{request}");
    }
}
