//! `quorate routes`, `explain` and `services put`.

use super::{Ran, quorate, ran, server};
use serde_json::{Value, json};
use std::{
    io::Write as _,
    process::Stdio,
    sync::{Arc, Mutex},
};

fn cluster(line: &str) -> (u16, Value) {
    let web = json!({"name": "web", "created_index": 5, "changed_index": 7, "priority": 2,
        "match": {"host": "*.example.com", "path_prefix": "/api", "methods": ["GET", "PUT"], "headers": {"x": "v"}},
        "destinations": [{"service": "upload", "version": "v2", "weight": 80}, {"url": "http://h:1", "weight": 20}]});
    let ramped = json!({"name": "shop", "changed_index": 8, "match": {},
        "destinations": [{"service": "shop", "weight": 100}, {"service": "shop", "version": "v2", "weight": 0}],
        "ramp_status": {"status": "running", "step": 2, "steps": 3, "weights": [50, 50],
            "seen": [{"destination": 1, "failures": 1, "requests": 7}]}});
    let old = json!({"name": "old", "created_index": 6, "changed_index": 6, "priority": 0, "match": {},
        "redirect": {"status": 302, "host": "new.example.com"}});
    match line {
        "GET /v1/routes?limit=1000" => {
            (200, json!({"items": [old, web, ramped], "next_cursor": null, "index": 9}))
        }
        "GET /v1/routes/web" => (200, web),
        "GET /v1/routes/shop" => (200, ramped),
        "PUT /v1/routes/same" => (200, json!({"index": 12, "unchanged": true})),
        "PUT /v1/routes/web" | "DELETE /v1/routes/web" | "PUT /v1/services/upload" => {
            (200, json!({"index": 10}))
        }
        "POST /v1/explain" => (
            200,
            json!({"index": 9, "rules_left_out": 2, "decision": {"action": "forward", "why": "it goes to one of the workers",
                "route": "web", "endpoints": [
                    {"worker": "w1", "url": "http://h:1", "status": "live", "serves": true},
                    {"worker": "w2", "url": "http://h:2", "status": "expired", "serves": false}]},
                "rules": [
                    {"kind": "route", "name": "blue", "matched": false, "reasons": [
                        {"field": "match.headers.x-env", "wanted": "blue", "found": "another value"}]},
                    {"kind": "route", "name": "web", "matched": true, "reasons": []}]}),
        ),
        _ => (404, json!({"code": "route_unknown", "detail": "there is no such route", "status": 404})),
    }
}

/// Runs against the cluster above, with `input` on stdin; also the requests' first lines.
fn asked(args: &[&str], input: &str) -> (Ran, Vec<String>) {
    asked_of(cluster, args, input)
}

/// The same of another cluster.
pub fn asked_of(cluster: fn(&str) -> (u16, Value), args: &[&str], input: &str) -> (Ran, Vec<String>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    let address = server(move |line| {
        seen.lock().expect("no panic").push(line.to_owned());
        cluster(line)
    });
    let mut command = quorate(args);
    command.env("QUORATE_SERVER", format!("http://{address}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // A program that reads nothing is no mistake of the test's.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("it ends by itself");
    let ran = Ran { code, out: text(output.stdout), err: text(output.stderr) };
    let lines = lines.lock().expect("no panic").clone();
    (ran, lines)
}

#[test]
fn routes_are_shown_as_a_table_and_whole() {
    let (listed, _) = asked(&["routes", "list"], "");
    assert_eq!(
        listed.out,
        "NAME  HOST           PATH    MORE               TO                                              PRIORITY\n\
         old   *              /*      -                  redirect                                        0\n\
         web   *.example.com  /api/*  GET,PUT headers=1  upload@v2=80,http://h:1=20                      2\n\
         shop  *              /*      -                  shop=50,shop@v2=50 (ramp running, step 2 of 3)  0\n"
    );
    let (ramp, _) = asked(&["routes", "ramp", "shop"], "");
    assert!(ramp.out.contains("1 of 7 failed at shop@v2\n"), "{}", ramp.out);
    let (shown, _) = asked(&["routes", "get", "web"], "");
    assert!(shown.code == 0 && shown.out.contains("path_prefix: /api\n"), "{}", shown.out);
    let (missing, _) = asked(&["routes", "get", "nothing"], "");
    assert_eq!((missing.code, missing.out.as_str()), (4, ""));
}

/// What `get` prints can be put again, and is only put in the place of what was shown.
#[test]
fn a_route_is_put_from_a_file_or_stdin() {
    let (shown, _) = asked(&["routes", "get", "web", "-o", "yaml"], "");
    let (put, lines) = asked(&["routes", "put", "web", "-f", "-"], &shown.out);
    assert_eq!((put.code, put.err.as_str()), (0, "set route web at index 10\n"));
    assert_eq!(lines, ["PUT /v1/routes/web"]);
    let (other, lines) = asked(&["routes", "put", "new", "-f", "-"], &shown.out);
    assert_eq!((other.code, lines.len()), (2, 0), "{}", other.err);
    for index in ["\"7\"", "-1", "7.5", "null"] {
        let route = shown.out.replace("changed_index: 7\n", &format!("changed_index: {index}\n"));
        assert_ne!(route, shown.out);
        let (refused, lines) = asked(&["routes", "put", "web", "-f", "-"], &route);
        assert_eq!((refused.code, lines.len()), (2, 0), "{index}: {}", refused.err);
        assert!(refused.err.contains("changed_index"), "{}", refused.err);
    }
    let (same, _) = asked(&["routes", "put", "same", "-f", "-"], "match: {}\n");
    assert_eq!(same.err, "it was so before; nothing was changed\n");
    let (deleted, _) = asked(&["routes", "delete", "web"], "");
    assert_eq!(deleted.err, "took route web away at index 10\n");
    let (policy, lines) = asked(&["services", "put", "upload", "-f", "-"], "balancing: p2c\n");
    assert_eq!((policy.err.as_str(), lines.len()), ("set service upload at index 10\n", 1));
}

#[test]
fn a_request_is_explained_in_words() {
    let args = ["explain", "GET", "/api/x", "-H", "Host: h", "-H", "X-Env: green", "--client-ip", "10.0.0.9"];
    let (told, lines) = asked(&args, "");
    assert_eq!(
        told.out,
        "forward\n  it goes to one of the workers\n  -> w1 http://h:1 (live)\n  -> w2 http://h:2 (expired, gets no requests)\n\
         rules tried:\n  route blue: does not match\n    match.headers.x-env: wants blue, found another value\n\
         \x20 route web: matches\nnot shown: 2 routes for other paths or hosts, or behind the one that decides\n"
    );
    assert_eq!((told.code, lines), (0, vec!["POST /v1/explain".to_owned()]));
    let (json, _) = asked(&["explain", "GET", "/", "-o", "json"], "");
    assert!(serde_json::from_str::<Value>(&json.out).is_ok_and(|json| json["index"] == 9));
    let (wrong, _) = asked(&["explain", "GET", "/", "-H", "nonsense"], "");
    assert_eq!(wrong.code, 2);
    let mut command = quorate(&["explain", "GET", "/"]);
    command.env("QUORATE_SERVER", "http://127.0.0.1:1");
    let down = ran(command);
    assert_eq!(down.code, 3, "{}", down.err);
}
