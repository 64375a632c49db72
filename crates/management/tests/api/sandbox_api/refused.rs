//! What is refused, and in which words.

use super::*;
use quorate_management::Reason;

#[tokio::test]
async fn each_wrong_field_is_a_cause_that_says_what_is_allowed() {
    let fake = Fake::formed();
    let bad = json!({"ttl": 10, "services": [{"name": "a/b"}], "replicas": 3});
    let answer = create(&fake, "sandboxes", &sandbox("pr-12", bad)).await;
    assert_eq!(causes(&answer), ["spec.ttl", "spec.services[0].name", "spec.replicas"]);
    let body = answer.json();
    assert_eq!((&body["details"]["name"], &body["details"]["kind"]), (&json!("pr-12"), &json!("sandboxes")));
    let cause = &body["details"]["causes"][0];
    assert_eq!(cause["reason"], "FieldValueInvalid");
    assert_eq!(cause["message"], "is 10; allowed: 300 to 604800");
    let nothing = create(&fake, "localworkloads", &json!({"metadata": {"name": "x"}, "spec": {}})).await;
    assert_eq!(causes(&nothing), ["spec.sandboxRef", "spec.service"]);
    assert_eq!(nothing.json()["details"]["causes"][0]["reason"], "FieldValueRequired");
    assert_eq!(causes(&create(&fake, "sandboxes", &json!({})).await), ["metadata", "spec"]);
    assert!(fake.state().objects().is_empty());
}

#[tokio::test]
async fn what_can_not_be_read_is_a_bad_request() {
    let fake = Fake::formed();
    let raw =
        |text: &str| Ask::new("POST", &at("sandboxes")).header("content-type", "application/json").body(text);
    for text in ["{", "[]", "", r#"{"kind": "RouteGroup"}"#, r#"{"apiVersion": "v1"}"#] {
        let answer = fake.ask(raw(text)).await;
        assert_eq!((answer.status, reason(&answer).as_str()), (400, "BadRequest"), "{text}");
    }
    let other = json!({"metadata": {"name": "x", "namespace": "team-b"}, "spec": {}});
    assert_eq!(reason(&create(&fake, "sandboxes", &other).await), "BadRequest");
    for path in ["sandboxes/A", "sandboxes?limit=x", "sandboxes?colour=red", "sandboxes/x?limit=1"] {
        let answer = fake.ask(get(path)).await;
        assert_eq!((answer.status, reason(&answer).as_str()), (400, "BadRequest"), "{path}");
    }
    let plain = fake.ask(Ask::new("POST", &at("sandboxes")).body("{}")).await;
    assert_eq!((plain.status, reason(&plain).as_str()), (415, "UnsupportedMediaType"));
    let large = format!(r#"{{"spec": "{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(fake.ask(raw(&large)).await.status, 413);
    let long = json!({"services": [{"name": "a", "containers": [
        {"name": "c", "env": vec![json!({"name": "A", "value": "x".repeat(8 << 10)}); 64]}]}]});
    assert_eq!(causes(&create(&fake, "sandboxes", &sandbox("x", long)).await), ["spec"]);
}

#[tokio::test]
async fn paths_that_are_not_there_are_told_in_the_same_words_and_to_no_stranger() {
    let fake = Fake::formed();
    for path in
        [at("pods"), at("pods/x"), at("sandboxes/x/spec"), "/api/v1alpha1".into(), "/api/v1alpha1/x".into()]
    {
        let answer = fake.ask(Ask::get(&path)).await;
        assert_eq!((answer.status, reason(&answer).as_str()), (404, "NotFound"), "{path}");
    }
    for (method, path) in [
        ("PATCH", "sandboxes/x"),
        ("POST", "sandboxes/x"),
        ("DELETE", "sandboxes"),
        ("POST", "sandboxes/x/status"),
    ] {
        let answer = fake.ask(Ask::new(method, &at(path))).await;
        assert_eq!((answer.status, reason(&answer).as_str()), (405, "MethodNotAllowed"), "{method} {path}");
    }
    let asked = fake.ask(Ask::new("OPTIONS", &at("sandboxes"))).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (204, None));
    let listed = fake.ask(get("sandboxes")).await;
    assert_eq!((listed.status, listed.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn without_a_quorum_clients_are_told_when_to_come_again() {
    let fake = Fake::formed();
    made(&fake, "sandboxes", &sandbox("pr-12", cart())).await;
    fake.break_down(Reason::NoQuorum);
    for ask in
        [get("sandboxes"), get("sandboxes/pr-12"), Ask::json("POST", &at("sandboxes"), sandbox("x", cart()))]
    {
        let answer = fake.ask(ask).await;
        assert_eq!((answer.status, reason(&answer).as_str()), (503, "ServiceUnavailable"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.json()["details"]["retryAfterSeconds"], 1);
    }
    assert_eq!(fake.ask(get("sandboxes/pr-12?resourceVersion=0")).await.status, 200);
    fake.break_down(Reason::OutcomeUnknown);
    let unknown = create(&fake, "sandboxes", &sandbox("x", cart())).await;
    assert_eq!((unknown.status, reason(&unknown).as_str()), (500, "InternalError"));
}
