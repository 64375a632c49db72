//! `quorate tunnels`.

use super::{Ran, routes::asked_of};
use serde_json::{Value, json};

fn cluster(line: &str) -> (u16, Value) {
    let laptop = json!({"name": "laptop", "node": "n1", "epoch": 12, "gateway": 7, "since": "2026-11-22T05:00:00.000Z"});
    match line {
        "GET /v1/tunnels?limit=1000" => (200, json!({"items": [laptop], "next_cursor": null, "index": 9})),
        "GET /v1/tunnels/laptop" => (200, laptop),
        _ => (404, json!({"code": "tunnel_unknown", "detail": "there is no such tunnel", "status": 404})),
    }
}

fn asked(args: &[&str]) -> Ran {
    asked_of(cluster, args, "").0
}

/// Scenario: a mistyped option of `local` is told after the tunnel has taken the requests of somebody else's. Cause: only
/// the cluster's answer to the rule said that it was wrong.
#[test]
fn what_is_wrong_with_local_is_told_before_anybody_is_asked() {
    for (more, words) in [
        (&["--key", "a b"][..], "--key is `a b`; allowed: "),
        (&["--key", "k", "--service", "a/b"], "--service is `a/b`; allowed: "),
        (&["--key", "k", "--ttl", "0"], "--ttl is `0`; allowed: 300s (5 minutes) to 604800s (7 days)"),
        (&["--key", "k", "--name", "local_b"], "allowed: names that do not begin with `local_`"),
    ] {
        let (ran, lines) = asked_of(cluster, &[&["sandboxes", "local", "--to", "3000"], more].concat(), "");
        assert_eq!((ran.code, ran.out.as_str(), lines.len()), (2, "", 0), "{}", ran.err);
        assert!(ran.err.contains(words), "{}", ran.err);
    }
}

#[test]
fn tunnels_are_listed_and_shown() {
    let table = "NAME    NODE  SINCE                     EPOCH\n\
                 laptop  n1    2026-11-22T05:00:00.000Z  12\n";
    assert_eq!(asked(&["tunnels", "list"]).out, table);
    assert_eq!(asked(&["tunnels", "get", "laptop"]).out, table);
    let json = asked(&["tunnels", "get", "laptop", "-o", "json"]).out;
    assert!(json.contains("\"gateway\": 7"), "all that the node said: {json}");
    let missing = asked(&["tunnels", "get", "nothing"]);
    assert_eq!((missing.code, missing.out.as_str()), (4, ""));
}
