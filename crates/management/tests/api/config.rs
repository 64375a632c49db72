//! `/v1/config`.

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
};
use quorate_model::{Command, FeatureLevel, ServiceName, ServicePolicy, limit};
use serde_json::{Value, json};
use std::sync::Arc;

/// At the level at which all nodes keep the index of what is declared.
fn formed() -> Arc<Fake> {
    let fake = Fake::formed();
    fake.apply(Command::RaiseLevel { to: FeatureLevel::NEWEST });
    fake
}

fn route(service: &str) -> Value {
    json!({"match": {}, "destinations": [{"service": service, "weight": 100}], "priority": 0})
}

async fn send(fake: &Arc<Fake>, method: &'static str, query: &str, body: Value) -> Answer {
    fake.ask(Ask::json(method, &format!("/v1/config{query}"), body)).await
}

async fn declared(fake: &Arc<Fake>) -> Value {
    fake.ask(Ask::get("/v1/config")).await.json()
}

/// `route web created`, and so on.
fn changes(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let word = |change: &Value, key: &str| change[key].as_str().expect("a word").to_owned();
    let list = answer.json()["changes"].as_array().expect("a list").clone();
    let line = |one: &Value| format!("{} {} {}", word(one, "kind"), word(one, "name"), word(one, "change"));
    list.iter().map(line).collect()
}

#[tokio::test]
async fn a_document_is_put_and_read_back_as_it_was() {
    let fake = formed();
    let whole = json!({
        "routes": {"api": route("a"), "web": {"match": {"host": "*.example.com"}, "redirect": {"status": 302, "scheme": "https"}, "priority": 1}},
        "sandboxes": {},
        "services": {"upload": {"timeout": "3s", "balancing": "p2c"}},
        "keyspaces": {"default": {"partitions": 24, "source": "static"}},
    });
    let put = send(&fake, "PUT", "", whole.clone()).await;
    assert_eq!(
        changes(&put),
        ["route api created", "route web created", "service upload created", "keyspace default changed"]
    );
    assert_eq!(declared(&fake).await, whole);
    assert_eq!(fake.proposals(), 1, "one entry");
    // The same once more changes nothing, and says so.
    assert_eq!(changes(&send(&fake, "PUT", "", whole.clone()).await), [""; 0]);
    // What a replacing document does not name goes; keyspaces stay.
    let less = send(&fake, "PUT", "", json!({"routes": {"api": route("b")}})).await;
    assert_eq!(changes(&less), ["route api changed", "route web removed", "service upload removed"]);
    let left = declared(&fake).await;
    assert_eq!((&left["services"], &left["keyspaces"]), (&json!({}), &whole["keyspaces"]));
    assert_eq!(left["routes"], json!({"api": route("b")}));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_takes_away() {
    let fake = formed();
    let body =
        json!({"routes": {"a": route("a"), "b": route("b")}, "services": {"upload": {"timeout": "3s"}}});
    send(&fake, "PUT", "", body).await;
    let patch = json!({"routes": {"a": null, "c": route("c"), "d": null}});
    let answer = send(&fake, "PATCH", "", patch).await;
    assert_eq!(changes(&answer), ["route a removed", "route c created"]);
    let left = declared(&fake).await;
    assert_eq!(left["routes"], json!({"b": route("b"), "c": route("c")}));
    assert_eq!(left["services"], json!({"upload": {"timeout": "3s"}}));
    let null = send(&fake, "PUT", "", json!({"routes": {"b": null}})).await;
    assert_eq!(null.wrong_fields(), ["routes.b"]);
}

#[tokio::test]
async fn a_document_with_a_mistake_changes_nothing() {
    let fake = formed();
    let body = json!({
        "routes": {"good": route("a"), "bad": {"match": {}, "destinations": [{"service": "a", "weight": 0}]}},
        "services": {"upload": {"limits": {"pending_max": 0}}},
        "sandboxes": {"k": {"rules": []}},
    });
    let answer = send(&fake, "PATCH", "", body).await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid_request"));
    assert_eq!(
        answer.wrong_fields(),
        ["routes.bad.destinations", "sandboxes.k.rules", "services.upload.limits.pending_max"]
    );
    assert_eq!((fake.proposals(), fake.state().routes().len()), (0, 0));
    let not_json = fake.ask(Ask::new("PATCH", "/v1/config")).await;
    assert_eq!(not_json.status, 415, "{}", not_json.text);
}

/// A merging document changes objects as a whole, so it can take a route's destinations away by not naming them.
#[tokio::test]
async fn a_document_that_would_leave_a_route_without_a_destination_is_refused_whole() {
    let fake = formed();
    send(&fake, "PUT", "", json!({"routes": {"web": route("a")}})).await;
    let (before, proposals) = (declared(&fake).await, fake.proposals());
    let zero = json!([{"service": "a", "weight": 0}, {"service": "b", "weight": 0}]);
    for (web, place) in [
        (json!({"match": {}, "destinations": []}), "routes.web.destinations"),
        (json!({"match": {}, "destinations": null}), "routes.web.destinations"),
        (json!({"match": {}, "priority": 3}), "routes.web.destinations"),
        (json!({"match": {}, "destinations": zero}), "routes.web.destinations"),
    ] {
        for method in ["PUT", "PATCH"] {
            let body = json!({"routes": {"other": route("b"), "web": web}, "sandboxes": {"k": {"rules": [{"target": "a"}]}}});
            let answer = send(&fake, method, "", body).await;
            assert_eq!(
                (answer.status, answer.wrong_fields()),
                (400, vec![place.to_owned()]),
                "{method} {web}"
            );
        }
    }
    assert_eq!((declared(&fake).await, fake.proposals()), (before, proposals), "not a part of it");
}

#[tokio::test]
async fn a_document_is_conditional_and_may_be_only_checked() {
    let fake = formed();
    let body = || json!({"routes": {"web": route("a")}});
    let dry = send(&fake, "PUT", "?dry_run=true", body()).await;
    assert_eq!((changes(&dry), &dry.json()["dry_run"]), (vec!["route web created".into()], &json!(true)));
    assert_eq!(fake.state().routes().len(), 0);
    let tag = |answer: &Answer| answer.header("etag").expect("a tag").to_owned();
    let before = tag(&fake.ask(Ask::get("/v1/config")).await);
    let put = fake.ask(Ask::json("PUT", "/v1/config", body()).header("if-match", &before)).await;
    assert_eq!(put.status, 200, "{}", put.text);
    assert_eq!(tag(&fake.ask(Ask::get("/v1/config")).await), tag(&put));
    let late = fake.ask(Ask::json("PATCH", "/v1/config", body()).header("if-match", &before)).await;
    assert_eq!((late.status, late.problem().as_str()), (412, "precondition_failed"));
    // A route that is set alone is a change of what is declared, too.
    fake.ask(Ask::json("PUT", "/v1/routes/other", route("b"))).await;
    let now = fake.ask(Ask::get("/v1/config")).await;
    assert_ne!(tag(&now), tag(&put));
    // Nothing new: no new tag.
    let same = send(&fake, "PATCH", "", body()).await;
    assert_eq!((same.header("etag"), changes(&same).len()), (None, 0));
}

/// A document may be larger than other bodies, and is bounded all the same.
#[tokio::test]
async fn a_document_may_be_large() {
    let fake = formed();
    let document = |count: usize| {
        let routes = (0..count).map(|nth| {
            let path = format!("/{}/{nth}", "x".repeat(900));
            (format!("r{nth}"), json!({"match": {"path_exact": path}, "destinations": [{"service": "a"}]}))
        });
        json!({"routes": routes.collect::<serde_json::Map<_, _>>()})
    };
    let answer = send(&fake, "PUT", "", document(2_000)).await;
    assert_eq!(changes(&answer).len(), 2_000);
    let answer = send(&fake, "PUT", "?dry_run=true", document(4_500)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "body_too_large"));
}

/// Scenario: 20,001 routes stand. Whoever puts back what was read would have to leave one out, which would go.
#[tokio::test]
async fn more_than_a_document_can_name_is_not_replaced() {
    let fake = formed();
    let routes = (0..limit::CONFIG_OBJECTS_MAX).map(|nth| {
        (
            format!("r{nth}"),
            json!({"match": {"path_exact": format!("/{nth}")}, "destinations": [{"service": "a"}]}),
        )
    });
    let full = json!({"routes": routes.collect::<serde_json::Map<_, _>>()});
    assert_eq!(changes(&send(&fake, "PUT", "", full.clone()).await).len(), limit::CONFIG_OBJECTS_MAX);
    let same = send(&fake, "PUT", "?dry_run=true", full.clone()).await;
    assert_eq!(changes(&same), [""; 0], "as many as it can name are replaced");
    // Somebody else's policy comes between the look and the entry.
    let service = ServiceName::parse("upload").expect("a name");
    let timeout_ms = Some(3_000);
    let policy = ServicePolicy { timeout_ms, ..ServicePolicy::default() };
    fake.overtake_once(Command::PutService { name: service, policy, if_index: None });
    let refused = send(&fake, "PUT", "", json!({})).await;
    assert_eq!((refused.status, refused.problem().as_str()), (422, "limit_reached"), "{}", refused.text);
    assert!(refused.text.contains("there are already 20000"), "{}", refused.text);
    for query in ["", "?dry_run=true"] {
        let refused = send(&fake, "PUT", query, json!({})).await;
        assert_eq!((refused.status, refused.problem().as_str()), (422, "limit_reached"), "{}", refused.text);
        assert!(
            refused.text.contains("20000 routes, 0 sandboxes and 1 policies of services"),
            "{}",
            refused.text
        );
    }
    let less = json!({"routes": {"r0": null}});
    assert_eq!(changes(&send(&fake, "PATCH", "", less).await), ["route r0 removed"]);
    assert_eq!(send(&fake, "PUT", "?dry_run=true", json!({})).await.status, 200);
}
