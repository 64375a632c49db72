//! Ramps of routes and sandboxes.

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn ramp() -> Value {
    json!({
        "steps": [{"after": "0s", "weights": [95, 5]}, {"after": "10m", "weights": [0, 100]}],
        "on_errors": {"percent": 5},
    })
}

fn route() -> Value {
    let destinations = json!([{"service": "a", "weight": 100}, {"service": "b", "weight": 0}]);
    json!({"match": {}, "destinations": destinations, "ramp": ramp()})
}

fn sandbox() -> Value {
    let targets = json!([{"target": "a", "weight": 100}, {"target": "a@2", "weight": 0}]);
    json!({"rules": [{"target": "x", "service": "s"}, {"targets": targets, "ramp": ramp()}]})
}

async fn set(fake: &Arc<Fake>, path: &str, body: Value) {
    let answer = fake.ask(Ask::json("PUT", path, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn order(fake: &Arc<Fake>, path: &str) -> Answer {
    fake.ask(Ask::new("POST", path)).await
}

#[tokio::test]
async fn a_routes_ramp_is_shown_ordered_and_does_not_come_with_the_document() {
    let fake = Fake::formed();
    set(&fake, "/v1/routes/web", route()).await;
    let shown = fake.ask(Ask::get("/v1/routes/web")).await.json();
    let status = &shown["ramp_status"];
    assert_eq!(
        (&status["status"], &status["step"], &status["steps"]),
        (&json!("running"), &json!(1), &json!(2))
    );
    assert_eq!(status["weights"], json!([95, 5]));
    assert_eq!(status["seen"], json!([{"destination": 1, "failures": 3, "requests": 40}]));
    assert!(status["next_step_at"].is_string(), "{status}");
    assert_eq!(shown["ramp"]["on_errors"]["window"], "1m", "the defaults of what was begun");
    assert_eq!(order(&fake, "/v1/routes/web/ramp/pause?dry_run=true").await.status, 200);
    let still = fake.ask(Ask::get("/v1/routes/web")).await.json();
    assert_eq!(still["ramp_status"]["status"], "running");
    let answer = order(&fake, "/v1/routes/web/ramp/pause").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let paused = fake.ask(Ask::get("/v1/routes/web")).await;
    assert_eq!(paused.header("etag"), answer.header("etag"));
    let status = &paused.json()["ramp_status"];
    assert_eq!((&status["status"], &status["stopped_by"]), (&json!("paused"), &json!("operator")));
    assert!(status["stopped_at"].is_string() && status.get("next_step_at").is_none(), "{status}");
    let config = fake.ask(Ask::get("/v1/config")).await.json();
    let document = &config["routes"]["web"];
    assert!(document.get("ramp_status").is_none() && document["ramp"].is_object(), "{document}");
    set(&fake, "/v1/routes/web", document.clone()).await;
    let again = fake.ask(Ask::get("/v1/routes/web")).await.json();
    assert_eq!(again["ramp_status"]["status"], "paused", "the same document begins nothing anew");
}

#[tokio::test]
async fn orders_honour_if_match_and_name_what_is_wrong() {
    let fake = Fake::formed();
    assert_eq!(order(&fake, "/v1/routes/web/ramp/pause").await.problem(), "route_unknown");
    set(&fake, "/v1/routes/plain", json!({"match": {}, "destinations": [{"service": "a"}]})).await;
    assert_eq!(order(&fake, "/v1/routes/plain/ramp/pause").await.problem(), "ramp_unknown");
    set(&fake, "/v1/routes/web", route()).await;
    let stale = Ask::new("POST", "/v1/routes/web/ramp/pause").header("if-match", "\"1\"");
    assert_eq!(fake.ask(stale).await.problem(), "precondition_failed");
    let wrong = order(&fake, "/v1/routes/web/ramp/faster").await;
    assert_eq!((wrong.status, &wrong.json()["errors"][0]["field"]), (400, &json!("path.order")));
    assert_eq!(order(&fake, "/v1/routes/web/ramp/abort").await.status, 200);
    let before = fake.ask(Ask::get("/v1/routes/web")).await;
    let twice = order(&fake, "/v1/routes/web/ramp/abort").await;
    assert_eq!((twice.status, &twice.json()["unchanged"]), (200, &json!(true)), "as good as once");
    let after = fake.ask(Ask::get("/v1/routes/web")).await;
    let index = |answer: &Answer| answer.header("x-quorate-index").map(ToOwned::to_owned);
    assert!(index(&before).is_some());
    assert_eq!(index(&before), index(&after), "no entry was written");
    assert_eq!(order(&fake, "/v1/routes/web/ramp/resume").await.problem(), "ramp_over");
    let status = fake.ask(Ask::get("/v1/routes/web")).await.json()["ramp_status"].clone();
    assert_eq!((&status["status"], &status["weights"]), (&json!("aborted"), &json!([100, 0])));
}

#[tokio::test]
async fn a_rules_ramp_is_ordered_by_its_place() {
    let fake = Fake::formed();
    assert_eq!(order(&fake, "/v1/sandboxes/dev/rules/0/ramp/pause").await.problem(), "sandbox_unknown");
    set(&fake, "/v1/sandboxes/dev", sandbox()).await;
    assert_eq!(order(&fake, "/v1/sandboxes/dev/rules/0/ramp/pause").await.problem(), "ramp_unknown");
    for bad in ["x", "-1", "100", "+1", "999999"] {
        let wrong = order(&fake, &format!("/v1/sandboxes/dev/rules/{bad}/ramp/pause")).await;
        assert_eq!((wrong.status, &wrong.json()["errors"][0]["field"]), (400, &json!("path.rule")), "{bad}");
    }
    assert_eq!(order(&fake, "/v1/sandboxes/dev/rules/1/ramp/pause").await.status, 200);
    let shown = fake.ask(Ask::get("/v1/sandboxes/dev")).await.json();
    let ramps = shown["ramps"].as_array().expect("a list");
    assert_eq!(ramps.len(), 1);
    assert_eq!((&ramps[0]["rule"], &ramps[0]["status"]), (&json!(1), &json!("paused")));
    assert_eq!(ramps[0]["seen"][0]["requests"], 40);
}

#[tokio::test]
async fn what_does_not_fit_the_destinations_is_named_by_its_place() {
    let fake = Fake::formed();
    let mut body = route();
    body["ramp"]["steps"][1] = json!({"after": "0s", "weights": [1, 2, 3]});
    let wrong = fake.ask(Ask::json("PUT", "/v1/routes/web", body)).await.json();
    let fields: Vec<_> =
        wrong["errors"].as_array().expect("a list").iter().map(|one| &one["field"]).collect();
    assert_eq!(fields, ["ramp.steps[1].after", "ramp.steps[1].weights"]);
    let mut body = sandbox();
    body["rules"][1]["ramp"]["on_errors"]["window"] = json!("1s");
    let wrong = fake.ask(Ask::json("PUT", "/v1/sandboxes/dev", body)).await.json();
    assert_eq!(wrong["errors"][0]["field"], "rules[1].ramp.on_errors.window");
}
