//! `/v1/keyspaces`.

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
    original::register,
};
use quorate_model::LeaseEvent;
use serde_json::{Value, json};
use std::sync::Arc;

async fn put(fake: &Arc<Fake>, name: &str, body: Value) -> Answer {
    fake.ask(Ask::json("PUT", &format!("/v1/keyspaces/{name}"), body)).await
}

#[tokio::test]
async fn a_keyspace_is_set_and_shown() {
    let fake = Fake::formed();
    let made = put(&fake, "orders", json!({"partitions": 24, "source": "static"})).await;
    assert_eq!((made.status, made.json(), made.header("etag")), (200, json!({"index": 2}), Some("\"2\"")));
    let shown = fake.ask(Ask::get("/v1/keyspaces/orders")).await;
    assert_eq!(
        shown.json(),
        json!({"name": "orders", "partitions": 24, "source": "static", "hold": null, "hold_waiting_max": null,
            "changed_index": 2})
    );
    assert_eq!(shown.header("etag"), Some("\"2\""));
    let same = put(&fake, "orders", json!({"partitions": 24})).await;
    assert_eq!((same.status, same.header("etag")), (200, None), "nothing changed");
    let kafka = put(&fake, "orders", json!({"source": "kafka"})).await;
    assert_eq!(kafka.status, 200);
    let shown = fake.ask(Ask::get("/v1/keyspaces/orders")).await.json();
    assert_eq!(
        (&shown["partitions"], &shown["source"]),
        (&json!(24), &json!("kafka")),
        "the last known count stays"
    );
}

#[tokio::test]
async fn keyspaces_are_listed_and_paged() {
    let fake = Fake::formed();
    for name in ["a", "z", "m"] {
        put(&fake, name, json!({"partitions": 1})).await;
    }
    let first = fake.ask(Ask::get("/v1/keyspaces?limit=2")).await.json();
    assert_eq!((&first["items"][0]["name"], &first["next_cursor"]), (&json!("a"), &json!("default")));
    let second = fake.ask(Ask::get("/v1/keyspaces?limit=2&cursor=default")).await.json();
    assert_eq!((&second["items"][1]["name"], &second["next_cursor"]), (&json!("z"), &Value::Null));
}

#[tokio::test]
async fn an_unknown_keyspace_is_404() {
    let fake = Fake::formed();
    for path in ["/v1/keyspaces/x", "/v1/keyspaces/x/partitions"] {
        let answer = fake.ask(Ask::get(path)).await;
        assert_eq!((answer.status, answer.problem()), (404, "keyspace_unknown".into()), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_keyspace_names_its_fields() {
    let fake = Fake::formed();
    for (body, fields) in [
        (json!({}), vec!["partitions"]),
        (json!({"partitions": 0}), vec!["partitions"]),
        (json!({"partitions": 100_001}), vec!["partitions"]),
        (json!({"partitions": "12"}), vec!["partitions"]),
        (json!({"partitions": 12, "source": "etcd"}), vec!["source"]),
        (json!({"partitions": 12, "topic": "x"}), vec!["topic"]),
    ] {
        let answer = put(&fake, "orders", body.clone()).await;
        assert_eq!(
            (answer.status, answer.wrong_fields()),
            (400, fields.into_iter().map(Into::into).collect()),
            "{body}"
        );
    }
    assert_eq!(fake.proposals(), 0);
}

#[tokio::test]
async fn a_keyspace_is_bound_to_what_was_read() {
    let fake = Fake::formed();
    let ask = |name: &'static str, value: &'static str| {
        fake.ask(Ask::json("PUT", "/v1/keyspaces/default", json!({"partitions": 13})).header(name, value))
    };
    assert_eq!(ask("if-none-match", "*").await.problem(), "precondition_failed");
    assert_eq!(ask("if-match", "9").await.problem(), "precondition_failed");
    assert_eq!(ask("if-match", "\"1\"").await.status, 200);
    let dry = Ask::json("PUT", "/v1/keyspaces/default?dry_run=true", json!({"partitions": 14}));
    assert_eq!(fake.ask(dry).await.json(), json!({"dry_run": true, "index": 4}));
    assert_eq!(fake.ask(Ask::get("/v1/keyspaces/default")).await.json()["partitions"], 13);
}

#[tokio::test]
async fn partitions_tell_owner_epoch_and_status() {
    let fake = Fake::formed();
    put(&fake, "default", json!({"partitions": 4})).await;
    for (id, partition) in [("w0", 0), ("w1", 1), ("w2", 2)] {
        register(&fake, id, &[partition]).await;
    }
    fake.lease("w1", LeaseEvent::Suspected);
    fake.lease("w2", LeaseEvent::Expired);
    let page = fake.ask(Ask::get("/v1/keyspaces/default/partitions")).await.json();
    assert_eq!(
        page["items"],
        json!([
            {"partition": 0, "owner": "w0", "epoch": 3, "status": "live"},
            {"partition": 1, "owner": "w1", "epoch": 4, "status": "suspect"},
            {"partition": 2, "owner": "w2", "epoch": 5, "status": "expired"},
            {"partition": 3, "owner": null, "epoch": null, "status": "unowned"},
        ])
    );
    assert_eq!(page["index"], 7);
}

#[tokio::test]
async fn partitions_are_paged_by_number() {
    let fake = Fake::formed();
    let mut seen = Vec::new();
    let mut query = "limit=5".to_owned();
    loop {
        let page = fake.ask(Ask::get(&format!("/v1/keyspaces/default/partitions?{query}"))).await.json();
        seen.extend(
            page["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|p| p["partition"].as_u64().expect("a number")),
        );
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=5&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..12).collect::<Vec<_>>());
    let end = fake.ask(Ask::get("/v1/keyspaces/default/partitions?cursor=4294967295")).await.json();
    assert_eq!(end["items"], json!([]));
    let wrong = fake.ask(Ask::get("/v1/keyspaces/default/partitions?cursor=x")).await;
    assert_eq!((wrong.status, wrong.wrong_fields()), (400, vec!["query.cursor".into()]));
}

#[tokio::test]
async fn a_keyspace_without_a_count_has_no_partitions_yet() {
    let fake = Fake::with_count(None);
    assert_eq!(fake.ask(Ask::get("/v1/keyspaces/default")).await.json()["partitions"], Value::Null);
    assert_eq!(fake.ask(Ask::get("/v1/keyspaces/default/partitions")).await.json()["items"], json!([]));
}
