//! `quorate services`, and what operators decide about workers.

use super::{Ran, quorate, ran, run, server};
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

fn service() -> Value {
    json!({"name": "upload", "policy": {"hold": "5s", "hold_waiting_max": 10, "timeout": null},
        "endpoint_count": 2, "serving_count": 1, "changed_index": 7, "next_cursor": null, "endpoints": [
        {"worker": "w1", "status": "live", "url": "http://h:1", "version": "2", "weight": 100, "epoch": 4},
        {"worker": "w2", "status": "draining", "url": "http://h:2", "version": null, "weight": 5, "epoch": 5}]})
}

/// Keeps the lines that were asked.
fn asked(args: &[&str], say: impl Fn(&str) -> (u16, Value) + Send + 'static) -> (Ran, Vec<String>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    let address = server(move |line| {
        seen.lock().expect("no panic").push(line.to_owned());
        say(line)
    });
    let mut command = quorate(args);
    command.env("QUORATE_SERVER", format!("http://{address}"));
    let ran = ran(command);
    let lines = lines.lock().expect("no panic").clone();
    (ran, lines)
}

fn cluster(line: &str) -> (u16, Value) {
    let unknown = |code: &str| (404, json!({"code": code, "detail": "there is none", "status": 404}));
    match line {
        "GET /v1/services?limit=1000" => {
            (200, json!({"items": [service()], "next_cursor": null, "index": 9}))
        }
        "GET /v1/services/upload?limit=1000" | "GET /v1/services/upload?limit=1&consistent=true" => {
            (200, service())
        }
        "PUT /v1/services/upload" | "PUT /v1/services/new" | "DELETE /v1/services/upload" => {
            (200, json!({"index": 10}))
        }
        "POST /v1/workers/w1/drain" => (200, json!({"duty": "draining", "weight": 100, "index": 11})),
        "POST /v1/workers/w1/resume" => (200, json!({"duty": "in_service", "weight": 100, "index": 12})),
        "POST /v1/workers/w1/offline" => (200, json!({"duty": "offline", "weight": 100, "index": 13})),
        "PUT /v1/workers/w1/weight" => (200, json!({"duty": "in_service", "weight": 50, "index": 14})),
        _ if line.contains("/services/") => unknown("service_unknown"),
        _ => unknown("worker_unknown"),
    }
}

#[test]
fn services_are_shown_as_tables_and_as_they_came() {
    let (listed, _) = asked(&["services", "list"], cluster);
    assert_eq!(listed.out, "NAME    SERVING  HOLD  TIMEOUT\nupload  1/2      5s    -\n");
    let (shown, _) = asked(&["services", "get", "upload"], cluster);
    assert_eq!(
        shown.out,
        "WORKER  STATUS    WEIGHT  VERSION  URL\n\
         w1      live      100     2        http://h:1\n\
         w2      draining  5       -        http://h:2\n"
    );
    assert_eq!(shown.err, "service upload: requests wait up to 5s, at most 10 on a node\n");
    let (json, _) = asked(&["services", "get", "upload", "-o", "json"], cluster);
    assert_eq!(serde_json::from_str::<Value>(&json.out).expect("JSON"), service());
    let (missing, _) = asked(&["services", "get", "nothing"], cluster);
    assert_eq!((missing.code, missing.out.as_str()), (4, ""));
}

/// The cluster thinks w1 well; n1 sends it nothing. Without the second table nobody would know why.
#[test]
fn what_each_node_makes_of_a_service_is_shown_beneath_it() {
    let w1 = json!({"worker": "w1", "status": "live", "nodes": [
        {"node": "n1", "in_flight": 3, "slow_start_percent": null,
         "breaker": {"state": "open", "cores": 1, "since": "12s", "left": "48s", "by": "failures"},
         "ejection": {"by": "connect_failures", "cores": 2, "since": "2s", "left": "3s"}},
        {"node": "n2", "in_flight": 0, "slow_start_percent": 40, "ejection": null,
         "breaker": {"state": "closed", "cores": 2, "since": "0s", "left": null, "by": null}}]});
    let nodes = json!([
        {"node": "n1", "cores": 2, "cores_silent": 0, "cores_asked": 2, "cores_in_panic": 1},
        {"node": "n2", "cores": 2, "cores_silent": 0, "cores_asked": 1, "cores_in_panic": 0},
        {"node": "n3", "cores": 0, "cores_silent": 0, "cores_asked": 0, "cores_in_panic": 0, "why": "it does not answer"}]);
    let observed = json!({"nodes": nodes, "endpoints": [w1], "next_cursor": null, "index": 9});
    let answer = observed.clone();
    let say = move |line: &str| match line {
        "GET /v1/services/upload/observations?limit=1000" => (200, answer.clone()),
        other => cluster(other),
    };
    let (shown, _) = asked(&["services", "get", "upload"], say);
    assert_eq!(
        shown.out.split_once("\n\n").expect("two tables").1,
        "WORKER  NODE  HEALTH                    IN FLIGHT  BREAKER                               EJECTED\n\
         w1      n1    live                      3          open for 48s, since 12s, by failures  for 3s, since 2s, by connect-failures\n\
         w1      n2    live, 40 % of its weight  0          closed                                -\n"
    );
    assert!(shown.err.contains("node n1 is in panic on 1 of 2 cores"), "{}", shown.err);
    assert!(shown.err.contains("node n3 does not tell what it makes of the endpoints: it does not answer"));
    let (json, lines) = asked(&["services", "get", "upload", "-o", "json"], cluster);
    assert_eq!(
        serde_json::from_str::<Value>(&json.out).expect("JSON"),
        service(),
        "so that it can be put again"
    );
    assert!(!lines.iter().any(|line| line.contains("observations")), "{lines:?}");
}

#[test]
fn policies_and_decisions_are_told_on_stderr() {
    for (args, said) in [
        (&["services", "set", "upload", "--timeout", "3s"][..], "set service upload at index 10\n"),
        (&["services", "set", "new", "--hold", "3s"], "set service new at index 10\n"),
        (&["services", "delete", "upload"], "took the policy of service upload away at index 10\n"),
        (&["workers", "drain", "w1"], "draining worker w1 at index 11\n"),
        (&["workers", "resume", "w1"], "worker w1 is in service at index 12\n"),
        (&["workers", "offline", "w1"], "worker w1 is offline at index 13\n"),
        (&["workers", "weight", "w1", "50"], "the weight of worker w1 is 50 at index 14\n"),
        (
            &["workers", "weight", "w1", "registered"],
            "the weight of worker w1 is as it registers at index 14\n",
        ),
    ] {
        let (ran, _) = asked(args, cluster);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", said), "{args:?}");
    }
    let (missing, _) = asked(&["workers", "drain", "w9"], cluster);
    assert_eq!(missing.code, 4, "{}", missing.err);
    let (missing, _) = asked(&["services", "delete", "nothing"], cluster);
    assert_eq!(missing.code, 4, "{}", missing.err);
}

#[test]
fn a_policy_that_somebody_has_changed_meanwhile_is_read_again() {
    for (times, code) in [(2, 0), (usize::MAX, 1)] {
        let puts = AtomicUsize::new(0);
        let (ran, lines) = asked(&["services", "set", "upload", "--timeout", "3s"], move |line| {
            let changed = line.starts_with("PUT") && puts.fetch_add(1, Ordering::SeqCst) < times;
            if changed { (412, json!({"code": "index_mismatch", "status": 412})) } else { cluster(line) }
        });
        assert_eq!(ran.code, code, "{}", ran.err);
        let read = lines.iter().filter(|line| line.starts_with("GET")).count();
        assert_eq!((read, lines.len()), if code == 0 { (3, 6) } else { (5, 10) });
    }
}

#[test]
fn nonsense_is_code_2_and_asks_nobody() {
    for args in [
        &["services"][..],
        &["services", "set", "upload"],
        &["services", "get", ".."],
        &["workers", "drain"],
        &["workers", "drain", "w1", "--timeout", "5s"],
        &["workers", "drain", "w1", "--wait", "--timeout", "soon"],
        &["workers", "weight", "w1"],
        &["workers", "weight", "w1", "1000001"],
        &["workers", "weight", "w1", "heavy"],
    ] {
        let (ran, lines) = asked(args, cluster);
        assert_eq!((ran.code, ran.out.as_str(), lines.len()), (2, "", 0), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_drain_waits_until_every_node_says_that_nothing_is_in_flight() {
    let looks = AtomicUsize::new(0);
    let node = |name: &str, count: Option<u64>| json!({"node": name, "in_flight": count, "why": "it does not answer"});
    let (waited, lines) = asked(&["workers", "drain", "w1", "--wait"], move |line| match line {
        "GET /v1/workers/w1/in-flight?index=11" => match looks.fetch_add(1, Ordering::Relaxed) {
            0 => (200, json!({"in_flight": 2, "nodes": [node("n1", Some(2)), node("n2", Some(0))]})),
            1 => (200, json!({"in_flight": null, "nodes": [node("n1", Some(0)), node("n2", None)]})),
            2 => (503, json!({"code": "no_quorum", "detail": "there is no leader", "status": 503})),
            _ => (200, json!({"in_flight": 0, "nodes": [node("n1", Some(0)), node("n2", Some(0))]})),
        },
        _ => cluster(line),
    });
    assert_eq!(waited.code, 0, "{}", waited.err);
    assert!(waited.err.contains("2 requests are in flight at worker w1\n"), "{}", waited.err);
    assert!(
        waited.err.contains("no request is known to be in flight at worker w1; n2: it does not answer\n")
    );
    assert!(waited.err.ends_with("nothing is in flight at worker w1 any more\n"), "{}", waited.err);
    assert!(lines.len() >= 5, "{lines:?}");
    let busy = json!({"in_flight": 1, "nodes": [node("n1", Some(1))]});
    let (late, _) = asked(&["workers", "drain", "w1", "--wait", "--timeout", "10ms"], move |line| {
        if line.contains("in-flight") { (200, busy.clone()) } else { cluster(line) }
    });
    assert_eq!(late.code, 1);
    assert!(late.err.ends_with("the time is over, and the worker stays drained\n"), "{}", late.err);
    let (old, _) = asked(&["workers", "drain", "w1", "--wait"], |line| {
        if line.contains("in-flight") {
            (404, json!({"code": "path_unknown", "detail": "there is no such path", "status": 404}))
        } else {
            cluster(line)
        }
    });
    assert_eq!(old.code, 4, "a node of an older version does not count: {}", old.err);
    let (gone, _) = asked(&["workers", "drain", "w1", "--wait"], |line| {
        if line.contains("in-flight") {
            (404, json!({"code": "worker_unknown", "detail": "worker w1 is not registered", "status": 404}))
        } else {
            cluster(line)
        }
    });
    assert_eq!(gone.code, 0, "its record ended while it was drained: {}", gone.err);
}

#[test]
fn help_of_services_is_as_documented() {
    expect_test::expect_file!["../help/services.txt"].assert_eq(&run(&["services", "--help"]).out);
    expect_test::expect_file!["../help/workers-drain.txt"]
        .assert_eq(&run(&["workers", "drain", "--help"]).out);
    expect_test::expect_file!["../help/services-set.txt"].assert_eq(&run(&["services", "set", "--help"]).out);
}
