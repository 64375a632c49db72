//! What one node was told besides what the cluster knows: where it leads, what is told of it, and how it is replaced.

use crate::{
    asked,
    sandboxes::{rule, sandbox, state},
};
use quorate_model::{RoutingKey, SandboxParts, route::Target};
use quorate_routing::{
    Decision, RequestHead,
    explain::explain_in,
    local::{Local, Mode, Rules, Sight},
    sandbox::key::KeyForms,
};
use quorate_state::{Loads, State};
use std::sync::Arc;

fn rules(all: &[(&str, &[(&str, &str)])]) -> Rules {
    let sandbox = |rules: &[(&str, &str)]| {
        let rules = rules.iter().map(|(target, words)| rule(target, words)).collect();
        Arc::new(SandboxParts { rules, ttl: None }.validate().unwrap())
    };
    all.iter().map(|(key, rules)| (RoutingKey::parse(key).unwrap(), sandbox(rules))).collect()
}

fn local(mode: Mode, default: Option<&str>, rules: &Rules) -> Local {
    let default = default.map(|text| Target::parse_versioned("f", text).unwrap());
    Local::default().replaced(mode, default.as_ref(), rules)
}

/// Where a request goes, and that the same is told of it.
fn check(state: &State, local: &Local, request: &str, expected: &str) {
    let (asked, forms) = (asked(request), KeyForms::default());
    let head = asked.head();
    let found = forms.find(head.headers, head.query);
    let head = RequestHead { key: found.key.as_ref().map(|key| &*key.text), ..head };
    let sight = Sight { view: state, local: Some(local) };
    let (decided, kind) = match sight.decide(&head) {
        Decision::Sandbox(met) => {
            let here = if met.is_local() { "here" } else { "cluster" };
            (format!("rule {} {here}", met.nth), "sandbox")
        }
        Decision::Route(routed) => (format!("route {}", routed.route.route.name()), "route"),
        Decision::Default(_) => ("default".into(), "default"),
        Decision::Service(path, _) => (format!("service {}", path.name), "service"),
        Decision::NoWorker { .. } => ("workspace".into(), "workspace"),
        Decision::Forward(_) => ("workspace".into(), "workspace"),
        Decision::NoWorkspace => ("400".into(), ""),
        Decision::Preflight => ("204".into(), "workspace"),
        Decision::AmbiguousPath(_) => ("refused".into(), ""),
        other => panic!("{other:?}"),
    };
    assert_eq!(decided, expected, "{request}");
    let told = explain_in(sight, &head, (&Loads::default(), &forms));
    let deciding = told.tried.iter().find(|tried| tried.decides).map_or("", |tried| tried.kind);
    assert_eq!(deciding, kind, "{request}: {told:?}");
}

#[test]
fn the_cluster_comes_first_in_a_gateway() {
    let mut state = state();
    sandbox(&mut state, "k1", &[("http://a", "prefix=/k")]);
    let here = rules(&[
        ("k1", &[("http://b", "")]),
        ("k2", &[("http://b", "prefix=/k"), ("http://c", "service=upload")]),
    ]);
    let local = local(Mode::Gateway, Some("http://d"), &here);
    for (request, expected) in [
        ("GET r/k x-route-key:k1", "rule 0 cluster"),
        // The cluster's sandbox has no rule for it; this node's rules of the key are not asked.
        ("GET r/o x-route-key:k1", "default"),
        ("GET r/k x-route-key:k2", "rule 0 here"),
        ("GET r/x x-route-key:k2", "rule 1 here"),
        ("GET r/o x-route-key:k2", "default"),
        ("GET r/o x-route-key:k3", "default"),
        ("GET r/x", "route to-upload"),
        ("GET r/api/service/upload/1", "service upload"),
        ("GET r/workspaces/w", "workspace"),
        ("GET r/o", "default"),
        ("OPTIONS r/o", "default"),
        ("OPTIONS r/workspaces/w", "204"),
    ] {
        check(&state, &local, request, expected);
    }
    let none = Local::default();
    check(&state, &none, "GET r/o", "400");
    check(&state, &none, "OPTIONS r/o", "204");
    check(&state, &none, "GET r/k x-route-key:k2", "400");
}

#[test]
fn a_sidecar_asks_the_rules_of_keys_only() {
    let mut state = state();
    sandbox(&mut state, "k1", &[("http://a", "prefix=/k"), ("http://b", "service=upload")]);
    let here = rules(&[("k2", &[("http://b", "prefix=/k")])]);
    let to_url = local(Mode::Sidecar, Some("localhost:3000"), &here);
    for request in [
        "GET r/x",
        "GET r/api/service/upload/1",
        "GET r/workspaces/w",
        "OPTIONS r/workspaces/w",
        "GET r/../o",
    ] {
        check(&state, &to_url, request, "default");
    }
    check(&state, &to_url, "GET r/k x-route-key:k1", "rule 0 cluster");
    check(&state, &to_url, "GET r/k x-route-key:k2", "rule 0 here");
    // A rule that is for a service is for the requests of a sidecar that stands in front of it.
    check(&state, &to_url, "GET r/x x-route-key:k1", "default");
    check(&state, &local(Mode::Sidecar, Some("upload"), &here), "GET r/o x-route-key:k1", "rule 1 cluster");
    let below = local(Mode::Sidecar, Some("http://h/base"), &here);
    check(&state, &below, "GET r/../o", "refused");
}

/// As in the original: the whole table at once, and a key's rules all go with it. What is the same stays the same thing.
#[test]
fn a_table_is_replaced_as_a_whole_and_keeps_what_is_the_same() {
    let target = Target::parse("f", "http://d").unwrap();
    let first = Local::default().replaced(
        Mode::Gateway,
        Some(&target),
        &rules(&[("k1", &[("http://a", ""), ("http://b", "")]), ("k2", &[("http://a", "")])]),
    );
    let second = first.replaced(
        Mode::Gateway,
        Some(&target),
        &rules(&[("k1", &[("http://a", ""), ("http://c", "")]), ("k3", &[("http://a", "")])]),
    );
    let keys = |local: &Local| -> Vec<String> {
        local.sandboxes().iter().map(|stored| stored.key.to_string()).collect()
    };
    assert_eq!(
        (keys(&first), keys(&second)),
        (vec!["k1".into(), "k2".into()], vec!["k1".into(), "k3".into()])
    );
    let route = |local: &Local, nth: usize| {
        local.sandboxes().get("k1").unwrap().rules().nth(nth).unwrap().route().clone()
    };
    assert!(
        Arc::ptr_eq(&route(&first, 0), &route(&second, 0))
            && !Arc::ptr_eq(&route(&first, 1), &route(&second, 1))
    );
    let (asked, state) = (asked("GET r/o"), state());
    let default = |local: &Local| match (Sight { view: &state, local: Some(local) }).decide(&asked.head()) {
        Decision::Default(met) => met.route.clone(),
        other => panic!("{other:?}"),
    };
    assert!(Arc::ptr_eq(&default(&first), &default(&second)));
    let other = Target::parse("f", "http://e").unwrap();
    assert!(!Arc::ptr_eq(
        &default(&first),
        &default(&first.replaced(Mode::Gateway, Some(&other), &Rules::new()))
    ));
    assert!(first.replaced(Mode::Gateway, None, &Rules::new()).sandboxes().is_empty());
}
