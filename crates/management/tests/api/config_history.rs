//! `/v1/config/history`, `?at=`, `/v1/config/rollback`, and what a write of many objects says that it changes.

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
};
use quorate_model::{Command, FeatureLevel, LogTime, SandboxEnd, limit};
use serde_json::{Value, json};
use std::sync::Arc;

fn formed() -> Arc<Fake> {
    let fake = Fake::formed();
    fake.apply(Command::RaiseLevel { to: FeatureLevel::NEWEST });
    fake
}

fn route(service: &str) -> Value {
    json!({"match": {}, "destinations": [{"service": service, "weight": 100}], "priority": 0})
}

async fn send(fake: &Arc<Fake>, method: &'static str, path: &str, body: Value) -> Answer {
    let answer = fake.ask(Ask::json(method, path, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

async fn get(fake: &Arc<Fake>, path: &str) -> Value {
    let answer = fake.ask(Ask::get(path)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn index(answer: &Answer) -> u64 {
    answer.json()["index"].as_u64().expect("an index")
}

#[tokio::test]
async fn the_history_is_told_from_its_end_page_by_page() {
    let fake = formed();
    let both =
        json!({"routes": {"web": route("a")}, "sandboxes": {"k": {"rules": [{"target": "a"}], "ttl": "5m"}}});
    let first = index(&send(&fake, "PATCH", "/v1/config", both).await);
    send(&fake, "PUT", "/v1/services/upload", json!({"timeout": "3s"})).await;
    send(&fake, "DELETE", "/v1/routes/web", json!({})).await;
    // The fake's clock goes on by a second with each entry.
    while fake.state().sandboxes().over(LogTime(fake.state().now().0 + 1_000)).is_empty() {
        fake.apply(Command::EndSandboxes(Vec::new()));
    }
    let stored = fake.state().sandboxes().get("k").expect("there").stored().clone();
    fake.apply(Command::EndSandboxes(vec![SandboxEnd { key: stored.key.clone(), created: stored.created }]));
    let all = get(&fake, "/v1/config/history").await;
    let told = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items").clone();
        let changes = items.iter().flat_map(|item| item["changes"].as_array().expect("changes").clone());
        let word = |change: &Value, field: &str| change[field].as_str().expect("a word").to_owned();
        changes
            .map(|one| format!("{} {} {}", word(&one, "kind"), word(&one, "name"), word(&one, "change")))
            .collect()
    };
    let expected = [
        "sandbox k ended",
        "route web removed",
        "service upload created",
        "route web created",
        "sandbox k created",
    ];
    assert_eq!(told(&all), expected);
    let entry = &all["items"][3];
    assert_eq!((&entry["index"], &entry["change_count"]), (&json!(first), &json!(2)));
    assert!(entry["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{entry}");
    assert_eq!((&all["next_cursor"], &all["known_from"]), (&Value::Null, &json!(first - 1)));
    // The same, two entries at a time.
    let page = get(&fake, "/v1/config/history?limit=2").await;
    let cursor = page["next_cursor"].as_str().expect("more").to_owned();
    let rest = get(&fake, &format!("/v1/config/history?limit=2&cursor={cursor}")).await;
    assert_eq!([told(&page), told(&rest)].concat(), expected);
    assert_eq!(rest["next_cursor"], Value::Null);
    let wrong = fake.ask(Ask::get("/v1/config/history?cursor=x")).await;
    assert_eq!(wrong.wrong_fields(), ["query.cursor"]);
}

#[tokio::test]
async fn each_earlier_configuration_is_a_document_that_can_be_put_again() {
    let fake = formed();
    let began = fake.state().index().0;
    let body = json!({
        "routes": {"web": route("a"), "api": route("b")},
        "sandboxes": {"k": {"rules": [{"target": "a", "fallback": {"missing": true, "on_5xx": false}}], "ttl": "24h"}},
        "services": {"upload": {"timeout": "3s"}},
        "keyspaces": {"default": {"partitions": 24, "source": "static"}},
    });
    let first = index(&send(&fake, "PUT", "/v1/config", body.clone()).await);
    send(&fake, "PUT", "/v1/config", json!({"routes": {"web": route("c")}})).await;
    send(&fake, "PUT", "/v1/keyspaces/default", json!({"partitions": 6})).await;
    assert_eq!(get(&fake, &format!("/v1/config?at={first}")).await, body);
    let before = get(&fake, &format!("/v1/config?at={began}")).await;
    assert_eq!((&before["routes"], &before["keyspaces"]["default"]["partitions"]), (&json!({}), &json!(12)));
    let now = fake.ask(Ask::get("/v1/config")).await;
    let at_now = fake.ask(Ask::get(&format!("/v1/config?at={}", fake.state().index()))).await;
    assert_eq!((now.json(), at_now.header("etag")), (at_now.json(), None));
    for at in [began - 1, fake.state().index().0 + 1] {
        let gone = fake.ask(Ask::get(&format!("/v1/config?at={at}"))).await;
        assert_eq!((gone.status, gone.problem().as_str()), (404, "not_in_history"), "{}", gone.text);
        assert!(gone.text.contains(&format!("from index {began} to ")), "{}", gone.text);
    }
    let wrong = fake.ask(Ask::get("/v1/config?at=-1")).await;
    assert_eq!(wrong.wrong_fields(), ["query.at"]);
}

#[tokio::test]
async fn what_stood_is_brought_back_in_one_entry_and_that_is_a_change_too() {
    let fake = formed();
    let body =
        json!({"routes": {"web": route("a"), "api": route("b")}, "services": {"upload": {"timeout": "3s"}}});
    let stood = index(&send(&fake, "PATCH", "/v1/config", body).await);
    let whole = get(&fake, "/v1/config").await;
    let less = index(
        &send(&fake, "PUT", "/v1/config", json!({"routes": {"web": route("c"), "new": route("d")}})).await,
    );
    let dry =
        send(&fake, "POST", "/v1/config/rollback?dry_run=true&diff=true", json!({"to": stood})).await.json();
    assert_eq!(
        dry["changes"],
        json!([
            {"kind": "route", "name": "api", "change": "created", "after": route("b")},
            {"kind": "route", "name": "new", "change": "removed", "before": route("d")},
            {"kind": "route", "name": "web", "change": "changed", "before": route("c"), "after": route("a")},
            {"kind": "service", "name": "upload", "change": "created", "after": {"timeout": "3s"}},
        ])
    );
    assert_eq!((&dry["dry_run"], &dry["base_index"]), (&json!(true), &json!(less)));
    let late =
        Ask::json("POST", "/v1/config/rollback", json!({"to": stood})).header("if-match", stood.to_string());
    assert_eq!(fake.ask(late).await.status, 412);
    let proposals = fake.proposals();
    let now =
        Ask::json("POST", "/v1/config/rollback", json!({"to": stood})).header("if-match", less.to_string());
    let done = fake.ask(now).await;
    assert_eq!((done.status, fake.proposals()), (200, proposals + 1), "{}", done.text);
    assert_eq!(get(&fake, "/v1/config").await, whole);
    let newest = get(&fake, "/v1/config/history?limit=1").await["items"][0].clone();
    assert_eq!((&newest["index"], &newest["change_count"]), (&done.json()["index"], &json!(4)));
    // And back again.
    send(&fake, "POST", "/v1/config/rollback", json!({"to": less})).await;
    assert_eq!(get(&fake, "/v1/config").await["routes"], json!({"web": route("c"), "new": route("d")}));
    for (body, status, fields) in [(json!({}), 400, vec!["to"]), (json!({"to": 999_999}), 404, vec![])] {
        let refused = fake.ask(Ask::json("POST", "/v1/config/rollback", body)).await;
        assert_eq!(
            (refused.status, refused.wrong_fields()),
            (status, fields.into_iter().map(Into::into).collect())
        );
    }
}

/// What a dry run tells is told against one index: with that as a condition, the write changes just that.
#[tokio::test]
async fn a_dry_run_says_against_what_it_was_made() {
    let fake = formed();
    send(&fake, "PUT", "/v1/routes/web", route("a")).await;
    let patch = || json!({"routes": {"web": route("b")}});
    let dry = send(&fake, "PATCH", "/v1/config?dry_run=true&diff=true", patch()).await.json();
    let change = json!({"kind": "route", "name": "web", "change": "changed", "before": route("a"), "after": route("b")});
    assert_eq!(dry["changes"], json!([change]));
    let base = dry["base_index"].as_u64().expect("an index");
    send(&fake, "PUT", "/v1/services/upload", json!({"timeout": "3s"})).await;
    let write = || Ask::json("PATCH", "/v1/config", patch());
    assert_eq!(fake.ask(write().header("if-match", base.to_string())).await.status, 412);
    let dry = send(&fake, "PATCH", "/v1/config?dry_run=true", patch()).await.json();
    assert!(dry["changes"][0].get("after").is_none(), "documents only where they are asked for: {dry}");
    let base = dry["base_index"].to_string();
    assert_eq!(fake.ask(write().header("if-match", base)).await.status, 200);
}

/// An answer is read as a whole: it must not become so large that whoever asked can't take it.
#[tokio::test]
async fn the_documents_of_an_answer_are_bounded() {
    let fake = formed();
    let value = "v".repeat(limit::VALUE_BYTES_MAX);
    let headers: serde_json::Map<String, Value> =
        (0..limit::MATCH_VALUES_MAX).map(|n| (format!("x-{n}"), json!(value))).collect();
    let heavy = |set: &str| {
        let routes = (0..100).map(|nth| {
            let says =
                json!({"match": {"headers": headers, "host": set}, "destinations": [{"service": "a"}]});
            (format!("r{nth:03}"), says)
        });
        json!({"routes": routes.collect::<serde_json::Map<_, _>>()})
    };
    for round in 0..2 {
        send(&fake, "PATCH", "/v1/config", heavy(&format!("h{round}"))).await;
    }
    let all = json!({"routes": {}});
    let dry = send(&fake, "PUT", "/v1/config?dry_run=true&diff=true", all).await;
    let told = dry.json()["changes"].as_array().expect("a list").clone();
    assert_eq!((told.len(), told.iter().filter(|one| one.get("before").is_some()).count()), (100, 100));
    for more in 1..3 {
        let routes = (0..100).map(|nth| {
            let says = json!({"match": {"headers": headers}, "destinations": [{"service": "a"}]});
            (format!("s{more}{nth:03}"), says)
        });
        send(&fake, "PATCH", "/v1/config", json!({"routes": routes.collect::<serde_json::Map<_, _>>()}))
            .await;
    }
    let dry = send(&fake, "PUT", "/v1/config?dry_run=true&diff=true", json!({})).await;
    let told = dry.json()["changes"].as_array().expect("a list").clone();
    let shown = told.iter().filter(|one| one.get("before").is_some()).count();
    assert!(told.len() == 300 && (200..300).contains(&shown), "{shown} of {}", told.len());
    assert!(dry.text.len() < 10 << 20, "{}", dry.text.len());
}

#[tokio::test]
async fn before_all_nodes_can_keep_it_there_is_no_history() {
    let fake = Fake::formed();
    fake.apply(Command::RaiseLevel { to: FeatureLevel::FIFTH });
    send(&fake, "PUT", "/v1/routes/web", route("a")).await;
    let history = get(&fake, "/v1/config/history").await;
    assert_eq!((&history["items"], &history["known_from"]), (&json!([]), &Value::Null));
    let at = fake.ask(Ask::get("/v1/config?at=1")).await;
    assert_eq!((at.status, at.problem().as_str()), (404, "not_in_history"));
}
