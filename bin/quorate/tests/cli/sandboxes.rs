//! `quorate sandboxes`.

use super::{Ran, routes::asked_of};
use serde_json::{Value, json};

fn cluster(line: &str) -> (u16, Value) {
    let dev = json!({"key": "dev-1", "created_index": 5, "changed_index": 7, "ttl": "24h", "ends_at": "2026-11-22T05:00:00.000Z",
        "overlaps": [{"rule": 1, "by": 0}],
        "rules": [{"target": "upload@v2", "fallback": {"missing": true, "on_5xx": false}},
            {"targets": [{"target": "a", "weight": 80}, {"target": "h:1", "weight": 20}], "path_prefixes": ["/x"],
             "fallback": {"missing": true, "on_5xx": false}}]});
    let good = json!({"key": "good", "created_index": 6, "changed_index": 6,
        "rules": [{"target": "b", "fallback": {"missing": false, "on_5xx": false}}]});
    let many: Vec<_> =
        (1..=9).map(|nth| json!({"target": format!("http://10.0.0.{nth}:8080"), "weight": 1})).collect();
    let wide = json!({"key": "wide", "changed_index": 6, "rules": [{"targets": many}, {"target": format!("http://h/{}", "x".repeat(90))}]});
    let seen = json!({"destination": 1, "failures": 24, "requests": 24});
    let ramped = json!({"key": "ramped", "changed_index": 9, "ends_at": "2026-11-25T05:00:00.000Z",
        "rules": [{"target": "x"}, {"targets": [{"target": "shop", "weight": 100}, {"target": "shop@v2", "weight": 0}]}],
        "ramps": [{"rule": 1, "status": "paused", "step": 1, "steps": 3, "weights": [95, 5], "stopped_for": seen}]});
    let page = |items: Vec<Value>| (200, json!({"items": items, "next_cursor": null, "index": 9}));
    match line {
        "GET /v1/sandboxes?limit=1000" => page(vec![dev, good]),
        "GET /v1/sandboxes?limit=1000&ends_within=1h" => page(vec![dev]),
        "GET /v1/sandboxes?limit=1000&ends_within=2h" => page(vec![wide]),
        "GET /v1/sandboxes?limit=1000&ends_within=3h" => page(vec![ramped]),
        "GET /v1/sandboxes/ramped" => (200, ramped),
        "POST /v1/sandboxes/ramped/rules/1/ramp/pause" => (200, json!({"index": 9, "unchanged": true})),
        "PATCH /v1/config?dry_run=true&diff=true" => (
            200,
            json!({"dry_run": true, "index": 8, "base_index": 8, "changes": [
            {"kind": "sandbox", "name": "ramped", "change": "changed", "before": {"ttl": "1h"}, "after": {"ttl": "72h"}}]}),
        ),
        "PATCH /v1/config" => (200, json!({"index": 9, "changes": []})),
        "GET /v1/sandboxes/dev-1" => (200, dev),
        "PUT /v1/sandboxes/a%20b" => (
            400,
            json!({"code": "invalid_request", "status": 400, "detail": "2 fields are wrong", "errors": [
                {"field": "path.key", "detail": "`a b` has a letter that is not allowed; allowed: others"},
                {"field": "rules[0].target", "detail": "is empty; allowed: a service"},
            ]}),
        ),
        "PUT /v1/sandboxes/dev-1" => (
            200,
            json!({"index": 10, "ends_at": "2026-11-23T05:00:00.000Z", "overlaps": [{"rule": 1, "by": 0}]}),
        ),
        "POST /v1/sandboxes/dev-1/extend" => {
            (200, json!({"index": 11, "ends_at": "2026-11-24T05:00:00.000Z"}))
        }
        "POST /v1/sandboxes/dev-1/trace" => (200, json!({"nodes": [{"node": "n1", "following": true}]})),
        "GET /v1/sandboxes/dev-1/trace" => (200, traced()),
        "DELETE /v1/sandboxes/a%2Fb" => (200, json!({"index": 12})),
        _ => (404, json!({"code": "sandbox_unknown", "detail": "there is no such sandbox", "status": 404})),
    }
}

fn asked(args: &[&str], input: &str) -> (Ran, Vec<String>) {
    asked_of(cluster, args, input)
}

#[test]
fn sandboxes_are_shown_as_a_table_and_whole() {
    let (listed, _) = asked(&["sandboxes", "list"], "");
    assert_eq!(
        listed.out,
        "KEY    RULES  TO                     ENDS AT\n\
         dev-1  2      upload@v2,a=80,h:1=20  2026-11-22T05:00:00.000Z\n\
         good   1      b                      -\n"
    );
    let (soon, _) = asked(&["sandboxes", "list", "--ends-within", "1h"], "");
    assert_eq!((soon.code, soon.out.lines().count()), (0, 2), "{}", soon.err);
    let (shown, _) = asked(&["sandboxes", "get", "dev-1"], "");
    assert!(shown.code == 0 && shown.out.contains("target: upload@v2\n"), "{}", shown.out);
    let (missing, _) = asked(&["sandboxes", "get", "nothing"], "");
    assert_eq!((missing.code, missing.out.as_str()), (4, ""));
}

/// What `get` prints can be put again, and is only put in the place of what was shown.
#[test]
fn a_sandbox_is_put_extended_and_taken_away() {
    let (shown, _) = asked(&["sandboxes", "get", "dev-1", "-o", "yaml"], "");
    let (put, lines) = asked(&["sandboxes", "put", "dev-1", "-f", "-"], &shown.out);
    assert_eq!(
        (put.code, put.err.as_str()),
        (
            0,
            "set sandbox dev-1 until 2026-11-23T05:00:00.000Z at index 10\n\
             warning: no request comes to rules[1]: all that meet it meet rules[0] first\n"
        )
    );
    assert_eq!(lines, ["PUT /v1/sandboxes/dev-1"]);
    let (other, lines) = asked(&["sandboxes", "put", "dev-2", "-f", "-"], &shown.out);
    assert_eq!((other.code, lines.len()), (2, 0), "{}", other.err);
    let (extended, lines) = asked(&["sandboxes", "extend", "dev-1", "--ttl", "48h"], "");
    assert_eq!(extended.err, "extended sandbox dev-1 until 2026-11-24T05:00:00.000Z at index 11\n");
    assert_eq!(lines, ["POST /v1/sandboxes/dev-1/extend"]);
    let (deleted, _) = asked(&["sandboxes", "delete", "a/b"], "");
    assert_eq!(deleted.err, "took sandbox a/b away at index 12\n");
    for args in [&["sandboxes", "extend", "dev-1"][..], &["sandboxes", "put", "dev-1"]] {
        let (wrong, lines) = asked(args, "");
        assert_eq!((wrong.code, lines.len()), (2, 0), "{args:?}: {}", wrong.err);
    }
}

/// One sandbox with a long list of targets made every row of the table as wide as it.
#[test]
fn a_long_list_of_targets_is_cut_in_tables_only() {
    let (table, _) = asked(&["sandboxes", "list", "--ends-within", "2h"], "");
    assert_eq!(
        table.out,
        "KEY   RULES  TO                                                     ENDS AT\n\
         wide  2      http://10.0.0.1:8080=1,http://10.0.0.2:8080=1 +8 more  -\n"
    );
    let (json, _) = asked(&["sandboxes", "list", "--ends-within", "2h", "-o", "json"], "");
    assert!(json.out.contains("http://10.0.0.9:8080"), "{}", json.out);
}

/// The weights are those that hold, a ramp that stopped says where and for what, and what is so already is not done again.
#[test]
fn ramps_are_told_by_the_names_of_their_targets() {
    let (listed, _) = asked(&["sandboxes", "list", "--ends-within", "3h"], "");
    assert!(listed.out.contains("x,shop=95,shop@v2=5 (ramp paused, step 1 of 3)"), "{}", listed.out);
    let (shown, _) = asked(&["sandboxes", "ramp", "ramped"], "");
    assert!(shown.out.contains("stopped: 24 of 24 failed at shop@v2\n"), "{}", shown.out);
    let (paused, _) = asked(&["sandboxes", "ramp", "ramped", "--pause"], "");
    assert_eq!((paused.code, paused.err.as_str()), (0, "it was so before; nothing was changed\n"));
    let (none, lines) = asked(&["sandboxes", "ramp", "ramped", "--rule", "7", "--pause"], "");
    assert_eq!((none.code, lines.len()), (4, 1));
    assert_eq!(none.err, "error: sandbox ramped has no rule 7; allowed: its rules are 0 to 1\n");
    let (plain, _) = asked(&["sandboxes", "ramp", "ramped", "--rule", "0"], "");
    assert!(plain.err.contains("rule 0 of sandbox ramped has no ramp"), "{}", plain.err);
}

/// Setting a sandbox gives it its time anew: until when is said.
#[test]
fn an_apply_says_when_its_sandboxes_end() {
    let (applied, _) =
        asked(&["apply", "-f", "-"], "sandboxes: {ramped: {rules: [{target: x}], ttl: 72h}}\n");
    assert_eq!(applied.err, "1 change at index 9\nsandbox ramped stands until 2026-11-25T05:00:00.000Z\n");
}

/// The key stands on the command line and not in the file.
#[test]
fn what_is_wrong_with_the_key_is_not_told_of_the_file() {
    let (wrong, _) = asked(&["sandboxes", "put", "a b", "-f", "-"], "rules:\n  - target: ''\n");
    assert_eq!(
        (wrong.code, wrong.err.as_str()),
        (
            1,
            "error: key: `a b` has a letter that is not allowed; allowed: others\n\
             error: stdin:2:5: rules[0].target: is empty; allowed: a service\n"
        )
    );
}

/// Two applications lose the key, one of them in work that was put off.
fn traced() -> Value {
    let hop = |node: &str, path: &str, more: Value| {
        let mut hop = json!({"node": node, "at": "2026-11-22T05:00:00.000Z", "elapsed": "3ms", "inside": null, "forms": [],
            "other_key": false, "method": "GET", "host": "h", "path": path, "decided_by": "route web",
            "address": "10.0.0.8:80", "status": 200});
        hop.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        hop
    };
    let lost = |inside: Value| json!({"key": "lost", "lost_after": 0, "inside": inside});
    json!({
        "nodes": [{"node": "n1", "passed_over": 2}, {"node": "n2", "cores_silent": 1}, {"node": "n3", "why": "it does not answer"}],
        "left_out": 4,
        "traces": [
            {"ids": ["t1"], "lost": true, "hops": [
                hop("n1", "/a", json!({"key": "present", "forms": ["x-route-key", "baggage"], "service": "a@v2", "decided_by": "sandbox"})),
                hop("n2", "/b", lost(json!(0))),
                hop("n2", "/c", json!({"key": "lost", "lost_after": 0, "inside": 1, "other_key": true, "status": null})),
                hop("n1", "/late", lost(json!(null))),
            ]},
            {"ids": [], "lost": false, "hops": [hop("n1", "/a", json!({"key": "present", "forms": ["query"], "address": null}))]},
            {"ids": [], "lost": false, "hops": [hop("n2", "/b", json!({"key": "present", "forms": ["query"], "decided_by": "service",
                "service": "upload", "failed_over": "10.0.0.9:80, by sandbox"}))]},
        ],
    })
}

#[test]
fn the_way_of_a_key_is_told_in_words() {
    let (now, lines) = asked(&["sandboxes", "trace", "dev-1", "--now"], "");
    assert_eq!(lines, ["GET /v1/sandboxes/dev-1/trace"]);
    expect_test::expect![[r#"
        trace t1: the key is lost, a@v2 at 10.0.0.8:80 did not pass it on (hop 1)
        HOP  NODE  REQUEST      KEY                                                              WENT TO                          ANSWER
        1    n1    GET h/a      in x-route-key, baggage                                          a@v2 at 10.0.0.8:80, by sandbox  200 in 3ms
        2    n2      GET h/b    LOST: a@v2 at 10.0.0.8:80 did not pass it on (hop 1)             10.0.0.8:80, by route web        200 in 3ms
        3    n2        GET h/c  LOST: it was gone since hop 1; another key is there              10.0.0.8:80, by route web        - in 3ms
        4    n1    GET h/late   LOST: after hop 1; nothing was under way when the next one came  10.0.0.8:80, by route web        200 in 3ms

        no trace id: what the application does with these requests can't be followed
        NODE  REQUEST  KEY       WENT TO                                                                      ANSWER
        n1    GET h/a  in query  route web                                                                    200 in 3ms
        n2    GET h/b  in query  upload at 10.0.0.8:80, by service; failed over from 10.0.0.9:80, by sandbox  200 in 3ms
    "#]]
    .assert_eq(&now.out);
    expect_test::expect![[r"
        1 trace; the key was lost in 1; 2 requests without a trace id
        node n1 had to let go of 2 requests without the key: a loss among them is not shown
        1 core of node n2 did not tell
        what node n3 has seen is not known: it does not answer
        4 traces that came before are not shown
    "]]
    .assert_eq(&now.err);
}

#[test]
fn a_key_is_followed_for_as_long_as_is_said() {
    let (ended, lines) = asked(&["sandboxes", "trace", "dev-1", "--for", "1s"], "");
    assert_eq!((ended.code, lines[0].as_str()), (0, "POST /v1/sandboxes/dev-1/trace"), "{}", ended.err);
    assert!(
        lines.len() >= 2 && ended.err.starts_with("following dev-1 for 1s; send requests"),
        "{}",
        ended.err
    );
    assert_eq!(ended.out.matches("trace t1:").count(), 1, "{}", ended.out);
    let (follow, _) = asked(&["sandboxes", "trace", "dev-1", "--for", "4s", "--follow"], "");
    assert_eq!(
        follow.out.matches("trace t1:").count(),
        1,
        "once, though it is told again and again: {}",
        follow.out
    );
    let (json, _) = asked(&["sandboxes", "trace", "dev-1", "--now", "-o", "json"], "");
    assert_eq!(serde_json::from_str::<Value>(&json.out).expect("JSON"), traced());
    let (short, _) = asked(&["sandboxes", "trace", "dev-1", "--for", "500ms"], "");
    assert!(short.err.contains("allowed: a duration such as 60s, from 1s to 10m"), "{}", short.err);
    for args in [&["--for", "0s"][..], &["--for", "11m"], &["--follow", "--now"]] {
        let (wrong, lines) = asked(&[&["sandboxes", "trace", "dev-1"], args].concat(), "");
        assert_eq!((wrong.code, lines.len()), (2, 0), "{args:?}: {}", wrong.err);
    }
}
