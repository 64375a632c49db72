//! `quorate presence`.

use super::{Ran, quorate, ran, routes::asked_of, server_with};
use serde_json::{Value, json};

const CONNECTION: &str = "6f0c1b3e-8f43-4d2e-9a57-0d8f5f6f2f10";

fn cluster(line: &str) -> (u16, Value) {
    let session = |user: &str, node: &str, epoch: u64| {
        json!({
            "user": user, "node": node, "gateway": 7, "connection": CONNECTION, "epoch": epoch,
            "since": "2026-11-22T05:00:00.000Z",
        })
    };
    let (alice, bob) = (session("alice", "n1", 12), session("bob at home", "n2", 13));
    match line {
        "GET /v1/presence?limit=1000" => {
            (200, json!({"items": [alice, bob], "next_cursor": null, "index": 9}))
        }
        "GET /v1/presence?limit=1000&gateway=n2" => {
            (200, json!({"items": [bob], "next_cursor": null, "index": 9}))
        }
        "GET /v1/presence/bob%20at%20home" => (200, json!({"user": "bob at home", "sessions": [bob]})),
        _ => (
            404,
            json!({"code": "user_not_connected", "detail": format!("{line} is not known"), "status": 404}),
        ),
    }
}

fn asked(args: &[&str]) -> Ran {
    asked_of(cluster, args, "").0
}

#[test]
fn users_are_listed_and_shown() {
    let head = "USER         NODE  SINCE                     CONNECTION                            EPOCH\n";
    let bob = format!("bob at home  n2    2026-11-22T05:00:00.000Z  {CONNECTION}  13\n");
    let alice = format!("alice        n1    2026-11-22T05:00:00.000Z  {CONNECTION}  12\n");
    assert_eq!(asked(&["presence", "list"]).out, format!("{head}{alice}{bob}"));
    assert_eq!(asked(&["presence", "list", "--gateway", "n2"]).out, format!("{head}{bob}"));
    assert_eq!(asked(&["presence", "get", "bob at home"]).out, format!("{head}{bob}"));
    let json = asked(&["presence", "get", "bob at home", "-o", "json"]).out;
    assert!(json.contains("\"gateway\": 7"), "all that the node said: {json}");
    let missing = asked(&["presence", "get", "nobody"]);
    assert_eq!((missing.code, missing.out.as_str()), (4, ""));
}

#[test]
fn a_node_that_hears_no_leader_is_told_from_one_that_does() {
    let address = server_with("x-quorate-stale: 12\r\n", cluster);
    for args in [&["presence", "list"][..], &["presence", "get", "bob at home", "-o", "json"]] {
        let mut command = quorate(args);
        command.env("QUORATE_SERVER", format!("http://{address}"));
        let Ran { code, out, err } = ran(command);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("bob at home"), "what it knew is told: {out}");
        assert!(err.contains("has heard no leader for 12 s"), "{err}");
    }
    assert_eq!(asked(&["presence", "list"]).err, "");
}
