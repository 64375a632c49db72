//! `/v1/explain`.

use crate::{
    ask::Ask,
    fake::{Fake, found},
    services::{get, offer, post},
};
use quorate_model::Verdict;
use serde_json::{Value, json};
use std::sync::Arc;

async fn set(fake: &Arc<Fake>, path: &str, body: Value) {
    let answer = fake.ask(Ask::json("PUT", path, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn explain(fake: &Arc<Fake>, body: Value) -> Value {
    let answer = fake.ask(Ask::json("POST", "/v1/explain", body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// A worker that offers `upload`, and two routes to it.
async fn formed() -> Arc<Fake> {
    let fake = Fake::formed();
    let worker = json!({"address": "http://w1:1", "services": [{"name": "upload"}], "partitions": [0]});
    set(&fake, "/v1/workers/w1", worker).await;
    let blue = json!({
        "match": {"path_prefix": "/api", "headers": {"x-env": "blue"}},
        "destinations": [{"service": "upload"}],
    });
    set(&fake, "/v1/routes/blue", blue).await;
    let rest = json!({"match": {"path_prefix": "/"}, "redirect": {"scheme": "https", "status": 308}});
    set(&fake, "/v1/routes/rest", rest).await;
    fake
}

#[tokio::test]
async fn a_request_that_a_route_is_for_is_explained_with_what_it_reaches() {
    let fake = formed().await;
    let told = explain(&fake, json!({"url": "http://h/api/x", "headers": {"X-Env": "blue"}})).await;
    let decision = &told["decision"];
    assert_eq!((&decision["action"], &decision["route"]), (&json!("forward"), &json!("blue")), "{told}");
    assert_eq!(decision["service"], "upload");
    let endpoint = &decision["endpoints"][0];
    assert_eq!((&endpoint["worker"], &endpoint["serves"]), (&json!("w1"), &json!(true)), "{told}");
    assert_eq!(decision["destination"]["target"], "service upload");
    assert_eq!(told["rules"], json!([{"kind": "route", "name": "blue", "matched": true, "reasons": []}]));
    assert_eq!(told["index"], json!(fake.state().index().0));
}

/// The key, the form that it was found in, and why the request goes elsewhere than the rule says.
#[tokio::test]
async fn a_routing_key_is_explained() {
    let fake = formed().await;
    let rules = json!({"rules": [
        {"target": "http://10.0.0.8:80", "path_prefixes": ["/v2"]},
        {"target": "upload@9", "service": "upload"},
    ]});
    set(&fake, "/v1/sandboxes/k1", rules).await;
    let headers = json!({"baggage": "route-key=k1", "x-env": "blue"});
    let ask = |url: &str| json!({"url": format!("http://h{url}"), "headers": headers});
    let told = explain(&fake, ask("/v2/x")).await;
    assert_eq!(told["key"], json!({"key": "k1", "form": "baggage member route-key"}), "{told}");
    assert_eq!(told["decision"]["sandbox"], "k1", "{told}");
    assert_eq!(told["decision"]["endpoints"][0]["url"], "http://10.0.0.8:80", "{told}");
    let rule = json!({"kind": "sandbox", "name": "k1 rule 0", "matched": true, "reasons": []});
    assert_eq!(told["rules"], json!([rule]));
    // Nobody offers that version, and the rule lets it go on.
    let told = explain(&fake, ask("/api/x")).await;
    assert_eq!(
        (&told["decision"]["route"], &told["decision"]["sandbox"]),
        (&json!("blue"), &Value::Null),
        "{told}"
    );
    assert!(told["decision"]["fallback"].as_str().is_some_and(|why| why.contains("upload@9")), "{told}");
    let names: Vec<_> = told["rules"].as_array().expect("a list").iter().map(|rule| &rule["name"]).collect();
    assert_eq!(names, ["k1 rule 0", "k1 rule 1", "blue"]);
}

/// What did not match says why; what a header holds is not told.
#[tokio::test]
async fn each_rule_that_did_not_match_says_why() {
    let fake = formed().await;
    let told = explain(&fake, json!({"url": "/api/x", "headers": {"x-env": "green", "host": "h"}})).await;
    assert_eq!(told["decision"]["action"], "redirect", "{told}");
    assert_eq!(told["decision"]["location"], "https://h/api/x");
    let rules = told["rules"].as_array().expect("a list");
    let tried: Vec<_> = rules.iter().map(|rule| (rule["name"].as_str(), rule["matched"].as_bool())).collect();
    assert_eq!(tried, [(Some("blue"), Some(false)), (Some("rest"), Some(true))]);
    let reason = &rules[0]["reasons"][0];
    assert_eq!(reason["field"], "match.headers.x-env", "{told}");
    assert!(!told.to_string().contains("green"), "{told}");
}

#[tokio::test]
async fn a_request_without_a_route_is_explained_too() {
    let fake = Fake::formed();
    let told = explain(&fake, json!({"url": "/x"})).await;
    assert_eq!((&told["decision"]["action"], &told["decision"]["status"]), (&json!("answer"), &json!(400)));
    let kinds: Vec<_> = told["rules"].as_array().expect("a list").iter().map(|rule| &rule["kind"]).collect();
    assert_eq!(kinds, ["service", "workspace"]);
    let wrong = fake.ask(Ask::json("POST", "/v1/explain", json!({"url": "x", "verb": 1}))).await;
    assert_eq!(wrong.wrong_fields(), ["url", "verb"]);
}

/// What is told of a worker here is what its service says of it.
#[tokio::test]
async fn a_worker_has_one_status_wherever_it_is_shown() {
    let fake = Fake::formed();
    set(&fake, "/v1/services/upload", json!({"health": {}})).await;
    for id in ["a", "b", "c", "d", "e"] {
        offer(&fake, id, json!({})).await;
    }
    found(&fake, "b", Verdict::Unhealthy);
    post(&fake, "/v1/workers/c/drain").await;
    post(&fake, "/v1/workers/d/offline").await;
    let told = explain(&fake, json!({"url": "/api/service/upload/x"})).await;
    let service = get(&fake, "/v1/services/upload").await;
    let statuses = |list: &Value| {
        let list = list.as_array().expect("a list").iter();
        let mut list: Vec<_> = list.map(|one| (one["worker"].to_string(), one["status"].clone())).collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    };
    let here = statuses(&told["decision"]["endpoints"]);
    assert_eq!(here, statuses(&service["endpoints"]), "{told}");
    let here: Vec<_> = here.iter().filter_map(|(_, status)| status.as_str()).collect();
    assert_eq!(here, ["live", "ejected", "draining", "offline", "live"]);
    let serves = |one: &&Value| one["serves"] == true;
    let endpoints = told["decision"]["endpoints"].as_array().expect("a list");
    assert_eq!(endpoints.iter().filter(serves).count(), 2, "{told}");
}
