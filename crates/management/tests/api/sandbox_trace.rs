//! `/v1/sandboxes/{key}/trace`.

use crate::{ask::Ask, fake::Fake};
use serde_json::{Value, json};

fn follow(key: &str, body: Value) -> Ask {
    Ask::json("POST", &format!("/v1/sandboxes/{key}/trace"), body)
}

#[tokio::test]
async fn a_key_is_followed_by_all_nodes_that_can_be_asked() {
    let fake = Fake::formed();
    let answer = fake.ask(follow("k", json!({"for": "30s"}))).await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            200,
            json!({"nodes": [
                {"node": "n1", "following": true, "left": "30s", "cores": 2, "cores_silent": 0, "passed_over": 0},
                {"node": "n3", "following": false, "left": null, "cores": 0, "cores_silent": 0, "passed_over": 0,
                 "why": "it does not answer"},
            ]})
        )
    );
    let usual = fake.ask(Ask::new("POST", "/v1/sandboxes/k/trace")).await;
    assert_eq!(usual.json()["nodes"][0]["left"], "1m", "{}", usual.text);
    assert_eq!(fake.ask(follow("one-more", json!({}))).await.problem(), "limit_reached");
    let wrong = fake.ask(follow("a%20b", json!({"for": "1h", "until": "x"}))).await;
    assert_eq!(wrong.wrong_fields(), ["path.key", "for", "until"]);
    assert_eq!(fake.proposals(), 0, "nothing of it is in the log");
}

#[tokio::test]
async fn hops_of_all_nodes_are_put_together_and_the_loss_is_told() {
    let fake = Fake::formed();
    let told = fake.ask(Ask::get("/v1/sandboxes/k/trace")).await.json();
    let names: Vec<_> = told["nodes"].as_array().expect("a list").iter().map(|node| &node["node"]).collect();
    assert_eq!(names, ["n1", "n2", "n3"]);
    assert_eq!(told["nodes"][2]["why"], "it does not answer");
    let [trace, single] = &told["traces"].as_array().expect("a list")[..] else { panic!("{told}") };
    assert_eq!((&trace["ids"], &trace["lost"]), (&json!(["t"]), &json!(true)));
    assert_eq!(
        trace["hops"][0],
        json!({"node": "n1", "at": "2026-09-21T14:13:20.000Z", "elapsed": "10ms", "inside": null, "key": "present",
            "forms": ["x-route-key", "baggage"], "other_key": false, "method": "GET", "host": "shop.example",
            "path": "/cart", "decided_by": "sandbox", "service": "cart@v2", "address": "10.0.0.8:80", "status": 200})
    );
    let lost = &trace["hops"][1];
    assert_eq!(
        (&lost["node"], &lost["inside"], &lost["key"], &lost["lost_after"]),
        (&json!("n2"), &json!(0), &json!("lost"), &json!(0))
    );
    assert_eq!(
        (&single["ids"], &single["lost"], single["hops"].as_array().map(Vec::len)),
        (&json!([]), &json!(false), Some(1))
    );
    let newest = fake.ask(Ask::get("/v1/sandboxes/k/trace?limit=1")).await.json();
    assert_eq!((newest["traces"].as_array().map(Vec::len), &newest["left_out"]), (Some(1), &json!(1)));
    assert_eq!(fake.ask(Ask::get("/v1/sandboxes/a%20b/trace")).await.wrong_fields(), ["path.key"]);
}
