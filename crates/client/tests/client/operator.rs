//! How an operator's calls find a node, follow pages, and tell failures apart.

use crate::support::{Router, Say, ok, problem};
use quorate_client::{
    Error, Operator, Url,
    operator::{KeyspaceSettings, Policy},
};
use serde_json::json;

fn operator(routers: &[&Router]) -> Operator {
    let urls = routers.iter().map(|router| router.url.clone()).collect();
    Operator::new(urls, Some("t".into())).expect("valid")
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let router = Router::start(|seen| match seen.line.as_str() {
        "GET /v1/workers?limit=1000" => {
            Say::Answer(200, json!({"items": [{"id": "a", "new": 1}], "next_cursor": "a", "index": 5}))
        }
        "GET /v1/workers?limit=1000&cursor=a" => {
            Say::Answer(200, json!({"items": [{"id": "b"}], "next_cursor": null, "index": 6}))
        }
        other => panic!("{other}"),
    })
    .await;
    let told = operator(&[&router]).workers().await.expect("two pages");
    assert_eq!(told.value.iter().map(|worker| worker.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        told.json,
        json!({"items": [{"id": "a", "new": 1}, {"id": "b"}], "next_cursor": null, "index": 6})
    );
    assert!(router.seen()[0].head.contains("authorization: bearer t"));
}

#[tokio::test]
async fn cursors_that_lead_in_a_circle_are_an_error() {
    let router = Router::start(|_| Say::Answer(200, json!({"items": [], "next_cursor": "x"}))).await;
    let error = operator(&[&router]).leases().await.expect_err("a circle");
    assert!(error.to_string().contains("page after page with the cursor x"), "{error}");
}

#[tokio::test]
async fn every_call_has_its_place_in_the_api() {
    let router = Router::start(|seen| {
        if seen.line.starts_with("GET") && seen.line.contains("limit") {
            return Say::Answer(200, json!({"items": [], "next_cursor": null}));
        }
        Say::Answer(200, json!({"id": "w/1", "name": "k", "node": "n1", "holder": "w"}))
    })
    .await;
    let op = operator(&[&router]);
    op.cluster().await.expect("answered");
    op.transfer_leader(Some("n2")).await.expect("answered");
    op.transfer_leader(None).await.expect("answered");
    op.worker("w/1").await.expect("answered");
    op.remove_worker("w/1").await.expect("answered");
    op.keyspaces().await.expect("answered");
    op.keyspace("k").await.expect("answered");
    let settings = KeyspaceSettings { source: "static", ..KeyspaceSettings::default() };
    op.set_keyspace("k", &KeyspaceSettings { partitions: Some(8), ..settings }, None)
        .await
        .expect("answered");
    op.set_keyspace("k", &KeyspaceSettings { source: "kafka", hold: Some("5s"), ..settings }, Some(7))
        .await
        .expect("answered");
    op.partitions("k").await.expect("answered");
    op.leases().await.expect("answered");
    let seen: Vec<_> = router.seen().iter().map(|s| format!("{} {}", s.line, s.body)).collect();
    let condition = |head: &str| head.lines().find(|line| line.starts_with("if-match")).map(str::to_owned);
    let puts: Vec<_> =
        router.seen().iter().filter(|s| s.line.starts_with("PUT")).map(|s| condition(&s.head)).collect();
    assert_eq!(puts, [None, Some("if-match: \"7\"".to_owned())]);
    assert_eq!(
        seen,
        [
            "GET /v1/cluster null",
            "POST /v1/cluster/transfer-leader {\"to\":\"n2\"}",
            "POST /v1/cluster/transfer-leader {}",
            "GET /v1/workers/w%2F1 null",
            "DELETE /v1/workers/w%2F1 null",
            "GET /v1/keyspaces?limit=1000 null",
            "GET /v1/keyspaces/k null",
            "PUT /v1/keyspaces/k {\"partitions\":8,\"source\":\"static\"}",
            "PUT /v1/keyspaces/k {\"hold\":\"5s\",\"source\":\"kafka\"}",
            "GET /v1/keyspaces/k/partitions?limit=1000 null",
            "GET /v1/leases?limit=1000 null",
        ]
    );
}

#[tokio::test]
async fn nobody_there_and_nobody_able_are_different_errors() {
    let silent: Url = "http://127.0.0.1:1".parse().expect("a URL");
    let alone = Operator::new(vec![silent.clone()], None).expect("valid");
    let error = alone.cluster().await.expect_err("nobody listens on port 1");
    assert!(matches!(&error, Error::Unreachable(tried) if tried.len() == 1), "{error}");

    let router = Router::start(|_| problem(503, "no_quorum")).await;
    let both = Operator::new(vec![silent, router.url.clone()], None).expect("valid");
    let error = both.cluster().await.expect_err("no quorum");
    assert_eq!(error.problem().expect("a problem").code, "no_quorum");
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_as_such() {
    let router = Router::start(|_| Say::Answer(200, json!({"nodes": 5}))).await;
    let error = operator(&[&router]).cluster().await.expect_err("no cluster");
    assert!(matches!(error, Error::Answer { .. }), "{error}");
}

#[tokio::test]
async fn names_that_would_be_another_resource_are_refused_here() {
    let router = Router::start(|_| ok()).await;
    let op = operator(&[&router]);
    assert!(matches!(op.remove_worker("..").await, Err(Error::Invalid(_))));
    assert!(matches!(op.keyspace("").await, Err(Error::Invalid(_))));
    assert!(router.lines().is_empty());
}

#[tokio::test]
async fn operators_decide_about_services_and_workers() {
    let router = Router::start(|seen| {
        if seen.line.contains("/services?") || seen.line.contains("/delegates?") {
            return Say::Answer(200, json!({"items": [], "next_cursor": null}));
        }
        Say::Answer(200, json!({"name": "s", "index": 7, "in_flight": 0}))
    })
    .await;
    let op = operator(&[&router]);
    op.services().await.expect("answered");
    op.service("s/1").await.expect("answered");
    op.set_service("s", &Policy { hold: Some("5s".into()), ..Policy::default() }, Some(0))
        .await
        .expect("answered");
    op.delete_service("s").await.expect("answered");
    op.delegates().await.expect("answered");
    op.drain_worker("w").await.expect("answered");
    op.resume_worker("w").await.expect("answered");
    op.take_worker_offline("w").await.expect("answered");
    op.weigh_worker("w", Some(5)).await.expect("answered");
    op.weigh_worker("w", None).await.expect("answered");
    op.in_flight("w", 7).await.expect("answered");
    let seen: Vec<_> = router.seen().iter().map(|s| format!("{} {}", s.line, s.body)).collect();
    assert_eq!(
        seen,
        [
            "GET /v1/services?limit=1000 null",
            "GET /v1/services/s%2F1?limit=1000 null",
            "PUT /v1/services/s {\"hold\":\"5s\"}",
            "DELETE /v1/services/s null",
            "GET /v1/delegates?limit=1000 null",
            "POST /v1/workers/w/drain null",
            "POST /v1/workers/w/resume null",
            "POST /v1/workers/w/offline null",
            "PUT /v1/workers/w/weight {\"weight\":5}",
            "PUT /v1/workers/w/weight {\"weight\":null}",
            "GET /v1/workers/w/in-flight?index=7 null",
        ]
    );
    for wrong in ["", ".", ".."] {
        assert!(matches!(op.drain_worker(wrong).await, Err(Error::Invalid(_))), "{wrong}");
    }
}

#[tokio::test]
async fn a_service_is_read_to_its_last_endpoint() {
    let page = |workers: &[&str], next: Option<&str>| {
        let endpoints: Vec<_> = workers.iter().map(|worker| json!({"worker": worker})).collect();
        Say::Answer(200, json!({"name": "s", "endpoints": endpoints, "next_cursor": next}))
    };
    let router = Router::start(move |seen| match seen.line.as_str() {
        "GET /v1/services/s?limit=1000" => page(&["a", "b"], Some("b")),
        "GET /v1/services/s?limit=1000&cursor=b" => page(&["c"], Some("c")),
        "GET /v1/services/s?limit=1000&cursor=c" => page(&["d"], None),
        _ => page(&["x"], Some("loop")),
    })
    .await;
    let op = operator(&[&router]);
    let whole = op.service("s").await.expect("read");
    let ids: Vec<_> = whole.value.endpoints.iter().map(|e| e.worker.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    assert_eq!(
        (whole.json["endpoints"].as_array().map(Vec::len), &whole.json["next_cursor"]),
        (Some(4), &json!(null))
    );
    assert!(matches!(op.service("round").await, Err(Error::Answer { .. })), "a cursor that leads nowhere");
}
