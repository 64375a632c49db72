//! Health, metrics, and the cluster's picture of itself.

use crate::{ask::Ask, fake::Fake};
use quorate_management::{Readiness, Reason};
use quorate_rt::time::Duration;
use serde_json::json;

#[tokio::test]
async fn livez_is_200_whatever_the_quorum() {
    let fake = Fake::unformed();
    fake.break_down(Reason::NoQuorum);
    fake.set_readiness(Readiness::Draining, Some(Duration::from_secs(99)));
    assert_eq!(fake.ask(Ask::get("/livez")).await.exactly(), (200, r#"{"status":"ok"}"#));
}

#[tokio::test]
async fn readyz_follows_the_nodes_readiness() {
    let fake = Fake::formed();
    let why = || "no leader for 7 s".to_owned();
    for (readiness, status, body) in [
        (Readiness::Ready, 200, json!({"status": "ready"})),
        (
            Readiness::Degraded { why: why(), since_leader: Some(Duration::from_secs(7)) },
            200,
            json!({"status": "degraded", "reason": why()}),
        ),
        (
            Readiness::Starting { why: "catching up".into() },
            503,
            json!({"status": "starting", "reason": "catching up"}),
        ),
        (
            Readiness::Removed,
            503,
            json!({
                "status": "removed",
                "reason": "removed: this node is no member of the cluster any more, it routes by what it knew last",
            }),
        ),
        (Readiness::Draining, 503, json!({"status": "draining", "reason": "the node is about to end"})),
    ] {
        fake.set_readiness(readiness, None);
        let answer = fake.ask(Ask::get("/readyz")).await;
        assert_eq!((answer.status, answer.json()), (status, body));
    }
}

#[tokio::test]
async fn readyz_lists_its_checks_when_asked() {
    let fake = Fake::formed();
    for query in ["verbose", "verbose=true", "a=b&verbose="] {
        let body = fake.ask(Ask::get(&format!("/readyz?{query}"))).await.json();
        let names: Vec<_> =
            body["checks"].as_array().expect("checks").iter().map(|c| c["name"].clone()).collect();
        assert_eq!(names, ["view", "leader", "accepting"]);
        assert_eq!(body["checks"][1], json!({"name": "leader", "ok": true, "detail": "n2 leads"}));
    }
    fake.set_readiness(Readiness::Starting { why: "x".into() }, Some(Duration::from_secs(3)));
    let body = fake.ask(Ask::get("/readyz?verbose")).await.json();
    assert_eq!((&body["checks"][0]["ok"], &body["checks"][1]["ok"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn metrics_are_what_the_node_renders() {
    let answer = Fake::formed().ask(Ask::get("/metrics")).await;
    assert_eq!(answer.exactly(), (200, "quorate_raft_term 3\n"));
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
}

#[tokio::test]
async fn the_cluster_is_shown_as_this_node_sees_it() {
    let body = Fake::formed().ask(Ask::get("/v1/cluster")).await.json();
    assert_eq!(
        body,
        json!({
            "cluster_id": "00000000000000000000000000000007",
            "node": "n1",
            "leader": "n2",
            "term": 3,
            "applied_index": 1,
            "feature_level": 1,
            "changed_index": 7,
            "status": "ready",
            "reason": null,
            "gateway": "ws://router-1.example:8082/ws",
            "quorum": {"held": true, "voters": 2, "reachable": 2},
            "nodes": [
                {"name": "n1", "id": "18446744073709551615", "role": "follower", "peer": "n1:7070", "management": "n1:9090", "applied_index": 1, "reachable": true, "feature_level_max": 7},
                {"name": "n2", "id": "2", "role": "leader", "peer": "n2:7070", "management": "n2:9090", "applied_index": 1, "reachable": true, "feature_level_max": 7},
                {"name": "n3", "id": "3", "role": "learner", "peer": "n3:7070", "management": "n3:9090", "applied_index": null, "reachable": false, "feature_level_max": null},
            ],
        })
    );
    let unformed = Fake::unformed();
    unformed.break_down(Reason::NoQuorum);
    let body = unformed.ask(Ask::get("/v1/cluster")).await.json();
    assert_eq!((&body["cluster_id"], &body["leader"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn leadership_is_handed_over() {
    let fake = Fake::formed();
    let path = "/v1/cluster/transfer-leader";
    assert_eq!(fake.ask(Ask::new("POST", path)).await.json(), json!({"leader": "n1"}));
    assert_eq!(fake.ask(Ask::json("POST", path, json!({"to": "n2"}))).await.json(), json!({"leader": "n2"}));
    assert_eq!(fake.ask(Ask::json("POST", path, json!({"to": "n9"}))).await.problem(), "node_unknown");
    let learner = fake.ask(Ask::json("POST", path, json!({"to": "n3"}))).await;
    assert_eq!((learner.status, learner.problem()), (422, "node_not_eligible".into()));
    let wrong = fake.ask(Ask::json("POST", path, json!({"to": 3, "node": "n1"}))).await;
    assert_eq!((wrong.status, wrong.wrong_fields()), (400, vec!["to".into(), "node".into()]));
    for (to, status) in
        [(json!({}), 200), (json!({"to": "n2"}), 200), (json!({"to": "n3"}), 422), (json!({"to": "n9"}), 404)]
    {
        assert_eq!(fake.ask(Ask::json("POST", &format!("{path}?dry_run=true"), to)).await.status, status);
    }
}
