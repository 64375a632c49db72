//! `quorate apply` and `quorate config`.

use super::{Ran, quorate, ran, routes::asked_of, run, server};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const CHECK: &str = "dry_run=true&diff=true";

fn changes() -> Value {
    json!([
        {"kind": "service", "name": "a", "change": "removed", "before": {"timeout": "3s"}},
        {"kind": "route", "name": "web", "change": "changed",
         "before": {"match": {}, "priority": 0, "destinations": [{"service": "a", "weight": 80}]},
         "after": {"match": {}, "priority": 0, "destinations": [{"service": "a", "weight": 20}], "timeout": "3s"}},
    ])
}

fn node(name: &str, applied: Option<u64>, reachable: bool) -> Value {
    json!({"name": name, "id": 1, "role": "follower", "applied_index": applied, "reachable": reachable})
}

fn cluster(line: &str) -> (u16, Value) {
    let wrong = json!({"code": "invalid_request", "detail": "2 fields are wrong", "status": 400, "errors": [
        {"field": "routes.web.destinations[1].weight", "detail": "is no whole number; allowed: 0 to 1000000"},
        {"field": "routes.web.colour", "detail": "is no known field; allowed: match"}]});
    let checked = || json!({"dry_run": true, "index": 9, "base_index": 7, "changes": changes()});
    match line {
        "PATCH /v1/config?dry_run=true&diff=true" | "POST /v1/config/rollback?dry_run=true&diff=true" => {
            (200, checked())
        }
        "PATCH /v1/config" | "POST /v1/config/rollback" => (200, json!({"index": 11, "changes": []})),
        "PUT /v1/config?dry_run=true&diff=true" => (400, wrong),
        "GET /v1/cluster" => (
            200,
            json!({"node": "n1", "nodes": [
                node("n1", Some(11), true), node("n2", Some(12), true), node("n3", None, false)]}),
        ),
        "GET /v1/config" => (200, json!({"routes": {"web": {"match": {}}}, "services": {}})),
        "GET /v1/config?at=5" => {
            (200, json!({"routes": {"old": {"match": {}}}, "services": {"a": {"timeout": "3s"}}}))
        }
        "GET /v1/config/history?limit=20" => (
            200,
            json!({"items": [
                {"index": 11, "time": "2026-11-22T05:00:00.000Z", "change_count": 5, "changes": [
                    {"kind": "route", "name": "a", "change": "created"}, {"kind": "route", "name": "b", "change": "changed"},
                    {"kind": "route", "name": "c", "change": "removed"}, {"kind": "route", "name": "d", "change": "removed"}]},
                {"index": 7, "time": "2026-11-22T04:00:00.000Z", "change_count": 1, "changes": [
                    {"kind": "sandbox", "name": "k", "change": "ended"}]}],
                "next_cursor": null, "index": 12, "known_from": 2}),
        ),
        "GET /v1/config?at=1" => (
            404,
            json!({"code": "not_in_history", "detail": "what was declared is known from index 2 to 12, not at 1", "status": 404}),
        ),
        _ => (503, json!({"code": "no_quorum", "detail": "there is no leader", "status": 503})),
    }
}

fn asked(args: &[&str], input: &str) -> (Ran, Vec<String>) {
    asked_of(cluster, args, input)
}

const DOCUMENT: &str = "routes:\n  web:\n    match: {}\n    destinations:\n      - service: a\n      - service: b\n        weight: -1\n    colour: blue\n";

#[test]
fn what_changes_is_shown_field_by_field_and_then_carried_out() {
    let (applied, lines) = asked(&["apply", "-f", "-"], DOCUMENT);
    assert_eq!(
        applied.out,
        "- service a\n~ route web\n    ~ destinations[0].weight: 80 -> 20\n    + timeout: 3s\n"
    );
    assert_eq!((applied.code, applied.err.as_str()), (0, "2 changes at index 11\n"));
    assert_eq!(lines, [format!("PATCH /v1/config?{CHECK}"), "PATCH /v1/config".into()]);
    let (checked, lines) = asked(&["apply", "-f", "-", "--dry-run"], DOCUMENT);
    assert_eq!((checked.code, checked.out), (0, applied.out));
    assert_eq!(checked.err, "2 changes would be made; nothing was changed\n");
    assert_eq!(lines, [format!("PATCH /v1/config?{CHECK}")]);
    let (json, _) = asked(&["apply", "-f", "-", "-o", "json"], DOCUMENT);
    let told: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&told["index"], &told["changes"]), (&json!(11), &changes()));
}

#[test]
fn what_a_router_finds_wrong_has_its_line_and_column() {
    for flag in ["--prune", "--replace"] {
        let (refused, lines) = asked(&["apply", "-f", "-", flag], DOCUMENT);
        assert_eq!(lines, [format!("PUT /v1/config?{CHECK}")]);
        assert_eq!(
            (refused.code, refused.err.as_str()),
            (
                1,
                "error: stdin:7:9: routes.web.destinations[1].weight: is no whole number; allowed: 0 to 1000000\n\
                 error: stdin:8:5: routes.web.colour: is no known field; allowed: match\n"
            )
        );
    }
}

#[test]
fn what_is_no_document_is_bad_usage_and_nobody_is_asked() {
    for (args, input) in [
        (&["apply", "-f", "-"][..], "routes: ["),
        (&["apply", "-f", "-"], "[]"),
        (&["apply", "-f", "/no/such/file"], ""),
        (&["apply"], ""),
        (&["apply", "-f", "-", "--prune"], "keyspaces: {default: {partitions: 3}}"),
        (&["apply", "-f", "-", "--allow-empty"], DOCUMENT),
        (&["apply", "-f", "-", "--dry-run", "--wait"], DOCUMENT),
        (&["apply", "-f", "-", "--wait=0s"], DOCUMENT),
        (&["config", "history", "--limit", "0"], ""),
        (&["config", "rollback"], ""),
        (&["config", "diff"], ""),
    ] {
        let (wrong, lines) = asked(args, input);
        assert_eq!((wrong.code, lines.len()), (2, 0), "{args:?}: {}", wrong.err);
    }
    let (pruned, _) = asked(&["apply", "-f", "-", "--prune"], "");
    assert!(pruned.err.contains("all of them would go; allowed: --allow-empty"), "{}", pruned.err);
    let (meant, lines) = asked(&["apply", "-f", "-", "--prune", "--allow-empty"], "");
    assert_eq!((meant.code, lines.len()), (1, 1), "the router says no: {}", meant.err);
}

/// Scenario: between the look and the write somebody else changes something. The look is repeated, and so is the write:
/// without an end in sight where others change other objects, at most five times where they change the same ones.
#[test]
fn whoever_is_overtaken_looks_anew() {
    let writes = Arc::new(AtomicUsize::new(0));
    let said = |refusals: usize, same: bool, writes: &Arc<AtomicUsize>| {
        let writes = writes.clone();
        server(move |line| match line {
            "PATCH /v1/config?dry_run=true&diff=true" if !same => {
                let after = json!({"priority": writes.load(Ordering::SeqCst)});
                let change = json!([{"kind": "route", "name": "web", "change": "changed", "after": after}]);
                (200, json!({"dry_run": true, "index": 9, "base_index": 7, "changes": change}))
            }
            "PATCH /v1/config" if writes.fetch_add(1, Ordering::SeqCst) < refusals => {
                (412, json!({"code": "precondition_failed", "detail": "it has changed", "status": 412}))
            }
            line => cluster(line),
        })
    };
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), DOCUMENT).expect("written");
    let apply = |address: std::net::SocketAddr, more: &[&str]| {
        let path = file.path().to_str().expect("UTF-8");
        let mut command = quorate(&[&["apply", "-f", path], more].concat());
        command.env("QUORATE_SERVER", format!("http://{address}"));
        ran(command)
    };
    let crowd = apply(said(6, true, &writes), &[]);
    assert_eq!((crowd.code, writes.load(Ordering::SeqCst)), (0, 7), "{}", crowd.err);
    assert_eq!(crowd.out.matches("~ route web").count(), 1, "it is what was shown: {}", crowd.out);
    let writes = Arc::new(AtomicUsize::new(0));
    let overtaken = apply(said(2, false, &writes), &[]);
    assert_eq!((overtaken.code, writes.load(Ordering::SeqCst)), (0, 3), "{}", overtaken.err);
    assert!(overtaken.err.contains("somebody else has changed some of it since"), "{}", overtaken.err);
    let writes = Arc::new(AtomicUsize::new(0));
    let lost = apply(said(usize::MAX, false, &writes), &[]);
    assert_eq!((lost.code, writes.load(Ordering::SeqCst)), (1, 5), "{}", lost.err);
    assert!(lost.err.contains("changed the same objects 5 times"), "{}", lost.err);
    // Who names the index wants that one, and no other.
    let writes = Arc::new(AtomicUsize::new(0));
    let bound = apply(said(usize::MAX, true, &writes), &["--if-match", "7"]);
    assert_eq!((bound.code, writes.load(Ordering::SeqCst)), (1, 1), "{}", bound.err);
    assert!(bound.err.contains("precondition_failed"), "{}", bound.err);
}

#[test]
fn a_wait_ends_once_all_that_answer_serve_it_and_names_those_that_do_not() {
    let (waited, lines) = asked(&["apply", "-f", "-", "--wait"], DOCUMENT);
    assert_eq!(waited.code, 0, "{}", waited.err);
    assert!(waited.err.contains("node n3 does not answer"), "{}", waited.err);
    assert!(waited.err.ends_with("2 nodes at index 11 or later\n"), "{}", waited.err);
    assert_eq!(lines.last().map(String::as_str), Some("GET /v1/cluster"));
    let behind = |line: &str| match line {
        "GET /v1/cluster" => {
            (200, json!({"node": "n1", "nodes": [node("n1", Some(11), true), node("n2", Some(10), true)]}))
        }
        line => cluster(line),
    };
    let (late, _) = asked_of(behind, &["apply", "-f", "-", "--wait=50ms"], DOCUMENT);
    assert_eq!(late.code, 1);
    assert!(
        late.err.contains("not at index 11 within 50ms: n2. It is carried out all the same"),
        "{}",
        late.err
    );
}

#[test]
fn the_history_is_a_table_with_the_newest_first() {
    let (history, _) = asked(&["config", "history"], "");
    assert_eq!(
        history.out,
        "INDEX  TIME                      CHANGES\n\
         11     2026-11-22T05:00:00.000Z  route a created, route b changed, route c removed, 2 more\n\
         7      2026-11-22T04:00:00.000Z  sandbox k ended\n"
    );
    assert_eq!(history.err, "what was declared is known from index 2 on\n");
}

#[test]
fn an_earlier_configuration_is_shown_compared_and_brought_back() {
    let (now, _) = asked(&["config"], "");
    let (get, _) = asked(&["config", "get"], "");
    assert!(now.out.contains("web:") && now.out == get.out, "{}", now.out);
    let (then, _) = asked(&["config", "get", "--at", "5"], "");
    assert!(then.out.contains("old:"), "{}", then.out);
    let (gone, _) = asked(&["config", "get", "--at", "1"], "");
    assert_eq!(gone.code, 4, "{}", gone.err);
    let (diff, lines) = asked(&["config", "diff", "5"], "");
    assert_eq!(diff.out, "- route old\n+ route web\n    + match: {}\n- service a\n");
    assert_eq!(lines, ["GET /v1/config?at=5", "GET /v1/config"]);
    let (same, _) = asked(&["config", "diff", "5", "5", "-o", "json"], "");
    assert_eq!(
        serde_json::from_str::<Value>(&same.out).expect("JSON"),
        json!({"from": 5, "to": 5, "changes": []})
    );
    let (back, lines) = asked(&["config", "rollback", "5"], "");
    assert_eq!((back.code, back.err.as_str()), (0, "2 changes at index 11\n"));
    let path = "POST /v1/config/rollback";
    assert_eq!(lines, [format!("{path}?{CHECK}"), path.into()]);
    let (dry, lines) = asked(&["config", "rollback", "5", "--dry-run"], "");
    assert_eq!((dry.out, lines.len()), (back.out, 1));
}

#[test]
fn the_schema_is_printed_without_a_node() {
    let schema = run(&["config", "schema", "--server", "http://127.0.0.1:1"]);
    assert_eq!(schema.code, 0, "{}", schema.err);
}
