//! Versions of services in routes and policies: set, shown, declared, gone back to, explained, and refused with places.

use crate::{ask::Ask, fake::Fake};
use quorate_model::{Command, FeatureLevel};
use serde_json::{Value, json};
use std::sync::Arc;

fn formed() -> Arc<Fake> {
    let fake = Fake::formed();
    fake.apply(Command::RaiseLevel { to: FeatureLevel::NEWEST });
    fake
}

async fn put(fake: &Arc<Fake>, path: &str, body: Value) -> Value {
    let answer = fake.ask(Ask::json("PUT", path, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn get(fake: &Arc<Fake>, path: &str) -> Value {
    let answer = fake.ask(Ask::get(path)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// `web` by `a` in version v1 and by `b` in v2; /next is routed to v2.
async fn scene() -> Arc<Fake> {
    let fake = formed();
    for (id, version) in [("a", "v1"), ("b", "v2")] {
        let services = json!([{"name": "web", "version": version}]);
        let worker = json!({"address": format!("http://{id}:1"), "services": services});
        put(&fake, &format!("/v1/workers/{id}"), worker).await;
    }
    put(&fake, "/v1/services/web", json!({"default_version": "v1"})).await;
    let route = json!({
        "match": {"path_prefix": "/next"},
        "destinations": [{"service": "web", "version": "v2", "weight": 1}, {"service": "web", "weight": 0}],
        "mirror": {"service": "web", "version": "v1", "percent": 10},
    });
    put(&fake, "/v1/routes/next", route).await;
    fake
}

#[tokio::test]
async fn what_is_set_is_shown_and_counted_by_it() {
    let fake = scene().await;
    let service = get(&fake, "/v1/services/web").await;
    assert_eq!(service["policy"]["default_version"], "v1");
    let versions: Vec<_> =
        service["endpoints"].as_array().expect("a list").iter().map(|one| &one["version"]).collect();
    assert_eq!(versions, ["v1", "v2"], "all are told of");
    assert_eq!((&service["endpoint_count"], &service["serving_count"]), (&json!(2), &json!(1)));
    let route = get(&fake, "/v1/routes/next").await;
    assert_eq!(
        (&route["destinations"], &route["mirror"]),
        (
            &json!([{"service": "web", "version": "v2", "weight": 1}, {"service": "web", "weight": 0}]),
            &json!({"service": "web", "version": "v1", "percent": 10}),
        )
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place() {
    let fake = formed();
    let long = "v".repeat(257);
    for (method, path, body, places) in [
        ("PUT", "/v1/services/web", json!({"default_version": long}), vec!["default_version"]),
        ("PUT", "/v1/services/web", json!({"default_version": ["v1"]}), vec!["default_version"]),
        (
            "PUT",
            "/v1/routes/r",
            json!({
                "match": {},
                "destinations": [{"service": "a", "version": ""}, {"url": "http://h", "version": "v1"}],
                "mirror": {"url": "http://h", "version": "v1"},
            }),
            vec!["destinations[0].version", "destinations[1].version", "mirror.version"],
        ),
        (
            "PATCH",
            "/v1/config",
            json!({
                "services": {"web": {"default_versoin": "v1"}},
                "routes": {"r": {"match": {}, "destinations": [{"keyspace": "default", "version": "v1"}]}},
            }),
            vec!["routes.r.destinations[0].version", "services.web.default_versoin"],
        ),
    ] {
        let answer = fake.ask(Ask::json(method, path, body.clone())).await;
        assert_eq!(
            (answer.status, answer.wrong_fields()),
            (400, places.into_iter().map(Into::into).collect())
        );
    }
    assert_eq!(fake.proposals(), 0);
}

/// Documents know it, and the history brings it back.
#[tokio::test]
async fn it_is_declared_compared_and_gone_back_to() {
    let fake = scene().await;
    let declared = get(&fake, "/v1/config").await;
    assert_eq!(declared["services"], json!({"web": {"default_version": "v1"}}));
    assert_eq!(declared["routes"]["next"]["destinations"][0]["version"], "v2");
    let before = fake.state().index().0;
    let other = json!({"services": {"web": {"default_version": "v2"}}});
    let dry = put(&fake, "/v1/config?dry_run=true&diff=true", other.clone()).await.to_string();
    assert!(dry.contains("default_version"), "{dry}");
    put(&fake, "/v1/config", other).await;
    assert_eq!(get(&fake, "/v1/config").await["services"]["web"]["default_version"], "v2");
    let back = fake.ask(Ask::json("POST", "/v1/config/rollback", json!({"to": before}))).await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert_eq!(get(&fake, "/v1/config").await, declared);
}

#[tokio::test]
async fn explain_tells_of_it() {
    let fake = scene().await;
    for (path, version, worker) in [("/next/x", "@v2", "b"), ("/api/service/web/x", "version v1", "a")] {
        let asked = Ask::json("POST", "/v1/explain", json!({"url": format!("http://h{path}")}));
        let told = fake.ask(asked).await.json();
        let decision = &told["decision"];
        assert!(decision["why"].as_str().expect("text").contains(version), "{told}");
        assert_eq!(decision["endpoints"].as_array().map(Vec::len), Some(1), "{told}");
        assert_eq!(decision["endpoints"][0]["worker"], worker, "{told}");
    }
}
