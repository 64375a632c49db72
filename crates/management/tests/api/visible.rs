//! Writes that wait until other nodes have them.

use crate::{ask::Ask, fake::Fake};
use quorate_rt::time;
use serde_json::{Value, json};
use std::time::Duration;

fn put(query: &str) -> Ask {
    Ask::json(
        "PUT",
        &format!("/v1/workers/w1{query}"),
        json!({"address": "http://10.0.0.7:1", "partitions": [0]}),
    )
}

#[tokio::test]
async fn a_write_names_who_has_it_and_who_has_not() {
    let fake = Fake::formed();
    let expected = |index: u64, within: &str| {
        json!({
            "all": false,
            "applied": ["n1", "n2"],
            "missing": [{"node": "n3", "why": format!("it does not answer, asked for {index} within {within}")}],
        })
    };
    let registered = fake.ask(put("?visible=all")).await.json();
    assert_eq!(registered["visible"], expected(2, "2s"));
    assert!(registered["lease"]["id"].is_u64() && registered["index"] == 2, "all that it says otherwise");
    let keyspace = Ask::json("PUT", "/v1/keyspaces/k?visible=all&wait=500ms", json!({"partitions": 3}));
    assert_eq!(fake.ask(keyspace).await.json()["visible"], expected(3, "500ms"));
    let removed = fake.ask(Ask::new("DELETE", "/v1/workers/w1?visible=all&wait=30s")).await.json();
    assert_eq!(removed["visible"], expected(4, "30s"));
}

#[tokio::test]
async fn nobody_is_asked_unless_it_is_wanted() {
    let fake = Fake::formed();
    fake.deafen();
    for ask in [put(""), put("?dry_run=true")] {
        let answer = time::timeout(Duration::from_secs(30), fake.ask(ask)).await.expect("at once");
        assert_eq!((answer.status, answer.json().get("visible")), (200, None::<&Value>));
    }
    for (ask, field) in [
        (put("?visible=some"), "query.visible"),
        (put("?visible=all&dry_run=true"), "query.visible"),
        (put("?wait=2s"), "query.wait"),
        (Ask::json("PUT", "/v1/cluster/nodes/n4?visible=all", json!({"peer": "n4:7070"})), "query.visible"),
    ] {
        let answer = fake.ask(ask.clone()).await;
        assert_eq!((answer.status, answer.wrong_fields()), (400, vec![field.to_owned()]), "{ask:?}");
    }
}

#[tokio::test]
async fn a_node_that_ends_says_that_it_asked_nobody() {
    let fake = Fake::formed();
    fake.deafen();
    let ending = async {
        while fake.proposals() == 0 {
            tokio::task::yield_now().await;
        }
        fake.end();
    };
    let (answer, ()) = futures_util::future::join(fake.ask(put("?visible=all")), ending).await;
    let visible = answer.json()["visible"].clone();
    assert_eq!((answer.status, &visible["all"], &visible["applied"]), (200, &json!(false), &json!(["n1"])));
    assert_eq!(visible["missing"].as_array().map(Vec::len), Some(2));
}
