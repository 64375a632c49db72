//! nginx processes that are killed, started again, reloaded and stopped under wrk's load.

use crate::{
    load::{Wrk, grows},
    origins::Nginx,
    router::{Router, counted},
    support::{eventually, http::Ask, machine_shared},
    tools,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many requests are answered between two events, at least.
const REQUESTS: u64 = 1_000;
/// Of the node, each with its own breakers.
const CORES: u64 = 2;

/// Waits until all of these answer.
fn all_answer(router: &Router, count: usize) {
    let mut seen = BTreeSet::new();
    eventually("every nginx answers", || {
        let answer = Ask::get("/api/service/web/").send(router.node.routing).expect("it answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        seen.insert(answer.header("x-origin").expect("nginx says who it is").to_owned());
        (seen.len() == count).then_some(())
    });
}

/// How often breakers were closed again.
fn closed(router: &Router) -> u64 {
    counted(&router.node, "quorate_proxy_breaker_changes_total", "\"closed\"")
}

/// Waits until all three answer, and breakers that opened on both cores are closed.
fn recovered(router: &Router, closed_before: u64, has_breakers: bool) {
    all_answer(router, 3);
    let more = if has_breakers { CORES } else { 0 };
    eventually("the breakers are closed", || (closed(router) >= closed_before + more).then_some(()));
}

fn survives(policy: Option<&Value>) {
    if !tools::has(&["nginx", "wrk", "setpriv"]) {
        return;
    }
    let _shared = machine_shared();
    let router = Router::ready();
    let mut origins = ["a", "b", "c"].map(|name| {
        // Head and body leave nginx in one piece, so that no answer is cut when it is killed.
        Nginx::start(name, router.folder(), "", "location / { return 200 well; }")
    });
    for (name, origin) in ["a", "b", "c"].iter().zip(&origins) {
        router.worker(name, "web", origin.address);
    }
    if let Some(policy) = policy {
        router.policy("web", policy);
    }
    all_answer(&router, 3);
    let mut wrk = Wrk::start(router.folder(), 32, &router.url("web", "/"));
    let go_on = |what: &str| {
        grows(what, REQUESTS, || counted(&router.node, "quorate_proxy_requests_total", "forwarded"));
    };
    go_on("requests are answered");
    let failed = || counted(&router.node, "quorate_proxy_upstream_connections_total", "failed");
    let has_breakers = policy.is_some_and(|policy| policy.get("breaker").is_some());
    let (before, closed_before) = (failed(), closed(&router));
    origins[0].kill();
    go_on("requests are answered after a kill");
    assert!(failed() > before, "the one that is gone was asked");
    origins[0].start_again();
    recovered(&router, closed_before, has_breakers);
    go_on("requests are answered after a start");
    origins[1].reload();
    go_on("requests are answered after a reload");
    let closed_before = closed(&router);
    origins[2].stop();
    go_on("requests are answered after a stop");
    origins[2].start_again();
    recovered(&router, closed_before, has_breakers);
    origins[1].kill();
    go_on("requests are answered after another kill");
    assert!(wrk.is_running());
    let seen = wrk.stop();
    assert!(seen.requests >= 6 * REQUESTS, "{seen:?}");
    assert_eq!((seen.bad_status, seen.socket_errors), (0, 0), "{seen:?}");
    assert_eq!(counted(&router.node, "quorate_proxy_answers_cut_total", ""), 0);
}

#[test]
fn an_endpoint_killed_under_load_costs_no_idempotent_request() {
    survives(None);
}

#[test]
fn an_endpoint_killed_under_load_costs_no_idempotent_request_by_a_policy_with_retries_and_ejection() {
    survives(Some(&json!({"balancing": "p2c", "retries": {}, "outlier": {"ejection": "1s"}})));
}

#[test]
fn an_endpoint_killed_under_load_costs_no_idempotent_request_in_turn_with_breakers() {
    survives(Some(&json!({"balancing": "round-robin", "retries": {}, "breaker": {"open": "1s"}})));
}
