//! `/api/v1alpha1`: the objects of the sandbox API.

mod locals;
mod refused;

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn at(path: &str) -> String {
    format!("/api/v1alpha1/namespaces/team-a/{path}")
}

fn get(path: &str) -> Ask {
    Ask::get(&at(path))
}

fn sandbox(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "sandbox.example.com/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": name, "labels": {"app": "shop"}},
        "spec": spec,
    })
}

fn group(name: &str, spec: Value) -> Value {
    json!({"kind": "RouteGroup", "metadata": {"name": name}, "spec": spec})
}

fn cart() -> Value {
    json!({"ttl": 3600, "services": [{"name": "cart"}], "labels": {}})
}

async fn create(fake: &Arc<Fake>, resource: &str, body: &Value) -> Answer {
    fake.ask(Ask::json("POST", &at(resource), body.clone())).await
}

async fn made(fake: &Arc<Fake>, resource: &str, body: &Value) -> Value {
    let answer = create(fake, resource, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

async fn put(fake: &Arc<Fake>, path: &str, body: &Value) -> Answer {
    fake.ask(Ask::json("PUT", &at(path), body.clone())).await
}

/// A `Status` object, after its form was checked: its reason.
fn reason(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!((&body["kind"], &body["apiVersion"]), (&json!("Status"), &json!("v1")), "{}", answer.text);
    assert_eq!((&body["metadata"], &body["status"]), (&json!({}), &json!("Failure")), "{}", answer.text);
    assert_eq!(
        (&body["code"], answer.header("content-type")),
        (&json!(answer.status), Some("application/json"))
    );
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", answer.text);
    body["reason"].as_str().expect("a reason").to_owned()
}

fn causes(answer: &Answer) -> Vec<String> {
    assert_eq!((answer.status, reason(answer).as_str()), (422, "Invalid"), "{}", answer.text);
    let body = answer.json();
    let causes = body["details"]["causes"].as_array().expect("a list").iter();
    causes.map(|cause| cause["field"].as_str().expect("a field").to_owned()).collect()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

fn ready(object: &Value) -> (&str, &str) {
    let conditions = object["status"]["conditions"].as_array().expect("a list");
    let mut ready = conditions.iter().filter(|condition| condition["type"] == "Ready");
    let one = ready.next().expect("one");
    assert!(ready.next().is_none(), "{object}");
    (one["status"].as_str().expect("a text"), one["reason"].as_str().expect("a text"))
}

/// What requests of a key meet.
fn rules(fake: &Fake, key: &str) -> usize {
    fake.state().sandboxes().of_requests(key).map_or(0, |found| found.rules().len())
}

#[tokio::test]
async fn an_object_is_made_shown_changed_and_taken_away() {
    let fake = Fake::formed();
    let missing = fake.ask(get("sandboxes/pr-12")).await;
    let not_found = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"sandboxes.sandbox.example.com \"pr-12\" not found","reason":"NotFound","details":{"name":"pr-12","kind":"sandboxes"},"code":404}"#;
    assert_eq!(missing.exactly(), (404, not_found));
    let first = made(&fake, "sandboxes", &sandbox("pr-12", cart())).await;
    assert_eq!(
        (&first["apiVersion"], &first["kind"]),
        (&json!("sandbox.example.com/v1alpha1"), &json!("Sandbox"))
    );
    assert_eq!(first["spec"], cart(), "as it was put, with what says nothing");
    let metadata = &first["metadata"];
    let index = fake.state().index().0;
    assert_eq!(metadata["resourceVersion"], index.to_string());
    assert_eq!((&metadata["namespace"], &metadata["generation"]), (&json!("team-a"), &json!(1)));
    assert_eq!(metadata["labels"], json!({"app": "shop"}));
    assert!(metadata["creationTimestamp"].as_str().is_some_and(|at| at.ends_with('Z') && at.len() == 20));
    assert_eq!(metadata["uid"].as_str().map(str::len), Some(36));
    let shown = fake.ask(get("sandboxes/pr-12")).await;
    assert_eq!(shown.json(), first);
    assert_eq!(fake.ask(get("sandboxes/pr-12/status")).await.json(), first);
    let again = create(&fake, "sandboxes", &sandbox("pr-12", cart())).await;
    assert_eq!((again.status, reason(&again).as_str()), (409, "AlreadyExists"));
    // What was read can be put again, and is no change.
    assert_eq!(put(&fake, "sandboxes/pr-12", &first).await.json(), first);
    let mut other = first.clone();
    other["spec"]["services"] = json!([{"name": "cart"}, {"name": "mail"}]);
    let changed = put(&fake, "sandboxes/pr-12", &other).await.json();
    assert_eq!((&changed["spec"], &changed["metadata"]["generation"]), (&other["spec"], &json!(2)));
    assert_eq!(changed["metadata"]["uid"], first["metadata"]["uid"]);
    let stale = put(&fake, "sandboxes/pr-12", &other).await;
    assert_eq!((stale.status, reason(&stale).as_str()), (409, "Conflict"));
    let version = json!({"preconditions": {"resourceVersion": first["metadata"]["resourceVersion"]}});
    let stale = fake.ask(Ask::json("DELETE", &at("sandboxes/pr-12"), version)).await;
    assert_eq!((stale.status, reason(&stale).as_str()), (409, "Conflict"));
    let gone = fake.ask(Ask::new("DELETE", &at("sandboxes/pr-12"))).await;
    assert_eq!((gone.status, &gone.json()["status"]), (200, &json!("Success")));
    assert_eq!(gone.json()["details"], json!({"name": "pr-12", "kind": "sandboxes"}));
    for ask in
        [Ask::new("DELETE", &at("sandboxes/pr-12")), get("sandboxes/pr-12"), get("sandboxes/pr-12/status")]
    {
        assert_eq!(fake.ask(ask).await.exactly(), (404, not_found));
    }
    let unknown = put(&fake, "sandboxes/pr-12", &sandbox("pr-12", cart())).await;
    assert_eq!(unknown.exactly(), (404, not_found), "a PUT makes nothing");
    let anew = made(&fake, "sandboxes", &sandbox("pr-12", cart())).await;
    assert_ne!(anew["metadata"]["uid"], first["metadata"]["uid"], "another one");
    let mut of_the_first = anew.clone();
    of_the_first["metadata"]["uid"] = first["metadata"]["uid"].clone();
    assert_eq!(reason(&put(&fake, "sandboxes/pr-12", &of_the_first).await), "Conflict");
}

#[tokio::test]
async fn lists_are_of_one_namespace_by_name_chosen_by_labels_and_paged() {
    let fake = Fake::formed();
    let empty = fake.ask(get("sandboxes")).await.json();
    let index = fake.state().index().0.to_string();
    let expected = json!({
        "apiVersion": "sandbox.example.com/v1alpha1", "kind": "SandboxList",
        "metadata": {"resourceVersion": index}, "items": [],
    });
    assert_eq!(empty, expected);
    for name in ["c", "a", "b", "d"] {
        let mut body = sandbox(name, json!({}));
        body["metadata"]["labels"] = json!({"tier": if name < "c" { "web" } else { "db" }});
        made(&fake, "sandboxes", &body).await;
    }
    made(&fake, "routegroups", &group("a", json!({}))).await;
    let elsewhere = Ask::json("POST", "/api/v1alpha1/namespaces/team-b/sandboxes", sandbox("z", json!({})));
    assert_eq!(fake.ask(elsewhere).await.status, 201);
    let list = |query: &'static str| {
        let fake = &fake;
        async move { fake.ask(get(&format!("sandboxes{query}"))).await.json() }
    };
    assert_eq!(names(&list("").await), ["a", "b", "c", "d"]);
    assert_eq!(names(&list("?labelSelector=tier%3Dweb").await), ["a", "b"]);
    assert_eq!(names(&list("?labelSelector=tier+notin+(web),!x").await), ["c", "d"]);
    let first = list("?limit=3").await;
    assert_eq!((names(&first), &first["metadata"]["continue"]), (vec!["a", "b", "c"], &json!("c")));
    let last = list("?limit=3&continue=c").await;
    assert_eq!((names(&last), last["metadata"].get("continue")), (vec!["d"], None));
    let chosen = list("?limit=1&labelSelector=tier%3Ddb").await;
    assert_eq!((names(&chosen), &chosen["metadata"]["continue"]), (vec!["c"], &json!("c")));
    let groups = fake.ask(get("routegroups")).await.json();
    assert_eq!((names(&groups), &groups["kind"]), (vec!["a"], &json!("RouteGroupList")));
    assert_eq!(fake.ask(get("localworkloads")).await.json()["kind"], "LocalWorkloadList");
}

#[tokio::test]
async fn a_sandbox_runs_once_each_of_its_services_is_answered_for() {
    let fake = Fake::formed();
    let spec = json!({"services": [{"name": "cart"}, {"name": "mail"}]});
    let new = made(&fake, "sandboxes", &sandbox("pr-12", spec)).await;
    assert_eq!((&new["status"]["phase"], ready(&new)), (&json!("Pending"), ("False", "ServicesPending")));
    let services = json!([{"name": "cart", "version": "pr-12"}, {"name": "mail", "version": "other"}]);
    let worker = json!({"address": "http://10.0.0.7:8081", "services": services});
    assert_eq!(fake.ask(Ask::json("PUT", "/v1/workers/w1", worker)).await.status, 200);
    let half = fake.ask(get("sandboxes/pr-12")).await.json();
    let expected = json!([{"name": "cart", "status": "Running"}, {"name": "mail", "status": "Pending"}]);
    assert_eq!((&half["status"]["phase"], &half["status"]["services"]), (&json!("Pending"), &expected));
    let said = json!({"status": {"services": [{"name": "mail", "status": "Up", "endpoint": "10.0.0.8:80"}]}});
    let running = put(&fake, "sandboxes/pr-12/status", &said).await;
    assert_eq!(running.status, 200, "{}", running.text);
    let running = running.json();
    assert_eq!(
        (&running["status"]["phase"], ready(&running)),
        (&json!("Running"), ("True", "ServicesRunning"))
    );
    assert_eq!(running["status"]["services"], said["status"]["services"], "what was said is shown");
    assert_eq!(running["metadata"]["generation"], 1, "a status is no new generation");
    let failed = json!({"status": {"phase": "Failed", "conditions": [{"type": "Ready", "status": "False", "reason": "Crash"}]}});
    let failed = put(&fake, "sandboxes/pr-12/status", &failed).await.json();
    assert_eq!((&failed["status"]["phase"], ready(&failed)), (&json!("Failed"), ("False", "Crash")));
    assert_eq!(
        causes(&put(&fake, "sandboxes/pr-12/status", &json!({"status": {"phase": "x"}})).await),
        ["status.phase"]
    );
    assert_eq!(put(&fake, "sandboxes/other/status", &said).await.status, 404);
    let with_end = made(&fake, "sandboxes", &sandbox("ends", cart())).await;
    assert!(with_end["status"]["expiresAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{with_end}");
    assert!(failed["status"].get("expiresAt").is_none(), "who names no ttl stays");
}

#[tokio::test]
async fn a_route_group_leads_to_its_sandboxes_and_says_which_are_missing() {
    let fake = Fake::formed();
    let routes = json!({"routes": [
        {"routingKey": "k", "targetSandbox": "pr-12", "paths": [{"prefix": "/api"}]},
        {"routingKey": "production", "targetSandbox": "pr-12"},
    ]});
    let empty = made(&fake, "routegroups", &group("empty", json!({"routes": []}))).await;
    assert!(empty["status"].to_string().contains("it has no routes"), "{empty}");
    let alone = made(&fake, "routegroups", &group("shop", routes)).await;
    assert_eq!(
        (ready(&alone), &alone["status"]["observedGeneration"]),
        (("False", "SandboxNotFound"), &json!(1))
    );
    assert_eq!(rules(&fake, "k"), 0);
    made(&fake, "sandboxes", &sandbox("pr-12", cart())).await;
    assert_eq!((rules(&fake, "k"), rules(&fake, "production")), (1, 0));
    assert_eq!(ready(&fake.ask(get("routegroups/shop")).await.json()), ("True", "RoutesActive"));
    let ask = json!({"method": "GET", "url": "http://shop.example/api/x", "headers": {"x-route-key": "k"}});
    let explained = fake.ask(Ask::json("POST", "/v1/explain", ask)).await;
    assert!(explained.text.contains("k rule 0"), "{}", explained.text);
    let seen = json!({"status": {"conditions": [{"type": "Seen", "status": "True"}, {"type": "Ready", "status": "False"}]}});
    let told = put(&fake, "routegroups/shop/status", &seen).await.json();
    assert_eq!(
        (ready(&told), told["status"]["conditions"][0]["type"].as_str()),
        (("True", "RoutesActive"), Some("Seen"))
    );
    assert_eq!(fake.ask(Ask::new("DELETE", &at("sandboxes/pr-12"))).await.status, 200);
    assert_eq!(rules(&fake, "k"), 0);
}

/// Scenario: one document of the original reads keys from `X-Route-Key`, its sister document has groups that expect
/// `X-Routing-Key`. Cause: two defaults for one thing. Both are read, whatever a group says; a group that expects a
/// third one is told, since a group can't change what the nodes were started with.
#[tokio::test]
async fn the_two_headers_of_the_originals_documents_are_both_read() {
    let fake = Fake::formed();
    for (nth, header) in
        [None, Some("X-Route-Key"), Some("X-Routing-Key"), Some("x-routing-key"), Some("X-Env")]
            .iter()
            .enumerate()
    {
        let mut spec = json!({"routes": []});
        if let Some(header) = header {
            spec["routingKeyHeader"] = json!(header);
        }
        let shown = made(&fake, "routegroups", &group(&format!("g{nth}"), spec.clone())).await;
        let expected = if nth == 4 { ("False", "HeaderNotRead") } else { ("True", "RoutesActive") };
        assert_eq!((ready(&shown), &shown["spec"]), (expected, &spec));
    }
}

#[tokio::test]
async fn a_local_workload_is_of_the_key_of_its_sandbox() {
    let fake = Fake::formed();
    let spec =
        json!({"sandboxRef": {"name": "pr-12"}, "service": {"name": "cart"}, "connection": {"timeout": 300}});
    let body = json!({"kind": "LocalWorkload", "metadata": {"name": "laptop"}, "spec": spec});
    let new = made(&fake, "localworkloads", &body).await;
    assert_eq!((&new["spec"], &new["status"]["phase"]), (&spec, &json!("Pending")));
    assert_eq!(new["status"]["connection"], json!({"tunnelId": "team-a.laptop"}));
    assert_eq!(ready(&new), ("False", "SandboxNotFound"));
    made(&fake, "sandboxes", &sandbox("pr-12", json!({"routingKey": "k"}))).await;
    let status = json!({"phase": "Connected", "connection": {"tunnelId": "t1", "connectedAt": "2026-11-22T08:00:00Z"}});
    let told = put(&fake, "localworkloads/laptop/status", &json!({"status": status})).await.json();
    assert_eq!(told["status"]["routingKey"], "k");
    assert_eq!(
        (&told["status"]["phase"], &told["status"]["connection"]),
        (&status["phase"], &status["connection"])
    );
}

/// Scenario: a client writes at one node and reads at another one that lags.
#[tokio::test]
async fn a_read_never_misses_what_a_write_was_answered_with() {
    let fake = Fake::formed();
    fake.lag();
    let any = || get("sandboxes/pr-12?resourceVersion=0");
    made(&fake, "sandboxes", &sandbox("other", cart())).await;
    fake.lag();
    let body = sandbox("pr-12", cart());
    let elsewhere = proposed_elsewhere(&body);
    fake.apply(elsewhere);
    assert_eq!(fake.ask(any()).await.status, 404, "this node lags");
    let index = fake.state().index().0;
    assert_eq!(fake.ask(get("sandboxes/pr-12")).await.status, 200);
    fake.lag();
    assert_eq!(fake.ask(get(&format!("sandboxes/pr-12?resourceVersion={index}"))).await.status, 200);
    assert_eq!(names(&fake.ask(get("sandboxes")).await.json()), ["other", "pr-12"]);
}

/// As another node proposes it.
fn proposed_elsewhere(body: &Value) -> quorate_model::Command {
    let namespace = quorate_model::DnsLabel::parse("team-a").expect("a label");
    let text = body.to_string();
    let put = quorate_api::sandbox_api::put::create(
        quorate_model::Resource::Sandboxes,
        &namespace,
        text.as_bytes(),
    );
    quorate_model::Command::Object(quorate_model::ObjectCommand::Create(put.expect("valid").object))
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_and_changes_nothing() {
    let fake = Fake::formed();
    let path = at("sandboxes?dryRun=All");
    let dry = fake.ask(Ask::json("POST", &path, sandbox("pr-12", cart()))).await;
    assert_eq!((dry.status, &dry.json()["spec"]), (201, &cart()));
    assert!(fake.state().objects().is_empty());
    assert_eq!(fake.proposals(), 0);
    made(&fake, "sandboxes", &sandbox("pr-12", cart())).await;
    let twice = fake.ask(Ask::json("POST", &path, sandbox("pr-12", cart()))).await;
    assert_eq!(reason(&twice), "AlreadyExists");
}

#[tokio::test]
async fn watchers_are_told_of_objects() {
    let fake = Fake::formed();
    made(&fake, "sandboxes", &sandbox("pr-12", cart())).await;
    let since = fake.state().index();
    fake.ask(Ask::new("DELETE", &at("sandboxes/pr-12"))).await;
    use quorate_management::Cluster;
    assert!(fake.changed(&[quorate_model::Kind::Object]) > since);
    let since = quorate_model::Position::end_of(since);
    let told = fake.changes_about(None, since, 10).expect("of late").changes;
    assert_eq!(told.iter().map(|change| change.what.name()).collect::<Vec<_>>(), ["sandboxes/team-a/pr-12"]);
}
