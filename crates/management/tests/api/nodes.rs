//! `/v1/cluster/nodes/{name}`.

use crate::{
    ask::{Answer, Ask},
    fake::{Fake, MEMBERS_CHANGED},
};
use quorate_management::Reason;
use serde_json::{Value, json};
use std::sync::Arc;

async fn put(fake: &Arc<Fake>, target: &str, body: Value) -> Answer {
    fake.ask(Ask::json("PUT", &format!("/v1/cluster/nodes/{target}"), body)).await
}

async fn delete(fake: &Arc<Fake>, target: &str) -> Answer {
    fake.ask(Ask::new("DELETE", &format!("/v1/cluster/nodes/{target}"))).await
}

#[tokio::test]
async fn a_node_joins_as_a_learner_and_a_member_stays_what_it_is() {
    let fake = Fake::formed();
    let joined = put(&fake, "n4", json!({"peer": "n4:7070"})).await;
    assert_eq!(
        joined.json(),
        json!({"index": 21, "name": "n4", "id": "4", "role": "learner", "peer": "n4:7070"})
    );
    assert_eq!((joined.status, joined.header("etag")), (200, Some("\"21\"")));
    let member = put(&fake, "n2", json!({"peer": "n2:7070"})).await;
    assert_eq!((member.status, &member.json()["role"]), (200, &json!("follower")));
}

#[tokio::test]
async fn a_join_that_can_not_be_says_why() {
    let fake = Fake::formed();
    for (name, peer, status, code, says) in [
        ("n2", "other:7070", 409, "node_name_taken", "2 at n2:7070"),
        ("n5", "n4:7070", 409, "node_not_joinable", "is n4, not n5"),
        ("n4", "nobody:7070", 422, "node_not_reachable", "nobody:7070: refused"),
    ] {
        let answer = put(&fake, name, json!({"peer": peer})).await;
        assert_eq!((answer.status, answer.problem()), (status, code.into()), "{name} at {peer}");
        let detail = answer.json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains(says), "{detail}");
    }
}

#[tokio::test]
async fn a_wrong_body_is_refused_field_by_field() {
    let fake = Fake::formed();
    for (body, fields) in [
        (json!({}), vec!["peer"]),
        (json!({"peer": 7}), vec!["peer"]),
        (json!({"peer": "n4"}), vec!["peer"]),
        (json!({"peer": "http://n4:7070"}), vec!["peer"]),
        (json!({"peer": "n4:7070", "voter": true}), vec!["voter"]),
    ] {
        let answer = put(&fake, "n4", body.clone()).await;
        assert_eq!((answer.status, answer.problem()), (400, "invalid_request".into()), "{body}");
        assert_eq!(answer.wrong_fields(), fields, "{body}");
        assert!(answer.text.contains("allowed: "), "{}", answer.text);
    }
    let long = put(&fake, &"x".repeat(129), json!({"peer": "n4:7070"})).await;
    assert_eq!((long.status, long.wrong_fields()), (400, vec!["path.name".into()]));
}

#[tokio::test]
async fn a_node_leaves_unless_it_can_not_be_spared() {
    let fake = Fake::formed();
    let left = delete(&fake, "n3").await;
    assert_eq!((left.status, left.json()), (200, json!({"index": 22})));
    let needed = delete(&fake, "n2").await;
    assert_eq!((needed.status, needed.problem()), (409, "no_majority".into()));
    let unknown = delete(&fake, "n9").await;
    assert_eq!((unknown.status, unknown.problem()), (404, "node_unknown".into()));
}

#[tokio::test]
async fn membership_changes_bear_conditions_and_dry_runs() {
    let fake = Fake::formed();
    let checked = put(&fake, "n4?dry_run=true", json!({"peer": "n4:7070"})).await;
    let dry = json!({"dry_run": true, "index": MEMBERS_CHANGED.0});
    assert_eq!((checked.status, checked.json()), (200, dry.clone()));
    assert_eq!(delete(&fake, "n3?dry_run=true").await.json(), dry);
    assert_eq!(delete(&fake, "n9?dry_run=true").await.status, 404);
    for (index, status) in [(MEMBERS_CHANGED.0, 200), (6, 412)] {
        let join = Ask::json("PUT", "/v1/cluster/nodes/n4", json!({"peer": "n4:7070"}));
        let leave = Ask::new("DELETE", "/v1/cluster/nodes/n3");
        for ask in [join, leave] {
            assert_eq!(fake.ask(ask.header("if-match", format!("\"{index}\""))).await.status, status);
        }
    }
    assert_eq!(delete(&fake, "n3?force=true").await.wrong_fields(), vec!["query.force"]);
}

#[tokio::test]
async fn without_a_quorum_nobody_joins_or_leaves() {
    let fake = Fake::formed();
    fake.break_down(Reason::NoQuorum);
    for answer in [put(&fake, "n4", json!({"peer": "n4:7070"})).await, delete(&fake, "n3").await] {
        assert_eq!((answer.status, answer.problem()), (503, "no_quorum".into()));
        assert!(answer.header("retry-after").is_some());
    }
}
