//! `/v1/workers`.

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
    looks::{held_by, owner_of},
    original::register,
};
use quorate_model::{LeaseEvent, Ttl, WorkerId};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

async fn put(fake: &Arc<Fake>, id: &str, body: Value) -> Answer {
    fake.ask(Ask::json("PUT", &format!("/v1/workers/{id}"), body)).await
}

fn body(partitions: &[i32]) -> Value {
    json!({"address": "http://10.0.0.7:8081", "partitions": partitions})
}

#[tokio::test]
async fn a_registration_answers_its_lease_and_index() {
    let fake = Fake::formed();
    let answer = put(&fake, "w1", body(&[0, 1])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let interval = quorate_api::worker::heartbeat_interval(
        &WorkerId::parse("w1").expect("valid"),
        Ttl::new(Duration::from_secs(30)).expect("valid"),
    );
    let interval = format!("{}ms", interval.as_millis());
    assert_eq!(
        answer.json(),
        json!({
            "lease": {"id": 2, "epoch": 2, "ttl": "30s", "heartbeat_interval": interval}, "index": 2,
            "heartbeat_delegate_url": null,
        })
    );
    assert_eq!((answer.header("etag"), answer.header("x-quorate-index")), (Some("\"2\""), Some("2")));
    assert_eq!(held_by(&fake, "w1"), [0, 1]);
}

#[tokio::test]
async fn a_ttl_of_ones_own_counts() {
    let fake = Fake::formed();
    let answer = put(&fake, "w1", json!({"address": "http://h:1", "ttl": "1m30s"})).await.json();
    let interval = answer["lease"]["heartbeat_interval"].as_str().and_then(quorate_api::duration::parse);
    let interval = interval.expect("a duration");
    assert_eq!(answer["lease"]["ttl"], json!("1m30s"));
    let third = Duration::from_secs(27)..=Duration::from_secs(33);
    assert!(third.contains(&interval), "a third, give or take a tenth: {interval:?}");
}

#[tokio::test]
async fn a_worker_is_shown_with_the_index_of_its_last_change() {
    let fake = Fake::formed();
    put(&fake, "w1", body(&[0])).await;
    put(&fake, "w2", body(&[1])).await;
    let answer = fake.ask(Ask::get("/v1/workers/w1")).await;
    let shown = answer.json();
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")));
    assert_eq!(
        (&shown["id"], &shown["status"], &shown["changed_index"]),
        (&json!("w1"), &json!("live"), &json!(2))
    );
    assert_eq!(answer.header("x-quorate-index"), Some("3"));
}

#[tokio::test]
async fn unknown_and_removed_workers_are_404_and_expired_ones_are_shown() {
    let fake = Fake::formed();
    assert_eq!(fake.ask(Ask::get("/v1/workers/w1")).await.problem(), "worker_unknown");
    put(&fake, "w1", body(&[0])).await;
    fake.lease("w1", LeaseEvent::Expired);
    assert_eq!(fake.ask(Ask::get("/v1/workers/w1")).await.json()["status"], "expired");
    let gone = fake.ask(Ask::new("DELETE", "/v1/workers/w1")).await;
    assert_eq!((gone.status, gone.json()), (200, json!({"index": 4})));
    assert_eq!(fake.ask(Ask::get("/v1/workers/w1")).await.problem(), "worker_unknown");
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/workers/w1")).await.problem(), "worker_unknown");
}

#[tokio::test]
async fn a_partition_out_of_range_is_refused_naming_it_and_the_count() {
    let fake = Fake::formed();
    let before = fake.ask(Ask::get("/v1/workers")).await.json()["items"].clone();
    for partition in [12, -1] {
        let answer = put(&fake, "w1", body(&[0, partition])).await;
        assert_eq!((answer.status, answer.problem()), (422, "partition_out_of_range".into()));
        let detail = answer.json()["detail"].as_str().expect("text").to_owned();
        assert!(
            detail.contains(&format!("partition {partition} ")) && detail.contains("12 partitions"),
            "{detail}"
        );
    }
    assert_eq!(fake.ask(Ask::get("/v1/workers")).await.json()["items"], before);
}

#[tokio::test]
async fn a_keyspace_that_does_not_exist_is_422_in_a_body() {
    let fake = Fake::formed();
    let answer = put(&fake, "w1", json!({"address": "http://h:1", "keyspace": "nowhere"})).await;
    assert_eq!((answer.status, answer.problem()), (422, "keyspace_unknown".into()));
}

#[tokio::test]
async fn partitions_cannot_be_checked_while_the_count_is_unknown() {
    let fake = Fake::with_count(None);
    let answer = put(&fake, "w1", body(&[0])).await;
    assert_eq!((answer.status, answer.problem()), (503, "partition_count_unknown".into()));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(put(&fake, "w1", json!({"address": "http://h:1"})).await.status, 200);
}

#[tokio::test]
async fn partitions_of_the_dialects_beyond_the_count_are_shown_as_out_of_range() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0, 40]).await;
    let items = fake.ask(Ask::get("/v1/workers")).await.json()["items"].clone();
    assert_eq!(
        (&items[0]["partitions"], &items[0]["partitions_out_of_range"]),
        (&json!([0, 40]), &json!([40]))
    );
}

#[tokio::test]
async fn a_write_is_bound_to_what_was_read() {
    let fake = Fake::formed();
    let ask = |condition: (&'static str, &str)| {
        let ask = Ask::json("PUT", "/v1/workers/w1", body(&[0]));
        fake.ask(ask.header(condition.0, condition.1))
    };
    assert_eq!(ask(("if-match", "1")).await.problem(), "precondition_failed");
    assert_eq!(ask(("if-none-match", "*")).await.status, 200);
    assert_eq!(ask(("if-none-match", "*")).await.problem(), "precondition_failed");
    let tag = fake.ask(Ask::get("/v1/workers/w1")).await.header("etag").expect("a tag").to_owned();
    assert_eq!(ask(("if-match", &tag)).await.status, 200);
    let stale = ask(("if-match", &tag)).await;
    assert_eq!((stale.status, stale.problem()), (412, "precondition_failed".into()));
    let bare = fake.ask(Ask::get("/v1/workers/w1")).await.json()["changed_index"].to_string();
    let removed = fake.ask(Ask::new("DELETE", "/v1/workers/w1").header("if-match", bare)).await;
    assert_eq!(removed.status, 200, "{}", removed.text);
}

#[tokio::test]
async fn a_condition_that_makes_no_sense_is_refused_and_nothing_written() {
    let fake = Fake::formed();
    for (name, value) in [
        ("if-match", "*"),
        ("if-match", "W/\"1\""),
        ("if-match", "1,2"),
        ("if-match", "+1"),
        ("if-none-match", "5"),
    ] {
        let answer = fake.ask(Ask::json("PUT", "/v1/workers/w1", body(&[])).header(name, value)).await;
        assert_eq!((answer.status, answer.problem()), (400, "invalid_request".into()), "{name}: {value}");
    }
    let both =
        Ask::json("PUT", "/v1/workers/w1", body(&[])).header("if-match", "1").header("if-none-match", "*");
    assert_eq!(fake.ask(both).await.wrong_fields(), ["If-None-Match"]);
    assert_eq!(fake.proposals(), 0);
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_changes_nothing() {
    let fake = Fake::formed();
    let dry = |body: Value| fake.ask(Ask::json("PUT", "/v1/workers/w1?dry_run=true", body));
    let good = dry(body(&[0])).await;
    assert_eq!((good.status, good.json()), (200, json!({"dry_run": true, "index": 1})));
    assert_eq!(dry(body(&[12])).await.problem(), "partition_out_of_range");
    assert_eq!(dry(json!({"address": "x"})).await.problem(), "invalid_request");
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/workers/w1?dry_run=true")).await.problem(), "worker_unknown");
    assert_eq!((fake.proposals(), fake.state().index().0), (0, 1));
    put(&fake, "w1", body(&[0])).await;
    let stale = Ask::json("PUT", "/v1/workers/w1?dry_run=true", body(&[0])).header("if-match", "7");
    assert_eq!(fake.ask(stale).await.problem(), "precondition_failed");
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/workers/w1?dry_run=true")).await.status, 200);
    assert_eq!(owner_of(&fake, 0), Some("w1".into()));
    let off = Ask::json("PUT", "/v1/workers/w1?dry_run=false", body(&[3]));
    assert!(fake.ask(off).await.json()["lease"].is_object());
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_only_ones_own() {
    let fake = Fake::formed();
    let first = put(&fake, "w1", body(&[0])).await.json()["lease"]["id"].clone();
    let second = put(&fake, "w1", body(&[0])).await.json()["lease"]["id"].clone();
    let remove = |lease: &Value| fake.ask(Ask::new("DELETE", &format!("/v1/workers/w1?lease={lease}")));
    let late = remove(&first).await;
    assert_eq!((late.status, late.problem()), (409, "lease_stale".into()));
    assert_eq!(owner_of(&fake, 0), Some("w1".into()));
    assert_eq!(remove(&second).await.status, 200);
}

#[tokio::test]
async fn a_revival_keeps_the_lease_id() {
    let fake = Fake::formed();
    let lease = put(&fake, "w1", body(&[0])).await.json()["lease"]["id"].clone();
    fake.lease("w1", LeaseEvent::Expired);
    fake.lease("w1", LeaseEvent::Revived);
    let shown = fake.ask(Ask::get("/v1/workers/w1")).await.json();
    assert_eq!(shown["lease"], lease);
    assert!(shown["epoch"].as_u64() > lease.as_u64());
    assert_eq!(fake.ask(Ask::new("DELETE", &format!("/v1/workers/w1?lease={lease}"))).await.status, 200);
}

#[tokio::test]
async fn the_list_is_paged_by_id() {
    let fake = Fake::formed();
    for i in 0..5 {
        put(&fake, &format!("w{i}"), body(&[i])).await;
    }
    fake.ask(Ask::new("DELETE", "/v1/workers/w2")).await;
    let page = |query: String| {
        let fake = fake.clone();
        async move { fake.ask(Ask::get(&format!("/v1/workers?{query}"))).await.json() }
    };
    let ids = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|w| w["id"].as_str().expect("an id").into())
            .collect()
    };
    let first = page("limit=2".into()).await;
    assert_eq!(
        (ids(&first), &first["next_cursor"], &first["index"]),
        (vec!["w0".into(), "w1".into()], &json!("w1"), &json!(7))
    );
    let second = page("limit=2&cursor=w1".into()).await;
    assert_eq!((ids(&second), &second["next_cursor"]), (vec!["w3".into(), "w4".into()], &Value::Null));
    let all = page(String::new()).await;
    assert_eq!(ids(&all).len(), 4);
    assert_eq!(page("cursor=zzz".into()).await["items"], json!([]));
}

#[tokio::test]
async fn ids_may_need_encoding() {
    let fake = Fake::formed();
    for (path, id) in [("a%2Fb", "a/b"), ("%E6%97%A5%E6%9C%AC", "日本"), ("w%20x", "w x")] {
        assert_eq!(put(&fake, path, body(&[])).await.status, 200, "{id}");
        assert_eq!(fake.ask(Ask::get(&format!("/v1/workers/{path}"))).await.json()["id"], id);
    }
    for path in ["%00", "%20x", "%FF", &"x".repeat(254)] {
        let answer = put(&fake, path, body(&[])).await;
        assert_eq!((answer.status, answer.wrong_fields()), (400, vec!["path.id".into()]), "{path}");
    }
}

#[tokio::test]
async fn every_wrong_field_is_listed_and_nothing_is_half_applied() {
    let fake = Fake::formed();
    let wrong = json!({"adress": "http://h:1", "partitions": [0, "x"], "ttl": "0s", "weight": -1});
    let answer = put(&fake, "w1", wrong).await;
    assert_eq!((answer.status, answer.problem()), (400, "invalid_request".into()));
    assert_eq!(answer.wrong_fields(), ["address", "partitions[1]", "ttl", "weight", "adress"]);
    assert_eq!(fake.proposals(), 0);
}
