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
    let page = |items: Vec<Value>| (200, json!({"items": items, "next_cursor": null, "index": 9}));
    match line {
        "GET /v1/sandboxes?limit=1000" => page(vec![dev, good]),
        "GET /v1/sandboxes?limit=1000&ends_within=1h" => page(vec![dev]),
        "GET /v1/sandboxes?limit=1000&ends_within=2h" => page(vec![wide]),
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

/// The key stands on the command line and not in the file.
#[test]
fn what_is_wrong_with_the_key_is_not_told_of_the_file() {
    let (wrong, _) = asked(&["sandboxes", "put", "a b", "-f", "-"], "rules:\n  - target: ''\n");
    assert_eq!(
        (wrong.code, wrong.err.as_str()),
        (
            1,
            "error: key: `a b` has a letter that is not allowed; allowed: others\n\
             stdin:2: rules[0].target: is empty; allowed: a service\n"
        )
    );
}
