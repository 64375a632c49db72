//! `GET /v1/services/{name}/observations`.

use crate::{ask::Ask, fake::Fake};
use serde_json::{Value, json};
use std::sync::Arc;

async fn formed() -> Arc<Fake> {
    let fake = Fake::formed();
    for id in ["w1", "w2", "w3"] {
        let services = json!([{"name": "upload", "version": "1"}]);
        let body = json!({"address": "http://h:1", "partitions": [], "services": services});
        assert_eq!(fake.ask(Ask::json("PUT", &format!("/v1/workers/{id}"), body)).await.status, 200);
    }
    fake
}

async fn observed(fake: &Arc<Fake>, query: &str) -> Value {
    let answer = fake.ask(Ask::get(&format!("/v1/services/upload/observations{query}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn each_node_tells_what_it_makes_of_each_endpoint() {
    let body = observed(&formed().await, "").await;
    assert_eq!(
        body["nodes"],
        json!([
            {"node": "n1", "cores": 2, "cores_silent": 0, "cores_asked": 2, "cores_in_panic": 1},
            {"node": "n2", "cores": 2, "cores_silent": 0, "cores_asked": 2, "cores_in_panic": 1},
            {"node": "n3", "cores": 0, "cores_silent": 0, "cores_asked": 0, "cores_in_panic": 0,
             "why": "it does not answer"},
        ])
    );
    assert_eq!(
        body["endpoints"][0],
        json!({"worker": "w1", "status": "live", "nodes": [
            {"node": "n1", "in_flight": 2, "slow_start_percent": 40,
             "breaker": {"state": "open", "cores": 1, "since": "12s", "left": "48s", "by": "failures"},
             "ejection": {"by": "connect_failures", "cores": 2, "since": "2s", "left": "3s"}},
            {"node": "n2", "in_flight": 2, "slow_start_percent": null, "breaker": null, "ejection": null},
        ]})
    );
    assert_eq!((body["endpoints"].as_array().map(Vec::len), &body["next_cursor"]), (Some(3), &Value::Null));
}

#[tokio::test]
async fn endpoints_are_paged_and_nodes_are_asked_about_the_page_only() {
    let fake = formed().await;
    let workers = |body: &Value| {
        let names = body["endpoints"].as_array().expect("a list").iter().map(|one| one["worker"].clone());
        names.collect::<Vec<_>>()
    };
    let first = observed(&fake, "?limit=2").await;
    assert_eq!((workers(&first), &first["next_cursor"]), (vec![json!("w1"), json!("w2")], &json!("w2")));
    let second = observed(&fake, "?limit=2&cursor=w2").await;
    assert_eq!((workers(&second), &second["next_cursor"]), (vec![json!("w3")], &Value::Null));
    // The fake finds something wrong with the first that it is asked about.
    assert_eq!(second["endpoints"][0]["nodes"][0]["breaker"]["state"], "open");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let fake = formed().await;
    let get = |path: &str| Ask::get(path);
    assert_eq!(fake.ask(get("/v1/services/nothing/observations")).await.problem(), "service_unknown");
    let wrong = fake.ask(get("/v1/services/upload/observations?limit=1001")).await;
    assert_eq!(wrong.wrong_fields(), ["query.limit"]);
    let unknown = fake.ask(get("/v1/services/upload/observations?all=true")).await;
    assert_eq!(unknown.status, 400, "{}", unknown.text);
}
