//! What is told of a request that no rule is asked about, and of a rule that is passed over.

use crate::{
    asked,
    explain::{check, state},
    outcome::{apply, cluster, put},
    route,
};
use expect_test::expect;
use quorate_model::{
    Address, BootId, Command, FeatureLevel, NodeName, PresenceCommand, RoutingKey, SandboxParts, SandboxRule,
    TunnelName,
    route::{Action, Destination, Forwarding, Redirect, Target},
    sandbox::Fallback,
};
use quorate_routing::{
    explain::{explain, explain_in},
    local::{Local, Mode, Rules, Sight},
    sandbox::key::KeyForms,
};
use quorate_state::{Loads, State};
use std::sync::Arc;

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

/// Scenario: a route, a rule and a default target name a tunnel that nobody holds. All of them were told as forwarded.
/// The answer is the one that the data plane gives.
#[test]
fn a_tunnel_that_nobody_holds_is_told() {
    let mut state = leading_to_a_tunnel();
    check(
        &state,
        "GET r.test/a/x",
        &expect![[r#"
        route up: decides
        => answer: the route up names the address tunnel://dev.web/base, a tunnel that nobody holds: no connection to it can be made
           status 502
           destination 0: url tunnel://dev.web/base, 100 of 100, by chance
           endpoint - at tunnel://dev.web/base: None, not_held
    "#]],
    );
    let local = Local::default().replaced(Mode::Gateway, Some(&tunnel()), &Rules::new());
    let told = |state: &State| {
        let sight = Sight { view: state, local: Some(&local) };
        explain_in(sight, &asked("GET r.test/b").head(), (&Loads::default(), &KeyForms::default())).result
    };
    let result = told(&state);
    assert_eq!((result.action, result.status), ("answer", Some(502)), "{result:?}");
    let why =
        "the default target of this node names the address tunnel://dev.web/base, a tunnel that nobody holds";
    assert!(result.why.contains(why), "{result:?}");
    hold(&mut state, "dev.web");
    assert_eq!(told(&state).action, "forward", "now it is held");
    check(
        &state,
        "GET r.test/a/x",
        &expect![[r#"
        route up: decides
        => forward: the route up names the address
           destination 0: url tunnel://dev.web/base, 100 of 100, by chance
           endpoint - at tunnel://dev.web/base: Some(Live), static
    "#]],
    );
}

#[test]
fn a_rule_to_a_tunnel_that_nobody_holds_says_where_requests_go_instead() {
    let mut state = leading_to_a_tunnel();
    let put_rule = |state: &mut State, fallback| {
        let destinations = vec![Destination { target: tunnel(), weight: 100 }];
        let rule = SandboxRule { destinations, fallback, ..SandboxRule::default() };
        let sandbox = SandboxParts { rules: vec![rule], ttl: None }.validate().unwrap();
        let key = RoutingKey::parse("k").unwrap();
        apply(state, Command::PutSandbox { key, sandbox: Box::new(sandbox), if_index: None });
    };
    put_rule(&mut state, Fallback::NEVER);
    check(
        &state,
        "GET r.test/b x-route-key:k",
        &expect![[r#"
        key k by header x-route-key
        sandbox k rule 0: decides
        => answer: rule 0 of the sandbox k names the address tunnel://dev.web/base, a tunnel that nobody holds: no connection to it can be made
           status 502
           destination 0: url tunnel://dev.web/base, 100 of 100, by chance
           endpoint - at tunnel://dev.web/base: None, not_held
    "#]],
    );
    // No connection is a failure too, and nothing was sent.
    put_rule(&mut state, Fallback { on_5xx: true, ..Fallback::NEVER });
    check(
        &state,
        "GET r.test/api/service/upload/b x-route-key:k",
        &expect![[r#"
        key k by header x-route-key
        sandbox k rule 0: no
          target wants somebody who gets requests, found nobody: it goes where it would go without its key, as fallback.on_5xx has it
        route up: no
          match.path_prefix wants /a/*, found /api/service/upload/b
        service upload: decides
           fallback: nobody gets requests for url tunnel://dev.web/base: it goes where it would go without its key
        => forward: it goes to one of the workers of the service upload
           endpoint w1 at http://w1:80: Some(Live), live
    "#]],
    );
}

fn tunnel() -> Target {
    Target::Url { address: Address::parse("tunnel://dev.web/base").unwrap(), protocol: None }
}

/// With a route that names the tunnel, which nobody holds.
fn leading_to_a_tunnel() -> State {
    let mut state = cluster();
    apply(&mut state, Command::RaiseLevel { to: FeatureLevel::SIXTH });
    let destinations = vec![Destination { target: tunnel(), weight: 100 }];
    let mut parts = route("up", "prefix=/a");
    parts.action = Action::Forward(Arc::new(Forwarding { destinations, ..Forwarding::default() }));
    put(&mut state, "up", parts);
    state
}

fn hold(state: &mut State, tunnel: &str) {
    let node = NodeName::parse("n1").unwrap();
    apply(state, Command::Presence(PresenceCommand::OpenGateway { node: node.clone(), boot: BootId(1) }));
    let gateway = state.tunnels().gateway(node.as_str()).unwrap().epoch;
    let name = TunnelName::parse(tunnel).unwrap();
    apply(state, Command::Presence(PresenceCommand::OpenTunnel { name, gateway }));
}
