//! `/v1/sandboxes`.

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn put(key: &str, body: Value) -> Ask {
    Ask::json("PUT", &format!("/v1/sandboxes/{key}"), body)
}

fn extend(key: &str, body: Value) -> Ask {
    Ask::json("POST", &format!("/v1/sandboxes/{key}/extend"), body)
}

fn to(target: &str) -> Value {
    json!({"rules": [{"target": target, "fallback": {"missing": true, "on_5xx": false}}]})
}

fn with_ttl(target: &str, ttl: &str) -> Value {
    let mut body = to(target);
    body["ttl"] = json!(ttl);
    body
}

async fn set(fake: &Arc<Fake>, key: &str, body: Value) -> Answer {
    let answer = fake.ask(put(key, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

fn keys(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|item| item["key"].as_str().expect("a key")).collect()
}

#[tokio::test]
async fn a_sandbox_is_set_read_and_taken_away() {
    let fake = Fake::formed();
    assert_eq!(fake.ask(Ask::get("/v1/sandboxes/dev-1")).await.problem(), "sandbox_unknown");
    let answer = set(&fake, "dev-1", to("upload@v2")).await;
    let index = answer.json()["index"].as_u64().expect("a number");
    assert_eq!(answer.json(), json!({"index": index}));
    assert_eq!(answer.header("etag"), Some(format!("\"{index}\"").as_str()));
    let shown = fake.ask(Ask::get("/v1/sandboxes/dev-1")).await;
    let mut expected = to("upload@v2");
    for (name, value) in
        [("key", json!("dev-1")), ("created_index", json!(index)), ("changed_index", json!(index))]
    {
        expected[name] = value;
    }
    assert_eq!((shown.json(), shown.header("etag")), (expected, answer.header("etag")));
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/sandboxes/dev-1")).await.status, 200);
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/sandboxes/dev-1")).await.problem(), "sandbox_unknown");
    let any = set(&fake, "a%2Fb%25%3F", to("upload")).await;
    assert_eq!(any.status, 200);
    assert_eq!(keys(&fake.ask(Ask::get("/v1/sandboxes")).await.json()), ["a/b%?"]);
}

#[tokio::test]
async fn a_sandbox_with_a_ttl_says_when_it_ends_and_is_given_more_time() {
    let fake = Fake::formed();
    let set = set(&fake, "k", with_ttl("upload", "5m")).await;
    let ends = set.json()["ends_at"].as_str().expect("a time").to_owned();
    let shown = fake.ask(Ask::get("/v1/sandboxes/k")).await.json();
    assert_eq!((&shown["ends_at"], &shown["ttl"]), (&json!(ends), &json!("5m")));
    let dry = fake.ask(Ask::json("POST", "/v1/sandboxes/k/extend?dry_run=true", json!({"ttl": "1h"}))).await;
    assert_eq!((dry.status, &dry.json()["dry_run"]), (200, &json!(true)));
    assert_eq!(fake.ask(Ask::get("/v1/sandboxes/k")).await.json()["ends_at"], json!(ends));
    let extended = fake.ask(extend("k", json!({"ttl": "24h"}))).await;
    let later = extended.json()["ends_at"].as_str().expect("a time").to_owned();
    // Of the same length, so the order of the texts is that of the times.
    assert!(later > ends, "{ends}, then {later}");
    let shown = fake.ask(Ask::get("/v1/sandboxes/k")).await;
    assert_eq!((&shown.json()["ends_at"], shown.header("etag")), (&json!(later), extended.header("etag")));
    assert_eq!(fake.ask(extend("other", json!({"ttl": "24h"}))).await.problem(), "sandbox_unknown");
    assert_eq!(fake.ask(extend("k", json!({"ttl": "1m"}))).await.wrong_fields(), ["ttl"]);
    let stale = fake.ask(extend("k", json!({"ttl": "24h"})).header("if-match", "\"1\"")).await;
    assert_eq!(stale.problem(), "precondition_failed");
    assert!(stale.text.contains("read it anew"), "{}", stale.text);
}

#[tokio::test]
async fn sandboxes_are_listed_by_key_or_by_their_end_and_paged() {
    let fake = Fake::formed();
    for (key, ttl) in [("c", "1h"), ("a", "2h"), ("b", "3h")] {
        set(&fake, key, with_ttl("upload", ttl)).await;
    }
    set(&fake, "for-good", to("upload")).await;
    let get = async |path: &str| fake.ask(Ask::get(&format!("/v1/sandboxes?{path}"))).await;
    let first = get("limit=2").await.json();
    assert_eq!((keys(&first), &first["next_cursor"]), (vec!["a", "b"], &json!("b")));
    let rest = get("limit=2&cursor=b").await.json();
    assert_eq!((keys(&rest), &rest["next_cursor"]), (vec!["c", "for-good"], &Value::Null));
    let soon = get("ends_within=24h&limit=2").await.json();
    assert_eq!(keys(&soon), ["c", "a"]);
    let cursor = soon["next_cursor"].as_str().expect("one more");
    let rest = get(&format!("ends_within=24h&limit=2&cursor={}", cursor.replace(':', "%3A"))).await.json();
    assert_eq!((keys(&rest), &rest["next_cursor"]), (vec!["b"], &Value::Null));
    for bad in ["cursor=", "ends_within=1h&cursor=b", "ends_within=1h&cursor=1%3A"] {
        assert_eq!(get(bad).await.wrong_fields(), ["query.cursor"], "{bad}");
    }
    assert_eq!(get("ends_within=soon").await.wrong_fields(), ["query.ends_within"]);
    let routes = fake.ask(Ask::get("/v1/routes?ends_within=1h")).await;
    assert_eq!(routes.wrong_fields(), ["query.ends_within"]);
}

/// A blocking query answers when a sandbox changes, and not because something else did.
#[tokio::test]
async fn a_list_waits_for_its_next_change() {
    let fake = Fake::formed();
    let index = set(&fake, "k", to("a")).await.json()["index"].as_u64().expect("a number");
    let path = format!("/v1/sandboxes?index={index}&wait=1m");
    let change = async {
        fake.ask(Ask::json("PUT", "/v1/services/upload", json!({"timeout": "3s"}))).await;
        set(&fake, "k", to("b")).await.json()["index"].as_u64().expect("a number")
    };
    let (told, changed) = futures_util::join!(fake.ask(Ask::get(&path)), change);
    let told = told.json();
    assert!(told["index"].as_u64() >= Some(changed), "{told}");
    assert_eq!(told["items"][0]["rules"][0]["target"], "b");
}

#[tokio::test]
async fn every_mistake_is_listed_and_overlaps_are_told() {
    let fake = Fake::formed();
    let body = json!({
        "rules": [
            {"targets": [{"target": "a", "weight": 0}, {"target": "b", "weight": 0}]},
            {"target": "http://", "path_prefixes": ["api"], "add_headers": {"Host": "h"}},
        ],
        "ttl": "299s",
        "colour": "blue",
    });
    let answer = fake.ask(put("k", body)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid_request"));
    assert_eq!(
        answer.wrong_fields(),
        [
            "rules[0].targets",
            "rules[1].path_prefixes[0]",
            "rules[1].target",
            "rules[1].add_headers.Host",
            "ttl",
            "colour"
        ]
    );
    assert_eq!(fake.ask(put("a%20b", to("a"))).await.wrong_fields(), ["path.key"]);
    // A bad key hides nothing of the body.
    let both = fake.ask(put("a%20b", json!({"rules": [{"target": "10.0.0.8"}], "ttl": 300}))).await;
    assert_eq!(both.wrong_fields(), ["path.key", "rules[0].target", "ttl"]);
    let both = fake.ask(extend(&"k".repeat(257), json!({"ttl": "0"}))).await;
    assert_eq!(both.wrong_fields(), ["path.key", "ttl"]);
    assert_eq!(fake.ask(put(&"k".repeat(257), to("a"))).await.wrong_fields(), ["path.key"]);
    assert_eq!(fake.proposals(), 0, "nothing was proposed");
    let body = json!({"rules": [{"target": "a"}, {"target": "b", "path_prefixes": ["/api"]}]});
    let overlaps = json!([{"rule": 1, "by": 0}]);
    let dry = fake.ask(Ask::json("PUT", "/v1/sandboxes/k?dry_run=true", body.clone())).await;
    assert_eq!((&dry.json()["overlaps"], &dry.json()["dry_run"]), (&overlaps, &json!(true)));
    assert_eq!(set(&fake, "k", body).await.json()["overlaps"], overlaps);
    assert_eq!(fake.ask(Ask::get("/v1/sandboxes/k")).await.json()["overlaps"], overlaps);
}

#[tokio::test]
async fn a_document_has_sandboxes() {
    let fake = Fake::formed();
    let body = json!({"sandboxes": {"a": with_ttl("upload", "24h"), "b": to("upload")}});
    let patched = fake.ask(Ask::json("PATCH", "/v1/config", body.clone())).await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    assert_eq!(
        patched.json()["changes"],
        json!([
            {"kind": "sandbox", "name": "a", "change": "created"},
            {"kind": "sandbox", "name": "b", "change": "created"},
        ])
    );
    let shown = fake.ask(Ask::get("/v1/config")).await.json();
    assert_eq!(shown["sandboxes"], body["sandboxes"], "what was put can be put again");
    let again = fake.ask(Ask::json("PUT", "/v1/config", shown)).await.json();
    assert_eq!(again["changes"], json!([]));
    let replaced = fake.ask(Ask::json("PUT", "/v1/config", json!({"sandboxes": {"b": to("other")}}))).await;
    assert_eq!(
        replaced.json()["changes"],
        json!([
            {"kind": "sandbox", "name": "b", "change": "changed"},
            {"kind": "sandbox", "name": "a", "change": "removed"},
        ])
    );
    let gone = fake.ask(Ask::json("PATCH", "/v1/config", json!({"sandboxes": {"b": null}}))).await;
    assert_eq!(gone.json()["changes"], json!([{"kind": "sandbox", "name": "b", "change": "removed"}]));
    assert!(fake.state().sandboxes().is_empty());
}
