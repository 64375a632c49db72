//! `/v1/routes`.

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn put(name: &str, body: Value) -> Ask {
    Ask::json("PUT", &format!("/v1/routes/{name}"), body)
}

fn to(service: &str) -> Value {
    json!({"match": {"path_prefix": "/api"}, "destinations": [{"service": service, "weight": 100}], "priority": 0})
}

async fn set(fake: &Arc<Fake>, name: &str, body: Value) -> Answer {
    let answer = fake.ask(put(name, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

#[tokio::test]
async fn a_route_is_set_read_and_taken_away() {
    let fake = Fake::formed();
    assert_eq!(fake.ask(Ask::get("/v1/routes/web")).await.problem(), "route_unknown");
    let answer = set(&fake, "web", to("upload")).await;
    let index = answer.json()["index"].as_u64().expect("a number");
    assert_eq!(answer.header("etag"), Some(format!("\"{index}\"").as_str()));
    let shown = fake.ask(Ask::get("/v1/routes/web")).await;
    let mut expected = to("upload");
    for (key, value) in
        [("name", json!("web")), ("created_index", json!(index)), ("changed_index", json!(index))]
    {
        expected[key] = value;
    }
    assert_eq!((shown.json(), shown.header("etag")), (expected, answer.header("etag")));
    // Another one in its place is as old as the first was: its age decides between routes that are alike.
    let again = set(&fake, "web", to("other")).await.json()["index"].clone();
    let shown = fake.ask(Ask::get("/v1/routes/web")).await.json();
    assert_eq!((&shown["created_index"], &shown["changed_index"]), (&json!(index), &again));
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/routes/web")).await.status, 200);
    assert_eq!(fake.ask(Ask::new("DELETE", "/v1/routes/web")).await.problem(), "route_unknown");
}

#[tokio::test]
async fn routes_are_listed_by_name_and_paged() {
    let fake = Fake::formed();
    for name in ["c", "a", "b"] {
        set(&fake, name, to(name)).await;
    }
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("a list");
        items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
    };
    let first = fake.ask(Ask::get("/v1/routes?limit=2")).await.json();
    assert_eq!((names(&first), &first["next_cursor"]), (vec!["a".into(), "b".into()], &json!("b")));
    let rest = fake.ask(Ask::get("/v1/routes?limit=2&cursor=b")).await.json();
    assert_eq!((names(&rest), &rest["next_cursor"]), (vec!["c".into()], &Value::Null));
    assert_eq!(fake.ask(Ask::get("/v1/routes?cursor=")).await.wrong_fields(), ["query.cursor"]);
}

/// A blocking query answers when a route changes, and not because something else did.
#[tokio::test]
async fn a_list_waits_for_its_next_change() {
    let fake = Fake::formed();
    let index = set(&fake, "web", to("a")).await.json()["index"].as_u64().expect("a number");
    let path = format!("/v1/routes?index={index}&wait=1m");
    let change = async {
        fake.ask(Ask::json("PUT", "/v1/services/upload", json!({"timeout": "3s"}))).await;
        set(&fake, "web", to("b")).await.json()["index"].as_u64().expect("a number")
    };
    let (told, changed) = futures_util::join!(fake.ask(Ask::get(&path)), change);
    let told = told.json();
    assert!(told["index"].as_u64() >= Some(changed), "{told}");
    assert_eq!(told["items"][0]["destinations"][0]["service"], "b");
}

#[tokio::test]
async fn every_mistake_of_a_route_is_listed_with_its_place() {
    let fake = Fake::formed();
    let body = json!({
        "match": {"path_prefix": "api", "methods": ["POST"], "headers": {"x": {"regex": "("}}},
        "destinations": [{"service": "a"}, {"service": "b", "weight": -1}],
        "retries": {"max": 99},
        "colour": "blue",
    });
    let answer = fake.ask(put("web", body)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid_request"));
    assert_eq!(
        answer.wrong_fields(),
        ["match.path_prefix", "match.headers.x.regex", "destinations[1].weight", "retries.max", "colour"]
    );
    let post = json!({"match": {"methods": ["POST"]}, "destinations": [{"service": "a"}], "retries": {}});
    assert_eq!(fake.ask(put("web", post)).await.wrong_fields(), ["retries"]);
    assert_eq!(fake.ask(put("%20", to("a"))).await.wrong_fields(), ["path.name"]);
    assert_eq!(fake.proposals(), 0, "nothing was proposed");
}

#[tokio::test]
async fn a_write_is_conditional_and_may_be_only_checked() {
    let fake = Fake::formed();
    let dry = fake.ask(Ask::json("PUT", "/v1/routes/web?dry_run=true", to("a"))).await;
    assert_eq!((dry.status, &dry.json()["dry_run"]), (200, &json!(true)), "{}", dry.text);
    assert_eq!((fake.proposals(), fake.state().routes().len()), (0, 0));
    let only_new = |name: &str| put(name, to("a")).header("if-none-match", "*");
    assert_eq!(fake.ask(only_new("web")).await.status, 200);
    assert_eq!(fake.ask(only_new("web")).await.problem(), "precondition_failed");
    let etag = fake.ask(Ask::get("/v1/routes/web")).await.header("etag").expect("a tag").to_owned();
    let other = fake.ask(put("web", to("b")).header("if-match", "\"1\"")).await;
    assert_eq!((other.status, other.problem().as_str()), (412, "precondition_failed"));
    let same = fake.ask(put("web", to("b")).header("if-match", &etag)).await;
    assert_eq!(same.status, 200, "{}", same.text);
    let stale = fake.ask(Ask::new("DELETE", "/v1/routes/web").header("if-match", &etag)).await;
    assert_eq!(stale.problem(), "precondition_failed");
    let dry = fake.ask(Ask::new("DELETE", "/v1/routes/nothing?dry_run=true")).await;
    assert_eq!(dry.problem(), "route_unknown");
}
