//! Without a quorum: native errors say so and where the leader is, the dialects' 500s too, and reads go on.

use crate::{
    ask::Ask,
    fake::Fake,
    original::{post, register, register_body},
};
use quorate_management::Reason;
use quorate_model::FeatureLevel;
use quorate_rt::time::Duration;
use serde_json::json;

fn writes() -> [Ask; 6] {
    let worker = json!({"address": "http://h:1"});
    [
        Ask::json("PUT", "/v1/workers/w1", worker),
        Ask::new("DELETE", "/v1/workers/w1"),
        Ask::new("POST", "/v1/workers/w1/heartbeat"),
        Ask::json("POST", "/v1/heartbeats", json!({"workers": ["w1"]})),
        Ask::json("PUT", "/v1/keyspaces/x", json!({"partitions": 1})),
        Ask::new("POST", "/v1/cluster/transfer-leader"),
    ]
}

#[tokio::test]
async fn native_writes_are_503_with_the_leader_and_when_to_ask_again() {
    for (reason, code, retry_after) in [
        (Reason::NoQuorum, "no_quorum", "1"),
        (Reason::Busy { retry_after: Duration::from_millis(2_500) }, "busy", "3"),
        (Reason::DiskFull, "disk_full", "1"),
        (Reason::ShuttingDown, "shutting_down", "1"),
        (Reason::OutcomeUnknown, "outcome_unknown", "1"),
    ] {
        let fake = Fake::formed();
        fake.break_down(reason);
        for ask in writes() {
            let answer = fake.ask(ask.clone()).await;
            assert_eq!((answer.status, answer.problem().as_str()), (503, code), "{ask:?}");
            assert_eq!(answer.header("retry-after"), Some(retry_after));
            assert_eq!(answer.json()["leader"], json!({"name": "n2", "management": "10.0.0.2:9090"}));
            assert_eq!(answer.header("x-quorate-leader"), Some("10.0.0.2:9090"));
        }
    }
}

#[tokio::test]
async fn a_503_without_a_leader_says_so() {
    let fake = Fake::with_count(None);
    fake.break_down(Reason::NoQuorum);
    // Refused by the View itself, so no leader was asked.
    let body = json!({"address": "http://h:1", "partitions": [0]});
    let answer = fake.ask(Ask::json("PUT", "/v1/workers/w1?dry_run=true", body)).await;
    assert_eq!(answer.problem(), "partition_count_unknown");
    assert_eq!(answer.json().get("leader"), Some(&json!(null)));
    assert_eq!(answer.header("x-quorate-leader"), None);
}

#[tokio::test]
async fn the_dialects_fail_with_500_and_say_where_the_leader_is() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    for (reason, retry_after) in
        [(Reason::NoQuorum, "1"), (Reason::Busy { retry_after: Duration::from_millis(2_500) }, "3")]
    {
        fake.break_down(reason);
        dialects_fail(&fake, retry_after).await;
    }
}

async fn dialects_fail(fake: &std::sync::Arc<Fake>, retry_after: &str) {
    for (path, body, error) in [
        ("/register", register_body("w1", &[0]), "Failed to register worker"),
        ("/heartbeat", json!({"workerId": "w1"}), "Failed to update heartbeat"),
        ("/api/heartbeat", register_body("w1", &[0]), "Failed to update heartbeat"),
        ("/unregister", json!({"workerId": "w1"}), "Failed to unregister worker"),
    ] {
        let answer = fake.ask(Ask::json("POST", path, body)).await;
        assert_eq!((answer.status, answer.json()), (500, json!({"error": error})));
        assert_eq!(answer.header("retry-after"), Some(retry_after));
        assert_eq!(answer.header("x-quorate-leader"), Some("10.0.0.2:9090"));
    }
}

#[tokio::test]
async fn a_cluster_that_is_not_formed_registers_nobody() {
    let fake = Fake::unformed();
    let (status, text) = post(&fake, "/register", register_body("w1", &[0])).await;
    assert_eq!((status, text.as_str()), (500, r#"{"error":"Failed to register worker"}"#));
}

#[tokio::test]
async fn local_reads_and_dry_runs_go_on_and_consistent_ones_do_not() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    fake.break_down(Reason::NoQuorum);
    for path in [
        "/v1/workers",
        "/v1/workers/w1",
        "/v1/keyspaces",
        "/v1/keyspaces/default",
        "/v1/cluster",
        "/workers",
        "/healthz",
    ] {
        assert_eq!(fake.ask(Ask::get(path)).await.status, 200, "{path}");
    }
    let dry = Ask::json("PUT", "/v1/workers/w1?dry_run=true", json!({"address": "http://h:1"}));
    assert_eq!(fake.ask(dry).await.status, 200);
    for path in ["/v1/workers?consistent=true", "/v1/cluster?consistent=true", "/v1/leases"] {
        let answer = fake.ask(Ask::get(path)).await;
        assert_eq!((answer.status, answer.problem()), (503, "no_quorum".into()), "{path}");
    }
}

#[tokio::test]
async fn a_change_that_some_node_cannot_read_is_a_conflict() {
    let fake = Fake::formed();
    fake.break_down(Reason::FeatureLevel { needs: FeatureLevel::NEWEST, stands: FeatureLevel::FIRST });
    for ask in writes() {
        let answer = fake.ask(ask.clone()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (409, "feature_level"), "{ask:?}");
        assert_eq!(answer.header("retry-after"), None, "only an upgrade helps");
    }
}

#[tokio::test]
async fn a_document_that_no_log_entry_can_hold_is_too_large() {
    let fake = Fake::formed();
    fake.break_down(Reason::TooLarge { bytes: 17, max: 16 });
    let answer = fake.ask(Ask::json("PATCH", "/v1/config", json!({"services": {"a": {}}}))).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "body_too_large"), "{}", answer.text);
    assert!(answer.text.contains("17 bytes of the log; at most 16"), "{}", answer.text);
    assert_eq!(answer.header("retry-after"), None, "only a smaller one helps");
}
